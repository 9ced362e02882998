//! The manifest: what the NixOS module hands over for one phase, as JSON.
//!
//! All fields of sops-nix's manifest keep name and meaning; `docs/manifest.md` describes each field for users.
//! A mistake that concerns one secret (its mode, say) is kept with that secret and fails it alone. A mistake that
//! makes the whole unclear (two secrets of one name) fails the manifest.

mod checks;
pub mod credential;
mod name;
mod read;
pub mod runtime_dir;

use std::path::{Path, PathBuf};

pub use name::Name;

use crate::{
    failure::{Failure, Result},
    input,
    sops::formats::Format,
    tree::Mode,
    units::Requests,
};

/// Directory below a generation that holds rendered templates.
pub const RENDERED: &str = "rendered";

/// When the secrets are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// While the bootloader is installed.
    Bootloader,
    /// In stage 1.
    Initrd,
    /// Before users exist.
    Users,
    /// In normal activation.
    System,
    /// In a user's own session.
    User,
}

impl Phase {
    /// The phase of that name.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "bootloader" => Self::Bootloader,
            "initrd" => Self::Initrd,
            "users" => Self::Users,
            "system" => Self::System,
            "user" => Self::User,
            _ => {
                return Err(Failure::new(format!("there is no phase {name:?}"))
                    .fix("use bootloader, initrd, users, system or user"));
            }
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bootloader => "bootloader",
            Self::Initrd => "initrd",
            Self::Users => "users",
            Self::System => "system",
            Self::User => "user",
        }
    }

    /// Whether names of users and groups cannot be asked for yet, so that everything belongs to root.
    #[must_use]
    pub const fn ignores_passwd(self) -> bool {
        matches!(self, Self::Bootloader | Self::Users)
    }
}

/// What the manifest calls a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One value of a sops file.
    Secret,
    /// A text with placeholders.
    Template,
}

/// A user or group: a name to look up, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Looked up when the secret lands.
    Name(String),
    /// Taken as it is.
    Id(u32),
}

/// What secrets and templates have in common: where the file goes, whose it is, and who is told.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Name, and path below the generation (templates: below [`RENDERED`]).
    pub name: Name,
    /// Where a link to it is made; absent, or equal to its place below `symlinkPath`: none.
    pub path: Option<PathBuf>,
    /// Permission bits; a bad mode fails this secret only.
    pub mode: Result<Mode>,
    /// Owning user.
    pub owner: Principal,
    /// Owning group.
    pub group: Principal,
    /// What is asked of units when it changed.
    pub units: Requests,
}

/// One secret of the manifest.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Where it goes.
    pub placement: Placement,
    /// The encrypted file.
    pub sops_file: PathBuf,
    /// How that file is written.
    pub format: Format,
    /// Which value of it: steps separated by `/`; `None` means the whole file.
    pub key: Option<String>,
    /// What stands for its value in templates.
    pub placeholder: Option<String>,
}

/// One template of the manifest.
#[derive(Debug, Clone)]
pub struct Template {
    /// Where it goes.
    pub placement: Placement,
    /// The text with placeholders.
    pub text: TemplateText,
}

/// Where a template's text comes from.
#[derive(Debug, Clone)]
pub enum TemplateText {
    /// It stands in the manifest.
    Inline(String),
    /// It is in a file.
    File(PathBuf),
}

/// The identities that the manifest names.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// An age key file.
    pub age_key_file: Option<PathBuf>,
    /// OpenSSH private keys, used as age identities.
    pub age_ssh_key_paths: Vec<PathBuf>,
    /// OpenSSH RSA private keys, used as `OpenPGP` keys.
    pub ssh_key_paths: Vec<PathBuf>,
    /// A home of gpg.
    pub gnupg_home: Option<PathBuf>,
}

/// What goes to standard output.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logging {
    /// A line for each key that was read.
    pub key_import: bool,
    /// Lines for added, modified and removed secrets.
    pub secret_changes: bool,
}

/// A file of the initrd.
#[derive(Debug, Clone)]
pub struct InitrdFile {
    /// Absolute path in stage 1.
    pub target: PathBuf,
    /// What it holds.
    pub content: InitrdContent,
    /// Permission bits; absent: 0400, or for a source file those that it has.
    pub mode: Option<Mode>,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// The name of the systemd credential that it is delivered as.
    pub credential: Option<String>,
}

/// Where the bytes of an initrd file come from.
#[derive(Debug, Clone)]
pub enum InitrdContent {
    /// The secret of that name.
    Secret(Name),
    /// The template of that name.
    Template(Name),
    /// A plain file, as stock `boot.initrd.secrets` has it.
    Source(PathBuf),
}

/// What only the initrd phase has.
#[derive(Debug, Clone, Default)]
pub struct Initrd {
    /// The files of the segment.
    pub files: Vec<InitrdFile>,
    /// The directories that the segment creates.
    pub directories: Vec<(PathBuf, Mode)>,
    /// The pristine initrd, to tell our segment from it by length.
    pub base: Option<PathBuf>,
    /// The path by which boot.json names this generation's appender.
    pub appender: Option<PathBuf>,
    /// Where names of a hand-written manifest are resolved.
    pub passwd_file: Option<PathBuf>,
    /// Where names of a hand-written manifest are resolved.
    pub group_file: Option<PathBuf>,
}

/// A manifest that makes sense as a whole.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the JSON")]
pub struct Manifest {
    /// 0 for a manifest of sops-nix, 1 for one of forestage.
    pub version: u32,
    /// When its secrets are needed.
    pub phase: Phase,
    /// The secrets, in order.
    pub secrets: Vec<Secret>,
    /// The templates, in order.
    pub templates: Vec<Template>,
    /// Where generations live, `/run/secrets.d`.
    pub mount_point: PathBuf,
    /// The link to the current generation, `/run/secrets`.
    pub symlink_path: PathBuf,
    /// How many generations stay; 0: all.
    pub keep_generations: u64,
    /// Which identities it names.
    pub identities: Identities,
    /// tmpfs instead of ramfs.
    pub use_tmpfs: bool,
    /// Runs as a user: nothing is mounted, no ownership is set.
    pub user_mode: bool,
    /// RAM that may be swapped is acceptable.
    pub allow_swap: bool,
    /// All or nothing.
    pub strict: bool,
    /// Keep the current generation when nothing changed.
    pub reuse_unchanged: bool,
    /// What is logged.
    pub logging: Logging,
    /// The initrd phase's part.
    pub initrd: Initrd,
}

impl Manifest {
    /// Reads and checks the manifest at `path`.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&input::read(path, input::MAX_SIZE)?)
            .map_err(|failure| failure.fact("manifest", path.display()))
    }

    /// Reads and checks the manifest that `json` holds.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let manifest = read::manifest(json)?;
        checks::whole(&manifest)?;
        Ok(manifest)
    }

    /// The manifest with `%r` in its paths replaced by the user's runtime directory, and `%%` by `%`.
    ///
    /// Only user mode has such paths; sops files and key files are never touched.
    pub fn with_runtime_dir(mut self, runtime_dir: Option<&Path>) -> Result<Self> {
        if self.user_mode {
            for path in self.landing_paths() {
                *path = runtime_dir::expand(path, runtime_dir)?;
            }
        }
        Ok(self)
    }

    /// The paths at which something is made.
    fn landing_paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let secrets = self.secrets.iter_mut().filter_map(|secret| secret.placement.path.as_mut());
        let templates = self.templates.iter_mut().filter_map(|template| template.placement.path.as_mut());
        [&mut self.mount_point, &mut self.symlink_path].into_iter().chain(secrets).chain(templates)
    }
}

impl Placement {
    /// The NixOS option that declares it, as people wrote it.
    #[must_use]
    pub fn option(&self, kind: Kind) -> String {
        let set = match kind {
            Kind::Secret => "secrets",
            Kind::Template => "templates",
        };
        format!("sops.{set}.{:?}", self.name.as_str())
    }
}

impl Secret {
    /// Where it lands below a generation.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        self.placement.name.as_path().to_owned()
    }
}

impl Template {
    /// Where it lands below a generation.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        Path::new(RENDERED).join(self.placement.name.as_path())
    }
}

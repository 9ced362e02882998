//! `forestage install`: opens the secrets of a manifest and lands them as a generation.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{
    failure::{Failure, Result},
    generation::{Entry, Place, Ram, Realm, Settings, Stage, Swappable},
    input,
    keys::{Access, Keyring},
    manifest::{Kind, Manifest, Phase, Placement, Principal, runtime_dir},
    open::{self, Contents, Opened},
    owners::Owners,
    root::Root,
    tree::{File, Owner},
    units::{LISTS, Requests, Via},
};

use super::{
    Status,
    console::Console,
    report::{self, Outcome, Report, State},
};

/// What to install, and how.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Options {
    /// The manifest's path.
    pub manifest: PathBuf,
    /// Overrides the manifest's phase.
    pub phase: Option<Phase>,
    /// What every absolute path is relative to.
    pub root: Option<PathBuf>,
    /// All or nothing.
    pub strict: bool,
    /// Write nothing.
    pub dry_run: bool,
    /// Everything belongs to root.
    pub ignore_passwd: bool,
    /// A file system that is not in RAM will do.
    pub allow_disk: bool,
    /// How to reach keys that are not simply there.
    pub access: Access,
    /// One JSON object on standard output.
    pub json: bool,
    /// Called as sops-install-secrets: where swap cannot be excluded it warns instead of refusing.
    pub as_sops_install_secrets: bool,
}

/// Lands the manifest's secrets. Programs that asked for JSON get an object also when there is nothing to report.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let outcome = install(options, console);
    if let (Err(failure), true) = (&outcome, options.json) {
        console.print(&report::of_failure(failure))?;
    }
    outcome
}

fn install(options: &Options, console: &Console) -> Result<Status> {
    let manifest = read_manifest(options)?;
    let root = options.root.as_deref().map_or(Ok(Root::system()), Root::at)?;
    let dry_activate = env::var_os("NIXOS_ACTION").is_some_and(|action| action == "dry-activate");
    let dry = options.dry_run || dry_activate;
    let ignore_passwd = options.ignore_passwd || manifest.phase.ignores_passwd();
    let owners = if ignore_passwd { Owners::ignored() } else { Owners::of(&root) };
    let stage = Stage::enter(settings(&manifest, options, &root, &owners, dry)?)?;
    let keyring = Keyring::from_manifest(&manifest.identities, &root).with_access(&options.access);
    if manifest.logging.key_import && !options.json {
        log_imports(&keyring, options, console);
    }

    // A dry activation comes before the users that its switch would make.
    let attributes = Attributes { owners: &owners, stage: &stage, unknown_names_pass: dry_activate };
    let read = |path: &Path| input::read_file(&root, path, input::MAX_SIZE);
    let contents = open::contents(&manifest, &read, &keyring, |secret| attributes.fit(&secret.placement));
    let candidates = candidates(&manifest, contents, &attributes);
    let mut report = Report::new(manifest.phase);
    let (ready, failed): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|it| it.file.is_some());
    let opened = ready.iter().filter(|it| it.failure.is_none()).count();
    let failures = failed.len() + ready.len() - opened;
    if failures > 0 && (opened == 0 || options.strict || manifest.strict) {
        report.secrets = ready.into_iter().chain(failed).filter_map(Candidate::failed).collect();
    } else {
        let entries: Vec<_> = ready.iter().filter_map(Candidate::entry).collect();
        let landed = stage.land(&entries)?;
        if manifest.logging.secret_changes && !options.json && !manifest.user_mode {
            let mut lines = landed.change_lines(&entries, dry);
            lines.push(String::new());
            // The secrets have landed: a reader that went away changes nothing about that.
            drop(console.print(lines.join("\n").as_bytes()));
        }
        drop(entries);
        if !dry
            && !asks_systemctl(&root)
            && !landed.requests.is_empty()
            && !root.join(Path::new(LISTS)).is_dir()
        {
            console.warning(
                &Failure::new(format!("no unit was asked to restart or reload: there is no {LISTS}"))
                    .fix("outside NixOS, set SOPS_RESTART_UNITS_VIA_SYSTEMCTL=1"),
            );
        }
        report.landed(landed, ready.into_iter().map(|it| (it.name, it.option, it.failure)));
        report.secrets.extend(failed.into_iter().filter_map(Candidate::failed));
    }
    report.tell(console, dry, options.json)
}

/// The lines of sops-install-secrets, under the name of this program.
fn log_imports(keyring: &Keyring, options: &Options, console: &Console) {
    let program = if options.as_sops_install_secrets { "sops-install-secrets" } else { "forestage" };
    keyring.read_named();
    for identity in keyring.identities() {
        let (Some(source), Some(recipient)) = (identity.sources.first(), identity.recipients.first()) else {
            continue;
        };
        if identity.is_openpgp {
            let fingerprint = recipient.to_lowercase();
            let line = format!("{program}: Imported {source} as GPG key with fingerprint {fingerprint}\n");
            // Nobody needs it: a reader that went away changes nothing.
            drop(console.print(line.as_bytes()));
        } else {
            console.note(&format!("{program}: Imported {source} as age key with fingerprint {recipient}"));
        }
    }
}

fn read_manifest(options: &Options) -> Result<Manifest> {
    let mut manifest = Manifest::read(&options.manifest)?;
    if let Some(phase) = options.phase {
        manifest.phase = phase;
        manifest.user_mode = phase == Phase::User;
    }
    if manifest.phase == Phase::Initrd {
        return Err(Failure::new("this manifest is for the initrd")
            .fact("manifest", options.manifest.display())
            .fix("forestage initrd append --manifest MANIFEST INITRD"));
    }
    let runtime_dir = runtime_dir::from_environment(env::var_os("XDG_RUNTIME_DIR").as_deref());
    manifest.with_runtime_dir(runtime_dir.as_deref())
}

fn settings(
    manifest: &Manifest,
    options: &Options,
    root: &Root,
    owners: &Owners,
    dry: bool,
) -> Result<Settings> {
    let ram = match (manifest.use_tmpfs, manifest.allow_swap, options.as_sops_install_secrets) {
        (false, ..) => Ram::Ramfs,
        (true, true, _) => Ram::Tmpfs(Swappable::Allow),
        (true, false, true) => Ram::Tmpfs(Swappable::Warn),
        (true, false, false) => Ram::Tmpfs(Swappable::Refuse),
    };
    let realm =
        if manifest.user_mode { Realm::User } else { Realm::System { ram, keys_gid: owners.keys_gid()? } };
    Ok(Settings {
        place: Place::new(root.clone(), &manifest.mount_point, &manifest.symlink_path)?,
        realm,
        via: if asks_systemctl(root) { Via::Systemctl } else { Via::Lists(root.clone()) },
        keep: manifest.keep_generations,
        reuse_unchanged: manifest.reuse_unchanged,
        // In user mode sops-install-secrets takes whatever file system is there.
        allow_disk: options.allow_disk || options.as_sops_install_secrets,
        dry,
    })
}

/// Whether units are asked through systemctl, as sops-install-secrets decides it; below another root never.
fn asks_systemctl(root: &Root) -> bool {
    let asks = env::var_os("SOPS_RESTART_UNITS_VIA_SYSTEMCTL").is_some_and(|value| value == "1");
    asks && root.is_system()
}

/// A secret or template on its way to its place.
struct Candidate<'a> {
    /// As reports call it.
    name: String,
    /// The option that declares it.
    option: String,
    /// What lands, if anything does.
    file: Option<File>,
    /// Where else it is to be found.
    path: PathBuf,
    units: &'a Requests,
    /// Why it failed. With a file: its current bytes are kept.
    failure: Option<Failure>,
}

/// Every secret and template of the manifest, as a file to land or as a failure.
fn candidates<'a>(manifest: &'a Manifest, contents: Contents, attributes: &Attributes) -> Vec<Candidate<'a>> {
    let secrets = manifest.secrets.iter().map(|secret| (Kind::Secret, secret.place(), &secret.placement));
    let templates = manifest.templates.iter();
    let templates = templates.map(|template| (Kind::Template, template.place(), &template.placement));
    let contents = contents.secrets.into_iter().chain(contents.templates);
    let candidate = |((kind, place, placement), content): ((Kind, PathBuf, &'a Placement), Opened)| {
        let visible = manifest.symlink_path.join(&place);
        let (file, failure) = attributes.file(&place, placement, content);
        Candidate {
            name: place.display().to_string(),
            option: placement.option(kind),
            file,
            path: placement.path.clone().unwrap_or(visible),
            units: &placement.units,
            failure,
        }
    };
    secrets.chain(templates).zip(contents).map(candidate).collect()
}

/// What gives a file its mode and owner, and what it was before.
struct Attributes<'a> {
    owners: &'a Owners,
    stage: &'a Stage,
    unknown_names_pass: bool,
}

impl Attributes<'_> {
    /// Whether mode and owner make sense.
    fn fit(&self, placement: &Placement) -> bool {
        placement.mode.is_ok() && (self.unknown_names_pass || owner(placement, self.owners).is_ok())
    }

    /// What lands at `place`; of a failed secret the file of the current generation, with the mode and owner that are
    /// declared now, as far as they make sense.
    fn file(&self, place: &Path, placement: &Placement, content: Opened) -> (Option<File>, Option<Failure>) {
        let kept = || self.stage.current().and_then(|current| current.read(place).ok().flatten());
        let owner = || match owner(placement, self.owners) {
            Err(_) if self.unknown_names_pass => Ok(kept().map_or(Owner::ROOT, |kept| kept.owner)),
            owner => owner,
        };
        let attributes = placement.mode.clone().and_then(|mode| Ok((mode, owner()?)));
        match (attributes, content) {
            (Ok((mode, owner)), Ok(content)) => {
                (Some(File { path: place.to_owned(), content, mode, owner }), None)
            }
            (Ok((mode, owner)), Err(failure)) => {
                (kept().map(|kept| File { mode, owner, ..kept }), Some(failure))
            }
            (Err(failure), _) => (kept(), Some(failure)),
        }
    }
}

/// The ids that the manifest's names and numbers mean.
pub(super) fn owner(placement: &Placement, owners: &Owners) -> Result<Owner> {
    if owners.are_ignored() {
        return Ok(Owner::ROOT);
    }
    let uid = match &placement.owner {
        Principal::Id(uid) => *uid,
        Principal::Name(name) => owners.uid(name)?,
    };
    let gid = match &placement.group {
        Principal::Id(gid) => *gid,
        Principal::Name(name) => owners.gid(name)?,
    };
    Ok(Owner { uid, gid })
}

impl Candidate<'_> {
    fn entry(&self) -> Option<Entry<'_>> {
        let file = self.file.as_ref()?;
        Some(Entry { file, path: &self.path, units: self.units, kept: self.failure.is_some() })
    }

    fn failed(self) -> Option<Outcome> {
        let failure = self.failure?;
        Some(Outcome { name: self.name, option: self.option, state: State::Failed, failure: Some(failure) })
    }
}

//! What a manifest declares for an initrd, and how a file stands against it. Needs no private key: fresh is what was
//! made of this manifest and these ciphertexts.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

use super::{
    SOURCES, STAGED,
    examine::{Found, State},
    find::Survey,
    index::{Index, Landed},
};
use crate::{
    failure::{Failure, Result},
    input,
    manifest::{InitrdContent, Kind, Manifest, Placement, TemplateText},
    plaintext::Plaintext,
    root::Root,
    tree::Mode,
};

/// What was read, by path, as digests: of the manifest and of ciphertexts, never of plaintexts.
#[derive(Debug)]
pub struct Inputs<'a> {
    root: &'a Root,
    digests: Mutex<BTreeMap<PathBuf, [u8; 32]>>,
}

impl<'a> Inputs<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(root: &'a Root) -> Self {
        Self { root, digests: Mutex::default() }
    }

    /// Reads the manifest. Wherever it lies, it is the same manifest.
    pub fn manifest(&self, path: &Path) -> Result<Manifest> {
        let bytes = input::read(path, input::MAX_SIZE)?;
        self.note(PathBuf::new(), &bytes);
        Manifest::parse(&bytes)
    }

    /// Reads a sops file, or the text of a template.
    pub fn read(&self, path: &Path) -> Result<Plaintext> {
        let bytes = input::read_file(self.root, path, input::MAX_SIZE)?;
        self.note(path.to_owned(), &bytes);
        Ok(bytes)
    }

    /// Reads all that the manifest's digest is made of.
    pub fn read_all(&self, manifest: &Manifest) -> Result<()> {
        let texts = manifest.templates.iter().filter_map(|template| match &template.text {
            TemplateText::File(path) => Some(path),
            TemplateText::Inline(_) => None,
        });
        let files = manifest.secrets.iter().map(|secret| &secret.sops_file).chain(texts);
        let mut files: Vec<_> = files.collect();
        files.sort_unstable();
        files.dedup();
        files.into_iter().try_for_each(|path| self.read(path).map(drop))
    }

    fn note(&self, path: PathBuf, bytes: &[u8]) {
        let digest = Sha256::digest(bytes).into();
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).insert(path, digest);
    }

    /// One digest of all that was read.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut all = Sha256::new();
        for (path, digest) in &*self.digests.lock().unwrap_or_else(PoisonError::into_inner) {
            all.update(Sha256::digest(path.as_os_str().as_encoded_bytes()));
            all.update(digest);
        }
        all.finalize().into()
    }
}

/// A file that a manifest wants in the initrd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'m> {
    /// The secret or template, or the plain file.
    pub name: &'m str,
    /// The absolute path where it is wanted.
    pub target: PathBuf,
    /// The plain file that it is a copy of, with the mode that the manifest gives it.
    source: Option<(&'m Path, Option<Mode>)>,
}

/// The files that a manifest wants in the initrd, in the order of the manifest.
#[must_use]
pub fn wanted(manifest: &Manifest) -> Vec<Wanted<'_>> {
    if manifest.initrd.files.is_empty() {
        return placements(manifest)
            .map(|(_, placement)| Wanted {
                name: placement.name.as_str(),
                target: target(manifest, placement),
                source: None,
            })
            .collect();
    }
    let file = |file: &'_ crate::manifest::InitrdFile| file.target.clone();
    let files = manifest.initrd.files.iter();
    files
        .map(|wanted| match &wanted.content {
            InitrdContent::Secret(name) | InitrdContent::Template(name) => {
                Wanted { name: name.as_str(), target: file(wanted), source: None }
            }
            InitrdContent::Source(path) => Wanted {
                name: path.to_str().unwrap_or_default(),
                target: file(wanted),
                source: Some((path, wanted.mode)),
            },
        })
        .collect()
}

/// Whether a segment has the files that the manifest wants and no others, whatever is in them.
#[must_use]
pub fn alike(manifest: &Manifest, index: &Index) -> bool {
    let wanted = wanted(manifest);
    let wanted: BTreeSet<&Path> = wanted.iter().map(|wanted| wanted.target.as_path()).collect();
    let landed: BTreeSet<&Path> = index.files.iter().map(|file| Path::new(file.target())).collect();
    wanted == landed
}

/// The secrets and templates of a manifest.
pub fn placements(manifest: &Manifest) -> impl Iterator<Item = (Kind, &Placement)> {
    let secrets = manifest.secrets.iter().map(|secret| (Kind::Secret, &secret.placement));
    secrets.chain(manifest.templates.iter().map(|template| (Kind::Template, &template.placement)))
}

/// Where a manifest of sops-nix, which lists no files for the initrd, wants a secret: where its path says.
#[must_use]
pub fn target(manifest: &Manifest, placement: &Placement) -> PathBuf {
    placement.path.clone().unwrap_or_else(|| manifest.symlink_path.join(placement.name.as_path()))
}

/// How a file in an initrd stands against the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Made of this manifest and these ciphertexts.
    Fresh,
    /// Made of others.
    Stale,
    /// Not there.
    Missing,
    /// Its bytes are not those that were written, or the kernel will not read them.
    Damaged,
    /// What would tell cannot be read.
    Unknown(Failure),
}

/// How the file `wanted` stands in an initrd, if `digest` is the digest of its manifest.
#[must_use]
pub fn standing(wanted: &Wanted, survey: &Survey, digest: &[u8; 32], root: &Root) -> Standing {
    // Of several segments the last one lands last.
    let landed = survey.found.iter().rev().find_map(|found| Some((found, landed(found, wanted)?)));
    let Some((found, landed)) = landed else {
        let broken = survey.found.iter().any(|found| found.index.is_none());
        return if broken { Standing::Damaged } else { Standing::Missing };
    };
    let whole = match &found.state {
        State::Whole => true,
        State::Damaged(paths) => paths.binary_search(&landed.path).is_err(),
        State::Cut | State::Later(_) => false,
    };
    if !whole {
        return Standing::Damaged;
    }
    if found.index.as_ref().is_none_or(|index| index.manifest != *digest) {
        return Standing::Stale;
    }
    match wanted.source {
        None => Standing::Fresh,
        Some((path, mode)) => match source(path, root) {
            Ok((bytes, own_mode)) => {
                let same =
                    *Sha256::digest(&*bytes) == landed.sha256 && mode.unwrap_or(own_mode) == landed.mode;
                if same { Standing::Fresh } else { Standing::Stale }
            }
            Err(failure) => Standing::Unknown(failure),
        },
    }
}

fn landed<'f>(found: &'f Found, wanted: &Wanted) -> Option<&'f Landed> {
    let target = wanted.target.to_str()?;
    let staged = wanted.target.starts_with("/run");
    let path = match wanted.source {
        Some(_) => format!("{SOURCES}{target}"),
        None if staged => format!("{STAGED}{target}"),
        None => target.to_owned(),
    };
    let files = &found.index.as_ref()?.files;
    files.get(files.binary_search_by(|file| file.path.as_str().cmp(&path)).ok()?)
}

/// A plain file of `boot.initrd.secrets`, with the mode that `cp -a` would give it.
pub fn source(path: &Path, root: &Root) -> Result<(Plaintext, Mode)> {
    let content = input::read_file(root, path, input::MAX_SIZE)?;
    let metadata = root.open(path).and_then(|file| file.metadata());
    let bits = metadata.map_err(|error| Failure::io("examine", path, error))?.permissions().mode();
    Ok((content, Mode::new(u16::try_from(bits & 0o777).unwrap_or(0o400))))
}

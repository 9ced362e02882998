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
    manifest::{self, InitrdContent, Manifest, Placement, TemplateText},
    plaintext::Plaintext,
    root::{Kind, Root},
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
    let [mut targets, mut landed] = [BTreeSet::new(), BTreeSet::new()];
    targets.extend(wanted.iter().map(|wanted| wanted.target.as_path()));
    landed.extend(index.files.iter().map(|file| Path::new(file.target())));
    targets == landed
}

/// The secrets and templates of a manifest.
pub fn placements(manifest: &Manifest) -> impl Iterator<Item = (manifest::Kind, &Placement)> {
    let secrets = manifest.secrets.iter().map(|secret| (manifest::Kind::Secret, &secret.placement));
    secrets.chain(manifest.templates.iter().map(|template| (manifest::Kind::Template, &template.placement)))
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
        State::Damaged(paths) => landed.iter().all(|file| paths.binary_search(&file.path).is_err()),
        State::Cut | State::Later(_) => false,
    };
    if !whole {
        return Standing::Damaged;
    }
    if found.index.as_ref().is_none_or(|index| index.manifest != *digest) {
        return Standing::Stale;
    }
    let Some((path, mode)) = wanted.source else { return Standing::Fresh };
    match copies(path, root) {
        Ok(copies) => {
            let prefix = staged_source(&wanted.target);
            let same = |copy: &Copy| {
                let path = copy.place(Path::new(&prefix));
                let path = path.to_string_lossy();
                let file = landed.binary_search_by(|file| file.path.as_str().cmp(&path)).ok();
                file.and_then(|at| landed.get(at)).is_some_and(|file| {
                    *Sha256::digest(&*copy.content) == file.sha256 && mode.unwrap_or(copy.mode) == file.mode
                })
            };
            let fresh = copies.len() == landed.len() && copies.iter().all(same);
            if fresh { Standing::Fresh } else { Standing::Stale }
        }
        Err(failure) => Standing::Unknown(failure),
    }
}

fn staged_source(target: &Path) -> String {
    format!("{SOURCES}{}", target.display())
}

/// The files of a segment that are `wanted`, in the order of their paths: one, or those of a directory.
fn landed<'f>(found: &'f Found, wanted: &Wanted) -> Option<Vec<&'f Landed>> {
    let target = wanted.target.to_str()?;
    let staged = wanted.target.starts_with("/run");
    let path = match wanted.source {
        Some(_) => staged_source(&wanted.target),
        None if staged => format!("{STAGED}{target}"),
        None => target.to_owned(),
    };
    let files = &found.index.as_ref()?.files;
    if let Ok(at) = files.binary_search_by(|file| file.path.as_str().cmp(&path)) {
        return Some(vec![files.get(at)?]);
    }
    wanted.source?;
    let inside = format!("{path}/");
    let first = files.partition_point(|file| file.path < inside);
    let below = files.get(first..)?.iter().take_while(|file| file.path.starts_with(&inside));
    let below: Vec<_> = below.collect();
    (!below.is_empty()).then_some(below)
}

/// One file that a plain source gives.
#[derive(Debug)]
pub struct Copy {
    /// Where it lies below the source; empty if it is the source.
    below: PathBuf,
    /// Its bytes.
    pub content: Plaintext,
    /// The mode that `cp -a` would give it.
    pub mode: Mode,
}

impl Copy {
    /// Where it goes if the source goes to `target`.
    #[must_use]
    pub fn place(&self, target: &Path) -> PathBuf {
        // Joining nothing would append a slash.
        if self.below.as_os_str().is_empty() { target.to_owned() } else { target.join(&self.below) }
    }
}

/// What a plain source of `boot.initrd.secrets` gives: itself, or the files below it if it is a directory, in no order.
///
/// As the stock tools of NixOS do in the end: sockets, pipes and devices are no secrets, and directories are made for
/// files only. A link is what it leads to; a link to a directory, inside of a directory, is an error.
pub fn copies(source: &Path, root: &Root) -> Result<Vec<Copy>> {
    let metadata = root.open(source).and_then(|file| file.metadata());
    if !metadata.is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(vec![copy(source, PathBuf::new(), root)?]);
    }
    let mut copies: Vec<Copy> = Vec::new();
    let mut size = 0_u64;
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let here = if directory.as_os_str().is_empty() { source.to_owned() } else { source.join(&directory) };
        for (name, kind) in root.entries(&here)? {
            let below = directory.join(name);
            match kind {
                Kind::Directory => directories.push(below),
                Kind::File | Kind::Link => {
                    let copy = copy(&source.join(&below), below, root)?;
                    size = size.saturating_add(copy.content.len() as u64);
                    if size > input::MAX_SIZE {
                        return Err(Failure::new(format!("{} is too large for an initrd", source.display()))
                            .fact("limit", format!("{} bytes", input::MAX_SIZE)));
                    }
                    copies.push(copy);
                }
                Kind::Other => {}
            }
        }
    }
    if copies.is_empty() {
        return Err(Failure::new(format!("the directory {} has no files", source.display())));
    }
    Ok(copies)
}

fn copy(path: &Path, below: PathBuf, root: &Root) -> Result<Copy> {
    let content = input::read_file(root, path, input::MAX_SIZE)?;
    let metadata = root.open(path).and_then(|file| file.metadata());
    let bits = metadata.map_err(|error| Failure::io("examine", path, error))?.permissions().mode();
    Ok(Copy { below, content, mode: Mode::new(u16::try_from(bits & 0o777).unwrap_or(0o400)) })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
    };

    use super::*;

    #[test]
    fn what_a_plain_source_gives() {
        let place = std::env::temp_dir().join(format!("forestage-copies-{}", std::process::id()));
        fs::create_dir_all(place.join("dir/below/empty")).unwrap();
        for (path, mode) in [("file", 0o640), ("dir/b", 0o400), ("dir/a", 0o755), ("dir/below/c", 0o600)] {
            fs::write(place.join(path), path).unwrap();
            fs::set_permissions(place.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("../file", place.join("dir/link")).unwrap();
        symlink("dir", place.join("to-dir")).unwrap();
        let _socket = UnixListener::bind(place.join("dir/socket")).unwrap();
        let got = |source: &str| {
            let copies = copies(&place.join(source), &Root::system())?;
            let told = copies.into_iter().map(|copy| {
                let text = String::from_utf8(copy.content.to_vec()).unwrap();
                format!("{} {text} {}", copy.place(Path::new("/t")).display(), copy.mode)
            });
            let mut told: Vec<_> = told.collect();
            told.sort();
            Ok::<_, Failure>(told)
        };
        assert_eq!(got("file").unwrap(), ["/t file 0640"]);
        let below =
            ["/t/a dir/a 0755", "/t/b dir/b 0400", "/t/below/c dir/below/c 0600", "/t/link file 0640"];
        assert_eq!(got("dir").unwrap(), below);
        assert_eq!(got("to-dir").unwrap(), below);
        assert_eq!(got("dir/link").unwrap(), ["/t file 0640"]);
        // Nothing to copy, and what would be lost, are errors.
        for (source, word) in
            [("none", "none"), ("dir/below/empty", "no files"), ("dir/socket", "dir/socket")]
        {
            let failure = got(source).unwrap_err().to_string();
            assert!(failure.contains(word), "{failure}");
        }
        for (target, word) in [("gone", "dir/lost"), (".", "dir/lost")] {
            symlink(target, place.join("dir/lost")).unwrap();
            let failure = got("dir").unwrap_err().to_string();
            assert!(failure.contains(word), "{failure}");
            fs::remove_file(place.join("dir/lost")).unwrap();
        }
        fs::remove_dir_all(place).unwrap();
    }
}

//! Stage 1: brings the secrets that the kernel unpacked from a segment to their places.
//!
//! The kernel does not notice a cut or bit-flipped archive: such a file lands with its full size and wrong bytes. So
//! every file is held against `segment.json` before anybody uses it; a damaged one is deleted and named. Without a
//! readable `segment.json` nothing can be told from damage, so what the expectation list names is deleted. What is
//! wanted below /run is copied there, since /run is mounted over what the kernel unpacks, and the copy in the
//! initramfs goes. No symlink is followed on the way to /run or in what was unpacked for it. Whatever fails is a
//! failure of its own: the boot goes on with the rest. No randomness is needed, and memory does not grow with the
//! files.

mod check;
mod credentials;
mod expected;
mod pointer;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    rc::Rc,
};

use nix::{
    errno::Errno,
    libc::{S_IFDIR, S_IFREG},
    sys::stat::{Mode, umask},
};

use self::{check::Damage, expected::Expected, pointer::Pointer, walk::Walk};
use crate::{
    failure::{Failure, Result},
    generation::remove_tree,
    initrd::{
        HOME, SOURCES, STAGED,
        cpio::ReadAt,
        index::{BLANK, Index, Landed, Unreadable},
        layout::{INDEX_MAX, INDEX_PATH},
    },
    root::Root,
    tree::{self, Owner},
};

pub use expected::LIST;

/// Where files for `symlinkPath` land: a real directory /run/secrets would reach stage 2.
pub const SECRETS: &str = "/run/secrets-for-initrd";
const UMASK: Mode = Mode::S_IWGRP.union(Mode::S_IWOTH);
const FIX: &str = "append the secrets again (nixos-rebuild boot, or forestage initrd append), and boot that";

/// What stage 1 did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Files that are in their places, as they were appended.
    pub good: usize,
    /// What is wrong, one failure a file.
    pub failures: Vec<Failure>,
}

/// Does all that stage 1 has to do in `root`.
#[must_use]
pub fn arrive(root: &Root) -> Outcome {
    // Whatever the caller's is.
    umask(UMASK);
    let mut outcome = Outcome::default();
    let expected = Expected::read(root).unwrap_or_else(|failure| {
        outcome.failures.push(failure);
        Expected::default()
    });
    let walk = match Walk::new(root) {
        Ok(walk) => walk,
        Err(failure) => {
            outcome.failures.push(failure);
            return outcome;
        }
    };
    match index(&walk) {
        Ok(Some(index)) => {
            Arrival {
                root,
                walk: &walk,
                expected: &expected,
                index: &index,
                pointer: Pointer::new(&expected),
            }
            .run(&mut outcome);
        }
        Ok(None) if expected.files.is_empty() => {}
        Ok(None) => {
            let failure =
                Failure::new("this initrd has no secrets: no segment was appended to it, or it is cut");
            without_index(&walk, &expected, failure, &mut outcome);
        }
        Err(failure) => without_index(&walk, &expected, failure, &mut outcome),
    }
    if let Err(failure) = clear(&walk) {
        outcome.failures.push(failure);
    }
    outcome
}

/// The index of the segment; `None` if there is none.
fn index(walk: &Walk) -> Result<Option<Index>> {
    let failed = |error: &dyn std::fmt::Display| Failure::io("read", INDEX_PATH, error).fix(FIX);
    let name = OsStr::new("segment.json");
    let home = match walk.enter(Path::new(HOME)) {
        Ok(home) => home,
        Err(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let about = match check::look(&home, name) {
        Ok(about) => about,
        Err(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let size = u32::try_from(about.st_size).ok().filter(|size| *size <= INDEX_MAX);
    let Some(size) = size.filter(|_| check::kind(&about) == S_IFREG) else {
        return Err(failed(&"it is no regular file of at most 16 MiB"));
    };
    let file = File::from(check::open(&home, name).map_err(|error| failed(&error))?);
    let mut text = vec![0; (size as usize).saturating_sub(BLANK)];
    let got = file.fill_at(&mut text, BLANK as u64).map_err(|error| failed(&error))?;
    text.truncate(got);
    Index::behind_blanks(&text).map(Some).map_err(|unreadable| match unreadable {
        Unreadable::Malformed => Failure::new("the segment of this initrd is damaged").fix(FIX),
        Unreadable::Version(version) => Failure::new(format!(
            "the segment of this initrd has version {version}, which this forestage does not know"
        ))
        .fix("let the forestage that appends the segment also be in the initrd"),
    })
}

/// Nobody can tell whether what lies where secrets are expected is right: it goes.
fn without_index(walk: &Walk, expected: &Expected, failure: Failure, outcome: &mut Outcome) {
    let mut failure = failure;
    if !expected.files.is_empty() {
        let names: Vec<_> = expected.files.keys().map(|target| expected.told(target)).collect();
        failure = failure.fact("missing", names.join(", "));
    }
    if failure.fix.is_none() {
        failure = failure.fix(FIX);
    }
    let mut unchecked = Vec::new();
    for target in expected.files.keys() {
        let (above, name) = split(target);
        let source = PathBuf::from(format!("{SOURCES}{}", target.display()));
        // What is in /run now, the kernel did not unpack there.
        let in_place = if target.starts_with("/run") { None } else { walk.follow(above).ok() };
        let places = [
            (in_place.flatten(), target.as_path(), false),
            (walk.enter(split(&source).0).ok(), source.as_path(), true),
        ];
        for (dir, path, ours) in places {
            let Some(dir) = dir else { continue };
            let Ok(about) = check::look(&dir, name) else { continue };
            let deleted = match check::kind(&about) == S_IFDIR {
                false => check::delete(&dir, name),
                true if ours => remove_tree(&dir, name),
                // The initrd's own: a plain source that is a directory is brought there by the stock unit, later.
                true => continue,
            };
            match deleted {
                Ok(()) => unchecked.push(path.display().to_string()),
                Err(error) => outcome.failures.push(Failure::io("delete", path, error)),
            }
        }
    }
    if !unchecked.is_empty() {
        failure = failure.fact("deleted, since nobody can check it", unchecked.join(", "));
    }
    outcome.failures.push(failure);
}

/// Removes what was unpacked for /run.
fn clear(walk: &Walk) -> Result<()> {
    let home = match walk.enter(Path::new(HOME)) {
        Ok(home) => home,
        Err(Errno::ENOENT) => return Ok(()),
        Err(error) => return Err(Failure::io("open", HOME, error)),
    };
    let name = Path::new(STAGED).file_name().unwrap_or_default();
    remove_tree(&home, name).map_err(|error| Failure::io("remove", STAGED, error))
}

/// One run over a readable index.
struct Arrival<'a> {
    root: &'a Root,
    walk: &'a Walk,
    expected: &'a Expected,
    index: &'a Index,
    pointer: Pointer<'a>,
}

/// Where a file comes from.
struct Origin<'a> {
    dir: Rc<OwnedFd>,
    name: &'a OsStr,
}

impl Arrival<'_> {
    fn run(&self, outcome: &mut Outcome) {
        let credentials = credentials::Delivery::new(self.root, self.walk);
        let modes = self.directory_modes();
        for file in &self.index.files {
            match self.file(file, &modes, &credentials) {
                Ok(()) => outcome.good = outcome.good.saturating_add(1),
                Err(failure) => outcome.failures.push(failure),
            }
        }
        if let Err(failure) = self.pointer.point(self.walk) {
            outcome.failures.push(failure);
        }
        let mut there = BTreeSet::new();
        there.extend(self.index.files.iter().map(|file| Path::new(file.target())));
        // Below a target lie the files of a plain source that is a directory.
        let arrived =
            |target: &Path| there.range(target..).next().is_some_and(|first| first.starts_with(target));
        for target in self.expected.files.keys().filter(|target| !arrived(target)) {
            let told = self.expected.told(target);
            let failure = Failure::new(format!("{told} is missing: the segment does not have it"));
            outcome.failures.push(failure.fix(FIX));
        }
    }

    /// The directories below /run that the manifest gives a mode.
    fn directory_modes(&self) -> BTreeMap<&Path, tree::Mode> {
        let below_run = self.index.directories.iter().filter(|place| place.path.starts_with("/run/"));
        below_run.map(|place| (Path::new(place.path.as_str()), place.mode)).collect()
    }

    /// Checks one file, brings it to its place, and makes the credential of it.
    fn file(
        &self,
        file: &Landed,
        modes: &BTreeMap<&Path, tree::Mode>,
        credentials: &credentials::Delivery<'_>,
    ) -> Result<()> {
        let target = Path::new(file.target());
        let (above, name) = split(Path::new(&file.path));
        let staged = file.path.starts_with(STAGED);
        let dir = if staged || file.path.starts_with(SOURCES) {
            match self.walk.enter(above) {
                Ok(dir) => Some(dir),
                Err(Errno::ENOENT) => None,
                Err(error) => return Err(self.failed(target, "reach", &error)),
            }
        } else {
            let found = self.walk.follow(above);
            found.map_err(|failure| failure.fact("wanted for", self.expected.told(target)))?
        };
        let origin = dir.map(|dir| Origin { dir, name });
        let origin = if staged {
            self.land(file, target, origin, modes)?
        } else {
            let origin = origin.ok_or_else(|| self.missing(target))?;
            check::examine(&origin.dir, name, file, |_| Ok(()))
                .map_err(|damage| self.damaged(target, &origin, damage))?;
            origin
        };
        let Some(name) = &file.credential else { return Ok(()) };
        credentials
            .deliver(name, &origin.dir, origin.name, file)
            .map_err(|why| self.failed(target, &format!("make the credential {name:?} of"), &why))
    }

    /// Copies a file that was unpacked for /run to its place, and says where it can be read again: the original stays
    /// until all that was unpacked for /run goes at once. Where an earlier run has been, only the copy is left.
    fn land<'p>(
        &self,
        file: &Landed,
        target: &'p Path,
        origin: Option<Origin<'p>>,
        modes: &BTreeMap<&Path, tree::Mode>,
    ) -> Result<Origin<'p>> {
        let place = self.pointer.place(target);
        let for_pointer = place.starts_with(SECRETS);
        let mode_of = |directory: &Path| {
            let own = if directory.starts_with(SECRETS) { 0o751 } else { 0o755 };
            modes.get(directory).map_or(Mode::from_bits_truncate(own), |mode| bits(*mode))
        };
        if let Some(origin) = origin.filter(|origin| check::look(&origin.dir, origin.name).is_ok()) {
            if for_pointer {
                self.pointer.make_directory(self.root, self.walk)?;
            }
            let attributes = (file.mode, file.owner);
            return match self.walk.copy(&origin.dir, origin.name, file, &place, attributes, &mode_of) {
                Ok(()) => Ok(origin),
                Err(damage) => Err(self.damaged(target, &origin, damage)),
            };
        }
        let dir = self.walk.enter(split(&place).0).map_err(|_| self.missing(target))?;
        let landed = Origin { dir, name: split(target).1 };
        check::examine(&landed.dir, landed.name, file, |_| Ok(())).map_err(|_| self.missing(target))?;
        if for_pointer {
            self.pointer.make_directory(self.root, self.walk)?;
        }
        Ok(landed)
    }

    fn failed(&self, target: &Path, verb: &str, why: &dyn std::fmt::Display) -> Failure {
        Failure::new(format!("cannot {verb} {}: {why}", self.expected.told(target)))
    }

    fn missing(&self, target: &Path) -> Failure {
        let told = self.expected.told(target);
        Failure::new(format!("{told} is missing: the segment has it, but it was not unpacked")).fix(FIX)
    }

    /// Deletes what is damaged, and says what is wrong with it.
    fn damaged(&self, target: &Path, origin: &Origin<'_>, damage: Damage) -> Failure {
        let told = self.expected.told(target);
        match damage {
            Damage::Absent => self.missing(target),
            Damage::Wrong(found) => match check::delete(&origin.dir, origin.name) {
                Ok(()) => Failure::new(format!("{told} is damaged and was deleted")),
                Err(error) => Failure::new(format!("{told} is damaged and cannot be deleted: {error}")),
            }
            .fact("found", found)
            .fix(FIX),
            Damage::InTheWay(path) => Failure::new(format!(
                "{told} did not land: {} is there, which forestage did not make",
                path.display()
            )),
            Damage::System(_) => self.failed(target, "read or copy", &damage),
        }
    }
}

fn bits(mode: tree::Mode) -> Mode {
    Mode::from_bits_truncate(mode.bits())
}

/// A plain absolute path in two.
fn split(path: &Path) -> (&Path, &OsStr) {
    (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default())
}

/// Permission bits and owner of a file that is to land.
type Attributes = (tree::Mode, Owner);

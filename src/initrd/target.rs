//! The file that an initrd is written to: locked while it changes, and at every moment one that boots.
//!
//! Appended in place, a segment has zeros for its first magic until everything else is on the disk: the kernel drops
//! such a tail whole. Where a write fails, the file gets its old length back. A copy is written aside and renamed.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    fcntl::Flock,
    sys::statvfs::{Statvfs, fstatvfs, statvfs},
};

use super::{
    cpio::ReadAt,
    cutting::Cutting,
    examine::Found,
    fat::{is_fat, reserve},
    find,
    find::Survey,
};
use crate::{
    failure::{Failure, Result},
    flock::{self, Wait},
    plaintext::Plaintext,
};

/// Behind the file's name, for the file that is written aside.
pub(super) const ASIDE: &str = ".forestage-new";
/// The magic of the first header, which is written last.
const MAGIC: usize = 6;

/// The file, locked.
#[derive(Debug)]
pub(super) struct Target<'a> {
    path: &'a Path,
    /// For reading and writing.
    pub(super) file: Flock<File>,
    /// It did not exist before.
    made: bool,
}

impl<'a> Target<'a> {
    /// Opens the regular file at `path` and locks it, waiting at most `patience` for another run; `None` if there is
    /// none. Whatever a killed run left beside it is removed.
    pub(super) fn open(path: &'a Path, patience: Duration) -> Result<Option<Self>> {
        Self::locked(path, patience, None)
    }

    /// The same; a file that does not exist is made with mode 0600 whatever the umask, if there is room for `bytes`.
    pub(super) fn open_or_make(path: &'a Path, patience: Duration, bytes: u64) -> Result<Self> {
        let target = Self::locked(path, patience, Some(bytes))?;
        target.ok_or_else(|| Failure::io("create", path, "it is removed again and again"))
    }

    fn locked(path: &'a Path, patience: Duration, room: Option<u64>) -> Result<Option<Self>> {
        let mut wait = Wait::at_most(patience);
        // The other run may have renamed a new file over the one that we waited for, or removed it.
        for _ in 0..1000 {
            let (file, made) = match (find::open(path, true)?, room) {
                (Some(file), _) => (file, false),
                (None, None) => return Ok(None),
                (None, Some(bytes)) => match make_file(path, bytes)? {
                    Some(file) => (file, true),
                    None => continue,
                },
            };
            let file = flock::take(file, path, &mut wait)?;
            if is_at(&file, path) {
                // It lies where the file is, not where a symlink to it is.
                let _ = fs::canonicalize(path).and_then(|path| fs::remove_file(aside(&path)));
                return Ok(Some(Self { path, file, made }));
            }
        }
        Ok(None)
    }

    /// Ends the work on it: a file that was made stays only if it was written.
    pub(super) fn settle(self, written: bool) {
        if self.made && written {
            sync_directory(self.path);
        } else if self.made && is_at(&self.file, self.path) {
            let _ = fs::remove_file(self.path);
        }
    }

    /// Whether the bytes of a segment in the file are these.
    pub(super) fn holds(&self, found: &Found, segment: &[u8]) -> Result<bool> {
        if found.end != Some(found.start.saturating_add(segment.len() as u64)) {
            return Ok(false);
        }
        let mut buffer = zeroize::Zeroizing::new(vec![0; segment.len().min(64 << 10)]);
        let mut at = found.start;
        for wanted in segment.chunks(64 << 10) {
            let got = buffer.get_mut(..wanted.len()).unwrap_or_default();
            self.file.fill_at(got, at).map_err(|error| self.failed("read", &error))?;
            if got != wanted {
                return Ok(false);
            }
            at = at.saturating_add(wanted.len() as u64);
        }
        Ok(true)
    }

    /// A system call on the file failed.
    pub(super) fn failed(&self, verb: &str, error: &io::Error) -> Failure {
        Failure::io(verb, self.path, error)
    }

    /// Fails unless the file can grow by `bytes`.
    pub(super) fn need(&self, bytes: u64) -> Result<()> {
        let free = free(&self.file).map_err(|error| self.failed("find the free space of", &error))?;
        if bytes <= free { Ok(()) } else { Err(no_room(self.path, bytes, free)) }
    }

    /// Shortens the file to what stays, then writes the segment with its first magic last, and before that what
    /// comes behind it.
    pub(super) fn append(&self, survey: &Survey, cut: &Cutting, segment: &[u8], behind: &[u8]) -> Result<()> {
        let start = cut.start;
        let write = || {
            let (magic, rest) = segment.split_at_checked(MAGIC).ok_or(io::ErrorKind::InvalidInput)?;
            if cut.stays < survey.length {
                self.file.set_len(cut.stays)?;
            }
            let end = start.saturating_add((segment.len() as u64).saturating_add(behind.len() as u64));
            if is_fat(&self.file) {
                reserve(&self.file, cut.stays, end)?;
            }
            // What is skipped, padding and magic, reads as zeros.
            self.file.write_all_at(rest, start.saturating_add(MAGIC as u64))?;
            self.file.write_all_at(behind, start.saturating_add(segment.len() as u64))?;
            self.file.sync_all()?;
            self.file.write_all_at(magic, start)?;
            self.file.sync_data()?;
            // Otherwise nobody would boot what was written, and nobody say so.
            if is_at(&self.file, self.path) {
                Ok(())
            } else {
                Err(io::Error::other("it was removed meanwhile, or replaced by another file"))
            }
        };
        write().map_err(|error: io::Error| {
            let failure = self.failed("append to", &error);
            match self.file.set_len(cut.stays).and_then(|()| self.file.sync_all()) {
                Ok(()) => failure,
                Err(error) => failure.fact("the file", format!("could not be given its old length: {error}")),
            }
        })
    }

    /// Replaces what has to go where the file is. For a moment there are no secrets in it.
    pub(super) fn replace(&self, survey: &Survey, cut: &Cutting, segment: Option<&[u8]>) -> Result<()> {
        let new = cut.kept_length().saturating_add(segment.map_or(0, <[u8]>::len) as u64);
        self.need(cut.start.saturating_add(new).saturating_sub(survey.length))?;
        let old = bytes(&self.file, cut.start, survey.length).map_err(|error| self.failed("read", &error))?;
        let mut behind = Plaintext::from(Vec::with_capacity(old.len()));
        for range in &cut.kept {
            let offset = |at: u64| usize::try_from(at.saturating_sub(cut.start)).unwrap_or(usize::MAX);
            behind
                .bytes_mut()
                .extend_from_slice(old.get(offset(range.start)..offset(range.end)).unwrap_or_default());
        }
        let written = match segment {
            Some(segment) => self.append(survey, cut, segment, &behind),
            None => self.shorten(cut.start).and_then(|()| {
                let written = self.file.write_all_at(&behind, cut.start).and_then(|()| self.file.sync_all());
                written.map_err(|error| self.failed("write to", &error))
            }),
        };
        written.map_err(|failure| {
            match self.file.write_all_at(&old, cut.start).and_then(|()| self.file.sync_all()) {
                Ok(()) => failure.fact("what was there", "was written back"),
                Err(error) => failure.fact("what was there", format!("could not be written back: {error}")),
            }
        })
    }

    pub(super) fn shorten(&self, length: u64) -> Result<()> {
        let shortened = self.file.set_len(length).and_then(|()| self.file.sync_all());
        shortened.map_err(|error| self.failed("shorten", &error))
    }

    /// Writes the new file aside and renames it. The inner error says why that is not possible here.
    pub(super) fn write_aside(
        &self,
        cut: &Cutting,
        segment: Option<&[u8]>,
    ) -> Result<std::result::Result<(), String>> {
        // Renaming over a symlink would replace the symlink.
        let path = fs::canonicalize(self.path).map_err(|error| self.failed("resolve", &error))?;
        let old = self.file.metadata().map_err(|error| self.failed("examine", &error))?;
        let new =
            cut.start.saturating_add(cut.kept_length()).saturating_add(segment.map_or(0, <[u8]>::len) as u64);
        let free = free(&self.file).map_err(|error| self.failed("find the free space of", &error))?;
        if new > free {
            return Ok(Err(format!("there is no room for a copy ({new} bytes needed, {free} free)")));
        }
        let aside = aside(&path);
        let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside) {
            Ok(file) => file,
            Err(error) => return Ok(Err(format!("{} cannot be made: {error}", aside.display()))),
        };
        let written = self.copy(&file, cut, segment).and_then(|()| {
            // vfat has no owners.
            let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
            file.sync_all()?;
            fs::rename(&aside, &path)
        });
        if let Err(error) = written {
            let _ = fs::remove_file(&aside);
            return Err(Failure::io("write", &aside, error).fact("the file", "is as it was"));
        }
        if is_fat(&file) {
            // There the old file's directory entry leads to the new clusters only when the new file is synced again. Until
            // then it leads to those of the old file, which are free as soon as anybody syncs anything.
            let _ = file.sync_all();
        }
        sync_directory(&path);
        Ok(Ok(()))
    }

    fn copy(&self, mut to: &File, cut: &Cutting, segment: Option<&[u8]>) -> io::Result<()> {
        let mut from: &File = &self.file;
        let mut range = |to: &mut &File, start: u64, end: u64| {
            let length = end.saturating_sub(start);
            from.seek(SeekFrom::Start(start))?;
            let copied = io::copy(&mut from.take(length), to)?;
            if copied == length { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) }
        };
        range(&mut to, 0, cut.start)?;
        to.write_all(segment.unwrap_or_default())?;
        cut.kept.iter().try_for_each(|kept| range(&mut to, kept.start, kept.end))
    }
}

/// Makes the file; `None` if another run was faster.
fn make_file(path: &Path, bytes: u64) -> Result<Option<File>> {
    let cannot = |error: &dyn std::fmt::Display| Failure::io("create", path, error);
    // What is there before anything is written, so that nothing has to be taken back.
    if let Ok(space) = statvfs(directory(path))
        && bytes > free_of(&space)
    {
        return Err(no_room(path, bytes, free_of(&space)));
    }
    let file = match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !path.is_symlink() => return Ok(None),
        Err(error) => return Err(cannot(&error)),
    };
    // The umask may have taken bits away.
    file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| {
        let _ = fs::remove_file(path);
        cannot(&error)
    })?;
    Ok(Some(file))
}

/// Whether the file is still the one at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let same =
        |here: &fs::Metadata, there: &fs::Metadata| (here.dev(), here.ino()) == (there.dev(), there.ino());
    file.metadata().is_ok_and(|here| fs::metadata(path).is_ok_and(|there| same(&here, &there)))
}

/// Makes the new name durable. A file system that cannot do it has done it.
fn sync_directory(path: &Path) {
    let _ = File::open(directory(path)).and_then(|directory| directory.sync_all());
}

/// The directory that holds `path`.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ASIDE);
    name.into()
}

/// Bytes that this process may still write to the file system of `file`.
fn free(file: &File) -> io::Result<u64> {
    Ok(free_of(&fstatvfs(file)?))
}

fn free_of(space: &Statvfs) -> u64 {
    let root = nix::unistd::geteuid().is_root();
    let blocks = if root { space.blocks_free() } else { space.blocks_available() };
    blocks.saturating_mul(space.fragment_size())
}

/// The bytes of a part of a file.
pub(super) fn bytes(file: &File, start: u64, end: u64) -> io::Result<Plaintext> {
    let length = usize::try_from(end.saturating_sub(start)).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = Plaintext::from(vec![0; length]);
    file.read_exact_at(bytes.bytes_mut(), start)?;
    Ok(bytes)
}

fn no_room(path: &Path, needed: u64, free: u64) -> Failure {
    Failure::new(format!("no room for the segment in {}", path.display()))
        .fact("needed", format!("{needed} bytes"))
        .fact("free", format!("{free} bytes"))
        .fix("remove old generations, or other files from that file system")
}

#[cfg(test)]
mod tests {
    use nix::fcntl::FlockArg;

    use super::*;
    use crate::initrd::{
        find::{Verdict, survey},
        segment::tests::sample,
    };

    fn place(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("forestage-target-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_full_file_system_leaves_the_file_alone() {
        let place = place("full");
        let path = place.join("initrd");
        fs::write(&path, b"\x28\xb5\x2f\xfdbase").unwrap();
        let target = Target::open(&path, Duration::ZERO).unwrap().unwrap();
        assert!(target.need(1).is_ok());
        let failure = target.need(u64::MAX).unwrap_err();
        assert_eq!(failure.facts.len(), 2);
        drop(target);
        // A write that fails in the middle: the descriptor is read-only.
        let file = Flock::lock(File::open(&path).unwrap(), FlockArg::LockExclusive).unwrap();
        let broken = Target { path: &path, file, made: false };
        let survey = survey(&broken.file, &path, None).unwrap();
        let cut = Cutting::of(&survey, &*broken.file, &path, &mut Vec::new()).unwrap();
        assert!(broken.append(&survey, &cut, &sample(), &[]).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"\x28\xb5\x2f\xfdbase");
        assert_eq!(survey.verdict(&[0; 32]), Verdict::Missing);
        // Nothing is made that cannot be filled, nor through a symlink to nothing.
        let missing = place.join("missing");
        let failure = Target::open_or_make(&missing, Duration::ZERO, u64::MAX).unwrap_err();
        assert_eq!(failure.facts.len(), 2);
        std::os::unix::fs::symlink("nowhere", place.join("link")).unwrap();
        assert!(Target::open_or_make(&place.join("link"), Duration::ZERO, 1).is_err());
        assert_eq!(fs::read_dir(&place).unwrap().count(), 2);
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_second_run_waits_and_then_names_file_and_holder() {
        let place = place("lock");
        let path = place.join("initrd");
        let first = Target::open_or_make(&path, Duration::ZERO, 1).unwrap();
        let failure = Target::open(&path, Duration::ZERO).unwrap_err().to_string();
        let me = format!("process {} ", std::process::id());
        assert!(failure.contains(&me) && failure.contains(&path.display().to_string()), "{failure}");
        // What was made and not written is gone, and another run does not take it for the file.
        first.settle(false);
        assert!(!path.exists() && Target::open(&path, Duration::ZERO).unwrap().is_none());
        // A file that was renamed over is not the file any more.
        fs::write(&path, b"old").unwrap();
        let old = Target::open(&path, Duration::ZERO).unwrap().unwrap();
        fs::write(place.join("new"), b"new").unwrap();
        fs::rename(place.join("new"), &path).unwrap();
        let new = Target::open(&path, Duration::ZERO).unwrap().unwrap();
        assert!(!is_at(&old.file, &path) && is_at(&new.file, &path));
        let survey = survey(&old.file, &path, None).unwrap();
        let cut = Cutting::of(&survey, &*old.file, &path, &mut Vec::new()).unwrap();
        let failure = old.append(&survey, &cut, &sample(), &[]).unwrap_err().to_string();
        assert!(failure.contains("replaced by another file"), "{failure}");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_dir_all(place).unwrap();
    }
}

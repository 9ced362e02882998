//! The current generation, read only: what is there before a landing.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, readlinkat},
    libc::{S_IFDIR, S_IFMT, S_IFREG},
    sys::stat::{FileStat, Mode, fstat, fstatat},
};

use super::Place;
use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    tree,
};

/// What is at `symlinkPath`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pointer {
    /// Nothing.
    Absent,
    /// A directory: it is moved away and then removed, as sops-install-secrets does.
    Directory,
    /// A symlink that does not point at a generation: it is replaced.
    Elsewhere,
    /// A symlink to the generation of this number, which may be gone.
    Generation(u64),
}

impl Pointer {
    /// Looks. Anything but nothing, a directory or a symlink is not ours to replace, and a failure.
    pub(super) fn read(place: &Place) -> Result<Self> {
        let (parent, name) = place.above_symlink();
        let Some(parent) = place.root.find_dir(parent, OFlag::O_PATH)? else { return Ok(Self::Absent) };
        let outside = place.root.join(&place.symlink_path);
        match readlinkat(&parent, name) {
            Ok(target) => {
                Ok(place.generation_of(Path::new(&target)).map_or(Self::Elsewhere, Self::Generation))
            }
            Err(Errno::ENOENT) => Ok(Self::Absent),
            Err(Errno::EINVAL) => {
                let about = fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)
                    .map_err(|error| Failure::io("look at", &outside, error))?;
                if kind(&about) == S_IFDIR {
                    return Ok(Self::Directory);
                }
                Err(Failure::new(format!("{} is a file that forestage did not make", outside.display()))
                    .fix("move it away: symlinkPath becomes a symlink to the current generation"))
            }
            Err(error) => Err(Failure::io("read", &outside, error)),
        }
    }

    /// The number of the next generation.
    pub(super) fn next(self) -> u64 {
        match self {
            Self::Generation(number) => number.checked_add(1).unwrap_or(1),
            Self::Absent | Self::Directory | Self::Elsewhere => 1,
        }
    }
}

/// The generation that `symlinkPath` points at, complete.
#[derive(Debug)]
pub struct Current {
    number: u64,
    dir: OwnedFd,
    path: PathBuf,
}

impl Current {
    /// Opens generation `number` below the open mount point; nothing if it is not there.
    pub(super) fn open(place: &Place, mount: &OwnedFd, number: u64) -> Result<Option<Self>> {
        let path = place.root.join(&place.generation(number));
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(mount, number.to_string().as_str(), flags, Mode::empty()) {
            Ok(dir) => Ok(Some(Self { number, dir, path })),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(error) => Err(Failure::io("open the current generation", path, error)),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Its directory, seen from outside the root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its directory, open for reading.
    pub(super) const fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// Its regular file at `path` (relative, as in the tree); nothing if there is none.
    pub fn read(&self, path: &Path) -> Result<Option<tree::File>> {
        let failed = |error: &dyn std::fmt::Display| Failure::io("read", self.path.join(path), error);
        let file = match self.open_file(path) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let about = fstat(&file).map_err(|error| failed(&error))?;
        if kind(&about) != S_IFREG {
            return Ok(None);
        }
        // One byte more than the file has, so that the end shows without growing, which would leave a copy behind.
        let size = usize::try_from(about.st_size).unwrap_or(0);
        let mut bytes = Plaintext::from(vec![0; size.saturating_add(1)]);
        let buffer = bytes.bytes_mut();
        let read = fill(File::from(file), buffer).map_err(|error| failed(&error))?;
        if read > size {
            return Err(failed(&"it grows while it is read"));
        }
        buffer.truncate(read);
        let mode = tree::Mode::new(u16::try_from(permissions(&about)).unwrap_or(0o400));
        let owner = tree::Owner { uid: about.st_uid, gid: about.st_gid };
        Ok(Some(tree::File { path: path.to_owned(), content: Arc::new(bytes), mode, owner }))
    }

    /// Opens whatever is at `path` so that nothing blocks; nothing if it is no file or not there.
    pub(super) fn open_file(&self, path: &Path) -> nix::Result<Option<OwnedFd>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        match openat(&self.dir, path, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            // ENXIO: a socket, or a device without a driver.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Fills the buffer as far as the file goes, and says how far.
fn fill(mut file: File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What kind of file it is, as `S_IF...` names it.
pub(super) const fn kind(about: &FileStat) -> u32 {
    about.st_mode & S_IFMT
}

/// The permission bits, with setuid, setgid and sticky.
pub(super) const fn permissions(about: &FileStat) -> u32 {
    about.st_mode & 0o7777
}

/// Whether the open file begins with exactly `bytes` and ends there. `about` is its fstat.
pub(super) fn holds(file: impl AsFd, about: &FileStat, bytes: &[u8]) -> bool {
    if u64::try_from(about.st_size) != Ok(bytes.len() as u64) {
        return false;
    }
    let mut buffer = Plaintext::from(vec![0; bytes.len().min(1 << 20)]);
    let mut rest = bytes;
    while !rest.is_empty() {
        let read = match nix::unistd::read(&file, buffer.bytes_mut()) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(Errno::EINTR) => continue,
            Err(_) => return false,
        };
        let (Some(found), Some((wanted, next))) = (buffer.get(..read), rest.split_at_checked(read)) else {
            return false;
        };
        if found != wanted {
            return false;
        }
        rest = next;
    }
    true
}

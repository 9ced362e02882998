//! One file held against what the index says of it.

use std::{
    ffi::OsStr,
    fmt,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    libc::{S_IFDIR, S_IFLNK, S_IFMT, S_IFREG},
    sys::stat::{FileStat, Mode, fstatat},
    unistd::{UnlinkatFlags, read, unlinkat},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{initrd::index::Landed, tree::Owner};

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// Why a file is not in use.
#[derive(Debug)]
pub(super) enum Damage {
    /// There is none.
    Absent,
    /// It is not what was appended: what was found, without any of its bytes.
    Wrong(String),
    /// There is something else where it has to go.
    InTheWay(PathBuf),
    /// A system call failed.
    System(Errno),
}

impl From<Errno> for Damage {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no such file"),
            Self::Wrong(found) => write!(f, "it is damaged: {found}"),
            Self::InTheWay(path) => write!(f, "{} is there, which forestage did not make", path.display()),
            Self::System(errno) => errno.fmt(f),
        }
    }
}

/// Looks at `name` in `dir` before anything of it is opened or read, and passes its bytes to `take`. Fails unless its
/// kind, size, mode, owner and bytes are those of `wanted`; what `take` got before that is of no use then.
pub(super) fn examine(
    dir: impl AsFd,
    name: &OsStr,
    wanted: &Landed,
    mut take: impl FnMut(&[u8]) -> nix::Result<()>,
) -> Result<(), Damage> {
    let about = look(&dir, name).map_err(|errno| match errno {
        Errno::ENOENT => Damage::Absent,
        errno => Damage::System(errno),
    })?;
    if let Some(found) = difference(&about, wanted) {
        return Err(Damage::Wrong(found));
    }
    let file = open(&dir, name)?;
    let mut hash = Sha256::new();
    each_chunk(&file, wanted.size, |chunk| {
        hash.update(chunk);
        take(chunk)
    })?;
    if hash.finalize().as_slice() == wanted.sha256 {
        Ok(())
    } else {
        Err(Damage::Wrong("other bytes than were appended".to_owned()))
    }
}

/// What can be seen without reading.
fn difference(about: &FileStat, wanted: &Landed) -> Option<String> {
    let kind = kind(about);
    if kind != S_IFREG {
        return Some(match kind {
            S_IFDIR => "a directory".to_owned(),
            S_IFLNK => "a symlink".to_owned(),
            _ => "no regular file".to_owned(),
        });
    }
    if about.st_size != wanted.size.into() {
        return Some(format!("{} bytes instead of {}", about.st_size, wanted.size));
    }
    let mode = about.st_mode & 0o7777;
    if mode != wanted.mode.bits() {
        return Some(format!("mode {mode:04o} instead of {}", wanted.mode));
    }
    let (owner, Owner { uid, gid }) = (Owner { uid: about.st_uid, gid: about.st_gid }, wanted.owner);
    (owner != wanted.owner).then(|| format!("owner {}:{} instead of {uid}:{gid}", owner.uid, owner.gid))
}

/// What `name` in `dir` is; a symlink is itself.
pub(super) fn look(dir: impl AsFd, name: &OsStr) -> nix::Result<FileStat> {
    fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// What kind of file it is, as `S_IF...` names it.
pub(super) const fn kind(about: &FileStat) -> u32 {
    about.st_mode & S_IFMT
}

/// Opens the regular file `name` in `dir` for reading.
pub(super) fn open(dir: impl AsFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Passes up to `size` bytes of the file on; the buffer is wiped. It is no larger than the file: wiping takes time.
pub(super) fn each_chunk(
    file: impl AsFd,
    size: u32,
    mut take: impl FnMut(&[u8]) -> nix::Result<()>,
) -> nix::Result<()> {
    let mut left = size as usize;
    let mut buffer = Zeroizing::new(vec![0; left.min(CHUNK)]);
    while left > 0 {
        let room = left.min(CHUNK);
        match read(&file, buffer.get_mut(..room).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => {
                take(buffer.get(..count).unwrap_or_default())?;
                left = left.saturating_sub(count);
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Deletes `name` in `dir`; not a directory, which nobody takes for a secret.
pub(super) fn delete(dir: impl AsFd, name: &OsStr) -> nix::Result<()> {
    unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)
}

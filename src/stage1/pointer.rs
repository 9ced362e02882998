//! `symlinkPath`, /run/secrets: in stage 1 a symlink to a directory of our own.
//!
//! A real directory there would reach stage 2. The symlink does too, and `install` replaces it by its own, since it
//! points at no generation.

use std::{
    cell::Cell,
    ffi::OsStr,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::readlinkat,
    sys::stat::{Mode, fstat},
    unistd::{UnlinkatFlags, symlinkat, unlinkat},
};

use super::{SECRETS, expected::Expected, split, walk::Walk};
use crate::{
    failure::{Failure, Result},
    generation::mount_ramfs,
    root::Root,
};

/// The symlink that is to be.
#[derive(Debug)]
pub(super) struct Pointer<'a> {
    path: &'a Path,
    /// Whether there is something to point at.
    used: Cell<bool>,
}

impl<'a> Pointer<'a> {
    pub(super) fn new(expected: &'a Expected) -> Self {
        Self { path: &expected.symlink_path, used: Cell::new(false) }
    }

    /// Where the file for `target` lands.
    pub(super) fn place(&self, target: &Path) -> PathBuf {
        match target.strip_prefix(self.path) {
            Ok(below) if !below.as_os_str().is_empty() => Path::new(SECRETS).join(below),
            _ => target.to_owned(),
        }
    }

    /// Makes the directory that the symlink will point at: a ramfs, which is never swapped out, unless nothing may be
    /// mounted.
    pub(super) fn make_directory(&self, root: &Root, walk: &Walk) -> Result<()> {
        if self.used.replace(true) {
            return Ok(());
        }
        let failed = |error: Errno| Failure::io("make", SECRETS, error);
        let mode_of = |directory: &Path| {
            Mode::from_bits_truncate(if directory == Path::new(SECRETS) { 0o751 } else { 0o755 })
        };
        let (above, _) = split(Path::new(SECRETS));
        let above = walk.make(above, &mode_of).map_err(failed)?;
        let directory = walk.make(Path::new(SECRETS), &mode_of).map_err(failed)?;
        let device = |dir: &OwnedFd| fstat(dir).map(|about| about.st_dev).map_err(failed);
        if device(&above)? != device(&directory)? {
            return Ok(());
        }
        // In a foreign root its path may lead elsewhere.
        let target = if root.is_system() {
            PathBuf::from(SECRETS)
        } else {
            format!("/proc/self/fd/{}", directory.as_raw_fd()).into()
        };
        // /run is in RAM too.
        let _ = mount_ramfs(&target);
        walk.forget();
        Ok(())
    }

    /// Makes the symlink, if anything landed behind it.
    pub(super) fn point(&self, walk: &Walk) -> Result<()> {
        if !self.used.get() {
            return Ok(());
        }
        let (above, name) = split(self.path);
        let failed = |error: Errno| Failure::io("make the symlink", self.path, error);
        let above = walk.make(above, &|_| Mode::from_bits_truncate(0o755)).map_err(failed)?;
        // An empty directory holds nothing that could be lost.
        let _ = unlinkat(&above, name, UnlinkatFlags::RemoveDir);
        match symlinkat(SECRETS, &above, name) {
            Err(Errno::EEXIST) if readlinkat(&above, name).as_deref() == Ok(OsStr::new(SECRETS)) => Ok(()),
            Err(Errno::EEXIST) => Err(Failure::new(format!(
                "{} is there, which forestage did not make: its secrets are in {SECRETS}",
                self.path.display()
            ))),
            made => made.map_err(failed),
        }
    }
}

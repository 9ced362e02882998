//! How a landing is to be done.

use super::Place;
use crate::units::Via;

/// How a landing is to be done.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where generations are and what points at the current one.
    pub place: Place,
    /// Whose secrets they are.
    pub realm: Realm,
    /// How units are asked to restart.
    pub via: Via,
    /// `keepGenerations`: older generations that stay beside the current one, itself counted; 0 keeps all.
    pub keep: u64,
    /// `reuseUnchanged`: no new generation when nothing differs from the current one.
    pub reuse_unchanged: bool,
    /// `--allow-disk`: the mount point may be on a disk file system where nothing may be mounted.
    pub allow_disk: bool,
    /// Compare only; write nothing, lock nothing.
    pub dry: bool,
}

/// Whose secrets land, and so what may be mounted and owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    /// A user's own (`userMode`): nothing is mounted, owners stay as they come, no unit is asked anything.
    User,
    /// The machine's.
    System {
        /// What to mount.
        ram: Ram,
        /// The group of directories, as [`crate::owners::Owners::keys_gid`] finds it.
        keys_gid: u32,
    },
}

/// The file system that keeps plaintext in RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ram {
    /// Never swapped.
    Ramfs,
    /// `useTmpfs`: tmpfs with `noswap`, and what to do where the kernel lacks that while swap is in use.
    Tmpfs(Swappable),
}

/// May plaintext be swapped to disk?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swappable {
    /// No: the landing fails.
    Refuse,
    /// It lands with a warning, as sops-install-secrets would without one.
    Warn,
    /// `allowSwap`: the manifest says that it may.
    Allow,
}

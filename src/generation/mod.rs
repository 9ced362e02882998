//! Lands a file tree as a generation on a RAM file system (contracts.md 3 and 4).
//!
//! The order is the promise: lock, replay what a killed run left to do, (the caller opens everything,) mount,
//! write the generation, record what is to be done after the swap, swap, links, stale links, restart requests,
//! clear the record, prune. Killed anywhere, `symlinkPath` leads to a complete generation, the old or the new,
//! each link is absent, old or new, and the next run finishes the work.
//!
//! ```ignore
//! let stage = Stage::enter(settings)?;          // takes the lock, unless dry
//! let kept = stage.current().map(|current| current.read(path));
//! let landed = stage.land(&entries)?;
//! ```

mod current;
mod place;

pub use current::Current;
pub use place::Place;

use std::path::{Path, PathBuf};

use crate::{
    failure::{Failure, Result},
    tree::File,
    units::{Requests, Via},
};

/// The directory of a generation that rendered templates are in.
pub const RENDERED: &str = "rendered";

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

/// One secret or template that is to land.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Bytes, mode, owner, and where in the generation: the name, or `rendered/` and the name.
    pub file: &'a File,
    /// The manifest's `path`, absolute: where the file is to be found. No link is made if that is its place below
    /// `symlinkPath`.
    pub path: &'a Path,
    /// What to ask when the file is new or differs.
    pub units: &'a Requests,
    /// The secret could not be opened, and its bytes are those of the current generation: it counts as unchanged.
    pub kept: bool,
}

/// How a file compares with the current generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There was none of that name.
    Added,
    /// Bytes, mode or owner differ.
    Modified,
    /// All the same, or kept.
    Unchanged,
}

/// What was done, or in a dry run, what would be.
#[derive(Debug)]
pub struct Landed {
    /// The number of the generation that `symlinkPath` now points at.
    pub generation: u64,
    /// Its directory, seen from outside the root.
    pub directory: PathBuf,
    /// Whether there was no generation before: no change is reported and no unit asked then.
    pub first: bool,
    /// Whether a new generation was made.
    pub changed: bool,
    /// One outcome an entry, in their order.
    pub entries: Vec<Outcome>,
    /// Files of the last generation that no entry names, sorted, as paths below the generation.
    pub removed: Vec<PathBuf>,
    /// What the changes ask of units; in a dry run, what they would.
    pub requests: Requests,
    /// Units that were asked in the name of an earlier run that was killed.
    pub replayed: Requests,
    /// Requests that failed, after the swap. They are tried once more by the next run.
    pub unit_failure: Option<Failure>,
    /// What should be known and is not a failure, a line each.
    pub warnings: Vec<String>,
}

/// What became of an entry.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it compares.
    pub state: State,
    /// Why its link could not be made; the file itself has landed.
    pub link: Option<Failure>,
}

/// A run that holds the lock, and knows the current generation.
#[derive(Debug)]
pub struct Stage {
    settings: Settings,
    current: Option<Current>,
}

impl Stage {
    /// Takes the lock, replays what a killed run left to do, and finds the current generation. A dry run only finds it.
    pub fn enter(settings: Settings) -> Result<Self> {
        Ok(Self { settings, current: None })
    }

    /// The current generation; nothing if there is none yet.
    #[must_use]
    pub const fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// Lands the entries as the next generation. An error means that the old generation is still the current one,
    /// untouched.
    pub fn land(self, entries: &[Entry<'_>]) -> Result<Landed> {
        let _ = (entries, self.settings);
        Err(Failure::new("(being built)"))
    }
}

impl Landed {
    /// The lines that sops-install-secrets prints on stdout when `logging.secretChanges` is set (sops-format.md 9.9).
    /// Not printed in user mode.
    #[must_use]
    pub fn change_lines(&self, _entries: &[Entry<'_>], _dry: bool) -> Vec<String> {
        Vec::new()
    }
}

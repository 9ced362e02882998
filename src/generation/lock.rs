//! One run at a time: an flock on the directory that holds the mount point, so that no lock file is left.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    fcntl::{Flock, OFlag},
    sys::stat::{Mode, fstat},
    unistd::{UnlinkatFlags, unlinkat},
};

use super::{Place, place::split};
pub(super) use crate::flock::PATIENCE;
use crate::{
    failure::Result,
    flock::{self, Wait},
};

/// The lock. Dropped, it is free, and a directory that was made for it is gone, unless that was kept.
#[derive(Debug)]
pub(super) struct Lock {
    flock: Flock<OwnedFd>,
    place: Place,
    /// Directories that were made, the deepest first.
    made: Vec<PathBuf>,
}

impl Lock {
    /// The directory that holds the mount point.
    pub(super) fn dir(&self) -> &OwnedFd {
        &self.flock
    }

    /// Something is there now: the directory stays.
    pub(super) fn keep(&mut self) {
        self.made.clear();
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        for path in &self.made {
            let (above, name) = split(path);
            if let Ok(Some(above)) = self.place.root.find_dir(above, OFlag::O_PATH) {
                let _ = unlinkat(above, name, UnlinkatFlags::RemoveDir);
            }
        }
    }
}

/// Takes the lock, waiting at most `patience`. The directory is made if it is missing.
pub(super) fn take(place: &Place, patience: Duration) -> Result<Lock> {
    let (path, _) = place.above_mount_point();
    let mut wait = Wait::at_most(patience);
    let mut made = Vec::new();
    loop {
        let dir = match place.root.find_dir(path, OFlag::O_RDONLY)? {
            Some(dir) => dir,
            None => make(place, path, &mut made)?,
        };
        let flock = flock::take(dir, &place.root.join(path), &mut wait)?;
        // One that went while we waited is of no use: another run had made it, and did not keep it.
        if !fstat(&*flock).is_ok_and(|about| about.st_nlink == 0) {
            return Ok(Lock { flock, place: place.clone(), made });
        }
    }
}

/// Makes a directory and those above it, and notes which were missing.
fn make(place: &Place, path: &Path, made: &mut Vec<PathBuf>) -> Result<OwnedFd> {
    made.clear();
    for above in path.ancestors() {
        if place.root.find_dir(above, OFlag::O_PATH)?.is_some() {
            break;
        }
        made.push(above.to_owned());
    }
    place.root.make_dir(path, OFlag::O_RDONLY, Mode::from_bits_truncate(0o751))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::trial::Trial;

    #[test]
    fn a_second_run_waits_and_then_names_the_first() {
        let trial = Trial::new("lock");
        let first = take(&trial.place(), PATIENCE).unwrap();
        let failure = take(&trial.place(), Duration::ZERO).unwrap_err();
        let me = format!("process {} ", std::process::id());
        assert!(
            failure.facts.iter().any(|(label, text)| label == "held by" && text.starts_with(&me)),
            "{failure}"
        );
        drop(first);
        assert!(!trial.path("/run").exists());
        take(&trial.place(), Duration::ZERO).unwrap().keep();
        assert!(trial.path("/run").is_dir());
        drop(take(&trial.place(), Duration::ZERO).unwrap());
        assert!(trial.path("/run").is_dir());
    }
}

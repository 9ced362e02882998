//! One run at a time: an flock on the directory that holds the mount point, so that no lock file is left.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg, OFlag},
    libc,
    sys::stat::{Mode, fstat},
    unistd::{UnlinkatFlags, unlinkat},
};

use super::{Place, place::split};
use crate::failure::{Failure, Result};

/// How long another run is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

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
    let until = Instant::now() + patience;
    let mut pause = Duration::from_millis(2);
    let mut made = Vec::new();
    loop {
        let dir = match place.root.find_dir(path, OFlag::O_RDONLY)? {
            Some(dir) => dir,
            None => make(place, path, &mut made)?,
        };
        let (dir, error) = match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
            // One that went while we waited is of no use: another run had made it, and did not keep it.
            Ok(flock) if fstat(&*flock).is_ok_and(|about| about.st_nlink == 0) => continue,
            Ok(flock) => return Ok(Lock { flock, place: place.clone(), made }),
            Err(refused) => refused,
        };
        let path = place.root.join(path);
        if !matches!(error, Errno::EWOULDBLOCK | Errno::EINTR) {
            return Err(Failure::io("lock", path, error));
        }
        if Instant::now() >= until {
            return Err(held(&path, &dir, patience));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
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

fn held(path: &Path, dir: &OwnedFd, patience: Duration) -> Failure {
    let failure = Failure::new(format!(
        "another process holds the lock on {}; waited {} s",
        path.display(),
        patience.as_secs()
    ));
    let Some(pid) = holder(dir) else { return failure.fix("wait for the other run to end, or end it") };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    failure
        .fact("held by", format!("process {pid} {}", name.trim()))
        .fix("wait for that process to end, or end it")
}

fn holder(dir: &OwnedFd) -> Option<u32> {
    let about = fstat(dir).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let file =
        format!("{:02x}:{:02x}:{}", libc::major(about.st_dev), libc::minor(about.st_dev), about.st_ino);
    holder_in(&locks, &file)
}

/// The process that holds an flock on `file` (device and inode as the kernel prints them), from `/proc/locks`:
/// `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`; those who wait have `->` behind the number.
fn holder_in(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        (words.next()? == "FLOCK").then_some(())?;
        let pid = words.nth(2)?.parse().ok()?;
        // 0 or less: a process that is not visible from here.
        (words.next()? == file && pid > 0).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::trial::Trial;

    #[test]
    fn the_holder_is_found_in_proc_locks() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:1a:5 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 22 00:1a:5 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 33 00:1a:5 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE -1 00:1a:6 0 EOF\n\
                     4: broken\n";
        for (file, pid) in [("00:1a:5", Some(22)), ("00:1a:6", None), ("00:1a:7", None)] {
            assert_eq!(holder_in(locks, file), pid, "{file}");
        }
    }

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

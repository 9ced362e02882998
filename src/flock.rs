//! One process at a time: an flock that is waited for, and whose holder is named when the wait was in vain.

use std::{
    fs,
    os::fd::AsFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg, Flockable},
    libc,
    sys::stat::fstat,
};

use crate::failure::{Failure, Result};

/// How long another process is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A wait of limited length. It begins when there is something to wait for: the clock costs more than a free lock.
pub struct Wait {
    limit: Duration,
    begun: Option<Instant>,
}

impl Wait {
    /// At most so long.
    #[must_use]
    pub fn at_most(limit: Duration) -> Self {
        Self { limit, begun: None }
    }

    fn is_over(&mut self) -> bool {
        self.begun.get_or_insert_with(Instant::now).elapsed() >= self.limit
    }
}

/// Takes the lock on `file`, which was opened at `path`. What was locked may be gone from its path by then: the caller
/// looks.
///
/// # Errors
/// Another process still holds it, or the file system has no locks (then the kernel's error is the cause).
pub fn take<T: Flockable + AsFd>(mut file: T, path: &Path, wait: &mut Wait) -> Result<Flock<T>> {
    let mut pause = Duration::from_millis(2);
    loop {
        let (back, error) = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err(refused) => refused,
        };
        if !matches!(error, Errno::EWOULDBLOCK | Errno::EINTR) {
            return Err(Failure::io("lock", path, error));
        }
        if wait.is_over() {
            return Err(held(path, &back, wait.limit));
        }
        file = back;
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

fn held(path: &Path, file: &impl AsFd, patience: Duration) -> Failure {
    let failure = Failure::new(format!(
        "another process holds the lock on {}; waited {} s",
        path.display(),
        patience.as_secs()
    ));
    let Some(pid) = holder(file) else { return failure.fix("wait for the other run to end, or end it") };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    failure
        .fact("held by", format!("process {pid} {}", name.trim()))
        .fix("wait for that process to end, or end it")
}

fn holder(file: &impl AsFd) -> Option<u32> {
    let about = fstat(file).ok()?;
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
}

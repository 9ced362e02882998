//! Asking through systemd's password agents (systemd's `PASSWORD_AGENTS`).
//!
//! A question is a file in a directory that the agents watch; the answer is a datagram to a socket beside it, `+` and
//! the passphrase, or `-`. Both are removed when the question ends. The directory is root's, and the sender of an
//! answer must be root too, by what the kernel says about it. Agents ignore a question whose asker is gone, so one that
//! a kill leaves behind disturbs nobody.

use std::{
    collections::hash_map::RandomState,
    fs::{self, OpenOptions, Permissions},
    hash::{BuildHasher, Hasher},
    io::{self, IoSliceMut, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::{
            fs::{OpenOptionsExt, PermissionsExt},
            net::UnixDatagram,
        },
    },
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use nix::{
    cmsg_space,
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, UnixCredentials, recvmsg, setsockopt, sockopt},
    time::{ClockId, clock_gettime},
    unistd::geteuid,
};
use zeroize::Zeroizing;

use super::{MAX_LENGTH, Unanswered};
use crate::plaintext::Plaintext;

/// A file that is removed when dropped.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // Nobody else removes it, except perhaps with the whole directory.
        let _ = fs::remove_file(&self.0);
    }
}

/// Asks, and waits for the first answer.
pub(super) fn ask(
    directory: &Path,
    question: &str,
    visible: bool,
    limit: Duration,
) -> Result<Plaintext, Unanswered> {
    let nobody = |reason: String| {
        Unanswered::Nobody(format!(
            "nobody can be asked for a passphrase: there is no terminal, and {reason}"
        ))
    };
    // The directory may be there where systemd is installed and does not run; then no agent ever comes.
    if directory == Path::new(super::AGENTS) && !Path::new("/run/systemd/system").is_dir() {
        return Err(nobody("systemd does not run".to_owned()));
    }
    if !directory.is_dir() {
        return Err(nobody(format!(
            "no password agents of systemd ({} does not exist)",
            directory.display()
        )));
    }
    if !geteuid().is_root() {
        return Err(nobody("only root may ask systemd's password agents".to_owned()));
    }
    let broken = |error: io::Error| nobody(format!("a question in {} fails: {error}", directory.display()));

    // Not secret, only not taken.
    let name = RandomState::new().build_hasher().finish();
    let address = Removed(directory.join(format!("sck.{name:016x}")));
    let socket = UnixDatagram::bind(&address.0).map_err(broken)?;
    fs::set_permissions(&address.0, Permissions::from_mode(0o600)).map_err(broken)?;
    setsockopt(&socket, sockopt::PassCred, &true).map_err(|error| broken(error.into()))?;

    let deadline = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
    // It appears with its name when it is complete.
    let mut file = Removed(directory.join(format!("tmp.{name:016x}")));
    let created = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&file.0);
    let text = text(question, visible, &address.0, limit).map_err(|error| broken(error.into()))?;
    created.and_then(|mut created| created.write_all(text.as_bytes())).map_err(broken)?;
    let shown = directory.join(format!("ask.{name:016x}"));
    fs::rename(&file.0, &shown).map_err(broken)?;
    file.0 = shown;

    answer(&socket, deadline).map_err(|error| match error {
        Failed::Unanswered(reason) => reason,
        Failed::System(error) => broken(error.into()),
    })
}

/// The file that agents read. Its times are of the monotonic clock, in microseconds.
fn text(question: &str, visible: bool, socket: &Path, limit: Duration) -> Result<String, Errno> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(format!(
        "[Ask]\nPID={}\nSocket={}\nAcceptCached=0\nEcho={}\nNotAfter={}\nMessage={question}:\nIcon=dialog-password\n\
         Id=forestage:{question}\n",
        process::id(),
        socket.display(),
        u8::from(visible),
        now.saturating_add(limit).as_micros(),
    ))
}

enum Failed {
    Unanswered(Unanswered),
    System(Errno),
}

/// The first answer that root sends.
fn answer(socket: &UnixDatagram, deadline: Instant) -> Result<Plaintext, Failed> {
    let mut buffer = Zeroizing::new([0; MAX_LENGTH + 2]);
    let mut space = cmsg_space!(UnixCredentials);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) => return Err(Failed::Unanswered(Unanswered::Late)),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(Failed::System(error)),
        }
        let mut slices = [IoSliceMut::new(&mut buffer[..])];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let (length, from_root) =
            match recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags) {
                Ok(message) => {
                    let mut messages = message.cmsgs().map_err(Failed::System)?;
                    let from_root = messages.any(|message| {
                        matches!(message, ControlMessageOwned::ScmCredentials(sender) if sender.uid() == 0)
                    });
                    (message.bytes, from_root)
                }
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                Err(error) => return Err(Failed::System(error)),
            };
        if !from_root {
            continue;
        }
        match buffer.get(..length).and_then(<[u8]>::split_first) {
            // A final NUL may be there, and behind a NUL a further passphrase.
            Some((b'+', text)) => {
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                return Ok(Plaintext::from(text));
            }
            Some((b'-', _)) => return Err(Failed::Unanswered(Unanswered::Cancelled)),
            _ => {}
        }
    }
}

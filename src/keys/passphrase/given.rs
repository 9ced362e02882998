//! A passphrase that was given beforehand: the first line of a file or of a systemd credential.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Read},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    libc::O_NONBLOCK,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use zeroize::Zeroizing;

use super::{MAX_LENGTH, Policy};
use crate::plaintext::Plaintext;

/// The name of the credential.
const CREDENTIAL: &str = "forestage.passphrase";

/// How long a FIFO may take to deliver it.
const FIFO_LIMIT: Duration = Duration::from_secs(1);

/// What was given.
pub(super) enum Given {
    Nothing,
    Passphrase {
        /// The path of the file.
        source: String,
        passphrase: Plaintext,
    },
    /// Something was, but it cannot be used.
    Unreadable(String),
}

impl Given {
    /// The file that the policy names, else the credential, if there is one.
    pub fn read(policy: &Policy) -> Self {
        let credential = policy.credentials.as_ref().map(|directory| directory.join(CREDENTIAL));
        let path = match (&policy.file, &credential) {
            (Some(path), _) => path,
            (None, Some(path)) if path.exists() => path,
            _ => return Self::Nothing,
        };
        let source = path.display().to_string();
        match first_line(path) {
            Ok(passphrase) if passphrase.is_empty() => {
                Self::Unreadable(format!("the passphrase in {source} is empty"))
            }
            Ok(passphrase) => Self::Passphrase { source, passphrase },
            Err(reason) => Self::Unreadable(format!("cannot read a passphrase from {source}: {reason}")),
        }
    }
}

fn first_line(path: &Path) -> Result<Plaintext, String> {
    let deadline = Instant::now().checked_add(FIFO_LIMIT);
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path);
    let mut file = file.map_err(|error| error.to_string())?;
    let mut line = Plaintext::with_capacity(MAX_LENGTH + 512);
    let mut chunk = Zeroizing::new([0; 512]);
    loop {
        // A regular file is always ready; a FIFO is once somebody writes or has written.
        let left = deadline.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], left) == Ok(0) {
            return Err(format!("nothing was written to it within {} s", FIFO_LIMIT.as_secs()));
        }
        let length = match file.read(&mut chunk[..]) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => continue,
            Err(error) => return Err(error.to_string()),
        };
        let bytes = chunk.get(..length).unwrap_or_default();
        let end = bytes.iter().position(|byte| *byte == b'\n');
        line.push(bytes.get(..end.unwrap_or(length)).unwrap_or_default());
        if line.len() > MAX_LENGTH {
            return Err(format!("its first line is longer than {MAX_LENGTH} bytes"));
        }
        if length == 0 || end.is_some() {
            if line.last() == Some(&b'\r') {
                line.bytes_mut().pop();
            }
            return Ok(line);
        }
    }
}

//! `forestage keys new`: makes a private key.
//!
//! Age identities are written as age-keygen writes them, with randomness of the operating system.

use std::{
    io::{self, IsTerminal},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    commands::{Status, console::Console},
    failure::Result,
    keys::{age::X25519, post_quantum::PostQuantum},
    plaintext::Plaintext,
};

use super::key_file::{self, Place};

/// What to make.
#[derive(Debug)]
pub struct Options {
    /// The kind of identity.
    pub kind: Kind,
    /// Where it goes.
    pub output: Place,
}

/// Kinds of age identities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// `AGE-SECRET-KEY-1…`
    #[default]
    Age,
    /// `AGE-SECRET-KEY-PQ-1…`
    PostQuantum,
}

/// Makes an identity.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let (identity, recipient) = match options.kind {
        Kind::Age => {
            let key = X25519::generate();
            (key.identity(), key.recipient())
        }
        Kind::PostQuantum => {
            let key = PostQuantum::generate();
            (key.identity(), key.recipient())
        }
    };
    let mut text = Plaintext::with_capacity(4096);
    text.push(format!("# created: {}\n# public key: {recipient}\n", now()).as_bytes());
    text.push(identity.as_bytes());
    text.push(b"\n");
    key_file::write_private(&options.output, &text, console)?;
    if options.output != Place::Standard || !io::stdout().is_terminal() {
        console.note(&format!("Public key: {recipient}"));
    }
    Ok(Status::Done)
}

/// The time as RFC 3339 has it, in UTC.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    rfc3339(seconds)
}

/// Seconds since the beginning of 1970 as RFC 3339 has them.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, so that the day that some have comes last; of 400 years each, from the year 0 on.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (year, month + 3),
        _ => (year + 1, month - 9),
    };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", era * 400 + year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        // From date --utc.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_344_126, "2026-11-22T10:42:06Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected);
        }
    }
}

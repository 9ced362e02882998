//! `forestage keys ssh-to-age`, also under that program's own name: what ssh-to-age 1.3.0 does.
//!
//! Its messages are kept, but for the private key that it prints when it cannot convert it.

use std::{env, os::unix::ffi::OsStrExt};

use zeroize::Zeroizing;

use crate::{
    commands::{Status, console::Console},
    failure::{Failure, Result},
    input,
    keys::ssh::{
        self,
        go_says::{self, PrivateKey, PublicKey},
    },
    plaintext::Plaintext,
};

use super::key_file::{self, Place};

/// What to convert.
#[derive(Debug)]
pub struct Options {
    /// SSH keys: public ones, a line each, or one private key.
    pub input: Place,
    /// Where the age keys go.
    pub output: Place,
    /// It is a private key.
    pub private: bool,
    /// Its passphrase is on standard input; else it may be in `SSH_TO_AGE_PASSPHRASE`.
    pub passphrase_on_stdin: bool,
}

/// Converts. Public keys in front of one that cannot be converted are printed.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let text = key_file::read(&options.input).map_err(Failure::new)?;
    if options.private {
        let passphrase = passphrase(options)?;
        let identity = private(&text, &passphrase, &options.input).map_err(Failure::new)?;
        let mut line = Plaintext::with_capacity(identity.len().saturating_add(1));
        line.push(identity.as_bytes());
        line.push(b"\n");
        key_file::write_private(&options.output, &line, console)?;
    } else {
        let (recipients, failure) = public(&text, console);
        if failure.is_none() || options.output == Place::Standard {
            key_file::write_public(&options.output, recipients.as_bytes(), console)?;
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    Ok(Status::Done)
}

fn passphrase(options: &Options) -> Result<Plaintext> {
    if !options.passphrase_on_stdin {
        let variable = env::var_os("SSH_TO_AGE_PASSPHRASE").unwrap_or_default();
        return Ok(variable.as_bytes().into());
    }
    if options.input == Place::Standard {
        return Err(Failure::new("cannot read both private key and passphrase from stdin"));
    }
    let mut text = input::read_stdin(1 << 20).map_err(|failure| {
        Failure::new(format!("error reading passphrase from stdin: {}", failure.headline))
    })?;
    let end =
        text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at.saturating_add(1));
    text.bytes_mut().truncate(end);
    Ok(text)
}

fn private(text: &[u8], passphrase: &[u8], from: &Place) -> std::result::Result<Zeroizing<String>, String> {
    let name = match from {
        Place::Standard => "-".into(),
        Place::File(path) => path.to_string_lossy(),
    };
    let reason = match go_says::private_key(text, passphrase) {
        Ok(PrivateKey::Ed25519(key)) => return Ok(key.converted().identity()),
        Ok(other) => format!("got {} key type but: only ed25519 keys are supported", other.go_type()),
        Err(error) => format!("failed to parse ssh private key: {error}"),
    };
    Err(format!("failed to convert '{name}': {reason}"))
}

/// The recipients of the lines up to the first that cannot be converted, and that failure.
fn public(text: &[u8], console: &Console) -> (String, Option<Failure>) {
    let mut recipients = String::new();
    for line in text.split(|byte| *byte == b'\n') {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let parsed =
            if line.starts_with(b"ssh-") { go_says::authorized_key(line) } else { go_says::known_host(line) };
        let reason = match parsed {
            Ok(PublicKey::Other(kind)) => {
                console
                    .note(&format!("skipped key: got {kind} key type, but only ed25519 keys are supported"));
                continue;
            }
            Ok(PublicKey::Ed25519(point)) => match ssh::point_to_age(&point) {
                Some(recipient) => {
                    recipients.push_str(&recipient);
                    recipients.push('\n');
                    continue;
                }
                None => {
                    "cannot convert ed25519 public key to curve25519: edwards25519: invalid point encoding"
                        .to_owned()
                }
            },
            Err(error) => format!("failed to parse ssh public key: {error}"),
        };
        let failure = Failure::new(format!("failed to convert '{}': {reason}", shown(line)));
        return (recipients, Some(failure));
    }
    (recipients, None)
}

/// The line, unless it may be a part of a private key that was given for a public one.
fn shown(line: &[u8]) -> String {
    let is_public = line.starts_with(b"ssh-") || line.starts_with(b"-----BEGIN ");
    let is_plain = line.len() < 40 || line.iter().any(u8::is_ascii_whitespace);
    let is_age = line.windows(10).any(|part| part.eq_ignore_ascii_case(b"SECRET-KEY"));
    if is_public || (is_plain && !is_age) {
        String::from_utf8_lossy(line).into_owned()
    } else {
        format!("{} bytes", line.len())
    }
}

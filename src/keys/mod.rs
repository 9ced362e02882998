//! Identities, and how each opens a data key.
//!
//! A [`Keyring`] knows the places where a run finds identities. A place is read when a file first asks for a kind of
//! key that it may hold; nothing is computed before it is needed, and commands are run only after every local
//! identity has failed. An identity that cannot be read is a line in the failure, never a failure of the run.
//! Facts: sops-format.md 4.4, 5 and 6.

pub mod age;
#[cfg(feature = "passphrase")]
pub mod age_encrypted;
pub mod age_file;
mod bech32;
mod command;
mod found;
mod identity;
pub mod kind;
mod later;
mod list;
mod open;
#[cfg(feature = "openpgp")]
pub mod openpgp;
#[cfg(feature = "passphrase")]
pub mod passphrase;
mod outside;
mod place;
#[cfg(feature = "plugins")]
pub mod plugin;
#[cfg(feature = "post-quantum")]
pub mod post_quantum;
#[cfg(feature = "key-tools")]
pub mod public;
mod read;
#[cfg(feature = "key-tools")]
pub mod recipient;
mod reason;
mod report;
#[cfg(any(feature = "openpgp", feature = "ssh-rsa"))]
mod rsa;
mod sources;
pub mod ssh;

use self::{outside::Outside, place::Place};

pub use self::{
    list::{Listed, Unread},
    outside::Access,
    reason::Reason,
};

/// All identities of a run, and what became of the places where they were looked for.
#[derive(Default)]
pub struct Keyring {
    /// In the order in which they are tried.
    places: Vec<Place>,
    outside: Outside,
}

impl Keyring {
    /// The same keyring, which may also reach keys that are not simply there.
    #[must_use]
    pub fn with_access(mut self, access: &Access) -> Self {
        self.outside = Outside::new(access);
        self
    }
}

/// The recipient that an entry names: SSH keys may carry a comment.
fn name_of(recipient: &str) -> &str {
    if !recipient.starts_with("ssh-") {
        return recipient;
    }
    let comment = recipient.match_indices(' ').nth(1);
    comment.and_then(|(at, _)| recipient.get(..at)).unwrap_or(recipient)
}

/// The spelling under which recipients are compared: without the comment of an SSH key, fingerprints in capitals.
#[must_use]
pub fn canonical(recipient: &str) -> String {
    let name = name_of(recipient.trim());
    match name.trim_end_matches('!') {
        fingerprint
            if fingerprint.len() == 40 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            fingerprint.to_ascii_uppercase()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod fixtures;

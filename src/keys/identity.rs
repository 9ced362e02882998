//! One private key of this machine, and the kinds of key entries that there are.

use super::{
    age::{self, X25519},
    ssh::Ed25519,
};

/// A private key that this machine has.
pub struct Identity {
    pub(super) key: Key,
}

pub(super) enum Key {
    X25519(X25519),
    /// For ssh-ed25519 stanzas, and, if `converts`, as the age identity that ssh-to-age makes of it.
    Ssh {
        key: Ed25519,
        converts: bool,
    },
}

impl Identity {
    /// Its public side, as files are encrypted to it.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        match &self.key {
            Key::X25519(key) => vec![key.recipient()],
            Key::Ssh { key, converts: true } => vec![key.converted().recipient(), key.recipient()],
            Key::Ssh { key, converts: false } => vec![key.recipient()],
        }
    }

    pub(super) fn x25519(&self) -> Option<&X25519> {
        match &self.key {
            Key::X25519(key) => Some(key),
            Key::Ssh { key, converts } => converts.then(|| key.converted()),
        }
    }

    pub(super) fn ssh(&self) -> Option<&Ed25519> {
        match &self.key {
            Key::Ssh { key, .. } => Some(key),
            Key::X25519(_) => None,
        }
    }
}

/// A set of kinds of keys: what a key entry asks for, and what a place may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    pub(super) const X25519: Self = Self(1);
    pub(super) const SSH_ED25519: Self = Self(2);
    pub(super) const ALL: Self = Self(u8::MAX);
    /// What lines of an age identity file can be.
    pub(super) const AGE: Self = Self::X25519;
    /// What an SSH private key opens by itself.
    pub(super) const SSH: Self = Self::SSH_ED25519;

    /// What the recipient of a key entry asks for; nothing, if it is of no form that is known.
    pub(super) fn of_recipient(recipient: &str) -> Self {
        match recipient {
            name if name.starts_with("ssh-ed25519 ") => Self::SSH_ED25519,
            name if name.starts_with("age1") => Self::X25519,
            _ => Self::NONE,
        }
    }

    /// What a stanza asks for. The recipient of its entry may say otherwise, and then the stanza is right.
    pub(super) fn of_stanza(kind: &[u8]) -> Self {
        match kind {
            age::STANZA => Self::X25519,
            b"ssh-ed25519" => Self::SSH_ED25519,
            _ => Self::NONE,
        }
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

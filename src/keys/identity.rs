//! One private key of this machine, and which kinds of key entries it is for.

use zeroize::Zeroizing;

use crate::sops::metadata::{KeyEntry, KeyKind};

#[cfg(feature = "post-quantum")]
use super::post_quantum::PostQuantum;
#[cfg(feature = "ssh-rsa")]
use super::ssh::Rsa;
use super::{
    age::X25519,
    age_file::{AgeFile, Damage, Unwrap},
    kind::AgeKind,
    ssh::Ed25519,
};

/// A private key that this machine has.
pub(super) enum Identity {
    X25519(X25519),
    /// For ssh-ed25519 stanzas, and, if `converts`, as the age identity that ssh-to-age makes of it.
    Ed25519 {
        key: Ed25519,
        converts: bool,
    },
    #[cfg(feature = "ssh-rsa")]
    Rsa(Box<Rsa>),
    #[cfg(feature = "post-quantum")]
    PostQuantum(Box<PostQuantum>),
}

impl Identity {
    /// Its public side, as files are encrypted to it.
    pub(super) fn recipients(&self) -> Vec<String> {
        match self {
            Self::X25519(key) => vec![key.recipient()],
            Self::Ed25519 { key, converts: true } => vec![key.converted().recipient(), key.recipient()],
            Self::Ed25519 { key, converts: false } => vec![key.recipient()],
            #[cfg(feature = "ssh-rsa")]
            Self::Rsa(key) => vec![key.recipient()],
            #[cfg(feature = "post-quantum")]
            Self::PostQuantum(key) => vec![key.recipient()],
        }
    }

    /// Opens an age file that names this recipient. `budget` is how many curve operations may still be spent; those
    /// that compare a tag before they compute anything cost nothing.
    pub(super) fn open(
        &self,
        file: &AgeFile,
        recipient: &str,
        budget: &mut usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Damage> {
        let mut costly = |kind: AgeKind, identity: &dyn Unwrap| {
            let cost = file.stanzas.iter().filter(|stanza| AgeKind::of_stanza(stanza.kind) == kind).count();
            match budget.checked_sub(cost) {
                Some(left) if cost > 0 => {
                    *budget = left;
                    file.open(identity)
                }
                _ => Ok(None),
            }
        };
        match self {
            Self::X25519(key) => costly(AgeKind::X25519, &key.named(recipient)),
            Self::Ed25519 { key, converts } => match converts {
                true => costly(AgeKind::X25519, &key.converted().named(recipient))?,
                false => None,
            }
            .map_or_else(|| file.open(key), |part| Ok(Some(part))),
            #[cfg(feature = "ssh-rsa")]
            Self::Rsa(key) => file.open(&**key),
            #[cfg(feature = "post-quantum")]
            Self::PostQuantum(key) => costly(AgeKind::PostQuantum, &**key),
        }
    }
}

/// A set of kinds of keys: what a key entry asks for, and what a place may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    pub(super) const X25519: Self = Self(1);
    pub(super) const POST_QUANTUM: Self = Self(2);
    pub(super) const SSH_ED25519: Self = Self(4);
    pub(super) const SSH_RSA: Self = Self(8);
    /// What only a plugin opens: it may call its stanzas as it likes.
    pub(super) const PLUGIN: Self = Self(16);
    pub(super) const OPENPGP: Self = Self(32);
    pub(super) const ALL: Self = Self(u8::MAX);
    /// What lines of an age identity file can be.
    pub(super) const AGE: Self = Self::X25519.and(Self::POST_QUANTUM).and(Self::PLUGIN);
    /// What an SSH private key opens by itself.
    pub(super) const SSH: Self = Self::SSH_ED25519.and(Self::SSH_RSA);

    const fn of(kind: &AgeKind) -> Self {
        match kind {
            AgeKind::X25519 => Self::X25519,
            AgeKind::PostQuantum => Self::POST_QUANTUM,
            AgeKind::SshEd25519 => Self::SSH_ED25519,
            AgeKind::SshRsa => Self::SSH_RSA,
            AgeKind::Passphrase => Self::NONE,
            AgeKind::Tag | AgeKind::TagPostQuantum | AgeKind::Plugin(_) | AgeKind::Unknown => Self::PLUGIN,
        }
    }

    pub(super) fn of_stanza(kind: &[u8]) -> Self {
        Self::of(&AgeKind::of_stanza(kind))
    }

    /// What the recipient of an entry asks for. Its stanzas may say otherwise, and then they are right.
    pub(super) fn named(entry: &KeyEntry) -> Self {
        match entry.kind {
            KeyKind::Age => Self::of(&AgeKind::of_recipient(&entry.recipient)),
            KeyKind::Pgp => Self::OPENPGP,
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

//! Identities that are not simply there: another process or a person must help.
//!
//! They come after everything that needs nobody's help, and what was learned once is kept for the other files.

// A build with fewer kinds of keys uses less of this.
#![cfg_attr(
    not(all(feature = "passphrase", feature = "plugins")),
    allow(dead_code, unused_imports, unused_variables, clippy::unused_self)
)]

use std::sync::OnceLock;

use zeroize::Zeroizing;

#[cfg(feature = "plugins")]
use super::plugin::Plugin;
use super::{
    Reason, age_file::AgeFile, found::Found, identity::Identity, open, outside::Outside, reason::Remedy,
};
#[cfg(feature = "passphrase")]
use super::{
    age_encrypted::EncryptedIdentities,
    found::Content,
    ssh::{self, Protected},
};

/// An identity that is not simply there.
pub(super) struct Later {
    kind: Kind,
    /// What a passphrase revealed, or why it did not.
    revealed: OnceLock<Result<Found, Reason>>,
}

pub(super) enum Kind {
    /// An age identity file behind a passphrase.
    #[cfg(feature = "passphrase")]
    Encrypted(Box<EncryptedIdentities>),
    /// An SSH key behind a passphrase, which, if it `converts`, is also for the recipient that ssh-to-age makes.
    #[cfg(feature = "passphrase")]
    Ssh { key: Box<Protected>, converts: bool },
    #[cfg(feature = "plugins")]
    Plugin(Plugin),
}

/// When it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Process,
    Person,
}

impl Later {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, revealed: OnceLock::new() }
    }

    /// Looks the public key of an SSH key up, if the private key file does not tell it before it is opened.
    pub(super) fn learn_public(&mut self, line: impl FnOnce() -> Option<String>) {
        #[cfg(feature = "passphrase")]
        if let Kind::Ssh { key, .. } = &mut self.kind
            && key.recipient().is_none()
            && let Some(line) = line()
        {
            key.set_public(&line);
        }
    }

    pub(super) fn turn(&self) -> Turn {
        match self.kind {
            #[cfg(feature = "passphrase")]
            Kind::Encrypted(_) | Kind::Ssh { .. } => Turn::Person,
            #[cfg(feature = "plugins")]
            Kind::Plugin(_) => Turn::Process,
        }
    }

    /// Its public side, as far as it is known by now.
    pub(super) fn recipients(&self) -> Vec<String> {
        if let Some(Ok(found)) = self.revealed.get() {
            return found.identities.iter().flat_map(Identity::recipients).collect();
        }
        match self.kind {
            #[cfg(feature = "passphrase")]
            Kind::Encrypted(_) => Vec::new(),
            #[cfg(feature = "passphrase")]
            Kind::Ssh { ref key, converts } => {
                let own = key.recipient();
                let converted = own.as_deref().filter(|_| converts).and_then(ssh::to_age);
                converted.into_iter().chain(own).collect()
            }
            #[cfg(feature = "plugins")]
            Kind::Plugin(ref plugin) => vec![format!("age-plugin-{}", plugin.name())],
        }
    }

    /// Whether nobody has given its passphrase so far.
    pub(super) fn is_closed(&self) -> bool {
        self.turn() == Turn::Person && !matches!(self.revealed.get(), Some(Ok(_)))
    }

    /// Why nothing is known of it; `None` if something is.
    pub(super) fn closed(&self) -> Option<Reason> {
        match (&self.kind, self.revealed.get()) {
            #[cfg(feature = "passphrase")]
            (Kind::Encrypted(_) | Kind::Ssh { .. }, None) => {
                Some(Reason::from("it is protected by a passphrase").remedy(Remedy::Passphrase))
            }
            _ => None,
        }
    }

    /// Opens an age file that names this recipient. Fails with the reason why the identity cannot be had.
    pub(super) fn open(
        &self,
        source: &str,
        file: &AgeFile,
        recipient: &str,
        outside: &Outside,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Reason> {
        match self.kind {
            #[cfg(feature = "plugins")]
            Kind::Plugin(ref plugin) => plugin.open(file, outside.plugins(), outside.person()),
            #[cfg(feature = "passphrase")]
            Kind::Encrypted(ref identities) => {
                open_with(self.reveal_identities(identities, source, outside), file, recipient)
            }
            #[cfg(feature = "passphrase")]
            Kind::Ssh { ref key, converts } => {
                // Nobody is asked for a key that does not matter.
                let is_named = converts && self.recipients().iter().any(|own| own == recipient);
                if !is_named && !file.stanzas.iter().any(|stanza| key.may_open(stanza)) {
                    return Ok(None);
                }
                open_with(self.reveal_ssh(key, converts, source, outside), file, recipient)
            }
        }
    }

    /// What its passphrase reveals, or why it does not; `None` if no passphrase would reveal anything.
    #[cfg(feature = "key-tools")]
    pub(super) fn reveal(&self, source: &str, outside: &Outside) -> Option<&Result<Found, Reason>> {
        match self.kind {
            #[cfg(feature = "plugins")]
            Kind::Plugin(_) => None,
            Kind::Encrypted(ref identities) => Some(self.reveal_identities(identities, source, outside)),
            Kind::Ssh { ref key, converts } => Some(self.reveal_ssh(key, converts, source, outside)),
        }
    }

    #[cfg(feature = "passphrase")]
    fn reveal_identities(
        &self,
        identities: &EncryptedIdentities,
        source: &str,
        outside: &Outside,
    ) -> &Result<Found, Reason> {
        self.revealed.get_or_init(|| {
            let what = format!("the age identities in {source}");
            let text = outside.passphrases().unlock(&what, |passphrase| identities.open(passphrase))?;
            Ok(Found::of(Content::Age, &text))
        })
    }

    #[cfg(feature = "passphrase")]
    fn reveal_ssh(
        &self,
        key: &Protected,
        converts: bool,
        source: &str,
        outside: &Outside,
    ) -> &Result<Found, Reason> {
        self.revealed.get_or_init(|| {
            let what = format!("the SSH key {source}");
            let key = outside.passphrases().unlock(&what, |passphrase| key.unlock(passphrase))?;
            Ok(Found::of_ssh(key, converts))
        })
    }
}

#[cfg(feature = "passphrase")]
fn open_with(
    found: &Result<Found, Reason>,
    file: &AgeFile,
    recipient: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>, Reason> {
    let found = found.as_ref().map_err(Clone::clone)?;
    let mut budget = open::MISNAMED;
    match (open::open_with(found.identities.iter(), file, recipient, &mut budget), found.unread.first()) {
        (Ok(Some(part)), _) => Ok(Some(part)),
        (_, Some(reason)) => Err(reason.clone()),
        (Ok(None), None) => Ok(None),
        (Err(damage), None) => Err(format!("the key entry of {recipient}: {damage}").into()),
    }
}

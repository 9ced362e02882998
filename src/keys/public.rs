//! The public sides of private keys, for people who have a private key and want to encrypt to it.

use std::path::Path;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::root::Root;

use super::{
    Access,
    found::{Content, Found},
    identity::Identity,
    later::Later,
    openpgp::{self, from_ssh::RsaNumbers, gnupg_home},
    outside::Outside,
    ssh,
};

/// The public side of one private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicSide {
    /// What it is: `age`, `post-quantum`, `ssh-ed25519`, `ssh-rsa`, `plugin`, `openpgp`.
    pub kind: &'static str,
    /// The age recipients: of an ed25519 key that of ssh-to-age, then its own.
    pub recipients: Vec<String>,
    /// The `OpenPGP` fingerprints: the primary key, then its subkeys.
    pub fingerprints: Vec<String>,
}

/// What is in a text: public sides, and why parts of it have none.
pub type Sides = (Vec<PublicSide>, Vec<String>);

/// The public sides of the private keys in a text, which came from `source`. A passphrase is needed only where the
/// text does not tell the public side without.
#[must_use]
pub fn sides(source: &str, text: &[u8], access: &Access) -> Sides {
    let outside = Outside::new(access);
    let found = Found::of(Content::Any, text);
    let mut sides: Vec<_> = found.identities.iter().map(of_identity).collect();
    let mut unread = found.unread;
    let fingerprints = found.openpgp.iter().map(openpgp::Key::fingerprints);
    match sides.as_mut_slice() {
        // The fingerprint is that of what ssh-to-pgp makes of it.
        [side] if side.kind == "ssh-rsa" => side.fingerprints = fingerprints.flatten().collect(),
        _ => sides.extend(fingerprints.map(of_openpgp)),
    }
    for later in &found.later {
        if let Some(side) = of_later(later) {
            sides.push(side);
            continue;
        }
        match later.reveal(source, &outside) {
            Some(Ok(found)) => {
                sides.extend(found.identities.iter().map(of_identity));
                unread.extend(found.unread.iter().cloned());
            }
            Some(Err(reason)) => unread.push(reason.clone()),
            None => unread.push("it does not tell its public side".into()),
        }
    }
    (sides, unread.iter().map(ToString::to_string).collect())
}

/// The public sides of the keys in a GnuPG home.
#[must_use]
pub fn of_gnupg_home(home: &Path) -> Sides {
    let found = gnupg_home::read(&Root::system(), home);
    let unread = found.unread.into_iter().map(|(path, reason)| format!("{path}: {reason}"));
    (found.keys.iter().map(|key| of_openpgp(key.fingerprints())).collect(), unread.collect())
}

fn of_openpgp(fingerprints: Vec<String>) -> PublicSide {
    PublicSide { kind: "openpgp", recipients: Vec::new(), fingerprints }
}

fn of_identity(identity: &Identity) -> PublicSide {
    let kind = match identity {
        Identity::X25519(_) => "age",
        Identity::PostQuantum(_) => "post-quantum",
        Identity::Ed25519 { .. } => "ssh-ed25519",
        Identity::Rsa(_) => "ssh-rsa",
    };
    PublicSide { kind, recipients: identity.recipients(), fingerprints: Vec::new() }
}

/// What is known without a passphrase.
fn of_later(later: &Later) -> Option<PublicSide> {
    let recipients = later.recipients();
    let own = recipients.last()?;
    let (kind, fingerprints) = match own.split(' ').next() {
        Some("ssh-ed25519") => ("ssh-ed25519", Vec::new()),
        Some("ssh-rsa") => ("ssh-rsa", rsa_fingerprint(own).into_iter().collect()),
        _ => return None,
    };
    Some(PublicSide { kind, recipients, fingerprints })
}

/// The fingerprint of what ssh-to-pgp makes of an RSA key, by its public line.
fn rsa_fingerprint(line: &str) -> Option<String> {
    let wire = BASE64_STANDARD.decode(line.split(' ').nth(1)?).ok()?;
    let mut rest = wire.as_slice();
    ssh::wire_string(&mut rest)?;
    let (e, n) = (ssh::wire_string(&mut rest)?, ssh::wire_string(&mut rest)?);
    let key = RsaNumbers { n, e, d: &[], p: &[], q: &[] }.key().ok()?;
    Some(key.fingerprint())
}

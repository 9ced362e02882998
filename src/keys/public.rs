//! The public sides of private keys, for people who have a private key and want to encrypt to it.

use super::{
    Access,
    found::{Content, Found},
    identity::Identity,
    later::Later,
    outside::Outside,
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
            None => unread.push("it does not tell its public side".to_owned()),
        }
    }
    (sides, unread)
}

fn of_identity(identity: &Identity) -> PublicSide {
    let (kind, fingerprints) = match identity {
        Identity::X25519(_) => ("age", Vec::new()),
        Identity::PostQuantum(_) => ("post-quantum", Vec::new()),
        Identity::Ed25519 { .. } => ("ssh-ed25519", Vec::new()),
        Identity::Rsa(_) => ("ssh-rsa", Vec::new()),
    };
    PublicSide { kind, recipients: identity.recipients(), fingerprints }
}

/// What is known without a passphrase.
fn of_later(later: &Later) -> Option<PublicSide> {
    let recipients = later.recipients();
    let own = recipients.last()?;
    let kind = match own.split(' ').next() {
        Some("ssh-ed25519") => "ssh-ed25519",
        Some("ssh-rsa") => "ssh-rsa",
        _ => return None,
    };
    Some(PublicSide { kind, recipients, fingerprints: Vec::new() })
}

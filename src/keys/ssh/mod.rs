//! SSH keys: reading private key files, opening age's ssh-ed25519 and ssh-rsa stanzas, and ssh-to-age.
//!
//! A file is OpenSSH's own container, PKCS#1 or PKCS#8, all of them in PEM. The age crate brings RSA and bcrypt along
//! with ed25519, half a megabyte; what ed25519 needs is here, and the rest are features.
//! Facts: sops-format.md 6.3 to 6.5.

mod container;
mod der;
mod ed25519;
#[cfg(feature = "key-tools")]
pub mod go_says;
mod pem;
#[cfg(feature = "passphrase")]
mod cipher;
#[cfg(feature = "passphrase")]
mod protected;
#[cfg(feature = "ssh-rsa")]
mod rsa;
mod wire;

pub use ed25519::{Ed25519, point_to_age, to_age};
#[cfg(feature = "passphrase")]
pub use protected::Protected;
#[cfg(feature = "ssh-rsa")]
pub use rsa::Rsa;

#[cfg(feature = "passphrase")]
use base64::prelude::BASE64_STANDARD;
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use self::{container::Container, pem::Pem};

/// Why a private key file gives no identity.
pub type Reason = &'static str;

/// A private key.
pub enum Key {
    /// For ssh-ed25519 stanzas, and for age after ssh-to-age.
    Ed25519(Ed25519),
    /// For ssh-rsa stanzas, and for `OpenPGP` after ssh-to-pgp.
    #[cfg(feature = "ssh-rsa")]
    Rsa(Box<Rsa>),
    /// One of the above, behind a passphrase.
    #[cfg(feature = "passphrase")]
    Protected(Box<Protected>),
}

impl Key {
    /// Reads a private key file.
    pub fn parse(file: &[u8]) -> Result<Self, Reason> {
        let pem = Pem::parse(file)?;
        match pem.label {
            b"OPENSSH PRIVATE KEY" => {
                let found = Container::parse(&pem.body)?;
                if found.cipher == b"none" {
                    container::private(found.private)
                } else {
                    Self::protected(&pem)
                }
            }
            b"PRIVATE KEY" => der::pkcs8(&pem.body),
            b"ENCRYPTED PRIVATE KEY" => Self::protected(&pem),
            b"RSA PRIVATE KEY" if pem.encrypted => Self::protected(&pem),
            b"RSA PRIVATE KEY" => der::pkcs1(&pem.body),
            _ => Err(UNSUPPORTED),
        }
    }

    #[cfg(feature = "passphrase")]
    fn protected(pem: &Pem<'_>) -> Result<Self, Reason> {
        Protected::new(pem).map(|key| Self::Protected(Box::new(key)))
    }

    #[cfg(not(feature = "passphrase"))]
    fn protected(_: &Pem<'_>) -> Result<Self, Reason> {
        Err(PROTECTED)
    }

    /// Its public key as a line without a comment, `ssh-ed25519 AAAA…`; `None` if only the passphrase would tell.
    #[must_use]
    pub fn recipient(&self) -> Option<String> {
        match self {
            Self::Ed25519(key) => Some(key.recipient()),
            #[cfg(feature = "ssh-rsa")]
            Self::Rsa(key) => Some(key.recipient()),
            #[cfg(feature = "passphrase")]
            Self::Protected(key) => key.recipient(),
        }
    }

    /// The public key in SSH's wire format.
    #[cfg(feature = "passphrase")]
    fn wire(&self) -> Option<&[u8]> {
        match self {
            Self::Ed25519(key) => Some(key.wire()),
            #[cfg(feature = "ssh-rsa")]
            Self::Rsa(key) => Some(key.wire()),
            Self::Protected(key) => key.wire(),
        }
    }
}

/// Takes a string of SSH's wire format from the front.
#[cfg(feature = "key-tools")]
pub(super) fn wire_string<'k>(rest: &mut &'k [u8]) -> Option<&'k [u8]> {
    wire::string(rest)
}

/// The public key of a line, in SSH's wire format.
#[cfg(feature = "passphrase")]
fn public_line(line: &str) -> Option<Vec<u8>> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    let wire = BASE64_STANDARD.decode(words.next()?.trim_end()).ok()?;
    (wire::string(&mut wire.as_slice())? == kind.as_bytes()).then_some(wire)
}

/// By what a stanza names the key that opens it.
fn tag(wire: &[u8]) -> String {
    BASE64_STANDARD_NO_PAD.encode(Sha256::digest(wire).get(..4).unwrap_or_default())
}

const CUT: Reason = "it is cut off or damaged";
#[cfg(not(feature = "ssh-rsa"))]
const UNSUPPORTED: Reason = "its kind is not supported by this build: only ed25519 is";
#[cfg(feature = "ssh-rsa")]
const UNSUPPORTED: Reason = "its kind is not supported: only ed25519 and RSA are";
/// Also where an ed25519 key is needed.
const RSA: Reason = "it is an RSA key, a kind not supported by this build";
const PROTECTED: Reason = "it is protected by a passphrase, which is not supported by this build";

#[cfg(test)]
mod tests;

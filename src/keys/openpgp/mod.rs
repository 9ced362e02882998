//! OpenPGP keys, and the messages in which sops encrypts a data key to them.
//!
//! [`Key::read_all`] reads secret keys, [`open`] a key entry. Both take what sops, GnuPG and go-crypto write: RSA, ElGamal,
//! ECDH and X25519 keys of versions 4, 5 and 6; messages with their integrity protected in one of the three ways that are in
//! use. Packets are taken apart here, since the bytes come from outside and nothing may panic or grow without limit;
//! ciphers and key derivations are rPGP's and RustCrypto's. Signatures are not looked at: as with sops, who holds a secret key
//! may use it, expired or revoked. Private keys are not computed with before a message needs them.
//! Facts: sops-format.md 5.3 and 7, RFC 9580, RFC 4880, and the LibrePGP draft for packet 20.

mod aead;
mod agent_key;
mod armor;
mod contents;
pub mod from_ssh;
pub mod gnupg_home;
pub mod gpg;
mod key;
mod keybox;
mod keyboxd;
mod message;
mod packets;
mod session;

pub use super::reason::{Reason, Remedy};

pub use self::{
    key::Key,
    message::{MAX_MESSAGE, open},
};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

//! ed25519 keys: opening age's ssh-ed25519 stanzas, and ssh-to-age.
//!
//! Facts: sops-format.md 6.3 and 6.4.

use base64::{Engine, prelude::BASE64_STANDARD};
use curve25519_dalek::{EdwardsPoint, edwards::CompressedEdwardsY};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

#[cfg(feature = "passphrase")]
use super::PROTECTED;
#[cfg(feature = "ssh-rsa")]
use super::RSA;
use super::{Key, Reason, tag, wire::push_string};
use crate::keys::{
    age::{self, X25519, agree},
    age_file::{Damage, FileKey, Stanza, Unwrap, bytes32, derive, open_file_key},
};

/// The kind of its stanzas and the name of its type in SSH.
pub(super) const KIND: &[u8] = b"ssh-ed25519";

/// An ed25519 key as an age identity. Wiped when dropped.
pub struct Ed25519 {
    /// The same key on the other curve: what ssh-to-age makes of it.
    converted: X25519,
    scalar: Zeroizing<[u8; 32]>,
    /// The public key in SSH's wire format.
    wire: Vec<u8>,
}

impl Ed25519 {
    /// Reads a private key file that holds an ed25519 key without a passphrase.
    pub fn parse(file: &[u8]) -> Result<Self, Reason> {
        match Key::parse(file)? {
            Key::Ed25519(key) => Ok(key),
            #[cfg(feature = "ssh-rsa")]
            Key::Rsa(_) => Err(RSA),
            #[cfg(feature = "passphrase")]
            Key::Protected(_) => Err(PROTECTED),
        }
    }

    pub(super) fn new(seed: &[u8; 32], public: Option<[u8; 32]>) -> Self {
        let mut scalar = Zeroizing::new([0; 32]);
        let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
        scalar.iter_mut().zip(hash.iter()).for_each(|(to, byte)| *to = *byte);
        let public = public.unwrap_or_else(|| EdwardsPoint::mul_base_clamped(*scalar).compress().to_bytes());
        let mut wire = Vec::with_capacity(51);
        push_string(&mut wire, KIND);
        push_string(&mut wire, &public);
        Self { converted: X25519::new(scalar.clone()), scalar, wire }
    }

    /// `ssh-ed25519 AAAA…`
    #[must_use]
    pub fn recipient(&self) -> String {
        format!("ssh-ed25519 {}", BASE64_STANDARD.encode(&self.wire))
    }

    /// The public key in SSH's wire format.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The age identity that ssh-to-age makes of it.
    #[must_use]
    pub fn converted(&self) -> &X25519 {
        &self.converted
    }
}

/// The age recipient that ssh-to-age makes of a public key line; `None` for other kinds of keys.
#[must_use]
pub fn to_age(public: &str) -> Option<String> {
    let wire = BASE64_STANDARD.decode(public.strip_prefix("ssh-ed25519 ")?.split(' ').next()?).ok()?;
    let (_, point) = wire.split_last_chunk::<32>()?;
    point_to_age(point)
}

/// The age recipient that ssh-to-age makes of the point of an ed25519 key; `None` if it is no point of the curve.
#[must_use]
pub fn point_to_age(point: &[u8; 32]) -> Option<String> {
    let point = CompressedEdwardsY(*point).decompress()?.to_montgomery();
    Some(age::recipient(point.as_bytes()))
}

impl Unwrap for Ed25519 {
    fn unwrap(&self, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Damage> {
        const WRONG: Damage = "its ssh-ed25519 stanza has a wrong form";
        const LABEL: &[u8] = b"age-encryption.org/v1/ssh-ed25519";
        if stanza.kind != KIND {
            return Ok(None);
        }
        let [found, share] = stanza.args.as_slice() else { return Err(WRONG) };
        let share = bytes32(share).ok_or(WRONG)?;
        if tag(&self.wire).as_bytes() != *found {
            return Ok(None);
        }
        let shared = agree(&self.scalar, share).ok_or(WRONG)?;
        let shared = agree(&derive(b"", &self.wire, LABEL), *shared).ok_or(WRONG)?;
        let salt = [share, *self.converted.public()].concat();
        match open_file_key(&derive(&shared[..], &salt, LABEL), &stanza.body)? {
            Some(key) => Ok(Some(key)),
            None => Err("its ssh-ed25519 stanza does not authenticate"),
        }
    }
}

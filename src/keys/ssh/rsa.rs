//! RSA keys: opening age's ssh-rsa stanzas, and the numbers of which an `OpenPGP` key is made.
//!
//! Facts: sops-format.md 6.3. The crate computes with blinding, but not in constant time. That would matter to a
//! service that opens what strangers send while they hold a stopwatch.

use std::sync::OnceLock;

use ::rsa::{Oaep, RsaPrivateKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand_core::OsRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    CUT, Reason, tag,
    wire::{push_integer, push_string},
};
use crate::keys::{
    age_file::{Damage, FileKey, Stanza, Unwrap},
    rsa::{self, MAX_MODULUS},
};

/// The kind of its stanzas and the name of its type in SSH.
pub(super) const KIND: &[u8] = b"ssh-rsa";

/// The smallest modulus that age encrypts to, in bytes.
const MIN_AGE_MODULUS: usize = 2048 / 8;

/// An RSA key. Wiped when dropped.
pub struct Rsa {
    key: OnceLock<Result<RsaPrivateKey, Reason>>,
    /// n, e, d, p, q.
    numbers: [Zeroizing<Vec<u8>>; 5],
    /// The public key in SSH's wire format.
    wire: Vec<u8>,
}

impl Rsa {
    /// The key of n, e, d and of p, q, big-endian without leading zeros. Whether they belong together is seen when a
    /// stanza needs them.
    pub(super) fn new([n, e, d]: [&[u8]; 3], [first, second]: [&[u8]; 2]) -> Result<Self, Reason> {
        let numbers = [n, e, d, first, second];
        if numbers.iter().any(|number| number.len() > n.len()) {
            return Err(CUT);
        }
        if n.len() > MAX_MODULUS {
            return Err("its RSA modulus has more than 16384 bits");
        }
        let mut wire = Vec::with_capacity(n.len() + e.len() + 24);
        push_string(&mut wire, KIND);
        push_integer(&mut wire, e);
        push_integer(&mut wire, n);
        Ok(Self {
            key: OnceLock::new(),
            numbers: numbers.map(|number| Zeroizing::new(number.to_vec())),
            wire,
        })
    }

    /// `ssh-rsa AAAA…`
    #[must_use]
    pub fn recipient(&self) -> String {
        format!("ssh-rsa {}", BASE64_STANDARD.encode(&self.wire))
    }

    /// Does age encrypt to keys of this size?
    #[must_use]
    pub fn is_for_age(&self) -> bool {
        self.modulus().len() >= MIN_AGE_MODULUS
    }

    /// n, big-endian, without leading zeros.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        let [n, ..] = &self.numbers;
        n
    }

    /// e, big-endian, without leading zeros.
    #[must_use]
    pub fn public_exponent(&self) -> &[u8] {
        let [_, e, ..] = &self.numbers;
        e
    }

    /// d, big-endian, without leading zeros.
    #[must_use]
    pub fn private_exponent(&self) -> &[u8] {
        let [_, _, d, ..] = &self.numbers;
        d
    }

    /// p and q in the order of the file, big-endian, without leading zeros.
    #[must_use]
    pub fn primes(&self) -> (&[u8], &[u8]) {
        let [_, _, _, p, q] = &self.numbers;
        (p, q)
    }

    /// The public key in SSH's wire format.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }
}

impl Unwrap for Rsa {
    fn unwrap(&self, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Damage> {
        const LABEL: &str = "age-encryption.org/v1/ssh-rsa";
        if stanza.kind != KIND {
            return Ok(None);
        }
        let [found] = stanza.args.as_slice() else { return Err("its ssh-rsa stanza has a wrong form") };
        if tag(&self.wire).as_bytes() != *found {
            return Ok(None);
        }
        if !self.is_for_age() {
            return Err("its RSA key has less than 2048 bits, to which age does not encrypt");
        }
        let numbers = || self.numbers.each_ref().map(|number| number.as_slice());
        let key = self.key.get_or_init(|| rsa::key(numbers()));
        let key = key.as_ref().map_err(|reason| *reason)?;
        let padding = Oaep::new_with_label::<Sha256, _>(LABEL);
        let opened = key.decrypt_blinded(&mut OsRng, padding, &stanza.body).map(Zeroizing::new);
        match opened.ok().and_then(|bytes| bytes.as_slice().try_into().ok()) {
            Some(key) => Ok(Some(Zeroizing::new(key))),
            None => Err("its ssh-rsa stanza does not authenticate"),
        }
    }
}

//! The MAC of a sops file: SHA-512 over its values, kept encrypted in the metadata.
//!
//! The hash takes in the byte forms of all leaves in document order, with nothing between them, and no keys. It is
//! compared in constant time. Facts: sops-format.md 2.

use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
};

use super::{cipher::Cipher, cipher::Type, metadata::Metadata, scalar, value::Value};

/// What the hash begins with when it takes in encrypted values only: SHA-256 of "sops".
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// A MAC in the making.
pub struct Mac {
    hash: Sha512,
    only_encrypted: bool,
}

impl Mac {
    /// The empty MAC.
    #[must_use]
    pub fn new(only_encrypted: bool) -> Self {
        let mut hash = Sha512::new();
        if only_encrypted {
            hash.update(ONLY_ENCRYPTED);
        }
        Self { hash, only_encrypted }
    }

    /// Takes in a leaf in the clear; `encrypted` says whether it is encrypted in the file.
    pub fn add(&mut self, leaf: &Value, encrypted: bool) {
        if encrypted || !self.only_encrypted {
            scalar::mac_bytes(leaf, &mut |bytes| self.hash.update(bytes));
        }
    }

    /// The hash, for an encrypted string that is taken in while it is decrypted.
    pub(super) fn hash_mut(&mut self) -> &mut Sha512 {
        &mut self.hash
    }

    /// Compares with the MAC that the file holds.
    pub fn verify(self, cipher: &Cipher, metadata: &Metadata) -> Result<()> {
        if metadata.mac.is_empty() {
            return Err(Failure::new("the file has no MAC: its values may have been changed").fix(
                "restore the file, or decrypt it with sops --ignore-mac, check it, and encrypt it again",
            ));
        }
        let (kind, stored) = cipher
            .open(Plaintext::from(metadata.mac.as_slice()), metadata.last_modified.as_bytes())
            .map_err(|fault| {
                Failure::new("the MAC of the file cannot be decrypted")
                    .fact("reason", fault)
                    .fact("bound to", format!("lastmodified {}", metadata.last_modified))
            })?;
        let computed = hex(&self.hash.finalize());
        if kind == Type::Str && bool::from(computed.ct_eq(&*stored)) {
            return Ok(());
        }
        Err(mismatch(metadata))
    }
}

fn mismatch(metadata: &Metadata) -> Failure {
    let failure = Failure::new(
        "MAC mismatch: values were changed, added, removed or reordered since sops wrote the file",
    );
    let failure = match metadata.version.as_str() {
        "" => failure,
        version => failure.fact("written by", format!("sops {version}")),
    };
    match metadata.version.as_str() {
        "3.13.2" => failure.fact("known", "3.13.2 itself cannot check the MAC of files with comments in lists"),
        _ => failure,
    }
    .fix("restore the last good version of the file; after a merge by hand: sops --ignore-mac FILE, check, save")
}

/// Upper-case hexadecimal digits.
fn hex(bytes: &[u8]) -> Vec<u8> {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + (nibble - 10) };
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

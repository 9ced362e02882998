//! OpenSSH's own form of a private key file (OpenSSH's PROTOCOL.key).
//!
//! The public key stands outside, in the clear; the private part holds both again, and may be encrypted.

use super::{
    CUT, Key, Reason, UNSUPPORTED,
    ed25519::{self, Ed25519},
    wire::{number, string},
};

/// `OPENSSH PRIVATE KEY`.
pub(super) struct Container<'f> {
    /// `none`, `aes256-ctr`, …
    pub cipher: &'f [u8],
    /// `none` or `bcrypt`.
    #[cfg_attr(not(feature = "passphrase"), expect(dead_code))]
    pub derivation: &'f [u8],
    /// For `bcrypt`: salt and rounds.
    #[cfg_attr(not(feature = "passphrase"), expect(dead_code))]
    pub options: &'f [u8],
    /// The public key in SSH's wire format.
    #[cfg_attr(not(feature = "passphrase"), expect(dead_code))]
    pub public: &'f [u8],
    /// The private part.
    pub private: &'f [u8],
    /// What stands behind it: the tag of ciphers that have one.
    #[cfg_attr(not(feature = "passphrase"), expect(dead_code))]
    pub tag: &'f [u8],
}

impl<'f> Container<'f> {
    pub fn parse(file: &'f [u8]) -> Result<Self, Reason> {
        let mut rest = file.strip_prefix(b"openssh-key-v1\0").ok_or(CUT)?;
        let mut next = || string(&mut rest).ok_or(CUT);
        let (cipher, derivation, options) = (next()?, next()?, next()?);
        if number(&mut rest) != Some(1) {
            return Err("it holds more than one key");
        }
        let public = string(&mut rest).ok_or(CUT)?;
        match string(&mut &*public) {
            Some(ed25519::KIND) => {}
            #[cfg(feature = "ssh-rsa")]
            Some(super::rsa::KIND) => {}
            #[cfg(not(feature = "ssh-rsa"))]
            Some(b"ssh-rsa") => return Err(super::RSA),
            Some(_) => return Err(UNSUPPORTED),
            None => return Err(CUT),
        }
        let private = string(&mut rest).ok_or(CUT)?;
        Ok(Self { cipher, derivation, options, public, private, tag: rest })
    }
}

/// Do the two check numbers agree, with which a private part begins? If not, the passphrase was wrong.
pub(super) fn checks(private: &[u8]) -> bool {
    let mut rest = private;
    let first = number(&mut rest);
    first.is_some() && first == number(&mut rest)
}

/// Reads a private part.
pub(super) fn private(private: &[u8]) -> Result<Key, Reason> {
    let mut rest = if checks(private) { private.get(8..).ok_or(CUT)? } else { return Err(CUT) };
    let key = match string(&mut rest) {
        Some(ed25519::KIND) => {
            let public: [u8; 32] = string(&mut rest).and_then(|key| key.try_into().ok()).ok_or(CUT)?;
            let pair = string(&mut rest).ok_or(CUT)?;
            let (seed, again) = pair.split_first_chunk::<32>().ok_or(CUT)?;
            if again != public {
                return Err(CUT);
            }
            Key::Ed25519(Ed25519::new(seed, Some(public)))
        }
        #[cfg(feature = "ssh-rsa")]
        Some(super::rsa::KIND) => {
            let mut next = || super::wire::integer(&mut rest).ok_or(CUT);
            // Behind d comes what Chinese remainders need, which can be computed.
            let public_and_private = [next()?, next()?, next()?];
            let (_, primes) = (next()?, [next()?, next()?]);
            Key::Rsa(Box::new(super::rsa::Rsa::new(public_and_private, primes)?))
        }
        _ => return Err(CUT),
    };
    let _comment = string(&mut rest).ok_or(CUT)?;
    // The padding counts.
    if !rest.iter().enumerate().all(|(at, byte)| at + 1 == usize::from(*byte)) {
        return Err(CUT);
    }
    Ok(key)
}

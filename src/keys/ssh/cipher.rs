//! The ciphers that protect private key files.
//!
//! A few kilobytes are decrypted once, so all modes stand on one block function, in a few lines each.

use aes::{
    Aes128, Aes192, Aes256, Block,
    cipher::{BlockDecrypt, BlockEncrypt, KeyInit, generic_array::GenericArray},
};
use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit, StreamCipher, StreamCipherSeek},
};
use ghash::{GHash, universal_hash::UniversalHash};
use poly1305::Poly1305;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A cipher and its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cipher {
    /// AES in counter mode, with a key of so many bytes.
    Ctr(usize),
    /// AES in cipher block chaining mode.
    Cbc(usize),
    /// AES in Galois/counter mode.
    Gcm(usize),
    /// `ChaCha20` and Poly1305 as OpenSSH joins them.
    ChaCha,
}

enum Aes {
    Of128(Aes128),
    Of192(Aes192),
    Of256(Aes256),
}

impl Cipher {
    /// The cipher that OpenSSH calls by this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"aes128-ctr" => Self::Ctr(16),
            b"aes192-ctr" => Self::Ctr(24),
            b"aes256-ctr" => Self::Ctr(32),
            b"aes128-cbc" => Self::Cbc(16),
            b"aes192-cbc" => Self::Cbc(24),
            b"aes256-cbc" => Self::Cbc(32),
            b"aes128-gcm@openssh.com" => Self::Gcm(16),
            b"aes256-gcm@openssh.com" => Self::Gcm(32),
            b"chacha20-poly1305@openssh.com" => Self::ChaCha,
            _ => return None,
        })
    }

    /// How many bytes its key and its initial vector have.
    pub fn lengths(self) -> (usize, usize) {
        match self {
            Self::Ctr(key) | Self::Cbc(key) => (key, 16),
            Self::Gcm(key) => (key, 12),
            // The second half of the key is for lengths, which a file does not encrypt.
            Self::ChaCha => (64, 0),
        }
    }

    /// How many bytes its tag has.
    pub fn tag_length(self) -> usize {
        match self {
            Self::Ctr(_) | Self::Cbc(_) => 0,
            Self::Gcm(_) | Self::ChaCha => 16,
        }
    }

    /// Decrypts. `None` if the tag does not match, for modes that have one, or if a length is impossible.
    pub fn decrypt(self, key: &[u8], iv: &[u8], tag: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut data = Zeroizing::new(sealed.to_vec());
        match self {
            Self::Ctr(_) => Aes::new(key)?.count(u128::from_be_bytes(iv.try_into().ok()?), &mut data),
            Self::Cbc(_) => {
                let aes = Aes::new(key)?;
                let mut before = Block::from(<[u8; 16]>::try_from(iv).ok()?);
                if !data.len().is_multiple_of(16) {
                    return None;
                }
                for chunk in data.chunks_exact_mut(16) {
                    let mut block = Block::clone_from_slice(chunk);
                    let sealed = block;
                    aes.decrypt(&mut block);
                    xor(&mut block, &before);
                    chunk.copy_from_slice(&block);
                    before = sealed;
                }
            }
            Self::Gcm(_) => {
                let aes = Aes::new(key)?;
                let mut first = [0; 16];
                first.iter_mut().zip(iv.iter().chain(&[0, 0, 0, 1])).for_each(|(to, byte)| *to = *byte);
                let first = u128::from_be_bytes(first);
                let mut subkey = Block::default();
                aes.encrypt(&mut subkey);
                let mut hash = GHash::new(&subkey);
                hash.update_padded(sealed);
                let bits = u128::try_from(sealed.len()).ok()? * 8;
                hash.update(&[bits.to_be_bytes().into()]);
                let mut expected = hash.finalize();
                aes.count(first, &mut expected);
                if !bool::from(expected.as_slice().ct_eq(tag)) {
                    return None;
                }
                aes.count(first.wrapping_add(1), &mut data);
            }
            Self::ChaCha => {
                // The nonce is the number of the packet, and there is only one.
                let mut chacha = ChaCha20::new(GenericArray::from_slice(key.get(..32)?), &[0; 12].into());
                let mut mac_key = Zeroizing::new([0; 32]);
                chacha.apply_keystream(&mut mac_key[..]);
                let expected = Poly1305::new(GenericArray::from_slice(&mac_key[..])).compute_unpadded(sealed);
                if !bool::from(expected.as_slice().ct_eq(tag)) {
                    return None;
                }
                chacha.seek(64);
                chacha.apply_keystream(&mut data);
            }
        }
        Some(data)
    }
}

impl Aes {
    fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Aes128::new_from_slice(key).ok().map(Self::Of128),
            24 => Aes192::new_from_slice(key).ok().map(Self::Of192),
            _ => Aes256::new_from_slice(key).ok().map(Self::Of256),
        }
    }

    fn encrypt(&self, block: &mut Block) {
        match self {
            Self::Of128(aes) => aes.encrypt_block(block),
            Self::Of192(aes) => aes.encrypt_block(block),
            Self::Of256(aes) => aes.encrypt_block(block),
        }
    }

    fn decrypt(&self, block: &mut Block) {
        match self {
            Self::Of128(aes) => aes.decrypt_block(block),
            Self::Of192(aes) => aes.decrypt_block(block),
            Self::Of256(aes) => aes.decrypt_block(block),
        }
    }

    /// Counter mode, in place.
    fn count(&self, mut counter: u128, data: &mut [u8]) {
        for chunk in data.chunks_mut(16) {
            let mut block = counter.to_be_bytes().into();
            self.encrypt(&mut block);
            xor(chunk, &block);
            counter = counter.wrapping_add(1);
        }
    }
}

fn xor(to: &mut [u8], with: &[u8]) {
    to.iter_mut().zip(with).for_each(|(to, with)| *to ^= with);
}

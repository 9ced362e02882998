//! Contents sealed in chunks: RFC 9580 5.13.2, and packet 20 of the LibrePGP draft, which GnuPG 2.3 and later write.

use hkdf::Hkdf;
use pgp::{
    bytes::BytesMut,
    crypto::{aead::AeadAlgorithm, sym::SymmetricKeyAlgorithm},
};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::{Reason, contents::FORGED, packets::Fields, session::SessionKey};

const CUT: &str = "its contents are cut off";

/// One way to seal in chunks.
struct Chunks {
    cipher: SymmetricKeyAlgorithm,
    mode: AeadAlgorithm,
    key: Zeroizing<Vec<u8>>,
    /// The nonce of the first chunk.
    nonce: Vec<u8>,
    /// What is authenticated beside each chunk.
    beside: Vec<u8>,
    /// Whether the number of the chunk stands beside it too.
    numbered: bool,
    /// Octets in a chunk, without the tag.
    size: usize,
}

const TAG: usize = 16;

/// Opens version 2 of the protected data packet; `fields` stand behind the version.
pub(super) fn open_v2(session: &SessionKey, mut fields: Fields<'_>) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let head = *fields.array::<3>().ok_or(CUT)?;
    let salt = fields.array::<32>().ok_or(CUT)?;
    let (cipher, mode, size) = kind(head, &session.key)?;
    let beside = [&[0xd2, 2][..], &head].concat();
    let mut derived = Zeroizing::new(vec![0; session.key.len() + mode.nonce_size() - 8]);
    Hkdf::<Sha256>::new(Some(salt), &session.key).expand(&beside, &mut derived).map_err(|_| FORGED)?;
    let (key, nonce) = derived.split_at_checked(session.key.len()).ok_or(FORGED)?;
    let (key, nonce) = (Zeroizing::new(key.to_vec()), [nonce, &[0; 8]].concat());
    Chunks { cipher, mode, key, nonce, beside, numbered: false, size }.open(fields.0)
}

/// Opens GnuPG's packet; `fields` stand behind its version.
pub(super) fn open_gnupg(session: &SessionKey, mut fields: Fields<'_>) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let head = *fields.array::<3>().ok_or(CUT)?;
    let (cipher, mode, size) = kind(head, &session.key)?;
    if session.cipher.is_some_and(|named| named != cipher) {
        return Err(FORGED.into());
    }
    let nonce = fields.take(mode.nonce_size()).ok_or(CUT)?.to_vec();
    let beside = [&[0xd4, 1][..], &head].concat();
    Chunks { cipher, mode, key: session.key.clone(), nonce, beside, numbered: true, size }.open(fields.0)
}

fn kind(head: [u8; 3], key: &[u8]) -> Result<(SymmetricKeyAlgorithm, AeadAlgorithm, usize), Reason> {
    let [cipher, mode, size] = head;
    let (cipher, mode) = (SymmetricKeyAlgorithm::from(cipher), AeadAlgorithm::from(mode));
    let aes = matches!(
        cipher,
        SymmetricKeyAlgorithm::AES128 | SymmetricKeyAlgorithm::AES192 | SymmetricKeyAlgorithm::AES256
    );
    if !aes || !matches!(mode, AeadAlgorithm::Eax | AeadAlgorithm::Ocb | AeadAlgorithm::Gcm) {
        return Err("its contents are sealed with a cipher that is not supported: gpg may open it".into());
    }
    if key.len() != cipher.key_size() {
        return Err(FORGED.into());
    }
    let size = 64_usize.checked_shl(size.into()).filter(|size| *size >= 64).ok_or(FORGED)?;
    Ok((cipher, mode, size))
}

impl Chunks {
    fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason> {
        let (chunks, last) = sealed.split_at_checked(sealed.len().checked_sub(TAG).ok_or(CUT)?).ok_or(CUT)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(chunks.len()));
        let mut number = 0_u64;
        for chunk in chunks.chunks(self.size.saturating_add(TAG)) {
            self.open_chunk(number, None, chunk, &mut plain)?;
            number = number.saturating_add(1);
        }
        // The last tag seals how much there was.
        self.open_chunk(number, Some(plain.len() as u64), last, &mut plain)?;
        Ok(plain)
    }

    fn open_chunk(
        &self,
        number: u64,
        total: Option<u64>,
        sealed: &[u8],
        plain: &mut Zeroizing<Vec<u8>>,
    ) -> Result<(), Reason> {
        let mut nonce = self.nonce.clone();
        nonce.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(to, byte)| *to ^= byte);
        let mut beside = self.beside.clone();
        if self.numbered {
            beside.extend_from_slice(&number.to_be_bytes());
        }
        if let Some(total) = total {
            beside.extend_from_slice(&total.to_be_bytes());
        }
        let mut chunk = BytesMut::from(sealed);
        let opened = self.mode.decrypt_in_place(&self.cipher, &self.key, &nonce, &beside, &mut chunk);
        if opened.is_ok() {
            plain.extend_from_slice(&chunk);
        }
        chunk.as_mut().zeroize();
        opened.map_err(|_| FORGED.into())
    }
}

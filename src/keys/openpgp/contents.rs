//! What is inside a message: opening the protected packet, and taking the data out. RFC 9580 5.6, 5.9 and 5.13.

use std::io::Read;

use pgp::{crypto::sym::SymmetricKeyAlgorithm, packet::Decompressor, types::CompressionAlgorithm};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    Reason, aead,
    packets::{Fields, Packets, tag},
    session::SessionKey,
};

/// The most that a message may hold (64 KiB), a data key having 32 bytes: what is compressed could grow a thousandfold.
pub(super) const MAX_DATA: usize = 1 << 16;
/// Compressed packets inside compressed packets.
const MAX_DEPTH: u32 = 4;

pub(super) const FORGED: &str = "its contents do not authenticate: they were damaged or changed";
const CUT: &str = "its contents are cut off";

/// Opens the body of a packet that protects contents.
pub(super) fn open(tag: u8, body: &[u8], session: &SessionKey) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let mut fields = Fields(body);
    match (tag, fields.octet()) {
        (tag::PROTECTED, Some(1)) => open_v1(session, fields.0),
        (tag::PROTECTED, Some(2)) => aead::open_v2(session, fields),
        (tag::GNUPG_AEAD, Some(1)) => aead::open_gnupg(session, fields),
        _ => Err("its contents are protected in a way that is not supported".into()),
    }
}

/// CFB, with a hash of the plaintext at its end.
fn open_v1(session: &SessionKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason> {
    use SymmetricKeyAlgorithm::{AES128, AES192, AES256, CAST5, TripleDES};
    let cipher = session.cipher.ok_or(FORGED)?;
    let block = match cipher {
        AES128 | AES192 | AES256 => 16,
        TripleDES | CAST5 => 8,
        _ => {
            return Err(
                "its contents are encrypted with a cipher that is not supported: gpg may open it".into()
            );
        }
    };
    if session.key.len() != cipher.key_size() {
        return Err(FORGED.into());
    }
    let mut plain = Zeroizing::new(sealed.to_vec());
    let start = [0_u8; 16];
    cipher
        .decrypt_with_iv_regular(&session.key, start.get(..block).unwrap_or_default(), &mut plain)
        .map_err(|_| FORGED)?;
    let (hashed, hash) = plain.split_last_chunk::<20>().ok_or(CUT)?;
    // Behind a block of random octets, of which two stand there twice.
    let inside = hashed.get(block + 2..).and_then(|inside| inside.strip_suffix(&[0xd3, 20])).ok_or(FORGED)?;
    if !bool::from(Sha1::digest(hashed).as_slice().ct_eq(hash)) {
        return Err(FORGED.into());
    }
    Ok(Zeroizing::new(inside.to_vec()))
}

/// The data inside opened contents.
pub(super) fn data(packets: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason> {
    data_at(packets, 0)
}

fn data_at(packets: &[u8], depth: u32) -> Result<Zeroizing<Vec<u8>>, Reason> {
    if depth > MAX_DEPTH {
        return Err("its contents are compressed again and again".into());
    }
    for packet in Packets(packets) {
        let packet = packet?;
        match packet.tag {
            tag::LITERAL => {
                let mut fields = Fields(&packet.body);
                let head = (fields.octet(), fields.short(), fields.number32());
                let (Some(_), Some(_), Some(_)) = head else { return Err(CUT.into()) };
                return if fields.0.len() > MAX_DATA {
                    Err(too_much())
                } else {
                    Ok(Zeroizing::new(fields.0.to_vec()))
                };
            }
            tag::COMPRESSED => return data_at(&decompress(&packet.body)?, depth + 1),
            // Signatures, padding, markers.
            _ => {}
        }
    }
    Err("it holds no data".into())
}

fn too_much() -> Reason {
    format!("it holds more than {MAX_DATA} bytes, and a data key has 32").into()
}

fn decompress(body: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason> {
    const DAMAGED: &str = "its compressed contents are damaged";
    let (method, body) = body.split_first().ok_or(CUT)?;
    let method = match method {
        0 => CompressionAlgorithm::Uncompressed,
        1 => CompressionAlgorithm::ZIP,
        2 => CompressionAlgorithm::ZLIB,
        3 => return Err("it is compressed with bzip2, which is not supported: gpg may open it".into()),
        _ => return Err("it is compressed in a way that is not supported".into()),
    };
    // Room for all that is read, so that nothing is left behind by growing; a packet's head takes a little more.
    let room = MAX_DATA + 4096;
    let mut plain = Zeroizing::new(Vec::with_capacity(room));
    let source = Decompressor::from_algorithm(method, body).map_err(|_| DAMAGED)?;
    source.take(room as u64).read_to_end(&mut plain).map_err(|_| DAMAGED)?;
    if plain.len() == room { Err(too_much()) } else { Ok(plain) }
}

//! Long values: decrypted in pieces, while another thread takes the pieces that are ready into the MAC of the file.
//!
//! SHA-512 over a long value takes longer than all else together. Nothing else looks at the plaintext before the tag
//! was compared: it stands in the buffer, which is wiped when the tag does not match.

use std::{mem, ops::Range, sync::mpsc, thread};

use aes::{
    Aes256Enc,
    cipher::{InnerIvInit, StreamCipher, StreamCipherCore, StreamCipherCoreWrapper},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use ctr::{CtrCore, flavors::Ctr32BE};
use ghash::{GHash, universal_hash::UniversalHash};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use crate::plaintext::Plaintext;

use super::{Aes, BLOCK, Block, Cipher, Fault, Form, Path, Type, decode_base64, lengths};

/// From this many bytes on a value is long: a thread costs as much as hashing some ten thousand bytes.
const LONG: usize = 1 << 20;

/// Bytes of base64 that are decoded at a time; they give whole blocks.
const PIECE: usize = 1 << 18;

impl Cipher {
    /// Decrypts `text` in place if it is a long string, and takes the plaintext into `mac`. Gives `false`, and has
    /// changed nothing, if it is none, or is of a rare form: [`open_at`](Self::open_at) does the others.
    pub fn open_long(&self, text: &mut Plaintext, path: &Path, mac: &mut Sha512) -> Result<bool, Fault> {
        // sops itself makes data keys of 32 bytes only.
        let (Aes::Of256(aes), Some(parts)) = (&self.aes, Parts::of(text)) else { return Ok(false) };
        let counter = self.first_counter(&parts.iv)?;
        let buffer = text.bytes_mut();
        let length = decrypt(aes, counter, path.hash(), parts, buffer, mac)?;
        buffer.truncate(length);
        Ok(true)
    }
}

/// The parts of an encrypted value.
struct Parts {
    /// Where the base64 of the data stands. There is no CR in it.
    data: Range<usize>,
    iv: Vec<u8>,
    tag: [u8; BLOCK],
}

impl Parts {
    /// `None` if the text is no long string, or not in the form that sops writes.
    fn of(text: &[u8]) -> Option<Self> {
        if text.len() < LONG {
            return None;
        }
        let form = Form::of(text)?;
        let decoded = |range: &Range<usize>| BASE64_STANDARD.decode(text.get(range.clone())?).ok();
        let is_plain = form.kind == Some(Type::Str) && !text.get(form.data.clone())?.contains(&b'\r');
        let (iv, tag) = (decoded(&form.iv)?, decoded(&form.tag)?.try_into().ok()?);
        is_plain.then_some(Self { data: form.data, iv, tag })
    }
}

/// Decrypts the data to the front of the buffer and gives its length in bytes. `hash` and `aad`: GHASH over the
/// additional data, and its length.
fn decrypt(
    aes: &Aes256Enc,
    counter: Block,
    (mut hash, aad): (GHash, usize),
    Parts { data, tag, .. }: Parts,
    buffer: &mut [u8],
    mac: &mut Sha512,
) -> Result<usize, Fault> {
    let mut stream = CtrCore::<&Aes256Enc, Ctr32BE>::inner_iv_init(aes, &counter);
    let mut mask = Block::default();
    stream.write_keystream_block(&mut mask);
    let mut stream = StreamCipherCoreWrapper::from_core(stream);
    let mut length = 0_usize;
    thread::scope(|scope| {
        let (ready, batches) = mpsc::channel::<Vec<&[u8]>>();
        let mut hashed = mac.clone();
        let worker = thread::Builder::new().spawn_scoped(scope, move || {
            batches.into_iter().flatten().for_each(|piece| hashed.update(piece));
            hashed
        });
        let mut rest = buffer;
        let mut data = data;
        let mut batch = Vec::new();
        while !data.is_empty() {
            let end = data.end.min(data.start.saturating_add(PIECE));
            // Padding belongs to the end.
            let size = decode_base64(rest, 0, data.start..end)
                .filter(|size| end == data.end || *size == PIECE / 4 * 3)
                .ok_or(Fault::Base64("data"))?;
            let (piece, behind) =
                mem::take(&mut rest).split_at_mut_checked(size).ok_or(Fault::Base64("data"))?;
            rest = behind;
            data = end.saturating_sub(size)..data.end.saturating_sub(size);
            hash.update_padded(piece);
            // GCM ends at 64 GiB.
            stream.try_apply_keystream(piece).map_err(|_| Fault::Length("counter"))?;
            length = length.saturating_add(size);
            match &worker {
                Ok(_) => batch.push(&*piece),
                // Without a thread the work is done all the same, only later.
                Err(_) => mac.update(piece),
            }
            // Each batch may wake the other thread: the first is half of all, the next half of the rest, and so on.
            if batch.len() >= data.len().div_ceil(PIECE) {
                ready.send(mem::take(&mut batch)).unwrap_or_default();
            }
        }
        drop(ready);
        if let Some(hashed) = worker.ok().and_then(|worker| worker.join().ok()) {
            *mac = hashed;
        }
        Ok(())
    })?;
    hash.update(&[lengths(aad, length)]);
    mask.iter_mut().zip(hash.finalize()).for_each(|(byte, hash)| *byte ^= hash);
    if bool::from(mask.as_slice().ct_eq(&tag)) { Ok(length) } else { Err(Fault::Authentication) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_open_as_short_ones_do() {
        let cipher = Cipher::new(&[b'f'; 32]).unwrap();
        let mut path = Path::new(&cipher);
        path.enter(b"data");
        let open = |text: &str| {
            let (mut text, mut mac) = (Plaintext::from(text), Sha512::new_with_prefix("before"));
            cipher.open_long(&mut text, &path, &mut mac).map(|long| (long, text, mac.finalize()))
        };
        for length in [LONG, LONG + 1, LONG + 3 * PIECE] {
            let plain: Vec<u8> = (0..=250).cycle().take(length).collect();
            let text = cipher.seal("str", &plain, &[9; 32], b"data:");
            let (long, opened, mac) = open(&text).unwrap();
            assert!(long && *opened == *plain);
            assert_eq!(mac, Sha512::new_with_prefix("before").chain_update(&plain).finalize());
            assert_eq!(cipher.open_at(text.as_str().into(), &path).unwrap().1, opened);

            let begin = "ENC[AES256_GCM,data:".len();
            for at in [begin, begin + PIECE - 1, begin + length] {
                let (head, tail) = text.split_at(at);
                let other = if tail.starts_with('A') { "B" } else { "A" };
                let changed = format!("{head}{other}{}", &tail[1..]);
                assert_eq!(open(&changed).err(), Some(Fault::Authentication), "{at}");
            }
            for (at, padding) in [(begin + PIECE, "AA=="), (begin + PIECE - 4, "AA=="), (begin + 4, "AAA=")] {
                let (head, tail) = text.split_at(at);
                assert_eq!(
                    open(&format!("{head}{padding}{tail}")).err(),
                    Some(Fault::Base64("data")),
                    "{at}"
                );
            }
            // Left to the other way, and not changed.
            let (head, tail) = text.split_at(begin + 7);
            for text in [format!("{head}\r{tail}"), text.replace("type:str", "type:comment"), head.to_owned()]
            {
                let (long, left, mac) = open(&text).unwrap();
                assert!(!long && *left == *text.as_bytes());
                assert_eq!(mac, Sha512::digest("before"));
            }
        }
    }
}

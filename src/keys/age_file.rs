//! An age file that holds a data key: armor, header, payload, as Go's age takes them.
//!
//! sops writes each key entry as one armored age file for one recipient. Which bytes are accepted decides which files
//! open, so the rules are those of filippo.io/age 1.3.1, which sops uses: strict columns, strict base64, blanks
//! around the armor only. Facts: sops-format.md 6, and the age specification.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::AeadInPlace};
use hkdf::{
    Hkdf,
    hmac::{Hmac, Mac},
};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What a stanza wraps.
pub type FileKey = Zeroizing<[u8; 16]>;

/// Why a key entry cannot be opened by anybody.
pub type Damage = &'static str;

/// Something that may hold the secret of a stanza.
pub trait Unwrap {
    /// The file key; `None` if the stanza is not for this identity.
    fn unwrap(&self, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Damage>;
}

/// One recipient's part of a header.
#[derive(Debug)]
pub struct Stanza<'f> {
    /// `X25519`, `ssh-ed25519`, …
    pub kind: &'f [u8],
    /// What follows on the first line.
    pub args: Vec<&'f [u8]>,
    /// The decoded body.
    pub body: Vec<u8>,
}

/// An age file, without its armor.
#[derive(Debug)]
pub struct AgeFile<'f> {
    /// For whom it is.
    pub stanzas: Vec<Stanza<'f>>,
    /// The header up to its MAC.
    header: &'f [u8],
    mac: [u8; 32],
    /// Nonce and encrypted data.
    payload: &'f [u8],
}

/// Is it a file that age encrypted, with or without armor?
#[must_use]
pub fn is_encrypted(file: &[u8]) -> bool {
    file.starts_with(b"age-encryption") || file.starts_with(b"-----BEGIN AGE")
}

const BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";
const COLUMNS: usize = 64;
const COLUMN_BYTES: usize = COLUMNS / 4 * 3;
const MAX_BLANKS: usize = 1024;
/// A full part of the payload, with its tag.
const CHUNK: usize = 64 * 1024 + 16;

/// Takes the armor off.
pub fn dearmor(text: &[u8]) -> Result<Vec<u8>, Damage> {
    let mut rest = text;
    loop {
        let line = line(&mut rest).ok_or("it has no armor")?;
        if line == BEGIN {
            break;
        }
        if !is_blank(line) {
            return Err("its armor begins with another line");
        }
        if text.len() - rest.len() > MAX_BLANKS {
            return Err("too many blanks stand before its armor");
        }
    }
    let mut bytes = Vec::with_capacity(rest.len() / 4 * 3);
    loop {
        let text = line(&mut rest).ok_or("its armor has no end")?;
        if text == END {
            break;
        }
        if text.is_empty() || text.len() > COLUMNS {
            return Err("a line of its armor is empty or too long");
        }
        let before = bytes.len();
        // Go's decoder skips line ends anywhere, and here that is CR.
        let clean: Vec<u8>;
        let text = if text.contains(&b'\r') {
            clean = text.iter().copied().filter(|byte| *byte != b'\r').collect();
            &clean
        } else {
            text
        };
        BASE64_STANDARD.decode_vec(text, &mut bytes).map_err(|_| "a line of its armor is not base64")?;
        if bytes.len() - before < COLUMN_BYTES {
            if line(&mut rest) != Some(END) {
                return Err("its armor has a short line in the middle, or no end");
            }
            break;
        }
    }
    if rest.len() >= MAX_BLANKS || !is_blank(rest) {
        return Err("something follows its armor");
    }
    Ok(bytes)
}

/// Is there nothing but what Unicode takes for blanks?
fn is_blank(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.trim().is_empty())
}

/// Takes one line from the front, without its end.
fn line<'t>(rest: &mut &'t [u8]) -> Option<&'t [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (line, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
    *rest = behind.get(1..).unwrap_or_default();
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Takes one line from the front, up to a line feed that must be there.
fn header_line<'t>(rest: &mut &'t [u8]) -> Option<&'t [u8]> {
    let (line, behind) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'\n')?)?;
    *rest = behind.get(1..)?;
    Some(line)
}

impl<'f> AgeFile<'f> {
    /// Reads a file without armor.
    pub fn parse(file: &'f [u8]) -> Result<Self, Damage> {
        const CUT: Damage = "its age header is cut off";
        let mut rest = file;
        if header_line(&mut rest).ok_or(CUT)? != b"age-encryption.org/v1" {
            return Err("it is no age file of version 1");
        }
        let mut stanzas = Vec::new();
        while !rest.starts_with(b"---") {
            stanzas.push(Stanza::parse(header_line(&mut rest).ok_or(CUT)?, &mut rest)?);
        }
        let header = file.get(..file.len() - rest.len() + 3).ok_or(CUT)?;
        let mac = header_line(&mut rest).ok_or(CUT)?.strip_prefix(b"--- ").and_then(bytes32);
        Ok(Self {
            stanzas,
            header,
            mac: mac.ok_or("the MAC of its age header has a wrong form")?,
            payload: rest,
        })
    }

    /// The content, which must not be longer than one chunk (64 KiB); `None` if no stanza is for this identity.
    pub fn open(&self, identity: &dyn Unwrap) -> Result<Option<Zeroizing<Vec<u8>>>, Damage> {
        for stanza in &self.stanzas {
            if let Some(key) = identity.unwrap(stanza)? {
                return self.open_with(&key).map(Some);
            }
        }
        Ok(None)
    }

    /// As [`decrypt`](Self::decrypt), and the content must not be longer than one chunk (64 KiB).
    pub(crate) fn open_with(&self, key: &FileKey) -> Result<Zeroizing<Vec<u8>>, Damage> {
        if self.payload.len() > 16 + CHUNK {
            return Err("it holds more than a data key");
        }
        self.decrypt(key)
    }

    /// The content, whatever its length.
    pub(crate) fn decrypt(&self, key: &FileKey) -> Result<Zeroizing<Vec<u8>>, Damage> {
        const WRONG: Damage = "the MAC of its age header does not match";
        const DAMAGED: Damage = "its age payload does not authenticate";
        let mac_key = derive(&key[..], b"", b"header");
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&mac_key[..]).map_err(|_| WRONG)?;
        mac.update(self.header);
        mac.verify_slice(&self.mac).map_err(|_| WRONG)?;

        let (nonce, mut rest) = self.payload.split_at_checked(16).ok_or("its age payload is cut off")?;
        let key = derive(&key[..], nonce, b"payload");
        let mut content = Zeroizing::new(Vec::new());
        for count in 0_u128.. {
            let (chunk, behind) = rest.split_at_checked(CHUNK).unwrap_or((rest, b""));
            // The number of the chunk, and whether it is the last.
            let nonce = count << 8 | u128::from(behind.is_empty());
            let nonce = nonce.to_be_bytes();
            let nonce = nonce.last_chunk().ok_or(DAMAGED)?;
            let opened = open_aead(&key, nonce, chunk).ok_or(DAMAGED)?;
            if count == 0 {
                if behind.is_empty() {
                    return Ok(opened);
                }
                content.reserve_exact(rest.len());
            }
            // An empty chunk would be a second way to write the same content.
            if opened.is_empty() {
                return Err(DAMAGED);
            }
            content.extend_from_slice(&opened);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        Ok(content)
    }
}

impl<'f> Stanza<'f> {
    pub(crate) fn parse(first: &'f [u8], rest: &mut &'f [u8]) -> Result<Self, Damage> {
        const WRONG: Damage = "a stanza of its age header has a wrong form";
        let mut words = first.strip_prefix(b"-> ").ok_or(WRONG)?.split(|byte| *byte == b' ');
        let kind = words.next().ok_or(WRONG)?;
        let args: Vec<_> = words.collect();
        let printable = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
        if !printable(kind) || !args.iter().all(|word| printable(word)) {
            return Err(WRONG);
        }
        let mut body = Vec::new();
        loop {
            let line = header_line(rest).ok_or(WRONG)?;
            let before = body.len();
            BASE64_STANDARD_NO_PAD.decode_vec(line, &mut body).map_err(|_| WRONG)?;
            match (body.len() - before).cmp(&COLUMN_BYTES) {
                std::cmp::Ordering::Less => return Ok(Self { kind, args, body }),
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => return Err(WRONG),
            }
        }
    }
}

/// 32 bytes in base64 without padding.
pub(crate) fn bytes32(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let length = BASE64_STANDARD_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (length == bytes.len()).then_some(bytes)
}

/// HKDF-SHA-256 to 32 bytes.
pub(crate) fn derive(secret: &[u8], salt: &[u8], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // 32 bytes are below the limit of HKDF, 255 times 32.
    Hkdf::<Sha256>::new(Some(salt), secret).expand(label, &mut key[..]).unwrap_or_default();
    key
}

/// ChaCha20-Poly1305; `None` if the tag does not match.
pub(crate) fn open_aead(key: &[u8; 32], nonce: &[u8; 12], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (body, tag) = sealed.split_at_checked(sealed.len().checked_sub(16)?)?;
    let mut body = Zeroizing::new(body.to_vec());
    ChaCha20Poly1305::new(key.into())
        .decrypt_in_place_detached(nonce.into(), b"", &mut body, tag.into())
        .ok()
        .map(|()| body)
}

/// The file key inside the body of a stanza.
pub(crate) fn open_file_key(key: &[u8; 32], body: &[u8]) -> Result<Option<FileKey>, Damage> {
    if body.len() != 32 {
        return Err("a stanza of its age header wraps no file key");
    }
    let opened = open_aead(key, &[0; 12], body);
    Ok(opened.and_then(|bytes| Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))))
}

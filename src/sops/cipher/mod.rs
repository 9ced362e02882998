//! Encrypted values: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.
//!
//! The form is read as sops reads it, the bytes are decrypted in the buffer that held the text, and no byte of
//! plaintext is looked at before the tag was compared (in constant time). GCM is composed from AES-CTR and GHASH,
//! since the nonce may have any length from one byte (sops writes 32) and the data key 16, 24 or 32 bytes.
//! Facts: sops-format.md 1.1 to 1.3, and the Go library's aes package.

mod form;
mod long;
mod path;

use std::fmt;

use aes::{
    Aes128Enc, Aes192Enc, Aes256Enc, Block,
    cipher::{BlockCipher, BlockEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore, consts::U16},
};
use ctr::{CtrCore, flavors::Ctr32BE};
use ghash::{GHash, universal_hash::UniversalHash};
use subtle::ConstantTimeEq;

use crate::plaintext::Plaintext;

use self::form::{Form, decode_base64};
pub use self::{
    form::{Type, is_encrypted_comment},
    path::Path,
};

const BLOCK: usize = 16;

/// AES-GCM under one data key: what depends on the key alone is computed once. Wiped when dropped.
pub struct Cipher {
    aes: Aes,
    ghash: GHash,
}

enum Aes {
    Of128(Box<Aes128Enc>),
    Of192(Box<Aes192Enc>),
    Of256(Box<Aes256Enc>),
}

/// Why a value cannot be decrypted. Never holds bytes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The data key has a length that AES does not have.
    KeyLength(usize),
    /// Not of the form `ENC[AES256_GCM,…]`.
    Form,
    /// That part is not base64.
    Base64(&'static str),
    /// The nonce is empty, or data and tag are shorter than a tag.
    Length(&'static str),
    /// The tag does not match.
    Authentication,
    /// The type is none that sops reads.
    UnknownType,
    /// The decrypted bytes are not of the type that is written beside them.
    Conversion(Type),
    /// A number, boolean or time stands where ciphertext belongs.
    NotText,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyLength(bytes) => write!(f, "the data key has {bytes} bytes; AES needs 16, 24 or 32"),
            Self::Form => f.write_str("not of the form ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]"),
            Self::Base64(part) => write!(f, "its {part} is not base64"),
            Self::Length(part) => write!(f, "its {part} is too short"),
            Self::Authentication => f.write_str(
                "authentication failed: it was changed or moved, or the data key is another file's",
            ),
            Self::UnknownType => f.write_str("its type is none that sops reads"),
            Self::Conversion(kind) => write!(f, "its plaintext is not a {kind}"),
            Self::NotText => f.write_str("it is no string, but encrypted text belongs here"),
        }
    }
}

impl Cipher {
    /// Sets AES and GHASH up for a data key of 16, 24 or 32 bytes.
    pub fn new(data_key: &[u8]) -> Result<Self, Fault> {
        let wrong = |_| Fault::KeyLength(data_key.len());
        let aes = match data_key.len() {
            16 => Aes::Of128(Box::new(Aes128Enc::new_from_slice(data_key).map_err(wrong)?)),
            24 => Aes::Of192(Box::new(Aes192Enc::new_from_slice(data_key).map_err(wrong)?)),
            _ => Aes::Of256(Box::new(Aes256Enc::new_from_slice(data_key).map_err(wrong)?)),
        };
        let mut subkey = Block::default();
        aes.encrypt_block(&mut subkey);
        Ok(Self { aes, ghash: GHash::new(&subkey) })
    }

    /// Decrypts `text`, an encrypted value, and gives its type and its bytes. `text` itself is used up.
    pub fn open(&self, text: Plaintext, aad: &[u8]) -> Result<(Type, Plaintext), Fault> {
        let mut hash = self.ghash.clone();
        hash.update_padded(aad);
        self.open_hashed(text, hash, aad.len())
    }

    /// As [`open`](Self::open), with the path of the value as additional data.
    pub fn open_at(&self, text: Plaintext, path: &Path) -> Result<(Type, Plaintext), Fault> {
        let (hash, aad) = path.hash();
        self.open_hashed(text, hash, aad)
    }

    /// `hash` has taken in the additional data, padded, whose length was `aad` bytes.
    fn open_hashed(
        &self,
        mut text: Plaintext,
        mut hash: GHash,
        aad: usize,
    ) -> Result<(Type, Plaintext), Fault> {
        let form = Form::of(&text).ok_or(Fault::Form)?;
        let buffer = text.bytes_mut();
        let mut iv = buffer.get(form.iv.clone()).unwrap_or_default().to_vec();
        let length = decode_base64(&mut iv, 0, 0..form.iv.len()).ok_or(Fault::Base64("iv"))?;
        iv.truncate(length);
        let data = decode_base64(buffer, 0, form.data).ok_or(Fault::Base64("data"))?;
        // sops joins data and tag and takes the last 16 bytes for the tag.
        let end = decode_base64(buffer, data, form.tag).ok_or(Fault::Base64("tag"))?;
        buffer.truncate(end);
        let body = end.checked_sub(BLOCK).ok_or(Fault::Length("tag"))?;
        let (body, tag) = buffer.split_at_mut_checked(body).ok_or(Fault::Length("tag"))?;

        let counter = self.first_counter(&iv)?;
        hash.update_padded(body);
        hash.update(&[lengths(aad, body.len())]);
        self.aes.decrypt(counter, hash.finalize(), tag, body)?;
        let body = body.len();
        buffer.truncate(body);
        Ok((form.kind.ok_or(Fault::UnknownType)?, text))
    }

    /// J0 of NIST SP 800-38D 7.1.
    fn first_counter(&self, iv: &[u8]) -> Result<Block, Fault> {
        if iv.is_empty() {
            return Err(Fault::Length("iv"));
        }
        let mut counter = Block::default();
        if iv.len() == 12 {
            counter.iter_mut().zip(iv.iter().chain(&[0, 0, 0, 1])).for_each(|(to, from)| *to = *from);
            return Ok(counter);
        }
        let mut hash = self.ghash.clone();
        hash.update_padded(iv);
        hash.update(&[lengths(0, iv.len())]);
        Ok(hash.finalize())
    }
}

impl Aes {
    fn encrypt_block(&self, block: &mut Block) {
        match self {
            Self::Of128(aes) => aes.encrypt_block(block),
            Self::Of192(aes) => aes.encrypt_block(block),
            Self::Of256(aes) => aes.encrypt_block(block),
        }
    }

    /// Compares the tag, of which `hash` is the part that the key stream does not mask, and decrypts `body`.
    fn decrypt(&self, counter: Block, hash: Block, tag: &[u8], body: &mut [u8]) -> Result<(), Fault> {
        match self {
            Self::Of128(aes) => decrypt(&**aes, counter, hash, tag, body),
            Self::Of192(aes) => decrypt(&**aes, counter, hash, tag, body),
            Self::Of256(aes) => decrypt(&**aes, counter, hash, tag, body),
        }
    }
}

fn decrypt<C>(aes: &C, counter: Block, hash: Block, tag: &[u8], body: &mut [u8]) -> Result<(), Fault>
where
    C: BlockEncrypt + BlockCipher + BlockSizeUser<BlockSize = U16>,
{
    let mut stream = CtrCore::<&C, Ctr32BE>::inner_iv_init(aes, &counter);
    let mut expected = Block::default();
    stream.write_keystream_block(&mut expected);
    expected.iter_mut().zip(hash).for_each(|(byte, hash)| *byte ^= hash);
    if !bool::from(expected.as_slice().ct_eq(tag)) {
        return Err(Fault::Authentication);
    }
    // GCM ends at 64 GiB.
    stream.try_apply_keystream_partial(body.into()).map_err(|_| Fault::Length("counter"))
}

/// The last block of GHASH: both lengths in bits.
fn lengths(aad: usize, data: usize) -> Block {
    let bits = |bytes: usize| (bytes as u64).wrapping_mul(8).to_be_bytes();
    let mut block = Block::default();
    block.iter_mut().zip(bits(aad).into_iter().chain(bits(data))).for_each(|(to, from)| *to = from);
    block
}

#[cfg(test)]
impl Cipher {
    /// An encrypted value, for tests.
    pub(crate) fn seal(&self, kind: &str, plain: &[u8], iv: &[u8], aad: &[u8]) -> String {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let counter = self.first_counter(iv).unwrap();
        let Aes::Of256(aes) = &self.aes else { panic!("tests seal with 32 bytes") };
        let mut stream = CtrCore::<&Aes256Enc, Ctr32BE>::inner_iv_init(aes, &counter);
        let mut tag = Block::default();
        stream.write_keystream_block(&mut tag);
        let mut data = plain.to_vec();
        stream.try_apply_keystream_partial(data.as_mut_slice().into()).unwrap();
        let mut hash = self.ghash.clone();
        hash.update_padded(aad);
        hash.update_padded(&data);
        hash.update(&[lengths(aad.len(), data.len())]);
        tag.iter_mut().zip(hash.finalize()).for_each(|(byte, hash)| *byte ^= hash);
        let [data, iv, tag] = [&data, iv, &tag[..]].map(|part: &[u8]| BASE64_STANDARD.encode(part));
        format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{kind}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOO: &str = "ENC[AES256_GCM,data:oYyi,iv:MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=,tag:t5z2Z023Up0kxwCgw1gNxg==,type:str]";

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn open(text: &str) -> Result<(Type, String), Fault> {
        let cipher = Cipher::new(&[b'f'; 32]).unwrap();
        let opened = cipher.open(text.into(), b"bar:")?;
        Ok((opened.0, String::from_utf8(opened.1.to_vec()).unwrap()))
    }

    /// Made with Go's crypto/cipher: key, additional data, value, plaintext.
    const GO: [(&str, &str, &str, &str); 8] = [
        (
            "f3ff4d451e429e182215aaee06a2d64b",
            "56620938",
            "ENC[AES256_GCM,data:q7is0JgZS+dOaklCWCNwsq2AJck=,iv:bRqtyeUDHkuZvxGu,tag:KjfDwOvfw6tfknXxiw572g==,type:str]",
            "0a796ebc44c85fd174bfccf43cb5f561cd0040e8",
        ),
        (
            "5c6601ddb3fc1472b881d99c8428183c3fae7166ecbd7cc3",
            "",
            "ENC[AES256_GCM,data:UuWTns8=,iv:uibFXi9RackvL0aR,tag:LSSsfyS+oeq+z+6qiOaw1Q==,type:str]",
            "fae28d00f7",
        ),
        (
            "4ecaf24ca41c0d577477c4b2615a7b07d8dd0abb8f6026f0560c8be735092e6f",
            "2a15b56f9129d9e3115d909e05ac788f4f",
            "ENC[AES256_GCM,data:Ulvjn3zOrAJ5bKLkVDaIE3CqrtwS6soq6qnANV+udmJx,iv:0TImaN9NaxXFJCJV,tag:DNdln7Pe+01HNqeafbPUQQ==,type:str]",
            "4e2ca75f2c30531c00dd92d4e7d5b2c494d150ad051371aed6b0eae1a7723c552f",
        ),
        (
            "dee8cf81def8e1fa903b13363e45f90d",
            "8935a98423b94884d844619001f27bfb",
            "ENC[AES256_GCM,data:So0i/z8xtFOyzLh/cdTvjA==,iv:1w==,tag:flr9a3DfrHIXoxYzf2hUNw==,type:str]",
            "afadeadf2034f49bd58cf46e9f6e9e85",
        ),
        (
            "101f0737b6b793a57890d5056c85a2cf6b3d25c5346722ac",
            "8afc0f55eda2b8ccaf36fe986d4d03baa95e2b531a5401a16901da5c0acce8",
            "ENC[AES256_GCM,data:r3RYmiXl1qsXFb9wHC+z1G1nreoCUhnPlv6fsWMws6qDq+KzRisvNg==,iv:0kBEzcxzhNU=,tag:DJsOovXV/pCFozrIuE7wFA==,type:str]",
            "d27c18596c97cd0046e8d043cb701e43bc9e40a1a57a9f80e4a79df221c8196421a6de653d73c4f3",
        ),
        (
            "1aa5efa2efa7a64365868a58de78b52292f3f18158dc7a20ebb15c51bf5ccb08",
            "b8",
            "ENC[AES256_GCM,data:Uw==,iv:Cvd5mlrAO6o2qWZVdxL7QA==,tag:s0/yziNxjuEfu/FnP29RSQ==,type:str]",
            "19",
        ),
        (
            "e29e6587f322600ef6c56dfd1a0e69fce01ce29ebbb0ed26cb20968b1fe608f8",
            "4f490cc4e40fc70e579c5491cbc544a78a2b401ab4967031620c6a2984743e995414c211331503004c73b9690b0b3a01",
            "ENC[AES256_GCM,data:YtoRYBRte0tdtOQ+FjNR+wzUQH5jd4e2OE0dyRPF2JgwTCQXS+3FImF07ba786XDGCKWat2dsd4+yeUbYOm6EgqsqHiA0A==,iv:3VrngetlUaNuYC7zdVXrKHoHK01+waHnOYeks4e+Jm0=,tag:QVGOPoqzPz53QjzwxIOyHQ==,type:str]",
            "5815cf2f1b47789d2587a1090c68efc7b82b0de3f10b5eb5ada9069a4aa6d39373c678fda972a206145b83717f2795bbb6718d7067318d759b4966f6670741ffb37ee9041839",
        ),
        (
            "8cb16f68a44f41c59f0f1ae03116467c179b3c7a288b3ae9f9dce4aa5da7ffd8",
            "25ec991674",
            "ENC[AES256_GCM,data:ykV8HZttbEn1JJEtnKUv,iv:OfSEeGy/CFZCFgTZtwjE7KkO4WixdODky4o8itayC+pkeK+X4XoDq4cKWx2nc/6spk0KQ8FMM2vI63wz,tag:szc9eealRCy3d67J3EGo9A==,type:str]",
            "f959b3cbede39335b3f99a4e5c1f3e",
        ),
    ];

    #[test]
    fn any_key_length_and_any_nonce_length() {
        for (key, aad, text, plain) in GO {
            let cipher = Cipher::new(&hex(key)).unwrap();
            let (kind, opened) = cipher.open(text.into(), &hex(aad)).unwrap();
            assert_eq!((kind, &*opened), (Type::Str, &hex(plain)[..]));
            assert_eq!(cipher.open(text.into(), b"other"), Err(Fault::Authentication));
        }
        for length in [0, 1, 15, 17, 31, 33, 64] {
            assert_eq!(Cipher::new(&vec![1; length]).err(), Some(Fault::KeyLength(length)));
        }
    }

    #[test]
    fn forms_that_sops_reads() {
        for text in [
            FOO.to_owned(),
            format!("{FOO} and what follows"),
            format!("{FOO}\r"),
            format!("{FOO}\n]"),
            // CR inside base64 is ignored; so are the bits behind the last byte.
            FOO.replace("oYyi", "o\rYyi\r"),
            FOO.replace("V8o=", "V8p="),
            // Data and tag are joined before they are told apart.
            FOO.replace("data:oYyi", "data:oYyit5z2").replace("tag:t5z2", "tag:"),
        ] {
            assert_eq!(open(&text), Ok((Type::Str, "foo".to_owned())), "{text}");
        }
    }

    #[test]
    fn forms_that_sops_refuses() {
        for (text, fault) in [
            (String::new(), Fault::Form),
            ("plain".to_owned(), Fault::Form),
            (format!(" {FOO}"), Fault::Form),
            (FOO.replace(']', ""), Fault::Form),
            (FOO.replace("oYyi", ""), Fault::Form),
            (FOO.replace("type:str", "type:"), Fault::Form),
            (FOO.replace(",tag:", ",tag"), Fault::Form),
            (FOO.replace(",iv:", "\n,iv:"), Fault::Form),
            (FOO.replace("V8o=", "V8o"), Fault::Base64("iv")),
            (FOO.replace("oYyi", "oY==oYyi"), Fault::Base64("data")),
            (FOO.replace("oYyi", "oY-i"), Fault::Base64("data")),
            (FOO.replace("oYyi", "oY i"), Fault::Base64("data")),
            (FOO.replace("Nxg==", "Nx"), Fault::Base64("tag")),
            (FOO.replace("t5z2Z023Up0kxwCgw1gNxg==", "t5z2"), Fault::Length("tag")),
            (FOO.replace("oYyi", "oYyj"), Fault::Authentication),
            (FOO.replace("iv:My", "iv:Mx"), Fault::Authentication),
            (FOO.replace("type:str", "type:bytes"), Fault::UnknownType),
            // The last `]` of the line ends the type.
            (format!("{FOO}]"), Fault::UnknownType),
        ] {
            assert_eq!(open(&text), Err(fault), "{text}");
        }
    }

    #[test]
    fn long_values_and_line_breaks_in_them() {
        let cipher = Cipher::new(&[b'f'; 32]).unwrap();
        for length in [766, 767, 768, 769, 1535, 1536, 100_000] {
            let plain: Vec<u8> = (0..=250).cycle().take(length).collect();
            let text = cipher.seal("str", &plain, &[9; 32], b"bar:");
            assert_eq!(&*cipher.open(text.as_str().into(), b"bar:").unwrap().1, plain);
            let (head, tail) = text.split_at(text.len() / 2);
            let broken = format!("{}\r\r{tail}", head.replace("data:", "data:\r"));
            assert_eq!(&*cipher.open(broken.as_str().into(), b"bar:").unwrap().1, plain);
            // Padding in the middle is none.
            let (head, tail) = text.split_at("ENC[AES256_GCM,data:".len() + 4 * (length / 8));
            let padded = format!("{head}AA=={tail}");
            assert_eq!(cipher.open(padded.as_str().into(), b"bar:"), Err(Fault::Base64("data")));
        }
    }
}

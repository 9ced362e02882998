//! Private keys behind a passphrase: OpenSSH's container, the old form of PEM, and PKCS#8.
//!
//! OpenSSH's container tells the public key without the passphrase, so that nobody is asked for a key that does not
//! matter. The other forms do not; their public key stands in a file beside them. How much work a file may demand is
//! limited, and what a file demands is checked before anybody is asked.
//! Facts: sops-format.md 6.5, OpenSSH's PROTOCOL.key, RFC 8018.

use base64::{Engine, prelude::BASE64_STANDARD};
use md5::Md5;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    CUT, Key, Reason,
    cipher::Cipher,
    container::{self, Container},
    der,
    pem::Pem,
    public_line, tag,
    wire::{number, string},
};
use crate::keys::{age_file::Stanza, passphrase::Refused};

/// How many rounds of bcrypt a file may demand; ssh-keygen takes 16 to 24, and ten thousand last ten seconds.
const MAX_BCRYPT: u32 = 10_000;
/// How many iterations of PBKDF2 a file may demand; OpenSSL takes 2048, and ten million last ten seconds.
const MAX_PBKDF2: u32 = 10_000_000;

/// A private key behind a passphrase.
pub struct Protected {
    sealed: Sealed,
    /// The public key in SSH's wire format.
    public: Option<Vec<u8>>,
}

/// What is decrypted, and how the key for it is made.
struct Sealed {
    cipher: Cipher,
    derivation: Derivation,
    iv: Vec<u8>,
    data: Vec<u8>,
    tag: Vec<u8>,
}

enum Derivation {
    /// Gives the key and the initial vector of OpenSSH's container.
    Bcrypt { salt: Vec<u8>, rounds: u32 },
    /// Gives the key of PKCS#8, with HMAC-SHA-256.
    Pbkdf2 { salt: Vec<u8>, rounds: u32 },
    /// Gives the key of the old form: MD5, with a part of the initial vector for a salt.
    Md5,
}

impl Protected {
    pub(super) fn new(pem: &Pem<'_>) -> Result<Self, Reason> {
        match pem.label {
            b"OPENSSH PRIVATE KEY" => Self::openssh(&Container::parse(&pem.body)?),
            b"ENCRYPTED PRIVATE KEY" => pkcs8(&pem.body).map(|sealed| Self { sealed, public: None }),
            _ => old(pem).map(|sealed| Self { sealed, public: None }),
        }
        .and_then(|key| if key.sealed.is_whole() { Ok(key) } else { Err(CUT) })
    }

    fn openssh(found: &Container<'_>) -> Result<Self, Reason> {
        let cipher =
            Cipher::named(found.cipher).ok_or("it is encrypted with a cipher that is not supported")?;
        if found.derivation != b"bcrypt" {
            return Err("its passphrase goes through a function that is not supported");
        }
        let mut options = found.options;
        let salt = string(&mut options).ok_or(CUT)?.to_vec();
        let rounds = number(&mut options).ok_or(CUT)?;
        if salt.is_empty() || rounds == 0 {
            return Err(CUT);
        }
        if rounds > MAX_BCRYPT {
            return Err("it demands more than 10000 rounds of bcrypt");
        }
        let derivation = Derivation::Bcrypt { salt, rounds };
        let (data, tag) = (found.private.to_vec(), found.tag.to_vec());
        let sealed = Sealed { cipher, derivation, iv: Vec::new(), data, tag };
        Ok(Self { sealed, public: Some(found.public.to_vec()) })
    }

    /// Sets the public key that stands in a file of its own, if the private key file does not tell it.
    pub fn set_public(&mut self, line: &str) {
        if self.public.is_none() {
            self.public = public_line(line);
        }
    }

    /// Its public key as a line without a comment, `ssh-ed25519 AAAA…`, if it is known. Nothing vouches for it
    /// before the key is unlocked.
    #[must_use]
    pub fn recipient(&self) -> Option<String> {
        let wire = self.public.as_ref()?;
        let kind = std::str::from_utf8(string(&mut wire.as_slice())?).ok()?;
        Some(format!("{kind} {}", BASE64_STANDARD.encode(wire)))
    }

    pub(super) fn wire(&self) -> Option<&[u8]> {
        self.public.as_deref()
    }

    /// May it be the key that opens this stanza? Without its public key it may be for any stanza for an SSH key.
    #[must_use]
    pub fn may_open(&self, stanza: &Stanza<'_>) -> bool {
        match &self.public {
            None => stanza.kind.starts_with(b"ssh-"),
            Some(wire) => {
                string(&mut wire.as_slice()) == Some(stanza.kind)
                    && stanza.args.first().is_some_and(|found| *found == tag(wire).as_bytes())
            }
        }
    }

    /// The key behind the passphrase: never [`Key::Protected`].
    pub fn unlock(&self, passphrase: &[u8]) -> Result<Key, Refused> {
        let key = self.sealed.open(passphrase)?;
        if self.public.is_some() && key.wire() != self.public.as_deref() {
            return Err(Refused::Damaged("its public part belongs to another key"));
        }
        Ok(key)
    }
}

impl Sealed {
    /// Could any passphrase open it?
    fn is_whole(&self) -> bool {
        self.tag.len() == self.cipher.tag_length()
            && !self.data.is_empty()
            && (!matches!(self.cipher, Cipher::Cbc(_)) || self.data.len().is_multiple_of(16))
    }

    fn open(&self, passphrase: &[u8]) -> Result<Key, Refused> {
        let (key_length, iv_length) = self.cipher.lengths();
        let mut derived = Zeroizing::new(vec![0; key_length]);
        match &self.derivation {
            Derivation::Bcrypt { salt, rounds } => {
                derived.resize(key_length + iv_length, 0);
                // Refused when empty, which no file was made with.
                bcrypt_pbkdf::bcrypt_pbkdf(passphrase, salt, *rounds, &mut derived)
                    .map_err(|_| Refused::Wrong)?;
            }
            Derivation::Pbkdf2 { salt, rounds } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(passphrase, salt, *rounds, &mut derived);
            }
            Derivation::Md5 => {
                let salt = self.iv.get(..8).unwrap_or_default();
                let mut filled = Zeroizing::new(Vec::with_capacity(key_length + 16));
                let mut last = Zeroizing::new([0; 16]);
                while filled.len() < key_length {
                    let before: &[u8] = if filled.is_empty() { b"" } else { &last[..] };
                    *last = Md5::new_with_prefix(before)
                        .chain_update(passphrase)
                        .chain_update(salt)
                        .finalize()
                        .into();
                    filled.extend_from_slice(&last[..]);
                }
                derived.iter_mut().zip(filled.iter()).for_each(|(to, byte)| *to = *byte);
            }
        }
        let (key, iv) = derived.split_at_checked(key_length).ok_or(Refused::Wrong)?;
        let iv = if iv.is_empty() { &self.iv } else { iv };
        let data = self.cipher.decrypt(key, iv, &self.tag, &self.data).ok_or(Refused::Wrong)?;
        match self.derivation {
            Derivation::Bcrypt { .. } if !container::checks(&data) => Err(Refused::Wrong),
            Derivation::Bcrypt { .. } => container::private(&data).map_err(Refused::Damaged),
            // These have nothing but their padding and their form to tell a wrong passphrase by.
            Derivation::Pbkdf2 { .. } => {
                unpadded(&data).and_then(|data| der::pkcs8(data).ok()).ok_or(Refused::Wrong)
            }
            Derivation::Md5 => unpadded(&data).and_then(|data| der::pkcs1(data).ok()).ok_or(Refused::Wrong),
        }
    }
}

/// Without the padding of PKCS#7: as many bytes as each of them says.
fn unpadded(data: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*data.last()?);
    let (body, padding) = data.split_at_checked(data.len().checked_sub(length)?)?;
    (1..=16).contains(&length).then_some(())?;
    padding.iter().all(|byte| usize::from(*byte) == length).then_some(body)
}

/// `Proc-Type: 4,ENCRYPTED` and `DEK-Info: AES-128-CBC,` with an initial vector in hexadecimal digits.
fn old(pem: &Pem<'_>) -> Result<Sealed, Reason> {
    const OTHER: Reason = "it is encrypted with a cipher that is not supported";
    let cut = pem.cipher.iter().position(|byte| *byte == b',').ok_or(CUT)?;
    let (name, iv) = pem.cipher.split_at_checked(cut).ok_or(CUT)?;
    let cipher = match name {
        b"AES-128-CBC" => Cipher::Cbc(16),
        b"AES-192-CBC" => Cipher::Cbc(24),
        b"AES-256-CBC" => Cipher::Cbc(32),
        _ => return Err(OTHER),
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = iv.get(1..).unwrap_or_default().chunks(2);
    let iv = pairs.map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    let iv = iv.collect::<Option<Vec<u8>>>().filter(|iv| iv.len() == 16).ok_or(CUT)?;
    Ok(Sealed { cipher, derivation: Derivation::Md5, iv, data: pem.body.to_vec(), tag: Vec::new() })
}

/// PBES2 with PBKDF2, HMAC-SHA-256 and AES-CBC, as OpenSSL writes it.
fn pkcs8(mut der: &[u8]) -> Result<Sealed, Reason> {
    const OTHER: Reason = "it is encrypted in a way that is not supported";
    const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
    const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
    const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9];
    const AES: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1];
    let next = |rest: &mut _, kind| der::take(rest, kind).ok_or(CUT);

    let mut info = next(&mut der, der::SEQUENCE)?;
    let mut algorithm = next(&mut info, der::SEQUENCE)?;
    let data = next(&mut info, der::OCTETS)?.to_vec();
    if next(&mut algorithm, der::OBJECT)? != PBES2 {
        return Err(OTHER);
    }
    let mut parameters = next(&mut algorithm, der::SEQUENCE)?;
    let mut derivation = next(&mut parameters, der::SEQUENCE)?;
    let mut scheme = next(&mut parameters, der::SEQUENCE)?;

    if next(&mut derivation, der::OBJECT)? != PBKDF2 {
        return Err(OTHER);
    }
    let mut derivation = next(&mut derivation, der::SEQUENCE)?;
    let salt = next(&mut derivation, der::OCTETS)?.to_vec();
    let rounds = next(&mut derivation, der::INTEGER)?;
    let rounds =
        rounds.iter().try_fold(0_u32, |all, byte| all.checked_mul(256)?.checked_add(u32::from(*byte)));
    let Some(rounds @ 1..=MAX_PBKDF2) = rounds else {
        return Err("it demands more than ten million iterations of PBKDF2");
    };
    // The length of the key may stand between.
    let mut function = derivation;
    if der::take(&mut function, der::INTEGER).is_none() {
        function = derivation;
    }
    let mut function = next(&mut function, der::SEQUENCE).map_err(|_| OTHER)?;
    if next(&mut function, der::OBJECT)? != HMAC_SHA256 {
        return Err(OTHER);
    }

    let cipher = match next(&mut scheme, der::OBJECT)?.strip_prefix(AES) {
        Some([2]) => Cipher::Cbc(16),
        Some([22]) => Cipher::Cbc(24),
        Some([42]) => Cipher::Cbc(32),
        _ => return Err(OTHER),
    };
    let iv = next(&mut scheme, der::OCTETS)?.to_vec();
    if iv.len() != 16 {
        return Err(CUT);
    }
    Ok(Sealed { cipher, derivation: Derivation::Pbkdf2 { salt, rounds }, iv, data, tag: Vec::new() })
}

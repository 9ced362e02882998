//! Secret keys: reading them from a file, and what they are called. RFC 9580 5.5; version 5 is GnuPG's own, of the
//! LibrePGP draft 5.5.

use std::{fmt::Write, sync::OnceLock};

use rsa::RsaPrivateKey;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    Reason, Remedy, armor,
    packets::{Fields, Packets, tag},
};

/// A secret key with its subkeys. Wiped when dropped, as far as it lies here; what the arithmetic of RSA and
/// ElGamal (num-bigint-dig) leaves on the heap while it computes is not.
pub struct Key {
    /// The primary key first.
    pub(super) parts: Vec<Part>,
}

/// A primary key or a subkey.
pub(super) struct Part {
    pub version: u8,
    pub algorithm: u8,
    /// The public numbers, as they stand in the packet.
    pub public: Vec<u8>,
    pub fingerprint: Vec<u8>,
    /// The secret numbers, as they stand in the packet, or why they cannot be used.
    pub secret: Result<Zeroizing<Vec<u8>>, Reason>,
    /// The key ready to compute with: checking it costs as much as a tenth of using it.
    pub rsa: OnceLock<Result<RsaPrivateKey, Reason>>,
}

/// Public-key algorithms.
pub(super) mod algorithm {
    pub const RSA: u8 = 1;
    pub const RSA_ENCRYPT: u8 = 2;
    pub const RSA_SIGN: u8 = 3;
    pub const ELGAMAL: u8 = 16;
    pub const DSA: u8 = 17;
    pub const ECDH: u8 = 18;
    pub const ECDSA: u8 = 19;
    pub const ELGAMAL_SIGN: u8 = 20;
    pub const EDDSA: u8 = 22;
    pub const X25519: u8 = 25;
    pub const X448: u8 = 26;
    pub const ED25519: u8 = 27;
    pub const ED448: u8 = 28;
}

/// Curves, by their object identifiers. RFC 9580 9.2.
pub(super) mod curve {
    pub const CURVE25519: &[u8] = b"\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01";
    pub const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";
    pub const P384: &[u8] = b"\x2b\x81\x04\x00\x22";
    pub const P521: &[u8] = b"\x2b\x81\x04\x00\x23";

    /// Those that GnuPG also makes keys on: what they are called there.
    pub fn others(id: &[u8]) -> &'static str {
        match id {
            b"\x2b\x65\x6f" => "Curve448",
            b"\x2b\x24\x03\x03\x02\x08\x01\x01\x07" => "brainpoolP256r1",
            b"\x2b\x24\x03\x03\x02\x08\x01\x01\x0b" => "brainpoolP384r1",
            b"\x2b\x24\x03\x03\x02\x08\x01\x01\x0d" => "brainpoolP512r1",
            b"\x2b\x81\x04\x00\x0a" => "secp256k1",
            _ => "a curve that is not known here",
        }
    }
}

pub(super) const DAMAGED: &str = "it is damaged: its secret part does not have the form of its algorithm";
const PROTECTED: &str = "it is protected by a passphrase: take it off with `gpg --passwd`, or name the GnuPG home, whose \
                         agent may know the passphrase";
const NOT_HERE: &str = "its secret part is not here: it was exported without it";
const ON_A_CARD: &str =
    "its secret part is on a smartcard: name the GnuPG home, so that gpg can ask for the card";

impl Key {
    /// All secret keys in a file: armoured or not, one behind the other. Public keys beside them are skipped. A key
    /// whose secret part cannot be used is there too, see [`Key::unusable`].
    pub fn read_all(file: &[u8]) -> Result<Vec<Self>, Reason> {
        let mut keys = Vec::new();
        let mut public = false;
        if file.first().is_some_and(|byte| *byte >= 0x80) {
            read_packets(file, &mut keys, &mut public)?;
        } else {
            for block in armor::blocks(file)? {
                match block.label {
                    b"PRIVATE KEY BLOCK" | b"PUBLIC KEY BLOCK" => {
                        let read = read_packets(&block.bytes, &mut keys, &mut public);
                        match read {
                            Err(_) if !block.intact => {
                                return Err("its armour is damaged: the checksum is another".into());
                            }
                            read => read?,
                        }
                    }
                    b"MESSAGE" => return Err("it is an encrypted message, and no key".into()),
                    _ => {}
                }
            }
        }
        match keys.is_empty() {
            false => Ok(keys),
            true if public => {
                Err("it holds a public key, and the secret one is needed: gpg --export-secret-keys".into())
            }
            true => Err("it holds no OpenPGP key".into()),
        }
    }

    /// What the key is called in a sops file: 40 capital hexadecimal digits, or 64 for a key of version 5 or 6.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.parts.first().map(Part::name).unwrap_or_default()
    }

    /// The fingerprints of the primary key and of its subkeys: a sops file may name any of them.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        self.parts.iter().map(Part::name).collect()
    }

    /// The key ids of the primary key and of its subkeys, which a message names: 16 capital hexadecimal digits each.
    #[must_use]
    pub fn key_ids(&self) -> Vec<String> {
        self.parts.iter().map(|part| hex(&part.key_id())).collect()
    }

    /// Why the key opens nothing, if none of its parts that could decrypt has its secret.
    #[must_use]
    pub fn unusable(&self) -> Option<Reason> {
        let mut reason = None;
        for part in self.parts.iter().filter(|part| part.decrypts()) {
            match part.usable() {
                Ok(_) => return None,
                Err(why) => reason = reason.or(Some(why)),
            }
        }
        reason.or(Some("it has no part that can decrypt: it is for signatures only".into()))
    }
}

/// Takes the keys out of packets.
fn read_packets(bytes: &[u8], keys: &mut Vec<Key>, public: &mut bool) -> Result<(), Reason> {
    // Whether the primary key of the subkeys that come is among the keys.
    let mut open = false;
    for packet in Packets(bytes) {
        let packet = packet?;
        match packet.tag {
            tag::SECRET_KEY => {
                let part = Part::read(&packet.body)?;
                open = part.is_some();
                keys.extend(part.map(|part| Key { parts: vec![part] }));
            }
            tag::SECRET_SUBKEY => {
                if let (true, Some(key), Some(part)) = (open, keys.last_mut(), Part::read(&packet.body)?) {
                    key.parts.push(part);
                }
            }
            tag::PUBLIC_KEY => (open, *public) = (false, true),
            tag::SESSION_KEY | tag::PROTECTED | tag::GNUPG_AEAD => {
                return Err("it is an encrypted message, and no key".into());
            }
            _ => {}
        }
    }
    Ok(())
}

impl Part {
    /// Reads the body of a secret key or subkey packet; `None` for versions and algorithms that nobody here knows.
    pub fn read(body: &[u8]) -> Result<Option<Self>, Reason> {
        let mut fields = Fields(body);
        let Some(mut part) = Self::public(&mut fields)? else { return Ok(None) };
        part.secret = secret(part.version, fields).ok_or(DAMAGED)?;
        Ok(Some(part))
    }

    /// Reads a public key: a whole packet body, or the beginning of a secret key's. The secret is not there yet.
    pub fn public(fields: &mut Fields<'_>) -> Result<Option<Self>, Reason> {
        const CUT: &str = "it is damaged: a key in it is cut off";
        let start = *fields;
        let (version, _created) = (fields.octet().ok_or(CUT)?, fields.number32().ok_or(CUT)?);
        let algorithm = fields.octet().ok_or(CUT)?;
        let length = match version {
            4 => match public_length(algorithm, *fields) {
                Some(length) => length.ok_or(CUT)?,
                None => return Ok(None),
            },
            5 | 6 => usize::try_from(fields.number32().ok_or(CUT)?).map_err(|_| CUT)?,
            _ => return Ok(None),
        };
        let public = fields.take(length).ok_or(CUT)?.to_vec();
        let body = start.0.get(..start.0.len() - fields.0.len()).unwrap_or_default();
        let length = body.len() as u64;
        let fingerprint = if version == 4 {
            let length = u16::try_from(length).map_err(|_| CUT)?;
            let hash = Sha1::new_with_prefix([0x99]).chain_update(length.to_be_bytes());
            hash.chain_update(body).finalize().to_vec()
        } else {
            let length = u32::try_from(length).map_err(|_| CUT)?;
            let prefix = if version == 5 { 0x9a } else { 0x9b };
            let hash = Sha256::new_with_prefix([prefix]).chain_update(length.to_be_bytes());
            hash.chain_update(body).finalize().to_vec()
        };
        let secret = Err(NOT_HERE.into());
        Ok(Some(Self { version, algorithm, public, fingerprint, secret, rsa: OnceLock::new() }))
    }

    /// The secret numbers, or why they cannot be used.
    pub fn usable(&self) -> Result<&[u8], Reason> {
        if self.algorithm == algorithm::ECDH
            && let Some(id) = Fields(&self.public).short()
            && ![curve::CURVE25519, curve::P256, curve::P384, curve::P521].contains(&id)
        {
            let name = curve::others(id);
            return Err(format!("it lies on {name}, which only gpg can use: name the GnuPG home").into());
        }
        self.secret.as_ref().map(|secret| secret.as_slice()).map_err(Reason::clone)
    }

    /// The fingerprint, for people.
    pub fn name(&self) -> String {
        hex(&self.fingerprint)
    }

    /// How a message names it.
    pub fn key_id(&self) -> [u8; 8] {
        let id = match self.version {
            4 => self.fingerprint.last_chunk(),
            _ => self.fingerprint.first_chunk(),
        };
        id.copied().unwrap_or_default()
    }

    /// Whether a key of this algorithm can decrypt.
    pub fn decrypts(&self) -> bool {
        use algorithm::{ECDH, ELGAMAL, ELGAMAL_SIGN, RSA, RSA_ENCRYPT, X448, X25519};
        matches!(self.algorithm, RSA | RSA_ENCRYPT | ELGAMAL | ELGAMAL_SIGN | ECDH | X25519 | X448)
    }
}

/// How long the public numbers of a key of version 4 are: nothing if the algorithm is not known, and nothing in it if
/// they are cut off.
#[allow(clippy::option_option, reason = "both are said, and one place asks")]
fn public_length(algorithm: u8, mut fields: Fields<'_>) -> Option<Option<usize>> {
    use algorithm::{
        DSA, ECDH, ECDSA, ED448, ED25519, EDDSA, ELGAMAL, ELGAMAL_SIGN, RSA, RSA_ENCRYPT, RSA_SIGN, X448,
        X25519,
    };
    let before = fields.0.len();
    let mut numbers = |count: usize| (0..count).try_for_each(|_| fields.mpi().map(drop));
    let read = match algorithm {
        RSA | RSA_ENCRYPT | RSA_SIGN => numbers(2),
        ELGAMAL | ELGAMAL_SIGN => numbers(3),
        DSA => numbers(4),
        ECDH => fields.short().and_then(|_| fields.mpi()).and_then(|_| fields.short()).map(drop),
        ECDSA | EDDSA => fields.short().and_then(|_| fields.mpi()).map(drop),
        X25519 | ED25519 => fields.take(32).map(drop),
        X448 => fields.take(56).map(drop),
        ED448 => fields.take(57).map(drop),
        _ => return None,
    };
    Some(read.map(|()| before - fields.0.len()))
}

/// The secret part of a key packet; `None` if it is damaged.
fn secret(version: u8, mut fields: Fields<'_>) -> Option<Result<Zeroizing<Vec<u8>>, Reason>> {
    let usage = fields.octet()?;
    if usage != 0 {
        return Some(Err(why_protected(version, usage, fields)));
    }
    if version == 5 {
        // How long the fields for a passphrase are, of which there are none, and how long the numbers are.
        let length = (fields.octet()? == 0).then_some(fields.number32()?)?;
        (usize::try_from(length).ok()?.checked_add(2)? == fields.0.len()).then_some(())?;
    }
    let numbers = if version < 6 {
        let (numbers, checksum) = fields.0.split_last_chunk::<2>()?;
        let sum = numbers.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        (sum == u16::from_be_bytes(*checksum)).then_some(numbers)?
    } else {
        fields.0
    };
    Some(Ok(Zeroizing::new(numbers.to_vec())))
}

/// What stands in place of the numbers: GnuPG has two forms of its own for secrets that are elsewhere.
fn why_protected(version: u8, usage: u8, mut fields: Fields<'_>) -> Reason {
    if version < 6 && matches!(usage, 254 | 255) {
        // How long these fields are.
        let _ = if version == 5 { fields.octet() } else { None };
        let (_cipher, kind, _hash) = (fields.octet(), fields.octet(), fields.octet());
        if kind == Some(101) && fields.take(3) == Some(b"GNU") {
            return if fields.octet() == Some(2) { ON_A_CARD } else { NOT_HERE }.into();
        }
    }
    Reason::from(PROTECTED).remedy(Remedy::Home)
}

/// Capital hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

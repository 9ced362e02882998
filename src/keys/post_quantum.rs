//! age's post-quantum identities: ML-KEM-768 and X25519 joined, in HPKE.
//!
//! Facts: sops-format.md 6.2, FIPS 203, RFC 9180, and draft-ietf-hpke-pq for MLKEM768-X25519, which is X-Wing.
//! The keys are computed from the seed when they are first needed.

use std::sync::OnceLock;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use curve25519_dalek::MontgomeryPoint;
use hkdf::Hkdf;
use ml_kem::{B32, EncodedSizeUser, KemCore, MlKem768, kem::Decapsulate};
use sha2::Sha256;
use sha3::{
    Digest, Sha3_256, Shake256,
    digest::{ExtendableOutput, Update, XofReader},
};
use zeroize::{Zeroize, Zeroizing};

use crate::stack;

use super::{
    age::agree,
    age_file::{Damage, FileKey, Stanza, Unwrap, open_aead},
    bech32,
};

/// The kind of its stanzas.
pub(super) const STANZA: &[u8] = b"mlkem768x25519";

/// What its identities begin with.
const PREFIX: &str = "AGE-SECRET-KEY-PQ-";

/// A post-quantum identity. Wiped when dropped.
pub struct PostQuantum {
    seed: Zeroizing<[u8; 32]>,
    keys: OnceLock<Box<Keys>>,
}

/// The keys that the seed stands for.
struct Keys {
    lattice: <MlKem768 as KemCore>::DecapsulationKey,
    scalar: Zeroizing<[u8; 32]>,
    /// The public key of the scalar.
    point: [u8; 32],
}

impl PostQuantum {
    /// Reads `AGE-SECRET-KEY-PQ-1…`; `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        bech32::bytes32(PREFIX, text).map(Self::new)
    }

    /// A new identity.
    #[must_use]
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rand_core::RngCore::fill_bytes(&mut rand_core::OsRng, &mut seed[..]);
        Self::new(seed)
    }

    fn new(seed: Zeroizing<[u8; 32]>) -> Self {
        stack::goes_deep();
        Self { seed, keys: OnceLock::new() }
    }

    /// `AGE-SECRET-KEY-PQ-1…`
    #[must_use]
    pub fn identity(&self) -> Zeroizing<String> {
        bech32::encode_secret(PREFIX, &self.seed[..])
    }

    /// `age1pq1…`, 1959 characters.
    #[must_use]
    pub fn recipient(&self) -> String {
        let keys = self.keys();
        let lattice = keys.lattice.encapsulation_key().as_bytes();
        bech32::encode("age1pq", &[lattice.as_slice(), &keys.point].concat())
    }

    /// Is it the same identity?
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.seed[..], &other.seed[..]).into()
    }

    /// The keys; computed once, when first needed.
    fn keys(&self) -> &Keys {
        self.keys.get_or_init(|| {
            let mut stream = Shake256::default().chain(&self.seed[..]).finalize_xof();
            let mut next = || {
                let mut bytes = Zeroizing::new([0; 32]);
                stream.read(&mut bytes[..]);
                bytes
            };
            let (d, z, scalar) = (next(), next(), next());
            let (mut d, mut z) = (B32::from(*d), B32::from(*z));
            let (lattice, _) = MlKem768::generate_deterministic(&d, &z);
            d.as_mut_slice().zeroize();
            z.as_mut_slice().zeroize();
            let point = MontgomeryPoint::mul_base_clamped(*scalar).to_bytes();
            Box::new(Keys { lattice, scalar, point })
        })
    }
}

impl Keys {
    /// The secret that both sides share; `None` if what was sent cannot be right.
    fn decapsulate(&self, sent: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let (sent_lattice, sent_point) = sent.split_last_chunk::<32>()?;
        // What was made for another key gives another secret here, and no error.
        let mut lattice = self.lattice.decapsulate(&sent_lattice.try_into().ok()?).ok()?;
        let point = agree(&self.scalar, *sent_point)?;
        let mut hash = Sha3_256::new();
        for part in [lattice.as_slice(), &point[..], sent_point, &self.point, br"\.//^\"] {
            Digest::update(&mut hash, part);
        }
        lattice.as_mut_slice().zeroize();
        Some(Zeroizing::new(hash.finalize().into()))
    }
}

impl Unwrap for PostQuantum {
    fn unwrap(&self, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Damage> {
        const WRONG: Damage = "its mlkem768x25519 stanza has a wrong form";
        if stanza.kind != STANZA {
            return Ok(None);
        }
        let [sent] = stanza.args.as_slice() else { return Err(WRONG) };
        let sent = BASE64_STANDARD_NO_PAD.decode(sent).map_err(|_| WRONG)?;
        if stanza.body.len() != 32 {
            return Err(WRONG);
        }
        let shared = self.keys().decapsulate(&sent).ok_or(WRONG)?;
        let (key, nonce) = schedule(&shared);
        let opened = open_aead(&key, &nonce, &stanza.body);
        Ok(opened.and_then(|bytes| Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))))
    }
}

/// HPKE's key schedule in base mode: the AEAD key and the first nonce.
fn schedule(shared: &[u8; 32]) -> (Zeroizing<[u8; 32]>, [u8; 12]) {
    const VERSION: &[u8] = b"HPKE-v1";
    /// MLKEM768-X25519, HKDF-SHA256, ChaCha20-Poly1305.
    const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
    const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
    let extract = |salt: &[u8], label: &[u8], secret: &[u8]| {
        let input = Zeroizing::new([VERSION, SUITE, label, secret].concat());
        Hkdf::<Sha256>::extract(Some(salt), &input)
    };
    // Mode 0, no pre-shared key.
    let (no_key, _) = extract(b"", b"psk_id_hash", b"");
    let (info, _) = extract(b"", b"info_hash", INFO);
    let context = [&[0], &no_key[..], &info[..]].concat();
    let (mut secret, expander) = extract(shared, b"secret", b"");
    secret.as_mut_slice().zeroize();
    let expand = |label: &[u8], to: &mut [u8]| {
        let length = u16::try_from(to.len()).unwrap_or_default().to_be_bytes();
        // Both lengths are far below the limit of HKDF.
        expander.expand_multi_info(&[&length, VERSION, SUITE, label, &context], to).unwrap_or_default();
    };
    let (mut key, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
    expand(b"key", &mut key[..]);
    expand(b"base_nonce", &mut nonce);
    (key, nonce)
}

#[cfg(test)]
mod tests {
    use super::{
        super::age_file::{AgeFile, dearmor},
        *,
    };

    const IDENTITY: &str = include_str!("../../tests/data/keys/pq-identity");
    const RECIPIENT: &str = include_str!("../../tests/data/keys/pq-recipient");
    const FILE: &str = include_str!("../../tests/data/keys/pq.age");

    fn opened(identity: &PostQuantum, file: &[u8]) -> Result<Option<Vec<u8>>, Damage> {
        AgeFile::parse(file)?.open(identity).map(|bytes| bytes.map(|bytes| bytes.to_vec()))
    }

    #[test]
    fn files_of_age() {
        let identity = PostQuantum::parse(IDENTITY.trim_end()).unwrap();
        assert_eq!(identity.recipient(), RECIPIENT.trim_end());
        assert_eq!(*identity.identity(), IDENTITY.trim_end());
        let file = dearmor(FILE.as_bytes()).unwrap();
        let key = b"sixteen by sixteen is a data key".to_vec();
        assert_eq!(opened(&identity, &file), Ok(Some(key)));
        assert_eq!(opened(&PostQuantum::generate(), &file), Ok(None));
    }

    #[test]
    fn identities() {
        let text = IDENTITY.trim_end();
        for wrong in [
            &text.to_lowercase(),
            &text.replace("-PQ-1", "-1"),
            &text.replace("-PQ-1", "-PQ-1Q"),
            &format!("{text} "),
            RECIPIENT.trim_end(),
            "",
        ] {
            assert!(PostQuantum::parse(wrong).is_none(), "{wrong}");
        }
        let new = PostQuantum::generate();
        let again = PostQuantum::parse(&new.identity()).unwrap();
        assert!(new.same(&again) && new.recipient() == again.recipient());
        assert!(!new.same(&PostQuantum::generate()));
    }

    #[test]
    fn damaged_stanzas() {
        let identity = PostQuantum::parse(IDENTITY.trim_end()).unwrap();
        let file = dearmor(FILE.as_bytes()).unwrap();
        let file = AgeFile::parse(&file).unwrap();
        let stanza = &file.stanzas[0];
        let (long, low) = ([stanza.args[0], b"AAAA"].concat(), {
            // A point of low order.
            let mut sent = BASE64_STANDARD_NO_PAD.decode(stanza.args[0]).unwrap();
            sent[1088..].fill(0);
            BASE64_STANDARD_NO_PAD.encode(sent).into_bytes()
        });
        let wrong = Err("its mlkem768x25519 stanza has a wrong form");
        for (args, body, result) in [
            (vec![], 32, wrong),
            (vec![stanza.args[0], stanza.args[0]], 32, wrong),
            (vec![stanza.args[0].get(..100).unwrap()], 32, wrong),
            (vec![&long], 32, wrong),
            (vec![&low], 32, wrong),
            (vec![stanza.args[0]], 31, wrong),
            // Not for this identity, as far as anybody can tell.
            (vec![stanza.args[0]], 32, Ok(false)),
        ] {
            let stanza = Stanza { kind: STANZA, args, body: vec![7; body] };
            assert_eq!(identity.unwrap(&stanza).map(|key| key.is_some()), result, "{stanza:?}");
        }
    }
}

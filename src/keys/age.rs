//! age's own identities: X25519.
//!
//! Facts: sops-format.md 6.1, and the age specification.

use std::sync::OnceLock;

use curve25519_dalek::MontgomeryPoint;
use zeroize::{Zeroize, Zeroizing};

use super::{
    age_file::{Damage, FileKey, Stanza, Unwrap, bytes32, derive, open_file_key},
    bech32,
};

/// What its identities begin with.
const PREFIX: &str = "AGE-SECRET-KEY-";

/// What its recipients begin with.
const RECIPIENT: &str = "age";

/// The kind of its stanzas.
pub(super) const STANZA: &[u8] = b"X25519";

/// An X25519 identity. Wiped when dropped.
pub struct X25519 {
    secret: Zeroizing<[u8; 32]>,
    public: OnceLock<[u8; 32]>,
}

impl X25519 {
    /// The identity of a scalar, which need not be clamped.
    #[must_use]
    pub fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        Self { secret, public: OnceLock::new() }
    }

    /// Reads `AGE-SECRET-KEY-1…`; `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        bech32::bytes32(PREFIX, text).map(Self::new)
    }

    /// A new identity.
    #[cfg(feature = "key-tools")]
    #[must_use]
    pub fn generate() -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rand_core::RngCore::fill_bytes(&mut rand_core::OsRng, &mut secret[..]);
        Self::new(secret)
    }

    /// `AGE-SECRET-KEY-1…`
    #[must_use]
    pub fn identity(&self) -> Zeroizing<String> {
        bech32::encode_secret(PREFIX, &self.secret[..])
    }

    /// The public key; computed once, when first asked for.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        self.public.get_or_init(|| MontgomeryPoint::mul_base_clamped(*self.secret).to_bytes())
    }

    /// `age1…`
    #[must_use]
    pub fn recipient(&self) -> String {
        recipient(self.public())
    }

    /// Is it the same identity?
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.secret[..], &other.secret[..]).into()
    }
}

/// The recipient of a public key: `age1…`
#[must_use]
pub fn recipient(public: &[u8; 32]) -> String {
    bech32::encode(RECIPIENT, public)
}

/// The public key of a recipient; `None` if it is malformed.
fn public(recipient: &str) -> Option<[u8; 32]> {
    bech32::bytes32(RECIPIENT, recipient).map(|bytes| *bytes)
}

/// X25519, which refuses points that give nothing secret.
pub(super) fn agree(secret: &[u8; 32], point: [u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let mut shared = MontgomeryPoint(point).mul_clamped(*secret);
    let bytes = Zeroizing::new(shared.to_bytes());
    shared.zeroize();
    (bytes.iter().fold(0, |all, byte| all | byte) != 0).then_some(bytes)
}

/// An identity that opens an entry for this recipient, which may be its own.
pub(super) struct Named<'k> {
    key: &'k X25519,
    recipient: Option<[u8; 32]>,
}

impl X25519 {
    /// Spares the computation of the public key where the entry tells it.
    pub(super) fn named(&self, recipient: &str) -> Named<'_> {
        let known = self.public.get().copied();
        Named { key: self, recipient: known.or_else(|| public(recipient)) }
    }
}

impl Unwrap for Named<'_> {
    fn unwrap(&self, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Damage> {
        if stanza.kind != STANZA {
            return Ok(None);
        }
        let [share] = stanza.args.as_slice() else { return Err("its X25519 stanza has a wrong form") };
        let share = bytes32(share).ok_or("its X25519 stanza has a wrong form")?;
        let shared = agree(&self.key.secret, share).ok_or("its X25519 stanza has a point of low order")?;
        let open = |public: [u8; 32]| {
            let salt = [share, public].concat();
            open_file_key(&derive(&shared[..], &salt, b"age-encryption.org/v1/X25519"), &stanza.body)
        };
        // Whoever wrote a wrong recipient only costs us the computation that a right one spares.
        let named = self.recipient.map_or(Ok(None), open)?;
        if named.is_some() || self.recipient == Some(*self.key.public()) {
            return Ok(named);
        }
        open(*self.key.public())
    }
}

impl Unwrap for X25519 {
    fn unwrap(&self, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Damage> {
        Named { key: self, recipient: None }.unwrap(stanza)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures as f, *};

    #[test]
    fn identities() {
        for (text, recipient) in [
            (f::A.to_owned(), Some(f::A_PUBLIC)),
            (f::B.to_owned(), Some(f::B_PUBLIC)),
            (f::A.to_lowercase(), None),
            (f::A.replace("AGE-", "age-"), None),
            (f::A.replace("QQT2", "QQT3"), None),
            (format!("{} ", f::A), None),
            (f::A_PUBLIC.to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(X25519::parse(&text).map(|key| key.recipient()).as_deref(), recipient, "{text}");
        }
        assert_eq!(*X25519::parse(f::A).unwrap().identity(), f::A);
        assert_eq!(public(f::A_PUBLIC), Some(*X25519::parse(f::A).unwrap().public()));
    }

    #[test]
    fn points_of_low_order_agree_on_nothing() {
        assert!(agree(&[7; 32], [0; 32]).is_none());
        let mut nine = [0; 32];
        nine[0] = 9;
        assert!(agree(&[7; 32], nine).is_some());
    }
}

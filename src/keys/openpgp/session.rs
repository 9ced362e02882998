//! Opening a session key with a secret key. RFC 9580 5.1, 11.5, and RFC 6637.

use curve25519_dalek::MontgomeryPoint;
use p256::elliptic_curve::{
    self, AffinePoint, CurveArithmetic, FieldBytesSize, PublicKey, SecretKey,
    sec1::{FromEncodedPoint, ModulusSize, ToEncodedPoint},
};
use pgp::crypto::{aes_kw, sym::SymmetricKeyAlgorithm, x25519};
use rsa::{BigUint, Pkcs1v15Encrypt, RsaPrivateKey};
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::{
    Reason,
    key::{
        DAMAGED, Part,
        algorithm::{ECDH, ELGAMAL, ELGAMAL_SIGN, RSA, RSA_ENCRYPT, X25519},
        curve,
    },
    packets::Fields,
};
use crate::keys;

/// What a message's contents are encrypted with.
pub(super) struct SessionKey {
    /// The cipher, where the session key says it.
    pub cipher: Option<SymmetricKeyAlgorithm>,
    pub key: Zeroizing<Vec<u8>>,
}

/// Numbers above this many bits are refused: what they cost grows with their cube.
const MAX_BITS: usize = 8192;

const CUT: &str = "its session key is cut off";
const OTHER: &str = "its session key does not open with the key it names";

impl Part {
    /// Opens what a session key packet of `version` holds in `fields`.
    pub fn session_key(&self, version: u8, fields: Fields<'_>) -> Result<SessionKey, Reason> {
        let secret = self.usable()?;
        match self.algorithm {
            RSA | RSA_ENCRYPT => checked(version, &self.unwrap_rsa(secret, fields)?),
            ELGAMAL | ELGAMAL_SIGN => checked(version, &self.unwrap_elgamal(secret, fields)?),
            ECDH => checked(version, &self.unwrap_ecdh(secret, fields)?),
            X25519 => self.unwrap_x25519(version, secret, fields),
            other => Err(format!("keys of OpenPGP's algorithm {other} are not supported").into()),
        }
    }

    fn unwrap_rsa(&self, secret: &[u8], mut fields: Fields<'_>) -> Result<Zeroizing<Vec<u8>>, Reason> {
        let key = self.rsa.get_or_init(|| rsa_key(&self.public, secret));
        let key = key.as_ref().map_err(Reason::clone)?;
        let wrapped = fields.mpi().ok_or(CUT)?;
        // Without blinding, which would need random numbers: nobody outside can send message after message and
        // measure.
        key.decrypt(Pkcs1v15Encrypt, wrapped).map(Zeroizing::new).map_err(|_| OTHER.into())
    }

    fn unwrap_elgamal(&self, secret: &[u8], mut fields: Fields<'_>) -> Result<Zeroizing<Vec<u8>>, Reason> {
        let (ephemeral, wrapped) = (fields.mpi().ok_or(CUT)?, fields.mpi().ok_or(CUT)?);
        let prime = Fields(&self.public).mpi().ok_or(DAMAGED)?;
        let exponent = Fields(secret).mpi().ok_or(DAMAGED)?;
        if prime.len().max(exponent.len()) > MAX_BITS / 8 || prime.last().is_none_or(|byte| byte % 2 == 0) {
            return Err(DAMAGED.into());
        }
        let [p, a, b] = [prime, ephemeral, wrapped].map(BigUint::from_bytes_be);
        let x = Zeroizing::new(BigUint::from_bytes_be(exponent));
        let one = BigUint::from(1_u8);
        if p <= one || *x >= p || a >= p || b >= p {
            return Err(OTHER.into());
        }
        // a^(p-1) is 1, so this divides b by a^x.
        let inverse = Zeroizing::new(&p - &one - &*x);
        let shared = Zeroizing::new(a.modpow(&inverse, &p));
        let padded = Zeroizing::new((b * &*shared % &p).to_bytes_be());
        // PKCS#1: 0, which the number has lost, then 2, at least 8 octets that are not 0, and 0.
        let rest = padded.strip_prefix(&[2]).filter(|_| padded.len() + 1 == prime.len());
        let (filled, key) = rest
            .and_then(|rest| rest.split_at_checked(rest.iter().position(|byte| *byte == 0)?))
            .ok_or(OTHER)?;
        if filled.len() < 8 {
            return Err(OTHER.into());
        }
        Ok(Zeroizing::new(key.get(1..).unwrap_or_default().to_vec()))
    }

    fn unwrap_ecdh(&self, secret: &[u8], mut fields: Fields<'_>) -> Result<Zeroizing<Vec<u8>>, Reason> {
        let mut public = Fields(&self.public);
        let oid = public.short().ok_or(DAMAGED)?;
        public.mpi().ok_or(DAMAGED)?;
        let Some(&[1, hash, cipher]) = public.short() else { return Err(DAMAGED.into()) };
        let secret = Fields(secret).mpi().ok_or(DAMAGED)?;
        let (point, wrapped) = (fields.mpi().ok_or(CUT)?, fields.short().ok_or(CUT)?);
        let shared = match oid {
            curve::CURVE25519 => curve25519(secret, point)?,
            curve::P256 => nist::<p256::NistP256>(secret, point)?,
            curve::P384 => nist::<p384::NistP384>(secret, point)?,
            curve::P521 => nist::<p521::NistP521>(secret, point)?,
            _ => return Err(DAMAGED.into()),
        };
        let length = [u8::try_from(oid.len()).map_err(|_| DAMAGED)?];
        // GnuPG's version 5 has the beginning of its longer fingerprint here, version 6 all of it.
        let whole = self.fingerprint.as_slice();
        let fingerprint = if self.version == 5 { whole.get(..20).unwrap_or_default() } else { whole };
        let parameters = [&length[..], oid, &[ECDH, 3, 1, hash, cipher], SENDER, fingerprint].concat();
        let mut key = derive(hash, &shared, &parameters).ok_or(DAMAGED)?;
        key.truncate(SymmetricKeyAlgorithm::from(cipher).key_size());
        let padded = aes_kw::unwrap(&key, wrapped).map_err(|_| OTHER)?;
        unpad(&padded).map(|key| Zeroizing::new(key.to_vec())).ok_or_else(|| OTHER.into())
    }

    fn unwrap_x25519(
        &self,
        version: u8,
        secret: &[u8],
        mut fields: Fields<'_>,
    ) -> Result<SessionKey, Reason> {
        let secret = Zeroizing::new(<[u8; 32]>::try_from(secret).map_err(|_| DAMAGED)?);
        let public = <[u8; 32]>::try_from(self.public.as_slice()).map_err(|_| DAMAGED)?;
        let ephemeral = fields.array::<32>().ok_or(CUT)?;
        let mut wrapped = Fields(fields.short().ok_or(CUT)?);
        let cipher = if version == 3 { Some(wrapped.octet().ok_or(CUT)?.into()) } else { None };
        let shared = agree(&secret, ephemeral).ok_or(OTHER)?;
        let key = x25519::derive_session_key(*ephemeral, public, *shared, wrapped.0).map_err(|_| OTHER)?;
        Ok(SessionKey { cipher, key })
    }
}

/// What the derivation of a key says in place of who sends.
const SENDER: &[u8] = b"Anonymous Sender    ";

/// Derives a key from an agreed secret, as long as the hash is.
fn derive(hash: u8, shared: &[u8], parameters: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    fn hashed<H: Digest>(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        let hash = parts.iter().fold(H::new(), Digest::chain_update);
        Zeroizing::new(hash.finalize().to_vec())
    }
    let parts = [&[0, 0, 0, 1], shared, parameters];
    match hash {
        8 => Some(hashed::<Sha256>(&parts)),
        9 => Some(hashed::<Sha384>(&parts)),
        10 => Some(hashed::<Sha512>(&parts)),
        _ => None,
    }
}

/// Takes off the padding: its octets say how many they are.
fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let count = usize::from(*padded.last()?);
    let (key, padding) = padded.split_at_checked(padded.len().checked_sub(count)?)?;
    let right = count > 0 && padding.iter().all(|octet| usize::from(*octet) == count);
    right.then_some(key)
}

/// Takes cipher, session key and checksum apart.
fn checked(version: u8, wrapped: &[u8]) -> Result<SessionKey, Reason> {
    let mut fields = Fields(wrapped);
    let cipher = if version == 3 { Some(fields.octet().ok_or(OTHER)?.into()) } else { None };
    let (key, checksum) = fields.0.split_last_chunk::<2>().ok_or(OTHER)?;
    let sum = key.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    if sum != u16::from_be_bytes(*checksum) {
        return Err(OTHER.into());
    }
    Ok(SessionKey { cipher, key: Zeroizing::new(key.to_vec()) })
}

/// An RSA key ready to compute with, once it is known that its numbers belong together.
pub(super) fn rsa_key(public: &[u8], secret: &[u8]) -> Result<RsaPrivateKey, Reason> {
    let (mut public, mut secret) = (Fields(public), Fields(secret));
    let mut numbers = [&[][..]; 5];
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = if at < 2 { &mut public } else { &mut secret }.mpi().ok_or(DAMAGED)?;
    }
    if numbers.iter().any(|number| number.len() > MAX_BITS / 8) {
        return Err(DAMAGED.into());
    }
    keys::rsa::key(numbers).map_err(Into::into)
}

/// The agreed secret on Curve25519, of numbers in the form of RFC 6637.
fn curve25519(secret: &[u8], point: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let mut scalar = Zeroizing::new([0; 32]);
    if secret.len() > scalar.len() {
        return Err(DAMAGED.into());
    }
    scalar.iter_mut().zip(secret.iter().rev()).for_each(|(to, byte)| *to = *byte);
    let point = point.strip_prefix(&[0x40]).and_then(|point| point.try_into().ok()).ok_or(OTHER)?;
    Ok(Zeroizing::new(agree(&scalar, point).ok_or(OTHER)?.to_vec()))
}

/// The agreed secret, if the other's point is a good one.
fn agree(scalar: &[u8; 32], point: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = Zeroizing::new(MontgomeryPoint(*point).mul_clamped(*scalar).to_bytes());
    (*shared != [0; 32]).then_some(shared)
}

/// The agreed secret on a NIST curve.
fn nist<C>(secret: &[u8], point: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromEncodedPoint<C> + ToEncodedPoint<C>,
{
    let mut scalar = Zeroizing::new(elliptic_curve::FieldBytes::<C>::default().to_vec());
    let free = scalar.len().checked_sub(secret.len()).ok_or(DAMAGED)?;
    scalar.iter_mut().skip(free).zip(secret).for_each(|(to, byte)| *to = *byte);
    let secret = SecretKey::<C>::from_slice(&scalar).map_err(|_| DAMAGED)?;
    let point = PublicKey::<C>::from_sec1_bytes(point).map_err(|_| OTHER)?;
    let shared = elliptic_curve::ecdh::diffie_hellman(secret.to_nonzero_scalar(), point.as_affine());
    Ok(Zeroizing::new(shared.raw_secret_bytes().to_vec()))
}

//! The binary form of private key files: PKCS#1 (RFC 8017) and PKCS#8 (RFC 5958, RFC 8410), in ASN.1's DER.

use super::{CUT, Key, Reason, UNSUPPORTED, ed25519::Ed25519};

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OBJECT: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Reads `PRIVATE KEY`: the algorithm, and around the key an octet string.
pub(super) fn pkcs8(mut der: &[u8]) -> Result<Key, Reason> {
    let mut info = take(&mut der, SEQUENCE).ok_or(CUT)?;
    take(&mut info, INTEGER).ok_or(CUT)?;
    let mut algorithm = take(&mut info, SEQUENCE).ok_or(CUT)?;
    let algorithm = take(&mut algorithm, OBJECT).ok_or(CUT)?;
    let mut key = take(&mut info, OCTETS).ok_or(CUT)?;
    match algorithm {
        ED25519 => {
            let seed = take(&mut key, OCTETS).and_then(|seed| seed.try_into().ok()).ok_or(CUT)?;
            Ok(Key::Ed25519(Ed25519::new(seed, None)))
        }
        RSA => pkcs1(key),
        _ => Err(UNSUPPORTED),
    }
}

/// Reads `RSA PRIVATE KEY`: version, n, e, d, p, q, and what can be computed from these.
#[cfg(feature = "ssh-rsa")]
pub(super) fn pkcs1(mut der: &[u8]) -> Result<Key, Reason> {
    let mut key = take(&mut der, SEQUENCE).ok_or(CUT)?;
    let mut next = || super::wire::positive(take(&mut key, INTEGER)?);
    // Version 0, which is no positive number: two primes.
    if next().is_some() {
        return Err("it is an RSA key of more than two primes, a kind that is not supported");
    }
    let mut next = || next().ok_or(CUT);
    let public_and_private = [next()?, next()?, next()?];
    super::rsa::Rsa::new(public_and_private, [next()?, next()?]).map(|key| Key::Rsa(Box::new(key)))
}

#[cfg(not(feature = "ssh-rsa"))]
pub(super) fn pkcs1(_: &[u8]) -> Result<Key, Reason> {
    Err(super::RSA)
}

/// Takes a value of this type from the front.
pub(super) fn take<'d>(rest: &mut &'d [u8], kind: u8) -> Option<&'d [u8]> {
    let (&[tag, first], behind) = rest.split_first_chunk::<2>()?;
    // Above 127: the number of bytes that the length takes.
    let (length, behind) = match first {
        0..=127 => (usize::from(first), behind),
        129..=132 => {
            let (bytes, behind) = behind.split_at_checked(usize::from(first - 128))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), behind)
        }
        _ => return None,
    };
    let (value, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    (tag == kind).then_some(value)
}

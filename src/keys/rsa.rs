//! RSA keys ready to compute with, for age's ssh-rsa stanzas and for OpenPGP.

use rsa::{BigUint, RsaPrivateKey};

/// The largest modulus that ssh-keygen makes, in bytes.
pub(super) const MAX_MODULUS: usize = 16384 / 8;

/// The key of n, e, d, p, q (big-endian), once it is known that they belong together. Fails with the reason.
///
/// This costs as much as a tenth of using the key, so it waits until a file needs the key.
pub(super) fn key(numbers: [&[u8]; 5]) -> Result<RsaPrivateKey, &'static str> {
    let numbers = numbers.map(without_zeros);
    let [modulus, .., first, second] = numbers;
    if numbers.iter().any(|number| number.len() > MAX_MODULUS) {
        return Err("its RSA modulus has more than 16384 bits");
    }
    // The crate adds the first prime until a difference is positive: with primes of very different lengths it would
    // never end.
    if numbers.iter().any(|number| number.len() > modulus.len())
        || first.len().abs_diff(second.len()) > 1
        || first.len() < 16
    {
        return Err(MISMATCH);
    }
    let [modulus, public, private, primes @ ..] = numbers.map(BigUint::from_bytes_be);
    RsaPrivateKey::from_components(modulus, public, private, primes.into()).map_err(|_| MISMATCH)
}

const MISMATCH: &str = "the numbers of its RSA key do not belong together";

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

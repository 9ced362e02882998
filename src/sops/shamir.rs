//! Shamir's secret sharing over GF(2^8), as Vault and sops do it.
//!
//! A share is the values of the polynomials, one byte a byte of the secret, and then the point x at which they were
//! taken. All shares that are there are used. Facts: sops-format.md 4.4.

use zeroize::Zeroizing;

/// The secret that the shares were made from; the reason if they cannot be put together. Shares of another secret
/// give a wrong secret, not an error.
pub fn combine(shares: &[Zeroizing<Vec<u8>>]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let length = match shares {
        [] | [_] => return Err("fewer than two parts of the data key"),
        [first, rest @ ..] if rest.iter().all(|share| share.len() == first.len()) => first.len(),
        _ => return Err("the parts of the data key differ in length"),
    };
    let points: Vec<u8> = shares.iter().filter_map(|share| share.last().copied()).collect();
    if length < 2 || points.len() != shares.len() {
        return Err("the parts of the data key are too short");
    }
    let mut seen = [false; 256];
    for point in &points {
        if let Some(seen) = seen.get_mut(usize::from(*point))
            && std::mem::replace(seen, true)
        {
            return Err("two parts of the data key are of the same point");
        }
    }
    let mut secret = Zeroizing::new(vec![0_u8; length - 1]);
    for (share, point) in shares.iter().zip(&points) {
        // Lagrange's coefficient at 0; subtraction is XOR.
        let weight = points
            .iter()
            .filter(|other| *other != point)
            .fold(1, |weight, other| multiply(weight, multiply(*other, inverse(other ^ point))));
        for (byte, value) in secret.iter_mut().zip(share.iter()) {
            *byte ^= multiply(weight, *value);
        }
    }
    Ok(secret)
}

/// The product modulo x^8 + x^4 + x^3 + x + 1, in constant time.
fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0_u8);
    for bit in 0..8 {
        product ^= a & 0_u8.wrapping_sub(b >> bit & 1);
        a = (a << 1) ^ (0x1b & 0_u8.wrapping_sub(a >> 7));
    }
    product
}

/// The inverse: the 254th power. Zero gives zero.
fn inverse(a: u8) -> u8 {
    let mut power = 1;
    for bit in (0..8).rev() {
        power = multiply(power, power);
        if 254_u8 >> bit & 1 == 1 {
            power = multiply(power, a);
        }
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field() {
        for (a, b, product) in [(3, 7, 9), (0, 255, 0), (1, 255, 255), (0x53, 0xca, 1), (0x80, 2, 0x1b)] {
            assert_eq!(multiply(a, b), product, "{a} * {b}");
        }
        assert!((1..=255).all(|a| multiply(a, inverse(a)) == 1));
    }

    fn shares(shares: &[&[u8]]) -> Vec<Zeroizing<Vec<u8>>> {
        shares.iter().map(|share| Zeroizing::new(share.to_vec())).collect()
    }

    #[test]
    fn recovers_from_enough_shares_and_from_more() {
        // secret 0x2a 0x00, polynomials 0x2a + 5x + 7x² and 9x + 3x², at x = 1, 2, 200, 0.
        let value =
            |constant: u8, a: u8, b: u8, x: u8| constant ^ multiply(a, x) ^ multiply(b, multiply(x, x));
        let at = |x| vec![value(0x2a, 5, 7, x), value(0, 9, 3, x), x];
        let (one, two, three, zero) = (at(1), at(2), at(200), at(0));
        assert_eq!(*combine(&shares(&[&one, &two, &three])).unwrap(), [0x2a, 0]);
        assert_eq!(*combine(&shares(&[&three, &one, &zero, &two])).unwrap(), [0x2a, 0]);
        assert_ne!(*combine(&shares(&[&one, &two])).unwrap(), [0x2a, 0]);
    }

    #[test]
    fn refuses_what_cannot_be_put_together() {
        let cases: [&[&[u8]]; 6] =
            [&[], &[&[1, 1]], &[&[1, 1], &[1, 1, 2]], &[&[1], &[2]], &[&[], &[]], &[&[3, 1], &[4, 1]]];
        for case in cases {
            assert!(combine(&shares(case)).is_err(), "{case:?}");
        }
    }
}

//! Bech32 as age uses it: a prefix, bytes, a checksum, and no limit to the length.

use bech32::{Bech32, Checksum, Hrp, primitives::decode::CheckedHrpstring};
use zeroize::Zeroizing;

/// Bech32's checksum for texts longer than it corrects errors in: post-quantum recipients have 1959 characters.
enum Long {}

impl Checksum for Long {
    type MidstateRepr = <Bech32 as Checksum>::MidstateRepr;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [Self::MidstateRepr; 5] = Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: Self::MidstateRepr = Bech32::TARGET_RESIDUE;
}

/// The 32 bytes of an identity or recipient that begins with `prefix` and a `1`; `None` if it is malformed.
pub(super) fn bytes32(prefix: &str, text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let checked = CheckedHrpstring::new::<Long>(text).ok()?;
    // 32 bytes fill 51 characters and a bit of the 52nd; the rest of it is zero.
    let data = checked.data_part_ascii_no_checksum();
    if checked.hrp().as_str() != prefix
        || data.len() != 52
        || !matches!(data.last(), Some(b'Q' | b'S' | b'q' | b's'))
    {
        return None;
    }
    let mut secret = Zeroizing::new([0; 32]);
    secret.iter_mut().zip(checked.byte_iter()).for_each(|(to, byte)| *to = byte);
    Some(secret)
}

/// What stands before the last `1`; `None` if the text or its checksum is wrong.
#[cfg(feature = "plugins")]
pub(super) fn prefix(text: &str) -> Option<String> {
    Some(CheckedHrpstring::new::<Long>(text).ok()?.hrp().to_string())
}

/// Prefix and number of bytes of a recipient; `None` if it is malformed.
#[cfg(feature = "key-tools")]
pub(super) fn public(text: &str) -> Option<(String, usize)> {
    let checked = CheckedHrpstring::new::<Long>(text).ok()?;
    checked.validate_segwit_padding().ok()?;
    Some((checked.hrp().to_lowercase(), checked.byte_iter().count()))
}

/// The text of public bytes.
pub(super) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let text = Hrp::parse(prefix).map(|prefix| bech32::encode::<Long>(prefix, bytes));
    // Neither our prefixes nor any number of bytes can be refused.
    text.ok().and_then(Result::ok).unwrap_or_default()
}

/// The text of secret bytes, in capitals.
pub(super) fn encode_secret(prefix: &str, bytes: &[u8]) -> Zeroizing<String> {
    let text = Hrp::parse(prefix).map(|prefix| bech32::encode_upper::<Long>(prefix, bytes));
    Zeroizing::new(text.ok().and_then(Result::ok).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_consistent() {
        Long::sanity_check();
    }
}

//! SSH's wire format: numbers and strings with their length in front (RFC 4251, section 5).

/// Takes a 32-bit number from the front.
pub(super) fn number(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    Some(u32::from_be_bytes(*bytes))
}

/// Takes a string from the front.
pub(super) fn string<'k>(rest: &mut &'k [u8]) -> Option<&'k [u8]> {
    let length = number(rest)?;
    let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(bytes)
}

/// Appends a string.
pub(super) fn push_string(to: &mut Vec<u8>, bytes: &[u8]) {
    // Nothing here is longer than a key.
    to.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes());
    to.extend_from_slice(bytes);
}

/// Takes a positive integer from the front, and gives it without leading zeros.
#[cfg(feature = "ssh-rsa")]
pub(super) fn integer<'k>(rest: &mut &'k [u8]) -> Option<&'k [u8]> {
    positive(string(rest)?)
}

/// Appends a positive integer, which has no leading zeros.
#[cfg(feature = "ssh-rsa")]
pub(super) fn push_integer(to: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.first() {
        // The first bit is the sign.
        Some(128..) => push_string(to, &[&[0], bytes].concat()),
        _ => push_string(to, bytes),
    }
}

/// Drops the leading zeros of a big-endian integer in two's complement; `None` unless it is positive.
#[cfg(feature = "ssh-rsa")]
pub(super) fn positive(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.first().is_some_and(|byte| *byte >= 128) {
        return None;
    }
    bytes.get(bytes.iter().position(|byte| *byte != 0)?..)
}

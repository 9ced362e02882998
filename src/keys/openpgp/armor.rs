//! The armour: packets as lines of text. Reading is lenient, since what counts is protected inside; writing is
//! byte by byte as go-crypto does it. RFC 9580 6.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use zeroize::Zeroizing;

use super::Reason;

/// One armoured block.
pub(super) struct Block<'t> {
    /// What it says it is: `MESSAGE`, `PRIVATE KEY BLOCK`, …
    pub label: &'t [u8],
    /// What is inside.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether the checksum, if there is one, is that of the bytes.
    pub intact: bool,
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// All blocks in the text; what stands around them is skipped.
pub(super) fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, Reason> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let label = line.strip_prefix(b"-----BEGIN PGP ").and_then(|line| line.strip_suffix(b"-----"));
        if let Some(label) = label {
            blocks.push(block(label, &mut lines)?);
        }
    }
    Ok(blocks)
}

fn block<'t>(label: &'t [u8], lines: &mut impl Iterator<Item = &'t [u8]>) -> Result<Block<'t>, Reason> {
    let mut bytes = Zeroizing::new(Vec::new());
    let mut digits = Zeroizing::new([0; 64]);
    let mut filled = 0;
    let mut checksum = None;
    for line in lines {
        if let Some(end) = line.strip_prefix(b"-----END PGP ") {
            if end.strip_suffix(b"-----") != Some(label) {
                break;
            }
            let tail = digits.get(..filled).unwrap_or_default();
            decode(tail, &mut bytes)?;
            let intact = checksum.is_none_or(|checksum| checksum == crc24(&bytes));
            return Ok(Block { label, bytes, intact });
        }
        // Another end, or the end of something else.
        if line.starts_with(b"--") {
            break;
        }
        if line.contains(&b':') && bytes.is_empty() && filled == 0 {
            continue;
        }
        if let Some(sum) = line.strip_prefix(b"=").filter(|sum| sum.len() == 4) {
            let sum = LENIENT.decode(sum).map_err(|_| NOT_BASE64)?;
            checksum = sum.iter().try_fold(0_u32, |sum, byte| Some(sum << 8 | u32::from(*byte)));
            continue;
        }
        for byte in line.iter().filter(|byte| !byte.is_ascii_whitespace()) {
            if let Some(place) = digits.get_mut(filled) {
                *place = *byte;
                filled += 1;
            }
            if filled == digits.len() {
                decode(&*digits, &mut bytes)?;
                filled = 0;
            }
        }
    }
    Err("its armour has no end".into())
}

const NOT_BASE64: &str = "its armour is damaged: a line of it is not base64";

fn decode(digits: &[u8], bytes: &mut Zeroizing<Vec<u8>>) -> Result<(), Reason> {
    let mut decoded = Zeroizing::new([0; 48]);
    let length = LENIENT.decode_slice(digits, &mut *decoded).map_err(|_| NOT_BASE64)?;
    // Growing by hand, so that no copy of a key stays behind.
    if bytes.capacity() - bytes.len() < length {
        let mut grown = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_mul(2).max(4096)));
        grown.extend_from_slice(bytes);
        *bytes = grown;
    }
    bytes.extend_from_slice(decoded.get(..length).unwrap_or_default());
    Ok(())
}

/// The block as go-crypto writes it: lines of 64 columns, the checksum, and no line feed at the end.
pub(super) fn encode(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    let room = bytes.len().saturating_mul(3) / 2 + 2 * label.len() + 80;
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str("-----BEGIN PGP ");
    text.push_str(label);
    text.push_str("-----\n\n");
    for line in bytes.chunks(48) {
        BASE64_STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push('=');
    BASE64_STANDARD.encode_string(crc24(bytes).to_be_bytes().get(1..).unwrap_or_default(), &mut text);
    text.push_str("\n-----END PGP ");
    text.push_str(label);
    text.push_str("-----");
    text
}

fn crc24(bytes: &[u8]) -> u32 {
    let mut crc = 0x00b7_04ce;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    crc & 0x00ff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_again() {
        for length in [0, 1, 2, 3, 47, 48, 49, 96, 5000] {
            let bytes: Vec<u8> = (0_u8..=250).cycle().take(length).collect();
            let text = encode("MESSAGE", &bytes);
            for text in [
                text.to_string(),
                text.replace('\n', "\r\n"),
                format!("note\n  {}  \nmore", text.replace('\n', "\n  ")),
            ] {
                let blocks = blocks(text.as_bytes()).unwrap();
                let [block] = blocks.as_slice() else { panic!("{text}") };
                assert_eq!((block.label, &**block.bytes, block.intact), (&b"MESSAGE"[..], &*bytes, true));
            }
        }
        assert_eq!(*encode("X", b"hello"), "-----BEGIN PGP X-----\n\naGVsbG8=\n=R/WK\n-----END PGP X-----");
    }

    #[test]
    fn what_is_damaged() {
        let text = encode("MESSAGE", b"hello, hello");
        let read = |text: &str| {
            blocks(text.as_bytes()).map(|blocks| blocks.iter().map(|block| block.intact).collect::<Vec<_>>())
        };
        for (from, to, expected) in [
            ("", "", Ok(vec![true])),
            ("aGVs", "aGVt", Ok(vec![false])),
            ("\n\n", "\nVersion: 1\nComment: x\n\n", Ok(vec![true])),
            ("\n\n", "\n", Ok(vec![true])),
            ("aGVs", "a*Vs", Err(NOT_BASE64.into())),
            ("-----END", "----END", Err("its armour has no end".into())),
            ("END PGP MESSAGE", "END PGP OTHER", Err("its armour has no end".into())),
            ("-----BEGIN", "----BEGIN", Ok(vec![])),
        ] {
            assert_eq!(read(&text.replacen(from, to, 1)), expected, "{from} {to}");
        }
        assert_eq!(read(&format!("{}\n{}\n", *text, *text)), Ok(vec![true, true]));
    }
}

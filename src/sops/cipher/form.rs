//! The text of an encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.
//!
//! Facts: sops-format.md 1.1, and Go's base64.

use std::{fmt, ops::Range};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::json::plain_prefix;

/// What follows `type:` in an encrypted value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `str`
    Str,
    /// `int`
    Int,
    /// `float`
    Float,
    /// `bool`
    Bool,
    /// `time`
    Time,
    /// `comment`
    Comment,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::Comment => "comment",
        })
    }
}

impl Type {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"str" => Self::Str,
            b"int" => Self::Int,
            b"float" => Self::Float,
            b"bool" => Self::Bool,
            b"time" => Self::Time,
            b"comment" => Self::Comment,
            _ => return None,
        })
    }
}

/// Where the parts of an encrypted value stand.
pub(super) struct Form {
    pub data: Range<usize>,
    pub iv: Range<usize>,
    pub tag: Range<usize>,
    pub kind: Option<Type>,
}

const START: &[u8] = b"ENC[AES256_GCM,data:";

impl Form {
    /// As `^ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\]` matches, greedily, on the first line.
    pub fn of(text: &[u8]) -> Option<Self> {
        if !text.starts_with(START) {
            return None;
        }
        let line = text.get(..plain_prefix(text, |byte| byte == b'\n'))?;
        let close = line.iter().rposition(|byte| *byte == b']')?;
        let kind = last(line, b",type:", close)?;
        let tag = last(line, b",tag:", kind.start.checked_sub(b",type:".len())?)?;
        let iv = last(line, b",iv:", tag.start.checked_sub(b",tag:".len())?)?;
        let data = START.len()..iv.start.checked_sub(b",iv:".len())?;
        let kind = Type::named(line.get(kind)?);
        (!data.is_empty()).then_some(Self { data, iv, tag, kind })
    }
}

/// The text between the last `label` and `end`, which must not be empty.
fn last(line: &[u8], label: &[u8], end: usize) -> Option<Range<usize>> {
    let before = line.get(..end.checked_sub(1)?)?;
    let start = before.windows(label.len()).rposition(|part| part == label)?.checked_add(label.len())?;
    Some(start..end)
}

/// Is this an encrypted comment? In a list, sops writes one as an ordinary element.
#[must_use]
pub fn is_encrypted_comment(text: &[u8]) -> bool {
    Form::of(text).is_some_and(|form| form.kind == Some(Type::Comment))
}

/// Go's `StdEncoding`: padding required, bits behind the last byte not looked at.
const GO_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);
/// For all but the last part of a text, where padding would be in the middle.
const GO_BASE64_MIDDLE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Decodes `from` to `to`, which must not lie behind it, and gives the end of what it wrote. CR and LF are ignored.
pub(super) fn decode_base64(buffer: &mut [u8], to: usize, from: Range<usize>) -> Option<usize> {
    const TEXT: usize = 1024;
    let mut decoded = [0_u8; TEXT / 4 * 3];
    let (mut to, mut from) = (to, from);
    let mut clean = false;
    while !from.is_empty() {
        let end = from.end.min(from.start.checked_add(TEXT)?);
        let engine = if end == from.end { &GO_BASE64 } else { &GO_BASE64_MIDDLE };
        let Ok(length) = engine.decode_slice(buffer.get(from.start..end)?, &mut decoded) else {
            // Line breaks are rare: look for them only now. What is left to read is still untouched.
            if clean {
                return None;
            }
            let rest = buffer.get_mut(from.clone())?;
            let mut kept = 0_usize;
            for at in 0..rest.len() {
                let byte = *rest.get(at)?;
                if byte != b'\r' && byte != b'\n' {
                    *rest.get_mut(kept)? = byte;
                    kept = kept.checked_add(1)?;
                }
            }
            from.end = from.start.checked_add(kept)?;
            clean = true;
            continue;
        };
        let next = to.checked_add(length)?;
        buffer.get_mut(to..next)?.copy_from_slice(decoded.get(..length)?);
        to = next;
        from.start = end;
    }
    Some(to)
}

//! What a scalar means: go-yaml's rules for null, booleans, numbers, timestamps and tags.

use zeroize::Zeroizing;

use crate::sops::{
    number::{format_general, parse_float},
    time::Time,
};

use super::timestamp;

/// The prefix that `!!` stands for.
pub(super) const STANDARD_TAGS: &[u8] = b"tag:yaml.org,2002:";

/// A scalar that is more than its text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer above the range of `i64`.
    Uint(u64),
    Float(f64),
    Time(Time),
    /// The text itself.
    Text,
}

/// A tag that is written before a node, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Binary,
    Bool,
    Float,
    Int,
    Merge,
    Null,
    Timestamp,
    /// One that changes nothing: the text is a text.
    Other,
}

impl Tag {
    /// The tag that prefix and suffix make up; `None` for `!`, which is as good as none.
    pub fn of(prefix: &[u8], suffix: &[u8]) -> Option<Self> {
        // The standard tags are short, and hostile prefixes may be long.
        if prefix.len() + suffix.len() > STANDARD_TAGS.len() + 9 {
            return Some(Self::Other);
        }
        let tag = [prefix, suffix].concat();
        if tag == b"!" {
            return None;
        }
        let name = tag.strip_prefix(STANDARD_TAGS).or_else(|| tag.strip_prefix(b"!!")).unwrap_or_default();
        Some(match name {
            b"binary" => Self::Binary,
            b"bool" => Self::Bool,
            b"float" => Self::Float,
            b"int" => Self::Int,
            b"merge" => Self::Merge,
            b"null" => Self::Null,
            b"timestamp" => Self::Timestamp,
            _ => Self::Other,
        })
    }
}

/// The meaning of a plain scalar without a tag.
pub(super) fn plain(text: &[u8]) -> Meaning {
    resolve(text, true)
}

/// The meaning of a scalar with a tag; `None` if it is not what the tag says. `!!binary` is not decoded here: its text
/// is a text.
pub(super) fn tagged(tag: Tag, text: &[u8]) -> Option<Meaning> {
    let meaning = match tag {
        Tag::Bool | Tag::Int | Tag::Float | Tag::Null => resolve(text, false),
        Tag::Timestamp => resolve(text, true),
        Tag::Binary | Tag::Merge | Tag::Other => return Some(Meaning::Text),
    };
    match (tag, meaning) {
        // As Go converts it.
        #[allow(clippy::cast_precision_loss)]
        (Tag::Float, Meaning::Int(int)) => Some(Meaning::Float(int as f64)),
        (Tag::Bool, Meaning::Bool(_))
        | (Tag::Int, Meaning::Int(_) | Meaning::Uint(_))
        | (Tag::Float, Meaning::Float(_))
        | (Tag::Null, Meaning::Null)
        | (Tag::Timestamp, Meaning::Time(_)) => Some(meaning),
        _ => None,
    }
}

fn resolve(text: &[u8], times: bool) -> Meaning {
    let Some(first) = text.first() else { return Meaning::Null };
    if !matches!(first, b'+' | b'-' | b'.' | b'0'..=b'9' | b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F') {
        return Meaning::Text;
    }
    match text {
        b"~" | b"null" | b"Null" | b"NULL" => return Meaning::Null,
        b"true" | b"True" | b"TRUE" => return Meaning::Bool(true),
        b"false" | b"False" | b"FALSE" => return Meaning::Bool(false),
        b".nan" | b".NaN" | b".NAN" => return Meaning::Float(f64::NAN),
        b".inf" | b".Inf" | b".INF" | b"+.inf" | b"+.Inf" | b"+.INF" => return Meaning::Float(f64::INFINITY),
        b"-.inf" | b"-.Inf" | b"-.INF" => return Meaning::Float(f64::NEG_INFINITY),
        _ => {}
    }
    // Nothing longer is a number that Go reads without loss of interest: but long digits are still floats.
    let Ok(text) = std::str::from_utf8(text) else { return Meaning::Text };
    let number = match first {
        // Go takes underscores between digits here.
        b'.' => parse_float(text.as_bytes()).ok().map(Meaning::Float),
        b'+' | b'-' | b'0'..=b'9' => {
            let time = if times { timestamp::parse(text.as_bytes()) } else { None };
            time.map(Meaning::Time).or_else(|| number(text))
        }
        _ => None,
    };
    number.unwrap_or(Meaning::Text)
}

fn number(text: &str) -> Option<Meaning> {
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_')) {
        return None;
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| decimal(&plain).map(Meaning::Float)).or_else(|| signed_digits(&plain))
}

/// Go's integer literals: a sign, then `0x`, `0o`, `0b` or `0` (octal) or none (decimal), then digits.
fn integer(text: &str) -> Option<Meaning> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (digits.get(2..)?, 16),
        [b'0', b'o' | b'O', ..] => (digits.get(2..)?, 8),
        [b'0', b'b' | b'B', ..] => (digits.get(2..)?, 2),
        [b'0', _, ..] => (digits.get(1..)?, 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    if text.starts_with('-') {
        return 0_i64.checked_sub_unsigned(size).map(Meaning::Int);
    }
    match i64::try_from(size) {
        Ok(int) => Some(Meaning::Int(int)),
        Err(_) if text.starts_with('+') => None,
        Err(_) => Some(Meaning::Uint(size)),
    }
}

/// Decimal floats within the range of a double. Go reads more with `ParseFloat`, but go-yaml asks only for these.
fn decimal(text: &str) -> Option<f64> {
    let fits =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    if fits { parse_float(text.as_bytes()).ok() } else { None }
}

/// Binary and octal digits behind a prefix that may itself be followed by a sign: `0b-1` is -1.
fn signed_digits(text: &str) -> Option<Meaning> {
    let (digits, radix) =
        if let Some(digits) = text.strip_prefix("0b") { (digits, 2) } else { (text.strip_prefix("0o")?, 8) };
    i64::from_str_radix(digits, radix).ok().map(Meaning::Int)
}

/// Whether YAML 1.1 reads this as a boolean; such strings are quoted.
pub(super) fn is_old_bool(text: &[u8]) -> bool {
    matches!(
        text,
        b"y" | b"Y"
            | b"yes"
            | b"Yes"
            | b"YES"
            | b"on"
            | b"On"
            | b"ON"
            | b"n"
            | b"N"
            | b"no"
            | b"No"
            | b"NO"
            | b"off"
            | b"Off"
            | b"OFF"
    )
}

/// Whether YAML 1.1 reads this as a number to the base 60 (`1:30`); such strings are quoted.
pub(super) fn is_base_60(text: &[u8]) -> bool {
    if !matches!(text, [b'+' | b'-' | b'0'..=b'9', ..]) {
        return false;
    }
    let unsigned = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let mut parts = unsigned.split(|byte| *byte == b':');
    let loose = |part: &[u8]| part.iter().all(|byte| byte.is_ascii_digit() || *byte == b'_');
    let sixtieth = |part: &[u8]| match part {
        [digit] => digit.is_ascii_digit(),
        [tens, ones] => (b'0'..=b'5').contains(tens) && ones.is_ascii_digit(),
        _ => false,
    };
    let whole = parts.next().unwrap_or_default();
    if !whole.first().is_some_and(u8::is_ascii_digit) || !loose(whole) {
        return false;
    }
    let Some(last) = parts.next_back() else { return false };
    if !parts.all(sixtieth) {
        return false;
    }
    match last.iter().position(|byte| *byte == b'.') {
        Some(dot) => {
            let (ones, fraction) = last.split_at(dot);
            sixtieth(ones) && loose(fraction.get(1..).unwrap_or_default())
        }
        None => sixtieth(last),
    }
}

/// A float as go-yaml writes it: the shortest digits, with an exponent below -4 and from 6 up (Go's `%g`).
pub(super) fn format_float(float: f64) -> Zeroizing<String> {
    let special = match float {
        _ if float.is_nan() => ".nan",
        f64::INFINITY => ".inf",
        f64::NEG_INFINITY => "-.inf",
        _ => return format_general(float, false),
    };
    Zeroizing::new(special.to_owned())
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_go() {
        let cases: &[(&str, Meaning)] = &[
            ("0777", Meaning::Int(511)),
            ("08", Meaning::Float(8.0)),
            ("0x1F", Meaning::Int(31)),
            ("-0b11", Meaning::Int(-3)),
            ("0b-11", Meaning::Int(-3)),
            ("0o-7", Meaning::Int(-7)),
            ("1_000", Meaning::Int(1000)),
            ("_1", Meaning::Text),
            ("+12", Meaning::Int(12)),
            ("-9223372036854775808", Meaning::Int(i64::MIN)),
            ("-9223372036854775809", Meaning::Float(-9.223_372_036_854_776e18)),
            ("9223372036854775808", Meaning::Uint(9_223_372_036_854_775_808)),
            ("+9223372036854775808", Meaning::Float(9.223_372_036_854_776e18)),
            ("18446744073709551616", Meaning::Float(1.844_674_407_370_955_2e19)),
            ("0x10000000000000000", Meaning::Text),
            ("1e999", Meaning::Text),
            ("1e3", Meaning::Float(1000.0)),
            ("1.", Meaning::Float(1.0)),
            (".5_0", Meaning::Float(0.5)),
            (".5__0", Meaning::Text),
            (".", Meaning::Text),
            ("+.5", Meaning::Float(0.5)),
            ("-", Meaning::Text),
            ("yes", Meaning::Text),
            ("TRUE", Meaning::Bool(true)),
            ("", Meaning::Null),
            ("~", Meaning::Null),
            ("<<", Meaning::Text),
        ];
        for (text, meaning) in cases {
            assert_eq!(plain(text.as_bytes()), *meaning, "{text}");
        }
    }

    #[test]
    fn floats_are_written_as_go_writes_them() {
        let cases = [
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.0, "-0"),
            (3.0, "3"),
            (1e100, "1e+100"),
            // Go and Rust choose differently between two shortest decimals.
            (f64::from_bits(0x4309_27c5_6275_3c52), "8.850753914571622e+14"),
            (f64::from_bits(0xc300_1c05_8435_e8aa), "-5.668012057387732e+14"),
            (f64::INFINITY, ".inf"),
        ];
        for (float, text) in cases {
            assert_eq!(*format_float(float), text);
        }
    }

    #[test]
    fn base_60_is_seen() {
        for (text, expected) in [
            ("1:30", true),
            ("-1_0:59:0.5_", true),
            ("1:60", false),
            ("1:", false),
            ("1", false),
            (":1", false),
            ("12:3:", false),
            ("1:5.", true),
            ("a:10", false),
        ] {
            assert_eq!(is_base_60(text.as_bytes()), expected, "{text}");
        }
    }
}

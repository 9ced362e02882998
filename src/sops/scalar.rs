//! Typed values as bytes: what stands inside an encrypted value, and what the MAC takes in.
//!
//! Facts: sops-format.md 1.4.

use std::io::Write;

use crate::plaintext::Plaintext;

use super::{cipher::Type, time::Time, value::Value};

/// The value that the decrypted `bytes` of type `kind` mean; `None` if they are no such value.
#[must_use]
pub fn from_bytes(kind: Type, bytes: Plaintext) -> Option<Value> {
    Some(match kind {
        Type::Str => Value::Str(bytes),
        Type::Comment => Value::Comment(bytes),
        Type::Int => Value::Int(parse_int(&bytes)?),
        Type::Float => Value::Float(parse_float(&bytes)?),
        Type::Bool => Value::Bool(parse_bool(&bytes)?),
        Type::Time => Value::Time(parse_time(&bytes).filter(is_marshalable)?),
    })
}

/// Gives `sink` the bytes by which the MAC knows a leaf. Null, comments, mappings and lists have none.
pub fn mac_bytes(value: &Value, sink: &mut impl FnMut(&[u8])) {
    match value {
        Value::Str(bytes) => sink(bytes),
        Value::Int(number) => sink(number.to_string().as_bytes()),
        Value::Float(number) => sink(format_f(*number).as_bytes()),
        Value::Bool(true) => sink(b"True"),
        Value::Bool(false) => sink(b"False"),
        Value::Time(time) => sink(format_time(time, true).as_bytes()),
        Value::Null | Value::Comment(_) | Value::Map(_) | Value::List(_) => {}
    }
}

/// As Go's `strconv.Atoi`: an optional sign and decimal digits, within 64 bits.
pub(super) fn parse_int(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// As Go's `strconv.ParseFloat(text, 64)`.
pub(super) fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: f64 = text.parse().ok()?;
    // Too large is an error in Go, and NaN has no sign.
    let named = text.bytes().any(|byte| matches!(byte, b'n' | b'N'));
    let signed = text.starts_with(['+', '-']);
    ((number.is_finite() || named) && !(number.is_nan() && signed)).then_some(number)
}

/// As Go's `strconv.ParseBool`.
pub(super) fn parse_bool(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

/// As Go's `strconv.FormatFloat(number, 'f', -1, 64)`: the fewest digits that read back, never an exponent.
fn format_f(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    number.to_string()
}

/// Go reads offsets of a day and more, but does not write them.
fn is_marshalable(time: &Time) -> bool {
    time.offset.is_none_or(|seconds| seconds.abs() < 24 * 3600)
}

/// As Go's `time.Parse(time.RFC3339, text)`, which also takes an hour of one digit, a comma before the fraction, and
/// offsets up to 24:60.
pub(super) fn parse_time(text: &[u8]) -> Option<Time> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    sign(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    sign(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    sign(&mut rest, b"T")?;
    let one = rest.get(1) == Some(&b':');
    let hour = digits(&mut rest, if one { 1 } else { 2 })?;
    sign(&mut rest, b":")?;
    let minute = digits(&mut rest, 2)?;
    sign(&mut rest, b":")?;
    let second = digits(&mut rest, 2)?;
    let mut nanosecond = 0;
    if sign(&mut rest, b".,").is_some() {
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, behind) = rest.split_at_checked(length)?;
        if fraction.is_empty() {
            return None;
        }
        for at in 0..9 {
            nanosecond = nanosecond * 10 + u32::from(fraction.get(at).copied().unwrap_or(b'0') - b'0');
        }
        rest = behind;
    }
    let offset = if rest == b"Z" {
        0
    } else {
        let west = sign(&mut rest, b"+-")? == b'-';
        let hours = digits(&mut rest, 2)?;
        sign(&mut rest, b":")?;
        let minutes = digits(&mut rest, 2)?;
        if !rest.is_empty() || hours > 24 || minutes > 60 {
            return None;
        }
        let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
        if west { -seconds } else { seconds }
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    if day == 0 || day > days || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(Time {
        year: u16::try_from(year).ok()?,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
        hour: u8::try_from(hour).ok()?,
        minute: u8::try_from(minute).ok()?,
        second: u8::try_from(second).ok()?,
        nanosecond,
        offset: (offset != 0).then_some(offset),
    })
}

/// Takes `count` digits from the front.
fn digits(rest: &mut &[u8], count: usize) -> Option<u32> {
    let (digits, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    digits.iter().try_fold(0, |number, byte| Some(number * 10 + char::from(*byte).to_digit(10)?))
}

/// Takes one of `signs` from the front.
fn sign(rest: &mut &[u8], signs: &[u8]) -> Option<u8> {
    let (first, behind) = rest.split_first()?;
    signs.contains(first).then(|| {
        *rest = behind;
        *first
    })
}

/// RFC 3339 as Go writes it, with the fraction (if there is one, without trailing zeros) or without.
pub(super) fn format_time(time: &Time, fraction: bool) -> String {
    let Time { year, month, day, hour, minute, second, nanosecond, offset } = time;
    let mut text = Vec::with_capacity(35);
    let mut write = |part: std::fmt::Arguments<'_>| text.write_fmt(part).unwrap_or_default();
    write(format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
    if fraction && *nanosecond != 0 {
        let digits = format!("{nanosecond:09}");
        write(format_args!(".{}", digits.trim_end_matches('0')));
    }
    match offset {
        None => write(format_args!("Z")),
        Some(seconds) => {
            let minutes = seconds / 60;
            let sign = if *seconds < 0 { '-' } else { '+' };
            write(format_args!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60));
        }
    }
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that go into the MAC after a value was decrypted from these.
    fn round(kind: Type, text: &str) -> Option<String> {
        let mut out = Vec::new();
        mac_bytes(&from_bytes(kind, text.into())?, &mut |bytes| out.extend_from_slice(bytes));
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn bytes_to_values_to_bytes() {
        for (kind, text, out) in [
            (Type::Str, "a\nb", Some("a\nb")),
            (Type::Comment, " note", Some("")),
            (Type::Int, "42", Some("42")),
            (Type::Int, "+007", Some("7")),
            (Type::Int, "-9223372036854775808", Some("-9223372036854775808")),
            (Type::Int, "9223372036854775808", None),
            (Type::Int, "1_0", None),
            (Type::Int, "", None),
            (Type::Int, " 1", None),
            (Type::Float, "1234.56789", Some("1234.56789")),
            (Type::Float, "3.0", Some("3")),
            (Type::Float, "1e20", Some("100000000000000000000")),
            (Type::Float, "1e-7", Some("0.0000001")),
            (Type::Float, "-0", Some("-0")),
            (Type::Float, "inf", Some("+Inf")),
            (Type::Float, "-Infinity", Some("-Inf")),
            (Type::Float, "nan", Some("NaN")),
            (Type::Float, "1e999", None),
            (Type::Float, "x", None),
            (Type::Bool, "True", Some("True")),
            (Type::Bool, "t", Some("True")),
            (Type::Bool, "0", Some("False")),
            (Type::Bool, "yes", None),
            (Type::Time, "2024-01-02T03:04:05Z", Some("2024-01-02T03:04:05Z")),
            (Type::Time, "2024-01-02T03:04:05.120+00:00", Some("2024-01-02T03:04:05.12Z")),
            (Type::Time, "2024-01-02T03:04:05,5-01:30", Some("2024-01-02T03:04:05.5-01:30")),
            (Type::Time, "2024-02-29T3:04:05+02:00", Some("2024-02-29T03:04:05+02:00")),
            (Type::Time, "2023-02-29T03:04:05Z", None),
            (Type::Time, "2024-01-02T24:00:00Z", None),
            (Type::Time, "2024-01-02T03:04:05+24:00", None),
            (Type::Time, "2024-01-02 03:04:05Z", None),
            (Type::Time, "2024-01-02T03:04:05", None),
        ] {
            assert_eq!(round(kind, text).as_deref(), out, "{kind} {text}");
        }
    }
}

//! Typed values as bytes: what stands inside an encrypted value, and what the MAC takes in.
//!
//! Facts: sops-format.md 1.4.

use crate::plaintext::Plaintext;

use super::{cipher::Type, number, time::Time, value::Value};

/// The value that the decrypted `bytes` of type `kind` mean; `None` if they are no such value.
#[must_use]
pub fn from_bytes(kind: Type, bytes: Plaintext) -> Option<Value> {
    Some(match kind {
        Type::Str => Value::Str(bytes),
        Type::Comment => Value::Comment(bytes),
        Type::Int => Value::Int(number::parse_int(&bytes).ok()?),
        Type::Float => Value::Float(number::parse_float(&bytes).ok()?),
        Type::Bool => Value::Bool(number::parse_bool(&bytes)?),
        Type::Time => Value::Time(Time::parse_rfc3339(&bytes).filter(|time| time.marshal().is_some())?),
    })
}

/// Gives `sink` the bytes by which the MAC knows a leaf. Null, comments, mappings and lists have none.
pub fn mac_bytes(value: &Value, sink: &mut impl FnMut(&[u8])) {
    match value {
        Value::Str(bytes) => sink(bytes),
        Value::Int(number) => sink(number.to_string().as_bytes()),
        Value::Float(number) => sink(number::format_plain(*number).as_bytes()),
        Value::Bool(true) => sink(b"True"),
        Value::Bool(false) => sink(b"False"),
        Value::Time(time) => sink(time.rfc3339_nano().as_bytes()),
        Value::Null | Value::Comment(_) | Value::Map(_) | Value::List(_) => {}
    }
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

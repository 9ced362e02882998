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


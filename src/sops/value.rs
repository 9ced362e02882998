//! The document inside a sops file: an ordered tree of values and comments, as sops itself sees it.

use crate::plaintext::Plaintext;

use super::time::Time;

/// One node. Before decryption, strings may hold ciphertext (`ENC[...]`); afterwards they hold plaintext.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// YAML or JSON null: never encrypted, not part of the MAC.
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A float; sops types every JSON number so.
    Float(f64),
    /// A point in time with an offset.
    Time(Time),
    /// Bytes, not necessarily UTF-8, as Go strings are.
    Str(Plaintext),
    /// An ordered mapping. Keys may repeat.
    Map(Branch),
    /// A list. Elements that are comments are [`Value::Comment`].
    List(Vec<Value>),
    /// A comment that stands among the elements of a list; in a mapping it is [`Entry::Comment`].
    Comment(Plaintext),
}

/// A mapping in document order.
pub type Branch = Vec<Entry>;

/// What stands in a mapping.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A comment line, without `#`, before the pair that it belongs to.
    Comment(Plaintext),
    /// Key and value. Only string keys exist: sops refuses others.
    Pair(Key, Value),
}

/// A mapping key: bytes, as in Go. Not a secret.
pub type Key = Vec<u8>;

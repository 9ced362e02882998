//! Reads the tables in tests/data, which were made by Go and the real sops.
//!
//! A row is a line of cells between tabs; a line that begins with `# ` is a comment. Text in a cell has `\n`,
//! `\t`, `\r`, `\\`, `\"` and `\xNN` for bytes. A document is `{"key": value, #"comment"}`; values are
//! `null`, `true`, `12`, `f:1.5`, `t:2024-01-02T03:04:05Z`, `"text"`, `#"comment"`, `[value, value]`, `{}`.

use std::fmt::Write as _;

use crate::plaintext::Plaintext;

use super::{
    number::parse_float,
    time::Time,
    value::{Branch, Entry, Value},
};

/// The rows of a table, each with its cells.
pub(crate) fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().filter(|line| !line.starts_with("# ")).map(|line| line.split('\t').collect())
}

/// The bytes that a cell stands for.
pub(crate) fn bytes(cell: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = cell.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [b'x', high, low, ..]) => {
                let nibble = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
                out.push(nibble(*high) << 4 | nibble(*low));
                rest = &tail[3..];
            }
            (b'\\', [letter, ..]) => {
                out.push(match letter {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    other => *other,
                });
                rest = &tail[1..];
            }
            (byte, _) => out.push(*byte),
        }
    }
    out
}

/// Bytes as a cell holds them between double quotes.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            b'\\' | b'"' => out.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => write!(out, "\\x{byte:02x}").unwrap(),
        }
    }
    out + "\""
}

/// The value in a cell.
pub(crate) fn value(cell: &str) -> Value {
    let mut reader = Reader(cell);
    let value = reader.value();
    assert_eq!(reader.0, "", "behind the value");
    value
}

/// The documents in a cell, with blanks between them.
pub(crate) fn documents(cell: &str) -> Vec<Branch> {
    let mut reader = Reader(cell);
    let mut documents = Vec::new();
    while !reader.0.is_empty() {
        let Value::Map(branch) = reader.value() else { panic!("no document: {cell}") };
        documents.push(branch);
        reader.take(" ");
    }
    documents
}

struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn take(&mut self, token: &str) -> bool {
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn quoted(&mut self) -> Plaintext {
        let mut end = 0;
        while !self.0[end..].starts_with('"') {
            end += if self.0[end..].starts_with('\\') { 2 } else { 1 };
        }
        let text = bytes(&self.0[..end]);
        self.0 = &self.0[end + 1..];
        text.into()
    }

    fn value(&mut self) -> Value {
        if self.take("\"") {
            return Value::Str(self.quoted());
        }
        if self.take("#\"") {
            return Value::Comment(self.quoted());
        }
        if self.take("[") {
            let mut items = Vec::new();
            while !self.take("]") {
                items.push(self.value());
                self.take(", ");
            }
            return Value::List(items);
        }
        if self.take("{") {
            let mut branch = Branch::new();
            while !self.take("}") {
                if self.take("#\"") {
                    branch.push(Entry::Comment(self.quoted()));
                } else {
                    assert!(self.take("\""), "a key at {}", self.0);
                    let key = self.quoted().to_vec();
                    assert!(self.take(": "), "a colon at {}", self.0);
                    branch.push(Entry::Pair(key, self.value()));
                }
                self.take(", ");
            }
            return Value::Map(branch);
        }
        let end = self.0.find([',', ']', '}', ' ']).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => match word.split_at_checked(2) {
                Some(("f:", number)) => Value::Float(parse_float(number.as_bytes()).unwrap()),
                Some(("t:", time)) => Value::Time(Time::parse_rfc3339(time.as_bytes()).unwrap()),
                _ => Value::Int(word.parse().unwrap()),
            },
        }
    }
}

//! JSON as Go's `encoding/json` reads and writes it: the one reader and writer of the program.
//!
//! sops files, the manifest, boot.json and `--json` output pass through here, so that what Go accepts is accepted
//! and what it escapes is escaped. Reading keeps member order and duplicates; what is not UTF-8 and lone
//! surrogates become U+FFFD, as in Go. The only deviation is the nesting limit: what the stack allows. Errors
//! name line and column (in bytes, from 1), never content.

mod parse;
mod place;
mod write;

use crate::plaintext::Plaintext;

pub use parse::{parse, parse_prefix};
pub use place::Place;
pub use write::Writer;

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written.
    Number(String),
    /// A string without its escapes: always UTF-8 when it was parsed.
    String(Plaintext),
    /// An array.
    Array(Vec<Value>),
    /// An object: members in file order, duplicates kept.
    Object(Vec<(String, Value)>),
}

/// Whether Go decodes a member called `key` into a struct field called `name`: equal under Unicode case folding.
/// Field names are ASCII; of all other characters only the long s and the Kelvin sign fold to ASCII.
#[must_use]
pub fn names_match(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.eq_ignore_ascii_case(name) || (!key.is_ascii() && key.chars().map(fold).eq(name.chars().map(fold)))
}

/// How many bytes at the front of `bytes` are not `special`. In blocks that the compiler turns into vector
/// code: values of many megabytes pass through here.
pub(crate) fn plain_prefix(bytes: &[u8], special: impl Fn(u8) -> bool) -> usize {
    const BLOCK: usize = 64;
    let blocks = bytes.chunks_exact(BLOCK);
    let plain = blocks.take_while(|block| !block.iter().fold(false, |seen, b| seen | special(*b))).count();
    let start = plain.saturating_mul(BLOCK);
    let rest = bytes.get(start..).unwrap_or_default();
    start.saturating_add(rest.iter().position(|b| special(*b)).unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::observed::{bytes, quoted, rows};

    fn told(value: &Value) -> String {
        match value {
            Value::Null => "null".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(raw) => raw.clone(),
            Value::String(text) => quoted(text),
            Value::Array(items) => format!("[{}]", items.iter().map(told).collect::<Vec<_>>().join(", ")),
            Value::Object(members) => {
                let member =
                    |(key, value): &(String, Value)| format!("{}: {}", quoted(key.as_bytes()), told(value));
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn text_is_read_and_written_as_in_go() {
        let mut count = 0;
        for row in rows(include_str!("../tests/data/json.tsv")) {
            count += 1;
            match row.as_slice() {
                ["jp", text, "err"] => assert!(parse(&bytes(text)).is_err(), "{row:?}"),
                ["jp", text, expected] => {
                    let value = parse(&bytes(text)).unwrap_or_else(|failure| panic!("{row:?}: {failure}"));
                    assert_eq!(told(&value), *expected, "{row:?}");
                }
                ["js", text, expected] => {
                    let mut writer = Writer::compact();
                    writer.string(&bytes(text));
                    assert_eq!(*writer.finish(), bytes(expected), "{row:?}");
                }
                _ => panic!("{row:?}"),
            }
        }
        assert!(count > 120);
    }

    #[test]
    fn names_match_as_in_go() {
        for (key, name, matches) in [
            ("sops", "sops", true),
            ("SoPs", "sops", true),
            ("\u{17f}op\u{17f}", "sops", true),
            ("\u{212a}ms", "kms", true),
            ("sops ", "sops", false),
            ("sop", "sops", false),
            ("", "sops", false),
            ("placeholderbysecretname", "placeholderBySecretName", true),
        ] {
            assert_eq!(names_match(key, name), matches, "{key}");
        }
    }

    #[test]
    fn plain_prefix_finds_the_first_special_byte_anywhere() {
        for length in [0, 1, 63, 64, 65, 130] {
            let mut bytes = vec![b'a'; length];
            assert_eq!(plain_prefix(&bytes, |b| b == b'"'), length);
            for at in 0..length {
                bytes[at] = b'"';
                assert_eq!(plain_prefix(&bytes, |b| b == b'"'), at);
                bytes[at] = b'a';
            }
        }
    }
}

//! The five formats that sops reads and writes.

pub mod binary;
pub mod dotenv;
mod fields;
mod flat;
pub mod ini;
pub mod json;
mod printed;
pub mod yaml;

use std::path::Path;

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
};

use super::value::{Branch, Entry};

/// An encrypted file as its format gives it: nothing is decrypted or judged yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The documents without their metadata; several only in YAML. Ciphertext stands in
    /// [`super::value::Value::Str`].
    pub documents: Vec<Branch>,
    /// The metadata as a tree. Of JSON, binary, dotenv and INI it has only the fields that sops knows, under
    /// their exact names, and each of the right type: text as `Str`, `shamir_threshold` as `Int`,
    /// `mac_only_encrypted` as `Bool`, key lists as `List` of `Map`, a `context` as `Map` of `Str` or `Null`.
    /// What was null or not there is left out.
    pub metadata: Branch,
}

impl Parsed {
    fn no_metadata() -> Failure {
        Failure::new("not a sops file: it has no sops metadata").fix(
            "encrypt it: sops encrypt --in-place FILE (if values begin with ENC[, the end of the file is missing: restore it)",
        )
    }
}

/// How a sops file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML, also of several documents.
    Yaml,
    /// A JSON object.
    Json,
    /// `KEY=value` lines.
    Dotenv,
    /// Sections of `key = value` lines.
    Ini,
    /// Any bytes, wrapped in a JSON object.
    Binary,
}

impl Format {
    /// The format of that name, as sops and the manifest spell it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "yaml" => Self::Yaml,
            "json" => Self::Json,
            "dotenv" => Self::Dotenv,
            "ini" => Self::Ini,
            "binary" => Self::Binary,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }

    /// The format that sops takes for a file of this name: by its suffix, else binary.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        let name = path.as_os_str().as_encoded_bytes();
        let suffixes: [(&[u8], Self); 5] = [
            (b".yaml", Self::Yaml),
            (b".yml", Self::Yaml),
            (b".json", Self::Json),
            (b".env", Self::Dotenv),
            (b".ini", Self::Ini),
        ];
        suffixes.iter().find(|(suffix, _)| name.ends_with(suffix)).map_or(Self::Binary, |(_, format)| *format)
    }
}

/// Takes the entries called `sops` out of a document. sops loops over the entries while it removes some, so
/// that of several one may stay or it may crash, which is an error here.
fn remove_metadata(document: &mut Branch) -> Result<()> {
    /// sops itself would never write a second one.
    const MAX: usize = 8;
    let is_metadata = |entry: &Entry| matches!(entry, Entry::Pair(key, _) if key == b"sops");
    let count = document.iter().filter(|entry| is_metadata(entry)).count();
    let clash = || Failure::new("the file has several entries called `sops`");
    if count > MAX {
        return Err(clash());
    }
    // The loop runs to the old length; behind the new end it meets what stood there before: always the old last
    // entry. If that is metadata, sops crashes.
    if count > 1 && document.last().is_some_and(is_metadata) {
        return Err(clash());
    }
    let mut at = 0_usize;
    while at < document.len() {
        if document.get(at).is_some_and(is_metadata) {
            document.remove(at);
        }
        at = at.saturating_add(1);
    }
    Ok(())
}

/// The text with each `\n` of two characters made a newline.
fn with_newlines(text: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\\n") {
        let (before, behind) = rest.split_at(at);
        out.push(before);
        out.push(b"\n");
        rest = behind.get(2..).unwrap_or_default();
    }
    out.push(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        room::Room,
        sops::{
            observed::{bytes, documents, rows, value},
            value::Value,
        },
    };

    fn room() -> Room {
        Room::beside(0)
    }

    /// Leaves out what Go leaves out when it has the zero value.
    fn without_zero_values(branch: Branch, texts: bool) -> Branch {
        let kept = |entry: Entry| {
            let Entry::Pair(key, value) = entry else { panic!("a comment in metadata") };
            let value = match value {
                Value::Str(text) if text.is_empty() && !texts => return None,
                Value::Int(0) | Value::Bool(false) => return None,
                Value::List(items) if items.is_empty() => return None,
                Value::Map(branch) if branch.is_empty() => return None,
                Value::Map(branch) => Value::Map(without_zero_values(branch, true)),
                Value::List(items) => Value::List(items.into_iter().map(record).collect()),
                value => value,
            };
            Some(Entry::Pair(key, value))
        };
        branch.into_iter().filter_map(kept).collect()
    }

    fn record(value: Value) -> Value {
        let Value::Map(branch) = value else { panic!("a list of something else than records") };
        Value::Map(without_zero_values(branch, false))
    }

    #[test]
    fn encrypted_files_are_loaded_as_by_sops() {
        let mut count = 0;
        for row in rows(include_str!("../../../tests/data/formats.tsv")) {
            count += 1;
            let text = bytes(row[1]);
            let parsed = match row[0] {
                "je" => json::parse(&text, json::WholeNumbers::AsFloats, &mut room()),
                "de" => dotenv::parse(&text, &mut room()),
                "ie" => ini::parse(&text, &mut room()),
                _ => panic!("{row:?}"),
            };
            match (parsed, &row[2..]) {
                (Err(_), ["err"]) => {}
                (Ok(parsed), [metadata, document]) => {
                    let found = Value::Map(without_zero_values(parsed.metadata, false));
                    assert_eq!(found, value(metadata), "{row:?}");
                    assert_eq!(parsed.documents, documents(document), "{row:?}");
                }
                (parsed, _) => panic!("{row:?}: {parsed:?}"),
            }
        }
        assert!(count > 150);
    }

    #[test]
    fn documents_and_values_are_printed_as_by_sops() {
        let told = |result: Result<Plaintext>| {
            result.map_or_else(|_| "err".into(), |text| [b"ok:", &*text].concat())
        };
        let mut count = 0;
        for row in rows(include_str!("../../../tests/data/emit.tsv")) {
            count += 1;
            let printed = if row[0] == "em" {
                let read = || documents(row[1]);
                [
                    json::emit(&read(), room()),
                    dotenv::emit(&read(), room()),
                    ini::emit(&read(), room()),
                    binary::emit(read()),
                ]
            } else {
                let file = if row[0] == "evj" { Format::Json } else { Format::Yaml };
                let value = value(row[1]);
                [
                    json::emit_value(&value, room()),
                    dotenv::emit_value(&value),
                    ini::emit_value(&value, file, room()),
                    binary::emit_value(&value),
                ]
            };
            for (printed, expected) in printed.into_iter().zip(&row[2..]) {
                assert_eq!(told(printed), bytes(expected), "{row:?}");
            }
            assert_eq!(row.len(), 6);
        }
        assert!(count > 120);
    }

    #[test]
    fn several_metadata_entries() {
        let entry = |key: &str| Entry::Pair(key.into(), Value::Null);
        for (keys, left) in [
            ("a sops b", Some("a b")),
            ("sops", Some("")),
            ("sops a sops b", Some("a b")),
            ("sops sops a", Some("sops a")),
            ("a sops sops", None),
            ("sops a sops", None),
        ] {
            let mut document: Branch = keys.split(' ').map(entry).collect();
            let removed = remove_metadata(&mut document).is_ok();
            assert_eq!(removed, left.is_some(), "{keys}");
            if let Some(left) = left {
                assert_eq!(document, left.split_terminator(' ').map(entry).collect::<Branch>(), "{keys}");
            }
        }
    }

    #[test]
    fn what_sops_crashes_on_is_an_error() {
        let failure = |text: &str| dotenv::parse(text.as_bytes(), &mut room()).unwrap_err().headline;
        for (text, told) in [
            ("sops_age__list_-1__map_enc=x", "metadata field age__list_-1__map_enc: negative index"),
            ("sops_age__list_5000000__map_enc=x", "a metadata list lacks elements below the index 5000000"),
            (
                "sops_age__list_99999999999999999999=x",
                "metadata field age__list_99999999999999999999: the index is too large",
            ),
            ("sops_age__list_0=x\nsops_age__map_a=x", "metadata field age__map_a clashes with another field"),
            ("sops_age=x\nsops_age__map_a=x", "metadata field age__map_a clashes with another field"),
            (
                "sops_age__list_0=x\nsops_age__list_=x",
                "metadata field age__list_0 clashes with another field",
            ),
            ("sops_age=x", "metadata field sops.age: expected a list of objects"),
            ("sops_age__list_1__map_enc__map_a=x", "metadata field sops.age[1].enc: expected a string"),
            ("sops_shamir_threshold=1.5", "metadata field shamir_threshold: expected a whole number"),
            ("A=b", "not a sops file: it has no sops metadata"),
            ("A=b\n\nhunter2\n", "line 3 of the dotenv file has no equals sign"),
        ] {
            assert_eq!(failure(text), told, "{text}");
        }
        let deep = format!("sops_a{}=x", "__map_".repeat(2_000_000));
        assert!(failure(&deep).ends_with(": nested too deep"));
        assert!(
            dotenv::parse(format!("sops_a__list_9{}=x", "__list_999".repeat(11)).as_bytes(), &mut room())
                .is_err()
        );
    }

    #[test]
    fn a_secret_called_sops_does_not_hide_the_metadata() {
        let text = br#"{"SOPS":"ENC[a]","a":1,"sops":{"MAC":"m"},"Sops":["x"]}"#;
        let parsed = json::parse(text, json::WholeNumbers::AsFloats, &mut room()).unwrap();
        assert_eq!(Value::Map(parsed.metadata), value(r#"{"mac": "m"}"#));
        assert_eq!(parsed.documents, documents(r#"{"SOPS": "ENC[a]", "a": f:1, "Sops": ["x"]}"#));
    }

    #[test]
    fn whole_numbers_are_typed_by_either_rule() {
        let text = br#"{"a":[9007199254740993,-0,1.0,1e2,9223372036854775808],"sops":{}}"#;
        for (rule, expected) in [
            (
                json::WholeNumbers::AsFloats,
                "{\"a\": [f:9007199254740992, f:-0, f:1, f:100, f:9223372036854775808]}",
            ),
            (
                json::WholeNumbers::AsIntegers,
                "{\"a\": [9007199254740993, 0, f:1, f:100, f:9223372036854775808]}",
            ),
        ] {
            assert_eq!(json::parse(text, rule, &mut room()).unwrap().documents, documents(expected));
        }
    }

    #[test]
    fn binary_content_is_moved_out() {
        let text = br#"{"data":"ENC[x]","sops":{}}"#.to_vec();
        let parsed = binary::parse(text, &mut room()).unwrap();
        assert_eq!(&*binary::emit(parsed.documents).unwrap(), b"ENC[x]");
    }
}

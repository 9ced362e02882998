//! `--extract '["a"]["b"][0]'`: one part of a decrypted document.
//!
//! The path is read as sops 3.12.2 reads it, brackets in keys and missing quotes included.

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
};

use super::{
    Document,
    formats::Format,
    value::{Entry, Value},
};

/// What stands at a path, in the form in which sops prints it.
#[derive(Debug)]
pub enum Extracted {
    /// A string: its bytes, and no newline.
    Text(Plaintext),
    /// A mapping: printed like a file. It takes the place of the first document; the others follow as they are.
    Document(Document),
    /// A structure of sops itself: printed as one value in YAML, and else as JSON, which INI has without blanks.
    Structure(Value),
    /// Anything else: printed as one value of the output format.
    Value(Value),
}

/// One step down.
#[derive(Debug, PartialEq, Eq)]
enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

impl Document {
    /// The part at `path`, to be printed as `output`; the whole document if the path is empty. Comments in a list
    /// count as elements.
    pub fn extract(mut self, path: &str, output: Format) -> Result<Extracted> {
        let structures = Structures { file: self.format, output };
        let steps = steps(path)?;
        if steps.is_empty() {
            return Ok(Extracted::Document(self));
        }
        let mut documents = self.branches.into_iter();
        let mut value = Value::Map(documents.next().unwrap_or_default());
        let mut steps = steps.iter().peekable();
        while let Some(step) = steps.next() {
            value = match (step, value) {
                (Step::Key(key), Value::Map(branch)) => branch
                    .into_iter()
                    .find_map(|entry| match entry {
                        Entry::Pair(name, value) if name == key.as_bytes() => Some(value),
                        _ => None,
                    })
                    .ok_or_else(|| missing(path, format!("there is no key {key:?}")))?,
                (Step::Index(at), Value::List(items)) => items
                    .into_iter()
                    .nth(*at)
                    .ok_or_else(|| missing(path, format!("the list has no element {at}")))?,
                // sops takes a mapping for a list of its entries, and shows them as they are inside of it.
                (Step::Index(at), Value::Map(branch)) if steps.peek().is_none() => {
                    let entry = branch.into_iter().nth(*at);
                    let entry =
                        entry.ok_or_else(|| missing(path, format!("the mapping has no entry {at}")))?;
                    return Ok(Extracted::Structure(structures.entry(entry)));
                }
                (Step::Key(key), _) => {
                    return Err(missing(path, format!("{key:?} is looked for in what is no mapping")));
                }
                (Step::Index(at), _) => {
                    return Err(missing(path, format!("element {at} is looked for in what is no list")));
                }
            };
        }
        Ok(match value {
            Value::Map(branch) => {
                self.branches = std::iter::once(branch).chain(documents).collect();
                Extracted::Document(self)
            }
            Value::Str(text) => Extracted::Text(text),
            comment @ Value::Comment(_) => Extracted::Structure(structures.value(comment)),
            value => Extracted::Value(value),
        })
    }
}

/// Entries and comments as the structures by which sops holds them, in a file of one format shown in another.
#[derive(Clone, Copy)]
struct Structures {
    file: Format,
    output: Format,
}

impl Structures {
    fn field(self, name: &str, value: Value) -> Entry {
        let name = if self.output == Format::Yaml { name.to_lowercase() } else { name.to_owned() };
        Entry::Pair(name.into_bytes(), value)
    }

    fn entry(self, entry: Entry) -> Value {
        let (key, value) = match entry {
            Entry::Pair(key, value) => (Value::Str(key.into()), self.value(value)),
            Entry::Comment(text) => (self.value(Value::Comment(text)), Value::Null),
        };
        Value::Map(vec![self.field("Key", key), self.field("Value", value)])
    }

    fn value(self, value: Value) -> Value {
        // Lists that Go never filled are null in JSON; an empty mapping of YAML is one that it made.
        let nothing = if self.output == Format::Yaml { Value::List(Vec::new()) } else { Value::Null };
        match value {
            Value::List(items) if items.is_empty() => nothing,
            Value::Map(branch) if branch.is_empty() && self.file != Format::Yaml => nothing,
            Value::Map(branch) => Value::List(branch.into_iter().map(|entry| self.entry(entry)).collect()),
            Value::List(items) => Value::List(items.into_iter().map(|item| self.value(item)).collect()),
            Value::Comment(text) => Value::Map(vec![self.field("Value", Value::Str(text))]),
            value => value,
        }
    }
}

fn missing(path: &str, reason: String) -> Failure {
    Failure::new(format!("the document has nothing at {path}")).fact("reason", reason)
}

fn steps(path: &str) -> Result<Vec<Step<'_>>> {
    let wrong = |part: &str, reason: &str| {
        Failure::new(format!("{path:?} is no path into a document"))
            .fact("reason", format!("{part:?} {reason}"))
            .fix("write it like this: '[\"a\"][\"b\"][0]'")
    };
    path.split('[')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let inner = part.strip_suffix(']').ok_or_else(|| wrong(part, "does not end with ]"))?;
            if inner.starts_with(['"', '\'']) {
                // sops cuts the last character off, whatever it is.
                let mut key = inner.chars();
                let quotes = key.next().is_some() && key.next_back().is_some();
                return if quotes {
                    Ok(Step::Key(key.as_str()))
                } else {
                    Err(wrong(part, "has no end quote"))
                };
            }
            let number = inner.strip_prefix('+').unwrap_or(inner);
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            match number.parse() {
                Ok(at) if digits => Ok(Step::Index(at)),
                _ => Err(wrong(part, "is neither a key in quotes nor an index")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::Room;

    #[test]
    fn paths() {
        for (path, expected) in [
            ("", Some(vec![])),
            (r#"["a"]["b"][0]"#, Some(vec![Step::Key("a"), Step::Key("b"), Step::Index(0)])),
            ("['a'][+12]", Some(vec![Step::Key("a"), Step::Index(12)])),
            (r#"["a']"#, Some(vec![Step::Key("a")])),
            (r#"["a"]]"#, Some(vec![Step::Key("a\"")])),
            (r#"["a]b"]"#, Some(vec![Step::Key("a]b")])),
            ("[\"\"]", Some(vec![Step::Key("")])),
            ("[[0]", Some(vec![Step::Index(0)])),
            (r#"["a[b"]"#, None),
            ("a", None),
            (r#"x["a"]"#, None),
            ("[]", None),
            ("[\"]", None),
            ("[-1]", None),
            ("[1 ]", None),
            ("[99999999999999999999999]", None),
        ] {
            assert_eq!(steps(path).ok(), expected, "{path}");
        }
    }

    fn pair(key: &str, value: Value) -> Entry {
        Entry::Pair(key.into(), value)
    }

    fn document() -> Document {
        let list =
            vec![Value::Comment(" c".into()), Value::Int(1), Value::List(vec![Value::Str("x".into())])];
        let first = vec![
            Entry::Comment("k".into()),
            pair("k", Value::Map(vec![pair("s", Value::Str("text".into())), pair("n", Value::Null)])),
            pair("k", Value::Int(2)),
            pair("l", Value::List(list)),
        ];
        Document {
            format: Format::Yaml,
            branches: vec![first, vec![pair("z", Value::Int(3))]],
            room: Room::beside(0),
        }
    }

    #[test]
    fn parts() {
        let text = |path| match document().extract(path, Format::Yaml) {
            Ok(Extracted::Text(text)) => Some(String::from_utf8(text.to_vec()).unwrap()),
            _ => None,
        };
        let value = |path| match document().extract(path, Format::Yaml) {
            Ok(Extracted::Value(value) | Extracted::Structure(value)) => Some(value),
            _ => None,
        };
        assert_eq!(text(r#"["k"]["s"]"#).as_deref(), Some("text"));
        assert_eq!(value(r#"["k"]["n"]"#), Some(Value::Null));
        let comment = Value::Map(vec![pair("value", Value::Str("k".into()))]);
        assert_eq!(
            value("[0]"),
            Some(Value::Map(vec![pair("key", comment.clone()), pair("value", Value::Null)]))
        );
        let two = vec![pair("key", Value::Str("k".into())), pair("value", Value::Int(2))];
        assert_eq!(value("[2]"), Some(Value::Map(two)));
        // Comments count.
        assert_eq!(value(r#"["l"][1]"#), Some(Value::Int(1)));
        assert_eq!(text(r#"["l"][2][0]"#).as_deref(), Some("x"));
        for path in
            [r#"["m"]"#, "[9]", r#"[0]["k"]"#, "[0][0]", r#"["k"]["s"]["t"]"#, r#"["l"]["k"]"#, r#"["l"][3]"#]
        {
            assert!(document().extract(path, Format::Yaml).is_err(), "{path}");
        }
    }

    #[test]
    fn a_mapping_stands_before_the_other_documents() {
        let Ok(Extracted::Document(document)) = document().extract(r#"["k"]"#, Format::Yaml) else {
            panic!("no mapping")
        };
        let keys: Vec<_> = document.branches.iter().map(Vec::len).collect();
        assert_eq!(keys, [2, 1]);
    }

    /// As sops 3.12.2 prints them.
    #[test]
    fn structures_are_those_of_the_output_format() {
        let map = || Value::Map(vec![pair("e", Value::Map(Vec::new())), pair("l", Value::List(Vec::new()))]);
        let printed = |file, output| {
            let branches = vec![vec![Entry::Comment(" c".into()), pair("k", map())]];
            let print = |path| {
                let document = Document { format: file, branches: branches.clone(), room: Room::beside(0) };
                String::from_utf8(document.emit_extract(path, output).unwrap().to_vec()).unwrap()
            };
            [print("[0]"), print("[1]")]
        };
        let comment = r#"{"Key":{"Value":" c"},"Value":null}"#;
        let made = r#"{"Key":"k","Value":[{"Key":"e","Value":[]},{"Key":"l","Value":null}]}"#;
        let unmade = r#"{"Key":"k","Value":[{"Key":"e","Value":null},{"Key":"l","Value":null}]}"#;
        let lower = "key: k\nvalue:\n    - key: e\n      value: []\n    - key: l\n      value: []\n";
        for (file, output, pair) in [
            (Format::Yaml, Format::Ini, made),
            (Format::Json, Format::Ini, unmade),
            (Format::Ini, Format::Ini, unmade),
        ] {
            assert_eq!(printed(file, output), [comment, pair], "{file:?}");
            let tabbed =
                printed(file, Format::Json).map(|text| text.replace(['\n', '\t'], "").replace(": ", ":"));
            assert_eq!(tabbed, [comment.replace(": ", ":"), pair.to_owned()], "{file:?}");
            assert_eq!(
                printed(file, Format::Yaml),
                ["key:\n    value: ' c'\nvalue: null\n", lower],
                "{file:?}"
            );
        }
        let document =
            Document { format: Format::Yaml, branches: vec![vec![pair("k", map())]], room: Room::beside(0) };
        assert!(document.emit_extract("[0]", Format::Dotenv).is_err());
    }
}

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
    /// The part at `path`; the whole document if the path is empty. Comments in a list count as elements.
    pub fn extract(mut self, path: &str) -> Result<Extracted> {
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
                // What it shows of INI is a Go structure of its own; nobody can want that.
                (Step::Index(at), Value::Map(branch))
                    if steps.peek().is_none() && self.format != Format::Ini =>
                {
                    let entry = branch.into_iter().nth(*at);
                    let entry =
                        entry.ok_or_else(|| missing(path, format!("the mapping has no entry {at}")))?;
                    return Ok(Extracted::Value(entry_inside(entry, self.format)));
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
            comment @ Value::Comment(_) => Extracted::Value(inside(comment, self.format)),
            value => Extracted::Value(value),
        })
    }
}

/// An entry of a mapping as the structure by which sops holds it; its fields are in capitals in JSON.
fn entry_inside(entry: Entry, format: Format) -> Value {
    let (key, value) = match entry {
        Entry::Pair(key, value) => (Value::Str(key.into()), inside(value, format)),
        Entry::Comment(text) => (inside(Value::Comment(text), format), Value::Null),
    };
    let [key_name, value_name] = if format == Format::Json { ["Key", "Value"] } else { ["key", "value"] };
    Value::Map(vec![Entry::Pair(key_name.into(), key), Entry::Pair(value_name.into(), value)])
}

fn inside(value: Value, format: Format) -> Value {
    let list = |items: Vec<Value>| match items.as_slice() {
        [] if format == Format::Json => Value::Null,
        _ => Value::List(items),
    };
    match value {
        Value::Map(branch) => list(branch.into_iter().map(|entry| entry_inside(entry, format)).collect()),
        Value::List(items) => list(items.into_iter().map(|item| inside(item, format)).collect()),
        Value::Comment(text) => {
            let name = if format == Format::Json { "Value" } else { "value" };
            Value::Map(vec![Entry::Pair(name.into(), Value::Str(text))])
        }
        value => value,
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
        let text = |path| match document().extract(path) {
            Ok(Extracted::Text(text)) => Some(String::from_utf8(text.to_vec()).unwrap()),
            _ => None,
        };
        let value = |path| match document().extract(path) {
            Ok(Extracted::Value(value)) => Some(value),
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
            assert!(document().extract(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_mapping_stands_before_the_other_documents() {
        let Ok(Extracted::Document(document)) = document().extract(r#"["k"]"#) else { panic!("no mapping") };
        let keys: Vec<_> = document.branches.iter().map(Vec::len).collect();
        assert_eq!(keys, [2, 1]);
    }
}

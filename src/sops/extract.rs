//! `--extract '["a"]["b"][0]'`: one part of a decrypted document.
//!
//! The path is read as sops 3.12.2 reads it, brackets in keys and missing quotes included.

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
};

use super::{
    Document,
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
        for step in &steps {
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
            value => Extracted::Value(value),
        })
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

//! Addressing values of an opened document by the manifest's keys: `db/password`, `servers/0/token`.

use std::collections::BTreeMap;

use crate::failure::{Failure, Result};

use super::value::{Branch, Entry, Value};

/// Every value below a mapping, by its path: mapping keys and list indices joined by `/`.
///
/// Made once a document, so that a thousand lookups cost a thousand, not a million comparisons.
#[derive(Debug)]
pub struct Index<'a> {
    values: BTreeMap<Vec<u8>, (usize, &'a Value)>,
}

impl<'a> Index<'a> {
    /// The index of a document.
    #[must_use]
    pub fn of(branch: &'a Branch) -> Self {
        let mut index = Self { values: BTreeMap::new() };
        index.add_branch(&mut Vec::new(), 1, branch);
        index
    }

    /// The value at `key`.
    ///
    /// Where a key of the document itself contains `/`, the reading with more steps counts. Of repeated keys the
    /// last counts.
    pub fn get(&self, key: &str) -> Result<&'a Value> {
        self.values.get(key.as_bytes()).map(|(_, value)| *value).ok_or_else(|| self.missing(key))
    }

    fn add_branch(&mut self, path: &mut Vec<u8>, depth: usize, branch: &'a Branch) {
        for entry in branch {
            if let Entry::Pair(key, value) = entry {
                self.add(path, key, depth, value);
            }
        }
    }

    fn add(&mut self, path: &mut Vec<u8>, step: &[u8], depth: usize, value: &'a Value) {
        let parent = path.len();
        if depth > 1 {
            path.push(b'/');
        }
        path.extend_from_slice(step);
        match value {
            Value::Map(branch) => self.add_branch(path, depth + 1, branch),
            Value::List(items) => {
                let elements = items.iter().filter(|item| !matches!(item, Value::Comment(_)));
                for (number, item) in elements.enumerate() {
                    self.add(path, number.to_string().as_bytes(), depth + 1, item);
                }
            }
            _ => {}
        }
        let known = self.values.get(path.as_slice()).map_or(0, |(depth, _)| *depth);
        if depth >= known {
            self.values.insert(path.clone(), (depth, value));
        }
        path.truncate(parent);
    }

    /// Names the deepest step that exists, and what there is below it. Keys are no secrets.
    fn missing(&self, key: &str) -> Failure {
        let failure = Failure::new(format!("the key '{key}' cannot be found"));
        let mut parent = key;
        while let Some((above, _)) = parent.rsplit_once('/') {
            parent = above;
            match self.values.get(parent.as_bytes()) {
                None => {}
                Some((_, Value::Map(_) | Value::List(_))) => {
                    return failure.fact(&format!("keys in '{parent}'"), self.below(parent));
                }
                Some((_, value)) => {
                    return failure.fact("reason", format!("'{parent}' is {}", kind(value)));
                }
            }
        }
        failure.fact("keys in the file", self.below(""))
    }

    fn below(&self, parent: &str) -> String {
        const SHOWN: usize = 12;
        let prefix = if parent.is_empty() { String::new() } else { format!("{parent}/") };
        let from = self.values.range(prefix.clone().into_bytes()..);
        let steps = from.map_while(|(path, _)| path.strip_prefix(prefix.as_bytes()));
        let mut keys: Vec<_> = steps
            .filter(|step| !step.contains(&b'/'))
            .take(SHOWN + 1)
            .map(|step| String::from_utf8_lossy(step))
            .collect();
        if keys.len() > SHOWN {
            keys.truncate(SHOWN);
            keys.push("...".into());
        }
        if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
    }
}

/// What kind of value it is, for messages.
#[must_use]
pub const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Time(_) => "a time",
        Value::Str(_) => "a string",
        Value::Map(_) => "a mapping",
        Value::List(_) => "a list",
        Value::Comment(_) => "a comment",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: Value) -> Entry {
        Entry::Pair(key.into(), value)
    }

    fn document() -> Branch {
        let list = vec![
            Value::Comment("note".into()),
            Value::Str("zero".into()),
            Value::Map(vec![pair("x", Value::Int(1))]),
        ];
        vec![
            pair("a", Value::Map(vec![pair("b", Value::Int(2)), pair("b", Value::Int(3))])),
            pair("list", Value::List(list)),
            pair("a/b", Value::Int(4)),
            pair("c/d", Value::Int(5)),
            pair("", Value::Map(vec![pair("", Value::Int(6))])),
        ]
    }

    #[test]
    fn keys_and_indices_lead_to_values() {
        let document = document();
        let index = Index::of(&document);
        for (key, value) in
            [("a/b", Value::Int(3)), ("list/0", Value::Str("zero".into())), ("list/1/x", Value::Int(1))]
        {
            assert_eq!(index.get(key).unwrap(), &value, "{key}");
        }
        assert_eq!(index.get("c/d").unwrap(), &Value::Int(5), "a key with a slash");
        assert_eq!(index.get("/").unwrap(), &Value::Int(6), "empty keys");
        assert!(matches!(index.get("a").unwrap(), Value::Map(_)));
    }

    #[test]
    fn a_missing_key_names_its_neighbours() {
        let document = document();
        let index = Index::of(&document);
        let fact = |key| index.get(key).unwrap_err().facts.remove(0);
        assert_eq!(fact("a/x"), ("keys in 'a'".into(), "b".into()));
        assert_eq!(fact("list/7/y"), ("keys in 'list'".into(), "0, 1".into()));
        assert_eq!(fact("list/0/y"), ("reason".into(), "'list/0' is a string".into()));
        assert_eq!(fact("zzz").1, ", a, list");
    }
}

//! Addressing values of an opened document by the manifest's keys: `db/password`, `servers/0/token`.

use std::collections::BTreeMap;

use crate::{
    failure::{Failure, Result},
    stack::max_depth,
};

use super::value::{Branch, Entry, Value};

/// Where the wanted keys lead in a document.
///
/// Made by one walk that enters only what a wanted key leads into, so that neither time nor memory grows with the
/// product of long keys and many values.
#[derive(Debug)]
pub struct Index<'a> {
    document: &'a Branch,
    /// The wanted keys and what stands above them: mapping keys and list indices joined by `/`. Each with what is
    /// there, and how many steps lead to it.
    found: BTreeMap<&'a str, Option<(usize, &'a Value)>>,
    longest: usize,
}

impl<'a> Index<'a> {
    /// Looks for the `wanted` keys.
    pub fn of(document: &'a Branch, wanted: impl Iterator<Item = &'a str>) -> Self {
        let mut found = BTreeMap::new();
        let mut longest = 0;
        for key in wanted {
            longest = longest.max(key.len());
            let above = key.match_indices('/').take(max_depth()).filter_map(|(end, _)| key.get(..end));
            found.extend(above.chain([key]).map(|path| (path, None)));
        }
        let mut index = Self { document, found, longest };
        index.enter(&mut String::new(), 1, document);
        index
    }

    /// The value at `key`, which must be one of those that were wanted.
    ///
    /// Where a key of the document itself contains `/`, the reading with more steps counts. Of repeated keys the
    /// last counts.
    pub fn get(&self, key: &str) -> Result<&'a Value> {
        self.at(key).ok_or_else(|| self.missing(key))
    }

    fn at(&self, path: &str) -> Option<&'a Value> {
        self.found.get(path).copied().flatten().map(|(_, value)| value)
    }

    fn enter(&mut self, path: &mut String, depth: usize, branch: &'a Branch) {
        for entry in branch {
            // What is not UTF-8 is no beginning of a wanted key.
            if let Entry::Pair(key, value) = entry
                && let Ok(key) = std::str::from_utf8(key)
            {
                self.step(path, key, depth, value);
            }
        }
    }

    fn step(&mut self, path: &mut String, step: &str, depth: usize, value: &'a Value) {
        let parent = path.len();
        if parent.saturating_add(step.len()) > self.longest {
            return;
        }
        if depth > 1 {
            path.push('/');
        }
        path.push_str(step);
        if let Some(known) = self.found.get_mut(path.as_str()) {
            let before = known.map_or(0, |(depth, _)| depth);
            match value {
                Value::Map(branch) => self.enter(path, depth + 1, branch),
                Value::List(items) => {
                    let elements = items.iter().filter(|item| !matches!(item, Value::Comment(_)));
                    for (number, item) in elements.enumerate() {
                        self.step(path, &number.to_string(), depth + 1, item);
                    }
                }
                _ => {}
            }
            if depth >= before
                && let Some(known) = self.found.get_mut(path.as_str())
            {
                *known = Some((depth, value));
            }
        }
        path.truncate(parent);
    }

    /// Names the deepest step that exists, and what there is below it. Keys are no secrets.
    fn missing(&self, key: &str) -> Failure {
        let failure = Failure::new(format!("the key '{key}' cannot be found"));
        // Nothing deeper was looked for.
        let above: Vec<_> = key.match_indices('/').take(max_depth()).collect();
        for (end, _) in above.into_iter().rev() {
            let parent = key.get(..end).unwrap_or_default();
            return match self.at(parent) {
                None => continue,
                Some(Value::Map(branch)) => failure.fact(&format!("keys in '{parent}'"), keys(branch)),
                Some(Value::List(items)) => {
                    let count = items.iter().filter(|item| !matches!(item, Value::Comment(_))).count();
                    failure.fact("reason", format!("'{parent}' is a list of {count}"))
                }
                Some(value) => failure.fact("reason", format!("'{parent}' is {}", kind(value))),
            };
        }
        failure.fact("keys in the file", keys(self.document))
    }
}

/// The first keys of a mapping, none of them whole if it is long.
fn keys(branch: &Branch) -> String {
    const SHOWN: usize = 12;
    const LONG: usize = 60;
    let mut keys = branch.iter().filter_map(|entry| match entry {
        Entry::Pair(key, _) => Some(key),
        Entry::Comment(_) => None,
    });
    let show = |key: &Vec<u8>| match key.get(..LONG) {
        Some(start) => format!("{}...", String::from_utf8_lossy(start)),
        None => String::from_utf8_lossy(key).into_owned(),
    };
    let mut shown: Vec<_> = keys.by_ref().take(SHOWN).map(show).collect();
    if keys.next().is_some() {
        shown.push("...".to_owned());
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
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
        let wanted = ["a/b", "list/0", "list/1/x", "c/d", "/", "a", "list/1/x"];
        let index = Index::of(&document, wanted.into_iter());
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
        let wanted = ["a/x", "list/7/y", "list/0/y", "zzz"];
        let index = Index::of(&document, wanted.into_iter());
        let fact = |key| index.get(key).unwrap_err().facts.remove(0);
        assert_eq!(fact("a/x"), ("keys in 'a'".into(), "b, b".into()));
        assert_eq!(fact("list/7/y"), ("reason".into(), "'list' is a list of 2".into()));
        assert_eq!(fact("list/0/y"), ("reason".into(), "'list/0' is a string".into()));
        assert_eq!(fact("zzz").1, "a, list, a/b, c/d, ");
    }

    #[test]
    fn long_keys_above_many_values_cost_nothing() {
        let long = "k".repeat(1 << 20);
        let many = (0..20_000).map(|number| pair(&number.to_string(), Value::Null)).collect();
        let document = vec![pair(&long, Value::Map(many))];
        let wanted = [long.clone() + "/7", "zzz".to_owned()];
        let index = Index::of(&document, wanted.iter().map(String::as_str));
        assert!(index.get(&wanted[0]).is_ok());
        assert!(index.get("zzz").unwrap_err().to_string().len() < 200);
    }
}

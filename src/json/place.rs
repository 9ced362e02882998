//! Walks a JSON value as Go decodes it into structs, and knows where it stands for the error.

use std::fmt;

use crate::failure::{Failure, Result};

use super::{Value, names_match};

/// A value and the way to it from the root, such as `secrets[3].mode`. Borrowed from step to step: the way is only
/// written out for an error.
#[derive(Debug, Clone, Copy)]
pub struct Place<'v, 'p> {
    value: &'v Value,
    step: Step<'p>,
    parent: Option<&'p Place<'v, 'p>>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Root,
    Name(&'p str),
    Index(usize),
}

impl<'v> Place<'v, '_> {
    /// The whole value.
    #[must_use]
    pub fn root(value: &'v Value) -> Self {
        Self { value, step: Step::Root, parent: None }
    }

    /// The value that stands here.
    #[must_use]
    pub fn value(&self) -> &'v Value {
        self.value
    }

    /// Whether nothing stands here: `null` or no such field.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The field of that name, in any case; the last one that is not null. Absent if there is none.
    pub fn field<'s>(&'s self, name: &'s str) -> Result<Place<'v, 's>> {
        let mut found = &Value::Null;
        for (key, value) in self.members()? {
            if !matches!(value, Value::Null) && names_match(key, name) {
                found = value;
            }
        }
        Ok(Place { value: found, step: Step::Name(name), parent: Some(self) })
    }

    /// The members of an object with their exact names, in file order, duplicates kept; none if absent.
    pub fn entries<'s>(&'s self) -> Result<impl Iterator<Item = (&'v str, Place<'v, 's>)>> {
        let members = self.members()?.iter();
        Ok(members.map(|(key, value)| {
            (key.as_str(), Place { value, step: Step::Name(key.as_str()), parent: Some(self) })
        }))
    }

    fn members(&self) -> Result<&'v [(String, Value)]> {
        match self.value {
            Value::Object(members) => Ok(members),
            Value::Null => Ok(&[]),
            _ => Err(self.expected("an object")),
        }
    }

    /// The elements of an array; none if absent.
    pub fn items<'s>(&'s self) -> Result<impl ExactSizeIterator<Item = Place<'v, 's>>> {
        let items: &[Value] = match self.value {
            Value::Array(items) => items,
            Value::Null => &[],
            _ => return Err(self.expected("a list")),
        };
        let place = |(index, value)| Place { value, step: Step::Index(index), parent: Some(self) };
        Ok(items.iter().enumerate().map(place))
    }

    /// A string, if present.
    pub fn text(&self) -> Result<Option<&'v str>> {
        match self.value {
            Value::String(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(self.expected("UTF-8 text")),
            },
            Value::Null => Ok(None),
            _ => Err(self.expected("a string")),
        }
    }

    /// A boolean, if present.
    pub fn flag(&self) -> Result<Option<bool>> {
        match self.value {
            Value::Bool(flag) => Ok(Some(*flag)),
            Value::Null => Ok(None),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A whole number, if present. As in Go, one written with a fraction or an exponent is none.
    pub fn whole(&self) -> Result<Option<i64>> {
        match self.value {
            Value::Number(raw) => match raw.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.failure("expected a whole number of 64 bits")),
            },
            Value::Null => Ok(None),
            _ => Err(self.expected("a whole number")),
        }
    }

    /// A failure about this place: its path, then `what`.
    pub fn failure(&self, what: impl fmt::Display) -> Failure {
        match self.to_string() {
            path if path.is_empty() => Failure::new(what.to_string()),
            path => Failure::new(format!("{path}: {what}")),
        }
    }

    fn expected(&self, what: &str) -> Failure {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.failure(format_args!("expected {what}, found {found}"))
    }
}

/// The path from the root; empty for the root itself.
impl fmt::Display for Place<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match (self.step, self.parent.map(|parent| parent.step)) {
            (Step::Root, _) => Ok(()),
            (Step::Name(name), Some(Step::Root) | None) => f.write_str(name),
            (Step::Name(name), _) => write!(f, ".{name}"),
            (Step::Index(index), _) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn fields_are_found_in_any_case_and_the_last_one_counts() {
        let value = parse(br#"{"Mode":"1","mode":"2","MODE":null,"n":7,"b":true,"l":["x"]}"#).unwrap();
        let root = Place::root(&value);
        assert_eq!(root.field("mode").unwrap().text().unwrap(), Some("2"));
        assert_eq!(root.field("none").unwrap().text().unwrap(), None);
        assert_eq!(root.field("N").unwrap().whole().unwrap(), Some(7));
        assert_eq!(root.field("b").unwrap().flag().unwrap(), Some(true));
        assert_eq!(root.field("l").unwrap().items().unwrap().len(), 1);
        assert_eq!(root.field("none").unwrap().items().unwrap().len(), 0);
        assert!(root.field("none").unwrap().field("deeper").unwrap().is_absent());
        assert_eq!(root.entries().unwrap().map(|(key, _)| key).collect::<String>(), "ModemodeMODEnbl");
    }

    #[test]
    fn errors_name_the_path_and_not_the_value() {
        let value = parse(br#"{"secrets":[{},{"mode":5},"hunter2"],"n":1.0}"#).unwrap();
        let root = Place::root(&value);
        let secrets = root.field("secrets").unwrap();
        let items: Vec<_> = secrets.items().unwrap().collect();
        let told = |failure: Failure| failure.headline;
        assert_eq!(
            told(items[1].field("mode").unwrap().text().unwrap_err()),
            "secrets[1].mode: expected a string, found a number"
        );
        assert_eq!(
            told(items[2].field("mode").unwrap_err()),
            "secrets[2]: expected an object, found a string"
        );
        assert_eq!(
            told(root.field("n").unwrap().whole().unwrap_err()),
            "n: expected a whole number of 64 bits"
        );
        assert_eq!(told(root.items().err().unwrap()), "expected a list, found an object");
    }
}

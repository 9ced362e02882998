//! Templates: every placeholder in a text becomes the value of its secret, in one pass over the text.
//!
//! A placeholder inside a value stays as it is, so the result does not depend on any order. Where two placeholders
//! begin at the same place the longer one counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::plaintext::Plaintext;

/// The placeholders of a manifest, each with the number of its secret.
#[derive(Debug, Default)]
pub struct Placeholders<'a> {
    secrets: BTreeMap<&'a [u8], usize>,
    /// Longest first, without repeats. A manifest of the NixOS module has one length.
    lengths: Vec<usize>,
    /// The bytes that placeholders begin with: all other places of a text cost one look.
    firsts: BTreeSet<u8>,
}

impl<'a> FromIterator<(&'a [u8], usize)> for Placeholders<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], usize)>>(pairs: I) -> Self {
        let (mut secrets, mut lengths, mut firsts) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        secrets.extend(pairs.into_iter().filter(|(text, _)| !text.is_empty()));
        lengths.extend(secrets.keys().map(|text| text.len()));
        firsts.extend(secrets.keys().filter_map(|text| text.first().copied()));
        Self { secrets, lengths: lengths.into_iter().rev().collect(), firsts }
    }
}

impl Placeholders<'_> {
    /// The placeholder that `text` begins with: the number of its secret, and its length.
    fn at_start(&self, text: &[u8]) -> Option<(usize, usize)> {
        self.lengths.iter().find_map(|&length| Some((*self.secrets.get(text.get(..length)?)?, length)))
    }

    /// `text` with each placeholder replaced by `value` of its secret's number.
    ///
    /// # Errors
    ///
    /// The numbers of the secrets that the text needs and that have no value.
    pub fn render<'v>(
        &self,
        text: &[u8],
        value: impl Fn(usize) -> Option<&'v [u8]>,
    ) -> Result<Plaintext, BTreeSet<usize>> {
        let (mut pieces, mut missing) = (Vec::new(), BTreeSet::new());
        let mut rest = text;
        let mut literal = 0;
        while let Some(next) = rest.get(literal..) {
            let Some(step) = next.iter().position(|byte| self.firsts.contains(byte)) else { break };
            literal += step;
            let Some((before, here)) = rest.split_at_checked(literal) else { break };
            match self.at_start(here) {
                None => literal += 1,
                Some((secret, length)) => {
                    pieces.push(before);
                    match value(secret) {
                        Some(value) => pieces.push(value),
                        None => drop(missing.insert(secret)),
                    }
                    rest = here.get(length..).unwrap_or_default();
                    literal = 0;
                }
            }
        }
        pieces.push(rest);
        // One allocation of the final size: a growing buffer would leave unwiped copies behind.
        if missing.is_empty() { Ok(pieces.concat().into()) } else { Err(missing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<String, BTreeSet<usize>> {
        let placeholders: Placeholders =
            [(&b"<A>"[..], 0), (b"<B>", 1), (b"<B>C", 2), (b"<gone>", 3), (b"", 4)].into_iter().collect();
        let values = ["alpha", "<A>", "long"];
        placeholders
            .render(text.as_bytes(), |n| values.get(n).map(|v| v.as_bytes()))
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn placeholders_become_values_in_one_pass() {
        for (text, rendered) in [
            ("", ""),
            ("no placeholder < here", "no placeholder < here"),
            ("<A>", "alpha"),
            ("x<A><A>y", "xalphaalphay"),
            ("<B> stays what it is", "<A> stays what it is"),
            ("<B>C is the longer one", "long is the longer one"),
            ("<<A>", "<alpha"),
            ("<A", "<A"),
        ] {
            assert_eq!(render(text).unwrap(), rendered, "{text}");
        }
    }

    #[test]
    fn a_missing_value_is_named_once() {
        assert_eq!(render("<A> <gone> <gone>").unwrap_err(), BTreeSet::from([3]));
    }
}

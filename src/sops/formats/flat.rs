//! Metadata of dotenv and INI files: flat names such as `pgp__list_0__map_enc`, brought back into a tree.
//!
//! Follows sops 3.12.2, with an error where it crashes: a name that is both a list and a map, a negative index,
//! an index in the millions.

use std::collections::BTreeMap;

use crate::{
    failure::{Failure, Result},
    json::Value as Json,
    plaintext::Plaintext,
    sops::{
        number::{NumberError, parse_float, parse_int},
        value::Branch,
    },
    stack::ORDINARY_DEPTH,
};

use super::fields::Decoder;

const MAP: &[u8] = b"__map_";
const LIST: &[u8] = b"__list_";

/// What a field takes beside its name and value until it is decoded.
pub(super) const FIELD_COST: usize = 1024;

/// So many list elements may be missing in all lists together. sops makes each missing one an empty entry.
const MAX_MISSING: usize = 10_000;

/// The metadata behind flat names and their values, later ones replacing earlier ones of the same name.
pub(super) fn metadata(pairs: impl IntoIterator<Item = (Vec<u8>, Plaintext)>) -> Result<Branch> {
    let mut last = BTreeMap::new();
    last.extend(pairs);
    let mut root = Node::Map(BTreeMap::new());
    for (name, text) in last {
        let value = match name.as_slice() {
            b"mac_only_encrypted" => Json::Bool(&*text == b"true"),
            b"shamir_threshold" => Json::Number(threshold(&text)?.to_string()),
            _ => Json::String(utf8(&text).into_bytes().into()),
        };
        root.insert(&name, value)?;
    }
    let mut missing = MAX_MISSING;
    let mut decoder = Decoder::default();
    decoder.decode(&root.into_json(&mut missing)?)?;
    Ok(decoder.finish().unwrap_or_default())
}

/// Versions before 3.11 wrote the number like `2.000000`.
fn threshold(text: &[u8]) -> Result<i64> {
    let whole = |value: f64| (value.fract() == 0.0).then(|| format!("{value:.0}").parse().ok()).flatten();
    let number = match parse_int(text) {
        Ok(number) => Some(number),
        Err(_) => parse_float(text).ok().and_then(whole),
    };
    number.ok_or_else(|| Failure::new("metadata field shamir_threshold: expected a whole number"))
}

/// As `json.Marshal` passes strings on: a byte that is not part of UTF-8 becomes U+FFFD.
fn utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// One step of a flat name.
#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a [u8]),
    Index(usize),
}

enum Node {
    /// Empty until its value is put in.
    Leaf(Option<Json>),
    Map(BTreeMap<Vec<u8>, Node>),
    List(BTreeMap<usize, Node>),
}

impl Node {
    fn insert(&mut self, name: &[u8], value: Json) -> Result<()> {
        let told = || format!("metadata field {}", name.escape_ascii());
        let steps = steps(name).map_err(|what| Failure::new(format!("{}: {what}", told())))?;
        let clash = || Failure::new(format!("{} clashes with another field", told()));
        let mut node = self;
        for (at, step) in steps.iter().enumerate() {
            let next = || match steps.get(at.saturating_add(1)) {
                Some(Step::Key(_)) => Node::Map(BTreeMap::new()),
                Some(Step::Index(_)) => Node::List(BTreeMap::new()),
                None => Node::Leaf(None),
            };
            node = match (node, *step) {
                (Node::Map(members), Step::Key(key)) => members.entry(key.to_vec()).or_insert_with(next),
                (Node::List(elements), Step::Index(index)) => elements.entry(index).or_insert_with(next),
                _ => return Err(clash()),
            };
        }
        match node {
            Node::Leaf(leaf @ None) => *leaf = Some(value),
            // Two spellings of one index, or a list or map. sops takes either, by chance.
            _ => return Err(clash()),
        }
        Ok(())
    }

    fn into_json(self, missing: &mut usize) -> Result<Json> {
        Ok(match self {
            Node::Leaf(value) => value.unwrap_or(Json::Null),
            Node::Map(members) => Json::Object(
                members
                    .into_iter()
                    .map(|(key, node)| Ok((utf8(&key), node.into_json(missing)?)))
                    .collect::<Result<_>>()?,
            ),
            Node::List(elements) => {
                let mut list = Vec::new();
                for (index, node) in elements {
                    let gap = index.saturating_sub(list.len());
                    *missing = missing.checked_sub(gap).ok_or_else(|| {
                        Failure::new(format!("a metadata list lacks elements below the index {index}"))
                    })?;
                    list.resize_with(index, || Json::Null);
                    list.push(node.into_json(missing)?);
                }
                Json::Array(list)
            }
        })
    }
}

/// Splits a flat name. As in sops, an index that is no number counts as 0.
fn steps(name: &[u8]) -> std::result::Result<Vec<Step<'_>>, &'static str> {
    let mut steps = Vec::new();
    let (mut rest, mut in_list) = (name, false);
    loop {
        let separator = (0..rest.len()).find_map(|at| {
            let tail = rest.get(at..)?;
            tail.starts_with(MAP).then_some((at, false)).or(tail.starts_with(LIST).then_some((at, true)))
        });
        let end = separator.map_or(rest.len(), |(at, _)| at);
        let token = rest.get(..end).unwrap_or_default();
        steps.push(if in_list { Step::Index(index(token)?) } else { Step::Key(token) });
        if steps.len() > ORDINARY_DEPTH {
            return Err("nested too deep");
        }
        let Some((at, list)) = separator else { return Ok(steps) };
        rest = rest.get(at.saturating_add(if list { LIST } else { MAP }.len())..).unwrap_or_default();
        in_list = list;
    }
}

fn index(token: &[u8]) -> std::result::Result<usize, &'static str> {
    match parse_int(token) {
        Ok(index) => usize::try_from(index).map_err(|_| "negative index"),
        Err(NumberError::Syntax) => Ok(0),
        Err(NumberError::Range) => Err("the index is too large"),
    }
}

//! The `sops` mapping, as go-yaml hands it to sops: texts and meanings, with merge keys applied.
//!
//! sops 3.12.2 decodes it into a typed structure, before it builds the tree: there a `lastmodified` without quotes
//! is a text, whatever it looks like. What that decoding refuses is refused here at the top level of the file
//! (repeated keys, merges of what is no mapping); inside of the mapping it is [`Node::Invalid`].

use std::{borrow::Cow, collections::HashSet};

use crate::{
    failure::Result,
    plaintext::Plaintext,
    sops::value::{Branch, Entry, Key, Value},
};

use super::{
    composer::{Id, Kind, Node as Source},
    fault,
    resolve::{Meaning, Tag},
    tree::{self, Grower, Scalar},
};

/// A part of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Null: as if it were not there, also as an element of a list.
    Null,
    /// A scalar.
    Scalar {
        /// As it is written, without quotes: what a field of type string gets.
        text: Vec<u8>,
        /// What it means: what a field of another type gets.
        value: Value,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping; keys do not repeat.
    Map(Vec<(Key, Node)>),
    /// Something that cannot be decoded: a scalar that is not what its tag says, a mapping with repeated keys, with a
    /// key that is no scalar, or with a wrong merge. An error if a field wants it, ignored elsewhere.
    Invalid,
}

/// The metadata as a tree: text for fields that are text, whatever it looks like.
pub(super) fn branch(fields: Vec<(Key, Node)>) -> Branch {
    let typed = |key: &[u8]| matches!(key, b"shamir_threshold" | b"mac_only_encrypted");
    let pair = |(key, node): (Key, Node)| {
        let value = match node {
            Node::Scalar { value, .. } if typed(&key) => value,
            node => value(node),
        };
        Entry::Pair(key, value)
    };
    fields.into_iter().map(pair).collect()
}

fn value(node: Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Scalar { text, .. } => Value::Str(text.into()),
        Node::List(items) => Value::List(items.into_iter().map(value).collect()),
        Node::Map(fields) => Value::Map(branch(fields)),
        // No field takes a comment.
        Node::Invalid => Value::Comment(Plaintext::default()),
    }
}

/// Keys as they are written, and the nodes of their values.
type Fields<'g> = Vec<(Cow<'g, [u8]>, Id)>;

/// What a part of the metadata takes beside its text, until it is decoded.
const PART_COST: usize = 256;

const REPEATED: &str = "a mapping key is already defined";

/// What a key takes in a set and in a list that know how many will come.
const KEY_COST: usize = 96;

/// Which fields of a mapping are collected.
struct Wanted<'g, 'n> {
    /// Only the one of this name.
    only: Option<&'n [u8]>,
    /// Inside of a merge: the keys that are set already.
    taken: Option<HashSet<Cow<'g, [u8]>>>,
    found: Fields<'g>,
}

impl<'g> Grower<'g, '_> {
    /// The mapping below the key `name` in the first document: `None` if it is missing or null.
    pub(super) fn metadata(&mut self, name: &[u8]) -> Result<Option<Node>> {
        match self.field(name)? {
            Some((_, map @ Node::Map(_))) => Ok(Some(map)),
            Some((line, _)) => Err(fault(line, "the sops entry is not a mapping")),
            None => Ok(None),
        }
    }

    /// The value of the key `name` in the first document, and the line of the document: `None` if it is missing or
    /// null.
    pub(super) fn field(&mut self, name: &[u8]) -> Result<Option<(isize, Node)>> {
        let Some(document) = self.graph.documents.get(0) else { return Ok(None) };
        let root = self.node(document.root, 0)?;
        match root.kind {
            Kind::Mapping => {}
            Kind::Scalar { .. } => return Ok(None),
            _ => return Err(self.graph.fault(root, "the document is not a mapping")),
        }
        let before = self.room;
        let found = self.fields_of(document.root, root, Some(name), 0)?;
        // What was collected is gone.
        self.room = before;
        let Some((_, id)) = found.first() else { return Ok(None) };
        self.quiet = true;
        let node = self.raw(*id, 1);
        self.quiet = false;
        Ok(Some((self.graph.line(root), node?)).filter(|(_, node)| *node != Node::Null))
    }

    fn raw(&mut self, id: Id, depth: usize) -> Result<Node> {
        let node = self.node(id, depth)?;
        let text = self.graph.text(node);
        self.room.take(3 * text.len())?;
        Ok(match node.kind {
            Kind::Scalar { plain } => {
                let Scalar::Meaning(meaning, text) = tree::scalar(node.tag, text, plain) else {
                    return Ok(Node::Invalid);
                };
                let value = match meaning {
                    Meaning::Null => return Ok(Node::Null),
                    // Too large for any field; close enough to be refused there.
                    #[allow(clippy::cast_precision_loss)]
                    Meaning::Uint(int) => Value::Float(int as f64),
                    meaning => tree::value(meaning, text.clone()).unwrap_or(Value::Null),
                };
                Node::Scalar { text: text.into_owned(), value }
            }
            Kind::Alias => {
                self.aliases += 1;
                let node = self.raw(node.target().unwrap_or(id), depth + 1)?;
                self.aliases -= 1;
                node
            }
            Kind::Sequence => {
                let size = self.graph.children(id, node).count();
                self.room.take(size.saturating_mul(PART_COST))?;
                let mut items = Vec::with_capacity(size);
                for item in self.graph.children(id, node) {
                    items.push(self.raw(item, depth + 1)?);
                }
                Node::List(items)
            }
            Kind::Mapping => {
                let Ok(fields) = self.fields_of(id, node, None, depth) else {
                    return Ok(Node::Invalid);
                };
                self.room.take(fields.len().saturating_mul(PART_COST))?;
                let mut map = Vec::with_capacity(fields.len());
                for (key, id) in fields {
                    map.push((key.into_owned(), self.raw(id, depth + 1)?));
                }
                Node::Map(map)
            }
        })
    }

    fn fields_of(
        &mut self,
        id: Id,
        mapping: &'g Source,
        only: Option<&[u8]>,
        depth: usize,
    ) -> Result<Fields<'g>> {
        let mut wanted = Wanted { only, taken: None, found: Fields::new() };
        self.fields(id, mapping, &mut wanted, depth)?;
        Ok(wanted.found)
    }

    /// Collects the wanted fields of a mapping.
    fn fields(
        &mut self,
        id: Id,
        mapping: &'g Source,
        wanted: &mut Wanted<'g, '_>,
        depth: usize,
    ) -> Result<()> {
        let graph = self.graph;
        let size = graph.children(id, mapping).count() / 2;
        self.room.take(size.saturating_mul(KEY_COST))?;
        let mut own = HashSet::with_capacity(size);
        if wanted.only.is_none() {
            wanted.found.reserve_exact(size);
        }
        let mut merge = None;
        let mut children = graph.children(id, mapping);
        while let (Some(key_id), Some(value)) = (children.next(), children.next()) {
            let node = self.node(key_id, depth + 1)?;
            let target = match node.target() {
                Some(target) => self.node(target, depth + 1)?,
                None => node,
            };
            let Kind::Scalar { plain } = target.kind else {
                return Err(self.fault(node, "a key is not a string"));
            };
            if self.is_merge(node) {
                if merge.replace(value).is_some() {
                    return Err(self.fault(node, REPEATED));
                }
                continue;
            }
            let key = match tree::scalar(target.tag, graph.text(target), plain) {
                Scalar::Meaning(Meaning::Null, _) => continue,
                Scalar::Meaning(_, text) => text,
                Scalar::Mistagged => return Err(self.fault(node, "a key is not what its tag says")),
            };
            if !own.insert(key.clone()) {
                return Err(self.fault(node, REPEATED));
            }
            let is_wanted = wanted.only.is_none_or(|only| only == &*key);
            if wanted.taken.as_mut().is_none_or(|taken| taken.insert(key.clone())) && is_wanted {
                wanted.found.push((key, value));
            }
        }
        if let Some(merge) = merge {
            wanted.taken.get_or_insert(own);
            self.merge(merge, true, wanted, depth + 1)?;
        }
        Ok(())
    }

    /// Adds what a merge key refers to: a mapping or, if `list`, a list of mappings.
    fn merge(&mut self, id: Id, list: bool, wanted: &mut Wanted<'g, '_>, depth: usize) -> Result<()> {
        let node = self.node(id, depth)?;
        match node.kind {
            Kind::Mapping => self.fields(id, node, wanted, depth),
            Kind::Alias => {
                self.aliases += 1;
                self.merge(node.target().unwrap_or(id), false, wanted, depth + 1)?;
                self.aliases -= 1;
                Ok(())
            }
            Kind::Sequence if list => {
                for item in self.graph.children(id, node) {
                    self.merge(item, false, wanted, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(self.fault(node, "map merge requires map or sequence of maps as the value")),
        }
    }

    fn is_merge(&self, key: &Source) -> bool {
        match key.kind {
            Kind::Scalar { plain } if self.graph.text(key) == b"<<" => match key.tag {
                None => plain,
                Some(tag) => tag == Tag::Merge,
            },
            _ => false,
        }
    }
}

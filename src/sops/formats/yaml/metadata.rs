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
    composer::{Content, Id, Node as Source},
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
        let Some(document) = self.graph.documents.first() else { return Ok(None) };
        let root = self.node(document.root, 0)?;
        let mut fields = Fields::new();
        match &root.content {
            Content::Mapping(_) => self.fields(root, &mut None, &mut fields, 0)?,
            Content::Scalar { .. } => return Ok(None),
            _ => return Err(fault(root.line, "the document is not a mapping")),
        }
        let Some((_, id)) = fields.iter().find(|(key, _)| **key == *name) else { return Ok(None) };
        Ok(Some((root.line, self.raw(*id, 1)?)).filter(|(_, node)| *node != Node::Null))
    }

    fn raw(&mut self, id: Id, depth: usize) -> Result<Node> {
        let node = self.node(id, depth)?;
        Ok(match &node.content {
            Content::Scalar { text, plain } => {
                let Scalar::Meaning(meaning, text) = tree::scalar(node, text, *plain) else {
                    return Ok(Node::Invalid);
                };
                match meaning {
                    Meaning::Null => Node::Null,
                    // Too large for any field; close enough to be refused there.
                    #[allow(clippy::cast_precision_loss)]
                    Meaning::Uint(int) => {
                        Node::Scalar { text: text.into_owned(), value: Value::Float(int as f64) }
                    }
                    meaning => {
                        let value = tree::value(meaning, text.clone(), node.line)?;
                        Node::Scalar { text: text.into_owned(), value }
                    }
                }
            }
            Content::Alias(target) => {
                self.aliases += 1;
                let node = self.raw(*target, depth + 1)?;
                self.aliases -= 1;
                node
            }
            Content::Sequence(items) => {
                Node::List(items.iter().map(|item| self.raw(*item, depth + 1)).collect::<Result<_>>()?)
            }
            Content::Mapping(_) => {
                let mut fields = Fields::new();
                if self.fields(node, &mut None, &mut fields, depth).is_err() {
                    return Ok(Node::Invalid);
                }
                let pair = |(key, id): (Cow<'_, [u8]>, Id)| Ok((key.into_owned(), self.raw(id, depth + 1)?));
                Node::Map(fields.into_iter().map(pair).collect::<Result<_>>()?)
            }
        })
    }

    /// Collects the fields of a mapping. `taken`, inside of a merge: the keys that are set already.
    fn fields(
        &mut self,
        mapping: &'g Source<'_>,
        taken: &mut Option<HashSet<Cow<'g, [u8]>>>,
        fields: &mut Fields<'g>,
        depth: usize,
    ) -> Result<()> {
        let Content::Mapping(pairs) = &mapping.content else { return Ok(()) };
        let mut own = HashSet::with_capacity(pairs.len());
        let mut merge = None;
        for &(key_id, value) in pairs {
            let node = self.node(key_id, depth + 1)?;
            let target = match node.content {
                Content::Alias(target) => self.node(target, depth + 1)?,
                _ => node,
            };
            let Content::Scalar { text, plain } = &target.content else {
                return Err(fault(node.line, "a key is not a string"));
            };
            let repeated = || Err(fault(node.line, "a mapping key is already defined"));
            if is_merge(node, *plain) {
                if merge.replace(value).is_some() {
                    return repeated();
                }
                continue;
            }
            let key = match tree::scalar(target, text, *plain) {
                Scalar::Meaning(Meaning::Null, _) => continue,
                Scalar::Meaning(_, text) => text,
                Scalar::Mistagged => return Err(fault(node.line, "a key is not what its tag says")),
            };
            if !own.insert(key.clone()) {
                return repeated();
            }
            if taken.as_mut().is_none_or(|taken| taken.insert(key.clone())) {
                fields.push((key, value));
            }
        }
        if let Some(merge) = merge {
            let taken = if taken.is_some() { taken } else { &mut Some(own) };
            self.merge(merge, true, taken, fields, depth + 1)?;
        }
        Ok(())
    }

    /// Adds what a merge key refers to: a mapping or, if `list`, a list of mappings.
    fn merge(
        &mut self,
        id: Id,
        list: bool,
        taken: &mut Option<HashSet<Cow<'g, [u8]>>>,
        fields: &mut Fields<'g>,
        depth: usize,
    ) -> Result<()> {
        let node = self.node(id, depth)?;
        match &node.content {
            Content::Mapping(_) => self.fields(node, taken, fields, depth),
            Content::Alias(target) => {
                self.aliases += 1;
                self.merge(*target, false, taken, fields, depth + 1)?;
                self.aliases -= 1;
                Ok(())
            }
            Content::Sequence(items) if list => {
                for item in items {
                    self.merge(*item, false, taken, fields, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(fault(node.line, "map merge requires map or sequence of maps as the value")),
        }
    }
}

fn is_merge(key: &Source<'_>, plain: bool) -> bool {
    match &key.content {
        Content::Scalar { text, .. } if **text == *b"<<" => match key.tag {
            None => plain,
            Some(tag) => tag == Tag::Merge,
        },
        _ => false,
    }
}

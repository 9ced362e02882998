//! Nodes to the tree of sops: aliases are written out, comments become entries.

use std::borrow::Cow;

use base64::Engine;

use crate::{
    failure::Result,
    plaintext::Plaintext,
    sops::value::{Branch, Entry, Key, Value},
};

use super::{
    ALIAS_ALLOWANCE, MAX_DEPTH,
    composer::{Content, Document, Graph, Id, Node},
    fault,
    parser::Comments,
    resolve::{self, Meaning, Tag},
};

/// What a scalar is.
pub(super) enum Scalar<'n> {
    Meaning(Meaning, Cow<'n, [u8]>),
    /// It is not what its tag says.
    Mistagged,
}

/// Meaning and text of a scalar; `!!binary` is decoded.
pub(super) fn scalar<'n>(node: &'n Node<'_>, text: &'n [u8], plain: bool) -> Scalar<'n> {
    let meaning = match node.tag {
        None if plain => Some(resolve::plain(text)),
        None => Some(Meaning::Text),
        Some(Tag::Binary) => {
            return base64_decode(text)
                .map_or(Scalar::Mistagged, |bytes| Scalar::Meaning(Meaning::Text, Cow::Owned(bytes)));
        }
        Some(tag) => resolve::tagged(tag, text),
    };
    meaning.map_or(Scalar::Mistagged, |meaning| Scalar::Meaning(meaning, Cow::Borrowed(text)))
}

/// Standard base64 with padding; line breaks are skipped, as Go does.
fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    use base64::{
        alphabet,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    let digits: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(digits).ok()
}

/// Writes nodes out as values.
pub(super) struct Grower<'g, 'a> {
    pub graph: &'g Graph<'a>,
    /// A key of the root that is left out.
    without: Option<Key>,
    /// How many aliases we are in.
    pub aliases: usize,
    /// What may still be written out of aliases, in bytes.
    allowance: usize,
}

impl<'g, 'a> Grower<'g, 'a> {
    pub fn new(graph: &'g Graph<'a>) -> Self {
        Self { graph, without: None, aliases: 0, allowance: ALIAS_ALLOWANCE }
    }

    /// The node; charges it to the aliases that we are in.
    pub fn node(&mut self, id: Id, depth: usize) -> Result<&'g Node<'a>> {
        let Some(node) = self.graph.nodes.get(id) else { return Err(fault(0, "no such node")) };
        if depth > MAX_DEPTH {
            return Err(fault(node.line, "nested too deep"));
        }
        if self.aliases > 0 {
            let text = if let Content::Scalar { text, .. } = &node.content { text.len() } else { 0 };
            let cost = text.saturating_add(NODE_COST);
            match self.allowance.checked_sub(cost) {
                Some(rest) => self.allowance = rest,
                None => return Err(fault(node.line, "aliases write out too much")),
            }
        }
        Ok(node)
    }

    /// The tree of a document. `without`: a key of its root that is left out, but not its comments.
    pub fn document(&mut self, document: &Document, without: Option<&[u8]>) -> Result<Branch> {
        self.without = without.map(<[u8]>::to_vec);
        let mut branch = Branch::new();
        push_comments(&mut branch, &document.head);
        self.root(document.root, &mut branch, 0)?;
        push_comments(&mut branch, &document.foot);
        Ok(branch)
    }

    fn root(&mut self, id: Id, branch: &mut Branch, depth: usize) -> Result<()> {
        let node = self.node(id, depth)?;
        match &node.content {
            Content::Mapping(_) => self.mapping(node, branch, true, depth),
            Content::Alias(target) => {
                push_before(branch, node);
                self.aliases += 1;
                self.root(*target, branch, depth + 1)?;
                self.aliases -= 1;
                push_after(branch, node);
                Ok(())
            }
            Content::Scalar { text, plain } => {
                let null = match node.tag {
                    None => *plain && resolve::plain(text) == Meaning::Null,
                    Some(tag) => tag == Tag::Null,
                };
                if !null {
                    return Err(fault(node.line, "documents that are values are not supported"));
                }
                push_before(branch, node);
                Ok(())
            }
            Content::Sequence(_) => Err(fault(node.line, "documents that are sequences are not supported")),
        }
    }

    /// A mapping with its comments inside.
    fn mapping(&mut self, node: &Node<'a>, branch: &mut Branch, at_root: bool, depth: usize) -> Result<()> {
        push_before(branch, node);
        self.pairs(node, branch, at_root, depth)?;
        push_after(branch, node);
        Ok(())
    }

    fn pairs(&mut self, node: &Node<'a>, branch: &mut Branch, at_root: bool, depth: usize) -> Result<()> {
        let Content::Mapping(pairs) = &node.content else { return Ok(()) };
        branch.reserve(pairs.len());
        for &(key_id, value_id) in pairs {
            let key_node = self.node(key_id, depth + 1)?;
            let value_node = self.node(value_id, depth + 1)?;
            push_before(branch, key_node);
            // Comments of a collection stand inside of it.
            let outside = matches!(value_node.content, Content::Scalar { .. } | Content::Alias(_));
            if outside {
                push_before(branch, value_node);
            }
            let key = self.key(key_node, depth + 1)?;
            if !at_root || self.without.as_ref() != Some(&key) {
                let value = self.value(value_node, outside, depth + 1)?;
                branch.push(Entry::Pair(key, value));
            }
            if outside {
                push_after(branch, value_node);
            }
            push_after(branch, key_node);
        }
        Ok(())
    }

    fn key(&mut self, node: &Node<'a>, depth: usize) -> Result<Key> {
        let line = node.line;
        let target = match node.content {
            Content::Alias(target) => self.node(target, depth + 1)?,
            _ => node,
        };
        if let Content::Scalar { text, plain } = &target.content
            && let Scalar::Meaning(Meaning::Text, text) = scalar(target, text, *plain)
        {
            return Ok(text.into_owned());
        }
        Err(fault(line, "a key is not a string"))
    }

    /// A value; `outside`: its comments are written already.
    fn value(&mut self, node: &Node<'a>, outside: bool, depth: usize) -> Result<Value> {
        match &node.content {
            Content::Scalar { text, plain } => match scalar(node, text, *plain) {
                Scalar::Mistagged => Ok(Value::Null),
                Scalar::Meaning(meaning, text) => value(meaning, text, node.line),
            },
            Content::Alias(target) => {
                self.aliases += 1;
                let target = self.node(*target, depth + 1)?;
                let value = self.value(target, false, depth + 1)?;
                self.aliases -= 1;
                Ok(value)
            }
            Content::Mapping(_) => {
                let mut branch = Branch::new();
                if outside {
                    self.pairs(node, &mut branch, false, depth)?;
                } else {
                    self.mapping(node, &mut branch, false, depth)?;
                }
                Ok(Value::Map(branch))
            }
            Content::Sequence(items) => {
                let mut list = Vec::with_capacity(items.len());
                if !outside {
                    push_before(&mut list, node);
                }
                for item in items {
                    let item = self.node(*item, depth + 1)?;
                    push_before(&mut list, item);
                    let value = self.value(item, true, depth + 1)?;
                    list.push(value);
                    push_after(&mut list, item);
                }
                if !outside {
                    push_after(&mut list, node);
                }
                Ok(Value::List(list))
            }
        }
    }
}

/// What a node that an alias writes out costs beside its text: about what it takes in memory.
const NODE_COST: usize = 128;

pub(super) fn value(meaning: Meaning, text: Cow<'_, [u8]>, line: isize) -> Result<Value> {
    Ok(match meaning {
        Meaning::Null => Value::Null,
        Meaning::Bool(bool) => Value::Bool(bool),
        Meaning::Int(int) => Value::Int(int),
        Meaning::Uint(_) => return Err(fault(line, "an integer does not fit into 64 bits with a sign")),
        Meaning::Float(float) => Value::Float(float),
        Meaning::Time(time) => Value::Time(time),
        Meaning::Text => Value::Str(text.into_owned().into()),
    })
}

/// What comments can stand in.
trait Commented {
    fn push_comment(&mut self, text: &[u8]);
}

impl Commented for Branch {
    fn push_comment(&mut self, text: &[u8]) {
        self.push(Entry::Comment(Plaintext::from(text)));
    }
}

impl Commented for Vec<Value> {
    fn push_comment(&mut self, text: &[u8]) {
        self.push(Value::Comment(Plaintext::from(text)));
    }
}

/// One comment for each line that is not empty, without its `#`.
fn push_comments(to: &mut impl Commented, comment: &[u8]) {
    for line in comment.split(|byte| *byte == b'\n') {
        if let [_, text @ ..] = line {
            to.push_comment(text);
        }
    }
}

fn push_before(to: &mut impl Commented, node: &Node<'_>) {
    if let Some(Comments { head, line, .. }) = node.comments.as_deref() {
        push_comments(to, head);
        push_comments(to, line);
    }
}

fn push_after(to: &mut impl Commented, node: &Node<'_>) {
    if let Some(Comments { foot, .. }) = node.comments.as_deref() {
        push_comments(to, foot);
    }
}

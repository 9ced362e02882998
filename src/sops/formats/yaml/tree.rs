//! Nodes to the tree of sops: aliases are written out, comments become entries.

use std::borrow::Cow;

use base64::Engine;

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    room::{Room, heap},
    sops::value::{Branch, Entry, Value},
    stack::max_depth,
};

use super::{
    ALIAS_ALLOWANCE,
    composer::{Document, Graph, Id, Kind, Lines, Node},
    fault,
    resolve::{self, Meaning, Tag},
};

/// What a scalar is.
pub(super) enum Scalar<'n> {
    Meaning(Meaning, Cow<'n, [u8]>),
    /// It is not what its tag says.
    Mistagged,
}

/// Meaning and text of a scalar; `!!binary` is decoded.
pub(super) fn scalar(tag: Option<Tag>, text: &[u8], plain: bool) -> Scalar<'_> {
    let meaning = match tag {
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
    let mut digits = Vec::with_capacity(text.len());
    digits.extend(text.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(digits).ok()
}

/// Writes nodes out as values.
pub(super) struct Grower<'g, 'a> {
    pub graph: &'g Graph<'a>,
    /// What is left for values.
    pub room: Room,
    /// A key of the root that is left out.
    without: Option<&'g [u8]>,
    /// How many aliases we are in.
    pub aliases: usize,
    /// What may still be written out of aliases, in bytes.
    allowance: usize,
    /// Nobody hears where something is wrong, and to count lines takes time.
    pub quiet: bool,
}

impl<'g, 'a> Grower<'g, 'a> {
    pub fn new(graph: &'g Graph<'a>) -> Self {
        Self { graph, room: graph.room, without: None, aliases: 0, allowance: ALIAS_ALLOWANCE, quiet: false }
    }

    /// The node; charges it to the aliases that we are in.
    pub fn node(&mut self, id: Id, depth: usize) -> Result<&'g Node> {
        let node = self.graph.get(id)?;
        if depth > max_depth() {
            return Err(self.fault(node, "nested too deep"));
        }
        if self.aliases > 0 {
            let cost = self.graph.text(node).len().saturating_add(NODE_COST);
            match self.allowance.checked_sub(cost) {
                Some(rest) => self.allowance = rest,
                None => return Err(self.fault(node, "aliases write out too much")),
            }
        }
        Ok(node)
    }

    /// A failure at a node.
    pub fn fault(&self, node: &Node, problem: &str) -> Failure {
        if self.quiet { fault(0, problem) } else { self.graph.fault(node, problem) }
    }

    /// The tree of a document. `without`: a key of its root that is left out, but not its comments.
    pub fn document(&mut self, document: &Document, without: Option<&'g [u8]>) -> Result<Branch> {
        self.without = without;
        let [above, below] = self.graph.comments_around(document);
        let node = self.node(document.root, 0)?;
        let Some(target) = node.target() else {
            return self.root(document.root, node, 0, [above, Lines::default()], [Lines::default(), below]);
        };
        let [before, behind] = self.graph.comments(node);
        self.aliases = 1;
        let node = self.node(target, 1)?;
        let branch = self.root(target, node, 1, [above, before], [behind, below]);
        self.aliases = 0;
        branch
    }

    fn root(
        &mut self,
        id: Id,
        node: &'g Node,
        depth: usize,
        above: [Lines<'g>; 2],
        below: [Lines<'g>; 2],
    ) -> Result<Branch> {
        let around = above.into_iter().chain(below).map(|lines| lines.texts().count()).sum();
        let mut branch = self.list_for(id, node, around)?;
        for lines in above {
            self.comments(&mut branch, lines)?;
        }
        match node.kind {
            Kind::Mapping => self.mapping(id, node, &mut branch, true, depth)?,
            Kind::Scalar { plain } => {
                let null = match node.tag {
                    None => plain && resolve::plain(self.graph.text(node)) == Meaning::Null,
                    Some(tag) => tag == Tag::Null,
                };
                if !null {
                    return Err(self.graph.fault(node, "documents that are values are not supported"));
                }
                let [before, _] = self.graph.comments(node);
                self.comments(&mut branch, before)?;
            }
            _ => return Err(self.graph.fault(node, "documents that are sequences are not supported")),
        }
        for lines in below {
            self.comments(&mut branch, lines)?;
        }
        Ok(branch)
    }

    /// Room for what a collection holds and for `more`.
    fn list_for<T>(&mut self, id: Id, node: &Node, more: usize) -> Result<Vec<T>> {
        let graph = self.graph;
        let lines = |node| graph.comments(node).into_iter().map(|lines| lines.texts().count()).sum::<usize>();
        let (mut items, mut comments) = (0_usize, lines(node));
        for id in graph.children(id, node) {
            items += 1;
            comments += lines(graph.get(id)?);
        }
        if node.kind == Kind::Mapping {
            items /= 2;
        }
        let size = items + comments + more;
        self.room.take(heap(size.saturating_mul(size_of::<T>())))?;
        Ok(Vec::with_capacity(size))
    }

    /// A mapping with its comments inside.
    fn mapping(
        &mut self,
        id: Id,
        node: &'g Node,
        branch: &mut Branch,
        at_root: bool,
        depth: usize,
    ) -> Result<()> {
        let [before, behind] = self.graph.comments(node);
        self.comments(branch, before)?;
        self.pairs(id, node, branch, at_root, depth)?;
        self.comments(branch, behind)
    }

    fn pairs(
        &mut self,
        id: Id,
        node: &'g Node,
        branch: &mut Branch,
        at_root: bool,
        depth: usize,
    ) -> Result<()> {
        let mut children = self.graph.children(id, node);
        while let (Some(key_id), Some(value_id)) = (children.next(), children.next()) {
            let key_node = self.node(key_id, depth + 1)?;
            let value_node = self.node(value_id, depth + 1)?;
            let [before_key, behind_key] = self.graph.comments(key_node);
            self.comments(branch, before_key)?;
            // Comments of a collection stand inside of it.
            let outside = !value_node.is_collection();
            let [before, behind] = if outside { self.graph.comments(value_node) } else { Default::default() };
            self.comments(branch, before)?;
            let key = self.key(key_node, depth + 1)?;
            if !at_root || self.without != Some(&*key) {
                self.room.take(heap(key.len()))?;
                let value = self.value(value_id, value_node, outside, depth + 1)?;
                branch.push(Entry::Pair(key.into_owned(), value));
            }
            self.comments(branch, behind)?;
            self.comments(branch, behind_key)?;
        }
        Ok(())
    }

    fn key(&mut self, node: &'g Node, depth: usize) -> Result<Cow<'g, [u8]>> {
        let target = match node.target() {
            Some(target) => self.node(target, depth + 1)?,
            None => node,
        };
        if let Kind::Scalar { plain } = target.kind
            && let Scalar::Meaning(Meaning::Text, text) = scalar(target.tag, self.graph.text(target), plain)
        {
            return Ok(text);
        }
        Err(self.graph.fault(node, "a key is not a string"))
    }

    /// A value; `outside`: its comments are written already.
    fn value(&mut self, id: Id, node: &'g Node, outside: bool, depth: usize) -> Result<Value> {
        let [before, behind] = if outside { Default::default() } else { self.graph.comments(node) };
        match node.kind {
            Kind::Scalar { plain } => match scalar(node.tag, self.graph.text(node), plain) {
                Scalar::Mistagged => Ok(Value::Null),
                Scalar::Meaning(meaning, text) => {
                    if meaning == Meaning::Text {
                        self.room.take(heap(text.len()))?;
                    }
                    value(meaning, text).ok_or_else(|| self.graph.fault(node, TOO_LARGE))
                }
            },
            Kind::Alias => {
                self.aliases += 1;
                let target_id = node.target().unwrap_or(id);
                let target = self.node(target_id, depth + 1)?;
                let value = self.value(target_id, target, false, depth + 1)?;
                self.aliases -= 1;
                Ok(value)
            }
            Kind::Mapping => {
                let mut branch = self.list_for(id, node, 0)?;
                self.comments(&mut branch, before)?;
                self.pairs(id, node, &mut branch, false, depth)?;
                self.comments(&mut branch, behind)?;
                Ok(Value::Map(branch))
            }
            Kind::Sequence => {
                let mut list = self.list_for(id, node, 0)?;
                self.comments(&mut list, before)?;
                for id in self.graph.children(id, node) {
                    let item = self.node(id, depth + 1)?;
                    let [before, behind] = self.graph.comments(item);
                    self.comments(&mut list, before)?;
                    let value = self.value(id, item, true, depth + 1)?;
                    list.push(value);
                    self.comments(&mut list, behind)?;
                }
                self.comments(&mut list, behind)?;
                Ok(Value::List(list))
            }
        }
    }

    /// One comment for each line.
    fn comments<T: Commented>(&mut self, to: &mut Vec<T>, lines: Lines<'_>) -> Result<()> {
        for text in lines.texts() {
            self.room.take(heap(text.len()) + COMMENT_COST)?;
            to.push(T::comment(text.into()));
        }
        Ok(())
    }
}

/// What a node that an alias writes out costs beside its text: about what it takes in memory.
const NODE_COST: usize = 128;

/// What a comment costs beside its place and text while it is written.
const COMMENT_COST: usize = 32;

/// What is wrong with an integer that is no [`value`].
pub(super) const TOO_LARGE: &str = "an integer does not fit into 64 bits with a sign";

pub(super) fn value(meaning: Meaning, text: Cow<'_, [u8]>) -> Option<Value> {
    Some(match meaning {
        Meaning::Null => Value::Null,
        Meaning::Bool(bool) => Value::Bool(bool),
        Meaning::Int(int) => Value::Int(int),
        Meaning::Uint(_) => return None,
        Meaning::Float(float) => Value::Float(float),
        Meaning::Time(time) => Value::Time(time),
        Meaning::Text => Value::Str(text.into_owned().into()),
    })
}

/// What comments can stand in.
trait Commented {
    fn comment(text: Plaintext) -> Self;
}

impl Commented for Entry {
    fn comment(text: Plaintext) -> Self {
        Self::Comment(text)
    }
}

impl Commented for Value {
    fn comment(text: Plaintext) -> Self {
        Self::Comment(text)
    }
}

//! Events to nodes: one graph for all documents, in which an alias points to what it stands for.
//!
//! A file of a few megabytes may hold a million nodes, so that a node is 16 bytes: nodes stand in document order, each
//! collection before what is in it, and texts stay where they are in the file.

use std::{borrow::Cow, collections::BTreeMap, mem};

use crate::{
    failure::{Failure, Result},
    room::{Room, heap},
    stack::max_depth,
};

use super::{
    fault,
    parser::{Comments, Event, Parser, Properties, What},
    pile::Pile,
    resolve::Tag,
    text::line_of,
};

/// The number of a node in [`Graph`].
pub(super) type Id = u32;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar { plain: bool },
    Alias,
    Sequence,
    Mapping,
}

pub(super) struct Node {
    pub kind: Kind,
    pub tag: Option<Tag>,
    /// Whether the text is one of the copies.
    copied: bool,
    /// Where the text of a scalar starts in the file, or which copy it is. Of what has no text, the line.
    at: u32,
    /// Of a scalar, the length of its text; of an alias, the node it stands for; of a collection, the node behind all
    /// that is in it.
    extent: u32,
    /// The number of its comments, from 1; 0 if there are none.
    comments: u32,
}

impl Node {
    pub fn is_collection(&self) -> bool {
        matches!(self.kind, Kind::Sequence | Kind::Mapping)
    }

    fn has_text(&self) -> bool {
        matches!(self.kind, Kind::Scalar { .. }) && self.extent > 0
    }

    /// What an alias stands for.
    pub fn target(&self) -> Option<Id> {
        (self.kind == Kind::Alias).then_some(self.extent)
    }
}

/// A document: its root, and the comments above and below it, as head and foot.
pub(super) struct Document {
    pub root: Id,
    comments: u32,
}

pub(super) struct Graph<'a> {
    text: &'a [u8],
    nodes: Pile<Node>,
    pub documents: Pile<Document>,
    /// Texts that do not stand in the file as they are, with their lines.
    copies: Pile<(Vec<u8>, u32)>,
    comments: Pile<Comments>,
    /// The last node with each anchor, whichever document it is in.
    anchors: BTreeMap<&'a [u8], Id>,
    /// What is left for others.
    pub room: Room,
}

/// Comment lines.
#[derive(Clone, Copy, Default)]
pub(super) struct Lines<'g> {
    first: &'g [u8],
    second: &'g [u8],
}

impl<'g> Lines<'g> {
    /// Those that are not empty, without their `#`.
    pub fn texts(self) -> impl Iterator<Item = &'g [u8]> {
        let lines = |text: &'g [u8]| text.split(|byte| *byte == b'\n');
        lines(self.first).chain(lines(self.second)).filter_map(|line| line.get(1..))
    }
}

/// A collection that is being read.
struct Open {
    id: Id,
    mapping: bool,
    in_block: bool,
    /// The key whose value comes next.
    key: Option<Id>,
    /// The key before.
    previous: Option<Id>,
}

/// The longest text, so that positions and the numbers of nodes fit.
const MAX_LENGTH: usize = 1 << 30;

/// What an anchor takes in the table at most.
const ANCHOR_COST: usize = 96;

/// What the comments of a node take beside their texts: they stand in pieces too large to fit well.
const COMMENTS_COST: usize = size_of::<Comments>() + 40;

/// Reads all documents.
pub(super) fn compose(text: &[u8], room: Room) -> Result<Graph<'_>> {
    if text.len() > MAX_LENGTH {
        return Err(Failure::new("YAML of more than a gigabyte is not read"));
    }
    let mut parser = Parser::new(text);
    let mut graph = Graph {
        text,
        nodes: Pile::default(),
        documents: Pile::default(),
        copies: Pile::default(),
        comments: Pile::default(),
        anchors: BTreeMap::new(),
        room,
    };
    loop {
        let event = parser.next()?;
        match event.what {
            What::StreamEnd => return Ok(graph),
            What::Document => {
                let head = event.comments.head;
                let node = graph.tree(&mut parser)?;
                let foot = parser.next()?.comments.foot;
                let comments = graph.keep(Comments { head, line: Vec::new(), foot })?;
                graph.take(size_of::<Document>())?;
                graph.documents.push(Document { root: node, comments });
            }
            _ => {}
        }
    }
}

impl<'a> Graph<'a> {
    pub fn get(&self, id: Id) -> Result<&Node> {
        self.nodes.get(id).ok_or_else(|| fault(0, "no such node"))
    }

    /// The text of a scalar.
    pub fn text(&self, node: &Node) -> &[u8] {
        if node.copied {
            return self.copies.get(node.at).map_or(b"", |(text, _)| text);
        }
        let (at, length) = if node.has_text() { (node.at as usize, node.extent as usize) } else { (0, 0) };
        self.text.get(at..at + length).unwrap_or_default()
    }

    /// A failure at a node.
    pub fn fault(&self, node: &Node, problem: &str) -> Failure {
        fault(self.line(node), problem)
    }

    /// The line on which it stands, from 0.
    pub fn line(&self, node: &Node) -> isize {
        if node.has_text() && !node.copied {
            return line_of(self.text, node.at as usize);
        }
        let copied = self.copies.get(node.at).filter(|_| node.copied);
        isize::try_from(copied.map_or(node.at, |(_, line)| *line)).unwrap_or_default()
    }

    /// What is in a collection; of a mapping, keys and values in turn.
    pub fn children(&self, id: Id, node: &Node) -> impl Iterator<Item = Id> + use<'_, 'a> {
        let end = if node.is_collection() { node.extent } else { 0 };
        let behind = |id: Id| match self.nodes.get(id) {
            Some(node) if node.is_collection() => node.extent,
            _ => id + 1,
        };
        let mut next = id + 1;
        std::iter::from_fn(move || {
            let this = next;
            next = behind(this);
            (this < end).then_some(this)
        })
    }

    /// The comments of a node: those before it and those behind it.
    pub fn comments(&self, node: &Node) -> [Lines<'_>; 2] {
        self.lines(node.comments)
    }

    /// The comments above a document and those below.
    pub fn comments_around(&self, document: &Document) -> [Lines<'_>; 2] {
        self.lines(document.comments)
    }

    fn lines(&self, number: u32) -> [Lines<'_>; 2] {
        let comments = number.checked_sub(1).and_then(|at| self.comments.get(at));
        comments.map_or_else(Default::default, |Comments { head, line, foot }| {
            [Lines { first: head, second: line }, Lines { first: foot, second: b"" }]
        })
    }

    /// Reads the next node with all that is in it.
    fn tree(&mut self, parser: &mut Parser<'a>) -> Result<Id> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let mut event = parser.next()?;
            let ended = match event.what {
                What::SequenceEnd | What::MappingEnd => open.pop(),
                _ => None,
            };
            let done = if let Some(Open { id, in_block, previous, .. }) = ended {
                self.take_texts(&event.comments)?;
                // In a block, the foot of the whole is that of its last key.
                if let Some(key) = previous.filter(|_| in_block && !event.comments.foot.is_empty()) {
                    self.set_foot(key, mem::take(&mut event.comments.foot))?;
                }
                self.finish(id, event.comments)?;
                id
            } else {
                if open.len() > max_depth() {
                    return Err(fault(event.line, "nested too deep"));
                }
                let (mapping, in_block) = match event.what {
                    What::Mapping { flow, .. } => (true, !flow),
                    _ => (false, false),
                };
                let id = self.node(event)?;
                if self.get(id)?.is_collection() {
                    open.push(Open { id, mapping, in_block, key: None, previous: None });
                    continue;
                }
                id
            };
            match open.last_mut() {
                None => return Ok(done),
                Some(Open { mapping: false, .. }) => {}
                Some(Open { in_block, key: key @ None, previous, .. }) => {
                    *key = Some(done);
                    // In a block, the foot of a key is what stands below the pair before.
                    if let Some(previous) = previous.filter(|_| *in_block) {
                        self.move_foot(done, previous, true)?;
                    }
                }
                Some(Open { key, previous, .. }) => {
                    *previous = key.take();
                    if let Some(key) = *previous {
                        self.move_foot(done, key, false)?;
                    }
                }
            }
        }
    }

    /// The node that starts with this event.
    fn node(&mut self, event: Event<'a>) -> Result<Id> {
        let Event { what, line, comments } = event;
        let at = u32::try_from(line).unwrap_or_default();
        let mut node = Node { kind: Kind::Sequence, tag: None, copied: false, at, extent: 0, comments: 0 };
        let properties = match what {
            What::Alias(name) => {
                let target = self.anchors.get(name);
                node.kind = Kind::Alias;
                node.extent = *target.ok_or_else(|| fault(line, "unknown anchor referenced"))?;
                Properties::default()
            }
            What::Scalar { properties, text, plain } => {
                node.kind = Kind::Scalar { plain };
                node.extent = u32::try_from(text.len()).unwrap_or_default();
                match text {
                    Cow::Borrowed(b"") => {}
                    Cow::Borrowed(text) => {
                        let at = text.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
                        node.at = u32::try_from(at).unwrap_or_default();
                    }
                    Cow::Owned(text) => {
                        self.take(size_of::<(Vec<u8>, u32)>() + heap(text.capacity()))?;
                        node.copied = true;
                        node.at = self.copies.push((text, at));
                    }
                }
                properties
            }
            What::Sequence { properties } => properties,
            What::Mapping { properties, .. } => {
                node.kind = Kind::Mapping;
                properties
            }
            _ => return Err(fault(line, "did not find expected node content")),
        };
        node.tag = properties.tag;
        node.comments = self.keep(comments)?;
        self.take(size_of::<Node>())?;
        let id = self.nodes.push(node);
        if let Some(anchor) = properties.anchor {
            self.take(ANCHOR_COST)?;
            self.anchors.insert(anchor, id);
        }
        Ok(id)
    }

    fn finish(&mut self, id: Id, comments: Comments) -> Result<()> {
        let end = self.nodes.len();
        if let Some(node) = self.nodes.get_mut(id) {
            node.extent = end;
        }
        if !comments.is_empty() || self.nodes.get(id).is_some_and(|node| node.comments > 0) {
            let own = self.comments_mut(id)?;
            *own = Comments { head: mem::take(&mut own.head), ..comments };
        }
        Ok(())
    }

    /// Moves a foot, if there is one. `replace`: over the one that is there already.
    fn move_foot(&mut self, from: Id, to: Id, replace: bool) -> Result<()> {
        let has_foot = |id: Id| self.nodes.get(id).is_some_and(|node| self.comments(node)[1].first != b"");
        if has_foot(from) && (replace || !has_foot(to)) {
            let foot = mem::take(&mut self.comments_mut(from)?.foot);
            self.set_foot(to, foot)?;
        }
        Ok(())
    }

    fn set_foot(&mut self, id: Id, foot: Vec<u8>) -> Result<()> {
        self.comments_mut(id)?.foot = foot;
        Ok(())
    }

    /// Stores comments, if there are any.
    fn keep(&mut self, comments: Comments) -> Result<u32> {
        if comments.is_empty() {
            return Ok(0);
        }
        self.take_texts(&comments)?;
        self.take(COMMENTS_COST)?;
        Ok(self.comments.push(comments) + 1)
    }

    /// Takes room for many small things: the allocator loses up to an eighth beside them.
    fn take(&mut self, bytes: usize) -> Result<()> {
        self.room.take(bytes + bytes / 8)
    }

    fn take_texts(&mut self, comments: &Comments) -> Result<()> {
        let texts = [&comments.head, &comments.line, &comments.foot];
        self.take(texts.map(|text| heap(text.capacity())).iter().sum())
    }

    fn comments_mut(&mut self, id: Id) -> Result<&mut Comments> {
        let no_node = || fault(0, "no such node");
        let mut number = self.nodes.get(id).ok_or_else(no_node)?.comments;
        if number == 0 {
            self.take(COMMENTS_COST)?;
            number = self.comments.push(Comments::default()) + 1;
            self.nodes.get_mut(id).ok_or_else(no_node)?.comments = number;
        }
        self.comments.get_mut(number - 1).ok_or_else(no_node)
    }
}

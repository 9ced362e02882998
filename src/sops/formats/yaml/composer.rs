//! Events to nodes: one graph for all documents, in which an alias points to what it stands for.

use std::{borrow::Cow, collections::HashMap, mem};

use crate::failure::Result;

use super::{
    MAX_DEPTH, fault,
    parser::{Comments, Event, Parser, Properties, What},
    resolve::Tag,
};

/// The number of a node in [`Graph`].
pub(super) type Id = usize;

pub(super) enum Content<'a> {
    Scalar { text: Cow<'a, [u8]>, plain: bool },
    Alias(Id),
    Sequence(Vec<Id>),
    Mapping(Vec<(Id, Id)>),
}

pub(super) struct Node<'a> {
    pub content: Content<'a>,
    pub tag: Option<Tag>,
    pub comments: Option<Box<Comments>>,
    /// Line, from 0.
    pub line: isize,
}

/// A document: its root, and the comments around it.
pub(super) struct Document {
    pub root: Id,
    pub head: Vec<u8>,
    pub foot: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub documents: Vec<Document>,
    /// The last node with each anchor, whichever document it is in.
    anchors: HashMap<&'a [u8], Id>,
}

/// Reads all documents.
pub(super) fn compose(text: &[u8]) -> Result<Graph<'_>> {
    let mut parser = Parser::new(text);
    let mut graph = Graph::default();
    loop {
        let event = parser.next()?;
        match event.what {
            What::StreamEnd => return Ok(graph),
            What::Document => {
                let head = event.comments.head;
                let first = parser.next()?;
                let root = graph.node(&mut parser, first, 0)?;
                let foot = parser.next()?.comments.foot;
                graph.documents.push(Document { root, head, foot });
            }
            _ => {}
        }
    }
}

impl<'a> Graph<'a> {
    fn add(
        &mut self,
        content: Content<'a>,
        properties: Properties<'a>,
        line: isize,
        comments: Comments,
    ) -> Id {
        let id = self.nodes.len();
        let mut node = Node { content, tag: properties.tag, comments: None, line };
        node.set_comments(comments);
        self.nodes.push(node);
        if let Some(anchor) = properties.anchor {
            self.anchors.insert(anchor, id);
        }
        id
    }

    /// The node that starts with this event.
    fn node(&mut self, parser: &mut Parser<'a>, event: Event<'a>, depth: usize) -> Result<Id> {
        let Event { what, line, comments } = event;
        if depth > MAX_DEPTH {
            return Err(fault(line, "nested too deep"));
        }
        match what {
            What::Alias(name) => {
                let Some(target) = self.anchors.get(name) else {
                    return Err(fault(line, "unknown anchor referenced"));
                };
                let content = Content::Alias(*target);
                Ok(self.add(content, Properties::default(), line, comments))
            }
            What::Scalar { properties, text, plain } => {
                Ok(self.add(Content::Scalar { text, plain }, properties, line, comments))
            }
            What::Sequence { properties } => {
                let id = self.add(Content::Sequence(Vec::new()), properties, line, comments);
                self.sequence(parser, id, depth)?;
                Ok(id)
            }
            What::Mapping { properties, flow } => {
                let id = self.add(Content::Mapping(Vec::new()), properties, line, comments);
                self.mapping(parser, id, flow, depth)?;
                Ok(id)
            }
            _ => Err(fault(line, "did not find expected node content")),
        }
    }

    fn sequence(&mut self, parser: &mut Parser<'a>, id: Id, depth: usize) -> Result<()> {
        let mut items = Vec::new();
        loop {
            let event = parser.next()?;
            if let What::SequenceEnd = event.what {
                self.finish(id, Content::Sequence(items), event.comments);
                return Ok(());
            }
            items.push(self.node(parser, event, depth + 1)?);
        }
    }

    fn mapping(&mut self, parser: &mut Parser<'a>, id: Id, flow: bool, depth: usize) -> Result<()> {
        let mut pairs: Vec<(Id, Id)> = Vec::new();
        loop {
            let mut event = parser.next()?;
            if let What::MappingEnd = event.what {
                // In a block, the foot of the whole is that of its last key.
                if !flow
                    && !event.comments.foot.is_empty()
                    && let Some((key, _)) = pairs.last()
                {
                    self.set_foot(*key, mem::take(&mut event.comments.foot));
                }
                self.finish(id, Content::Mapping(pairs), event.comments);
                return Ok(());
            }
            let key = self.node(parser, event, depth + 1)?;
            // In a block, the foot of a key is what stands below the pair before.
            if !flow && let Some((previous, _)) = pairs.last() {
                self.move_foot(key, *previous, true);
            }
            let event = parser.next()?;
            let value = self.node(parser, event, depth + 1)?;
            self.move_foot(value, key, false);
            pairs.push((key, value));
        }
    }

    fn finish(&mut self, id: Id, content: Content<'a>, comments: Comments) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.content = content;
            let head = node.comments.as_mut().map(|own| mem::take(&mut own.head)).unwrap_or_default();
            node.set_comments(Comments { head, ..comments });
        }
    }

    /// Moves a foot, if there is one. `replace`: over the one that is there already.
    fn move_foot(&mut self, from: Id, to: Id, replace: bool) {
        let has_foot = |id: Id| self.foot(id).is_some();
        if has_foot(from) && (replace || !has_foot(to)) {
            let own = self.nodes.get_mut(from).and_then(|node| node.comments.as_mut());
            let foot = own.map(|own| mem::take(&mut own.foot)).unwrap_or_default();
            self.set_foot(to, foot);
        }
    }

    fn foot(&self, id: Id) -> Option<&[u8]> {
        let comments = self.nodes.get(id)?.comments.as_ref()?;
        Some(comments.foot.as_slice()).filter(|foot| !foot.is_empty())
    }

    fn set_foot(&mut self, id: Id, foot: Vec<u8>) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.comments.get_or_insert_default().foot = foot;
        }
    }
}

impl Node<'_> {
    fn set_comments(&mut self, comments: Comments) {
        let none = comments.head.is_empty() && comments.line.is_empty() && comments.foot.is_empty();
        self.comments = (!none).then(|| Box::new(comments));
    }
}

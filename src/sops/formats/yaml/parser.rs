//! Tokens to events: the grammar, and which comments each event takes with it.
//!
//! A comment is handed over when the token is looked at before which it stands; an event takes all that were handed
//! over so far, if it is of a kind that takes comments. So the order of looking, not only the grammar, is the rule.

use std::{borrow::Cow, collections::BTreeMap, mem};

use crate::failure::Result;

use super::{
    comments::MAX_COMMENT,
    fault,
    resolve::{STANDARD_TAGS, Tag},
    scanner::{Kind, Scanner, Token},
    text::Mark,
};

/// The comments of a node: lines with their `#`, joined by line feeds.
#[derive(Default)]
pub(super) struct Comments {
    /// Above it.
    pub head: Vec<u8>,
    /// Behind it.
    pub line: Vec<u8>,
    /// Below it.
    pub foot: Vec<u8>,
}

impl Comments {
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.line.is_empty() && self.foot.is_empty()
    }
}

/// What is written before a node.
#[derive(Default, Clone, Copy)]
pub(super) struct Properties<'a> {
    pub anchor: Option<&'a [u8]>,
    pub tag: Option<Tag>,
}

/// What an event tells.
pub(super) enum What<'a> {
    Stream,
    StreamEnd,
    Document,
    DocumentEnd,
    Alias(&'a [u8]),
    Scalar { properties: Properties<'a>, text: Cow<'a, [u8]>, plain: bool },
    Sequence { properties: Properties<'a> },
    SequenceEnd,
    Mapping { properties: Properties<'a>, flow: bool },
    MappingEnd,
}

pub(super) struct Event<'a> {
    pub what: What<'a>,
    /// Line, from 0.
    pub line: isize,
    pub comments: Comments,
}

#[derive(Clone, Copy)]
enum State {
    StreamStart,
    ImplicitDocument,
    Document,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceFirst,
    BlockSequence,
    IndentlessSequence,
    BlockMappingFirst,
    BlockMapping,
    BlockMappingValue,
    FlowSequenceFirst,
    FlowSequence,
    FlowPairKey,
    FlowPairValue,
    FlowPairEnd,
    FlowMappingFirst,
    FlowMapping,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

pub(super) struct Parser<'a> {
    scanner: Scanner<'a>,
    state: State,
    states: Vec<State>,
    pending: Comments,
    /// The head of a whole collection that is an element of a sequence.
    stem: Vec<u8>,
    /// Handles and prefixes of the document's `%TAG` directives and the two standard ones.
    tag_directives: BTreeMap<Cow<'a, [u8]>, Vec<u8>>,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self {
            scanner: Scanner::new(text),
            state: State::StreamStart,
            states: Vec::new(),
            pending: Comments::default(),
            stem: Vec::new(),
            tag_directives: BTreeMap::new(),
        }
    }

    /// Looks at the next token and hands over the comments before it.
    fn peek(&mut self) -> Result<(Kind, Mark)> {
        self.scanner.look_ahead()?;
        let (kind, mark) = self.scanner.next_token();
        while let Some(comment) = self.scanner.comments.front() {
            // An end takes no heads: they are for what follows.
            if mark.index < comment.owner.index || !comment.head.is_empty() && kind == Kind::BlockEnd {
                break;
            }
            if let Some(comment) = self.scanner.comments.pop_front() {
                join(&mut self.pending.head, comment.head);
                join(&mut self.pending.foot, comment.foot);
                join(&mut self.pending.line, comment.line);
            }
            let Comments { head, line, foot } = &self.pending;
            if head.len().max(line.len()).max(foot.len()) > MAX_COMMENT {
                return Err(fault(mark.line, "too many comments in a row"));
            }
        }
        Ok((kind, mark))
    }

    /// Takes the next token and looks at the one behind it.
    fn step(&mut self) -> Result<(Kind, Mark)> {
        self.scanner.take();
        self.peek()
    }

    fn take_comments(&mut self) -> Comments {
        self.stem.clear();
        mem::take(&mut self.pending)
    }

    fn pop_state(&mut self) {
        self.state = self.states.pop().unwrap_or(State::End);
    }

    fn event(what: What<'a>, mark: Mark) -> Event<'a> {
        Event { what, line: mark.line, comments: Comments::default() }
    }

    fn event_with_comments(&mut self, what: What<'a>, mark: Mark) -> Event<'a> {
        Event { what, line: mark.line, comments: self.take_comments() }
    }

    /// A value that is not written, which is null; what follows is in `state`.
    fn nothing(&mut self, state: State, mark: Mark) -> Event<'a> {
        self.state = state;
        let text = Cow::Borrowed(&b""[..]);
        Self::event(What::Scalar { properties: Properties::default(), text, plain: true }, mark)
    }

    /// The next event; [`What::StreamEnd`] for ever at the end.
    pub fn next(&mut self) -> Result<Event<'a>> {
        match self.state {
            State::StreamStart => {
                let (_, mark) = self.peek()?;
                self.scanner.take();
                self.state = State::ImplicitDocument;
                Ok(Self::event(What::Stream, mark))
            }
            State::ImplicitDocument => self.document_start(true),
            State::Document => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockSequenceFirst => {
                self.peek()?;
                self.scanner.take();
                self.block_sequence()
            }
            State::BlockSequence => self.block_sequence(),
            State::IndentlessSequence => self.indentless_sequence(),
            State::BlockMappingFirst => {
                self.peek()?;
                self.scanner.take();
                self.block_mapping()
            }
            State::BlockMapping => self.block_mapping(),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirst => self.flow_sequence(true),
            State::FlowSequence => self.flow_sequence(false),
            State::FlowPairKey => self.flow_pair_key(),
            State::FlowPairValue => self.flow_value(Kind::FlowSequenceEnd, State::FlowPairEnd),
            State::FlowPairEnd => {
                let (_, mark) = self.peek()?;
                self.state = State::FlowSequence;
                Ok(Self::event(What::MappingEnd, mark))
            }
            State::FlowMappingFirst => self.flow_mapping(true),
            State::FlowMapping => self.flow_mapping(false),
            State::FlowMappingValue => self.flow_value(Kind::FlowMappingEnd, State::FlowMapping),
            State::FlowMappingEmptyValue => {
                let (_, mark) = self.peek()?;
                Ok(self.nothing(State::FlowMapping, mark))
            }
            State::End => Ok(Self::event(What::StreamEnd, Mark::default())),
        }
    }

    fn document_start(&mut self, implicit: bool) -> Result<Event<'a>> {
        let (mut kind, mut mark) = self.peek()?;
        while !implicit && kind == Kind::DocumentEnd {
            (kind, mark) = self.step()?;
        }
        if kind == Kind::StreamEnd {
            self.state = State::End;
            self.scanner.take();
            return Ok(Self::event(What::StreamEnd, mark));
        }
        let explicit = matches!(kind, Kind::Version(_) | Kind::TagDirective | Kind::DocumentStart);
        self.states.push(State::DocumentEnd);
        let mut event = Self::event(What::Document, mark);
        if implicit && !explicit {
            self.directives()?;
            self.state = State::BlockNode;
            event.comments.head = split_document_head(&mut self.pending.head);
            return Ok(event);
        }
        let (kind, mark) = self.directives()?;
        if kind != Kind::DocumentStart {
            return Err(fault(mark.line, "did not find expected <document start>"));
        }
        self.state = State::DocumentContent;
        self.scanner.take();
        Ok(event)
    }

    fn directives(&mut self) -> Result<(Kind, Mark)> {
        let (mut kind, mut mark) = self.peek()?;
        let mut versioned = false;
        loop {
            match kind {
                Kind::Version(_) if versioned => {
                    return Err(fault(mark.line, "found duplicate %YAML directive"));
                }
                Kind::Version(false) => return Err(fault(mark.line, "found incompatible YAML document")),
                Kind::Version(true) => {
                    versioned = true;
                    self.scanner.take();
                }
                Kind::TagDirective => {
                    let Token { text, suffix, .. } = self.scanner.take();
                    if self.prefix(&text).is_some() {
                        return Err(fault(mark.line, "found duplicate %TAG directive"));
                    }
                    self.tag_directives.insert(text, suffix);
                }
                _ => break,
            }
            (kind, mark) = self.peek()?;
        }
        for (handle, prefix) in [(&b"!"[..], &b"!"[..]), (b"!!", STANDARD_TAGS)] {
            if self.prefix(handle).is_none() {
                self.tag_directives.insert(Cow::Borrowed(handle), prefix.to_vec());
            }
        }
        Ok((kind, mark))
    }

    fn prefix(&self, handle: &[u8]) -> Option<&[u8]> {
        self.tag_directives.get(handle).map(Vec::as_slice)
    }

    fn document_content(&mut self) -> Result<Event<'a>> {
        match self.peek()? {
            (
                Kind::Version(_)
                | Kind::TagDirective
                | Kind::DocumentStart
                | Kind::DocumentEnd
                | Kind::StreamEnd,
                mark,
            ) => {
                self.pop_state();
                Ok(self.nothing(self.state, mark))
            }
            _ => self.node(true, false),
        }
    }

    fn document_end(&mut self) -> Result<Event<'a>> {
        let (kind, mark) = self.peek()?;
        if kind == Kind::DocumentEnd {
            self.scanner.take();
        }
        self.tag_directives.clear();
        self.state = State::Document;
        let mut event = self.event_with_comments(What::DocumentEnd, mark);
        if event.comments.foot.is_empty() {
            event.comments.foot = mem::take(&mut event.comments.head);
        }
        Ok(event)
    }

    fn node(&mut self, block: bool, indentless: bool) -> Result<Event<'a>> {
        let (mut kind, mut mark) = self.peek()?;
        if kind == Kind::Alias {
            self.pop_state();
            let comments = self.take_comments();
            let name = self.take_name();
            return Ok(Event { what: What::Alias(name), line: mark.line, comments });
        }
        let start = mark;
        let mut properties = Properties::default();
        let mut tagged = false;
        for _ in 0..2 {
            match kind {
                Kind::Anchor if properties.anchor.is_none() => properties.anchor = Some(self.take_name()),
                Kind::Tag if !tagged => {
                    tagged = true;
                    let Token { text, suffix, .. } = self.scanner.take();
                    properties.tag = self.tag(&text, &suffix, mark)?;
                }
                _ => break,
            }
            (kind, mark) = self.peek()?;
        }

        let sequence = |properties| What::Sequence { properties };
        match kind {
            Kind::BlockEntry if indentless => {
                self.state = State::IndentlessSequence;
                Ok(Self::event(sequence(properties), start))
            }
            Kind::Scalar { plain } => {
                self.pop_state();
                let comments = self.take_comments();
                let text = self.scanner.take().text;
                Ok(Event { what: What::Scalar { properties, text, plain }, line: start.line, comments })
            }
            Kind::FlowSequenceStart => {
                self.state = State::FlowSequenceFirst;
                Ok(self.event_with_comments(sequence(properties), start))
            }
            Kind::FlowMappingStart => {
                self.state = State::FlowMappingFirst;
                Ok(self.event_with_comments(What::Mapping { properties, flow: true }, start))
            }
            Kind::BlockSequenceStart if block => {
                self.state = State::BlockSequenceFirst;
                Ok(self.event_with_stem(sequence(properties), start))
            }
            Kind::BlockMappingStart if block => {
                self.state = State::BlockMappingFirst;
                Ok(self.event_with_stem(What::Mapping { properties, flow: false }, start))
            }
            _ if properties.anchor.is_some() || tagged => {
                self.pop_state();
                let text = Cow::Borrowed(&b""[..]);
                Ok(Self::event(What::Scalar { properties, text, plain: true }, start))
            }
            _ => Err(fault(mark.line, "did not find expected node content")),
        }
    }

    fn event_with_stem(&mut self, what: What<'a>, mark: Mark) -> Event<'a> {
        let mut event = Self::event(what, mark);
        event.comments.head = mem::take(&mut self.stem);
        event
    }

    /// Takes the alias or anchor that comes next.
    fn take_name(&mut self) -> &'a [u8] {
        match self.scanner.take().text {
            Cow::Borrowed(name) => name,
            Cow::Owned(_) => b"",
        }
    }

    fn tag(&self, handle: &[u8], suffix: &[u8], mark: Mark) -> Result<Option<Tag>> {
        let prefix = if handle.is_empty() { Some(&b""[..]) } else { self.prefix(handle) };
        match prefix {
            Some(prefix) => Ok(Tag::of(prefix, suffix)),
            None => Err(fault(mark.line, "found undefined tag handle")),
        }
    }

    fn block_sequence(&mut self) -> Result<Event<'a>> {
        let (kind, mark) = self.peek()?;
        match kind {
            Kind::BlockEntry => {
                let kind = self.step_into_entry()?;
                if matches!(kind, Kind::BlockEntry | Kind::BlockEnd) {
                    return Ok(self.nothing(State::BlockSequence, mark));
                }
                self.states.push(State::BlockSequence);
                self.node(true, false)
            }
            Kind::BlockEnd => {
                self.pop_state();
                self.scanner.take();
                Ok(Self::event(What::SequenceEnd, mark))
            }
            _ => Err(fault(mark.line, "did not find expected '-' indicator")),
        }
    }

    /// A sequence at the column of the mapping that it is a value of.
    fn indentless_sequence(&mut self) -> Result<Event<'a>> {
        let (kind, mark) = self.peek()?;
        if kind != Kind::BlockEntry {
            self.pop_state();
            return Ok(Self::event(What::SequenceEnd, mark));
        }
        let kind = self.step_into_entry()?;
        if matches!(kind, Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd) {
            return Ok(self.nothing(State::IndentlessSequence, mark));
        }
        self.states.push(State::IndentlessSequence);
        self.node(true, false)
    }

    /// Takes a `-`. If a block collection follows, the comment before the `-` is the head of all of it.
    fn step_into_entry(&mut self) -> Result<Kind> {
        let stem = self.pending.head.len();
        let (kind, _) = self.step()?;
        if stem > 0 && matches!(kind, Kind::BlockSequenceStart | Kind::BlockMappingStart) {
            let rest = self.pending.head.get(stem + 1..).unwrap_or_default().to_vec();
            self.pending.head.truncate(stem);
            self.stem = mem::replace(&mut self.pending.head, rest);
        }
        Ok(kind)
    }

    fn block_mapping(&mut self) -> Result<Event<'a>> {
        let (kind, mark) = self.peek()?;
        match kind {
            Kind::Key => self.block_mapping_node(State::BlockMappingValue, mark),
            Kind::BlockEnd => {
                self.pop_state();
                let event = self.event_with_comments(What::MappingEnd, mark);
                self.scanner.take();
                Ok(event)
            }
            _ => Err(fault(mark.line, "did not find expected key")),
        }
    }

    fn block_mapping_value(&mut self) -> Result<Event<'a>> {
        let (kind, mark) = self.peek()?;
        if kind == Kind::Value {
            self.block_mapping_node(State::BlockMapping, mark)
        } else {
            Ok(self.nothing(State::BlockMapping, mark))
        }
    }

    /// Takes a `?` or `:` and what follows it.
    fn block_mapping_node(&mut self, state: State, mark: Mark) -> Result<Event<'a>> {
        let (kind, _) = self.step()?;
        if matches!(kind, Kind::Key | Kind::Value | Kind::BlockEnd) {
            return Ok(self.nothing(state, mark));
        }
        self.states.push(state);
        self.node(true, true)
    }

    /// Takes the bracket or comma before an element of a flow collection.
    fn step_to_element(&mut self, first: bool, end: Kind) -> Result<(Kind, Mark)> {
        if first {
            self.peek()?;
            return self.step();
        }
        let (kind, mark) = self.peek()?;
        if kind == end {
            Ok((kind, mark))
        } else if kind == Kind::FlowEntry {
            self.step()
        } else {
            Err(fault(mark.line, "did not find expected ',' or closing bracket"))
        }
    }

    fn flow_end(&mut self, what: What<'a>, mark: Mark) -> Event<'a> {
        self.pop_state();
        let event = self.event_with_comments(what, mark);
        self.scanner.take();
        event
    }

    fn flow_sequence(&mut self, first: bool) -> Result<Event<'a>> {
        let (kind, mark) = self.step_to_element(first, Kind::FlowSequenceEnd)?;
        match kind {
            Kind::FlowSequenceEnd => Ok(self.flow_end(What::SequenceEnd, mark)),
            Kind::Key => {
                self.state = State::FlowPairKey;
                self.scanner.take();
                Ok(Self::event(What::Mapping { properties: Properties::default(), flow: true }, mark))
            }
            _ => {
                self.states.push(State::FlowSequence);
                self.node(false, false)
            }
        }
    }

    fn flow_pair_key(&mut self) -> Result<Event<'a>> {
        let (kind, mark) = self.peek()?;
        if matches!(kind, Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd) {
            // go-yaml takes this token, whatever it is.
            self.scanner.take();
            return Ok(self.nothing(State::FlowPairValue, mark));
        }
        self.states.push(State::FlowPairValue);
        self.node(false, false)
    }

    fn flow_mapping(&mut self, first: bool) -> Result<Event<'a>> {
        let (kind, mark) = self.step_to_element(first, Kind::FlowMappingEnd)?;
        match kind {
            Kind::FlowMappingEnd => Ok(self.flow_end(What::MappingEnd, mark)),
            Kind::Key => {
                let (kind, mark) = self.step()?;
                if matches!(kind, Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd) {
                    return Ok(self.nothing(State::FlowMappingValue, mark));
                }
                self.states.push(State::FlowMappingValue);
                self.node(false, false)
            }
            _ => {
                self.states.push(State::FlowMappingEmptyValue);
                self.node(false, false)
            }
        }
    }

    fn flow_value(&mut self, end: Kind, state: State) -> Result<Event<'a>> {
        let (mut kind, mut mark) = self.peek()?;
        if kind == Kind::Value {
            (kind, mark) = self.step()?;
            if kind != Kind::FlowEntry && kind != end {
                self.states.push(state);
                return self.node(false, false);
            }
        }
        Ok(self.nothing(state, mark))
    }
}

/// Adds a comment behind others.
fn join(all: &mut Vec<u8>, mut comment: Vec<u8>) {
    if comment.is_empty() {
        return;
    }
    if all.is_empty() {
        *all = comment;
    } else {
        all.push(b'\n');
        all.append(&mut comment);
    }
}

/// Of the comment before the first node of an implicit document, the part before the last empty line is the head of
/// the document; the rest stays.
fn split_document_head(head: &mut Vec<u8>) -> Vec<u8> {
    for at in (1..head.len()).rev() {
        if head.get(at) != Some(&b'\n') {
            continue;
        }
        let end = if at + 1 == head.len() {
            at
        } else if head.get(at - 1) == Some(&b'\n') {
            at - 1
        } else {
            continue;
        };
        let rest = head.split_off(at + 1);
        head.truncate(end);
        return mem::replace(head, rest);
    }
    Vec::new()
}

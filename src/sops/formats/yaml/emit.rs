//! Trees to text, with go-yaml's layout: block style, indentation by 4, comments above what they belong to.
//!
//! go-yaml keeps a comment that it could not write yet until the next place where one of its kind fits, or until another
//! takes its place. So comments at the edges of collections wander or vanish. That is kept: see `head`, `foot` and
//! `tail` of [`Emitter`].

use zeroize::Zeroizing;

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    room::Room,
    sops::value::{Branch, Entry, Value},
    stack::max_depth,
};

use super::{
    page::Page,
    resolve,
    strings::is_simple_key,
    style::{self, Style},
};

/// Writes documents as `sops decrypt` does.
///
/// # Errors
/// Where sops fails: a comment that is not UTF-8, and a comment on a string that starts with a tab and has several
/// lines, which go-yaml cannot write.
pub fn emit(documents: &[Branch], room: Room) -> Result<Plaintext> {
    let mut emitter = Emitter::new(room);
    for (at, branch) in documents.iter().enumerate() {
        if at > 0 {
            emitter.page.write_indent();
            emitter.page.indicator(b"---", true, false);
            emitter.page.write_indent();
        }
        if !emitter.head.is_empty() {
            emitter.write_head()?;
            emitter.page.line_break();
        }
        emitter.root(Node::Map(branch))?;
    }
    emitter.page.into_text()
}

/// Writes one value as `sops decrypt --extract` does with what is neither a mapping (that is [`emit`] with the mapping
/// in place of the first document) nor a string (that is its bytes).
///
/// # Errors
/// Those of [`emit`].
pub fn emit_value(value: &Value, room: Room) -> Result<Plaintext> {
    let mut emitter = Emitter::new(room);
    emitter.root(Node::of(value))?;
    emitter.page.into_text()
}

/// The indentation step.
const STEP: isize = 4;

/// Where a node stands, as far as it matters for the indentation of what it contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    Value,
}

/// What is written.
#[derive(Clone, Copy)]
enum Node<'v> {
    Scalar(&'v Value),
    /// A string that is written as such: a key.
    Text(&'v [u8]),
    Map(&'v [Entry]),
    List(&'v [Value]),
    /// What sops writes for a comment that was asked for by its index: a mapping with its text.
    Comment(&'v [u8]),
}

impl<'v> Node<'v> {
    fn of(value: &'v Value) -> Self {
        match value {
            Value::Map(branch) => Self::Map(branch),
            Value::List(list) => Self::List(list),
            Value::Comment(text) => Self::Comment(text),
            Value::Str(text) => Self::Text(text),
            _ => Self::Scalar(value),
        }
    }

    /// The comments at the start of a collection: they are its head.
    fn head(self) -> Vec<&'v [u8]> {
        match self {
            Self::Map(entries) => texts(entries.iter().map_while(Entry::comment)),
            Self::List(items) => texts(items.iter().map_while(Value::comment)),
            _ => Vec::new(),
        }
    }

    /// Whether go-yaml cannot write it and writes null.
    fn is_lost(self) -> bool {
        match self {
            Self::Text(text @ [b'\t', ..]) => style::shape(text).style == Style::Lost,
            _ => false,
        }
    }
}

impl Entry {
    fn comment(&self) -> Option<&[u8]> {
        if let Self::Comment(text) = self { Some(text) } else { None }
    }
}

impl Value {
    fn comment(&self) -> Option<&[u8]> {
        if let Self::Comment(text) = self { Some(text) } else { None }
    }
}

/// Comments that wait to be written.
type Pending<'v> = Vec<&'v [u8]>;

struct Emitter<'v> {
    page: Page,
    /// To be written above what comes next.
    head: Pending<'v>,
    /// To be written below what came last.
    foot: Pending<'v>,
    /// The foot of a key, to be written below its value.
    tail: Pending<'v>,
    depth: usize,
}

impl<'v> Emitter<'v> {
    fn new(room: Room) -> Self {
        Self { page: Page::new(room), head: Vec::new(), foot: Vec::new(), tail: Vec::new(), depth: 0 }
    }

    /// A whole document.
    fn root(&mut self, node: Node<'v>) -> Result<()> {
        wait(&mut self.head, node.head());
        self.write_head()?;
        self.node(node, Place::Root, Vec::new())?;
        self.page.foot_indent = 0;
        self.write_foot()?;
        self.page.foot_indent = -1;
        self.page.write_indent();
        Ok(())
    }

    /// A node, whose head comments are waiting or written. `foot`: the comments below it.
    fn node(&mut self, node: Node<'v>, place: Place, foot: Pending<'v>) -> Result<()> {
        self.page.check()?;
        self.depth += 1;
        if self.depth > max_depth() + 2 {
            return Err(Failure::new("cannot write YAML: nested too deep"));
        }
        match node {
            Node::Map(entries) => {
                // What waits comes out when a collection starts, before what is in it.
                self.write_foot()?;
                let pairs = || entries.iter().filter(|entry| entry.comment().is_none());
                if pairs().next().is_none() {
                    self.empty_map(place, foot)?;
                } else {
                    self.map(entries, place, foot)?;
                }
            }
            Node::List(items) => {
                self.write_foot()?;
                if items.iter().all(|item| item.comment().is_some()) {
                    self.empty_list(foot)?;
                } else {
                    self.list(items, place, foot)?;
                }
            }
            Node::Comment(text) => {
                self.write_foot()?;
                self.comment_as_map(text, place, foot)?;
            }
            Node::Scalar(value) => {
                wait(&mut self.foot, foot);
                self.scalar(value);
                self.write_foot()?;
            }
            Node::Text(text) => {
                wait(&mut self.foot, foot);
                self.page.text(text, style::shape(text).style, self.inner_indent(place, true));
                self.write_foot()?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The column of what is inside a node at this place.
    fn inner_indent(&self, place: Place, flow: bool) -> isize {
        if self.page.indent < 0 {
            if flow { STEP } else { 0 }
        } else if place == Place::Item {
            self.page.indent + 2
        } else {
            STEP * ((self.page.indent + STEP) / STEP)
        }
    }

    fn map(&mut self, entries: &'v [Entry], place: Place, foot: Pending<'v>) -> Result<()> {
        let outer = self.page.indent;
        self.page.indent = self.inner_indent(place, false);
        let comments = |from, to| texts(entries.iter().take(to).skip(from).filter_map(Entry::comment));
        let mut behind = 0;
        for (at, entry) in entries.iter().enumerate() {
            let Entry::Pair(key, value) = entry else { continue };
            let value = Node::of(value);
            // Those before the first key are the head of the whole, and wait already.
            if behind > 0 {
                let above = comments(behind, at);
                refuse_comments_on_lost(Node::Text(key), &above)?;
                wait(&mut self.head, above);
            }
            behind = at + 1;
            self.key(key)?;
            wait(&mut self.head, value.head());
            self.node(value, Place::Value, Vec::new())?;
        }
        wait(&mut self.foot, foot);
        wait(&mut self.tail, comments(behind, entries.len()));
        self.write_head()?;
        self.page.indent = outer;
        Ok(())
    }

    fn key(&mut self, key: &'v [u8]) -> Result<()> {
        self.write_head()?;
        self.page.write_indent();
        let shape = style::shape(key);
        let simple = is_simple_key(key, shape);
        if !simple {
            self.page.indicator(b"?", true, true);
        }
        self.page.text(key, shape.style, self.inner_indent(Place::Value, true));
        if simple {
            self.page.indicator(b":", false, false);
        } else {
            self.page.write_indent();
            self.page.indicator(b":", true, true);
        }
        Ok(())
    }

    fn list(&mut self, items: &'v [Value], place: Place, foot: Pending<'v>) -> Result<()> {
        let outer = self.page.indent;
        self.page.indent = self.inner_indent(place, false);
        let last = items.iter().rposition(|item| item.comment().is_none());
        let comments = |from, to| texts(items.iter().take(to).skip(from).filter_map(Value::comment));
        let mut behind = 0;
        for (at, item) in items.iter().enumerate() {
            if item.comment().is_some() {
                continue;
            }
            let node = Node::of(item);
            // Those before the first item are the head of the whole.
            let mut above = if behind > 0 { comments(behind, at) } else { Vec::new() };
            behind = at + 1;
            let below = if last == Some(at) { comments(behind, items.len()) } else { Vec::new() };
            refuse_comments_on_lost(node, &above)?;
            refuse_comments_on_lost(node, &below)?;
            above.extend(node.head());
            wait(&mut self.head, above);
            self.write_head()?;
            self.page.write_indent();
            self.page.indicator(b"-", true, true);
            self.node(node, Place::Item, below)?;
        }
        wait(&mut self.foot, foot);
        self.page.indent = outer;
        Ok(())
    }

    fn empty_map(&mut self, place: Place, foot: Pending<'v>) -> Result<()> {
        wait(&mut self.foot, foot);
        self.indicator_before(b"{");
        let outer = self.page.indent;
        self.page.indent = self.inner_indent(place, true);
        self.write_head()?;
        self.page.indent = outer;
        self.page.indicator(b"}", false, false);
        self.write_foot()
    }

    fn empty_list(&mut self, foot: Pending<'v>) -> Result<()> {
        wait(&mut self.foot, foot);
        self.indicator_before(b"[");
        if self.page.at_line_start() {
            self.page.write_indent();
        }
        self.page.indicator(b"]", false, false);
        self.write_foot()
    }

    fn comment_as_map(&mut self, text: &'v [u8], place: Place, foot: Pending<'v>) -> Result<()> {
        let outer = self.page.indent;
        self.page.indent = self.inner_indent(place, false);
        self.key(b"value")?;
        self.node(Node::Text(text), Place::Value, Vec::new())?;
        wait(&mut self.foot, foot);
        self.write_head()?;
        self.page.indent = outer;
        Ok(())
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::Bool(true) => self.page.plain(b"true"),
            Value::Bool(false) => self.page.plain(b"false"),
            Value::Int(int) => self.page.plain(Zeroizing::new(int.to_string()).as_bytes()),
            Value::Float(float) => self.page.plain(resolve::format_float(*float).as_bytes()),
            Value::Time(time) => self.page.plain(time.rfc3339_nano().as_bytes()),
            _ => self.page.plain(b"null"),
        }
    }

    fn write_head(&mut self) -> Result<()> {
        let tail = std::mem::take(&mut self.tail);
        if !tail.is_empty() {
            self.page.comment(&tail)?;
            self.page.foot_indent = self.page.indent.max(0);
        }
        let head = std::mem::take(&mut self.head);
        if head.is_empty() { Ok(()) } else { self.page.comment(&head) }
    }

    fn write_foot(&mut self) -> Result<()> {
        let foot = std::mem::take(&mut self.foot);
        if !foot.is_empty() {
            self.page.comment(&foot)?;
            self.page.foot_indent = self.page.indent.max(0);
        }
        Ok(())
    }

    /// The start of a flow collection.
    fn indicator_before(&mut self, text: &[u8]) {
        self.page.indicator(text, true, false);
        self.page.blank = true;
    }
}

/// The comments, without more room than they take.
fn texts<'v>(comments: impl Iterator<Item = &'v [u8]> + Clone) -> Pending<'v> {
    let mut all = Vec::with_capacity(comments.clone().count());
    all.extend(comments);
    all
}

/// Puts comments where they wait; none leave what waits there already.
fn wait<'v>(place: &mut Pending<'v>, comments: Pending<'v>) {
    if !comments.is_empty() {
        *place = comments;
    }
}

/// go-yaml fails to write what it would write as null if a comment hangs on it.
fn refuse_comments_on_lost(node: Node<'_>, comments: &[&[u8]]) -> Result<()> {
    if !comments.is_empty() && node.is_lost() {
        return Err(Failure::new(
            "sops cannot write YAML with a comment on a text of several lines that starts with a tab",
        ));
    }
    Ok(())
}

//! Trees to text, with go-yaml's layout: block style, indentation by 4, comments above what they belong to.
//!
//! go-yaml keeps a comment that it could not write yet until the next place where one of its kind fits, or until another
//! takes its place. So comments at the edges of collections wander or vanish. That is kept: see `head`, `foot` and
//! `tail` of [`Emitter`].

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroize;

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    sops::value::{Branch, Entry, Value},
};

use super::{
    MAX_DEPTH, resolve,
    style::{self, Style, character_length, is_printable},
    text::break_length,
    timestamp,
};

/// Writes documents as `sops decrypt` does.
///
/// # Errors
/// Where sops fails: a comment that is not UTF-8, and a comment on a string that starts with a tab and has several
/// lines, which go-yaml cannot write.
pub fn emit(documents: &[Branch]) -> Result<Plaintext> {
    let mut emitter = Emitter::new();
    for (at, branch) in documents.iter().enumerate() {
        if at > 0 {
            emitter.write_indent();
            emitter.indicator(b"---", true, false);
            emitter.write_indent();
        }
        if !emitter.head.is_empty() {
            emitter.write_head()?;
            emitter.line_break();
        }
        emitter.root(Node::Map(branch))?;
    }
    Ok(emitter.out.0)
}

/// Writes one value as `sops decrypt --extract` does with what is neither a mapping (that is [`emit`] with the mapping
/// in place of the first document) nor a string (that is its bytes).
///
/// # Errors
/// Those of [`emit`].
pub fn emit_value(value: &Value) -> Result<Plaintext> {
    let mut emitter = Emitter::new();
    emitter.root(Node::of(value))?;
    Ok(emitter.out.0)
}

/// The indentation step.
const STEP: isize = 4;

/// Keys with more bytes than this are written behind a `?`.
const MAX_SIMPLE_KEY: usize = 128;

/// Where a node stands, as far as it matters for the indentation of what it contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    Key,
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
            Self::Map(entries) => entries.iter().map_while(Entry::comment).collect(),
            Self::List(items) => items.iter().map_while(Value::comment).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether go-yaml cannot write it and writes null.
    fn is_lost(self) -> bool {
        match self {
            Self::Text(text @ [b'\t', ..]) => {
                std::str::from_utf8(text).is_ok() && style::of(text, &style::traits(text)) == Style::Lost
            }
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
    out: Output,
    /// Column of the innermost open collection, -1 outside of all.
    indent: isize,
    column: isize,
    /// Whether what was written last ends with blank or nothing is in the line.
    blank: bool,
    /// Whether only indentation and indicators are in the line.
    indention: bool,
    /// At this indentation an empty line comes next: a foot comment was written.
    foot_indent: isize,
    /// To be written above what comes next.
    head: Pending<'v>,
    /// To be written below what came last.
    foot: Pending<'v>,
    /// The foot of a key, to be written below its value.
    tail: Pending<'v>,
    depth: usize,
}

impl<'v> Emitter<'v> {
    fn new() -> Self {
        Self {
            out: Output::default(),
            indent: -1,
            column: 0,
            blank: true,
            indention: true,
            foot_indent: -1,
            head: Vec::new(),
            foot: Vec::new(),
            tail: Vec::new(),
            depth: 0,
        }
    }

    /// A whole document.
    fn root(&mut self, node: Node<'v>) -> Result<()> {
        wait(&mut self.head, node.head());
        self.write_head()?;
        self.node(node, Place::Root, Vec::new())?;
        self.foot_indent = 0;
        self.write_foot()?;
        self.foot_indent = -1;
        self.write_indent();
        Ok(())
    }

    /// A node, whose head comments are waiting or written. `foot`: the comments below it.
    fn node(&mut self, node: Node<'v>, place: Place, foot: Pending<'v>) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH + 2 {
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
                self.text(text, place);
                self.write_foot()?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The column of what is inside a node at this place.
    fn inner_indent(&self, place: Place, flow: bool) -> isize {
        if self.indent < 0 {
            if flow { STEP } else { 0 }
        } else if place == Place::Item {
            self.indent + 2
        } else {
            STEP * ((self.indent + STEP) / STEP)
        }
    }

    fn map(&mut self, entries: &'v [Entry], place: Place, foot: Pending<'v>) -> Result<()> {
        let outer = self.indent;
        self.indent = self.inner_indent(place, false);
        let mut comments = Vec::new();
        let mut first = true;
        for entry in entries {
            let (key, value) = match entry {
                Entry::Comment(text) => {
                    comments.push(&**text);
                    continue;
                }
                Entry::Pair(key, value) => (key, Node::of(value)),
            };
            // Those before the first key are the head of the whole, and wait already.
            let above = std::mem::take(&mut comments);
            if !first {
                self.refuse_comments_on_lost(Node::Text(key), &above)?;
                wait(&mut self.head, above);
            }
            first = false;
            self.key(key)?;
            wait(&mut self.head, value.head());
            self.node(value, Place::Value, Vec::new())?;
        }
        wait(&mut self.foot, foot);
        wait(&mut self.tail, comments);
        self.write_head()?;
        self.indent = outer;
        Ok(())
    }

    fn key(&mut self, key: &'v [u8]) -> Result<()> {
        self.write_head()?;
        self.write_indent();
        let (simple, place) = if is_simple_key(key) { (true, Place::Key) } else { (false, Place::Value) };
        if !simple {
            self.indicator(b"?", true, true);
        }
        self.text(key, place);
        if simple {
            self.indicator(b":", false, false);
        } else {
            self.write_indent();
            self.indicator(b":", true, true);
        }
        Ok(())
    }

    fn list(&mut self, items: &'v [Value], place: Place, foot: Pending<'v>) -> Result<()> {
        let outer = self.indent;
        self.indent = self.inner_indent(place, false);
        let last = items.iter().rposition(|item| item.comment().is_none());
        let mut comments = Vec::new();
        let mut first = true;
        for (at, item) in items.iter().enumerate() {
            if let Value::Comment(text) = item {
                if last.is_some_and(|last| at < last) {
                    comments.push(&**text);
                }
                continue;
            }
            let node = Node::of(item);
            let mut above = std::mem::take(&mut comments);
            if first {
                above.clear();
            }
            first = false;
            let below: Pending<'v> = if last == Some(at) {
                items.iter().skip(at + 1).filter_map(Value::comment).collect()
            } else {
                Vec::new()
            };
            self.refuse_comments_on_lost(node, &above)?;
            self.refuse_comments_on_lost(node, &below)?;
            above.extend(node.head());
            wait(&mut self.head, above);
            self.write_head()?;
            self.write_indent();
            self.indicator(b"-", true, true);
            self.node(node, Place::Item, below)?;
        }
        wait(&mut self.foot, foot);
        self.indent = outer;
        Ok(())
    }

    fn empty_map(&mut self, place: Place, foot: Pending<'v>) -> Result<()> {
        wait(&mut self.foot, foot);
        self.indicator_before(b"{");
        let outer = self.indent;
        self.indent = self.inner_indent(place, true);
        self.write_head()?;
        self.indent = outer;
        self.indicator(b"}", false, false);
        self.write_foot()
    }

    fn empty_list(&mut self, foot: Pending<'v>) -> Result<()> {
        wait(&mut self.foot, foot);
        self.indicator_before(b"[");
        if self.column == 0 {
            self.write_indent();
        }
        self.indicator(b"]", false, false);
        self.write_foot()
    }

    fn comment_as_map(&mut self, text: &'v [u8], place: Place, foot: Pending<'v>) -> Result<()> {
        let outer = self.indent;
        self.indent = self.inner_indent(place, false);
        self.key(b"value")?;
        self.node(Node::Text(text), Place::Value, Vec::new())?;
        wait(&mut self.foot, foot);
        self.write_head()?;
        self.indent = outer;
        Ok(())
    }

    fn refuse_comments_on_lost(&self, node: Node<'v>, comments: &[&[u8]]) -> Result<()> {
        if !comments.is_empty() && node.is_lost() {
            return Err(Failure::new(
                "sops cannot write YAML with a comment on a text of several lines that starts with a tab",
            ));
        }
        Ok(())
    }

    fn scalar(&mut self, value: &Value) {
        let mut text = match value {
            Value::Bool(true) => "true".to_owned(),
            Value::Bool(false) => "false".to_owned(),
            Value::Int(int) => int.to_string(),
            Value::Float(float) => resolve::format_float(*float),
            Value::Time(time) => timestamp::format(time),
            _ => "null".to_owned(),
        };
        self.plain(text.as_bytes());
        text.zeroize();
    }

    /// A string.
    fn text(&mut self, text: &[u8], place: Place) {
        if std::str::from_utf8(text).is_err() {
            self.binary(text, place);
            return;
        }
        if text == b"<<" {
            self.indicator(b"!!merge", true, false);
            self.plain(text);
            return;
        }
        let traits = style::traits(text);
        match style::of(text, &traits) {
            Style::Plain => self.plain(text),
            Style::Single => self.single_quoted(text, place),
            Style::Double => self.double_quoted(text),
            Style::Literal => self.literal(text, place),
            Style::Lost => self.plain(b"null"),
        }
    }

    fn binary(&mut self, bytes: &[u8], place: Place) {
        self.indicator(b"!!binary", true, false);
        let mut digits = zeroize::Zeroizing::new(vec![0; bytes.len().div_ceil(3) * 4]);
        // The buffer has the right size.
        let _ = STANDARD.encode_slice(bytes, &mut digits);
        if digits.len() < BASE64_LINE {
            self.plain(&digits);
            return;
        }
        let mut lines = Plaintext::from(Vec::with_capacity(digits.len() + digits.len() / BASE64_LINE + 1));
        for line in digits.chunks(BASE64_LINE) {
            lines.bytes_mut().extend_from_slice(line);
            lines.bytes_mut().push(b'\n');
        }
        self.literal(&lines, place);
    }

    fn plain(&mut self, text: &[u8]) {
        if !self.blank {
            self.put(b" ");
        }
        self.put(text);
        (self.blank, self.indention) = (false, false);
    }

    fn single_quoted(&mut self, text: &[u8], place: Place) {
        self.indicator(b"'", true, false);
        let outer = self.indent;
        self.indent = self.inner_indent(place, true);
        let mut after_break = false;
        let mut rest = text;
        while let [byte, ..] = rest {
            let length = break_length(rest).max(character_length(*byte));
            let (character, more) = rest.split_at_checked(length).unwrap_or((rest, b""));
            let breaks = break_length(rest) > 0;
            if breaks {
                self.put_break(character);
            } else {
                if after_break && *byte != b' ' {
                    self.write_indent();
                }
                if *byte == b'\'' {
                    self.put(b"'");
                }
                self.put(character);
                self.indention = false;
            }
            after_break = breaks;
            rest = more;
        }
        self.indent = outer;
        self.indicator(b"'", false, false);
    }

    fn double_quoted(&mut self, text: &[u8]) {
        self.indicator(b"\"", true, false);
        // go-yaml looks for a byte order mark at the start of the text instead of at the character.
        let marked = text.starts_with(b"\xef\xbb\xbf");
        let mut rest = text;
        while let [byte, ..] = rest {
            let (character, more) = rest.split_at_checked(character_length(*byte)).unwrap_or((rest, b""));
            let escaped =
                marked || matches!(byte, b'"' | b'\\') || break_length(rest) > 0 || !is_printable(rest);
            if escaped {
                self.escape(character);
            } else {
                self.put(character);
            }
            rest = more;
        }
        self.indicator(b"\"", false, false);
    }

    fn escape(&mut self, character: &[u8]) {
        let code =
            std::str::from_utf8(character).ok().and_then(|text| text.chars().next()).map_or(0, u32::from);
        let letter = match code {
            0 => b'0',
            0x07 => b'a',
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0b => b'v',
            0x0c => b'f',
            0x0d => b'r',
            0x1b => b'e',
            0x22 => b'"',
            0x5c => b'\\',
            0x85 => b'N',
            0xa0 => b'_',
            0x2028 => b'L',
            0x2029 => b'P',
            ..=0xff => b'x',
            ..=0xffff => b'u',
            _ => b'U',
        };
        self.put(&[b'\\', letter]);
        let digits = match letter {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            _ => 0,
        };
        for digit in (0..digits).rev() {
            let value = (code >> (digit * 4)) & 0xf;
            let digit = char::from_digit(value, 16).map_or('0', |digit| digit.to_ascii_uppercase());
            self.put(digit.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    fn literal(&mut self, text: &[u8], place: Place) {
        self.indicator(b"|", true, false);
        if text.first() == Some(&b' ') || break_length(text) > 0 {
            self.indicator(b"4", false, false);
        }
        match breaks_at_end(text) {
            0 => self.indicator(b"-", false, false),
            2 => self.indicator(b"+", false, false),
            _ => {}
        }
        self.line_break();
        self.blank = true;
        let outer = self.indent;
        self.indent = self.inner_indent(place, true);
        let mut rest = text;
        while !rest.is_empty() {
            let length = (0..rest.len()).find(|at| break_length(rest.get(*at..).unwrap_or_default()) > 0);
            let (line, more) = rest.split_at_checked(length.unwrap_or(rest.len())).unwrap_or((rest, b""));
            if !line.is_empty() {
                self.write_indent();
                self.put(line);
                self.indention = false;
            }
            let (line_break, more) = more.split_at_checked(break_length(more)).unwrap_or((b"", b""));
            if !line_break.is_empty() {
                self.put_break(line_break);
            }
            rest = more;
        }
        self.indent = outer;
    }

    fn write_head(&mut self) -> Result<()> {
        let tail = std::mem::take(&mut self.tail);
        if !tail.is_empty() {
            self.comment(&tail)?;
            self.foot_indent = self.indent.max(0);
        }
        let head = std::mem::take(&mut self.head);
        if head.is_empty() { Ok(()) } else { self.comment(&head) }
    }

    fn write_foot(&mut self) -> Result<()> {
        let foot = std::mem::take(&mut self.foot);
        if !foot.is_empty() {
            self.comment(&foot)?;
            self.foot_indent = self.indent.max(0);
        }
        Ok(())
    }

    /// Comment lines, each with a `#`. Line breaks inside of one start another.
    fn comment(&mut self, lines: &[&[u8]]) -> Result<()> {
        if lines.iter().any(|line| std::str::from_utf8(line).is_err()) {
            return Err(Failure::new("sops cannot write a comment that is not UTF-8"));
        }
        self.write_indent();
        let mut breaks = false;
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                self.line_break();
                self.write_indent();
            }
            self.put(b"#");
            self.indention = false;
            breaks = false;
            let mut pound = true;
            let mut rest = *line;
            while let [byte, ..] = rest {
                let length = break_length(rest);
                if length > 0 {
                    // A CR LF is two line breaks here.
                    let length = if *byte == b'\r' { 1 } else { length };
                    let (line_break, more) = rest.split_at_checked(length).unwrap_or((rest, b""));
                    self.put_break(line_break);
                    (breaks, pound, rest) = (true, false, more);
                    continue;
                }
                if breaks {
                    self.write_indent();
                }
                if !pound && *byte != b'#' {
                    self.put(b"# ");
                }
                let (character, more) = rest.split_at_checked(character_length(*byte)).unwrap_or((rest, b""));
                self.put(character);
                self.indention = false;
                (breaks, pound, rest) = (false, true, more);
            }
        }
        if !breaks {
            self.line_break();
        }
        self.blank = true;
        Ok(())
    }

    /// Goes to the column of the current indentation, in a new line if anything else stands in this one.
    fn write_indent(&mut self) {
        let indent = self.indent.max(0);
        if !self.indention || self.column > indent || self.column == indent && !self.blank {
            self.line_break();
        }
        if self.foot_indent == indent {
            self.line_break();
        }
        while self.column < indent {
            self.put(b" ");
        }
        self.blank = true;
        self.foot_indent = -1;
    }

    /// `space`: a blank must stand before it. `indention`: it counts as indentation.
    fn indicator(&mut self, text: &[u8], space: bool, indention: bool) {
        if space && !self.blank {
            self.put(b" ");
        }
        self.put(text);
        self.blank = false;
        self.indention &= indention;
    }

    /// The start of a flow collection.
    fn indicator_before(&mut self, text: &[u8]) {
        self.indicator(text, true, false);
        self.blank = true;
    }

    fn put(&mut self, text: &[u8]) {
        self.out.write(text);
        self.column += text.iter().filter(|byte| (**byte).cast_signed() >= -0x40).count().cast_signed();
    }

    fn line_break(&mut self) {
        self.put_break(b"\n");
    }

    fn put_break(&mut self, line_break: &[u8]) {
        self.out.write(line_break);
        self.column = 0;
        self.indention = true;
    }
}

/// The length of a line of base64.
const BASE64_LINE: usize = 70;

/// Puts comments where they wait; none leave what waits there already.
fn wait<'v>(place: &mut Pending<'v>, comments: Pending<'v>) {
    if !comments.is_empty() {
        *place = comments;
    }
}

/// How many line breaks stand at the end: 0, 1 or 2 (also for a text of nothing but one).
fn breaks_at_end(text: &[u8]) -> usize {
    let last = |text: &[u8]| {
        let start = (1..=3.min(text.len()))
            .find(|back| text.get(text.len() - back).is_some_and(|byte| byte.cast_signed() >= -0x40))?;
        let (rest, character) = text.split_at_checked(text.len() - start)?;
        (break_length(character) > 0).then(|| rest.len())
    };
    match last(text) {
        None => 0,
        Some(0) => 2,
        Some(rest) => 1 + usize::from(text.get(..rest).and_then(last).is_some()),
    }
}

fn is_simple_key(key: &[u8]) -> bool {
    if std::str::from_utf8(key).is_err() {
        let digits = key.len().div_ceil(3) * 4;
        return digits < BASE64_LINE;
    }
    let traits = style::traits(key);
    let tag = if key == b"<<" { "!!merge".len() } else { 0 };
    match style::of(key, &traits) {
        Style::Lost => true,
        _ => !traits.multiline && key.len() + tag <= MAX_SIMPLE_KEY,
    }
}

/// What is written: a copy that is left behind when it grows is wiped.
#[derive(Default)]
struct Output(Plaintext);

impl Output {
    fn write(&mut self, bytes: &[u8]) {
        let old = self.0.bytes_mut();
        if old.capacity() - old.len() < bytes.len() {
            let mut new = Vec::with_capacity((old.len() + bytes.len()).max(512) * 2);
            new.extend_from_slice(old);
            self.0 = new.into();
        }
        self.0.bytes_mut().extend_from_slice(bytes);
    }
}

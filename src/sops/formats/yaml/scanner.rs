//! Text to tokens: indentation, flow brackets, and the keys that show themselves only at their `:`.
//!
//! These are the rules of libyaml as go-yaml v3.0.4 applies them, with two tokens of lookahead at all times because
//! comments are attached by what follows them (comments.rs). The lookahead decides which node a comment lands
//! on, so it is kept exactly, including where go-yaml forgets that a token may be a key.

use std::{borrow::Cow, collections::VecDeque};

use crate::failure::Result;

use super::{
    comments::Comment,
    fault,
    text::{Cursor, Mark},
};

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    /// `%YAML`; whether the version is 1.1, the only one that go-yaml takes.
    Version(bool),
    /// `%TAG`: the handle is the text, the prefix the suffix.
    TagDirective,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    /// The handle is the text.
    Tag,
    Scalar {
        plain: bool,
    },
}

/// A token; `text` and `suffix` are empty unless the kind says otherwise.
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub mark: Mark,
    pub text: Cow<'a, [u8]>,
    pub suffix: Vec<u8>,
}

impl Token<'_> {
    pub fn bare(kind: Kind, mark: Mark) -> Self {
        Self { kind, mark, text: Cow::Borrowed(b""), suffix: Vec::new() }
    }
}

/// Where a key may have started, one for each flow level.
#[derive(Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    /// Nothing but a key can stand here.
    required: bool,
    /// The number of its first token.
    token: usize,
    mark: Mark,
}

/// A key's `:` must come within that many characters, on the same line.
const KEY_REACH: isize = 1024;

pub(super) struct Scanner<'a> {
    pub cursor: Cursor<'a>,
    tokens: VecDeque<Token<'a>>,
    /// How many tokens have been taken out of the queue so far.
    taken: usize,
    started: bool,
    pub flow_level: usize,
    /// Column of the innermost open block collection, -1 outside of all.
    pub indent: isize,
    indents: Vec<isize>,
    pub key_allowed: bool,
    keys: Vec<SimpleKey>,
    /// Number of a token and the flow level on which it may be a key, by rising number.
    key_tokens: VecDeque<(usize, usize)>,
    pub comments: VecDeque<Comment>,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(text),
            tokens: VecDeque::new(),
            taken: 0,
            started: false,
            flow_level: 0,
            indent: -1,
            indents: Vec::new(),
            key_allowed: true,
            keys: vec![SimpleKey::default()],
            key_tokens: VecDeque::new(),
            comments: VecDeque::new(),
        }
    }

    /// A failure at the current line.
    pub fn fault<T>(&self, problem: &str) -> Result<T> {
        Err(fault(self.cursor.mark.line, problem))
    }

    /// Makes sure that the next token is final, and that the two behind it are known.
    pub fn look_ahead(&mut self) -> Result<()> {
        while self.tokens.len() < 3 || self.head_may_be_key()? {
            self.fetch()?;
        }
        Ok(())
    }

    /// Kind and place of the next token, after [`Self::look_ahead`].
    pub fn next_token(&self) -> (Kind, Mark) {
        self.tokens.front().map_or((Kind::StreamEnd, self.cursor.mark), |token| (token.kind, token.mark))
    }

    /// Removes the next token.
    pub fn take(&mut self) -> Token<'a> {
        self.taken += 1;
        self.tokens.pop_front().unwrap_or_else(|| Token::bare(Kind::StreamEnd, self.cursor.mark))
    }

    /// Kind and place of the token that was fetched last, and the kind of the one before.
    pub fn last_tokens(&self) -> (Option<Kind>, (Kind, Mark)) {
        let mut backwards = self.tokens.iter().rev().map(|token| (token.kind, token.mark));
        let last = backwards.next().unwrap_or((Kind::StreamStart, Mark::default()));
        (backwards.next().map(|(kind, _)| kind), last)
    }

    pub fn token_before_last(&self) -> Option<(Kind, Mark)> {
        self.tokens.iter().rev().nth(1).map(|token| (token.kind, token.mark))
    }

    pub fn push(&mut self, token: Token<'a>) {
        self.tokens.push_back(token);
    }

    /// Puts a token before the one with that number; at the end if that one is gone already.
    fn insert(&mut self, number: usize, token: Token<'a>) {
        match number.checked_sub(self.taken) {
            Some(at) if at <= self.tokens.len() => self.tokens.insert(at, token),
            _ => self.tokens.push_back(token),
        }
    }

    fn head_may_be_key(&mut self) -> Result<bool> {
        while self.key_tokens.front().is_some_and(|(token, _)| *token < self.taken) {
            self.key_tokens.pop_front();
        }
        match self.key_tokens.front() {
            Some(&(token, level)) if token == self.taken => self.key_is_valid(level),
            _ => Ok(false),
        }
    }

    /// Whether the key on that level is still possible here.
    fn key_is_valid(&mut self, level: usize) -> Result<bool> {
        let here = self.cursor.mark;
        let Some(key) = self.keys.get_mut(level) else {
            return self.fault("brackets do not match");
        };
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < here.line || key.mark.index + KEY_REACH < here.index {
            if key.required {
                return Err(fault(key.mark.line, "could not find expected ':'"));
            }
            key.possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    /// Notes that a key may start here.
    fn save_key(&mut self) -> Result<()> {
        if !self.key_allowed {
            return Ok(());
        }
        let mark = self.cursor.mark;
        let required = self.flow_level == 0 && self.indent == mark.column;
        let token = self.taken + self.tokens.len();
        self.remove_key()?;
        let level = self.keys.len().saturating_sub(1);
        if let Some(key) = self.keys.last_mut() {
            *key = SimpleKey { possible: true, required, token, mark };
        }
        match self.key_tokens.back_mut() {
            Some(last) if last.0 == token => last.1 = level,
            _ => self.key_tokens.push_back((token, level)),
        }
        Ok(())
    }

    /// What follows cannot belong to a key that started before.
    fn remove_key(&mut self) -> Result<()> {
        if let Some(key) = self.keys.last_mut()
            && key.possible
        {
            if key.required {
                return Err(fault(key.mark.line, "could not find expected ':'"));
            }
            key.possible = false;
            let token = key.token;
            self.forget_key_token(token);
        }
        Ok(())
    }

    fn forget_key_token(&mut self, token: usize) {
        if let Ok(at) = self.key_tokens.binary_search_by_key(&token, |(token, _)| *token) {
            self.key_tokens.remove(at);
        }
    }

    /// Opens a block collection if this column is deeper than the current one. `before`: the number of the token
    /// that it starts with, if that was fetched already.
    fn indent_to(&mut self, column: isize, before: Option<usize>, kind: Kind, mark: Mark) {
        if self.flow_level > 0 || self.indent >= column {
            return;
        }
        self.indents.push(self.indent);
        self.indent = column;
        let token = Token::bare(kind, mark);
        match before {
            Some(number) => self.insert(number, token),
            None => self.push(token),
        }
    }

    /// Closes the block collections that are deeper than this column.
    fn unindent_to(&mut self, column: isize, scanned_from: Mark) {
        if self.flow_level > 0 {
            return;
        }
        let mut mark = scanned_from;
        mark.index -= 1;
        while self.indent > column {
            // The end goes before the comments at this indentation, so that they become feet of what ends here.
            let mut reach = mark.index;
            for comment in self.comments.iter().rev() {
                if comment.end.index < reach {
                    break;
                }
                if comment.start.column == self.indent + 1 {
                    mark = comment.start;
                }
                reach = comment.scanned_from.index;
            }
            self.push(Token::bare(Kind::BlockEnd, mark));
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn fetch(&mut self) -> Result<()> {
        if !self.started {
            self.started = true;
            self.push(Token::bare(Kind::StreamStart, self.cursor.mark));
            return Ok(());
        }
        let scanned_from = self.cursor.mark;
        self.skip_to_token()?;
        self.unindent_to(self.cursor.mark.column, scanned_from);

        let here = self.cursor.mark;
        let byte = self.cursor.at(0);
        if byte == 0 {
            return self.fetch_stream_end();
        }
        if here.column == 0 && byte == b'%' {
            self.leave_blocks()?;
            let token = self.scan_directive()?;
            self.push(token);
            return Ok(());
        }
        if self.cursor.is_document_marker() {
            self.leave_blocks()?;
            self.cursor.skip_many(3);
            let kind = if byte == b'-' { Kind::DocumentStart } else { Kind::DocumentEnd };
            self.push(Token::bare(kind, here));
            return Ok(());
        }

        // A comment behind `:` or `,` belongs to what stands before it.
        let separator = if self.flow_level == 0 { b':' } else { b',' };
        let owner = if byte == separator { self.last_tokens().1.1 } else { here };
        self.fetch_content(byte)?;
        // Behind a lone `-` there are no line comments: they are heads of what follows.
        if self.last_tokens().1.0 != Kind::BlockEntry {
            self.scan_line_comment(owner);
        }
        Ok(())
    }

    fn fetch_content(&mut self, byte: u8) -> Result<()> {
        let in_flow = self.flow_level > 0;
        match byte {
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => {
                self.remove_key()?;
                self.key_allowed = true;
                self.push_indicator(Kind::FlowEntry);
                Ok(())
            }
            b'-' if self.cursor.is_gap(1) => self.fetch_block_entry(),
            b'?' if in_flow || self.cursor.is_gap(1) => self.fetch_key(),
            b':' if in_flow || self.cursor.is_gap(1) => self.fetch_value(),
            b'*' => self.fetch_part(|scanner| scanner.scan_anchor(Kind::Alias)),
            b'&' => self.fetch_part(|scanner| scanner.scan_anchor(Kind::Anchor)),
            b'!' => self.fetch_part(Self::scan_tag),
            b'|' | b'>' if !in_flow => {
                self.remove_key()?;
                self.key_allowed = true;
                let token = self.scan_block_scalar(byte == b'|')?;
                self.push(token);
                Ok(())
            }
            b'\'' | b'"' => self.fetch_part(|scanner| scanner.scan_quoted(byte)),
            b'|' | b'>' | b'#' | b'%' | b'@' | b'`' | b'\t' => {
                self.fault("found character that cannot start any token")
            }
            _ => self.fetch_part(Self::scan_plain),
        }
    }

    /// A token that may be a key, or the start of one.
    fn fetch_part(&mut self, scan: impl FnOnce(&mut Self) -> Result<Token<'a>>) -> Result<()> {
        self.save_key()?;
        self.key_allowed = false;
        let token = scan(self)?;
        self.push(token);
        Ok(())
    }

    fn push_indicator(&mut self, kind: Kind) {
        let mark = self.cursor.mark;
        self.cursor.skip();
        self.push(Token::bare(kind, mark));
    }

    fn leave_blocks(&mut self) -> Result<()> {
        self.unindent_to(-1, self.cursor.mark);
        self.remove_key()?;
        self.key_allowed = false;
        Ok(())
    }

    fn fetch_stream_end(&mut self) -> Result<()> {
        if self.cursor.mark.column != 0 {
            self.cursor.mark.column = 0;
            self.cursor.mark.line += 1;
        }
        self.leave_blocks()?;
        self.push(Token::bare(Kind::StreamEnd, self.cursor.mark));
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: Kind) -> Result<()> {
        self.save_key()?;
        let token = self.taken + self.tokens.len();
        self.keys.push(SimpleKey { token, mark: self.cursor.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        self.key_allowed = true;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind) -> Result<()> {
        self.remove_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.keys.pop() {
                self.forget_key_token(key.token);
            }
        }
        self.key_allowed = false;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<()> {
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.fault("block sequence entries are not allowed in this context");
            }
            let mark = self.cursor.mark;
            self.indent_to(mark.column, None, Kind::BlockSequenceStart, mark);
        }
        self.remove_key()?;
        self.key_allowed = true;
        self.push_indicator(Kind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<()> {
        if self.flow_level == 0 {
            if !self.key_allowed {
                return self.fault("mapping keys are not allowed in this context");
            }
            let mark = self.cursor.mark;
            self.indent_to(mark.column, None, Kind::BlockMappingStart, mark);
        }
        self.remove_key()?;
        self.key_allowed = self.flow_level == 0;
        self.push_indicator(Kind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<()> {
        let level = self.keys.len().saturating_sub(1);
        if self.key_is_valid(level)? {
            let key = self.keys.last().copied().unwrap_or_default();
            self.insert(key.token, Token::bare(Kind::Key, key.mark));
            self.indent_to(key.mark.column, Some(key.token), Kind::BlockMappingStart, key.mark);
            if let Some(key) = self.keys.last_mut() {
                key.possible = false;
            }
            self.forget_key_token(key.token);
            self.key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.key_allowed {
                    return self.fault("mapping values are not allowed in this context");
                }
                let mark = self.cursor.mark;
                self.indent_to(mark.column, None, Kind::BlockMappingStart, mark);
            }
            self.key_allowed = self.flow_level == 0;
        }
        self.push_indicator(Kind::Value);
        Ok(())
    }

    /// Moves over blanks, line breaks and comments.
    fn skip_to_token(&mut self) -> Result<()> {
        let scanned_from = self.cursor.mark;
        loop {
            let tabs_too = self.flow_level > 0 || !self.key_allowed;
            while self.cursor.at(0) == b' ' || tabs_too && self.cursor.at(0) == b'\t' {
                self.cursor.skip();
            }
            self.lift_entry_comment();
            if self.cursor.at(0) == b'#' {
                self.scan_comments(scanned_from)?;
            }
            if self.cursor.take_break().is_empty() {
                return Ok(());
            }
            if self.flow_level == 0 {
                self.key_allowed = true;
            }
        }
    }
}

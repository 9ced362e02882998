//! Comments: which belong to what stands before them and which to what follows.
//!
//! go-yaml tells three places apart. A *line* comment stands behind something. A *foot* stands directly below what it
//! belongs to, with an empty line behind it, or is indented less than what follows. Everything else is the *head*
//! of what follows. Positions decide, and go-yaml measures them in its own way (columns from 1; the CR and the LF of a
//! CR LF count as a line each while it looks ahead): that way is kept, for the sake of the same result.

use std::mem;

use crate::{failure::Result, plaintext::Plaintext};

use super::{
    scanner::{Kind, Scanner},
    text::{Mark, is_blank},
};

/// A comment that the scanner has found and the parser has not yet taken. One of the texts is set.
#[derive(Default)]
pub(super) struct Comment {
    /// Where the search that found it started.
    pub scanned_from: Mark,
    /// It belongs to the first token that does not start before this.
    pub owner: Mark,
    pub start: Mark,
    pub end: Mark,
    pub head: Vec<u8>,
    pub line: Vec<u8>,
    pub foot: Vec<u8>,
}

/// More comments than that do not wait: each may be two bytes of the file, and takes two hundred.
const MAX_WAITING: usize = 1 << 14;

/// No comment is longer: it takes three times its length while it grows.
pub(super) const MAX_COMMENT: usize = 1 << 20;

/// Behind more blanks than this, go-yaml sees no comment.
const REACH: usize = 512;

impl Scanner<'_> {
    /// Takes a comment behind the token that ends here.
    pub(super) fn scan_line_comment(&mut self, owner: Mark) {
        if self.cursor.newlines > 0 {
            return;
        }
        let Some(blanks) = (0..REACH).find(|ahead| !is_blank(self.cursor.at(*ahead))) else { return };
        if self.cursor.at(blanks) != b'#' {
            return;
        }
        self.cursor.skip_many(blanks);
        let start = self.cursor.mark;
        let line = self.take_line().to_vec();
        self.comments.push_back(Comment { owner, start, line, ..Comment::default() });
    }

    fn take_line(&mut self) -> &[u8] {
        let from = self.cursor.pos;
        self.cursor.skip_to_line_end();
        self.cursor.slice(from, self.cursor.pos)
    }

    /// A line comment behind the first `-` of a sequence is the head of what follows.
    pub(super) fn lift_entry_comment(&mut self) {
        let (before, (last, _)) = self.last_tokens();
        if before != Some(Kind::BlockSequenceStart) || last != Kind::BlockEntry || self.cursor.is_break(0) {
            return;
        }
        let here = self.cursor.mark;
        if let Some(comment) = self.comments.back_mut()
            && !comment.line.is_empty()
        {
            comment.head = mem::take(&mut comment.line);
            if comment.start.line == here.line - 1 {
                comment.owner = here;
            }
        }
    }

    /// Takes the comment lines that start here, with the empty lines between them.
    pub(super) fn scan_comments(&mut self, scanned_from: Mark) -> Result<()> {
        let (_, (mut last, mut last_mark)) = self.last_tokens();
        if last == Kind::FlowEntry
            && let Some(before) = self.token_before_last()
        {
            (last, last_mark) = before;
        }
        let mut block =
            Block { scanned_from, owner: last_mark, start: Mark::default(), text: Plaintext::default() };
        let least_column = self.indent.max(0);
        let mut after_empty = false;
        let mut first_gap = self.cursor.newlines <= 1;

        // The line where a foot of what stands before must start.
        let mut foot_line = -1;
        if scanned_from.line > 0 {
            foot_line = self.cursor.mark.line - self.cursor.newlines + 1;
            if self.cursor.newlines == 0 && self.cursor.mark.column > 1 {
                foot_line += 1;
            }
        }

        let mut line = self.cursor.mark.line;
        let mut column = self.cursor.mark.column;
        let mut ahead = 0;
        while ahead < REACH {
            column += 1;
            let byte = self.cursor.at(ahead);
            if is_blank(byte) {
                ahead += 1;
                continue;
            }
            let here = Mark { index: self.cursor.mark.index + ahead.cast_signed(), line, column };
            let closes = self.flow_level > 0 && matches!(byte, b']' | b'}');
            let dedented = block.start.column - 1 < least_column;
            if closes || self.cursor.is_line_end(ahead) {
                if closes || !after_empty {
                    let below = block.start.line == foot_line && last != Kind::Value;
                    if closes || first_gap && (below || dedented) {
                        if dedented && !block.text.is_empty() {
                            block.owner = block.start;
                        }
                        self.comments.extend(block.cut_foot(here));
                    } else if !block.text.is_empty() && byte != 0 {
                        block.text.push(b"\n");
                    }
                }
                if !self.cursor.is_break(ahead) {
                    break;
                }
                first_gap = false;
                after_empty = true;
                column = 0;
                line += 1;
                ahead += 1;
                continue;
            }
            if column - 1 < least_column && column != block.start.column {
                self.comments.extend(block.cut_foot(here));
            }
            if byte != b'#' {
                break;
            }
            if block.text.is_empty() {
                block.start = here;
            } else {
                block.text.push(b"\n");
            }
            if self.comments.len() > MAX_WAITING || block.text.len() > MAX_COMMENT {
                return self.fault("too many comments in a row");
            }
            after_empty = false;
            while self.cursor.mark.index < here.index {
                if self.cursor.take_break().is_empty() {
                    self.cursor.skip();
                }
            }
            block.text.push(self.take_line());
            line = self.cursor.mark.line;
            column = 0;
            ahead = 1;
        }

        if !block.text.is_empty() {
            let index = self.cursor.mark.index + ahead.cast_signed() - 1;
            let Block { scanned_from, start, mut text, .. } = block;
            let end = Mark { index, line, column };
            self.comments.push_back(Comment {
                scanned_from,
                owner: start,
                start,
                end,
                head: mem::take(text.bytes_mut()),
                ..Comment::default()
            });
        }
        Ok(())
    }
}

/// The comment lines that are being collected.
struct Block {
    scanned_from: Mark,
    owner: Mark,
    start: Mark,
    text: Plaintext,
}

impl Block {
    /// What was collected so far is a foot, and a new block starts here.
    fn cut_foot(&mut self, end: Mark) -> Option<Comment> {
        if self.text.is_empty() {
            return None;
        }
        let foot = mem::take(self.text.bytes_mut());
        let (scanned_from, owner, start) = (self.scanned_from, self.owner, self.start);
        (self.scanned_from, self.owner) = (end, end);
        Some(Comment { scanned_from, owner, start, end, foot, ..Comment::default() })
    }
}

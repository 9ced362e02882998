//! Scalars of the four kinds: plain, in single or double quotes, and block scalars.

use std::{borrow::Cow, mem};

use crate::{failure::Result, plaintext::Plaintext};

use super::{
    fault,
    scanner::{Kind, Scanner, Token},
};

/// The text of a scalar: a piece of the input as long as that says it all, a copy otherwise.
struct Gather<'a> {
    input: &'a [u8],
    piece: &'a [u8],
    from: usize,
    copy: Plaintext,
}

impl<'a> Gather<'a> {
    fn new() -> Self {
        Self { input: b"", piece: b"", from: 0, copy: Plaintext::default() }
    }

    /// Adds the input from here to there, where `input` is all of it.
    fn keep(&mut self, input: &'a [u8], from: usize, to: usize) {
        if from == to {
            return;
        }
        let text = input.get(from..to).unwrap_or_default();
        if self.copy.is_empty() && self.piece.is_empty() {
            (self.input, self.piece, self.from) = (input, text, from);
        } else if self.copy.is_empty() && self.from + self.piece.len() == from {
            self.piece = self.input.get(self.from..to).unwrap_or_default();
        } else {
            self.add(text);
        }
    }

    /// Adds what does not stand in the input like this.
    fn add(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if self.copy.is_empty() {
            self.copy.push(self.piece);
        }
        self.copy.push(text);
    }

    /// Adds line breaks by the rules of folding: one becomes a space, of several the first is dropped.
    fn fold(&mut self, first: &[u8], rest: &[u8]) {
        match (first, rest) {
            (b"\n", b"") => self.add(b" "),
            (b"\n", _) => self.add(rest),
            _ => {
                self.add(first);
                self.add(rest);
            }
        }
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.copy.is_empty() {
            Cow::Borrowed(self.piece)
        } else {
            Cow::Owned(mem::take(self.copy.bytes_mut()))
        }
    }
}

/// Blanks or line breaks between two words of a flow scalar.
#[derive(Default)]
struct Gap {
    /// Blanks in the line of the word before.
    blanks: (usize, usize),
    /// The first line break.
    first: &'static [u8],
    rest: Vec<u8>,
    /// Whether there was a line break.
    broken: bool,
}

/// The line break as a constant, so that no borrow is needed.
fn constant(line_break: &[u8]) -> &'static [u8] {
    match line_break {
        b"\xe2\x80\xa8" => b"\xe2\x80\xa8",
        b"\xe2\x80\xa9" => b"\xe2\x80\xa9",
        b"" => b"",
        _ => b"\n",
    }
}

impl<'a> Scanner<'a> {
    fn input(&self) -> &'a [u8] {
        self.cursor.slice(0, usize::MAX)
    }

    /// Moves over blanks and line breaks. `tab_limit`: tabs left of this column, behind a line break, are an error.
    fn scan_gap(&mut self, gap: &mut Gap, tab_limit: isize) -> Result<()> {
        gap.blanks = (self.cursor.pos, self.cursor.pos);
        loop {
            let byte = self.cursor.at(0);
            if self.cursor.is_blank(0) {
                if gap.broken && byte == b'\t' && self.cursor.mark.column < tab_limit {
                    return self.fault("found a tab character that violates indentation");
                }
                self.cursor.skip();
                if !gap.broken {
                    gap.blanks.1 = self.cursor.pos;
                }
                continue;
            }
            let line_break = self.cursor.take_break();
            if line_break.is_empty() {
                return Ok(());
            }
            if gap.broken {
                gap.rest.extend_from_slice(line_break);
            } else {
                gap.broken = true;
                gap.first = constant(line_break);
            }
        }
    }

    pub(super) fn scan_plain(&mut self) -> Result<Token<'a>> {
        let mark = self.cursor.mark;
        let least_column = self.indent + 1;
        let input = self.input();
        let mut text = Gather::new();
        let mut gap = Gap::default();
        loop {
            if self.cursor.is_document_marker() || self.cursor.at(0) == b'#' {
                break;
            }
            let from = self.cursor.pos;
            self.cursor.skip_ordinary();
            while !self.cursor.is_gap(0) && !self.ends_plain() {
                self.cursor.skip();
                self.cursor.skip_ordinary();
            }
            if from != self.cursor.pos {
                if gap.broken {
                    text.fold(gap.first, &gap.rest);
                } else {
                    text.keep(input, gap.blanks.0, gap.blanks.1);
                }
                gap = Gap::default();
                text.keep(input, from, self.cursor.pos);
            }
            if !self.cursor.is_blank(0) && !self.cursor.is_break(0) {
                break;
            }
            self.scan_gap(&mut gap, least_column)?;
            if self.flow_level == 0 && self.cursor.mark.column < least_column {
                break;
            }
        }
        if gap.broken {
            self.key_allowed = true;
        }
        Ok(scalar(mark, text, true))
    }

    fn ends_plain(&self) -> bool {
        match self.cursor.at(0) {
            b':' => self.cursor.is_gap(1),
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => self.flow_level > 0,
            _ => false,
        }
    }

    pub(super) fn scan_quoted(&mut self, quote: u8) -> Result<Token<'a>> {
        let mark = self.cursor.mark;
        let input = self.input();
        let mut text = Gather::new();
        self.cursor.skip();
        loop {
            if self.cursor.is_document_marker() {
                return Err(fault(mark.line, "found unexpected document indicator"));
            }
            if self.cursor.at(0) == 0 {
                return Err(fault(mark.line, "found unexpected end of stream"));
            }
            let mut gap = Gap::default();
            let mut from = self.cursor.pos;
            loop {
                self.cursor.skip_ordinary();
                if self.cursor.is_gap(0) {
                    break;
                }
                let byte = self.cursor.at(0);
                if byte == quote && (quote == b'"' || self.cursor.at(1) != b'\'') {
                    break;
                }
                if byte == quote || byte == b'\\' && quote == b'"' {
                    text.keep(input, from, self.cursor.pos);
                    if byte == quote {
                        text.add(b"'");
                        self.cursor.skip_many(2);
                    } else if self.cursor.is_break(1) {
                        self.cursor.skip();
                        self.cursor.take_break();
                        gap.broken = true;
                    } else {
                        self.scan_escape(&mut text)?;
                    }
                    from = self.cursor.pos;
                    if gap.broken {
                        break;
                    }
                } else {
                    self.cursor.skip();
                }
            }
            text.keep(input, from, self.cursor.pos);
            if self.cursor.at(0) == quote {
                break;
            }
            self.scan_gap(&mut gap, isize::MIN)?;
            if gap.broken {
                text.fold(gap.first, &gap.rest);
            } else {
                text.keep(input, gap.blanks.0, gap.blanks.1);
            }
        }
        self.cursor.skip();
        Ok(scalar(mark, text, false))
    }

    fn scan_escape(&mut self, text: &mut Gather<'a>) -> Result<()> {
        let known: &[u8] = match self.cursor.at(1) {
            b'0' => b"\0",
            b'a' => b"\x07",
            b'b' => b"\x08",
            b't' | b'\t' => b"\t",
            b'n' => b"\n",
            b'v' => b"\x0b",
            b'f' => b"\x0c",
            b'r' => b"\r",
            b'e' => b"\x1b",
            b' ' => b" ",
            b'"' => b"\"",
            b'\'' => b"'",
            b'\\' => b"\\",
            b'N' => b"\xc2\x85",
            b'_' => b"\xc2\xa0",
            b'L' => b"\xe2\x80\xa8",
            b'P' => b"\xe2\x80\xa9",
            b'x' => return self.scan_code(2, text),
            b'u' => return self.scan_code(4, text),
            b'U' => return self.scan_code(8, text),
            _ => return self.fault("found unknown escape character"),
        };
        text.add(known);
        self.cursor.skip_many(2);
        Ok(())
    }

    fn scan_code(&mut self, digits: usize, text: &mut Gather<'a>) -> Result<()> {
        self.cursor.skip_many(2);
        let mut code = 0;
        for _ in 0..digits {
            let Some(digit) = char::from(self.cursor.at(0)).to_digit(16) else {
                return self.fault("did not find expected hexadecimal number");
            };
            code = code << 4 | digit;
            self.cursor.skip();
        }
        let Some(character) = char::from_u32(code) else {
            return self.fault("found invalid Unicode character escape code");
        };
        text.add(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Result<Token<'a>> {
        let mark = self.cursor.mark;
        self.cursor.skip();
        let (keep_tail, width) = self.scan_block_header()?;
        self.cursor.skip_blanks();
        if self.cursor.at(0) == b'#' {
            self.scan_line_comment(mark);
            self.cursor.skip_to_line_end();
        }
        if !self.cursor.is_line_end(0) {
            return Err(fault(mark.line, "did not find expected comment or line break"));
        }
        self.cursor.take_break();

        let mut indent = width.map_or(0, |width| self.indent.max(0) + width);
        let input = self.input();
        let mut text = Gather::new();
        let mut breaks = Vec::new();
        let mut line_break: &[u8] = b"";
        let mut after_blank = false;
        self.scan_indentation(&mut indent, &mut breaks)?;
        while self.cursor.mark.column == indent && self.cursor.at(0) != 0 {
            let blank = self.cursor.is_blank(0);
            if !literal && !after_blank && !blank && line_break == b"\n" {
                text.fold(line_break, &breaks);
            } else {
                text.add(line_break);
                text.add(&breaks);
            }
            breaks.clear();
            after_blank = blank;
            let from = self.cursor.pos;
            self.cursor.skip_to_line_end();
            text.keep(input, from, self.cursor.pos);
            line_break = self.cursor.take_break();
            self.scan_indentation(&mut indent, &mut breaks)?;
        }
        if keep_tail != Some(false) {
            text.add(line_break);
        }
        if keep_tail == Some(true) {
            text.add(&breaks);
        }
        Ok(scalar(mark, text, false))
    }

    /// What stands behind `|` or `>`: `+` (true) or `-` (false), and the indentation, in any order.
    fn scan_block_header(&mut self) -> Result<(Option<bool>, Option<isize>)> {
        let (mut keep_tail, mut width) = (None, None);
        for _ in 0..2 {
            match self.cursor.at(0) {
                sign @ (b'+' | b'-') if keep_tail.is_none() => keep_tail = Some(sign == b'+'),
                b'0' if width.is_none() => return self.fault("found an indentation indicator equal to 0"),
                digit @ b'1'..=b'9' if width.is_none() => width = Some(isize::from(digit.cast_signed() - 48)),
                _ => break,
            }
            self.cursor.skip();
        }
        Ok((keep_tail, width))
    }

    /// Moves over the indentation and empty lines before a line of a block scalar. The first time, unless the
    /// header tells, finds out the indentation: 0 stands for not known yet.
    fn scan_indentation(&mut self, indent: &mut isize, breaks: &mut Vec<u8>) -> Result<()> {
        let mut deepest = 0;
        loop {
            let inside = |scanner: &Self| *indent == 0 || scanner.cursor.mark.column < *indent;
            while inside(self) && self.cursor.at(0) == b' ' {
                self.cursor.skip();
            }
            deepest = deepest.max(self.cursor.mark.column);
            if inside(self) && self.cursor.at(0) == b'\t' {
                return self.fault("found a tab character where an indentation space is expected");
            }
            let line_break = self.cursor.take_break();
            if line_break.is_empty() {
                break;
            }
            breaks.extend_from_slice(line_break);
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}

fn scalar(mark: super::text::Mark, text: Gather<'_>, plain: bool) -> Token<'_> {
    Token { kind: Kind::Scalar { plain }, mark, text: text.finish(), suffix: Vec::new() }
}

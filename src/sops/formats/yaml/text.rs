//! The text of a YAML stream: its encoding, which characters it may hold, and a position in it.
//!
//! The whole stream is checked before anything is read from it: sops reads every file to its end, so a bad byte
//! anywhere is a failure of the file anyway. What follows may then rely on well-formed UTF-8 without NUL.

use std::borrow::Cow;

use crate::failure::Result;

use super::{fault, style::byte_set};

/// The stream as UTF-8 without its byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_be_bytes)?),
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
        _ => Cow::Borrowed(bytes),
    };
    if let Err(error) = std::str::from_utf8(&text) {
        return Err(fault(line_of(&text, error.valid_up_to()), "not UTF-8"));
    }
    // go-yaml eats the first character of every following line after a second mark: nothing to imitate.
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(fault(0, "two byte order marks"));
    }
    match forbidden(&text) {
        Some(at) => Err(fault(line_of(&text, at), "control characters are not allowed")),
        None => Ok(text),
    }
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Vec<u8>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text: std::result::Result<String, _> =
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text.into_bytes()),
        _ => Err(fault(0, "not UTF-16")),
    }
}

/// Characters that go on a flow scalar of any kind.
const ORDINARY: [bool; 256] = byte_set(b'!', b'~', b"#:?,[]{}'\"\\");

/// The line on which that byte stands, from 0.
pub(super) fn line_of(text: &[u8], at: usize) -> isize {
    text.iter().take(at).filter(|byte| **byte == b'\n').count().cast_signed()
}

/// Bytes that are checked at once.
const CHUNK: usize = 64;

/// Where the first character stands that YAML 1.1 does not allow in a stream.
fn forbidden(text: &[u8]) -> Option<usize> {
    let bad = |at: usize, byte: u8| match byte {
        b'\t' | b'\n' | b'\r' | 0x20..=0x7e => false,
        0xc2 => matches!(text.get(at + 1), Some(0x80..=0x84 | 0x86..=0x9f)),
        0xef => matches!(text.get(at + 1..at + 3), Some([0xbf, 0xbe | 0xbf])),
        _ => byte < 0x80,
    };
    for (chunk, bytes) in text.chunks(CHUNK).enumerate() {
        // Most chunks are fine: no branch for each byte.
        #[allow(clippy::needless_bitwise_bool)]
        let suspect = bytes.iter().fold(false, |suspect, byte| {
            suspect
                | ((*byte < b' ') & (*byte != b'\n'))
                | (*byte == 0x7f)
                | (*byte == 0xc2)
                | (*byte == 0xef)
        });
        if suspect {
            let first = chunk * CHUNK;
            let found = bytes.iter().enumerate().find(|(at, byte)| bad(first + at, **byte));
            if let Some((at, _)) = found {
                return Some(first + at);
            }
        }
    }
    None
}

/// A place in the text. Counted in characters; a lone CR, LF, NEL, LS or PS and a CR LF each end a line.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    /// Characters before this place.
    pub index: isize,
    /// Line, from 0.
    pub line: isize,
    /// Column, from 0 (in marks of comments: from 1).
    pub column: isize,
}

/// A position that moves through the text. Behind the end it sees NULs.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    pub pos: usize,
    pub mark: Mark,
    /// Line breaks since the last character that was no blank.
    pub newlines: isize,
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Letters, digits, `_` and `-`: what anchors and tag handles are made of.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, pos: 0, mark: Mark::default(), newlines: 0 }
    }

    /// The byte that many bytes ahead, 0 behind the end.
    #[inline]
    pub fn at(&self, ahead: usize) -> u8 {
        self.text.get(self.pos + ahead).copied().unwrap_or(0)
    }

    /// The text between two positions.
    pub fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.text.get(from..to.min(self.text.len())).unwrap_or_default()
    }

    pub fn is_blank(&self, ahead: usize) -> bool {
        is_blank(self.at(ahead))
    }

    #[inline]
    pub fn is_break(&self, ahead: usize) -> bool {
        break_length(self.text.get(self.pos + ahead..).unwrap_or_default()) > 0
    }

    /// A line break or the end.
    #[inline]
    pub fn is_line_end(&self, ahead: usize) -> bool {
        self.at(ahead) == 0 || self.is_break(ahead)
    }

    /// A blank, a line break or the end.
    #[inline]
    pub fn is_gap(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_line_end(ahead)
    }

    /// Whether `---` or `...` stands at the start of this line, followed by a gap.
    pub fn is_document_marker(&self) -> bool {
        self.mark.column == 0
            && matches!(self.slice(self.pos, self.pos + 3), b"---" | b"...")
            && self.is_gap(3)
    }

    /// Moves over one character that is no line break.
    #[inline]
    pub fn skip(&mut self) {
        let byte = self.at(0);
        if !is_blank(byte) {
            self.newlines = 0;
        }
        self.mark.index += 1;
        self.mark.column += 1;
        self.pos += match byte {
            0..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
    }

    /// Moves over the ASCII characters from here on that are wanted; no line breaks may be.
    #[inline]
    fn skip_run(&mut self, wanted: impl Fn(u8) -> bool) {
        let run = self.text.get(self.pos..).unwrap_or_default();
        let length = run.iter().position(|byte| !wanted(*byte)).unwrap_or(run.len());
        if run.iter().take(length).any(|byte| !is_blank(*byte)) {
            self.newlines = 0;
        }
        self.pos += length;
        self.mark.index += length.cast_signed();
        self.mark.column += length.cast_signed();
    }

    /// Moves over characters that mean nothing special within a flow scalar.
    #[inline]
    pub fn skip_ordinary(&mut self) {
        self.skip_run(|byte| ORDINARY.get(usize::from(byte)).is_some_and(|ordinary| *ordinary));
    }

    pub fn skip_many(&mut self, count: usize) {
        for _ in 0..count {
            self.skip();
        }
    }

    pub fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }

    /// Moves to the end of the line.
    pub fn skip_to_line_end(&mut self) {
        let in_line = |byte| matches!(byte, b'\t' | 0x20..=0x7f);
        self.skip_run(in_line);
        while !self.is_line_end(0) {
            self.skip();
            self.skip_run(in_line);
        }
    }

    /// Moves over a line break, if one is here, and gives what it means: a line feed, or the LS or PS itself.
    pub fn take_break(&mut self) -> &'a [u8] {
        let length = break_length(self.text.get(self.pos..).unwrap_or_default());
        if length == 0 {
            return b"";
        }
        let text = if length == 3 { self.slice(self.pos, self.pos + 3) } else { b"\n" };
        self.mark.index += if self.at(1) == b'\n' && length == 2 { 2 } else { 1 };
        self.mark.column = 0;
        self.mark.line += 1;
        self.pos += length;
        self.newlines += 1;
        text
    }
}

/// The length of the line break at the start of this text, else 0.
#[inline]
pub(super) fn break_length(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', ..] | [0xc2, 0x85, ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
        _ => 0,
    }
}

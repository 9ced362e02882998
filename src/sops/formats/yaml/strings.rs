//! Strings in each of the styles, and bytes as base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::plaintext::Plaintext;

use super::{
    page::Page,
    style::{BASE64_LINE, Shape, Style, base64_length, character_length, is_printable},
    text::break_length,
};

/// Keys with more bytes than this are written behind a `?`.
const MAX_SIMPLE_KEY: usize = 128;

impl Page {
    /// A string. `inner`: the indentation of its lines.
    pub fn text(&mut self, text: &[u8], style: Style, inner: isize) {
        match style {
            Style::Plain => self.plain(text),
            Style::Single => self.single_quoted(text, inner),
            Style::Double => self.double_quoted(text),
            Style::Literal => self.literal(text, inner),
            Style::Binary => self.binary(text, inner),
            Style::Merge => {
                self.indicator(b"!!merge", true, false);
                self.plain(text);
            }
            Style::Lost => self.plain(b"null"),
        }
    }

    fn binary(&mut self, bytes: &[u8], inner: isize) {
        self.indicator(b"!!binary", true, false);
        let mut digits = Zeroizing::new(vec![0; base64_length(bytes)]);
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
        self.literal(&lines, inner);
    }

    pub fn plain(&mut self, text: &[u8]) {
        if !self.blank {
            self.put(b" ");
        }
        self.put(text);
        (self.blank, self.indention) = (false, false);
    }

    fn single_quoted(&mut self, text: &[u8], inner: isize) {
        self.indicator(b"'", true, false);
        let outer = self.indent;
        self.indent = inner;
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
            0x00 => b'0',
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
            _ if code <= 0xff => b'x',
            _ if code <= 0xffff => b'u',
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

    fn literal(&mut self, text: &[u8], inner: isize) {
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
        self.indent = inner;
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
}

/// How many line breaks stand at the end: 0, 1 or 2 (also for a text of nothing but one).
fn breaks_at_end(text: &[u8]) -> usize {
    let last = |text: &[u8]| {
        let start = (1..=3.min(text.len()))
            .find(|back| text.get(text.len() - back).is_some_and(|byte| byte.cast_signed() >= -0x40))?;
        let (rest, character) = text.split_at_checked(text.len() - start)?;
        (break_length(character) > 0).then_some(rest.len())
    };
    match last(text) {
        None => 0,
        Some(0) => 2,
        Some(rest) => 1 + usize::from(text.get(..rest).and_then(last).is_some()),
    }
}

/// Whether a key can stand before its `:` in one line.
pub(super) fn is_simple_key(key: &[u8], shape: Shape) -> bool {
    match shape.style {
        Style::Lost => true,
        Style::Binary => !shape.multiline,
        Style::Merge => key.len() + "!!merge".len() <= MAX_SIMPLE_KEY,
        _ => !shape.multiline && key.len() <= MAX_SIMPLE_KEY,
    }
}

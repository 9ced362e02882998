//! Reads INI text into sections.

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    room::Room,
};

use super::{DEFAULT, Section, trim, trim_start};

/// What a key or a section takes at most beside its text: in its list, under its name, and as a value afterwards.
const LINE_COST: usize = 512;

/// How many times its length a value takes that grows line by line.
const GROWTH: usize = 3;

/// All sections in file order, of the same name too; the default section first, also when it is empty.
pub(super) fn sections(text: &[u8], room: &mut Room) -> Result<Vec<Section>> {
    let text = [b"\xef\xbb\xbf".as_slice(), b"\xfe\xff", b"\xff\xfe"]
        .iter()
        .find_map(|mark| text.strip_prefix(*mark))
        .unwrap_or(text);
    let mut reader = Reader { rest: text, line: 0, comment: Plaintext::default(), room };
    let mut sections = Vec::new();
    let mut section = Section::new(DEFAULT);
    // The next name for keys that are written as `-`.
    let mut counter = 1_usize;
    while let Some(line) = reader.next_line() {
        let line = trim_start(line);
        if !line.is_empty() {
            reader.room.take(LINE_COST + 2 * line.len())?;
        }
        match line.first() {
            None => {}
            Some(b'#' | b';') => reader.comment.push(line),
            Some(b'[') => {
                let close = line.iter().rposition(|b| *b == b']');
                let close = close.ok_or_else(|| reader.failure("the section's bracket is not closed"))?;
                let (header, behind) = line.split_at(close);
                let name = header.get(1..).unwrap_or_default();
                if name.is_empty() {
                    return Err(reader.failure("the section has no name"));
                }
                reader.comment.push(comment_in(behind));
                sections.push(std::mem::replace(&mut section, Section::new(name)));
                section.comment = reader.take_comment();
                counter = 1;
            }
            Some(_) => {
                let (name, value) = reader.key_name(line)?;
                let numbered = format!("#{counter}");
                let name = if name == b"-" {
                    counter = counter.saturating_add(1);
                    numbered.as_bytes()
                } else {
                    name
                };
                let value = reader.value(value)?;
                let comment = reader.take_comment();
                section.set(name, value).map_err(|_| reader.failure("the key has no name"))?.comment =
                    comment;
            }
        }
    }
    sections.push(section);
    Ok(sections)
}

/// From the first comment mark on.
fn comment_in(text: &[u8]) -> &[u8] {
    let at = text.iter().position(|b| matches!(b, b'#' | b';')).unwrap_or(text.len());
    text.get(at..).unwrap_or_default()
}

/// Where `needle` stands in `text`.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

/// Where `needle` stands last in `text`.
fn find_last(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).rposition(|window| window == needle)
}

struct Reader<'a, 'r> {
    rest: &'a [u8],
    line: usize,
    /// Comments since the last key or section, waiting for the next one.
    comment: Plaintext,
    room: &'r mut Room,
}

impl<'a> Reader<'a, '_> {
    fn failure(&self, what: &str) -> Failure {
        Failure::new(format!("line {} of the INI file: {what}", self.line))
    }

    /// The next line with its line break, if there is one.
    fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.line = self.line.saturating_add(1);
        let end =
            self.rest.iter().position(|b| *b == b'\n').map_or(self.rest.len(), |at| at.saturating_add(1));
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(line)
    }

    fn take_comment(&mut self) -> Plaintext {
        let comment = std::mem::take(&mut self.comment);
        trim(&comment).into()
    }

    /// The name of the key on this line, and what stands behind the delimiter.
    fn key_name(&self, line: &'a [u8]) -> Result<(&'a [u8], &'a [u8])> {
        let quote: &[u8] = match line {
            [b'"', b'"', b'"', _, _, _, _, ..] => b"\"\"\"",
            [b'"', ..] => b"\"",
            [b'`', ..] => b"`",
            _ => b"",
        };
        let (name, behind) = if quote.is_empty() {
            ([].as_slice(), line)
        } else {
            let inner = line.get(quote.len()..).unwrap_or_default();
            let end = find(inner, quote).ok_or_else(|| self.failure("the key's quote is not closed"))?;
            let (name, behind) = inner.split_at(end);
            (name, behind.get(quote.len()..).unwrap_or_default())
        };
        let delimiter = behind.iter().position(|b| matches!(b, b'=' | b':'));
        let delimiter =
            delimiter.ok_or_else(|| self.failure("expected a key and an equals sign or a colon"))?;
        let (before, value) = behind.split_at(delimiter);
        if quote.is_empty() && before.is_empty() {
            return Err(self.failure("the key has no name"));
        }
        let name = if quote.is_empty() { before } else { name };
        Ok((trim(name), value.get(1..).unwrap_or_default()))
    }

    /// The value that begins on this line; takes more lines when it goes on there. Comments behind it are kept.
    fn value(&mut self, text: &'a [u8]) -> Result<Plaintext> {
        let text = trim_start(text);
        let quote: &[u8] = match text {
            [b'"', b'"', b'"', _, ..] => b"\"\"\"",
            [b'`', ..] => b"`",
            _ => b"",
        };
        if !quote.is_empty() {
            let inner = text.get(quote.len()..).unwrap_or_default();
            return match find_last(inner, quote) {
                Some(end) => Ok(inner.get(..end).unwrap_or_default().into()),
                None => self.quoted_lines(inner, quote),
            };
        }
        let mut text = trim(text);
        if let Some(start) = text.strip_suffix(b"\\") {
            return self.continued_lines(start);
        }
        let comment = comment_in(text);
        self.comment.push(comment);
        text = trim(text.get(..text.len().saturating_sub(comment.len())).unwrap_or_default());
        if let [quote @ (b'"' | b'\''), inner @ .., last] = text
            && last == quote
            && !inner.contains(quote)
        {
            text = inner;
        }
        Ok(text.into())
    }

    /// Lines up to the one in which the quote is closed. A backslash at the end of that line leaves it open.
    fn quoted_lines(&mut self, start: &[u8], quote: &[u8]) -> Result<Plaintext> {
        let opened = self.line;
        let mut value = Plaintext::from(start);
        while let Some(line) = self.next_line() {
            self.room.take(GROWTH * line.len())?;
            let Some(end) = find_last(line, quote) else {
                value.push(line);
                continue;
            };
            let (inside, behind) = line.split_at(end);
            if trim(behind.get(quote.len()..).unwrap_or_default()).ends_with(b"\\") {
                value.push(line);
                continue;
            }
            value.push(inside);
            self.comment.push(trim(comment_in(behind)));
            return Ok(value);
        }
        self.line = opened;
        Err(self.failure("the value's quote is not closed"))
    }

    /// Joins lines for as long as they end with a backslash.
    fn continued_lines(&mut self, start: &[u8]) -> Result<Plaintext> {
        let mut value = Plaintext::from(start);
        while let Some(line) = self.next_line() {
            self.room.take(GROWTH * line.len())?;
            let line = trim(line);
            if line.is_empty() {
                break;
            }
            let Some(line) = line.strip_suffix(b"\\") else {
                value.push(line);
                break;
            };
            value.push(line);
        }
        Ok(value)
    }
}

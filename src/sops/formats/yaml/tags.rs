//! Directives, anchors, aliases and tags.

use std::borrow::Cow;

use crate::failure::Result;

use super::{
    fault,
    scanner::{Kind, Scanner, Token},
    text::{Mark, is_word},
};

impl<'a> Scanner<'a> {
    pub(super) fn scan_directive(&mut self) -> Result<Token<'a>> {
        let mark = self.cursor.mark;
        self.cursor.skip();
        let name = self.scan_word();
        if name.is_empty() {
            return self.fault("could not find expected directive name");
        }
        if !self.cursor.is_gap(0) {
            return self.fault("found unexpected non-alphabetical character");
        }
        let token = match name {
            b"YAML" => self.scan_version(mark)?,
            b"TAG" => self.scan_tag_directive(mark)?,
            _ => return self.fault("found unknown directive name"),
        };
        self.cursor.skip_blanks();
        if self.cursor.at(0) == b'#' {
            self.cursor.skip_to_line_end();
        }
        if !self.cursor.is_line_end(0) {
            return self.fault("did not find expected comment or line break");
        }
        self.cursor.take_break();
        Ok(token)
    }

    fn scan_word(&mut self) -> &'a [u8] {
        let from = self.cursor.pos;
        while is_word(self.cursor.at(0)) {
            self.cursor.skip();
        }
        self.cursor.slice(from, self.cursor.pos)
    }

    fn scan_version(&mut self, mark: Mark) -> Result<Token<'a>> {
        self.cursor.skip_blanks();
        let major = self.scan_version_number()?;
        if self.cursor.at(0) != b'.' {
            return self.fault("did not find expected digit or '.' character");
        }
        self.cursor.skip();
        let minor = self.scan_version_number()?;
        Ok(Token::bare(Kind::Version((major, minor) == (1, 1)), mark))
    }

    fn scan_version_number(&mut self) -> Result<u8> {
        let (mut number, mut length) = (0, 0);
        while let digit @ b'0'..=b'9' = self.cursor.at(0) {
            length += 1;
            if length > 2 {
                return self.fault("found extremely long version number");
            }
            number = number * 10 + (digit - b'0');
            self.cursor.skip();
        }
        if length == 0 {
            return self.fault("did not find expected version number");
        }
        Ok(number)
    }

    fn scan_tag_directive(&mut self, mark: Mark) -> Result<Token<'a>> {
        self.cursor.skip_blanks();
        let handle = self.scan_handle()?;
        if handle != b"!" && !handle.ends_with(b"!") {
            return self.fault("did not find expected '!'");
        }
        if !self.cursor.is_blank(0) {
            return self.fault("did not find expected whitespace");
        }
        self.cursor.skip_blanks();
        let suffix = self.scan_uri(b"")?;
        if !self.cursor.is_gap(0) {
            return self.fault("did not find expected whitespace or line break");
        }
        Ok(Token { kind: Kind::TagDirective, mark, text: Cow::Borrowed(handle), suffix })
    }

    /// `&name` or `*name`.
    pub(super) fn scan_anchor(&mut self, kind: Kind) -> Result<Token<'a>> {
        let mark = self.cursor.mark;
        self.cursor.skip();
        let name = self.scan_word();
        let ends = self.cursor.is_gap(0)
            || matches!(self.cursor.at(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ends {
            return Err(fault(mark.line, "did not find expected alphabetic or numeric character"));
        }
        Ok(Token { kind, mark, text: Cow::Borrowed(name), suffix: Vec::new() })
    }

    /// `!<uri>`, `!handle!suffix`, `!suffix` or `!`.
    pub(super) fn scan_tag(&mut self) -> Result<Token<'a>> {
        let mark = self.cursor.mark;
        let (mut handle, mut suffix): (&[u8], _) = (b"", Vec::new());
        if self.cursor.at(1) == b'<' {
            self.cursor.skip_many(2);
            suffix = self.scan_uri(b"")?;
            if self.cursor.at(0) != b'>' {
                return self.fault("did not find the expected '>'");
            }
            self.cursor.skip();
        } else {
            handle = self.scan_handle()?;
            if handle.len() > 1 && handle.ends_with(b"!") {
                suffix = self.scan_uri(b"")?;
            } else {
                suffix.extend(self.scan_uri(handle)?);
                handle = b"!";
                if suffix.is_empty() {
                    (handle, suffix) = (b"", b"!".to_vec());
                }
            }
        }
        if !self.cursor.is_gap(0) {
            return self.fault("did not find expected whitespace or line break");
        }
        Ok(Token { kind: Kind::Tag, mark, text: Cow::Borrowed(handle), suffix })
    }

    fn scan_handle(&mut self) -> Result<&'a [u8]> {
        if self.cursor.at(0) != b'!' {
            return self.fault("did not find expected '!'");
        }
        let from = self.cursor.pos;
        self.cursor.skip();
        self.scan_word();
        if self.cursor.at(0) == b'!' {
            self.cursor.skip();
        }
        Ok(self.cursor.slice(from, self.cursor.pos))
    }

    /// The characters of a tag; `head` was taken for a handle and belongs to it, without its `!`.
    fn scan_uri(&mut self, head: &[u8]) -> Result<Vec<u8>> {
        let mut uri = head.get(1..).unwrap_or_default().to_vec();
        let mut found = !head.is_empty();
        loop {
            let byte = self.cursor.at(0);
            if byte == b'%' {
                self.scan_octets(&mut uri)?;
            } else if is_word(byte) || (byte != 0 && b";/?:@&=+$,.!~*'()[]".contains(&byte)) {
                uri.push(byte);
                self.cursor.skip();
            } else {
                break;
            }
            found = true;
        }
        if !found {
            return self.fault("did not find expected tag URI");
        }
        Ok(uri)
    }

    /// One character written as `%XX` octets.
    fn scan_octets(&mut self, uri: &mut Vec<u8>) -> Result<()> {
        let mut missing = None;
        while missing != Some(0) {
            let digit = |ahead| char::from(self.cursor.at(ahead)).to_digit(16);
            let (b'%', Some(high), Some(low)) = (self.cursor.at(0), digit(1), digit(2)) else {
                return self.fault("did not find URI escaped octet");
            };
            let octet = u8::try_from(high << 4 | low).unwrap_or_default();
            missing = Some(match (missing, octet) {
                (None, 0..=0x7f) => 0,
                (None, 0xc0..=0xdf) => 1,
                (None, 0xe0..=0xef) => 2,
                (None, 0xf0..=0xf7) => 3,
                (Some(count), 0x80..=0xbf) => count - 1,
                (None, _) => return self.fault("found an incorrect leading UTF-8 octet"),
                (Some(_), _) => return self.fault("found an incorrect trailing UTF-8 octet"),
            });
            uri.push(octet);
            self.cursor.skip_many(3);
        }
        Ok(())
    }
}

//! Reads JSON by the grammar that Go's scanner follows.

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    room::{Room, heap},
    stack,
};

use super::{Value, plain_prefix};

/// Reads exactly one value; anything but blanks behind it is an error.
pub fn parse(text: &[u8]) -> Result<Value> {
    let mut parser = Parser { text, at: 0, room: Room::beside(text.len()) };
    let value = parser.value(0)?;
    parser.skip_blanks();
    if parser.at < text.len() {
        return Err(parser.failure("something follows the end of the value"));
    }
    Ok(value)
}

/// Reads the first value and says how many bytes it took; what follows is not looked at.
pub fn parse_prefix(text: &[u8]) -> Result<(Value, usize)> {
    let mut parser = Parser { text, at: 0, room: Room::beside(text.len()) };
    let value = parser.value(0)?;
    Ok((value, parser.at))
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    room: Room,
}

/// What the next item of a list takes. Lists double when they are full: there is a place free for each item, and places
/// of the same number are left behind, in pieces too small to be used again.
fn next_in<T>(list: &[T]) -> usize {
    let first = if list.is_empty() { heap(size_of::<T>() * 4) } else { 0 };
    first + 4 * size_of::<T>()
}

impl<'a> Parser<'a> {
    fn failure(&self, what: &str) -> Failure {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let (mut line, mut column) = (1_usize, 1_usize);
        for byte in before {
            if *byte == b'\n' {
                line = line.saturating_add(1);
                column = 1;
            } else {
                column = column.saturating_add(1);
            }
        }
        let end = if self.at >= self.text.len() { " (end of the text)" } else { "" };
        Failure::new(format!("not JSON: line {line}, column {column}{end}: {what}"))
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn advance(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.advance(1);
        }
    }

    /// Takes `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.advance(1);
        }
        there
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        self.skip_blanks();
        match self.peek() {
            Some(b'"') => {
                let text = self.string()?.into_bytes();
                self.room.take(heap(text.capacity()))?;
                Ok(Value::String(text.into()))
            }
            Some(b'{' | b'[') if depth >= stack::max_depth() => {
                Err(self.failure("objects and arrays are nested too deep"))
            }
            Some(b'{') => self.object(depth.saturating_add(1)),
            Some(b'[') => self.array(depth.saturating_add(1)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            _ if self.rest().starts_with(b"\xef\xbb\xbf") => {
                Err(self.failure("a byte order mark is not allowed"))
            }
            _ => Err(self.failure("expected a value")),
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value> {
        if !self.rest().starts_with(word) {
            return Err(self.failure("expected a value"));
        }
        self.advance(word.len());
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Value> {
        self.advance(1);
        let mut members = Vec::new();
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.failure("expected a member name in double quotes"));
            }
            let key = self.string()?;
            self.skip_blanks();
            if !self.take(b':') {
                return Err(self.failure("expected a colon after the member name"));
            }
            self.room.take(next_in(&members) + heap(key.len()))?;
            members.push((key, self.value(depth)?));
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.failure("expected a comma or the end of the object"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value> {
        self.advance(1);
        let mut elements = Vec::new();
        self.skip_blanks();
        if self.take(b']') {
            return Ok(Value::Array(elements));
        }
        loop {
            self.room.take(next_in(&elements))?;
            elements.push(self.value(depth)?);
            self.skip_blanks();
            if self.take(b']') {
                return Ok(Value::Array(elements));
            }
            if !self.take(b',') {
                return Err(self.failure("expected a comma or the end of the array"));
            }
        }
    }

    fn digits(&mut self) -> Result<()> {
        let count = self.rest().iter().take_while(|b| b.is_ascii_digit()).count();
        self.advance(count);
        if count == 0 { Err(self.failure("expected a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Value> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        self.room.take(heap(raw.len()))?;
        Ok(Value::Number(String::from_utf8_lossy(raw).into_owned()))
    }

    /// The string that begins here, as UTF-8. Without escapes it is copied once.
    fn string(&mut self) -> Result<String> {
        self.advance(1);
        let special = |b: u8| b < 0x20 || b == b'"' || b == b'\\';
        // All that was read so far, once there was an escape. Wiped where it has to grow.
        let mut text: Option<Plaintext> = None;
        loop {
            let run = plain_prefix(self.rest(), special);
            let raw = self.rest().get(..run).unwrap_or_default();
            self.advance(run);
            match self.peek() {
                Some(b'"') => {
                    self.advance(1);
                    return Ok(match text {
                        None => utf8(raw),
                        Some(mut text) => {
                            push_utf8(&mut text, raw);
                            into_string(text)
                        }
                    });
                }
                Some(b'\\') => {
                    let text = text.get_or_insert_default();
                    push_utf8(text, raw);
                    let character = self.escape()?;
                    text.push(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(_) => return Err(self.failure("a control character stands in a string")),
                None => return Err(self.failure("a string has no end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        self.advance(1);
        let character = match self.peek() {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(c @ (b'\\' | b'/' | b'"')) => char::from(c),
            Some(b'u') => {
                let Some(unit) = hex_unit(self.rest()) else {
                    return Err(self.failure("expected four hexadecimal digits after \\u"));
                };
                self.advance(5);
                return Ok(self.character(unit));
            }
            _ => return Err(self.failure("unknown escape in a string")),
        };
        self.advance(1);
        Ok(character)
    }

    /// The character of a UTF-16 unit. A high surrogate takes the escape behind it if that is its low half.
    fn character(&mut self, unit: u16) -> char {
        let low = self.rest().strip_prefix(b"\\").and_then(hex_unit);
        let pair =
            low.and_then(|low| char::decode_utf16([unit, low]).next()).and_then(std::result::Result::ok);
        match pair {
            Some(character) if character > '\u{ffff}' => {
                self.advance(6);
                character
            }
            _ => char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// The four hexadecimal digits behind the `u` that `text` begins with.
fn hex_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16).and_then(|digit| u16::try_from(digit).ok())?;
        Some(unit << 4 | digit)
    })
}

/// A copy in which every byte that is not part of UTF-8 has become U+FFFD.
fn utf8(raw: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(raw) {
        return text.to_owned();
    }
    let mut text = Plaintext::default();
    push_utf8(&mut text, raw);
    into_string(text)
}

/// The text without a copy; it is UTF-8.
fn into_string(mut text: Plaintext) -> String {
    String::from_utf8(std::mem::take(text.bytes_mut())).unwrap_or_default()
}

fn push_utf8(text: &mut Plaintext, raw: &[u8]) {
    for chunk in raw.utf8_chunks() {
        text.push(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            text.push("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Value {
        Value::String(text.into())
    }

    #[test]
    fn strings_are_read_as_go_reads_them() {
        let cases: [(&[u8], &str); 12] = [
            (br#""""#, ""),
            (br#""a\u00e9\n\/\"\\\b\f\r\t""#, "a\u{e9}\n/\"\\\u{8}\u{c}\r\t"),
            (br#""\ud83d\uDE00""#, "\u{1f600}"),
            (br#""\ud83d""#, "\u{fffd}"),
            (br#""\ud83dx""#, "\u{fffd}x"),
            (br#""\ud83d\u0041""#, "\u{fffd}A"),
            (br#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (br#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (b"\"\xff\xe2\x82x\"", "\u{fffd}\u{fffd}\u{fffd}x"),
            (b"\"\\n\xff\"", "\n\u{fffd}"),
            (b"\"\xed\xa0\x80\"", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"\"\x7f\xc2\x80\"", "\x7f\u{80}"),
        ];
        for (raw, expected) in cases {
            assert_eq!(parse(raw).unwrap(), string(expected), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn order_duplicates_and_numbers_are_kept() {
        let value = parse(b" {\"b\": 1e2, \"a\": [null, true, -0.50], \"b\": {}}\r\n\t").unwrap();
        let number = |raw: &str| Value::Number(raw.to_owned());
        let list = Value::Array(vec![Value::Null, Value::Bool(true), number("-0.50")]);
        let members = [("b", number("1e2")), ("a", list), ("b", Value::Object(vec![]))];
        assert_eq!(value, Value::Object(members.map(|(key, value)| (key.to_owned(), value)).into()));
    }

    #[test]
    fn what_go_refuses_is_refused_by_place() {
        for (text, told) in [
            ("", "line 1, column 1 (end of the text): expected a value"),
            ("{}\n {}", "line 2, column 2: something follows the end of the value"),
            ("\u{feff}{}", "line 1, column 1: a byte order mark is not allowed"),
            ("{\"a\":1,}", "line 1, column 8: expected a member name in double quotes"),
            ("[1,]", "line 1, column 4: expected a value"),
            ("[1 2]", "line 1, column 4: expected a comma or the end of the array"),
            ("{\"a\" 1}", "line 1, column 6: expected a colon after the member name"),
            ("{\"a\":1 \"b\":1}", "line 1, column 8: expected a comma or the end of the object"),
            ("01", "line 1, column 2: something follows the end of the value"),
            ("[-]", "line 1, column 3: expected a digit"),
            ("1.", "line 1, column 3 (end of the text): expected a digit"),
            ("1e+", "line 1, column 4 (end of the text): expected a digit"),
            ("[.5]", "line 1, column 2: expected a value"),
            ("nul", "line 1, column 1: expected a value"),
            ("\"a\n\"", "line 1, column 3: a control character stands in a string"),
            ("\"a", "line 1, column 3 (end of the text): a string has no end"),
            ("\"\\x\"", "line 1, column 3: unknown escape in a string"),
            ("\"\\u12g4\"", "line 1, column 3: expected four hexadecimal digits after \\u"),
            ("\"\\u+123\"", "line 1, column 3: expected four hexadecimal digits after \\u"),
        ] {
            let failure = parse(text.as_bytes()).unwrap_err();
            assert_eq!(failure.headline, format!("not JSON: {told}"), "{text}");
        }
    }

    #[test]
    fn the_depth_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(stack::max_depth()).as_bytes()).is_ok());
        assert!(parse(nested(stack::max_depth() + 1).as_bytes()).is_err());
        assert!(parse("[".repeat(10_000_000).as_bytes()).is_err());
    }

    #[test]
    fn a_prefix_ends_where_the_value_ends() {
        for (text, end) in [("{} x", 2), (" 12,", 3), ("\"a\"\"b\"", 3), ("1 2", 1)] {
            assert_eq!(parse_prefix(text.as_bytes()).unwrap().1, end, "{text}");
        }
    }
}

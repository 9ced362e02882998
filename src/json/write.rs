//! Writes JSON with the escapes of Go's encoder (HTML escaping on).

use crate::{
    failure::Result,
    plaintext::Plaintext,
    room::{Room, Sheet},
};

use super::{Value, plain_prefix};

/// Writes one value, piece by piece. The caller opens and closes containers in order and names each member of an
/// object with [`Writer::key`]; commas, indentation and escapes are done here.
#[derive(Debug, Default)]
pub struct Writer {
    out: Sheet,
    tabs: bool,
    depth: usize,
    /// The open container has an element already.
    filled: bool,
    /// A key was written and waits for its value.
    keyed: bool,
}

impl Writer {
    /// Without any blanks, as `json.Marshal`.
    #[must_use]
    pub fn compact() -> Self {
        Self::default()
    }

    /// One member a line, one tab a level; empty containers stay on their line.
    #[must_use]
    pub fn tabbed() -> Self {
        Self { tabs: true, ..Self::default() }
    }

    /// The same in the room that is left.
    #[must_use]
    pub fn in_room(self, room: Room) -> Self {
        Self { out: Sheet::in_room(room), ..self }
    }

    /// Fails if the room did not suffice.
    pub fn check(&self) -> Result<()> {
        self.out.check()
    }

    /// What was written, as far as there was room.
    #[must_use]
    pub fn finish(self) -> Plaintext {
        self.out.into_text()
    }

    fn new_line(&mut self) {
        if self.tabs {
            self.out.push(b"\n");
            for _ in 0..self.depth {
                self.out.push(b"\t");
            }
        }
    }

    fn begin_element(&mut self) {
        if std::mem::take(&mut self.keyed) || self.depth == 0 {
            return;
        }
        if std::mem::replace(&mut self.filled, true) {
            self.out.push(b",");
        }
        self.new_line();
    }

    fn open(&mut self, bracket: &[u8]) {
        self.begin_element();
        self.out.push(bracket);
        self.depth = self.depth.saturating_add(1);
        self.filled = false;
    }

    fn close(&mut self, bracket: &[u8]) {
        self.depth = self.depth.saturating_sub(1);
        if std::mem::replace(&mut self.filled, true) {
            self.new_line();
        }
        self.out.push(bracket);
    }

    /// Opens an object.
    pub fn begin_object(&mut self) {
        self.open(b"{");
    }

    /// Closes the object that was opened last.
    pub fn end_object(&mut self) {
        self.close(b"}");
    }

    /// Opens an array.
    pub fn begin_array(&mut self) {
        self.open(b"[");
    }

    /// Closes the array that was opened last.
    pub fn end_array(&mut self) {
        self.close(b"]");
    }

    /// Names the member whose value comes next.
    pub fn key(&mut self, name: &[u8]) {
        self.string(name);
        self.out.push(if self.tabs { b": " } else { b":" });
        self.keyed = true;
    }

    /// A string; bytes that are not UTF-8 come out as `\ufffd`.
    pub fn string(&mut self, text: &[u8]) {
        self.begin_element();
        self.out.push(b"\"");
        escape(&mut self.out, text);
        self.out.push(b"\"");
    }

    /// A value that is JSON already: a number, `true`, `false` or `null`.
    pub fn literal(&mut self, text: &str) {
        self.begin_element();
        self.out.push(text.as_bytes());
    }

    /// `true` or `false`.
    pub fn flag(&mut self, flag: bool) {
        self.literal(if flag { "true" } else { "false" });
    }

    /// A whole value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.literal("null"),
            Value::Bool(flag) => self.flag(*flag),
            Value::Number(raw) => self.literal(raw),
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                self.begin_array();
                for item in items {
                    self.value(item);
                }
                self.end_array();
            }
            Value::Object(members) => {
                self.begin_object();
                for (key, value) in members {
                    self.key(key.as_bytes());
                    self.value(value);
                }
                self.end_object();
            }
        }
    }
}

fn escape(out: &mut Sheet, text: &[u8]) {
    let special = |b: u8| !(0x20..0x80).contains(&b) || matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&');
    let mut rest = text;
    loop {
        let (plain, tail) = rest.split_at(plain_prefix(rest, special));
        out.push(plain);
        rest = tail;
        let Some(byte) = rest.first().copied() else { return };
        let used = match byte {
            b'"' => push(out, b"\\\"", 1),
            b'\\' => push(out, b"\\\\", 1),
            b'\n' => push(out, b"\\n", 1),
            b'\r' => push(out, b"\\r", 1),
            b'\t' => push(out, b"\\t", 1),
            0x08 => push(out, b"\\b", 1),
            0x0c => push(out, b"\\f", 1),
            0..=0x7f => push(out, &[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)], 1),
            _ => match first_character(rest) {
                None => push(out, b"\\ufffd", 1),
                Some("\u{2028}") => push(out, b"\\u2028", 3),
                Some("\u{2029}") => push(out, b"\\u2029", 3),
                Some(character) => push(out, character.as_bytes(), character.len()),
            },
        };
        rest = rest.get(used..).unwrap_or_default();
    }
}

/// Writes `bytes` for `used` bytes of the text.
fn push(out: &mut Sheet, bytes: &[u8], used: usize) -> usize {
    out.push(bytes);
    used
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0'.saturating_add(nibble) } else { b'a'.saturating_add(nibble.saturating_sub(10)) }
}

/// The character at the front, if the bytes there are UTF-8.
fn first_character(bytes: &[u8]) -> Option<&str> {
    let front = bytes.get(..4).unwrap_or(bytes);
    let valid = front.utf8_chunks().next()?.valid();
    valid.get(..valid.chars().next()?.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn compact(text: &[u8]) -> String {
        let mut writer = Writer::compact();
        writer.string(text);
        String::from_utf8(writer.finish().to_vec()).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let cases: [(&[u8], &str); 7] = [
            (b"a<b>&\"\\/", r#""a\u003cb\u003e\u0026\"\\/""#),
            (
                b"\x00\x07\x08\x09\x0a\x0b\x0c\x0d\x1b\x1f\x7f",
                "\"\\u0000\\u0007\\b\\t\\n\\u000b\\f\\r\\u001b\\u001f\x7f\"",
            ),
            (
                "\u{e9}\u{2028}\u{2029}\u{202a}\u{1f600}".as_bytes(),
                "\"\u{e9}\\u2028\\u2029\u{202a}\u{1f600}\"",
            ),
            (b"\xff\xe2\x82x", "\"\\ufffd\\ufffd\\ufffdx\""),
            (b"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""),
            (b"\xf0\x9f\x98", "\"\\ufffd\\ufffd\\ufffd\""),
            (b"\xef\xbf\xbd", "\"\u{fffd}\""),
        ];
        for (text, expected) in cases {
            assert_eq!(compact(text), expected);
        }
    }

    #[test]
    fn both_layouts() {
        let value = parse(br#"{"a": [], "b": {}, "c": [1, [null], {"d": false}]}"#).unwrap();
        for (mut writer, expected) in [
            (Writer::compact(), r#"{"a":[],"b":{},"c":[1,[null],{"d":false}]}"#),
            (
                Writer::tabbed(),
                "{\n\t\"a\": [],\n\t\"b\": {},\n\t\"c\": [\n\t\t1,\n\t\t[\n\t\t\tnull\n\t\t],\n\t\t{\n\t\t\t\"d\": false\n\t\t}\n\t]\n}",
            ),
        ] {
            writer.value(&value);
            assert_eq!(String::from_utf8(writer.finish().to_vec()).unwrap(), expected);
        }
    }
}

//! sops files of sections and `key = value` lines, as gopkg.in/ini.v1 v1.67.1 reads and writes them for sops
//! 3.12.2.
//!
//! In the tree a section is a map below its name. Its comment is its first entry; the comment of a key stands
//! behind that key, unlike in the file.

mod read;
mod write;

use std::collections::BTreeMap;

use crate::{
    failure::{Failure, Result},
    json::Writer,
    plaintext::Plaintext,
    room::Room,
    sops::value::{Branch, Entry, Value},
};

use super::{Format, Parsed, flat, json::write_scalar, printed::text_of, remove_metadata};

/// The section that keys before the first header belong to. It is always there, and always first in a file
/// that was read.
const DEFAULT: &[u8] = b"DEFAULT";

/// A section in file order.
#[derive(Default)]
struct Section {
    name: Vec<u8>,
    comment: Plaintext,
    keys: Vec<Key>,
    /// Where in `keys` a name stands.
    places: BTreeMap<Vec<u8>, usize>,
}

#[derive(Default)]
struct Key {
    name: Vec<u8>,
    value: Plaintext,
    comment: Plaintext,
}

impl Section {
    fn new(name: &[u8]) -> Self {
        Self { name: name.to_vec(), ..Self::default() }
    }

    /// Sets a key: a known one keeps its place and comment.
    fn set(&mut self, name: &[u8], value: Plaintext) -> Result<&mut Key> {
        if name.is_empty() {
            return Err(Failure::new("an INI key has no name"));
        }
        let next = self.keys.len();
        let place = *self.places.entry(name.to_vec()).or_insert(next);
        if place == next {
            self.keys.push(Key { name: name.to_vec(), ..Key::default() });
        }
        let key = self.keys.get_mut(place).ok_or_else(|| Failure::new("an INI key is lost"))?;
        key.value = value;
        Ok(key)
    }
}

/// Reads an encrypted file: one document, in which ciphertext still stands, and the metadata.
pub fn parse(text: &[u8], room: &mut Room) -> Result<Parsed> {
    let sections = read::sections(text, room)?;
    // Of several, the first.
    let metadata = sections.iter().find(|section| section.name == b"sops").ok_or_else(Parsed::no_metadata)?;
    room.take(metadata.keys.len().saturating_mul(flat::FIELD_COST))?;
    let pairs = metadata.keys.iter().map(|key| (key.name.clone(), super::with_newlines(&key.value)));
    let metadata = flat::metadata(pairs)?;
    let mut document = sections.into_iter().map(entry_of).collect();
    remove_metadata(&mut document)?;
    Ok(Parsed { documents: vec![document], metadata })
}

fn entry_of(section: Section) -> Entry {
    let mut branch = Branch::new();
    let comment =
        |comment: Plaintext| (!comment.is_empty()).then(|| Entry::Comment(without_mark(&comment).into()));
    branch.extend(comment(section.comment));
    for key in section.keys {
        branch.push(Entry::Pair(key.name, Value::Str(key.value)));
        branch.extend(comment(key.comment));
    }
    Entry::Pair(section.name, Value::Map(branch))
}

/// A comment without the marks and blanks before its first line.
fn without_mark(comment: &[u8]) -> &[u8] {
    let mark = match comment.first() {
        Some(mark @ (b';' | b'#')) => *mark,
        _ => return comment,
    };
    let marks = comment.iter().take_while(|b| **b == mark || **b == b' ').count();
    comment.get(marks..).unwrap_or_default()
}

/// The documents as sops prints them: their top-level maps become sections. Anything else at the top level is
/// an error.
pub fn emit(documents: &[Branch], room: Room) -> Result<Plaintext> {
    let mut sections = Vec::new();
    for entry in documents.iter().flatten() {
        if let Entry::Pair(name, value) = entry {
            sections.push(section_of(name, value)?);
        }
    }
    write::sections(&sections, room)
}

fn section_of(name: &[u8], value: &Value) -> Result<Section> {
    if name.is_empty() {
        return Err(Failure::new("an INI section has no name"));
    }
    let Value::Map(branch) = value else {
        return Err(Failure::new(format!("INI cannot hold `{}`: it is not a map", name.escape_ascii())));
    };
    let mut section = Section::new(name);
    let mut entries = branch.iter().peekable();
    if let Some(Entry::Comment(comment)) = entries.next_if(|entry| matches!(entry, Entry::Comment(_))) {
        section.comment = comment.clone();
    }
    let mut last: Option<&mut Key> = None;
    for entry in entries {
        match (entry, last.as_mut()) {
            (Entry::Comment(comment), Some(key)) => key.comment = comment.clone(),
            (Entry::Comment(_), None) => {}
            (Entry::Pair(name, value), _) => last = Some(section.set(name, text_of(value))?),
        }
    }
    Ok(section)
}

/// One value as `--extract` prints it: as JSON without blanks. Go prints its own structures here, so a map
/// (only found inside of lists) is a list of `Key` and `Value`; an empty list is null, and so is an empty map
/// if the file was JSON.
pub fn emit_value(value: &Value, file: Format, room: Room) -> Result<Plaintext> {
    let mut writer = Writer::compact().in_room(room);
    write_value(&mut writer, value, matches!(file, Format::Json | Format::Binary))?;
    writer.check()?;
    Ok(writer.finish())
}

fn write_value(writer: &mut Writer, value: &Value, empty_map_is_null: bool) -> Result<()> {
    match value {
        Value::List(items) if items.is_empty() => writer.literal("null"),
        Value::Map(branch) if branch.is_empty() && empty_map_is_null => writer.literal("null"),
        Value::List(items) => {
            writer.begin_array();
            for item in items {
                write_value(writer, item, empty_map_is_null)?;
            }
            writer.end_array();
        }
        Value::Map(branch) => {
            writer.begin_array();
            for entry in branch {
                writer.begin_object();
                writer.key(b"Key");
                match entry {
                    Entry::Comment(comment) => {
                        write_scalar(writer, &Value::Comment(comment.clone()))?;
                        writer.key(b"Value");
                        writer.literal("null");
                    }
                    Entry::Pair(key, value) => {
                        writer.string(key);
                        writer.key(b"Value");
                        write_value(writer, value, empty_map_is_null)?;
                    }
                }
                writer.end_object();
            }
            writer.end_array();
        }
        scalar => write_scalar(writer, scalar)?,
    }
    Ok(())
}

/// The text without blanks at its ends, by Unicode, as Go's `TrimSpace`. Bytes that are not UTF-8 are no blanks.
fn trim(text: &[u8]) -> &[u8] {
    let mut rest = trim_start(text);
    while let [before @ .., b'\t'..=b'\r' | b' ']
    | [before @ .., 0xc2, 0x85 | 0xa0]
    | [before @ .., 0xe1, 0x9a, 0x80]
    | [before @ .., 0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf]
    | [before @ .., 0xe2, 0x81, 0x9f]
    | [before @ .., 0xe3, 0x80, 0x80] = rest
    {
        rest = before;
    }
    rest
}

/// The text without blanks at its front.
fn trim_start(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let [b'\t'..=b'\r' | b' ', behind @ ..]
    | [0xc2, 0x85 | 0xa0, behind @ ..]
    | [0xe1, 0x9a, 0x80, behind @ ..]
    | [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf, behind @ ..]
    | [0xe2, 0x81, 0x9f, behind @ ..]
    | [0xe3, 0x80, 0x80, behind @ ..] = rest
    {
        rest = behind;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::observed::{bytes, documents, rows};

    #[test]
    fn plain_files_are_read_and_written_as_by_sops() {
        let mut count = 0;
        for row in rows(include_str!("../../../../tests/data/ini.tsv")) {
            count += 1;
            let read = read::sections(&bytes(row[1]), &mut Room::beside(0));
            let document = read.map(|sections| sections.into_iter().map(entry_of).collect::<Branch>());
            match (document, &row[2..]) {
                (Err(_), ["err"]) => {}
                (Ok(document), [expected, text]) => {
                    assert_eq!(vec![document.clone()], documents(expected), "{row:?}");
                    let written = emit(&[document], Room::beside(0))
                        .map_or_else(|_| b"err".to_vec(), |text| [b"ok:", &*text].concat());
                    assert_eq!(written, bytes(text), "{row:?}");
                }
                (document, _) => panic!("{row:?}: {document:?}"),
            }
        }
        assert!(count > 120);
    }

    #[test]
    fn errors_name_the_line_and_not_its_text() {
        let told = |text: &str| read::sections(text.as_bytes(), &mut Room::beside(0)).err().unwrap().headline;
        for (text, expected) in [
            ("\n[hunter2", "line 2 of the INI file: the section's bracket is not closed"),
            ("[]", "line 1 of the INI file: the section has no name"),
            ("hunter2", "line 1 of the INI file: expected a key and an equals sign or a colon"),
            ("=hunter2", "line 1 of the INI file: the key has no name"),
            ("\"\"=hunter2", "line 1 of the INI file: the key has no name"),
            ("\"hunter2=x", "line 1 of the INI file: the key's quote is not closed"),
            ("a=1\nb=\"\"\"hunter2\nx\n", "line 2 of the INI file: the value's quote is not closed"),
        ] {
            assert_eq!(told(text), expected);
        }
    }

    #[test]
    fn trimming_is_by_unicode_and_leaves_broken_bytes() {
        let blanks = "\t\u{b} \u{85}\u{a0}\u{1680}\u{2000}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
        assert_eq!(trim(format!("{blanks}x{blanks}").as_bytes()), b"x");
        for kept in
            [b"\x85x\xa0".as_slice(), b"\xe2\x80x\xe2\x80", "\u{200b}".as_bytes(), "\u{feff}".as_bytes()]
        {
            assert_eq!(trim(kept), kept);
        }
    }
}

//! sops files of `KEY=value` lines, and documents written so.

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    room::{Room, Sheet},
    sops::value::{Branch, Entry, Value},
};

use super::{Parsed, flat, printed::text_of};

/// What key and value of a line take on the heap beside their length.
const LINE_COST: usize = 64;

/// The keys of metadata begin so.
const PREFIX: &[u8] = b"sops_";

/// Reads an encrypted file: one document, in which ciphertext still stands, and the metadata.
pub fn parse(text: &[u8], room: &mut Room) -> Result<Parsed> {
    let lines = || text.split(|b| *b == b'\n');
    let size = lines().filter(|line| !line.is_empty() && !line.starts_with(PREFIX)).count();
    room.take(size.saturating_mul(size_of::<Entry>()))?;
    let mut document = Branch::with_capacity(size);
    let mut metadata = Vec::new();
    for (number, line) in lines().enumerate() {
        if line.is_empty() {
            continue;
        }
        room.take(LINE_COST + line.len())?;
        if let Some(comment) = line.strip_prefix(b"#") {
            document.push(Entry::Comment(comment.into()));
            continue;
        }
        let Some(equals) = line.iter().position(|b| *b == b'=') else {
            let number = number.saturating_add(1);
            return Err(Failure::new(format!("line {number} of the dotenv file has no equals sign")));
        };
        let (key, value) = line.split_at(equals);
        let value = super::with_newlines(value.get(1..).unwrap_or_default());
        match key.strip_prefix(PREFIX) {
            Some(name) => {
                room.take(flat::FIELD_COST)?;
                metadata.push((name.to_vec(), value));
            }
            None => document.push(Entry::Pair(key.to_vec(), Value::Str(value))),
        }
    }
    if metadata.is_empty() {
        return Err(Parsed::no_metadata());
    }
    Ok(Parsed { documents: vec![document], metadata: flat::metadata(metadata)? })
}

/// The first document as sops prints it: a line an entry, newlines in strings as `\n`. Lists and maps are an
/// error.
pub fn emit(documents: &[Branch], room: Room) -> Result<Plaintext> {
    let document = documents.first().ok_or_else(|| Failure::new("there is no document to write"))?;
    let mut out = Sheet::in_room(room);
    for entry in document {
        match entry {
            Entry::Comment(text) => {
                out.push(b"#");
                out.push(text);
            }
            Entry::Pair(key, Value::Map(_) | Value::List(_)) => {
                return Err(Failure::new(format!(
                    "dotenv cannot hold the list or map `{}`",
                    key.escape_ascii()
                )));
            }
            Entry::Pair(key, value) => {
                out.push(key);
                out.push(b"=");
                match value {
                    Value::Str(text) => push_escaped(&mut out, text),
                    other => out.push(&text_of(other)),
                }
            }
        }
        out.push(b"\n");
    }
    out.finish()
}

fn push_escaped(out: &mut Sheet, text: &[u8]) {
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        if at > 0 {
            out.push(b"\\n");
        }
        out.push(line);
    }
}

/// One value as `--extract` prints it: only strings can be.
pub fn emit_value(value: &Value) -> Result<Plaintext> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        _ => Err(Failure::new("the dotenv format can only print strings")),
    }
}

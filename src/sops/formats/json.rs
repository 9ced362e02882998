//! sops files in JSON, and documents written as JSON.

use crate::{
    failure::{Failure, Result},
    json::{self, Value as Json, Writer},
    plaintext::Plaintext,
    room::{Room, heap},
    sops::{
        number::{format_json, parse_float, parse_int},
        value::{Branch, Entry, Value},
    },
};

use super::{Parsed, fields::Decoder, remove_metadata};

/// How the whole numbers of a JSON file are typed. The MAC covers the numbers as typed, so a file with an
/// unencrypted whole number beyond 2^53 verifies only under the rule of the version that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeNumbers {
    /// As floats, up to sops 3.13.1.
    AsFloats,
    /// As integers where 64 bits hold them, from 3.13.2 on.
    AsIntegers,
}

/// Reads an encrypted file: one document, in which ciphertext still stands, and the metadata.
pub fn parse(text: &[u8], whole_numbers: WholeNumbers, room: &mut Room) -> Result<Parsed> {
    let Json::Object(members) = json::parse(text)? else {
        return Err(Failure::new("the JSON file does not hold an object"));
    };
    let metadata = metadata(&members, room)?;
    let mut document = branch_of(members, whole_numbers, room)?;
    remove_metadata(&mut document)?;
    Ok(Parsed { documents: vec![document], metadata })
}

/// The metadata as sops 3.12.2 finds it: in a member called `sops` in any case. Where that cannot be decoded since
/// a secret is called `Sops`, only the member with the exact name counts, though 3.12.2 gives up.
fn metadata(members: &[(String, Json)], room: &mut Room) -> Result<Branch> {
    for (_, value) in members.iter().filter(|(key, _)| json::names_match(key, "sops")) {
        room.take(records(value).saturating_mul(RECORD_COST))?;
    }
    let decode = |matches: fn(&str) -> bool| {
        let mut decoder = Decoder::default();
        let mut matching = members.iter().filter(|(key, _)| matches(key));
        matching.try_for_each(|(_, value)| decoder.decode(value)).map(|()| decoder.finish())
    };
    let in_any_case = decode(|key| json::names_match(key, "sops"));
    let found = match decode(|key| key == "sops") {
        Ok(Some(exact)) => in_any_case.unwrap_or(Some(exact)),
        _ => in_any_case?,
    };
    found.ok_or_else(Parsed::no_metadata)
}

/// How many list elements there are in the metadata at most: each becomes a record.
fn records(value: &Json) -> usize {
    match value {
        Json::Array(items) => items.iter().map(|item| 1 + records(item)).sum(),
        Json::Object(members) => members.iter().map(|(_, value)| records(value)).sum(),
        _ => 0,
    }
}

/// What a record takes beside its texts until it is a key entry: it is decoded twice.
const RECORD_COST: usize = 1024;

fn branch_of(members: Vec<(String, Json)>, whole_numbers: WholeNumbers, room: &mut Room) -> Result<Branch> {
    let entry = |(key, value): (String, Json)| {
        room.take(size_of::<Entry>() + heap(key.len()))?;
        match value_of(value, whole_numbers, room) {
            Ok(value) => Ok(Entry::Pair(key.into_bytes(), value)),
            Err(failure) => Err(failure.fact("in", key.escape_debug())),
        }
    };
    members.into_iter().map(entry).collect()
}

fn value_of(value: Json, whole_numbers: WholeNumbers, room: &mut Room) -> Result<Value> {
    Ok(match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(flag),
        Json::Number(raw) => match parse_int(raw.as_bytes()) {
            Ok(number) if whole_numbers == WholeNumbers::AsIntegers => Value::Int(number),
            _ => Value::Float(
                parse_float(raw.as_bytes()).map_err(|_| Failure::new("a JSON number is too large"))?,
            ),
        },
        Json::String(text) => {
            room.take(heap(text.len()))?;
            Value::Str(text)
        }
        Json::Array(items) => {
            room.take(items.len() * size_of::<Value>())?;
            let items = items.into_iter().map(|item| value_of(item, whole_numbers, room));
            Value::List(items.collect::<Result<_>>()?)
        }
        Json::Object(members) => Value::Map(branch_of(members, whole_numbers, room)?),
    })
}

/// The first document as sops prints it: tabs, duplicates kept, comments dropped, a newline at the end.
pub fn emit(documents: &[Branch], room: Room) -> Result<Plaintext> {
    let document = documents.first().ok_or_else(|| Failure::new("there is no document to write"))?;
    let mut writer = Writer::tabbed().in_room(room);
    write_branch(&mut writer, document)?;
    writer.check()?;
    let mut out = writer.finish();
    out.push(b"\n");
    Ok(out)
}

/// One value as `--extract` prints it: as in a document, without a newline at the end. (Strings and mappings
/// do not come here in sops: it prints the one raw and the other as a document.)
pub fn emit_value(value: &Value, room: Room) -> Result<Plaintext> {
    emit_by(Writer::tabbed().in_room(room), value)
}

/// The same without blanks.
pub fn emit_compact(value: &Value, room: Room) -> Result<Plaintext> {
    emit_by(Writer::compact().in_room(room), value)
}

fn emit_by(mut writer: Writer, value: &Value) -> Result<Plaintext> {
    write_value(&mut writer, value)?;
    writer.check()?;
    Ok(writer.finish())
}

fn write_branch(writer: &mut Writer, branch: &Branch) -> Result<()> {
    writer.begin_object();
    for entry in branch {
        if let Entry::Pair(key, value) = entry {
            writer.key(key);
            write_value(writer, value).map_err(|failure| failure.fact("in", key.escape_ascii()))?;
        }
    }
    writer.end_object();
    Ok(())
}

fn write_value(writer: &mut Writer, value: &Value) -> Result<()> {
    writer.check()?;
    match value {
        Value::Map(branch) => return write_branch(writer, branch),
        Value::List(items) => {
            writer.begin_array();
            for item in items.iter().filter(|item| !matches!(item, Value::Comment(_))) {
                write_value(writer, item)?;
            }
            writer.end_array();
        }
        scalar => write_scalar(writer, scalar)?,
    }
    Ok(())
}

/// A value that is neither map nor list as `json.Marshal` writes it. A comment is a struct with one field to it.
pub(super) fn write_scalar(writer: &mut Writer, value: &Value) -> Result<()> {
    match value {
        Value::Null | Value::Map(_) | Value::List(_) => writer.literal("null"),
        Value::Bool(flag) => writer.flag(*flag),
        Value::Int(number) => writer.literal(&zeroize::Zeroizing::new(number.to_string())),
        Value::Float(number) => {
            writer.literal(
                &format_json(*number).ok_or_else(|| Failure::new("JSON has no infinity and no NaN"))?,
            );
        }
        Value::Time(time) => {
            let text = time.marshal().ok_or_else(|| Failure::new("the offset of a time exceeds 23 hours"))?;
            writer.string(text.as_bytes());
        }
        Value::Str(text) => writer.string(text),
        Value::Comment(text) => {
            writer.begin_object();
            writer.key(b"Value");
            writer.string(text);
            writer.end_object();
        }
    }
    Ok(())
}

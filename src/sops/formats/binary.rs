//! sops files of any bytes: a JSON object whose member `data` is the encrypted content.

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    room::Room,
    sops::value::{Branch, Entry, Value},
};

use super::{Parsed, json};

/// Reads an encrypted file. The text is given up as soon as it is read: the content stands in it once more.
pub fn parse(text: Vec<u8>, room: &mut Room) -> Result<Parsed> {
    let parsed = json::parse(&text, json::WholeNumbers::AsFloats, room);
    drop(text);
    parsed
}

/// The bytes of `data`, nothing added. Takes the documents so that the bytes need not be copied.
pub fn emit(documents: Vec<Branch>) -> Result<Plaintext> {
    let mut documents = documents.into_iter();
    let (Some(document), None) = (documents.next(), documents.next()) else {
        return Err(Failure::new("a binary file is made of exactly one document"));
    };
    let data = document.into_iter().find_map(|entry| match entry {
        Entry::Pair(key, value) if key == b"data" => Some(value),
        _ => None,
    });
    match data {
        Some(Value::Str(bytes)) => Ok(bytes),
        Some(_) => Err(Failure::new("the member `data` of the binary file is not a string")),
        None => Err(Failure::new("the binary file has no member `data`")),
    }
}

/// One value as `--extract` prints it: none can be.
pub fn emit_value(_: &Value) -> Result<Plaintext> {
    Err(Failure::new("a binary file has no structure to extract a value from"))
}

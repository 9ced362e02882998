//! The sops file format, bytes in and out, without I/O.
//!
//! The formats read an encrypted file, [`SopsFile::new`] takes in what it says about itself, [`SopsFile::decrypt`]
//! opens it with its data key and checks its MAC, and the formats write the plaintext as sops 3.12.2 would. What each
//! step has to do was observed with the real sops.

pub mod cipher;
#[cfg(feature = "key-tools")]
pub mod creation_rules;
pub mod decrypt;
pub mod extract;
pub mod formats;
pub mod go_regex;
pub mod mac;
pub mod lookup;
pub mod metadata;
pub mod number;
#[cfg(test)]
pub(crate) mod observed;
pub mod recipient;

pub mod rules;
pub mod scalar;
pub mod shamir;
pub mod time;
pub mod value;

use zeroize::Zeroizing;

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    room::Room,
};

use self::{
    cipher::Cipher,
    extract::Extracted,
    formats::{Format, Parsed, json::WholeNumbers},
    metadata::Metadata,
    value::{Branch, Value},
};

/// An encrypted file.
#[derive(Debug)]
pub struct SopsFile {
    /// How it is written.
    pub format: Format,
    /// Its documents, without the metadata. Only YAML has more than one.
    pub documents: Vec<Branch>,
    /// What it says about itself.
    pub metadata: Metadata,
    /// The text of a JSON file, whose numbers can be read in two ways.
    text: Option<Plaintext>,
    /// What is left for writing.
    room: Room,
}

/// A decrypted file whose MAC was right.
#[derive(Debug)]
pub struct Document {
    /// How it was written.
    pub format: Format,
    /// Its documents in the clear.
    pub branches: Vec<Branch>,
    /// What is left for writing.
    room: Room,
}

/// The symmetric key of a file, of 16, 24 or 32 bytes. Wiped when dropped.
pub struct DataKey(Zeroizing<Vec<u8>>);

impl DataKey {
    /// Takes what a key entry held.
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl SopsFile {
    /// Reads an encrypted file of that format; nothing is decrypted yet.
    pub fn parse(format: Format, mut bytes: Plaintext) -> Result<Self> {
        let mut text = None;
        let size = bytes.len();
        let mut room = Room::beside(size);
        let Parsed { documents, metadata } = match format {
            Format::Yaml => formats::yaml::parse(&bytes, &mut room)?,
            Format::Json => {
                let parsed = formats::json::parse(&bytes, WholeNumbers::AsFloats, &mut room)?;
                text = Some(bytes);
                parsed
            }
            Format::Dotenv => formats::dotenv::parse(&bytes, &mut room)?,
            Format::Ini => formats::ini::parse(&bytes, &mut room)?,
            Format::Binary => formats::binary::parse(std::mem::take(bytes.bytes_mut()), &mut room)?,
        };
        let metadata = Metadata::new(&metadata)?;
        // By the time that anything is written, the text is gone.
        room.give_back(size);
        Ok(Self { format, documents, metadata, text, room })
    }

    /// Decrypts the values and checks the MAC.
    ///
    /// The MAC takes in plain numbers as they were typed, and versions of sops type the whole numbers of JSON
    /// differently: where one reading does not match, the other may.
    pub fn decrypt(mut self, key: &DataKey) -> Result<Document> {
        let cipher =
            Cipher::new(key.bytes()).map_err(|fault| Failure::new(format!("cannot decrypt: {fault}")))?;
        let mac = decrypt::decrypt(&mut self.documents, &self.metadata, &cipher)?;
        if let Err(failure) = mac.verify(&cipher, &self.metadata) {
            let text = self.text.as_ref().ok_or_else(|| failure.clone())?;
            self.documents.clear();
            let mut room = Room::beside(text.len());
            let mut documents = formats::json::parse(text, WholeNumbers::AsIntegers, &mut room)?.documents;
            let mac = decrypt::decrypt(&mut documents, &self.metadata, &cipher)?;
            mac.verify(&cipher, &self.metadata).map_err(|_| failure)?;
            self.documents = documents;
        }
        Ok(Document { format: self.format, branches: self.documents, room: self.room })
    }
}

impl Document {
    /// The whole document as a file of that format. Takes it, so that large contents need not be copied.
    pub fn emit(self, format: Format) -> Result<Plaintext> {
        match format {
            Format::Yaml => formats::yaml::emit(&self.branches, self.room),
            Format::Json => formats::json::emit(&self.branches, self.room),
            Format::Dotenv => formats::dotenv::emit(&self.branches, self.room),
            Format::Ini => formats::ini::emit(&self.branches, self.room),
            Format::Binary => formats::binary::emit(self.branches),
        }
    }

    /// One value of it as a file of that format has it.
    pub fn emit_value(&self, value: &Value, format: Format) -> Result<Plaintext> {
        match format {
            Format::Yaml => formats::yaml::emit_value(value, self.room),
            Format::Json => formats::json::emit_value(value, self.room),
            Format::Dotenv => formats::dotenv::emit_value(value),
            Format::Ini => formats::ini::emit_value(value, self.format, self.room),
            Format::Binary => formats::binary::emit_value(value),
        }
    }

    /// What `--extract` prints of it: strings as they are, anything else in that format.
    pub fn emit_extract(self, path: &str, format: Format) -> Result<Plaintext> {
        let (own, room) = (self.format, self.room);
        match self.extract(path, format)? {
            Extracted::Text(text) => Ok(text),
            Extracted::Document(document) => document.emit(format),
            Extracted::Structure(value) if format == Format::Ini => formats::json::emit_compact(&value, room),
            Extracted::Structure(value) | Extracted::Value(value) => {
                Self { format: own, branches: Vec::new(), room }.emit_value(&value, format)
            }
        }
    }
}

//! The five formats that sops reads and writes.

pub mod binary;
pub mod dotenv;
mod fields;
mod flat;
pub mod ini;
pub mod json;
mod printed;
pub mod yaml;

use std::path::Path;

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
};

use super::value::{Branch, Entry};

/// An encrypted file as its format gives it: nothing is decrypted or judged yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The documents without their metadata; several only in YAML. Ciphertext stands in [`super::value::Value::Str`].
    pub documents: Vec<Branch>,
    /// The metadata as a tree. Of JSON, binary, dotenv and INI it has only the fields that sops knows, under
    /// their exact names, and each of the right type: text as `Str`, `shamir_threshold` as `Int`, `mac_only_encrypted` as
    /// `Bool`, key lists as `List` of `Map`, a `context` as `Map` of `Str` or `Null`. What was null or not there is left out.
    pub metadata: Branch,
}

impl Parsed {
    fn no_metadata() -> Failure {
        Failure::new("not a sops file: it has no sops metadata")
    }
}

/// How a sops file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML, also of several documents.
    Yaml,
    /// A JSON object.
    Json,
    /// `KEY=value` lines.
    Dotenv,
    /// Sections of `key = value` lines.
    Ini,
    /// Any bytes, wrapped in a JSON object.
    Binary,
}

impl Format {
    /// The format of that name, as sops and the manifest spell it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "yaml" => Self::Yaml,
            "json" => Self::Json,
            "dotenv" => Self::Dotenv,
            "ini" => Self::Ini,
            "binary" => Self::Binary,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }

    /// The format that sops takes for a file of this name: by its suffix, else binary.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        let name = path.as_os_str().as_encoded_bytes();
        let suffixes: [(&[u8], Self); 5] = [
            (b".yaml", Self::Yaml),
            (b".yml", Self::Yaml),
            (b".json", Self::Json),
            (b".env", Self::Dotenv),
            (b".ini", Self::Ini),
        ];
        suffixes.iter().find(|(suffix, _)| name.ends_with(suffix)).map_or(Self::Binary, |(_, format)| *format)
    }
}

/// Takes the entries called `sops` out of a document. sops loops over the entries while it removes some, so that of
/// several one may stay or it may crash, which is an error here.
fn remove_metadata(document: &mut Branch) -> Result<()> {
    /// sops itself would never write a second one.
    const MAX: usize = 8;
    let is_metadata = |entry: &Entry| matches!(entry, Entry::Pair(key, _) if key == b"sops");
    let count = document.iter().filter(|entry| is_metadata(entry)).count();
    let clash = || Failure::new("the file has several entries called `sops`");
    if count > MAX {
        return Err(clash());
    }
    // The loop runs to the old length; behind the new end it meets what stood there before: always the old last
    // entry. If that is metadata, sops crashes.
    if count > 1 && document.last().is_some_and(is_metadata) {
        return Err(clash());
    }
    let mut at = 0_usize;
    while at < document.len() {
        if document.get(at).is_some_and(is_metadata) {
            document.remove(at);
        }
        at = at.saturating_add(1);
    }
    Ok(())
}

/// The text with each `\n` of two characters made a newline.
fn with_newlines(text: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\\n") {
        let (before, behind) = rest.split_at(at);
        out.push(before);
        out.push(b"\n");
        rest = behind.get(2..).unwrap_or_default();
    }
    out.push(rest);
    out
}

//! The metadata of a sops file as Go's `encoding/json` decodes it into sops 3.12.2's structs.
//!
//! JSON and binary files hold it as an object; dotenv and INI files are brought into that form first (flat.rs),
//! as sops itself does. Decoding matches field names in any case, merges repeated fields into what is there (the
//! last value wins, records and list elements merge field by field), leaves a value alone on null, and refuses a
//! value of another type. Unknown fields are dropped.

use std::collections::BTreeMap;

use crate::{
    failure::{Failure, Result},
    json::{self, Value as Json},
    plaintext::Plaintext,
    sops::value::{Branch, Entry, Value},
};

/// What a field holds.
enum Kind {
    Text,
    Whole,
    Flag,
    /// A map of strings or nulls.
    Texts,
    /// A list of records with these fields.
    Records(&'static [Field]),
}

type Field = (&'static str, Kind);

const PGP: &[Field] = &[("created_at", Kind::Text), ("enc", Kind::Text), ("fp", Kind::Text)];
const KMS: &[Field] = &[
    ("arn", Kind::Text),
    ("role", Kind::Text),
    ("context", Kind::Texts),
    ("created_at", Kind::Text),
    ("enc", Kind::Text),
    ("aws_profile", Kind::Text),
];
const GCP_KMS: &[Field] = &[("resource_id", Kind::Text), ("created_at", Kind::Text), ("enc", Kind::Text)];
const HC_VAULT: &[Field] = &[
    ("vault_address", Kind::Text),
    ("engine_path", Kind::Text),
    ("key_name", Kind::Text),
    ("created_at", Kind::Text),
    ("enc", Kind::Text),
];
const AZURE_KV: &[Field] = &[
    ("vault_url", Kind::Text),
    ("name", Kind::Text),
    ("version", Kind::Text),
    ("created_at", Kind::Text),
    ("enc", Kind::Text),
];
const AGE: &[Field] = &[("recipient", Kind::Text), ("enc", Kind::Text)];
const HCKMS: &[Field] = &[("key_id", Kind::Text), ("created_at", Kind::Text), ("enc", Kind::Text)];
const GROUP: &[Field] = &[
    ("pgp", Kind::Records(PGP)),
    ("kms", Kind::Records(KMS)),
    ("gcp_kms", Kind::Records(GCP_KMS)),
    ("hckms", Kind::Records(HCKMS)),
    ("azure_kv", Kind::Records(AZURE_KV)),
    ("hc_vault", Kind::Records(HC_VAULT)),
    ("age", Kind::Records(AGE)),
];
const METADATA: &[Field] = &[
    ("shamir_threshold", Kind::Whole),
    ("key_groups", Kind::Records(GROUP)),
    ("kms", Kind::Records(KMS)),
    ("gcp_kms", Kind::Records(GCP_KMS)),
    ("hckms", Kind::Records(HCKMS)),
    ("azure_kv", Kind::Records(AZURE_KV)),
    ("hc_vault", Kind::Records(HC_VAULT)),
    ("age", Kind::Records(AGE)),
    ("lastmodified", Kind::Text),
    ("mac", Kind::Text),
    ("pgp", Kind::Records(PGP)),
    ("unencrypted_suffix", Kind::Text),
    ("encrypted_suffix", Kind::Text),
    ("unencrypted_regex", Kind::Text),
    ("encrypted_regex", Kind::Text),
    ("unencrypted_comment_regex", Kind::Text),
    ("encrypted_comment_regex", Kind::Text),
    ("mac_only_encrypted", Kind::Flag),
    ("version", Kind::Text),
];

/// Metadata in the making: what the values seen so far have set.
#[derive(Default)]
pub(super) struct Decoder(Option<Record>);

/// One slot a field, in the order of the field table.
type Record = Vec<Slot>;

#[derive(Default)]
enum Slot {
    #[default]
    Unset,
    Text(Plaintext),
    Whole(i64),
    Flag(bool),
    Texts(BTreeMap<String, Option<Plaintext>>),
    /// The records and how many of them count. Go keeps the rest and finds them again when the list grows back.
    Records(Vec<Record>, usize),
}

impl Decoder {
    /// Decodes one value of the field `sops` on top of what is there; null forgets everything.
    pub(super) fn decode(&mut self, value: &Json) -> Result<()> {
        match value {
            Json::Null => {
                self.0 = None;
                Ok(())
            }
            _ => decode_record(self.0.get_or_insert_default(), METADATA, value)
                .map_err(|wrong| wrong.within("sops").into()),
        }
    }

    /// The metadata as a tree of the fields that were set; `None` if there was no metadata at all.
    pub(super) fn finish(self) -> Option<Branch> {
        self.0.map(|record| branch_of(record, METADATA))
    }
}

/// A value of the wrong type, and the way to it.
struct Wrong {
    path: String,
    expected: &'static str,
}

impl Wrong {
    fn new(expected: &'static str) -> Self {
        Self { path: String::new(), expected }
    }

    fn within(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Failure::new(format!("metadata field {}: expected {}", wrong.path, wrong.expected))
    }
}

fn decode_record(
    record: &mut Record,
    fields: &'static [Field],
    value: &Json,
) -> std::result::Result<(), Wrong> {
    let members = match value {
        Json::Null => return Ok(()),
        Json::Object(members) => members,
        _ => return Err(Wrong::new("an object")),
    };
    record.resize_with(fields.len(), Slot::default);
    for (key, value) in members {
        let matching = record.iter_mut().zip(fields).find(|(_, (name, _))| json::names_match(key, name));
        if let Some((slot, (name, kind))) = matching {
            decode_field(slot, kind, value).map_err(|wrong| wrong.within(name))?;
        }
    }
    Ok(())
}

fn decode_field(slot: &mut Slot, kind: &Kind, value: &Json) -> std::result::Result<(), Wrong> {
    match (kind, value) {
        (Kind::Text | Kind::Whole | Kind::Flag, Json::Null) => {}
        (Kind::Texts | Kind::Records(_), Json::Null) => *slot = Slot::Unset,
        (Kind::Text, Json::String(text)) => *slot = Slot::Text(text.clone()),
        (Kind::Text, _) => return Err(Wrong::new("a string")),
        (Kind::Whole, Json::Number(raw)) => match raw.parse() {
            Ok(number) => *slot = Slot::Whole(number),
            Err(_) => return Err(Wrong::new("a whole number")),
        },
        (Kind::Whole, _) => return Err(Wrong::new("a whole number")),
        (Kind::Flag, Json::Bool(flag)) => *slot = Slot::Flag(*flag),
        (Kind::Flag, _) => return Err(Wrong::new("true or false")),
        (Kind::Texts, Json::Object(members)) => {
            if !matches!(slot, Slot::Texts(_)) {
                *slot = Slot::Texts(BTreeMap::new());
            }
            let Slot::Texts(texts) = slot else { return Ok(()) };
            for (key, value) in members {
                let value = match value {
                    Json::Null => None,
                    Json::String(text) => Some(text.clone()),
                    _ => return Err(Wrong::new("a string").within(key)),
                };
                texts.insert(key.clone(), value);
            }
        }
        (Kind::Texts, _) => return Err(Wrong::new("an object of strings")),
        (Kind::Records(fields), Json::Array(values)) => {
            if values.is_empty() || !matches!(slot, Slot::Records(..)) {
                *slot = Slot::Records(Vec::new(), 0);
            }
            let Slot::Records(records, length) = slot else { return Ok(()) };
            if records.len() < values.len() {
                records.resize_with(values.len(), Record::new);
            }
            *length = values.len();
            for (index, (record, value)) in records.iter_mut().zip(values).enumerate() {
                decode_record(record, fields, value).map_err(|wrong| wrong.within(&format!("[{index}]")))?;
            }
        }
        (Kind::Records(_), _) => return Err(Wrong::new("a list of objects")),
    }
    Ok(())
}

fn branch_of(record: Record, fields: &'static [Field]) -> Branch {
    let mut branch = Branch::new();
    for (slot, (name, kind)) in record.into_iter().zip(fields) {
        let value = match (slot, kind) {
            (Slot::Unset, _) => continue,
            (Slot::Text(text), _) => Value::Str(text),
            (Slot::Whole(number), _) => Value::Int(number),
            (Slot::Flag(flag), _) => Value::Bool(flag),
            (Slot::Texts(texts), _) => {
                let pair = |(key, text): (String, Option<Plaintext>)| {
                    Entry::Pair(key.into_bytes(), text.map_or(Value::Null, Value::Str))
                };
                Value::Map(texts.into_iter().map(pair).collect())
            }
            (Slot::Records(records, length), kind) => {
                let fields = if let Kind::Records(fields) = kind { *fields } else { &[] };
                let records = records.into_iter().take(length);
                Value::List(records.map(|record| Value::Map(branch_of(record, fields))).collect())
            }
        };
        branch.push(Entry::Pair(name.as_bytes().to_vec(), value));
    }
    branch
}

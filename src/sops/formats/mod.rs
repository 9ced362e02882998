//! The five formats that sops reads and writes.

pub mod yaml;

use std::path::Path;

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

//! `/.forestage/segment.json`: what a segment holds.
//!
//! Stage 1 checks every file against it, and `initrd verify` compares its manifest digest. It names paths, sizes,
//! modes, owners and hashes, never contents. There is one way to write an index and only that way is read, and the
//! index ends with a hash of itself, so no changed byte goes unnoticed. A later format has another `version`.
//!
//! It begins with [`BLANK`] spaces. Of many initrds nobody can tell how long they are, and to read 60 MiB of one takes
//! longer than to append to it. With the spaces, one look every 64 KiB shows that there is no segment (`others`).

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::tree::{Mode, Owner};

/// The format version that is written and read.
const VERSION: u64 = 1;
/// Spaces in front.
pub const BLANK: usize = (64 << 10) + 64;
/// Longest path with its NUL that the kernel unpacks, counted without the leading slash.
const PATH_MAX: usize = 4096;
/// Longest component of a path on the kernel's root file system.
const COMPONENT_MAX: usize = 255;

/// What a segment holds. Directories and files are in ascending order of their paths, which are unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Digest of the manifest and its ciphertexts, as the caller gave it; says nothing of plaintexts.
    pub manifest: [u8; 32],
    /// Directories that the manifest names.
    pub directories: Vec<Place>,
    /// The files, at the paths where the kernel puts them.
    pub files: Vec<Landed>,
}

/// A directory that gets an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Absolute path.
    pub path: String,
    /// Permission bits; the owner is root.
    pub mode: Mode,
}

/// One file of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Absolute path where the kernel puts it.
    pub path: String,
    /// Bytes.
    pub size: u32,
    /// Permission bits.
    pub mode: Mode,
    /// Owner.
    pub owner: Owner,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// The credential that stage 1 makes of it, if any.
    pub credential: Option<String>,
}

impl Landed {
    /// The path where the file is wanted: files for /run and plain sources are staged elsewhere first, because
    /// /run is mounted over what the kernel unpacks.
    #[must_use]
    pub fn target(&self) -> &str {
        [super::STAGED, super::SOURCES]
            .iter()
            .find_map(|stage| self.path.strip_prefix(stage).filter(|rest| rest.starts_with('/')))
            .unwrap_or(&self.path)
    }
}

/// Why bytes are not an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Not as this program writes it.
    Malformed,
    /// Of another format version.
    Version(u64),
}

impl Index {
    /// The text of `segment.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = " ".repeat(BLANK);
        let manifest = hex(&self.manifest);
        // Writing to a string cannot fail.
        let _ = write!(out, "{{\"version\":{VERSION},\"manifest\":\"{manifest}\",\"directories\":[");
        for (number, place) in self.directories.iter().enumerate() {
            out.push_str(if number == 0 { "{\"path\":" } else { ",{\"path\":" });
            quote(&mut out, &place.path);
            let _ = write!(out, ",\"mode\":\"{}\"}}", place.mode);
        }
        out.push_str("],\"files\":[");
        for (number, file) in self.files.iter().enumerate() {
            out.push_str(if number == 0 { "\n{\"path\":" } else { ",\n{\"path\":" });
            quote(&mut out, &file.path);
            let Owner { uid, gid } = file.owner;
            let _ = write!(
                out,
                ",\"size\":{},\"mode\":\"{}\",\"uid\":{uid},\"gid\":{gid},\"sha256\":\"{}\"",
                file.size,
                file.mode,
                hex(&file.sha256)
            );
            if let Some(credential) = &file.credential {
                out.push_str(",\"credential\":");
                quote(&mut out, credential);
            }
            out.push('}');
        }
        out.push_str("\n]");
        let check = hex(&Sha256::digest(out.get(BLANK..).unwrap_or_default()));
        let _ = writeln!(out, ",\"check\":\"{check}\"}}");
        out
    }

    /// Reads the text of a `segment.json`.
    ///
    /// # Errors
    /// [`Unreadable`] if it is not exactly what [`to_json`](Self::to_json) writes for some valid index.
    pub fn from_json(text: &[u8]) -> Result<Self, Unreadable> {
        let (blank, text) = text.split_at_checked(BLANK).ok_or(Unreadable::Malformed)?;
        if blank.iter().any(|byte| *byte != b' ') {
            return Err(Unreadable::Malformed);
        }
        Self::behind_blanks(text)
    }

    /// Reads what is behind the first [`BLANK`] bytes: stage 1 has no time for the others, which tell it nothing.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn behind_blanks(text: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(text).map_err(|_| Unreadable::Malformed)?;
        let mut text = Cursor { all: text, rest: text };
        let version = text.word("{\"version\":").and_then(|()| text.number()).ok_or(Unreadable::Malformed)?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        text.index().ok_or(Unreadable::Malformed)
    }
}

/// Whether a path is absolute, has only plain components, and can be unpacked by the kernel.
#[must_use]
pub fn plain_path(path: &str) -> bool {
    let Some(relative) = path.strip_prefix('/') else { return false };
    relative.len() < PATH_MAX
        && !path.contains('\0')
        && relative.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= COMPONENT_MAX)
}

fn hex(bytes: &[u8]) -> String {
    let digit = |bits: u8| char::from_digit(bits.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..'\x20' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// What is left to read.
struct Cursor<'a> {
    all: &'a str,
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn index(&mut self) -> Option<Index> {
        self.word(",\"manifest\":")?;
        let manifest = self.digest()?;
        self.word(",\"directories\":[")?;
        let mut directories: Vec<Place> = Vec::new();
        while self.word("]").is_none() {
            self.word(if directories.is_empty() { "{\"path\":" } else { ",{\"path\":" })?;
            let path = self.path(directories.last().map(|last| last.path.as_str()))?;
            self.word(",\"mode\":")?;
            let mode = self.mode()?;
            self.word("}")?;
            directories.push(Place { path, mode });
        }
        self.word(",\"files\":[")?;
        let mut files: Vec<Landed> = Vec::new();
        while self.word("\n]").is_none() {
            self.word(if files.is_empty() { "\n{\"path\":" } else { ",\n{\"path\":" })?;
            let file = self.file(files.last().map(|last| last.path.as_str()))?;
            files.push(file);
        }
        let hashed = self.all.strip_suffix(self.rest)?;
        self.word(",\"check\":")?;
        let check = self.digest()?;
        self.word("}\n")?;
        let good = self.rest.is_empty() && check == *Sha256::digest(hashed);
        good.then_some(Index { manifest, directories, files })
    }

    fn file(&mut self, before: Option<&str>) -> Option<Landed> {
        let path = self.path(before)?;
        self.word(",\"size\":")?;
        let size = self.id()?;
        self.word(",\"mode\":")?;
        let mode = self.mode()?;
        self.word(",\"uid\":")?;
        let uid = self.id()?;
        self.word(",\"gid\":")?;
        let gid = self.id()?;
        self.word(",\"sha256\":")?;
        let sha256 = self.digest()?;
        let credential = match self.word(",\"credential\":") {
            Some(()) => Some(self.string()?),
            None => None,
        };
        self.word("}")?;
        Some(Landed { path, size, mode, owner: Owner { uid, gid }, sha256, credential })
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    /// Digits of a number without leading zeros.
    fn number(&mut self) -> Option<u64> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (digits == "0" || !digits.starts_with('0')).then(|| digits.parse().ok())?
    }

    fn id(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// The text up to the next quotation mark; for values without escapes.
    fn quoted(&mut self) -> Option<&'a str> {
        self.word("\"")?;
        let (text, rest) = self.rest.split_once('"')?;
        self.rest = rest;
        Some(text)
    }

    fn mode(&mut self) -> Option<Mode> {
        let text = self.quoted()?;
        let mode = Mode::new(u16::from_str_radix(text, 8).ok()?);
        (mode.to_string() == text).then_some(mode)
    }

    fn digest(&mut self) -> Option<[u8; 32]> {
        let text = self.quoted()?;
        let mut digest = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        (rest.is_empty() && pairs.len() == digest.len()).then_some(digest)
    }

    /// A path that comes behind `before`.
    fn path(&mut self, before: Option<&str>) -> Option<String> {
        let path = self.string()?;
        (plain_path(&path) && before.is_none_or(|before| before < path.as_str())).then_some(path)
    }

    fn string(&mut self) -> Option<String> {
        self.word("\"")?;
        let mut out = String::new();
        loop {
            let (text, rest) =
                self.rest.split_at_checked(self.rest.find(|c| c < ' ' || c == '"' || c == '\\')?)?;
            out.push_str(text);
            self.rest = rest;
            if self.word("\"").is_some() {
                return Some(out);
            }
            self.word("\\")?;
            if self.word("u").is_some() {
                let (digits, rest) = self.rest.split_at_checked(4)?;
                let character = char::from(u8::from_str_radix(digits, 16).ok()?);
                (character < ' ' && format!("{:04x}", u32::from(character)) == digits).then_some(())?;
                out.push(character);
                self.rest = rest;
            } else {
                let character = self.rest.chars().next().filter(|c| matches!(c, '"' | '\\'))?;
                out.push(character);
                self.rest = self.rest.get(1..)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Index {
        let file = |path: &str, credential: Option<&str>| Landed {
            path: path.to_owned(),
            size: 7,
            mode: Mode::new(0o440),
            owner: Owner { uid: 1000, gid: u32::MAX },
            sha256: [0xab; 32],
            credential: credential.map(str::to_owned),
        };
        Index {
            manifest: [9; 32],
            directories: vec![Place { path: "/etc/a b".to_owned(), mode: Mode::new(0o755) }],
            files: vec![
                file("/.forestage/files/run/x", None),
                file("/.initrd-secrets/run/y", Some("na\\me")),
                file("/etc/a b/\"\n\u{1f}é\\", None),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for index in [sample(), Index { manifest: [0; 32], directories: vec![], files: vec![] }] {
            assert_eq!(Index::from_json(index.to_json().as_bytes()), Ok(index));
        }
        let targets: Vec<_> = sample().files.iter().map(|file| file.target().to_owned()).collect();
        assert_eq!(targets, ["/run/x", "/run/y", "/etc/a b/\"\n\u{1f}é\\"]);
    }

    #[test]
    fn only_what_is_written_is_read() {
        let good = sample().to_json();
        for (from, to) in [
            ("\"size\":7", "\"size\":07"),
            ("\"size\":7", "\"size\": 7"),
            ("\"size\":7", "\"size\":4294967296"),
            ("\"0440\"", "\"440\""),
            ("\"0440\"", "\"7440\""),
            ("abab", "ABab"),
            ("abab", "ab"),
            ("\\u000a", "\\n"),
            ("\\u000a", "\\u000A"),
            ("\\u001f", "\u{1f}"),
            ("\\u001f", "\\u0020"),
            ("/.initrd-secrets/run/y", "/.forestage/files/run/x"),
            ("/.initrd-secrets/run/y", "/.initrd-secrets/../y"),
            ("/.initrd-secrets/run/y", "relative"),
            ("\n],\"check\"", "]"),
            ("},\n", "}\n"),
            ("0909", "0908"),
        ] {
            assert!(good.contains(from), "{from}");
            let mut bad = good.replacen(from, to, 1);
            if from != "0909" {
                // With the right hash, so that it is not what gives it away.
                bad.truncate(bad.rfind(",\"check\"").unwrap_or(bad.len()));
                let check = hex(&Sha256::digest(&bad[BLANK..]));
                writeln!(bad, ",\"check\":\"{check}\"}}").unwrap();
            }
            assert_eq!(Index::from_json(bad.as_bytes()), Err(Unreadable::Malformed), "{from} -> {to}");
        }
        for bad in [
            format!("{good}\n"),
            format!(" {good}"),
            good[1..].to_owned(),
            good.replacen(' ', "\t", 1),
            good.replace("}\n", "}"),
        ] {
            assert_eq!(Index::from_json(bad.as_bytes()), Err(Unreadable::Malformed));
        }
        let later = good.replacen("\"version\":1", "\"version\":2", 1);
        assert_eq!(Index::from_json(later.as_bytes()), Err(Unreadable::Version(2)));
        for cut in (0..good.len()).skip(BLANK - 1) {
            assert_eq!(Index::from_json(&good.as_bytes()[..cut]), Err(Unreadable::Malformed), "{cut}");
        }
    }

    #[test]
    fn plain_paths() {
        let long = format!("/{}", "a/".repeat(2047) + "a");
        for good in ["/a", "/a/b", "/..a/b..", long.as_str()] {
            assert!(plain_path(good), "{good}");
        }
        let longer = format!("{long}b");
        let component = format!("/{}", "a".repeat(256));
        for bad in ["", "/", "a", "/a/", "//a", "/a/./b", "/a/../b", "/a\0", &longer, &component] {
            assert!(!plain_path(bad), "{bad}");
        }
    }
}

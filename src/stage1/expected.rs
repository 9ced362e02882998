//! `/etc/forestage/initrd.json`: which secrets this initrd is to have, so that a missing one can be named.
//!
//! It is part of the initrd without its secrets, which anybody may read: names and targets, and nothing that was
//! derived from a plaintext. The format is in docs/stage1.md.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    failure::{Failure, Result},
    initrd::index::plain_path,
    json::{self, Place},
    root::Root,
};

/// Where the list lies in the initrd.
pub const LIST: &str = "/etc/forestage/initrd.json";
/// A longer list is refused: 16 MiB.
const LIST_MAX: u64 = 16 << 20;
const VERSION: i64 = 1;

/// The list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// The link whose files land elsewhere.
    pub symlink_path: PathBuf,
    /// Where each secret is wanted, a plain absolute path, and what people call it.
    pub files: BTreeMap<PathBuf, String>,
}

impl Default for Expected {
    fn default() -> Self {
        Self { symlink_path: "/run/secrets".into(), files: BTreeMap::new() }
    }
}

impl Expected {
    /// The list in `root`; an empty one if there is none.
    pub(super) fn read(root: &Root) -> Result<Self> {
        let path = Path::new(LIST);
        if let Err(error) = root.open(path)
            && error.kind() == std::io::ErrorKind::NotFound
        {
            return Ok(Self::default());
        }
        let text = crate::input::read_file(root, path, LIST_MAX)?;
        parse(&text).map_err(|failure| failure.fact("list", LIST))
    }

    /// What the file for `target` is called in messages.
    pub(super) fn told(&self, target: &Path) -> String {
        match self.files.get(target) {
            Some(name) => format!("the secret {name:?} ({})", target.display()),
            None => target.display().to_string(),
        }
    }
}

fn parse(text: &[u8]) -> Result<Expected> {
    let value = json::parse(text)?;
    let list = Place::root(&value);
    let version = list.field("version")?;
    if let Some(number) = version.whole()?
        && number != VERSION
    {
        return Err(version.failure(format_args!("{number} is none that this forestage knows")));
    }
    let plain = |place: &Place<'_, '_>, text: &str| {
        if plain_path(text) {
            Ok(PathBuf::from(text))
        } else {
            Err(place.failure("not a plain absolute path"))
        }
    };
    let mut expected = Expected::default();
    let symlink = list.field("symlinkPath")?;
    if let Some(text) = symlink.text()? {
        expected.symlink_path = plain(&symlink, text)?;
    }
    for file in list.field("files")?.items()? {
        let target = file.field("target")?;
        let text = target.text()?.ok_or_else(|| Failure::new(format!("{target} is missing")))?;
        let name = file.field("name")?.text()?.unwrap_or(text).to_owned();
        expected.files.insert(plain(&target, text)?, name);
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let file = |name: &str, target: &str| (PathBuf::from(target), name.to_owned());
        let cases = [
            ("{}", "/run/secrets", vec![]),
            (r#"{"version":1,"files":null,"later":{}}"#, "/run/secrets", vec![]),
            (
                r#"{"version":1,"symlinkPath":"/run/s","files":[{"name":"a","target":"/x"},{"target":"/y z"}]}"#,
                "/run/s",
                vec![file("a", "/x"), file("/y z", "/y z")],
            ),
        ];
        for (text, symlink_path, files) in cases {
            let expected = Expected { symlink_path: symlink_path.into(), files: files.into_iter().collect() };
            assert_eq!(parse(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases = [
            ("", "1"),
            ("[]", "expected an object"),
            (r#"{"version":2}"#, "version"),
            (r#"{"files":{}}"#, "files"),
            (r#"{"files":[{}]}"#, "files[0].target"),
            (r#"{"files":[{"target":"x"}]}"#, "files[0].target"),
            (r#"{"files":[{"target":"/a/../b"}]}"#, "files[0].target"),
            (r#"{"files":[{"target":"/a","name":1}]}"#, "files[0].name"),
            (r#"{"symlinkPath":"/"}"#, "symlinkPath"),
        ];
        for (text, part) in cases {
            let told = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}

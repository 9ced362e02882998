//! Names of secrets and templates, which are also their paths below a generation.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use crate::failure::{Failure, Result};

/// Longest component in bytes, as file systems have it.
const MAX_COMPONENT: usize = 255;
/// Longest path in bytes: with the mount point in front it must stay below the kernel's 4096.
const MAX_PATH: usize = 2048;

/// A name such as `wg0` or `db/password`: one or more components, none of them `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// As the manifest spells it, which is how logs and templates know it.
    text: String,
    /// Without the `.`, double and leading slashes that sops-install-secrets would ignore too.
    path: PathBuf,
}

impl Name {
    /// The name that `text` spells.
    pub fn new(text: &str) -> Result<Self> {
        let mut path = PathBuf::new();
        for component in Path::new(text).components() {
            match component {
                Component::Normal(part) => path.push(part),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(Failure::new(format!("the name {text:?} leaves its directory"))
                        .fix("use a name without `..`"));
                }
            }
        }
        if path.as_os_str().is_empty() || text.contains('\0') {
            return Err(Failure::new(format!("{text:?} is not the name of a file")));
        }
        if path.as_os_str().len() > MAX_PATH || path.iter().any(|part| part.len() > MAX_COMPONENT) {
            let start: String = text.chars().take(40).collect();
            return Err(Failure::new(format!(
                "the name {start:?}... is too long for a file ({} bytes)",
                text.len()
            )));
        }
        Ok(Self { text: text.to_owned(), path })
    }

    /// As the manifest spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As a relative path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_path_below_its_generation() {
        for (text, path) in [("a", "a"), ("a/b", "a/b"), ("/a//./b/", "a/b"), ("a b", "a b"), ("...", "...")]
        {
            assert_eq!(Name::new(text).unwrap().as_path(), Path::new(path), "{text}");
            assert_eq!(Name::new(text).unwrap().to_string(), text);
        }
        for text in ["", "/", ".", "..", "a/../b", "../a", "a\0b"] {
            assert!(Name::new(text).is_err(), "{text}");
        }
        for (length, fits) in [(255, true), (256, false)] {
            assert_eq!(Name::new(&"x".repeat(length)).is_ok(), fits, "{length}");
        }
        for (depth, fits) in [(1024, true), (1025, false)] {
            assert_eq!(Name::new(&"a/".repeat(depth)).is_ok(), fits, "{depth}");
        }
    }
}

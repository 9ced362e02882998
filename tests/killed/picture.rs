//! What is below a directory, as far as a program could tell: compared before and after.

use std::{
    collections::BTreeMap,
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// One file, directory or symlink.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// Type and permission bits.
    mode: u32,
    uid: u32,
    gid: u32,
    /// The bytes of a file, the target of a symlink.
    pub content: Vec<u8>,
}

/// Paths below a directory, and what is there.
pub type Picture = BTreeMap<PathBuf, Node>;

impl Node {
    /// What is at `path` itself; nothing if there is nothing.
    pub fn at(path: &Path) -> Option<Self> {
        let about = path.symlink_metadata().ok()?;
        let content = match about.file_type() {
            kind if kind.is_symlink() => fs::read_link(path).ok()?.into_os_string().into_encoded_bytes(),
            kind if kind.is_file() => fs::read(path).ok()?,
            _ => Vec::new(),
        };
        Some(Self { mode: about.mode(), uid: about.uid(), gid: about.gid(), content })
    }

    /// Whether it is a symlink.
    pub fn is_symlink(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.content);
        let short: String = text.chars().take(60).collect();
        write!(f, "{:o} {}:{} {short:?}", self.mode, self.uid, self.gid)
    }
}

/// Everything below `top`, symlinks not followed.
pub fn picture(top: &Path) -> Picture {
    let mut picture = Picture::new();
    let mut todo = vec![top.to_owned()];
    while let Some(directory) = todo.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let Some(node) = Node::at(&path) else { continue };
            if node.is_dir() {
                todo.push(path.clone());
            }
            picture.insert(path.strip_prefix(top).expect("below the top").to_owned(), node);
        }
    }
    picture
}

/// How two pictures differ, a line each; empty when they are the same.
pub fn difference(wanted: &Picture, found: &Picture) -> String {
    let mut told = Vec::new();
    let paths: std::collections::BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    for path in paths {
        let (wanted, found) = (wanted.get(path), found.get(path));
        if wanted != found {
            told.push(format!("\n  {}: wanted {wanted:?}, found {found:?}", path.display()));
        }
    }
    told.concat()
}

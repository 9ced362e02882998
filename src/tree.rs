//! The file tree: what is to land, in memory.

use std::{fmt, path::PathBuf, sync::Arc};

use crate::plaintext::Plaintext;

/// Permission bits of a file or directory, 0 to 0o777.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u16);

impl Mode {
    /// The low nine bits of `bits`; the others have no effect on a secret, as with sops-install-secrets.
    #[must_use]
    pub const fn new(bits: u16) -> Self {
        Self(bits & 0o777)
    }

    /// The bits, as `chmod` takes them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }
}

/// Four octal digits.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Numeric user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// root:root.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// One file to land.
#[derive(Debug, Clone)]
pub struct File {
    /// Below the generation (relative), or in the initrd (absolute). No `.`, `..` or empty components.
    pub path: PathBuf,
    /// What it holds; secrets that share a value share the bytes.
    pub content: Arc<Plaintext>,
    /// Its final permission bits.
    pub mode: Mode,
    /// Its final owner.
    pub owner: Owner,
}

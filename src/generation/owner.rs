//! Who may own what: the rights of this process, and what it means when an owner cannot be set.

use std::cell::Cell;

use nix::{errno::Errno, sys::stat::FileStat};

use super::Realm;
use crate::{root::Root, tree::Owner};

/// How owners are set in this run.
#[derive(Debug)]
pub(super) struct Ownership {
    /// The group of directories; nothing in a user's own session, where owners stay as they come.
    keys_gid: Option<u32>,
    /// What a file that this process makes belongs to.
    own: Owner,
    /// Whether an owner that may not be set is only reported: under a foreign root.
    lenient: bool,
    /// How many times that was so.
    refused: Cell<u64>,
}

impl Ownership {
    pub(super) fn new(realm: Realm, root: &Root) -> Self {
        let keys_gid = match realm {
            Realm::User => None,
            Realm::System { keys_gid, .. } => Some(keys_gid),
        };
        let own = Owner { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
        Self { keys_gid, own, lenient: !root.is_system(), refused: Cell::new(0) }
    }

    /// The owner to set where the manifest says `owner`; nothing: as it comes.
    pub(super) fn wanted(&self, owner: Owner) -> Option<Owner> {
        self.keys_gid.map(|_| owner)
    }

    /// The owner to set for a directory of secrets.
    pub(super) fn of_directories(&self) -> Option<Owner> {
        self.keys_gid.map(|gid| Owner { uid: 0, gid })
    }

    /// Whether what this process makes belongs to `owner` without a further call.
    pub(super) fn comes_as(&self, owner: Owner) -> bool {
        owner == self.own
    }

    /// Whether a file belongs to `owner`, as far as that could be brought about.
    pub(super) fn is(&self, about: &FileStat, owner: Owner) -> bool {
        let found = Owner { uid: about.st_uid, gid: about.st_gid };
        found == owner || (self.lenient && self.own.uid != 0 && found.uid == self.own.uid)
    }

    /// Takes the result of setting an owner: a refusal counts as done, and is remembered, where it is to be so.
    pub(super) fn judge(&self, result: nix::Result<()>) -> nix::Result<()> {
        match result {
            // EINVAL: the id is not mapped into this user namespace.
            Err(Errno::EPERM | Errno::EINVAL) if self.lenient => {
                self.refused.set(self.refused.get() + 1);
                Ok(())
            }
            result => result,
        }
    }

    /// What is to be told about owners that could not be set.
    pub(super) fn warning(&self) -> Option<String> {
        match self.refused.get() {
            0 => None,
            count => Some(format!(
                "{count} owners could not be set without the rights of root; what was made belongs to uid {}, gid {}",
                self.own.uid, self.own.gid
            )),
        }
    }
}

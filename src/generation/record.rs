//! What the next run has to know: which links are ours, and what is still to be done after a swap.
//!
//! One file, `.forestage/record` below the mount point (directory 0700, file 0600), replaced by rename. Fields
//! end with NUL, which no path and no unit name has: the format's name, then entries, each a word and its fields:
//! `link PATH TARGET OWNER` (a link of ours), `pending GENERATION` (the swap to it came or comes next), and behind
//! that `stale PATH TARGET OWNER`, `restart UNIT`, `reload UNIT`. OWNER is `UID:GID`, or empty: as it comes.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat, renameat},
    sys::stat::{Mode, mkdirat},
};

use super::links::Link;
use crate::{
    failure::{Failure, Result},
    tree::Owner,
    units::{Requests, Unit},
};

const DIRECTORY: &str = ".forestage";
const FILE: &str = ".forestage/record";
const NEW_FILE: &str = ".forestage/record.new";
const FORMAT: &[u8] = b"forestage record 1";
/// More than any manifest needs; what is larger was not written by us.
const MAX_SIZE: u64 = 64 << 20;

/// What one run leaves to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Our links, sorted by path.
    pub links: Vec<Link>,
    /// What is left to do, if a run did not come to its end.
    pub pending: Option<Pending>,
}

/// What a run does after its swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// To be done only once this is the current generation.
    pub generation: u64,
    /// Links of ours that are no longer declared.
    pub stale: Vec<Link>,
    /// What the units are to be asked.
    pub requests: Requests,
}

impl Record {
    /// The record below the mount point; empty if there is none. The text is a warning about one that is damaged.
    pub(super) fn load(mount: &OwnedFd) -> (Self, Option<String>) {
        let damaged = |why: &str| {
            let warning = format!("the record of the last run is ignored: {why}");
            (Self::default(), Some(warning))
        };
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(mount, FILE, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return (Self::default(), None),
            Err(error) => return damaged(error.desc()),
        };
        let mut bytes = Vec::new();
        if let Err(error) = file.take(MAX_SIZE).read_to_end(&mut bytes) {
            return damaged(&error.to_string());
        }
        match Self::parse(&bytes) {
            Some(record) => (record, None),
            None => damaged("it is damaged, or of another version"),
        }
    }

    /// Replaces the record below the mount point by this one.
    pub(super) fn save(&self, mount: &OwnedFd) -> std::io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = match openat(mount, NEW_FILE, flags, mode) {
            Err(Errno::ENOENT) => {
                mkdirat(mount, DIRECTORY, Mode::S_IRWXU)?;
                openat(mount, NEW_FILE, flags, mode)?
            }
            file => file?,
        };
        File::from(file).write_all(&self.bytes())?;
        Ok(renameat(mount, NEW_FILE, mount, FILE)?)
    }

    /// What to record before the swap to generation `number`: the `links` (sorted by path) are ours from now on, those
    /// `known` that are not among them have to go, and units are to be asked. Nothing is pending if nothing of
    /// that is new.
    pub(super) fn before_swap(number: u64, links: Vec<Link>, known: &Self, requests: &Requests) -> Self {
        let stale = known.stale(&links);
        let needed = !stale.is_empty() || !requests.is_empty() || links != known.links;
        let pending = needed.then(|| Pending { generation: number, stale, requests: requests.clone() });
        Self { links, pending }
    }

    /// Puts this record in the place of the one `stored` below the mount point, if it differs.
    pub(super) fn store(&self, stored: &mut Self, mount: &OwnedFd) -> Result<()> {
        if self == stored {
            return Ok(());
        }
        self.save(mount)
            .map_err(|error| Failure::new(format!("cannot record what is to be done: {error}")))?;
        *stored = self.clone();
        Ok(())
    }

    /// Our links that are not among the `wanted`, which are sorted by path.
    fn stale(&self, wanted: &[Link]) -> Vec<Link> {
        let is_wanted = |link: &&Link| wanted.binary_search_by(|wanted| wanted.path.cmp(&link.path)).is_ok();
        let mut stale: Vec<Link> = self.all_links().filter(|link| !is_wanted(link)).cloned().collect();
        stale.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        stale.dedup();
        stale
    }

    /// Every link that is ours, whichever run made it.
    pub(super) fn all_links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().chain(self.pending.iter().flat_map(|pending| &pending.stale))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = FORMAT.to_vec();
        bytes.push(0);
        let mut put = |fields: &[&[u8]]| {
            for field in fields {
                bytes.extend_from_slice(field);
                bytes.push(0);
            }
        };
        let mut put_link = |word: &str, link: &Link| {
            let owner = link.owner.map(|owner| format!("{}:{}", owner.uid, owner.gid)).unwrap_or_default();
            let (path, target) = (link.path.as_os_str().as_bytes(), link.target.as_os_str().as_bytes());
            put(&[word.as_bytes(), path, target, owner.as_bytes()]);
        };
        for link in &self.links {
            put_link("link", link);
        }
        if let Some(pending) = &self.pending {
            for link in &pending.stale {
                put_link("stale", link);
            }
            put(&[b"pending", pending.generation.to_string().as_bytes()]);
            for unit in &pending.requests.restart {
                put(&[b"restart", unit.as_str().as_bytes()]);
            }
            for unit in &pending.requests.reload {
                put(&[b"reload", unit.as_str().as_bytes()]);
            }
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.strip_suffix(b"\0")?.split(|&byte| byte == 0);
        if fields.next()? != FORMAT {
            return None;
        }
        let (mut links, mut stale, mut requests, mut generation) =
            (Vec::new(), Vec::new(), Requests::default(), None);
        while let Some(word) = fields.next() {
            match word {
                b"link" => links.push(parse_link(&mut fields)?),
                b"stale" => stale.push(parse_link(&mut fields)?),
                b"pending" => generation = Some(text(fields.next()?)?.parse().ok()?),
                b"restart" => requests.restart.push(Unit::parse(text(fields.next()?)?).ok()?),
                b"reload" => requests.reload.push(Unit::parse(text(fields.next()?)?).ok()?),
                _ => return None,
            }
        }
        let pending = generation.map(|generation| Pending { generation, stale, requests });
        Some(Self { links, pending })
    }
}

fn parse_link<'a>(fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Link> {
    let path = absolute(fields.next()?)?;
    let target = absolute(fields.next()?)?;
    let owner = match text(fields.next()?)? {
        "" => None,
        owner => {
            let (uid, gid) = owner.split_once(':')?;
            Some(Owner { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
        }
    };
    Some(Link { path, target, owner })
}

fn absolute(field: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(field));
    (path.is_absolute() && path.file_name().is_some()).then(|| path.to_owned())
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(path: &str, owner: Option<(u32, u32)>) -> Link {
        let owner = owner.map(|(uid, gid)| Owner { uid, gid });
        Link { path: path.into(), target: "/run/secrets/a".into(), owner }
    }

    fn records() -> [Record; 4] {
        let unit = |name| Unit::parse(name).unwrap();
        let requests =
            Requests { restart: vec![unit("a b.service"), unit("a b.service")], reload: vec![unit("c")] };
        let pending = Pending { generation: 7, stale: vec![link("/x", None)], requests };
        let bare = Pending { generation: 1, stale: vec![], requests: Requests::default() };
        [
            Record::default(),
            Record { links: vec![link("/a\n/b", Some((1, 2))), link("/link", None)], pending: None },
            Record { links: vec![], pending: Some(bare) },
            Record { links: vec![link("/c", Some((0, 0)))], pending: Some(pending) },
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for record in records() {
            assert_eq!(Record::parse(&record.bytes()), Some(record));
        }
    }

    #[test]
    fn damage_is_noticed() {
        let whole = records()[3].bytes();
        // Cut between entries it says less, but nothing else; cut elsewhere it is refused.
        for length in 0..whole.len() {
            if let Some(record) = Record::parse(&whole[..length]) {
                assert!(record.bytes().len() <= length, "{length}");
                assert!(records()[3].links.starts_with(&record.links), "{length}");
            }
        }
        let cases: [&[u8]; 6] = [
            b"",
            b"forestage record 2\0",
            b"forestage record 1\0what\0",
            b"forestage record 1\0link\0relative\0/t\0\0",
            b"forestage record 1\0pending\0-1\0",
            b"forestage record 1\0link\0/\0/t\0\0",
        ];
        for bytes in cases {
            assert_eq!(Record::parse(bytes), None, "{bytes:?}");
        }
    }
}

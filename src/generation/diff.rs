//! Compares what is to land with the current generation: for restarts, for the log, and for `reuseUnchanged`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{AtFlags, readlinkat},
    libc::{S_IFDIR, S_IFLNK, S_IFREG},
    sys::stat::{FileStat, fstat, fstatat},
};

use super::{
    Current, Entry, State,
    current::{holds, kind, permissions},
    links::Link,
    owner::Ownership,
    prune::list,
    write::{DIRECTORY_MODE, directories},
};
use crate::{
    failure::{Failure, Result},
    listing::FileType,
    units::Requests,
};

/// What differs.
#[derive(Debug)]
pub(super) struct Comparison {
    /// One state an entry.
    pub states: Vec<State>,
    /// Of each entry: bytes, mode and owner are those of the current generation.
    pub same: Vec<bool>,
    /// Files of the current generation that no entry names, sorted.
    pub removed: Vec<PathBuf>,
    /// A new generation would be equal to the current one in everything.
    pub identical: bool,
}

/// Compares. Without a current generation everything is new.
pub(super) fn compare(
    current: Option<&Current>,
    entries: &[Entry<'_>],
    links: &[(usize, Link)],
    ownership: &Ownership,
) -> Result<Comparison> {
    let Some(current) = current else {
        return Ok(Comparison {
            states: vec![State::Added; entries.len()],
            same: vec![false; entries.len()],
            removed: Vec::new(),
            identical: false,
        });
    };
    let (states, same): (Vec<_>, Vec<_>) =
        entries.iter().map(|entry| compare_file(current, entry, ownership)).unzip();
    let rest = Rest::find(current, entries, links, ownership)
        .map_err(|error| Failure::io("list the current generation", current.path(), error))?;
    let identical = rest.identical && same.iter().all(|&same| same);
    Ok(Comparison { states, same, removed: rest.removed, identical })
}

impl Comparison {
    /// What the changes ask of units, in the order of the entries.
    pub(super) fn requests(&self, entries: &[Entry<'_>]) -> Requests {
        let mut requests = Requests::default();
        for (entry, state) in entries.iter().zip(&self.states) {
            if *state != State::Unchanged {
                requests.extend(entry.units);
            }
        }
        requests
    }
}

fn compare_file(current: &Current, entry: &Entry<'_>, ownership: &Ownership) -> (State, bool) {
    let differs = if entry.kept { State::Unchanged } else { State::Modified };
    let file = match current.open_file(&entry.file.path) {
        Ok(Some(file)) => file,
        Ok(None) => return (State::Added, false),
        // It is there, and cannot be read: a user's file of mode 0200, for instance.
        Err(_) => return (differs, false),
    };
    let Ok(about) = fstat(&file) else { return (differs, false) };
    if kind(&about) != S_IFREG {
        return (State::Added, false);
    }
    let same = permissions(&about) == entry.file.mode.bits()
        && ownership.wanted(entry.file.owner).is_none_or(|owner| ownership.is(&about, owner))
        && holds(&file, &about, &entry.file.content);
    (if same { State::Unchanged } else { differs }, same)
}

/// What else is in the current generation.
struct Rest {
    removed: Vec<PathBuf>,
    identical: bool,
}

impl Rest {
    fn find(
        current: &Current,
        entries: &[Entry<'_>],
        links: &[(usize, Link)],
        ownership: &Ownership,
    ) -> nix::Result<Self> {
        let (mut files, mut linked) = (BTreeSet::new(), BTreeMap::new());
        files.extend(entries.iter().map(|entry| entry.file.path.as_os_str().as_bytes()));
        linked.extend(links.iter().map(|(_, link)| (link.path.as_os_str().as_bytes(), link)));
        let links = linked;
        let paths = entries.iter().map(|entry| entry.file.path.as_path());
        let wanted = directories(paths.chain(links.values().map(|link| link.path.as_path())));

        let mut rest =
            Self { removed: Vec::new(), identical: directory_fits(&fstat(current.dir())?, ownership) };
        let mut seen_directories = 0;
        let mut seen_links = 0;
        let mut todo = vec![Vec::new()];
        while let Some(directory) = todo.pop() {
            let here: &[u8] = if directory.is_empty() { b"." } else { &directory };
            for (name, kind) in list(current.dir(), here)? {
                let mut path = directory.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name.to_bytes());
                match real_kind(current.dir(), &path, kind)? {
                    S_IFDIR => {
                        let about = fstatat(current.dir(), path.as_slice(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
                        rest.identical &=
                            wanted.contains(path.as_slice()) && directory_fits(&about, ownership);
                        seen_directories += 1;
                        todo.push(path);
                    }
                    S_IFREG if files.contains(path.as_slice()) => {}
                    S_IFREG => {
                        rest.identical = false;
                        rest.removed.push(PathBuf::from(OsString::from_vec(path)));
                    }
                    S_IFLNK => {
                        let target = readlinkat(current.dir(), path.as_slice())?;
                        rest.identical &=
                            links.get(path.as_slice()).is_some_and(|link| Path::new(&target) == link.target);
                        seen_links += 1;
                    }
                    _ => rest.identical = false,
                }
            }
        }
        rest.identical &= seen_directories == wanted.len() && seen_links == links.len();
        rest.removed.sort_unstable();
        Ok(rest)
    }
}

fn real_kind(dir: &OwnedFd, path: &[u8], kind: FileType) -> nix::Result<u32> {
    Ok(match kind {
        FileType::Directory => S_IFDIR,
        FileType::RegularFile => S_IFREG,
        FileType::Symlink => S_IFLNK,
        FileType::Unknown => self::kind(&fstatat(dir, path, AtFlags::AT_SYMLINK_NOFOLLOW)?),
        _ => 0,
    })
}

fn directory_fits(about: &FileStat, ownership: &Ownership) -> bool {
    permissions(about) == DIRECTORY_MODE
        && ownership.of_directories().is_none_or(|owner| ownership.is(about, owner))
}

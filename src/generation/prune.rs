//! Removes what is no longer needed: old generations, and what killed runs left.
//!
//! Only directories whose name is a plain number are generations; whatever else is below the mount point stays.
//! A directory that something is mounted on stays with all that is in it.

use std::{
    ffi::{CStr, CString, OsStr},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use nix::{
    NixPath,
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};

use super::place::generation_number;
use crate::listing::{self, FileType};

/// Directories inside each other that are removed; deeper ones were not made by us.
const MAX_DEPTH: u32 = 1000;

/// Removes the generations below `mount` that are not among the last `keep` (0: all are kept), and those above the
/// current one: killed runs, or a counter that began anew. Gives a warning for each that cannot be removed.
pub(super) fn prune(mount: &OwnedFd, current: u64, keep: u64) -> Vec<String> {
    let numbers = match generations(mount) {
        Ok(numbers) => numbers,
        Err(error) => return vec![format!("old generations cannot be listed: {error}")],
    };
    numbers
        .into_iter()
        .filter(|&number| is_old(number, current, keep))
        .filter_map(|n| remove(mount, n))
        .collect()
}

/// Removes all generations below `mount`: it is covered by another file system.
pub(super) fn prune_all(mount: &OwnedFd) -> Vec<String> {
    generations(mount).unwrap_or_default().into_iter().filter_map(|number| remove(mount, number)).collect()
}

fn remove(mount: &OwnedFd, number: u64) -> Option<String> {
    let name = number.to_string();
    let result = remove_tree(mount, OsStr::new(&name));
    result.err().map(|error| format!("the old generation {name} cannot be removed: {error}"))
}

fn is_old(number: u64, current: u64, keep: u64) -> bool {
    let leftover = current.checked_add(1) == Some(number);
    leftover || (keep > 0 && (number > current || current - number >= keep))
}

fn generations(mount: &OwnedFd) -> nix::Result<Vec<u64>> {
    let entries = list(mount, c".")?;
    let names = entries.iter().filter(|(_, kind)| matches!(kind, FileType::Unknown | FileType::Directory));
    Ok(names.filter_map(|(name, _)| generation_number(OsStr::from_bytes(name.to_bytes()))).collect())
}

/// Removes `name` in `parent`, whatever it is, with all that is in it. It is no error if there is nothing.
pub(crate) fn remove_tree(parent: impl AsFd, name: &OsStr) -> nix::Result<()> {
    match unlinkat(&parent, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(Errno::ENOTDIR) => unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => {
            let name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
            remove_dir(parent.as_fd(), &name, 0)
        }
        Err(error) => Err(error),
    }
}

fn remove_dir(parent: impl AsFd, name: &CStr, depth: u32) -> nix::Result<()> {
    if depth == MAX_DEPTH {
        return Err(Errno::ELOOP);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let how =
        OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let dir = match openat2(&parent, name, how) {
        Err(Errno::ENOSYS | Errno::EPERM) => openat(&parent, name, flags, Mode::empty())?,
        dir => dir?,
    };
    for (entry, kind) in list(&dir, c".")? {
        let unlinked = if kind == FileType::Directory {
            Err(Errno::EISDIR)
        } else {
            unlinkat(&dir, entry.as_c_str(), UnlinkatFlags::NoRemoveDir)
        };
        match unlinked {
            Err(Errno::EISDIR) => remove_dir(&dir, &entry, depth + 1)?,
            unlinked => unlinked?,
        }
    }
    unlinkat(&parent, name, UnlinkatFlags::RemoveDir)
}

/// What is in the directory `path` below `dir`, without `.` and `..`.
pub(super) fn list(dir: impl AsFd, path: &(impl NixPath + ?Sized)) -> nix::Result<Vec<(CString, FileType)>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    listing::list(openat(dir, path, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::generation::trial::Trial;

    fn open(path: &std::path::Path) -> OwnedFd {
        OwnedFd::from(fs::File::open(path).unwrap())
    }

    #[test]
    fn old_and_stale_generations_go_and_nothing_else() {
        // current, keep, what stays of 1 to 9
        let cases: [(u64, u64, &[u64]); 7] = [
            (5, 1, &[5]),
            (5, 2, &[4, 5]),
            (5, 9, &[1, 2, 3, 4, 5]),
            (5, 0, &[1, 2, 3, 4, 5, 7, 8, 9]),
            (9, 1, &[9]),
            (9, 0, &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
            (1, u64::MAX, &[1]),
        ];
        for (current, keep, stay) in cases {
            let stays: Vec<u64> = (1..=9).filter(|&number| !is_old(number, current, keep)).collect();
            assert_eq!(stays, stay, "{current} {keep}");
        }
        assert!(!is_old(u64::MAX, u64::MAX, 1));

        let trial = Trial::new("prune");
        for name in ["1", "2", "3", "02", "x", ".forestage"] {
            fs::create_dir_all(trial.path(name).join("a/b")).unwrap();
            fs::write(trial.path(name).join("a/b/c"), "c").unwrap();
        }
        fs::write(trial.path("4"), "a file").unwrap();
        fs::write(trial.path("outside"), "kept").unwrap();
        symlink(trial.path("outside"), trial.path("1/link")).unwrap();
        symlink(trial.path("x"), trial.path("1/a/dirlink")).unwrap();
        assert_eq!(prune(&open(&trial.dir), 2, 1), Vec::<String>::new());
        let mut left: Vec<String> = fs::read_dir(&trial.dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".forestage", "02", "2", "4", "outside", "x"]);
        assert_eq!(trial.read("outside"), "kept");
        assert_eq!(trial.read("x/a/b/c"), "c");
    }

    #[test]
    fn what_is_mounted_inside_stays() {
        let trial = Trial::new("mounted");
        fs::create_dir_all(trial.path("1/inside")).unwrap();
        fs::create_dir_all(trial.path("precious")).unwrap();
        fs::write(trial.path("precious/file"), "kept").unwrap();
        let bound = nix::mount::mount(
            Some(&trial.path("precious")),
            &trial.path("1/inside"),
            None::<&str>,
            nix::mount::MsFlags::MS_BIND,
            None::<&str>,
        );
        if bound.is_err() {
            eprintln!("skipped: nothing may be mounted here");
            return;
        }
        let warnings = prune(&open(&trial.dir), 5, 1);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(trial.read("precious/file"), "kept");
    }

    #[test]
    fn a_tree_of_any_kind_is_removed() {
        let trial = Trial::new("tree");
        fs::write(trial.path("file"), "").unwrap();
        symlink("/nowhere", trial.path("link")).unwrap();
        fs::create_dir_all(trial.path("empty")).unwrap();
        fs::create_dir_all(trial.path("full/a/b/c")).unwrap();
        for name in ["file", "link", "empty", "full", "missing"] {
            remove_tree(open(&trial.dir), OsStr::new(name)).unwrap();
        }
        assert_eq!(fs::read_dir(&trial.dir).unwrap().count(), 0);
    }
}

//! Links at the places where the manifest wants secrets found, other than below `symlinkPath`.
//!
//! A link is ours if it points below `symlinkPath` (so those of sops-install-secrets are adopted) or if it is
//! what the record says. Anything else stays. A link comes and changes by one rename, so that it is absent, old or
//! new at any time; what is made beside it has a name that belongs to its path, and goes at the next run.
//!
//! The directory of a link may belong to the user whose secret it is. Nothing there is chowned by name: such a user
//! could put a hard link to another file in the way.

use std::{
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, readlinkat, renameat},
    libc::{S_IFDIR, S_IFLNK},
    sys::stat::{Mode, fstat, fstatat},
    unistd::{UnlinkatFlags, fchownat, symlinkat, unlinkat},
};

use super::{Entry, Place, current::kind, owner::Ownership, place, record::Record};
use crate::{
    failure::{Failure, Result},
    tree::Owner,
};

/// A link that is wanted, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Where it is: absolute and plain.
    pub path: PathBuf,
    /// What it says: below `symlinkPath`, as seen inside the root.
    pub target: PathBuf,
    /// Whose it is to be; nothing: as it comes.
    pub owner: Option<Owner>,
}

/// The links that a manifest asks for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Those below `symlinkPath`: they are made in the generation, and swapped with it. With the number of the entry
    /// and the path relative to the generation.
    pub inner: Vec<(usize, Link)>,
    /// All others, sorted by path, each with the number of its entry.
    pub outer: Vec<(usize, Link)>,
    /// Paths that cannot be links.
    pub failures: Vec<(usize, Failure)>,
}

/// Sorts out which links the entries ask for.
pub(super) fn plan(place: &Place, ownership: &Ownership, entries: &[Entry<'_>]) -> Plan {
    let mut plan = Plan::default();
    for (number, entry) in entries.iter().enumerate() {
        // Most files are found at their place; that takes no allocation to see.
        let below = entry.path.strip_prefix(&place.symlink_path).ok();
        if below == Some(entry.file.path.as_path()) {
            continue;
        }
        let fits = entry.path.is_absolute()
            && entry.path.file_name().is_some()
            && !entry.path.components().any(|component| component == Component::ParentDir);
        if !fits || below.is_some_and(|below| below.as_os_str().is_empty()) {
            let failure = Failure::new(format!("{} cannot be a link", entry.path.display()))
                .fix("path must be absolute, without \"..\", and not symlinkPath itself");
            plan.failures.push((number, failure));
            continue;
        }
        let target = place.symlink_path.join(&entry.file.path);
        let owner = ownership.wanted(entry.file.owner);
        if let Some(below) = below {
            // It has the generation's own owner, and no need of another: what it leads to has one.
            let path = below.components().collect();
            plan.inner.push((number, Link { path, target, owner: None }));
        } else {
            let path = entry.path.components().collect();
            plan.outer.push((number, Link { path, target, owner }));
        }
    }
    plan.outer.sort_by(|(_, a), (_, b)| a.path.cmp(&b.path));
    plan
}

/// Makes links, one after the other.
pub(super) struct Linker<'a> {
    pub place: &'a Place,
    pub ownership: &'a Ownership,
    /// What earlier runs recorded.
    pub known: &'a Record,
    /// The directory of the last link: most links share one with the next.
    parent: Option<(PathBuf, OwnedFd)>,
}

impl<'a> Linker<'a> {
    pub(super) const fn new(place: &'a Place, ownership: &'a Ownership, known: &'a Record) -> Self {
        Self { place, ownership, known, parent: None }
    }

    /// Makes one link, or changes ours to it. Directories above it are made (0755) where they are missing.
    /// Fails, and changes nothing, where there is something that is not ours.
    pub(super) fn make(&mut self, link: &Link) -> Result<()> {
        let (above, name) = place::split(&link.path);
        if self.parent.as_ref().is_none_or(|(path, _)| path != above) {
            let dir = self.place.root.make_dir(above, OFlag::O_PATH, Mode::from_bits_truncate(0o755))?;
            self.parent = Some((above.to_owned(), dir));
        }
        let Some((_, parent)) = &self.parent else { return Ok(()) };
        let outside = self.place.root.join(&link.path);
        let failed = |error: Errno| Failure::io("link", &outside, error);

        match self.look(parent, link)? {
            There::Right => return Ok(()),
            There::Nothing if link.owner.is_none_or(|owner| self.ownership.comes_as(owner)) => {
                return symlinkat(link.target.as_path(), parent, name).map_err(|error| match error {
                    Errno::EEXIST => foreign(&outside, "something that came just now"),
                    error => failed(error),
                });
            }
            There::Nothing | There::Ours => {}
        }

        let scratch = place::scratch_name(&link.path, "");
        if symlinkat(link.target.as_path(), parent, scratch.as_str()) == Err(Errno::EEXIST) {
            remove_scratch(parent, &scratch);
            symlinkat(link.target.as_path(), parent, scratch.as_str()).map_err(failed)?;
        }
        let moved = self
            .own(parent, &scratch, link.owner)
            .and_then(|()| renameat(parent, scratch.as_str(), parent, name));
        moved.map_err(|error| {
            remove_scratch(parent, &scratch);
            failed(error)
        })
    }

    /// Whether the link could be made, for a run that writes nothing.
    pub(super) fn try_out(&self, link: &Link) -> Result<()> {
        let (above, _) = place::split(&link.path);
        let Some(parent) = self.place.root.find_dir(above, OFlag::O_PATH)? else { return Ok(()) };
        self.look(&parent, link).map(drop)
    }

    /// What is in the link's place. Fails where that is not ours.
    fn look(&self, parent: &OwnedFd, link: &Link) -> Result<There> {
        let (_, name) = place::split(&link.path);
        let outside = self.place.root.join(&link.path);
        let failed = |error: Errno| Failure::io("link", &outside, error);
        match readlinkat(parent, name) {
            Ok(found) if Path::new(&found) == link.target => {
                let Some(owner) = link.owner else { return Ok(There::Right) };
                let about = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed)?;
                Ok(if self.ownership.is(&about, owner) { There::Right } else { There::Ours })
            }
            Ok(found) if is_ours(self.place, self.known, &link.path, Path::new(&found)) => Ok(There::Ours),
            Ok(found) => Err(foreign(&outside, &format!("a symlink to {}", Path::new(&found).display()))),
            Err(Errno::EINVAL) => {
                let directory = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)
                    .is_ok_and(|about| kind(&about) == S_IFDIR);
                Err(foreign(&outside, if directory { "a directory" } else { "a file" }))
            }
            Err(Errno::ENOENT) => Ok(There::Nothing),
            Err(error) => Err(failed(error)),
        }
    }

    fn own(&self, parent: &OwnedFd, scratch: &str, owner: Option<Owner>) -> nix::Result<()> {
        let Some(owner) = owner.filter(|&owner| !self.ownership.comes_as(owner)) else { return Ok(()) };
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let link = openat(parent, scratch, flags, Mode::empty())?;
        if kind(&fstat(&link)?) != S_IFLNK {
            return Err(Errno::EEXIST);
        }
        let (uid, gid) = (owner.uid.into(), owner.gid.into());
        self.ownership.judge(fchownat(&link, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH))
    }
}

/// What is where a link is to be.
enum There {
    Nothing,
    /// A link of ours that leads elsewhere or belongs to another.
    Ours,
    /// The link that is wanted.
    Right,
}

/// Removes a link of an earlier run, if it is still there and still ours, and what was being made beside it.
pub(super) fn remove(place: &Place, known: &Record, link: &Link) -> Result<()> {
    let (above, name) = place::split(&link.path);
    let Some(parent) = place.root.find_dir(above, OFlag::O_PATH)? else { return Ok(()) };
    remove_scratch(&parent, &place::scratch_name(&link.path, ""));
    match readlinkat(&parent, name) {
        Ok(found) if is_ours(place, known, &link.path, Path::new(&found)) => {
            unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)
                .map_err(|error| Failure::io("remove", place.root.join(&link.path), error))
        }
        Ok(_) | Err(Errno::ENOENT | Errno::EINVAL) => Ok(()),
        Err(error) => Err(Failure::io("read", place.root.join(&link.path), error)),
    }
}

/// Removes what a killed run was making beside `link`, where it is not made again.
pub(super) fn clean(place: &Place, link: &Link) {
    let (above, _) = place::split(&link.path);
    if let Ok(Some(parent)) = place.root.find_dir(above, OFlag::O_PATH) {
        remove_scratch(&parent, &place::scratch_name(&link.path, ""));
    }
}

/// Removes a symlink with a name of ours; what is no symlink was not made by us.
pub(super) fn remove_scratch(parent: &OwnedFd, scratch: &str) {
    if readlinkat(parent, scratch).is_ok() {
        let _ = unlinkat(parent, scratch, UnlinkatFlags::NoRemoveDir);
    }
}

fn is_ours(place: &Place, known: &Record, path: &Path, target: &Path) -> bool {
    let below = target.strip_prefix(&place.symlink_path).is_ok_and(|below| {
        below.file_name().is_some() && below.components().all(|part| matches!(part, Component::Normal(_)))
    });
    below || known.all_links().any(|link| link.path == path && link.target == target)
}

fn foreign(path: &Path, what: &str) -> Failure {
    Failure::new(format!("{} is not a link of ours, and stays", path.display()))
        .fact("found", what)
        .fix("move it away, or give the secret another path")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::generation::{
        Realm,
        trial::{SYSTEM, Trial, Wish, entries},
    };

    #[test]
    fn links_are_sorted_into_those_of_the_generation_and_others() {
        let trial = Trial::new("plan");
        let wishes = [
            Wish::new("here", ""),
            Wish::new("b", "").at("/etc/z"),
            Wish::new("c", "").at("/run/secrets/sub/other"),
            Wish::new("d", "").at("/etc//a"),
            Wish::new("e", "").at("/run/secrets"),
            Wish::new("f", "").at("/etc/../f"),
            Wish::new("g", "").at("relative"),
        ];
        let plan = plan(&trial.place(), &Ownership::new(Realm::User, &trial.place().root), &entries(&wishes));
        let numbers = |links: &[(usize, Link)]| links.iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!(numbers(&plan.inner), [2]);
        assert_eq!(numbers(&plan.outer), [3, 1]);
        assert_eq!(plan.failures.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!(plan.inner[0].1.path, Path::new("sub/other"));
        assert_eq!(plan.outer[0].1.path, Path::new("/etc/a"));
        assert_eq!(plan.outer[0].1.target, Path::new("/run/secrets/d"));
    }

    /// Name, what is there, where it leads afterwards, whether it could be made.
    type Case = (&'static str, &'static dyn Fn(&Path), &'static str, bool);

    #[test]
    fn what_is_ours_changes_and_what_is_not_stays() {
        let cases: [Case; 8] = [
            ("nothing", &|_| {}, "/run/secrets/new", true),
            ("ours, right", &|at| symlink("/run/secrets/new", at).unwrap(), "/run/secrets/new", true),
            (
                "ours, other secret",
                &|at| symlink("/run/secrets/old/x", at).unwrap(),
                "/run/secrets/new",
                true,
            ),
            ("recorded", &|at| symlink("/before/x", at).unwrap(), "/run/secrets/new", true),
            ("foreign", &|at| symlink("/before/y", at).unwrap(), "/before/y", false),
            ("beside", &|at| symlink("/run/secrets/../x", at).unwrap(), "/run/secrets/../x", false),
            ("file", &|at| fs::write(at, "mine").unwrap(), "<none>", false),
            ("directory", &|at| fs::create_dir(at).unwrap(), "<none>", false),
        ];
        for owner in [None, Some(Owner { uid: 1000, gid: 100 })] {
            for (name, prepare, after, made) in &cases {
                let trial = Trial::new("link");
                fs::create_dir_all(trial.path("/etc/x")).unwrap();
                let path = trial.path("/etc/x/link");
                prepare(&path);
                let before = fs::symlink_metadata(&path).map(|about| about.ino()).ok();

                let recorded = Link { path: "/etc/x/link".into(), target: "/before/x".into(), owner: None };
                let known = Record { links: vec![recorded], pending: None };
                let place = trial.place();
                let ownership = Ownership::new(SYSTEM, &place.root);
                let link = Link { path: "/etc/x/link".into(), target: "/run/secrets/new".into(), owner };
                let tried = Linker::new(&place, &ownership, &known).try_out(&link);
                let result = Linker::new(&place, &ownership, &known).make(&link);

                assert_eq!(tried, result, "{name}");
                assert_eq!(result.is_ok(), *made, "{name}: {result:?}");
                assert_eq!(trial.link("/etc/x/link"), *after, "{name}");
                assert_eq!(fs::read_dir(trial.path("/etc/x")).unwrap().count(), 1, "{name}");
                let about = fs::symlink_metadata(&path).unwrap();
                if !made || (*name == "ours, right" && owner.is_none()) {
                    assert_eq!(Some(about.ino()), before, "{name}");
                }
                if *made && owner.is_some() && nix::unistd::geteuid().is_root() {
                    assert_eq!((about.uid(), about.gid()), (1000, 100), "{name}");
                }
            }
        }
    }

    #[test]
    fn stale_links_go_while_they_are_ours() {
        let cases =
            [("/run/secrets/a", true), ("/before/x", true), ("/before/y", false), ("/run/secretsx", false)];
        for (target, gone) in cases {
            let trial = Trial::new("stale");
            fs::create_dir_all(trial.path("/etc")).unwrap();
            symlink(target, trial.path("/etc/link")).unwrap();
            let link = Link { path: "/etc/link".into(), target: "/before/x".into(), owner: None };
            let known = Record { links: vec![link.clone()], pending: None };
            remove(&trial.place(), &known, &link).unwrap();
            assert_eq!(trial.link("/etc/link") == "<none>", gone, "{target}");
            // Gone already, together with its directory: nothing to say.
            let gone = Link { path: "/nowhere/link".into(), ..link };
            remove(&trial.place(), &known, &gone).unwrap();
        }
    }

    #[test]
    fn what_a_killed_run_was_making_is_in_nobodys_way() {
        let trial = Trial::new("scratch");
        fs::create_dir_all(trial.path("/etc")).unwrap();
        let place = trial.place();
        let ownership = Ownership::new(SYSTEM, &place.root);
        let link = Link {
            path: "/etc/link".into(),
            target: "/run/secrets/new".into(),
            owner: Some(Owner { uid: 1000, gid: 100 }),
        };
        symlink("/run/secrets/other", trial.path("/etc").join(place::scratch_name(&link.path, ""))).unwrap();
        Linker::new(&place, &ownership, &Record::default()).make(&link).unwrap();
        assert_eq!(trial.link("/etc/link"), "/run/secrets/new");
        assert_eq!(fs::read_dir(trial.path("/etc")).unwrap().count(), 1);
    }
}

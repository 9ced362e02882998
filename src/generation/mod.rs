//! Lands a file tree as a generation on a RAM file system (contracts.md 3 and 4).
//!
//! The order is the promise: lock, replay what a killed run left to do, (the caller opens everything,) mount,
//! write the generation, record what is to be done after the swap, swap, links, stale links, restart requests,
//! clear the record, prune. Killed anywhere, `symlinkPath` leads to a complete generation, the old or the new,
//! each link is absent, old or new, and the next run finishes the work.
//!
//! ```ignore
//! let stage = Stage::enter(settings)?;          // takes the lock, unless dry
//! let kept = stage.current().map(|current| current.read(path));
//! let landed = stage.land(&entries)?;
//! ```

mod current;
mod diff;
mod finish;
mod links;
mod lock;
mod mount;
mod owner;
mod place;
mod prune;
mod record;
mod report;
mod settings;
mod swap;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;
mod write;

pub(crate) use mount::mount_ramfs;
pub(crate) use prune::remove_tree;
pub(crate) use write::write_all;

pub use current::Current;
pub use place::Place;
pub use report::{Landed, Outcome, State};
pub use settings::{Ram, Realm, Settings, Swappable};

use std::{os::fd::OwnedFd, path::Path};

use nix::{
    fcntl::OFlag,
    sys::stat::{Mode, umask},
};

use self::{
    current::Pointer, diff::Comparison, finish::Finish, links::Link, lock::Lock, mount::Ground,
    owner::Ownership, record::Record, write::Writer,
};
use crate::{
    failure::{Failure, Result},
    tree::File,
    units::Requests,
};

/// One secret or template that is to land.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Bytes, mode, owner, and where in the generation: the name, or `rendered/` and the name.
    pub file: &'a File,
    /// The manifest's `path`, absolute: where the file is to be found. No link is made if that is its place below
    /// `symlinkPath`.
    pub path: &'a Path,
    /// What to ask when the file is new or differs.
    pub units: &'a Requests,
    /// The secret could not be opened, and its bytes are those of the current generation: it counts as unchanged.
    pub kept: bool,
}

/// A run that holds the lock, and knows the current generation.
#[derive(Debug)]
pub struct Stage {
    settings: Settings,
    /// Nothing in a dry run.
    lock: Option<Lock>,
    /// The mount point, if it is there.
    mount: Option<OwnedFd>,
    pointer: Pointer,
    current: Option<Current>,
    /// What earlier runs recorded, nothing of it pending.
    known: Record,
    /// What is in the record's place now.
    stored: Record,
    replayed: Requests,
    unit_failure: Option<Failure>,
    warnings: Vec<String>,
}

impl Stage {
    /// Takes the lock, replays what a killed run left to do, and finds the current generation. A dry run only finds it.
    pub fn enter(settings: Settings) -> Result<Self> {
        let lock = if settings.dry {
            None
        } else {
            // Modes of directories are then as they are given, whatever the caller's umask.
            umask(Mode::S_IWGRP | Mode::S_IWOTH);
            Some(lock::take(&settings.place, lock::PATIENCE)?)
        };
        let place = &settings.place;
        let mount = place.root.find_dir(&place.mount_point, OFlag::O_RDONLY)?;
        let pointer = Pointer::read(place)?;
        let current = match (&mount, pointer) {
            (Some(mount), Pointer::Generation(number)) => Current::open(place, mount, number)?,
            _ => None,
        };
        let (stored, warning) = mount.as_ref().map(Record::load).unwrap_or_default();
        let mut stage = Self {
            known: stored.clone(),
            settings,
            lock,
            mount,
            pointer,
            current,
            stored,
            replayed: Requests::default(),
            unit_failure: None,
            warnings: Vec::from_iter(warning),
        };
        stage.replay();
        Ok(stage)
    }

    /// The current generation; nothing if there is none yet.
    #[must_use]
    pub const fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// Lands the entries as the next generation. An error means that the old generation is still the current one,
    /// untouched.
    pub fn land(mut self, entries: &[Entry<'_>]) -> Result<Landed> {
        let place = self.settings.place.clone();
        let ownership = Ownership::new(self.settings.realm, &place.root);
        let links::Plan { inner, outer, mut failures } = links::plan(&place, &ownership, entries);
        let comparison = diff::compare(self.current.as_ref(), entries, &inner, &ownership)?;
        let requests = self.requests(&comparison, entries);
        let reuse = self.settings.reuse_unchanged && comparison.identical;
        let Some(mut lock) = self.lock.take() else {
            let number = self.number(reuse);
            return Ok(self.landed(number, !reuse, comparison, requests, failures));
        };

        // Mount.
        mount::remove_beside(&place, lock.dir());
        let ground = mount::prepare(
            &self.settings,
            &ownership,
            lock.dir(),
            self.mount.take(),
            self.current.is_some(),
            &mut self.warnings,
        )?;
        lock.keep();
        let reuse = reuse && ground.covered.is_none();
        // A file system that covers the current generation brings its successor under the same number.
        let number = self.number(reuse || ground.covered.is_some());

        // Write, record, swap. Nothing has happened if one of them fails.
        let (numbers, links): (Vec<usize>, Vec<Link>) = outer.into_iter().unzip();
        let mut record = Record::before_swap(number, links, &self.known, &requests);
        // What was recorded below a fresh mount is not seen any more.
        let mut stored = if ground.fresh { Record::default() } else { std::mem::take(&mut self.stored) };
        let swapped = if reuse {
            Ok(Vec::new())
        } else {
            self.write(&ground, number, entries, &comparison, &inner, &ownership)
        }
        .and_then(|refused| {
            record.store(&mut stored, &ground.dir)?;
            Ok((refused, if reuse { None } else { self.swap(&ground, number, lock.dir())? }))
        });
        let revealed = match swapped {
            Ok((refused, revealed)) => {
                failures.extend(refused);
                revealed
            }
            Err(failure) => {
                if !reuse {
                    self.give_up(&ground, number, lock.dir());
                }
                return Err(failure);
            }
        };
        let mount = revealed.as_ref().unwrap_or(&ground.dir);

        // Links, stale links, requests; clear the record.
        let finish =
            Finish { place: &place, ownership: &ownership, known: &self.known, via: &self.settings.via };
        let finished = finish.run(&mut record);
        let numbered = |(link, failure): (usize, Failure)| Some((*numbers.get(link)?, failure));
        failures.extend(finished.link_failures.into_iter().filter_map(numbered));
        self.warnings.extend(finished.warnings);
        self.unit_failure = self.unit_failure.or(finished.unit_failure);
        self.warnings.extend(record.store(&mut stored, mount).err().map(|failure| failure.headline));

        // Prune.
        self.warnings.extend(swap::clean(&place));
        self.warnings.extend(match &ground.covered {
            None if ground.fresh => Vec::new(),
            None => prune::prune(mount, number, self.settings.keep),
            Some(old) => prune::prune_all(old),
        });
        self.warnings.extend(ownership.warning());
        Ok(self.landed(number, !reuse, comparison, requests, failures))
    }

    /// What the changes ask of units: nothing of a user's, and nothing when there was no generation before.
    fn requests(&self, comparison: &Comparison, entries: &[Entry<'_>]) -> Requests {
        match self.settings.realm {
            Realm::System { .. } if self.current.is_some() => comparison.requests(entries),
            _ => Requests::default(),
        }
    }

    /// The number of the generation to be: that of the current one, or the next.
    fn number(&self, stays: bool) -> u64 {
        self.current.as_ref().filter(|_| stays).map_or_else(|| self.pointer.next(), Current::number)
    }

    fn write(
        &self,
        ground: &Ground,
        number: u64,
        entries: &[Entry<'_>],
        comparison: &Comparison,
        inner: &[(usize, Link)],
        ownership: &Ownership,
    ) -> Result<Vec<(usize, Failure)>> {
        let place = &self.settings.place;
        let path = place.root.join(&place.generation(number));
        let linkable = self.current.as_ref().filter(|_| ground.covered.is_none());
        Writer::begin(&ground.dir, number, path, ownership)?.write(entries, &comparison.same, linkable, inner)
    }

    /// Makes generation `number` the current one. Gives the mount point, if it is another now.
    fn swap(&self, ground: &Ground, number: u64, above: &OwnedFd) -> Result<Option<OwnedFd>> {
        let place = &self.settings.place;
        if ground.covered.is_some() {
            return mount::reveal(place, above, &ground.dir).map(Some);
        }
        swap::swap(place, self.pointer, number).map(|()| None)
    }

    /// Removes what was made of a generation that will not be.
    fn give_up(&self, ground: &Ground, number: u64, above: &OwnedFd) {
        if ground.covered.is_some() {
            mount::remove_beside(&self.settings.place, above);
        } else {
            let _ = prune::remove_tree(&ground.dir, number.to_string().as_ref());
        }
    }
}

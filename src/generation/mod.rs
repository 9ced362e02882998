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
    current::Pointer,
    diff::Comparison,
    finish::Finish,
    links::Link,
    lock::Lock,
    mount::Ground,
    owner::Ownership,
    record::{Pending, Record},
    write::Writer,
};
use crate::{
    failure::{Failure, Result},
    tree::File,
    units::Requests,
};

/// The directory of a generation that rendered templates are in.
pub const RENDERED: &str = "rendered";

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

    /// Does what a run that was killed after its swap left to do. If it was killed before, there is nothing to do: only
    /// its links stay known.
    fn replay(&mut self) {
        let (Some(_), Some(mount)) = (&self.lock, &self.mount) else { return };
        let Some(pending) = self.stored.pending.take() else { return };
        let place = &self.settings.place;
        for link in self.stored.links.iter().chain(&pending.stale) {
            links::clean(place, link);
        }
        if self.current.as_ref().map(Current::number) != Some(pending.generation) {
            self.known.links.extend(pending.stale.iter().cloned());
            self.known.pending = None;
            // Whatever this run records takes its place before the swap.
            self.stored.pending = Some(pending);
            return;
        }
        let ownership = Ownership::new(self.settings.realm, &place.root);
        self.replayed = pending.requests.clone();
        let finish = Finish { place, ownership: &ownership, known: &self.known, via: &self.settings.via };
        // What is in a link's way is told by the landing that follows, if the link is still wanted.
        let mut finished = finish.run(&self.stored.links, pending);
        // Units that cannot be asked twice in a row are not asked for ever.
        if let Some(left) = &mut finished.left {
            left.requests = Requests::default();
        }
        self.stored.pending = finished.left.filter(|left| !left.stale.is_empty());
        self.unit_failure = finished.unit_failure;
        self.warnings.extend(finished.warnings);
        if let Err(error) = self.stored.save(mount) {
            self.warnings.push(format!("the record of the last run cannot be cleared: {error}"));
        }
        self.known = self.stored.clone();
    }

    /// Lands the entries as the next generation. An error means that the old generation is still the current one,
    /// untouched.
    pub fn land(mut self, entries: &[Entry<'_>]) -> Result<Landed> {
        let place = self.settings.place.clone();
        let ownership = Ownership::new(self.settings.realm, &place.root);
        let plan = links::plan(&place, &ownership, entries);
        let comparison = diff::compare(self.current.as_ref(), entries, &plan.inner, &ownership)?;
        let first = self.current.is_none();
        let asks = !first && matches!(self.settings.realm, Realm::System { .. });
        let requests = if asks { comparison.requests(entries) } else { Requests::default() };
        let reusable = self.settings.reuse_unchanged && comparison.identical;

        let Some(lock) = self.lock.take() else {
            let number = self.number(reusable);
            return Ok(self.landed(number, !reusable, comparison, requests, plan.failures));
        };

        mount::remove_beside(&place, &lock);
        let mount = self.mount.take();
        let old_mount = mount.as_ref().and_then(|mount| mount.try_clone().ok());
        let ground = mount::prepare(
            &self.settings,
            &ownership,
            &lock,
            mount,
            self.current.is_some(),
            &mut self.warnings,
        )?;
        let covers = ground.cover.is_some();
        let reuse = reusable && !covers;
        // A file system that covers the current generation brings its successor under the same number.
        let number = self.number(reuse || covers);

        let mut link_failures = plan.failures;
        if !reuse {
            let current = self.current.as_ref().filter(|_| !covers);
            let path = place.root.join(&place.generation(number));
            let written = Writer::begin(&ground.dir, number, path, &ownership)
                .and_then(|writer| writer.write(entries, &comparison.same, current, &plan.inner));
            match written {
                Ok(failures) => link_failures.extend(failures),
                Err(failure) => {
                    self.give_up(&ground, &lock, number);
                    return Err(failure);
                }
            }
        }

        let (numbers, links): (Vec<usize>, Vec<Link>) = plan.outer.into_iter().unzip();
        let stale: Vec<Link> = self.known.stale(&links);
        let todo = Pending { generation: number, stale, requests: requests.clone() };
        let needed = !todo.stale.is_empty() || !todo.requests.is_empty() || links != self.known.links;
        let mut record = Record { links, pending: needed.then(|| todo.clone()) };
        // What was recorded below a fresh mount is not seen any more.
        let stored = if ground.fresh { &mut Record::default() } else { &mut self.stored };
        let swapped = record.store(stored, &ground.dir).and_then(|()| match &ground.cover {
            _ if reuse => Ok(None),
            Some(cover) => cover.reveal(&place, &lock, &ground.dir).map(Some),
            None => swap::swap(&place, self.pointer, number).map(|()| None),
        });
        let ground_dir = match swapped {
            Ok(revealed) => revealed.unwrap_or(ground.dir),
            Err(failure) => {
                if !reuse {
                    self.give_up(&ground, &lock, number);
                }
                return Err(failure);
            }
        };

        let finish =
            Finish { place: &place, ownership: &ownership, known: &self.known, via: &self.settings.via };
        let finished = finish.run(&record.links, todo);
        link_failures.extend(
            finished
                .link_failures
                .into_iter()
                .filter_map(|(link, failure)| Some((*numbers.get(link)?, failure))),
        );
        self.warnings.extend(finished.warnings);
        self.unit_failure = self.unit_failure.or(finished.unit_failure);
        record.pending = finished.left;
        if let Err(failure) = record.store(stored, &ground_dir) {
            self.warnings.push(failure.headline);
        }

        self.warnings.extend(swap::clean(&place));
        self.warnings.extend(prune::prune(&ground_dir, number, self.settings.keep));
        if let Some(old) = old_mount.filter(|_| covers) {
            self.warnings.extend(prune::prune_all(&old));
        }
        self.warnings.extend(ownership.warning());
        Ok(self.landed(number, !reuse, comparison, requests, link_failures))
    }

    /// The number of the generation to be: that of the current one, or the next.
    fn number(&self, stays: bool) -> u64 {
        self.current.as_ref().filter(|_| stays).map_or_else(|| self.pointer.next(), Current::number)
    }

    /// Removes what was made of a generation that will not be.
    fn give_up(&self, ground: &Ground, lock: &Lock, number: u64) {
        if ground.cover.is_some() {
            mount::remove_beside(&self.settings.place, lock);
        } else {
            let _ = prune::remove_tree(&ground.dir, number.to_string().as_ref());
        }
    }

    fn landed(
        self,
        generation: u64,
        changed: bool,
        comparison: Comparison,
        requests: Requests,
        link_failures: Vec<(usize, Failure)>,
    ) -> Landed {
        let place = &self.settings.place;
        let mut entries: Vec<Outcome> =
            comparison.states.into_iter().map(|state| Outcome { state, link: None }).collect();
        for (number, failure) in link_failures {
            if let Some(outcome) = entries.get_mut(number) {
                outcome.link = Some(failure);
            }
        }
        Landed {
            generation,
            directory: place.root.join(&place.generation(generation)),
            first: self.current.is_none(),
            changed,
            entries,
            removed: comparison.removed,
            requests,
            replayed: self.replayed,
            unit_failure: self.unit_failure,
            warnings: self.warnings,
        }
    }
}

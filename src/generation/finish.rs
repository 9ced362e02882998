//! What comes after the swap: links, stale links, requests to units. In the run that swapped, or, if that was
//! killed, in the next.

use super::{
    Current, Place, Stage,
    links::{self, Linker},
    owner::Ownership,
    record::Record,
};
use crate::{
    failure::Failure,
    units::{Requests, Via},
};

impl Stage {
    /// Does what a run that was killed after its swap left to do. If it was killed before, there is nothing to do: only
    /// its links stay known.
    pub(super) fn replay(&mut self) {
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
        self.stored.pending = Some(pending);
        // What is in a link's way is told by the landing that follows, if the link is still wanted.
        let finished = finish.run(&mut self.stored);
        // Units that cannot be asked twice in a row are not asked for ever.
        if let Some(left) = &mut self.stored.pending {
            left.requests = Requests::default();
        }
        self.stored.pending.take_if(|left| left.stale.is_empty());
        self.unit_failure = finished.unit_failure;
        self.warnings.extend(finished.warnings);
        if let Err(error) = self.stored.save(mount) {
            self.warnings.push(format!("the record of the last run cannot be cleared: {error}"));
        }
        self.known = self.stored.clone();
    }
}

/// What is needed for it.
pub(super) struct Finish<'a> {
    pub place: &'a Place,
    pub ownership: &'a Ownership,
    pub known: &'a Record,
    pub via: &'a Via,
}

/// What came of it.
pub(super) struct Finished {
    /// By the number of the link.
    pub link_failures: Vec<(usize, Failure)>,
    pub unit_failure: Option<Failure>,
    pub warnings: Vec<String>,
}

impl Finish<'_> {
    /// Does what is pending in the record, and leaves there what could not be done, for the next run.
    pub(super) fn run(&self, record: &mut Record) -> Finished {
        let mut linker = Linker::new(self.place, self.ownership, self.known);
        let make = |(number, link)| Some((number, linker.make(link).err()?));
        let link_failures = record.links.iter().enumerate().filter_map(make).collect();

        let mut warnings = Vec::new();
        let mut unit_failure = None;
        if let Some(todo) = &mut record.pending {
            todo.stale.retain(|link| {
                let result = links::remove(self.place, self.known, link);
                warnings.extend(result.as_ref().err().map(|failure| failure.headline.clone()));
                result.is_err()
            });
            unit_failure = todo.requests.send(self.via).err();
        }
        record.pending.take_if(|todo| todo.stale.is_empty() && todo.requests.is_empty());
        Finished { link_failures, unit_failure, warnings }
    }
}

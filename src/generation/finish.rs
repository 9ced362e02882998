//! What comes after the swap: links, stale links, requests to units.

use super::{
    Place,
    links::{self, Link, Linker},
    owner::Ownership,
    record::{Pending, Record},
};
use crate::{failure::Failure, units::Via};

/// What comes after the swap, in this run or, if this one is killed, in the next.
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
    /// What could not be done, for the next run.
    pub left: Option<Pending>,
}

impl Finish<'_> {
    pub(super) fn run(&self, links: &[Link], mut todo: Pending) -> Finished {
        let mut linker = Linker::new(self.place, self.ownership, self.known);
        let link_failures = links
            .iter()
            .enumerate()
            .filter_map(|(number, link)| Some((number, linker.make(link).err()?)))
            .collect();

        let mut warnings = Vec::new();
        todo.stale.retain(|link| {
            let result = links::remove(self.place, self.known, link);
            warnings.extend(result.as_ref().err().map(|failure| failure.headline.clone()));
            result.is_err()
        });
        let unit_failure = todo.requests.send(self.via).err();
        let left = Some(todo).filter(|todo| !todo.stale.is_empty() || !todo.requests.is_empty());
        Finished { link_failures, unit_failure, warnings, left }
    }
}

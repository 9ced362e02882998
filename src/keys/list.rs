//! What the places of a run hold, for people: identities, and what became of the rest.

use std::collections::BTreeMap;

use super::{Keyring, Reason, found::Found, later::Later, place::Place};

/// An identity, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<'k> {
    /// The places that have it: paths and names of variables.
    pub sources: Vec<&'k str>,
    /// Its public side, as files are encrypted to it.
    pub recipients: Vec<String>,
    /// The manifest names one of its places.
    pub is_named: bool,
    /// It is an OpenPGP key.
    pub is_openpgp: bool,
    /// It is behind a passphrase, which nobody has given so far.
    pub is_closed: bool,
}

/// A place, or a line of one, that gave no identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread<'k> {
    /// The path or the name of the variable.
    pub source: &'k str,
    /// Why not.
    pub reason: Reason,
}

impl Keyring {
    /// Reads every place, whether it is needed or not.
    pub fn read_all(&self) {
        self.places.iter().for_each(|place| {
            place.found();
        });
    }

    /// Reads the places that the manifest names.
    pub fn read_named(&self) {
        self.places.iter().filter(|place| place.is_named).for_each(|place| {
            place.found();
        });
    }

    /// The identities in the places that were read, in the order in which they are tried, each once.
    #[must_use]
    pub fn identities(&self) -> Vec<Listed<'_>> {
        let mut listed: Vec<Listed> = Vec::new();
        let mut known = BTreeMap::new();
        for (place, found) in self.read_places() {
            let local = found.identities.iter().map(|identity| (identity.recipients(), false, false));
            let later = found.later.iter().map(|it| (it.recipients(), false, it.is_closed()));
            let all = local.chain(later.filter(|(recipients, ..)| !recipients.is_empty()));
            #[cfg(feature = "openpgp")]
            let all = all.chain(found.openpgp.iter().map(|key| (key.fingerprints(), true, false)));
            for (recipients, is_openpgp, is_closed) in all {
                let at = *known.entry(recipients.clone()).or_insert(listed.len());
                match listed.get_mut(at) {
                    Some(same) => {
                        same.is_named |= place.is_named;
                        if !same.sources.contains(&place.source.as_str()) {
                            same.sources.push(&place.source);
                        }
                    }
                    None => listed.push(Listed {
                        sources: vec![&place.source],
                        recipients,
                        is_named: place.is_named,
                        is_openpgp,
                        is_closed,
                    }),
                }
            }
        }
        listed
    }

    /// The places that were read, and lines of them, that gave no identity.
    pub fn unread(&self) -> impl Iterator<Item = Unread<'_>> {
        self.read_places().flat_map(|(place, found)| {
            let source = &*place.source;
            let closed = found.later.iter().filter_map(Later::closed);
            let unread = found.unread.iter().cloned();
            unread.chain(closed).map(move |reason| Unread { source, reason })
        })
    }

    /// The places that were read where an identity might have been, and nothing was.
    pub fn absent(&self) -> impl Iterator<Item = &str> {
        self.read_places().filter(|(_, found)| found.absent).map(|(place, _)| place.source.as_str())
    }

    fn read_places(&self) -> impl Iterator<Item = (&Place, &Found)> {
        self.places.iter().filter_map(|place| Some((place, place.read()?)))
    }
}

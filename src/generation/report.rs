//! What became of a landing, and the lines about it that sops-install-secrets prints on stdout.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{Entry, Stage, diff::Comparison};
use crate::{failure::Failure, manifest::RENDERED, units::Requests};

/// How a file compares with the current generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There was none of that name.
    Added,
    /// Bytes, mode or owner differ.
    Modified,
    /// All the same, or kept.
    Unchanged,
}

/// What was done, or in a dry run, what would be.
#[derive(Debug)]
pub struct Landed {
    /// The number of the generation that `symlinkPath` now points at.
    pub generation: u64,
    /// Its directory, seen from outside the root.
    pub directory: PathBuf,
    /// Whether there was no generation before: no change is reported and no unit asked then.
    pub first: bool,
    /// Whether a new generation was made.
    pub changed: bool,
    /// One outcome an entry, in their order.
    pub entries: Vec<Outcome>,
    /// Files of the last generation that no entry names, sorted, as paths below the generation.
    pub removed: Vec<PathBuf>,
    /// What the changes ask of units; in a dry run, what they would.
    pub requests: Requests,
    /// Units that were asked in the name of an earlier run that was killed.
    pub replayed: Requests,
    /// Requests that failed, after the swap. They are tried once more by the next run.
    pub unit_failure: Option<Failure>,
    /// What should be known and is not a failure, a line each.
    pub warnings: Vec<String>,
}

/// What became of an entry.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it compares.
    pub state: State,
    /// Why its link could not be made; the file itself has landed.
    pub link: Option<Failure>,
}

impl Stage {
    /// The end of the run.
    pub(super) fn landed(
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

impl Landed {
    /// The lines for `logging.secretChanges` (sops-format.md 9.9): at most six, names sorted. None if there was no
    /// generation before. Not meant for user mode, where the original prints none.
    #[must_use]
    pub fn change_lines(&self, entries: &[Entry<'_>], dry: bool) -> Vec<String> {
        if self.first {
            return Vec::new();
        }
        let of = |wanted: State| {
            let pairs = entries.iter().zip(&self.entries);
            pairs
                .filter(move |(_, outcome)| outcome.state == wanted)
                .map(|(entry, _)| entry.file.path.as_path())
        };
        let added: Vec<&Path> = of(State::Added).collect();
        let modified: Vec<&Path> = of(State::Modified).collect();
        let removed: Vec<&Path> = self.removed.iter().map(Path::new).collect();
        let verbs = if dry {
            ["would add", "would modify", "would remove"]
        } else {
            ["adding", "modifying", "removing"]
        };
        let mut lines = Vec::new();
        for (noun, rendered) in [("secret", false), ("rendered secret", true)] {
            for (verb, paths) in verbs.iter().zip([&added, &modified, &removed]) {
                let mut names: Vec<String> = paths.iter().filter_map(|path| name(path, rendered)).collect();
                names.sort_unstable();
                let plural = if names.len() == 1 { "" } else { "s" };
                if !names.is_empty() {
                    lines.push(format!("{verb} {noun}{plural}: {}", names.join(", ")));
                }
            }
        }
        lines
    }
}

/// The name of a secret, or of a template, if it is one.
fn name(path: &Path, rendered: bool) -> Option<String> {
    let name = match (path.strip_prefix(RENDERED), rendered) {
        (Ok(name), true) => name,
        (Err(_), false) => path,
        _ => return None,
    };
    Some(String::from_utf8_lossy(name.as_os_str().as_bytes()).into_owned())
}

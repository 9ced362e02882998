//! What a landing did, for people and for programs.

use std::{collections::BTreeMap, os::unix::ffi::OsStrExt, path::PathBuf};

use crate::{
    failure::{Failure, Kind, Result},
    generation::{self, Landed},
    json::Writer,
    manifest::Phase,
    plaintext::Plaintext,
    units::Unit,
};

use super::{Status, console::Console};

/// How many failures people are told in full.
const TOLD: usize = 20;

/// What became of one secret or template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// New.
    Added,
    /// Other bytes, mode or owner than before.
    Modified,
    /// As before.
    Unchanged,
    /// Checked, and nothing is wrong.
    Good,
    /// It failed; the bytes of the current generation are kept.
    Kept,
    /// It failed, and there was nothing to keep or nothing landed.
    Failed,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Unchanged => "unchanged",
            Self::Good => "good",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

/// One secret or template of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Its path below the generation.
    pub name: String,
    /// The option that declares it, such as `sops.secrets."db/password"`.
    pub option: String,
    /// What became of it.
    pub state: State,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// A whole run.
#[derive(Debug)]
pub struct Report {
    phase: Phase,
    check: bool,
    generation: Option<u64>,
    changed: bool,
    /// Secrets and templates.
    pub secrets: Vec<Outcome>,
    removed: Vec<PathBuf>,
    restarted: Vec<Unit>,
    reloaded: Vec<Unit>,
    unit_failure: Option<Failure>,
    warnings: Vec<String>,
}

impl Report {
    /// A run that has landed nothing yet.
    #[must_use]
    pub const fn new(phase: Phase) -> Self {
        Self {
            phase,
            check: false,
            generation: None,
            changed: false,
            secrets: Vec::new(),
            removed: Vec::new(),
            restarted: Vec::new(),
            reloaded: Vec::new(),
            unit_failure: None,
            warnings: Vec::new(),
        }
    }

    /// Takes in what a landing did; `entries` are names, options and failures in the order of landing.
    pub fn landed(
        &mut self,
        landed: Landed,
        entries: impl Iterator<Item = (String, String, Option<Failure>)>,
    ) {
        self.generation = Some(landed.generation);
        self.changed = landed.changed;
        self.removed = landed.removed;
        self.unit_failure = landed.unit_failure;
        self.warnings = landed.warnings;
        (self.restarted, self.reloaded) = (landed.replayed.restart, landed.replayed.reload);
        self.restarted.extend(landed.requests.restart);
        self.reloaded.extend(landed.requests.reload);
        self.secrets.extend(entries.zip(landed.entries).map(|((name, option, failure), entry)| {
            let state = match (&failure, &entry.link, entry.state) {
                (Some(_), ..) => State::Kept,
                (None, Some(_), _) => State::Failed,
                (None, None, generation::State::Added) => State::Added,
                (None, None, generation::State::Modified) => State::Modified,
                (None, None, generation::State::Unchanged) => State::Unchanged,
            };
            let failure = match (failure, entry.link) {
                (Some(failure), Some(link)) => Some(failure.fact("its link", link.headline)),
                (failure, link) => failure.or(link),
            };
            Outcome { name, option, state, failure }
        }));
    }

    /// Takes in what a check found. Failures are then a part that does not match, whatever else was checked.
    pub fn checked(&mut self, outcomes: impl Iterator<Item = Outcome>) {
        self.secrets.extend(outcomes);
        self.check = true;
    }

    /// How the run ended.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut failures = self.secrets.iter().filter_map(|outcome| outcome.failure.as_ref()).peekable();
        match (failures.peek().is_some(), self.generation) {
            (true, Some(_)) => Status::Partial,
            (true, None) if failures.all(|failure| failure.kind == Kind::NoIdentity) => Status::NoIdentity,
            (true, None) if self.check => Status::Partial,
            (true, None) => Status::Failed,
            (false, _) if self.unit_failure.is_some() => Status::Failed,
            (false, _) => Status::Done,
        }
    }

    /// Tells people on standard error, and programs, if `json`, on standard output.
    pub fn tell(&self, console: &Console, dry: bool, json: bool) -> Result<Status> {
        for warning in &self.warnings {
            console.warning(&Failure::new(warning.as_str()));
        }
        let failures = self.distinct_failures();
        for (failure, options) in failures.iter().take(TOLD) {
            console.error(&(*failure).clone().fact("needed by", few(options)));
        }
        if let Some(rest @ [_, ..]) = failures.get(TOLD..) {
            let options: Vec<_> = rest.iter().flat_map(|(_, options)| options).copied().collect();
            console.error(
                &Failure::new(format!("{} more secrets failed", options.len()))
                    .fact("they are", few(&options))
                    .fix("mend those above first; `forestage install --json` and `forestage check --json` list all"),
            );
        }
        if let Some(failure) = &self.unit_failure {
            console.error(failure);
        }
        if dry {
            self.restarted.iter().for_each(|unit| console.note(&format!("would restart {unit}")));
            self.reloaded.iter().for_each(|unit| console.note(&format!("would reload {unit}")));
        }
        if let Some(summary) = self.summary(dry) {
            console.note(&summary);
        }
        if json {
            let mut text = self.to_json();
            text.push(b"\n");
            console.print(&text)?;
        }
        Ok(self.status())
    }

    /// Failures that several secrets share are told once.
    fn distinct_failures(&self) -> Vec<(&Failure, Vec<&str>)> {
        let mut distinct: Vec<(&Failure, Vec<&str>)> = Vec::new();
        let mut known = BTreeMap::new();
        for outcome in &self.secrets {
            let Some(failure) = &outcome.failure else { continue };
            let number = *known.entry(failure).or_insert(distinct.len());
            match distinct.get_mut(number) {
                Some((_, options)) => options.push(&outcome.option),
                None => distinct.push((failure, vec![&outcome.option])),
            }
        }
        distinct
    }

    /// One line on what changed and what failed; nothing when nothing did.
    fn summary(&self, dry: bool) -> Option<String> {
        let mut parts = Vec::new();
        for state in [State::Added, State::Modified, State::Kept, State::Failed] {
            let names: Vec<_> =
                self.secrets.iter().filter(|it| it.state == state).map(|it| it.name.as_str()).collect();
            if !names.is_empty() {
                parts.push(format!("{} {}", state.name(), few(&names)));
            }
        }
        let removed: Vec<_> = self.removed.iter().map(|path| path.display().to_string()).collect();
        if !removed.is_empty() {
            parts.push(format!("removed {}", few(&removed)));
        }
        if parts.is_empty() {
            return None;
        }
        let head = match (self.generation, dry) {
            (None, _) if self.check => "checked".to_owned(),
            (None, _) => "nothing landed".to_owned(),
            (Some(_), true) => "would land".to_owned(),
            (Some(generation), false) => format!("landed generation {generation}"),
        };
        Some(format!("{head}: {}", parts.join("; ")))
    }

    fn to_json(&self) -> Plaintext {
        let mut json = Writer::compact();
        json.begin_object();
        json.key(b"version");
        json.literal("1");
        json.key(b"phase");
        json.string(self.phase.name().as_bytes());
        json.key(b"generation");
        json.literal(&self.generation.map_or("null".to_owned(), |number| number.to_string()));
        json.key(b"changed");
        json.flag(self.changed);
        json.key(b"secrets");
        json.begin_array();
        for outcome in &self.secrets {
            json.begin_object();
            json.key(b"name");
            json.string(outcome.name.as_bytes());
            json.key(b"state");
            json.string(outcome.state.name().as_bytes());
            if let Some(failure) = &outcome.failure {
                json.key(b"error");
                failure_to_json(&failure.clone().fact("option", &outcome.option), &mut json);
            }
            json.end_object();
        }
        json.end_array();
        let removed = self.removed.iter().map(|path| path.as_os_str().as_bytes());
        strings(&mut json, "removed", removed);
        strings(&mut json, "restarted", self.restarted.iter().map(|unit| unit.as_str().as_bytes()));
        strings(&mut json, "reloaded", self.reloaded.iter().map(|unit| unit.as_str().as_bytes()));
        json.end_object();
        json.finish()
    }
}

/// The object of a run that ended before there was anything to report.
#[must_use]
pub fn of_failure(failure: &Failure) -> Plaintext {
    let mut json = Writer::compact();
    json.begin_object();
    json.key(b"version");
    json.literal("1");
    json.key(b"changed");
    json.flag(false);
    json.key(b"secrets");
    json.begin_array();
    json.end_array();
    json.key(b"error");
    failure_to_json(failure, &mut json);
    json.end_object();
    let mut text = json.finish();
    text.push(b"\n");
    text
}

/// `{headline, facts[], fix?}`.
pub fn failure_to_json(failure: &Failure, json: &mut Writer) {
    json.begin_object();
    json.key(b"headline");
    json.string(failure.headline.as_bytes());
    let facts: Vec<_> = failure.facts.iter().map(|(label, text)| format!("{label}: {text}")).collect();
    strings(json, "facts", facts.iter().map(String::as_bytes));
    if let Some(fix) = &failure.fix {
        json.key(b"fix");
        json.string(fix.as_bytes());
    }
    json.end_object();
}

/// A member that is a list of strings.
pub fn strings<'a>(json: &mut Writer, key: &str, items: impl Iterator<Item = &'a [u8]>) {
    json.key(key.as_bytes());
    json.begin_array();
    items.for_each(|item| json.string(item));
    json.end_array();
}

/// The first names of a list that may be long.
pub fn few<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

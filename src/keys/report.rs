//! The failure that says why no identity opens a file: for whom it is, what was tried, what could not be read.

use std::collections::BTreeSet;

use crate::{
    failure::{Failure, Kind},
    sops::metadata::{KeyKind, Metadata},
};

use super::{Keyring, Listed, Unread, kind::AgeKind, name_of, open::Attempt};

/// How many lines a fact may have.
const LINES: usize = 10;

/// The failure of [`Keyring::open`].
pub(super) fn no_identity(keyring: &Keyring, metadata: &Metadata, attempt: &Attempt) -> Failure {
    let mut failure = Failure::new("no identity of this machine opens the file").kind(Kind::NoIdentity);

    let mut seen = BTreeSet::new();
    let entries = metadata.entries().filter(|entry| seen.insert((entry.kind, name_of(&entry.recipient))));
    failure = failure.fact(
        "encrypted to",
        lines(entries, |entry| match entry.kind {
            KeyKind::Age => match AgeKind::of_recipient(&entry.recipient).unsupported() {
                Some(reason) => format!("{} ({reason})", shown(&entry.recipient)),
                None => shown(&entry.recipient),
            },
            KeyKind::Pgp if cfg!(feature = "openpgp") => format!("pgp {}", shown(&entry.recipient)),
            kind => format!("{} {} (not supported by this build)", kind.name(), shown(&entry.recipient)),
        }),
    );
    if metadata.groups.len() > 1 {
        let needed = metadata.shamir_threshold.max(2);
        let groups = metadata.groups.len();
        let reason = attempt.parts.map(|reason| format!(": {reason}")).unwrap_or_default();
        failure = failure.fact(
            "key groups",
            format!("{groups}, of which {needed} are needed, {} opened{reason}", attempt.opened.len()),
        );
    }
    let opened = attempt.opened.iter().map(|recipient| name_of(recipient)).collect();
    let asked = attempt.unread.iter().map(|(source, reason)| Unread { source, reason: reason.clone() });
    let unread = keyring.unread().chain(asked).collect();
    let tried = Tried { metadata, attempt, seen, opened, identities: keyring.identities(), unread };
    let told = lines(tried.identities.iter(), |identity| {
        let why = if is_plugin(identity) {
            "opens nothing here"
        } else if tried.opens(identity) {
            "opens its key group"
        } else if !tried.names(identity) {
            "not among them"
        } else if identity.is_closed {
            "the file names it, but it is behind a passphrase"
        } else {
            "the file names it, but its key entry does not open"
        };
        format!("{}: {}: {why}", identity.sources.join(" and "), identity.recipients.join(" or "))
    });
    failure = failure.fact(
        "tried",
        match (told.is_empty(), tried.unread.is_empty()) {
            (false, _) => &told,
            (true, true) => "nothing: there is no identity",
            (true, false) => "nothing: no identity could be read",
        },
    );
    let facts = [
        (
            "not opened",
            lines(attempt.damaged.iter(), |(recipient, damage)| format!("{}: {damage}", shown(recipient))),
        ),
        ("not read", lines(tried.unread.iter(), |unread| format!("{}: {}", unread.source, unread.reason))),
        ("not there", lines(keyring.absent(), str::to_owned)),
    ];
    for (label, text) in facts.into_iter().filter(|(_, text)| !text.is_empty()) {
        failure = failure.fact(label, text);
    }
    match tried.next_step() {
        Some(step) => failure.fix(step),
        None => failure,
    }
}

/// What was tried on a file.
struct Tried<'t> {
    metadata: &'t Metadata,
    attempt: &'t Attempt,
    /// The recipients that the file names.
    seen: BTreeSet<(KeyKind, &'t str)>,
    /// Those by whose entries groups were opened.
    opened: BTreeSet<&'t str>,
    identities: Vec<Listed<'t>>,
    unread: Vec<Unread<'t>>,
}

impl Tried<'_> {
    fn opens(&self, identity: &Listed) -> bool {
        identity.recipients.iter().any(|own| self.opened.contains(own.as_str()))
    }

    /// Whether the file is encrypted to it.
    fn names(&self, identity: &Listed) -> bool {
        let is_named =
            |own: &str| [KeyKind::Age, KeyKind::Pgp].iter().any(|kind| self.seen.contains(&(*kind, own)));
        identity.recipients.iter().any(|own| is_named(own))
    }

    /// Whether it should have opened an entry, and did not. Another entry may have opened its group before.
    fn fails(&self, identity: &Listed) -> bool {
        let is_damaged = |own: &String| self.attempt.damaged.contains_key(own);
        self.names(identity)
            && !self.opens(identity)
            && (self.metadata.groups.len() == 1 || identity.recipients.iter().any(is_damaged))
    }

    fn next_step(&self) -> Option<String> {
        // What needed a program or a person was for this file.
        if let Some(step) = self.attempt.unread.iter().find_map(|(source, reason)| reason.next_step(source)) {
            return Some(step);
        }
        if self.metadata.entries().all(|entry| !matches!(entry.kind, KeyKind::Age | KeyKind::Pgp)) {
            return Some(
                "add an age or pgp recipient to .sops.yaml, then run sops updatekeys on the file".into(),
            );
        }
        if self.identities.is_empty() {
            if let Some(step) = self.unread.iter().find_map(|place| place.reason.next_step(place.source)) {
                return Some(step);
            }
            let again = if self.unread.is_empty() { "give it" } else { "mend what was not read, or give it" };
            let is_openpgp = self.metadata.entries().all(|entry| entry.kind == KeyKind::Pgp);
            return Some(if is_openpgp {
                format!(
                    "{again} an OpenPGP key: sops.gnupg.home or sops.gnupg.sshKeyPaths on NixOS, gnupgHome or \
                     sshKeyPaths in a manifest, --identity or GNUPGHOME on the command line"
                )
            } else {
                format!(
                    "{again} an identity: sops.age.keyFile or sops.age.sshKeyPaths on NixOS, ageKeyFile or \
                     ageSshKeyPaths in a manifest, --identity or SOPS_AGE_KEY_FILE on the command line"
                )
            });
        }
        if self.identities.iter().any(|identity| self.fails(identity)) {
            let locked = self.attempt.damaged.iter().find_map(|(key, reason)| reason.next_step(&shown(key)));
            let damaged =
                || "take the file from before its key entry was damaged, or encrypt it again".into();
            return Some(locked.unwrap_or_else(damaged));
        }
        if self.metadata.groups.len() > 1 && !self.opened.is_empty() {
            return Some("give it identities of more of its key groups".into());
        }
        let others = self.identities.iter().filter(|identity| !self.opens(identity) && !is_plugin(identity));
        let recipient = others.flat_map(|identity| &identity.recipients).next()?;
        Some(format!("add {recipient} to .sops.yaml, then run sops updatekeys on the file"))
    }
}

/// Whether it is a plugin's: its recipients are the plugin's business.
fn is_plugin(identity: &Listed) -> bool {
    identity.recipients.iter().all(|own| own.starts_with("age-plugin-"))
}

/// Text from a file, on one line and not too long.
fn shown(text: &str) -> String {
    const MAX: usize = 120;
    let mut line: String =
        text.chars().take(MAX).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    if text.chars().nth(MAX).is_some() {
        line.push('…');
    }
    line
}

/// The first lines, and how many more there are.
fn lines<T>(mut all: impl Iterator<Item = T>, show: impl Fn(T) -> String) -> String {
    let mut lines: Vec<String> = all.by_ref().take(LINES).map(show).collect();
    match all.count() {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines.join("\n")
}

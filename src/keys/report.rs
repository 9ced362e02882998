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
    let mut opened = BTreeSet::new();
    opened.extend(attempt.opened.iter().map(|recipient| name_of(recipient)));
    let identities = keyring.identities();
    let has =
        |names: &dyn Fn(&str) -> bool, identity: &Listed| identity.recipients.iter().any(|own| names(own));
    let opens = |identity: &Listed| has(&|own| opened.contains(own), identity);
    let named = |identity: &Listed| {
        has(&|own| [KeyKind::Age, KeyKind::Pgp].iter().any(|kind| seen.contains(&(*kind, own))), identity)
    };
    let tried = lines(identities.iter(), |identity| {
        let why = match identity {
            identity if opens(identity) => "opens its key group",
            identity if named(identity) && identity.is_closed => {
                "the file names it, but it is behind a passphrase"
            }
            identity if named(identity) => "the file names it, but its key entry does not open",
            _ => "not among them",
        };
        format!("{}: {}: {why}", identity.sources.join(" and "), identity.recipients.join(" or "))
    });
    failure = failure.fact("tried", if tried.is_empty() { "nothing: there is no identity" } else { &tried });
    let told = attempt.unread.iter().map(|(source, reason)| Unread { source, reason });
    let unread = keyring.unread().chain(told);
    let facts = [
        (
            "damaged",
            lines(attempt.damaged.iter(), |(recipient, damage)| format!("{}: {damage}", shown(recipient))),
        ),
        ("not read", lines(unread, |unread| format!("{}: {}", unread.source, unread.reason))),
        ("not there", lines(keyring.absent(), str::to_owned)),
    ];
    for (label, text) in facts.into_iter().filter(|(_, text)| !text.is_empty()) {
        failure = failure.fact(label, text);
    }
    if attempt.unread.iter().any(|(_, reason)| reason.contains("passphrase")) {
        return failure.fix(
            "give the passphrase with --passphrase-file or the systemd credential forestage.passphrase, or answer when \
             asked on a terminal",
        );
    }
    if identities.is_empty() {
        return failure.fix(
            "give it an identity: sops.age.keyFile or sops.age.sshKeyPaths on NixOS, ageKeyFile or ageSshKeyPaths in a \
             manifest, --identity or SOPS_AGE_KEY_FILE on the command line",
        );
    }
    let others = identities.iter().filter(|identity| !named(identity) && !opens(identity));
    match others.flat_map(|identity| &identity.recipients).next() {
        Some(recipient) => {
            failure.fix(format!("add {recipient} to .sops.yaml, then run sops updatekeys on the file"))
        }
        None => failure,
    }
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

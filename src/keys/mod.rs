//! Identities, and how each opens a data key.
//!
//! A [`Keyring`] holds all identities of a run. Nothing about them is computed before it is needed, none is tried
//! twice on one key entry, and commands are run only after every local identity has failed. An identity that cannot
//! be read is a line in the failure, never a failure of the run. Facts: sops-format.md 4.4, 5 and 6.

pub mod age;
mod age_file;
pub mod command;
mod report;
pub mod sources;
pub mod ssh;

use std::{collections::BTreeMap, env, path::PathBuf, ptr, sync::OnceLock};

use zeroize::Zeroizing;

use crate::{
    failure::Result,
    manifest::Identities,
    root::Root,
    sops::{
        DataKey,
        metadata::{KeyEntry, KeyKind, Metadata},
        shamir,
    },
};

use self::{
    age::X25519,
    age_file::{AgeFile, Damage, dearmor},
    command::KeyCommand,
    ssh::Ed25519,
};

/// All identities of a run, and what became of the places where they were looked for.
#[derive(Default)]
pub struct Keyring {
    identities: Vec<Identity>,
    unread: Vec<Unread>,
    absent: Vec<String>,
    commands: Vec<KeyCommand>,
    /// Which identity has which recipient; made when the first file is opened.
    names: OnceLock<BTreeMap<String, usize>>,
}

/// A private key that this machine has.
pub struct Identity {
    /// Where it came from: a path or the name of a variable; several if it was found more than once.
    pub source: String,
    key: Key,
}

enum Key {
    X25519(X25519),
    /// For ssh-ed25519 stanzas, and, if `converts`, as the age identity that ssh-to-age makes of it.
    Ssh {
        key: Ed25519,
        converts: bool,
    },
}

/// A source, or a line of one, that gave no identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The path or the name of the variable.
    pub source: String,
    /// Why not.
    pub reason: String,
}

impl Identity {
    /// Its public side, as files are encrypted to it.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        match &self.key {
            Key::X25519(key) => vec![key.recipient()],
            Key::Ssh { key, converts: true } => vec![key.converted().recipient(), key.recipient()],
            Key::Ssh { key, converts: false } => vec![key.recipient()],
        }
    }

    fn x25519(&self) -> Option<&X25519> {
        match &self.key {
            Key::X25519(key) => Some(key),
            Key::Ssh { key, converts } => converts.then(|| key.converted()),
        }
    }

    fn ssh(&self) -> Option<&Ed25519> {
        match &self.key {
            Key::Ssh { key, .. } => Some(key),
            Key::X25519(_) => None,
        }
    }
}

/// How many curve operations are spent on key entries that name other recipients: names may be wrong, but ten thousand
/// entries, or identities, must not cost seconds. Half a second's worth.
const MISNAMED: usize = 8192;

/// What was learned while a file could not be opened.
#[derive(Default)]
struct Attempt {
    /// Key entries that nobody can open, and why.
    damaged: Vec<(String, Damage)>,
    /// The recipients by whose entries groups were opened.
    opened: Vec<String>,
    /// Why the parts of the data key could not be put together.
    parts: Option<&'static str>,
    /// What commands said.
    unread: Vec<Unread>,
}

impl Keyring {
    /// The identities in these files, and no others.
    #[must_use]
    pub fn from_files(paths: &[PathBuf]) -> Self {
        let mut keyring = Self::default();
        paths.iter().for_each(|path| keyring.add_file(path));
        keyring
    }

    /// The identities that sops itself would find.
    #[must_use]
    pub fn from_environment() -> Self {
        let mut keyring = Self::default();
        keyring.add_environment(|name| env::var_os(name));
        keyring
    }

    /// The identities that a manifest names, and behind them those that sops itself would find.
    ///
    /// As in sops-install-secrets, a manifest with age identities hides `SOPS_AGE_KEY_FILE`.
    #[must_use]
    pub fn from_manifest(named: &Identities, root: &Root) -> Self {
        let mut keyring = Self::default();
        named.age_key_file.iter().for_each(|path| keyring.add_age_file(&root.join(path)));
        named.age_ssh_key_paths.iter().for_each(|path| keyring.add_ssh_file(&root.join(path)));
        for path in named.ssh_key_paths.iter().chain(&named.gnupg_home) {
            keyring.skip(&path.display().to_string(), "OpenPGP keys are not supported by this build");
        }
        let hides = named.age_key_file.is_some() || !named.age_ssh_key_paths.is_empty();
        keyring.add_environment(|name| env::var_os(name).filter(|_| !(hides && name == "SOPS_AGE_KEY_FILE")));
        keyring
    }

    /// The identities, in the order in which they are tried.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// Sources and lines that gave no identity.
    #[must_use]
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }

    /// Places where an identity might have been, and nothing was.
    #[must_use]
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// Recovers the data key of a file. Fails as [`Kind::NoIdentity`](crate::failure::Kind::NoIdentity), with what the
    /// file is encrypted to and what became of each identity.
    pub fn open(&self, metadata: &Metadata) -> Result<DataKey> {
        let mut attempt = Attempt::default();
        let groups = &metadata.groups;
        let mut parts: Vec<Option<Part>> =
            groups.iter().map(|group| self.open_group(group, &mut attempt)).collect();
        if let Some(key) = whole(&parts, metadata, &mut attempt) {
            return Ok(key);
        }
        // What talks to another process comes last, and only for groups that are still closed.
        for (part, group) in parts.iter_mut().zip(groups).filter(|(part, _)| part.is_none()) {
            *part = self.commands.iter().find_map(|command| run_for_group(command, group, &mut attempt));
        }
        whole(&parts, metadata, &mut attempt).ok_or_else(|| report::no_identity(self, metadata, &attempt))
    }

    /// Opens one entry of the group with one of the identities.
    fn open_group(&self, group: &[KeyEntry], attempt: &mut Attempt) -> Option<Part> {
        if self.identities.is_empty() {
            return None;
        }
        let entries = || group.iter().filter(|entry| entry.kind == KeyKind::Age);
        // First each entry with the identity that it names.
        let mut unlimited = usize::MAX;
        for (entry, identity) in entries().filter_map(|entry| Some((entry, self.named(entry)?))) {
            match open_entry([identity].into_iter(), entry, &mut unlimited) {
                Ok(Some(part)) => {
                    attempt.opened.push(entry.recipient.clone());
                    return Some(part);
                }
                Ok(None) => {}
                Err(damage) => attempt.damaged.push((entry.recipient.clone(), damage)),
            }
        }
        let mut budget = MISNAMED;
        for entry in entries() {
            let named = self.named(entry);
            let others =
                self.identities.iter().filter(|other| named.is_none_or(|named| !ptr::eq(*other, named)));
            match open_entry(others, entry, &mut budget) {
                Ok(Some(part)) => {
                    attempt.opened.push(entry.recipient.clone());
                    return Some(part);
                }
                Ok(None) => {}
                Err(_) if named.is_some() => {}
                Err(damage) => attempt.damaged.push((entry.recipient.clone(), damage)),
            }
        }
        None
    }

    /// The identity that a key entry names.
    fn named(&self, entry: &KeyEntry) -> Option<&Identity> {
        let names = self.names.get_or_init(|| {
            let all = self.identities.iter().enumerate();
            all.flat_map(|(at, identity)| identity.recipients().into_iter().map(move |name| (name, at)))
                .collect()
        });
        self.identities.get(*names.get(name_of(&entry.recipient))?)
    }
}

/// The recipient that an entry names: SSH keys may carry a comment.
fn name_of(recipient: &str) -> &str {
    if !recipient.starts_with("ssh-") {
        return recipient;
    }
    let comment = recipient.match_indices(' ').nth(1);
    comment.and_then(|(at, _)| recipient.get(..at)).unwrap_or(recipient)
}

/// The spelling under which recipients are compared: without the comment of an SSH key, fingerprints in capitals.
#[must_use]
pub fn canonical(recipient: &str) -> String {
    let name = name_of(recipient.trim());
    match name.trim_end_matches('!') {
        fingerprint if fingerprint.len() == 40 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            fingerprint.to_ascii_uppercase()
        }
        _ => name.to_owned(),
    }
}

/// A part of the data key, or all of it.
type Part = Zeroizing<Vec<u8>>;

/// The data key, if enough parts are there.
fn whole(parts: &[Option<Part>], metadata: &Metadata, attempt: &mut Attempt) -> Option<DataKey> {
    let opened: Vec<Part> = parts.iter().flatten().cloned().collect();
    attempt.parts = None;
    if let [_] = parts {
        return opened.into_iter().next().map(DataKey::new);
    }
    if opened.len() < metadata.shamir_threshold {
        return None;
    }
    match shamir::combine(&opened) {
        Ok(key) => Some(DataKey::new(key)),
        Err(reason) => {
            attempt.parts = Some(reason);
            None
        }
    }
}

/// Opens an entry with one of the identities. `budget` is how many curve operations may still be spent.
fn open_entry<'i>(
    identities: impl Iterator<Item = &'i Identity> + Clone,
    entry: &KeyEntry,
    budget: &mut usize,
) -> std::result::Result<Option<Part>, Damage> {
    let bytes = dearmor(&entry.enc)?;
    let file = AgeFile::parse(&bytes)?;
    let cost = file.stanzas.iter().filter(|stanza| stanza.kind == age::STANZA).count();
    if cost > 0 {
        for identity in identities.clone().filter_map(Identity::x25519) {
            let Some(left) = budget.checked_sub(cost) else { break };
            *budget = left;
            if let Some(part) = file.open(identity)? {
                return Ok(Some(part));
            }
        }
    }
    // These compare a tag before they compute anything.
    for identity in identities.filter_map(Identity::ssh) {
        if let Some(part) = file.open(identity)? {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

/// Runs a command for each age entry of the group until what it prints opens the entry.
fn run_for_group(command: &KeyCommand, group: &[KeyEntry], attempt: &mut Attempt) -> Option<Part> {
    for entry in group.iter().filter(|entry| entry.kind == KeyKind::Age) {
        let found = command.run(&entry.recipient);
        match open_entry(found.identities.iter(), entry, &mut MISNAMED.clone()) {
            Ok(Some(part)) => {
                attempt.opened.push(entry.recipient.clone());
                return Some(part);
            }
            Ok(None) => {}
            Err(damage) => attempt.damaged.push((entry.recipient.clone(), damage)),
        }
        for unread in &found.unread {
            if !attempt.unread.contains(unread) {
                attempt.unread.push(unread.clone());
            }
        }
        if found.last {
            break;
        }
    }
    None
}

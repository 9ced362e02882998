//! Identities, and how each opens a data key.
//!
//! A [`Keyring`] holds all identities of a run. Nothing about them is computed before it is needed, none is tried
//! twice on one key entry, and commands are run only after every local identity has failed. An identity that cannot
//! be read is a line in the failure, never a failure of the run. Facts: sops-format.md 4.4, 5 and 6.

pub mod age;
mod age_file;
pub mod command;
#[cfg(feature = "openpgp")]
pub mod openpgp;
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
/// entries, or identities, must not cost seconds. A tenth of a second's worth.
const MISNAMED: usize = 1024;

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
        for path in paths {
            keyring.add_file(path);
        }
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
        let shown = |path: &PathBuf| root.join(path).display().to_string();
        if let Some(path) = &named.age_key_file {
            keyring.add_age_file(&shown(path), root, path);
        }
        for path in &named.age_ssh_key_paths {
            keyring.add_ssh_file(&shown(path), root, path, true);
        }
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
        fingerprint
            if fingerprint.len() == 40 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
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

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod tests {
    use super::{fixtures as f, *};
    use crate::{failure::Kind, sops::rules::Selector};

    fn entry(recipient: &str, enc: &str) -> KeyEntry {
        KeyEntry { kind: KeyKind::Age, recipient: recipient.to_owned(), enc: enc.into() }
    }

    fn metadata(groups: Vec<Vec<KeyEntry>>, shamir_threshold: usize) -> Metadata {
        Metadata {
            groups,
            shamir_threshold,
            last_modified: String::new(),
            mac: Vec::new(),
            mac_only_encrypted: false,
            selector: Selector::default(),
            version: String::new(),
        }
    }

    fn keyring(text: &str) -> Keyring {
        let mut keyring = Keyring::default();
        keyring.add_age_text("/keys.txt", text.as_bytes());
        keyring
    }

    fn opened(keyring: &Keyring, metadata: &Metadata) -> Option<Vec<u8>> {
        keyring.open(metadata).ok().map(|key| key.bytes().to_vec())
    }

    #[test]
    fn one_entry_among_others() {
        let pgp = KeyEntry { kind: KeyKind::Pgp, ..entry("AB12", "sealed") };
        let ours = || entry(f::A_PUBLIC, f::ENTRY_A);
        // The right name, a wrong name, a name that belongs to another identity of ours.
        for group in [
            vec![ours()],
            vec![pgp, entry(f::C_PUBLIC, f::PARTS[2]), entry("age1x", "damaged"), ours()],
            vec![entry("age1x", f::ENTRY_A)],
            vec![entry(f::B_PUBLIC, f::ENTRY_A), entry(f::A_PUBLIC, "damaged")],
        ] {
            let keyring = keyring(&format!("{}\n{}\n", f::B, f::A));
            assert_eq!(opened(&keyring, &metadata(vec![group], 0)).as_deref(), Some(&f::DATA_KEY_A[..]));
        }
    }

    #[test]
    fn ssh_keys_open_both_kinds_of_recipients() {
        let ssh = metadata(vec![vec![entry(&format!("{} host", f::SSH_PUBLIC), f::ENTRY_SSH)]], 0);
        let mut keyring = Keyring::default();
        keyring.add_ssh("/ssh", f::SSH.as_bytes(), true);
        assert_eq!(opened(&keyring, &ssh).as_deref(), Some(&f::DATA_KEY_SSH[..]));
        assert_eq!(keyring.identities()[0].recipients(), [f::SSH_AS_AGE, f::SSH_PUBLIC]);
        assert_eq!(opened(&keyring, &metadata(vec![vec![entry(f::A_PUBLIC, f::ENTRY_A)]], 0)), None);
        let mut other = Keyring::default();
        other.add_ssh("/ssh", f::PKCS8.as_bytes(), true);
        assert_eq!(opened(&other, &ssh), None);
    }

    #[test]
    fn groups() {
        let groups = || {
            [(f::A_PUBLIC, 0), (f::B_PUBLIC, 1), (f::C_PUBLIC, 2)]
                .map(|(recipient, at)| vec![entry(recipient, f::PARTS[at])])
                .to_vec()
        };
        for (keys, threshold, opens) in [
            (&[f::A, f::B, f::C][..], 2, true),
            (&[f::C, f::A], 2, true),
            (&[f::B, f::C], 0, true),
            (&[f::B, f::C], 3, false),
            (&[f::B], 2, false),
            (&[f::B], 0, false),
            (&[], 0, false),
        ] {
            let key = opened(&keyring(&keys.join("\n")), &metadata(groups(), threshold));
            assert_eq!(key.as_deref(), opens.then_some(&f::DATA_KEY_PARTS[..]), "{keys:?} {threshold}");
        }
        let failure = keyring(f::B).open(&metadata(groups(), 2)).err().unwrap();
        let told = failure.to_string();
        assert!(told.contains("key groups:   3, of which 2 are needed, 1 opened"), "{told}");
        assert!(told.contains("opens its key group"), "{told}");
        // One group is the whole key, whatever the threshold.
        let one = metadata(vec![vec![entry(f::A_PUBLIC, f::ENTRY_A)]], 5);
        assert_eq!(opened(&keyring(f::A), &one).as_deref(), Some(&f::DATA_KEY_A[..]));
    }

    #[test]
    fn the_failure_tells_what_was_tried_and_stays_short() {
        let mut group = vec![KeyEntry { kind: KeyKind::Pgp, ..entry("AB12\n\u{1b}[31m", "sealed") }];
        group.push(entry(f::B_PUBLIC, "sealed"));
        group.extend((0..10_000).map(|at| entry(&format!("age1{at}"), f::ENTRY_A)));
        let failure =
            keyring(&format!("{}\nnonsense\n{}", f::B, f::C)).open(&metadata(vec![group], 0)).err().unwrap();
        assert_eq!(failure.kind, Kind::NoIdentity);
        let told = failure.to_string();
        assert!(told.lines().count() < 40 && told.len() < 4000, "{told}");
        for part in [
            "encrypted to: pgp AB12\u{fffd}\u{fffd}[31m (not supported by this build)\n",
            "and 9992 more",
            &format!("/keys.txt: {}: the file names it, but its key entry does not open", f::B_PUBLIC),
            &format!("/keys.txt: {}: not among them", f::C_PUBLIC),
            "its armor begins with another line",
            "/keys.txt: line 2: not an age identity",
            &format!("add {} to .sops.yaml", f::C_PUBLIC),
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("nonsense") && !told.contains("AGE-SECRET"));
        let none = Keyring::default().open(&metadata(vec![vec![]], 0)).err().unwrap().to_string();
        assert!(none.contains("nothing: there is no identity"), "{none}");
    }

    #[test]
    fn commands_are_asked_for_what_local_identities_do_not_open() {
        let file = metadata(vec![vec![entry(f::A_PUBLIC, f::ENTRY_A)]], 0);
        let command = |line: String| {
            let mut keyring = keyring(f::B);
            keyring.commands.push(KeyCommand::new("SOPS_AGE_KEY_CMD", &line));
            keyring
        };
        let asks =
            command(format!("sh -c 'test \"$SOPS_AGE_RECIPIENT\" = {} && echo {}'", f::A_PUBLIC, f::A));
        assert_eq!(opened(&asks, &file).as_deref(), Some(&f::DATA_KEY_A[..]));
        for (line, reason) in [
            ("false".to_owned(), "false failed (exit status: 1)"),
            ("/nonexistent".to_owned(), "cannot run /nonexistent: No such file"),
            ("echo \"".to_owned(), "it has a quote or backslash without its end"),
            (String::new(), "it is empty"),
            (format!("echo X{}", f::A), "line 1: not an age identity"),
        ] {
            let told = command(line).open(&file).err().unwrap().to_string();
            assert!(told.contains(&format!("SOPS_AGE_KEY_CMD: {reason}")), "{told}");
        }
        // Not run when it is not needed.
        let mut local = command("false".to_owned());
        local.add_age_text("/a", f::A.as_bytes());
        assert!(opened(&local, &file).is_some());
    }
}

//! Opening the data key of a file with the identities of a run: by the names in its key entries, then by trying, and then with
//! the help of other processes and of people.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::{
    failure,
    sops::{
        DataKey,
        metadata::{KeyEntry, KeyKind, Metadata},
        shamir,
    },
};

#[cfg(feature = "openpgp")]
use super::openpgp;
use super::{
    Keyring, Reason,
    age_file::{AgeFile, Damage, dearmor},
    identity::{Identity, Kinds},
    later::Turn,
    name_of,
    place::Place,
    report,
};

/// How many curve operations are spent on key entries that name other recipients: names may be wrong, but ten thousand
/// entries, or identities, must not cost seconds. A tenth of a second's worth.
pub(super) const MISNAMED: usize = 1024;

/// Who helps to open a group that no identity of this machine opens.
#[derive(Clone, Copy)]
enum Help {
    Commands,
    Gpg,
    Later(Turn),
}

/// In this order, for all groups that are still closed: no person is asked while a program may do.
const HELP: [Help; 4] = [Help::Commands, Help::Gpg, Help::Later(Turn::Process), Help::Later(Turn::Person)];

/// What was learned while a file could not be opened.
#[derive(Default)]
pub(super) struct Attempt {
    /// The recipients of key entries that nobody can open, and why.
    pub(super) damaged: BTreeMap<String, Reason>,
    /// The recipients by whose entries groups were opened.
    pub(super) opened: Vec<String>,
    /// Why the parts of the data key could not be put together.
    pub(super) parts: Option<&'static str>,
    /// Why what needs another process or a person gave nothing: the place, and the reason.
    pub(super) unread: Vec<(String, Reason)>,
}

impl Keyring {
    /// The identities of the places that may hold one of these kinds.
    fn identities_of(&self, kinds: Kinds) -> impl Iterator<Item = &Identity> {
        let places = self.places.iter().filter(move |place| place.holds.meets(kinds));
        places.flat_map(|place| &place.found().identities)
    }

    /// Recovers the data key of a file. Fails as [`Kind::NoIdentity`](crate::failure::Kind::NoIdentity), with what the
    /// file is encrypted to and what became of each identity.
    pub fn open(&self, metadata: &Metadata) -> failure::Result<DataKey> {
        let mut attempt = Attempt::default();
        let groups = &metadata.groups;
        let mut parts: Vec<Option<Part>> =
            groups.iter().map(|group| self.open_group(group, &mut attempt)).collect();
        if let Some(key) = whole(&parts, metadata, &mut attempt) {
            return Ok(key);
        }
        for help in HELP {
            for (at, group) in groups.iter().enumerate() {
                let Some(part @ None) = parts.get_mut(at) else { continue };
                *part = self.ask_for_group(help, group, &mut attempt);
                if part.is_some()
                    && let Some(key) = whole(&parts, metadata, &mut attempt)
                {
                    return Ok(key);
                }
            }
        }
        Err(report::no_identity(self, metadata, &attempt))
    }

    /// Opens one entry of the group with an identity that this machine has.
    fn open_group(&self, group: &[KeyEntry], attempt: &mut Attempt) -> Option<Part> {
        let entries: Vec<&KeyEntry> = age(group).collect();
        self.open_named(&entries, attempt)
            .or_else(|| self.open_misnamed(&entries, attempt))
            .or_else(|| self.open_openpgp(group, attempt))
    }

    /// Opens one of the pgp entries. The message itself names its recipients.
    #[cfg(feature = "openpgp")]
    fn open_openpgp(&self, group: &[KeyEntry], attempt: &mut Attempt) -> Option<Part> {
        let places = self.places.iter().filter(|place| place.holds.meets(Kinds::OPENPGP));
        if group.iter().any(|entry| entry.kind == KeyKind::Pgp) {
            // A message that is damaged asks for no key, and what was tried is to be told.
            places.clone().for_each(|place| {
                place.found();
            });
        }
        group.iter().filter(|entry| entry.kind == KeyKind::Pgp).find_map(|entry| {
            let keys = places.clone().flat_map(|place| &place.found().openpgp);
            attempt.note(entry, openpgp::open(keys, &entry.enc))
        })
    }

    /// Lets gpg open one of the pgp entries.
    #[cfg(feature = "openpgp")]
    fn ask_gpg(&self, group: &[KeyEntry], attempt: &mut Attempt) -> Option<Part> {
        for (place, gpg) in self.places.iter().filter_map(|place| Some((place, place.gpg()?))) {
            // gpg has nothing more to use, unless a key is protected, on a card, or of a form that only it knows.
            let found = place.found();
            let has_more =
                !found.unread.is_empty() || found.openpgp.iter().any(|key| key.unusable().is_some());
            for entry in group.iter().filter(|entry| entry.kind == KeyKind::Pgp) {
                if !has_more && !attempt.damaged.contains_key(&entry.recipient) {
                    continue;
                }
                match gpg.open(&entry.enc) {
                    Ok(part) => return attempt.note(entry, Ok::<_, Damage>(Some(part))),
                    Err(reason) => attempt.note_unread(place, &reason),
                }
            }
        }
        None
    }

    #[cfg(not(feature = "openpgp"))]
    #[expect(clippy::unused_self)]
    fn ask_gpg(&self, _: &[KeyEntry], _: &mut Attempt) -> Option<Part> {
        None
    }

    #[cfg(not(feature = "openpgp"))]
    #[expect(clippy::unused_self)]
    fn open_openpgp(&self, _: &[KeyEntry], _: &mut Attempt) -> Option<Part> {
        None
    }

    /// Opens one of the age entries with an identity that it names.
    fn open_named(&self, entries: &[&KeyEntry], attempt: &mut Attempt) -> Option<Part> {
        let asked = entries.iter().fold(Kinds::NONE, |all, entry| all.and(Kinds::named(entry)));
        let mut names = BTreeMap::new();
        names.extend(entries.iter().rev().map(|entry| (name_of(&entry.recipient), *entry)));
        for place in self.places.iter().filter(|place| place.holds.meets(asked)) {
            let identities = &place.found().identities;
            for identity in identities {
                let entry = match (entries, identities.as_slice()) {
                    // Its own name costs an identity more than trying it.
                    ([only], [_]) => Some(*only),
                    _ => identity.recipients().iter().find_map(|own| names.get(own.as_str()).copied()),
                };
                let Some(entry) = entry else { continue };
                let opened = open_entry([identity].into_iter(), entry, &mut usize::MAX.clone());
                if let Some(part) = attempt.note(entry, opened) {
                    return Some(part);
                }
            }
        }
        None
    }

    /// Opens one of the age entries with any identity: what an entry says of its recipient may be wrong.
    fn open_misnamed(&self, entries: &[&KeyEntry], attempt: &mut Attempt) -> Option<Part> {
        let mut budget = MISNAMED;
        entries.iter().find_map(|entry| {
            let opened = open_file(entry, |file| {
                let asked =
                    file.stanzas.iter().fold(Kinds::NONE, |all, it| all.and(Kinds::of_stanza(it.kind)));
                open_with(self.identities_of(asked), file, &entry.recipient, &mut budget)
            });
            attempt.note(entry, opened)
        })
    }

    fn ask_for_group(&self, help: Help, group: &[KeyEntry], attempt: &mut Attempt) -> Option<Part> {
        match help {
            Help::Commands => self.ask_commands(group, attempt),
            Help::Gpg => self.ask_gpg(group, attempt),
            Help::Later(turn) => self.ask_later(turn, group, attempt),
        }
    }

    /// Opens one of the age entries with an identity that a command prints.
    fn ask_commands(&self, group: &[KeyEntry], attempt: &mut Attempt) -> Option<Part> {
        for (place, command) in self.places.iter().filter_map(|place| Some((place, place.command()?))) {
            for entry in age(group).filter(|entry| {
                let asked = Kinds::named(entry);
                asked == Kinds::NONE || place.holds.meets(asked)
            }) {
                let run = command.run(&entry.recipient);
                let opened = open_entry(run.found.identities.iter(), entry, &mut MISNAMED.clone());
                if let Some(part) = attempt.note(entry, opened) {
                    return Some(part);
                }
                run.found.unread.iter().for_each(|reason| attempt.note_unread(place, reason));
                if run.is_last {
                    break;
                }
            }
        }
        None
    }

    /// Opens one of the age entries with an identity that takes a plugin or a passphrase.
    fn ask_later(&self, turn: Turn, group: &[KeyEntry], attempt: &mut Attempt) -> Option<Part> {
        for entry in age(group) {
            let Ok(bytes) = dearmor(&entry.enc) else { continue };
            let Ok(file) = AgeFile::parse(&bytes) else { continue };
            let asked = file.stanzas.iter().fold(Kinds::NONE, |all, it| all.and(Kinds::of_stanza(it.kind)));
            for place in self.places.iter().filter(|place| place.holds.meets(asked)) {
                for later in place.found().later.iter().filter(|later| later.turn() == turn) {
                    match later.open(&place.source, &file, &entry.recipient, &self.outside) {
                        Ok(opened) => {
                            if let Some(part) = attempt.note(entry, Ok::<_, Damage>(opened)) {
                                return Some(part);
                            }
                        }
                        Err(reason) => attempt.note_unread(place, &reason),
                    }
                }
            }
        }
        None
    }
}

fn age(group: &[KeyEntry]) -> impl Iterator<Item = &KeyEntry> {
    group.iter().filter(|entry| entry.kind == KeyKind::Age)
}

impl Attempt {
    /// Keeps in mind why a place gave nothing.
    fn note_unread(&mut self, place: &Place, reason: &Reason) {
        let known = |(source, told): &(String, Reason)| *source == place.source && told == reason;
        if !self.unread.iter().any(known) {
            self.unread.push((place.source.clone(), reason.clone()));
        }
    }

    /// Keeps in mind what became of an entry.
    fn note(&mut self, entry: &KeyEntry, opened: Result<Option<Part>, impl Into<Reason>>) -> Option<Part> {
        match opened {
            Ok(part) => {
                if part.is_some() {
                    self.opened.push(entry.recipient.clone());
                }
                part
            }
            Err(damage) => {
                self.damaged.entry(entry.recipient.clone()).or_insert_with(|| damage.into());
                None
            }
        }
    }
}

/// A part of the data key, or all of it.
pub(super) type Part = Zeroizing<Vec<u8>>;

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
    identities: impl Iterator<Item = &'i Identity>,
    entry: &KeyEntry,
    budget: &mut usize,
) -> Result<Option<Part>, Damage> {
    open_file(entry, |file| open_with(identities, file, &entry.recipient, budget))
}

fn open_file<T>(entry: &KeyEntry, open: impl FnOnce(&AgeFile) -> Result<T, Damage>) -> Result<T, Damage> {
    let bytes = dearmor(&entry.enc)?;
    open(&AgeFile::parse(&bytes)?)
}

pub(super) fn open_with<'i>(
    identities: impl Iterator<Item = &'i Identity>,
    file: &AgeFile,
    recipient: &str,
    budget: &mut usize,
) -> Result<Option<Part>, Damage> {
    for identity in identities {
        if let Some(part) = identity.open(file, recipient, budget)? {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{command::KeyCommand, fixtures as f, found::Content, place::Origin},
        *,
    };
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

    fn add(keyring: &mut Keyring, source: &str, content: Content, text: &str) {
        let text = Origin::Text(content, Zeroizing::new(text.into()));
        keyring.places.push(Place::new(source, Kinds::ALL, text));
    }

    fn keyring(text: &str) -> Keyring {
        let mut keyring = Keyring::default();
        add(&mut keyring, "/keys.txt", Content::Age, text);
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
        add(&mut keyring, "/ssh", Content::Ssh { converts: true }, f::SSH);
        assert_eq!(opened(&keyring, &ssh).as_deref(), Some(&f::DATA_KEY_SSH[..]));
        assert_eq!(keyring.identities()[0].recipients, [f::SSH_AS_AGE, f::SSH_PUBLIC]);
        assert_eq!(opened(&keyring, &metadata(vec![vec![entry(f::A_PUBLIC, f::ENTRY_A)]], 0)), None);
        let mut other = Keyring::default();
        add(&mut other, "/ssh", Content::Ssh { converts: true }, f::PKCS8);
        assert_eq!(opened(&other, &ssh), None);
    }

    #[cfg(all(feature = "post-quantum", feature = "ssh-rsa"))]
    #[test]
    fn places_are_read_for_the_kinds_that_a_file_asks_for() {
        let mut keyring = Keyring::default();
        let unreadable = || Origin::Unusable("it was looked at");
        for kinds in [Kinds::POST_QUANTUM, Kinds::SSH, Kinds::PLUGIN] {
            keyring.places.push(Place::new("other", kinds, unreadable()));
        }
        add(&mut keyring, "/keys.txt", Content::Age, f::B);
        assert!(keyring.open(&metadata(vec![vec![entry(f::A_PUBLIC, f::ENTRY_A)]], 0)).is_err());
        assert_eq!(keyring.unread().count(), 0);
        let ssh = vec![vec![entry("ssh-rsa AAAA", f::ENTRY_SSH)]];
        assert!(keyring.open(&metadata(ssh, 0)).is_err());
        assert_eq!(keyring.unread().count(), 1);
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
        assert!(told.contains("identities of more of its key groups"), "{told}");
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
            "encrypted to: pgp AB12\u{fffd}\u{fffd}[31m",
            "and 9992 more",
            &format!("/keys.txt: {}: the file names it, but its key entry does not open", f::B_PUBLIC),
            &format!("/keys.txt: {}: not among them", f::C_PUBLIC),
            "its armor begins with another line",
            "/keys.txt: line 2: not an age identity",
            "take the file from before its key entry was damaged",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("nonsense") && !told.contains("AGE-SECRET"));
        let others = metadata(vec![vec![entry(f::B_PUBLIC, "sealed")]], 0);
        let told = keyring(f::C).open(&others).err().unwrap().to_string();
        assert!(told.contains(&format!("add {} to .sops.yaml", f::C_PUBLIC)), "{told}");
        let none = Keyring::default().open(&metadata(vec![vec![]], 0)).err().unwrap().to_string();
        assert!(none.contains("nothing: there is no identity"), "{none}");
        let pgp = KeyEntry { kind: KeyKind::Pgp, ..entry("AB12", "sealed") };
        let none = Keyring::default().open(&metadata(vec![vec![pgp]], 0)).err().unwrap().to_string();
        assert!(none.contains("give it an OpenPGP key: sops.gnupg.home"), "{none}");
        let empty = keyring("# nothing\n").open(&others).err().unwrap().to_string();
        assert!(empty.contains("nothing: no identity could be read"), "{empty}");
        assert!(empty.contains("/keys.txt: it holds no identity"), "{empty}");
    }

    #[test]
    fn commands_are_asked_for_what_local_identities_do_not_open() {
        let file = metadata(vec![vec![entry(f::A_PUBLIC, f::ENTRY_A)]], 0);
        let command = |line: String| {
            let mut keyring = keyring(f::B);
            let command = Origin::Command(KeyCommand::new(&line, Content::Age));
            keyring.places.push(Place::new("SOPS_AGE_KEY_CMD", Kinds::AGE, command));
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
        add(&mut local, "/a", Content::Age, f::A);
        assert!(opened(&local, &file).is_some());
    }
}

//! A GnuPG home, read without gpg: `private-keys-v1.d` with the public side from `pubring.kbx`, `pubring.gpg` or keyboxd's
//! `public-keys.d/pubring.db`, and the old `secring.gpg`.
//!
//! gpg-agent's files hold bare numbers. What makes a key of them, its creation time above all, which is part of the
//! fingerprint, stands on the public side: the two are joined by their public numbers. Keys behind a passphrase and on
//! smartcards are found too; they say why they open nothing. Facts: sops-format.md 5.3.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
};

use zeroize::Zeroizing;

use crate::{input, plaintext::Plaintext, root::Root};

use super::{
    Reason,
    agent_key::{AgentKey, PublicNumber},
    key::{Key, Part},
    keybox, keyboxd,
    packets::{Fields, Packets, tag},
};

/// What a home holds.
#[derive(Default)]
pub struct Found {
    /// Its secret keys, those that cannot be used among them.
    pub keys: Vec<Key>,
    /// Files that could not be read or understood, by their paths, and why.
    pub unread: Vec<(String, Reason)>,
}

/// The largest keyring that is read (64 MiB), and the largest file of gpg-agent (64 KiB).
const MAX_RING: u64 = 64 << 20;
const MAX_AGENT_KEY: u64 = 64 << 10;
/// So many files of gpg-agent are read.
const MAX_FILES: usize = 1024;

/// Reads the GnuPG home at `home` in `root`. Files that are not there are no matter: nothing found is nothing.
#[must_use]
pub fn read(root: &Root, home: &Path) -> Found {
    let mut found = Found::default();
    let secring = home.join("secring.gpg");
    if let Some(file) = found.file(root, &secring, MAX_RING) {
        match Key::read_all(&file) {
            Ok(keys) => found.keys = keys,
            Err(reason) => found.skip(root, &secring, reason),
        }
    }
    let secrets = agent_keys(root, home, &mut found);
    if secrets.is_empty() {
        return found;
    }
    let rings = ["pubring.kbx", "pubring.gpg", "public-keys.d/pubring.db"];
    let [keybox, keyring, database] = &rings.map(|name| found.file(root, &home.join(name), MAX_RING));
    // What the old keyring has is not looked for again.
    let usable = found.keys.iter().filter(|key| key.unusable().is_none());
    let mut joined = Joined {
        known: usable.filter_map(|key| Some(key.parts.first()?.fingerprint.clone())).collect(),
        secrets,
        keys: std::mem::take(&mut found.keys),
    };
    if let Some(keybox) = keybox {
        keybox::keys(keybox).for_each(|packets| joined.add(packets));
    }
    if let Some(keyring) = keyring {
        joined.add(keyring);
    }
    if let Some(database) = database {
        keyboxd::keys(database).for_each(|packets| joined.add(&packets));
    }
    found.keys = joined.keys;
    for secret in joined.secrets.into_values().filter(|secret| !secret.taken) {
        let reason = "no public key in this home belongs to it";
        found.unread.push((secret.path, reason.into()));
    }
    found
}

/// A secret key of gpg-agent.
struct Secret {
    path: String,
    numbers: Result<Zeroizing<Vec<u8>>, Reason>,
    /// Whether a public key belongs to it.
    taken: bool,
}

type Secrets = BTreeMap<PublicNumber, Secret>;

impl Found {
    /// A file's bytes, if it is there.
    fn file(&mut self, root: &Root, path: &Path, max_size: u64) -> Option<Plaintext> {
        match input::read_file(root, path, max_size) {
            Ok(file) => Some(file),
            Err(_) if root.open(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) => {
                None
            }
            Err(failure) => {
                self.skip(root, path, failure.headline.into());
                None
            }
        }
    }

    fn skip(&mut self, root: &Root, path: &Path, reason: Reason) {
        self.unread.push((root.join(path).display().to_string(), reason));
    }
}

/// The secret keys of gpg-agent.
fn agent_keys(root: &Root, home: &Path, found: &mut Found) -> Secrets {
    let directory = home.join("private-keys-v1.d");
    let names = names(root, &directory).unwrap_or_else(|reason| {
        found.skip(root, &directory, reason);
        Vec::new()
    });
    if names.len() > MAX_FILES {
        found.skip(root, &directory, format!("only the first {MAX_FILES} keys were read").into());
    }
    let mut secrets = Secrets::new();
    for name in names.iter().take(MAX_FILES) {
        let path = directory.join(name);
        let Some(file) = found.file(root, &path, MAX_AGENT_KEY) else { continue };
        match AgentKey::read(&file) {
            Ok(Some(AgentKey { public, secret })) => {
                let path = root.join(&path).display().to_string();
                secrets.entry(public).or_insert(Secret { path, numbers: secret, taken: false });
            }
            Ok(None) => {}
            Err(reason) => found.skip(root, &path, reason),
        }
    }
    secrets
}

/// The names of key files, sorted; none if the directory is not there.
fn names(root: &Root, directory: &Path) -> Result<Vec<OsString>, Reason> {
    let mut names = root.list(directory).map_err(|failure| failure.headline)?;
    names.retain(|name| Path::new(name).extension().is_some_and(|end| end == "key"));
    names.sort_unstable();
    Ok(names)
}

/// Keys made of public keys and the secrets that belong to them.
struct Joined {
    secrets: Secrets,
    keys: Vec<Key>,
    /// The fingerprints of keys that are there.
    known: BTreeSet<Vec<u8>>,
}

impl Joined {
    /// Adds the public keys in these packets for which there is a secret. Damage ends them; what was read until there
    /// counts.
    fn add(&mut self, packets: &[u8]) {
        let mut parts = Vec::new();
        for packet in Packets(packets).map_while(Result::ok) {
            match packet.tag {
                tag::PUBLIC_KEY => self.push(std::mem::take(&mut parts)),
                tag::PUBLIC_SUBKEY if !parts.is_empty() => {}
                _ => continue,
            }
            let Ok(Some(mut part)) = Part::public(&mut Fields(&packet.body)) else { continue };
            let secret = PublicNumber::of(&part).and_then(|public| self.secrets.get_mut(&public));
            let taken = secret.map(|secret| {
                secret.taken = true;
                part.secret.clone_from(&secret.numbers);
            });
            parts.push((part, taken.is_some()));
        }
        self.push(parts);
    }

    fn push(&mut self, parts: Vec<(Part, bool)>) {
        let Some((first, _)) = parts.first() else { return };
        if parts.iter().any(|(_, taken)| *taken) && self.known.insert(first.fingerprint.clone()) {
            self.keys.push(Key { parts: parts.into_iter().map(|(part, _)| part).collect() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{
        super::{armor, fixtures as f, open, packets::push_packet},
        *,
    };

    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Self {
            let home = PathBuf::from(format!("/dev/shm/forestage-gnupg-{name}-{}", std::process::id()));
            fs::create_dir_all(home.join("private-keys-v1.d")).unwrap();
            Self(home)
        }

        fn write(&self, name: &str, bytes: &[u8]) -> &Self {
            fs::write(self.0.join(name), bytes).unwrap();
            self
        }

        fn read(&self) -> Found {
            read(&Root::system(), &self.0)
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn binary(text: &str) -> Vec<u8> {
        armor::blocks(text.as_bytes()).unwrap()[0].bytes.to_vec()
    }

    /// A key of the fixtures as gpg-agent keeps it: the file of its subkey.
    fn agent_file(key: &str) -> Vec<u8> {
        let key = Key::read_all(key.as_bytes()).unwrap().remove(0);
        let part = key.parts.iter().find(|part| part.decrypts()).unwrap();
        let (_, public) = public_number(part);
        let secret = part.secret.as_ref().unwrap();
        let number = Fields(secret).mpi().unwrap();
        let atom = |bytes: &[u8]| [format!("{}:", bytes.len()).as_bytes(), bytes].concat();
        [b"(11:private-key(3:ecc(5:curve1:x)(1:q", &*atom(&public), b")(1:d", &*atom(number), b")))"].concat()
    }

    fn public_number(part: &Part) -> (u8, Vec<u8>) {
        let mut fields = Fields(&part.public);
        fields.short().unwrap();
        (part.algorithm, fields.mpi().unwrap().to_vec())
    }

    #[test]
    fn agent_keys_join_their_public_side() {
        let home = Home::new("joins");
        assert!(home.read().keys.is_empty() && home.read().unread.is_empty());
        home.write("private-keys-v1.d/A.key", &agent_file(f::CV));
        let lost = home.read();
        assert!(lost.keys.is_empty() && lost.unread[0].1.starts_with("no public key"), "{:?}", lost.unread);
        let others = binary(f::SSH_RSA_TO_PUBLIC);
        home.write("pubring.gpg", &[others, binary(f::CV_PUBLIC)].concat());
        let found = home.read();
        assert_eq!((found.keys.len(), found.unread.len()), (1, 0));
        assert_eq!(found.keys[0].fingerprint(), "02A8130FFEACF57CBDB533FA65C812608025409E");
        let opened = open(&found.keys, f::CV_MESSAGE.as_bytes()).unwrap();
        assert_eq!(opened.as_deref().map(Vec::as_slice), Some(&f::DATA[..]));
        // The public side is with keyboxd.
        fs::remove_file(home.0.join("pubring.gpg")).unwrap();
        fs::create_dir(home.0.join("public-keys.d")).unwrap();
        home.write("public-keys.d/pubring.db", f::KEYBOXD);
        let found = home.read();
        assert_eq!((found.keys.len(), found.unread.len()), (1, 0));
        assert!(open(&found.keys, f::CV_MESSAGE.as_bytes()).unwrap().is_some());
        // Protected: known, and no use.
        let file = agent_file(f::CV);
        let start = b"(21:protected-private-key";
        home.write("private-keys-v1.d/A.key", &[&start[..], &file[15..]].concat());
        let found = home.read();
        let reason = open(&found.keys, f::CV_MESSAGE.as_bytes()).unwrap_err();
        let expected = "the secret part of its key 02A8130FFEACF57CBDB533FA65C812608025409E is protected by a passphrase";
        assert!(reason.starts_with(expected), "{reason}");
        // What is no key is said.
        home.write("private-keys-v1.d/B.key", b"nonsense").write("private-keys-v1.d/note.txt", b"nonsense");
        home.write("secring.gpg", &binary(f::CV_MESSAGE));
        let unread = home.read().unread;
        assert_eq!(unread.len(), 2, "{unread:?}");
        assert!(unread[0].0.ends_with("/secring.gpg") && unread[0].1.contains("no key"));
        assert!(unread[1].0.ends_with("/B.key") && unread[1].1.starts_with("it is damaged"));
        // The old keyring alone.
        home.write("secring.gpg", &binary(f::CV));
        assert!(open(&home.read().keys, f::CV_MESSAGE.as_bytes()).unwrap().is_some());
    }

    #[test]
    fn hostile_homes_cost_little() {
        let home = Home::new("hostile");
        for at in 0..1100 {
            home.write(&format!("private-keys-v1.d/{at}.key"), &agent_file(f::CV));
        }
        let mut ring = Vec::new();
        for packet in Packets(&binary(f::CV_PUBLIC)).map(Result::unwrap) {
            push_packet(&mut ring, packet.tag, &packet.body);
        }
        home.write("pubring.gpg", &ring.repeat(20));
        let start = std::time::Instant::now();
        let found = home.read();
        assert_eq!((found.keys.len(), found.unread.len()), (1, 1), "{:?}", found.unread);
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

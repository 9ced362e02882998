//! What is checked, by name.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use forestage::{
    keys::openpgp::{
        Key,
        from_ssh::{RsaNumbers, SALT, user_id},
        gnupg_home::{self, Found},
        gpg::Gpg,
        open,
    },
    root::Root,
    sops::{DataKey, SopsFile, formats::Format, metadata::KeyKind},
};

use crate::{
    gnupg::{DATA, Gnupg, Home, KINDS, Scratch},
    modern, tools,
};

/// A check, and what it needs. Some give the reason why they were skipped.
pub enum Check {
    Gpg(fn(&Stage)),
    GpgAndMore(fn(&Stage) -> Result<(), String>),
    /// A gpg of version 2.3 at least.
    ModernGpg(fn(&Stage)),
    Alone(fn() -> Result<(), String>),
}

pub const ALL: [(&str, Check); 15] = [
    ("every_kind_from_everywhere", Check::Gpg(every_kind_from_everywhere)),
    ("every_way_to_encrypt", Check::Gpg(every_way_to_encrypt)),
    ("several_and_hidden_recipients", Check::Gpg(several_and_hidden_recipients)),
    ("expired_and_revoked_keys", Check::Gpg(expired_and_revoked_keys)),
    ("every_part_of_a_key", Check::Gpg(every_part_of_a_key)),
    ("protected_keys", Check::Gpg(protected_keys)),
    ("the_old_keyring", Check::Gpg(the_old_keyring)),
    ("a_home_inside_another_root", Check::Gpg(a_home_inside_another_root)),
    ("no_agent_is_left_behind", Check::Gpg(no_agent_is_left_behind)),
    ("files_of_sops", Check::GpgAndMore(files_of_sops)),
    ("packet_20", Check::ModernGpg(modern::packet_20)),
    ("keys_of_version_5", Check::ModernGpg(modern::keys_of_version_5)),
    ("curves_that_only_gpg_has", Check::ModernGpg(modern::curves_that_only_gpg_has)),
    ("messages_of_go_crypto", Check::Alone(messages_of_go_crypto)),
    ("the_bytes_of_ssh_to_pgp", Check::Alone(the_bytes_of_ssh_to_pgp)),
];

/// A home with a key of each kind; a modern gpg's keyboxd keeps the public ones.
pub struct Stage {
    pub gnupg: Gnupg,
    pub home: Home,
    fingerprints: BTreeMap<&'static str, String>,
    /// The home, read directly.
    pub found: Found,
}

impl Stage {
    pub fn new(gnupg: &Gnupg) -> Self {
        let home = Home::new(gnupg, &format!("kinds-{}", gnupg.version));
        if gnupg.is_modern() {
            home.use_keyboxd();
        }
        let made = KINDS.map(|(name, key, subkey)| (name, home.make(name, key, subkey, None)));
        let found = gnupg_home::read(&Root::system(), home.path());
        assert!(found.unread.is_empty(), "{:?}", found.unread);
        Self { gnupg: gnupg.clone(), home, fingerprints: made.into_iter().collect(), found }
    }

    fn exported(&self, name: &str, options: &[&str]) -> Vec<u8> {
        self.home.gpg(&[options, &["--export-secret-keys", name]].concat(), b"")
    }

    fn key(&self, name: &str) -> Vec<Key> {
        Key::read_all(&self.exported(name, &["--armor"])).unwrap()
    }
}

pub fn opened<'k>(
    keys: impl IntoIterator<Item = &'k Key, IntoIter: Clone>,
    message: &[u8],
) -> Option<Vec<u8>> {
    open(keys, message).unwrap().map(|data| data.to_vec())
}

fn every_kind_from_everywhere(stage: &Stage) {
    assert_eq!(stage.found.keys.len(), KINDS.len());
    let gpg = stage.home.by_gpg();
    for (at, (name, ..)) in KINDS.iter().enumerate() {
        let message = stage.home.encrypt(&["-r", name]);
        let keys = stage.key(name);
        assert_eq!(keys[0].fingerprint(), stage.fingerprints[name]);
        assert_eq!(opened(&keys, &message).as_deref(), Some(&DATA[..]), "{name}, armoured");
        let keys = Key::read_all(&stage.exported(name, &[])).unwrap();
        assert_eq!(opened(&keys, &message).as_deref(), Some(&DATA[..]), "{name}, binary");
        assert_eq!(opened(&stage.found.keys, &message).as_deref(), Some(&DATA[..]), "{name}, from the home");
        let others = stage.found.keys.iter().filter(|key| key.fingerprint() != stage.fingerprints[name]);
        assert_eq!(opened(others.collect::<Vec<_>>(), &message), None, "{name}");
        // Two are enough of what takes time.
        if at % 4 == 3 {
            assert_eq!(gpg.open(&message).as_deref().map(Vec::as_slice), Ok(&DATA[..]), "{name}, by gpg");
        }
    }
}

fn every_way_to_encrypt(stage: &Stage) {
    // Without which a modern gpg refuses.
    const OLD: &str = "--allow-old-cipher-algos";
    let keys = &stage.found.keys;
    for options in [
        &["--cipher-algo", "AES128"][..],
        &["--cipher-algo", "AES192"],
        &["--cipher-algo", "3DES", OLD],
        &["--cipher-algo", "CAST5", OLD],
        &["--compress-algo", "none"],
        &["--compress-algo", "zip"],
        &["--compress-algo", "zlib"],
        &["--textmode"],
        &["--sign", "-u", "cv25519"],
        &["--sign", "-u", "rsa2048", "--compress-algo", "none"],
        &["--no-armor"],
        &["--comment", "a: b", "--set-filename", "name"],
    ] {
        let known = options.iter().filter(|option| **option != OLD || stage.gnupg.is_modern());
        let message =
            stage.home.encrypt(&[&["-r", "cv25519"], &*known.copied().collect::<Vec<_>>()].concat());
        assert_eq!(opened(keys, &message).as_deref(), Some(&DATA[..]), "{options:?}");
    }
    let message = stage.home.encrypt(&["-r", "cv25519", "--compress-algo", "bzip2"]);
    let reason = open(keys, &message).unwrap_err();
    assert!(reason.contains("bzip2"), "{reason}");
    assert_eq!(stage.home.by_gpg().open(&message).as_deref().map(Vec::as_slice), Ok(&DATA[..]));
    // Long enough to come in pieces, and too long to be a data key.
    let long = stage
        .home
        .gpg(&["--armor", "--encrypt", "-r", "cv25519", "--compress-algo", "none"], &vec![7; 50_000]);
    assert_eq!(opened(keys, &long), Some(vec![7; 50_000]));
    for zeros in [70_000, 20_000_000] {
        let bomb = stage.home.gpg(&["--encrypt", "-r", "cv25519"], &vec![0; zeros]);
        let start = Instant::now();
        assert_eq!(&*open(keys, &bomb).unwrap_err(), "it holds more than 65536 bytes, and a data key has 32");
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

fn several_and_hidden_recipients(stage: &Stage) {
    let names = KINDS.map(|(name, ..)| name);
    let all: Vec<&str> = names.iter().flat_map(|name| ["-r", name]).collect();
    let hidden: Vec<&str> = names.iter().flat_map(|name| ["-R", name]).collect();
    let mixed: Vec<&str> = ["-r", "rsa2048", "-R", "cv25519", "-r", "nistp256", "-R", "elgamal"].to_vec();
    for (way, names) in
        [(all, &names[..]), (hidden, &names[..]), (mixed, &["rsa2048", "cv25519", "nistp256", "elgamal"])]
    {
        let message = stage.home.encrypt(&way);
        for name in names {
            assert_eq!(opened(&stage.key(name), &message).as_deref(), Some(&DATA[..]), "{way:?} {name}");
        }
    }
    let for_others = stage.home.encrypt(&["-R", "rsa2048", "-R", "cv25519"]);
    assert_eq!(opened(&stage.key("rsa3072"), &for_others), None);
    assert_eq!(opened(&stage.key("nistp384"), &for_others), None);
}

fn expired_and_revoked_keys(stage: &Stage) {
    let home = Home::new(&stage.gnupg, "old");
    let then = ["--faked-system-time", "20200101T000000!"];
    home.gpg(&[&then[..], &["--quick-gen-key", "expired", "ed25519", "sign,cert", "1d"]].concat(), b"");
    let fingerprint = home.fingerprint("expired");
    home.gpg(&[&then[..], &["--quick-add-key", &fingerprint, "cv25519", "encr", "1d"]].concat(), b"");
    let expired = home.encrypt(&[&then[..], &["-r", "expired"]].concat());
    let fingerprint = home.make("revoked", "EDDSA\nKey-Curve: ed25519", "ECDH\nSubkey-Curve: cv25519", None);
    let revoked = home.encrypt(&["-r", "revoked"]);
    let revocation =
        fs::read_to_string(home.path().join(format!("openpgp-revocs.d/{fingerprint}.rev"))).unwrap();
    home.gpg(&["--import"], revocation.replace(":-----BEGIN", "-----BEGIN").as_bytes());
    let list = home.gpg(&["--with-colons", "--list-keys"], b"");
    let list = String::from_utf8(list).unwrap();
    assert!(list.contains("pub:e:") && list.contains("pub:r:"), "{list}");
    let found = gnupg_home::read(&Root::system(), home.path());
    for message in [expired, revoked] {
        let keys = Key::read_all(&home.gpg(&["--armor", "--export-secret-keys"], b"")).unwrap();
        assert_eq!(opened(&keys, &message).as_deref(), Some(&DATA[..]));
        assert_eq!(opened(&found.keys, &message).as_deref(), Some(&DATA[..]));
        assert_eq!(home.by_gpg().open(&message).as_deref().map(Vec::as_slice), Ok(&DATA[..]));
    }
}

fn every_part_of_a_key(stage: &Stage) {
    let home = Home::new(&stage.gnupg, "parts");
    // Its primary key encrypts too.
    let batch = "Key-Type: RSA\nKey-Length: 2048\nKey-Usage: cert,sign,encrypt\nName-Real: parts\nExpire-Date: 0\n\
                 %no-protection\n%commit\n";
    home.gpg(&["--gen-key"], batch.as_bytes());
    let fingerprint = home.fingerprint("parts");
    for kind in ["rsa2048", "cv25519", "nistp256", "nistp521"] {
        home.gpg(&["--quick-add-key", &fingerprint, kind, "encr", "never"], b"");
    }
    let list = String::from_utf8(home.gpg(&["--with-colons", "--list-keys", "parts"], b"")).unwrap();
    let parts: Vec<_> = list.lines().filter_map(|line| line.strip_prefix("fpr:::::::::")).collect();
    assert_eq!(parts.len(), 5, "{list}");
    let exported = Key::read_all(&home.gpg(&["--export-secret-keys"], b"")).unwrap();
    let subkeys = Key::read_all(&home.gpg(&["--export-secret-subkeys"], b"")).unwrap();
    let found = gnupg_home::read(&Root::system(), home.path());
    assert_eq!((found.keys.len(), found.unread.len()), (1, 0), "{:?}", found.unread);
    for (at, part) in parts.iter().map(|part| format!("{}!", part.trim_end_matches(':'))).enumerate() {
        for way in ["-r", "-R"] {
            let message = home.encrypt(&[way, &part]);
            assert_eq!(opened(&exported, &message).as_deref(), Some(&DATA[..]), "{way} {part}");
            assert_eq!(opened(&found.keys, &message).as_deref(), Some(&DATA[..]), "{way} {part}");
            if at > 0 {
                assert_eq!(opened(&subkeys, &message).as_deref(), Some(&DATA[..]), "{way} {part}");
            }
        }
    }
    let reason = open(&subkeys, &home.encrypt(&["-r", &format!("{fingerprint}!")])).unwrap_err();
    assert!(reason.ends_with("is not here: it was exported without it"), "{reason}");
}

fn protected_keys(stage: &Stage) {
    let home = Home::new(&stage.gnupg, "locked");
    let passphrase = ["--passphrase", "open"];
    let (key, subkey) = ("RSA\nKey-Length: 2048", "RSA\nSubkey-Length: 2048");
    let fingerprint = home.make("locked", key, subkey, Some("open"));
    let message = home.encrypt(&["-r", "locked"]);
    let exported = home.gpg(&[&passphrase[..], &["--armor", "--export-secret-keys"]].concat(), b"");
    let exported = Key::read_all(&exported).unwrap();
    let found = gnupg_home::read(&Root::system(), home.path());
    assert!(found.unread.is_empty(), "{:?}", found.unread);
    for keys in [&exported, &found.keys] {
        assert!(keys[0].unusable().unwrap().contains("protected by a passphrase"));
        let reason = open(keys, &message).unwrap_err();
        assert!(reason.contains(&fingerprint) && reason.contains("protected by a passphrase"), "{reason}");
    }
    home.quiet();
    let gpg = home.by_gpg();
    let start = Instant::now();
    let reason = gpg.open(&message).unwrap_err();
    assert!(reason.starts_with("gpg failed (exit status: 2); it said: gpg: "), "{reason}");
    assert!(start.elapsed() < Duration::from_secs(10));
    home.wait_until_quiet();
    // An agent that knows the passphrase opens it, and is left alone.
    home.gpg(&[&passphrase[..], &["--decrypt"]].concat(), &message);
    let agents = home.agents();
    assert_eq!(agents.len(), 1);
    assert_eq!(gpg.open(&message).as_deref().map(Vec::as_slice), Ok(&DATA[..]));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(home.agents(), agents);
}

fn the_old_keyring(stage: &Stage) {
    let old = Home::new(&stage.gnupg, "old-ring");
    fs::write(old.path().join("secring.gpg"), stage.home.gpg(&["--export-secret-keys"], b"")).unwrap();
    let found = gnupg_home::read(&Root::system(), old.path());
    assert_eq!((found.keys.len(), found.unread.len()), (KINDS.len(), 0), "{:?}", found.unread);
    for (name, ..) in KINDS {
        let message = stage.home.encrypt(&["-r", name]);
        assert_eq!(opened(&found.keys, &message).as_deref(), Some(&DATA[..]), "{name}");
    }
    // The public side in the old form, the secrets with the agent.
    let mixed = Home::new(&stage.gnupg, "old-public");
    fs::write(mixed.path().join("pubring.gpg"), stage.home.gpg(&["--export"], b"")).unwrap();
    fs::create_dir(mixed.path().join("private-keys-v1.d")).unwrap();
    for file in fs::read_dir(stage.home.path().join("private-keys-v1.d")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), mixed.path().join("private-keys-v1.d").join(file.file_name())).unwrap();
    }
    let found = gnupg_home::read(&Root::system(), mixed.path());
    assert_eq!((found.keys.len(), found.unread.len()), (KINDS.len(), 0), "{:?}", found.unread);
}

fn a_home_inside_another_root(stage: &Stage) {
    let root = Root::at(stage.home.path()).unwrap();
    let found = gnupg_home::read(&root, Path::new("/"));
    assert_eq!((found.keys.len(), found.unread.len()), (KINDS.len(), 0), "{:?}", found.unread);
    let nothing = gnupg_home::read(&root, Path::new("/nowhere"));
    assert!(nothing.keys.is_empty() && nothing.unread.is_empty());
}

fn no_agent_is_left_behind(stage: &Stage) {
    stage.home.quiet();
    let message = stage.home.encrypt(&["-r", "cv25519"]);
    let gpg = stage.home.by_gpg();
    stage.home.quiet();
    assert_eq!(gpg.open(&message).as_deref().map(Vec::as_slice), Ok(&DATA[..]));
    stage.home.wait_until_quiet();
    // Nor by one that is stopped because it hangs after it has started its agent.
    let bin = Home::new(&stage.gnupg, "hangs");
    let script = bin.path().join("gpg");
    let gpg = stage.gnupg.gpg.display();
    fs::write(&script, format!("#!/bin/sh\n{gpg} \"$@\" >/dev/null\necho done >&2\nsleep 1000\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    // That of the other gpg in PATH may know nothing of keyboxd.
    symlink(stage.gnupg.gpg.with_file_name("gpgconf"), bin.path().join("gpgconf")).unwrap();
    let start = Instant::now();
    let reason = Gpg::new(&script, stage.home.path()).open(&message).unwrap_err();
    assert!(reason.contains("did not end within") && reason.ends_with("done"), "{reason}");
    assert!(start.elapsed() < Duration::from_secs(11), "{:?}", start.elapsed());
    stage.home.wait_until_quiet();
}

fn files_of_sops(stage: &Stage) -> Result<(), String> {
    let sops = tools::sops("3.12.2")?;
    // With the old public keyring sops encrypts by itself, without by gpg.
    let old = Home::new(&stage.gnupg, "sops");
    fs::write(old.path().join("pubring.gpg"), stage.home.gpg(&["--export"], b"")).unwrap();
    let recipients = KINDS.map(|(name, ..)| stage.fingerprints[name].as_str()).join(",");
    for home in [stage.home.path(), old.path()] {
        let plain = home.join("plain.yaml");
        fs::write(&plain, "key: value\n").unwrap();
        let mut command = Command::new(&sops);
        command.args(["--encrypt", "--pgp", &recipients]).arg(&plain);
        command.env("SOPS_GPG_EXEC", &stage.gnupg.gpg);
        let output = command.env("GNUPGHOME", home).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = || SopsFile::parse(Format::Yaml, output.stdout.clone().into()).unwrap();
        let entries: Vec<_> =
            file().metadata.groups.into_iter().flatten().filter(|entry| entry.kind == KeyKind::Pgp).collect();
        assert_eq!(entries.len(), KINDS.len());
        // As sops itself opens it.
        let sealed = home.join("sealed.yaml");
        fs::write(&sealed, &output.stdout).unwrap();
        let mut command = Command::new(&sops);
        command.arg("--decrypt").arg(&sealed).stdin(Stdio::null());
        command.env("SOPS_GPG_EXEC", &stage.gnupg.gpg).env("GNUPGHOME", stage.home.path());
        let theirs = command.output().unwrap();
        assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
        for entry in entries {
            let key = stage.found.keys.iter().filter(|key| key.fingerprint() == entry.recipient);
            let key = open(key, &entry.enc).unwrap().unwrap();
            let document = file().decrypt(&DataKey::new(key)).unwrap();
            assert_eq!(&*document.emit(Format::Yaml).unwrap(), theirs.stdout, "{}", entry.recipient);
        }
    }
    Ok(())
}

fn messages_of_go_crypto() -> Result<(), String> {
    let directory = Scratch::new("go");
    let program = tools::go_crypto()?;
    let data = directory.path().join("data");
    fs::write(&data, DATA).unwrap();
    let mut command = Command::new(program);
    let status = command.arg(directory.path()).stdin(fs::File::open(&data).unwrap()).status().unwrap();
    assert!(status.success());
    let mut count = 0;
    for file in fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_none_or(|end| end != "message") {
            continue;
        }
        let name = file.file_stem().unwrap().to_str().unwrap();
        let kind: Vec<&str> = name.splitn(3, '-').collect();
        let key = directory.path().join(format!("{}-{}.key", kind[0], kind[1]));
        let keys = Key::read_all(&fs::read(key).unwrap()).unwrap();
        let message = fs::read(&file).unwrap();
        count += 1;
        if kind[1] == "brainpool" {
            // Hidden recipients are tried without a word.
            let reason = open(&keys, &message).err();
            assert!(kind[2].contains("hidden") || reason.unwrap().contains("lies on brainpoolP"));
            continue;
        }
        assert_eq!(opened(&keys, &message).as_deref(), Some(&DATA[..]), "{name}");
    }
    assert_eq!(count, 56);
    Ok(())
}

fn the_bytes_of_ssh_to_pgp() -> Result<(), String> {
    let program = tools::ssh_to_pgp()?;
    let directory = Scratch::new("ssh");
    let user = user_id("root", "Imported from SSH", "root@localhost").unwrap();
    for bits in ["2048", "3072", "4096"] {
        let path = directory.path().join(bits);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "rsa", "-b", bits, "-m", "PEM", "-N", "", "-C", "", "-f"]).arg(&path);
        assert!(command.status().unwrap().success());
        let text = fs::read_to_string(&path).unwrap();
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let numbers = integers(&BASE64_STANDARD.decode(body).unwrap());
        let key =
            RsaNumbers { n: &numbers[1], e: &numbers[2], d: &numbers[3], p: &numbers[4], q: &numbers[5] };
        for private in [false, true] {
            let mut command = Command::new(&program);
            command.arg("-i").arg(&path).args(private.then_some("-private-key"));
            let output = command.output().unwrap();
            assert!(output.status.success());
            let fingerprint = key.key().unwrap().fingerprint();
            assert_eq!(String::from_utf8(output.stderr).unwrap().trim().to_uppercase(), fingerprint);
            let theirs = String::from_utf8(output.stdout).unwrap();
            let salt = salt(&theirs);
            let ours = if private {
                key.to_private_armor(&user, &salt).unwrap().to_string()
            } else {
                key.to_public_armor(&user, &salt).unwrap()
            };
            assert_eq!(ours, theirs);
        }
    }
    Ok(())
}

/// The random bytes that go-crypto put into a signature.
fn salt(armored: &str) -> [u8; SALT] {
    let lines = armored.lines().skip(1).filter(|line| !line.starts_with(['-', '=']));
    let bytes = BASE64_STANDARD.decode(lines.collect::<String>()).unwrap();
    let name = b"salt@notations.openpgpjs.org";
    let at = bytes.windows(name.len()).position(|part| part == name).unwrap() + name.len();
    bytes[at..at + SALT].try_into().unwrap()
}

/// The integers of an ASN.1 sequence.
fn integers(der: &[u8]) -> Vec<Vec<u8>> {
    fn length(at: &mut usize, der: &[u8]) -> usize {
        *at += 1;
        let first = usize::from(der[*at - 1]);
        if first < 0x80 {
            return first;
        }
        let count = first - 0x80;
        *at += count;
        der[*at - count..*at].iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
    }
    let mut at = 1;
    length(&mut at, der);
    let mut integers = Vec::new();
    while der.get(at) == Some(&2) {
        at += 1;
        let length = length(&mut at, der);
        integers.push(der[at..at + length].to_vec());
        at += length;
    }
    integers
}

//! Every kind of age identity, against the programs that make them: real age 1.3.1, ssh-keygen and systemd's agents
//! make keys, ciphertexts and answers in the run, and the library opens them. What is missing is skipped by name.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agents;
mod tools;

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use forestage::keys::{
    age::X25519,
    age_encrypted::EncryptedIdentities,
    age_file::{AgeFile, Unwrap, dearmor},
    kind::AgeKind,
    passphrase::{Passphrases, Policy, Refused},
    plugin::{Nobody, Plugin, Surroundings},
    post_quantum::PostQuantum,
    ssh::{Key, to_age},
};

use tools::{Scratch, age, age_keygen, batchpass, have, output, say, text};

const DATA_KEY: &[u8] = b"sixteen by sixteen is a data key";

/// What real age encrypts to these recipients, as sops would keep it.
fn sealed(age: &Path, recipients: &[&str]) -> Vec<u8> {
    let arguments = recipients.iter().flat_map(|recipient| ["-r", recipient]);
    output(Command::new(age).arg("-a").args(arguments), DATA_KEY)
}

fn opened(identity: &dyn Unwrap, file: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let file = dearmor(file)?;
    AgeFile::parse(&file)?.open(identity).map(|bytes| bytes.map(|bytes| bytes.to_vec()))
}

fn unwraps(key: &Key) -> &dyn Unwrap {
    match key {
        Key::Ed25519(key) => key,
        Key::Rsa(key) => key.as_ref(),
        Key::Protected(_) => panic!("still protected"),
    }
}

/// Identities of real age open what it encrypts; those that we make are identities to it.
#[test]
fn native_identities() {
    let (Some(age), Some(keygen)) = (age(), age_keygen()) else { return };
    let scratch = Scratch::new();
    for post_quantum in [false, true] {
        let made = text(Command::new(&keygen).args(post_quantum.then_some("-pq")));
        let made = made.lines().find(|line| line.starts_with("AGE-")).unwrap().to_owned();
        let ours =
            if post_quantum { PostQuantum::generate().identity() } else { X25519::generate().identity() };
        for identity in [made, ours.to_string()] {
            let path = scratch.0.join("identity");
            fs::write(&path, &identity).unwrap();
            let recipient = text(Command::new(&keygen).arg("-y").arg(&path));
            let file = sealed(&age, &[&recipient]);
            let (own, kind, key) = if post_quantum {
                let key = PostQuantum::parse(&identity).unwrap();
                (key.recipient(), AgeKind::PostQuantum, opened(&key, &file))
            } else {
                let key = X25519::parse(&identity).unwrap();
                (key.recipient(), AgeKind::X25519, opened(&key, &file))
            };
            assert_eq!(own, recipient);
            assert_eq!(AgeKind::of_recipient(&recipient), kind);
            assert_eq!(key, Ok(Some(DATA_KEY.to_vec())), "{identity}");
            let stranger: &dyn Unwrap =
                if post_quantum { &PostQuantum::generate() } else { &X25519::generate() };
            assert_eq!(opened(stranger, &file), Ok(None));
        }
    }
}

/// Runs ssh-keygen.
fn ssh_keygen(arguments: &[&str], path: &Path) -> String {
    text(Command::new("ssh-keygen").args(arguments).arg("-f").arg(path))
}

/// Keys of every type, size and form that ssh-keygen writes, with and without a passphrase.
#[test]
fn ssh_keys() {
    let Some(age) = age() else { return };
    if !have("ssh-keygen") {
        return;
    }
    let scratch = Scratch::new();
    let mut tried = 0;
    for (kind, bits) in [("ed25519", "256"), ("rsa", "2048"), ("rsa", "3072"), ("rsa", "4096")] {
        let path = scratch.0.join(format!("{kind}-{bits}"));
        ssh_keygen(&["-q", "-t", kind, "-b", bits, "-N", "", "-C", "user@host"], &path);
        let public = fs::read_to_string(path.with_extension("pub")).unwrap();
        let recipient = public.trim_end().strip_suffix(" user@host").unwrap();
        let file = sealed(&age, &[public.trim_end()]);
        let forms: &[&str] = if kind == "rsa" { &["RFC4716", "PEM", "PKCS8"] } else { &["RFC4716"] };
        for form in forms {
            ssh_keygen(&["-q", "-p", "-P", "", "-N", "", "-m", form], &path);
            let key = Key::parse(&fs::read(&path).unwrap()).unwrap();
            assert_eq!(key.recipient().as_deref(), Some(recipient), "{kind} {bits} {form}");
            assert_eq!(opened(unwraps(&key), &file), Ok(Some(DATA_KEY.to_vec())), "{kind} {bits} {form}");

            ssh_keygen(&["-q", "-p", "-P", "", "-N", "correct horse", "-m", form, "-a", "2"], &path);
            let Key::Protected(key) = Key::parse(&fs::read(&path).unwrap()).unwrap() else {
                panic!("{form}")
            };
            assert!(key.recipient().is_none_or(|known| known == recipient));
            assert!(matches!(key.unlock(b"wrong"), Err(Refused::Wrong)), "{kind} {bits} {form}");
            let mut key = key;
            key.set_public(&public);
            let key = key.unlock(b"correct horse");
            let key = key.unwrap_or_else(|refused| panic!("{kind} {bits} {form}: {refused:?}"));
            assert_eq!(opened(unwraps(&key), &file), Ok(Some(DATA_KEY.to_vec())), "{kind} {bits} {form}");
            ssh_keygen(&["-q", "-p", "-P", "correct horse", "-N", ""], &path);
            tried += 1;
        }
        // Another key's stanza.
        let other = scratch.0.join(format!("{kind}-other"));
        ssh_keygen(&["-q", "-t", kind, "-b", "2048", "-N", "", "-C", ""], &other);
        assert_eq!(opened(unwraps(&Key::parse(&fs::read(&other).unwrap()).unwrap()), &file), Ok(None));
        fs::remove_file(&other).unwrap();
    }
    assert_eq!(tried, 10);
}

/// Every cipher that this ssh-keygen protects keys with.
#[test]
fn ssh_ciphers() {
    if !have("ssh-keygen") || !have("ssh") {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.0.join("key");
    ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-C", ""], &path);
    let public = fs::read_to_string(path.with_extension("pub")).unwrap();
    let ciphers = text(Command::new("ssh").args(["-Q", "cipher"]));
    let mut tried = Vec::new();
    for cipher in ciphers.lines() {
        ssh_keygen(&["-q", "-p", "-P", "", "-N", "correct horse", "-a", "1", "-Z", cipher], &path);
        match Key::parse(&fs::read(&path).unwrap()) {
            Ok(Key::Protected(key)) => {
                let key =
                    key.unlock(b"correct horse").unwrap_or_else(|refused| panic!("{cipher}: {refused:?}"));
                assert_eq!(key.recipient().as_deref(), Some(public.trim_end()), "{cipher}");
                tried.push(cipher);
            }
            Ok(_) => panic!("{cipher}: not protected"),
            Err(reason) => {
                // Old ones, which ssh-keygen has not chosen since 2013.
                assert!(["3des-cbc", "rijndael-cbc@lysator.liu.se"].contains(&cipher), "{cipher}: {reason}");
                assert!(reason.contains("cipher that is not supported"), "{cipher}: {reason}");
            }
        }
        ssh_keygen(&["-q", "-p", "-P", "correct horse", "-N", ""], &path);
    }
    assert!(tried.contains(&"aes256-gcm@openssh.com") && tried.len() > 5, "{tried:?}");
}

/// One file for recipients of several kinds: each identity opens it.
#[test]
fn several_stanzas() {
    let (Some(age), true) = (age(), have("ssh-keygen")) else { return };
    let scratch = Scratch::new();
    let native = X25519::generate();
    let keys = ["ed25519", "rsa"].map(|kind| {
        let path = scratch.0.join(kind);
        ssh_keygen(&["-q", "-t", kind, "-b", "2048", "-N", "", "-C", ""], &path);
        Key::parse(&fs::read(path).unwrap()).unwrap()
    });
    let [ed25519, rsa] = keys.each_ref().map(|key| key.recipient().unwrap());
    let converted = to_age(&ed25519).unwrap();
    let file = sealed(&age, &[&rsa, &native.recipient(), &ed25519]);
    for identity in [&native as &dyn Unwrap, unwraps(&keys[0]), unwraps(&keys[1])] {
        assert_eq!(opened(identity, &file), Ok(Some(DATA_KEY.to_vec())));
    }
    let kinds = [&rsa, &native.recipient(), &ed25519, &converted].map(|text| AgeKind::of_recipient(text));
    assert_eq!(kinds, [AgeKind::SshRsa, AgeKind::X25519, AgeKind::SshEd25519, AgeKind::X25519]);
    let Key::Ed25519(key) = &keys[0] else { panic!("not ed25519") };
    assert_eq!(opened(key.converted(), &file), Ok(None));
    let file = sealed(&age, &[&converted]);
    assert_eq!(opened(key.converted(), &file), Ok(Some(DATA_KEY.to_vec())));
}

/// What real age encrypts with a passphrase, by its plugin for machines.
fn with_passphrase(age: &Path, batchpass: &Path, armored: bool, work: &str, content: &[u8]) -> Vec<u8> {
    let path = std::env::join_paths([batchpass.parent().unwrap(), Path::new("/usr/bin")]).unwrap();
    let mut command = Command::new(age);
    command.args(["-e", "-j", "batchpass"]).args(armored.then_some("-a")).env("PATH", path);
    command.env("AGE_PASSPHRASE", "correct horse").env("AGE_PASSPHRASE_WORK_FACTOR", work);
    output(&mut command, content)
}

/// Identity files behind a passphrase, of sizes around those of the parts that they are encrypted in.
#[test]
fn encrypted_identity_files() {
    let (Some(age), Some(batchpass)) = (age(), batchpass()) else { return };
    let identity = X25519::generate().identity();
    for (armored, work, size) in [
        (true, "18", 80),
        (false, "10", 80),
        (false, "10", 64 * 1024 - 1),
        (true, "10", 64 * 1024),
        (false, "10", 64 * 1024 + 1),
        (false, "10", 128 * 1024),
        (true, "10", 1_000_000),
    ] {
        let mut content = format!("{}\n", *identity).into_bytes();
        content.resize(size, b'#');
        let file = with_passphrase(&age, &batchpass, armored, work, &content);
        let file = EncryptedIdentities::parse(&file).unwrap();
        assert!(**file.open(b"correct horse").unwrap() == *content, "{size} bytes");
        assert_eq!(file.open(b"correct hors").map(drop), Err(Refused::Wrong));
    }
    // What is cut after a whole part is not taken for complete.
    let file = with_passphrase(&age, &batchpass, false, "10", &vec![b'#'; 128 * 1024]);
    let header = file.len() - 2 * (64 * 1024 + 16);
    for end in [file.len() - 1, header + 64 * 1024 + 16, header, header - 1] {
        let told = EncryptedIdentities::parse(&file[..end]).unwrap().open(b"correct horse").map(drop);
        assert!(matches!(told, Err(Refused::Damaged(_))), "{end}: {told:?}");
    }
    let text = sealed(&age, &[&X25519::generate().recipient()]);
    let told = EncryptedIdentities::parse(&text).map(drop);
    assert_eq!(told, Err("it is encrypted, but not with a passphrase"));
}

/// A passphrase that a file gives opens an identity file and a protected SSH key.
#[test]
fn a_given_passphrase_opens_both() {
    let (Some(age), Some(batchpass)) = (age(), batchpass()) else { return };
    if !have("ssh-keygen") {
        return;
    }
    let scratch = Scratch::new();
    let (given, path) = (scratch.0.join("passphrase"), scratch.0.join("key"));
    fs::write(&given, "correct horse\n").unwrap();
    let passphrases = Passphrases::new(Policy { file: Some(given), ..Policy::default() });
    let file = with_passphrase(&age, &batchpass, true, "10", b"text");
    let file = EncryptedIdentities::parse(&file).unwrap();
    let text = passphrases.unlock("the file", |passphrase| file.open(passphrase)).unwrap();
    assert_eq!(**text, *b"text");
    ssh_keygen(&["-q", "-t", "ed25519", "-N", "correct horse"], &path);
    let Key::Protected(key) = Key::parse(&fs::read(&path).unwrap()).unwrap() else { panic!("not protected") };
    assert!(passphrases.unlock("the key", |passphrase| key.unlock(passphrase)).is_ok());
}

/// A real plugin.
#[test]
fn age_plugin_batchpass() {
    let (Some(age), Some(batchpass)) = (age(), batchpass()) else { return };
    let file = dearmor(&with_passphrase(&age, &batchpass, true, "10", DATA_KEY)).unwrap();
    let file = AgeFile::parse(&file).unwrap();
    let other = dearmor(&sealed(&age, &[&X25519::generate().recipient()])).unwrap();
    let other = AgeFile::parse(&other).unwrap();
    // What `age -j batchpass` makes of the name.
    let plugin = Plugin::parse("AGE-PLUGIN-BATCHPASS-1JCS0Q9").unwrap();
    assert_eq!(plugin.name(), "batchpass");
    let open = |file: &AgeFile<'_>, variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let surroundings = Surroundings::new(vec![batchpass.clone()], variables);
        plugin.open(file, &surroundings, &Nobody).map(|bytes| bytes.map(|bytes| bytes.to_vec()))
    };
    assert_eq!(open(&file, &[("AGE_PASSPHRASE", "correct horse")]), Ok(Some(DATA_KEY.to_vec())));
    for (file, variables, reason) in [
        (&file, &[("AGE_PASSPHRASE", "wrong")][..], "incorrect passphrase"),
        (&file, &[], "AGE_PASSPHRASE_FD must be set"),
        (&other, &[("AGE_PASSPHRASE", "correct horse")], "file is not passphrase-encrypted"),
    ] {
        let told = open(file, variables).unwrap_err();
        assert!(told.starts_with("age-plugin-batchpass ") && told.contains(reason), "{told}");
    }
    let nowhere = Surroundings {
        places: vec!["/nonexistent".into()],
        environment: BTreeMap::new(),
        limit: Duration::MAX,
    };
    assert!(plugin.open(&file, &nowhere, &Nobody).unwrap_err().contains("not found in /nonexistent"));
}

use std::{sync::Mutex, time::Instant};

use super::*;
use crate::keys::{
    age_file::dearmor,
    fixtures::{ENTRY_A, ENTRY_SSH},
};

const PLUGINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/plugins");

fn plugin(name: &str) -> Plugin {
    let prefix = format!("AGE-PLUGIN-{}-", name.to_uppercase());
    Plugin::parse(&bech32::encode_secret(&prefix, b"")).unwrap()
}

/// Somebody with answers, who notes the questions.
#[derive(Default)]
struct Answers {
    pin: &'static str,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    fn note(&self, question: &str) {
        self.asked.lock().unwrap().push(question.to_owned());
    }
}

impl Person for Answers {
    fn tell(&self, message: &str) -> bool {
        self.note(message);
        true
    }

    fn secret(&self, question: &str) -> Result<Plaintext, String> {
        self.note(question);
        Ok(self.pin.into())
    }

    fn public(&self, question: &str) -> Result<Plaintext, String> {
        self.note(question);
        Ok("me".into())
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Result<bool, String> {
        self.note(&format!("{question} {yes} {no:?}"));
        Ok(true)
    }
}

fn surroundings(limit: Duration) -> Surroundings {
    let variables = [("PATH", "/usr/bin:/bin"), ("AGE_X", "1"), ("SOPS_AGE_KEY", "AGE-SECRET")];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    Surroundings { limit, ..Surroundings::new(vec![PLUGINS.into()], variables) }
}

fn key_of(name: &str, limit: Duration, person: &dyn Person) -> Result<Option<[u8; 16]>, Reason> {
    let file = dearmor(ENTRY_A.as_bytes()).unwrap();
    let file = AgeFile::parse(&file).unwrap();
    plugin(name).file_key(&file, &surroundings(limit), person).map(|key| key.map(|key| *key))
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn names() {
    for (prefix, name) in [
        ("AGE-PLUGIN-YUBIKEY-", Some("yubikey")),
        ("AGE-PLUGIN-A-B.C_D+1-", Some("a-b.c_d+1")),
        ("AGE-PLUGIN--", None),
        ("AGE-PLUGIN-", None),
        ("AGE-PLUGIN-YUBIKEY", None),
        ("AGE-PLUGIN-../../BIN/SH-", None),
        ("AGE-PLUGIN-A/B-", None),
        ("AGE-PLUGIN-A B-", None),
        ("AGE-SECRET-KEY-", None),
    ] {
        let text = bech32::encode_secret(prefix, b"abc");
        assert_eq!(Plugin::parse(&text).map(|plugin| plugin.name).as_deref(), name, "{prefix}");
    }
    let text = bech32::encode_secret("AGE-PLUGIN-X-", b"abc");
    for wrong in [text.to_lowercase(), text.replace('Q', "P"), format!("{} ", *text), String::new()] {
        assert!(*wrong == **text || Plugin::parse(&wrong).is_none(), "{wrong}");
    }
    assert!(plugin("x").same(&plugin("x")) && !plugin("x").same(&plugin("y")));
}

#[test]
fn where_it_is_looked_for() {
    let (there, elsewhere) = (PathBuf::from(PLUGINS), PathBuf::from("/nonexistent"));
    let program = there.join("age-plugin-answers");
    for (places, found) in [
        (vec![elsewhere.clone(), there.clone()], Ok(program.clone())),
        (vec![program.clone()], Ok(program.clone())),
        (vec![there.join("age-plugin-hangs")], Err("age-plugin-answers was not found in")),
        (vec![elsewhere], Err("age-plugin-answers was not found in /nonexistent")),
        (vec!["tests/data/plugins".into()], Err("age-plugin-answers was not found in tests")),
        (vec![], Err("no directory for plugins is set")),
    ] {
        match (plugin("answers").find(&places), found) {
            (Ok(path), found) => assert_eq!(Ok(path), found),
            (Err(told), found) => assert!(told.contains(found.as_ref().unwrap_err()), "{told}"),
        }
    }
    // Not executable.
    assert!(plugin("plain").find(&[there]).is_err());
}

#[test]
fn plugins_that_answer() {
    let key = Ok(Some([1; 16]));
    assert_eq!(key_of("answers", LONG, &Nobody), key);
    assert_eq!(key_of("noisy", LONG, &Nobody), key);
    assert_eq!(key_of("other", LONG, &Nobody), Ok(None));
    let person = Answers { pin: "1234", ..Answers::default() };
    assert_eq!(key_of("asks", LONG, &person), key);
    let asked = person.asked.into_inner().unwrap();
    assert_eq!(asked, ["PIN?", "name", "sure? yep Some(\"nope\")", "touch"]);
}

#[test]
fn plugins_that_fail() {
    let start = Instant::now();
    let short = Duration::from_secs(1);
    for (name, limit, reason) in [
        ("nowhere", LONG, "age-plugin-nowhere was not found in"),
        ("hangs", short, "age-plugin-hangs did not finish within 1 s"),
        ("deaf", short, "age-plugin-deaf did not finish within 1 s"),
        ("garbage", LONG, "age-plugin-garbage prints what is not a message of the plugin protocol"),
        ("half", LONG, "age-plugin-half ended before it was done"),
        ("wide", LONG, "age-plugin-wide prints what is not a message of the plugin protocol"),
        ("short", LONG, "age-plugin-short gives a key of a wrong form"),
        ("index", LONG, "age-plugin-index gives a key of a wrong form"),
        ("floods", LONG, "age-plugin-floods prints what is not a message of the plugin protocol"),
        ("chatty", LONG, "age-plugin-chatty sends more than 1000 messages"),
        ("fails", LONG, "age-plugin-fails ended before it was done (exit status: 3): no card"),
        ("refuses", LONG, "age-plugin-refuses says: card is locked"),
        ("asks", LONG, "age-plugin-asks says: its question was not answered: nobody may be asked; wrong PIN"),
    ] {
        let told = key_of(name, limit, &Nobody).unwrap_err();
        assert!(told.contains(reason), "{name}: {told}");
    }
    for (name, step) in [
        ("nowhere", Some("install age-plugin-nowhere, or name its directory with --plugin-path")),
        (
            "asks",
            Some("run it on a terminal and without --no-prompt, where the plugin's question can be answered"),
        ),
        ("refuses", None),
    ] {
        assert_eq!(key_of(name, LONG, &Nobody).unwrap_err().next_step("").as_deref(), step, "{name}");
    }
    let told = key_of("asks", LONG, &Answers { pin: "1", ..Answers::default() }).unwrap_err();
    assert_eq!(told, "age-plugin-asks says: wrong PIN");
    assert!(start.elapsed() < LONG);
}

#[test]
fn what_a_plugin_sees() {
    let told = key_of("tells", LONG, &Nobody).unwrap_err();
    for part in ["AGE_X=1", "PATH=/usr/bin:/bin", "directory /", "stanzas 0 X25519 "] {
        assert!(told.contains(part), "{told}");
    }
    for part in ["SOPS", "CARGO", "HOME="] {
        assert!(!told.contains(part), "{told}");
    }
    let file = dearmor(ENTRY_SSH.as_bytes()).unwrap();
    let file = AgeFile::parse(&file).unwrap();
    let wrong = plugin("answers").open(&file, &surroundings(LONG), &Nobody);
    assert_eq!(wrong.unwrap_err(), "the MAC of its age header does not match");
}

#[cfg(feature = "passphrase")]
#[test]
fn nobody_is_asked_without_leave() {
    let told = key_of("asks", LONG, &crate::keys::passphrase::Passphrases::default()).unwrap_err();
    assert!(told.contains("nobody may be asked"), "{told}");
}

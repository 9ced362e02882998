//! Nothing secret is left in the memory of the program when it ends: what it held was wiped when it was dropped.
//!
//! The whole memory that the program can write to, heap and stacks, is taken when it calls `exit_group` and searched for
//! the identity, the data key and the plaintext.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod program;
mod watch;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use forestage::{
    input,
    keys::Keyring,
    sops::{SopsFile, formats::Format},
};
use watch::{Watch, read_report, watched};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/hostile");

/// Something that must not be left, and what it is.
type Needle = (&'static str, Vec<u8>);

/// A directory in RAM, since a dump may hold secrets; removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = Path::new("/dev/shm").join(format!("forestage-lifetime-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Which needles the program leaves behind.
fn left(scratch: &Scratch, arguments: &[&str], needles: &[Needle]) -> Vec<&'static str> {
    let mut command: Vec<OsString> = vec![program::path().into()];
    command.extend(arguments.iter().map(OsString::from));
    let [dump, report] = ["dump", "report"].map(|name| scratch.0.join(name));
    let status = watched(Watch::Dump(&dump), &report, &command)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "watch.c failed");
    let report = read_report(&report);
    assert_eq!((report.end.as_str(), report.status), ("exit", 0), "{arguments:?}");
    let memory = fs::read(&dump).unwrap();
    // What is surely there tells that the dump is one.
    let holds = |bytes: &[u8]| memory.windows(bytes.len()).any(|part| part == bytes);
    assert!(holds(arguments.last().unwrap().as_bytes()), "the dump does not hold the arguments");
    needles.iter().filter(|(_, bytes)| holds(bytes)).map(|(what, _)| *what).collect()
}

#[test]
fn nothing_is_left() {
    let scratch = Scratch::new("age");
    let (key, file) = (PathBuf::from(format!("{DATA}/key.txt")), PathBuf::from(format!("{DATA}/whole.yaml")));
    let text = fs::read_to_string(&key).unwrap();
    let identity = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap();
    let secret = bech32::decode(identity).unwrap().1;
    let sops = SopsFile::parse(Format::Yaml, input::read(&file, input::MAX_SIZE).unwrap()).unwrap();
    let data_key = Keyring::from_files(std::slice::from_ref(&key)).open(&sops.metadata).unwrap();
    let needles: Vec<Needle> = vec![
        ("identity", identity.as_bytes().to_vec()),
        ("secret key", secret),
        ("data key", data_key.bytes().to_vec()),
        ("plaintext", b"CANARY".to_vec()),
    ];
    let (key, file) = (key.to_str().unwrap(), file.to_str().unwrap());
    assert_eq!(left(&scratch, &["decrypt", "--identity", key, file], &needles), Vec::<&str>::new());
}

//! Nothing secret is left in the memory of the program when it ends: what it held was wiped when it was dropped.
//!
//! The whole memory that the program can write to, heap and stacks, is taken when it calls `exit_group` and searched for
//! the private key, the data key and the plaintext.

use std::{ffi::OsString, fs, path::PathBuf, process::Stdio};

use base64::{Engine, prelude::BASE64_STANDARD};
use forestage::{
    input,
    keys::Keyring,
    sops::{SopsFile, formats::Format},
};

use crate::{
    desk::Desk,
    program,
    watch::{Watch, read_report, watched},
};

/// Something that must not be left, and what it is.
type Needle = (String, Vec<u8>);

/// Which needles the program leaves behind.
fn left(desk: &Desk, arguments: &[&str], needles: &[Needle]) -> Vec<String> {
    let mut command: Vec<OsString> = vec![program::path().into()];
    command.extend(arguments.iter().map(OsString::from));
    let [dump, report] = ["dump", "report"].map(|name| desk.path(name));
    let status = watched(Watch::Dump(&dump), &report, &command)
        .env_clear()
        .current_dir(desk.path(""))
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
    needles.iter().filter(|(_, bytes)| holds(bytes)).map(|(what, _)| what.clone()).collect()
}

/// The data key of a file, by this identity.
fn data_key(desk: &Desk, identity: &str) -> Vec<u8> {
    let sops = input::read(&desk.path("file.yaml"), input::MAX_SIZE).unwrap();
    let sops = SopsFile::parse(Format::Yaml, sops).unwrap();
    let identity: PathBuf = desk.path(identity);
    Keyring::from_files(&[identity]).open(&sops.metadata).unwrap().bytes().to_vec()
}

/// Every part of this length of the body of a PEM file: private numbers are among them. In both orders of bytes.
fn parts(what: &str, pem: &str, length: usize) -> Vec<Needle> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let body = BASE64_STANDARD.decode(body).unwrap();
    // What comes first is public, and what comes last is padding or a comment.
    let secret = &body[body.len() / 3..body.len() - 24];
    let mut needles = Vec::new();
    for (at, part) in secret.chunks_exact(length).enumerate() {
        let reversed: Vec<u8> = part.iter().rev().copied().collect();
        needles.push((format!("{what} {at}"), part.to_vec()));
        needles.push((format!("{what} {at} reversed"), reversed));
    }
    needles
}

#[test]
fn nothing_is_left() {
    let Some(desk) = Desk::new("memory") else { return };
    let (age, pq) = (desk.age("x25519", &[]), desk.age("post-quantum", &["-pq"]));
    let ssh = desk.ssh("ed25519", &["-t", "ed25519", "-N", ""]);
    let rsa = desk.ssh("rsa", &["-t", "rsa", "-b", "2048", "-N", "", "-m", "PEM"]);
    for (name, recipient) in [("x25519", age), ("post-quantum", pq), ("ed25519", ssh), ("rsa", rsa)] {
        desk.encrypt("file.yaml", &["--age", &recipient]);
        let text = fs::read_to_string(desk.path(name)).unwrap();
        let mut needles = vec![
            ("the data key".to_owned(), data_key(&desk, name)),
            ("the plaintext".to_owned(), b"CANARY of this".to_vec()),
        ];
        if let Some(identity) = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")) {
            needles.push(("the identity".to_owned(), identity.as_bytes().to_vec()));
            needles.push(("its bytes".to_owned(), bech32::decode(identity).unwrap().1));
        } else {
            needles.extend(parts("the private key", &text, 16));
            needles.push(("the file".to_owned(), text.lines().nth(4).unwrap().as_bytes().to_vec()));
        }
        let arguments = ["decrypt", "--identity", name, "file.yaml"];
        assert_eq!(left(&desk, &arguments, &needles), Vec::<String>::new(), "{name}");
    }
}

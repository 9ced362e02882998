//! Damaged and absurd input for `decrypt`, `check` and `install`.
//!
//! Whatever the input: an error within a second and within the memory of contracts.md 2 (64 MiB or 4 times the file),
//! beginning `error: `, nothing on stdout, no panic, nothing of a plaintext in the error, and nothing changed
//! anywhere. Where damage is harmless (a metadata field that does not matter), the right plaintext is fine too.
//! The inputs are made here from the few small files of tests/data/hostile, which sops 3.12.2 wrote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Inputs are long lists of texts that are put together once.
#![allow(clippy::format_collect, clippy::too_many_lines)]

mod damage; // what can happen to any sops file
mod desk; // runs the commands and judges
mod documents; // oddities of each format
mod manifests; // the same for manifests
mod paths; // what is no file, and identities
mod small; // very many small things
#[path = "../program/mod.rs"]
mod program; // the program under test
#[path = "../watch/mod.rs"]
mod watch; // tests/tools/watch.c

use std::{fs, io::Write};

use desk::{Desk, Verdict};

/// A sops file that sops wrote, what it prints for it, and what to call it.
pub struct Fixture {
    /// As the manifest says it.
    pub format: &'static str,
    /// Its text (binary files are JSON).
    pub text: String,
    /// What `decrypt` prints.
    pub plaintext: Vec<u8>,
}

/// An input made from a fixture.
pub struct Input {
    /// For messages.
    pub name: String,
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// What may happen.
    pub verdict: Verdict,
}

/// The directory of fixtures.
pub const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/hostile");

impl Fixture {
    /// The fixture with that suffix.
    fn load(format: &'static str, suffix: &str) -> Self {
        let path = format!("{DATA}/whole.{suffix}");
        let text = fs::read_to_string(&path).expect("a fixture");
        Self { format, text, plaintext: fs::read(format!("{path}.plain")).expect("a plaintext") }
    }
}

/// Written past the capture of the test harness: these lines are results.
fn say(line: &str) {
    drop(std::io::stderr().write_all(format!("{line}\n").as_bytes()));
}

fn all_fail_well(name: &str, fixture: &Fixture, inputs: &[Input]) {
    let desk = Desk::new(name);
    let mut complaints = Vec::new();
    for input in inputs {
        for complaint in desk.complaints(fixture, input) {
            complaints.push(format!("{} ({} bytes): {complaint}", input.name, input.bytes.len()));
        }
    }
    desk.finish(inputs.len());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Everything for one format.
fn format(format: &'static str, suffix: &str, own: fn(&Fixture) -> Vec<Input>) {
    let fixture = Fixture::load(format, suffix);
    let mut inputs = damage::all(&fixture);
    inputs.extend(own(&fixture));
    all_fail_well(format, &fixture, &inputs);
}

#[test]
fn yaml() {
    format("yaml", "yaml", documents::yaml);
}

#[test]
fn many_small_things() {
    for (format, suffix, forms) in [
        ("yaml", "yaml", small::yaml as fn(&Fixture) -> Vec<Input>),
        ("json", "json", small::json),
        ("dotenv", "env", small::dotenv),
        ("ini", "ini", small::ini),
    ] {
        let fixture = Fixture::load(format, suffix);
        all_fail_well(&format!("many {format}"), &fixture, &forms(&fixture));
    }
}

/// Deep documents open or fail, whatever `ulimit -s` says.
#[test]
fn small_stacks() {
    let desk = Desk::new("small stacks");
    let key = format!("{DATA}/key.txt");
    let levels = 9_000;
    let mut count = 0;
    for (format, suffix, before, open, close, behind) in [
        ("yaml", "yaml", "a_unencrypted: ", "[", "]", "\n"),
        ("yaml", "yaml", "a_unencrypted:\n  ", "- ", "", "\n"),
        ("yaml", "yaml", "a_unencrypted: ", "{a: ", "}", "\n"),
        ("json", "json", "{\"a_unencrypted\":", "[", "]", ","),
        ("json", "json", "{\"a_unencrypted\":", "{\"a\":", "}", ","),
    ] {
        let fixture = Fixture::load(format, suffix);
        let whole = if format == "json" { &fixture.text[1..] } else { &fixture.text };
        // Nothing is not in the MAC.
        let text = format!("{before}{}null{}{behind}{whole}", open.repeat(levels), close.repeat(levels));
        // Without optimisation a level takes nine times the stack.
        let size = if program::is_optimised() { text.len() as u64 } else { 64 << 20 };
        fs::write(desk.path("root/input"), text).expect("an input");
        let input = desk.path("root/input");
        let input = input.to_str().expect("UTF-8");
        let manifest = desk.manifest("/input", format);
        let (manifest, root) = (manifest.to_str().expect("UTF-8"), desk.path("root"));
        let root = root.to_str().expect("UTF-8");
        for stack in ["64", "256", "8192"] {
            let small = format!("ulimit -s {stack}; exec \"$@\"");
            let starter = ["/bin/sh", "-c", &small, "sh"];
            let extract = [
                "decrypt",
                "--format",
                format,
                "--identity",
                &key,
                "--extract",
                "[\"plain_unencrypted\"]",
                input,
            ];
            let extracted = desk.run_behind(&starter, &extract);
            assert_eq!(
                extracted.complaints("decrypt", Verdict::Any, size),
                Vec::<String>::new(),
                "{format} {stack}"
            );
            assert!(extracted.succeeded() && extracted.stdout == b"readable", "{format} {stack}");
            let checked = desk.run_behind(&starter, &["check", "--decrypt", "--root", root, manifest]);
            assert_eq!(
                checked.complaints("check", Verdict::Any, size),
                Vec::<String>::new(),
                "{format} {stack}"
            );
            assert!(checked.succeeded(), "{format} {stack}");
            count += 2;
        }
    }
    desk.finish(count);
}

#[test]
fn json() {
    format("json", "json", documents::json);
}

#[test]
fn dotenv() {
    format("dotenv", "env", documents::dotenv);
}

#[test]
fn ini() {
    format("ini", "ini", documents::ini);
}

#[test]
fn binary() {
    format("binary", "bin", documents::binary);
}

/// Beside a bad secret the good ones land, and the bad one leaves nothing.
#[test]
fn others_land() {
    let good = Fixture::load("binary", "bin");
    let mut count = 0;
    let desk = Desk::new("others land");
    fs::copy(format!("{DATA}/whole.bin"), desk.path("root/good")).unwrap();
    for (format, suffix) in [("yaml", "yaml"), ("json", "json"), ("dotenv", "env"), ("ini", "ini")] {
        let fixture = Fixture::load(format, suffix);
        let inputs = damage::all(&fixture).into_iter().filter(|input| input.verdict == Verdict::Fails);
        for input in inputs.step_by(5) {
            let complaints = desk.complaints_beside_good(&fixture, &input, &good.plaintext);
            assert!(complaints.is_empty(), "{format}: {}: {}", input.name, complaints.join("\n"));
            count += 1;
        }
    }
    desk.finish(count);
}

/// The checks themselves: the fixtures open, and a judge that accepted everything would not pass.
#[test]
fn whole_files_open_and_would_be_noticed() {
    for (format, suffix) in
        [("yaml", "yaml"), ("json", "json"), ("dotenv", "env"), ("ini", "ini"), ("binary", "bin")]
    {
        let fixture = Fixture::load(format, suffix);
        let desk = Desk::new(&format!("whole {format}"));
        let whole = |verdict| Input { name: "whole".to_owned(), bytes: fixture.text.clone().into(), verdict };
        assert_eq!(desk.complaints(&fixture, &whole(Verdict::FailsOrOpens)), Vec::<String>::new());
        let complaints = desk.complaints(&fixture, &whole(Verdict::Fails)).join("\n");
        for wanted in
            ["decrypt: succeeded", "check --decrypt: succeeded", "install: succeeded", "install: changed"]
        {
            assert!(complaints.contains(wanted), "{format}: {wanted}: {complaints}");
        }
    }
}

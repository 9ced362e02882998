//! The appender killed at each of its system calls.
//!
//! This test binary runs itself as the appender, under strace, which kills it when it enters one of its system calls
//! on the initrd and what stands beside it, for each of them. After each kill the file is one that boots: as before, as after, or with a tail that the
//! kernel drops; and the next run brings it to where an undisturbed run would have. Without strace the test is named
//! as skipped.

// A failure of these helpers is a failure of the test that calls them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    env, fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use forestage::{
    initrd::{
        append::{append, remove},
        segment::{self, Entry, Spec},
    },
    plaintext::Plaintext,
    tree::{File, Mode, Owner},
};

const JOB: &str = "FORESTAGE_TEST_JOB";
const FRONT: &[u8] = b"\x28\xb5\x2f\xfdthe initrd of others";
const BEHIND: &[u8] = b"\x1f\x8b archive of others behind it";

fn segment(manifest: u8) -> Plaintext {
    let content = Arc::new(Plaintext::from([manifest; 5000].as_slice()));
    let file = File { path: "/etc/key".into(), content, mode: Mode::new(0o400), owner: Owner::ROOT };
    let files = vec![Entry { file, plain_source: false, credential: None }];
    segment::build(&Spec { manifest: [manifest; 32], directories: Vec::new(), files }).unwrap()
}

/// What the killed process does: not a test of its own.
#[test]
fn job() {
    let Ok(job) = env::var(JOB) else { return };
    if let Some(path) = job.strip_prefix("append ") {
        append(Path::new(path), None, &segment(2)).unwrap();
    } else if let Some(path) = job.strip_prefix("remove ") {
        remove(Path::new(path), None).unwrap();
    }
}

/// A way in which an initrd changes.
struct Change {
    name: &'static str,
    job: &'static str,
    /// Contents before; `None`: the file does not exist.
    before: Option<Vec<u8>>,
    after: Vec<u8>,
    /// Whether the copy cannot be written, so that it is done in place and secrets may be gone for a moment.
    in_place: bool,
}

/// Sixteen zeros at least stand in front of a segment, and where one was (an empty part); four in front of others.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().fold(Vec::new(), |mut all, part| {
        let wanted = if part.is_empty() || part.starts_with(b"0707") { 16 } else { 4 };
        let zeros = all.iter().rev().take(wanted).take_while(|byte| **byte == 0).count();
        let missing = if all.is_empty() { 0 } else { wanted - zeros };
        all.resize((all.len() + missing).next_multiple_of(4), 0);
        all.extend_from_slice(part);
        all
    })
}

fn changes() -> Vec<Change> {
    let (old, new) = (segment(1), segment(2));
    let append = |name, before, after, in_place| Change { name, job: "append", before, after, in_place };
    let remove = |name, before, after, in_place| Change { name, job: "remove", before, after, in_place };
    vec![
        append("create", None, joined(&[&new]), false),
        append("append", Some(FRONT.to_vec()), joined(&[FRONT, &new]), false),
        append("unchanged", Some(joined(&[FRONT, &new])), joined(&[FRONT, &new]), false),
        append("after a cut", Some(joined(&[FRONT, &old[..4000]])), joined(&[FRONT, &new]), false),
        append("replace", Some(joined(&[FRONT, &old, BEHIND])), joined(&[FRONT, &new, BEHIND]), false),
        append("replace in place", Some(joined(&[FRONT, &old])), joined(&[FRONT, &new]), true),
        remove("remove", Some(joined(&[FRONT, &old, BEHIND])), joined(&[FRONT, b"", BEHIND]), false),
        remove("remove in place", Some(joined(&[FRONT, &old])), joined(&[FRONT, b""]), true),
    ]
}

/// A directory of its own with the file as it is before.
fn place(change: &Change) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("append_killed").join(change.name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("initrd");
    if let Some(before) = &change.before {
        fs::write(&path, before).unwrap();
    }
    if change.in_place {
        // A directory in its way: the copy cannot be written.
        fs::create_dir(directory.join("initrd.forestage-new")).unwrap();
    }
    path
}

/// Runs the job under strace, which sees only the calls on its file and what stands beside it.
fn traced(change: &Change, path: &Path, options: &[String]) -> Option<std::process::ExitStatus> {
    let aside = path.with_file_name("initrd.forestage-new");
    let output = Command::new("strace")
        .args(["-qq", "-f", "-e", "trace=%file,%desc"])
        .args(options)
        .args([path, &aside, path.parent()?].iter().flat_map(|path| [Path::new("-P"), path]))
        .arg(env::current_exe().unwrap())
        .args(["--exact", "job", "-q"])
        .env(JOB, format!("{} {}", change.job, path.display()))
        .output()
        .ok()?;
    Some(output.status)
}

/// The system calls of an undisturbed run: the name of each, and the how manieth of that name it is.
fn calls(change: &Change) -> Option<Vec<(String, usize)>> {
    let path = place(change);
    let log = path.parent()?.with_extension("log");
    if !traced(change, &path, &["-o".to_owned(), log.display().to_string()])?.success() {
        return None;
    }
    assert_eq!(fs::read(&path).unwrap(), change.after, "{}: undisturbed", change.name);
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let log = fs::read_to_string(log).unwrap();
    let names = log.lines().filter_map(|line| line.split_once('(')?.0.split(' ').next_back());
    let calls = names.map(|name| {
        let count = seen.entry(name.to_owned()).or_default();
        *count += 1;
        (name.to_owned(), *count)
    });
    Some(calls.collect())
}

/// Whether the file boots with the old or new secrets, or with none where that is told beforehand.
fn boots(change: &Change, now: Option<&[u8]>) -> bool {
    let Some(now) = now else { return change.before.is_none() };
    // Zeros, and then bytes that begin with zeros at a multiple of 4, are what the kernel drops.
    let with_dropped_tail = |old: &[u8]| {
        let tail = now
            .strip_prefix(old)
            .map(|tail| &tail[(old.len().next_multiple_of(4) - old.len()).min(tail.len())..]);
        tail.is_some_and(|tail| tail.iter().take(6).all(|byte| *byte == 0))
    };
    let none = change.in_place || change.name == "after a cut";
    let before = change.before.as_deref();
    now == change.after
        || before.is_none_or(|before| now == before)
        || with_dropped_tail(before.filter(|_| !none).unwrap_or_default())
        || (none && with_dropped_tail(&joined(&[FRONT, b""])))
}

#[test]
fn a_killed_run_leaves_what_boots_and_the_next_one_finishes() {
    for change in changes() {
        let Some(calls) = calls(&change) else {
            let _ = writeln!(std::io::stderr(), "SKIPPED append_killed: strace does not run");
            return;
        };
        assert!(calls.len() > 5, "{}: {calls:?}", change.name);
        for (name, count) in calls {
            let call = format!("{}: killed at {name} {count}", change.name);
            let path = place(&change);
            let kill = format!("inject={name}:signal=KILL:when={count}");
            let options = ["-o".to_owned(), "/dev/null".to_owned(), "-e".to_owned(), kill];
            let status = traced(&change, &path, &options).unwrap();
            assert_eq!(status.signal(), Some(9), "{call}: {status}");
            let now = fs::read(&path).ok();
            assert!(boots(&change, now.as_deref()), "{call}");

            if change.job == "append" {
                append(&path, None, &segment(2)).unwrap();
            } else {
                remove(&path, None).unwrap();
            }
            assert_eq!(fs::read(&path).unwrap(), change.after, "{call}: the next run");
            let beside = fs::read_dir(path.parent().unwrap()).unwrap().count();
            assert_eq!(beside, 1 + usize::from(change.in_place), "{call}: left beside");
        }
    }
}

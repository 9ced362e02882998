//! Questions through the real programs of systemd: its agent on a terminal, and its program that sends answers.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use forestage::keys::passphrase::{Passphrases, Policy, Refused};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{have, say};

const AGENTS: &str = "/run/systemd/ask-password";

/// Gives this thread, and what it starts, a /run of its own; false if that is not allowed.
fn own_run() -> bool {
    const NONE: Option<&str> = None;
    let made = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE))
        .and_then(|()| mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), NONE));
    match made {
        // Nobody is asked where systemd does not run.
        Ok(()) => [AGENTS, "/run/systemd/system"].iter().all(|path| fs::create_dir_all(path).is_ok()),
        Err(error) => {
            say(&format!("SKIPPED age_kinds::agents: cannot make a mount namespace ({error}); run as root"));
            false
        }
    }
}

/// Asks for the passphrase `correct horse`, on no terminal of ours.
fn ask() -> Result<(), String> {
    let policy =
        Policy { prompt: true, terminal: false, limit: Duration::from_secs(30), ..Policy::default() };
    let unlocked = Passphrases::new(policy).unlock("the key of the test", |answer| match answer {
        b"correct horse" => Ok(()),
        _ => Err(Refused::Wrong),
    });
    unlocked.map_err(|reason| reason.to_string())
}

fn left_behind() -> usize {
    fs::read_dir(AGENTS).unwrap().count()
}

#[test]
fn the_program_that_sends_answers() {
    let program = ["/lib/systemd/systemd-reply-password", "/usr/lib/systemd/systemd-reply-password"];
    let Some(program) = program.into_iter().find(|path| Path::new(path).exists()) else {
        say("SKIPPED age_kinds::agents without systemd-reply-password");
        return;
    };
    if !own_run() {
        return;
    }
    for (flag, input, expected) in [
        ("1", &b"correct horse\n"[..], Ok(())),
        ("0", b"", Err("the question for its passphrase was declined".to_owned())),
    ] {
        let replier = thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(20);
            let question = loop {
                let entries = fs::read_dir(AGENTS).unwrap().flatten();
                let mut asks =
                    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("ask."));
                match asks.next() {
                    Some(entry) => break fs::read_to_string(entry.path()).unwrap(),
                    None if Instant::now() > deadline => panic!("no question appeared"),
                    None => thread::sleep(Duration::from_millis(5)),
                }
            };
            let socket = question.lines().find_map(|line| line.strip_prefix("Socket=")).unwrap();
            let mut command = Command::new(program);
            crate::output(command.args([flag, socket]), input);
        });
        assert_eq!(ask(), expected);
        replier.join().unwrap();
        assert_eq!(left_behind(), 0);
    }
}

#[test]
fn the_agent_on_a_terminal() {
    if !have("systemd-tty-ask-password-agent") || !have("setsid") || !own_run() {
        return;
    }
    let asker = thread::spawn(ask);
    while left_behind() < 2 {
        assert!(!asker.is_finished(), "no question appeared");
        thread::sleep(Duration::from_millis(5));
    }
    let pair = nix::pty::openpty(None, None).unwrap();
    let (mut person, terminal) = (File::from(pair.master), File::from(pair.slave));
    // The agent asks on its controlling terminal.
    let mut agent = Command::new("setsid")
        .args(["--ctty", "--wait", "systemd-tty-ask-password-agent", "--query"])
        .stdin(Stdio::from(terminal.try_clone().unwrap()))
        .stdout(Stdio::from(terminal.try_clone().unwrap()))
        .stderr(Stdio::from(terminal))
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    let mut chunk = [0; 256];
    while !String::from_utf8_lossy(&seen).contains("the key of the test:") {
        let length = person.read(&mut chunk).unwrap();
        seen.extend_from_slice(&chunk[..length]);
    }
    person.write_all(b"correct horse\n").unwrap();
    assert_eq!(asker.join().unwrap(), Ok(()));
    // Nobody reads the terminal any more.
    drop(person);
    agent.wait().unwrap();
    assert_eq!(left_behind(), 0);
    assert!(!String::from_utf8_lossy(&seen).contains("horse"));
}

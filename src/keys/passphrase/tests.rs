use std::{
    cell::Cell,
    fs,
    os::unix::net::UnixDatagram,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use super::*;

/// A directory of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("forestage-passphrase-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.0.join(name), text).unwrap();
        self.0.join(name)
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn asking(agents: &Path, limit: u64) -> Passphrases {
    Passphrases::new(Policy {
        prompt: true,
        terminal: false,
        agents: agents.to_owned(),
        limit: Duration::from_millis(limit),
        ..Policy::default()
    })
}

/// Opens with `right`, and counts.
fn lock<'c>(right: &'c [u8], tried: &'c Cell<usize>) -> impl FnMut(&[u8]) -> Result<usize, Refused> + 'c {
    move |passphrase| {
        tried.set(tried.get() + 1);
        if passphrase == right { Ok(passphrase.len()) } else { Err(Refused::Wrong) }
    }
}

/// The value of a key in a question, as an agent reads it.
fn value<'q>(question: &'q str, key: &str) -> &'q str {
    let line = question.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {key} in {question}"))
}

/// Answers questions that appear in a directory: the next answer to each, `None` to leave it.
fn agent(
    directory: &Path,
    answers: &'static [Option<&'static [u8]>],
) -> (Arc<AtomicBool>, thread::JoinHandle<Vec<String>>) {
    let directory = directory.to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let handle = thread::spawn(move || {
        let mut seen: Vec<String> = Vec::new();
        let mut paths = Vec::new();
        while !flag.load(Ordering::Relaxed) {
            for entry in fs::read_dir(&directory).unwrap().flatten() {
                if !entry.file_name().to_string_lossy().starts_with("ask.") || paths.contains(&entry.path()) {
                    continue;
                }
                let Ok(question) = fs::read_to_string(entry.path()) else { continue };
                if let Some(Some(answer)) = answers.get(seen.len()) {
                    let socket = UnixDatagram::unbound().unwrap();
                    socket.send_to(answer, value(&question, "Socket")).unwrap();
                }
                paths.push(entry.path());
                seen.push(question);
            }
            thread::sleep(Duration::from_millis(2));
        }
        seen
    });
    (stop, handle)
}

/// Runs with such an agent, and gives the questions that it saw; `None` without the rights to ask.
fn with_agent(
    name: &str,
    limit: u64,
    answers: &'static [Option<&'static [u8]>],
    run: impl FnOnce(&Passphrases),
) -> Option<Vec<String>> {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED password agents: only root may ask them");
        return None;
    }
    let scratch = Scratch::new(name);
    let (stop, agent) = agent(&scratch.0, answers);
    run(&asking(&scratch.0, limit));
    assert!(scratch.is_empty(), "something was left behind");
    stop.store(true, Ordering::Relaxed);
    Some(agent.join().unwrap())
}

#[test]
fn what_was_given_is_used_without_a_question() {
    let scratch = Scratch::new("given");
    let first = scratch.write("first", "correct horse\nmore\n");
    let credential = scratch.write("forestage.passphrase", "battery staple");
    let policy = |file: Option<&PathBuf>, credentials: Option<&PathBuf>| Policy {
        file: file.cloned(),
        credentials: credentials.cloned(),
        ..Policy::default()
    };
    let elsewhere = scratch.0.join("elsewhere");
    let nobody = "nobody may be asked for its passphrase";
    for (policy, right, result) in [
        (policy(Some(&first), None), "correct horse", Ok(13)),
        (policy(Some(&scratch.write("crlf", "a\r\nb")), None), "a", Ok(1)),
        (policy(None, Some(&scratch.0)), "battery staple", Ok(14)),
        (policy(Some(&first), Some(&scratch.0)), "correct horse", Ok(13)),
        (policy(None, Some(&elsewhere)), "", Err(nobody.to_owned())),
        (policy(None, None), "", Err(nobody.to_owned())),
        (
            policy(None, Some(&scratch.0)),
            "other",
            Err(format!("the passphrase in {} is wrong for it; {nobody}", credential.display())),
        ),
        (
            policy(Some(&elsewhere), None),
            "",
            Err(format!(
                "cannot read a passphrase from {}: No such file or directory (os error 2)",
                elsewhere.display()
            )),
        ),
        (
            policy(Some(&scratch.write("empty", "\nsecond")), None),
            "",
            Err(format!("the passphrase in {} is empty", scratch.0.join("empty").display())),
        ),
        (
            policy(Some(&scratch.write("long", &"a".repeat(5000))), None),
            "",
            Err(format!(
                "cannot read a passphrase from {}: its first line is longer than 4096 bytes",
                scratch.0.join("long").display()
            )),
        ),
    ] {
        let tried = Cell::new(0);
        let passphrases = Passphrases::new(policy);
        let told = passphrases.unlock("x", lock(right.as_bytes(), &tried));
        let result = result.map_err(|told| Reason::from(told).remedy(Remedy::Passphrase));
        assert_eq!(told, result);
        // A second time nothing is tried: what failed, failed.
        let before = tried.get();
        if result.is_err() {
            assert_eq!(passphrases.unlock("x", lock(b"", &tried)), result);
            assert_eq!(tried.get(), before);
        }
    }
}

#[test]
fn a_fifo_that_nobody_writes_is_not_waited_for() {
    let scratch = Scratch::new("fifo");
    let path = scratch.0.join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let start = Instant::now();
    let policy = Policy { file: Some(path), ..Policy::default() };
    let told = Passphrases::new(policy).unlock("x", |_| Ok(())).unwrap_err();
    assert!(told.contains("nothing was written to it within 1 s"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn without_agents_the_error_comes_at_once() {
    let start = Instant::now();
    let none = asking(Path::new("/nonexistent/ask-password"), 60_000);
    let told = none.unlock("x", |_| Ok(())).unwrap_err();
    assert!(told.contains("/nonexistent/ask-password does not exist"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_agent_answers() {
    let questions =
        with_agent("answers", 20_000, &[Some(b"+correct horse"), Some(b"+1234\0")], |passphrases| {
            let tried = Cell::new(0);
            let what = "the SSH key /etc/\nssh/key";
            assert_eq!(passphrases.unlock(what, lock(b"correct horse", &tried)), Ok(13));
            // The same passphrase opens the next thing, without a question.
            assert_eq!(passphrases.unlock("another", lock(b"correct horse", &tried)), Ok(13));
            assert_eq!(tried.get(), 2);
            assert_eq!(&*passphrases.ask_public("A number").unwrap(), b"1234");
        });
    let Some(questions) = questions else { return };
    assert_eq!(questions.len(), 2);
    let [first, second] = [&questions[0], &questions[1]];
    assert!(first.starts_with("[Ask]\n"), "{first}");
    assert_eq!(value(first, "PID"), std::process::id().to_string());
    assert_eq!(value(first, "Message"), "Passphrase for the SSH key /etc/ ssh/key:");
    assert_eq!((value(first, "Echo"), value(second, "Echo")), ("0", "1"));
    assert!(value(first, "NotAfter").parse::<u64>().unwrap() > 20_000_000);
    assert!(!first.contains("correct"));
}

#[test]
fn wrong_answers_may_be_corrected() {
    const ANSWERS: &[Option<&[u8]>] = &[Some(b"+wrong"), Some(b"?"), None, Some(b"+never")];
    let questions = with_agent("corrected", 1500, ANSWERS, |passphrases| {
        let tried = Cell::new(0);
        let told = passphrases.unlock("x", lock(b"right", &tried)).unwrap_err();
        assert_eq!(told, "nobody answered within 1 s when asked for a passphrase");
        // What is no answer is not taken for one, and nobody is asked again.
        assert_eq!(tried.get(), 1);
        let told = passphrases.unlock("y", lock(b"right", &tried)).unwrap_err();
        assert!(told.ends_with("before"), "{told}");
    });
    let Some(questions) = questions else { return };
    assert_eq!(questions.len(), 2);
    assert_eq!(value(&questions[1], "Message"), "That was wrong. Passphrase for x:");

    let questions = with_agent("thrice", 20_000, &[Some(b"+a"), Some(b"+b"), Some(b"+c")], |passphrases| {
        let told = passphrases.unlock("x", lock(b"right", &Cell::new(0))).unwrap_err();
        assert_eq!(told, "3 wrong passphrases were answered");
    });
    assert_eq!(questions.map(|questions| questions.len()), Some(3));
}

#[test]
fn an_agent_declines() {
    let questions = with_agent("declines", 20_000, &[Some(b"-"), Some(b"+never")], |passphrases| {
        let told = passphrases.unlock("x", lock(b"right", &Cell::new(0))).unwrap_err();
        assert_eq!(told, "the question for its passphrase was declined");
        assert!(passphrases.ask_secret("y").unwrap_err().contains("before"));
    });
    assert_eq!(questions.map(|questions| questions.len()), Some(1));
}

#[test]
fn threads_share_one_question() {
    let questions = with_agent("threads", 20_000, &[Some(b"+right")], |passphrases| {
        thread::scope(|scope| {
            for at in 0..4 {
                scope.spawn(move || {
                    let opened = passphrases.unlock(&format!("{at}"), |answer| match answer {
                        b"right" => Ok(()),
                        _ => Err(Refused::Wrong),
                    });
                    assert_eq!(opened, Ok(()));
                });
            }
        });
    });
    assert_eq!(questions.map(|questions| questions.len()), Some(1));
}

#[test]
fn damage_is_no_wrong_passphrase() {
    let scratch = Scratch::new("damage");
    let file = Some(scratch.write("p", "right"));
    let passphrases = Passphrases::new(Policy { file, ..Policy::default() });
    let told = passphrases.unlock("x", |_| Err::<(), _>(Refused::Damaged("it is cut")));
    assert_eq!(told, Err("it is cut".into()));
}

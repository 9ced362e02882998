//! Identities that a command prints: `SOPS_AGE_KEY_CMD`.
//!
//! The words are split as a shell would, but no shell runs. The command is told which recipient is wanted in
//! `SOPS_AGE_RECIPIENT`, and what it printed for one is kept for the other files of the run. Each run has a time
//! limit, and so have all runs together. Facts: sops-format.md 5.2.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::{Keyring, sources::MAX_FILE};

/// The time that all runs of a command together may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A command that prints identities.
pub struct KeyCommand {
    source: &'static str,
    words: Result<Vec<String>, &'static str>,
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    /// What was printed for which recipient.
    done: Vec<(String, Arc<Found>)>,
    spent: Duration,
}

/// What one run gave.
pub(super) struct Found {
    pub identities: Vec<super::Identity>,
    pub unread: Vec<super::Unread>,
    /// Further runs are of no use: the command does not run, or the time is spent.
    pub last: bool,
}

impl KeyCommand {
    /// The command that the variable `source` holds.
    #[must_use]
    pub fn new(source: &'static str, line: &str) -> Self {
        Self { source, words: split(line), runs: Mutex::default() }
    }

    /// Runs the command for a recipient, once.
    pub(super) fn run(&self, recipient: &str) -> Arc<Found> {
        // Files are opened in parallel; the command still runs one at a time.
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = runs.done.iter().find(|(name, _)| name == recipient) {
            return Arc::clone(found);
        }
        let start = Instant::now();
        let printed = match &self.words {
            Ok(words) => print(words, recipient, LIMIT.saturating_sub(runs.spent)),
            Err(reason) => Err((*reason).to_owned()),
        };
        runs.spent = runs.spent.saturating_add(start.elapsed());
        let last = printed.is_err();
        let mut keyring = Keyring::default();
        match printed {
            Ok(text) => keyring.add_age_text(self.source, &text),
            Err(reason) => keyring.skip(self.source, reason),
        }
        let Keyring { identities, unread, .. } = keyring;
        let found = Arc::new(Found { identities, unread, last });
        runs.done.push((recipient.to_owned(), Arc::clone(&found)));
        found
    }
}

/// What the command writes to its standard output.
fn print(words: &[String], recipient: &str, limit: Duration) -> Result<Zeroizing<Vec<u8>>, String> {
    let (program, arguments) = words.split_first().ok_or("it is empty")?;
    let deadline = Instant::now().checked_add(limit).ok_or("no time is left")?;
    if limit.is_zero() {
        return Err("no time is left for another run".to_owned());
    }
    let mut child = Command::new(program)
        .args(arguments)
        .env("SOPS_AGE_RECIPIENT", recipient)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    let result = read_and_wait(&mut child, program, deadline);
    if result.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
    result
}

fn read_and_wait(child: &mut Child, program: &str, deadline: Instant) -> Result<Zeroizing<Vec<u8>>, String> {
    let late = || format!("{program} did not end within {} s", LIMIT.as_secs());
    let stdout = child.stdout.take().ok_or("it has no output")?;
    let (sender, receiver) = mpsc::channel();
    // A thread of its own, since a pipe cannot be read with a time limit. It ends with the pipe.
    thread::spawn(move || {
        let mut text = Zeroizing::new(Vec::with_capacity(4096));
        let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
        let read = stdout.take(limit).read_to_end(&mut text).map(|_| text);
        // Nobody listens any more when the time is over.
        let _ = sender.send(read);
    });
    let text = receiver
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .map_err(|_| late())?
        .map_err(|error| format!("cannot read what {program} prints: {error}"))?;
    if text.len() > MAX_FILE {
        return Err(format!("{program} prints more than {MAX_FILE} bytes"));
    }
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(text),
            Ok(Some(status)) => return Err(format!("{program} failed ({status})")),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
            Ok(None) => return Err(late()),
            Err(error) => return Err(format!("cannot wait for {program}: {error}")),
        }
    }
}

/// Splits as Go's shlex does: quotes, backslashes, and comments that begin with a word.
fn split(line: &str) -> Result<Vec<String>, &'static str> {
    const OPEN: &str = "it has a quote or backslash without its end";
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                chars.by_ref().find(|char| *char == '\n');
            }
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(OPEN)?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(OPEN)? {
                        '\'' => break,
                        char => word.push(char),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or(OPEN)? {
                        '"' => break,
                        '\\' => word.push(chars.next().ok_or(OPEN)?),
                        char => word.push(char),
                    }
                }
            }
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (line, words) in [
            ("a  b\tc", Some(vec!["a", "b", "c"])),
            ("", Some(vec![])),
            (r#"a "b c" 'd "e'"#, Some(vec!["a", "b c", r#"d "e"#])),
            (r#"a\ b "c\"d\e" 'f\'"#, Some(vec!["a b", r#"c"de"#, r"f\"])),
            (r#"a"b"'c' """#, Some(vec!["abc", ""])),
            ("a # b c\nd e#f", Some(vec!["a", "d", "e#f"])),
            ("a 'b", None),
            ("a \"b", None),
            ("a\\", None),
        ] {
            assert_eq!(
                split(line).ok(),
                words.map(|words| words.iter().map(ToString::to_string).collect()),
                "{line}"
            );
        }
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let start = Instant::now();
        let words = ["sh", "-c", "sleep 5"].map(str::to_owned);
        let reason = print(&words, "", Duration::from_millis(50)).unwrap_err();
        assert!(reason.contains("did not end"), "{reason}");
        // The grandchild still holds the pipe; nobody waits for it.
        assert!(start.elapsed() < Duration::from_secs(4));
        let words = ["sh", "-c", "exec >&-; sleep 5"].map(str::to_owned);
        assert!(print(&words, "", Duration::from_millis(50)).is_err());
        assert!(print(&words, "", Duration::ZERO).is_err());
    }
}

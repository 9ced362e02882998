//! Identities that a command prints: `SOPS_AGE_KEY_CMD`, `SOPS_AGE_SSH_PRIVATE_KEY_CMD`.
//!
//! The words are split as a shell would, but no shell runs. The command is told which recipient is wanted in
//! `SOPS_AGE_RECIPIENT`, and what it printed for one is kept for the other files of the run. Each run has a time
//! limit, and so have all runs together. Facts: sops-format.md 5.2.

use std::{
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use crate::program;

use super::{
    Reason,
    found::{Content, Found},
    read::MAX_FILE,
};

/// The time that all runs of a command together may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A command that prints identities.
pub(super) struct KeyCommand {
    words: Result<Vec<String>, &'static str>,
    content: Content,
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    /// What was printed for which recipient.
    done: Vec<(String, Arc<Run>)>,
    spent: Duration,
}

/// What one run gave.
pub(super) struct Run {
    pub found: Found,
    /// Further runs are of no use: the command does not run, or the time is spent.
    pub is_last: bool,
}

impl KeyCommand {
    /// The command that a variable holds, and how to understand what it prints.
    pub(super) fn new(line: &str, content: Content) -> Self {
        Self { words: split(line), content, runs: Mutex::default() }
    }

    /// Runs the command for a recipient, once.
    pub(super) fn run(&self, recipient: &str) -> Arc<Run> {
        // Files are opened in parallel; the command still runs one at a time.
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, run)) = runs.done.iter().find(|(name, _)| name == recipient) {
            return Arc::clone(run);
        }
        let start = Instant::now();
        let printed = match &self.words {
            Ok(words) => print(words, recipient, LIMIT.saturating_sub(runs.spent)),
            Err(reason) => Err((*reason).into()),
        };
        runs.spent = runs.spent.saturating_add(start.elapsed());
        let is_last = printed.is_err();
        let found = printed.map_or_else(Found::unread, |text| Found::of(self.content, &text));
        let run = Arc::new(Run { found, is_last });
        runs.done.push((recipient.to_owned(), Arc::clone(&run)));
        run
    }
}

/// What the command writes to its standard output.
fn print(words: &[String], recipient: &str, limit: Duration) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let (program, arguments) = words.split_first().ok_or("it is empty")?;
    if limit.is_zero() {
        return Err("no time is left for another run".into());
    }
    let mut command = Command::new(program);
    command.args(arguments).env("SOPS_AGE_RECIPIENT", recipient);
    let (text, status) = program::ask(&mut command, limit, MAX_FILE)?;
    if status.success() { Ok(text) } else { Err(format!("{program} failed ({status})").into()) }
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
    fn a_command_that_fails_prints_nothing() {
        let words = ["sh", "-c", "echo AGE-SECRET-KEY-1; exit 3"].map(str::to_owned);
        assert!(print(&words, "", LIMIT).unwrap_err().contains("exit status: 3"));
        assert!(print(&words, "", Duration::ZERO).unwrap_err().contains("no time"));
    }
}

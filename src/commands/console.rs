//! What people and programs read: results on standard output, messages on standard error.
//!
//! A terminal that went away (a switch over ssh) loses messages, and stops nothing.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use crate::{
    failure::{Failure, Result},
    generation,
};

/// Where messages go, and how they look there.
#[derive(Debug)]
pub struct Console {
    /// What an error begins with.
    error_prefix: String,
    /// Messages go to the journal, which wants a priority in front of each line.
    journal: bool,
    /// Messages go to a terminal that shows colours.
    colours: bool,
}

impl Console {
    /// The console of this process; an error begins with `error_prefix`.
    #[must_use]
    pub fn from_environment(error_prefix: &str) -> Self {
        let journal = env::var_os("JOURNAL_STREAM").is_some() && env::var_os("INVOCATION_ID").is_some();
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = !journal && !plain && io::stderr().is_terminal();
        Self { error_prefix: error_prefix.to_owned(), journal, colours }
    }

    /// Something failed.
    pub fn error(&self, failure: &Failure) {
        self.message(3, "31", &self.error_prefix, failure);
    }

    /// Something is done, and yet someone should look at it.
    pub fn warning(&self, failure: &Failure) {
        self.message(4, "33", "warning: ", failure);
    }

    /// Something worth knowing.
    pub fn note(&self, text: &str) {
        self.message(6, "", "", &text.trim_end_matches('\n'));
    }

    /// Something for the journal, not for the console of a machine that boots.
    pub fn detail(&self, text: &str) {
        self.message(7, "", "", &text);
    }

    /// The result of the command, on standard output.
    pub fn print(&self, bytes: &[u8]) -> Result<()> {
        // Not std's: its buffer would keep a part of a secret.
        generation::write_all(io::stdout(), bytes)
            .map_err(|error| Failure::io("write to", "standard output", error))
    }

    /// One write a message, so that messages of processes that share a terminal stay whole.
    fn message(&self, priority: u8, colour: &str, prefix: &str, text: &dyn Display) {
        // Key and file names come from outside: none may steer the terminal.
        let text: String = text.to_string();
        let text = text.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\0'), "\u{fffd}");
        let mut told = if self.colours && !colour.is_empty() {
            format!("\x1b[1;{colour}m{prefix}\x1b[0m{text}\n")
        } else {
            format!("{prefix}{text}\n")
        };
        if self.journal {
            told = format!("<{priority}>{}\n", told.trim_end().replace('\n', &format!("\n<{priority}>")));
        }
        drop(io::stderr().lock().write_all(told.as_bytes()));
    }
}

//! The programs whose keys we convert and make, under their own names: their command lines, their usages.

use std::ffi::{OsStr, OsString};

use crate::{
    commands::{
        Status,
        keys::{Action, key_file::Place, ssh_to_age},
    },
    failure::{Failure, Kind, Result},
};

use super::{
    Invocation,
    go_flags::{self, Arguments, Flag, Wrong},
};

/// A program that we stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Mic92/ssh-to-age 1.3.0.
    SshToAge,
}

/// How a command line ends before anything is done.
#[derive(Debug)]
pub struct Refusal {
    /// The message, if there is one.
    pub message: Option<String>,
    /// The exit status.
    pub status: Status,
}

const SSH_TO_AGE: [Flag; 5] = [
    Flag {
        name: "i",
        kind: go_flags::Kind::Text("-"),
        usage: "Input path. Reads by default from standard input",
    },
    Flag {
        name: "o",
        kind: go_flags::Kind::Text("-"),
        usage: "Output path. Prints by default to standard output",
    },
    Flag {
        name: "private-key",
        kind: go_flags::Kind::Switch,
        usage: "convert private key instead of public key",
    },
    Flag {
        name: "stdinpass",
        kind: go_flags::Kind::Switch,
        usage: "read private key passphrase from standard input",
    },
    Flag { name: "version", kind: go_flags::Kind::Switch, usage: "show version and exit" },
];

impl Program {
    /// The program of that name.
    #[must_use]
    pub fn named(name: &OsStr) -> Option<Self> {
        match name.to_str() {
            Some("ssh-to-age") => Some(Self::SshToAge),
            _ => None,
        }
    }

    const fn flags(self) -> &'static [Flag] {
        match self {
            Self::SshToAge => &SSH_TO_AGE,
        }
    }

    /// What it prints about itself, as `program`.
    #[must_use]
    pub fn usage(self, program: &str) -> String {
        format!("Usage of {program}:\n{}", go_flags::defaults(self.flags()))
    }

    /// What the arguments behind its name ask for.
    pub fn parse(
        self,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> std::result::Result<Invocation, Refusal> {
        let arguments = Arguments::parse(self.flags(), arguments).map_err(|wrong| match wrong {
            Wrong::Help => Refusal { message: None, status: Status::Done },
            Wrong::Usage(message) => Refusal { message: Some(message), status: Status::Usage },
        })?;
        let place = |name| Place::named(arguments.text(name).to_owned());
        Ok(match self {
            Self::SshToAge if arguments.is_on("version") => Invocation::Print("dev\n".to_owned()),
            Self::SshToAge => Invocation::Keys(Action::SshToAge(ssh_to_age::Options {
                input: place("i"),
                output: place("o"),
                private: arguments.is_on("private-key"),
                passphrase_on_stdin: arguments.is_on("stdinpass"),
            })),
        })
    }

    /// The same as a subcommand of `forestage keys`.
    pub(super) fn parse_as_subcommand(
        self,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Invocation> {
        self.parse(arguments).or_else(|refusal| match refusal.message {
            None => Ok(Invocation::Print(super::keys::help())),
            Some(message) => Err(Failure::new(message).kind(Kind::Usage).fix("see `forestage keys --help`")),
        })
    }
}

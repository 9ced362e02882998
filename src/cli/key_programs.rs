//! The programs whose keys we convert and make, under their own names: their command lines, their usages.

use std::ffi::{OsStr, OsString};

use crate::{
    commands::{
        Status,
        keys::{Action, key_file::Place, new_gnupg, ssh_to_age, ssh_to_pgp},
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
    /// Mic92/ssh-to-pgp 1.1.6.
    SshToPgp,
    /// sops-nix's sops-init-gpg-key.
    SopsInitGpgKey,
}

/// How a command line ends before anything is done.
#[derive(Debug)]
pub struct Refusal {
    /// What is printed on standard error; none: help was asked for.
    pub message: Option<String>,
    /// Whether the usage is printed behind it.
    pub with_usage: bool,
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

const SSH_TO_PGP: [Flag; 7] = [
    Flag {
        name: "comment",
        kind: go_flags::Kind::Text("Imported from SSH"),
        usage: "Comment to set for the PGP user id",
    },
    Flag {
        name: "email",
        kind: go_flags::Kind::Text("root@localhost"),
        usage: "Email to set for the PGP user id",
    },
    Flag { name: "format", kind: go_flags::Kind::Text("armor"), usage: "GPG format encoding (binary|armor)" },
    Flag {
        name: "i",
        kind: go_flags::Kind::Text("-"),
        usage: "Input path. Reads by default from standard output",
    },
    Flag { name: "name", kind: go_flags::Kind::Text("root"), usage: "Name to set for the PGP user id" },
    Flag {
        name: "o",
        kind: go_flags::Kind::Text("-"),
        usage: "Output path. Prints by default to standard output",
    },
    Flag {
        name: "private-key",
        kind: go_flags::Kind::Switch,
        usage: "Export private key instead of public key",
    },
];

impl Program {
    /// The program of that name.
    #[must_use]
    pub fn named(name: &OsStr) -> Option<Self> {
        match name.to_str() {
            Some("ssh-to-age") => Some(Self::SshToAge),
            Some("ssh-to-pgp") => Some(Self::SshToPgp),
            Some("sops-init-gpg-key") => Some(Self::SopsInitGpgKey),
            _ => None,
        }
    }

    const fn flags(self) -> &'static [Flag] {
        match self {
            Self::SshToAge => &SSH_TO_AGE,
            Self::SshToPgp => &SSH_TO_PGP,
            Self::SopsInitGpgKey => &[],
        }
    }

    /// What it prints about itself, as `program`.
    #[must_use]
    pub fn usage(self, program: &str) -> String {
        if self == Self::SopsInitGpgKey {
            return format!(
                "{program}: [--hostname hostname] [--gpghome home] [--keytype keytype]\n\n  keytype: RSA (default) or \
                 Curve25519\n\n"
            );
        }
        format!("Usage of {program}:\n{}", go_flags::defaults(self.flags()))
    }

    /// What the arguments behind its `name` ask for.
    pub fn parse(
        self,
        name: &str,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> std::result::Result<Invocation, Refusal> {
        if self == Self::SopsInitGpgKey {
            return sops_init_gpg_key(name, arguments);
        }
        let arguments = Arguments::parse(self.flags(), arguments).map_err(|wrong| match wrong {
            Wrong::Help => Refusal { message: None, with_usage: true, status: Status::Done },
            Wrong::Usage(message) => {
                Refusal { message: Some(message), with_usage: true, status: Status::Usage }
            }
        })?;
        let text = |name| arguments.text(name).to_string_lossy().into_owned();
        let place = |name| Place::named(arguments.text(name).to_owned());
        Ok(match self {
            Self::SshToAge if arguments.is_on("version") => Invocation::Print("dev\n".to_owned()),
            Self::SshToAge => Invocation::Keys(Action::SshToAge(ssh_to_age::Options {
                input: place("i"),
                output: place("o"),
                private: arguments.is_on("private-key"),
                passphrase_on_stdin: arguments.is_on("stdinpass"),
            })),
            _ => Invocation::Keys(Action::SshToPgp(ssh_to_pgp::Options {
                input: place("i"),
                output: place("o"),
                private: arguments.is_on("private-key"),
                armour: arguments.text("format") == "armor",
                name: text("name"),
                comment: text("comment"),
                email: text("email"),
                empty_on_failure: true,
            })),
        })
    }

    /// The same as a subcommand of `forestage keys`.
    pub(super) fn parse_as_subcommand(
        self,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Invocation> {
        let without_empty = |mut invocation| {
            if let Invocation::Keys(Action::SshToPgp(options)) = &mut invocation {
                options.empty_on_failure = false;
            }
            invocation
        };
        self.parse("", arguments).map(without_empty).or_else(|refusal| match refusal.message {
            None => Ok(Invocation::Print(super::keys::help())),
            Some(message) => Err(Failure::new(message).kind(Kind::Usage).fix("see `forestage keys --help`")),
        })
    }
}

/// Arguments as getopt takes them: long options may be cut short, operands are ignored.
fn sops_init_gpg_key(
    program: &str,
    arguments: impl IntoIterator<Item = OsString>,
) -> std::result::Result<Invocation, Refusal> {
    const OPTIONS: [&str; 4] = ["help", "gpghome", "hostname", "keytype"];
    let refuse = |message: String| Refusal {
        message: Some(format!("{program}: {message}")),
        with_usage: false,
        status: Status::Usage,
    };
    let help = || Ok(Invocation::Print(Program::SopsInitGpgKey.usage(program)));
    let mut options =
        new_gnupg::Options { hostname: None, home: "/root/.gnupg".into(), key: new_gnupg::Key::default() };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == "--" {
            break;
        }
        let Some(long) = text.strip_prefix("--") else {
            match text.strip_prefix('-').and_then(|letters| letters.chars().next()) {
                Some('h') => return help(),
                Some(letter) => return Err(refuse(format!("invalid option -- '{letter}'"))),
                None => continue,
            }
        };
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let fits = |option: &&&str| option.starts_with(name);
        let exact = OPTIONS.iter().find(|option| **option == name);
        let option = match (exact, OPTIONS.iter().filter(fits).count()) {
            (Some(option), _) => option,
            (None, 0) => return Err(refuse(format!("unrecognized option '--{name}'"))),
            (None, 1) => OPTIONS.iter().find(fits).unwrap_or(&"help"),
            (None, _) => return Err(refuse(format!("option '--{name}' is ambiguous"))),
        };
        if *option == "help" {
            return help();
        }
        let value = value
            .map(OsString::from)
            .or_else(|| arguments.next())
            .ok_or_else(|| refuse(format!("option '--{option}' requires an argument")))?;
        let told = value.to_string_lossy().into_owned();
        match *option {
            "gpghome" => options.home = value.into(),
            "hostname" => options.hostname = Some(told),
            _ => {
                options.key = new_gnupg::Key::named(&told).map_err(|failure| Refusal {
                    message: Some(failure.headline),
                    with_usage: false,
                    status: Status::Failed,
                })?;
            }
        }
    }
    Ok(Invocation::Keys(Action::NewGnupg(options)))
}

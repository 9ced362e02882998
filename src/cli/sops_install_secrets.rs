//! The command line of `sops-install-secrets`, in the syntax of Go's `flag` package.

use std::{ffi::OsString, os::unix::ffi::OsStrExt};

use crate::commands::{check, install};

use super::{
    Invocation,
    go_flags::{self, Arguments, Flag, Kind, Wrong},
};

const FLAGS: [Flag; 2] = [
    Flag {
        name: "check-mode",
        kind: Kind::Text("off"),
        usage: "Validate configuration without installing it (possible values: \"manifest\",\"sopsfile\",\"off\")",
    },
    Flag {
        name: "ignore-passwd",
        kind: Kind::Switch,
        usage: "Don't look up anything in /etc/passwd. Causes everything to be owned by root:root or the user executing \
                the tool in user mode",
    },
];

/// Why the arguments are not a command to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Help was asked for: the usage is printed, and that is a success.
    Help,
    /// The usage is printed with this message.
    Usage(String),
    /// Only this message is printed.
    Message(String),
}

/// What the program prints about itself.
#[must_use]
pub fn usage(program: &str) -> String {
    format!("Usage: {program} [OPTION] manifest.json\n{}", go_flags::defaults(&FLAGS))
}

/// What the arguments behind the program's name ask for.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Refusal> {
    let arguments = Arguments::parse(&FLAGS, arguments).map_err(|wrong| match wrong {
        Wrong::Help => Refusal::Help,
        Wrong::Usage(message) => Refusal::Usage(message),
    })?;
    let mode = match arguments.text("check-mode").as_bytes() {
        b"off" => None,
        b"manifest" => Some(check::Mode::Manifest),
        b"sopsfile" => Some(check::Mode::SopsFile),
        other => {
            let value = String::from_utf8_lossy(other);
            return Err(Refusal::Message(format!("invalid value provided for -check-mode flag: {value}")));
        }
    };
    let ignore_passwd = arguments.is_on("ignore-passwd");
    let [manifest] = <[OsString; 1]>::try_from(arguments.operands)
        .map_err(|_| Refusal::Usage("exactly one manifest is needed".to_owned()))?;
    Ok(match mode {
        None => Invocation::Install(install::Options {
            manifest: manifest.into(),
            ignore_passwd,
            as_sops_install_secrets: true,
            ..install::Options::default()
        }),
        Some(mode) => {
            Invocation::Check(check::Options { manifest: manifest.into(), mode, ..check::Options::default() })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &str) -> Result<String, Refusal> {
        parse(arguments.split_whitespace().map(OsString::from)).map(|invocation| match invocation {
            Invocation::Install(o) => format!("install {} {}", o.manifest.display(), o.ignore_passwd),
            Invocation::Check(o) => format!("check {} {:?}", o.manifest.display(), o.mode),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn go_flags_are_understood() {
        for (arguments, meaning) in [
            ("m.json", "install m.json false"),
            ("-ignore-passwd m.json", "install m.json true"),
            ("--ignore-passwd=F m.json", "install m.json false"),
            ("-check-mode=manifest m.json", "check m.json Manifest"),
            ("--check-mode sopsfile m.json", "check m.json SopsFile"),
            ("-check-mode off -- -m.json", "install -m.json false"),
            ("-", "install - false"),
        ] {
            assert_eq!(parsed(arguments).unwrap(), meaning, "{arguments}");
        }
    }

    #[test]
    fn wrong_arguments_are_refused_as_go_does() {
        for (arguments, message) in [
            ("-x m", "flag provided but not defined: -x"),
            ("---x m", "bad flag syntax: ---x"),
            ("-=x m", "bad flag syntax: -=x"),
            ("-check-mode", "flag needs an argument: -check-mode"),
            ("-ignore-passwd=maybe m", "invalid boolean value \"maybe\" for -ignore-passwd: parse error"),
            ("", "exactly one manifest is needed"),
            ("a b", "exactly one manifest is needed"),
            ("a -ignore-passwd", "exactly one manifest is needed"),
        ] {
            assert_eq!(parsed(arguments).unwrap_err(), Refusal::Usage(message.to_owned()), "{arguments}");
        }
        assert_eq!(parsed("-help").unwrap_err(), Refusal::Help);
        assert!(matches!(parsed("-check-mode=all m"), Err(Refusal::Message(_))));
    }
}

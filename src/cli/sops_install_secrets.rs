//! The command line of `sops-install-secrets`, in the syntax of Go's `flag` package.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::commands::{check, install};

use super::Invocation;

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
    format!(
        "Usage: {program} [OPTION] manifest.json\n  -check-mode string\n    \tValidate configuration without \
         installing it (possible values: \"manifest\",\"sopsfile\",\"off\") (default \"off\")\n  -ignore-passwd\n    \
         \tDon't look up anything in /etc/passwd. Causes everything to be owned by root:root or the user executing \
         the tool in user mode\n"
    )
}

/// What the arguments behind the program's name ask for.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Refusal> {
    let mut arguments = arguments.into_iter();
    let (mut check_mode, mut ignore_passwd) = (OsString::from("off"), false);
    let mut operands = Vec::new();
    while let Some(argument) = arguments.next() {
        let Some((name, value)) = flag(&argument)? else {
            // The first operand ends the flags; `--` does too, and is no operand itself.
            operands.extend((argument != "--").then_some(argument));
            operands.extend(arguments.by_ref());
            break;
        };
        match name {
            b"check-mode" => {
                let value = value.map(OsStr::to_owned).or_else(|| arguments.next());
                check_mode =
                    value.ok_or_else(|| Refusal::Usage("flag needs an argument: -check-mode".to_owned()))?;
            }
            b"ignore-passwd" => ignore_passwd = boolean(value)?,
            b"h" | b"help" => return Err(Refusal::Help),
            other => {
                let name = String::from_utf8_lossy(other);
                return Err(Refusal::Usage(format!("flag provided but not defined: -{name}")));
            }
        }
    }
    let mode = match check_mode.as_bytes() {
        b"off" => None,
        b"manifest" => Some(check::Mode::Manifest),
        b"sopsfile" => Some(check::Mode::SopsFile),
        other => {
            let value = String::from_utf8_lossy(other);
            return Err(Refusal::Message(format!("invalid value provided for -check-mode flag: {value}")));
        }
    };
    let [manifest] = <[OsString; 1]>::try_from(operands)
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

/// Name and value of a flag.
type Flag<'a> = (&'a [u8], Option<&'a OsStr>);

/// The flag that an argument is; `None` for an operand and for `--`.
fn flag(argument: &OsStr) -> Result<Option<Flag<'_>>, Refusal> {
    let bytes = argument.as_bytes();
    let Some(name) = bytes.strip_prefix(b"-").filter(|name| !name.is_empty() && bytes != b"--") else {
        return Ok(None);
    };
    let name = name.strip_prefix(b"-").unwrap_or(name);
    if matches!(name.first(), None | Some(b'-' | b'=')) {
        return Err(Refusal::Usage(format!("bad flag syntax: {}", argument.to_string_lossy())));
    }
    Ok(Some(match name.iter().position(|&byte| byte == b'=').and_then(|at| name.split_at_checked(at)) {
        Some((name, value)) => (name, value.get(1..).map(OsStr::from_bytes)),
        None => (name, None),
    }))
}

fn boolean(value: Option<&OsStr>) -> Result<bool, Refusal> {
    let text = value.map_or("true".into(), OsStr::to_string_lossy);
    match &*text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Refusal::Usage(format!("invalid boolean value {text:?} for -ignore-passwd: parse error"))),
    }
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

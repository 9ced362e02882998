//! Command lines in the syntax of Go's `flag` package, and what that package says about wrong ones.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write,
    os::unix::ffi::OsStrExt,
};

/// A flag that a program takes.
pub(super) struct Flag {
    pub name: &'static str,
    pub kind: Kind,
    /// What the usage says of it.
    pub usage: &'static str,
}

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or a boolean behind `=`; false if it is not given.
    Switch,
    /// A text, with its default.
    Text(&'static str),
}

/// Why arguments cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Help was asked for: the usage is printed, and that is a success.
    Help,
    /// The usage is printed below this message.
    Usage(String),
}

/// What the arguments say.
pub(super) struct Arguments {
    values: Vec<(&'static str, OsString)>,
    /// What follows the flags.
    pub operands: Vec<OsString>,
}

impl Arguments {
    /// Reads the arguments behind the program's name. Every flag has a value then: the last one given, or its default.
    pub fn parse(
        flags: &[Flag],
        arguments: impl IntoIterator<Item = OsString>,
    ) -> std::result::Result<Self, Wrong> {
        let mut arguments = arguments.into_iter();
        let default = |flag: &Flag| match flag.kind {
            Kind::Switch => (flag.name, OsString::from("false")),
            Kind::Text(default) => (flag.name, OsString::from(default)),
        };
        let mut parsed = Self { values: flags.iter().map(default).collect(), operands: Vec::new() };
        while let Some(argument) = arguments.next() {
            let Some((name, value)) = split(&argument)? else {
                // The first operand ends the flags; `--` does too, and is no operand itself.
                parsed.operands.extend((argument != "--").then_some(argument));
                parsed.operands.extend(arguments.by_ref());
                break;
            };
            let Some(flag) = flags.iter().find(|flag| flag.name.as_bytes() == name) else {
                if matches!(name, b"h" | b"help") {
                    return Err(Wrong::Help);
                }
                let name = String::from_utf8_lossy(name);
                return Err(Wrong::Usage(format!("flag provided but not defined: -{name}")));
            };
            let value = match flag.kind {
                Kind::Switch => boolean(flag.name, value)?,
                Kind::Text(_) => value
                    .map(OsStr::to_owned)
                    .or_else(|| arguments.next())
                    .ok_or_else(|| Wrong::Usage(format!("flag needs an argument: -{}", flag.name)))?,
            };
            if let Some(place) = parsed.values.iter_mut().find(|(name, _)| *name == flag.name) {
                place.1 = value;
            }
        }
        Ok(parsed)
    }

    /// The value of a text flag.
    pub fn text(&self, name: &str) -> &OsStr {
        let found = self.values.iter().find(|(flag, _)| *flag == name);
        found.map(|(_, value)| value.as_os_str()).unwrap_or_default()
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == "true"
    }
}

/// What `PrintDefaults` prints.
pub(super) fn defaults(flags: &[Flag]) -> String {
    let mut text = String::new();
    for flag in flags {
        let (kind, default) = match flag.kind {
            Kind::Switch => ("", String::new()),
            Kind::Text(default) => (" string", format!(" (default {default:?})")),
        };
        let _ = writeln!(text, "  -{}{kind}\n    \t{}{default}", flag.name, flag.usage);
    }
    text
}

/// Name and value of a flag.
type Pair<'a> = (&'a [u8], Option<&'a OsStr>);

/// The flag that an argument is; `None` for an operand and for `--`.
fn split(argument: &OsStr) -> std::result::Result<Option<Pair<'_>>, Wrong> {
    let bytes = argument.as_bytes();
    let Some(name) = bytes.strip_prefix(b"-").filter(|name| !name.is_empty() && bytes != b"--") else {
        return Ok(None);
    };
    let name = name.strip_prefix(b"-").unwrap_or(name);
    if matches!(name.first(), None | Some(b'-' | b'=')) {
        return Err(Wrong::Usage(format!("bad flag syntax: {}", argument.to_string_lossy())));
    }
    Ok(Some(match name.iter().position(|&byte| byte == b'=').and_then(|at| name.split_at_checked(at)) {
        Some((name, value)) => (name, value.get(1..).map(OsStr::from_bytes)),
        None => (name, None),
    }))
}

fn boolean(name: &str, value: Option<&OsStr>) -> std::result::Result<OsString, Wrong> {
    let text = value.map_or("true".into(), OsStr::to_string_lossy);
    match &*text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok("true".into()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok("false".into()),
        _ => Err(Wrong::Usage(format!("invalid boolean value {text:?} for -{name}: parse error"))),
    }
}

//! The command line of `forestage keys`: the list. The other subcommands are in `key_tools`.

use std::ffi::OsStr;

use lexopt::{Arg, Parser};

use crate::{
    commands::keys::{Action, list},
    failure::{Kind, Result},
};

#[cfg(not(feature = "key-tools"))]
use super::usage;
use super::{Invocation, next, path, unexpected};

const HELP: &str = "\
forestage keys: private keys of this machine, and the keys that sops files are encrypted to.

Usage:
  forestage keys [list] [options] [FILE...]   list this machine's identities and which files they open

Options of list:
  --identity FILE   age, ssh or OpenPGP private key, or GnuPG home; then no other source is read
                    (may be repeated)
  --manifest M      the identities that a manifest names, instead of --identity
  --no-prompt, --passphrase-file F, --plugin-path P
                    as for `forestage decrypt`
  --json            one JSON object on standard output
";

/// What the arguments behind `keys` ask for.
pub(super) fn parse(parser: &mut Parser) -> Result<Invocation> {
    words(parser).map_err(|failure| match failure.kind {
        Kind::Usage => failure.fix("see `forestage keys --help`"),
        _ => failure,
    })
}

fn words(parser: &mut Parser) -> Result<Invocation> {
    let word = parser.try_raw_args().and_then(|rest| rest.peek().map(OsStr::to_owned));
    match word.as_ref().and_then(|word| word.to_str()) {
        Some("list") => {
            next(parser)?;
            list(parser)
        }
        Some(name @ ("diff" | "new" | "public" | "ssh-to-age" | "ssh-to-pgp")) => {
            next(parser)?;
            subcommand(name, parser)
        }
        _ => list(parser),
    }
}

#[cfg(feature = "key-tools")]
fn subcommand(name: &str, parser: &mut Parser) -> Result<Invocation> {
    super::key_tools::parse(name, parser)
}

#[cfg(not(feature = "key-tools"))]
fn subcommand(name: &str, _: &mut Parser) -> Result<Invocation> {
    Err(usage(format!("this build has no `keys {name}`")))
}

fn list(parser: &mut Parser) -> Result<Invocation> {
    let mut options = list::Options::default();
    while let Some(argument) = next(parser)? {
        match argument {
            Arg::Long("identity") => options.identities.push(path(parser, "--identity")?),
            Arg::Long("manifest") => options.manifest = Some(path(parser, "--manifest")?),
            Arg::Long("no-prompt") => options.access.no_prompt = true,
            Arg::Long("passphrase-file") => {
                options.access.passphrase_file = Some(path(parser, "--passphrase-file")?);
            }
            Arg::Long("plugin-path") => options.access.plugin_path.push(path(parser, "--plugin-path")?),
            Arg::Long("json") => options.json = true,
            Arg::Value(value) => options.files.push(value.into()),
            other => return help_or_unexpected(&other),
        }
    }
    Ok(Invocation::Keys(Action::List(options)))
}

/// What `forestage keys --help` prints.
pub(super) fn help() -> String {
    #[cfg(feature = "key-tools")]
    return [HELP, super::key_tools::HELP].concat();
    #[cfg(not(feature = "key-tools"))]
    HELP.to_owned()
}

pub(super) fn help_or_unexpected(argument: &Arg) -> Result<Invocation> {
    match argument {
        Arg::Short('h') | Arg::Long("help") => Ok(Invocation::Print(help())),
        other => Err(unexpected(other)),
    }
}

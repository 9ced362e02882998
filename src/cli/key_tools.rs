//! The command lines of the subcommands of `forestage keys` that make, convert and compare keys.

use lexopt::{Arg, Parser};

use crate::{
    commands::keys::{Action, diff},
    failure::Result,
};

use super::{Invocation, keys::help_or_unexpected, next, path, text, usage};

pub(super) const HELP: &str = "
  forestage keys diff [options] FILE...       compare the recipients of sops files with those wanted; print the
                                              sops commands that make them right

Options of diff:
  --recipient R     who should be able to open the files: an age recipient, ssh public key, OpenPGP
                    fingerprint, ARN or URL of a key; all together are one key group (may be repeated)
  --recipients-file F
                    more of them, one a line
  --config FILE     the .sops.yaml whose creation rules say it; without this and without recipients,
                    SOPS_CONFIG or .sops.yaml in the current directory or above it, as sops does, else
                    above each file
  --json            one JSON object on standard output

The output of diff is a script for sh, empty when nothing differs. Exit status of diff: 0 nothing differs; 3 a
file differs; 1 a file or the configuration could not be read.

A file whose name is that of a subcommand is written ./NAME.
";

/// What the arguments behind `keys NAME` ask for.
pub(super) fn parse(name: &str, parser: &mut Parser) -> Result<Invocation> {
    match name {
        "diff" => diff(parser),
        _ => Err(usage(format!("keys: there is no subcommand {name}"))),
    }
}

fn diff(parser: &mut Parser) -> Result<Invocation> {
    let mut options = diff::Options::default();
    while let Some(argument) = next(parser)? {
        match argument {
            Arg::Long("recipient") => options.recipients.push(text(parser, "--recipient")?),
            Arg::Long("recipients-file") => options.recipients_files.push(path(parser, "--recipients-file")?),
            Arg::Long("config") => options.config = Some(path(parser, "--config")?),
            Arg::Long("json") => options.json = true,
            Arg::Value(value) => options.files.push(value.into()),
            other => return help_or_unexpected(&other),
        }
    }
    if options.files.is_empty() {
        return Err(usage("keys diff: which files?"));
    }
    if options.config.is_some() && !(options.recipients.is_empty() && options.recipients_files.is_empty()) {
        return Err(usage("--config and recipients exclude each other"));
    }
    Ok(Invocation::Keys(Action::Diff(options)))
}

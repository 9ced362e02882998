//! The command lines of the subcommands of `forestage keys` that make, convert and compare keys.

use std::ffi::OsString;

use lexopt::{Arg, Parser};

use crate::{
    commands::keys::{Action, diff, key_file::Place, new, new_gnupg, public},
    failure::{Kind, Result},
    keys::Access,
};

use super::{
    Invocation, key_programs::Program, keys::help_or_unexpected, next, operand, path, required, text, usage,
};

pub(super) const HELP: &str = "
  forestage keys diff [options] FILE...       compare the recipients of sops files with those wanted; print the
                                              sops commands that make them right
  forestage keys new [options] -o FILE        make a private key; tell its public side on standard error
  forestage keys public [options] FILE        print the recipients and fingerprints of private keys of any kind
  forestage keys ssh-to-age [options]         convert ssh-ed25519 keys to age, as the program ssh-to-age
  forestage keys ssh-to-pgp [options]         convert ssh-rsa keys to OpenPGP, as the program ssh-to-pgp

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

Options of new:
  -o, --output FILE a new file, for its owner alone; - for standard output
  --age             an age identity (default)
  --post-quantum    a post-quantum age identity, for age 1.3 and sops 3.12
  --openpgp         a GnuPG home with a key for a host, made by gpg, as the program sops-init-gpg-key; not to
                    FILE, but to a new directory:
  --gpghome DIR     (openpgp) the directory (default /root/.gnupg)
  --hostname NAME   (openpgp) for whom (default this host)
  --keytype TYPE    (openpgp) RSA (default) or Curve25519

Options of public (FILE: a key file, a GnuPG home, or - for standard input):
  --no-prompt, --passphrase-file F
                    as for `forestage decrypt`
  --json            one JSON object on standard output

Options of ssh-to-age:
  -i FILE           ssh public keys or lines of known_hosts or authorized_keys, or with -private-key one
                    private key; - is standard input (default)
  -o FILE           where the age keys go; - is standard output (default). A private key only to a new file
  -private-key      convert a private key; its passphrase may be in SSH_TO_AGE_PASSPHRASE
  -stdinpass        the passphrase is on standard input

Options of ssh-to-pgp:
  -i FILE, -o FILE  as of ssh-to-age; the input is always a private key
  -private-key      with the secret part
  -format F         armor (default) or binary
  -name N, -comment C, -email E
                    the parts of the user id (default root, Imported from SSH, root@localhost)

ssh-to-age, ssh-to-pgp and sops-init-gpg-key are also done under those names, by a link to forestage.

A file whose name is that of a subcommand is written ./NAME.
";

/// What the arguments behind `keys NAME` ask for.
pub(super) fn parse(name: &str, parser: &mut Parser) -> Result<Invocation> {
    match name {
        "diff" => diff(parser),
        "new" => new(parser),
        "public" => public(parser),
        "ssh-to-age" => Program::SshToAge.parse_as_subcommand(rest(parser)?),
        "ssh-to-pgp" => Program::SshToPgp.parse_as_subcommand(rest(parser)?),
        _ => Err(usage(format!("keys: there is no subcommand {name}"))),
    }
}

/// The arguments that are left, as they are.
fn rest(parser: &mut Parser) -> Result<Vec<OsString>> {
    Ok(parser.raw_args().map_err(|error| usage(error.to_string()))?.collect())
}

fn new(parser: &mut Parser) -> Result<Invocation> {
    let mut kind = None;
    let (mut output, mut home, mut hostname, mut key) = (None, None, None, None);
    while let Some(argument) = next(parser)? {
        let chosen = match argument {
            Arg::Long("age") => Some(new::Kind::Age),
            Arg::Long("post-quantum") => Some(new::Kind::PostQuantum),
            Arg::Long("openpgp") => None,
            Arg::Short('o') | Arg::Long("output") => {
                output = Some(Place::named(path(parser, "-o")?.into_os_string()));
                continue;
            }
            Arg::Long("gpghome") => {
                home = Some(path(parser, "--gpghome")?);
                continue;
            }
            Arg::Long("hostname") => {
                hostname = Some(text(parser, "--hostname")?);
                continue;
            }
            Arg::Long("keytype") => {
                let name = text(parser, "--keytype")?;
                key = Some(new_gnupg::Key::named(&name).map_err(|failure| failure.kind(Kind::Usage))?);
                continue;
            }
            other => return help_or_unexpected(&other),
        };
        if kind.replace(chosen).is_some_and(|before| before != chosen) {
            return Err(usage("keys new: one kind of key, please"));
        }
    }
    match kind.unwrap_or(Some(new::Kind::Age)) {
        Some(_) if home.is_some() || hostname.is_some() || key.is_some() => {
            Err(usage("keys new: --gpghome, --hostname and --keytype are for --openpgp"))
        }
        Some(kind) => {
            let output =
                output.ok_or_else(|| usage("keys new: where to? -o FILE, or -o - for standard output"))?;
            Ok(Invocation::Keys(Action::New(new::Options { kind, output })))
        }
        None if output.is_some() => {
            Err(usage("keys new: an OpenPGP key goes to a new GnuPG home: --gpghome DIR"))
        }
        None => {
            let home = home.unwrap_or_else(|| "/root/.gnupg".into());
            let key = key.unwrap_or_default();
            Ok(Invocation::Keys(Action::NewGnupg(new_gnupg::Options { hostname, home, key })))
        }
    }
}

fn public(parser: &mut Parser) -> Result<Invocation> {
    let mut access = Access::default();
    let (mut file, mut json) = (None, false);
    while let Some(argument) = next(parser)? {
        match argument {
            Arg::Long("no-prompt") => access.no_prompt = true,
            Arg::Long("passphrase-file") => {
                access.passphrase_file = Some(path(parser, "--passphrase-file")?);
            }
            Arg::Long("json") => json = true,
            Arg::Value(value) => operand(&mut file, value)?,
            other => return help_or_unexpected(&other),
        }
    }
    let input = Place::named(required(file, "FILE")?.into_os_string());
    Ok(Invocation::Keys(Action::Public(public::Options { input, access, json })))
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

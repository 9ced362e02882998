//! The command line, and the command lines of the programs whose names it answers to.
//!
//! Parsing only: what a command does is in `commands/`.

mod go_flags;
#[cfg(feature = "key-tools")]
pub mod key_programs;
#[cfg(feature = "key-tools")]
mod key_tools;
mod keys;
pub mod sops_install_secrets;

use std::{ffi::OsString, path::PathBuf};

use lexopt::{Arg, Parser, ValueExt};

use crate::{
    commands::{self, check, decrypt, initrd, install, stage1},
    failure::{Failure, Kind, Result},
    keys::Access,
    manifest::Phase,
    sops::formats::Format,
};

/// What to do.
#[derive(Debug)]
pub enum Invocation {
    /// Print this and succeed.
    Print(String),
    /// `forestage install`.
    Install(install::Options),
    /// `forestage check`.
    Check(check::Options),
    /// `forestage decrypt`.
    Decrypt(decrypt::Options),
    /// `forestage initrd`.
    Initrd(initrd::Action),
    /// `forestage stage1`.
    Stage1(stage1::Options),
    /// `forestage keys`.
    Keys(commands::keys::Action),
    /// `forestage status`.
    #[cfg(feature = "status")]
    Status(commands::status::Options),
}

const HELP: &str = "\
forestage stages sops secrets in every boot phase.

Usage:
  forestage install [options] MANIFEST        land the secrets of a manifest as a new generation
  forestage check [options] MANIFEST          check a manifest and its sops files; needs no private key
  forestage decrypt [options] FILE            print what a sops file holds
  forestage initrd append [options] --manifest M FILE
                                              put secrets into an initrd, replacing those of before;
                                              a FILE that does not exist is made
  forestage initrd expect --manifest M        print what stage 1 has to expect: names and paths, nothing secret
  forestage initrd list [--json] FILE         show the secrets in an initrd: paths, owners, sizes
  forestage initrd verify [options] --manifest M FILE
                                              compare an initrd with a manifest and its sops files
  forestage initrd remove FILE                take the secrets out of an initrd
  forestage stage1 [--root DIR]               in stage 1: check the secrets of the initrd, and bring them to
                                              their places
  forestage status [options]                  whether each boot entry carries the secrets of its generation;
                                              needs no private key
  forestage keys [options] [FILE...]          list this machine's identities and which files they open
  forestage keys diff [options] FILE...       compare the recipients of sops files with those wanted
  forestage --version | --help

Options of install:
  --phase P         bootloader, users, system or user, whatever the manifest says
  --root DIR        put DIR before every absolute path of the manifest
  --strict          all or nothing: one bad secret keeps everything as it is
  --dry-run         say what would change, write nothing
  --ignore-passwd   look up no names; everything belongs to root
  --allow-disk      with --root, or in the phase user: land on a file system that is not in RAM
  --json            one JSON object on standard output

Options of check:
  --mode MODE       sopsfile (default): examine the sops files too; manifest: the manifest only, whatever
                    recipients are given
  --decrypt         open every secret with this machine's identities, and check the MACs
  --recipient R     each file must open for who has the keys of all given recipients: one that the file
                    names will do, several for Shamir groups (may be repeated)
  --recipients-file F
                    more of them, one a line
  --root DIR, --json
                    as above

Options of decrypt (FILE: /dev/stdin for standard input, then with --format):
  --identity FILE   age, ssh or OpenPGP private key, or GnuPG home; then no other source is read
                    (may be repeated)
  --format F        yaml, json, dotenv, ini or binary, for input and output; by default the suffix of
                    FILE tells, and any other suffix means binary
  --input-type F, --output-type F
                    the same, for one side
  --extract PATH    one value, for instance '[\"db\"][\"password\"]'
  --max-size N      largest file in bytes (default 268435456)

Options of install, check --decrypt, decrypt, keys and initrd append:
  --no-prompt       ask nobody for a passphrase; initrd append never asks
  --passphrase-file F
                    its first line is the passphrase of protected keys; the systemd credential
                    forestage.passphrase is another way
  --plugin-path P   a directory with age plugins, or a plugin, instead of PATH (may be repeated)

Options of initrd:
  --manifest M      (append, expect, verify) what should be in the initrd
  --base INITRD     (append) the pristine initrd, by which our segment is told from what stands before it
  --appender PATH   (append) by which boot.json names the caller, instead of the manifest's `appender`
  --kept DIR        (append) where the boot loader keeps what was appended to temporary files elsewhere
  --root DIR        (append, verify) as above
  --json            (list, verify) as above

Options of status:
  --esp DIR         a boot partition (may be repeated); else /efi, /boot and /boot/efi
  --manifest M      of entries that no generation of NixOS declares; by default
                    /etc/forestage/initrd-manifest.json
  --root DIR, --json
                    as above

Options of keys: see `forestage keys --help`.

Without --identity, identities come from the manifest and from where sops looks: SOPS_AGE_KEY,
SOPS_AGE_KEY_FILE, SOPS_AGE_KEY_CMD, SOPS_AGE_SSH_PRIVATE_KEY_FILE, SOPS_AGE_SSH_PRIVATE_KEY_CMD,
~/.config/sops/age/keys.txt, ~/.ssh/id_ed25519, ~/.ssh/id_rsa, GNUPGHOME or ~/.gnupg.

Exit status: 0 done; 1 failed; 2 wrong command line; 3 some secrets failed, the others landed (check:
something does not match); 4 no identity opens the files; 5 stale or missing (initrd verify;
status: of the default entry).
";

/// What the arguments behind the program's name ask for.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation> {
    let mut parser = Parser::from_args(arguments);
    let Some(first) = next(&mut parser)? else {
        return Err(usage("no command given"));
    };
    match first {
        Arg::Short('h') | Arg::Long("help") => Ok(Invocation::Print(HELP.to_owned())),
        Arg::Short('V') | Arg::Long("version") => {
            Ok(Invocation::Print(concat!("forestage ", env!("CARGO_PKG_VERSION"), "\n").to_owned()))
        }
        Arg::Value(command) => match command.to_str() {
            Some("install") => install(&mut parser),
            Some("check") => check(&mut parser),
            Some("decrypt") => decrypt(&mut parser),
            Some("initrd") => initrd(&mut parser),
            Some("stage1") => stage1(&mut parser),
            Some("keys") => keys::parse(&mut parser),
            #[cfg(feature = "status")]
            Some("status") => status(&mut parser),
            Some("help") => Ok(Invocation::Print(HELP.to_owned())),
            _ => Err(usage(format!("there is no command {}", command.to_string_lossy()))),
        },
        other => Err(unexpected(&other)),
    }
}

fn install(parser: &mut Parser) -> Result<Invocation> {
    let mut options = install::Options::default();
    let mut manifest = None;
    while let Some(argument) = next(parser)? {
        match argument {
            Arg::Long("phase") => options.phase = Some(phase(&text(parser, "--phase")?)?),
            Arg::Long("root") => options.root = Some(path(parser, "--root")?),
            Arg::Long("strict") => options.strict = true,
            Arg::Long("dry-run") => options.dry_run = true,
            Arg::Long("ignore-passwd") => options.ignore_passwd = true,
            Arg::Long("allow-disk") => options.allow_disk = true,
            Arg::Long("no-prompt") => options.access.no_prompt = true,
            Arg::Long("passphrase-file") => {
                options.access.passphrase_file = Some(path(parser, "--passphrase-file")?);
            }
            Arg::Long("plugin-path") => options.access.plugin_path.push(path(parser, "--plugin-path")?),
            Arg::Long("json") => options.json = true,
            Arg::Value(value) => operand(&mut manifest, value)?,
            other => return help_or_unexpected(&other),
        }
    }
    options.manifest = required(manifest, "MANIFEST")?;
    Ok(Invocation::Install(options))
}

fn check(parser: &mut Parser) -> Result<Invocation> {
    let mut options = check::Options::default();
    let mut manifest = None;
    while let Some(argument) = next(parser)? {
        match argument {
            Arg::Long("mode") => {
                options.mode = match text(parser, "--mode")?.as_str() {
                    "manifest" => check::Mode::Manifest,
                    "sopsfile" => check::Mode::SopsFile,
                    other => return Err(usage(format!("there is no check mode {other:?}"))),
                }
            }
            Arg::Long("decrypt") => options.decrypt = true,
            Arg::Long("no-prompt") => options.access.no_prompt = true,
            Arg::Long("passphrase-file") => {
                options.access.passphrase_file = Some(path(parser, "--passphrase-file")?);
            }
            Arg::Long("plugin-path") => options.access.plugin_path.push(path(parser, "--plugin-path")?),
            Arg::Long("recipient") => options.recipients.push(text(parser, "--recipient")?),
            Arg::Long("recipients-file") => options.recipients_files.push(path(parser, "--recipients-file")?),
            Arg::Long("root") => options.root = Some(path(parser, "--root")?),
            Arg::Long("json") => options.json = true,
            Arg::Value(value) => operand(&mut manifest, value)?,
            other => return help_or_unexpected(&other),
        }
    }
    options.manifest = required(manifest, "MANIFEST")?;
    Ok(Invocation::Check(options))
}

fn decrypt(parser: &mut Parser) -> Result<Invocation> {
    let mut options = decrypt::Options::default();
    let mut file = None;
    while let Some(argument) = next(parser)? {
        match argument {
            Arg::Long("identity") => options.identities.push(path(parser, "--identity")?),
            Arg::Long("input-type") => options.input = Some(format(&text(parser, "--input-type")?)?),
            Arg::Long("output-type") => options.output = Some(format(&text(parser, "--output-type")?)?),
            Arg::Long("format") => {
                let both = format(&text(parser, "--format")?)?;
                options.input.get_or_insert(both);
                options.output.get_or_insert(both);
            }
            Arg::Long("no-prompt") => options.access.no_prompt = true,
            Arg::Long("passphrase-file") => {
                options.access.passphrase_file = Some(path(parser, "--passphrase-file")?);
            }
            Arg::Long("plugin-path") => options.access.plugin_path.push(path(parser, "--plugin-path")?),
            Arg::Long("extract") => options.extract = Some(text(parser, "--extract")?),
            Arg::Long("max-size") => {
                let size = text(parser, "--max-size")?;
                options.max_size =
                    size.parse().map_err(|_| usage(format!("--max-size {size} is not a number")))?;
            }
            Arg::Value(value) => operand(&mut file, value)?,
            other => return help_or_unexpected(&other),
        }
    }
    options.file = required(file, "FILE")?;
    Ok(Invocation::Decrypt(options))
}

fn initrd(parser: &mut Parser) -> Result<Invocation> {
    let action = match next(parser)? {
        Some(Arg::Value(action)) => action.to_string_lossy().into_owned(),
        Some(other) => return help_or_unexpected(&other),
        None => return Err(usage("initrd: append, expect, list, verify or remove?")),
    };
    let (mut manifest, mut base, mut appender, mut kept) = (None, None, None, None);
    let (mut root, mut file) = (None, None);
    // Nobody sits before a boot loader's installer.
    let mut access = Access { no_prompt: true, ..Access::default() };
    let mut json = false;
    while let Some(argument) = next(parser)? {
        match argument {
            Arg::Long("manifest") if matches!(action.as_str(), "append" | "expect" | "verify") => {
                manifest = Some(path(parser, "--manifest")?);
            }
            Arg::Long("base") if action == "append" => base = Some(path(parser, "--base")?),
            Arg::Long("appender") if action == "append" => appender = Some(path(parser, "--appender")?),
            Arg::Long("kept") if action == "append" => kept = Some(path(parser, "--kept")?),
            Arg::Long("no-prompt") if action == "append" => {}
            Arg::Long("passphrase-file") if action == "append" => {
                access.passphrase_file = Some(path(parser, "--passphrase-file")?);
            }
            Arg::Long("plugin-path") if action == "append" => {
                access.plugin_path.push(path(parser, "--plugin-path")?);
            }
            Arg::Long("root") if matches!(action.as_str(), "append" | "verify") => {
                root = Some(path(parser, "--root")?);
            }
            Arg::Long("json") if matches!(action.as_str(), "list" | "verify") => json = true,
            Arg::Value(value) if action != "expect" => operand(&mut file, value)?,
            other => return help_or_unexpected(&other),
        }
    }
    let with_manifest = || manifest.clone().ok_or_else(|| usage("--manifest is missing"));
    if action == "expect" {
        return Ok(Invocation::Initrd(initrd::Action::Expect { manifest: with_manifest()? }));
    }
    let file = required(file, "FILE")?;
    Ok(Invocation::Initrd(match action.as_str() {
        "append" => initrd::Action::Append(initrd::Append {
            manifest: with_manifest()?,
            base,
            appender,
            kept,
            root,
            access,
            file,
        }),
        "list" => initrd::Action::List { file, json },
        "verify" => initrd::Action::Verify { manifest: with_manifest()?, root, file, json },
        "remove" => initrd::Action::Remove { file },
        _ => return Err(usage(format!("initrd: there is no action {action:?}"))),
    }))
}

fn stage1(parser: &mut Parser) -> Result<Invocation> {
    let mut options = stage1::Options::default();
    while let Some(argument) = next(parser)? {
        match argument {
            Arg::Long("root") => options.root = Some(path(parser, "--root")?),
            other => return help_or_unexpected(&other),
        }
    }
    Ok(Invocation::Stage1(options))
}

#[cfg(feature = "status")]
fn status(parser: &mut Parser) -> Result<Invocation> {
    let mut options = commands::status::Options::default();
    while let Some(argument) = next(parser)? {
        match argument {
            Arg::Long("esp") => options.esps.push(path(parser, "--esp")?),
            Arg::Long("manifest") => options.manifest = Some(path(parser, "--manifest")?),
            Arg::Long("root") => options.root = Some(path(parser, "--root")?),
            Arg::Long("json") => options.json = true,
            other => return help_or_unexpected(&other),
        }
    }
    Ok(Invocation::Status(options))
}

fn next(parser: &mut Parser) -> Result<Option<Arg<'_>>> {
    parser.next().map_err(|error| usage(error.to_string()))
}

fn path(parser: &mut Parser, option: &str) -> Result<PathBuf> {
    let value = parser.value().map_err(|_| usage(format!("{option} needs a value")))?;
    if value.is_empty() { Err(usage(format!("the value of {option} is empty"))) } else { Ok(value.into()) }
}

fn text(parser: &mut Parser, option: &str) -> Result<String> {
    let value = parser.value().map_err(|_| usage(format!("{option} needs a value")))?;
    value.string().map_err(|_| usage(format!("the value of {option} is not UTF-8")))
}

fn phase(name: &str) -> Result<Phase> {
    match Phase::named(name).map_err(|failure| failure.kind(Kind::Usage))? {
        Phase::Initrd => Err(usage("the initrd phase is landed by `forestage initrd append`")),
        phase => Ok(phase),
    }
}

fn format(name: &str) -> Result<Format> {
    Format::named(name).ok_or_else(|| {
        usage(format!("there is no format {name:?}")).fix("use yaml, json, dotenv, ini or binary")
    })
}

fn operand(place: &mut Option<PathBuf>, value: OsString) -> Result<()> {
    match place.replace(value.into()) {
        None => Ok(()),
        Some(_) => Err(usage("more than one file given")),
    }
}

fn required(place: Option<PathBuf>, name: &str) -> Result<PathBuf> {
    place.ok_or_else(|| usage(format!("{name} is missing")))
}

fn help_or_unexpected(argument: &Arg) -> Result<Invocation> {
    match argument {
        Arg::Short('h') | Arg::Long("help") => Ok(Invocation::Print(HELP.to_owned())),
        other => Err(unexpected(other)),
    }
}

fn unexpected(argument: &Arg) -> Failure {
    usage(match argument {
        Arg::Short(letter) => format!("unknown option -{letter}"),
        Arg::Long(name) => format!("unknown option --{name}"),
        Arg::Value(value) => format!("unexpected argument {}", value.to_string_lossy()),
    })
}

fn usage(headline: impl Into<String>) -> Failure {
    Failure::new(headline).kind(Kind::Usage).fix("see `forestage --help`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn an_appender_says_who_it_is() {
        let line = "initrd append --manifest m --appender /nix/store/x/bin/append-initrd-secrets --kept /boot initrd";
        let Ok(Invocation::Initrd(initrd::Action::Append(options))) = parsed(line) else {
            panic!("{line}");
        };
        assert_eq!(options.appender, Some("/nix/store/x/bin/append-initrd-secrets".into()));
        assert_eq!(options.kept, Some("/boot".into()));
        for line in
            ["initrd verify --manifest m --appender /x initrd", "initrd append --manifest m --appender"]
        {
            assert_eq!(parsed(line).unwrap_err().kind, Kind::Usage, "{line}");
        }
    }
}

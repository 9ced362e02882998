//! `forestage keys`, `forestage keys list`: which identities this machine has, and which of the given files they open.

use std::{os::unix::ffi::OsStrExt, path::PathBuf};

use crate::{
    failure::{Failure, Result},
    input,
    json::Writer,
    keys::{Access, Keyring},
    manifest::Manifest,
    plaintext::Plaintext,
    root::Root,
    sops::{SopsFile, formats::Format},
};

use crate::commands::{Status, console::Console, report};

/// What to look at.
#[derive(Debug, Default)]
pub struct Options {
    /// Identity files; none: the manifest's, or the sources that sops reads.
    pub identities: Vec<PathBuf>,
    /// A manifest that names identities.
    pub manifest: Option<PathBuf>,
    /// sops files to try them on.
    pub files: Vec<PathBuf>,
    /// How to reach keys that are not simply there.
    pub access: Access,
    /// One JSON object on standard output.
    pub json: bool,
}

/// Lists identities and files. A file that none opens is part of the answer: the exit status is then 4.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let keyring = match (&options.manifest, options.identities.as_slice()) {
        (Some(path), _) => Keyring::from_manifest(&Manifest::read(path)?.identities, &Root::system()),
        (None, []) => Keyring::from_environment(),
        (None, files) => Keyring::from_files(files),
    }
    .with_access(&options.access);
    keyring.read_all();
    let opens = |path: &PathBuf| {
        let file = SopsFile::parse(Format::of_path(path), input::read(path, input::MAX_SIZE)?)?;
        keyring.open(&file.metadata).map(drop)
    };
    let files: Vec<_> = options.files.iter().map(|path| (path, opens(path).err())).collect();
    if options.json {
        console.print(&to_json(&keyring, &files))?;
    } else {
        let identities = keyring.identities().into_iter();
        let mut lines: Vec<_> = identities
            .map(|it| format!("{}  {}", it.recipients.join(" or "), it.sources.join(" and ")))
            .collect();
        lines.extend(files.iter().map(|(path, failure)| {
            format!("{}: {}", path.display(), if failure.is_none() { "opens" } else { "does not open" })
        }));
        lines.push(String::new());
        console.print(lines.join("\n").as_bytes())?;
        if keyring.identities().is_empty() {
            let absent: Vec<_> = keyring.absent().collect();
            console.note(&match (absent.is_empty(), keyring.unread().next()) {
                (false, _) => format!("no identity found; nothing is at: {}", report::few(&absent)),
                (true, Some(_)) => "no identity found".to_owned(),
                (true, None) => "no identity found: nothing says where one is, not even HOME".to_owned(),
            });
        }
        keyring
            .unread()
            .for_each(|unread| console.note(&format!("not read: {}: {}", unread.source, unread.reason)));
        for (path, failure) in &files {
            if let Some(failure) = failure {
                console.error(&failure.clone().fact("file", path.display()));
            }
        }
    }
    Ok(files
        .iter()
        .filter_map(|(_, failure)| failure.as_ref())
        .map(|failure| failure.kind.into())
        .next()
        .unwrap_or(Status::Done))
}

/// `{version, identities: [{source, recipients}], unread: [{source, reason}], files: [{file, opens, error?}]}`.
fn to_json(keyring: &Keyring, files: &[(&PathBuf, Option<Failure>)]) -> Plaintext {
    let mut json = Writer::compact();
    json.begin_object();
    json.key(b"version");
    json.literal("1");
    json.key(b"identities");
    json.begin_array();
    for identity in keyring.identities() {
        json.begin_object();
        json.key(b"source");
        json.string(identity.sources.join(" and ").as_bytes());
        report::strings(&mut json, "recipients", identity.recipients.iter().map(String::as_bytes));
        json.end_object();
    }
    json.end_array();
    json.key(b"unread");
    json.begin_array();
    for unread in keyring.unread() {
        json.begin_object();
        json.key(b"source");
        json.string(unread.source.as_bytes());
        json.key(b"reason");
        json.string(unread.reason.as_bytes());
        json.end_object();
    }
    json.end_array();
    json.key(b"files");
    json.begin_array();
    for (path, failure) in files {
        json.begin_object();
        json.key(b"file");
        json.string(path.as_os_str().as_bytes());
        json.key(b"opens");
        json.flag(failure.is_none());
        if let Some(failure) = failure {
            json.key(b"error");
            report::failure_to_json(failure, &mut json);
        }
        json.end_object();
    }
    json.end_array();
    json.end_object();
    let mut text = json.finish();
    text.push(b"\n");
    text
}

//! `forestage keys`: which identities this machine has, and which of the given files they open.

use std::path::PathBuf;

use crate::{
    failure::Result,
    input,
    json::Writer,
    keys::Keyring,
    manifest::Manifest,
    root::Root,
    sops::{SopsFile, formats::Format},
};

use super::{Status, console::Console, report};

/// What to look at.
#[derive(Debug, Default)]
pub struct Options {
    /// Identity files; none: the manifest's, or the sources that sops reads.
    pub identities: Vec<PathBuf>,
    /// A manifest that names identities.
    pub manifest: Option<PathBuf>,
    /// sops files to try them on.
    pub files: Vec<PathBuf>,
    /// One JSON object on standard output.
    pub json: bool,
}

/// Lists identities and files. A file that none opens is part of the answer: the exit status is then 4.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let keyring = match (&options.manifest, options.identities.as_slice()) {
        (Some(path), _) => Keyring::from_manifest(&Manifest::read(path)?.identities, &Root::system()),
        (None, []) => Keyring::from_environment(),
        (None, files) => Keyring::from_files(files),
    };
    let opens = |path: &PathBuf| {
        let file = SopsFile::parse(Format::of_path(path), input::read(path, input::MAX_SIZE)?)?;
        keyring.open(&file.metadata).map(drop)
    };
    let files: Vec<_> = options.files.iter().map(|path| (path, opens(path).err())).collect();
    if options.json {
        console.print(&to_json(&keyring, &files))?;
    } else {
        let mut text = String::new();
        for identity in keyring.listing() {
            text.push_str(&format!("{}  {}\n", identity.recipient, identity.source));
        }
        for (path, failure) in &files {
            text.push_str(&format!("{}: {}\n", path.display(), if failure.is_none() { "opens" } else { "does not open" }));
        }
        console.print(text.as_bytes())?;
        keyring.unusable().iter().for_each(|(source, reason)| console.note(&format!("{source}: {reason}")));
        for (path, failure) in &files {
            if let Some(failure) = failure {
                console.error(&failure.clone().fact("file", path.display()));
            }
        }
    }
    Ok(files.iter().filter_map(|(_, failure)| failure.as_ref()).map(|failure| failure.kind.into()).next().unwrap_or(Status::Done))
}

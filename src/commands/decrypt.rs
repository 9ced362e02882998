//! `forestage decrypt`: prints what a sops file holds, as `sops decrypt` would.

use std::path::{Path, PathBuf};

use crate::{
    failure::{Failure, Result},
    input,
    keys::{Access, Keyring},
    plaintext::Plaintext,
    sops::{SopsFile, formats::Format},
    stack,
};

use super::{Status, console::Console};

/// What to decrypt, and how.
#[derive(Debug)]
pub struct Options {
    /// The encrypted file; `/dev/stdin` for standard input.
    pub file: PathBuf,
    /// Identity files; none: the sources that sops reads.
    pub identities: Vec<PathBuf>,
    /// How to reach keys that are not simply there.
    pub access: Access,
    /// How the file is written; by default its suffix tells.
    pub input: Option<Format>,
    /// How the plaintext is written; by default the file's suffix tells, as for sops.
    pub output: Option<Format>,
    /// One value instead of the whole, as `["a"]["b"][0]`.
    pub extract: Option<String>,
    /// Largest file in bytes.
    pub max_size: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            identities: Vec::new(),
            access: Access::default(),
            input: None,
            output: None,
            extract: None,
            max_size: input::MAX_SIZE,
        }
    }
}

/// Prints the plaintext; nothing is printed unless everything is right.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let format = options.input.unwrap_or_else(|| Format::of_path(&options.file));
    let keyring = match options.identities.as_slice() {
        [] => Keyring::from_environment(),
        files => Keyring::from_files(files),
    }
    .with_access(&options.access);
    let bytes = input::read(Path::new(&options.file), options.max_size).map_err(|failure| {
        // To sops, too, it is the name of a file.
        let dash = options.file == Path::new("-");
        if dash { failure.fix("for standard input use /dev/stdin, with --format") } else { failure }
    })?;
    let plaintext = stack::for_document(bytes, |bytes| open(options, format, bytes, &keyring))?;
    console.print(&plaintext)?;
    Ok(Status::Done)
}

fn open(options: &Options, format: Format, bytes: Plaintext, keyring: &Keyring) -> Result<Plaintext> {
    let about = |failure: Failure| failure.fact("file", options.file.display());
    let guessed = options.input.is_none() && format == Format::Binary;
    let file = SopsFile::parse(format, bytes).map_err(about).map_err(|failure| {
        if guessed {
            failure.fix("it was read as binary because of its name: use --input-type")
        } else {
            failure
        }
    })?;
    file.metadata.check_version().map_err(about)?;
    let data_key = keyring.open(&file.metadata).map_err(about)?;
    let document = file.decrypt(&data_key).map_err(about)?;
    let output = options.output.unwrap_or_else(|| Format::of_path(&options.file));
    match &options.extract {
        None => document.emit(output),
        Some(path) => document.emit_extract(path, output),
    }
}

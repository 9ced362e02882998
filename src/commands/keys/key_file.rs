//! Where keys are read from and written to: files, standard input and output.
//!
//! A private key is written as a whole or not at all, for its owner alone, and never over anything.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{commands::console::Console, failure::Result, input, plaintext::Plaintext};

/// Where a key comes from or goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Standard input or output.
    Standard,
    /// A file.
    File(PathBuf),
}

impl Place {
    /// `-` is standard input or output.
    #[must_use]
    pub fn named(path: OsString) -> Self {
        if path == "-" { Self::Standard } else { Self::File(path.into()) }
    }
}

/// All bytes of a file of any kind: keys come through pipes of a shell, too. Fails in Go's words.
pub(super) fn read(place: &Place) -> std::result::Result<Plaintext, String> {
    match place {
        Place::Standard => input::read_stdin(input::MAX_SIZE)
            .map_err(|failure| format!("error reading stdin: {}", failure.headline)),
        Place::File(path) => read_file(path).map_err(|(verb, error)| {
            format!("error reading {0}: {verb} {0}: {1}", path.display(), go_says(&error))
        }),
    }
}

fn read_file(path: &Path) -> std::result::Result<Plaintext, (&'static str, io::Error)> {
    let mut file = File::open(path).map_err(|error| ("open", error))?;
    let size = file.metadata().map_or(0, |metadata| metadata.len()).min(input::MAX_SIZE);
    let mut bytes = Plaintext::with_capacity(usize::try_from(size).unwrap_or_default().saturating_add(64));
    let mut chunk = zeroize::Zeroizing::new([0; 8192]);
    loop {
        match file.read(&mut chunk[..]) {
            Ok(0) => return Ok(bytes),
            Ok(length) => bytes.push(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(("read", error)),
        }
        if bytes.len() as u64 > input::MAX_SIZE {
            return Err(("read", ErrorKind::FileTooLarge.into()));
        }
    }
}

/// Writes a private key: a new file with mode 0600, or standard output.
pub(super) fn write_private(place: &Place, bytes: &[u8], console: &Console) -> Result<()> {
    match place {
        Place::Standard => console.print(bytes),
        Place::File(path) if is_stream(path) => write(path, bytes),
        Place::File(path) => write_new(path, bytes).map_err(|error| cannot_create(path, &error)),
    }
}

/// Writes what is no secret, over what is there.
pub(super) fn write_public(place: &Place, bytes: &[u8], console: &Console) -> Result<()> {
    match place {
        Place::Standard => console.print(bytes),
        Place::File(path) => write(path, bytes),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(|error| cannot_create(path, &error))?;
    file.write_all(bytes).map_err(|error| {
        crate::failure::Failure::new(format!(
            "failed to write key: write {}: {}",
            path.display(),
            go_says(&error)
        ))
    })
}

fn cannot_create(path: &Path, error: &io::Error) -> crate::failure::Failure {
    let failure = crate::failure::Failure::new(format!(
        "failed to create {0}: open {0}: {1}",
        path.display(),
        go_says(error)
    ));
    match error.kind() {
        ErrorKind::AlreadyExists => {
            failure.fix("a private key is never written over anything: name another file")
        }
        _ => failure,
    }
}

/// Is it something that is there already, and that nothing is stored in: a terminal, a pipe, /dev/stdout?
fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Writes a file that must not be there, so that it appears complete or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let Some(name) = path.file_name() else { return Err(ErrorKind::IsADirectory.into()) };
    if fs::symlink_metadata(path).is_ok() {
        return Err(io::Error::from_raw_os_error(nix::libc::EEXIST));
    }
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(beside);
    let mut file = new(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&beside, path) {
        // A file system without hard links: it must not be there either.
        Err(error) if matches!(error.raw_os_error(), Some(nix::libc::EPERM | nix::libc::EOPNOTSUPP)) => {
            let mut file = new(path)?;
            file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| drop(fs::remove_file(path)))
        }
        linked => linked,
    });
    fs::remove_file(&beside).and(linked)
}

/// The reason as Go prints it.
fn go_says(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    };
    let mut chars = text.chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}

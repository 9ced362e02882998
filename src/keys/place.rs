//! A place where identities may be: a file, a variable, a command.
//!
//! It is read once, when a sops file first asks for a kind of key that it may hold, and not at all if none does.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use zeroize::Zeroizing;

use crate::root::Root;

#[cfg(feature = "openpgp")]
use super::openpgp::{gnupg_home, gpg::Gpg};
use super::{
    Reason,
    command::KeyCommand,
    found::{Content, Found},
    identity::Kinds,
    read::read,
};

/// A place where identities may be.
pub(super) struct Place {
    /// Its path, or the name of the variable.
    pub source: String,
    /// What may be found there.
    pub holds: Kinds,
    /// The manifest names it.
    pub is_named: bool,
    origin: Origin,
    found: OnceLock<Found>,
}

/// How to get at what the place holds.
pub(super) enum Origin {
    /// A file, and where its absolute path begins. A default place need not be there.
    File {
        root: Root,
        path: PathBuf,
        content: Content,
        is_default: bool,
    },
    Text(Content, Zeroizing<Vec<u8>>),
    /// A command, run for one recipient at a time, and only when everything else has failed.
    Command(KeyCommand),
    /// A GnuPG home, and where its absolute path begins. What only gpg can use is left to gpg.
    #[cfg(feature = "openpgp")]
    GnupgHome {
        root: Root,
        path: PathBuf,
        gpg: Box<Gpg>,
        is_default: bool,
    },
    /// A place that cannot be used.
    Unusable(&'static str),
}

impl Place {
    pub(super) fn new(source: impl Into<String>, holds: Kinds, origin: Origin) -> Self {
        Self { source: source.into(), holds, is_named: false, origin, found: OnceLock::new() }
    }

    /// What the place holds; read on the first call.
    pub(super) fn found(&self) -> &Found {
        self.found.get_or_init(|| match &self.origin {
            Origin::Text(content, text) => Found::of(*content, text),
            Origin::Unusable(reason) => Found::unread(*reason),
            Origin::Command(_) => Found::default(),
            #[cfg(feature = "openpgp")]
            Origin::GnupgHome { root, path, is_default, .. } => {
                let gnupg_home::Found { keys, unread } = gnupg_home::read(root, path);
                if keys.is_empty() && unread.is_empty() && !is_default {
                    return match root.open(path) {
                        Ok(_) => Found::unread("it is no GnuPG home with secret keys"),
                        Err(error) => Found::unread(Reason::io(&error)),
                    };
                }
                let told =
                    |(path, reason): (String, Reason)| reason.reworded(|reason| format!("{path}: {reason}"));
                let unread = unread.into_iter().map(told).collect();
                Found { absent: keys.is_empty(), openpgp: keys, unread, ..Found::default() }
            }
            Origin::File { root, path, content, is_default } => match root.open(path) {
                Ok(file) => read(&file).map_or_else(Found::unread, |text| {
                    let mut found = Found::of(*content, &text);
                    found.later.iter_mut().for_each(|later| later.learn_public(|| public_beside(root, path)));
                    found
                }),
                Err(error)
                    if *is_default
                        && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    Found { absent: true, ..Found::default() }
                }
                Err(error) => Found::unread(Reason::io(&error)),
            },
        })
    }

    /// What the place holds, if it was read.
    pub(super) fn read(&self) -> Option<&Found> {
        self.found.get()
    }

    /// gpg, for the GnuPG home that this place is.
    #[cfg(feature = "openpgp")]
    pub(super) fn gpg(&self) -> Option<&Gpg> {
        match &self.origin {
            Origin::GnupgHome { gpg, .. } => Some(gpg),
            _ => None,
        }
    }

    /// The command that this place is.
    pub(super) const fn command(&self) -> Option<&KeyCommand> {
        match &self.origin {
            Origin::Command(command) => Some(command),
            _ => None,
        }
    }
}

/// The public key that ssh-keygen writes beside a private one.
fn public_beside(root: &Root, path: &Path) -> Option<String> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let line = read(&root.open(Path::new(&beside)).ok()?).ok()?;
    String::from_utf8(line.to_vec()).ok()
}

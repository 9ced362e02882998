//! Why a place gives no identity, or why a key entry does not open: in words, and what helps.
//!
//! Both are said where the failure happens, so that the next step follows from it and not from the words.

use std::{borrow::Cow, fmt, io, ops::Deref};

/// A reason, in words that follow "it …" or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    text: Cow<'static, str>,
    remedy: Option<Remedy>,
}

/// What helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A passphrase, which nobody gave, or a wrong one.
    #[cfg(feature = "passphrase")]
    Passphrase,
    /// Somebody who answers the questions of a plugin.
    #[cfg(feature = "plugins")]
    Answer,
    /// This plugin, which is not here.
    #[cfg(feature = "plugins")]
    Plugin(String),
    /// This program, which should be gpg and is not here.
    #[cfg(feature = "openpgp")]
    Gpg(String),
    /// An OpenPGP key of a GnuPG home, without its passphrase.
    #[cfg(feature = "openpgp")]
    Unlock,
    /// The GnuPG home of an OpenPGP key, which was exported with its passphrase.
    #[cfg(feature = "openpgp")]
    Home,
    /// The private key, where a public one is.
    Private,
    /// A file, where there is none.
    File,
    /// Leave to read the file.
    Leave,
}

impl Reason {
    /// Why a file cannot be opened or read.
    pub(super) fn io(error: &io::Error) -> Self {
        let reason = Self::from(error.to_string());
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => reason.remedy(Remedy::File),
            io::ErrorKind::PermissionDenied => reason.remedy(Remedy::Leave),
            _ => reason,
        }
    }

    /// Says what helps.
    pub(super) fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// The same in other words.
    pub(super) fn reworded(self, words: impl FnOnce(&str) -> String) -> Self {
        Self { text: words(&self.text).into(), remedy: self.remedy }
    }

    /// The next step, if one is known. `about` is the recipient or the place that the reason is for.
    #[must_use]
    pub fn next_step(&self, about: &str) -> Option<String> {
        Some(match self.remedy.as_ref()? {
            #[cfg(feature = "passphrase")]
            Remedy::Passphrase => "give the passphrase with --passphrase-file or the systemd credential \
                                   forestage.passphrase, or answer when asked on a terminal"
                .to_owned(),
            #[cfg(feature = "plugins")]
            Remedy::Answer => {
                "run it on a terminal and without --no-prompt, where the plugin's question can be answered"
                    .to_owned()
            }
            #[cfg(feature = "plugins")]
            Remedy::Plugin(plugin) => format!("install {plugin}, or name its directory with --plugin-path"),
            #[cfg(feature = "openpgp")]
            Remedy::Gpg(gpg) if gpg.contains('/') => "correct the path in SOPS_GPG_EXEC".to_owned(),
            #[cfg(feature = "openpgp")]
            Remedy::Gpg(gpg) => format!("install {gpg}, or name another gpg by its path in SOPS_GPG_EXEC"),
            #[cfg(feature = "openpgp")]
            Remedy::Unlock => {
                format!("let gpg-agent remember the passphrase, or take it off: gpg --passwd {about}")
            }
            #[cfg(feature = "openpgp")]
            Remedy::Home => format!(
                "give the GnuPG home instead of the exported key, or take the passphrase off (gpg --passwd {about}) and \
                 export it again"
            ),
            Remedy::Private => {
                "give the private key instead: its file often has the same name without .pub".to_owned()
            }
            Remedy::File => format!("correct the path of {about}, or put the key there"),
            Remedy::Leave => format!("run it as root, or as the user who may read {about}"),
        })
    }
}

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<T: Into<Cow<'static, str>>> From<T> for Reason {
    fn from(text: T) -> Self {
        Self { text: text.into(), remedy: None }
    }
}

#[cfg(test)]
impl PartialEq<&str> for Reason {
    fn eq(&self, text: &&str) -> bool {
        self.text == *text
    }
}

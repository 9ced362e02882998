//! Identities of age plugins, and the protocol that plugins speak (C2SP's age-plugin).
//!
//! A plugin is a program called `age-plugin-NAME`; `AGE-PLUGIN-NAME-1…` names it. It is looked for only where the caller
//! says, sees only the variables that the caller gives it, and has a time limit, in which the time that people take to
//! answer its questions does not count. What it prints on its standard error stands in our error; what it prints on its
//! standard output may be a key, and never does.

mod conversation;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use zeroize::Zeroizing;

use super::{
    age_file::{AgeFile, FileKey},
    bech32,
    reason::{Reason, Remedy},
};
use crate::plaintext::Plaintext;

use self::conversation::{Conversation, Message};

/// How long a plugin may take for one file.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How many messages a plugin may send for one file.
const MAX_MESSAGES: usize = 1000;

/// The identity of a plugin. Wiped when dropped.
pub struct Plugin {
    text: Zeroizing<String>,
    name: String,
}

/// Where plugins are, and what they may see and take.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Absolute paths of directories with plugins, or of single plugins, in the order in which they are looked at.
    pub places: Vec<PathBuf>,
    /// The variables that a plugin sees; no others.
    pub environment: BTreeMap<OsString, OsString>,
    /// How long a plugin may take for one file.
    pub limit: Duration,
}

impl Default for Surroundings {
    /// No plugin is found.
    fn default() -> Self {
        Self::new(Vec::new(), [])
    }
}

impl Surroundings {
    /// Plugins in these places, which see the few variables of ours that a program needs, and those whose names begin
    /// with `AGE_`, by which plugins are configured.
    #[must_use]
    pub fn new(places: Vec<PathBuf>, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        const NEEDED: [&str; 8] =
            ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TMPDIR", "USER", "XDG_RUNTIME_DIR"];
        let environment = variables.into_iter().filter(|(name, _)| {
            let name = name.as_encoded_bytes();
            name.starts_with(b"AGE_") || NEEDED.iter().any(|needed| needed.as_bytes() == name)
        });
        Self { places, environment: environment.collect(), limit: LIMIT }
    }
}

/// Somebody who answers a plugin's questions. A reason instead of an answer ends in our error.
pub trait Person {
    /// Shows a message; false if it cannot be shown.
    fn tell(&self, message: &str) -> bool;
    /// A PIN or the like.
    fn secret(&self, question: &str) -> Result<Plaintext, String>;
    /// Something that may be seen.
    fn public(&self, question: &str) -> Result<Plaintext, String>;
    /// A choice, whose names are given: true for the first.
    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Result<bool, String>;
}

/// Nobody answers.
pub struct Nobody;

impl Person for Nobody {
    fn tell(&self, _: &str) -> bool {
        false
    }

    fn secret(&self, _: &str) -> Result<Plaintext, String> {
        Err("nobody may be asked".to_owned())
    }

    fn public(&self, _: &str) -> Result<Plaintext, String> {
        Err("nobody may be asked".to_owned())
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Result<bool, String> {
        Err("nobody may be asked".to_owned())
    }
}

#[cfg(feature = "passphrase")]
impl Person for super::passphrase::Passphrases {
    fn tell(&self, message: &str) -> bool {
        Self::tell(self, message)
    }

    fn secret(&self, question: &str) -> Result<Plaintext, String> {
        self.ask_secret(question)
    }

    fn public(&self, question: &str) -> Result<Plaintext, String> {
        self.ask_public(question)
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Result<bool, String> {
        let choice = self.ask_public(&format!("{question} [{yes}/{}]", no.unwrap_or("no")))?;
        let choice = String::from_utf8_lossy(&choice).trim().to_lowercase();
        // An initial is enough, unless both have the same.
        let yes = yes.to_lowercase();
        let other = no.unwrap_or("no").to_lowercase();
        Ok(!choice.is_empty() && yes.starts_with(&choice) && !other.starts_with(&choice))
    }
}

impl Plugin {
    /// Reads `AGE-PLUGIN-NAME-1…`; `None` if it is malformed or names no program.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let prefix = bech32::prefix(text)?;
        let name = prefix.strip_prefix("AGE-PLUGIN-")?.strip_suffix('-')?.to_ascii_lowercase();
        // As age allows: above all no slash, and no name that is a path.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        (!name.is_empty() && name.bytes().all(allowed))
            .then(|| Self { text: Zeroizing::new(text.to_owned()), name })
    }

    /// The name of the plugin, in small letters: `yubikey` for `age-plugin-yubikey`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Is it the same identity?
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.text.as_bytes(), other.text.as_bytes()).into()
    }

    /// The program, in one of these places. Fails with the reason.
    pub fn find(&self, places: &[PathBuf]) -> Result<PathBuf, Reason> {
        let program = format!("age-plugin-{}", self.name);
        let runs = |path: &Path| {
            fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        let found = places.iter().filter(|place| place.is_absolute()).find_map(|place| {
            if place.file_name().is_some_and(|name| name == program.as_str()) && runs(place) {
                return Some(place.clone());
            }
            Some(place.join(&program)).filter(|path| runs(path))
        });
        found.ok_or_else(|| {
            let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
            let reason = match places.as_slice() {
                [] => format!("{program} is not looked for: no directory for plugins is set"),
                _ => format!("{program} was not found in {}", places.join(", ")),
            };
            Reason::from(reason).remedy(Remedy::Plugin(program))
        })
    }

    /// The content of a file, which must not be longer than 64 KiB; `None` if the plugin says that the file is not for
    /// this identity. Fails with the reason.
    pub fn open(
        &self,
        file: &AgeFile<'_>,
        surroundings: &Surroundings,
        person: &dyn Person,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Reason> {
        match self.file_key(file, surroundings, person)? {
            Some(key) => file.open_with(&key).map(Some).map_err(Reason::from),
            None => Ok(None),
        }
    }

    fn file_key(
        &self,
        file: &AgeFile<'_>,
        surroundings: &Surroundings,
        person: &dyn Person,
    ) -> Result<Option<FileKey>, Reason> {
        let program = self.find(&surroundings.places)?;
        let mut command = Command::new(&program);
        command.arg("--age-plugin=identity-v1").current_dir("/").env_clear().envs(&surroundings.environment);
        let mut plugin = Conversation::start(&mut command, surroundings.limit)
            .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let told = self.converse(file, &mut plugin, person);
        let trouble = plugin.end(told.is_err());
        told.map_err(|reason| reason.reworded(|reason| format!("age-plugin-{} {reason}{trouble}", self.name)))
    }

    /// The part of the protocol called identity-v1.
    fn converse(
        &self,
        file: &AgeFile<'_>,
        plugin: &mut Conversation,
        person: &dyn Person,
    ) -> Result<Option<FileKey>, Reason> {
        plugin.say(&[b"add-identity", self.text.as_bytes()], b"");
        for stanza in &file.stanzas {
            let start: [&[u8]; 3] = [b"recipient-stanza", b"0", stanza.kind];
            let words = [&start, stanza.args.as_slice()].concat();
            plugin.say(&words, &stanza.body);
        }
        plugin.say(&[b"done"], b"");
        let mut found: Option<FileKey> = None;
        let mut errors = Vec::new();
        let mut is_answered = true;
        let refused = |reason: String, is_answered| {
            let reason = Reason::from(reason);
            if is_answered { reason } else { reason.remedy(Remedy::Answer) }
        };
        for _ in 0..MAX_MESSAGES {
            let message = plugin.hear().map_err(|reason| {
                // Many plugins end after they have said why.
                if errors.is_empty() {
                    return reason.into();
                }
                refused(format!("{reason}, and says: {}", errors.join("; ")), is_answered)
            })?;
            let answer = match message.command.as_slice() {
                b"done" => {
                    return match (found, errors.first()) {
                        (Some(key), _) => Ok(Some(key)),
                        (None, None) => Ok(None),
                        (None, Some(_)) => Err(refused(format!("says: {}", errors.join("; ")), is_answered)),
                    };
                }
                b"file-key" => {
                    let key = <[u8; 16]>::try_from(message.body.as_slice()).map(Zeroizing::new);
                    let (Ok(key), [b"0"]) = (key, message.words().as_slice()) else {
                        return Err("gives a key of a wrong form".into());
                    };
                    found = Some(key);
                    Ok(None)
                }
                b"error" => {
                    errors.push(shown(&message.text()));
                    Ok(None)
                }
                _ => ask(&message, plugin, person).map_err(|reason| {
                    // The plugin decides whether it can go on without.
                    if let Some(reason) = &reason {
                        is_answered = false;
                        errors.push(format!("its question was not answered: {reason}"));
                    }
                    if reason.is_some() { &b"fail"[..] } else { b"unsupported" }
                }),
            };
            match answer {
                Ok(None) => plugin.say(&[b"ok"], b""),
                Ok(Some(Answer::Word(word))) => plugin.say(&[b"ok", word], b""),
                Ok(Some(Answer::Body(body))) => plugin.say(&[b"ok"], &body),
                Err(word) => plugin.say(&[word], b""),
            }
        }
        Err(format!("sends more than {MAX_MESSAGES} messages").into())
    }
}

/// What answers a question, besides `ok`.
enum Answer {
    Word(&'static [u8]),
    Body(Plaintext),
}

/// Puts a plugin's question to somebody. Without an answer: the reason, or `None` if it is no question that we know.
fn ask(
    message: &Message,
    plugin: &mut Conversation,
    person: &dyn Person,
) -> Result<Option<Answer>, Option<String>> {
    let text = shown(&message.text());
    plugin.pause(|| match message.command.as_slice() {
        // That nobody sees it is no reason to fail.
        b"msg" => {
            if person.tell(&text) {
                Ok(None)
            } else {
                Err(Some(format!("nobody sees {text:?}")))
            }
        }
        b"request-secret" => person.secret(&text).map(|answer| Some(Answer::Body(answer))).map_err(Some),
        b"request-public" => person.public(&text).map(|answer| Some(Answer::Body(answer))).map_err(Some),
        b"confirm" => {
            let choice = |word: &&[u8]| {
                let bytes = BASE64_STANDARD_NO_PAD.decode(word).unwrap_or_default();
                shown(&String::from_utf8_lossy(&bytes))
            };
            let words = message.words();
            let (yes, no) = (words.first().map(choice), words.get(1).map(choice));
            let yes = yes.as_deref().unwrap_or("yes");
            let word = |yes| Some(Answer::Word(if yes { b"yes" } else { b"no" }));
            person.confirm(&text, yes, no.as_deref()).map(word).map_err(Some)
        }
        _ => Err(None),
    })
}

/// Text of a plugin, on one line and not too long.
fn shown(text: &str) -> String {
    const MAX: usize = 300;
    text.trim().chars().take(MAX).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests;

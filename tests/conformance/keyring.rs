//! Identities made for the run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::tools;

/// An identity by its role in the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The age identity of most cases.
    First,
    Second,
    Third,
    /// An age identity that nothing is encrypted to.
    Stranger,
    /// An ssh-ed25519 key by its native recipient.
    Ssh,
    /// The same key by the age recipient that ssh-to-age gives.
    Converted,
}

struct Identity {
    file: PathBuf,
    recipient: String,
    /// The age secret key, for `SOPS_AGE_KEY`; `None` for a native ssh key.
    secret: Option<String>,
}

pub struct Keyring(Vec<(Key, Identity)>);

impl Keyring {
    /// Makes the keys in this directory.
    pub fn make(directory: &Path) -> Result<Self, String> {
        let keygen = tools::age_keygen()?;
        let ssh_to_age = tools::ssh_to_age()?;
        let mut keys = Vec::new();
        for (key, name) in [
            (Key::First, "first"),
            (Key::Second, "second"),
            (Key::Third, "third"),
            (Key::Stranger, "stranger"),
        ] {
            let file = directory.join(name);
            tools::output(Command::new(&keygen).arg("-o").arg(&file))?;
            let recipient = tools::output(Command::new(&keygen).arg("-y").arg(&file))?.trim_end().to_owned();
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            let secret = text.lines().find(|line| !line.starts_with('#')).map(str::to_owned);
            keys.push((key, Identity { file, recipient, secret }));
        }

        let file = directory.join("id_ed25519");
        tools::output(
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&file),
        )?;
        let public = file.with_extension("pub");
        let native = fs::read_to_string(&public).map_err(|error| error.to_string())?;
        let converted = tools::output(Command::new(&ssh_to_age).arg("-i").arg(&public))?;
        let secret = tools::output(Command::new(&ssh_to_age).arg("-private-key").arg("-i").arg(&file))?;
        let trimmed = |text: String| text.trim_end().to_owned();
        keys.push((Key::Ssh, Identity { file: file.clone(), recipient: trimmed(native), secret: None }));
        keys.push((
            Key::Converted,
            Identity { file, recipient: trimmed(converted), secret: Some(trimmed(secret)) },
        ));
        Ok(Keyring(keys))
    }

    fn get(&self, key: Key) -> &Identity {
        &self.0.iter().find(|(known, _)| *known == key).unwrap().1
    }

    pub fn recipient(&self, key: Key) -> &str {
        &self.get(key).recipient
    }

    pub fn file(&self, key: Key) -> &Path {
        &self.get(key).file
    }

    /// Lets sops find these identities and no others.
    pub fn give_to_sops(&self, command: &mut Command, keys: &[Key]) {
        let secrets: Vec<&str> = keys.iter().filter_map(|&key| self.get(key).secret.as_deref()).collect();
        if !secrets.is_empty() {
            command.env("SOPS_AGE_KEY", secrets.join("\n"));
        }
        for key in keys {
            if *key == Key::Ssh {
                command.env("SOPS_AGE_SSH_PRIVATE_KEY_FILE", self.file(*key));
            }
        }
    }
}

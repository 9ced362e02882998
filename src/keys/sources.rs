//! Where a run looks for identities: the manifest, the command line, and where sops itself looks.
//!
//! Nothing is read here. Facts: sops-format.md 5.2.

use std::{
    env,
    ffi::OsString,
    path::{self, Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{manifest::Identities, root::Root};

#[cfg(feature = "openpgp")]
use super::openpgp::gpg::Gpg;
use super::{
    Keyring,
    command::KeyCommand,
    found::Content,
    identity::Kinds,
    place::{Origin, Place},
};

impl Keyring {
    /// The identities in these files, and no others.
    #[must_use]
    pub fn from_files(paths: &[PathBuf]) -> Self {
        let mut keyring = Self::default();
        for path in paths {
            if let Some(home) = path::absolute(path).ok().filter(|home| home.is_dir()) {
                keyring.add_gnupg_home(&Root::system(), &home, env::var_os("SOPS_GPG_EXEC"), false);
            } else {
                keyring.add_file(path.display().to_string(), Kinds::ALL, &Root::system(), path, Content::Any);
            }
        }
        keyring
    }

    /// The identities that sops itself would find.
    #[must_use]
    pub fn from_environment() -> Self {
        let mut keyring = Self::default();
        keyring.add_environment(|name| env::var_os(name));
        keyring
    }

    /// The identities that a manifest names, and behind them those that sops itself would find.
    ///
    /// As in sops-install-secrets, a manifest with age identities hides `SOPS_AGE_KEY_FILE`.
    #[must_use]
    pub fn from_manifest(named: &Identities, root: &Root) -> Self {
        let mut keyring = Self::default();
        let shown = |path: &PathBuf| root.join(path).display().to_string();
        if let Some(path) = &named.age_key_file {
            keyring.add_file(shown(path), Kinds::AGE, root, path, Content::Age);
        }
        let content = Content::Ssh { converts: true };
        for path in &named.age_ssh_key_paths {
            keyring.add_file(shown(path), Kinds::SSH.and(Kinds::X25519), root, path, content);
        }
        for path in &named.ssh_key_paths {
            keyring.add_file(shown(path), Kinds::OPENPGP, root, path, Content::SshAsOpenPgp);
        }
        if let Some(path) = &named.gnupg_home {
            keyring.add_gnupg_home(root, path, env::var_os("SOPS_GPG_EXEC"), false);
        }
        keyring.places.iter_mut().for_each(|place| place.is_named = true);
        let hides = named.age_key_file.is_some() || !named.age_ssh_key_paths.is_empty();
        keyring.add_environment(|name| env::var_os(name).filter(|_| !(hides && name == "SOPS_AGE_KEY_FILE")));
        keyring
    }

    /// Adds the places where sops looks by itself: variables, and files in the user's home. `variable` looks a
    /// variable up.
    pub(super) fn add_environment(&mut self, variable: impl Fn(&str) -> Option<OsString>) {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(text) = set("SOPS_AGE_KEY") {
            let text = Zeroizing::new(text.into_encoded_bytes());
            self.places.push(Place::new("SOPS_AGE_KEY", Kinds::AGE, Origin::Text(Content::AgeWords, text)));
        }
        let native = Content::Ssh { converts: false };
        for (name, holds, content) in [
            ("SOPS_AGE_KEY_FILE", Kinds::AGE, Content::Age),
            ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", Kinds::SSH, native),
        ] {
            if let Some(path) = variable(name).map(PathBuf::from) {
                let source = format!("{name} ({})", path.display());
                self.add_file(source, holds, &Root::system(), &path, content);
            }
        }
        for (name, holds, content) in [
            ("SOPS_AGE_KEY_CMD", Kinds::AGE, Content::Age),
            ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", Kinds::SSH, native),
        ] {
            if let Some(line) = variable(name) {
                let origin = match line.to_str() {
                    Some(line) => Origin::Command(KeyCommand::new(line, content)),
                    None => Origin::Unusable("it is not UTF-8"),
                };
                self.places.push(Place::new(name, holds, origin));
            }
        }
        let home = set("HOME").map(PathBuf::from);
        let config = match set("XDG_CONFIG_HOME").map(PathBuf::from) {
            Some(path) if path.is_absolute() => Some(path),
            Some(_) => {
                let reason = Origin::Unusable("it is a relative path");
                self.places.push(Place::new("XDG_CONFIG_HOME", Kinds::AGE, reason));
                None
            }
            None => home.as_ref().map(|home| home.join(".config")),
        };
        if let Some(config) = config {
            self.add_default(config.join("sops/age/keys.txt"), Kinds::AGE, Content::Age);
        }
        // A manifest with a home of its own, or with ssh keys for one, hides the user's.
        let has_home = self.places.iter().any(|place| place.holds == Kinds::OPENPGP);
        let named = set("GNUPGHOME").and_then(|home| path::absolute(home).ok());
        if let Some(path) = named.filter(|_| !has_home) {
            self.add_gnupg_home(&Root::system(), &path, variable("SOPS_GPG_EXEC"), false);
        } else if let Some(home) = home.as_ref().filter(|_| !has_home) {
            self.add_gnupg_home(&Root::system(), &home.join(".gnupg"), variable("SOPS_GPG_EXEC"), true);
        }
        if let Some(home) = home {
            self.add_default(home.join(".ssh/id_ed25519"), Kinds::SSH_ED25519, native);
            self.add_default(home.join(".ssh/id_rsa"), Kinds::SSH_RSA, native);
        }
    }

    fn add_file(&mut self, source: String, holds: Kinds, root: &Root, path: &Path, content: Content) {
        let (root, path) = (root.clone(), path.to_owned());
        let origin = Origin::File { root, path, content, is_default: false };
        self.places.push(Place::new(source, holds, origin));
    }

    #[cfg(feature = "openpgp")]
    fn add_gnupg_home(&mut self, root: &Root, path: &Path, program: Option<OsString>, is_default: bool) {
        let outside = root.join(path);
        let program = program.filter(|program| !program.is_empty()).unwrap_or("gpg".into());
        let gpg = Box::new(Gpg::new(program, &outside));
        let origin = Origin::GnupgHome { root: root.clone(), path: path.to_owned(), gpg, is_default };
        self.places.push(Place::new(outside.display().to_string(), Kinds::OPENPGP, origin));
    }

    #[cfg(not(feature = "openpgp"))]
    fn add_gnupg_home(&mut self, root: &Root, path: &Path, _: Option<OsString>, _: bool) {
        let origin = Origin::Unusable("OpenPGP keys are not supported by this build");
        self.places.push(Place::new(root.join(path).display().to_string(), Kinds::OPENPGP, origin));
    }

    fn add_default(&mut self, path: PathBuf, holds: Kinds, content: Content) {
        let source = path.display().to_string();
        let origin = Origin::File { root: Root::system(), path, content, is_default: true };
        self.places.push(Place::new(source, holds, origin));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        fs::{self, File},
        os::unix::fs::symlink,
        process, thread,
        time::{Duration, Instant},
    };

    use super::{
        super::{fixtures as f, read::MAX_FILE},
        *,
    };

    /// A directory of its own, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("forestage-sources-{name}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn of_files(paths: &[PathBuf]) -> Keyring {
        let keyring = Keyring::from_files(paths);
        keyring.read_all();
        keyring
    }

    fn recipients(keyring: &Keyring) -> Vec<String> {
        keyring.read_all();
        keyring.identities().into_iter().flat_map(|identity| identity.recipients).collect()
    }

    fn reason(keyring: &Keyring) -> String {
        keyring.read_all();
        keyring.unread().next().map(|unread| unread.reason.to_string()).unwrap_or_default()
    }

    #[test]
    fn files_of_every_kind() {
        let scratch = Scratch::new("files");
        let keyring = of_files(&[
            scratch.write("age", f::A),
            scratch.write("again", f::A),
            scratch.write("ssh", f::SSH),
        ]);
        assert_eq!(recipients(&keyring), [f::A_PUBLIC, f::SSH_AS_AGE, f::SSH_PUBLIC]);
        assert_eq!(keyring.identities()[0].sources.len(), 2);
        assert!(keyring.unread().next().is_none());

        let looping = scratch.0.join("loop");
        symlink(&looping, &looping).unwrap();
        let large = scratch.write("large", "");
        File::options().write(true).open(&large).unwrap().set_len(MAX_FILE as u64 + 1).unwrap();
        for (path, reason) in [
            (scratch.0.join("none"), "No such file"),
            (scratch.0.clone(), "it is no GnuPG home"),
            (looping, "symbolic links"),
            (PathBuf::from("/dev/null"), "it is no regular file"),
            (large, "it is larger than"),
            (scratch.write("cut", "-----BEGIN AGE ENCRYPTED FILE-----\n"), "its armor has no end"),
            (scratch.write("protected", f::SSH_PROTECTED), "protected by a passphrase"),
        ] {
            let keyring = of_files(std::slice::from_ref(&path));
            let told = super::tests::reason(&keyring);
            assert!(told.contains(reason), "{}: {told}", path.display());
        }
        let mut keyring = Keyring::default();
        keyring.add_file(
            "ssh".into(),
            Kinds::AGE,
            &Root::system(),
            &scratch.write("ssh", f::SSH),
            Content::Age,
        );
        assert!(reason(&keyring).contains("where age identities belong"));
    }

    #[test]
    fn links_to_identities_stay_inside_the_root() {
        let scratch = Scratch::new("root");
        scratch.write("persist/key", f::SSH);
        symlink("/persist/key", scratch.0.join("key")).unwrap();
        let root = Root::at(&scratch.0).unwrap();
        let named = Identities { age_ssh_key_paths: vec!["/key".into()], ..Identities::default() };
        let keyring = Keyring::from_manifest(&named, &root);
        let source = scratch.0.join("key").display().to_string();
        keyring.read_named();
        assert!(keyring.identities().iter().any(|identity| identity.sources == [&source]));
    }

    #[test]
    fn a_fifo_is_read_to_its_end_and_not_waited_for() {
        let scratch = Scratch::new("fifo");
        let path = scratch.0.join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let start = Instant::now();
        let keyring = || of_files(std::slice::from_ref(&path));
        assert!(reason(&keyring()).contains("not written to its end within 1 s"));
        assert!(start.elapsed() < Duration::from_secs(3));
        let writer = path.clone();
        let writer = thread::spawn(move || fs::write(writer, format!("{}\n", f::A)).unwrap());
        let keyring = keyring();
        writer.join().unwrap();
        assert_eq!(recipients(&keyring), [f::A_PUBLIC]);
    }

    #[test]
    fn the_environment() {
        let scratch = Scratch::new("environment");
        scratch.write("home/.ssh/id_ed25519", f::SSH);
        scratch.write("home/.config/sops/age/keys.txt", f::B);
        let file = scratch.write("file", f::C).into_os_string();
        let home = scratch.0.join("home").into_os_string();
        let keyring = |variables: &[(&str, OsString)]| {
            let variables: HashMap<_, _> = variables.iter().cloned().collect();
            let mut keyring = Keyring::default();
            keyring.add_environment(|name| variables.get(name).cloned());
            keyring
        };
        let all = keyring(&[
            ("SOPS_AGE_KEY", format!("# two\n{} {}\n", f::A, f::C).into()),
            ("SOPS_AGE_KEY_FILE", file),
            ("SOPS_AGE_KEY_CMD", "false".into()),
            ("HOME", home.clone()),
        ]);
        // Native only: sops converts no ssh key that it finds by itself.
        assert_eq!(recipients(&all), [f::A_PUBLIC, f::C_PUBLIC, f::B_PUBLIC, f::SSH_PUBLIC]);
        assert_eq!(all.places.iter().filter_map(Place::command).count(), 1);
        let sources = all.identities()[1].sources.clone();
        assert!(matches!(sources[..], ["SOPS_AGE_KEY", file] if file.starts_with("SOPS_AGE_KEY_FILE (")));

        let other =
            keyring(&[("HOME", home.clone()), ("XDG_CONFIG_HOME", scratch.0.clone().into_os_string())]);
        assert_eq!(recipients(&other), [f::SSH_PUBLIC]);
        let absent = ["sops/age/keys.txt", "home/.gnupg", "home/.ssh/id_rsa"]
            .map(|path| scratch.0.join(path).display().to_string());
        assert_eq!(other.absent().collect::<Vec<_>>(), absent);
        let relative = keyring(&[("HOME", home), ("XDG_CONFIG_HOME", "here".into())]);
        relative.read_all();
        assert_eq!(relative.unread().next().unwrap().source, "XDG_CONFIG_HOME");
        assert!(recipients(&keyring(&[])).is_empty());
    }
}

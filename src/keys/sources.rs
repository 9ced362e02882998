//! Where identities come from: files, variables, default places.
//!
//! Files are read at the edge of this module; what they hold is taken apart line by line, so that one line that is
//! not understood costs that line. Facts: sops-format.md 5.2.

use std::{
    ffi::OsString,
    fs::File,
    io::{ErrorKind, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use crate::root::Root;

use super::{Identity, Key, Keyring, Unread, age::X25519, command::KeyCommand, ssh::Ed25519};

/// The largest identity file, in bytes.
pub(super) const MAX_FILE: usize = 1 << 20;

/// How long a FIFO may take to deliver an identity.
const FIFO_LIMIT: Duration = Duration::from_secs(1);

impl Keyring {
    /// Adds what a file holds: age identities or an SSH private key, told apart by the content.
    pub fn add_file(&mut self, path: &Path) {
        let source = path.display().to_string();
        match read(&Root::system(), path) {
            Ok(file) if file.starts_with(b"-----BEGIN ") && !is_encrypted(&file) => {
                self.add_ssh(&source, &file, true);
            }
            Ok(file) => self.add_age_text(&source, &file),
            Err(reason) => self.skip(&source, reason),
        }
    }

    /// Adds what sops finds by itself: `SOPS_AGE_KEY`, `SOPS_AGE_KEY_FILE`, `SOPS_AGE_KEY_CMD`,
    /// `SOPS_AGE_SSH_PRIVATE_KEY_FILE`, and the files in the user's home. `variable` looks a variable up.
    pub fn add_environment(&mut self, variable: impl Fn(&str) -> Option<OsString>) {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(text) = set("SOPS_AGE_KEY") {
            let text = Zeroizing::new(text.into_encoded_bytes());
            self.add_age_words("SOPS_AGE_KEY", &text);
        }
        if let Some(path) = variable("SOPS_AGE_KEY_FILE") {
            let path = PathBuf::from(path);
            let source = format!("SOPS_AGE_KEY_FILE ({})", path.display());
            self.add_age_file(&source, &Root::system(), &path);
        }
        if let Some(path) = variable("SOPS_AGE_SSH_PRIVATE_KEY_FILE") {
            let path = PathBuf::from(path);
            let source = format!("SOPS_AGE_SSH_PRIVATE_KEY_FILE ({})", path.display());
            self.add_ssh_file(&source, &Root::system(), &path, false);
        }
        if let Some(line) = variable("SOPS_AGE_KEY_CMD") {
            match line.to_str() {
                Some(line) => self.commands.push(KeyCommand::new("SOPS_AGE_KEY_CMD", line)),
                None => self.skip("SOPS_AGE_KEY_CMD", "it is not UTF-8"),
            }
        }
        let home = set("HOME").map(PathBuf::from);
        let config = match set("XDG_CONFIG_HOME").map(PathBuf::from) {
            Some(path) if path.is_absolute() => Some(path),
            Some(_) => {
                self.skip("XDG_CONFIG_HOME", "it is a relative path");
                None
            }
            None => home.as_ref().map(|home| home.join(".config")),
        };
        if let Some(path) = config.map(|config| config.join("sops/age/keys.txt")) {
            self.add_if_there(&path, Self::add_age_text);
        }
        if let Some(path) = home.map(|home| home.join(".ssh/id_ed25519")) {
            self.add_if_there(&path, |keyring, source, file| keyring.add_ssh(source, file, false));
        }
    }

    /// Adds the identities of an age key file in `root`.
    pub(super) fn add_age_file(&mut self, source: &str, root: &Root, path: &Path) {
        match read(root, path) {
            Ok(file) => self.add_age_text(source, &file),
            Err(reason) => self.skip(source, reason),
        }
    }

    /// Adds an SSH private key in `root`: for ssh-ed25519 recipients, and, if it `converts`, for the recipients that
    /// ssh-to-age makes.
    pub(super) fn add_ssh_file(&mut self, source: &str, root: &Root, path: &Path, converts: bool) {
        match read(root, path) {
            Ok(file) => self.add_ssh(source, &file, converts),
            Err(reason) => self.skip(source, reason),
        }
    }

    /// A default place: nothing there is no fault.
    fn add_if_there(&mut self, path: &Path, add: impl FnOnce(&mut Self, &str, &[u8])) {
        let source = path.display().to_string();
        match Root::system().open(path) {
            Ok(file) => match read_open(&file) {
                Ok(file) => add(self, &source, &file),
                Err(reason) => self.skip(&source, reason),
            },
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                self.absent.push(source);
            }
            Err(error) => self.skip(&source, error.to_string()),
        }
    }

    /// Adds an SSH private key.
    pub(super) fn add_ssh(&mut self, source: &str, file: &[u8], converts: bool) {
        match Ed25519::parse(file) {
            Ok(key) => self.add(source, Key::Ssh { key, converts }),
            Err(reason) => self.skip(source, reason),
        }
    }

    /// Adds the identities of a text, one a line, with comments and empty lines between.
    pub(super) fn add_age_text(&mut self, source: &str, text: &[u8]) {
        if is_encrypted(text) {
            self.skip(source, "it is protected by a passphrase, which is not supported by this build");
        } else if text.starts_with(b"-----BEGIN ") {
            self.skip(source, "it holds an SSH or other private key where age identities belong");
        } else {
            for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if !line.is_empty() && !line.starts_with(b"#") {
                    self.add_age(source, line, at);
                }
            }
        }
    }

    /// As [`add_age_text`](Self::add_age_text), with blanks between identities too, as sops 3.13 reads the variable.
    fn add_age_words(&mut self, source: &str, text: &[u8]) {
        if is_encrypted(text) {
            return self.add_age_text(source, text);
        }
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if !line.starts_with(b"#") {
                let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                words.for_each(|word| self.add_age(source, word, at));
            }
        }
    }

    fn add_age(&mut self, source: &str, text: &[u8], line: usize) {
        let starts = |prefix: &str| text.starts_with(prefix.as_bytes());
        let reason = if starts("AGE-PLUGIN-") {
            "an identity of an age plugin, which is not supported by this build"
        } else if starts("AGE-SECRET-KEY-PQ-1") {
            "a post-quantum identity, which is not supported by this build"
        } else if !starts("AGE-SECRET-KEY-1") {
            "not an age identity"
        } else if let Some(key) = std::str::from_utf8(text).ok().and_then(X25519::parse) {
            return self.add(source, Key::X25519(key));
        } else {
            "a damaged age identity: its checksum or length is wrong"
        };
        self.skip(source, format!("line {}: {reason}", line.saturating_add(1)));
    }

    /// Adds a key, once.
    fn add(&mut self, source: &str, key: Key) {
        for known in &mut self.identities {
            let same = match (&known.key, &key) {
                (Key::X25519(known), Key::X25519(key)) => known.same(key),
                (Key::Ssh { key: known, converts }, Key::Ssh { key, converts: wanted }) => {
                    converts == wanted && known.converted().same(key.converted())
                }
                _ => false,
            };
            if same {
                if known.source != source {
                    known.source = format!("{} and {source}", known.source);
                }
                return;
            }
        }
        self.identities.push(Identity { source: source.to_owned(), key });
    }

    pub(super) fn skip(&mut self, source: &str, reason: impl Into<String>) {
        self.unread.push(Unread { source: source.to_owned(), reason: reason.into() });
    }
}

/// Is it an identity file that age encrypted?
fn is_encrypted(file: &[u8]) -> bool {
    file.starts_with(b"age-encryption") || file.starts_with(b"-----BEGIN AGE")
}

fn read(root: &Root, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    root.open(path).map_err(|error| error.to_string()).and_then(|file| read_open(&file))
}

/// What a regular file or a FIFO holds.
fn read_open(file: &File) -> Result<Zeroizing<Vec<u8>>, String> {
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    let kind = metadata.file_type();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    if kind.is_fifo() {
        return read_fifo(file);
    }
    if !kind.is_file() {
        return Err(if kind.is_dir() { "it is a directory" } else { "it is no regular file" }.to_owned());
    }
    if metadata.len() > limit {
        return Err(format!("it is larger than {MAX_FILE} bytes"));
    }
    // With room to spare, so that nothing is moved and left behind in freed memory.
    let room = usize::try_from(metadata.len()).unwrap_or_default().saturating_add(64);
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    let mut file = file.take(limit);
    file.read_to_end(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

fn read_fifo(mut file: &File) -> Result<Zeroizing<Vec<u8>>, String> {
    let deadline = Instant::now().checked_add(FIFO_LIMIT);
    let mut text = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let mut chunk = Zeroizing::new([0; 4096]);
    loop {
        match file.read(&mut chunk[..]) {
            Ok(0) if !text.is_empty() => return Ok(text),
            // No writer yet, or it has not written yet.
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.to_string()),
            Ok(length) => {
                text.extend_from_slice(chunk.get(..length).unwrap_or_default());
                if text.len() > MAX_FILE {
                    return Err(format!("it delivers more than {MAX_FILE} bytes"));
                }
                continue;
            }
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return Err(format!(
                "it is a FIFO and was not written to its end within {} s",
                FIFO_LIMIT.as_secs()
            ));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, fs, os::unix::fs::symlink, process};

    use super::{super::fixtures as f, *};
    use crate::manifest::Identities;

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

    fn recipients(keyring: &Keyring) -> Vec<String> {
        keyring.identities().iter().flat_map(Identity::recipients).collect()
    }

    #[test]
    fn a_bad_line_costs_that_line() {
        let text = format!(
            "# note\n\n{}\r\nAGE-PLUGIN-X-1\n {}\n{}\nAGE-SECRET-KEY-PQ-1X\n{}X\n{}",
            f::A,
            f::B,
            f::A,
            f::B,
            f::C
        );
        let mut keyring = Keyring::default();
        keyring.add_age_text("k", text.as_bytes());
        assert_eq!(recipients(&keyring), [f::A_PUBLIC, f::C_PUBLIC]);
        let reasons: Vec<_> = keyring.unread().iter().map(|unread| unread.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "line 4: an identity of an age plugin, which is not supported by this build",
                "line 5: not an age identity",
                "line 7: a post-quantum identity, which is not supported by this build",
                "line 8: a damaged age identity: its checksum or length is wrong",
            ]
        );
    }

    #[test]
    fn files_of_every_kind() {
        let scratch = Scratch::new("files");
        let mut keyring = Keyring::default();
        keyring.add_file(&scratch.write("age", f::A));
        keyring.add_file(&scratch.write("again", f::A));
        keyring.add_file(&scratch.write("ssh", f::SSH));
        assert_eq!(recipients(&keyring), [f::A_PUBLIC, f::SSH_AS_AGE, f::SSH_PUBLIC]);
        assert!(keyring.identities()[0].source.contains("age and "), "{}", keyring.identities()[0].source);
        assert!(keyring.unread().is_empty());

        let looping = scratch.0.join("loop");
        symlink(&looping, &looping).unwrap();
        let large = scratch.write("large", "");
        File::options().write(true).open(&large).unwrap().set_len(MAX_FILE as u64 + 1).unwrap();
        for (path, reason) in [
            (scratch.0.join("none"), "No such file"),
            (scratch.0.clone(), "it is a directory"),
            (looping, "symbolic links"),
            (PathBuf::from("/dev/null"), "it is no regular file"),
            (large, "it is larger than"),
            (scratch.write("protected", "-----BEGIN AGE ENCRYPTED FILE-----\n"), "protected by a passphrase"),
            (scratch.write("rsa", f::SSH_RSA), "RSA"),
        ] {
            let mut keyring = Keyring::default();
            keyring.add_file(&path);
            let told = keyring.unread().first().map(|unread| unread.reason.clone()).unwrap_or_default();
            assert!(told.contains(reason) && keyring.identities().is_empty(), "{}: {told}", path.display());
        }
        let mut keyring = Keyring::default();
        keyring.add_age_file("ssh", &Root::system(), &scratch.write("ssh", f::SSH));
        assert!(keyring.unread()[0].reason.contains("where age identities belong"));
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
        assert!(keyring.identities().iter().any(|identity| identity.source == source));
    }

    #[test]
    fn a_fifo_is_read_to_its_end_and_not_waited_for() {
        let scratch = Scratch::new("fifo");
        let path = scratch.0.join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let start = Instant::now();
        let mut keyring = Keyring::default();
        keyring.add_file(&path);
        assert!(keyring.unread()[0].reason.contains("not written to its end within 1 s"));
        assert!(start.elapsed() < Duration::from_secs(3));
        let writer = path.clone();
        let writer = thread::spawn(move || fs::write(writer, format!("{}\n", f::A)).unwrap());
        let mut keyring = Keyring::default();
        keyring.add_file(&path);
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
        assert_eq!(all.commands.len(), 1);
        assert!(all.identities()[1].source.contains("SOPS_AGE_KEY and SOPS_AGE_KEY_FILE"));

        let other =
            keyring(&[("HOME", home.clone()), ("XDG_CONFIG_HOME", scratch.0.clone().into_os_string())]);
        assert_eq!(recipients(&other), [f::SSH_PUBLIC]);
        assert_eq!(other.absent(), [scratch.0.join("sops/age/keys.txt").display().to_string()]);
        let relative = keyring(&[("HOME", home), ("XDG_CONFIG_HOME", "here".into())]);
        assert_eq!(relative.unread()[0].source, "XDG_CONFIG_HOME");
        assert!(recipients(&keyring(&[])).is_empty());
    }
}

//! GnuPG homes made with the real gpg, of one version or another.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use forestage::keys::openpgp::gpg::Gpg;

/// What messages hold.
pub const DATA: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// The kinds of keys that gpg makes, as its batch files name key and subkey.
pub const KINDS: [(&str, &str, &str); 8] = [
    ("rsa2048", "RSA\nKey-Length: 2048", "RSA\nSubkey-Length: 2048"),
    ("rsa3072", "RSA\nKey-Length: 3072", "RSA\nSubkey-Length: 3072"),
    ("rsa4096", "RSA\nKey-Length: 2048", "RSA\nSubkey-Length: 4096"),
    ("cv25519", "EDDSA\nKey-Curve: ed25519", "ECDH\nSubkey-Curve: cv25519"),
    ("nistp256", "ECDSA\nKey-Curve: nistp256", "ECDH\nSubkey-Curve: nistp256"),
    ("nistp384", "ECDSA\nKey-Curve: nistp384", "ECDH\nSubkey-Curve: nistp384"),
    ("nistp521", "ECDSA\nKey-Curve: nistp521", "ECDH\nSubkey-Curve: nistp521"),
    ("elgamal", "DSA\nKey-Length: 1024", "ELG-E\nSubkey-Length: 1024"),
];

/// A gpg, and its gpgconf beside it.
#[derive(Clone)]
pub struct Gnupg {
    pub gpg: PathBuf,
    /// Its version, for instance 2.4.
    pub version: String,
}

impl Gnupg {
    /// `None` if it does not run.
    pub fn at(gpg: impl Into<PathBuf>) -> Option<Self> {
        let gpg = gpg.into();
        let runs = |program: &Path| Command::new(program).arg("--version").output().ok();
        let said = runs(&gpg).filter(|said| said.status.success())?;
        runs(&gpg.with_file_name("gpgconf"))?;
        let said = String::from_utf8(said.stdout).ok()?;
        let version = said.lines().next()?.rsplit(' ').next()?;
        let version = version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        Some(Self { gpg, version })
    }

    /// Whether it has what came with version 2.3: keyboxd, keys of version 5, packet 20.
    pub fn is_modern(&self) -> bool {
        self.version.as_str() > "2.2"
    }
}

/// A GnuPG home, removed with its agents at the end.
pub struct Home {
    path: PathBuf,
    gnupg: Gnupg,
}

impl Home {
    pub fn new(gnupg: &Gnupg, name: &str) -> Self {
        // Short, since sockets have their place in it.
        let path = PathBuf::from(format!("/dev/shm/fs-gnupg-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Self { path, gnupg: gnupg.clone() }
    }

    /// Leaves public keys to keyboxd, as GnuPG does by itself in homes that versions 2.4.1 and later make.
    pub fn use_keyboxd(&self) {
        fs::write(self.path.join("common.conf"), "use-keyboxd\n").unwrap();
    }

    /// What gpg prints; it has to succeed.
    pub fn gpg(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new(&self.gnupg.gpg);
        command.arg("--homedir").arg(&self.path).args(["--batch", "--no-tty", "--quiet", "--yes"]);
        command.args(["--pinentry-mode", "loopback", "--trust-model", "always", "--no-emit-version"]);
        if !arguments.contains(&"--passphrase") {
            command.args(["--passphrase", ""]);
        }
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Makes a key of that name, and gives its fingerprint.
    pub fn make(&self, name: &str, key: &str, subkey: &str, passphrase: Option<&str>) -> String {
        let protection = passphrase
            .map_or_else(|| "%no-protection".to_owned(), |passphrase| format!("Passphrase: {passphrase}"));
        let batch = format!(
            "Key-Type: {key}\nSubkey-Type: {subkey}\nName-Real: {name}\nExpire-Date: 0\n{protection}\n%commit\n"
        );
        self.gpg(&["--gen-key"], batch.as_bytes());
        self.fingerprint(name)
    }

    /// The fingerprint of the key with that name.
    pub fn fingerprint(&self, name: &str) -> String {
        let list = self.gpg(&["--with-colons", "--list-keys", name], b"");
        let list = String::from_utf8(list).unwrap();
        let line = list.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// A message for these recipients: `-r NAME`, `-R NAME`, and other options.
    pub fn encrypt(&self, arguments: &[&str]) -> Vec<u8> {
        self.gpg(&[&["--armor", "--encrypt"], arguments].concat(), DATA)
    }

    /// The processes that serve this home.
    pub fn agents(&self) -> Vec<u32> {
        let home = self.path.to_str().unwrap();
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        processes
            .filter_map(|process| process.file_name().to_str()?.parse().ok())
            .filter(|id| {
                let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains(home)
            })
            .collect()
    }

    /// Ends the agents that gpg left behind.
    pub fn quiet(&self) {
        self.kill();
        self.wait_until_quiet();
    }

    fn kill(&self) {
        let mut command = Command::new(self.gnupg.gpg.with_file_name("gpgconf"));
        command.arg("--homedir").arg(&self.path).args(["--kill", "all"]).stderr(Stdio::null());
        let _ = command.status();
    }

    /// No agent serves this home, or will not in a moment.
    pub fn wait_until_quiet(&self) {
        let start = Instant::now();
        while !self.agents().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(5), "an agent is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The library's way to the same gpg.
    pub fn by_gpg(&self) -> Gpg {
        Gpg::new(&self.gnupg.gpg, &self.path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A directory, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/fs-openpgp-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

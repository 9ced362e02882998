//! Makes keys with the real tools, encrypts with real sops, and runs forestage.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::program;

const PLAIN: &str = "secret: CANARY of this file\n";

/// A directory of its own with a GnuPG home in it, in RAM since keys are in it; the agent is stopped at its end.
pub struct Desk {
    dir: PathBuf,
    sops: PathBuf,
    age_keygen: PathBuf,
}

impl Desk {
    /// `None`, and what is skipped is said, where a tool is missing.
    pub fn new(name: &str) -> Option<Self> {
        let program = |package: &str, version: &str| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/go-program");
            let output = Command::new(script).args([package, version]).output().unwrap();
            let path = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
            output.status.success().then(|| PathBuf::from(path))
        };
        let missing = |what: &str| eprintln!("SKIPPED every_key {name}: there is no {what}");
        let Some(sops) = program("github.com/getsops/sops/v3/cmd/sops", "3.12.2") else {
            missing("sops");
            return None;
        };
        let Some(age_keygen) = program("filippo.io/age/cmd/age-keygen", "1.3.1") else {
            missing("age-keygen");
            return None;
        };
        for tool in ["gpg", "gpgconf", "ssh-keygen"] {
            if Command::new(tool).arg("--version").stdin(Stdio::null()).output().is_err() {
                missing(tool);
                return None;
            }
        }
        let dir = PathBuf::from(format!("/dev/shm/forestage-every-key-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let desk = Self { dir, sops, age_keygen };
        fs::write(desk.path("plain.yaml"), PLAIN).unwrap();
        Some(desk)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(&self.dir)
            .env("GNUPGHOME", self.path("gnupg"))
            .env("HOME", &self.dir)
            .stdin(Stdio::null());
        command
    }

    fn succeed(&self, program: impl AsRef<Path>, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A new age identity in the file `name`; gives its recipient.
    pub fn age(&self, name: &str, options: &[&str]) -> String {
        self.succeed(&self.age_keygen, &[options, &["-o", name]].concat());
        self.succeed(&self.age_keygen, &["-y", name])
    }

    /// A new SSH key in the file `name`; gives its public key without a comment.
    pub fn ssh(&self, name: &str, options: &[&str]) -> String {
        self.succeed("ssh-keygen", &[&["-q", "-f", name], options].concat());
        let public = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        public.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// A new OpenPGP key in the GnuPG home; gives its fingerprint.
    pub fn openpgp(&self, algorithm: &str, passphrase: &str) -> String {
        let home = self.path("gnupg");
        if !home.exists() {
            fs::create_dir(&home).unwrap();
            fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        }
        let sub = if algorithm == "ed25519" { "cv25519" } else { algorithm };
        let user = format!("{algorithm}-{}@example.org", passphrase.len());
        let batch = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", passphrase];
        self.succeed("gpg", &[&batch[..], &["--quick-gen-key", &user, algorithm, "sign", "never"]].concat());
        let listed = self.succeed("gpg", &["--batch", "--with-colons", "--list-keys", &user]);
        let fingerprint = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        let fingerprint = fingerprint.split(':').nth(9).unwrap().to_owned();
        self.succeed("gpg", &[&batch[..], &["--quick-add-key", &fingerprint, sub, "encr", "never"]].concat());
        fingerprint
    }

    /// Encrypts the plaintext with real sops into the file `name`.
    pub fn encrypt(&self, name: &str, recipients: &[&str]) {
        let output = self.command(&self.sops).args(recipients).args(["-e", "plain.yaml"]).output().unwrap();
        assert!(output.status.success(), "{recipients:?}: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(self.path(name), output.stdout).unwrap();
    }

    /// `forestage decrypt`, with no other identity in reach.
    fn decrypt(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program::path());
        command.arg("decrypt").args(arguments).current_dir(&self.dir);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).output().unwrap()
    }

    pub fn opens(&self, arguments: &[&str]) {
        let output = self.decrypt(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && output.stdout == PLAIN.as_bytes(), "{arguments:?}: {told}");
    }

    /// It fails within a few seconds with nothing on standard output, and says this.
    pub fn refuses(&self, arguments: &[&str], says: &[&str]) {
        let start = Instant::now();
        let output = self.decrypt(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty() && !told.contains("CANARY"), "{told}");
        for part in says {
            assert!(told.contains(part), "{arguments:?}: {part:?} in {told}");
        }
        assert!(start.elapsed() < Duration::from_secs(15), "{arguments:?}");
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.command("gpgconf").args(["--kill", "all"]).output());
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

//! Every kind of key, from outside: real sops encrypts to it, and `forestage decrypt` opens the file with it.
//!
//! The keys are made in the run by age-keygen, ssh-keygen and gpg. Shamir groups across kinds too, and what is said when
//! a key cannot be used.

#![allow(clippy::unwrap_used, clippy::panic)]

mod program;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

const PLAIN: &str = "secret: CANARY of this file\n";

/// A directory of its own with a GnuPG home in it, in RAM since keys are in it; the agent is stopped at its end.
struct Desk {
    dir: PathBuf,
    sops: PathBuf,
    age_keygen: PathBuf,
}

impl Desk {
    /// `None`, and what is skipped is said, where a tool is missing.
    fn new(name: &str) -> Option<Self> {
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

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
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
    fn age(&self, name: &str, options: &[&str]) -> String {
        self.succeed(&self.age_keygen, &[options, &["-o", name]].concat());
        self.succeed(&self.age_keygen, &["-y", name])
    }

    /// A new SSH key in the file `name`; gives its public key without a comment.
    fn ssh(&self, name: &str, options: &[&str]) -> String {
        self.succeed("ssh-keygen", &[&["-q", "-f", name], options].concat());
        let public = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        public.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// A new OpenPGP key in the GnuPG home; gives its fingerprint.
    fn openpgp(&self, algorithm: &str, passphrase: &str) -> String {
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
    fn encrypt(&self, name: &str, recipients: &[&str]) {
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

    fn opens(&self, arguments: &[&str]) {
        let output = self.decrypt(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && output.stdout == PLAIN.as_bytes(), "{arguments:?}: {told}");
    }

    /// It fails within a few seconds with nothing on standard output, and says this.
    fn refuses(&self, arguments: &[&str], says: &[&str]) {
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

#[test]
fn age_and_ssh() {
    let Some(desk) = Desk::new("age") else { return };
    for (name, options) in [("x25519", &[][..]), ("post-quantum", &["-pq"])] {
        let recipient = desk.age(name, options);
        desk.encrypt("file.yaml", &["--age", &recipient]);
        desk.opens(&["--identity", name, "file.yaml"]);
    }
    for (name, options) in [
        ("ed25519", &["-t", "ed25519", "-N", ""][..]),
        ("rsa2048", &["-t", "rsa", "-b", "2048", "-N", ""]),
        ("rsa4096", &["-t", "rsa", "-b", "4096", "-N", ""]),
        ("rsa-pem", &["-t", "rsa", "-b", "3072", "-N", "", "-m", "PEM"]),
        ("rsa-pkcs8", &["-t", "rsa", "-b", "2048", "-N", "", "-m", "PKCS8"]),
    ] {
        let recipient = desk.ssh(name, options);
        desk.encrypt("file.yaml", &["--age", &recipient]);
        desk.opens(&["--identity", name, "file.yaml"]);
    }
}

#[test]
fn behind_a_passphrase() {
    let Some(desk) = Desk::new("passphrase") else { return };
    fs::write(desk.path("passphrase"), "correct horse\n").unwrap();
    fs::write(desk.path("wrong"), "battery staple\n").unwrap();
    for (name, kind) in [("ed25519", "ed25519"), ("rsa", "rsa")] {
        let recipient = desk.ssh(name, &["-t", kind, "-N", "correct horse"]);
        desk.encrypt("file.yaml", &["--age", &recipient]);
        desk.opens(&["--no-prompt", "--passphrase-file", "passphrase", "--identity", name, "file.yaml"]);
        desk.refuses(
            &["--no-prompt", "--passphrase-file", "wrong", "--identity", name, "file.yaml"],
            &["wrong", "behind a passphrase"],
        );
        desk.refuses(&["--no-prompt", "--identity", name, "file.yaml"], &["passphrase", "--passphrase-file"]);
        // Without a terminal and an agent nobody is waited for.
        if !Path::new("/run/systemd/system").exists() {
            desk.refuses(&["--identity", name, "file.yaml"], &["passphrase"]);
        }
    }
}

#[test]
fn openpgp() {
    let Some(desk) = Desk::new("openpgp") else { return };
    for algorithm in ["rsa2048", "rsa3072", "ed25519", "nistp256", "nistp384", "nistp521"] {
        let fingerprint = desk.openpgp(algorithm, "");
        desk.encrypt("file.yaml", &["--pgp", &fingerprint]);
        desk.opens(&["--identity", desk.path("gnupg").to_str().unwrap(), "file.yaml"]);
        for (name, armor) in [("key.asc", "--armor"), ("key.gpg", "--no-armor")] {
            let mut export = desk.command("gpg");
            export.args(["--batch", "--yes", armor, "-o", name, "--export-secret-keys", &fingerprint]);
            assert!(export.output().unwrap().status.success());
            desk.opens(&["--identity", name, "file.yaml"]);
        }
    }
    let protected = desk.openpgp("rsa2048", "correct horse");
    desk.encrypt("file.yaml", &["--pgp", &protected]);
    drop(desk.command("gpgconf").args(["--kill", "all"]).output());
    desk.refuses(&["--identity", desk.path("gnupg").to_str().unwrap(), "file.yaml"], &["passphrase"]);
    let other = desk.age("other", &[]);
    assert!(other.starts_with("age1"));
    desk.refuses(&["--identity", "other", "file.yaml"], &[&protected, &other]);
}

#[test]
fn groups_across_kinds() {
    let Some(desk) = Desk::new("groups") else { return };
    let age = desk.age("age", &[]);
    let ssh = desk.ssh("ssh", &["-t", "ed25519", "-N", ""]);
    let pgp = desk.openpgp("rsa2048", "");
    let home = desk.path("gnupg").display().to_string();
    let config = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [\"{age}\"]\n      - pgp: [\"{pgp}\"]\n      - \
         age: [\"{ssh}\"]\n"
    );
    fs::write(desk.path(".sops.yaml"), config).unwrap();
    desk.encrypt("file.yaml", &[]);
    for pair in [["age", &home], ["ssh", &home], ["age", "ssh"]] {
        let [first, second] = pair;
        desk.opens(&["--identity", first, "--identity", second, "file.yaml"]);
    }
    for one in ["age", "ssh", &home] {
        desk.refuses(&["--identity", one, "file.yaml"], &["3, of which 2 are needed, 1 opened"]);
    }
}

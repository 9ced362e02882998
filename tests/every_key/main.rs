//! Every kind of key, from outside: real sops encrypts to it, and `forestage decrypt` opens the file with it.
//!
//! The keys are made in the run by age-keygen, ssh-keygen and gpg. Shamir groups across kinds too, and what is said when
//! a key cannot be used.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod desk;
mod memory;
#[path = "../program/mod.rs"]
mod program;
#[path = "../watch/mod.rs"]
mod watch;

use std::{fs, path::Path, thread};

use desk::Desk;

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
    // The old forms tell no public key: it stands beside them.
    for (name, kind, form) in
        [("ed25519", "ed25519", "RFC4716"), ("rsa", "rsa", "RFC4716"), ("old", "rsa", "PEM")]
    {
        let recipient = desk.ssh(name, &["-t", kind, "-N", "correct horse", "-m", form]);
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

#[test]
fn nobody_is_asked_while_a_command_may_do() {
    let Some(desk) = Desk::new("order") else { return };
    fs::create_dir(desk.path(".ssh")).unwrap();
    let locked = desk.ssh(".ssh/id_ed25519", &["-t", "ed25519", "-N", "correct horse"]);
    let [printed, file] = ["printed", "file"].map(|name| desk.age(name, &[]));
    let config = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [\"{locked}\"]\n      - age: \
         [\"{printed}\"]\n      - age: [\"{file}\"]\n"
    );
    fs::write(desk.path(".sops.yaml"), config).unwrap();
    desk.encrypt("file.yaml", &[]);

    let passphrase = desk.path("passphrase");
    nix::unistd::mkfifo(&passphrase, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let asked = thread::spawn({
        let passphrase = passphrase.clone();
        // Waits until somebody reads.
        move || fs::OpenOptions::new().write(true).open(passphrase).map(drop)
    });
    let output = desk
        .command(program::path())
        .args(["decrypt", "--passphrase-file", "passphrase", "file.yaml"])
        .env("SOPS_AGE_KEY_FILE", desk.path("file"))
        .env("SOPS_AGE_KEY_CMD", "cat printed")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!asked.is_finished());
    fs::File::open(passphrase).unwrap();
    asked.join().unwrap().unwrap();
}

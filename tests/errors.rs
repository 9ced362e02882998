//! What a person who made a mistake reads: a headline, the facts, a next step, and an exit status that says which.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

mod program;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo");

/// A directory in RAM with the demo's files: `secrets.yaml`, `key.txt`, `manifest.json`, and a root to land in.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let desk = Self(PathBuf::from(format!("/dev/shm/forestage-errors-{name}-{}", std::process::id())));
        for directory in ["etc", "run", "var/lib", "directory"] {
            fs::create_dir_all(desk.0.join(directory)).unwrap();
        }
        let demo = |name: &str| fs::read(Path::new(DEMO).join(name)).unwrap();
        desk.write("secrets.yaml", &demo("secrets.yaml"));
        desk.write("etc/secrets.yaml", &demo("secrets.yaml"));
        desk.write("key.txt", &demo("key.txt"));
        desk.write("manifest.json", &demo("manifest.json"));
        desk.write("etc/passwd", b"root:x:0:0::/root:/bin/sh\n");
        desk.write("etc/group", b"root:x:0:\nkeys:x:96:\n");
        desk
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    /// Status and standard error of a command line, with nothing in the environment and nobody to ask.
    fn told(&self, line: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(program::path());
        let output =
            command.args(line).current_dir(&self.0).env_clear().stdin(Stdio::null()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(0) {
            assert!(output.stdout.is_empty(), "{line:?} prints something and fails");
        }
        for canary in ["correct-horse", "AGE-SECRET-KEY", "aIluCc4PVBLq", "CANARY"] {
            assert!(!errors.contains(canary), "{line:?} tells a secret: {errors}");
        }
        (output.status.code(), errors)
    }

    fn check(&self, line: &[&str], status: i32, parts: &[&str]) {
        let (ended, errors) = self.told(line);
        assert_eq!(ended, Some(status), "{line:?}: {errors}");
        for part in parts {
            assert!(errors.contains(part), "{line:?}: no {part:?} in {errors}");
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.join("run/secrets.d")).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn identities() {
    let desk = Desk::new("identities");
    desk.write("empty", b"");
    desk.write("many", &b"CANARY\n".repeat(100));
    desk.write(
        "key.pub",
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDbko++1FA2f1YgPfLK5MHdh4FE7hmQfFTR/yXUKnMG7 host\n",
    );
    desk.write("recipient", b"age1m33xsxva722zltqx34uzj38nnh6zj8evp5le64epwypjd6ssfvvsxul76p\n");
    for (identity, parts) in [
        ("none", &["not read:     none: No such file", "fix:          correct the path of none"][..]),
        ("empty", &["empty: it holds no identity", "mend what was not read, or give it an identity"]),
        ("directory", &["directory: it is no GnuPG home with secret keys", "mend what was not read"]),
        ("/dev/zero", &["/dev/zero: it is no regular file", "mend what was not read"]),
        (
            "key.pub",
            &["line 1: a public key, and the private one is needed", "fix:          give the private key"],
        ),
        (
            "recipient",
            &["line 1: a public key, and the private one is needed", "fix:          give the private key"],
        ),
        ("many", &["line 4: not an age identity", "many: and more like these"]),
    ] {
        desk.check(&["decrypt", "--identity", identity, "secrets.yaml"], 4, parts);
        desk.check(
            &["decrypt", "--identity", identity, "secrets.yaml"],
            4,
            &["encrypted to: age1m33", "secrets.yaml"],
        );
    }
    let (_, errors) = desk.told(&["decrypt", "--identity", "many", "secrets.yaml"]);
    assert!(errors.lines().count() < 12, "{errors}");
    desk.check(&["keys"], 0, &["no identity found: nothing says where one is"]);
    desk.check(
        &["decrypt", "secrets.yaml"],
        4,
        &["nothing: there is no identity", "fix:          give it an identity"],
    );
    // As an editor of another system writes it.
    let key = fs::read(desk.0.join("key.txt")).unwrap();
    desk.write("marked", &[b"\xef\xbb\xbf", key.as_slice()].concat());
    desk.check(&["decrypt", "--identity", "marked", "secrets.yaml"], 0, &[]);
}

#[test]
fn command_lines() {
    let desk = Desk::new("lines");
    for (line, part) in [
        (&[][..], "no command given"),
        (&["instal"], "there is no command instal"),
        (&["decrypt"], "FILE is missing"),
        (&["decrypt", "--identity"], "--identity needs a value"),
        (&["decrypt", "--identity", "", "secrets.yaml"], "the value of --identity is empty"),
        (&["decrypt", "--identity=", "secrets.yaml"], "the value of --identity is empty"),
        (&["decrypt", "--format", "toml", "secrets.yaml"], "there is no format \"toml\""),
        (&["install", "--root", "", "manifest.json"], "the value of --root is empty"),
        (&["install", "--phase", "boot", "manifest.json"], "there is no phase \"boot\""),
        (&["initrd"], "append, expect, list, verify or remove?"),
        (&["initrd", "append", "file"], "--manifest is missing"),
        (&["keys", "--identiy", "x"], "unknown option --identiy"),
        (&["keys", "new"], "where to? -o FILE"),
        (
            &["check", "--recipient", "AGE-SECRET-KEY-1", "manifest.json"],
            "what was given as a recipient is none",
        ),
        (&["check", "--recipients-file", "key.txt", "manifest.json"], "given by: key.txt, line"),
    ] {
        desk.check(line, 2, &[part, "fix: "]);
    }
}

#[test]
fn files() {
    let desk = Desk::new("files");
    std::os::unix::fs::symlink("loop", desk.0.join("loop")).unwrap();
    desk.write("plain.yaml", b"a: CANARY\n");
    desk.write("empty", b"");
    for (file, part) in [
        ("none", "cannot read none: No such file"),
        ("directory", "cannot read directory: not a regular file"),
        ("/dev/zero", "cannot read /dev/zero: not a regular file"),
        ("loop", "cannot read loop: "),
        ("plain.yaml", "not a sops file: it has no sops metadata"),
        ("empty", "it was read as binary because of its name: use --input-type"),
    ] {
        desk.check(&["decrypt", "--identity", "key.txt", file], 1, &[part]);
        if file != "plain.yaml" {
            let (status, errors) = desk.told(&["install", file]);
            assert!(status == Some(1) && errors.starts_with("error: "), "{file}: {errors}");
        }
    }
}

/// A template that waits for secrets which no identity opens fails for the same reason.
#[test]
fn nothing_lands_for_want_of_an_identity() {
    let desk = Desk::new("template");
    let line = ["install", "--root", desk.0.to_str().unwrap(), "manifest.json"];
    let missing = format!("correct the path of {}/var/lib/key.txt, or put the key there", desk.0.display());
    desk.check(&line, 4, &["no identity of this machine opens the file", "needed by:", "app.env", &missing]);
    assert!(!desk.0.join("run/secrets").exists());
    fs::copy(desk.0.join("key.txt"), desk.0.join("var/lib/key.txt")).unwrap();
    fs::remove_file(desk.0.join("etc/secrets.yaml")).unwrap();
    desk.check(
        &line,
        1,
        &["cannot read /etc/secrets.yaml: No such file", "needed by: sops.secrets.\"db/password\""],
    );
}

#[test]
fn a_thousand_failures_are_told_briefly() {
    let desk = Desk::new("thousand");
    fs::copy(desk.0.join("key.txt"), desk.0.join("var/lib/key.txt")).unwrap();
    let secret = |at| format!(r#"{{ "name": "s{at}", "key": "k{at}", "sopsFile": "/etc/secrets.yaml" }}"#);
    let secrets: Vec<_> = (0..1000).map(secret).collect();
    let manifest = format!(
        r#"{{ "secretsMountPoint": "/run/secrets.d", "symlinkPath": "/run/secrets", "ageKeyFile": "/var/lib/key.txt",
        "secrets": [{}] }}"#,
        secrets.join(",")
    );
    desk.write("many.json", manifest.as_bytes());
    let root = desk.0.to_str().unwrap();
    let (status, errors) = desk.told(&["install", "--root", root, "many.json"]);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.lines().count() < 100, "{errors}");
    for part in [
        "the key 'k19' cannot be found",
        "error: 980 more secrets failed",
        "`forestage check --json` list all",
    ] {
        assert!(errors.contains(part), "no {part:?} in {errors}");
    }
}

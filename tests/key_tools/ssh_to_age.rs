//! ssh-to-age beside the real one: the same output, messages and exit status, under its own name.
//!
//! Only the private key that the real one prints into its message is not there in ours.

use std::{os::unix::fs::PermissionsExt, path::Path};

use crate::{
    desk::{Desk, Run},
    peers, program,
};

/// An ed25519 key, made by openssl.
const PKCS8: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIFiSqTAJ83xAUV8jrG874xvwauZ1E5503568EYgHAjSu
-----END PRIVATE KEY-----
";

struct Story {
    desk: Desk,
    theirs: &'static Path,
}

impl Story {
    fn new(test: &str) -> Option<Self> {
        let theirs = peers::ssh_to_age(test)?;
        peers::ssh_keygen(test).then(|| Self { desk: Desk::new(), theirs })
    }

    /// Makes `name` and `name.pub`.
    fn keygen(&self, name: &str, arguments: &[&str]) {
        let arguments = [&["-q", "-C", "a comment", "-f", name], arguments].concat();
        self.desk.run("ssh-keygen", &arguments, "").ends(0);
    }

    fn ours(&self, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Run {
        self.desk.run_in(Path::new(program::path()), Some("ssh-to-age"), arguments, input, environment)
    }

    fn theirs(&self, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Run {
        self.desk.run_in(self.theirs, Some("ssh-to-age"), arguments, input, environment)
    }

    /// Both do the same. Of what stands between quotes only ours is without private keys.
    #[track_caller]
    fn both(&self, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Run {
        let (ours, theirs) =
            (self.ours(arguments, input, environment), self.theirs(arguments, input, environment));
        let is_private = arguments.iter().any(|argument| argument.contains("private-key"));
        let told = |run: &Run| match run.stderr.rsplit_once("': ") {
            Some((_, reason)) if is_private => format!("ssh-to-age: failed to convert '…': {reason}"),
            _ => run.stderr.clone(),
        };
        assert_eq!(
            (ours.status, &ours.stdout, told(&ours)),
            (theirs.status, &theirs.stdout, told(&theirs)),
            "{arguments:?} {input:?}"
        );
        ours
    }
}

#[test]
fn private_keys() {
    let Some(story) = Story::new("ssh_to_age::private_keys") else { return };
    story.keygen("ed25519", &["-t", "ed25519", "-N", ""]);
    story.keygen("locked", &["-t", "ed25519", "-N", "a passphrase", "-a", "2"]);
    story.keygen("slow", &["-t", "ed25519", "-N", "a passphrase", "-a", "3", "-Z", "aes256-cbc"]);
    story.keygen("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
    story.keygen("rsa-locked", &["-t", "rsa", "-b", "2048", "-N", "a passphrase", "-a", "2"]);
    story.keygen("rsa-old", &["-t", "rsa", "-b", "2048", "-N", "", "-m", "PEM"]);
    story.keygen("rsa-old-locked", &["-t", "rsa", "-b", "2048", "-N", "a passphrase", "-m", "PEM"]);
    story.keygen("rsa-pkcs8", &["-t", "rsa", "-b", "2048", "-N", "", "-m", "PKCS8"]);
    story.keygen("ecdsa", &["-t", "ecdsa", "-N", ""]);
    story.keygen("ecdsa-old", &["-t", "ecdsa", "-N", "", "-m", "PEM"]);
    story.keygen("ecdsa-pkcs8", &["-t", "ecdsa", "-N", "", "-m", "PKCS8"]);
    story.desk.write("pkcs8", PKCS8);
    story.desk.write("empty", "");
    story.desk.write("text", "some text\n");
    story.desk.write("age", "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n");
    story.desk.write("other", "-----BEGIN OTHER KEY-----\nAAAA\n-----END OTHER KEY-----\n");
    let key = story.desk.read("ed25519");
    story.desk.write("crlf", &key.replace('\n', "\r\n"));
    story.desk.write("below", &format!("a note\n\n{key}"));
    let files = [
        "ed25519",
        "locked",
        "slow",
        "rsa",
        "rsa-locked",
        "rsa-old",
        "rsa-old-locked",
        "rsa-pkcs8",
        "ecdsa",
        "ecdsa-old",
        "ecdsa-pkcs8",
        "pkcs8",
        "empty",
        "text",
        "age",
        "other",
        "crlf",
        "below",
        "ed25519.pub",
    ];
    for file in files {
        for passphrase in ["", "a passphrase", "another"] {
            let environment: &[_] =
                if passphrase.is_empty() { &[] } else { &[("SSH_TO_AGE_PASSPHRASE", passphrase)] };
            let run = story.both(&["-private-key", "-i", file], "", environment);
            assert!(!run.stderr.contains(&key[100..140]) && !run.stderr.contains("AGE-SECRET"), "{run:?}");
            story.both(&["--private-key=true"], &story.desk.read(file), environment);
            story.both(&["-private-key", "-stdinpass", "-i", file], &format!("{passphrase}\r\n"), &[]);
        }
    }
}

#[test]
fn public_keys() {
    let Some(story) = Story::new("ssh_to_age::public_keys") else { return };
    for (name, kind) in [("ed25519", "ed25519"), ("rsa", "rsa"), ("ecdsa", "ecdsa")] {
        story.keygen(name, &["-t", kind, "-N", ""]);
    }
    let line = |name: &str| story.desk.read(&format!("{name}.pub")).trim_end().to_owned();
    let (ed25519, rsa, ecdsa) = (line("ed25519"), line("rsa"), line("ecdsa"));
    let words: Vec<&str> = ed25519.split(' ').collect();
    let (kind, key) = (words[0], words[1]);
    let short = &key[..40];
    let inputs = [
        format!("{ed25519}\n"),
        ed25519.clone(),
        format!("{ed25519}\r\n"),
        format!("{kind} {key}\n# a comment\n\n{rsa}\n{kind}\t{key}\n"),
        format!("{kind}  {key}   c\n"),
        format!("{ecdsa}\n"),
        format!("host {kind} {key}\n"),
        format!("host,10.0.0.1 {kind} {key} comment\nother {rsa}\nthird {ecdsa}\nfourth {kind} {key}\n"),
        format!("@cert-authority *.example.org {kind} {key}\n"),
        format!("@revoked host {kind} {key} c\n"),
        format!("|1|abc=|def= {kind} {key}\n"),
        format!("[host]:2222 {kind} {key}\n"),
        format!("# host:22 SSH-2.0-OpenSSH\nhost {kind} {key}\n"),
        format!("restrict {kind} {key}\n"),
        format!("command=\"a b\" {kind} {key} c\n"),
        format!("command=\"a\",no-pty {kind} {key}\n"),
        format!(" {kind} {key}\n"),
        format!("a b c d e {kind} {key}\n"),
        format!("{kind} {short}\n"),
        format!("{kind} {key}=\n"),
        format!("{kind} {key}AAAA\n"),
        format!("{kind} !{key}\n"),
        format!("{kind} AAAA\n{ed25519}\n"),
        format!("{ed25519}\n{kind} nonsense\n{ed25519}\n"),
        format!("{kind}\n"),
        format!("ssh- {key}\n"),
        format!("ssh-other {key}\n"),
        format!("{key}\n"),
        "garbage\n".to_owned(),
        "a b\n".to_owned(),
        "a b c\n".to_owned(),
        "\n\n# only\n".to_owned(),
        String::new(),
        " \n".to_owned(),
        // A point that is not on the curve.
        format!("{kind} AAAAC3NzaC1lZDI1NTE5AAAAIAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"),
        // Sizes and kinds that are wrong.
        format!("{kind} AAAAC3NzaC1lZDI1NTE5AAAAAQA=\n"),
        "ssh-rsa AAAAB3NzaC1yc2EAAAABAwAAAAEA\nssh-rsa AAAAB3NzaC1yc2EAAAABAgAAAAEA\n".to_owned(),
        "ssh-rsa AAAAB3NzaC1yc2EAAAAFAQAAAAEAAAABAA==\n".to_owned(),
        "ssh-x AAAABXNzaC14AAAAAA==\n".to_owned(),
        "ssh-rsa AAAADHJzYS1zaGEyLTI1Ng==\n".to_owned(),
        format!("sk-ssh-ed25519@openssh.com {key} c\n"),
    ];
    for input in &inputs {
        for end in ["", "\n"] {
            let input = format!("{input}{end}");
            let (ours, theirs) = (story.ours(&[], &input, &[]), story.theirs(&[], &input, &[]));
            if input.starts_with(key) {
                // It may as well be a line of a private key.
                assert!(!ours.stderr.contains(key) && theirs.stderr.contains(key), "{ours:?}");
                assert_eq!((ours.status, ours.stdout), (theirs.status, theirs.stdout));
            } else {
                assert_eq!(ours, theirs, "{input:?}");
            }
        }
    }
}

#[test]
fn the_command_line() {
    let Some(story) = Story::new("ssh_to_age::the_command_line") else { return };
    story.keygen("key", &["-t", "ed25519", "-N", ""]);
    let public = story.desk.read("key.pub");
    for arguments in [
        &["-h"][..],
        &["--help"],
        &["-x"],
        &["-version"],
        &["-version=false"],
        &["-version=maybe"],
        &["---x"],
        &["-=x"],
        &["-i"],
        &["-o"],
        &["-i=key.pub"],
        &["--i", "key.pub", "ignored"],
        &["-i", "none"],
        &["-i", "."],
        &["-i", "key.pub/x"],
        &["-i", "key.pub", "-o", "none/x"],
        &["-i", "key.pub", "-o", "."],
        &["-i", "key", "-private-key", "-o", "none/x"],
        &["-private-key", "-stdinpass"],
        &["-i", "key.pub", "-o", "-"],
        &["--", "-i"],
        &["-private-key=0", "-i", "-"],
    ] {
        story.both(arguments, &public, &[]);
    }
}

#[test]
fn files() {
    let Some(story) = Story::new("ssh_to_age::files") else { return };
    let desk = &story.desk;
    story.keygen("key", &["-t", "ed25519", "-N", ""]);
    for arguments in [&["-i", "key.pub", "-o", "out"][..], &["-private-key", "-i", "key", "-o", "out"]] {
        let mut outputs = Vec::new();
        for ours in [true, false] {
            let run = if ours { story.ours(arguments, "", &[]) } else { story.theirs(arguments, "", &[]) };
            assert_eq!(run, Run { status: 0, stdout: String::new(), stderr: String::new() });
            outputs.push(desk.read("out"));
            let mode = std::fs::metadata(desk.path.join("out")).unwrap().permissions().mode() & 0o777;
            assert!(mode == 0o600 || !ours || arguments.len() == 4, "{mode:o}");
            // Ours never writes a private key over anything.
            if ours && arguments.len() == 5 {
                let run = story.ours(arguments, "", &[]).ends(1);
                assert!(run.stderr.starts_with("ssh-to-age: failed to create out: open out: file exists\n"));
            }
            std::fs::remove_file(desk.path.join("out")).unwrap();
        }
        assert_eq!(outputs[0], outputs[1]);
    }
    // A failure leaves nothing behind, and what was there stays.
    story.ours(&["-private-key", "-i", "key.pub", "-o", "none"], "", &[]).ends(1);
    assert!(!desk.path.join("none").exists());
    desk.write("there", "mine");
    story.ours(&["-i", "key", "-o", "there"], "", &[]).ends(1);
    assert_eq!(desk.read("there"), "mine");
    let left: Vec<_> =
        std::fs::read_dir(&desk.path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    // A stream is no file.
    let run = story.ours(&["-private-key", "-i", "key", "-o", "/dev/stdout"], "", &[]).ends(0);
    assert_eq!(run.stdout, story.theirs(&["-private-key", "-i", "key"], "", &[]).stdout);
}

#[test]
fn as_a_subcommand() {
    let Some(story) = Story::new("ssh_to_age::as_a_subcommand") else { return };
    story.keygen("key", &["-t", "ed25519", "-N", ""]);
    let theirs = story.theirs(&["-i", "key.pub"], "", &[]).stdout;
    assert_eq!(story.desk.forestage(&["keys", "ssh-to-age", "-i", "key.pub"]).ends(0).stdout, theirs);
    let theirs = story.theirs(&["-private-key", "-i", "key"], "", &[]).stdout;
    let run = story.desk.forestage(&["keys", "ssh-to-age", "--private-key", "--i=key"]).ends(0);
    assert_eq!(run.stdout, theirs);
    story.desk.forestage(&["keys", "ssh-to-age", "-x"]).ends(2).says("flag provided but not defined: -x");
    story.desk.forestage(&["keys", "ssh-to-age", "-h"]).ends(0).prints("Options of ssh-to-age:");
    story.desk.forestage(&["keys", "ssh-to-age", "-i", "none"]).ends(1).says("error: error reading none");
}

//! ssh-to-pgp beside the real one. go-crypto puts random bytes into each signature, so that two conversions of one key
//! differ there, and only there; that the signature is right, gpg says.

use std::path::Path;

use crate::{
    desk::{Desk, Run},
    peers, program,
};

struct Story {
    desk: Desk,
    theirs: &'static Path,
}

/// What stands in front of the random bytes.
const NOTATION: &[u8] = b"salt@notations.openpgpjs.org";

impl Story {
    fn new(test: &str) -> Option<Self> {
        let theirs = peers::ssh_to_pgp(test)?;
        peers::ssh_keygen(test).then(|| Self { desk: Desk::new(), theirs })
    }

    fn run(&self, ours: bool, arguments: &[&str], input: &str) -> Run {
        let program = if ours { Path::new(program::path()) } else { self.theirs };
        self.desk.run_in(program, Some("ssh-to-pgp"), arguments, input, &[])
    }

    #[track_caller]
    fn both(&self, arguments: &[&str], input: &str) {
        let [ours, theirs] = [true, false].map(|ours| {
            let mut run = self.run(ours, arguments, input);
            if run.status == 1 {
                run.stdout = begun(&run.stdout);
            }
            run
        });
        assert_eq!(ours, theirs, "{arguments:?}");
    }

    /// The file that the program writes.
    fn written(&self, ours: bool, arguments: &[&str]) -> Vec<u8> {
        let arguments = [arguments, &["-format", "binary", "-o", "out"]].concat();
        let run = self.run(ours, &arguments, "").ends(0);
        let bytes = std::fs::read(self.desk.path.join("out")).unwrap();
        std::fs::remove_file(self.desk.path.join("out")).unwrap();
        assert_eq!((run.stdout.as_str(), run.stderr.len()), ("", 41));
        bytes
    }
}

/// An armour around nothing without its end: version 1.1.6 does not come to write it when it fails, later ones do.
fn begun(stdout: &str) -> String {
    let end = stdout.find("\n=twTO\n-----END PGP ");
    stdout.get(..end.unwrap_or(stdout.len())).unwrap_or_default().to_owned()
}

fn keygen(desk: &Desk, name: &str, arguments: &[&str]) {
    let arguments = [&["-q", "-C", "a comment", "-f", name], arguments].concat();
    desk.run("ssh-keygen", &arguments, "").ends(0);
}

/// The text with its base64 digits made equal.
fn shape(armour: &str) -> String {
    let line = |line: &str| {
        if line.starts_with('-') {
            line.to_owned()
        } else {
            line.replace(|c: char| c.is_ascii_alphanumeric(), "x")
        }
    };
    armour.replace(['+', '/'], "x").split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn keys() {
    let Some(story) = Story::new("ssh_to_pgp::keys") else { return };
    let desk = &story.desk;
    keygen(desk, "openssh", &["-t", "rsa", "-b", "2048", "-N", ""]);
    keygen(desk, "pkcs1", &["-t", "rsa", "-b", "3072", "-N", "", "-m", "PEM"]);
    keygen(desk, "pkcs8", &["-t", "rsa", "-b", "2048", "-N", "", "-m", "PKCS8"]);
    let users: [&[&str]; 3] =
        [&[], &["-name", "a host", "-comment", "", "-email", "x@y"], &["--name=", "--email="]];
    for file in ["openssh", "pkcs1", "pkcs8"] {
        for user in users {
            for side in [&[][..], &["-private-key"]] {
                let arguments = [side, user, &["-i", file]].concat();
                let (ours, theirs) = (story.written(true, &arguments), story.written(false, &arguments));
                let salt = theirs.windows(NOTATION.len()).position(|part| part == NOTATION).unwrap()
                    + NOTATION.len();
                assert_eq!(ours[..salt], theirs[..salt], "{arguments:?}");
                // Behind the salt: what the signature still says, 22 and 2 bytes of the subpackets.
                let rest = salt + 16;
                assert_eq!(ours[rest..rest + 28], theirs[rest..rest + 28], "{arguments:?}");
                assert!(ours.len().abs_diff(theirs.len()) < 3);
                // As text: a signature that is short by chance is not compared.
                let shapes = (0..8).map(|_| {
                    let input = desk.read(file);
                    let arguments = [side, user].concat();
                    let (ours, theirs) =
                        (story.run(true, &arguments, &input), story.run(false, &arguments, &input));
                    assert_eq!((ours.status, &ours.stderr), (theirs.status, &theirs.stderr));
                    (shape(&ours.stdout), shape(&theirs.stdout))
                });
                assert!({ shapes }.any(|(ours, theirs)| ours == theirs), "{arguments:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_converted() {
    let Some(story) = Story::new("ssh_to_pgp::what_cannot_be_converted") else { return };
    let desk = &story.desk;
    keygen(desk, "rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
    keygen(desk, "ed25519", &["-t", "ed25519", "-N", ""]);
    keygen(desk, "ecdsa", &["-t", "ecdsa", "-N", ""]);
    keygen(desk, "locked", &["-t", "rsa", "-b", "2048", "-N", "a passphrase"]);
    keygen(desk, "locked-pkcs1", &["-t", "rsa", "-b", "2048", "-N", "a passphrase", "-m", "PEM"]);
    keygen(desk, "locked-pkcs8", &["-t", "rsa", "-b", "2048", "-N", "a passphrase", "-m", "PKCS8"]);
    desk.write("empty", "");
    for file in
        ["ed25519", "ecdsa", "locked", "locked-pkcs1", "locked-pkcs8", "rsa.pub", "empty", "none", "."]
    {
        for arguments in [&[][..], &["-private-key"], &["-format=binary"], &["-format", "other"]] {
            story.both(&[arguments, &["-i", file]].concat(), "");
        }
        if desk.path.join(file).is_file() {
            story.both(&[], &desk.read(file));
        }
        // As ours, an armour around nothing is not printed, and no file is left.
        let run = desk.forestage(&["keys", "ssh-to-pgp", "-i", file]).ends(1).says("error: ");
        assert_eq!(run.stdout, "");
        story.run(true, &["-i", file, "-o", "out"], "").ends(1);
        assert!(!desk.path.join("out").exists());
    }
    for name in ["a<b", "(", "a>", ")"] {
        story.both(&["-i", "rsa", "-name", name], "");
        story.both(&["-i", "rsa", "-private-key", "-comment", name], "");
        story.both(&["-i", "rsa", "-email", name], "");
    }
    for arguments in [
        &["-h"][..],
        &["-help"],
        &["-x"],
        &["-i"],
        &["-private-key=maybe"],
        &["---i"],
        &["-i", "rsa", "-o", "none/x"],
        &["-i", "rsa", "-o", "."],
    ] {
        story.both(arguments, "");
    }
}

#[test]
fn gpg_takes_the_key() {
    let test = "ssh_to_pgp::gpg_takes_the_key";
    if !peers::gpg(test) || !peers::ssh_keygen(test) {
        return;
    }
    let desk = Desk::new();
    keygen(&desk, "rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
    let fingerprint = desk.forestage(&["keys", "ssh-to-pgp", "-i", "rsa", "-o", "key.asc"]).ends(0).stderr;
    let public = desk.forestage(&["keys", "public", "rsa"]).ends(0).stdout;
    assert!(public.starts_with("ssh-rsa "), "{public}");
    assert!(public.ends_with(&format!("\n{}", fingerprint.to_uppercase())), "{public}");
    desk.forestage(&["keys", "ssh-to-pgp", "-private-key", "-i", "rsa", "-o", "secret.asc"]).ends(0);
    let gpg = |arguments: &[&str]| {
        let arguments = [&["--homedir", "home", "--batch", "--quiet"], arguments].concat();
        desk.run("gpg", &arguments, "")
    };
    std::fs::create_dir(desk.path.join("home")).unwrap();
    for file in ["key.asc", "secret.asc"] {
        gpg(&["--import", file]).ends(0);
    }
    let list = gpg(&["--check-sigs", "--with-colons"]).ends(0).stdout;
    assert!(list.contains(&fingerprint.trim_end().to_uppercase()), "{list}");
    assert!(list.lines().any(|line| line.starts_with("sig:!:")), "{list}");
    assert_eq!(desk.forestage(&["keys", "public", "secret.asc"]).ends(0).stdout, fingerprint.to_uppercase());
    assert_eq!(desk.forestage(&["keys", "public", "home"]).ends(0).stdout, fingerprint.to_uppercase());
    desk.run("gpgconf", &["--homedir", "home", "--kill", "all"], "").ends(0);
}

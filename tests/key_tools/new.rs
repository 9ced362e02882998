//! `keys new` beside age-keygen, and `keys public` of what there is.

use std::{os::unix::fs::PermissionsExt, path::Path};

use crate::{
    desk::{Desk, Run},
    peers,
};

/// What age-keygen makes of an identity file.
fn public(keygen: &Path, desk: &Desk, file: &str) -> String {
    desk.run(keygen, &["-y", file], "").ends(0).stdout
}

/// The text without what differs from key to key.
fn form(text: &str) -> String {
    let word = |word: &str| {
        let mark = |byte: char| if byte.is_ascii_digit() { '0' } else { byte };
        match word {
            _ if word.starts_with("age1pq1") => format!("age1pq1 of {}", word.len()),
            _ if word.starts_with("age1") => format!("age1 of {}", word.len()),
            _ if word.starts_with("AGE-SECRET-KEY-PQ-1") => format!("pq of {}", word.len()),
            _ if word.starts_with("AGE-SECRET-KEY-1") => format!("key of {}", word.len()),
            _ => word.chars().map(mark).collect(),
        }
    };
    text.split(' ')
        .map(|part| part.split('\n').map(word).collect::<Vec<_>>().join("\n"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn identities_have_the_form_of_age_keygen() {
    let test = "new::identities_have_the_form_of_age_keygen";
    let Some((keygen, age)) = peers::age_keygen(test).zip(peers::age(test)) else { return };
    let desk = Desk::new();
    for (ours, theirs) in [(&[][..], &[][..]), (&["--age"], &[]), (&["--post-quantum"], &["-pq"])] {
        let theirs = desk.run(keygen, theirs, "").ends(0);
        let printed = desk.forestage(&[&["keys", "new", "-o", "-"], ours].concat()).ends(0);
        assert_eq!(
            (form(&printed.stdout), form(&printed.stderr)),
            (form(&theirs.stdout), form(&theirs.stderr))
        );
        let run = desk.forestage(&[&["keys", "new", "-o", "key"], ours].concat()).ends(0);
        assert_eq!((run.stdout.as_str(), form(&run.stderr)), ("", form(&theirs.stderr)));
        assert_eq!(form(&desk.read("key")), form(&theirs.stdout));
        let mode = std::fs::metadata(desk.path.join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_ne!(desk.read("key"), printed.stdout);
        // The real tools know it.
        let recipient = public(keygen, &desk, "key");
        assert_eq!(run.stderr, format!("Public key: {recipient}"));
        assert_eq!(desk.forestage(&["keys", "public", "key"]).ends(0).stdout, recipient);
        desk.run(age, &["-r", recipient.trim_end(), "-o", "sealed"], "a secret").ends(0);
        assert_eq!(desk.run(age, &["-d", "-i", "key", "sealed"], "").ends(0).stdout, "a secret");
        std::fs::remove_file(desk.path.join("key")).unwrap();
        std::fs::remove_file(desk.path.join("sealed")).unwrap();
    }
}

#[test]
fn nothing_is_overwritten_or_left_behind() {
    let desk = Desk::new();
    desk.write("there", "mine");
    std::os::unix::fs::symlink("nowhere", desk.path.join("dangling")).unwrap();
    for (file, reason) in [
        ("there", "failed to create there: open there: file exists"),
        ("dangling", "file exists"),
        ("none/key", "no such file or directory"),
        (".", "is a directory"),
        ("there/key", "not a directory"),
    ] {
        let run = desk.forestage(&["keys", "new", "-o", file]).ends(1).says(reason);
        assert_eq!(run.stdout, "", "{file}");
    }
    assert_eq!(desk.read("there"), "mine");
    assert_eq!(std::fs::read_dir(&desk.path).unwrap().count(), 2);
    for arguments in [&["new"][..], &["new", "--age", "--post-quantum", "-o", "x"], &["new", "x"]] {
        desk.forestage(&[&["keys"], arguments].concat()).ends(2);
    }
}

#[test]
fn public_sides() {
    const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
    let desk = Desk::new();
    desk.write("mixed", "# c\nAGE-SECRET-KEY-1X\nnonsense\n");
    desk.write("empty", "");
    desk.write("passphrase", "passphrase\n");
    let of = |file: &str| desk.forestage(&["keys", "public", "--no-prompt", &format!("{DATA}{file}")]);
    let lines = |run: Run| run.ends(0).stdout;
    let pq = include_str!("../data/keys/pq-recipient");
    assert_eq!(lines(of("keys/pq-identity")), pq);
    let listed = lines(of("compliance/ssh_ed25519"));
    let (age, ssh) = listed.trim_end().split_once('\n').unwrap();
    assert!(age.starts_with("age1") && ssh.starts_with("ssh-ed25519 "), "{listed}");
    // The public side of a protected key in OpenSSH's container is in the clear.
    assert!(lines(of("compliance/ssh_ed25519_locked")).contains("ssh-ed25519 "));
    assert!(lines(of("compliance/ssh_rsa")).starts_with("ssh-rsa "));
    let json =
        desk.forestage(&["keys", "public", "--json", &format!("{DATA}compliance/ssh_ed25519")]).ends(0);
    assert_eq!(
        json.stdout,
        format!(
            "{{\"version\":1,\"keys\":[{{\"kind\":\"ssh-ed25519\",\"recipients\":[\"{age}\",\"{ssh}\"],\"fingerprints\":[]}}],\
             \"unread\":[]}}\n"
        )
    );
    let input =
        desk.run(crate::program::path(), &["keys", "public", "-"], include_str!("../data/keys/pq-identity"));
    assert_eq!(input.ends(0).stdout, pq);
    for (file, reason) in [
        ("mixed", "line 2: a damaged age identity"),
        ("empty", "it holds no identity"),
        ("none", "no such file"),
    ] {
        let run = desk.forestage(&["keys", "public", file]).ends(1).says(reason);
        assert!(run.stdout.is_empty() && !run.stderr.contains("nonsense"), "{run:?}");
    }
}

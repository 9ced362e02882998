//! The examples of `docs/keys.md`, one after the other.

use std::os::unix::fs::symlink;

use crate::{desk::Desk, peers, program};

#[test]
fn examples_of_the_page() {
    let test = "docs::examples_of_the_page";
    let Some(sops) = peers::sops(test) else { return };
    if !peers::ssh_keygen(test) {
        return;
    }
    let page = include_str!("../../docs/keys.md");
    let blocks: Vec<&str> =
        page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 3);
    let bin = Desk::new();
    symlink(program::path(), bin.path.join("forestage")).unwrap();
    symlink(sops, bin.path.join("sops")).unwrap();
    let desk = Desk::new();
    let script = format!("set -eu\nPATH={}:$PATH\n{}", bin.path.display(), blocks.join("\n"));
    let run = desk.run("sh", &[], &script).ends(0);
    for line in ["# web.yaml (rule 1 of .sops.yaml)\n#   lacks: age1", "\nsops updatekeys -y web.yaml\n"] {
        assert!(run.stdout.contains(line), "{run:?}");
    }
    // Both ways to the public side of the host key.
    assert_eq!(run.stdout.lines().filter(|line| line.starts_with("age1")).count(), 3, "{run:?}");
}

#[test]
fn links_for_the_other_names() {
    let desk = Desk::new();
    let install = concat!(env!("CARGO_MANIFEST_DIR"), "/boot-hooks/install");
    // What it installs need not be the program.
    desk.write("program", "#!/bin/sh\necho \"$0\"\n");
    for _ in 0..2 {
        desk.run(install, &["program", "package", "/usr", "ssh-to-age", "ssh-to-pgp"], "").ends(0);
        assert_eq!(
            desk.run("package/usr/bin/ssh-to-age", &[], "").ends(0).stdout,
            "package/usr/bin/ssh-to-age\n"
        );
    }
    assert!(!desk.path.join("package/usr/bin/sops-init-gpg-key").exists());
    desk.write("other/usr/bin/ssh-to-age", "somebody's");
    desk.run(install, &["program", "other", "/usr", "ssh-to-age"], "").ends(1);
    assert_eq!(desk.read("other/usr/bin/ssh-to-age"), "somebody's");
}

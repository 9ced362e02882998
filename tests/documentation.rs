//! Examples of the documentation, run as they stand there.

// A failure of these helpers is a failure of the test that calls them.
#![allow(clippy::unwrap_used)]

mod program;

use std::{fs, path::Path, process::Command};

/// The first fenced block of this language in a page.
fn block<'t>(page: &'t str, language: &str) -> &'t str {
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_manifest_for_other_distributions() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(source.join("docs/initrd-on-other-distributions.md")).unwrap();
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documentation");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(root.join("etc/forestage")).unwrap();
    let manifest = root.join("etc/forestage/initrd-manifest.json");
    fs::write(&manifest, block(&page, "json")).unwrap();
    for name in ["key.txt", "secrets.yaml"] {
        fs::copy(source.join("examples/demo").join(name), root.join("etc/forestage").join(name)).unwrap();
    }
    fs::write(root.join("etc/motd"), "hello\n").unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(program::path()).args(arguments).env_clear().output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (at, text) = (root.to_str().unwrap(), manifest.to_str().unwrap());
    run(&["check", "--decrypt", "--root", at, text]);
    let initrd = root.join("initrd");
    let initrd = initrd.to_str().unwrap();
    run(&["initrd", "append", "--root", at, "--manifest", text, initrd]);
    run(&["initrd", "verify", "--root", at, "--manifest", text, initrd]);
    let listed = run(&["initrd", "list", initrd]);
    let expected = run(&["initrd", "expect", "--manifest", text]);
    for target in [
        "/etc/forestage-keys/disk.key",
        "/run/wireguard/wg0.conf",
        "/etc/forestage-keys/wg0.key",
        "/etc/forestage-keys/motd",
    ] {
        assert!(listed.contains(target) && expected.contains(target), "{target}: {listed}{expected}");
    }
    assert!(listed.contains("0640 0:0"), "{listed}");
    // The list says names and targets, nothing more.
    assert!(!expected.contains("secrets.yaml") && !expected.contains("luks_key"), "{expected}");
    fs::remove_dir_all(root).unwrap();
}

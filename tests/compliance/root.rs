//! `--root DIR` moves every absolute path.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

use crate::{
    machine::{Machine, exists, filesystem, link, mount_over_disk, owned, read},
    manifest::{Object, logging, manifest, secret, template},
    story::ours,
};

const ROOT: [&str; 2] = ["--root", "/run/root"];

/// A root with the fixtures and users of its own.
fn furnish(m: &Machine) {
    for fixture in fs::read_dir("/run/sops").unwrap() {
        let fixture = fixture.unwrap().path();
        m.write(&format!("/run/root{}", fixture.display()), "");
        fs::copy(&fixture, format!("/run/root{}", fixture.display())).unwrap();
        fs::remove_file(fixture).unwrap();
    }
    m.write("/run/root/etc/passwd", "root:x:0:0::/:/bin/sh\ncarol:x:3003:3004::/:/bin/sh\n");
    m.write("/run/root/etc/group", "root:x:0:\nkeys:x:77:\n");
    fs::create_dir_all("/run/root/run/nixos").unwrap();
}

/// Everything below the root belongs to somebody who may not mount.
fn give_away() {
    let mut directories = vec!["/run/root".into()];
    while let Some(directory) = directories.pop() {
        chown(&directory, Some(2000), Some(2000)).unwrap();
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            }
        }
    }
    fs::set_permissions("/run/manifest.json", fs::Permissions::from_mode(0o644)).unwrap_or_default();
}

fn linked() -> Object {
    manifest([secret("one").set("owner", "carol").set("path", "/etc/one").set("restartUnits", ["a.service"])])
}

#[test]
fn everything_lands_inside() {
    ours(|m| {
        furnish(m);
        m.forestage_install(&ROOT, &linked()).exits(0);
        assert_eq!(link("/run/root/run/secrets"), "/run/secrets.d/1");
        assert_eq!(link("/run/root/etc/one"), "/run/secrets/one");
        assert_eq!(read("/run/root/run/secrets.d/1/one"), "first value");
        assert_eq!(owned("/run/root/run/secrets.d/1/one"), "0400 3003:0");
        assert_eq!(owned("/run/root/run/secrets.d/1"), "0751 0:77");
        assert!(filesystem("/run/root/run/secrets.d").starts_with("ramfs"));
        assert!(!exists("/run/secrets") && !exists("/run/secrets.d") && !exists("/etc/one"));
    });
}

#[test]
fn second_install_finds_the_first() {
    ours(|m| {
        furnish(m);
        m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
        m.forestage_install(&ROOT, &linked()).exits(0);
        fs::copy("/run/root/run/sops/changed.yaml", "/run/root/run/sops/secrets.yaml").unwrap();
        m.forestage_install(&ROOT, &logging(linked())).exits(0).prints(&["modifying secret: one"]);
        assert_eq!(link("/run/root/run/secrets"), "/run/secrets.d/2");
        assert_eq!(read("/run/root/run/secrets.d/2/one"), "changed value");
        assert_eq!(read("/run/root/run/nixos/activation-restart-list"), "a.service\n");
        assert!(!exists("/run/nixos/systemctl-calls") && !exists("/run/nixos/activation-restart-list"));
    });
}

#[test]
fn names_come_from_the_root_alone() {
    ours(|m| {
        furnish(m);
        m.forestage_install(&ROOT, &manifest([secret("one").set("owner", "alice"), secret("two")]))
            .exits(3)
            .says("alice");
    });
}

#[test]
fn template_files_are_read_inside() {
    ours(|m| {
        furnish(m);
        m.write("/run/root/etc/template", "inside: <SOPS:one>");
        let template = template("conf", "").set("file", "/etc/template");
        m.forestage_install(&ROOT, &manifest([secret("one")]).templates([template], &["one"])).exits(0);
        assert_eq!(read("/run/root/run/secrets.d/1/rendered/conf"), "inside: first value");
    });
}

#[test]
fn user_lands_where_the_root_is_in_ram() {
    ours(|m| {
        furnish(m);
        give_away();
        m.become_user(2000);
        m.forestage_install(&ROOT, &linked()).exits(0).says("one");
        m.forestage_install(&ROOT, &linked()).exits(0);
        assert_eq!(owned("/run/root/run/secrets.d/2/one"), "0400 2000:2000");
        assert_eq!(link("/run/root/etc/one"), "/run/secrets/one");
        assert_eq!(filesystem("/run/root/run/secrets.d"), "");
    });
}

#[test]
fn user_does_not_land_on_a_disk_unasked() {
    ours(|m| {
        if !mount_over_disk("/run/root") {
            return;
        }
        furnish(m);
        give_away();
        m.become_user(2000);
        m.forestage_install(&ROOT, &linked()).exits(1).says("--allow-disk");
        assert!(!exists("/run/root/run/secrets.d/1"));
        m.forestage_install(&["--root", "/run/root", "--allow-disk"], &linked()).exits(0);
        assert_eq!(read("/run/root/run/secrets.d/1/one"), "first value");
    });
}

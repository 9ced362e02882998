//! A user's own session: `%r`, no mounts, no ownership.

use std::{fs, os::unix::fs::chown};

use crate::{
    machine::{Machine, exists, filesystem, link, owned, read},
    manifest::{Object, manifest, raw, secret, template},
    story::{both, ours},
};

fn of_user(secrets: impl Into<crate::manifest::Json>) -> Object {
    manifest(secrets)
        .set("userMode", true)
        .set("secretsMountPoint", "%r/secrets.d")
        .set("symlinkPath", "%r/secrets")
        .without("useTmpfs")
}

fn session(m: &mut Machine) {
    fs::create_dir_all("/run/user/1001").unwrap();
    m.set("XDG_RUNTIME_DIR", "/run/user/1001");
}

fn at(secret: Object, path: &str) -> Object {
    secret.set("path", path).without("owner").without("group").without("uid").without("gid")
}

#[test]
fn secrets_land_in_the_runtime_directory() {
    both(|m| {
        session(m);
        m.install(&of_user([
            at(secret("one"), "%r/secrets/one"),
            at(secret("a/b").set("key", "two"), "%r/secrets/a/b"),
        ]))
        .succeeds();
        assert_eq!(link("/run/user/1001/secrets"), "/run/user/1001/secrets.d/1");
        assert_eq!(owned("/run/user/1001/secrets/one"), "0400 0:0");
        assert_eq!(filesystem("/run/user/1001/secrets.d"), "");
    });
}

#[test]
fn user_needs_no_rights() {
    both(|m| {
        session(m);
        chown("/run/user/1001", Some(1001), Some(1001)).unwrap();
        m.become_user(1001);
        m.install_with(&["-ignore-passwd"], &of_user([at(secret("one"), "%r/keys/one")])).succeeds();
        m.install_with(&["-ignore-passwd"], &of_user([at(secret("one"), "%r/keys/one")])).succeeds();
        assert_eq!(owned("/run/user/1001/secrets/one"), "0400 1001:1001");
        assert_eq!(link("/run/user/1001/keys/one"), "/run/user/1001/secrets/one");
    });
}

#[test]
fn percent_signs_in_paths() {
    both(|m| {
        session(m);
        let manifest = of_user([at(secret("one"), "%r/100%%/%x/%%r")]);
        m.install(&manifest).succeeds();
        assert_eq!(read("/run/user/1001/100%/%x/%r"), "first value");
    });
}

#[test]
fn templates_have_runtime_paths_too() {
    both(|m| {
        session(m);
        let template = at(template("conf", "<SOPS:one>"), "%r/app/conf");
        m.install(&of_user([at(secret("one"), "%r/secrets/one")]).templates([template], &["one"])).succeeds();
        assert_eq!(link("/run/user/1001/app/conf"), "/run/user/1001/secrets/rendered/conf");
    });
}

#[test]
fn outside_user_mode_percent_r_means_nothing() {
    both(|m| {
        session(m);
        m.install(&manifest([secret("one").set("path", "/run/%r/one")])).succeeds();
        assert_eq!(link("/run/%r/one"), "/run/secrets/one");
    });
}

#[test]
fn no_units_are_asked_and_no_changes_logged() {
    both(|m| {
        session(m);
        let manifest = |key| {
            let secret =
                at(secret("one").set("key", key), "%r/secrets/one").set("restartUnits", ["a.service"]);
            crate::manifest::logging(of_user([secret]))
        };
        m.install(&manifest("one")).succeeds();
        m.install(&manifest("two")).succeeds().prints(&[]);
        assert!(!exists("/run/nixos/activation-restart-list"));
    });
}

#[test]
fn without_a_runtime_directory_percent_r_fails() {
    both(|m| {
        m.install(&of_user([at(secret("one"), "%r/secrets/one")])).fails().says("XDG_RUNTIME_DIR");
    });
}

#[test]
fn without_a_runtime_directory_other_paths_work() {
    both(|m| {
        let manifest = of_user([secret("one")])
            .set("secretsMountPoint", "/run/secrets.d")
            .set("symlinkPath", "/run/secrets");
        m.install(&manifest).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn empty_runtime_directory_is_none() {
    both(|m| {
        m.set("XDG_RUNTIME_DIR", "");
        let manifest = of_user([at(secret("one"), "/run%r/secrets/one")])
            .set("secretsMountPoint", "/run%r/secrets.d")
            .set("symlinkPath", "/run%r/secrets");
        m.install(&manifest).fails().says("XDG_RUNTIME_DIR");
    });
}

#[test]
fn check_needs_no_runtime_directory() {
    both(|m| {
        m.install_with(&["-check-mode=sopsfile"], &of_user([at(secret("one"), "%r/secrets/one")])).succeeds();
    });
}

#[test]
fn phase_user_is_user_mode() {
    ours(|m| {
        session(m);
        let manifest = of_user([at(secret("one"), "%r/secrets/one")]);
        m.install(&manifest.set("userMode", raw("null")).set("version", 1).set("phase", "user")).succeeds();
        assert_eq!(read("/run/user/1001/secrets/one"), "first value");
    });
}

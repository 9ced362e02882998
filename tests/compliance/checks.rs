//! `-check-mode`: what a build can find out without a private key.

use std::fs;

use crate::{
    machine::{Machine, exists, tree},
    manifest::{Object, manifest, raw, secret, template, whole_file},
    story::both,
};

/// Checks a manifest in both modes, which end with these statuses and change nothing.
#[track_caller]
fn check(m: &mut Machine, manifest: &Object, in_mode_manifest: i32, in_mode_sopsfile: i32) {
    let before = tree("/run");
    m.install_with(&["-check-mode=manifest"], manifest).exits(in_mode_manifest).prints(&[]);
    m.install_with(&["-check-mode=sopsfile"], manifest).exits(in_mode_sopsfile).prints(&[]);
    assert_eq!(tree("/run"), before);
}

#[test]
fn good_manifest() {
    both(|m| {
        let secrets = [
            secret("one"),
            secret("nested/deep/leaf"),
            whole_file("json", "secrets.json", "json"),
            whole_file("env", "secrets.env", "dotenv"),
            whole_file("ini", "secrets.ini", "ini"),
            whole_file("bin", "secrets.bin", "binary"),
        ];
        check(m, &manifest(secrets), 0, 0);
    });
}

#[test]
fn private_keys_are_not_needed() {
    both(|m| {
        fs::remove_file("/run/sops/key.txt").unwrap();
        check(m, &manifest([secret("one")]), 0, 0);
    });
}

#[test]
fn users_are_not_looked_up() {
    both(|m| {
        check(m, &manifest([secret("one").set("owner", "made-later").set("group", "made-later")]), 0, 0);
    });
}

#[test]
fn missing_key() {
    both(|m| check(m, &manifest([secret("absent")]), 0, 1));
}

#[test]
fn missing_file() {
    both(|m| check(m, &manifest([whole_file("a", "absent.yaml", "yaml")]), 0, 1));
}

#[test]
fn file_of_another_format() {
    both(|m| {
        check(m, &manifest([secret("one").set("format", "json")]), 0, 1);
        check(m, &manifest([whole_file("a", "secrets.yaml", "binary")]), 0, 1);
    });
}

#[test]
fn one_file_in_two_formats() {
    both(|m| check(m, &manifest([secret("one"), secret("two").set("format", "json")]), 1, 1));
}

#[test]
fn file_that_is_not_encrypted() {
    both(|m| {
        m.write("/run/sops/plain.yaml", "one: in the store for everybody to read\n");
        check(m, &manifest([secret("one").set("sopsFile", "/run/sops/plain.yaml")]), 0, 1);
    });
}

#[test]
fn key_of_a_number() {
    both(|m| check(m, &manifest([secret("number")]), 0, 0));
}

#[test]
fn key_of_a_list_or_map() {
    both(|m| {
        check(m, &manifest([secret("list")]), 0, 1);
        check(m, &manifest([secret("nested")]), 0, 1);
    });
}

#[test]
fn nested_key_of_a_json_file() {
    both(|m| {
        let nested = secret("nested/leaf").set("sopsFile", "/run/sops/secrets.json").set("format", "json");
        check(m, &manifest([nested]), 0, 0);
    });
}

#[test]
fn dotenv_names_with_dashes() {
    both(|m| check(m, &manifest([whole_file("env", "dashed.env", "dotenv")]), 0, 0));
}

#[test]
fn bad_mode() {
    both(|m| check(m, &manifest([secret("one").set("mode", "rw")]), 1, 1));
}

#[test]
fn template_without_text() {
    both(|m| check(m, &manifest([secret("one")]).templates([template("conf", "")], &["one"]), 1, 1));
}

#[test]
fn template_without_placeholder() {
    both(|m| check(m, &manifest([secret("one")]).templates([template("conf", "x")], &[]), 1, 1));
}

#[test]
fn gnupg_home_beside_an_age_key() {
    both(|m| check(m, &manifest([secret("one")]).set("gnupgHome", "/run/home/.gnupg"), 1, 1));
}

#[test]
fn manifest_without_a_place() {
    both(|m| {
        let manifest =
            manifest([secret("one")]).set("secretsMountPoint", raw("null")).set("symlinkPath", raw("null"));
        check(m, &manifest, 1, 1);
        assert!(!exists("/run/secrets"));
    });
}

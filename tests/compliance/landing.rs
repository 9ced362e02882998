//! Installing for the first time, again, and after the manifest or a value changed.

use crate::{
    machine::{exists, link, names, owned, read},
    manifest::{manifest, secret},
    story::both,
};

#[test]
fn first_install() {
    both(|m| {
        m.install(&manifest([secret("one"), secret("two")])).succeeds().prints(&[]);
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
        assert_eq!(read("/run/secrets/one"), "first value");
        assert_eq!(owned("/run/secrets/one"), "0400 0:0");
        assert_eq!(owned("/run/secrets.d/1"), "0751 0:96");
        assert_eq!(owned("/run/secrets.d"), "0751 0:96");
    });
}

#[test]
fn second_install_makes_the_next_generation() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        m.install(&manifest([secret("one")])).succeeds();
        assert_eq!(link("/run/secrets"), "/run/secrets.d/2");
        assert_eq!(names("/run/secrets.d"), ["2"]);
    });
}

#[test]
fn changed_value_arrives() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        m.replace("secrets.yaml", "changed.yaml");
        m.install(&manifest([secret("one")])).succeeds();
        assert_eq!(read("/run/secrets/one"), "changed value");
    });
}

#[test]
fn removed_secret_goes_and_added_secret_comes() {
    both(|m| {
        m.install(&manifest([secret("one"), secret("two")])).succeeds();
        m.install(&manifest([secret("two"), secret("lines")])).succeeds();
        assert_eq!(names("/run/secrets/"), ["lines", "two"]);
    });
}

#[test]
fn no_secrets_at_all() {
    both(|m| {
        m.install(&manifest(Vec::<&str>::new())).succeeds();
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
        assert_eq!(names("/run/secrets/"), Vec::<String>::new());
    });
}

#[test]
fn nested_names_become_directories() {
    both(|m| {
        m.install(&manifest([secret("a/b/c").set("key", "one"), secret("a/d").set("key", "two")])).succeeds();
        assert_eq!(read("/run/secrets/a/b/c"), "first value");
        assert_eq!(owned("/run/secrets/a"), "0751 0:96");
        assert_eq!(owned("/run/secrets/a/b"), "0751 0:96");
    });
}

#[test]
fn secret_becomes_directory_and_back() {
    both(|m| {
        let file = manifest([secret("a").set("key", "one")]);
        let directory = manifest([secret("a/b").set("key", "one")]);
        m.install(&file).succeeds();
        m.install(&directory).succeeds();
        assert_eq!(read("/run/secrets/a/b"), "first value");
        m.install(&file).succeeds();
        assert_eq!(read("/run/secrets/a"), "first value");
    });
}

#[test]
fn names_with_needless_slashes_and_dots() {
    both(|m| {
        m.install(&manifest([secret("./a//b").set("key", "one").set("path", "/run/secrets/a/b")])).succeeds();
        assert_eq!(read("/run/secrets/a/b"), "first value");
    });
}

#[test]
fn without_group_keys_directories_belong_to_nogroup() {
    both(|m| {
        m.names("group", "root:x:0:\nnogroup:x:65534:\n").unwrap();
        m.install(&manifest([secret("a/b").set("key", "one")])).succeeds();
        assert_eq!(owned("/run/secrets.d/1/a"), "0751 0:65534");
    });
}

#[test]
fn directory_at_symlink_path_is_replaced() {
    both(|m| {
        m.write("/run/secrets/left/by", "an earlier stage");
        m.install(&manifest([secret("one").set("restartUnits", ["a.service"])])).succeeds();
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
        assert!(!exists("/run/nixos/activation-restart-list"));
    });
}

#[test]
fn symlink_to_elsewhere_at_symlink_path_is_replaced() {
    both(|m| {
        m.write("/run/elsewhere/one", "an earlier stage");
        std::os::unix::fs::symlink("/run/elsewhere", "/run/secrets").unwrap();
        m.install(&manifest([secret("one").set("restartUnits", ["a.service"])])).succeeds();
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
        assert_eq!(read("/run/elsewhere/one"), "an earlier stage");
        assert!(!exists("/run/nixos/activation-restart-list"));
    });
}

#[test]
fn file_at_symlink_path_is_kept() {
    both(|m| {
        m.write("/run/secrets", "not ours");
        m.install(&manifest([secret("one")])).fails().says("/run/secrets");
        assert_eq!(read("/run/secrets"), "not ours");
    });
}

#[test]
fn symlink_path_may_be_anywhere() {
    both(|m| {
        let elsewhere = manifest([secret("one").set("path", "/run/deep/er/secrets/one")])
            .set("symlinkPath", "/run/deep/er/secrets")
            .set("secretsMountPoint", "/run/other/secrets.d");
        m.install(&elsewhere).succeeds();
        assert_eq!(link("/run/deep/er/secrets"), "/run/other/secrets.d/1");
    });
}

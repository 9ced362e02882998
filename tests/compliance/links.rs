//! Links at `path`: made, kept, adopted, removed, and never at the cost of a foreign file.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
};

use crate::{
    machine::{exists, link, owned, read},
    manifest::{Object, manifest, raw, secret, template},
    story::both,
};

fn linked(name: &str, path: &str) -> Object {
    secret(name).set("path", path)
}

#[test]
fn link_is_made_with_its_parents() {
    both(|m| {
        m.install(&manifest([linked("one", "/run/etc/wireguard/wg0.key").set("owner", "alice")])).succeeds();
        assert_eq!(link("/run/etc/wireguard/wg0.key"), "/run/secrets/one");
        assert_eq!(owned("/run/etc/wireguard/wg0.key"), "0777 1001:0");
        assert_eq!(owned("/run/etc/wireguard"), "0755 0:0");
        assert!(exists("/run/secrets/one"));
    });
}

#[test]
fn right_link_is_left_alone() {
    both(|m| {
        let manifest = manifest([linked("one", "/run/etc/one")]);
        m.install(&manifest).succeeds();
        let inode = fs::symlink_metadata("/run/etc/one").unwrap().ino();
        m.install(&manifest).succeeds();
        assert_eq!(fs::symlink_metadata("/run/etc/one").unwrap().ino(), inode);
    });
}

#[test]
fn link_of_ours_is_pointed_elsewhere() {
    both(|m| {
        m.install(&manifest([linked("one", "/run/etc/key"), secret("two")])).succeeds();
        m.install(&manifest([secret("one"), linked("two", "/run/etc/key")])).succeeds();
        assert_eq!(link("/run/etc/key"), "/run/secrets/two");
    });
}

#[test]
fn link_made_by_sops_nix_is_adopted() {
    both(|m| {
        m.write("/run/etc/here", "");
        symlink("/run/secrets/an-older-name", "/run/etc/key").unwrap();
        m.install(&manifest([linked("one", "/run/etc/key")])).succeeds();
        assert_eq!(link("/run/etc/key"), "/run/secrets/one");
    });
}

#[test]
fn link_gets_its_new_owner() {
    both(|m| {
        m.install(&manifest([linked("one", "/run/etc/key")])).succeeds();
        m.install(&manifest([linked("one", "/run/etc/key").set("owner", "alice").set("group", "staff")]))
            .succeeds();
        assert_eq!(owned("/run/etc/key"), "0777 1001:50");
    });
}

#[test]
fn foreign_file_is_kept() {
    both(|m| {
        m.write("/run/etc/key", "written by hand");
        m.install(&manifest([linked("one", "/run/etc/key"), linked("two", "/run/etc/two")]))
            .fails()
            .says("/run/etc/key");
        assert_eq!(read("/run/etc/key"), "written by hand");
        assert_eq!(link("/run/etc/two"), "/run/secrets/two");
    });
}

#[test]
fn foreign_link_is_kept() {
    both(|m| {
        m.write("/run/etc/real", "written by hand");
        symlink("/run/etc/real", "/run/etc/key").unwrap();
        m.install(&manifest([linked("one", "/run/etc/key")])).fails().says("/run/etc/key");
        assert_eq!(link("/run/etc/key"), "/run/etc/real");
    });
}

#[test]
fn directory_at_path_is_kept() {
    both(|m| {
        m.write("/run/etc/key/file", "of somebody");
        m.install(&manifest([linked("one", "/run/etc/key")])).fails().says("/run/etc/key");
        assert_eq!(read("/run/etc/key/file"), "of somebody");
    });
}

#[test]
fn empty_directory_at_path_is_kept() {
    both(|m| {
        fs::create_dir_all("/run/etc/key").unwrap();
        m.install(&manifest([linked("one", "/run/etc/key")])).fails().says("/run/etc/key");
        assert_eq!(link("/run/etc/key"), "");
    });
}

#[test]
fn file_where_a_parent_should_be() {
    both(|m| {
        m.write("/run/etc", "a file");
        m.install(&manifest([linked("one", "/run/etc/key"), linked("two", "/run/two")]))
            .fails()
            .says("/run/etc");
        assert_eq!(link("/run/two"), "/run/secrets/two");
    });
}

#[test]
fn stale_link_is_removed() {
    both(|m| {
        m.install(&manifest([linked("one", "/run/etc/one"), linked("two", "/run/etc/two")])).succeeds();
        m.install(&manifest([linked("two", "/run/etc/two")])).succeeds();
        assert!(!exists("/run/etc/one"));
        assert_eq!(link("/run/etc/two"), "/run/secrets/two");
    });
}

#[test]
fn link_moves_with_its_path() {
    both(|m| {
        m.install(&manifest([linked("one", "/run/etc/old")])).succeeds();
        m.install(&manifest([linked("one", "/run/etc/new")])).succeeds();
        assert!(!exists("/run/etc/old"));
        assert_eq!(link("/run/etc/new"), "/run/secrets/one");
    });
}

#[test]
fn file_at_the_place_of_a_stale_link_is_kept() {
    both(|m| {
        m.install(&manifest([linked("one", "/run/etc/one"), secret("two")])).succeeds();
        fs::remove_file("/run/etc/one").unwrap();
        m.write("/run/etc/one", "written since");
        m.install(&manifest([secret("two")])).succeeds();
        assert_eq!(read("/run/etc/one"), "written since");
    });
}

#[test]
fn lost_link_comes_back() {
    both(|m| {
        let manifest = manifest([linked("one", "/run/etc/one")]);
        m.install(&manifest).succeeds();
        fs::remove_file("/run/etc/one").unwrap();
        m.install(&manifest).succeeds();
        assert_eq!(link("/run/etc/one"), "/run/secrets/one");
    });
}

#[test]
fn template_is_linked_too() {
    both(|m| {
        let template =
            template("app.conf", "<SOPS:one>").set("path", "/run/etc/app.conf").set("owner", "alice");
        m.install(&manifest([secret("one")]).templates([template], &["one"])).succeeds();
        assert_eq!(link("/run/etc/app.conf"), "/run/secrets/rendered/app.conf");
        assert_eq!(owned("/run/etc/app.conf"), "0777 1001:0");
        assert_eq!(read("/run/etc/app.conf"), "first value");
    });
}

#[test]
fn missing_path_means_no_link() {
    for path in [raw("null"), raw("\"\"")] {
        both(|m| {
            m.install(&manifest([secret("one").set("path", path.clone())])).succeeds();
            assert_eq!(read("/run/secrets/one"), "first value");
        });
    }
}

#[test]
fn path_that_is_the_place_in_other_letters() {
    both(|m| {
        m.install(&manifest([linked("one", "/run//secrets/./one")])).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

//! Numbers, pruning, file systems, and what is left in the mount point.

use std::os::unix::fs::symlink;

use crate::{
    machine::{exists, filesystem, link, names, read},
    manifest::{manifest, secret},
    story::both,
};

#[test]
fn as_many_generations_stay_as_asked_for() {
    for (keep, left) in [(0, &["1", "2", "3", "4"][..]), (1, &["4"]), (2, &["3", "4"]), (3, &["2", "3", "4"])]
    {
        both(|m| {
            let manifest = manifest([secret("one")]).set("keepGenerations", keep);
            for _ in 0..4 {
                m.install(&manifest).succeeds();
            }
            assert_eq!(names("/run/secrets.d"), left, "keepGenerations {keep}");
        });
    }
}

#[test]
fn keeping_less_prunes_more() {
    both(|m| {
        for keep in [0, 0, 0, 2] {
            m.install(&manifest([secret("one")]).set("keepGenerations", keep)).succeeds();
        }
        assert_eq!(names("/run/secrets.d"), ["3", "4"]);
    });
}

#[test]
fn leftover_of_a_killed_run_is_replaced() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        m.write("/run/secrets.d/2/half", "written");
        m.install(&manifest([secret("one")])).succeeds();
        assert_eq!(link("/run/secrets"), "/run/secrets.d/2");
        assert_eq!(names("/run/secrets.d/2"), ["one"]);
    });
}

#[test]
fn higher_numbers_are_pruned_too() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        m.write("/run/secrets.d/9/one", "of a time before the counter began again");
        m.install(&manifest([secret("one")])).succeeds();
        assert!(!exists("/run/secrets.d/9"));
    });
}

#[test]
fn what_is_no_number_stays() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        m.write("/run/secrets.d/note", "by an administrator");
        m.install(&manifest([secret("one")])).succeeds();
        assert_eq!(names("/run/secrets.d"), ["2", "note"]);
    });
}

#[test]
fn link_to_what_is_no_number_begins_anew() {
    both(|m| {
        symlink("/run/secrets.d/latest", "/run/secrets").unwrap();
        m.install(&manifest([secret("one")])).succeeds();
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
    });
}

#[test]
fn link_beside_the_mount_point_is_no_generation() {
    both(|m| {
        symlink("/run/secrets.data/7", "/run/secrets").unwrap();
        m.install(&manifest([secret("one")])).succeeds();
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
    });
}

#[test]
fn dangling_link_is_the_first_boot() {
    both(|m| {
        symlink("/run/secrets.d/5", "/run/secrets").unwrap();
        m.install(&manifest([secret("one").set("restartUnits", ["a.service"])])).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
        assert!(!exists("/run/nixos/activation-restart-list"));
    });
}

#[test]
fn secrets_land_on_ramfs() {
    both(|m| {
        for _ in 0..2 {
            m.install(&manifest([secret("one")])).succeeds();
            assert_eq!(filesystem("/run/secrets.d"), "ramfs mode=751,nodev,noexec,nosuid,relatime,rw");
        }
    });
}

#[test]
fn with_use_tmpfs_they_land_on_tmpfs_that_is_never_swapped() {
    both(|m| {
        for _ in 0..2 {
            m.install(&manifest([secret("one")]).set("useTmpfs", true)).succeeds();
            assert_eq!(filesystem("/run/secrets.d"), "tmpfs mode=751,nodev,noexec,nosuid,noswap,relatime,rw");
        }
    });
}

#[test]
fn another_kind_of_file_system_is_mounted_when_asked_for() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        m.install(&manifest([secret("one")]).set("useTmpfs", true)).succeeds();
        assert!(filesystem("/run/secrets.d").starts_with("tmpfs"));
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn directory_at_the_mount_point_is_mounted_over() {
    both(|m| {
        m.write("/run/secrets.d/1/one", "on whatever file system this is");
        m.install(&manifest([secret("one")])).succeeds();
        assert!(filesystem("/run/secrets.d").starts_with("ramfs"));
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

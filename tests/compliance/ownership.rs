//! Owners, groups, modes.

use nix::sys::stat::{Mode, umask};

use crate::{
    machine::{exists, owned, read},
    manifest::{manifest, raw, secret, template},
    story::both,
};

#[test]
fn owner_and_group_by_name() {
    both(|m| {
        let manifest = manifest([
            secret("one").set("owner", "alice").set("group", "staff").set("mode", "0440"),
            secret("two").set("owner", "alice"),
            secret("lines").set("group", "staff"),
        ]);
        m.install(&manifest).succeeds();
        assert_eq!(owned("/run/secrets/one"), "0440 1001:50");
        assert_eq!(owned("/run/secrets/two"), "0400 1001:0");
        assert_eq!(owned("/run/secrets/lines"), "0400 0:50");
    });
}

#[test]
fn owner_and_group_by_number() {
    both(|m| {
        m.install(&manifest([secret("one").set("uid", 4242).set("gid", 4343)])).succeeds();
        assert_eq!(owned("/run/secrets/one"), "0400 4242:4343");
    });
}

#[test]
fn name_beats_number() {
    both(|m| {
        m.install(&manifest([secret("one").set("owner", "alice").set("uid", 7).set("gid", 8)])).succeeds();
        assert_eq!(owned("/run/secrets/one"), "0400 1001:8");
    });
}

#[test]
fn unknown_names_fail() {
    for field in ["owner", "group"] {
        both(|m| {
            m.install(&manifest([secret("one").set(field, "nobody-knows")])).fails().says("nobody-knows");
            assert!(!exists("/run/secrets/one"));
        });
    }
}

#[test]
fn numbers_are_no_names() {
    both(|m| {
        m.install(&manifest([secret("one").set("owner", "1001")])).fails();
    });
}

#[test]
fn ignore_passwd_gives_everything_to_root() {
    both(|m| {
        let manifest = manifest([
            secret("one").set("owner", "nobody-knows").set("group", "staff"),
            secret("two").set("uid", 7).set("gid", 8),
        ]);
        m.install_with(&["-ignore-passwd"], &manifest).succeeds();
        assert_eq!(owned("/run/secrets/one"), "0400 0:0");
        assert_eq!(owned("/run/secrets/two"), "0400 0:0");
        assert_eq!(owned("/run/secrets.d/1"), "0751 0:0");
    });
}

#[test]
fn modes_are_octal_numbers() {
    for (written, mode) in [("0400", "0400"), ("400", "0400"), ("0440", "0440"), ("4", "0004"), ("0", "0000")]
    {
        both(|m| {
            m.install(&manifest([secret("one").set("mode", written)])).succeeds();
            assert_eq!(owned("/run/secrets/one"), format!("{mode} 0:0"), "{written}");
        });
    }
}

#[test]
fn special_mode_bits_are_dropped() {
    for (written, mode) in [("07400", "0400"), ("4444", "0444"), ("170400", "0400")] {
        both(|m| {
            m.install(&manifest([secret("one").set("mode", written)])).succeeds();
            assert_eq!(owned("/run/secrets/one"), format!("{mode} 0:0"), "{written}");
        });
    }
}

#[test]
fn what_is_no_mode_fails() {
    for mode in ["9", "", "0o400", "u=r", "-1", "+400", "200000", " 400", "4_0"] {
        both(|m| {
            m.install(&manifest([secret("one").set("mode", mode)])).fails().says("mode");
            assert!(!exists("/run/secrets/one"), "{mode}");
        });
    }
}

#[test]
fn mode_that_is_not_said_is_0400() {
    both(|m| {
        m.install(&manifest([secret("one").set("mode", raw("null"))])).succeeds();
        assert_eq!(owned("/run/secrets/one"), "0400 0:0");
    });
}

#[test]
fn umask_takes_nothing_away() {
    both(|m| {
        let manifest = manifest([secret("a/b").set("key", "one").set("mode", "0666")]);
        umask(Mode::from_bits_truncate(0o077));
        m.install(&manifest).succeeds();
        assert_eq!(owned("/run/secrets/a/b"), "0666 0:0");
        assert_eq!(owned("/run/secrets/a"), "0751 0:96");
        assert_eq!(owned("/run/secrets.d/1"), "0751 0:96");
    });
}

#[test]
fn group_may_write_whatever_the_umask() {
    both(|m| {
        umask(Mode::from_bits_truncate(0o022));
        m.install(&manifest([secret("one").set("mode", "0777")])).succeeds();
        assert_eq!(owned("/run/secrets/one"), "0777 0:0");
    });
}

#[test]
fn templates_are_owned_too() {
    both(|m| {
        umask(Mode::from_bits_truncate(0o027));
        let template =
            template("conf", "is <SOPS:one>").set("owner", "alice").set("group", "staff").set("mode", "0646");
        umask(Mode::from_bits_truncate(0o022));
        m.install(&manifest([secret("one")]).templates([template], &["one"])).succeeds();
        assert_eq!(owned("/run/secrets/rendered/conf"), "0646 1001:50");
        assert_eq!(owned("/run/secrets/rendered"), "0751 0:96");
        assert_eq!(read("/run/secrets/rendered/conf"), "is first value");
    });
}

#[test]
fn new_owner_and_mode_arrive_without_a_new_value() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        m.install(&manifest([secret("one").set("owner", "alice").set("mode", "0440")])).succeeds();
        assert_eq!(owned("/run/secrets/one"), "0440 1001:0");
    });
}

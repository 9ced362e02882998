//! `NIXOS_ACTION=dry-activate` and `--dry-run` say what would change and write nothing.

use crate::{
    machine::{Machine, exists, link, names, read, tree},
    manifest::{logging, manifest, secret, template},
    story::{both, ours},
};

fn dry(m: &mut Machine) {
    m.set("NIXOS_ACTION", "dry-activate");
}

#[test]
fn first_dry_run_writes_nothing() {
    both(|m| {
        dry(m);
        m.install(&manifest([secret("one").set("path", "/run/etc/one")])).succeeds();
        assert!(!exists("/run/secrets.d") && !exists("/run/secrets") && !exists("/run/etc"));
    });
}

#[test]
fn dry_run_writes_nothing_later_either() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        let before = tree("/run");
        dry(m);
        m.replace("secrets.yaml", "changed.yaml");
        m.install(&manifest([secret("one").set("restartUnits", ["a.service"])])).succeeds();
        assert_eq!(tree("/run"), before);
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
        assert_eq!(names("/run/nixos"), Vec::<String>::new());
    });
}

#[test]
fn dry_run_says_what_would_change() {
    both(|m| {
        let before = logging(
            manifest([secret("one"), secret("two")]).templates([template("t", "old")], &["one", "two"]),
        );
        let after = logging(
            manifest([secret("one"), secret("empty"), secret("lines")])
                .templates([template("t", "new"), template("u", "new")], &["one", "empty", "lines"]),
        );
        m.install(&before).succeeds();
        m.replace("secrets.yaml", "changed.yaml");
        dry(m);
        m.install(&after).succeeds().prints(&[
            "would add secrets: empty, lines",
            "would modify secret: one",
            "would remove secret: two",
            "would add rendered secret: u",
            "would modify rendered secret: t",
        ]);
    });
}

#[test]
fn dry_run_says_which_units_systemctl_would_restart() {
    both(|m| {
        m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
        m.install(&manifest([secret("one")])).succeeds();
        m.replace("secrets.yaml", "changed.yaml");
        dry(m);
        let asking =
            secret("one").set("restartUnits", ["a.service", "b.service"]).set("reloadUnits", ["c.service"]);
        m.install(&manifest([asking]))
            .succeeds()
            .says_as_ever("would restart a.service\nwould restart b.service\nwould reload c.service\n");
        assert!(!exists("/run/nixos/systemctl-calls"));
    });
}

#[test]
fn dry_run_needs_no_users() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        dry(m);
        m.install(&manifest([secret("one").set("owner", "made-by-this-switch")])).succeeds();
    });
}

#[test]
fn dry_run_leaves_a_directory_at_symlink_path() {
    both(|m| {
        m.write("/run/secrets/file", "of an earlier stage");
        dry(m);
        m.install(&manifest([secret("one")])).succeeds();
        assert_eq!(read("/run/secrets/file"), "of an earlier stage");
    });
}

#[test]
fn dry_run_that_fails_fails() {
    both(|m| {
        dry(m);
        m.install(&manifest([secret("absent")])).fails();
    });
}

#[test]
fn dry_run_takes_no_notice_of_other_actions() {
    both(|m| {
        m.set("NIXOS_ACTION", "test");
        m.install(&manifest([secret("one")])).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn the_flag_does_the_same() {
    ours(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        let before = tree("/run");
        m.replace("secrets.yaml", "changed.yaml");
        m.forestage_install(&["--dry-run"], &logging(manifest([secret("one")])))
            .succeeds()
            .prints(&["would modify secret: one"]);
        assert_eq!(tree("/run"), before);
    });
}

#[test]
fn dry_run_foresees_what_is_in_the_way_of_a_link() {
    ours(|m| {
        m.write("/run/etc/one", "mine");
        let manifest = manifest([secret("one").set("path", "/run/etc/one"), secret("two")]);
        let before = tree("/run");
        m.forestage_install(&["--dry-run"], &manifest).exits(3).says("/run/etc/one is not a link of ours");
        assert_eq!(tree("/run"), before);
        m.forestage_install(&[], &manifest).exits(3).says("/run/etc/one is not a link of ours");
        m.write("/run/etc/one", "mine");
    });
}

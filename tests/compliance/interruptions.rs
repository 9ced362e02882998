//! Runs at the same time, runs that were killed, and the next run that puts things right.

use std::{fs, thread, time::Duration};

use nix::fcntl::{Flock, FlockArg};

use crate::{
    machine::{Machine, exists, link, names, read},
    manifest::{manifest, secret},
    story::ours,
};

#[test]
fn run_waits_for_the_lock() {
    ours(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        let lock = Flock::lock(fs::File::open("/run").unwrap(), FlockArg::LockExclusive).unwrap();
        let mut waiting = m.start();
        thread::sleep(Duration::from_millis(200));
        assert!(waiting.try_wait().unwrap().is_none(), "it does not wait");
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
        drop(lock);
        m.wait(waiting).succeeds();
        assert_eq!(link("/run/secrets"), "/run/secrets.d/2");
    });
}

#[test]
fn dry_run_takes_no_lock() {
    ours(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        let _lock = Flock::lock(fs::File::open("/run").unwrap(), FlockArg::LockExclusive).unwrap();
        m.set("NIXOS_ACTION", "dry-activate");
        m.install(&manifest([secret("one")])).succeeds();
    });
}

#[test]
fn runs_at_the_same_time_follow_each_other() {
    ours(|m| {
        m.install(&manifest([secret("one"), secret("two").set("path", "/run/etc/two")])).succeeds();
        let runs: Vec<_> = (0..8).map(|_| m.start()).collect();
        for run in runs {
            m.wait(run).succeeds();
        }
        assert_eq!(link("/run/secrets"), "/run/secrets.d/9");
        assert_eq!(names("/run/secrets.d"), ["9"]);
        assert_eq!(read("/run/etc/two"), "second value");
    });
}

#[test]
fn lock_leaves_no_file() {
    ours(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        let mut left = names("/run");
        left.retain(|name| !["bin", "home", "manifest.json", "nixos", "sops"].contains(&name.as_str()));
        assert_eq!(left, ["secrets", "secrets.d"]);
    });
}

/// A machine whose last run was killed behind the swap, while it asked systemctl.
fn killed(m: &mut Machine) {
    m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
    let asking =
        || manifest([secret("one").set("restartUnits", ["a.service"]).set("reloadUnits", ["b.service"])]);
    m.install(&asking()).succeeds();
    m.replace("secrets.yaml", "changed.yaml");
    m.systemctl("kill -9 $PPID");
    m.install(&asking()).exits(128 + 9);
    assert_eq!(read("/run/secrets/one"), "changed value");
    m.systemctl("");
    fs::remove_file("/run/nixos/systemctl-calls").unwrap();
}

#[test]
fn requests_of_a_killed_run_are_made_by_the_next() {
    ours(|m| {
        killed(m);
        m.install(&manifest([secret("one")])).succeeds();
        let calls = "--no-block try-restart a.service\n--no-block try-reload-or-restart b.service\n";
        assert_eq!(read("/run/nixos/systemctl-calls"), calls);
        fs::remove_file("/run/nixos/systemctl-calls").unwrap();
        m.install(&manifest([secret("one")])).succeeds();
        assert!(!exists("/run/nixos/systemctl-calls"), "they are made once");
    });
}

#[test]
fn requests_of_a_killed_run_are_made_even_if_nothing_changes() {
    ours(|m| {
        killed(m);
        m.install(&manifest([secret("one")]).set("reuseUnchanged", true)).succeeds();
        assert_eq!(read("/run/nixos/systemctl-calls").lines().count(), 2);
    });
}

#[test]
fn requests_of_a_killed_run_stay_over_a_dry_run() {
    ours(|m| {
        killed(m);
        m.set("NIXOS_ACTION", "dry-activate");
        m.install(&manifest([secret("one")])).succeeds();
        m.unset("NIXOS_ACTION");
        assert!(!exists("/run/nixos/systemctl-calls"));
        m.install(&manifest([secret("one")])).succeeds();
        assert_eq!(read("/run/nixos/systemctl-calls").lines().count(), 2);
    });
}

#[test]
fn broken_record_does_not_stop_a_run() {
    ours(|m| {
        m.install(&manifest([secret("one").set("path", "/run/etc/one")])).succeeds();
        for entry in fs::read_dir("/run/secrets.d/.forestage").unwrap() {
            fs::write(entry.unwrap().path(), b"\xff{ neither JSON nor text").unwrap();
        }
        m.install(&manifest([secret("one").set("path", "/run/etc/one"), secret("two")])).succeeds();
        assert_eq!(read("/run/secrets/two"), "second value");
    });
}

#[test]
fn directory_that_was_moved_aside_is_cleaned_up() {
    ours(|m| {
        m.write("/run/secrets/deep/file", "of an earlier stage");
        m.install(&manifest([secret("one")])).succeeds();
        let mut left = names("/run");
        left.retain(|name| name.contains("secrets"));
        assert_eq!(left, ["secrets", "secrets.d"]);
    });
}

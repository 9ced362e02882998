//! Restart and reload requests: lists for switch-to-configuration, or calls of systemctl.

use std::fs;

use crate::{
    machine::{Machine, exists, owned, read},
    manifest::{Object, manifest, secret, template},
    story::{both, ours},
};

const RESTART: &str = "/run/nixos/activation-restart-list";
const RELOAD: &str = "/run/nixos/activation-reload-list";
const CALLS: &str = "/run/nixos/systemctl-calls";

fn units(name: &str) -> Object {
    let units = |verb| [format!("{name}-{verb}.service")].map(|unit| unit.as_str().into());
    let [restart, reload]: [[crate::manifest::Json; 1]; 2] = [units("restart"), units("reload")];
    secret(name).set("restartUnits", restart).set("reloadUnits", reload)
}

fn changed(m: &mut Machine, before: &Object, after: &Object) {
    m.install(before).succeeds();
    m.replace("secrets.yaml", "changed.yaml");
    m.install(after).succeeds();
}

#[test]
fn first_boot_asks_for_nothing() {
    both(|m| {
        m.install(&manifest([units("one")])).succeeds();
        assert!(!exists(RESTART) && !exists(RELOAD));
    });
}

#[test]
fn modified_secret_asks_and_unchanged_does_not() {
    both(|m| {
        let manifest = manifest([units("one"), units("two")]);
        changed(m, &manifest, &manifest);
        assert_eq!(read(RESTART), "one-restart.service\n");
        assert_eq!(read(RELOAD), "one-reload.service\n");
        assert_eq!(owned(RESTART), "0600 0:0");
    });
}

#[test]
fn added_secret_asks_and_removed_does_not() {
    both(|m| {
        m.install(&manifest([units("one")])).succeeds();
        m.install(&manifest([units("two")])).succeeds();
        assert_eq!(read(RESTART), "two-restart.service\n");
    });
}

#[test]
fn file_that_becomes_a_directory_asks() {
    both(|m| {
        m.install(&manifest([units("one")])).succeeds();
        m.install(&manifest([units("one").set("name", "one/more").set("path", "/run/secrets/one/more")]))
            .succeeds();
        assert_eq!(read(RESTART), "one-restart.service\n");
    });
}

#[test]
fn new_mode_or_owner_asks() {
    both(|m| {
        m.install(&manifest([units("one"), units("two")])).succeeds();
        m.install(&manifest([units("one").set("mode", "0440"), units("two").set("owner", "alice")]))
            .succeeds();
        assert_eq!(read(RESTART), "one-restart.service\ntwo-restart.service\n");
    });
}

#[test]
fn requests_are_in_the_order_of_the_manifest() {
    both(|m| {
        m.install(&manifest([secret("empty")])).succeeds();
        m.install(&manifest([units("two"), units("one"), units("lines")])).succeeds();
        assert_eq!(read(RESTART), "two-restart.service\none-restart.service\nlines-restart.service\n");
    });
}

#[test]
fn unit_of_two_secrets() {
    both(|m| {
        m.install(&manifest([secret("empty")])).succeeds();
        let shared = |name| secret(name).set("restartUnits", ["a.service", "b.service"]);
        m.install(&manifest([shared("one"), shared("two")])).succeeds();
        let mut asked: Vec<String> = read(RESTART).lines().map(str::to_owned).collect();
        asked.dedup();
        assert!(asked.starts_with(&["a.service".into(), "b.service".into()]));
    });
}

#[test]
fn requests_are_added_to_those_of_others() {
    both(|m| {
        m.write(RESTART, "other.service\n");
        let manifest = manifest([units("one")]);
        changed(m, &manifest, &manifest);
        assert_eq!(read(RESTART), "other.service\none-restart.service\n");
    });
}

#[test]
fn without_the_directory_no_list_is_written() {
    both(|m| {
        let manifest = manifest([units("one")]);
        fs::remove_dir_all("/run/nixos").unwrap();
        changed(m, &manifest, &manifest);
        assert!(!exists("/run/nixos"));
    });
}

#[test]
fn modified_template_asks() {
    both(|m| {
        let template = |text| {
            template("conf", text).set("restartUnits", ["t.service"]).set("reloadUnits", ["r.service"])
        };
        m.install(&manifest([secret("one")]).templates([template("old <SOPS:one>")], &["one"])).succeeds();
        m.install(&manifest([secret("one")]).templates([template("new <SOPS:one>")], &["one"])).succeeds();
        assert_eq!(read(RESTART), "t.service\n");
        assert_eq!(read(RELOAD), "r.service\n");
    });
}

#[test]
fn template_asks_when_its_secret_is_modified() {
    both(|m| {
        let template = template("conf", "<SOPS:one>").set("restartUnits", ["t.service"]);
        let manifest = manifest([units("one")]).templates([template], &["one"]);
        changed(m, &manifest, &manifest);
        assert_eq!(read(RESTART), "one-restart.service\nt.service\n");
    });
}

#[test]
fn systemctl_is_called_once_a_verb() {
    both(|m| {
        m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
        m.install(&manifest([secret("empty")])).succeeds();
        m.install(&manifest([units("one"), units("two")])).succeeds();
        let calls = "--no-block try-restart one-restart.service two-restart.service\n\
                     --no-block try-reload-or-restart one-reload.service two-reload.service\n";
        assert_eq!(read(CALLS), calls);
        assert!(!exists(RESTART));
    });
}

#[test]
fn systemctl_is_not_called_for_nothing() {
    both(|m| {
        m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
        m.install(&manifest([units("one")])).succeeds();
        m.install(&manifest([units("one")])).succeeds();
        assert!(!exists(CALLS));
    });
}

#[test]
fn only_the_value_1_means_systemctl() {
    both(|m| {
        m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "true");
        let manifest = manifest([units("one")]);
        changed(m, &manifest, &manifest);
        assert!(exists(RESTART) && !exists(CALLS));
    });
}

#[test]
fn systemctl_sees_the_new_value() {
    both(|m| {
        m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
        m.systemctl("cat /run/secrets/one >>/run/nixos/seen");
        let manifest = manifest([secret("one").set("restartUnits", ["a.service"])]);
        changed(m, &manifest, &manifest);
        assert_eq!(read("/run/nixos/seen"), "changed value");
    });
}

#[test]
fn failing_systemctl_fails_the_run_but_not_the_secrets() {
    both(|m| {
        m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
        m.systemctl("echo no such unit >&2; exit 5");
        m.install(&manifest([units("one")])).succeeds();
        m.replace("secrets.yaml", "changed.yaml");
        m.install(&manifest([units("one")])).fails().says_as_ever("no such unit");
        assert_eq!(read("/run/secrets/one"), "changed value");
        assert_eq!(read(CALLS).lines().count(), 2);
    });
}

#[test]
fn request_that_failed_is_made_again_by_the_next_run() {
    ours(|m| {
        m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
        m.install(&manifest([units("one")])).succeeds();
        m.replace("secrets.yaml", "changed.yaml");
        m.systemctl("exit 5");
        m.install(&manifest([units("one")])).fails();
        fs::remove_file(CALLS).unwrap();
        m.systemctl("");
        m.install(&manifest([units("one")])).succeeds();
        assert!(read(CALLS).contains("--no-block try-restart one-restart.service\n"));
    });
}

#[test]
fn failing_systemctl_is_exit_status_1_of_forestage() {
    ours(|m| {
        m.set("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1");
        m.systemctl("exit 5");
        m.install(&manifest([units("one")])).succeeds();
        m.replace("secrets.yaml", "changed.yaml");
        m.forestage_install(&[], &manifest([units("one")])).exits(1);
        assert_eq!(read("/run/secrets/one"), "changed value");
    });
}

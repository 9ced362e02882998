//! One bad secret is one bad secret.

use std::fs;

use crate::{
    machine::{Machine, exists, link, names, owned, read},
    manifest::{Object, manifest, secret, template},
    story::{both, ours},
};

fn in_file(name: &str, file: &str) -> Object {
    secret(name).set("key", "one").set("sopsFile", format!("/run/sops/{file}").as_str())
}

/// A secret that cannot be opened because its file was changed by somebody.
fn damaged(m: &Machine, name: &str) -> Object {
    m.write_damaged("damaged.yaml");
    in_file(name, "damaged.yaml")
}

#[test]
fn the_others_land() {
    both(|m| {
        m.write("/run/sops/plain.yaml", "one: not encrypted\n");
        for bad in [
            damaged(m, "bad"),
            in_file("bad", "absent.yaml"),
            in_file("bad", "foreign.yaml"),
            in_file("bad", "plain.yaml"),
            secret("bad").set("key", "absent"),
            secret("bad").set("key", "one").set("owner", "nobody-knows"),
            secret("bad").set("key", "one").set("mode", "rw"),
        ] {
            m.install(&manifest([secret("one"), bad, secret("two")])).fails().says("bad");
            assert_eq!(names("/run/secrets/"), ["one", "two"]);
            assert_eq!(read("/run/secrets/two"), "second value");
        }
    });
}

#[test]
fn forestage_tells_how_it_ended() {
    ours(|m| {
        let (good, damaged) = (secret("one"), damaged(m, "damaged"));
        let (foreign, alien) = (in_file("foreign", "foreign.yaml"), in_file("alien", "foreign.yaml"));
        for (secrets, status) in [
            (vec![good.clone()], 0),
            (vec![good.clone(), damaged.clone()], 3),
            (vec![good.clone(), foreign.clone()], 3),
            (vec![foreign.clone(), alien], 4),
            (vec![foreign, damaged.clone()], 1),
            (vec![damaged], 1),
        ] {
            m.forestage_install(&[], &manifest(secrets)).exits(status);
        }
    });
}

#[test]
fn nothing_changes_when_every_secret_fails() {
    ours(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        m.write_damaged("secrets.yaml");
        m.forestage_install(&[], &manifest([secret("one")])).exits(1);
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
        assert_eq!(names("/run/secrets.d"), ["1"]);
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn nothing_is_made_when_every_secret_fails_the_first_time() {
    ours(|m| {
        let bad = damaged(m, "bad");
        m.forestage_install(&[], &manifest([bad])).exits(1);
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn bad_secret_keeps_its_value_and_takes_its_new_owner() {
    ours(|m| {
        m.install(&manifest([secret("one"), secret("two")])).succeeds();
        let bad =
            damaged(m, "one").set("owner", "alice").set("mode", "0440").set("restartUnits", ["a.service"]);
        m.forestage_install(&[], &manifest([bad, secret("two")])).exits(3).says("damaged.yaml");
        assert_eq!(link("/run/secrets"), "/run/secrets.d/2");
        assert_eq!(read("/run/secrets/one"), "first value");
        assert_eq!(owned("/run/secrets/one"), "0440 1001:0");
        assert!(!exists("/run/nixos/activation-restart-list"));
    });
}

#[test]
fn bad_secret_keeps_its_link() {
    ours(|m| {
        let linked = |secret: Object| secret.set("path", "/run/etc/one");
        m.install(&manifest([linked(secret("one")), secret("two")])).succeeds();
        let bad = linked(damaged(m, "one"));
        m.forestage_install(&[], &manifest([bad, secret("two")])).exits(3);
        assert_eq!(link("/run/etc/one"), "/run/secrets/one");
        assert_eq!(read("/run/etc/one"), "first value");
    });
}

#[test]
fn removed_secret_goes_even_when_others_fail() {
    ours(|m| {
        m.install(&manifest([secret("one"), secret("two"), secret("lines")])).succeeds();
        let bad = damaged(m, "one");
        m.forestage_install(&[], &manifest([bad, secret("two")])).exits(3);
        assert_eq!(names("/run/secrets/"), ["one", "two"]);
    });
}

#[test]
fn template_keeps_its_rendering_when_its_secret_fails() {
    ours(|m| {
        let templates = || [template("bad", "<SOPS:one>!"), template("good", "<SOPS:two>!")];
        let install = |m: &mut Machine, one| {
            m.forestage_install(&[], &manifest([one, secret("two")]).templates(templates(), &["one", "two"]))
        };
        install(m, secret("one")).exits(0);
        let bad = damaged(m, "one");
        install(m, bad).exits(3).says("bad");
        assert_eq!(read("/run/secrets/rendered/bad"), "first value!");
        assert_eq!(read("/run/secrets/rendered/good"), "second value!");
    });
}

#[test]
fn template_of_a_secret_that_has_no_owner_keeps_its_rendering() {
    ours(|m| {
        let templates = || [template("t", "<SOPS:one>!")];
        m.install(&manifest([secret("one"), secret("two")]).templates(templates(), &["one", "two"]))
            .succeeds();
        m.replace("secrets.yaml", "changed.yaml");
        for one in [secret("one").set("owner", "nobody-knows"), secret("one").set("mode", "rw")] {
            m.forestage_install(&[], &manifest([one, secret("two")]).templates(templates(), &["one", "two"]))
                .exits(3);
            assert_eq!(read("/run/secrets/rendered/t"), "first value!");
            assert_eq!(read("/run/secrets/one"), "first value");
        }
    });
}

#[test]
fn template_of_a_secret_that_never_was_is_absent() {
    ours(|m| {
        let bad = damaged(m, "one");
        let templates = [template("bad", "<SOPS:one>!"), template("good", "<SOPS:two>!")];
        m.forestage_install(&[], &manifest([bad, secret("two")]).templates(templates, &["one", "two"]))
            .exits(3);
        assert_eq!(names("/run/secrets/rendered"), ["good"]);
    });
}

#[test]
fn strict_is_all_or_nothing() {
    ours(|m| {
        m.install(&manifest([secret("one")])).succeeds();
        let bad = damaged(m, "bad");
        m.forestage_install(&["--strict"], &manifest([secret("two"), bad.clone()])).exits(1).says("bad");
        m.forestage_install(&[], &manifest([secret("two"), bad]).set("strict", true)).exits(1);
        m.forestage_install(&["--strict"], &manifest([secret("two"), in_file("bad", "foreign.yaml")]))
            .exits(4);
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
        assert_eq!(names("/run/secrets/"), ["one"]);
        m.forestage_install(&["--strict"], &manifest([secret("two")])).exits(0);
        assert_eq!(names("/run/secrets/"), ["two"]);
    });
}

#[test]
fn report_names_secret_file_and_tried_keys_but_no_value() {
    ours(|m| {
        let bad = in_file("database/password", "foreign.yaml");
        let run = m.forestage_install(&[], &manifest([secret("one"), bad])).exits(3);
        let recipient = read("/run/sops/other-key.txt").lines().nth(1).unwrap().replace("# public key: ", "");
        let run = run
            .says("database/password")
            .says("/run/sops/foreign.yaml")
            .says(&recipient)
            .says("/run/sops/key.txt");
        assert!(!run.stderr.contains("value") && !run.stderr.contains("AGE-SECRET-KEY"), "{}", run.stderr);
    });
}

#[test]
fn mount_point_that_cannot_be_made() {
    both(|m| {
        m.write("/run/file", "a file");
        let manifest = manifest([secret("one")]).set("secretsMountPoint", "/run/file/secrets.d");
        m.install(&manifest).fails().says("/run/file");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn sops_file_that_is_no_file() {
    both(|m| {
        fs::create_dir("/run/sops/directory.yaml").unwrap();
        m.install(&manifest([in_file("one", "directory.yaml")])).fails().says("/run/sops/directory.yaml");
        assert!(!exists("/run/secrets"));
    });
}

//! `reuseUnchanged`: the current generation stays when nothing changed.

use std::fs;

use crate::{
    machine::{Machine, exists, link, names, owned, read},
    manifest::{Object, manifest, secret, template},
    story::ours,
};

fn reusing(manifest: Object) -> Object {
    manifest.set("reuseUnchanged", true)
}

/// Installs both, and says which generation is the current one then.
fn generation_after(m: &mut Machine, before: &Object, after: &Object) -> String {
    m.install(&reusing(before.clone())).succeeds();
    m.install(&reusing(after.clone())).succeeds();
    link("/run/secrets").replace("/run/secrets.d/", "")
}

#[test]
fn nothing_changed() {
    ours(|m| {
        let manifest = manifest([secret("one"), secret("a/b").set("key", "two")])
            .templates([template("conf", "<SOPS:one>")], &["one", "a/b"]);
        assert_eq!(generation_after(m, &manifest, &manifest), "1");
        assert_eq!(names("/run/secrets.d"), ["1"]);
    });
}

#[test]
fn anything_changed() {
    let with_template = |text| manifest([secret("one")]).templates([template("conf", text)], &["one"]);
    for (what, before, after) in [
        ("value", manifest([secret("one")]), manifest([secret("one").set("key", "two")])),
        ("mode", manifest([secret("one")]), manifest([secret("one").set("mode", "0440")])),
        ("owner", manifest([secret("one")]), manifest([secret("one").set("owner", "alice")])),
        ("group", manifest([secret("one")]), manifest([secret("one").set("gid", 50)])),
        ("added", manifest([secret("one")]), manifest([secret("one"), secret("two")])),
        ("removed", manifest([secret("one"), secret("two")]), manifest([secret("one")])),
        ("template", with_template("a"), with_template("b")),
        ("file system", manifest([secret("one")]), manifest([secret("one")]).set("useTmpfs", true)),
    ] {
        ours(|m| {
            let generation = generation_after(m, &before, &after);
            assert!(what == "file system" || generation == "2", "{what}: {generation}");
            assert!(exists("/run/secrets/one"), "{what}");
        });
    }
}

#[test]
fn what_somebody_did_to_the_generation_is_undone() {
    ours(|m| {
        let manifest = reusing(manifest([secret("one")]));
        m.install(&manifest).succeeds();
        fs::write("/run/secrets/one", "scribbled over").unwrap();
        m.install(&manifest).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
        std::os::unix::fs::chown("/run/secrets/one", Some(7), None).unwrap();
        m.install(&manifest).succeeds();
        assert_eq!(owned("/run/secrets/one"), "0400 0:0");
    });
}

#[test]
fn links_are_repaired_and_stale_ones_removed() {
    ours(|m| {
        let linked = |name, path| secret(name).set("path", path);
        let before = manifest([linked("one", "/run/etc/one"), linked("two", "/run/etc/two")]);
        let after = manifest([linked("one", "/run/etc/one"), secret("two")]);
        m.install(&reusing(before)).succeeds();
        fs::remove_file("/run/etc/one").unwrap();
        m.install(&reusing(after)).succeeds();
        assert_eq!(link("/run/secrets"), "/run/secrets.d/1");
        assert_eq!(link("/run/etc/one"), "/run/secrets/one");
        assert!(!exists("/run/etc/two"));
    });
}

#[test]
fn older_generations_are_pruned() {
    ours(|m| {
        let manifest = manifest([secret("one")]);
        for keep in [0, 0, 0] {
            m.install(&manifest.clone().set("keepGenerations", keep)).succeeds();
        }
        m.install(&reusing(manifest)).succeeds();
        assert_eq!(names("/run/secrets.d"), ["3"]);
    });
}

#[test]
fn report_says_that_nothing_changed() {
    ours(|m| {
        let manifest = reusing(manifest([secret("one")]));
        m.install(&manifest).succeeds();
        let run = m.forestage_install(&["--json"], &manifest).exits(0);
        let told: String = run.stdout.split_whitespace().collect();
        assert!(told.contains("\"generation\":1,\"changed\":false,"), "{told}");
    });
}

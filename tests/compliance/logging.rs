//! Lines on standard output, which administrators and scripts know.

use crate::{
    manifest::{logging, manifest, raw, secret, template},
    story::both,
};

#[test]
fn first_boot_is_silent() {
    both(|m| {
        m.install(&logging(manifest([secret("one")]))).succeeds().prints(&[]);
    });
}

#[test]
fn nothing_is_said_when_nothing_changed() {
    both(|m| {
        m.install(&logging(manifest([secret("one")]))).succeeds();
        m.install(&logging(manifest([secret("one")]))).succeeds().prints(&[]);
    });
}

#[test]
fn one_is_singular() {
    both(|m| {
        m.install(&logging(manifest([secret("one"), secret("two")]))).succeeds();
        m.replace("secrets.yaml", "changed.yaml");
        m.install(&logging(manifest([secret("one"), secret("empty")]))).succeeds().prints(&[
            "adding secret: empty",
            "modifying secret: one",
            "removing secret: two",
        ]);
    });
}

#[test]
fn more_are_plural_and_sorted() {
    both(|m| {
        let pair = |a, b| logging(manifest([secret(a).set("key", "one"), secret(b).set("key", "one")]));
        m.install(&pair("z", "a/b")).succeeds();
        m.install(&pair("y", "b")).succeeds().prints(&["adding secrets: b, y", "removing secrets: a/b, z"]);
        m.replace("secrets.yaml", "changed.yaml");
        m.install(&pair("y", "b")).succeeds().prints(&["modifying secrets: b, y"]);
    });
}

#[test]
fn templates_are_rendered_secrets() {
    both(|m| {
        let with = |templates: [_; 2]| logging(manifest([secret("one")]).templates(templates, &["one"]));
        m.install(&with([template("a", "1"), template("b", "1")])).succeeds();
        m.install(&with([template("b", "2"), template("c/d", "1")])).succeeds().prints(&[
            "adding rendered secret: c/d",
            "modifying rendered secret: b",
            "removing rendered secret: a",
        ]);
        m.install(&with([template("e", "1"), template("f", "1")]))
            .succeeds()
            .prints(&["adding rendered secrets: e, f", "removing rendered secrets: b, c/d"]);
    });
}

#[test]
fn nothing_is_said_unasked() {
    both(|m| {
        m.install(&manifest([secret("one")])).succeeds().prints(&[]);
        m.install(&manifest([secret("two")]).set("logging", raw("null"))).succeeds().prints(&[]);
    });
}

#[test]
fn imported_age_keys_are_named_on_stderr() {
    both(|m| {
        let manifest = logging(manifest([secret("one")]).set("ageSshKeyPaths", ["/run/sops/ssh_ed25519"]));
        m.install(&manifest).succeeds().prints(&[]).says_as_ever(
            "sops-install-secrets: Imported /run/sops/ssh_ed25519 as age key with fingerprint age1",
        );
    });
}

#[test]
fn no_key_is_named_unasked() {
    both(|m| {
        let keys = ["/run/sops/ssh_ed25519"];
        let run = m.install(&manifest([secret("one")]).set("ageSshKeyPaths", keys)).succeeds();
        assert!(!run.stderr.contains("Imported"), "{}", run.stderr);
    });
}

#[test]
fn imported_rsa_keys_are_named_on_stdout() {
    both(|m| {
        m.install(&logging(manifest([secret("one")]).set("sshKeyPaths", ["/run/sops/ssh_rsa"]))).succeeds();
    });
}

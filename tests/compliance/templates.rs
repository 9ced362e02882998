//! Templates: where the text comes from, and what placeholders become.

use crate::{
    machine::{exists, names, read},
    manifest::{manifest, raw, secret, template},
    story::both,
};

#[test]
fn placeholders_become_values() {
    both(|m| {
        let text = "user=<SOPS:one>\nagain=<SOPS:one>\npassword=<SOPS:nested/leaf>\n";
        let manifest = manifest([secret("one"), secret("nested/leaf")]);
        m.install(&manifest.templates([template("app.env", text)], &["one", "nested/leaf"])).succeeds();
        let rendered = "user=first value\nagain=first value\npassword=nested leaf\n";
        assert_eq!(read("/run/secrets/rendered/app.env"), rendered);
    });
}

#[test]
fn templates_share_secrets_and_have_nested_names() {
    both(|m| {
        let templates = [template("a/b.conf", "a <SOPS:one>"), template("c", "c <SOPS:one>")];
        m.install(&manifest([secret("one")]).templates(templates, &["one"])).succeeds();
        assert_eq!(read("/run/secrets/rendered/a/b.conf"), "a first value");
        assert_eq!(read("/run/secrets/rendered/c"), "c first value");
    });
}

#[test]
fn text_from_a_file() {
    both(|m| {
        m.write("/run/sops/template", "in a file: <SOPS:one>");
        let template = template("conf", "").set("file", "/run/sops/template");
        m.install(&manifest([secret("one")]).templates([template], &["one"])).succeeds();
        assert_eq!(read("/run/secrets/rendered/conf"), "in a file: first value");
    });
}

#[test]
fn text_and_file() {
    both(|m| {
        m.write("/run/sops/template", "in a file");
        let template = template("conf", "in the manifest").set("file", "/run/sops/template");
        m.install(&manifest([secret("one")]).templates([template], &["one"])).succeeds();
        assert_eq!(read("/run/secrets/rendered/conf"), "in the manifest");
    });
}

#[test]
fn neither_text_nor_file() {
    both(|m| {
        m.install(&manifest([secret("one")]).templates([template("conf", "")], &["one"]))
            .fails()
            .says("conf");
        assert!(!exists("/run/secrets/rendered/conf"));
    });
}

#[test]
fn file_that_does_not_exist() {
    both(|m| {
        let template = template("conf", "").set("file", "/run/sops/absent");
        m.install(&manifest([secret("one")]).templates([template], &["one"]))
            .fails()
            .says("/run/sops/absent");
        assert!(!exists("/run/secrets/rendered/conf"));
    });
}

#[test]
fn text_without_placeholders_and_unknown_placeholders_stay() {
    both(|m| {
        let templates =
            [template("plain", "no placeholder"), template("unknown", "<SOPS:elsewhere> <SOPS:>")];
        m.install(&manifest([secret("one")]).templates(templates, &["one"])).succeeds();
        assert_eq!(read("/run/secrets/rendered/plain"), "no placeholder");
        assert_eq!(read("/run/secrets/rendered/unknown"), "<SOPS:elsewhere> <SOPS:>");
    });
}

#[test]
fn placeholder_inside_a_value_stays() {
    both(|m| {
        // The value of `left` is the placeholder of `right`, and the other way round.
        let manifest = manifest([secret("left"), secret("right")]);
        let template = template("conf", "<SOPS:left> <SOPS:right>");
        m.install(&manifest.templates([template], &["left", "right"])).succeeds();
        assert_eq!(read("/run/secrets/rendered/conf"), "<SOPS:right> <SOPS:left>");
    });
}

#[test]
fn secret_without_placeholder() {
    both(|m| {
        let manifest = manifest([secret("one"), secret("two")]);
        m.install(&manifest.templates([template("conf", "x")], &["one"]))
            .fails()
            .says_as_ever("placeholder for two not found in manifest");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn placeholders_are_not_needed_without_templates() {
    both(|m| {
        m.install(&manifest([secret("one")]).set("placeholderBySecretName", raw("null"))).succeeds();
    });
}

#[test]
fn template_without_secrets() {
    both(|m| {
        m.install(&manifest(Vec::<&str>::new()).templates([template("conf", "plain")], &[])).succeeds();
        assert_eq!(names("/run/secrets/rendered"), ["conf"]);
    });
}

#[test]
fn removed_template_goes() {
    both(|m| {
        let templates = [template("a", "a"), template("b", "b")];
        m.install(&manifest([secret("one")]).templates(templates, &["one"])).succeeds();
        m.install(&manifest([secret("one")]).templates([template("b", "b")], &["one"])).succeeds();
        assert_eq!(names("/run/secrets/rendered"), ["b"]);
    });
}

#[test]
fn bad_mode_or_owner_fails() {
    for (field, value) in [("mode", "rw"), ("owner", "nobody-knows"), ("group", "nobody-knows")] {
        both(|m| {
            let bad = template("conf", "x").set(field, value);
            m.install(&manifest([secret("one")]).templates([bad], &["one"])).fails().says("conf");
            assert!(!exists("/run/secrets/rendered/conf"));
        });
    }
}

//! Manifests that are written otherwise, wrong, or unclear.

use std::fs;

use crate::{
    machine::{MANIFEST, exists, read},
    manifest::{Object, manifest, raw, secret, template},
    story::{both, ours},
};

#[test]
fn names_of_fields_in_any_case() {
    both(|m| {
        let shouted = secret("one").without("name").set("NAME", "one").without("mode").set("Mode", "0440");
        let manifest = manifest([shouted])
            .without("agekeyfile")
            .without("ageKeyFile")
            .set("agekeyFILE", "/run/sops/key.txt");
        m.install(&manifest).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn null_is_absent() {
    both(|m| {
        let mut secret = secret("one");
        for field in ["owner", "group", "uid", "gid", "format", "restartUnits", "reloadUnits"] {
            secret = secret.set(field, raw("null"));
        }
        let mut manifest = manifest([secret]);
        for field in
            ["templates", "placeholderBySecretName", "keepGenerations", "sshKeyPaths", "ageSshKeyPaths"]
        {
            manifest = manifest.set(field, raw("null"));
        }
        m.install(&manifest.set("userMode", raw("null")).set("useTmpfs", raw("null"))).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn absent_lists_are_empty() {
    both(|m| {
        m.install(&manifest([secret("one")]).without("templates").without("secrets")).succeeds();
        assert!(exists("/run/secrets"));
    });
}

#[test]
fn unknown_fields_are_ignored() {
    both(|m| {
        let secret = secret("one").set("sopsFileHash", 1).set("frob", raw("{\"deep\": [1, 2.5e3, null]}"));
        m.install(&manifest([secret]).set("x", raw("[[[]]]"))).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn format_that_is_not_said_is_yaml() {
    both(|m| {
        m.install(&manifest([secret("one").set("format", ""), secret("two").without("format")])).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn unknown_format_is_an_error() {
    both(|m| {
        m.install(&manifest([secret("one").set("format", "toml")])).fails().says("toml");
    });
}

#[test]
fn what_follows_the_object_is_not_read() {
    both(|m| {
        m.write(MANIFEST, &format!("  {}\n}} and more", manifest([secret("one")])));
        m.run(&[MANIFEST]).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn repeated_field_counts_where_it_stands_last() {
    both(|m| {
        let text = manifest([secret("one")]).to_string().replacen(
            "\"key\": \"one\"",
            "\"key\": \"two\", \"key\": \"one\"",
            1,
        );
        m.write(MANIFEST, &text);
        m.run(&[MANIFEST]).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn what_is_no_json_object_fails() {
    both(|m| {
        for text in ["", "{", "[]", "no", "\"x\"", "5", "{\"secrets\": [}", "\u{feff}{}", "{'secrets': []}"] {
            m.write(MANIFEST, text);
            m.run(&[MANIFEST]).fails().prints(&[]).says(MANIFEST);
        }
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn wrong_types_fail() {
    both(|m| {
        let wrong: [(&str, Object); 7] = [
            ("secrets", manifest([secret("one")]).set("secrets", 5)),
            ("secret", manifest([raw("5")])),
            ("uid", manifest([secret("one").set("uid", "0")])),
            ("name", manifest([secret("one").set("name", 5)])),
            ("units", manifest([secret("one").set("restartUnits", "a.service")])),
            ("keepGenerations", manifest([secret("one")]).set("keepGenerations", raw("1.5"))),
            ("useTmpfs", manifest([secret("one")]).set("useTmpfs", "yes")),
        ];
        for (what, manifest) in wrong {
            let run = m.install(&manifest);
            assert_eq!(run.status, 1, "{what}");
        }
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn manifest_that_is_no_file() {
    both(|m| {
        m.run(&["/run/absent.json"]).fails().says("/run/absent.json");
        m.run(&["/run/sops"]).fails().says("/run/sops");
        fs::create_dir("/run/loop").unwrap();
        std::os::unix::fs::symlink("/run/loop/a", "/run/loop/a").unwrap();
        m.run(&["/run/loop/a"]).fails();
    });
}

#[test]
fn manifest_may_be_a_link() {
    both(|m| {
        m.write("/run/store/manifest.json", &manifest([secret("one")]).to_string());
        std::os::unix::fs::symlink("/run/store/manifest.json", "/run/sops/link.json").unwrap();
        m.run(&["/run/sops/link.json"]).succeeds();
    });
}

#[test]
fn two_secrets_of_one_name() {
    both(|m| {
        m.install(&manifest([secret("one"), secret("one").set("key", "two")])).fails().says("one");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn two_spellings_of_one_name() {
    both(|m| {
        let other = secret("./one").set("key", "two").set("path", "/run/secrets/one");
        m.install(&manifest([secret("one"), other])).fails().says("one");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn name_that_leaves_its_directory() {
    both(|m| {
        for name in ["../escaped", "a/../../escaped"] {
            m.install(&manifest([secret(name).set("key", "one").set("path", "/run/etc/one")]))
                .fails()
                .says(name);
        }
        assert!(!exists("/run/secrets.d/escaped"));
    });
}

#[test]
fn name_that_is_no_file() {
    both(|m| {
        for name in ["", ".", "/"] {
            m.install(&manifest([secret(name).set("key", "one").set("path", "/run/etc/one")])).fails();
        }
    });
}

#[test]
fn secret_in_the_place_of_a_template() {
    both(|m| {
        let secrets = manifest([secret("rendered/conf").set("key", "one")]);
        m.install(&secrets.templates([template("conf", "text")], &["rendered/conf"]))
            .fails()
            .says("rendered/conf");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn secret_inside_another() {
    both(|m| {
        m.install(&manifest([secret("a").set("key", "one"), secret("a/b").set("key", "two")]))
            .fails()
            .says("a/b");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn two_secrets_at_one_path() {
    both(|m| {
        let at = |name| secret(name).set("path", "/run/etc/key");
        m.install(&manifest([at("one"), at("two")])).fails().says("/run/etc/key");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn negative_number_of_generations() {
    both(|m| {
        m.install(&manifest([secret("one")]).set("keepGenerations", 0)).succeeds();
        m.install(&manifest([secret("one")]).set("keepGenerations", -1)).succeeds();
        assert!(exists("/run/secrets.d/2"));
    });
}

#[test]
fn newer_version_than_this_program_knows() {
    ours(|m| {
        m.install(&manifest([secret("one")]).set("version", 2)).fails().says("version");
        m.install(&manifest([secret("one")]).set("version", 1)).succeeds();
    });
}

#[test]
fn unknown_phase() {
    ours(|m| {
        m.install(&manifest([secret("one")]).set("version", 1).set("phase", "dinner")).fails().says("dinner");
        m.install(&manifest([secret("one")]).set("version", 1).set("phase", "system")).succeeds();
    });
}

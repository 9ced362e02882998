//! Which bytes of a sops file a secret gets: formats, keys, kinds of values.

use crate::{
    machine::{exists, read},
    manifest::{manifest, secret, whole_file},
    story::{both, ours},
};

#[test]
fn strings_of_a_yaml_file() {
    both(|m| {
        let keys = ["one", "nested/leaf", "nested/deep/leaf", "empty", "lines"];
        m.install(&manifest(keys.map(secret).to_vec())).succeeds();
        assert_eq!(read("/run/secrets/nested/leaf"), "nested leaf");
        assert_eq!(read("/run/secrets/nested/deep/leaf"), "deep leaf");
        assert_eq!(read("/run/secrets/lines"), "first line\nsecond line\n");
        assert_eq!(read("/run/secrets/empty"), "");
    });
}

#[test]
fn date_is_text() {
    both(|m| {
        m.install(&manifest([secret("day")])).succeeds();
        assert_eq!(read("/run/secrets/day"), "2024-01-02T00:00:00Z");
    });
}

#[test]
fn strings_of_a_json_file() {
    both(|m| {
        let json = |key| secret(key).set("sopsFile", "/run/sops/secrets.json").set("format", "json");
        m.install(&manifest([json("one"), json("empty")])).succeeds();
        assert_eq!(read("/run/secrets/one"), "first value");
    });
}

#[test]
fn nested_keys_of_a_json_file() {
    both(|m| {
        let json = |key| secret(key).set("sopsFile", "/run/sops/secrets.json").set("format", "json");
        m.install(&manifest([json("nested/leaf"), json("nested/deep/leaf")])).succeeds();
        assert_eq!(read("/run/secrets/nested/deep/leaf"), "deep leaf");
    });
}

#[test]
fn elements_of_lists() {
    both(|m| {
        m.install(&manifest([secret("list/0"), secret("list/1/name")])).succeeds();
        assert_eq!(read("/run/secrets/list/0"), "item zero");
        assert_eq!(read("/run/secrets/list/1/name"), "item one");
    });
}

#[test]
fn key_that_holds_a_slash() {
    both(|m| {
        m.install(&manifest([secret("with/slash")])).succeeds();
        assert_eq!(read("/run/secrets/with/slash"), "beyond the slash");
    });
}

#[test]
fn whole_files_of_every_format() {
    both(|m| {
        m.install(&manifest([
            whole_file("yaml", "secrets.yaml", "yaml"),
            whole_file("json", "secrets.json", "json"),
            whole_file("env", "secrets.env", "dotenv"),
            whole_file("ini", "secrets.ini", "ini"),
            whole_file("bin", "secrets.bin", "binary"),
        ]))
        .succeeds();
        assert!(
            read("/run/secrets/yaml").starts_with("one: first value\ntwo: second value\nnested:\n    leaf: ")
        );
        assert!(read("/run/secrets/json").starts_with("{\n\t\"one\": \"first value\","));
        assert_eq!(read("/run/secrets/env"), "# a comment\nONE=first value\nTWO=second value\n");
        assert_eq!(read("/run/secrets/ini"), "[section]\none = first value\ntwo = second value\n");
        assert_eq!(std::fs::read("/run/secrets/bin").unwrap(), b"binary\0\xffbytes");
    });
}

#[test]
fn key_is_ignored_where_the_format_has_none() {
    both(|m| {
        m.install(&manifest([
            whole_file("env", "secrets.env", "dotenv").set("key", "env"),
            whole_file("ini", "secrets.ini", "ini").set("key", "ini"),
            whole_file("bin", "secrets.bin", "binary").set("key", "bin"),
        ]))
        .succeeds();
        assert_eq!(read("/run/secrets/env"), "# a comment\nONE=first value\nTWO=second value\n");
    });
}

#[test]
fn key_is_taken_in_every_format_by_a_manifest_of_forestage() {
    ours(|m| {
        let env = whole_file("env", "secrets.env", "dotenv").set("key", "TWO");
        let ini = whole_file("ini", "secrets.ini", "ini").set("key", "section/one");
        m.install(&manifest([env, ini]).set("version", 1)).succeeds();
        assert_eq!(read("/run/secrets/env"), "second value");
        assert_eq!(read("/run/secrets/ini"), "first value");
    });
}

#[test]
fn dotenv_names_with_dashes() {
    both(|m| {
        m.install(&manifest([whole_file("env", "dashed.env", "dotenv")])).succeeds();
        assert_eq!(read("/run/secrets/env"), "my-key=dashed value\n");
    });
}

#[test]
fn one_file_serves_keyed_and_whole_secrets() {
    both(|m| {
        m.install(&manifest([secret("one"), whole_file("all", "secrets.yaml", "yaml"), secret("two")]))
            .succeeds();
        assert_eq!(read("/run/secrets/two"), "second value");
    });
}

#[test]
fn numbers_and_truth_values_become_text() {
    both(|m| {
        m.install(&manifest([secret("number"), secret("fraction"), secret("truth")])).succeeds();
        assert_eq!(read("/run/secrets/number"), "42");
        assert_eq!(read("/run/secrets/fraction"), "1.5");
        assert_eq!(read("/run/secrets/truth"), "true");
    });
}

#[test]
fn null_is_no_secret() {
    both(|m| {
        m.install(&manifest([secret("nothing")])).fails().says("null");
        assert!(!exists("/run/secrets/nothing"));
    });
}

#[test]
fn lists_and_maps_are_no_secrets() {
    for key in ["list", "nested", "nested/deep"] {
        both(|m| {
            m.install(&manifest([secret(key)])).fails().says(key);
            assert!(!exists("/run/secrets"));
        });
    }
}

#[test]
fn keys_that_lead_nowhere() {
    for key in ["absent", "nested/absent", "absent/leaf", "one/leaf", "nested/", "/one"] {
        both(|m| {
            m.install(&manifest([secret("bad").set("key", key)])).fails().says(key);
            assert!(!exists("/run/secrets"));
        });
    }
}

#[test]
fn metadata_is_no_secret() {
    both(|m| {
        m.install(&manifest([secret("bad").set("key", "sops/version")])).fails().says("sops/version");
        assert!(!exists("/run/secrets"));
    });
}

#[test]
fn list_indices_that_lead_nowhere() {
    for key in ["list/2", "list/-1", "list/00", "list/1", "list/0/name"] {
        ours(|m| {
            m.install(&manifest([secret("bad").set("key", key)])).fails().says(key);
        });
    }
}

#[test]
fn file_of_another_format() {
    for (file, format) in [
        ("secrets.yaml", "json"),
        ("secrets.yaml", "binary"),
        ("secrets.ini", "json"),
        ("secrets.env", "yaml"),
    ] {
        both(|m| {
            m.install(&manifest([whole_file("bad", file, format)])).fails().says(file);
            assert!(!exists("/run/secrets"));
        });
    }
}

#[test]
fn one_file_in_two_formats() {
    both(|m| {
        let manifest =
            manifest([whole_file("a", "secrets.json", "json"), whole_file("b", "secrets.json", "yaml")]);
        m.install(&manifest).fails().says_as_ever("was specified as json in a before");
    });
}

//! Manifests that are damaged or absurd: `install` and `check` refuse them and change nothing.

use std::fs;

use crate::{
    DATA,
    desk::{Desk, Verdict},
};

const WHOLE: &str = r#"{"secretsMountPoint": "/run/secrets.d", "symlinkPath": "/run/secrets", "keepGenerations": 1,
 "ageKeyFile": "/etc/key.txt", "placeholderBySecretName": {"s": "<s>"},
 "secrets": [{"name": "s", "sopsFile": "/input", "format": "yaml", "key": "first", "path": "/run/link", "mode": "0400", "uid": 0, "gid": 0}],
 "templates": [{"name": "t", "content": "<s>", "path": "/run/template", "mode": "0400"}]}"#;

/// Texts put over a piece of the manifest.
fn replaced() -> Vec<(&'static str, &'static str, String)> {
    let long = "x".repeat(1 << 20);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let name = |name: &str| ("a name", r#""name": "s""#, format!(r#""name": "{name}""#));
    vec![
        name(""),
        name("."),
        name(".."),
        name("../s"),
        name("a/../../s"),
        name("/s"),
        name("s/"),
        name("a//b"),
        name("\\u0000"),
        name("rendered/t"),
        name("rendered"),
        name(&"a/".repeat(3000)),
        name(&long),
        ("a name that is a number", r#""name": "s""#, r#""name": 5"#.to_owned()),
        ("a mode", "\"0400\", \"uid\"", "\"9\", \"uid\"".to_owned()),
        ("a mode", "\"0400\", \"uid\"", "\"99999999999999999999\", \"uid\"".to_owned()),
        ("a mode", "\"0400\", \"uid\"", "\"-1\", \"uid\"".to_owned()),
        ("a mode", "\"0400\", \"uid\"", format!("\"{long}\", \"uid\"")),
        ("a uid", "\"uid\": 0", "\"uid\": -1".to_owned()),
        ("a uid", "\"uid\": 0", "\"uid\": 4294967296".to_owned()),
        ("a uid", "\"uid\": 0", "\"uid\": 1e300".to_owned()),
        ("a uid", "\"uid\": 0", "\"uid\": \"root\"".to_owned()),
        ("an owner", "\"uid\": 0", format!("\"owner\": \"{long}\"")),
        ("an owner", "\"uid\": 0", "\"owner\": \"nobody-of-that-name\"".to_owned()),
        ("a key", "\"first\"", "\"nowhere\"".to_owned()),
        ("a key", "\"first\"", "\"nested/list/99999999999999999999\"".to_owned()),
        ("a key", "\"first\"", "\"nested/list/-1\"".to_owned()),
        ("a key", "\"first\"", format!("\"{}\"", "a/".repeat(100_000))),
        ("a mount point", "\"/run/secrets.d\"", "\"\"".to_owned()),
        ("a mount point", "\"/run/secrets.d\"", "\"relative\"".to_owned()),
        ("a mount point", "\"/run/secrets.d\"", "\"/\"".to_owned()),
        ("a mount point", "\"/run/secrets.d\"", "\"/run/../secrets.d\"".to_owned()),
        ("a mount point", "\"/run/secrets.d\"", "\"/run/\\u0000\"".to_owned()),
        ("a mount point", "\"/run/secrets.d\"", format!("\"/run/{long}\"")),
        ("a symlink path", "\"/run/secrets\"", "\"/run/secrets.d/x\"".to_owned()),
        ("a symlink path", "\"/run/secrets\"", "null".to_owned()),
        ("a path", "\"/run/link\"", "\"/run/template\"".to_owned()),
        ("a path", "\"/run/template\"", "\"/run/link/below\"".to_owned()),
        ("a sops file", "\"/input\"", "\"\"".to_owned()),
        ("a sops file", "\"/input\"", format!("\"/{long}\"")),
        ("a sops file", "\"/input\"", "\"/in\\u0000put\"".to_owned()),
        ("a version", "\"keepGenerations\": 1", "\"version\": 2".to_owned()),
        ("a phase", "\"keepGenerations\": 1", "\"phase\": \"never\"".to_owned()),
        ("a number of generations", "\"keepGenerations\": 1", "\"keepGenerations\": -1".to_owned()),
        ("a number of generations", "\"keepGenerations\": 1", "\"keepGenerations\": 1e99".to_owned()),
        ("a placeholder", "{\"s\": \"<s>\"}", "{}".to_owned()),
        ("a placeholder", "{\"s\": \"<s>\"}", "{\"s\": \"\"}".to_owned()),
        ("a list 10,000 deep", "\"/run/link\"", deep.clone()),
        ("an unknown field 10,000 deep", "\"keepGenerations\": 1", format!("\"x\": {deep}")),
        ("secrets", "\"secrets\": [", "\"secrets\": [null, 5, ".to_owned()),
        ("templates", "\"templates\": [", "\"templates\": [{}, ".to_owned()),
        ("a template's text", "\"content\": \"<s>\"", "\"file\": \"/dev/zero\"".to_owned()),
        ("a template's text", "\"content\": \"<s>\"", "\"file\": \"/etc\"".to_owned()),
        ("a second object", "\"0400\"}]}", "\"0400\"}]".to_owned()),
        ("a key file", "\"/etc/key.txt\"", "\"/etc\"".to_owned()),
        ("a key file", "\"/etc/key.txt\"", "\"/nowhere\"".to_owned()),
    ]
}

#[test]
fn manifests() {
    let desk = Desk::new("manifests");
    fs::copy(format!("{DATA}/whole.yaml"), desk.path("root/input")).unwrap();
    assert_fine(&desk);
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    for length in (0..WHOLE.len()).step_by(50) {
        texts.push((format!("truncated to {length} bytes"), WHOLE.as_bytes()[..length].to_vec()));
    }
    for (what, from, to) in replaced() {
        assert!(WHOLE.contains(from), "{from}");
        texts.push((format!("{what}: {to:.80}"), WHOLE.replacen(from, &to, 1).into_bytes()));
    }
    let secrets = WHOLE.find("{\"name\": \"s\"").unwrap();
    let two = format!("{}{}", WHOLE.replace("]}", ""), "");
    texts.push(("unclosed".to_owned(), two.into_bytes()));
    let twice = format!("{}{{\"name\": \"s\"}}, {}", &WHOLE[..secrets], &WHOLE[secrets..]);
    texts.push(("two secrets of one name".to_owned(), twice.into_bytes()));
    for (name, bytes) in [
        ("a megabyte of [", vec![b'['; 1 << 20]),
        ("a megabyte of NULs", vec![0; 1 << 20]),
        ("a megabyte of \"", vec![b'"'; 1 << 20]),
        ("maps 10,000 deep", "{\"a\":".repeat(10_000).into_bytes()),
        ("a list", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("not UTF-8", [&b"{\"symlinkPath\": \""[..], &[0xff], b"\"}"].concat()),
        ("an unclosed string of a megabyte", [&b"{\""[..], &vec![b'a'; 1 << 20]].concat()),
    ] {
        texts.push((name.to_owned(), bytes));
    }
    let complaints: Vec<String> =
        texts.iter().flat_map(|(name, text)| complaints(&desk, name, text)).collect();
    desk.finish(texts.len());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The manifest that the others are made of lands, else they would fail for another reason.
fn assert_fine(desk: &Desk) {
    let manifest = desk.path("manifest.json");
    fs::write(&manifest, WHOLE).unwrap();
    let (root, manifest) = (desk.path("root"), manifest.to_str().unwrap());
    let run = desk.run(&["check", "--decrypt", "--root", root.to_str().unwrap(), manifest]);
    assert_eq!(run.complaints("check --decrypt", Verdict::FailsOrOpens, 0), Vec::<String>::new());
    assert!(run.succeeded());
}

/// What is wrong with how the commands take that manifest.
fn complaints(desk: &Desk, name: &str, text: &[u8]) -> Vec<String> {
    let manifest = desk.path("manifest.json");
    fs::write(&manifest, text).unwrap();
    let (root, manifest) = (desk.path("root"), manifest.to_str().unwrap());
    let root = root.to_str().unwrap();
    let before = desk.root();
    let mut complaints = Vec::new();
    for arguments in [
        &["install", "--root", root, manifest][..],
        &["install", "--dry-run", "--root", root, manifest],
        &["check", "--decrypt", "--root", root, manifest],
        &["initrd", "append", "--manifest", manifest, "--root", root, "/run/initrd"],
    ] {
        let run = desk.run(arguments);
        complaints.extend(run.complaints(arguments[0], Verdict::Fails, text.len() as u64));
        let after = desk.root();
        if before != after {
            complaints.push(format!("{}: changed {before:?} to {after:?}", arguments[0]));
            desk.forget();
        }
    }
    complaints.iter().map(|complaint| format!("{name}: {complaint}")).collect()
}

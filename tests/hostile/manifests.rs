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

/// Without a template, and so without a placeholder.
const PLAIN: &str = r#"{"secretsMountPoint": "/run/secrets.d", "symlinkPath": "/run/secrets", "ageKeyFile": "/etc/key.txt",
 "secrets": [{"name": "s", "sopsFile": "/input", "format": "yaml", "key": "first", "path": "/run/link"}]}"#;

/// What a mistake concerns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// The manifest: every command refuses it.
    Manifest,
    /// Landing: `install` refuses it and changes nothing.
    Landing,
    /// One secret or template: `install` reports it and lands the rest.
    Part,
    /// Nothing, as with sops-install-secrets.
    Nothing,
}

use Extent::{Landing, Manifest, Nothing, Part};

/// Names that no secret can have.
fn names() -> Vec<String> {
    let mut names = ["", ".", "/", "..", "../s", "a/../../s", "s/..", "\\u0000"].map(str::to_owned).to_vec();
    names.extend(["a/".repeat(3000), "x".repeat(1 << 20)]);
    names
}

/// Pieces of the manifest, and texts put over them.
fn replaced() -> Vec<(&'static str, String, Extent)> {
    let long = "x".repeat(1 << 20);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mode = r#""mode": "0400", "uid": 0"#;
    let with_mode = |value: &str| format!(r#""mode": "{value}", "uid": 0"#);
    let uid = r#""uid": 0"#;
    let generations = r#""keepGenerations": 1"#;
    let placeholders = r#"{"s": "<s>"}"#;
    let content = r#""content": "<s>""#;
    let (mount_point, symlink, link) = (r#""/run/secrets.d""#, r#""/run/secrets""#, r#""/run/link""#);
    let own = str::to_owned;
    vec![
        (r#""name": "s""#, own(r#""name": 5"#), Manifest),
        (r#""name": "s""#, own(r#""name": "rendered/t""#), Manifest),
        (mode, with_mode("9"), Part),
        (mode, with_mode("99999999999999999999"), Part),
        (mode, with_mode("-1"), Part),
        (mode, with_mode(&long), Part),
        (uid, own(r#""uid": -1"#), Manifest),
        (uid, own(r#""uid": 4294967296"#), Manifest),
        (uid, own(r#""uid": 1e300"#), Manifest),
        (uid, own(r#""uid": "root""#), Manifest),
        (uid, format!(r#""owner": "{long}""#), Part),
        (uid, own(r#""owner": "nobody-of-that-name""#), Part),
        (r#""first""#, own(r#""nowhere""#), Manifest),
        (r#""first""#, own(r#""nested/list/99999999999999999999""#), Manifest),
        (r#""first""#, own(r#""nested/list/-1""#), Manifest),
        (r#""first""#, format!("\"{}\"", "a/".repeat(100_000)), Manifest),
        (mount_point, own(r#""""#), Manifest),
        (mount_point, own(r#""relative""#), Landing),
        (mount_point, own(r#""/""#), Manifest),
        (mount_point, own(r#""/run/../secrets.d""#), Landing),
        (mount_point, own(r#""/run/\u0000""#), Manifest),
        (mount_point, format!("\"/run/{long}\""), Landing),
        (symlink, own(r#""/run/secrets.d/x""#), Manifest),
        (symlink, own("null"), Manifest),
        (link, own(r#""/run/template""#), Manifest),
        (r#""/run/template""#, own(r#""/run/link/below""#), Manifest),
        (r#""/input""#, own(r#""""#), Manifest),
        (r#""/input""#, format!("\"/{long}\""), Manifest),
        (r#""/input""#, own(r#""/in\u0000put""#), Manifest),
        (generations, own(r#""version": 2"#), Manifest),
        (generations, own(r#""phase": "never""#), Manifest),
        (generations, own(r#""keepGenerations": -1"#), Nothing),
        (generations, own(r#""keepGenerations": 1e99"#), Manifest),
        (placeholders, own("{}"), Manifest),
        (placeholders, own(r#"{"s": ""}"#), Manifest),
        (link, deep.clone(), Manifest),
        (generations, format!("\"x\": {deep}"), Manifest),
        (r#""secrets": ["#, own(r#""secrets": [null, 5, "#), Manifest),
        (r#""templates": ["#, own(r#""templates": [{}, "#), Manifest),
        (content, own(r#""file": "/dev/zero""#), Part),
        (content, own(r#""file": "/etc""#), Part),
        (r#""0400"}]}"#, own(r#""0400"}]"#), Manifest),
        (r#""/etc/key.txt""#, own(r#""/etc""#), Manifest),
        (r#""/etc/key.txt""#, own(r#""/nowhere""#), Manifest),
    ]
}

#[test]
fn manifests() {
    let desk = Desk::new("manifests");
    fs::copy(format!("{DATA}/whole.yaml"), desk.path("root/input")).unwrap();
    assert_fine(&desk, WHOLE);
    assert_fine(&desk, PLAIN);
    let mut texts: Vec<(String, Vec<u8>, Extent)> = Vec::new();
    for length in (0..WHOLE.len()).step_by(50) {
        let text = WHOLE.as_bytes()[..length].to_vec();
        texts.push((format!("truncated to {length} bytes"), text, Manifest));
    }
    for name in names() {
        let text = PLAIN.replacen(r#""name": "s""#, &format!(r#""name": "{name}""#), 1);
        texts.push((format!("named {name:.60}"), text.into_bytes(), Manifest));
    }
    for (from, to, extent) in replaced() {
        assert!(WHOLE.contains(from), "{from}");
        texts.push((format!("{from} is {to:.60}"), WHOLE.replacen(from, &to, 1).into_bytes(), extent));
    }
    let secrets = WHOLE.find(r#"{"name": "s""#).unwrap();
    let twice = format!(r#"{}{{"name": "s"}}, {}"#, &WHOLE[..secrets], &WHOLE[secrets..]);
    for (name, bytes) in [
        ("two secrets of one name", twice.into_bytes()),
        ("a megabyte of [", vec![b'['; 1 << 20]),
        ("a megabyte of NULs", vec![0; 1 << 20]),
        ("a megabyte of \"", vec![b'"'; 1 << 20]),
        ("maps 10,000 deep", r#"{"a":"#.repeat(10_000).into_bytes()),
        ("a list", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("not UTF-8", [&br#"{"symlinkPath": ""#[..], &[0xff], br#""}"#].concat()),
        ("an unclosed string of a megabyte", [&b"{\""[..], &vec![b'a'; 1 << 20]].concat()),
    ] {
        texts.push((name.to_owned(), bytes, Manifest));
    }
    let complaints: Vec<String> =
        texts.iter().flat_map(|(name, text, extent)| complaints(&desk, name, text, *extent)).collect();
    desk.finish(texts.len());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The manifest that others are made of is fine, else they would fail for another reason.
fn assert_fine(desk: &Desk, text: &str) {
    let manifest = desk.path("manifest.json");
    fs::write(&manifest, text).unwrap();
    let (root, manifest) = (desk.path("root"), manifest.to_str().unwrap());
    for command in [&["install", "--dry-run"], &["check", "--decrypt"]] {
        let run = desk.run(&[command, &["--root", root.to_str().unwrap(), manifest][..]].concat());
        assert_eq!(run.complaints(command[0], Verdict::FailsOrOpens, 0), Vec::<String>::new());
        assert!(run.succeeded());
    }
}

/// What is wrong with how the commands take that manifest.
fn complaints(desk: &Desk, name: &str, text: &[u8], extent: Extent) -> Vec<String> {
    let manifest = desk.path("manifest.json");
    fs::write(&manifest, text).unwrap();
    let (root, initrd) = (desk.path("root"), desk.path("initrd"));
    let (root, initrd, manifest) =
        (root.to_str().unwrap(), initrd.to_str().unwrap(), manifest.to_str().unwrap());
    let before = desk.root();
    let mut complaints = Vec::new();
    let refused = |is: bool| if is { Verdict::Fails } else { Verdict::Any };
    let install = refused(extent != Nothing);
    let others = refused(extent == Manifest);
    for (verdict, arguments) in [
        (install, &["install", "--root", root, manifest][..]),
        (install, &["install", "--dry-run", "--root", root, manifest]),
        (others, &["check", "--decrypt", "--root", root, manifest]),
        (others, &["initrd", "append", "--manifest", manifest, "--root", root, initrd]),
    ] {
        let run = desk.run(arguments);
        complaints.extend(run.complaints(arguments[0], verdict, text.len() as u64));
        let after = desk.root();
        let lands =
            arguments[0] == "install" && arguments[1] != "--dry-run" && matches!(extent, Part | Nothing);
        if before != after && !lands {
            complaints.push(format!("{}: changed {before:?} to {after:?}", arguments[0]));
        }
        if before != after {
            desk.forget();
        }
    }
    drop(fs::remove_file(initrd));
    complaints.iter().map(|complaint| format!("{name}: {complaint}")).collect()
}

//! What is no file, or none that can be read: as sops file, manifest and identity.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    process::Command,
};

use nix::unistd::{geteuid, mkfifo};

use crate::{
    DATA,
    desk::{Desk, Verdict},
    say,
};

const GIBIBYTE: u64 = 1 << 30;

/// Makes the oddities below the desk's root; returns their names there.
fn oddities(desk: &Desk) -> Vec<&'static str> {
    let path = |name: &str| desk.path("root").join(name);
    fs::create_dir(path("directory")).unwrap();
    symlink("loop-b", path("loop-a")).unwrap();
    symlink("loop-a", path("loop-b")).unwrap();
    symlink("self/x", path("self")).unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    symlink("fifo", path("link-to-fifo")).unwrap();
    mkfifo(&path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    drop(UnixListener::bind(path("socket")).unwrap());
    fs::write(path("empty"), "").unwrap();
    fs::File::create(path("sparse")).unwrap().set_len(GIBIBYTE).unwrap();
    fs::File::create(path("huge")).unwrap().set_len(1 << 50).unwrap_or_default();
    fs::write(path("garbage"), [0xff, 0, 0xfe].repeat(1000)).unwrap();
    fs::write(path("line\nbreak"), "x").unwrap();
    vec![
        "directory",
        "loop-a",
        "self",
        "dangling",
        "fifo",
        "link-to-fifo",
        "socket",
        "empty",
        "sparse",
        "huge",
        "garbage",
        "line\nbreak",
        "missing",
        "missing/too",
        "garbage/below",
    ]
}

/// Devices, by paths that no root moves.
const DEVICES: [&str; 6] =
    ["/dev/zero", "/dev/null", "/dev/full", "/dev/urandom", "/proc/self/mem", "/proc/kmsg"];

#[test]
fn as_sops_file() {
    let desk = Desk::new("paths as sops file");
    let names = oddities(&desk);
    let (root, key) = (desk.path("root"), desk.path("root/etc/key.txt"));
    let (root, key) = (root.to_str().unwrap(), key.to_str().unwrap());
    let before = desk.root();
    let mut count = 0;
    for format in ["yaml", "json", "dotenv", "ini", "binary"] {
        for name in &names {
            // A line break cannot stand in JSON as it is.
            let manifest = desk.manifest(&format!("/{}", name.replace('\n', "\\n")), format);
            let manifest = manifest.to_str().unwrap();
            for arguments in [
                &["decrypt", "--format", format, "--identity", key, &format!("{root}/{name}")][..],
                &["check", "--root", root, manifest],
                &["check", "--decrypt", "--root", root, manifest],
                &["install", "--root", root, manifest],
                &["keys", "--identity", key, &format!("{root}/{name}")],
            ] {
                // A plain `check` has nothing to say against garbage in some formats; `keys` only reports.
                let lenient =
                    arguments[0] == "keys" || (arguments[0] == "check" && arguments[1] != "--decrypt");
                let verdict = if lenient { Verdict::Any } else { Verdict::Fails };
                let run = desk.run(arguments);
                let mut complaints = run.complaints(arguments[0], verdict, 0);
                if arguments[0] == "keys" {
                    complaints.retain(|complaint| !complaint.contains("on std"));
                }
                assert!(complaints.is_empty(), "{format} {name:?}: {}", complaints.join("\n"));
                count += 1;
            }
        }
        for device in DEVICES {
            let run = desk.run(&["decrypt", "--format", format, "--identity", key, device]);
            let complaints = run.complaints("decrypt", Verdict::Fails, 0);
            assert!(complaints.is_empty(), "{format} {device}: {}", complaints.join("\n"));
            count += 1;
        }
    }
    assert_eq!(before, desk.root());
    desk.finish(count);
}

#[test]
fn as_manifest() {
    let desk = Desk::new("paths as manifest");
    let names = oddities(&desk);
    let (root, initrd) = (desk.path("root"), desk.path("initrd"));
    let (root, initrd) = (root.to_str().unwrap(), initrd.to_str().unwrap());
    let before = desk.root();
    let paths: Vec<String> =
        names.iter().map(|name| format!("{root}/{name}")).chain(DEVICES.map(str::to_owned)).collect();
    for path in &paths {
        for arguments in [
            &["install", "--root", root, path][..],
            &["check", "--root", root, path],
            &["initrd", "append", "--manifest", path, "--root", root, initrd],
            &["initrd", "list", path],
            &["initrd", "remove", path],
        ] {
            // Looking for a segment in a gibibyte takes its time.
            if path.ends_with("/sparse") && matches!(arguments, ["initrd", "list" | "remove", ..]) {
                continue;
            }
            // An initrd may be anything; but `list` and `remove` must end too, and change nothing.
            let verdict = if arguments[0] == "initrd" && arguments[1] != "append" {
                Verdict::Any
            } else {
                Verdict::Fails
            };
            let run = desk.run(arguments);
            let complaints = run.complaints(&arguments[..2].join(" "), verdict, 0);
            assert!(complaints.is_empty(), "{path:?}: {}", complaints.join("\n"));
        }
    }
    assert_eq!(before, desk.root());
    assert!(!desk.path("initrd").exists());
    desk.finish(paths.len() * 5);
}

#[test]
fn as_identity() {
    let desk = Desk::new("paths as identity");
    let names = oddities(&desk);
    let root = desk.path("root");
    let root = root.to_str().unwrap();
    let file = format!("{DATA}/whole.yaml");
    let before = desk.root();
    let paths: Vec<String> =
        names.iter().map(|name| format!("{root}/{name}")).chain(DEVICES.map(str::to_owned)).collect();
    for path in &paths {
        let run = desk.run(&["decrypt", "--identity", path, &file]);
        let complaints = run.complaints("decrypt", Verdict::Fails, 0);
        assert!(complaints.is_empty(), "{path:?}: {}", complaints.join("\n"));
    }
    // A useless identity beside a good one does no harm.
    let key = format!("{root}/etc/key.txt");
    let run = desk.run(&["decrypt", "--identity", &format!("{root}/directory"), "--identity", &key, &file]);
    assert!(run.succeeded());
    assert_eq!(run.stdout, fs::read(format!("{file}.plain")).unwrap());
    assert_eq!(before, desk.root());
    desk.finish(paths.len() + 1);
}

/// Files that may not be read. Root may read them all, so another user tries.
#[test]
fn unreadable() {
    let desk = Desk::new("unreadable");
    let file = desk.path("root/input");
    fs::copy(format!("{DATA}/whole.yaml"), &file).unwrap();
    Command::new("chmod").args(["0000"]).arg(&file).status().unwrap();
    let starter: &[&str] = if geteuid().is_root() {
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    } else {
        &[]
    };
    if !desk.run_behind(starter, &["--version"]).succeeded() {
        say("SKIPPED hostile::unreadable: another user cannot run forestage here (or setpriv is missing)");
        return;
    }
    let (file, root, key) = (file.to_str().unwrap(), desk.path("root"), format!("{DATA}/key.txt"));
    let root = root.to_str().unwrap();
    let before = desk.root();
    let manifest = desk.manifest("/input", "yaml");
    let manifest = manifest.to_str().unwrap();
    for arguments in [
        &["decrypt", "--identity", &key, file][..],
        &["decrypt", "--identity", file, &format!("{DATA}/whole.yaml")],
        &["check", "--decrypt", "--root", root, manifest],
        &["install", "--root", root, manifest],
        &["install", "--root", root, file],
    ] {
        let run = desk.run_behind(starter, arguments);
        let complaints = run.complaints(arguments[0], Verdict::Fails, 0);
        assert!(complaints.is_empty(), "{arguments:?}: {}", complaints.join("\n"));
    }
    assert_eq!(before, desk.root());
    desk.finish(5);
}

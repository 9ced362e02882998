//! `forestage stage1 --root`: what the kernel would have unpacked from a segment, damaged in every way, and what is in
//! its place afterwards.
//!
//! Each test has a mount namespace with a root on a tmpfs of its own, unpacks a real segment into it as the kernel
//! does, and runs the program. Without the right to mount, the tests are named as skipped.

// A failure of these helpers is a failure of the test that calls them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::type_complexity)]
// A machine is this thread's mount namespace: whoever holds the value may use it.
#![allow(clippy::unused_self)]

mod program;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use forestage::{
    initrd::{
        cpio,
        segment::{self, Entry, Spec},
    },
    plaintext::Plaintext,
    tree::{File, Mode, Owner},
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::stat::{Mode as Bits, SFlag, mknod},
    unistd::mkfifo,
};

/// Where the machine is.
const TOP: &str = "/run/machine";
/// What stands for `/`.
const ROOT: &str = "/run/machine/root";

struct Machine;

struct Run {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Machine {
    /// Turns this thread into a machine; `None` where nothing may be mounted.
    fn new(test: &str) -> Option<Self> {
        let nothing = None::<&str>;
        let mounted = unshare(CloneFlags::CLONE_NEWNS)
            .and_then(|()| mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing))
            .and_then(|()| mount(Some("none"), "/run", Some("tmpfs"), MsFlags::empty(), nothing));
        if let Err(error) = mounted {
            let _ = writeln!(std::io::stderr(), "SKIPPED stage1::{test}: cannot mount: {error}");
            return None;
        }
        for directory in ["etc/forestage", "etc/keys", "run", "outside"] {
            fs::create_dir_all(Path::new(ROOT).join(directory)).unwrap();
        }
        fs::create_dir(format!("{TOP}/outside")).unwrap();
        fs::write(format!("{TOP}/outside/file"), "of others").unwrap();
        // What systemd mounts over what the kernel unpacked.
        mount(Some("none"), at("/run").as_path(), Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
            .unwrap();
        Some(Self)
    }

    /// Unpacks the segment as the kernel does.
    fn unpack(&self, spec: &Spec) {
        let bytes = segment::build(spec).unwrap();
        for entry in cpio::Walk::new(&*bytes, 0, bytes.len() as u64) {
            let entry = entry.unwrap().unwrap();
            // What is unpacked to /run is hidden by what is mounted there.
            if entry.is_trailer() || entry.name.starts_with(b"run/") {
                continue;
            }
            let path = at(std::str::from_utf8(&entry.name).unwrap());
            if entry.mode & 0o170_000 == cpio::DIRECTORY {
                let _ = fs::create_dir(&path);
            } else {
                let body = usize::try_from(entry.body).unwrap();
                fs::write(&path, &bytes[body..body + entry.size as usize]).unwrap();
            }
            chown(&path, Some(entry.uid), Some(entry.gid)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode & 0o7777)).unwrap();
        }
    }

    fn expect(&self, list: &str) {
        fs::write(at("/etc/forestage/initrd.json"), list).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program::path());
        command.args(["stage1", "--root", ROOT]).env_clear().stdin(Stdio::null());
        command
    }

    fn run(&self) -> Run {
        let output = self.command().output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let run = Run {
            status: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        assert_eq!(run.stdout, "");
        for secret in ["hunter2", "BEGIN KEY", "stock value"] {
            assert!(!run.stderr.contains(secret), "{}", run.stderr);
        }
        // Whatever happened: nothing outside is touched, and no second copy is left.
        let outside: Vec<_> = fs::read_dir(format!("{TOP}/outside")).unwrap().collect();
        assert_eq!(outside.len(), 1);
        assert_eq!(fs::read(format!("{TOP}/outside/file")).unwrap(), b"of others");
        run
    }
}

fn at(path: &str) -> PathBuf {
    Path::new(ROOT).join(path.trim_start_matches('/'))
}

/// "MODE UID GID BYTES" of a file, "-> TARGET" of a symlink, "MODE UID GID /" of a directory, or nothing.
fn seen(path: &str) -> Option<String> {
    let about = fs::symlink_metadata(at(path)).ok()?;
    if about.is_symlink() {
        return Some(format!("-> {}", fs::read_link(at(path)).unwrap().display()));
    }
    let content = match about.is_file() {
        true if about.len() < 1000 => String::from_utf8_lossy(&fs::read(at(path)).unwrap()).into_owned(),
        true => about.len().to_string(),
        false => "/".to_owned(),
    };
    Some(format!("{:04o} {} {} {content}", about.mode() & 0o7777, about.uid(), about.gid()))
}

/// Every path below the root, with what is there.
fn picture() -> BTreeMap<String, String> {
    fn walk(directory: &Path, all: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let inside = format!("/{}", path.strip_prefix(ROOT).unwrap().display());
            all.insert(inside.clone(), seen(&inside).unwrap());
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                walk(&path, all);
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(Path::new(ROOT), &mut all);
    all
}

fn entry(target: &str, content: &str, mode: u16, owner: (u32, u32)) -> Entry {
    let content = Arc::new(Plaintext::from(content));
    let owner = Owner { uid: owner.0, gid: owner.1 };
    let file = File { path: target.into(), content, mode: Mode::new(mode), owner };
    Entry { file, plain_source: false, credential: None }
}

/// A file of every kind.
fn spec() -> Spec {
    let mut source = entry("/etc/stock", "stock value", 0o600, (0, 0));
    source.plain_source = true;
    let mut luks = entry("/etc/keys/luks", "hunter2 luks", 0o400, (0, 0));
    luks.credential = Some("luks".to_owned());
    Spec {
        manifest: [1; 32],
        directories: vec![("/run/ssh".into(), Mode::new(0o700)), ("/run/open".into(), Mode::new(0o775))],
        files: vec![
            luks,
            entry("/run/open/key", "hunter2 open", 0o440, (1000, 100)),
            entry("/run/ssh/deep/key", "BEGIN KEY", 0o600, (0, 0)),
            entry("/run/secrets/y", "hunter2 y", 0o400, (0, 0)),
            entry("/run/secrets/dir/z", "hunter2 z", 0o444, (7, 8)),
            source,
        ],
    }
}

const LIST: &str = r#"{"version":1,"files":[
    {"name":"disk key","target":"/etc/keys/luks"},{"name":"open","target":"/run/open/key"},
    {"name":"host key","target":"/run/ssh/deep/key"},{"name":"y","target":"/run/secrets/y"},
    {"name":"z","target":"/run/secrets/dir/z"},{"name":"stock","target":"/etc/stock"}]}"#;

/// Where each file of `spec` lies before, and where it is found after a good run, and what it is there.
const FILES: [(&str, &str, &str); 6] = [
    ("/etc/keys/luks", "/etc/keys/luks", "0400 0 0 hunter2 luks"),
    ("/.forestage/files/run/open/key", "/run/open/key", "0440 1000 100 hunter2 open"),
    ("/.forestage/files/run/ssh/deep/key", "/run/ssh/deep/key", "0600 0 0 BEGIN KEY"),
    ("/.forestage/files/run/secrets/y", "/run/secrets-for-initrd/y", "0400 0 0 hunter2 y"),
    ("/.forestage/files/run/secrets/dir/z", "/run/secrets-for-initrd/dir/z", "0444 7 8 hunter2 z"),
    ("/.initrd-secrets/etc/stock", "/.initrd-secrets/etc/stock", "0600 0 0 stock value"),
];

#[test]
fn everything_is_in_its_place_and_a_second_run_changes_nothing() {
    let test = "everything_is_in_its_place_and_a_second_run_changes_nothing";
    let Some(machine) = Machine::new(test) else { return };
    machine.unpack(&spec());
    machine.expect(LIST);
    let run = machine.run();
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.starts_with("6 secrets in place after "), "{}", run.stderr);
    for (_, path, expected) in FILES {
        assert_eq!(seen(path).as_deref(), Some(expected), "{path}");
    }
    for (path, expected) in [
        ("/run/secrets", Some("-> /run/secrets-for-initrd")),
        ("/run/secrets-for-initrd", Some("0751 0 0 /")),
        ("/run/secrets-for-initrd/dir", Some("0751 0 0 /")),
        ("/run/ssh", Some("0700 0 0 /")),
        ("/run/ssh/deep", Some("0755 0 0 /")),
        ("/run/open", Some("0775 0 0 /")),
        ("/run/credstore", Some("0700 0 0 /")),
        ("/run/credstore/luks", Some("0400 0 0 hunter2 luks")),
        ("/run/credentials", Some("0755 0 0 /")),
        ("/run/credentials/@initrd", Some("0700 0 0 /")),
        ("/run/credentials/@initrd/luks", Some("0400 0 0 hunter2 luks")),
        ("/.forestage/files", None),
    ] {
        assert_eq!(seen(path).as_deref(), expected, "{path}");
    }
    // A RAM file system that is never swapped out.
    let device = |path: &str| fs::metadata(at(path)).unwrap().dev();
    assert_ne!(device("/run"), device("/run/secrets-for-initrd"));
    let before = picture();
    let run = machine.run();
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(picture(), before);
}

/// What can happen to a file.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 11] = [
    ("other bytes", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[3] ^= 1;
        fs::write(path, bytes).unwrap();
    }),
    ("bytes instead of", |path| fs::write(path, "hunter2").unwrap()),
    ("bytes instead of", |path| fs::write(path, "").unwrap()),
    // 3 TiB of nothing: reading it would take for ever.
    ("bytes instead of", |path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(3 << 40).unwrap();
    }),
    ("mode", |path| {
        let mode = fs::metadata(path).unwrap().mode();
        fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o4000)).unwrap();
    }),
    ("owner", |path| chown(path, Some(5), None).unwrap()),
    ("owner", |path| chown(path, None, Some(5)).unwrap()),
    ("a symlink", |path| {
        fs::remove_file(path).unwrap();
        symlink(format!("{TOP}/outside/file"), path).unwrap();
    }),
    ("no regular file", |path| {
        fs::remove_file(path).unwrap();
        mkfifo(path, Bits::S_IRUSR).unwrap();
    }),
    ("no regular file", |path| {
        fs::remove_file(path).unwrap();
        mknod(path, SFlag::S_IFCHR, Bits::S_IRUSR, nix::sys::stat::makedev(1, 8)).unwrap();
    }),
    ("a directory", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        fs::write(path.join("x"), "of others").unwrap();
    }),
];

#[test]
fn a_damaged_file_is_deleted_and_named_and_the_others_land() {
    let test = "a_damaged_file_is_deleted_and_named_and_the_others_land";
    for (number, (unpacked, place, _)) in FILES.iter().enumerate() {
        for (found, damage) in DAMAGES {
            let Some(machine) = Machine::new(test) else { return };
            machine.unpack(&spec());
            machine.expect(LIST);
            damage(&at(unpacked));
            let run = machine.run();
            let case = format!("{unpacked}, {found}: {}", run.stderr);
            assert_eq!(run.status, 3, "{case}");
            let name = ["disk key", "open", "host key", "y", "z", "stock"][number];
            assert!(run.stderr.contains(&format!("the secret {name:?}")), "{case}");
            assert!(run.stderr.contains(found), "{case}");
            assert!(run.stderr.contains("is damaged and "), "{case}");
            // In place a directory of others stays, which nobody takes for a key.
            let stays = found == "a directory" && unpacked == place;
            assert_eq!(fs::symlink_metadata(at(place)).is_ok(), stays, "{case}");
            for (_, other, expected) in FILES.iter().filter(|(_, other, _)| other != place) {
                assert_eq!(seen(other).as_deref(), Some(*expected), "{case}{other}");
            }
            assert_eq!(seen("/run/credstore/luks").is_some(), number != 0, "{case}");
            assert_eq!(seen("/.forestage/files"), None, "{case}");
        }
    }
}

#[test]
fn a_file_that_was_not_unpacked_is_named() {
    let test = "a_file_that_was_not_unpacked_is_named";
    for (unpacked, place, _) in FILES {
        for with_directory in [false, true] {
            let Some(machine) = Machine::new(test) else { return };
            machine.unpack(&spec());
            machine.expect(LIST);
            fs::remove_file(at(unpacked)).unwrap();
            if with_directory {
                let _ = fs::remove_dir(at(unpacked).parent().unwrap());
            }
            let run = machine.run();
            assert_eq!(run.status, 3, "{}", run.stderr);
            let told = "is missing: the segment has it, but it was not unpacked";
            assert!(run.stderr.contains(told), "{unpacked}: {}", run.stderr);
            assert_eq!(seen(place), None);
        }
    }
}

#[test]
fn nothing_right_is_another_status() {
    let Some(machine) = Machine::new("nothing_right_is_another_status") else { return };
    let only = Spec { files: vec![entry("/etc/keys/a", "hunter2", 0o400, (0, 0))], ..spec() };
    machine.unpack(&only);
    fs::write(at("/etc/keys/a"), "hunter3").unwrap();
    let run = machine.run();
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stderr.starts_with("error: /etc/keys/a is damaged and was deleted"), "{}", run.stderr);
    assert_eq!(seen("/etc/keys/a"), None);
}

#[test]
fn an_initrd_without_secrets_is_no_error() {
    for list in [None, Some("{}"), Some(r#"{"version":1,"files":[]}"#)] {
        let Some(machine) = Machine::new("an_initrd_without_secrets_is_no_error") else { return };
        if let Some(list) = list {
            machine.expect(list);
        }
        let before = picture();
        let run = machine.run();
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert_eq!(picture(), before);
    }
}

#[test]
fn without_a_good_index_everything_is_named_and_nothing_unchecked_stays() {
    const INDEX: &str = "/.forestage/segment.json";
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        // Behind the blanks, which tell nothing.
        let text = bytes.iter().position(|byte| *byte != b' ').unwrap();
        bytes[text + 40] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let cut = |path: &Path| fs::write(path, &fs::read(path).unwrap()[..100]).unwrap();
    let remove = |path: &Path| fs::remove_file(path).unwrap();
    let later = |path: &Path| {
        fs::write(path, fs::read_to_string(path).unwrap().replacen(":1,", ":2,", 1)).unwrap();
    };
    let fifo = |path: &Path| {
        fs::remove_file(path).unwrap();
        mkfifo(path, Bits::S_IRUSR).unwrap();
    };
    let huge = |path: &Path| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
    };
    let link = |path: &Path| {
        fs::rename(path, at("/etc/index")).unwrap();
        symlink("/etc/index", path).unwrap();
    };
    let lost = |_: &Path| fs::remove_dir_all(at("/.forestage")).unwrap();
    let elsewhere = |_: &Path| {
        fs::rename(at("/.forestage"), at("/etc/home")).unwrap();
        symlink("/etc/home", at("/.forestage")).unwrap();
    };
    let odd = |path: &Path| fs::write(path, "[".repeat(1 << 20)).unwrap();
    let cases: [(&str, &dyn Fn(&Path)); 10] = [
        ("the segment of this initrd is damaged", &flip),
        ("the segment of this initrd is damaged", &cut),
        ("the segment of this initrd is damaged", &odd),
        ("no segment was appended to it, or it is cut", &remove),
        ("no segment was appended to it, or it is cut", &lost),
        ("version 2", &later),
        ("cannot read /.forestage/segment.json", &fifo),
        ("cannot read /.forestage/segment.json", &huge),
        ("cannot read /.forestage/segment.json", &link),
        ("cannot read /.forestage/segment.json", &elsewhere),
    ];
    for (told, damage) in cases {
        let Some(machine) =
            Machine::new("without_a_good_index_everything_is_named_and_nothing_unchecked_stays")
        else {
            return;
        };
        machine.unpack(&spec());
        machine.expect(LIST);
        fs::write(at("/etc/other"), "of others").unwrap();
        damage(&at(INDEX));
        let run = machine.run();
        assert_eq!(run.status, 1, "{told}: {}", run.stderr);
        assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
        for name in ["disk key", "open", "host key", "y", "z", "stock"] {
            assert!(run.stderr.contains(&format!("the secret {name:?}")), "{told}: {}", run.stderr);
        }
        for (_, place, _) in FILES {
            assert_eq!(seen(place), None, "{told}");
        }
        assert_eq!(seen("/etc/other").as_deref(), Some("0644 0 0 of others"), "{told}");
    }
}

#[test]
fn a_plain_directory_is_there_with_its_files_and_goes_with_them() {
    let Some(machine) = Machine::new("a_plain_directory_is_there_with_its_files_and_goes_with_them") else {
        return;
    };
    let mut spec = spec();
    for file in ["/etc/dir/a", "/etc/dir/below/b"] {
        spec.files.push(Entry { plain_source: true, ..entry(file, "stock value", 0o600, (0, 0)) });
    }
    let list = LIST.replace("]}", r#",{"name":"dir","target":"/etc/dir"}]}"#);
    machine.unpack(&spec);
    machine.expect(&list);
    let run = machine.run();
    assert_eq!(run.status, 0, "{}", run.stderr);
    // What the initrd itself has there is not what came in the segment.
    fs::create_dir_all(at("/etc/dir")).unwrap();
    fs::remove_file(at("/.forestage/segment.json")).unwrap();
    assert_eq!(machine.run().status, 1);
    assert!(at("/etc/dir").exists() && !at("/.initrd-secrets/etc/dir").exists());
}

#[test]
fn what_the_segment_lacks_is_named() {
    let Some(machine) = Machine::new("what_the_segment_lacks_is_named") else { return };
    machine.unpack(&spec());
    machine
        .expect(r#"{"files":[{"name":"wifi","target":"/etc/wifi"},{"name":"y","target":"/run/secrets/y"}]}"#);
    fs::write(at("/etc/wifi"), "of the base").unwrap();
    let run = machine.run();
    assert_eq!(run.status, 3);
    let told = r#"the secret "wifi" (/etc/wifi) is missing: the segment does not have it"#;
    assert!(run.stderr.contains(told), "{}", run.stderr);
    // A good index tells what was in the segment: this file was not.
    assert_eq!(seen("/etc/wifi").as_deref(), Some("0644 0 0 of the base"));
    assert_eq!(seen("/run/secrets-for-initrd/y").as_deref(), Some("0400 0 0 hunter2 y"));
}

#[test]
fn a_bad_list_does_not_keep_secrets_from_landing() {
    let deep = "[".repeat(100_000);
    for list in ["", "{", &deep, r#"{"version":2}"#, r#"{"files":[{"name":"x"}]}"#, r#"{"symlinkPath":"x"}"#]
    {
        let Some(machine) = Machine::new("a_bad_list_does_not_keep_secrets_from_landing") else { return };
        machine.unpack(&spec());
        machine.expect(list);
        let run = machine.run();
        assert_eq!(run.status, 3, "{}", run.stderr);
        assert!(run.stderr.contains("/etc/forestage/initrd.json"), "{}", run.stderr);
        for (_, place, expected) in FILES {
            assert_eq!(seen(place).as_deref(), Some(expected));
        }
    }
}

#[test]
fn symlinks_in_the_tree_lead_nowhere() {
    let outside = format!("{TOP}/outside");
    let deep = format!("../../../../../../..{TOP}/outside");
    for target in [outside.as_str(), deep.as_str(), "/outside", "/etc"] {
        let cases: [(&str, fn(&str)); 6] = [
            ("/.forestage/files", |target| replace("/.forestage/files", target)),
            ("/.forestage/files/run", |target| replace("/.forestage/files/run", target)),
            ("/.forestage/files/run/ssh/deep", |target| replace("/.forestage/files/run/ssh/deep", target)),
            ("/.initrd-secrets", |target| replace("/.initrd-secrets", target)),
            ("/run/ssh", |target| symlink(target, at("/run/ssh")).unwrap()),
            ("/run/secrets-for-initrd", |target| symlink(target, at("/run/secrets-for-initrd")).unwrap()),
        ];
        for (what, plant) in cases {
            let Some(machine) = Machine::new("symlinks_in_the_tree_lead_nowhere") else { return };
            machine.unpack(&spec());
            machine.expect(LIST);
            fs::write(at("/outside/file"), "of others").unwrap();
            plant(target);
            let run = machine.run();
            assert_eq!(run.status, 3, "{what} -> {target}: {}", run.stderr);
            let inside: Vec<_> = fs::read_dir(at("/outside")).unwrap().collect();
            assert_eq!(inside.len(), 1, "{what} -> {target}");
            assert_eq!(seen("/outside/file").as_deref(), Some("0644 0 0 of others"));
            assert_eq!(seen("/etc/keys/luks").as_deref(), Some("0400 0 0 hunter2 luks"));
            assert_eq!(seen("/etc/key"), None);
        }
    }
}

fn replace(path: &str, target: &str) {
    fs::remove_dir_all(at(path)).unwrap();
    symlink(target, at(path)).unwrap();
}

#[test]
fn a_secret_behind_the_symlink_of_an_initrd_is_checked() {
    let Some(machine) = Machine::new("a_secret_behind_the_symlink_of_an_initrd_is_checked") else { return };
    // As lib -> usr/lib is: the kernel unpacks through it.
    fs::create_dir_all(at("/usr/lib")).unwrap();
    symlink("usr/lib", at("/lib")).unwrap();
    for content in ["hunter2", "hunter3"] {
        machine.unpack(&Spec { files: vec![entry("/lib/key", "hunter2", 0o400, (0, 0))], ..spec() });
        fs::write(at("/usr/lib/key"), content).unwrap();
        let run = machine.run();
        assert_eq!(run.status, i32::from(content == "hunter3"), "{}", run.stderr);
        assert_eq!(seen("/usr/lib/key").is_some(), content == "hunter2");
        assert_eq!(seen("/lib").as_deref(), Some("-> usr/lib"));
    }
}

#[test]
fn what_others_made_in_run_stays() {
    let Some(machine) = Machine::new("what_others_made_in_run_stays") else { return };
    machine.unpack(&spec());
    fs::create_dir_all(at("/run/open")).unwrap();
    fs::write(at("/run/open/key"), "of others").unwrap();
    fs::create_dir_all(at("/run/credstore")).unwrap();
    fs::write(at("/run/credstore/luks"), "of others").unwrap();
    let run = machine.run();
    assert_eq!(run.status, 3, "{}", run.stderr);
    for path in ["/run/open/key", "/run/credstore/luks"] {
        assert!(
            run.stderr.contains(&format!("{path} is there, which forestage did not make")),
            "{}",
            run.stderr
        );
        assert_eq!(seen(path).as_deref(), Some("0644 0 0 of others"));
    }
    // It is checked, and it is right: only the credential failed.
    assert_eq!(seen("/etc/keys/luks").as_deref(), Some("0400 0 0 hunter2 luks"));
    let open: Vec<_> = fs::read_dir(at("/run/open")).unwrap().collect();
    assert_eq!(open.len(), 1, "a half of a file is left");
}

#[test]
fn what_is_at_symlink_path() {
    let nothing: fn() = || ();
    let cases: [(&str, fn(), Option<&str>); 6] = [
        ("nothing", nothing, Some("-> /run/secrets-for-initrd")),
        ("empty", || fs::create_dir(at("/run/secrets")).unwrap(), Some("-> /run/secrets-for-initrd")),
        (
            "ours",
            || symlink("/run/secrets-for-initrd", at("/run/secrets")).unwrap(),
            Some("-> /run/secrets-for-initrd"),
        ),
        (
            "directory",
            || {
                fs::create_dir(at("/run/secrets")).unwrap();
                fs::write(at("/run/secrets/x"), "of others").unwrap();
            },
            None,
        ),
        ("elsewhere", || symlink("/outside", at("/run/secrets")).unwrap(), None),
        ("generation", || symlink("/run/secrets.d/7", at("/run/secrets")).unwrap(), None),
    ];
    for (name, prepare, expected) in cases {
        let Some(machine) = Machine::new("what_is_at_symlink_path") else { return };
        machine.unpack(&spec());
        prepare();
        let before = seen("/run/secrets");
        let run = machine.run();
        assert_eq!(run.status, if expected.is_some() { 0 } else { 3 }, "{name}: {}", run.stderr);
        assert_eq!(seen("/run/secrets").as_deref(), expected.or(before.as_deref()), "{name}");
        assert_eq!(seen("/run/secrets-for-initrd/y").as_deref(), Some("0400 0 0 hunter2 y"), "{name}");
        if expected.is_none() {
            assert!(
                run.stderr.contains("/run/secrets is there, which forestage did not make"),
                "{}",
                run.stderr
            );
        }
    }
}

#[test]
fn another_symlink_path_is_taken_from_the_list() {
    let Some(machine) = Machine::new("another_symlink_path_is_taken_from_the_list") else { return };
    machine.unpack(&Spec {
        files: vec![
            entry("/run/own/y", "hunter2 y", 0o400, (0, 0)),
            entry("/run/secrets/y", "hunter2 x", 0o400, (0, 0)),
        ],
        ..spec()
    });
    machine.expect(r#"{"symlinkPath":"/run/own"}"#);
    assert_eq!(machine.run().status, 0);
    assert_eq!(seen("/run/own").as_deref(), Some("-> /run/secrets-for-initrd"));
    assert_eq!(seen("/run/secrets-for-initrd/y").as_deref(), Some("0400 0 0 hunter2 y"));
    assert_eq!(seen("/run/secrets/y").as_deref(), Some("0400 0 0 hunter2 x"));
}

#[test]
fn stage_2_takes_over_what_is_at_symlink_path() {
    let Some(machine) = Machine::new("stage_2_takes_over_what_is_at_symlink_path") else { return };
    machine.unpack(&spec());
    assert_eq!(machine.run().status, 0);
    fs::write(at("/etc/group"), "root:x:0:\nkeys:x:96:\n").unwrap();
    fs::write(at("/etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    let manifest = format!("{TOP}/manifest.json");
    fs::write(&manifest, r#"{"version":1,"secrets":[],"templates":[],"secretsMountPoint":"/run/secrets.d","symlinkPath":"/run/secrets"}"#).unwrap();
    let installed =
        Command::new(program::path()).args(["install", "--root", ROOT, &manifest]).output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    assert_eq!(seen("/run/secrets").as_deref(), Some("-> /run/secrets.d/1"));
    let generations = fs::read_dir(at("/run/secrets.d")).unwrap();
    let numbers = generations.filter(|it| it.as_ref().unwrap().file_name().as_bytes()[0].is_ascii_digit());
    assert_eq!(numbers.count(), 1);
}

#[test]
fn a_credential_for_stage_2_depends_on_what_stage_1_imported() {
    for (imported, handed_over) in
        [("", true), ("/run/credentials/@system", false), ("/run/credentials/@encrypted", false)]
    {
        let Some(machine) = Machine::new("a_credential_for_stage_2_depends_on_what_stage_1_imported") else {
            return;
        };
        machine.unpack(&spec());
        fs::create_dir_all(at(imported)).unwrap();
        assert_eq!(machine.run().status, 0);
        assert_eq!(seen("/run/credstore/luks").as_deref(), Some("0400 0 0 hunter2 luks"));
        assert_eq!(seen("/run/credentials/@initrd/luks").is_some(), handed_over, "{imported}");
    }
}

#[test]
fn a_name_that_systemd_refuses_is_no_path() {
    for name in ["../../outside/x", "..", "", "a:b", "a/b", &"x".repeat(256)] {
        let Some(machine) = Machine::new("a_name_that_systemd_refuses_is_no_path") else { return };
        let mut key = entry("/etc/keys/a", "hunter2", 0o400, (0, 0));
        key.credential = Some(name.to_owned());
        machine.unpack(&Spec { files: vec![key], ..spec() });
        let run = machine.run();
        assert_eq!(run.status, 1, "{name}: {}", run.stderr);
        assert!(run.stderr.contains("systemd takes no credential of that name"), "{}", run.stderr);
        assert_eq!(seen("/etc/keys/a").as_deref(), Some("0400 0 0 hunter2"));
    }
}

#[test]
fn a_full_run_is_named_and_half_a_file_is_not_left() {
    let Some(machine) = Machine::new("a_full_run_is_named_and_half_a_file_is_not_left") else { return };
    mount(Some("none"), at("/run").as_path(), Some("tmpfs"), MsFlags::empty(), Some("size=64k")).unwrap();
    let large = "x".repeat(200_000);
    machine.unpack(&Spec {
        files: vec![
            entry("/run/large", &large, 0o400, (0, 0)),
            entry("/run/small", "hunter2", 0o400, (0, 0)),
        ],
        ..spec()
    });
    let run = machine.run();
    assert_eq!(run.status, 3, "{}", run.stderr);
    assert!(run.stderr.contains("cannot read or copy /run/large: ENOSPC"), "{}", run.stderr);
    let names: Vec<_> = fs::read_dir(at("/run")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["small"]);
}

#[test]
fn what_a_killed_run_left_is_no_obstacle() {
    let Some(machine) = Machine::new("what_a_killed_run_left_is_no_obstacle") else { return };
    machine.unpack(&spec());
    fs::create_dir(at("/run/open")).unwrap();
    fs::write(at("/run/open/.forestage-new"), "hunt").unwrap();
    assert_eq!(machine.run().status, 0);
    assert_eq!(seen("/run/open/key").as_deref(), Some("0440 1000 100 hunter2 open"));
    assert_eq!(seen("/run/open/.forestage-new"), None);
}

#[test]
fn special_files_are_not_opened() {
    let Some(machine) = Machine::new("special_files_are_not_opened") else { return };
    machine.unpack(&spec());
    fs::remove_file(at("/etc/keys/luks")).unwrap();
    mkfifo(&at("/etc/keys/luks"), Bits::S_IRUSR).unwrap();
    fs::remove_file(at("/.forestage/files/run/open/key")).unwrap();
    mkfifo(&at("/.forestage/files/run/open/key"), Bits::S_IRUSR).unwrap();
    assert!(fs::metadata(at("/etc/keys/luks")).unwrap().file_type().is_fifo());
    let begun = Instant::now();
    assert_eq!(machine.run().status, 3);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn deeply_nested_trees_end_as_an_error_at_most() {
    let Some(machine) = Machine::new("deeply_nested_trees_end_as_an_error_at_most") else { return };
    machine.unpack(&spec());
    let mut here = at("/.forestage/files");
    for depth in 0..1500 {
        here.push("d");
        if here.as_os_str().len() > 4000 {
            break;
        }
        fs::create_dir(&here).unwrap_or_else(|error| panic!("{depth}: {error}"));
    }
    let run = machine.run();
    assert!([0, 3].contains(&run.status), "{}", run.stderr);
    for (_, place, expected) in FILES {
        assert_eq!(seen(place).as_deref(), Some(expected));
    }
}

#[test]
fn it_waits_for_no_randomness() {
    let Some(machine) = Machine::new("it_waits_for_no_randomness") else { return };
    machine.unpack(&spec());
    machine.expect(LIST);
    let log = format!("{TOP}/strace");
    let command = machine.command();
    let traced = Command::new("strace")
        .args(["-f", "-o", &log])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .stderr(Stdio::null())
        .status();
    if !traced.is_ok_and(|status| status.success()) {
        let _ =
            writeln!(std::io::stderr(), "SKIPPED stage1::it_waits_for_no_randomness: strace does not run");
        return;
    }
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("segment.json"));
    let static_binary = program::is_optimised();
    for random in ["/dev/random", "/dev/urandom"].into_iter().chain(static_binary.then_some("getrandom")) {
        assert!(!log.contains(random), "{random}");
    }
}

#[test]
fn many_files_take_little_time() {
    let Some(machine) = Machine::new("many_files_take_little_time") else { return };
    let files =
        (0..2000).map(|n| entry(&format!("/run/many/{}/{n}", n % 7), "hunter2", 0o400, (0, 0))).collect();
    machine.unpack(&Spec { files, ..spec() });
    let begun = Instant::now();
    let run = machine.run();
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(begun.elapsed() < Duration::from_secs(if program::is_optimised() { 2 } else { 10 }));
    assert_eq!(seen("/run/many/3/10").as_deref(), Some("0400 0 0 hunter2"));
}

#[test]
fn the_command_line() {
    let run =
        |arguments: &[&str]| Command::new(program::path()).args(arguments).output().unwrap().status.code();
    assert_eq!(run(&["stage1", "--root"]), Some(2));
    assert_eq!(run(&["stage1", "x"]), Some(2));
    assert_eq!(run(&["stage1", "--json"]), Some(2));
    assert_eq!(run(&["stage1", "--root", "/does/not/exist"]), Some(1));
    assert_eq!(run(&["stage1", "--help"]), Some(0));
}

//! `forestage initrd append` as boot loaders call it: by a small script, once for each generation.
//!
//! The scripts run with an empty environment and without standard input. Failures of old and new generations are
//! injected; what is left in the file is looked at byte by byte.

// A failure of these helpers is a failure of the test that calls them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod program;

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

const BASE: &[u8] = b"\x28\xb5\x2f\xfd as zstd begins; the rest does not matter here.";

/// A machine below a directory of its own: sops files, an identity, a store with two generations, an ESP.
struct Machine(PathBuf);

impl Machine {
    fn new(test: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("append").join(test);
        let _ = fs::remove_dir_all(&dir);
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo");
        for sub in ["etc", "var/lib", "nix/store", "nix/var/nix/profiles", "esp"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let machine = Self(dir);
        machine.write("var/lib/key.txt", &fs::read(demo.join("key.txt")).unwrap());
        machine.write("nix/store/base", BASE);
        machine.write("etc/plain", b"plain 1");
        for (generation, sops) in [(1, "secrets.yaml"), (2, "rotated.yaml")] {
            let store = format!("nix/store/{generation}");
            fs::create_dir(machine.0.join(&store)).unwrap();
            machine.write(&format!("{store}/sops.yaml"), &fs::read(demo.join(sops)).unwrap());
            let manifest = format!(
                r#"{{ "version": 1, "phase": "initrd", "ageKeyFile": "/var/lib/key.txt",
                "base": "/nix/store/base", "appender": "/nix/store/{generation}/append-initrd-secrets",
                "secrets": [ {{ "name": "luks", "key": "initrd/luks_key", "sopsFile": "/{store}/sops.yaml" }},
                             {{ "name": "wg0", "key": "wireguard/private_key", "sopsFile": "/{store}/sops.yaml" }} ],
                "directories": [ {{ "path": "/etc/keys", "mode": "0700" }} ],
                "files": [ {{ "target": "/etc/keys/luks", "secret": "luks", "mode": "0400" }},
                           {{ "target": "/run/keys/wg0", "secret": "wg0", "mode": "0440", "gid": 152 }},
                           {{ "target": "/run/plain", "source": "/etc/plain" }} ] }}"#
            );
            machine.write(&format!("{store}/manifest.json"), manifest.as_bytes());
            let root = machine.0.display();
            let script = format!(
                "#!/bin/sh\nexec {} initrd append --root {root} --manifest {root}/{store}/manifest.json --base {root}/nix/store/base \"$1\"\n",
                program::path()
            );
            let appender = format!("{store}/append-initrd-secrets");
            machine.write(&appender, script.as_bytes());
            fs::set_permissions(machine.0.join(&appender), Permissions::from_mode(0o755)).unwrap();
            let bootspec = format!(
                r#"{{ "org.nixos.bootspec.v1": {{ "init": "/{store}/init", "initrdSecrets": "/{appender}" }} }}"#
            );
            machine.write(&format!("{store}/boot.json"), bootspec.as_bytes());
            let link = machine.0.join(format!("nix/var/nix/profiles/system-{generation}-link"));
            symlink(format!("/{store}"), link).unwrap();
        }
        symlink("system-2-link", machine.0.join("nix/var/nix/profiles/system")).unwrap();
        machine
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    fn esp(&self, name: &str) -> PathBuf {
        self.0.join("esp").join(name)
    }

    /// Runs the appender of a generation as a loader does, with nothing in its environment and no standard input.
    fn append(&self, generation: u8, argument: &Path) -> Output {
        self.append_after("", generation, argument)
    }

    /// The same after a line of shell.
    fn append_after(&self, line: &str, generation: u8, argument: &Path) -> Output {
        Command::new("/bin/sh")
            .args(["-c", &format!("{line}\nexec \"$0\" \"$1\" <&-")])
            .arg(self.0.join(format!("nix/store/{generation}/append-initrd-secrets")))
            .arg(argument)
            .env_clear()
            .current_dir("/")
            .output()
            .unwrap()
    }

    /// What the appender of this generation makes of a bare initrd.
    fn finished(&self, generation: u8) -> Vec<u8> {
        let path = self.esp("finished");
        fs::write(&path, BASE).unwrap();
        let output = self.append(generation, &path);
        assert_eq!(told(&output).0, Some(0), "{output:?}");
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        bytes
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What a segment alone looks like, in a file that did not exist.
fn alone(finished: &[u8]) -> Vec<u8> {
    finished[(BASE.len() + 16).next_multiple_of(4)..].to_vec()
}

#[test]
fn a_plain_source_may_be_a_directory() {
    let machine = Machine::new("directory");
    fs::remove_file(machine.0.join("etc/plain")).unwrap();
    fs::create_dir_all(machine.0.join("etc/plain/below")).unwrap();
    machine.write("etc/plain/below/b", b"b");
    machine.write("etc/plain/a", b"a");
    let path = machine.esp("initrd");
    fs::write(&path, machine.finished(2)).unwrap();
    let forestage = |arguments: &[&str]| {
        let output = Command::new(program::path()).arg("initrd").args(arguments).arg(&path).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let listed = forestage(&["list"]).1;
    assert!(listed.contains(" /run/plain/a\n") && listed.contains(" /run/plain/below/b\n"), "{listed}");
    let (root, manifest) = (machine.0.clone(), machine.0.join("nix/store/2/manifest.json"));
    let verify = ["verify", "--root", root.to_str().unwrap(), "--manifest", manifest.to_str().unwrap()];
    assert_eq!(forestage(&verify).0, Some(0));
    machine.write("etc/plain/below/b", b"c");
    assert_eq!(forestage(&verify).0, Some(5));
    machine.write("etc/plain/below/b", b"b");
    assert_eq!(forestage(&verify).0, Some(0));
    machine.write("etc/plain/new", b"");
    assert_eq!(forestage(&verify).0, Some(5));
    // The same again makes the same bytes; a directory without files is no secret.
    let before = machine.finished(2);
    assert_eq!(machine.finished(2), before);
    fs::remove_dir_all(machine.0.join("etc/plain")).unwrap();
    fs::create_dir(machine.0.join("etc/plain")).unwrap();
    let output = machine.append(2, &path);
    assert_eq!(told(&output).0, Some(1));
    assert!(told(&output).1.contains("/etc/plain has no files"), "{output:?}");
}

#[test]
fn what_is_no_initrd_is_said_to_be_none() {
    let machine = Machine::new("no-initrd");
    let path = machine.esp("file");
    let told = |command: &str| {
        let mut line = Command::new(program::path());
        line.args(["initrd", command]).arg(&path);
        if command == "verify" {
            line.arg("--root")
                .arg(&machine.0)
                .arg("--manifest")
                .arg(machine.0.join("nix/store/2/manifest.json"));
        }
        told(&line.output().unwrap())
    };
    for command in ["list", "remove", "verify"] {
        let (status, errors) = told(command);
        let missing = format!("cannot open {}: no such file", path.display());
        assert!(status == Some(1) && errors.contains(&missing), "{command}: {errors}");
    }
    for (bytes, is_initrd) in
        [(&b"{}"[..], false), (b"MZ", false), (b"", true), (b"\0\0", true), (BASE, true)]
    {
        fs::write(&path, bytes).unwrap();
        for (command, good) in [("list", 0), ("remove", 0), ("verify", 5)] {
            let (ended, errors) = told(command);
            assert_eq!(ended, Some(if is_initrd { good } else { 1 }), "{command} {bytes:?}: {errors}");
            assert_eq!(errors.contains("file is no initrd"), !is_initrd, "{command} {bytes:?}: {errors}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    // Ours is shown and taken out, whatever stands before it.
    let finished = machine.finished(2);
    fs::write(&path, [b"junk".as_slice(), &alone(&finished)].concat()).unwrap();
    assert_eq!((told("list").0, told("remove").0, told("remove").0), (Some(0), Some(0), Some(1)));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    Absent,
    Empty,
    Bare,
    Own,
    Others,
    Cut,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum After {
    /// Exit 0, with the segment of the generation.
    Complete,
    /// Exit 1, not a byte changed.
    Untouched,
}

#[test]
fn old_and_new_generations_with_and_without_their_identity() {
    use After::{Complete, Untouched};
    use Before::{Absent, Bare, Cut, Empty, Others, Own};
    let machine = Machine::new("generations");
    let finished = [machine.finished(1), machine.finished(2)];
    assert_ne!(finished[0], finished[1]);
    // Generation, identity there, the file, a file beside it with the generation's segment, what comes out.
    let cases = [
        (2, true, Absent, false, Complete),
        (2, true, Empty, false, Complete),
        (2, true, Bare, false, Complete),
        (2, true, Own, false, Complete),
        (2, true, Others, false, Complete),
        (2, true, Cut, false, Complete),
        (1, true, Absent, false, Complete),
        (1, true, Bare, false, Complete),
        (1, true, Others, false, Complete),
        (2, false, Absent, false, Untouched),
        (2, false, Bare, false, Untouched),
        (2, false, Own, false, Untouched),
        (2, false, Cut, true, Untouched),
        (2, false, Bare, true, Untouched),
        (1, false, Own, false, Complete),
        (1, false, Bare, false, Untouched),
        (1, false, Absent, false, Untouched),
        (1, false, Others, false, Untouched),
        (1, false, Bare, true, Complete),
        (1, false, Absent, true, Complete),
        (1, false, Empty, true, Complete),
        (1, false, Others, true, Complete),
        (1, false, Cut, true, Complete),
    ];
    for case in cases {
        let (generation, identity, before, beside, after) = case;
        let (own, others) = match generation {
            1 => (&finished[0], &finished[1]),
            _ => (&finished[1], &finished[0]),
        };
        let path = machine.esp("initrd.efi.tmp1234");
        let bytes = match before {
            Absent => None,
            Empty => Some(Vec::new()),
            Bare => Some(BASE.to_vec()),
            Own => Some(own.clone()),
            Others => Some(others.clone()),
            Cut => Some(own[..own.len() - 300].to_vec()),
        };
        match &bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => drop(fs::remove_file(&path)),
        }
        if beside {
            fs::write(machine.esp("initrd.efi"), own).unwrap();
        }
        let key = machine.0.join("var/lib/key.txt");
        let hidden = machine.0.join("var/lib/hidden");
        if !identity {
            fs::rename(&key, &hidden).unwrap();
        }
        let (status, errors) = told(&machine.append(generation, &path));
        if !identity {
            fs::rename(&hidden, &key).unwrap();
        }
        let _ = fs::remove_file(machine.esp("initrd.efi"));
        let now = fs::read(&path).ok();
        match after {
            Complete => {
                assert_eq!(status, Some(0), "{case:?}: {errors}");
                let expected = if matches!(before, Absent | Empty) { &alone(own) } else { own };
                assert!(now.as_ref() == Some(expected), "{case:?}: {errors}");
            }
            Untouched => {
                assert_eq!(status, Some(1), "{case:?}: {errors}");
                assert!(now == bytes, "{case:?}: {errors}");
                assert!(errors.contains("/etc/keys/luks"), "{case:?}: {errors}");
            }
        }
        let named = errors.contains("generation 1: ")
            && errors.contains("nix-env -p /nix/var/nix/profiles/system --delete-generations 1");
        assert_eq!(named, generation == 1 && !identity, "{case:?}: {errors}");
        let left: Vec<_> = fs::read_dir(machine.0.join("esp")).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.iter().all(|left| *left == path), "{case:?}: {left:?}");
    }
}

#[test]
fn a_plain_file_that_is_gone_fails_the_current_generation_only() {
    let machine = Machine::new("plain");
    let [old, new] = [machine.finished(1), machine.finished(2)];
    fs::remove_file(machine.0.join("etc/plain")).unwrap();
    for (generation, before, expected) in
        [(2, BASE, (Some(1), BASE)), (2, &new, (Some(1), &*new)), (1, &old, (Some(0), &*old))]
    {
        let path = machine.esp("initrd");
        fs::write(&path, before).unwrap();
        let (status, errors) = told(&machine.append(generation, &path));
        assert_eq!((status, fs::read(&path).unwrap().as_slice()), expected, "{generation}: {errors}");
        assert!(errors.contains("/etc/plain"), "{errors}");
    }
}

#[test]
fn an_older_generation_whose_sops_file_is_gone_keeps_what_it_had() {
    let machine = Machine::new("sops-file-gone");
    let [old, new] = [machine.finished(1), machine.finished(2)];
    fs::remove_file(machine.0.join("nix/store/1/sops.yaml")).unwrap();
    fs::create_dir(machine.0.join("kept")).unwrap();
    // GRUB's name, and limine's: its argument lies elsewhere.
    let arguments = ["system-secrets.ABCDEFGH", "tmpabcdefghsystem-secrets"];
    for (argument, kept) in arguments.into_iter().zip(["esp/system-secrets", "kept/system-secrets"]) {
        let path = machine.esp(argument);
        let append = || {
            let script = machine.0.join("nix/store/1/append-initrd-secrets");
            let script = fs::read_to_string(script).unwrap();
            let line = script.lines().last().unwrap().replace(
                "initrd append",
                &format!("initrd append --kept {}", machine.0.join("kept").display()),
            );
            told(&Command::new("sh").args(["-c", &line, "sh"]).arg(&path).env_clear().output().unwrap())
        };
        let (status, errors) = append();
        assert_eq!(status, Some(1), "{argument}: {errors}");
        assert!(!path.exists() && errors.contains("delete-generations 1"), "{argument}: {errors}");
        fs::write(machine.0.join(kept), alone(&old)).unwrap();
        let (status, errors) = append();
        assert_eq!(status, Some(0), "{argument}: {errors}");
        assert!(fs::read(&path).unwrap() == alone(&old), "{argument}: {errors}");
        assert!(errors.contains("generation 1: "), "{argument}: {errors}");
        fs::remove_file(machine.0.join(kept)).unwrap();
    }
    // The new generation's own sops file is needed.
    fs::remove_file(machine.0.join("nix/store/2/sops.yaml")).unwrap();
    let path = machine.esp("initrd");
    fs::write(&path, &new).unwrap();
    assert_eq!(told(&machine.append(2, &path)).0, Some(1));
    assert_eq!(fs::read(&path).unwrap(), new);
}

#[test]
fn what_is_made_is_for_its_owner_alone_whatever_the_umask() {
    let machine = Machine::new("umask");
    for umask in ["000", "022", "137", "077", "777"] {
        let path = machine.esp(umask);
        let (status, errors) = told(&machine.append_after(&format!("umask {umask}"), 2, &path));
        assert_eq!(status, Some(0), "{errors}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600, "{umask}");
    }
}

#[test]
fn what_is_no_initrd_is_refused() {
    let machine = Machine::new("refused");
    let path = machine.esp("vmlinuz");
    fs::write(&path, b"MZ, a kernel").unwrap();
    let (status, errors) = told(&machine.append(2, &path));
    assert_eq!(status, Some(1));
    assert!(errors.contains("is no initrd") && errors.contains("vmlinuz"), "{errors}");
    assert_eq!(fs::read(&path).unwrap(), b"MZ, a kernel");
    for what in ["/dev/null", machine.0.to_str().unwrap(), "/no/such/directory/initrd"] {
        assert_eq!(told(&machine.append(2, Path::new(what))).0, Some(1), "{what}");
    }
}

#[test]
fn loaders_at_the_same_time_take_turns() {
    let machine = Machine::new("turns");
    let finished = [machine.finished(1), machine.finished(2)];
    let path = machine.esp("initrd");
    fs::write(&path, BASE).unwrap();
    std::thread::scope(|scope| {
        for number in 0..12 {
            let (machine, path) = (&machine, &path);
            scope.spawn(move || assert_eq!(told(&machine.append(1 + number % 2, path)).0, Some(0)));
        }
    });
    assert!(finished.contains(&fs::read(&path).unwrap()));
}

#[test]
fn verify_notices_a_plain_file_that_changed() {
    let machine = Machine::new("verify");
    let path = machine.esp("initrd");
    fs::write(&path, machine.finished(2)).unwrap();
    let manifest = machine.0.join("nix/store/2/manifest.json");
    let verify = || {
        let output = Command::new(program::path())
            .args(["initrd", "verify", "--root"])
            .args([&machine.0, Path::new("--manifest"), &manifest, &path])
            .output()
            .unwrap();
        told(&output)
    };
    assert_eq!(verify().0, Some(0));
    machine.write("etc/plain", b"plain 2");
    assert_eq!(verify().0, Some(5));
    machine.write("etc/plain", b"plain 1");
    fs::set_permissions(machine.0.join("etc/plain"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(verify().0, Some(5));
    fs::remove_file(machine.0.join("etc/plain")).unwrap();
    let (status, errors) = verify();
    assert_eq!(status, Some(1));
    assert!(errors.contains("/etc/plain") && !errors.contains("plain 1"), "{errors}");
}

/// A boot partition that is nearly full: nothing is written, and the error says what is there and what is needed.
#[test]
fn a_full_boot_partition_is_left_alone() {
    let machine = Machine::new("full");
    let esp = machine.esp("");
    let script = "mount -t tmpfs -o size=64k tmpfs \"$1\" && cp \"$2\" \"$1/initrd\" \
        && head -c 57344 /dev/zero >\"$1/filler\" && cp \"$1/initrd\" \"$4/before\" && \"$3\" \"$1/initrd\"; \
        status=$?; cmp \"$1/initrd\" \"$4/before\" && test \"$(ls \"$1\")\" = \"$(printf 'filler\\ninitrd')\" && exit $status; exit 99";
    let large = machine.0.join("large");
    fs::write(&large, vec![b'x'; 40_000]).unwrap();
    // A plain file of 40,000 bytes does not fit.
    fs::copy(&large, machine.0.join("etc/plain")).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
        .args([&esp, &machine.0.join("nix/store/base")])
        .args([&machine.0.join("nix/store/2/append-initrd-secrets"), &machine.0])
        .output();
    let Ok(output) = output.as_ref().map(told) else { return skipped("unshare does not run") };
    if output.1.contains("unshare failed") || output.1.contains("mount:") {
        return skipped("no mount namespaces here");
    }
    assert_eq!(output.0, Some(1), "{}", output.1);
    assert!(output.1.contains("needed:") && output.1.contains("free:"), "{}", output.1);
}

fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED append full boot partition: {why}");
}

//! Runs the commands on an input and judges what they did.

use std::{
    cell::Cell,
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};

use crate::{
    DATA, Fixture, Input, say,
    watch::{Report, Watch, read_report, watched},
};

/// What may become of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It must be refused.
    Fails,
    /// It is refused, or opens with the plaintext of the whole file.
    FailsOrOpens,
    /// It is refused, or opens: sops accepts some damage, for instance a renamed key that is not encrypted.
    Any,
}

/// A second in microseconds, for a program that is optimised: a debug build gets four.
fn second() -> u64 {
    if crate::program::is_optimised() { 1_000_000 } else { 4_000_000 }
}

/// A run that waits for something takes this long at least; on a busy machine others are slow too.
const LIMIT_SECONDS: u32 = 20;
const MEMORY_KIB: u64 = 64 << 10;
/// What every plaintext holds and no message may.
const CANARY: &[u8] = b"CANARY";
/// An error is for people: nobody reads more, unless a name in the input is as long.
const MOST_MESSAGES: usize = 64 << 10;

/// A directory in which inputs are made and commands are run; a mount namespace where that is allowed.
pub struct Desk {
    name: String,
    directory: PathBuf,
    slowest_us: Cell<u64>,
    largest_kib: Cell<u64>,
}

/// What a command did.
pub struct Run {
    report: Report,
    /// What it printed as its result.
    pub stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Desk {
    /// An empty desk of that name.
    pub fn new(name: &str) -> Self {
        // Should an installation succeed against all expectation, its mount is not seen outside.
        let nothing = None::<&str>;
        if unshare(CloneFlags::CLONE_NEWNS).is_ok() {
            mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
                .expect("private mounts");
        }
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile").join(name.replace(' ', "-"));
        drop(fs::remove_dir_all(&directory));
        fs::create_dir_all(directory.join("root/run/nixos")).expect("a desk");
        fs::create_dir_all(directory.join("root/etc")).expect("a desk");
        // Names come from the root's own files.
        fs::write(directory.join("root/etc/passwd"), "root:x:0:0::/root:/bin/sh\n").expect("a file");
        fs::write(directory.join("root/etc/group"), "root:x:0:\nkeys:x:96:\n").expect("a file");
        fs::copy(format!("{DATA}/key.txt"), directory.join("root/etc/key.txt")).expect("a key");
        Self { name: name.to_owned(), directory, slowest_us: Cell::new(0), largest_kib: Cell::new(0) }
    }

    /// A path on the desk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs forestage with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_behind(&[], arguments)
    }

    /// Runs forestage, started by another program.
    pub fn run_behind(&self, starter: &[&str], arguments: &[&str]) -> Run {
        let mut command: Vec<OsString> = starter.iter().map(OsString::from).collect();
        command.push(crate::program::path().into());
        command.extend(arguments.iter().map(OsString::from));
        let files = ["report", "stdout", "stderr"].map(|name| self.path(name));
        let [report, stdout, stderr] = &files;
        let status = watched(Watch::Limit(LIMIT_SECONDS), report, &command)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(fs::File::create(stdout).expect("a file"))
            .stderr(fs::File::create(stderr).expect("a file"))
            .status()
            .expect("watch runs");
        assert!(status.success(), "watch.c failed");
        let run = Run {
            report: read_report(report),
            stdout: fs::read(stdout).expect("stdout"),
            stderr: fs::read(stderr).expect("stderr"),
        };
        for file in files {
            drop(fs::remove_file(file));
        }
        self.slowest_us.set(self.slowest_us.get().max(run.report.cpu_us));
        self.largest_kib.set(self.largest_kib.get().max(run.report.peak_kib));
        run
    }

    /// Everything below the desk's root.
    pub fn root(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![self.path("root")];
        while let Some(directory) = todo.pop() {
            // A path can be too long to be looked at.
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let Ok(about) = entry.path().symlink_metadata() else { continue };
                // No inode numbers and sizes of directories: a file that came and went is no matter.
                let size = if about.is_file() { about.size() } else { 0 };
                found.push(format!("{} {:o} {size}", entry.path().display(), about.mode()));
                if about.is_dir() {
                    todo.push(entry.path());
                }
            }
        }
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        found.extend(mounts.lines().filter(|line| line.contains("/hostile/")).map(ToOwned::to_owned));
        found.sort();
        found
    }

    /// A manifest with one secret of that file and format; `symlinkPath` and the rest lie in the desk's root.
    pub fn manifest(&self, file: &str, format: &str) -> PathBuf {
        self.manifest_with(file, format, "")
    }

    fn manifest_with(&self, file: &str, format: &str, more: &str) -> PathBuf {
        // Only these formats have keys; of the others the whole file is the secret.
        let key = if matches!(format, "yaml" | "json") { "first" } else { "" };
        let text = format!(
            r#"{{"secretsMountPoint": "/run/secrets.d", "symlinkPath": "/run/secrets", "keepGenerations": 1,
            "ageKeyFile": "/etc/key.txt", "secrets": [
            {{"name": "s", "sopsFile": "{file}", "format": "{format}", "key": "{key}", "mode": "0400"}}{more}]}}"#
        );
        let manifest = self.path("manifest.json");
        fs::write(&manifest, text).expect("a manifest");
        manifest
    }

    /// What is wrong with how the commands take the input.
    pub fn complaints(&self, fixture: &Fixture, input: &Input) -> Vec<String> {
        fs::write(self.path("root/input"), &input.bytes).expect("an input");
        let (input_path, key) = (self.path("root/input"), self.path("root/etc/key.txt"));
        let arguments = ["decrypt", "--format", fixture.format, "--identity"].map(str::to_owned);
        let mut complaints = Vec::new();
        let size = input.bytes.len() as u64;

        let before = self.root();
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend([key.to_str().expect("UTF-8"), input_path.to_str().expect("UTF-8")]);
        let decrypted = self.run(&arguments);
        complaints.extend(decrypted.complaints("decrypt", input.verdict, size));
        if decrypted.report.status == 0
            && input.verdict != Verdict::Any
            && decrypted.stdout != fixture.plaintext
        {
            complaints.push("decrypt: wrong plaintext".to_owned());
        }

        let (manifest, root) = (self.manifest("/input", fixture.format), self.path("root"));
        let (manifest, root) = (manifest.to_str().expect("UTF-8"), root.to_str().expect("UTF-8"));
        let checked = self.run(&["check", "--root", root, manifest]);
        // Without a private key most damage cannot be seen.
        complaints.extend(checked.complaints("check", Verdict::Any, size));
        let checked = self.run(&["check", "--decrypt", "--root", root, manifest]);
        complaints.extend(checked.complaints("check --decrypt", input.verdict, size));
        let installed = self.run(&["install", "--root", root, manifest]);
        complaints.extend(installed.complaints("install", input.verdict, size));
        if input.verdict == Verdict::Fails || installed.report.status != 0 {
            let after = self.root();
            if before != after {
                complaints.push(format!("install: changed {before:?} to {after:?}"));
            }
        }
        self.forget();
        complaints
    }

    /// What is wrong when the input is installed together with the secret `/good`.
    pub fn complaints_beside_good(&self, fixture: &Fixture, input: &Input, good: &[u8]) -> Vec<String> {
        fs::write(self.path("root/input"), &input.bytes).expect("an input");
        let more = r#", {"name": "good", "sopsFile": "/good", "format": "binary", "path": "/run/link"}"#;
        let (manifest, root) = (self.manifest_with("/input", fixture.format, more), self.path("root"));
        let (manifest, root) = (manifest.to_str().expect("UTF-8"), root.to_str().expect("UTF-8"));
        let installed = self.run(&["install", "--allow-disk", "--root", root, manifest]);
        let mut complaints = installed.complaints("install", Verdict::Fails, input.bytes.len() as u64);
        if installed.report.status != 3 {
            complaints.push(format!("status {} instead of 3", installed.report.status));
        }
        // Symlinks are written as seen inside the root.
        let generation = self.path("root/run/secrets.d/1");
        if fs::read(generation.join("good")).ok().as_deref() != Some(good) {
            complaints.push("the good secret has not landed".to_owned());
        }
        if generation.join("s").exists() {
            complaints.push("the bad secret has landed".to_owned());
        }
        self.forget();
        complaints
    }

    /// Takes away what an installation left.
    pub fn forget(&self) {
        // Detached, since a plain unmount can find it busy: a test beside this one that forks at the wrong moment has a
        // file of ours open until it runs its program.
        while umount2(&self.path("root/run/secrets.d"), MntFlags::MNT_DETACH).is_ok() {}
        drop(fs::remove_dir_all(self.path("root/run")));
        fs::create_dir_all(self.path("root/run/nixos")).expect("a desk");
    }

    /// Says how many inputs there were, and the largest costs.
    pub fn finish(&self, inputs: usize) {
        say(&format!(
            "hostile.rs: {}: {inputs} inputs; at most {} ms of processor time, {} MiB",
            self.name,
            self.slowest_us.get() / 1000,
            self.largest_kib.get() >> 10
        ));
    }
}

impl Run {
    /// Whether it ended well.
    pub fn succeeded(&self) -> bool {
        self.report.end == "exit" && self.report.status == 0
    }

    /// What is wrong with this run on an input of `size` bytes.
    pub fn complaints(&self, command: &str, verdict: Verdict, size: u64) -> Vec<String> {
        let Report { end, status, wall_us, cpu_us, peak_kib, .. } = &self.report;
        let stderr = String::from_utf8_lossy(&self.stderr);
        let shown: String = stderr.chars().take(400).collect();
        let mut complaints = Vec::new();
        let mut wrong = |is_wrong: bool, told: String| {
            if is_wrong {
                complaints.push(format!("{command}: {told}: {shown}"));
            }
        };
        wrong(end != "exit", format!("ended by {end} {status}"));
        wrong(end == "exit" && *status == 0 && verdict == Verdict::Fails, "succeeded".to_owned());
        if *status != 0 {
            wrong(!self.stderr.starts_with(b"error: "), "no error on stderr".to_owned());
            wrong(!self.stdout.is_empty(), format!("failed with {} bytes on stdout", self.stdout.len()));
        }
        // Processor time, since the machine may be busy; waiting shows in the other.
        wrong(*cpu_us > second(), format!("{} ms of processor time", cpu_us / 1000));
        wrong(*wall_us > 10_000_000, format!("{} ms", wall_us / 1000));
        let memory = MEMORY_KIB.max((4 * size) >> 10);
        wrong(*peak_kib > memory, format!("{peak_kib} KiB of memory"));
        wrong(stderr.contains("panicked"), "a panic".to_owned());
        wrong(
            self.stderr.windows(CANARY.len()).any(|window| window == CANARY),
            "plaintext in a message".to_owned(),
        );
        let messages = MOST_MESSAGES.max(2 * usize::try_from(size).unwrap_or(usize::MAX));
        wrong(self.stderr.len() > messages, format!("{} bytes of messages", self.stderr.len()));
        complaints
    }
}

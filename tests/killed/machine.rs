//! A machine for one scenario: this thread in a mount namespace with an empty `/run` of its own.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};

use crate::watch::{Report, Watch, read_report, watched};

const NOTHING: Option<&str> = None;

/// What runs: the program and its arguments, `MANIFEST` standing for the manifest's path.
#[derive(Debug, Clone)]
pub struct Program(pub Vec<OsString>);

/// The machine of this thread.
pub struct Machine {
    /// Where manifests, reports and messages are kept, outside `/run`.
    desk: PathBuf,
}

impl Machine {
    /// Gives this thread mounts of its own. That needs root.
    pub fn new(name: &str) -> Result<Self, Errno> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)?;
        let desk = Path::new(env!("CARGO_TARGET_TMPDIR")).join("killed");
        let desk = desk.join(format!("{}-{}", name.replace(' ', "-"), std::process::id()));
        fs::create_dir_all(&desk).expect("a desk");
        tmpfs()?;
        Ok(Self { desk })
    }

    /// Makes `/run` empty again.
    pub fn reset() {
        // Lazily, with all that is mounted below.
        umount2("/run", MntFlags::MNT_DETACH).expect("umount /run");
        tmpfs().expect("mount /run");
    }

    /// Runs the program with that manifest, watched.
    pub fn run(
        &self,
        program: &Program,
        manifest: &str,
        environment: &[(&str, &str)],
        watch: Watch,
    ) -> Report {
        let manifest_path = self.desk.join("manifest.json");
        fs::write(&manifest_path, manifest).expect("a manifest");
        let command: Vec<OsString> = program
            .0
            .iter()
            .map(
                |argument| {
                    if argument == "MANIFEST" { manifest_path.clone().into() } else { argument.clone() }
                },
            )
            .collect();
        let report = self.desk.join("report");
        let messages = fs::File::create(self.desk.join("messages")).expect("a file for messages");
        let status = watched(watch, &report, &command)
            .env_clear()
            .env("PATH", "/run/bin:/usr/local/bin:/usr/bin:/bin")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(messages.try_clone().expect("a file for messages"))
            .stderr(messages)
            .status()
            .expect("watch runs");
        assert!(status.success(), "watch.c failed: {}", self.messages());
        read_report(&report)
    }

    /// What the last run printed.
    pub fn messages(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.desk.join("messages")).unwrap_or_default()).into_owned()
    }

    /// Mount points below `/run` and their file systems, in the order of mounting.
    pub fn mounts() -> Vec<String> {
        let table = fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo");
        table.lines().filter_map(below_run).collect()
    }
}

/// `MOUNT_POINT TYPE` of a line of mountinfo(5), when it is below `/run`.
fn below_run(line: &str) -> Option<String> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mount_point = mount.split(' ').nth(4)?;
    let kind = file_system.split(' ').next()?;
    mount_point.starts_with("/run/").then(|| format!("{mount_point} {kind}"))
}

fn tmpfs() -> Result<(), Errno> {
    mount(Some("none"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))
}

/// A command that prints nothing and must succeed.
pub fn must(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("a command");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.desk));
    }
}

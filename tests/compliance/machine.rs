//! A machine for one story: a mount namespace with its own `/run`, `/etc/passwd` and `/etc/group`.
//!
//! Only the thread that made it and its children see it. `/run/sops` holds the fixtures, `/run/bin` the program under
//! its name and a `systemctl` that notes its arguments. The users are root and alice (1001), the groups root, keys (96), staff (50)
//! and nogroup.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{manifest::Object, observation::Observation};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/compliance");
/// Where `install` writes its manifest.
pub const MANIFEST: &str = "/run/manifest.json";
const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:1001:1002::/home/alice:/bin/sh\n";
const GROUP: &str = "root:x:0:\nstaff:x:50:alice\nkeys:x:96:\nalice:x:1002:\nnogroup:x:65534:\n";

/// The machine of this thread.
pub struct Machine {
    /// Whether the program is forestage.
    pub ours: bool,
    /// What each run left behind.
    pub observations: Vec<Observation>,
    program: String,
    environment: Vec<(String, String)>,
    uid: u32,
}

/// How a run ended.
pub struct Run {
    /// Exit status; 128 and the signal's number for a killed program.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    ours: bool,
}

impl Machine {
    /// Turns this thread into a machine on which `program` is installed.
    pub fn new(program: &str, ours: bool) -> Result<Self, nix::Error> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
        mount(Some("none"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
        for directory in ["/run/bin", "/run/sops", "/run/home", "/run/nixos"] {
            fs::create_dir(directory).unwrap();
        }
        symlink(program, "/run/bin/sops-install-secrets").unwrap();
        symlink(program, "/run/bin/forestage").unwrap();
        for fixture in fs::read_dir(FIXTURES).unwrap() {
            let fixture = fixture.unwrap();
            fs::copy(fixture.path(), Path::new("/run/sops").join(fixture.file_name())).unwrap();
        }
        let machine = Self {
            ours,
            observations: Vec::new(),
            program: program.to_owned(),
            environment: vec![
                ("PATH".into(), "/run/bin:/usr/bin:/bin".into()),
                ("HOME".into(), "/run/home".into()),
            ],
            uid: 0,
        };
        machine.names("passwd", PASSWD)?;
        machine.names("group", GROUP)?;
        machine.systemctl("");
        Ok(machine)
    }

    /// Puts a text at the place of `/etc/<file>`.
    pub fn names(&self, file: &str, text: &str) -> Result<(), nix::Error> {
        let ours = format!("/run/home/{file}");
        self.write(&ours, text);
        let nothing = None::<&str>;
        mount(Some(ours.as_str()), format!("/etc/{file}").as_str(), nothing, MsFlags::MS_BIND, nothing)
    }

    /// A systemctl that notes its arguments and then does what `script` says.
    pub fn systemctl(&self, script: &str) {
        self.write(
            "/run/bin/systemctl",
            &format!("#!/bin/sh\necho \"$@\" >>/run/nixos/systemctl-calls\n{script}\n"),
        );
        fs::set_permissions("/run/bin/systemctl", fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Sets a variable for the runs that follow.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.unset(variable);
        self.environment.push((variable.to_owned(), value.to_owned()));
    }

    /// Removes a variable for the runs that follow.
    pub fn unset(&mut self, variable: &str) {
        self.environment.retain(|(known, _)| known != variable);
    }

    /// The runs that follow belong to this user.
    pub fn become_user(&mut self, uid: u32) {
        self.uid = uid;
    }

    /// Installs a manifest, as sops-nix does.
    pub fn install(&mut self, manifest: &Object) -> Run {
        self.install_with(&[], manifest)
    }

    /// Installs a manifest, as sops-nix does, with flags.
    pub fn install_with(&mut self, flags: &[&str], manifest: &Object) -> Run {
        self.write(MANIFEST, &manifest.to_string());
        self.run(&[flags, &[MANIFEST]].concat())
    }

    /// Calls the program as sops-install-secrets.
    pub fn run(&mut self, arguments: &[&str]) -> Run {
        let output = self.command("sops-install-secrets", arguments).output().unwrap();
        self.seen(&output)
    }

    /// Calls `forestage install`, which only we have.
    pub fn forestage_install(&mut self, flags: &[&str], manifest: &Object) -> Run {
        self.write(MANIFEST, &manifest.to_string());
        let arguments = [&["install"], flags, &[MANIFEST]].concat();
        let output = self.command("forestage", &arguments).output().unwrap();
        self.seen(&output)
    }

    /// Starts the program as sops-install-secrets with the manifest of the last run.
    pub fn start(&self) -> Child {
        self.command("sops-install-secrets", &[MANIFEST]).spawn().unwrap()
    }

    /// Waits for what `start` began.
    pub fn wait(&mut self, child: Child) -> Run {
        let output = child.wait_with_output().unwrap();
        self.seen(&output)
    }

    fn command(&self, name: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0(format!("/run/bin/{name}")).args(arguments).current_dir("/");
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.uid != 0 {
            command.uid(self.uid).gid(self.uid);
        }
        command
    }

    fn seen(&mut self, output: &Output) -> Run {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap();
        let run = Run {
            status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            ours: self.ours,
        };
        self.observations.push(Observation::now(run.status, &run.stdout));
        run
    }

    /// Writes a file, with its directories.
    pub fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces one fixture in `/run/sops` by another.
    pub fn replace(&self, file: &str, by: &str) {
        fs::copy(format!("{FIXTURES}/{by}"), format!("/run/sops/{file}")).unwrap();
    }

    /// Writes a copy of `/run/sops/secrets.yaml` whose MAC is wrong.
    pub fn write_damaged(&self, file: &str) {
        let good = read("/run/sops/secrets.yaml");
        self.write(&format!("/run/sops/{file}"), &good.replace("lastmodified: \"2", "lastmodified: \"1"));
    }
}

impl Run {
    /// The run must end with this status.
    #[track_caller]
    pub fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, status, "exit status; stderr: {}", self.stderr);
        self
    }

    /// The run must succeed.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// The run must fail, as sops-install-secrets fails.
    #[track_caller]
    pub fn fails(self) -> Self {
        self.exits(1)
    }

    /// Standard error must hold this text. The wording is ours, so the original need not.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(!self.ours || self.stderr.contains(text), "stderr does not say {text:?}: {}", self.stderr);
        self
    }

    /// Standard error of the original and of ours must hold this text.
    #[track_caller]
    pub fn says_as_ever(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr does not say {text:?}: {}", self.stderr);
        self
    }

    /// Standard output must be these lines.
    #[track_caller]
    pub fn prints(self, lines: &[&str]) -> Self {
        assert_eq!(self.stdout.lines().collect::<Vec<_>>(), lines, "stdout");
        self
    }
}

/// What a file holds, followed through links.
#[track_caller]
pub fn read(path: &str) -> String {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => panic!("{path}: {error}"),
    }
}

/// Whether something is at this path, be it a dangling link.
pub fn exists(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Where a link points; empty when there is none.
pub fn link(path: &str) -> String {
    fs::read_link(path).map(|target| target.display().to_string()).unwrap_or_default()
}

/// Mode and ids of what is at this path, such as `0400 0:0`.
#[track_caller]
pub fn owned(path: &str) -> String {
    let facts = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    format!("{:04o} {}:{}", facts.mode() & 0o7777, facts.uid(), facts.gid())
}

/// The names in a directory, sorted, without what the program keeps there for itself.
pub fn names(directory: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().display().to_string()).collect())
        .unwrap_or_default();
    names.retain(|name| !crate::observation::OWN_FILES.contains(&name.as_str()));
    names.sort();
    names
}

/// Appends to a file.
pub fn append(path: &str, text: &str) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Everything below a directory, one line each.
pub fn tree(directory: &str) -> String {
    crate::observation::tree(directory)
}

/// Type and options of what is mounted at this path; empty when nothing is.
pub fn filesystem(path: &str) -> String {
    let mounts = crate::observation::mounts();
    let of_path = |line: &str| line.strip_prefix(path)?.strip_prefix(' ').map(str::to_owned);
    mounts.lines().filter_map(of_path).next_back().unwrap_or_default()
}

/// Puts a directory of a disk at this path; false when the build directory is in RAM too.
pub fn mount_over_disk(path: &str) -> bool {
    let on_disk = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compliance-root");
    drop(fs::remove_dir_all(&on_disk));
    fs::create_dir_all(&on_disk).unwrap();
    fs::create_dir_all(path).unwrap();
    let nothing = None::<&str>;
    mount(Some(&on_disk), path, nothing, MsFlags::MS_BIND, nothing).unwrap();
    let kind = nix::sys::statfs::statfs(path).unwrap().filesystem_type();
    kind != nix::sys::statfs::TMPFS_MAGIC
}

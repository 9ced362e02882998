//! The real gpg, for keys that only it can use: behind a passphrase that its agent knows, or on a smartcard.
//!
//! It runs without a terminal and may ask nobody, in a clean environment, and all runs together have a time limit. The
//! agents that it starts are stopped again; those that ran before are left alone. Facts: sops-format.md 5.3.

use std::{
    borrow::Cow,
    env,
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use crate::program;

use super::{MAX_MESSAGE, Reason, Remedy};

/// The time that all runs of gpg together may take, with what comes before and after.
pub const LIMIT: Duration = Duration::from_secs(10);
/// What is kept of it for stopping the agents.
const RESERVE: Duration = Duration::from_secs(2);
/// As much as gpg may print.
const MAX_OUTPUT: usize = 1 << 16;
/// A data key has 32 bytes, in theory as many as any key of AES; a part of one has one more.
const DATA_KEY: [usize; 6] = [16, 17, 24, 25, 32, 33];

/// The daemons of GnuPG that may hold keys: what gpgconf calls the path of the socket, and what it calls them.
const AGENTS: [(&[u8], &str); 2] = [(b"agent-socket:", "gpg-agent"), (b"keyboxd-socket:", "keyboxd")];

/// A GnuPG home, served by the gpg program.
pub struct Gpg {
    program: OsString,
    home: PathBuf,
    /// Runs one at a time, and for so long together.
    spent: Mutex<Duration>,
}

impl Gpg {
    /// `program` is a name or a path: what `SOPS_GPG_EXEC` says, or `gpg`.
    #[must_use]
    pub fn new(program: impl Into<OsString>, home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        let home = std::path::absolute(&home).unwrap_or(home);
        Self { program: program.into(), home, spent: Mutex::default() }
    }

    /// Lets gpg open a message. The error tells what it said.
    pub fn open(&self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reason> {
        let start = Instant::now();
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if message.len() > MAX_MESSAGE {
            return Err(format!("it has more than {MAX_MESSAGE} bytes").into());
        }
        let left = LIMIT.saturating_sub(*spent).saturating_sub(RESERVE);
        if left.is_zero() {
            return Err(
                format!("gpg has no time left: {} s were spent on other entries", LIMIT.as_secs()).into()
            );
        }
        let opened = self.run(message, left);
        *spent = spent.saturating_add(start.elapsed());
        opened
    }

    fn run(&self, message: &[u8], limit: Duration) -> Result<Zeroizing<Vec<u8>>, Reason> {
        let (output, complaint) = self.say(&["-d"], message, limit)?;
        let length = output.len();
        if !DATA_KEY.contains(&length) {
            let reason = format!("gpg printed {length} bytes, and a data key has 32; it said: {complaint}");
            return Err(reason.into());
        }
        Ok(output)
    }

    /// Runs gpg for another purpose than opening a message, for so long, and gives what it printed. The error tells what
    /// it said.
    #[cfg(feature = "key-tools")]
    pub fn run_for(
        &self,
        arguments: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<Zeroizing<Vec<u8>>, Reason> {
        self.say(arguments, input, limit).map(|(output, _)| output)
    }

    /// What gpg printed, and what it complained about.
    fn say(
        &self,
        arguments: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<(Zeroizing<Vec<u8>>, Cow<'static, str>), Reason> {
        let start = Instant::now();
        let Some(program) = find(&self.program) else {
            let name = Path::new(&self.program).display();
            let reason = Reason::from(format!("{name} is not installed, or not in PATH (see SOPS_GPG_EXEC)"));
            return Err(reason.remedy(Remedy::Gpg(name.to_string())));
        };
        if !self.home.is_dir() {
            return Err(format!("the GnuPG home {} is no directory", self.home.display()).into());
        }
        // The one of the same version, first of all: an older one knows nothing of keyboxd.
        let places = [Some(program.clone()), program.canonicalize().ok()].into_iter().flatten();
        let beside = places.map(|gpg| gpg.with_file_name("gpgconf")).find(|gpgconf| gpgconf.exists());
        let gpgconf = beside.or_else(|| find(OsStr::new("gpgconf")));
        let asleep = gpgconf.as_deref().map(|gpgconf| self.asleep(gpgconf, limit)).unwrap_or_default();
        let mut command = self.command(&program);
        command.args(["--batch", "--no-tty", "--pinentry-mode", "error"]);
        if asleep.is_empty() {
            command.arg("--no-autostart");
        }
        command.args(arguments);
        let said = program::talk(&mut command, input, limit.saturating_sub(start.elapsed()), MAX_OUTPUT);
        for agent in asleep {
            let Some(gpgconf) = &gpgconf else { break };
            // There may be none, since gpg did not need it.
            let _ =
                program::talk(self.command(gpgconf).args(["--kill", agent]), b"", RESERVE / 2, MAX_OUTPUT);
        }
        let said = said?;
        let complaint = if said.complaint.is_empty() { "nothing".into() } else { Cow::from(said.complaint) };
        if !said.status.success() {
            return Err(format!("gpg failed ({}); it said: {complaint}", said.status).into());
        }
        Ok((said.output, complaint))
    }

    /// The daemons of this home that do not run.
    fn asleep(&self, gpgconf: &Path, limit: Duration) -> Vec<&'static str> {
        let said =
            program::talk(self.command(gpgconf).arg("--list-dirs"), b"", limit.min(RESERVE), MAX_OUTPUT);
        let Ok(said) = said else { return Vec::new() };
        let sockets = said.output.split(|byte| *byte == b'\n');
        let sockets = sockets.filter_map(|line| {
            let (prefix, agent) = AGENTS.iter().find(|(prefix, _)| line.starts_with(prefix))?;
            Some((unescape(line.get(prefix.len()..)?), *agent))
        });
        sockets
            .filter(|(socket, _)| UnixStream::connect(OsStr::from_bytes(socket)).is_err())
            .map(|(_, agent)| agent)
            .collect()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("GNUPGHOME", &self.home);
        // gpg-agent's helpers, and a gpg that is a script, look for programs.
        for name in ["PATH", "HOME"] {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        command.arg("--homedir").arg(&self.home);
        command
    }
}

/// The program of that name or at that path.
fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        let path = std::path::absolute(Path::new(program)).ok()?;
        return path.is_file().then_some(path);
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// gpgconf writes colons and percent signs in paths as `%3a` and `%25`.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, behind)) = rest.split_first() {
        let digits = behind.first_chunk::<2>().filter(|_| *byte == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(escaped.unwrap_or(*byte));
        rest = behind.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Self {
            let home = PathBuf::from(format!("/dev/shm/forestage-gpg-{name}-{}", std::process::id()));
            fs::create_dir_all(&home).unwrap();
            Self(home)
        }

        /// A program in place of gpg.
        fn gpg(&self, script: &str) -> Gpg {
            let path = self.0.join("gpg");
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            Gpg::new(path, &self.0)
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_gpg_says_is_told() {
        let home = Home::new("says");
        let key = "0123456789abcdef0123456789abcdef";
        let opened = |script: &str| {
            home.gpg(script).open(b"message").map(|key| String::from_utf8_lossy(&key).into_owned())
        };
        assert_eq!(opened(&format!("cat >/dev/null; printf {key}; echo note >&2")).as_deref(), Ok(key));
        // It gets the message, and may ask nobody.
        let script = format!(
            "test \"$(echo $* | sed s/--no-autostart.//)\" = \"--homedir $GNUPGHOME --batch --no-tty --pinentry-mode error -d\" || exit 9\n\
             test \"$(cat)\" = message && printf {key}"
        );
        assert_eq!(opened(&script).as_deref(), Ok(key));
        assert_eq!(
            opened("test -z \"$FORESTAGE_CACHE$TERM$DISPLAY\" && printf x").unwrap_err().find("1 bytes"),
            Some(12)
        );
        for (script, reason) in [
            (
                "echo 'gpg: decryption failed: No secret key' >&2; exit 2",
                "gpg failed (exit status: 2); it said: gpg: decryption failed: No secret key",
            ),
            ("exit 0", "gpg printed 0 bytes, and a data key has 32; it said: nothing"),
            (
                "printf garbage; echo '\u{1b}c' >&2",
                "gpg printed 7 bytes, and a data key has 32; it said: \u{fffd}c",
            ),
            ("kill -9 $$", "gpg failed (signal: 9 (SIGKILL)); it said: nothing"),
        ] {
            assert_eq!(opened(script), Err(reason.into()), "{script}");
        }
        assert!(opened("cat /dev/zero").unwrap_err().ends_with("prints more than 65536 bytes"));
        let missing = Gpg::new("/nonexistent/gpg", &home.0).open(b"").unwrap_err();
        assert_eq!(missing, "/nonexistent/gpg is not installed, or not in PATH (see SOPS_GPG_EXEC)");
        assert!(missing.next_step("").is_some_and(|step| step.contains("SOPS_GPG_EXEC")));
        let homeless = Gpg::new("true", "/nonexistent").open(b"").unwrap_err();
        assert_eq!(homeless, "the GnuPG home /nonexistent is no directory");
    }

    #[test]
    fn time_is_limited_for_all_runs_together() {
        let home = Home::new("hangs");
        let gpg = home.gpg("echo thinking >&2; sleep 100");
        // As if much of it had been spent.
        *gpg.spent.lock().unwrap() = Duration::from_millis(7700);
        let start = Instant::now();
        let reason = gpg.open(b"").unwrap_err();
        assert!(reason.ends_with("gpg did not end within 0 s; it said: thinking"), "{reason}");
        assert_eq!(gpg.open(b"").unwrap_err(), "gpg has no time left: 10 s were spent on other entries");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }

    #[test]
    fn paths_of_gpgconf() {
        for (written, path) in [("/a/b", "/a/b"), ("/a%3ab%25", "/a:b%"), ("%", "%"), ("%zz%2", "%zz%2")] {
            assert_eq!(unescape(written.as_bytes()), path.as_bytes());
        }
    }
}

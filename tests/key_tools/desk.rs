//! A directory for one test, and commands that run in it.

use std::{
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::program;

/// A directory that goes when the test ends.
pub struct Desk {
    pub path: PathBuf,
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("forestage-key-tools-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path.join(name)).unwrap()
    }

    /// Runs forestage with these arguments here.
    #[track_caller]
    pub fn forestage(&self, arguments: &[&str]) -> Run {
        self.run(program::path(), arguments, "")
    }

    /// Runs a program here, which reads `input`.
    #[track_caller]
    pub fn run(&self, program: impl AsRef<Path>, arguments: &[&str], input: &str) -> Run {
        self.run_in(program.as_ref(), None, arguments, input, &[])
    }

    /// The same, with `name` in the place of the program's own name, and with more variables.
    #[track_caller]
    pub fn run_in(
        &self,
        program: &Path,
        name: Option<&str>,
        arguments: &[&str],
        input: &str,
        environment: &[(&str, &str)],
    ) -> Run {
        let mut command = Command::new(program);
        if let Some(name) = name {
            command.arg0(name);
        }
        let mut child = command
            .args(arguments)
            .current_dir(&self.path)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.path)
            .env("TZ", "UTC")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read closes the pipe.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        Run {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}

impl Run {
    #[track_caller]
    pub fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn prints(self, part: &str) -> Self {
        assert!(self.stdout.contains(part), "{part:?} is not in {self:?}");
        self
    }

    #[track_caller]
    pub fn says(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "{part:?} is not in {self:?}");
        self
    }
}

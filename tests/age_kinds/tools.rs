//! The programs that make keys and ciphertexts: real age and ssh-keygen.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Says something past the capture of the test harness.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A program of age 1.3.1, or `None` with a note of what is skipped.
fn age_program(name: &'static str, known: &'static OnceLock<Option<PathBuf>>) -> Option<PathBuf> {
    known
        .get_or_init(|| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/go-program");
            let output = Command::new(script).args([&format!("filippo.io/age/cmd/{name}"), "1.3.1"]).output();
            let output = output.map_err(|error| error.to_string()).and_then(|output| {
                if output.status.success() {
                    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
                } else {
                    Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned())
                }
            });
            output.map_err(|reason| say(&format!("SKIPPED age_kinds without {name}: {reason}"))).ok()
        })
        .clone()
}

pub fn age() -> Option<PathBuf> {
    static KNOWN: OnceLock<Option<PathBuf>> = OnceLock::new();
    age_program("age", &KNOWN)
}

pub fn age_keygen() -> Option<PathBuf> {
    static KNOWN: OnceLock<Option<PathBuf>> = OnceLock::new();
    age_program("age-keygen", &KNOWN)
}

pub fn batchpass() -> Option<PathBuf> {
    static KNOWN: OnceLock<Option<PathBuf>> = OnceLock::new();
    age_program("age-plugin-batchpass", &KNOWN)
}

/// Is the program there? If not, says what is skipped.
pub fn have(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&paths).any(|path| path.join(program).exists());
    if !there {
        say(&format!("SKIPPED age_kinds without {program}"));
    }
    there
}

/// Standard output of a command that has to succeed, given this input.
pub fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may print before it has read all of its input, or not read it at all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// As [`output`], for text without its last line end.
pub fn text(command: &mut Command) -> String {
    String::from_utf8(output(command, b"")).unwrap().trim_end().to_owned()
}

/// A directory of its own, removed at the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("forestage-age-kinds-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

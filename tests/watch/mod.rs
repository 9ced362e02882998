//! Runs commands under tests/tools/watch.c, which is compiled when it is first needed.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// What watch.c is to do with the command.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code)] // each test uses its part
pub enum Watch<'p> {
    /// End it after so many seconds.
    Limit(u32),
    /// Count its system calls.
    Count,
    /// Kill it at that system call, counted from 1.
    Kill(u64),
    /// Write its memory to this file when it ends.
    Dump(&'p Path),
}

/// How the command ended, and what it took.
#[derive(Debug, Clone, Default)]
#[allow(dead_code)]
pub struct Report {
    /// `exit`, `signal`, `limit` or `killed`.
    pub end: String,
    /// Exit status, or the number of the signal.
    pub status: i32,
    /// System calls.
    pub calls: u64,
    /// Time by the clock.
    pub wall_us: u64,
    /// User and system time.
    pub cpu_us: u64,
    /// Largest resident set.
    pub peak_kib: u64,
    /// The number of the system call at which it was killed.
    pub nr: i64,
}

/// A command that is to be watched: watch.c's own command line, with the report at `report`.
pub fn watched(watch: Watch, report: &Path, command: &[OsString]) -> Command {
    let mut watched = Command::new(program());
    match watch {
        Watch::Limit(seconds) => watched.args(["limit", &seconds.to_string()]),
        Watch::Count => watched.arg("count"),
        Watch::Kill(call) => watched.args(["kill", &call.to_string()]),
        Watch::Dump(file) => watched.arg("dump").arg(file),
    };
    watched.arg(report).args(command);
    watched
}

/// Reads what watch.c wrote.
pub fn read_report(path: &Path) -> Report {
    let text = fs::read_to_string(path).expect("a report of watch.c");
    let field = |name: &str| {
        let mut fields = text.split_whitespace().filter_map(|part| part.split_once('='));
        fields.find(|(field, _)| *field == name).map_or("", |(_, value)| value)
    };
    let number = |name: &str| field(name).parse().unwrap_or_default();
    Report {
        end: field("end").to_owned(),
        status: field("status").parse().expect("a status"),
        calls: number("calls"),
        wall_us: number("wall_us"),
        cpu_us: number("cpu_us"),
        peak_kib: number("peak_kib"),
        nr: field("nr").parse().unwrap_or(-1),
    }
}

/// The compiled watch.c.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = directory.join("watch");
        // Tests are processes of their own and may run at once: each compiles, the last rename stays.
        let fresh = directory.join(format!("watch.{}", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/watch.c");
        let compiled = Command::new("cc").args(["-O2", "-o"]).arg(&fresh).arg(source).status();
        assert!(compiled.is_ok_and(|status| status.success()), "a C compiler (cc) is needed for {source}");
        fs::rename(&fresh, &program).expect("the compiled watch.c");
        program
    })
}

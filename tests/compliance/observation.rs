//! What a run leaves behind, as text that can be compared.

use std::{
    fmt::Write,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

/// What the programs keep in the mount point for themselves: the original its identities, ours its record.
pub const OWN_FILES: [&str; 2] = ["age-keys.txt", ".forestage"];
/// What a machine has before a run.
const FURNITURE: [&str; 5] = ["/run/bin", "/run/sops", "/run/home", "/run/manifest.json", "/run/nixos"];

/// What one run left behind, by aspect.
#[derive(Debug, PartialEq, Eq)]
pub struct Observation(Vec<(&'static str, String)>);

impl Observation {
    /// What is to be seen now, after a run with this status and output.
    pub fn now(status: i32, stdout: &str) -> Self {
        Self(vec![
            ("status", status.to_string()),
            ("stdout", stdout.to_owned()),
            ("tree", tree("/run")),
            ("units", tree("/run/nixos")),
            ("mounts", mounts()),
        ])
    }

    /// The aspects in which two observations differ, with what differs.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String)> {
        let both = self.0.iter().zip(&other.0).filter(|(ours, theirs)| ours != theirs);
        both.map(|((aspect, ours), (_, theirs))| (*aspect, unlike_lines(ours, theirs))).collect()
    }
}

fn unlike_lines(ours: &str, theirs: &str) -> String {
    let only = |mark: &str, here: &str, there: &str| {
        let there: Vec<&str> = there.lines().collect();
        let lines = here.lines().filter(|line| !there.contains(line));
        lines.map(|line| ["    ", mark, " ", line, "\n"].concat()).collect::<Vec<_>>().concat()
    };
    only("ours    ", ours, theirs) + &only("original", theirs, ours)
}

/// Everything below a directory, one line each, without what a machine has before a run.
pub fn tree(directory: &str) -> String {
    let mut told = String::new();
    walk(Path::new(directory), &mut told);
    told
}

/// One line for everything below `directory`, sorted by name.
fn walk(directory: &Path, told: &mut String) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let text = path.display().to_string();
        if FURNITURE.contains(&text.as_str())
            || path.file_name().is_some_and(|name| is_own(&name.to_string_lossy()))
        {
            continue;
        }
        let facts = fs::symlink_metadata(&path).unwrap();
        let kind = facts.file_type();
        let content = match () {
            () if kind.is_dir() => "directory".to_owned(),
            () if kind.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
            () if kind.is_file() => format!("{:?}", String::from_utf8_lossy(&fs::read(&path).unwrap())),
            () if kind.is_fifo() => "fifo".to_owned(),
            () => "other".to_owned(),
        };
        let mode = if kind.is_symlink() { 0 } else { facts.mode() & 0o7777 };
        writeln!(told, "{text} {mode:04o} {}:{} {content}", facts.uid(), facts.gid()).unwrap();
        if kind.is_dir() {
            walk(&path, told);
        }
    }
}

fn is_own(name: &str) -> bool {
    OWN_FILES.contains(&name)
}

/// What is mounted below /run, in that order: where, its type and its options, sorted.
pub fn mounts() -> String {
    let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let told: Vec<String> = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (place, kind, options) = (words.next()?, words.next()?, words.next()?);
            let mut options: Vec<&str> = options.split(',').filter(|option| *option != "inode64").collect();
            options.sort_unstable();
            place.starts_with("/run/").then(|| format!("{place} {kind} {}\n", options.join(",")))
        })
        .collect();
    told.concat()
}

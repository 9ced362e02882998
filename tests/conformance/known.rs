//! `known-differences.txt`: where forestage and sops differ on purpose.
//!
//! A line is a name of checks, in which `*` stands for any text, then a blank and the reason. It allows that we open what
//! sops refuses, as long as the bytes are those that sops gives with `--ignore-mac` or that the case says, or refuse what
//! sops opens.

use std::sync::atomic::{AtomicBool, Ordering};

pub struct Known(Vec<(String, AtomicBool)>);

impl Known {
    pub fn load() -> Self {
        let lines = include_str!("known-differences.txt").lines();
        let lines = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Known(
            lines
                .map(|line| {
                    let (pattern, reason) = line.split_once(' ').unwrap_or((line, ""));
                    assert!(!reason.trim().is_empty(), "known-differences.txt: {pattern} has no reason");
                    (pattern.to_owned(), AtomicBool::new(false))
                })
                .collect(),
        )
    }

    /// Whether a difference at this check is listed.
    pub fn allows(&self, name: &str) -> bool {
        let listed = self.0.iter().find(|(pattern, _)| fits(pattern, name));
        listed.inspect(|(_, used)| used.store(true, Ordering::Relaxed)).is_some()
    }

    /// The listed names at which nothing differed.
    pub fn unused(&self) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(_, used)| !used.load(Ordering::Relaxed))
            .map(|(pattern, _)| pattern.as_str())
            .collect()
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|at| name.get(at..).is_some_and(|tail| fits(rest, tail)))
        }),
    }
}

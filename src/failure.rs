//! What went wrong, with facts and the next step.
//!
//! A failure is a value. It reads: a headline, the facts (what was tried, on what, why each try failed), and the
//! fix. It never holds bytes of a secret: whoever makes one names keys, lines and lengths, not values.

use std::fmt;

/// Why an operation failed, for people and, by [`Kind`], for the exit status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// What the exit status is decided by.
    pub kind: Kind,
    /// One line, without a final full stop.
    pub headline: String,
    /// Label and text of each fact, in the order of telling. A text may have several lines.
    pub facts: Vec<(String, String)>,
    /// The next step: a command or a change, if there is one.
    pub fix: Option<String>,
}

/// The classes of failure that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// No identity of this machine opens the file.
    NoIdentity,
    /// What was examined is older than what is declared.
    Stale,
    /// Anything else.
    Other,
}

/// The result of anything that can fail for a reason worth telling.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure with a headline and nothing else yet.
    pub fn new(headline: impl Into<String>) -> Self {
        Self { kind: Kind::Other, headline: headline.into(), facts: Vec::new(), fix: None }
    }

    /// A system call on `path` failed: "cannot <verb> <path>: <reason>".
    pub fn io(verb: &str, path: impl AsRef<std::path::Path>, error: impl fmt::Display) -> Self {
        Self::new(format!("cannot {verb} {}: {error}", path.as_ref().display()))
    }

    /// The same failure in another class.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds a fact behind those already there.
    #[must_use]
    pub fn fact(mut self, label: &str, text: impl fmt::Display) -> Self {
        self.facts.push((label.to_owned(), text.to_string()));
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// The headline, then one indented line a fact with the texts aligned, then the fix.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)?;
        let labels =
            self.facts.iter().map(|(label, _)| label.as_str()).chain(self.fix.as_ref().map(|_| "fix"));
        let width = labels.map(|label| label.chars().count()).max().unwrap_or(0);
        let fix = self.fix.as_ref().map(|fix| ("fix", fix.as_str()));
        for (label, text) in self.facts.iter().map(|(l, t)| (l.as_str(), t.as_str())).chain(fix) {
            let mut label = format!("{label}:");
            for line in text.lines() {
                write!(f, "\n  {label:<0$} {line}", width + 1)?;
                label.clear();
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_aligned_and_the_fix_comes_last() {
        let failure = Failure::new("cannot open web.yaml")
            .fact("encrypted to", "age1aa\nage1bb")
            .fact("tried", "/key")
            .fix("add age1cc");
        let told = "cannot open web.yaml\n  encrypted to: age1aa\n                age1bb\n  tried:        /key\n  fix:          add age1cc";
        assert_eq!(failure.to_string(), told);
    }
}

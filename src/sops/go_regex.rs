//! Regular expressions in Go's syntax (placeholder over regex-lite).

/// A pattern in Go's syntax.
pub struct Regex(regex_lite::Regex);

impl Regex {
    /// `None` if Go would not take the pattern either.
    #[must_use]
    pub fn new(pattern: &str) -> Option<Self> {
        regex_lite::Regex::new(pattern).ok().map(Self)
    }

    /// Does the pattern match anywhere in `text`?
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| self.0.is_match(text))
    }
}

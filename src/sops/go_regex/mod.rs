//! Go's regular expressions, as far as sops's selectors use them: does a pattern match somewhere in a text.
//!
//! sops hands its selectors to Go's `regexp.Match`, so the pattern language, the patterns that are refused, the
//! Unicode tables and the treatment of bytes that are not UTF-8 are Go's (1.26). Matching takes time linear in the
//! text, whatever the pattern. Beyond Go's own limits there are lower ones on size: a pattern that compiles to more
//! than a million instructions or nests 10,000 groups is refused here and accepted by Go.

mod escape;
#[cfg(test)]
mod go_says;
mod parse;
mod program;
mod set;
mod shape;
mod unicode;

/// A compiled pattern.
#[derive(Debug)]
pub struct Regex(program::Program);

impl Regex {
    /// Compiles a pattern. `None` when Go refuses it; sops then goes on as if it never matched.
    #[must_use]
    pub fn new(pattern: &str) -> Option<Self> {
        parse::parse(pattern).map(Regex)
    }

    /// Whether the pattern matches somewhere in the text. Each byte that is not part of valid UTF-8 counts as U+FFFD.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }

    /// Whether matching has used up its allowance, some tenths of a second for all texts together. `is_match` may then have
    /// said false wrongly, so what depends on it has to fail. Only patterns of hundreds of simultaneous
    /// possibilities, or of 100,000 characters, on much text get here.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.0.is_exhausted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_agrees() {
        for pattern in go_says::REFUSED {
            assert!(Regex::new(pattern).is_none(), "{pattern:?} is refused");
        }
        for (pattern, matches, others) in go_says::CASES {
            let regex = Regex::new(pattern).unwrap_or_else(|| panic!("{pattern:?} is not refused"));
            for text in *matches {
                assert!(regex.is_match(text), "{pattern:?} matches in {text:?}");
            }
            for text in *others {
                assert!(!regex.is_match(text), "{pattern:?} does not match in {text:?}");
            }
        }
    }

    #[test]
    fn nesting_and_size_have_go_s_limits() {
        // (opening, middle, closing, deepest that Go accepts)
        let cases =
            [("(", "a", ")", 999), ("(", "ab*", ")", 997), ("(", "a|b", ")", 999), ("(?:", "a", ")*", 999)];
        for (open, middle, close, deepest) in cases {
            let nested = |depth| format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
            assert!(Regex::new(&nested(deepest)).is_some(), "{open}{middle}{close} {deepest}");
            assert!(Regex::new(&nested(deepest + 1)).is_none(), "{open}{middle}{close} {deepest} and one");
        }
        assert!(Regex::new(&format!("{}a{}", "(?:".repeat(3000), ")".repeat(3000))).is_some());
        assert!(Regex::new(&"a{1000}".repeat(5000)).is_none());
        assert!(Regex::new(&"(".repeat(1 << 20)).is_none());
    }

    #[test]
    fn a_costly_pattern_ends_and_says_so() {
        let regex = Regex::new("(?:x?){1000}z").unwrap();
        let text = vec![b'x'; 1 << 20];
        assert!(!regex.is_match(&text));
        assert!(regex.is_exhausted());
        let long = Regex::new(&"y".repeat(900_000)).unwrap();
        assert!(!long.is_match(&text));
        assert!(long.is_exhausted());
        let ordinary = Regex::new("^(data|stringData)$").unwrap();
        assert!(!ordinary.is_match(&text));
        assert!(!ordinary.is_exhausted());
    }
}

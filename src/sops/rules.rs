//! Which leaves of a document are encrypted.
//!
//! A file has one selector. Whether it holds for a leaf depends on the keys above it or on the comments that are in
//! force there, so a [`Scope`] is carried down the tree: each key and each comment is tested once, however many
//! leaves stand below. Facts: sops-format.md 3.

use super::go_regex::Regex;

/// The one selector of a file. A regex that Go would not take is `None` and never matches.
#[derive(Debug)]
pub enum Selector {
    /// A key on the path ends with it: not encrypted.
    UnencryptedSuffix(Vec<u8>),
    /// Some key on the path must end with it.
    EncryptedSuffix(Vec<u8>),
    /// A key on the path matches: not encrypted.
    UnencryptedRegex(Option<Regex>),
    /// Some key on the path must match.
    EncryptedRegex(Option<Regex>),
    /// A comment in force matches: not encrypted.
    UnencryptedCommentRegex(Option<Regex>),
    /// Some comment in force must match.
    EncryptedCommentRegex(Option<Regex>),
}

impl Default for Selector {
    fn default() -> Self {
        Self::UnencryptedSuffix(b"_unencrypted".to_vec())
    }
}

/// What has been found on the way to one place in the tree: in a mapping or list, or at a leaf of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope {
    /// A key on the path matches.
    path: bool,
    /// A comment that is in force for an outer entry matches.
    outer: bool,
    /// A comment in front of the next entry of this container matches.
    here: bool,
}

impl Selector {
    /// Are comments what decides?
    #[must_use]
    pub fn reads_comments(&self) -> bool {
        matches!(self, Self::UnencryptedCommentRegex(_) | Self::EncryptedCommentRegex(_))
    }

    /// Whether its regex cost so much that what it said is not to be trusted.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        match self {
            Self::UnencryptedSuffix(_) | Self::EncryptedSuffix(_) => false,
            Self::UnencryptedRegex(regex)
            | Self::EncryptedRegex(regex)
            | Self::UnencryptedCommentRegex(regex)
            | Self::EncryptedCommentRegex(regex) => regex.as_ref().is_some_and(Regex::is_exhausted),
        }
    }

    /// The scope of the value below `key`.
    #[must_use]
    pub fn at_key(&self, scope: Scope, key: &[u8]) -> Scope {
        let matches = |regex: &Option<Regex>| regex.as_ref().is_some_and(|regex| regex.is_match(key));
        let path = scope.path
            || match self {
                Self::UnencryptedSuffix(suffix) | Self::EncryptedSuffix(suffix) => key.ends_with(suffix),
                Self::UnencryptedRegex(regex) | Self::EncryptedRegex(regex) => matches(regex),
                Self::UnencryptedCommentRegex(_) | Self::EncryptedCommentRegex(_) => false,
            };
        Scope { path, ..scope }
    }

    /// The scope inside a container that stands at `scope`.
    #[must_use]
    pub fn inside(&self, scope: Scope) -> Scope {
        Scope { path: scope.path, outer: scope.outer || scope.here, here: false }
    }

    /// Passes a comment, as stored, and says whether the comment itself is encrypted.
    pub fn comment(&self, scope: &mut Scope, text: &[u8]) -> bool {
        let before = self.encrypts(*scope);
        match self {
            Self::UnencryptedCommentRegex(Some(regex)) | Self::EncryptedCommentRegex(Some(regex)) => {
                scope.here = scope.here || regex.is_match(text);
            }
            _ => return before,
        }
        // The marker itself stays plain: it counts when it says "plain", and not yet when it says "encrypted".
        before && self.encrypts(*scope)
    }

    /// Passes an entry that is no comment: the comments before it have had their effect.
    pub fn entry(&self, scope: &mut Scope) {
        scope.here = false;
    }

    /// Is a leaf at this place encrypted?
    #[must_use]
    pub fn encrypts(&self, scope: Scope) -> bool {
        match self {
            Self::UnencryptedSuffix(_) | Self::UnencryptedRegex(_) => !scope.path,
            Self::EncryptedSuffix(_) | Self::EncryptedRegex(_) => scope.path,
            Self::UnencryptedCommentRegex(_) => !(scope.outer || scope.here),
            Self::EncryptedCommentRegex(_) => scope.outer || scope.here,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Option<Regex> {
        Regex::new(pattern)
    }

    #[test]
    fn keys() {
        let under = |selector: &Selector, path: &[&str]| {
            let scope = path
                .iter()
                .fold(Scope::default(), |scope, key| selector.inside(selector.at_key(scope, key.as_bytes())));
            selector.encrypts(scope)
        };
        for (selector, path, encrypted) in [
            (Selector::default(), &["a"][..], true),
            (Selector::default(), &["a_unencrypted", "b"], false),
            (Selector::default(), &["a_unencrypted_"], true),
            (Selector::default(), &[], true),
            (Selector::EncryptedSuffix(b"_enc".to_vec()), &["a_enc", "b"], true),
            (Selector::EncryptedSuffix(b"_enc".to_vec()), &["a", "b"], false),
            (Selector::EncryptedSuffix(b"_enc".to_vec()), &[], false),
            (Selector::UnencryptedRegex(regex("^b")), &["ab", "c"], true),
            (Selector::UnencryptedRegex(regex("^b")), &["a", "bc", "d"], false),
            (Selector::EncryptedRegex(regex("b$")), &["ab", "c"], true),
            (Selector::EncryptedRegex(regex("b$")), &["c"], false),
            (Selector::UnencryptedRegex(None), &["a"], true),
            (Selector::EncryptedRegex(None), &["a"], false),
        ] {
            assert_eq!(under(&selector, path), encrypted, "{path:?}");
        }
    }

    #[test]
    fn comments_hold_for_the_next_entry_and_all_inside_it() {
        for (selector, plain) in [
            (Selector::UnencryptedCommentRegex(regex("mark")), true),
            (Selector::EncryptedCommentRegex(regex("mark")), false),
        ] {
            let mut scope = Scope::default();
            // Without a marker, everything is encrypted by the one selector and nothing by the other.
            assert_eq!(selector.comment(&mut scope, b"note"), plain);
            assert_eq!(selector.encrypts(scope), plain);
            // The marker itself is plain in any case.
            assert!(!selector.comment(&mut scope, b"mark"));
            assert_eq!(selector.comment(&mut scope, b"note"), !plain);
            assert_eq!(selector.encrypts(scope), !plain);
            let mut inner = selector.inside(selector.at_key(scope, b"key"));
            selector.entry(&mut inner);
            assert_eq!(selector.encrypts(inner), !plain);
            assert_eq!(selector.comment(&mut inner, b"mark"), !plain);
            selector.entry(&mut scope);
            assert_eq!(selector.encrypts(scope), plain);
        }
    }
}

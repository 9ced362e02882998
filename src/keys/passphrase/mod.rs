//! Passphrases.

/// Why a passphrase does not open something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is another passphrase.
    Wrong,
    /// No passphrase would open it, and why.
    Damaged(&'static str),
}

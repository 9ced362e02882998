//! `forestage keys`: the identities of this machine, and the keys that sops files are encrypted to.
//!
//! One file a subcommand.

#[cfg(feature = "key-tools")]
pub mod diff;
pub mod list;
#[cfg(feature = "key-tools")]
mod updatekeys;
#[cfg(feature = "key-tools")]
mod wanted;

use crate::failure::Result;

use super::{Status, console::Console};

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// `keys`, `keys list`.
    List(list::Options),
    /// `keys diff`.
    #[cfg(feature = "key-tools")]
    Diff(diff::Options),
}

/// Runs a subcommand.
pub fn run(action: &Action, console: &Console) -> Result<Status> {
    match action {
        Action::List(options) => list::run(options, console),
        #[cfg(feature = "key-tools")]
        Action::Diff(options) => diff::run(options, console),
    }
}

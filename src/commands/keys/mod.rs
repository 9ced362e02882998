//! `forestage keys`: the identities of this machine, and the keys that sops files are encrypted to.
//!
//! One file a subcommand.

#[cfg(feature = "key-tools")]
pub mod diff;
#[cfg(feature = "key-tools")]
pub mod key_file;
pub mod list;
#[cfg(feature = "key-tools")]
pub mod new;
#[cfg(feature = "key-tools")]
pub mod new_gnupg;
#[cfg(feature = "key-tools")]
pub mod public;
#[cfg(feature = "key-tools")]
pub mod ssh_to_age;
#[cfg(feature = "key-tools")]
pub mod ssh_to_pgp;
#[cfg(feature = "key-tools")]
mod updatekeys;
#[cfg(feature = "key-tools")]
mod wanted;

use crate::{failure::Result, stack};

use super::{Status, console::Console};

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// `keys`, `keys list`.
    List(list::Options),
    /// `keys diff`.
    #[cfg(feature = "key-tools")]
    Diff(diff::Options),
    /// `keys new`.
    #[cfg(feature = "key-tools")]
    New(new::Options),
    /// `keys new --openpgp`.
    #[cfg(feature = "key-tools")]
    NewGnupg(new_gnupg::Options),
    /// `keys public`.
    #[cfg(feature = "key-tools")]
    Public(public::Options),
    /// `keys ssh-to-age`.
    #[cfg(feature = "key-tools")]
    SshToAge(ssh_to_age::Options),
    /// `keys ssh-to-pgp`.
    #[cfg(feature = "key-tools")]
    SshToPgp(ssh_to_pgp::Options),
}

/// Runs a subcommand.
pub fn run(action: &Action, console: &Console) -> Result<Status> {
    stack::goes_deep();
    match action {
        Action::List(options) => list::run(options, console),
        #[cfg(feature = "key-tools")]
        Action::Diff(options) => diff::run(options, console),
        #[cfg(feature = "key-tools")]
        Action::New(options) => new::run(options, console),
        #[cfg(feature = "key-tools")]
        Action::NewGnupg(options) => new_gnupg::run(options, console),
        #[cfg(feature = "key-tools")]
        Action::Public(options) => public::run(options, console),
        #[cfg(feature = "key-tools")]
        Action::SshToAge(options) => ssh_to_age::run(options, console),
        #[cfg(feature = "key-tools")]
        Action::SshToPgp(options) => ssh_to_pgp::run(options, console),
    }
}

//! The binary from outside, in the place of sops-install-secrets.
//!
//! A test is a story: manifests are installed on a machine of its own, and the outcome is looked at. When
//! `SOPS_INSTALL_SECRETS` names a real sops-install-secrets, each story of `both` also happens on a second machine
//! with that program, and what the two leave behind must be the same. Where it is not, and may not be,
//! `known-differences.txt` says why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// A machine is a state of the thread, so that what is done on it needs no field of it.
#![allow(clippy::unused_self)]

mod known_differences; // where we differ from the original, and why
mod machine; // a mount namespace with its own /run, /etc/passwd and fixtures
mod manifest; // manifests as JSON text
mod observation; // what a run leaves behind
mod story; // tells a story with ours and with the original

mod checks; // -check-mode
mod command_line; // flags, usage, exit statuses
mod dry_runs; // dry-activate, --dry-run
mod failures; // one bad secret among good ones
mod generations; // numbers, pruning, mounts, leftovers
mod identities; // age keys, ssh keys
mod interruptions; // locks, kills, records
mod landing; // first install, changes, removals, names
mod links; // links at `path`
mod logging; // lines on stdout
mod manifests; // variations of the JSON
mod ownership; // owners, groups, modes, umask
mod report; // --json
mod reuse; // reuseUnchanged
mod root; // --root
mod templates; // placeholders
mod units; // restart and reload requests
mod user_mode; // %r
mod values; // formats and keys
#[path = "../program/mod.rs"]
mod program; // the program under test

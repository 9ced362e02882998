//! `forestage keys` from outside, beside the programs whose work it does: sops, age-keygen, ssh-to-age, ssh-to-pgp.
//!
//! The programs are built by the scripts in `tests/tools`, and what both sides print is compared in the same run. A
//! comparison whose program is not there says so by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod desk; // a directory for one test
mod diff; // recipients of files against those wanted
mod gnupg; // GnuPG homes that are made
mod new; // keys that are made, and their public sides
mod docs; // the examples of docs/keys.md
mod peers; // the programs that we compare with
#[path = "../program/mod.rs"]
mod program; // the program under test
#[allow(dead_code, reason = "what the conformance suite needs of it is not all needed here")]
#[path = "../conformance/tools.rs"]
mod tools; // finds and builds programs
mod ssh_to_age; // beside the real ssh-to-age
mod ssh_to_pgp; // beside the real ssh-to-pgp

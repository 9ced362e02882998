//! The programs that we compare with, each built once. A test whose program is not there says so and ends.

use std::{io::Write, path::Path, process::Command, sync::OnceLock};

use crate::tools;

type Built = Result<std::path::PathBuf, String>;

pub fn sops(test: &str) -> Option<&'static Path> {
    static SOPS: OnceLock<Built> = OnceLock::new();
    given(SOPS.get_or_init(|| tools::sops(tools::WRITERS[0])), test)
}

pub fn age_keygen(test: &str) -> Option<&'static Path> {
    static AGE_KEYGEN: OnceLock<Built> = OnceLock::new();
    given(AGE_KEYGEN.get_or_init(tools::age_keygen), test)
}

pub fn age(test: &str) -> Option<&'static Path> {
    static AGE: OnceLock<Built> = OnceLock::new();
    given(AGE.get_or_init(tools::age), test)
}

pub fn ssh_to_age(test: &str) -> Option<&'static Path> {
    static SSH_TO_AGE: OnceLock<Built> = OnceLock::new();
    given(SSH_TO_AGE.get_or_init(tools::ssh_to_age), test)
}

/// The one that `SSH_TO_PGP` names, else that of the module proxy, which not every proxy has.
pub fn ssh_to_pgp(test: &str) -> Option<&'static Path> {
    static SSH_TO_PGP: OnceLock<Built> = OnceLock::new();
    let built = || match std::env::var_os("SSH_TO_PGP").filter(|path| !path.is_empty()) {
        Some(path) => Ok(path.into()),
        None => tools::ssh_to_pgp(),
    };
    given(SSH_TO_PGP.get_or_init(built), test)
}

/// Whether gpg is there.
pub fn gpg(test: &str) -> bool {
    let found = Command::new("gpg").arg("--version").output().is_ok();
    if !found {
        skip(test, "there is no gpg");
    }
    found
}

/// Whether ssh-keygen is there.
pub fn ssh_keygen(test: &str) -> bool {
    let found = Command::new("ssh-keygen").arg("-?").output().is_ok();
    if !found {
        skip(test, "there is no ssh-keygen");
    }
    found
}

fn given(built: &'static Built, test: &str) -> Option<&'static Path> {
    match built {
        Ok(path) => Some(path),
        Err(reason) => {
            skip(test, reason);
            None
        }
    }
}

/// Says that a test did not happen. Not by `println!`, which cargo swallows when a test passes.
pub fn skip(test: &str, reason: &str) {
    drop(writeln!(std::io::stderr(), "SKIPPED key_tools::{test}: {reason}"));
}

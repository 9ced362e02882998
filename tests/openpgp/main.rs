//! OpenPGP with the tools that users have: the real gpg makes keys of every kind, gpg, sops and go-crypto encrypt to
//! them, and the library opens each message from exported keys, from the GnuPG home, from the old keyring, and through gpg.
//!
//!     cargo test --test openpgp [-- WORD...]     only checks whose name contains one of the words
//!     FORESTAGE_CACHE=DIR   where sops, the Go programs and GnuPG 2.4 are kept (default target/cache)
//!     SSH_TO_PGP=PATH       an ssh-to-pgp to compare with (default: from the Go module proxy)
//!     GPG24=PATH            a gpg of version 2.4 to take beside that of PATH (default: Debian's, into the cache)
//!
//! Keys are made for the run and lie on a RAM file system meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at once"
)]
#![allow(missing_docs, reason = "nobody links to a test")]

#[cfg(feature = "openpgp")]
mod checks;
#[cfg(feature = "openpgp")]
mod gnupg;
#[cfg(feature = "openpgp")]
mod modern;
#[cfg(feature = "openpgp")]
mod tools;

#[cfg(not(feature = "openpgp"))]
fn main() {
    println!("SKIPPED openpgp: this build has no OpenPGP");
}

#[cfg(feature = "openpgp")]
fn main() {
    if !run() {
        std::process::exit(101);
    }
}

/// Runs the checks, with each gpg; whether all passed.
#[cfg(feature = "openpgp")]
fn run() -> bool {
    use std::{cell::OnceCell, panic, path::PathBuf, time::Instant};

    use checks::{Check, Stage};
    use gnupg::Gnupg;

    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let started = Instant::now();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        std::env::split_paths(&path).map(|directory| directory.join("gpg")).find(|gpg| gpg.is_file());
    let installed = installed.and_then(Gnupg::at);
    let modern = match &installed {
        Some(gnupg) if gnupg.is_modern() => None,
        _ => Some(tools::gnupg24().and_then(|gpg: PathBuf| {
            Gnupg::at(&gpg).ok_or_else(|| format!("{} does not run", gpg.display()))
        })),
    };
    let mut all = vec![installed.ok_or_else(|| "gpg is not installed".to_owned())];
    all.extend(modern);
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (at, gnupg) in all.iter().enumerate() {
        // Made when the first check needs it.
        let stage = OnceCell::new();
        let stage =
            || gnupg.as_ref().map(|gnupg| stage.get_or_init(|| Stage::new(gnupg))).map_err(String::clone);
        let is_last = at + 1 == all.len();
        let version = gnupg.as_ref().map_or("?", |gnupg| &gnupg.version);
        for (name, check) in checks::ALL {
            let elsewhere = match check {
                Check::Alone(_) | Check::ModernGpg(_) => !is_last,
                _ => false,
            };
            if elsewhere || !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
                continue;
            }
            let result = panic::catch_unwind(panic::AssertUnwindSafe(|| match check {
                Check::Gpg(check) | Check::ModernGpg(check) => stage().map(check),
                Check::GpgAndMore(check) => check(stage()?),
                Check::Alone(check) => check(),
            }));
            match result {
                Ok(Ok(())) => {
                    println!("test {name} (gpg {version}) ... ok");
                    passed += 1;
                }
                Ok(Err(reason)) => {
                    println!("SKIPPED openpgp::{name} (gpg {version}): {reason}");
                    skipped += 1;
                }
                Err(_) => {
                    println!("test {name} (gpg {version}) ... FAILED");
                    failed += 1;
                }
            }
        }
    }
    println!("openpgp: {:.1?}", started.elapsed());
    println!(
        "test result: {}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; 0 filtered out",
        if failed == 0 { "ok" } else { "FAILED" },
    );
    failed == 0
}

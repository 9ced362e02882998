//! OpenPGP with the tools that users have: the real gpg makes keys of every kind, gpg, sops and go-crypto encrypt to
//! them, and the library opens each message from exported keys, from the GnuPG home, from the old keyring, and through gpg.
//!
//!     cargo test --test openpgp [-- WORD...]     only checks whose name contains one of the words
//!     FORESTAGE_CACHE=DIR   where sops and the Go programs are kept (default target/cache)
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

/// Runs the checks; whether all passed.
#[cfg(feature = "openpgp")]
fn run() -> bool {
    use std::{cell::OnceCell, panic, process::Command, time::Instant};

    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let started = Instant::now();
    let has_gpg = ["gpg", "gpgconf"]
        .iter()
        .all(|name| Command::new(name).arg("--version").output().is_ok_and(|said| said.status.success()));
    // Made when the first check needs it.
    let stage = OnceCell::new();
    let stage = || has_gpg.then(|| stage.get_or_init(checks::Stage::new));
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, check) in checks::ALL {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            let gpg = || stage().ok_or("gpg is not installed");
            match check {
                checks::Check::Gpg(check) => gpg().map(check).map_err(str::to_owned),
                checks::Check::GpgAndMore(check) => check(gpg()?),
                checks::Check::Alone(check) => check(),
            }
        }));
        match result {
            Ok(Ok(())) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Ok(Err(reason)) => {
                println!("SKIPPED openpgp::{name}: {reason}");
                skipped += 1;
            }
            Err(_) => {
                println!("test {name} ... FAILED");
                failed += 1;
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

//! Conformance with sops: real sops of three versions encrypt documents, `forestage decrypt` and `sops -d` of 3.12.2 read
//! them, and both must say the same: equal bytes and exit 0, or failure with nothing on stdout.
//!
//!     cargo test --test conformance [-- WORD...]     only checks whose name contains one of the words
//!     FORESTAGE_SEED=N      other random documents; `FORESTAGE_SEED=$RANDOM` explores
//!     FORESTAGE_RANDOM=N    how many random documents (default 400)
//!     FORESTAGE_BINARY=P    judge this program instead of the one just built
//!     FORESTAGE_CACHE=DIR   where the sops binaries are kept (default target/cache)
//!
//! Where we differ on purpose is said in `known-differences.txt`. What a failing check read and wrote is left in
//! `target/conformance/NAME/`. Keys and plaintexts are made for the run and lie on a RAM file system meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::too_many_lines,
    reason = "a test may stop at once, and holds long tables"
)]
#![allow(missing_docs, reason = "nobody links to a test")]

mod case;
mod damage;
mod documents;
mod keyring;
mod known;
mod extract;
mod random;
mod recipients;
mod scalars;
mod selectors;
mod tools;
#[path = "../program/mod.rs"]
mod program; // the program under test

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use case::{Case, Outcome, Stage};

fn main() {
    let started = Instant::now();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let stage = match Stage::prepare() {
        Ok(stage) => stage,
        Err(reason) => {
            println!("SKIPPED conformance: {reason}");
            return;
        }
    };
    for reason in &stage.missing {
        println!("SKIPPED conformance: {reason}");
    }

    // The same documents on every run, so that a change is judged by what it changes; exploring takes another seed.
    let seed = number("FORESTAGE_SEED").unwrap_or(SEED);
    println!("conformance: FORESTAGE_SEED={seed}");
    let mut cases = Vec::new();
    scalars::add(&mut cases);
    documents::add(&mut cases);
    selectors::add(&mut cases);
    recipients::add(&mut cases, &stage.keyring);
    extract::add(&mut cases);
    damage::add(&mut cases);
    random::add(&mut cases, seed, number("FORESTAGE_RANDOM").unwrap_or(400));
    for case in &mut cases {
        case.keep(&words);
    }
    cases.retain(|case| !case.checks.is_empty() && stage.has(case.writer));

    let checks: usize = cases.iter().map(|case| case.checks.len()).sum();
    println!("conformance: {checks} checks on {} documents", cases.len());
    let tally = judge(&stage, &cases);
    let unused = if words.is_empty() { stage.known.unused() } else { Vec::new() };
    for pattern in &unused {
        println!("conformance: known-differences.txt: nothing differs any more at {pattern}");
    }
    let Tally { opened, refused, salvaged, known, inapplicable, unwritten, different } = tally;
    println!(
        "conformance: {} checks: {opened} opened with the bytes of sops, {refused} refused by both, {salvaged} opened that sops wrote and cannot read, {known} known differences, \
         {different} different; {unwritten} documents that sops itself does not encrypt, {inapplicable} damages without effect; \
         {:.1?}",
        opened + refused + salvaged + known + different,
        started.elapsed()
    );
    let failed = different > 0 || !unused.is_empty();
    println!(
        "test result: {}. {} passed; {} failed; 0 ignored; 0 measured; 0 filtered out",
        if failed { "FAILED" } else { "ok" },
        opened + refused + salvaged + known,
        different + unused.len(),
    );
    drop(stage);
    if failed {
        std::process::exit(101);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[derive(Default)]
struct Tally {
    opened: usize,
    refused: usize,
    salvaged: usize,
    known: usize,
    inapplicable: usize,
    unwritten: usize,
    different: usize,
}

/// Of the random documents.
const SEED: u64 = 403_172_504;

/// Runs all cases on all cores.
fn judge(stage: &Stage, cases: &[Case]) -> Tally {
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (next, tally) = (&next, &tally);
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcomes = case.run(stage, worker);
                    let mut tally = tally.lock().unwrap();
                    for outcome in outcomes {
                        match outcome {
                            Outcome::Opened => tally.opened += 1,
                            Outcome::Refused => tally.refused += 1,
                            Outcome::Salvaged => tally.salvaged += 1,
                            Outcome::Known => tally.known += 1,
                            Outcome::Inapplicable => tally.inapplicable += 1,
                            Outcome::Unwritten => tally.unwritten += 1,
                            Outcome::Different(report) => {
                                tally.different += 1;
                                println!("{report}");
                            }
                        }
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

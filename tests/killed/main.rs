//! `forestage install`, killed at each of its system calls in turn.
//!
//! contracts.md 3 says what a kill may leave: the old generation or the new one, complete; links absent, old or new; no
//! foreign file changed; and the next run ends as if nothing had happened, restarts included. `torture` checks that
//! at every kill point of every scenario. That it would notice is checked by `saboteurs`: installers that are wrong
//! in one way each. Needs root, for mounts in a namespace of its own; without, each scenario is named as skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod machine; // a mount namespace with its own /run
mod picture; // what is below a directory
mod saboteurs; // installers that must be caught
mod scenarios; // what is killed
mod torture; // kills and judges
#[path = "../watch/mod.rs"]
mod watch; // tests/tools/watch.c
#[path = "../program/mod.rs"]
mod program; // the program under test

use std::{
    io::Write,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Instant,
};

use machine::{Machine, Program};
use torture::{Aim, Scenario, torture};

/// Written past the capture of the test harness: these lines are results.
fn say(line: &str) {
    drop(std::io::stderr().write_all(format!("killed.rs: {line}\n").as_bytes()));
}

/// On a thread of its own, since a thread's mounts stay changed.
fn on_machine<T: Send>(name: &str, work: impl FnOnce(&Machine) -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| match Machine::new(name) {
            Ok(machine) => Some(work(&machine)),
            Err(error) => {
                drop(writeln!(std::io::stderr(), "SKIPPED killed::{name}: mounting needs root: {error}"));
                None
            }
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn forestage(scenario: &Scenario) -> Program {
    let mut command = vec![program::path().into(), "install".into()];
    if !scenario.root.is_empty() {
        command.extend(["--root".into(), scenario.root.into()]);
    }
    command.push("MANIFEST".into());
    Program(command)
}

static POINTS: AtomicU64 = AtomicU64::new(0);
static FINISHED: AtomicUsize = AtomicUsize::new(0);

fn killed(scenario: &Scenario) {
    let begin = Instant::now();
    let outcome =
        on_machine(scenario.name, |machine| torture(scenario, machine, &forestage(scenario), Aim::Every));
    let finished = FINISHED.fetch_add(1, Ordering::SeqCst) + 1;
    match outcome {
        None => {}
        Some(Err(complaints)) => panic!("{}", complaints.join("\n")),
        Some(Ok(points)) => {
            let all = POINTS.fetch_add(points, Ordering::SeqCst) + points;
            say(&format!(
                "{}: {points} kill points in {:.1} s",
                scenario.name,
                begin.elapsed().as_secs_f32()
            ));
            if finished == SCENARIOS {
                say(&format!("{all} kill points in {SCENARIOS} scenarios"));
            }
        }
    }
}

/// A test a scenario.
macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test] fn $name() { killed(&scenarios::$name()); })*
        const SCENARIOS: usize = [$(stringify!($name)),*].len();
    };
}

scenarios! {
    first_run first_run_on_tmpfs update update_killed_twice update_by_systemctl removal links adopted_links templates
    directory_at_symlink_path symlink_elsewhere_at_symlink_path reuse_unchanged reuse_changed foreign_file_at_path
    kept_secret strict user_mode root two_generations leftovers other_file_system
}

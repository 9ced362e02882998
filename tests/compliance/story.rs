//! Tells a story with our program and, where there is one, with the original, each on a machine of its own.

use std::{
    any::type_name,
    collections::BTreeSet,
    env,
    io::Write,
    sync::{Once, OnceLock},
    thread,
};

use crate::{known_differences, machine::Machine, observation::Observation};

/// What happens on a machine.
type Story<'a> = &'a (dyn Fn(&mut Machine) + Sync);

/// Tells a story with ours and, if `SOPS_INSTALL_SECRETS` names it, with the original, and compares.
#[track_caller]
pub fn both<S: Fn(&mut Machine) + Sync>(story: S) {
    by_both(name_of::<S>(), &story);
}

/// Tells a story that only our program knows.
#[track_caller]
pub fn ours(story: impl Fn(&mut Machine) + Sync) {
    if can_make_machines() {
        by_ours(&story);
    }
}

#[track_caller]
fn by_both(name: &str, story: Story) {
    if !can_make_machines() {
        return;
    }
    let ours = by_ours(story);
    let Some(original) = env::var("SOPS_INSTALL_SECRETS").ok().filter(|path| !path.is_empty()) else {
        return skipped_comparison();
    };
    let (aspects, details) = differences(&ours, &told(story, &original, false));
    let known = known_differences::of(name);
    assert!(
        aspects == known,
        "{name} differs from the original in {aspects:?}, known is {known:?}\n{details}\
         If that is right, known-differences.txt gets: {name}: {}: REASON",
        aspects.iter().copied().collect::<Vec<_>>().join(" ")
    );
}

/// The story must hold for our program.
#[track_caller]
fn by_ours(story: Story) -> Vec<Observation> {
    let Ok(observations) = told(story, crate::program::path(), true) else {
        panic!("the story does not hold, see above")
    };
    observations
}

/// What was observed in a story, or what was observed until it went wrong.
fn told(story: Story, program: &str, ours: bool) -> Result<Vec<Observation>, Vec<Observation>> {
    thread::scope(|scope| {
        let teller = thread::Builder::new().name(if ours { "ours" } else { "original" }.to_owned());
        let machine = teller.spawn_scoped(scope, || {
            let mut machine = Machine::new(program, ours).expect("a machine");
            let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(&mut machine)));
            if held.is_ok() { Ok(machine.observations) } else { Err(machine.observations) }
        });
        machine.unwrap().join().expect("a machine")
    })
}

/// The aspects in which the original differs, and the lines that do.
fn differences(
    ours: &[Observation],
    theirs: &Result<Vec<Observation>, Vec<Observation>>,
) -> (BTreeSet<&'static str>, String) {
    let (mut aspects, mut details) = (BTreeSet::new(), String::new());
    let observed = theirs.as_ref().unwrap_or_else(|until_it_failed| until_it_failed);
    for (run, (ours, theirs)) in ours.iter().zip(observed).enumerate() {
        for (aspect, lines) in ours.differences(theirs) {
            aspects.insert(aspect);
            details += &["  run ", &(run + 1).to_string(), ", ", aspect, ":\n", &lines].concat();
        }
    }
    if theirs.is_err() {
        aspects.insert("story");
        details.push_str("  the story does not hold for the original (see above)\n");
    }
    (aspects, details)
}

/// Module and function of a test, from the type of the closure in it.
fn name_of<S>() -> &'static str {
    let path = type_name::<S>().trim_end_matches("::{{closure}}");
    path.strip_prefix("compliance::").unwrap_or(path)
}

/// Whether this process may make mount namespaces; if not, says so once.
fn can_make_machines() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    *POSSIBLE.get_or_init(|| {
        let tried = thread::spawn(|| Machine::new(crate::program::path(), true).map(drop)).join();
        let Err(error) = tried.expect("a machine") else { return true };
        say(&format!("SKIPPED compliance: cannot make a mount namespace ({error}); run as root"));
        false
    })
}

fn skipped_comparison() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| say("SKIPPED compliance comparison: SOPS_INSTALL_SECRETS is not set"));
}

/// Past the test harness, which swallows what a passing test prints.
fn say(line: &str) {
    let _lost_terminal = writeln!(std::io::stderr(), "{line}");
}

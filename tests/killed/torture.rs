//! Kills an installation at each of its system calls in turn, and judges what it left (contracts.md 3).
//!
//! For each kill point: the start is made anew; the run is killed there; the machine must show the old state or the
//! new one; then an undisturbed run must end exactly where it would have ended without the kill, nothing lost,
//! nothing left behind, no restart forgotten.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    machine::{Machine, Program},
    picture::{Node, Picture, difference, picture},
    watch::{Report, Watch},
};

/// A start, a run, and what is looked at.
pub struct Scenario {
    /// For messages.
    pub name: &'static str,
    /// Made on the empty machine.
    pub furnish: fn(),
    /// The manifest that has landed before.
    pub before: Option<String>,
    /// Made after that.
    pub prepare: fn(),
    /// The manifest whose landing is killed.
    pub after: String,
    /// Variables of both runs.
    pub environment: Vec<(&'static str, &'static str)>,
    /// What `--root` says, or nothing.
    pub root: &'static str,
    /// Where generations are, as seen from outside.
    pub mount_point: &'static str,
    /// What points at the current one, as seen from outside.
    pub symlink: &'static str,
    /// Every link at a `path`, old and new.
    pub links: Vec<&'static str>,
    /// What no run may touch.
    pub foreign: Vec<&'static str>,
    /// `symlinkPath` may be absent: there was no generation before.
    pub may_be_absent: bool,
    /// Generations that may be left; 1: the current one only.
    pub keep: usize,
    /// How an undisturbed run ends.
    pub status: i32,
    /// The run after the kill is killed too, somewhere.
    pub twice: bool,
}

/// What is visible at `symlinkPath`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Visible {
    Absent,
    Dangling,
    Tree(Picture),
}

/// What one can see of a machine at a moment.
struct Moment {
    visible: Visible,
    links: Vec<Option<Node>>,
    foreign: Vec<(Option<Node>, Picture)>,
    requests: BTreeSet<String>,
}

/// What an undisturbed run leaves.
struct Undisturbed {
    before: Moment,
    after: Moment,
    whole: Picture,
    mounts: Vec<String>,
    calls: u64,
}

/// What `torture` is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Every system call, in order, until the program ends before it is killed.
    Every,
    /// The first complaint: every tenth system call, then those between.
    Complaint,
}

impl Aim {
    fn calls(self, undisturbed: u64) -> Box<dyn Iterator<Item = u64>> {
        match self {
            Self::Every => Box::new(1..),
            Self::Complaint => Box::new((1..=10).flat_map(move |first| (first..=undisturbed).step_by(10))),
        }
    }

    fn enough(self) -> usize {
        if self == Self::Every { 5 } else { 1 }
    }
}

/// Kills at each system call. Returns the number of kill points, or what was wrong.
pub fn torture(
    scenario: &Scenario,
    machine: &Machine,
    program: &Program,
    aim: Aim,
) -> Result<u64, Vec<String>> {
    let undisturbed = undisturbed(scenario, machine, program).map_err(|complaint| vec![complaint])?;
    let (mut complaints, mut points) = (Vec::new(), 0);
    for call in aim.calls(undisturbed.calls) {
        start(scenario, machine, program);
        let report = run(scenario, machine, program, Watch::Kill(call));
        if report.end != "killed" {
            // The end; only threads make it come now sooner, now later.
            break;
        }
        points += 1;
        let mut found = judge_kill(scenario, &undisturbed);
        if scenario.twice && found.is_ok() {
            // Anywhere, but the same place in each test run.
            let second = call * 7919 % undisturbed.calls + 1;
            if run(scenario, machine, program, Watch::Kill(second)).end == "killed" {
                points += 1;
            }
            found = judge_kill(scenario, &undisturbed)
                .map_err(|told| format!("and again at call {second}: {told}"));
        }
        let found = found.and_then(|()| {
            let next = run(scenario, machine, program, Watch::Limit(60));
            judge_next(scenario, machine, &undisturbed, &next)
                .map_err(|told| format!("after the next run: {told}"))
        });
        if let Err(told) = found {
            complaints
                .push(format!("{}: killed at call {call} (number {}): {told}", scenario.name, report.nr));
        }
        if complaints.len() >= aim.enough() {
            break;
        }
    }
    if complaints.is_empty() { Ok(points) } else { Err(complaints) }
}

/// Makes the machine as it is before the run that is killed.
fn start(scenario: &Scenario, machine: &Machine, program: &Program) {
    Machine::reset();
    (scenario.furnish)();
    if let Some(before) = &scenario.before {
        let report = machine.run(program, before, &scenario.environment, Watch::Limit(60));
        assert_eq!(report.status, 0, "{}: the start fails: {}", scenario.name, machine.messages());
        for list in request_lists(scenario) {
            drop(fs::remove_file(list));
        }
    }
    (scenario.prepare)();
}

fn run(scenario: &Scenario, machine: &Machine, program: &Program, watch: Watch) -> Report {
    machine.run(program, &scenario.after, &scenario.environment, watch)
}

fn undisturbed(scenario: &Scenario, machine: &Machine, program: &Program) -> Result<Undisturbed, String> {
    start(scenario, machine, program);
    let before = moment(scenario);
    let report = run(scenario, machine, program, Watch::Count);
    if (report.end.as_str(), report.status) != ("exit", scenario.status) {
        let messages = machine.messages();
        return Err(format!("{}: undisturbed: {} {}: {messages}", scenario.name, report.end, report.status));
    }
    let after = moment(scenario);
    if before.foreign != after.foreign {
        return Err(format!("{}: undisturbed: a foreign file is changed", scenario.name));
    }
    let (whole, mounts) = (whole(scenario), Machine::mounts());
    Ok(Undisturbed { before, after, whole, mounts, calls: report.calls })
}

/// The invariant at any kill.
fn judge_kill(scenario: &Scenario, undisturbed: &Undisturbed) -> Result<(), String> {
    let Undisturbed { before, after, .. } = undisturbed;
    let now = moment(scenario);
    if now.visible != before.visible && now.visible != after.visible {
        let allowed = scenario.may_be_absent && now.visible == Visible::Absent;
        if !allowed {
            return Err(format!(
                "{} is neither old nor new: {}",
                scenario.symlink,
                told(&now.visible, after)
            ));
        }
    }
    for (number, link) in now.links.iter().enumerate() {
        if link.is_some() && *link != before.links[number] && *link != after.links[number] {
            return Err(format!("{} is neither absent nor old nor new: {link:?}", scenario.links[number]));
        }
    }
    if now.foreign != before.foreign {
        return Err("a foreign file is changed".to_owned());
    }
    if now.visible == before.visible && before.visible != after.visible && now.requests != before.requests {
        return Err(format!("units are asked before the swap: {:?}", now.requests));
    }
    Ok(())
}

/// What the run after a kill must have reached.
fn judge_next(
    scenario: &Scenario,
    machine: &Machine,
    undisturbed: &Undisturbed,
    report: &Report,
) -> Result<(), String> {
    if (report.end.as_str(), report.status) != ("exit", scenario.status) {
        return Err(format!("{} {}: {}", report.end, report.status, machine.messages()));
    }
    let now = moment(scenario);
    if now.visible != undisturbed.after.visible {
        return Err(format!("{}: {}", scenario.symlink, told(&now.visible, &undisturbed.after)));
    }
    if now.requests != undisturbed.after.requests {
        return Err(format!("units asked: {:?}, wanted {:?}", now.requests, undisturbed.after.requests));
    }
    let mounts = Machine::mounts();
    if mounts != undisturbed.mounts {
        return Err(format!("mounts: {mounts:?}, wanted {:?}", undisturbed.mounts));
    }
    if scenario.keep > 1 {
        generations_complete(scenario, undisturbed)?;
    }
    let different = difference(&undisturbed.whole, &whole(scenario));
    if different.is_empty() { Ok(()) } else { Err(format!("not as if undisturbed:{different}")) }
}

/// With several generations kept, their numbers tell of the kill; but each is whole, and there are not too many.
fn generations_complete(scenario: &Scenario, undisturbed: &Undisturbed) -> Result<(), String> {
    let numbers = generations(scenario);
    if numbers.len() > scenario.keep {
        return Err(format!("generations {numbers:?} are left"));
    }
    for number in numbers {
        let tree = tree(&Path::new(scenario.mount_point).join(number.to_string()));
        if tree != undisturbed.before.visible && tree != undisturbed.after.visible {
            return Err(format!("generation {number} is not complete: {}", told(&tree, &undisturbed.after)));
        }
    }
    Ok(())
}

fn told(visible: &Visible, after: &Moment) -> String {
    match (visible, &after.visible) {
        (Visible::Tree(found), Visible::Tree(wanted)) => difference(wanted, found),
        (other, _) => format!("{other:?}"),
    }
}

fn moment(scenario: &Scenario) -> Moment {
    Moment {
        visible: visible(scenario),
        links: scenario.links.iter().map(|link| Node::at(Path::new(link))).collect(),
        foreign: scenario
            .foreign
            .iter()
            .map(|path| (Node::at(Path::new(path)), picture(Path::new(path))))
            .collect(),
        requests: requests(scenario),
    }
}

fn visible(scenario: &Scenario) -> Visible {
    let symlink = Path::new(scenario.symlink);
    match (Node::at(symlink), fs::read_link(symlink)) {
        (None, _) => Visible::Absent,
        // A target is written as seen inside the root.
        (_, Ok(target)) => tree(&PathBuf::from(format!("{}{}", scenario.root, target.display()))),
        _ => tree(symlink),
    }
}

/// A directory with its own mode and owner.
fn tree(top: &Path) -> Visible {
    match Node::at(top).filter(Node::is_dir) {
        None => Visible::Dangling,
        Some(node) => {
            let mut tree = picture(top);
            tree.insert(PathBuf::new(), node);
            Visible::Tree(tree)
        }
    }
}

fn request_lists(scenario: &Scenario) -> Vec<PathBuf> {
    ["/run/nixos/activation-restart-list", "/run/nixos/activation-reload-list", "/run/systemctl.log"]
        .map(|list| PathBuf::from(format!("{}{list}", scenario.root)))
        .to_vec()
}

/// Which unit was asked for what; how often and in which order is not looked at.
fn requests(scenario: &Scenario) -> BTreeSet<String> {
    let mut requests = BTreeSet::new();
    for list in request_lists(scenario) {
        for line in fs::read_to_string(&list).unwrap_or_default().lines() {
            // A line of systemctl is `--no-block VERB UNIT...`, others are a unit.
            match line.strip_prefix("--no-block ").and_then(|call| call.split_once(' ')) {
                Some((verb, units)) => requests.extend(units.split(' ').map(|unit| format!("{verb} {unit}"))),
                None => drop(requests.insert(format!("{}: {line}", list.display()))),
            }
        }
    }
    requests
}

/// The numbers of all generations, the highest first.
fn generations(scenario: &Scenario) -> Vec<u64> {
    let entries = fs::read_dir(scenario.mount_point).into_iter().flatten().flatten();
    let mut numbers: Vec<u64> =
        entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).collect();
    numbers.sort_unstable_by(|left, right| right.cmp(left));
    numbers
}

/// Everything below `/run`, with generations counted from the newest instead of numbered. Request lists are left out
/// (a unit may be asked twice); so are the generations when several are kept.
fn whole(scenario: &Scenario) -> Picture {
    let lists = request_lists(scenario);
    let numbers = generations(scenario);
    let mount_point = Path::new(scenario.mount_point);
    let inside = scenario.mount_point.strip_prefix(scenario.root).unwrap_or(scenario.mount_point);
    let mut whole = Picture::new();
    for (path, mut node) in picture(Path::new("/run")) {
        let mut path = Path::new("/run").join(path);
        if lists.contains(&path) {
            continue;
        }
        for (age, number) in numbers.iter().enumerate() {
            let generation = mount_point.join(number.to_string());
            if let Ok(rest) = path.strip_prefix(&generation) {
                path = mount_point.join(format!("generation-{age}")).join(rest);
                break;
            }
            if node.is_symlink() && *node.content == *format!("{inside}/{number}").as_bytes() {
                node.content = format!("{inside}/generation-{age}").into_bytes();
            }
        }
        if scenario.keep > 1
            && path.starts_with(mount_point)
            && path.to_string_lossy().contains("/generation-")
        {
            continue;
        }
        whole.insert(path, node);
    }
    whole
}

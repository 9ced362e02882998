//! Where we differ from the original: one line a story in `known-differences.txt`.

use std::collections::BTreeSet;

const TEXT: &str = include_str!("known-differences.txt");
const ASPECTS: [&str; 6] = ["mounts", "status", "stdout", "story", "tree", "units"];

/// The aspects in which this story is known to differ.
pub fn of(story: &str) -> BTreeSet<&'static str> {
    lines()
        .filter(|(name, ..)| *name == story)
        .flat_map(|(_, aspects, _)| aspects.split_whitespace())
        .collect()
}

/// Name, aspects and reason of each line.
fn lines() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let lines = TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (name, rest) = line.split_once(": ").expect("NAME: ASPECTS: REASON");
        let (aspects, reason) = rest.split_once(": ").expect("NAME: ASPECTS: REASON");
        (name, aspects, reason)
    })
}

#[test]
fn each_line_names_a_story_its_aspects_and_a_reason() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compliance");
    let mut seen = BTreeSet::new();
    for (name, aspects, reason) in lines() {
        let (module, function) = name.split_once("::").expect("module::function");
        let source = std::fs::read_to_string(format!("{sources}/{module}.rs")).unwrap_or_default();
        assert!(source.contains(&format!("fn {function}()")), "there is no story {name}");
        assert!(aspects.split_whitespace().all(|aspect| ASPECTS.contains(&aspect)), "{name}: {aspects}");
        assert!(reason.len() > 20, "{name}: why?");
        assert!(seen.insert(name), "{name} stands there twice");
    }
}

//! To whom a file is encrypted, and which identities open it.

use std::fmt::Write as _;

use crate::{
    case::{Case, Check, Format},
    keyring::{Key, Keyring},
    tools::WRITERS,
};

/// The document of this format.
fn plain(format: Format) -> &'static str {
    match format {
        Format::Yaml => "a: b\n# c\nd:\n    - e\n",
        Format::Json => "{\"a\": \"b\", \"d\": [1]}",
        Format::Dotenv => "# c\nA=b\n",
        Format::Ini => "[s]\n; c\na = b\n",
        Format::Binary => "\u{1}\u{2}binary",
    }
}

/// All versions for YAML, one in turn for the others.
fn writers(format: Format, turn: usize) -> Vec<&'static str> {
    if format == Format::Yaml { WRITERS.to_vec() } else { vec![WRITERS[turn % WRITERS.len()]] }
}

fn with(keys: &[Key]) -> Check {
    let names: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    Check { label: names.join("+"), keys: keys.to_vec(), ..Check::whole() }
}

pub fn add(cases: &mut Vec<Case>, keyring: &Keyring) {
    use Key::{Converted, First, Second, Ssh, Stranger, Third};
    let name_of = |keys: &[Key]| keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(",");
    let lists: &[&[Key]] = &[
        &[First],
        &[First, Second],
        &[Third, Second, First],
        &[Ssh],
        &[Converted],
        &[First, Ssh, Converted],
    ];
    for format in Format::ALL {
        for recipients in lists {
            for writer in writers(format, cases.len()) {
                let text: Vec<&str> = recipients.iter().map(|&key| keyring.recipient(key)).collect();
                let checks =
                    [&[First][..], &[Second], &[Ssh], &[Converted], &[Stranger], &[Stranger, Third, First]];
                let case = Case::new(format!("recipients/{}", name_of(recipients)), format, plain(format))
                    .by(writer)
                    .rule(format!("age: {}\n", text.join(",")));
                // sops knows the ssh key in one role only, we are given the file and know both.
                let judged = |keys: &&&[Key]| {
                    let role = |key| keys.contains(&key) && !recipients.contains(&key);
                    !role(Ssh) && !role(Converted)
                };
                let checks = checks.iter().filter(judged).map(|keys| with(keys)).collect();
                cases.push(case.checks(checks));
            }
        }
    }

    // (threshold, groups)
    let groups: &[(u32, &[&[Key]])] = &[
        (2, &[&[First], &[Second]]),
        (2, &[&[First], &[Second], &[Third]]),
        (3, &[&[First], &[Second], &[Third]]),
        (2, &[&[First, Second], &[Third, Ssh]]),
        (2, &[&[First], &[First], &[Second]]),
        (0, &[&[First], &[Second]]),
        (1, &[&[First]]),
        (5, &[&[First]]),
    ];
    for format in Format::ALL {
        for (threshold, groups) in groups {
            let mut rule = String::new();
            if *threshold > 0 {
                writeln!(rule, "shamir_threshold: {threshold}").unwrap();
            }
            rule.push_str("key_groups:\n");
            let mut name = threshold.to_string();
            for group in *groups {
                rule.push_str("  - age:\n");
                for &key in *group {
                    writeln!(rule, "      - {}", keyring.recipient(key)).unwrap();
                }
                write!(name, "-{}", name_of(group)).unwrap();
            }
            let keys = [
                &[First][..],
                &[First, Second],
                &[Second, Third],
                &[First, Second, Third],
                &[Second, Ssh],
                &[Stranger],
            ];
            for writer in WRITERS {
                let case =
                    Case::new(format!("groups/{name}"), format, plain(format)).by(writer).rule(rule.clone());
                cases.push(case.checks(keys.iter().map(|keys| with(keys)).collect()));
            }
        }
    }
}

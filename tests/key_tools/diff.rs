//! `keys diff` beside `sops updatekeys`: what one calls a difference the other changes, and when our commands have
//! run, neither sees any.

use std::{os::unix::fs::symlink, path::Path};

use crate::{
    desk::{Desk, Run},
    peers,
};

const A: &str = "age1qcnrt8mljqxfmjg3v5elqusn5k6yjd9gmyqv3m8j5d4n50nt9y0q8mkx5f";

/// Five identities with their recipients, and an ssh key with its age form.
struct Keys {
    age: Vec<String>,
    ssh: String,
    ssh_as_age: String,
}

/// A desk with keys, and the way to the real sops.
struct Story {
    desk: Desk,
    keys: Keys,
    sops: &'static Path,
}

impl Story {
    fn new(test: &str) -> Option<Self> {
        let sops = peers::sops(test)?;
        let keygen = peers::age_keygen(test)?;
        let desk = Desk::new();
        let mut identities = String::new();
        let mut age = Vec::new();
        for _ in 0..5 {
            let run = desk.run(keygen, &[], "").ends(0);
            age.push(run.stdout.lines().nth(1).unwrap().rsplit(' ').next().unwrap().to_owned());
            identities.push_str(&run.stdout);
        }
        desk.write(".config/sops/age/keys.txt", &identities);
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/compliance/ssh_ed25519");
        std::fs::create_dir(desk.path.join(".ssh")).unwrap();
        std::fs::copy(&fixture, desk.path.join(".ssh/id_ed25519")).unwrap();
        let listed = desk.forestage(&["keys", "list", "--identity", ".ssh/id_ed25519"]).ends(0).stdout;
        let (ssh_as_age, rest) = listed.split_once(" or ").unwrap();
        let ssh = rest.split("  ").next().unwrap().to_owned();
        std::fs::create_dir(desk.path.join("bin")).unwrap();
        symlink(sops, desk.path.join("bin/sops")).unwrap();
        Some(Self { keys: Keys { age, ssh, ssh_as_age: ssh_as_age.to_owned() }, desk, sops })
    }

    /// Replaces `A` to `E` by age recipients, `S` by the ssh key, `T` by its age form, each between `<` and `>`.
    fn fill(&self, text: &str) -> String {
        let mut text = text.replace("<S>", &self.keys.ssh).replace("<T>", &self.keys.ssh_as_age);
        for (letter, recipient) in ["<A>", "<B>", "<C>", "<D>", "<E>"].iter().zip(&self.keys.age) {
            text = text.replace(letter, recipient);
        }
        text
    }

    /// A file that is encrypted as these rules say.
    fn file(&self, name: &str, rules: &str) {
        let plain = self.desk.write("plain.yaml", "a: b\n");
        let config = self.desk.write("first.sops.yaml", &self.fill(rules));
        let run = self.desk.run(
            self.sops,
            &[
                "--config",
                config.to_str().unwrap(),
                "encrypt",
                "--filename-override",
                name,
                plain.to_str().unwrap(),
            ],
            "",
        );
        self.desk.write(name, &run.ends(0).stdout);
    }

    fn diff(&self, arguments: &[&str]) -> Run {
        let arguments: Vec<_> = arguments.iter().map(|argument| self.fill(argument)).collect();
        let arguments: Vec<_> =
            ["keys", "diff"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        self.desk.forestage(&arguments)
    }

    /// Runs what `keys diff` printed.
    #[track_caller]
    fn sh(&self, script: &str) {
        let path = format!("PATH=\"$HOME/bin:$PATH\"\nset -e\n{script}");
        self.desk.run("sh", &[], &path).ends(0);
    }

    /// What sops thinks of the file under the rules of `.sops.yaml`.
    fn sops_sees_a_difference(&self, name: &str) -> bool {
        let run = self.desk.run(self.sops, &["updatekeys", name], "n\n").ends(0);
        assert_eq!(run.stdout.is_empty(), run.stderr.contains("already up to date"), "{run:?}");
        !run.stdout.is_empty()
    }
}

#[test]
fn rules_as_sops_reads_them() {
    const ONE: &str = "creation_rules: [{age: '<A>,<B>'}]";
    let Some(story) = Story::new("diff::rules_as_sops_reads_them") else { return };
    for (rules, differs) in [
        (ONE, false),
        ("creation_rules: [{age: '<B>, <A>,'}]", false),
        ("creation_rules: [{age: [<A>, <B>]}]", false),
        ("creation_rules: [{age: '<A>'}]", true),
        ("creation_rules: [{age: '<A>,<B>,<C>'}]", true),
        ("creation_rules: [{age: '<C>'}]", true),
        ("creation_rules: [{path_regex: '^a\\.yaml$', age: '<A>,<B>'}, {age: <C>}]", false),
        ("creation_rules: [{path_regex: 'b\\.yaml$', age: '<A>'}, {path_regex: '', age: '<A>,<B>'}]", false),
        (
            "creation_rules: [{path_regex: 'A\\.YAML', age: '<C>'}, {path_regex: '(?i)A\\.YAML', age: '<A>,<B>'}]",
            false,
        ),
        ("creation_rules: [{key_groups: [{age: [<A>, <B>]}]}]", false),
        ("creation_rules: [{key_groups: [{merge: [{age: [<A>]}, {age: ['<B>']}], age: [<A>]}]}]", false),
        ("creation_rules: [{age: <C>, key_groups: [{age: [<A>, <B>]}]}]", false),
        ("creation_rules: [{key_groups: [{age: [<A>]}, {age: [<B>]}]}]", true),
        (
            "creation_rules: [{key_groups: [{age: [<A>, <B>]}, {age: [<C>]}, {age: [<D>]}], shamir_threshold: 2}]",
            true,
        ),
        (
            "keys:\n  - &a <A>\n  - &b <B>\n1: x\ncreation_rules:\n  - key_groups:\n      - age: [*a, *b]\n",
            false,
        ),
        ("x: &x {age: '<A>,<B>'}\ncreation_rules:\n  - <<: *x\n    shamir_threshold: 2\n", false),
        ("creation_rules: [{age: '<A>,<B>', unknown: {x: [1]}}]\nstores: {json: {indent: 2}}\n", false),
        ("creation_rules:\n- age: >-\n    <A>,\n    <B>\n", false),
        ("creation_rules: [{age: '<A>,<B>,<S>'}]", true),
        ("creation_rules: [{age: '<A>,<B>,<T>'}]", true),
    ] {
        story.file("a.yaml", ONE);
        story.desk.write(".sops.yaml", &story.fill(rules));
        let ours = story.diff(&["a.yaml"]).ends(if differs { 3 } else { 0 });
        assert_eq!(ours.stderr, "", "{rules}");
        assert_eq!(story.sops_sees_a_difference("a.yaml"), differs, "{rules}");
        if differs {
            story.sh(&ours.stdout);
        }
        let after = story.diff(&["a.yaml"]).ends(0);
        assert_eq!(after.stdout + &after.stderr, "", "{rules}");
        assert!(!story.sops_sees_a_difference("a.yaml"), "{rules}");
        story.desk.run(story.sops, &["decrypt", "a.yaml"], "").ends(0).prints("a: b");
    }
}

#[test]
fn what_sops_refuses() {
    let Some(story) = Story::new("diff::what_sops_refuses") else { return };
    story.file("a.yaml", "creation_rules: [{age: '<A>'}]");
    for rules in [
        "",
        "creation_rules:",
        "creation_rules: []",
        "creation_rules: {age: <A>}",
        "creation_rules: [{path_regex: b, age: <A>}]",
        "creation_rules: [{path_regex: '(', age: <A>}]",
        "creation_rules: [{age: <B>}, {path_regex: {}}]",
        "creation_rules: [{age: <B>}, {key_groups: [{age: <A>}]}]",
        "creation_rules: [{age: <B>, pgp: 1234567890123456789012345678901234567890}]",
        "creation_rules: [{age: <B>, pgp: [12]}]",
        "creation_rules: [{age: <B>, age: <A>}]",
        "creation_rules: [{age: <B>, shamir_threshold: x}]",
        "creation_rules: [{age: <B>, mac_only_encrypted: 1}]",
        "creation_rules: [{age: <B>, encrypted_regex: a, unencrypted_suffix: b}]",
        "creation_rules: [{age: 'age2x'}]",
        "creation_rules: [{age: '<B>x'}]",
        "creation_rules: [{age: 'ssh-ed25519 AAAA'}]",
        "creation_rules: [{age: ['', <B>]}]",
        "creation_rules: [{encrypted_regex: a}]",
        "creation_rules: [{key_groups: [{age: [<B>]}, {}]}]",
        "creation_rules: [{age: <B>, hckms: [x]}]",
        "creation_rules: [{age: <B>, hc_vault_transit_uri: 'https://v/x'}]",
        "creation_rules: [{age: <B>, azure_keyvault: 'https://v/x'}]",
        "creation_rules: [{key_groups: [{age: [<A>]}, {age: [<B>]}], shamir_threshold: 3}",
        "creation_rules: [{age: *a}]",
    ] {
        story.desk.write(".sops.yaml", &story.fill(rules));
        let before = story.desk.read("a.yaml");
        let theirs = story.desk.run(story.sops, &["updatekeys", "-y", "a.yaml"], "");
        assert!(theirs.status != 0 && story.desk.read("a.yaml") == before, "{rules}: {theirs:?}");
        let ours = story.diff(&["a.yaml"]).ends(1);
        assert!(ours.stdout.is_empty() && ours.stderr.starts_with("error: "), "{rules}: {ours:?}");
    }
}

#[test]
fn thresholds_and_groups() {
    let Some(story) = Story::new("diff::thresholds_and_groups") else { return };
    let groups = |letters: &str, threshold: usize| {
        let groups: Vec<_> = letters.chars().map(|letter| format!("{{age: [<{letter}>]}}")).collect();
        format!("creation_rules: [{{shamir_threshold: {threshold}, key_groups: [{}]}}]", groups.join(", "))
    };
    for (from, to, commands) in [
        (("A", 0), ("AB", 0), 1),
        (("A", 0), ("ABC", 2), 2),
        (("A", 1), ("ABC", 0), 3),
        (("A", 0), ("ABCDE", 3), 3),
        (("ABC", 2), ("ABC", 3), 2),
        (("ABC", 3), ("ABC", 2), 2),
        (("ABC", 2), ("ABC", 2), 0),
        (("ABC", 0), ("ABC", 3), 0),
        (("ABC", 3), ("AB", 2), 1),
        (("ABCDE", 3), ("A", 0), 1),
        (("ABC", 2), ("CBA", 2), 1),
        (("AB", 2), ("ABCDE", 4), 3),
    ] {
        story.file("a.yaml", &groups(from.0, from.1));
        story.desk.write(".sops.yaml", &story.fill(&groups(to.0, to.1)));
        let run = story.diff(&["a.yaml"]).ends(if commands == 0 { 0 } else { 3 });
        let lines: Vec<_> = run.stdout.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), commands, "{from:?} {to:?}: {run:?}");
        story.sh(&run.stdout);
        story.diff(&["a.yaml"]).ends(0);
        story.desk.run(story.sops, &["decrypt", "a.yaml"], "").ends(0).prints("a: b");
        let text = story.desk.read("a.yaml");
        let threshold = text.lines().find_map(|line| line.trim().strip_prefix("shamir_threshold: "));
        if to.0.len() > 1 {
            let wanted = if to.1 == 0 { to.0.len() } else { to.1 };
            assert_eq!(threshold, Some(wanted.to_string().as_str()), "{from:?} {to:?}: {text}");
        }
    }
}

#[test]
fn recipients_that_are_given() {
    let Some(story) = Story::new("diff::recipients_that_are_given") else { return };
    for (from, wanted) in [("<A>", "<A>,<B>"), ("<A>,<B>", "<B>"), ("<A>", "<C>,<S>"), ("<S>", "<T>")] {
        let names = ["a.yaml", "it's b.json", "-c.env", "d"];
        for name in names {
            story.file("x", &format!("creation_rules: [{{age: '{from}'}}]"));
            std::fs::rename(story.desk.path.join("x"), story.desk.path.join(name)).unwrap();
        }
        for name in ["a.yaml", "it's b.json", "-c.env"] {
            let kind = Path::new(name).extension().unwrap().to_str().unwrap();
            let plain = if kind == "env" { "A=b\n" } else { "{\"a\": \"b\"}" };
            story.desk.write("plain", plain);
            let rules = story.fill(&format!("creation_rules: [{{age: '{from}'}}]"));
            story.desk.write("first.sops.yaml", &rules);
            let target = format!("x.{kind}");
            let arguments =
                ["--config", "first.sops.yaml", "encrypt", "--filename-override", &target, "plain"];
            story.desk.write(name, &story.desk.run(story.sops, &arguments, "").ends(0).stdout);
        }
        let list = story.fill(wanted).replace(',', "\n# note\n\n");
        story.desk.write("list", &list);
        let first = story.fill(wanted.split(',').next().unwrap());
        let arguments = [
            "--recipient",
            &first,
            "--recipients-file",
            "list",
            "--",
            "a.yaml",
            "it's b.json",
            "-c.env",
            "d",
        ];
        let run = story.diff(&arguments).ends(3);
        story.sh(&run.stdout);
        let run = story.diff(&arguments).ends(0);
        assert_eq!(run.stdout + &run.stderr, "");
    }
}

#[test]
fn the_ssh_to_age_form_is_told_apart_and_named() {
    let Some(story) = Story::new("diff::the_ssh_to_age_form_is_told_apart_and_named") else { return };
    story.file("a.yaml", "creation_rules: [{age: '<S> host'}]");
    story.diff(&["--recipient", "<S> another", "a.yaml"]).ends(0);
    let run = story.diff(&["--recipient", "<T>", "a.yaml"]).ends(3);
    let form = story.fill("this is the ssh-to-age form of <S>");
    run.prints(&story.fill("lacks: <T>  (this is the ssh-to-age form of <S>")).prints("its ssh-to-age form");
    story.diff(&["--json", "--recipient", "<T>", "a.yaml"]).ends(3).prints(&form);
}

#[test]
fn where_the_rules_are_found() {
    let Some(story) = Story::new("diff::where_the_rules_are_found") else { return };
    let desk = &story.desk;
    story.file("repo/secrets/a.yaml", "creation_rules: [{age: '<A>'}]");
    story.diff(&["repo/secrets/a.yaml"]).ends(1).says("there is no .sops.yaml");
    desk.write("repo/.sops.yaml", &story.fill("creation_rules: [{path_regex: ^secrets/a, age: '<B>'}]"));
    // Only above the file: sops has to be told.
    let run = story.diff(&["repo/secrets/a.yaml"]).ends(3);
    let line = "sops --config ".to_owned()
        + desk.path.to_str().unwrap()
        + "/repo/.sops.yaml updatekeys -y repo/secrets/a.yaml";
    assert_eq!(run.stdout.lines().last(), Some(line.as_str()));
    // From the current directory upwards: sops finds it by itself.
    let below = Desk { path: desk.path.join("repo/secrets") };
    let run = below.forestage(&["keys", "diff", "a.yaml"]).ends(3);
    assert_eq!(run.stdout.lines().last(), Some("sops updatekeys -y a.yaml"));
    assert!(run.stdout.contains("# a.yaml (rule 1 of ../.sops.yaml)"), "{run:?}");
    std::mem::forget(below);
    // One that is said.
    let rules = story.fill("creation_rules: [{path_regex: ^repo, age: '<C>'}]");
    desk.write("my rules", &rules);
    let run = story.diff(&["--config", "my rules", "repo/secrets/a.yaml"]).ends(3);
    assert_eq!(run.stdout.lines().last(), Some("sops --config 'my rules' updatekeys -y repo/secrets/a.yaml"));
    story.sh(&run.stdout);
    story.diff(&["--config", "my rules", "repo/secrets/a.yaml"]).ends(0);
}

#[test]
fn what_cannot_be_compared() {
    let desk = Desk::new();
    desk.write("a.yaml", "a: b\n");
    desk.write("good.yaml", include_str!("../data/compliance/secrets.yaml"));
    desk.write(".sops.yaml", &format!("creation_rules: [{{age: {A}}}]"));
    for (arguments, status, reason) in [
        (&["a.yaml"][..], 1, "no sops metadata"),
        (&["none.yaml"], 1, "No such file"),
        (&["."], 1, "not a regular file"),
        (&[], 2, "which files?"),
        (&["--recipient", "nonsense", "a.yaml"], 2, "what was given as a recipient is none"),
        (&["--recipient", A, "--config", ".sops.yaml", "a.yaml"], 2, "exclude each other"),
        (&["--config", "absent", "good.yaml"], 1, "cannot read absent"),
        (&["--unknown"], 2, "--unknown"),
    ] {
        let arguments: Vec<_> = ["keys", "diff"].iter().chain(arguments).copied().collect();
        let run = desk.forestage(&arguments).ends(status).says(reason);
        assert_eq!(run.stdout, "", "{arguments:?}");
    }
}

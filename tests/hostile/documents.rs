//! Oddities of each format, put into a file that is otherwise whole.

use std::fmt::Write;

use crate::{
    Fixture, Input,
    desk::Verdict::{self, Any, Fails, FailsOrOpens},
};

const DEEP: usize = 10_000;

/// Inputs from (name, text, verdict).
fn inputs(cases: Vec<(impl Into<String>, String, Verdict)>) -> Vec<Input> {
    cases
        .into_iter()
        .map(|(name, text, verdict)| Input { name: name.into(), bytes: text.into_bytes(), verdict })
        .collect()
}

/// Selectors that a file may name; each is put in the place of the fixture's `unencrypted_suffix`.
fn selectors() -> Vec<(String, String)> {
    let long = "a".repeat(100 << 10);
    [
        ("a regex of 100 KB", "encrypted_regex", long.clone()),
        ("a regex of 100 KB of choices", "encrypted_regex", "a|".repeat(50 << 10)),
        ("a regex of 100 KB of groups", "encrypted_regex", "(a)*".repeat(25 << 10)),
        ("a regex of 100 KB of optional letters", "encrypted_regex", "a?".repeat(50 << 10)),
        ("a regex 10,000 deep", "encrypted_regex", format!("{}{}", "(".repeat(DEEP), ")".repeat(DEEP))),
        ("repeated repetition", "encrypted_regex", "((((a{1,100}){1,100}){1,100}){1,100})".to_owned()),
        ("a thousand repetitions of a thousand", "unencrypted_regex", "(a{1000}){1000}".to_owned()),
        ("catastrophic backtracking", "unencrypted_regex", "^(a+)+$|(.*)*(.*)*(.*)*x".to_owned()),
        ("an unclosed group", "encrypted_regex", "(".to_owned()),
        ("an unclosed class", "encrypted_regex", "[a".to_owned()),
        ("a lone backslash", "encrypted_regex", "\\\\".to_owned()),
        ("nothing to repeat", "encrypted_regex", "**".to_owned()),
        ("a class of everything", "encrypted_regex", "[\\\\x{0}-\\\\x{10FFFF}]{1000}".to_owned()),
        ("a comment regex", "encrypted_comment_regex", "(".repeat(5000)),
        ("a suffix of 100 KB", "encrypted_suffix", long),
    ]
    .into_iter()
    .map(|(name, field, value)| (format!("{name} as {field}"), format!("{field}\u{1}{value}")))
    .collect()
}

pub fn yaml(fixture: &Fixture) -> Vec<Input> {
    let whole = &fixture.text;
    let sops = whole.find("sops:").expect("metadata");
    let on_top = |text: &str| format!("{text}\n{whole}");
    let in_sops = |text: &str| format!("{}\n    {text}\n", whole.trim_end());
    let deep = |open: &str, close: &str| format!("{}x{}", open.repeat(DEEP), close.repeat(DEEP));
    let entry_start = whole.find("        - recipient:").expect("an entry");
    let entry_end = whole.find("    lastmodified:").expect("its end");
    let entry = &whole[entry_start..entry_end];
    let with_entries =
        |count: usize| format!("{}{}{}", &whole[..entry_start], entry.repeat(count), &whole[entry_end..]);
    let mut laughs = "a0_unencrypted: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut merges = "m0_unencrypted: &m0 {a: x}\n".to_owned();
    for level in 1..40 {
        let previous = level - 1;
        let aliases = vec![format!("*a{previous}"); 9].join(", ");
        writeln!(laughs, "a{level}_unencrypted: &a{level} [{aliases}]").unwrap();
        let aliases = vec![format!("*m{previous}"); 9].join(", ");
        writeln!(merges, "m{level}_unencrypted: &m{level} {{<<: [{aliases}], k{level}: *m{previous}}}")
            .unwrap();
    }
    let indented: String = (0..2000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    let long = "x".repeat(1 << 20);
    let mut cases: Vec<(String, String, Verdict)> = selectors()
        .into_iter()
        .map(|(name, selector)| {
            let selector = format!("\n    {}\n", selector.replacen('\u{1}', ": \"", 1) + "\"");
            // A selector that matches nothing leaves ciphertext unopened: the MAC notices.
            (name, whole.replace("\n    unencrypted_suffix: _unencrypted\n", &selector), Fails)
        })
        .collect();
    cases.extend(
        [
            ("flow lists 10,000 deep", on_top(&format!("a_unencrypted: {}", deep("[", "]"))), Fails),
            (
                "flow lists 10,000 deep, never closed",
                on_top(&format!("a_unencrypted: {}", deep("[", ""))),
                Fails,
            ),
            ("flow maps 10,000 deep", on_top(&format!("a_unencrypted: {}", deep("{a: ", "}"))), Fails),
            ("flow maps as keys 10,000 deep", on_top(&deep("{? ", "}")), Fails),
            ("block lists 10,000 deep", on_top(&format!("a_unencrypted:\n  {}", deep("- ", ""))), Fails),
            ("block maps 2,000 deep", on_top(&indented), Any),
            ("complex keys 10,000 deep", on_top(&deep("? ", "")), Fails),
            ("anchors 10,000 deep", on_top(&format!("a_unencrypted: {}", deep("&a [", "]"))), Fails),
            ("tags in a row", on_top(&format!("a_unencrypted: {}", deep("!!str ", ""))), Fails),
            ("a list 10,000 deep in the metadata", in_sops(&format!("extra: {}", deep("[", "]"))), Any),
            (
                "100,000 mappings with a key twice in the metadata",
                format!(
                    "a_unencrypted: {long}\n{}",
                    in_sops(&format!("extra: [{}]", "{a, a},".repeat(100_000)))
                ),
                Fails,
            ),
            ("billion laughs", on_top(&laughs), Fails),
            ("billion merges", on_top(&merges), Fails),
            ("an alias to itself", on_top("a_unencrypted: &a [*a]"), Fails),
            ("a merge of itself", on_top("a_unencrypted: &a {<<: *a, b: c}"), Fails),
            ("an unknown alias", on_top("a_unencrypted: *nowhere"), Fails),
            (
                "100,000 aliases",
                on_top(&format!("a_unencrypted: &a x\nb_unencrypted: [{}]", "*a, ".repeat(100_000))),
                Fails,
            ),
            (
                "10,000 anchors",
                on_top(&(0..DEEP).map(|n| format!("a{n}_unencrypted: &a{n} x\n")).collect::<String>()),
                Fails,
            ),
            ("the same key 100,000 times", on_top(&"a_unencrypted: x\n".repeat(100_000)), Fails),
            (
                "100,000 keys",
                on_top(&(0..100_000).map(|n| format!("a{n}_unencrypted: x\n")).collect::<String>()),
                Fails,
            ),
            ("100,000 comments", on_top(&"# a comment\n".repeat(100_000)), Any),
            ("comments between empty lines", on_top(&"# a comment\n\n".repeat(50_000)), Any),
            ("50,000 documents", format!("{whole}{}", "---\na: 1\n".repeat(50_000)), Fails),
            ("a key of a megabyte", on_top(&format!("{long}_unencrypted: x")), Fails),
            ("a value of a megabyte", on_top(&format!("a_unencrypted: {long}")), Fails),
            ("a number of a megabyte", on_top(&format!("a_unencrypted: {}", "1".repeat(1 << 20))), Fails),
            (
                "underscores for a megabyte",
                on_top(&format!("a_unencrypted: 1{}", "_".repeat(1 << 20))),
                Fails,
            ),
            ("an absurd exponent", on_top("a_unencrypted: 1e999999999"), Fails),
            ("an absurd date", on_top("a_unencrypted: 99999-99-99"), Fails),
            ("an anchor of a megabyte", on_top(&format!("a_unencrypted: &{long} x")), Fails),
            ("a tag of a megabyte", on_top(&format!("a_unencrypted: !{long} x")), Fails),
            ("an unclosed tag", on_top("a_unencrypted: !<tag x"), Fails),
            ("an unclosed double quote", on_top("a_unencrypted: \"x"), Fails),
            ("an unclosed single quote", on_top("a_unencrypted: 'x"), Fails),
            ("a bad escape", on_top("a_unencrypted: \"\\xZZ\""), Fails),
            ("half an escape", on_top("a_unencrypted: \"\\U0011\""), Fails),
            ("a surrogate", on_top("a_unencrypted: \"\\uD800\""), Fails),
            ("a block scalar indented by 9", on_top("a_unencrypted: |9\n x"), Fails),
            (
                "a block scalar of spaces",
                on_top(&format!("a_unencrypted: |\n{}", "          \n".repeat(100_000))),
                Any,
            ),
            (
                "a folded scalar of line breaks",
                on_top(&format!("a_unencrypted: >\n  x{}", "\n\n  x".repeat(100_000))),
                Fails,
            ),
            ("quoted line breaks", on_top(&format!("a_unencrypted: \"x{}\"", "\n\n".repeat(100_000))), Fails),
            ("a directive of the future", format!("%YAML 9.9\n---\n{whole}"), Any),
            ("100,000 directives", format!("{}---\n{whole}", "%TAG !a! tag:a\n".repeat(100_000)), Any),
            ("tabs as indentation", whole.replace("    ", "\t"), Fails),
            ("binary that is none", on_top("a_unencrypted: !!binary \"!!!\""), Any),
            ("an int that is none", on_top("a_unencrypted: !!int x\nb_unencrypted: !!float [x]"), Fails),
            ("a map for a key", on_top("{a: b}: c_unencrypted"), Fails),
            ("carriage returns", whole.replace('\n', "\r"), FailsOrOpens),
            ("two metadata", format!("{whole}{}", &whole[sops..]), Any),
            ("no metadata", whole[..sops].to_owned(), Fails),
            ("null metadata", format!("{}sops:\n", &whole[..sops]), Fails),
            ("a list for metadata", format!("{}sops: [a]\n", &whole[..sops]), Fails),
            ("a string for metadata", format!("{}sops: a\n", &whole[..sops]), Fails),
            ("only metadata", whole[sops..].to_owned(), Fails),
            ("age as a map", whole.replace("    age:\n", "    age: {}\n    other:\n"), Fails),
            ("age as a number", whole.replace("    age:\n", "    age: 5\n    other:\n"), Fails),
            (
                "age entries that are null",
                whole.replace("    age:\n", "    age: [null, null]\n    other:\n"),
                Fails,
            ),
            ("a threshold of 0", in_sops("shamir_threshold: 0"), FailsOrOpens),
            ("a negative threshold", in_sops("shamir_threshold: -1"), FailsOrOpens),
            ("an absurd threshold", in_sops("shamir_threshold: 99999999999999999999"), FailsOrOpens),
            ("key groups of nothing", in_sops("key_groups: [null, {}, [], {age: null}]"), FailsOrOpens),
            ("key groups 10,000 deep", in_sops(&format!("key_groups: {}", deep("[", "]"))), FailsOrOpens),
            (
                "10,000 empty key groups",
                in_sops(&format!(
                    "shamir_threshold: 300\n    key_groups: [{}]",
                    "{age: []}, ".repeat(10_000)
                )),
                FailsOrOpens,
            ),
            (
                "a last change that is no time",
                whole.replace("lastmodified: \"2026", "lastmodified: \"x026"),
                Fails,
            ),
            ("a version that is none", whole.replace("version: 3.12.2", "version: x"), Any),
            (
                "a version of a megabyte",
                whole.replace("version: 3.12.2", &format!("version: 3.{}", "1".repeat(1 << 20))),
                Any,
            ),
            ("3,000 entries, the first opens", with_entries(3000), FailsOrOpens),
            (
                "3,000 entries of others",
                with_entries(3000).replace(
                    "-----BEGIN AGE ENCRYPTED FILE-----\n",
                    "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA",
                ),
                Fails,
            ),
            ("an age file that is none", whole.replace("BEGIN AGE", "BEGIN PGP"), Fails),
        ]
        .map(|(name, text, verdict)| (name.to_owned(), text, verdict)),
    );
    inputs(cases)
}

pub fn json(fixture: &Fixture) -> Vec<Input> {
    let whole = &fixture.text;
    let first = |text: &str| whole.replacen('{', &format!("{{{text},"), 1);
    let in_sops = |text: &str| whole.replacen("\"sops\": {", &format!("\"sops\": {{{text},"), 1);
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(DEEP), close.repeat(DEEP));
    let digits = "1".repeat(1 << 20);
    let mut cases: Vec<(String, String, Verdict)> = selectors()
        .into_iter()
        .map(|(name, selector)| {
            let selector = format!("\"{}\"", selector.replacen('\u{1}', "\": \"", 1));
            (name, whole.replace("\"unencrypted_suffix\": \"_unencrypted\"", &selector), Fails)
        })
        .collect();
    cases.extend(
        [
            ("lists 10,000 deep", first(&format!("\"a_unencrypted\": {}", deep("[", "]"))), Fails),
            (
                "lists 10,000 deep, never closed",
                first(&format!("\"a_unencrypted\": {}", deep("[", ""))),
                Fails,
            ),
            ("maps 10,000 deep", first(&format!("\"a_unencrypted\": {}", deep("{\"a\":", "}"))), Fails),
            ("a list 10,000 deep in the metadata", in_sops(&format!("\"extra\": {}", deep("[", "]"))), Any),
            ("key groups 10,000 deep", in_sops(&format!("\"key_groups\": {}", deep("[", "]"))), FailsOrOpens),
            ("a number of a megabyte", first(&format!("\"a_unencrypted\": {digits}")), Fails),
            ("a fraction of a megabyte", first(&format!("\"a_unencrypted\": 0.{digits}")), Fails),
            ("an exponent of a megabyte", first(&format!("\"a_unencrypted\": 1e{digits}")), Fails),
            ("an absurd exponent", first("\"a_unencrypted\": 1e999999999"), Fails),
            ("minus nothing", first("\"a_unencrypted\": -"), Fails),
            ("leading zeros", first("\"a_unencrypted\": 007"), Fails),
            ("lone surrogates", first("\"a_unencrypted\": \"\\ud800\\udc\""), Fails),
            ("a bad escape", first("\"a_unencrypted\": \"\\x41\""), Fails),
            ("an unclosed string", first("\"a_unencrypted\": \"x"), Fails),
            ("a control character", first("\"a_unencrypted\": \"\u{1}\""), Fails),
            ("a trailing comma", whole.trim_end().trim_end_matches('}').to_owned() + ",}", Fails),
            ("something behind", format!("{whole}x"), Fails),
            ("a byte order mark", format!("\u{feff}{whole}"), Fails),
            ("100,000 keys", first(&vec!["\"a_unencrypted\": \"x\""; 100_000].join(",")), Fails),
            ("100,000 list items", first(&format!("\"a_unencrypted\": [{}1]", "1,".repeat(100_000))), Fails),
            (
                "a megabyte of escapes",
                first(&format!("\"a_unencrypted\": \"{}\"", "\\u0041".repeat(170_000))),
                Fails,
            ),
            ("two metadata", first("\"sops\": {}"), Fails),
            ("a list for metadata", first("\"sops\": []"), Fails),
            ("null metadata first", first("\"sops\": null"), Fails),
            ("age as a number", whole.replacen("\"age\": [", "\"age\": 1, \"other\": [", 1), Fails),
            (
                "age entries of numbers",
                whole.replacen("\"age\": [", "\"age\": [1, null, \"x\", ", 1),
                FailsOrOpens,
            ),
            ("an absurd threshold", in_sops("\"shamir_threshold\": 1e300"), FailsOrOpens),
            ("a list at the top", format!("[{whole}]"), Fails),
        ]
        .map(|(name, text, verdict)| (name.to_owned(), text, verdict)),
    );
    inputs(cases)
}

/// What the flat metadata of dotenv and INI can get wrong: names and values of fields without `sops_`.
fn flat_metadata() -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = [
        ("age__list_99999999__map_enc", "x"),
        ("age__list_18446744073709551615__map_enc", "x"),
        ("age__list_18446744073709551616__map_enc", "x"),
        ("age__list_-1__map_enc", "x"),
        ("age__list_x__map_enc", "x"),
        ("age__list___map_enc", "x"),
        ("age__list_0", "x"),
        ("age__list_0__list_0", "x"),
        ("age__map_enc", "x"),
        ("age", "x"),
        ("age__list_0__map_enc__map_x", "x"),
        ("kms__list_5__map_arn", "x"),
        ("key_groups__list_1000000__map_age__list_1000000__map_enc", "x"),
        ("shamir_threshold", "99999999999999999999"),
        ("shamir_threshold", "-1"),
        ("shamir_threshold", "2.000000"),
        ("mac_only_encrypted", "perhaps"),
        ("lastmodified", "never"),
        ("", "x"),
        ("__list_0", "x"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    fields.push((format!("age{}", "__list_0".repeat(DEEP)), "x".to_owned()));
    fields.push((format!("extra{}", "__map_a".repeat(DEEP)), "x".to_owned()));
    fields.push(("mac".to_owned(), "x".repeat(1 << 20)));
    fields
}

pub fn dotenv(fixture: &Fixture) -> Vec<Input> {
    let whole = &fixture.text;
    let mut cases: Vec<(String, String, Verdict)> = Vec::new();
    for (name, value) in flat_metadata() {
        let shown = format!("{name:.60}={value:.20}");
        cases.push((format!("{shown} behind"), format!("{whole}sops_{name}={value}\n"), Any));
        cases.push((format!("{shown} in front"), format!("sops_{name}={value}\n{whole}"), Any));
    }
    for (name, selector) in selectors() {
        let selector = format!("sops_{}\n", selector.replacen('\u{1}', "=", 1).replace("\\\\", "\\"));
        cases.push((name, whole.replace("sops_unencrypted_suffix=_unencrypted\n", &selector), Fails));
    }
    cases.extend(
        [
            ("a line without =", format!("CANARY\n{whole}"), Fails),
            ("carriage returns", whole.replace('\n', "\r\n"), Fails),
            ("a line of a megabyte", format!("A_unencrypted={}\n{whole}", "x".repeat(1 << 20)), Fails),
            ("a name of a megabyte", format!("{}_unencrypted=x\n{whole}", "x".repeat(1 << 20)), Fails),
            ("100,000 lines", format!("{}{whole}", "A_unencrypted=x\n".repeat(100_000)), Fails),
            ("100,000 comments", format!("{}{whole}", "#x\n".repeat(100_000)), Any),
            ("100,000 unknown fields", format!("{}{whole}", "sops_x=x\n".repeat(100_000)), Any),
            (
                "10,000 entries",
                format!(
                    "{whole}{}",
                    (1..DEEP).map(|n| format!("sops_age__list_{n}__map_enc=x\n")).collect::<String>()
                ),
                Any,
            ),
        ]
        .map(|(name, text, verdict)| (name.to_owned(), text, verdict)),
    );
    inputs(cases)
}

pub fn ini(fixture: &Fixture) -> Vec<Input> {
    let whole = &fixture.text;
    let mut cases: Vec<(String, String, Verdict)> = Vec::new();
    for (name, value) in flat_metadata() {
        let shown = format!("{name:.60} = {value:.20}");
        cases.push((format!("{shown} behind"), format!("{whole}{name} = {value}\n"), Any));
        cases.push((
            format!("{shown} in front"),
            whole.replace("[sops]\n", &format!("[sops]\n{name} = {value}\n")),
            Any,
        ));
    }
    for (name, selector) in selectors() {
        let selector = format!("\n{}\n", selector.replacen('\u{1}', " = `", 1).replace("\\\\", "\\") + "`");
        cases.push((name, whole.replace("\nunencrypted_suffix         = _unencrypted\n", &selector), Fails));
    }
    let long = "x".repeat(1 << 20);
    cases.extend(
        [
            ("an unclosed section", format!("[section\n{whole}"), Fails),
            ("an unclosed \"\"\"", format!("a_unencrypted = \"\"\"x\n{whole}"), Fails),
            ("an unclosed backtick", format!("a_unencrypted = `x\n{whole}"), Fails),
            ("a continuation at the end", format!("{whole}a = x\\"), Any),
            ("100,000 continuations", format!("a_unencrypted = {}\n{whole}", "x\\\n".repeat(100_000)), Fails),
            ("a line without =", format!("CANARY\n{whole}"), Fails),
            ("no key", format!("= x\n{whole}"), Fails),
            ("automatic keys", format!("{}{whole}", "- = x\n".repeat(50_000)), Fails),
            (
                "100,000 sections",
                format!("{whole}{}", (0..100_000).map(|n| format!("[s{n}]\n")).collect::<String>()),
                Any,
            ),
            (
                "one section 100,000 times",
                format!("{whole}{}", "[again]\na_unencrypted = x\n".repeat(50_000)),
                Fails,
            ),
            ("one key 100,000 times", format!("{}{whole}", "a_unencrypted = x\n".repeat(100_000)), Fails),
            ("a key of a megabyte", format!("{long}_unencrypted = x\n{whole}"), Fails),
            ("a value of a megabyte", format!("a_unencrypted = {long}\n{whole}"), Fails),
            ("a section of a megabyte", format!("[{long}]\na_unencrypted = x\n{whole}"), Fails),
            (
                "values that name each other",
                format!("a_unencrypted = %(b)s\nb_unencrypted = %(a)s\n{whole}"),
                Fails,
            ),
            ("100,000 comments", format!("{}{whole}", "; x\n".repeat(100_000)), Any),
            ("two metadata", format!("{whole}[sops]\nmac = x\n"), Fails),
        ]
        .map(|(name, text, verdict)| (name.to_owned(), text, verdict)),
    );
    inputs(cases)
}

pub fn binary(fixture: &Fixture) -> Vec<Input> {
    let whole = &fixture.text;
    inputs(vec![
        ("no data", whole.replacen("\"data\"", "\"atad\"", 1), Fails),
        ("data twice", whole.replacen('{', "{\"data\": \"x\",", 1), Fails),
        ("data as a number", whole.replacen('{', "{\"data\": 1, \"other\": {", 1) + "}", Fails),
        (
            "data as a list 10,000 deep",
            format!("{{\"data\": {}{}}}", "[".repeat(DEEP), "]".repeat(DEEP)),
            Fails,
        ),
    ])
}

//! Which values are encrypted: every kind of selector, regexes in Go's syntax, and what the MAC covers.

use crate::{
    case::{Case, Format},
    scalars::quote,
    tools::WRITERS,
};

const YAML: &str = "# head\ndata:\n  # inner comment\n  password: one # behind\n  Password: two\n  list:\n    # in the list\n    - a\n    - b: c\nstringData:\n  key-1: 5\n  \
                    key_2: 1.5\nmeta:\n  name: plain\n  K\u{212a}k: kelvin\n  \"a.b\": dots\n  \"{x}\": braces\n  \"[y]\": brackets\n  \"\": empty\n  \
                    secret_plain: p\n# sops:enc\nmarked:\n  # note\n  a: 1\n  b: [x, y]\n# sops:plain\nother:\n  c: true\n  # sops:enc\n  d: false\nnull_value: null\n";

const JSON: &str = r#"{"data": {"password": "one", "n": 5, "list": ["a", {"b": 1.5}]}, "meta": {"name": "x", "secret_plain": true}, "stringData": {"k": null}}"#;

const DOTENV: &str = "# sops:enc\npassword=one\nname=two\n# note\nsecret_plain=three\nDATA=4\n";

const INI: &str =
    "; top\n[data]\n; sops:enc\npassword = one\nname = two\n[meta]\nsecret_plain = three\npassword = four\n";

/// Regexes for `encrypted_regex` and `unencrypted_regex`.
const REGEXES: &[&str] = &[
    "^(data|stringData)$",
    "^data$",
    "password",
    "(?i)password",
    "^(?i:PASSWORD)$",
    "(?i)kkk",
    "(?i)^K\u{212a}k$",
    r"\d",
    r"^key[-_]\d+$",
    r"\bkey\b",
    r"^\w+$",
    r"\W",
    r"\Qa.b\E",
    r"a\.b",
    "{x}",
    "[[y]",
    "[]y]",
    r"^[^a-z]",
    "^[[:lower:]]+$",
    "[[:^alpha:]]",
    r"\pL",
    r"^\p{Lu}",
    r"^\P{Lu}+$",
    r"\p{Latin}\p{Greek}?",
    r"\x{212A}",
    r"\x64ata",
    r"\144ata",
    "^$",
    "",
    "(?P<n>data)",
    "(?<n>data)",
    "(?s).",
    "(?U)d.*a",
    "(?m)^meta$",
    "a{1,3}$",
    "a{2}",
    "^(data|meta)+$",
    "data|",
    r"^(?:d|m)\w{2,4}a$",
    r"\z",
    r"\Adata",
    // sops goes on as if these never matched
    "(",
    "[",
    "*",
    "a**",
    "(?=data)",
    r"\1",
    "a{1001}",
    r"\p{Nope}",
    "(?x)data",
];

const COMMENT_REGEXES: &[&str] =
    &["sops:enc", "^ sops:(enc|plain)$", "note", "in the list", "(?i)SOPS", "^$", "(", "head"];

pub fn add(cases: &mut Vec<Case>) {
    for kind in ["encrypted_regex", "unencrypted_regex"] {
        for (at, regex) in REGEXES.iter().enumerate() {
            let rule = format!("{kind}: {}\n", quote(regex));
            let name = format!("{kind}/{}", regex.escape_default().to_string().replace(['/', ' '], "_"));
            cases.push(Case::new(name.clone(), Format::Yaml, YAML).rule(rule.clone()).by(WRITERS[at % 3]));
            if at % 5 == 0 {
                cases
                    .push(Case::new(name.clone(), Format::Json, JSON).rule(rule.clone()).by(WRITERS[at % 3]));
                cases.push(
                    Case::new(name.clone(), Format::Dotenv, DOTENV).rule(rule.clone()).by(WRITERS[at % 3]),
                );
                cases.push(Case::new(name, Format::Ini, INI).rule(rule).by(WRITERS[at % 3]));
            }
        }
    }
    let mut rules = Vec::new();
    for suffix in ["_plain", "", "d", "assword", "a", "nothing"] {
        rules.push(("encrypted_suffix", suffix));
        rules.push(("unencrypted_suffix", suffix));
    }
    for regex in COMMENT_REGEXES {
        rules.push(("encrypted_comment_regex", regex));
        rules.push(("unencrypted_comment_regex", regex));
    }
    rules.push(("encrypted_regex", "^data$"));
    rules.push(("unencrypted_regex", "^meta$"));
    for (kind, value) in rules {
        for only_encrypted in [false, true] {
            let mac = if only_encrypted { "mac_only_encrypted: true\n" } else { "" };
            let rule = format!("{kind}: {}\n{mac}", quote(value));
            let name = format!(
                "{kind}/{}{}",
                value.replace(' ', "_"),
                if only_encrypted { "/mac-only" } else { "" }
            );
            for (format, plain) in
                [(Format::Yaml, YAML), (Format::Json, JSON), (Format::Dotenv, DOTENV), (Format::Ini, INI)]
            {
                let writer = WRITERS[cases.len() % 3];
                cases.push(Case::new(name.clone(), format, plain).rule(rule.clone()).by(writer));
            }
        }
    }
    for format in Format::ALL {
        let plain = match format {
            Format::Yaml => YAML,
            Format::Json => JSON,
            Format::Dotenv => DOTENV,
            Format::Ini => INI,
            Format::Binary => "bytes\n",
        };
        for writer in WRITERS {
            cases.push(Case::new("mac-only", format, plain).rule("mac_only_encrypted: true\n").by(writer));
        }
    }
}

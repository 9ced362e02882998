//! `--extract`, and reading or writing as another format.

use crate::case::{Case, Check, Format};

const YAML: &str = "text: hello\nnumber: 42\nfloat: 1.50\nbig: 1234567.5\nyes: true\nnothing: null\nempty: \"\"\ntime: 2024-01-01\nlines: |\n  one\n  two\n\nodd: ' a: b '\nmap:\n  # comment\n  \
                    inner: x\n  deep: {list: [1, two, {three: 3}]}\nlist:\n  - a\n  # comment\n  - [b, c]\n  - d: e\n\"a.b\": dots\n\"it's\": quote\n\"sp ace\": blank\n1a: digit\nempty_map: {}\nempty_list: []\n\
                    plain_unencrypted: 5\n";

const JSON: &str = r#"{"text": "hello", "number": 42, "float": 1.50, "big": 12345678901234567890, "yes": true, "nothing": null, "empty": "", "lines": "one\ntwo\n", "html": "<&>",
    "map": {"inner": "x", "deep": {"list": [1, "two", {"three": 3}]}}, "list": ["a", ["b", "c"], {"d": "e"}], "a.b": "dots", "empty_map": {}, "empty_list": []}"#;

const DOTENV: &str = "text=hello\nnumber=42\nempty=\nlines=one\\ntwo\n# comment\nquoted=\"x\"\n";

const INI: &str =
    "top = 1\n[text]\nhello = world\nempty =\nquoted = \"a # b\"\n; comment\nlines = \"\"\"one\ntwo\"\"\"\n";

#[rustfmt::skip]
const PATHS: &[&str] = &[
    r#"["text"]"#, r#"["number"]"#, r#"["float"]"#, r#"["big"]"#, r#"["yes"]"#, r#"["nothing"]"#, r#"["empty"]"#,
    r#"["time"]"#, r#"["lines"]"#, r#"["odd"]"#, r#"["html"]"#, r#"["map"]"#, r#"["map"]["inner"]"#,
    r#"["map"]["deep"]"#, r#"["map"]["deep"]["list"]"#, r#"["map"]["deep"]["list"][0]"#,
    r#"["map"]["deep"]["list"][2]["three"]"#, r#"["list"]"#, r#"["list"][0]"#, r#"["list"][1]"#, r#"["list"][2]"#,
    r#"["list"][3]"#, r#"["list"][99]"#, r#"["list"][-1]"#, r#"["list"]["0"]"#, r#"["map"][0]"#, r#"["text"][0]"#,
    r#"["text"]["x"]"#, r#"["a.b"]"#, r#"["it's"]"#, r#"["sp ace"]"#, r#"["1a"]"#, r#"["empty_map"]"#,
    r#"["empty_list"]"#, r#"["plain_unencrypted"]"#, r#"["missing"]"#, r#"["map"]["missing"]"#, r#"["sops"]"#,
    r#"["DEFAULT"]"#, r#"["DEFAULT"]["top"]"#, r#"["text"]["hello"]"#, r#"["text"]["lines"]"#,
    r#"["text"]["quoted"]"#, r#"["text"]["empty"]"#, r#"["quoted"]"#,
    // other spellings
    "['text']", "[text]", "text", "text", r#""text""#, ".text", r#"["text"#, r#"["text]"#, r#"["text"]]"#,
    r#" ["text"] "#, r#"["text"] "#, r#"[ "text" ]"#, r#"["map"] ["inner"]"#, "", "[", "[]", "[0]", "[0",
    r#"["list"][0x1]"#, r#"["list"][01]"#, r#"["list"][+1]"#, r#"["list"][1.0]"#, r#"["list"][ 1 ]"#,
    r#"["list"]['1']"#, r#"["te\"xt"]"#, "['it\"s']", r#"["map"]['inner']"#, r#"["map"].["inner"]"#, r#"[["text"]]"#,
    r#"["text"][]"#, r#"["list"][99999999999999999999]"#, r#"["map"]["deep"]["list"][2]"#,
];

pub fn add(cases: &mut Vec<Case>) {
    for (format, plain) in [
        (Format::Yaml, YAML),
        (Format::Json, JSON),
        (Format::Dotenv, DOTENV),
        (Format::Ini, INI),
        (Format::Binary, "text\n"),
    ] {
        let mut checks = Vec::new();
        for path in PATHS.iter().copied().chain([r#"["data"]"#]) {
            let label = if path.is_empty() { "(empty)" } else { path };
            checks.push(Check { label: label.to_owned(), extract: Some(path.to_owned()), ..Check::whole() });
        }
        for path in [
            r#"["map"]"#,
            r#"["list"]"#,
            r#"["text"]"#,
            r#"["number"]"#,
            r#"["empty_map"]"#,
            r#"["nothing"]"#,
            "[0]",
            "[1]",
            r#"["map"][0]"#,
            r#"["list"][0]"#,
        ] {
            for output in Format::ALL.into_iter().filter(|&output| output != format) {
                checks.push(Check {
                    label: format!("{path}-as-{}", output.word()),
                    extract: Some(path.to_owned()),
                    output: Some(output),
                    ..Check::whole()
                });
            }
        }
        cases.push(Case::new("extract", format, plain).checks(checks));

        let mut checks = Vec::new();
        for other in Format::ALL {
            let named = |label: &str| format!("{label}-{}", other.word());
            checks.push(Check { label: named("output"), output: Some(other), ..Check::whole() });
            checks.push(Check { label: named("input"), input: Some(other), ..Check::whole() });
            checks.push(Check {
                label: named("both"),
                input: Some(other),
                output: Some(other),
                ..Check::whole()
            });
        }
        cases.push(Case::new("convert", format, plain).checks(checks));
    }
    // Documents that every format can hold, and some that only some can.
    let simple: [(&str, Format, &str); 11] = [
        ("strings", Format::Yaml, "a: b\nc: \"d\\ne\"\n# comment\nf: \" g \"\n"),
        (
            "typed",
            Format::Yaml,
            "a: 1\nb: 1.5\nc: true\nd: null\ne: 2024-01-01\nf: 1e21\ng: 1000000.0\nh: .inf\n",
        ),
        ("sections", Format::Yaml, "s:\n  a: b\n  # comment\n  c: \"x # y\"\nt:\n  d: \" z \"\n"),
        ("typed-sections", Format::Yaml, "s:\n  a: 1\n  b: 1.5\n  c: true\n  d: null\n"),
        ("documents", Format::Yaml, "a: b\n---\nc: d\n"),
        ("data", Format::Yaml, "data: text\n"),
        ("odd-keys", Format::Yaml, "\"a=b\": c\n\"d e\": f\n\"g`h\": i\n\"\": j\n"),
        ("strings", Format::Json, r#"{"a": "b", "c": "d\ne"}"#),
        ("typed", Format::Json, r#"{"a": 1, "b": 1.5, "c": true, "d": null, "e": 1e21, "f": 1000000}"#),
        ("strings", Format::Dotenv, "A=b\n# comment\nC=d\\ne\n"),
        ("comments", Format::Ini, "; one\n[s]\n; two\na = b\n; three\n[t]\nc = d\n"),
    ];
    for (name, format, plain) in simple {
        let check = |output: Format| Check {
            label: output.word().to_owned(),
            output: Some(output),
            ..Check::whole()
        };
        cases.push(
            Case::new(format!("convert-{name}"), format, plain)
                .checks(Format::ALL.into_iter().map(check).collect()),
        );
    }
}

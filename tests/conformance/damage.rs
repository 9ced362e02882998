//! Encrypted files that were changed: swapped, cut, retyped, rewrapped. Much of it sops refuses; some it accepts.

use std::{ops::Range, sync::Arc};

use crate::{
    case::{Case, Change, Check, Format},
    tools::WRITERS,
};

fn plain(format: Format) -> &'static str {
    match format {
        Format::Yaml => {
            "first: one\nsecond: two\nnumber: 42\nfloat: 1.5\nyes: true\nempty: \"\"\n# comment\nmap:\n  a: b\n  list:\n    - x\n    - 7\nopen_unencrypted: plain\nlast: end\n"
        }
        Format::Json => {
            r#"{"first": "one", "second": "two", "number": 42, "yes": true, "empty": "", "map": {"a": "b", "list": ["x", 7]}, "open_unencrypted": "plain", "last": "end"}"#
        }
        Format::Dotenv => "first=one\nsecond=two\nempty=\n# comment\nopen_unencrypted=plain\nlast=end\n",
        Format::Ini => {
            "[s]\nfirst = one\nsecond = two\nempty =\n; comment\nopen_unencrypted = plain\n[t]\nlast = end\n"
        }
        Format::Binary => "first\nsecond\n",
    }
}

/// Places of all `ENC[...]` in the text.
fn sealed(text: &str) -> Vec<Range<usize>> {
    text.match_indices("ENC[").filter_map(|(at, _)| Some(at..at + text[at..].find(']')? + 1)).collect()
}

/// Changes text; what is no text is left alone.
fn text(change: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Change {
    Arc::new(move |bytes| Some(change(std::str::from_utf8(bytes).ok()?)?.into_bytes()))
}

/// Replaces the first place of `from`.
fn replace(from: &'static str, to: &'static str) -> Change {
    text(move |text| text.contains(from).then(|| text.replacen(from, to, 1)))
}

/// Replaces the last place of `from`, which is in the metadata or the MAC.
fn replace_last(from: &'static str, to: &'static str) -> Change {
    text(move |text| {
        let at = text.rfind(from)?;
        Some(format!("{}{to}{}", &text[..at], &text[at + from.len()..]))
    })
}

/// Changes the nth `ENC[...]`, counted from the end if negative.
fn seal(nth: isize, change: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Change {
    text(move |text| {
        let places = sealed(text);
        let at = if nth < 0 { places.len().checked_add_signed(nth)? } else { nth.unsigned_abs() };
        let place = places.get(at)?.clone();
        Some(format!("{}{}{}", &text[..place.start], change(&text[place.clone()])?, &text[place.end..]))
    })
}

/// Another base64 digit behind the first `mark`.
fn flip(seal: &str, mark: &str) -> Option<String> {
    let at = seal.find(mark)? + mark.len();
    let digit = if seal[at..].starts_with('A') { "B" } else { "A" };
    Some(format!("{}{digit}{}", &seal[..at], &seal[at + 1..]))
}

/// Changes or drops (`None`) the first line that contains `mark`.
fn line(mark: &'static str, change: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Change {
    text(move |text| {
        let mut found = false;
        let mut changed = String::new();
        for line in text.split_inclusive('\n') {
            if !found && line.contains(mark) {
                found = true;
                changed.push_str(&change(line).unwrap_or_default());
            } else {
                changed.push_str(line);
            }
        }
        found.then_some(changed)
    })
}

fn seals() -> Vec<(String, Change)> {
    let mut changes: Vec<(String, Change)> = Vec::new();
    for nth in [0, 2, -1] {
        for mark in ["data:", "iv:", "tag:"] {
            changes.push((format!("flip-{mark}{nth}"), seal(nth, move |text| flip(text, mark))));
        }
        for kind in ["str", "int", "float", "bool", "bytes", "comment", "time", "nonsense", ""] {
            let retype = move |text: &str| Some(format!("{}type:{kind}]", text.split("type:").next()?));
            changes.push((format!("type-{kind}:{nth}"), seal(nth, retype)));
        }
        changes.push((format!("blank:{nth}"), seal(nth, |_| Some(String::new()))));
        changes.push((format!("plain:{nth}"), seal(nth, |_| Some("plain".to_owned()))));
        changes.push((format!("trailing:{nth}"), seal(nth, |text| Some(format!("{text}trailing")))));
        changes.push((format!("trailing-bracket:{nth}"), seal(nth, |text| Some(format!("{text}]")))));
        changes.push((format!("leading:{nth}"), seal(nth, |text| Some(format!("x{text}")))));
        changes.push((format!("leading-blank:{nth}"), seal(nth, |text| Some(format!(" {text}")))));
        changes.push((format!("cut:{nth}"), seal(nth, |text| Some(text[..text.len() - 1].to_owned()))));
        changes.push((format!("no-tag:{nth}"), seal(nth, |text| Some(text.replace(",tag:", ",tug:")))));
        changes.push((
            format!("lower-case:{nth}"),
            seal(nth, |text| Some(text.replace("ENC[AES256_GCM", "enc[aes256_gcm"))),
        ));
        changes.push((format!("unpadded:{nth}"), seal(nth, |text| Some(text.replace('=', "")))));
        changes.push((format!("overpadded:{nth}"), seal(nth, |text| Some(text.replace(",iv:", "=,iv:")))));
        changes.push((
            format!("url-alphabet:{nth}"),
            seal(nth, |text| Some(text.replace('+', "-").replacen('/', "_", 9))),
        ));
        changes.push((format!("blank-inside:{nth}"), seal(nth, |text| Some(text.replace(",iv:", ", iv:")))));
        let no_data = |text: &str| Some(format!("ENC[AES256_GCM,data:,iv:{}", text.split(",iv:").nth(1)?));
        changes.push((format!("no-data:{nth}"), seal(nth, no_data)));
        let short_iv = |text: &str| {
            let (head, tail) = text.split_once(",iv:")?;
            Some(format!("{head},iv:AAAAAAAAAAAAAAAA,tag:{}", tail.split(",tag:").nth(1)?))
        };
        changes.push((format!("short-iv:{nth}"), seal(nth, short_iv)));
    }
    changes
}

fn structure() -> Vec<(String, Change)> {
    let named = |name: &str, change: Change| (name.to_owned(), change);
    let mut changes = vec![
        named(
            "swap",
            text(|text| {
                let places = sealed(text);
                let (first, second) = (places.first()?.clone(), places.get(1)?.clone());
                let (a, b) = (&text[first.clone()], &text[second.clone()]);
                Some(format!(
                    "{}{b}{}{a}{}",
                    &text[..first.start],
                    &text[first.end..second.start],
                    &text[second.end..]
                ))
            }),
        ),
        named(
            "copy",
            text(|text| {
                let places = sealed(text);
                let (first, second) = (places.first()?.clone(), places.get(1)?.clone());
                Some(format!("{}{}{}", &text[..first.start], &text[second], &text[first.end..]))
            }),
        ),
        named(
            "mac-from-value",
            text(|text| {
                let places = sealed(text);
                let (first, mac) = (places.first()?.clone(), places.last()?.clone());
                Some(format!("{}{}{}", &text[..mac.start], &text[first], &text[mac.end..]))
            }),
        ),
        named("drop-first", line("first", |_| None)),
        named("drop-last", line("last", |_| None)),
        named("drop-mac", line("mac", |_| None)),
        named("drop-lastmodified", line("lastmodified", |_| None)),
        named("drop-version", line("version", |_| None)),
        named("drop-recipient", line("recipient", |_| None)),
        named("double-first", line("first", |line| Some(line.repeat(2)))),
        named("double-lastmodified", line("lastmodified", |line| Some(line.repeat(2)))),
        named("rename", replace("first", "fiRst")),
        named("rename-open", replace("open_unencrypted", "opeN_unencrypted")),
        named("suffix-gone", replace("open_unencrypted", "open_unencrypteD")),
        named("open-changed", replace("plain", "plaiN")),
        named("open-blank", replace("plain", "")),
        named("version-odd", line("version", |line| Some(line.replace("3.", "x3.")))),
        named("version-old", line("version", |line| Some(line.replace("3.", "1.")))),
        named("version-future", line("version", |line| Some(line.replace("3.", "99.")))),
        named(
            "version-short",
            line("version", |line| Some(line.replace(".2", "").replace(".0", "").replace(".4", ""))),
        ),
        named(
            "time-changed",
            line("lastmodified", |line| {
                Some(line.replace("T0", "T1").replace("T2", "T1").replace("20", "19"))
            }),
        ),
        named("time-odd", line("lastmodified", |line| Some(line.replace('T', " ")))),
        named("time-offset", line("lastmodified", |line| Some(line.replace('Z', "+00:00")))),
        named("time-fraction", line("lastmodified", |line| Some(line.replace('Z', ".5Z")))),
        named("time-lower", line("lastmodified", |line| Some(line.replace('Z', "z")))),
        named(
            "recipient-changed",
            text(|text| text.contains("age1").then(|| text.replacen("age1", "age1x", 1))),
        ),
        named(
            "armour-flip",
            text(|text| {
                let at = text.find("BEGIN AGE ENCRYPTED FILE-----")? + 60;
                let at = (at..text.len()).find(|&at| text.as_bytes()[at].is_ascii_alphabetic())?;
                Some(format!(
                    "{}{}{}",
                    &text[..at],
                    if text[at..].starts_with('x') { 'y' } else { 'x' },
                    &text[at + 1..]
                ))
            }),
        ),
        named("armour-header", replace("BEGIN AGE", "BEGIN PGP")),
        named("armour-footer", replace_last("END AGE", "END PGP")),
        named("armour-dashes", replace_last("-----", "----")),
        named("no-sops", text(|text| text.contains("sops").then(|| text.replace("sops", "spos")))),
        named("sops-twice", text(|text| Some(format!("{text}{}", &text[text.find("sops")?..])))),
        named("suffix-changed", replace_last("_unencrypted", "_xx")),
        named("selector-added", replace_last("unencrypted_suffix", "encrypted_suffix")),
        named(
            "mac-only-yaml",
            line("    mac:", |line| Some(format!("{line}    mac_only_encrypted: true\n"))),
        ),
        named(
            "mac-only-json",
            line("\t\"mac\":", |line| Some(format!("{line}\t\t\"mac_only_encrypted\": true,\n"))),
        ),
        named(
            "mac-only-dotenv",
            line("sops_mac", |line| Some(format!("{line}sops_mac_only_encrypted=true\n"))),
        ),
        named("threshold-yaml", line("    mac:", |line| Some(format!("{line}    shamir_threshold: 2\n")))),
        named(
            "threshold-text-yaml",
            line("    mac:", |line| Some(format!("{line}    shamir_threshold: \"2\"\n"))),
        ),
        named(
            "unknown-field-yaml",
            line("    mac:", |line| Some(format!("{line}    unknown: [a, {{b: c}}]\n"))),
        ),
        named(
            "null-lists-yaml",
            line("    mac:", |line| Some(format!("{line}    kms: null\n    pgp: []\n    hc_vault:\n"))),
        ),
        named(
            "null-lists-json",
            line("\t\"mac\":", |line| Some(format!("{line}\t\t\"kms\": null,\n\t\t\"pgp\": [],\n"))),
        ),
        named("crlf", text(|text| Some(text.replace('\n', "\r\n")))),
        named("bom", text(|text| Some(format!("\u{feff}{text}")))),
        named("blank-lines-before", text(|text| Some(format!("\n\n{text}")))),
        named("blank-lines-behind", text(|text| Some(format!("{text}\n\n")))),
        named("garbage-behind", text(|text| Some(format!("{text}x")))),
        named("garbage-before", text(|text| Some(format!("x{text}")))),
        named("comment-before", text(|text| Some(format!("# new\n{text}")))),
        named("null-added", text(|text| Some(format!("new: null\n{text}")))),
        named("empty-map-added", text(|text| Some(format!("new: {{}}\n{text}")))),
        named("empty-text-added", text(|text| Some(format!("new: \"\"\n{text}")))),
        named("value-added", text(|text| Some(format!("new: value\n{text}")))),
        named("open-value-added", text(|text| Some(format!("new_unencrypted: value\n{text}")))),
        named("marker-before", text(|text| Some(format!("---\n{text}")))),
        named("document-behind", text(|text| Some(format!("{text}---\nnew: null\n")))),
        named("json-null-added", replace("{", "{\"new\": null,")),
        named("json-empty-added", replace("{", "{\"new\": \"\",")),
        named("tab-for-blanks", replace("    ", "\t")),
        named("not-utf8", Arc::new(|bytes| Some([bytes, b"\xff"].concat()))),
        named("not-utf8-before", Arc::new(|bytes| Some([b"\xff", bytes].concat()))),
        named("zero-byte", Arc::new(|bytes| Some([bytes, b"\0"].concat()))),
        named("empty", Arc::new(|_| Some(Vec::new()))),
        named("newline-only", Arc::new(|_| Some(b"\n".to_vec()))),
    ];
    for percent in [1, 10, 25, 40, 50, 60, 75, 90, 95, 99] {
        let cut: Change = Arc::new(move |bytes| Some(bytes[..bytes.len() * percent / 100].to_vec()));
        changes.push((format!("cut-{percent}"), cut));
    }
    for less in 1..=3 {
        let cut: Change = Arc::new(move |bytes| Some(bytes[..bytes.len().checked_sub(less)?].to_vec()));
        changes.push((format!("cut-end-{less}"), cut));
    }
    changes
}

pub fn add(cases: &mut Vec<Case>) {
    for format in Format::ALL {
        let mut checks = Vec::new();
        for (label, change) in seals().into_iter().chain(structure()) {
            checks.push(Check { label, change: Some(change), ..Check::whole() });
        }
        // Split, so that several cores share them.
        for (part, checks) in checks.chunks(40).enumerate() {
            let writer = WRITERS[part % 3];
            cases.push(Case::new("damage", format, plain(format)).by(writer).checks(checks.to_vec()));
        }
    }
}

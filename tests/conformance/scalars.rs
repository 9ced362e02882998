//! Every odd scalar, as a value and as a key, encrypted and not, in each format.

use crate::{
    case::{Case, Format},
    tools::WRITERS,
};

/// YAML scalars on one line, as they stand in the source.
#[rustfmt::skip]
pub const YAML_SOURCES: &[&str] = &[
    // null, booleans, and words that only look like them
    "", "~", "null", "Null", "NULL", "nUll", "true", "True", "TRUE", "tRue", "false", "False", "FALSE", "yes", "Yes",
    "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N", "t", "f",
    // integers
    "0", "-0", "+0", "1", "-1", "+1", "00", "08", "010", "0777", "-010", "0x1F", "0X1f", "-0x1F", "0xG", "0b101",
    "-0b101", "0b12", "0o17", "-0o17", "0o8", "1_000", "1__000", "_1", "1_", "1,000", "9223372036854775807",
    "-9223372036854775808", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "123456789012345678901234567890",
    // floats
    "0.0", "-0.0", "+1.5", "1.0", "1.50", "1.", ".5", "-.5", "+.5", ".", "..", "1e3", "1E3", "1e+3", "1e-3", "1.5e3",
    "1e6", "1e21", "1e-7", "100000.0", "1000000.0", "1234567.5", "0.0001", "0.00001", "123456789.123456789",
    "3.141592653589793238", "1e308", "1e309", "-1e309", "5e-324", "1e-400", "0.1", "0.30000000000000004", "1_0.5",
    "1e1_0", ".inf", ".Inf", ".INF", "+.inf", "-.inf", "-.INF", "inf", "Infinity", ".nan", ".NaN", ".NAN", "nan",
    "0x1p4", "0x1.8", "1.2.3", "1.e5", ".5e5", "4294967296.0", "16777217.0",
    // times and what looks like them
    "2024-01-01", "2024-1-1", "2024-13-01", "2024-02-30", "2024-01-01T10:20:30Z", "2024-01-01t10:20:30z",
    "2024-01-01T10:20:30", "2024-01-01 10:20:30", "2024-01-01 10:20:30.5", "2024-01-01T10:20:30.123456789Z",
    "2024-01-01T10:20:30.1234567891Z", "2024-01-01T10:20:30+02:00", "2024-01-01T10:20:30-11:30",
    "2024-01-01T10:20:30+00:00", "2024-01-01 10:20:30 +02:00", "2024-01-01T1:2:3Z", "0001-01-01",
    "9999-12-31T23:59:59.999Z", "10:20", "1:20:30", "190:20:30", "-1:20", "1:60", "1:20.5", "20240101",
    // tags
    "!!str 5", "!!int '5'", "!!int 5.5", "!!float 5", "!!float abc", "!!bool 'true'", "!!null ''",
    "!!timestamp 2024-01-01", "!!binary aGVsbG8=", "!!binary gIGC/w==", "!!binary '***'", "!custom value",
    "!custom 5", "! 5", "!!str", "!!str ~",
    // plain strings
    "a b", "a#b", "a #b", "a: b", "a:b", "a:", ":a", "-a", "- a", "--- a", "---", "...", "?a", "a?b", "@a", "`a",
    "%a", "&a a", "*a", "!a a", "|a", ">a", "a, b", "[a", "a]", "{a", "a}", "a{b}", "'", "\"", "'a", "a'b", "a\"b",
    "a\\nb", "\\", "=", "<<", "<", "a\tb", "a \tb", "~a", "null a", "\u{e9}t\u{e9}", "\u{65e5}\u{672c}", "\u{1f600}",
    "\u{a0}", "\u{2028}", "\u{feff}a", "a\u{feff}", "\u{85}",
    // quoted
    "''", "''''", "'a''b'", "'#a'", "' a '", "'a: b'", "'5'", "'null'", "'\\n'", "\"\"", "\"\\n\"", "\"a\\tb\"",
    "\"\\x41\\u00e9\\U0001F600\"", "\"\\0\\a\\b\\e\\v\\f\\r\"", "\"\\N\\_\\L\\P\"", "\"a\\/b\"", "\"\\ud800\"",
    "\"\\q\"", "\"a\" # c", "'a' # c", "a # c", "# c", "5 # c",
    // collections
    "[]", "{}", "[ ]", "[1, a, null]", "[[1], [2, [3]]]", "{a: 1, b: [x, y]}", "{a: {b: {}}}", "[a, , b]", "{a, b: }",
    "[a: b]", "{? a : b}",
];

/// Strings that a format may find odd.
#[rustfmt::skip]
pub const STRINGS: &[&str] = &[
    "", " ", "  ", "\n", "\n\n", "\r", "\r\n", "\t", " a", "a ", " a ", "\ta", "a\t", "\na", "a\n", "a\n\n",
    "\n\na\n\n", "a\nb", "a\nb\n", "a\n\nb\n", "a \nb", "a\n b", " a\nb", "  a\n b\n", "a\r\nb\r\n", "a\rb",
    "a\tb\nc", "\ta\nb", "a\nb ", "a\n \n", "a\n\tb\n", "# a\nb", "a\n# b\n", "- a\n- b\n", "a: b\nc: d\n", "key",
    "a b", "a:b", "a: b", "a:", ":", "a # b", "#a", "a#b", "'a'", "\"a\"", "it's", "a\"b", "\\", "\\n", "a\\nb",
    "\\\\n", "`a`", "%a", "@a", "&a", "*a", "!a", "|", ">", "?", "-", "--", "---", "- a", "...", "[a]", "{a}",
    "{{a}}", "$a", "${a}", "~", "null", "true", "yes", "Off", "y", "1", "01", "0x1F", "1_000", "1.5", "1e3", ".5",
    ".inf", "1:20", "2024-01-01", "2024-01-01T00:00:00Z", "=", "a=b", "=a", "<<", "a;b", "; a", "a ;b", "<a&b>",
    "\u{e9}", "\u{65e5}\u{672c}\u{8a9e}", "\u{1f600}", "a\u{1f600}\nb", "\u{a0}a", "\u{2028}", "a\u{2029}b",
    "\u{feff}", "\u{feff}a", "a\u{feff}", "\u{85}", "\u{7f}", "\u{1}", "\u{1b}[0m", "\u{0}", "a\u{0}b", "\u{fffd}",
    "\u{fffe}", "\u{e000}", "\u{10ffff}", "e\u{301}", "\u{200b}", "\u{ad}", "ENC[",
    "ENC[AES256_GCM,data:a,iv:a,tag:a,type:str]", "-----BEGIN KEY-----\nAAAA\nBBBB\n-----END KEY-----\n",
    "{\"a\": [1, 2]}", "$6$rounds=5000$salt$hash/with.dots", "postgres://u:p@h:5432/db?x=y#z", "sops", "sops_",
    "_unencrypted",
];

/// Block scalars: header and lines, which are indented where they are used.
const BLOCKS: &[(&str, &[&str])] = &[
    ("|", &["a"]),
    ("|", &["a", "b"]),
    ("|-", &["a", "b"]),
    ("|+", &["a", "b"]),
    ("|+", &["a", "", ""]),
    ("|-", &["a", "", ""]),
    ("|", &["a", "", "b", ""]),
    ("|", &["", "a"]),
    ("|", &["", "", "a", ""]),
    ("|2", &["  a", "b"]),
    ("|2-", &["  a", "b"]),
    ("|1", &[" a", "  b"]),
    ("|", &["a", "  b", "c"]),
    ("|", &["a ", "b"]),
    ("|", &["a", "b "]),
    ("|", &["a\t", "\tb"]),
    ("|", &["# a", "b"]),
    ("|", &["- a", "- b"]),
    ("|", &["\u{e9}", "\u{1f600}"]),
    ("|", &[""]),
    ("|+", &[""]),
    ("|+", &["", ""]),
    ("|-", &[""]),
    (">", &["a", "b"]),
    (">-", &["a", "b", "", "c"]),
    (">+", &["a", "b", ""]),
    (">", &["a", "  b", "  c", "d"]),
    (">", &["", "a", "", "", "b"]),
    ("| # comment", &["a", "b"]),
    ("!!str |", &["a", "b"]),
];

/// JSON values as they stand in the source.
#[rustfmt::skip]
const JSON_SOURCES: &[&str] = &[
    "null", "true", "false", "0", "-0", "1", "-1", "1.0", "1.50", "-0.0", "1e3", "1E3", "1e+3", "1e-3", "1e20",
    "1e21", "1e22", "123456789012345680000", "1e-6", "1e-7", "0.000001", "0.0000001", "9007199254740991",
    "9007199254740992", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
    "18446744073709551616", "1e308", "1e309", "5e-324", "1e-400", "0.1", "0.30000000000000004",
    "3.141592653589793238", "1234567.5", "100000000.5", "01", "+1", ".5", "1.", "NaN", "[]", "{}", "[[]]", "[{}]",
    "{\"a\": {}}", "[1, [2, [3, {\"a\": [4]}]]]", "\"\\u0041\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\ud800\"",
    "\"\\udc00\\ud800\"", "\"\\/\\b\\f\\n\\r\\t\\\"\\\\\"", "\"\\u0000\"", "\"\\u2028\\u2029\"", "\"\\x41\"",
    "\"a\tb\"", "\"\\u00FF\"", "\"<a href='x'>&amp;</a>\"",
];

/// Whole dotenv lines.
#[rustfmt::skip]
const DOTENV_LINES: &[&str] = &[
    "A=b", "A=", "=b", "A", "A=b=c", "A = b", " A=b", "A=b ", "A= b", "\tA=b", "export A=b", "A=\"b\"", "A='b'",
    "A=\"b\\nc\"", "A='b\\nc'", "A=b\\nc", "A=\\n", "A=\\\\n", "A=b\\", "A=b # c", "A=b#c", "# c\nA=b", "#c\nA=b",
    "#\nA=b", "##\nA=b", " # c\nA=b", "A=b\n# c", "A=b\n#", "# ENC[a\nA=b", "A=b\n\nB=c", "\n\nA=b", "A=b\n\n\n",
    "A=b\r\nB=c\r\n", "A=b\rC=d", "A=b\nA=c", "A-B=c", "A.B=c", "1A=b", "a=b", "\u{c9}=\u{e9}", "A=\u{1f600}",
    "A=$B\nB=c", "A=${B}", "A=`b`", "A: b", "A=b\nsops_x=y", "SOPS_A=b", "A_unencrypted=b", "A_unencrypted=b\\nc",
    "A=null", "A=true", "A=5", "A=1.50", "A=2024-01-01", "A=\u{feff}b", "\u{feff}A=b", "A=\tb\t", "A=b\u{0}c",
    "A=[1]", "A={\"b\": \"c\"}", "A=b;c", "A=!b", "A=%b%",
];

/// Lines of an INI section.
#[rustfmt::skip]
const INI_LINES: &[&str] = &[
    "a = b", "a=b", "a: b", "a:b", "a = b = c", "a : b = c", "a = b : c", "a =", "a", "= b", " a = b ", "\ta = b",
    "a = \"b\"", "a = 'b'", "a = \"b", "a = b\"", "a = \" b \"", "a = ' b '", "a = `b`", "a = ` b # c `",
    "a = \"\"\"b\"\"\"", "a = \"\"\"b\nc\"\"\"", "a = \"\"\"\nb\n\"\"\"", "a = `b\nc`", "a = b # c", "a = b ; c",
    "a = b#c", "a = b;c", "a = \"b # c\"", "a = \"b ; c\"", "a = \\# b", "a = b \\\n  c", "a = b\\", "a = b\\nc",
    "a = \\n", "; c\na = b", "# c\na = b", ";c\na = b", "#c\na = b", ";\na = b", "; c\n; d\na = b",
    "; c\n\n; d\na = b", "; c\n;\n; d\na = b", "a = b\n; c", "a = b\n; c\n\nd = e", "\"a\" = b", "`a` = b",
    "\"a b\" = c", "a b = c", "a.b = c", "a[] = b\na[] = c", "a = b\na = c", "- = b", "- = b\n- = c",
    "a = b\n\nc = d", "a = b\r\nc = d\r\n", "A = b\na = c", "\u{e9} = \u{e9}", "a = \u{1f600}", "a = %(c)s\nc = d",
    "a = ${c}", "a = [b]", "a = b\n[s2]\nc = d", "[s2]\nc = d\n[s]\ne = f", "a = b\n[s]\nc = d", "a = b\n[s]\na = d",
    "a = b\n[ s2 ]\nc = d", "a = b\n[s.t]\nc = d", "a = b\n[\u{e9}]\nc = d", "a = b\n[]\nc = d", "a = b\n[s2",
    "a = b\n; c\n[s2]\nd = e", "a = b\n[s2] ; c\nd = e", "a = b\n[s2]", "a = b\n[s2]\n; c", "a = true", "a = 5",
    "a = 1.50", "a = null", "a = b\nlonger = c\nx = d", "a`b = c", "a = b`c", "a = \"\"", "a = ''", "a = \"",
    "a = b\tc", "a_unencrypted = b", "a_unencrypted = b # c", "a = b\n[DEFAULT]\nc = d", "a = b\n[sops2]\nc = d",
    "a = <b>&c", "a = b,c", "a = $b", "a = !b", "a = @b", "a =  b  c ", "a = b\u{a0}",
];

/// Text in the double quotes that YAML and JSON share.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\0'..' '
            | '\u{7f}'..='\u{a0}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A readable part of a name.
fn label(text: &str) -> String {
    let short: String = text.escape_default().take(40).collect();
    if short.is_empty() { "(empty)".to_owned() } else { short.replace(['/', ' '], "_") }
}

fn indent(header: &str, lines: &[&str], depth: usize) -> String {
    let mut text = header.to_owned();
    for line in lines {
        text.push('\n');
        if !line.is_empty() {
            text.push_str(&" ".repeat(depth));
            text.push_str(line);
        }
    }
    text
}

/// Adds the case, and every third time one whose file an older sops writes.
fn add_both(cases: &mut Vec<Case>, name: String, format: Format, plain: String) {
    let older = WRITERS[1 + cases.len() / 3 % 2];
    if cases.len().is_multiple_of(3) {
        cases.push(Case::new(name.clone(), format, plain.clone()).by(older));
    }
    cases.push(Case::new(name, format, plain));
}

pub fn add(cases: &mut Vec<Case>) {
    let quoted: Vec<String> = STRINGS.iter().map(|text| quote(text)).collect();
    let yaml = Format::Yaml;
    for source in YAML_SOURCES.iter().copied().chain(quoted.iter().map(String::as_str)) {
        let name = label(source);
        let encrypted = format!(
            "value: {source}\nlist:\n    - {source}\n    - - {source}\n      - x: {source}\nmap:\n    inner:\n        deep: {source}\n"
        );
        add_both(cases, format!("scalar/{name}"), yaml, encrypted);
        let plain = format!(
            "secret: s\nvalue_unencrypted: {source}\nlist_unencrypted:\n    - {source}\n    - x: {source}\n      y: z\n"
        );
        add_both(cases, format!("plain/{name}"), yaml, plain);
    }
    for (header, lines) in BLOCKS {
        let name = label(&format!("{header}{}", lines.join("\n")));
        let at = |depth| indent(header, lines, depth);
        let encrypted = format!("value: {}\nlist:\n  - {}\n  - x: {}\nend: e\n", at(2), at(4), at(6));
        add_both(cases, format!("block/{name}"), yaml, encrypted);
        let plain = format!(
            "secret: s\nvalue_unencrypted: {}\nlist_unencrypted:\n  - {}\n  - x: {}\nend: e\n",
            at(2),
            at(4),
            at(6)
        );
        add_both(cases, format!("plain-block/{name}"), yaml, plain);
    }
    for (text, quoted) in STRINGS.iter().zip(&quoted) {
        let name = label(text);
        add_both(
            cases,
            format!("key/{name}"),
            yaml,
            format!("a: b\n{quoted}: c\nmap:\n    {quoted}:\n        {quoted}: d\n"),
        );
        let escaped = text.replace('\n', "\\n");
        let json =
            format!("{{\"value\": {quoted}, \"list\": [{quoted}, [{quoted}]], \"x_unencrypted\": {quoted}}}");
        add_both(cases, format!("scalar/{name}"), Format::Json, json);
        let keys = format!("{{\"a\": 1, {quoted}: 2, \"map\": {{{quoted}: {{{quoted}: 3}}}}}}");
        add_both(cases, format!("key/{name}"), Format::Json, keys);
        add_both(
            cases,
            format!("scalar/{name}"),
            Format::Dotenv,
            format!("A={escaped}\nB_unencrypted={escaped}\n"),
        );
        add_both(
            cases,
            format!("scalar/{name}"),
            Format::Ini,
            format!("[s]\na = {text}\nb_unencrypted = {text}\nc = d\n"),
        );
        add_both(cases, format!("triple/{name}"), Format::Ini, format!("[s]\na = \"\"\"{text}\"\"\"\n"));
        cases.push(Case::new(format!("scalar/{name}"), Format::Binary, *text));
    }
    for source in JSON_SOURCES {
        let json = format!("{{\"value\": {source}, \"list\": [{source}, {source}]}}");
        add_both(cases, format!("source/{}", label(source)), Format::Json, json);
        let plain = format!(
            "{{\"secret\": \"s\", \"value_unencrypted\": {source}, \"list_unencrypted\": [{source}]}}"
        );
        add_both(cases, format!("plain/{}", label(source)), Format::Json, plain);
    }
    for line in DOTENV_LINES {
        add_both(cases, format!("line/{}", label(line)), Format::Dotenv, format!("FIRST=1\n{line}\n"));
    }
    for line in INI_LINES {
        add_both(cases, format!("line/{}", label(line)), Format::Ini, format!("[s]\n{line}\n"));
        add_both(cases, format!("top/{}", label(line)), Format::Ini, format!("{line}\n[t]\nz = y\n"));
    }
    let bytes: Vec<u8> = (0..=255).collect();
    for (name, plain) in [
        ("all-bytes", bytes.clone()),
        ("not-utf8", b"a\xff\xfe".to_vec()),
        ("zeros", vec![0; 100]),
        ("long", bytes.repeat(400)),
        ("looks-like-json", b"{\"data\": \"x\", \"sops\": {}}".to_vec()),
        ("pem", b"-----BEGIN X-----\nQUJD\n-----END X-----\n".to_vec()),
    ] {
        for writer in WRITERS {
            cases.push(Case::new(name, Format::Binary, plain.clone()).by(writer));
        }
    }
}

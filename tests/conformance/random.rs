//! Random documents from a seed.

use crate::{
    case::{Case, Format},
    scalars::{STRINGS, YAML_SOURCES, quote},
    tools::WRITERS,
};

/// `SplitMix64`: enough for choosing, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const LETTERS: &[char] = &[
    'a',
    'b',
    'c',
    'x',
    'y',
    'z',
    'A',
    'Z',
    '0',
    '1',
    '9',
    ' ',
    ' ',
    ' ',
    '_',
    '-',
    '.',
    ':',
    '#',
    '\'',
    '"',
    '\\',
    '/',
    ',',
    '[',
    ']',
    '{',
    '}',
    '&',
    '*',
    '!',
    '|',
    '>',
    '%',
    '@',
    '`',
    '=',
    '?',
    '~',
    '<',
    ';',
    '$',
    '(',
    ')',
    '+',
    '^',
    '\u{e9}',
    '\u{65e5}',
    '\u{1f600}',
    '\u{a0}',
    '\u{feff}',
    '\u{2028}',
];

/// Text; with `lines` it may hold newlines and tabs.
fn text(random: &mut Random, lines: bool) -> String {
    if random.one_in(3) {
        let text = random.pick(STRINGS);
        if lines || !text.contains(['\n', '\r', '\0']) {
            return text.to_owned();
        }
    }
    let length = if random.one_in(20) { 200 } else { 12 };
    let mut text = String::new();
    for _ in 0..random.below(length) {
        if lines && random.one_in(10) {
            text.push(random.pick(&['\n', '\n', '\n', '\t', '\r']));
        } else if random.one_in(3) {
            text.push(random.pick(LETTERS));
        } else {
            text.push(random.pick(&LETTERS[..12]));
        }
    }
    text
}

fn key(random: &mut Random) -> String {
    let key = if random.one_in(5) { text(random, false) } else { format!("k{}", random.below(1000)) };
    if random.one_in(6) { format!("{key}_unencrypted") } else { key }
}

fn comment(random: &mut Random) -> String {
    text(random, false).replace(|letter: char| letter.is_control(), "")
}

/// A YAML document being written.
struct Yaml {
    text: String,
    /// Spaces a level, and whether lists in maps are indented.
    indent: usize,
    lists_indented: bool,
}

impl Yaml {
    fn line(&mut self, column: usize, text: &str) {
        self.text.extend(std::iter::repeat_n(' ', column));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn maybe_comment(&mut self, random: &mut Random, column: usize) {
        while random.one_in(6) {
            if random.one_in(4) {
                self.text.push('\n');
            }
            let comment = comment(random);
            self.line(column, &format!("#{comment}"));
            if random.one_in(4) {
                self.text.push('\n');
            }
        }
    }

    /// What follows `key:` or `-` on the same line, and further lines. Flow and scalars only.
    fn scalar(random: &mut Random, column: usize) -> String {
        let mut scalar = match random.below(10) {
            0..3 => random.pick(YAML_SOURCES).to_owned(),
            3 => {
                // A literal block whose lines are what they look like.
                let lines: Vec<String> =
                    text(random, true).split(['\n', '\r']).map(|line| line.trim_start().to_owned()).collect();
                if lines.iter().all(String::is_empty)
                    || lines.iter().any(|line| line.contains(char::is_control))
                {
                    return "text".to_owned();
                }
                let pad = " ".repeat(column + 2);
                let head = random.pick(&["|", "|-", "|+", ">", ">-"]);
                let lines =
                    lines.iter().map(|line| format!("\n{pad}{line}").trim_end_matches(' ').to_owned());
                return format!("{head}{}", lines.collect::<String>());
            }
            4 => {
                let text = text(random, false);
                if text.contains(char::is_control) {
                    quote(&text)
                } else {
                    format!("'{}'", text.replace('\'', "''"))
                }
            }
            _ => quote(&text(random, true)),
        };
        if random.one_in(8) && !scalar.contains('#') {
            let comment = comment(random);
            scalar = format!("{scalar} #{comment}");
        }
        scalar
    }

    fn map(&mut self, random: &mut Random, column: usize, depth: usize) {
        for _ in 0..=random.below(4) {
            self.maybe_comment(random, column);
            let key = key(random);
            let plain =
                !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let key = if plain { key } else { quote(&key) };
            match random.below(if depth == 0 { 3 } else { 6 }) {
                3 | 4 => {
                    let comment =
                        if random.one_in(8) { format!(" #{}", comment(random)) } else { String::new() };
                    self.line(column, &format!("{key}:{comment}"));
                    self.map(random, column + self.indent, depth - 1);
                }
                5 => {
                    self.line(column, &format!("{key}:"));
                    let inner = if self.lists_indented { column + self.indent } else { column };
                    self.list(random, inner, depth - 1);
                }
                _ => {
                    let scalar = Self::scalar(random, column);
                    self.line(column, &format!("{key}: {scalar}"));
                }
            }
        }
        self.maybe_comment(random, column);
    }

    fn list(&mut self, random: &mut Random, column: usize, depth: usize) {
        for _ in 0..=random.below(4) {
            self.maybe_comment(random, column);
            if depth > 0 && random.one_in(3) {
                // A collection that begins on the line of its dash.
                let start = self.text.len();
                if random.one_in(2) {
                    self.map(random, column + 2, depth - 1);
                } else {
                    self.list(random, column + 2, depth - 1);
                }
                let inner = self.text.split_off(start);
                let lead = inner.len() - inner.trim_start_matches([' ', '\n']).len();
                self.line(column, &format!("- {}", inner[lead..].trim_end_matches('\n')));
            } else {
                let scalar = Self::scalar(random, column);
                self.line(column, &format!("- {scalar}"));
            }
        }
        self.maybe_comment(random, column);
    }
}

fn yaml(random: &mut Random) -> String {
    let (indent, lists_indented) = (random.pick(&[1, 2, 2, 3, 4, 8]), random.one_in(2));
    let mut yaml = Yaml { text: String::new(), indent, lists_indented };
    yaml.map(random, 0, 3);
    while random.one_in(6) {
        yaml.line(0, "---");
        yaml.map(random, 0, 2);
    }
    yaml.text
}

fn json_value(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 7 } else { 10 }) {
        0 => random.pick(&["null", "true", "false"]).to_owned(),
        1 => (random.next() >> random.below(64)).to_string(),
        2 => {
            let exponent = random.pick(&[-30, -7, -6, -1, 0, 1, 5, 20, 21, 22, 200]);
            format!("{}{}e{}", random.pick(&["", "-"]), random.next() >> random.below(64), exponent)
        }
        3 => format!("{}.{}", random.next() >> random.below(64), random.next() >> random.below(64)),
        7 | 8 => json_map(random, depth - 1),
        9 => {
            let values: Vec<String> = (0..random.below(4)).map(|_| json_value(random, depth - 1)).collect();
            format!("[{}]", values.join(","))
        }
        _ => quote(&text(random, true)),
    }
}

fn json_map(random: &mut Random, depth: usize) -> String {
    let entry = |random: &mut Random| {
        let key = quote(&key(random));
        format!("{key}: {}", json_value(random, depth))
    };
    let entries: Vec<String> = (0..random.below(6)).map(|_| entry(random)).collect();
    format!("{{{}}}", entries.join(","))
}

fn dotenv(random: &mut Random) -> String {
    let mut file = String::new();
    for _ in 0..=random.below(8) {
        match random.below(6) {
            0 => file.push_str(&format!("#{}\n", text(random, false))),
            1 => file.push('\n'),
            _ => {
                let key =
                    if random.one_in(4) { text(random, false) } else { format!("KEY_{}", random.below(100)) };
                let value = text(random, false);
                file.push_str(&format!("{}={value}\n", key.replace(['=', '#'], "")));
            }
        }
    }
    file
}

fn ini(random: &mut Random) -> String {
    let mut file = String::new();
    for section in 0..=random.below(4) {
        if section > 0 || random.one_in(2) {
            let name = if random.one_in(3) { text(random, false) } else { format!("s{}", random.below(5)) };
            file.push_str(&format!("[{}]\n", name.replace([']', '['], "")));
        }
        for _ in 0..=random.below(5) {
            let value = text(random, true);
            match random.below(8) {
                0 => file.push_str(&format!("{}{}\n", random.pick(&["#", ";", "; "]), text(random, false))),
                1 => file.push('\n'),
                2 => file.push_str(&format!("k{} = \"\"\"{value}\"\"\"\n", random.below(50))),
                3 => file.push_str(&format!("k{} = `{value}`\n", random.below(50))),
                4 => file.push_str(&format!("\"{}\" = x\n", text(random, false).replace(['"', '='], ""))),
                _ => {
                    let value = value.replace(['\n', '\r'], " ");
                    file.push_str(&format!(
                        "k{}{}{value}\n",
                        random.below(50),
                        random.pick(&[" = ", "=", ": "])
                    ));
                }
            }
        }
    }
    file
}

const RULES: &[&str] = &[
    "",
    "",
    "",
    "mac_only_encrypted: true\n",
    "encrypted_regex: \"^k[0-4]\"\n",
    "unencrypted_regex: \"[5-9]$\"\n",
    "encrypted_suffix: \"5\"\n",
    "encrypted_comment_regex: \"[a-c]\"\n",
    "unencrypted_comment_regex: \"[a-c]\"\n",
    "unencrypted_regex: \".\"\n",
];

/// Adds so many documents. Each has its own seed, so that it does not depend on the others.
pub fn add(cases: &mut Vec<Case>, seed: u64, count: u64) {
    for nth in 0..count {
        let mut random = Random(seed ^ nth.wrapping_mul(0xD134_2543_DE82_EF95));
        random.next();
        let random = &mut random;
        let (format, plain) = match random.below(20) {
            0..11 => (Format::Yaml, yaml(random).into_bytes()),
            11..14 => (Format::Json, json_map(random, 3).into_bytes()),
            14..16 => (Format::Dotenv, dotenv(random).into_bytes()),
            16..19 => (Format::Ini, ini(random).into_bytes()),
            _ => {
                let length = random.below(3000);
                (Format::Binary, (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect())
            }
        };
        let rule = random.pick(RULES);
        let writer = random.pick(&[WRITERS[0], WRITERS[0], WRITERS[1], WRITERS[2]]);
        cases.push(Case::new(format!("random/{nth}"), format, plain).rule(rule).by(writer));
    }
}

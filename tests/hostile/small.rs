//! Files of very many small things: what each costs beside its bytes.

use std::fmt::Write;

use crate::{Fixture, Input, desk::Verdict::Any};

/// A form of a file: its name, what stands before the small things, the small thing, and what stands behind them. `@` in a
/// small thing is its number.
type Form = (&'static str, String, &'static str, String);

/// Each form with small things of these many bytes together.
fn inputs(forms: &[Form]) -> Vec<Input> {
    let sizes: &[usize] = if crate::program::is_optimised() { &[1 << 20, 5 << 20] } else { &[1 << 20] };
    let of_size = |(name, before, thing, behind): &Form, size: usize| {
        let mut text = before.clone();
        for number in 0.. {
            if text.len() > size {
                break;
            }
            match thing.split_once('@') {
                Some((start, end)) => write!(text, "{start}{number:x}{end}").unwrap(),
                None => text.push_str(thing),
            }
        }
        Input { name: format!("many: {name}"), bytes: (text + behind).into_bytes(), verdict: Any }
    };
    forms.iter().flat_map(|form| sizes.iter().map(move |size| of_size(form, *size))).collect()
}

pub fn yaml(fixture: &Fixture) -> Vec<Input> {
    let whole = &fixture.text;
    let block = |name, thing| (name, "a_unencrypted:\n".to_owned(), thing, whole.clone());
    let flow = |name, thing| (name, "a_unencrypted: [".to_owned(), thing, format!("]\n{whole}"));
    let top = |name, thing| (name, String::new(), thing, whole.clone());
    let behind = |name, thing| (name, whole.clone(), thing, String::new());
    let (deep, closed) = ("[".repeat(900), "]".repeat(900));
    let (before_ages, ages) = whole.split_once("    age:\n").expect("age");
    inputs(&[
        block("nulls", "-\n"),
        block("nulls with CR LF", "-\r\n"),
        block("tildes", "- ~\n"),
        block("numbers", "- 1\n"),
        block("times", "- 2001-01-01\n"),
        block("empty strings", "- ''\n"),
        block("strings", "- x\n"),
        block("block scalars", "- |\n x\n"),
        block("pairs", "  a: 1\n"),
        block("pairs without values", "  a:\n"),
        block("pairs of different keys", "  @:\n"),
        block("pairs of two lines", "  ? a\n  : b\n"),
        block("lists in lists", "- - - - - - - -\n"),
        block("empty maps", "- {}\n"),
        block("items with comments", "- #\n"),
        block("items with longer comments", "- x #x\n"),
        block("pairs with comments", "  a: 1 #x\n"),
        block("comments below", "  a: 1\n  #x\n\n"),
        block("comments above and behind", "- #x\n  a: #y\n    b\n"),
        block("anchors", "- &a\n"),
        block("different anchors", "- &@\n"),
        block("aliases", "- &a x\n- *a\n"),
        block("tags", "- !!str\n"),
        block("binary", "- !!binary YQ==\n"),
        flow("flow strings", "a,"),
        flow("flow escapes", "\"\\n\","),
        flow("flow lists", "[],"),
        flow("flow lists in lists", "[[[[]]]],"),
        flow("flow maps", "{},"),
        flow("flow pairs", "a: ,"),
        flow("nulls far inside", "~,"),
        ("nulls deep inside", format!("a_unencrypted: {deep}"), "~,", format!("{closed}\n{whole}")),
        top("comments", "#\n"),
        top("longer comments", "#x\n"),
        top("keys of the root", "k@:\n"),
        (
            "comments in waves",
            "a_unencrypted:\n    b: 1\n".to_owned(),
            "#\n #\n",
            format!("    c: 1\n{whole}"),
        ),
        ("comments in a list", "a_unencrypted:\n  - 1\n".to_owned(), "  #x\n", format!("  - 1\n{whole}")),
        behind("documents", "---\n"),
        behind("documents with a key", "---\na:\n"),
        behind("documents with comments", "--- ~\n#x\n"),
        ("nulls in the metadata", format!("{}\n    extra: [", whole.trim_end()), "~,", "]\n".to_owned()),
        ("pairs in the metadata", format!("{}\n    extra: {{", whole.trim_end()), "k@: ,", "}\n".to_owned()),
        ("empty entries", format!("{before_ages}    age:\n"), "        -\n", ages.to_owned()),
        ("a merge", "x_unencrypted: &x {".to_owned(), "k@: ,", format!("}}\n<<: *x\n{whole}")),
    ])
}

pub fn json(fixture: &Fixture) -> Vec<Input> {
    let whole = &fixture.text;
    let (_, behind) = whole.split_once('{').expect("an object");
    let (before_ages, ages) = whole.split_once("\"age\": [").expect("age");
    let (before_sops, sops) = whole.split_once("\"sops\": {").expect("metadata");
    let list = |name, thing| (name, "{\"a_unencrypted\":[".to_owned(), thing, format!("1],{behind}"));
    let map = |name, thing| (name, "{\"a_unencrypted\":{".to_owned(), thing, format!("\"\":1}},{behind}"));
    let (deep, closed) = ("[".repeat(900), "]".repeat(900));
    inputs(&[
        list("nulls", "null,"),
        list("numbers", "1,"),
        list("empty strings", "\"\","),
        list("strings", "\"x\","),
        list("lists", "[],"),
        list("lists in lists", "[[[[]]]],"),
        list("maps", "{},"),
        map("members", "\"\":1,"),
        map("members with strings", "\"x\":\"y\","),
        ("members of the root", "{".to_owned(), "\"x\":\"\",", behind.to_owned()),
        ("numbers deep inside", format!("{{\"a_unencrypted\":{deep}"), "1,", format!("1{closed},{behind}")),
        ("numbers in the metadata", format!("{before_sops}\"sops\": {{\"x\":["), "1,", format!("1],{sops}")),
        ("empty entries", format!("{before_ages}\"age\": ["), "{},", ages.to_owned()),
        ("control characters", "{\"a_unencrypted\":\"".to_owned(), "\\b", format!("\",{behind}")),
    ])
}

pub fn dotenv(fixture: &Fixture) -> Vec<Input> {
    let whole = &fixture.text;
    let lines = |name, thing| (name, String::new(), thing, whole.clone());
    inputs(&[
        lines("empty values without a name", "=\n"),
        lines("empty values", "a=\n"),
        lines("values", "a=b\n"),
        lines("comments", "#\n"),
        lines("longer comments", "#x\n"),
        lines("fields", "sops_@=\n"),
        lines("fields of maps", "sops_@__map_a=\n"),
        lines("list elements", "sops_x__list_@=\n"),
    ])
}

pub fn ini(fixture: &Fixture) -> Vec<Input> {
    let whole = &fixture.text;
    let lines = |name, thing| (name, String::new(), thing, whole.clone());
    let long = "k".repeat(500_000);
    inputs(&[
        lines("sections of one name", "[a]\n"),
        lines("sections", "[s@]\n"),
        lines("values of one name", "a=\n"),
        lines("values", "k@=\n"),
        lines("numbered values", "-=\n"),
        lines("values with comments", "k@=#\n"),
        lines("comments", "#\n"),
        ("values below a long key", format!("{long}=\n"), "k@=\n", whole.clone()),
        ("fields", whole.clone(), "k@=\n", String::new()),
        ("lines of a value", "a_unencrypted=\"\"\"".to_owned(), "x\n", format!("\"\"\"\n{whole}")),
    ])
}

//! YAML as sops 3.12.2 reads and writes it, to the byte: the rules of go.yaml.in/yaml/v3 v3.0.4 (sops-format.md 8.1).
//!
//! Reading goes through `text` (encoding), `scanner` (tokens; with `scalars`, `tags` and `comments`), `parser`
//! (events), `composer` (nodes) and `tree` or `metadata` (what sops makes of them). Writing is `emit`
//! (which comes where), `page` (lines and indentation), `style` and `strings`.
//!
//! Time and memory are linear in the input; aliases may add a bounded amount. What sops reads and this does not:
//! nesting deeper than the stack allows, aliases that write out more than [`ALIAS_ALLOWANCE`], a second byte order mark.

mod comments;
mod composer;
mod emit;
mod metadata;
mod page;
mod parser;
mod pile;
mod resolve;
mod scalars;
mod scanner;
mod strings;
mod style;
mod tags;
mod text;
mod timestamp;
mod tree;

use std::borrow::Cow;

use crate::{
    failure::{Failure, Result},
    room::Room,
    sops::{formats::Parsed, value::Branch},
};

pub use emit::{emit, emit_value};
pub use metadata::Node;

/// How much aliases may write out, in bytes of text plus a charge for each node.
const ALIAS_ALLOWANCE: usize = 16 << 20;

/// The key of the metadata.
const METADATA_KEY: &[u8] = b"sops";

/// Reads a YAML stream: one tree for each document.
#[cfg(test)]
fn documents(bytes: &[u8]) -> Result<Vec<Branch>> {
    let text = text::decode(bytes)?;
    let graph = composer::compose(&text, Room::beside(text.len()))?;
    trees(&mut tree::Grower::new(&graph), None)
}

/// Reads an encrypted YAML file and takes off its metadata.
///
/// # Errors
/// What sops 3.12.2 cannot read: anything but YAML 1.1 in UTF-8 or UTF-16, a document that is no mapping, a key that
/// is no string, an integer above `i64`, keys that repeat at the top level of the first document or in its metadata.
pub fn parse(bytes: &[u8], room: &mut Room) -> Result<Parsed> {
    match parts(bytes, room)? {
        (documents, Some(Node::Map(metadata))) => {
            Ok(Parsed { documents, metadata: metadata::branch(metadata) })
        }
        _ => Err(Parsed::no_metadata()),
    }
}

/// The value of the key `name` in the first document: `None` if it is missing or null.
///
/// # Errors
/// Where go-yaml refuses the document.
pub fn field(bytes: &[u8], name: &str) -> Result<Option<Node>> {
    let text = text::decode(bytes)?;
    let graph = composer::compose(&text, Room::beside(text.len()))?;
    Ok(tree::Grower::new(&graph).field(name.as_bytes())?.map(|(_, node)| node))
}

/// The documents without their metadata, and the metadata of the first: `None` if it is missing or null.
fn parts(bytes: &[u8], room: &mut Room) -> Result<(Vec<Branch>, Option<Node>)> {
    let text = text::decode(bytes)?;
    if let Cow::Owned(text) = &text {
        room.take(text.capacity())?;
    }
    let graph = composer::compose(&text, *room)?;
    let mut grower = tree::Grower::new(&graph);
    let metadata = grower.metadata(METADATA_KEY)?;
    let documents = trees(&mut grower, Some(METADATA_KEY))?;
    // The graph is counted even when it is gone: what it was stored in is not used again for large things.
    *room = grower.room;
    Ok((documents, metadata))
}

fn trees<'g>(grower: &mut tree::Grower<'g, '_>, without: Option<&'g [u8]>) -> Result<Vec<Branch>> {
    let documents = &grower.graph.documents;
    let count = documents.len() as usize;
    grower.room.take(count.saturating_mul(size_of::<Branch>()))?;
    let mut trees = Vec::with_capacity(count);
    for document in documents.iter() {
        trees.push(grower.document(document, without)?);
    }
    Ok(trees)
}

/// A failure in a line, counted from 0.
fn fault(line: isize, problem: &str) -> Failure {
    Failure::new(format!("not YAML that sops reads: line {}: {problem}", line + 1))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::sops::value::{Entry, Value};

    /// A text of the golden file: lines without their mark, `\xNN` for bytes, `\.` for no line feed at the end.
    fn unescape(lines: &[&str]) -> Vec<u8> {
        let mut text = Vec::new();
        for line in lines {
            let mut rest = line.as_bytes();
            let mut ended = true;
            while let [byte, more @ ..] = rest {
                rest = more;
                match (byte, more) {
                    (b'\\', [b'x', high, low, more @ ..]) => {
                        let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
                        text.push(digit(*high) << 4 | digit(*low));
                        rest = more;
                    }
                    (b'\\', [b'.', ..]) => {
                        ended = false;
                        break;
                    }
                    (b'\\', [b'\\', more @ ..]) => {
                        text.push(b'\\');
                        rest = more;
                    }
                    _ => text.push(*byte),
                }
            }
            if ended {
                text.push(b'\n');
            }
        }
        text
    }

    #[test]
    fn streams_come_out_as_sops_writes_them() {
        let golden = include_str!("../../../../tests/data/yaml-golden.txt");
        let mut wrong = String::new();
        let mut count = 0;
        for case in golden.split("\n\n").skip(1) {
            let lines =
                |mark: char| case.lines().filter_map(|line| line.strip_prefix(mark)).collect::<Vec<_>>();
            let (input, output) = (unescape(&lines('<')), lines('>'));
            let refused = case.lines().any(|line| line == "!");
            assert!(refused == output.is_empty(), "a case has an output or a refusal: {case}");
            let ours = documents(&input).and_then(|documents| emit(&documents, Room::beside(0)));
            let same = match &ours {
                Ok(text) => !refused && **text == *unescape(&output),
                Err(_) => refused,
            };
            if !same {
                let ours = ours.map(|text| String::from_utf8_lossy(&text).into_owned());
                let _ = write!(wrong, "{case}\nours: {ours:?}\n\n");
            }
            count += 1;
        }
        assert!(count > 300 && wrong.is_empty(), "of {count}:\n{wrong}");
    }

    fn refusal(text: &[u8]) -> String {
        parts(text, &mut Room::beside(text.len())).unwrap_err().headline
    }

    #[test]
    fn hostile_streams_are_refused() {
        let alias_bomb: Vec<u8> = std::iter::once("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned())
            .chain((1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","))))
            .flat_map(String::into_bytes)
            .collect();
        let merge_bomb: Vec<u8> = std::iter::once("a0: &a0 {x: 1}\n".to_owned())
            .chain((1..40).map(|n| format!("a{n}: &a{n} {{<<: [*a{0},*a{0}]}}\n", n - 1)))
            .chain(std::iter::once("<<: [*a39,*a39]\n".to_owned()))
            .flat_map(String::into_bytes)
            .collect();
        let steps = (0..1100).map(|n| " ".repeat(n) + "k:\n").collect::<String>();
        let cases: [(&[u8], &str); 14] = [
            (&alias_bomb, "aliases write out too much"),
            (&merge_bomb, "aliases write out too much"),
            (b"a: &a [*a,*a]\n", "nested too deep"),
            (b"&x\nsops: {}\n<<: *x\n", "nested too deep"),
            (steps.as_bytes(), "nested too deep"),
            (&[&b"a: "[..], &[b'['; 10_000]].concat(), "nested too deep"),
            (b"a: \xff\n", "not UTF-8"),
            (b"a: b\0c\n", "control characters"),
            (b"\xff\xfea", "not UTF-16"),
            (b"a: 9223372036854775808\n", "line 1: an integer"),
            (b"a: 1\n2: b\n", "line 2: a key is not a string"),
            (b"- a\n", "not a mapping"),
            (b"a: 1\nb: 2\na: 3\n", "line 3: a mapping key is already defined"),
            (b"<<: x\n", "map merge requires map"),
        ];
        for (text, expected) in cases {
            let told = refusal(text);
            assert!(told.contains(expected), "{told} instead of {expected}");
        }
    }

    #[test]
    fn metadata_keeps_texts_and_leaves_the_tree() {
        let text = b"# c\na: &x {mac: m, version: 1}\nsops:\n  lastmodified: 2020-07-05T20:44:28Z\n  version: 3.10\n  \
            bad: !!int x\n  <<: *x\n  age:\n  -\n  - enc: |\n      e\n    true: yes\n---\nsops: 1\nb: null\n";
        let (documents, metadata) = parts(text, &mut Room::beside(text.len())).unwrap();
        let Some(Node::Map(fields)) = metadata else { panic!("no metadata") };
        let field = |name: &str| &fields.iter().find(|(key, _)| *key == name.as_bytes()).unwrap().1;
        let is_text =
            |node: &Node, expected: &[u8]| matches!(node, Node::Scalar { text, .. } if *text == expected);
        assert!(is_text(field("lastmodified"), b"2020-07-05T20:44:28Z"));
        assert!(is_text(field("version"), b"3.10"));
        assert!(is_text(field("mac"), b"m"));
        assert_eq!(*field("bad"), Node::Invalid);
        let Node::List(ages) = field("age") else { panic!("age is no list") };
        let [Node::Null, Node::Map(age)] = ages.as_slice() else { panic!("wrong list") };
        assert!(is_text(&age[0].1, b"e\n") && age[1].0 == b"true");
        let expected: Vec<Branch> = vec![
            vec![
                Entry::Comment(" c".into()),
                Entry::Pair(
                    b"a".to_vec(),
                    Value::Map(vec![
                        Entry::Pair(b"mac".to_vec(), Value::Str("m".into())),
                        Entry::Pair(b"version".to_vec(), Value::Int(1)),
                    ]),
                ),
            ],
            vec![Entry::Pair(b"b".to_vec(), Value::Null)],
        ];
        assert!(documents == expected);
    }

    #[test]
    fn single_values_come_out_as_sops_extracts_them() {
        let list = Value::List(vec![Value::Comment(" c".into()), Value::Int(1), Value::List(Vec::new())]);
        let cases: [(Value, &str); 6] = [
            (Value::Null, "null\n"),
            (Value::Float(1e6), "1e+06\n"),
            (Value::Bool(true), "true\n"),
            (list, "# c\n- 1\n- []\n"),
            (Value::Comment(" c".into()), "value: ' c'\n"),
            (Value::Map(Vec::new()), "{}\n"),
        ];
        for (value, expected) in cases {
            assert_eq!(*emit_value(&value, Room::beside(0)).unwrap(), *expected.as_bytes());
        }
    }
}

//! Damage that can happen to a sops file of any format.

use crate::{Fixture, Input, desk::Verdict};

/// All of it.
pub fn all(fixture: &Fixture) -> Vec<Input> {
    let mut inputs = truncated(fixture);
    inputs.extend(strange_bytes(fixture));
    inputs.extend(flipped_bits(fixture));
    inputs.extend(damaged_values(fixture));
    inputs.extend(whole_files());
    inputs
}

fn input(name: String, bytes: impl Into<Vec<u8>>, verdict: Verdict) -> Input {
    Input { name, bytes: bytes.into(), verdict }
}

/// Cut at every 50th byte. Where only the end of an unimportant field is lost, the file still opens.
fn truncated(fixture: &Fixture) -> Vec<Input> {
    (0..fixture.text.len())
        .step_by(50)
        .map(|length| {
            let verdict = if length < 400 { Verdict::Fails } else { Verdict::FailsOrOpens };
            input(format!("truncated to {length} bytes"), &fixture.text.as_bytes()[..length], verdict)
        })
        .collect()
}

/// NULs, bytes that are not UTF-8, line breaks and tabs at every 97th byte, put in and put over.
fn strange_bytes(fixture: &Fixture) -> Vec<Input> {
    let mut inputs = Vec::new();
    for at in (0..fixture.text.len()).step_by(97) {
        for strange in [0u8, 0xff, b'\n', b'\t', b'{', b'"', b'\\'] {
            let mut bytes = fixture.text.clone().into_bytes();
            bytes.insert(at, strange);
            inputs.push(input(format!("byte {strange:#x} inserted at {at}"), bytes, Verdict::Any));
            let mut bytes = fixture.text.clone().into_bytes();
            bytes[at] = strange;
            inputs.push(input(format!("byte {strange:#x} put over {at}"), bytes, Verdict::Any));
        }
    }
    inputs
}

fn flipped_bits(fixture: &Fixture) -> Vec<Input> {
    (0..fixture.text.len())
        .step_by(23)
        .map(|at| {
            let mut bytes = fixture.text.clone().into_bytes();
            bytes[at] ^= 1 << (at % 8);
            input(format!("bit flipped at {at}"), bytes, Verdict::Any)
        })
        .collect()
}

/// The encrypted values of the file, in order; the MAC is one of them.
fn ciphertexts(text: &str) -> Vec<&str> {
    let starts = text.match_indices("ENC[AES256_GCM,");
    starts.map(|(start, _)| &text[start..=start + text[start..].find(']').expect("an end")]).collect()
}

fn damaged_values(fixture: &Fixture) -> Vec<Input> {
    let text = &fixture.text;
    let values = ciphertexts(text);
    let mut inputs = Vec::new();
    // Swapped: the key is authenticated with the value.
    for pair in values.windows(2) {
        let swapped = text.replace(pair[0], "\u{1}").replace(pair[1], pair[0]).replace('\u{1}', pair[1]);
        // A comment says nothing about where it stands.
        let verdict = if pair.iter().any(|value| value.contains("type:comment")) {
            Verdict::Any
        } else {
            Verdict::Fails
        };
        inputs.push(input("two values swapped".to_owned(), swapped, verdict));
    }
    let long = "A".repeat(1 << 20);
    for value in values {
        let comment = value.contains("type:comment");
        // A comment that does not open is printed as it is, by sops too.
        let verdict = if comment { Verdict::Any } else { Verdict::Fails };
        let field = |name: &str| {
            let start = value.find(&format!("{name}:")).expect("a field") + name.len() + 1;
            let end = start + value[start..].find([',', ']']).expect("an end");
            start..end
        };
        for name in ["data", "iv", "tag", "type"] {
            let range = field(name);
            let first = &value[range.start..=range.start];
            let other = if first == "A" { "B" } else { "A" };
            for (how, damaged) in [
                ("empty", String::new()),
                ("with another first character", format!("{other}{}", &value[range.start + 1..range.end])),
                ("not base64", "!!!!".to_owned()),
                ("cut in half", value[range.start..usize::midpoint(range.start, range.end)].to_owned()),
                ("a megabyte long", long.clone()),
                ("twice", value[range.clone()].repeat(2)),
            ] {
                let damaged = format!("{}{damaged}{}", &value[..range.start], &value[range.end..]);
                inputs.push(input(
                    format!("{name} {how} in {value:.40}"),
                    text.replace(value, &damaged),
                    verdict,
                ));
            }
        }
        for (how, damaged) in [
            ("empty", ""),
            ("plain", "plain"),
            ("only begun", "ENC[AES256_GCM,"),
            ("without fields", "ENC[AES256_GCM]"),
            ("of another cipher", "ENC[ROT13,data:AAAA,iv:AAAA,tag:AAAA,type:str]"),
        ] {
            inputs.push(input(format!("{value:.40} {how}"), text.replace(value, damaged), Verdict::Any));
        }
    }
    inputs
}

/// What is no sops file at all.
fn whole_files() -> Vec<Input> {
    let megabyte = 1 << 20;
    [
        ("nothing", Vec::new()),
        ("a newline", b"\n".to_vec()),
        ("a NUL", vec![0]),
        ("a megabyte of NULs", vec![0; megabyte]),
        ("a megabyte of 0xff", vec![0xff; megabyte]),
        ("a megabyte of newlines", vec![b'\n'; megabyte]),
        ("a megabyte of spaces", vec![b' '; megabyte]),
        ("a megabyte of tabs", vec![b'\t'; megabyte]),
        ("a megabyte of [", vec![b'['; megabyte]),
        ("a megabyte of {", vec![b'{'; megabyte]),
        ("a megabyte of -", vec![b'-'; megabyte]),
        ("a megabyte of \"", vec![b'"'; megabyte]),
        ("a megabyte of a", vec![b'a'; megabyte]),
        ("a megabyte of =", vec![b'='; megabyte]),
        ("a megabyte of #", vec![b'#'; megabyte]),
        ("a megabyte of \\", vec![b'\\'; megabyte]),
        ("half a million empty lines with CR", b"\r\n".repeat(megabyte / 2)),
        ("half a million comments", b"#\n".repeat(megabyte / 2)),
        ("half a million a=", b"a=\n".repeat(megabyte / 3)),
        ("UTF-16", "\u{feff}sops: {}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("an ELF file", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec()),
        ("an age file", b"age-encryption.org/v1\n-> X25519 aaaa\naaaa\n--- aaaa\n".to_vec()),
        ("a bracket", b"[".to_vec()),
        ("null", b"null".to_vec()),
        ("an empty map", b"{}".to_vec()),
        ("an empty list", b"[]".to_vec()),
        ("a number", b"1e999999999".to_vec()),
    ]
    .into_iter()
    .map(|(name, bytes)| input(name.to_owned(), bytes, Verdict::Fails))
    .collect()
}

//! Writes sections as INI text.

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    room::{Room, Sheet},
};

use super::{DEFAULT, Section, trim};

/// The sections in order with an empty line between two. A default section in front has no header.
pub(super) fn sections(sections: &[Section], room: Room) -> Result<Plaintext> {
    let mut out = Sheet::in_room(room);
    for (at, section) in sections.iter().enumerate() {
        write_comment(&mut out, &section.comment, |line| line)?;
        if at > 0 || !section.name.eq_ignore_ascii_case(DEFAULT) {
            for part in [b"[".as_slice(), &section.name, b"]\n"] {
                out.push(part);
            }
        } else if section.keys.is_empty() {
            continue;
        }
        // The equals signs stand below each other.
        let width = section.keys.iter().map(|key| quoted_key(&key.name).1).max().unwrap_or(0);
        for key in &section.keys {
            out.check()?;
            write_comment(&mut out, &key.comment, trim)?;
            let (quote, length) = quoted_key(&key.name);
            for part in [quote, &key.name, quote] {
                out.push(part);
            }
            for _ in length..width {
                out.push(b" ");
            }
            let quote = value_quote(&key.value);
            for part in [b" = ".as_slice(), quote, &key.value, quote, b"\n"] {
                out.push(part);
            }
        }
        if at.saturating_add(1) < sections.len() {
            out.push(b"\n");
        }
    }
    out.finish()
}

/// A line of the file for each line of the comment. An empty line crashes sops.
fn write_comment(out: &mut Sheet, comment: &[u8], trimmed: fn(&[u8]) -> &[u8]) -> Result<()> {
    if comment.is_empty() {
        return Ok(());
    }
    for line in comment.split(|b| *b == b'\n') {
        match line {
            [] => return Err(Failure::new("INI cannot hold a comment with an empty line")),
            [mark @ (b'#' | b';'), text @ ..] => {
                out.push(&[*mark, b' ']);
                out.push(trim(text));
            }
            _ => {
                out.push(b"; ");
                out.push(trimmed(line));
            }
        }
        out.push(b"\n");
    }
    Ok(())
}

/// The quote that a key needs, and the key's length with it.
fn quoted_key(name: &[u8]) -> (&'static [u8], usize) {
    let quote: &[u8] = if name.iter().any(|b| matches!(b, b'"' | b'=' | b':')) {
        b"`"
    } else if name.contains(&b'`') {
        b"\"\"\""
    } else {
        b""
    };
    (quote, name.len().saturating_add(quote.len().saturating_mul(2)))
}

fn value_quote(value: &[u8]) -> &'static [u8] {
    if value.iter().any(|b| matches!(b, b'\n' | b'`')) {
        b"\"\"\""
    } else if value.iter().any(|b| matches!(b, b'#' | b';')) {
        b"`"
    } else if trim(value).len() != value.len() {
        b"\""
    } else {
        b""
    }
}

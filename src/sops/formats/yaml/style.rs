//! How a string is written: plain, in quotes, or as a block.

use super::{
    resolve::{self, Meaning},
    text::break_length,
};

/// The style of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
    /// Bytes that are no UTF-8: base64 with a tag.
    Binary,
    /// The merge key, which gets a tag.
    Merge,
    /// go-yaml cannot read back what it would write, and then writes null.
    Lost,
}

/// What a string consists of, as far as it matters for its style.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)]
struct Traits {
    /// It contains a line break (LF, CR, NEL, LS or PS).
    multiline: bool,
    indicators: bool,
    /// A character that cannot be written as it is.
    special: bool,
    tab: bool,
    space_at_end: bool,
    space_at_start: bool,
    break_then_space: bool,
    space_then_break: bool,
}

/// Characters that matter for nothing, unless they come first: most of most texts.
const ORDINARY: [bool; 256] = byte_set(b'!', b'~', b":#");

/// The bytes from one to another without some.
pub(super) const fn byte_set(first: u8, last: u8, without: &[u8]) -> [bool; 256] {
    let mut set = [false; 256];
    let mut rest: &mut [bool] = &mut set;
    let mut byte = 0;
    while let [member, more @ ..] = rest {
        *member = first <= byte && byte <= last;
        let mut excluded = without;
        while let [one, others @ ..] = excluded {
            if *one == byte {
                *member = false;
            }
            excluded = others;
        }
        byte = byte.wrapping_add(1);
        rest = more;
    }
    set
}

fn traits(text: &[u8]) -> Traits {
    let mut traits = Traits { indicators: starts_like_syntax(text), ..Traits::default() };
    let (mut after_space, mut after_break) = (false, false);
    let ordinary = |byte: &u8| ORDINARY.get(usize::from(*byte)).is_some_and(|ordinary| *ordinary);
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let [byte, ..] = rest
    {
        if ordinary(byte) {
            at += rest.iter().position(|byte| !ordinary(byte)).unwrap_or(rest.len());
            (after_space, after_break) = (false, false);
            continue;
        }
        let breaks = break_length(rest) > 0;
        let length = if *byte < 0x80 { 1 } else { character_length(*byte) };
        let last = rest.len() <= length;
        match byte {
            b':' if last || matches!(rest.get(1), Some(b' ' | b'\t')) => traits.indicators |= at > 0,
            b'#' if after_space || after_break => traits.indicators = true,
            b'\t' => traits.tab = true,
            _ => traits.special |= !is_printable(rest),
        }
        if *byte == b' ' {
            traits.space_at_start |= at == 0;
            traits.space_at_end |= last;
            traits.break_then_space |= after_break;
        } else if breaks {
            traits.multiline = true;
            traits.space_then_break |= after_space;
        }
        // A tab counts as a blank before `#`, but not as a space.
        if *byte == b'\t' && rest.get(1) == Some(&b'#') {
            traits.indicators = true;
        }
        (after_space, after_break) = (*byte == b' ', breaks);
        at += length;
    }
    traits
}

/// Whether a plain scalar cannot start like this.
fn starts_like_syntax(text: &[u8]) -> bool {
    match text {
        [b'-', b'-', b'-', ..] | [b'.', b'.', b'.', ..] => true,
        [b'-' | b'?' | b':', rest @ ..] => matches!(rest.first(), None | Some(b' ' | b'\t')),
        [first, ..] => b"#,[]{}&*!|>'\"%@`".contains(first),
        [] => false,
    }
}

/// The length of the character that starts with this byte.
pub(super) fn character_length(byte: u8) -> usize {
    match byte {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

/// Whether go-yaml writes the character at the start of this text as it is. It never does so above U+FFFF.
pub(super) fn is_printable(text: &[u8]) -> bool {
    match text {
        [b'\n' | 0x20..=0x7e, ..] => true,
        [0xc2, next, ..] => *next >= 0xa0,
        [] | [0xef, 0xbb, 0xbf, ..] | [0xef, 0xbf, 0xbe | 0xbf, ..] => false,
        [0xed, next, ..] => *next < 0xa0,
        [first, ..] => (0xc3..=0xef).contains(first),
    }
}

/// How a string is written.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub style: Style,
    /// It contains a line break (LF, CR, NEL, LS or PS), or is written in several lines.
    pub multiline: bool,
}

/// The shape of a string, which need not be UTF-8.
pub(super) fn shape(text: &[u8]) -> Shape {
    if std::str::from_utf8(text).is_err() {
        return Shape { style: Style::Binary, multiline: base64_length(text) >= BASE64_LINE };
    }
    let traits = traits(text);
    Shape { style: style(text, &traits), multiline: traits.multiline }
}

/// The length of a line of base64.
pub(super) const BASE64_LINE: usize = 70;

/// The length of these bytes as base64.
pub(super) fn base64_length(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4
}

fn style(text: &[u8], traits: &Traits) -> Style {
    let block = !(traits.space_then_break || traits.special || traits.space_at_end);
    if traits.multiline && text.contains(&b'\n') {
        return match text {
            // The tab would stand where go-yaml expects indentation.
            [b'\t', ..] if block => Style::Lost,
            _ if block => Style::Literal,
            _ => Style::Double,
        };
    }
    if text == b"<<" {
        return Style::Merge;
    }
    let is_text =
        resolve::plain(text) == Meaning::Text && !(resolve::is_old_bool(text) || resolve::is_base_60(text));
    if !is_text {
        return Style::Double;
    }
    let single = !(traits.break_then_space || traits.space_then_break || traits.tab || traits.special);
    let plain =
        single && !(traits.indicators || traits.multiline || traits.space_at_start || traits.space_at_end);
    if plain {
        Style::Plain
    } else if single {
        Style::Single
    } else {
        Style::Double
    }
}

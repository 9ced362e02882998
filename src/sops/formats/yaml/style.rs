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
    /// go-yaml cannot read back what it would write, and then writes null.
    Lost,
}

/// What a string consists of, as far as it matters for its style.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Traits {
    /// It contains a line break (LF, CR, NEL, LS or PS).
    pub multiline: bool,
    indicators: bool,
    /// A character that cannot be written as it is.
    special: bool,
    tab: bool,
    space_at_end: bool,
    space_at_start: bool,
    break_then_space: bool,
    space_then_break: bool,
}

pub(super) fn traits(text: &[u8]) -> Traits {
    let mut traits = Traits { indicators: starts_like_syntax(text), ..Traits::default() };
    let (mut after_space, mut after_break) = (false, false);
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let [byte, ..] = rest
    {
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

/// The style of a string, and whether it is written in several lines.
pub(super) fn of(text: &[u8], traits: &Traits) -> Style {
    let block = !(traits.space_then_break || traits.special || traits.space_at_end);
    if text.contains(&b'\n') {
        return match text {
            // The tab would stand where go-yaml expects indentation.
            [b'\t', ..] if block => Style::Lost,
            _ if block => Style::Literal,
            _ => Style::Double,
        };
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

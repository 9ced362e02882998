//! Escapes and bracket classes of Go's syntax: everything that is a code point or a set of them.

use super::{
    set::Set,
    unicode::{self, Folds},
};

const UPPER: (u32, u32) = (0x41, 0x5A);
const LOWER: (u32, u32) = (0x61, 0x7A);
const DIGIT: (u32, u32) = (0x30, 0x39);
const WORD: &[(u32, u32)] = &[DIGIT, UPPER, (0x5F, 0x5F), LOWER];

/// The two code points beyond ASCII that fold to an ASCII letter.
const KELVIN: u32 = 0x212A;
const LONG_S: u32 = 0x17F;

/// Unread pattern text. Clones are cheap and serve to look ahead.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'p>(pub(super) &'p str);

impl<'p> Cursor<'p> {
    pub(super) fn take(&mut self) -> Option<char> {
        let mut rest = self.0.chars();
        let next = rest.next();
        self.0 = rest.as_str();
        next
    }

    /// Takes this text if it comes next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Takes the text up to this mark, and the mark.
    pub(super) fn until(&mut self, mark: &str) -> Option<&'p str> {
        let (text, rest) = self.0.split_once(mark)?;
        self.0 = rest;
        Some(text)
    }

    /// The name behind a `\p`: one character, or several in braces.
    fn name(&mut self) -> Option<&'p str> {
        if self.eat("{") {
            return self.until("}");
        }
        let start = self.0;
        let single = self.take()?;
        start.get(..single.len_utf8())
    }

    /// Takes up to `most` digits of this radix and gives their value.
    fn digits(&mut self, radix: u32, most: usize) -> Option<u32> {
        let digits = self.0.chars().take(most).take_while(|digit| digit.is_digit(radix)).count();
        let (text, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        u32::from_str_radix(text, radix).ok()
    }
}

/// Go refuses the pattern.
pub(super) struct Refused;

/// Makes sets; knows the case folding table once it is needed.
#[derive(Default)]
pub(super) struct Classes {
    folds: Option<Folds>,
    /// No `:]` is left in the pattern. Remembered, for looking again at every `[:` would take quadratic time.
    no_more_names: bool,
}

impl Classes {
    /// Adds whatever differs in case only. ASCII, the usual case, does not need the table.
    pub(super) fn fold(&mut self, set: &mut Set) {
        if set.ranges().last().is_none_or(|&(_, high)| high < 0x80) {
            for (low, high) in set.ranges().to_vec() {
                for (letters, other_case) in [(UPPER, LOWER.0), (LOWER, UPPER.0)] {
                    let (low, high) = (low.max(letters.0), high.min(letters.1));
                    if low <= high {
                        set.add(low - letters.0 + other_case, high - letters.0 + other_case);
                    }
                }
                for (letters, other) in [("Kk", KELVIN), ("Ss", LONG_S)] {
                    if letters.chars().any(|letter| (low..=high).contains(&letter.into())) {
                        set.add(other, other);
                    }
                }
            }
        } else {
            self.folds.get_or_insert_with(Folds::load).close(set);
        }
    }

    /// A known class, folded first and negated then, as Go does.
    fn finish(&mut self, mut set: Set, fold: bool, negate: bool) -> Set {
        if fold {
            self.fold(&mut set);
        }
        if negate { set.negated() } else { set }
    }

    /// A class escape: `\d`, `\pL`, `\P{Greek}` and so on; `None` when something else comes next.
    pub(super) fn class_escape(
        &mut self,
        cursor: &mut Cursor,
        mut fold: bool,
    ) -> Result<Option<Set>, Refused> {
        let mut ahead = *cursor;
        if !ahead.eat("\\") {
            return Ok(None);
        }
        let Some(letter) = ahead.take() else { return Ok(None) };
        let mut negate = letter.is_ascii_uppercase();
        let set = match letter {
            'p' | 'P' => {
                let mut name = ahead.name().ok_or(Refused)?;
                if let Some(rest) = name.strip_prefix('^') {
                    negate = !negate;
                    name = rest;
                }
                let (set, folds) = unicode::class(name).ok_or(Refused)?;
                fold &= folds;
                set
            }
            'd' | 'D' => Set::of(&[DIGIT]),
            's' | 'S' => Set::of(&[(0x9, 0xA), (0xC, 0xD), (0x20, 0x20)]), // no vertical tab
            'w' | 'W' => Set::of(WORD),
            _ => return Ok(None),
        };
        *cursor = ahead;
        Ok(Some(self.finish(set, fold, negate)))
    }

    /// A bracket class behind its `[`.
    pub(super) fn brackets(&mut self, cursor: &mut Cursor, fold: bool) -> Option<Set> {
        let negate = cursor.eat("^");
        let mut set = Set::default();
        let mut classes = Set::default(); // folded already, as far as Go folds them
        let mut first = true; // `]` is an ordinary character here
        while first || !cursor.eat("]") {
            first = false;
            if let Some(named) = self.named_class(cursor, fold).ok()? {
                classes.add_all(&named);
            } else if let Some(class) = self.class_escape(cursor, fold).ok()? {
                classes.add_all(&class);
            } else {
                let low = class_point(cursor)?;
                let mut high = low;
                if let Some(rest) = cursor.0.strip_prefix('-')
                    && !rest.is_empty()
                    && !rest.starts_with(']')
                {
                    *cursor = Cursor(rest);
                    high = class_point(cursor)?;
                }
                (low <= high).then_some(())?;
                set.add(low, high);
            }
        }
        if fold {
            self.fold(&mut set);
        }
        set.add_all(&classes);
        Some(if negate { set.negated() } else { set })
    }

    /// A POSIX class such as `[:alpha:]` or `[:^alpha:]`. Anything between `[:` and the next `:]`, however far away, has
    /// to be a known name; without a `:]` the bracket is an ordinary character: `None`.
    fn named_class(&mut self, cursor: &mut Cursor, fold: bool) -> Result<Option<Set>, Refused> {
        let mut ahead = *cursor;
        if self.no_more_names || !ahead.eat("[:") {
            return Ok(None);
        }
        let Some(name) = ahead.until(":]") else {
            self.no_more_names = true;
            return Ok(None);
        };
        let plain = name.strip_prefix('^');
        let set = ascii_class(plain.unwrap_or(name)).ok_or(Refused)?;
        *cursor = ahead;
        Ok(Some(self.finish(set, fold, plain.is_some())))
    }
}

fn ascii_class(name: &str) -> Option<Set> {
    Some(Set::of(match name {
        "alnum" => &[DIGIT, UPPER, LOWER],
        "alpha" => &[UPPER, LOWER],
        "ascii" => &[(0, 0x7F)],
        "blank" => &[(0x9, 0x9), (0x20, 0x20)],
        "cntrl" => &[(0, 0x1F), (0x7F, 0x7F)],
        "digit" => &[DIGIT],
        "graph" => &[(0x21, 0x7E)],
        "lower" => &[LOWER],
        "print" => &[(0x20, 0x7E)],
        "punct" => &[(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
        "space" => &[(0x9, 0xD), (0x20, 0x20)],
        "upper" => &[UPPER],
        "word" => WORD,
        "xdigit" => &[DIGIT, (0x41, 0x46), (0x61, 0x66)],
        _ => return None,
    }))
}

/// One code point inside brackets.
fn class_point(cursor: &mut Cursor) -> Option<u32> {
    match cursor.take()? {
        '\\' => point_escape(cursor),
        other => Some(other.into()),
    }
}

/// The code point of an escape, behind its backslash. A digit that is no octal escape would be a back reference, and an
/// unknown letter might get a meaning: Go refuses both.
pub(super) fn point_escape(cursor: &mut Cursor) -> Option<u32> {
    let start = *cursor;
    Some(match cursor.take()? {
        'a' => 0x07,
        'f' => 0x0C,
        'n' => 0x0A,
        'r' => 0x0D,
        't' => 0x09,
        'v' => 0x0B,
        'x' if cursor.eat("{") => {
            let digits = cursor.until("}")?;
            // from_str_radix takes a sign, Go does not; leading zeros are free in both.
            let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let point = u32::from_str_radix(digits, 16).ok()?;
            (plain && point <= super::set::MAX).then_some(point)?
        }
        'x' => {
            let two = cursor.0.get(..2)?;
            two.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
            cursor.digits(16, 2)?
        }
        '0' => {
            *cursor = start;
            cursor.digits(8, 3)?
        }
        '1'..='7' if cursor.0.starts_with(|next: char| next.is_digit(8)) => {
            *cursor = start;
            cursor.digits(8, 3)?
        }
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => other.into(),
        _ => return None,
    })
}

//! What Go's regexp knows of Unicode: named classes and case folding.
//!
//! The data is Go 1.26's (Unicode 15.0), packed into `unicode.bin` by `tests/tools/unicode-tables`, which also
//! describes the layout. Other than Go 1.24 and earlier, Go 1.26 compares names without regard to case, blanks,
//! hyphens and underscores, knows the long names of the categories, and (an oversight of theirs) refuses every
//! script with an underscore in its name.

use super::set::{MAX, Set};

const DATA: &[u8] = include_bytes!("unicode.bin");
const CATEGORIES: usize = 0;
const SCRIPTS: usize = 1;
const FOLDS: usize = 2;
const NAMES: usize = 3;

/// Reads the packed numbers. Behind the end there are only zeros.
struct Packed(&'static [u8]);

impl Packed {
    /// One of the four sections.
    fn section(wanted: usize) -> Packed {
        let mut header = Packed(DATA);
        let lengths = [(); 4].map(|()| header.number() as usize);
        let start = lengths.iter().take(wanted).sum();
        let length = lengths.get(wanted).copied().unwrap_or_default();
        Packed(header.0.get(start..start + length).unwrap_or_default())
    }

    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u32 {
        let mut number = 0;
        for shift in (0..32).step_by(7) {
            let byte = self.byte();
            number |= u32::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    fn bytes(&mut self, length: usize) -> &'static [u8] {
        let (taken, rest) = self.0.split_at_checked(length).unwrap_or_default();
        self.0 = rest;
        taken
    }
}

/// The class that `\p{name}` means, and whether `(?i)` folds it; `None` when Go knows no such name.
pub(super) fn class(name: &str) -> Option<(Set, bool)> {
    let name: Vec<u8> = name.bytes().filter(|byte| !b"_- ".contains(byte)).collect();
    if name.eq_ignore_ascii_case(b"ascii") {
        return Some((Set::of(&[(0, 0x7F)]), true));
    }
    let mut names = Packed::section(NAMES);
    while !names.0.is_empty() {
        let length = names.byte().into();
        let known = names.bytes(length);
        let kind = names.byte();
        let value = names.number();
        if name.eq_ignore_ascii_case(known) {
            let set = if kind == 1 { script(value) } else { categories(value) };
            return Some((set, kind != 2));
        }
    }
    None
}

fn categories(mask: u32) -> Set {
    let mut runs = Packed::section(CATEGORIES);
    select(move || {
        let head = runs.byte();
        let length = if head >> 5 == 0 { runs.number() } else { u32::from(head >> 5) };
        (length, mask >> (head & 31) & 1 == 1)
    })
}

fn script(wanted: u32) -> Set {
    let mut runs = Packed::section(SCRIPTS);
    select(move || {
        let script = u32::from(runs.byte());
        (runs.number(), script == wanted)
    })
}

/// The set of all runs that are wanted. The runs cover every code point.
fn select(mut next_run: impl FnMut() -> (u32, bool)) -> Set {
    let mut set = Set::default();
    let mut at = 0;
    while at <= MAX {
        let (length, wanted) = next_run();
        if length == 0 {
            break;
        }
        if wanted {
            set.add(at, at + length - 1);
        }
        at += length;
    }
    set
}

/// The fold orbits: for each code point that has case, sorted, the next one that differs from it in case only. The
/// last of an orbit leads to the first.
pub(super) struct Folds(Vec<(u32, u32)>);

impl Folds {
    /// Unpacks the table, about 2,800 entries.
    pub(super) fn load() -> Self {
        let mut runs = Packed::section(FOLDS);
        let mut folds = Vec::with_capacity(3000);
        let mut start = 0;
        while !runs.0.is_empty() {
            start += runs.number();
            let shape = runs.number();
            let zigzag = runs.number();
            let distance = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
            for nth in 0..=shape >> 1 {
                let point = start + nth * (1 + (shape & 1));
                folds.push((point, point.wrapping_add(distance)));
            }
        }
        folds.sort_unstable();
        Folds(folds)
    }

    fn from(&self, low: u32) -> &[(u32, u32)] {
        let start = self.0.partition_point(|&(point, _)| point < low);
        self.0.get(start..).unwrap_or_default()
    }

    /// Adds to the set everything that differs from a member in case only.
    pub(super) fn close(&self, set: &mut Set) {
        let mut added = Set::default();
        for &(low, high) in set.ranges() {
            for &(point, next) in self.from(low).iter().take_while(|&&(point, _)| point <= high) {
                let mut other = next;
                while other != point {
                    added.add(other, other);
                    other = self.from(other).first().map_or(point, |&(_, next)| next);
                }
            }
        }
        set.add_all(&added);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_as_go_finds_them() {
        for name in [
            "L",
            "Lu",
            "lu",
            "LC",
            "l_c",
            "Letter",
            "upper case-letter",
            "Greek",
            "GREEK",
            "Nko",
            "Any",
            "ascii",
            "Cn",
        ] {
            assert!(class(name).is_some(), "{name}");
        }
        for name in ["", "Lx", "Old_Italic", "OldItalic", "Gree", "Greekk", "L\u{e9}", "Alphabetic"] {
            assert!(class(name).is_none(), "{name}");
        }
    }

    #[test]
    fn classes_have_the_ranges_of_unicode_15() {
        // (name, code points, first range, last range)
        let cases = [
            ("Any", 0x11_0000, (0, MAX), (0, MAX)),
            ("L", 136_104, (0x41, 0x5A), (0x31350, 0x323AF)),
            ("Nd", 680, (0x30, 0x39), (0x1FBF0, 0x1FBF9)),
            ("Greek", 518, (0x370, 0x373), (0x1D200, 0x1D245)),
            ("Cs", 2048, (0xD800, 0xDFFF), (0xD800, 0xDFFF)),
        ];
        for (name, size, first, last) in cases {
            let mut set = class(name).unwrap().0;
            let ranges = set.ranges();
            assert_eq!(ranges.iter().map(|(low, high)| high - low + 1).sum::<u32>(), size, "{name}");
            assert_eq!((ranges[0], ranges[ranges.len() - 1]), (first, last), "{name}");
        }
    }

    #[test]
    fn folding_follows_the_orbits() {
        let cases: [(char, &str); 7] = [
            ('a', "Aa"),
            ('k', "Kk\u{212A}"),
            ('\u{17F}', "Ss\u{17F}"),
            ('1', "1"),
            ('\u{3A3}', "\u{3A3}\u{3C2}\u{3C3}"),
            ('\u{1C4}', "\u{1C4}\u{1C5}\u{1C6}"),
            ('\u{10400}', "\u{10400}\u{10428}"),
        ];
        let folds = Folds::load();
        for (given, orbit) in cases {
            let mut set = Set::of(&[(given.into(), given.into())]);
            folds.close(&mut set);
            let mut expected = Set::default();
            orbit.chars().for_each(|member| expected.add(member.into(), member.into()));
            assert_eq!(set.ranges(), expected.ranges(), "{given}");
        }
    }
}

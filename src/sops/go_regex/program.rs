//! A compiled pattern and its matcher: all threads of a nondeterministic automaton in step, one pass over the text.
//!
//! Time is at most text length times program length, memory is proportional to the program. There is no
//! backtracking, so no pattern is catastrophic; what a huge program may cost in all is limited as well.

use std::sync::atomic::{AtomicU64, Ordering};

/// Threads a code point that cost nothing of the allowance: ordinary patterns never use it up.
const FREE_THREADS: usize = 64;

/// Thread steps beyond that which all texts together may take: a few tenths of a second.
const ALLOWANCE: u64 = 1 << 26;

/// A condition on the place between two code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assertion {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordBoundary,
    NoWordBoundary,
}

/// One instruction. Jumps are relative to it, so that code can be moved and copied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Inst {
    /// Takes this code point.
    Point(u32),
    /// Takes any code point of the set with this number.
    Set(u32),
    /// Takes nothing.
    Assert(Assertion),
    /// Goes on behind it and also there.
    Split(i32),
    /// Goes on there.
    Jump(i32),
    Match,
}

/// Instructions, and the ranges of all sets one after the other.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) code: Vec<Inst>,
    pub(super) ranges: Vec<(u32, u32)>,
    /// Where in `ranges` each set lies.
    pub(super) sets: Vec<(u32, u32)>,
    spent: AtomicU64,
}

impl Program {
    /// Whether the pattern matches somewhere in the text. A byte that is not UTF-8 counts as U+FFFD.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        let mut points = text.utf8_chunks().flat_map(|chunk| {
            let bad = std::iter::repeat_n(char::REPLACEMENT_CHARACTER, chunk.invalid().len());
            chunk.valid().chars().chain(bad).map(u32::from)
        });
        let anchored = self.is_anchored();
        let mut seen = vec![0_u64; self.code.len() / 64 + 1];
        let expected = self.code.len().min(FREE_THREADS);
        let mut waiting = Vec::with_capacity(expected);
        let mut threads = Vec::with_capacity(expected);
        waiting.push(0);
        let mut before = None;
        loop {
            let after = points.next();
            seen.fill(0);
            threads.clear();
            if self.follow(&mut waiting, &mut threads, &mut seen, before, after) {
                return true;
            }
            let Some(point) = after else { return false };
            waiting.extend(threads.iter().filter(|&&at| self.takes(at, point)).map(|&at| at + 1));
            if anchored && waiting.is_empty() {
                return false;
            }
            // Of a huge program, forgetting what was seen costs more than the threads.
            let cost = threads.len().saturating_add(seen.len() / 16).saturating_sub(FREE_THREADS);
            if cost > 0 && self.spent.fetch_add(cost as u64, Ordering::Relaxed) > ALLOWANCE {
                return false;
            }
            if !anchored {
                waiting.push(0);
            }
            before = after;
        }
    }

    /// Whether matching cost so much that answers are no longer to be trusted.
    pub(super) fn is_exhausted(&self) -> bool {
        self.spent.load(Ordering::Relaxed) > ALLOWANCE
    }

    /// Whether the pattern can only match at the start of the text.
    fn is_anchored(&self) -> bool {
        let first = self.code.iter().find(|inst| !matches!(inst, Inst::Jump(1)));
        matches!(first, Some(Inst::Assert(Assertion::TextStart)))
    }

    /// Follows everything that takes no code point from the `waiting` places. Fills `threads` with the instructions
    /// that want one; true when the end of the program was reached.
    fn follow(
        &self,
        waiting: &mut Vec<usize>,
        threads: &mut Vec<usize>,
        seen: &mut [u64],
        before: Option<u32>,
        after: Option<u32>,
    ) -> bool {
        while let Some(at) = waiting.pop() {
            let Some(word) = seen.get_mut(at / 64) else { continue };
            if *word >> (at % 64) & 1 == 1 {
                continue;
            }
            *word |= 1 << (at % 64);
            match self.code.get(at) {
                Some(Inst::Point(_) | Inst::Set(_)) => threads.push(at),
                Some(&Inst::Assert(assertion)) if assertion.holds(before, after) => waiting.push(at + 1),
                Some(&Inst::Split(distance)) => {
                    waiting.push(at + 1);
                    waiting.push(at.wrapping_add_signed(distance as isize));
                }
                Some(&Inst::Jump(distance)) => waiting.push(at.wrapping_add_signed(distance as isize)),
                Some(Inst::Match) => return true,
                Some(Inst::Assert(_)) | None => {}
            }
        }
        false
    }

    fn takes(&self, at: usize, point: u32) -> bool {
        match self.code.get(at) {
            Some(&Inst::Point(wanted)) => wanted == point,
            Some(&Inst::Set(set)) => {
                let (start, end) = self.sets.get(set as usize).copied().unwrap_or_default();
                let ranges = self.ranges.get(start as usize..end as usize).unwrap_or_default();
                let nth = ranges.partition_point(|&(_, high)| high < point);
                ranges.get(nth).is_some_and(|&(low, _)| low <= point)
            }
            _ => false,
        }
    }
}

impl Assertion {
    /// Whether it holds between these code points; `None` is the end of the text.
    fn holds(self, before: Option<u32>, after: Option<u32>) -> bool {
        let newline = Some(u32::from('\n'));
        let boundary = is_word(before) != is_word(after);
        match self {
            Assertion::TextStart => before.is_none(),
            Assertion::TextEnd => after.is_none(),
            Assertion::LineStart => before.is_none() || before == newline,
            Assertion::LineEnd => after.is_none() || after == newline,
            Assertion::WordBoundary => boundary,
            Assertion::NoWordBoundary => !boundary,
        }
    }
}

/// Whether this is an ASCII letter, digit or underscore: words are ASCII in Go, with `(?i)` too.
fn is_word(point: Option<u32>) -> bool {
    point.and_then(char::from_u32).is_some_and(|point| point.is_ascii_alphanumeric() || point == '_')
}

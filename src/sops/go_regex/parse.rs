//! Reads Go's regular expression syntax (its "Perl" flavour) and writes the program as it goes.
//!
//! Go refuses some patterns for their size; the same limits hold here as far as they can be met in ordinary use:
//! repeats of repeats that multiply to more than 1000, and expressions that nest deeper than 1000. Go's limit for a
//! whole program (3.3 million instructions) is lower here.

use super::{
    escape::{Classes, Cursor, point_escape},
    program::{Assertion, Inst, Program},
    set::{MAX, Set},
    shape::{Alternatives, Branch, Shape},
};

/// Largest count in `{n,m}`, and largest product of nested ones.
const MAX_REPEAT: u32 = 1000;
/// Deepest nesting of Go's expression tree.
const MAX_HEIGHT: u32 = 1000;
/// Deepest nesting of parentheses. Go counts groups without a number only in `MAX_HEIGHT`, and some not at all.
const MAX_GROUPS: usize = 10_000;
/// Most instructions: 8 MiB.
const MAX_CODE: usize = 1 << 20;
/// Most ranges in all sets together: 8 MiB.
const MAX_RANGES: usize = 1 << 20;

#[derive(Clone, Copy, Default)]
struct Flags {
    /// `i`: letters match without regard to case.
    fold: bool,
    /// `m`: `^` and `$` match at lines.
    lines: bool,
    /// `s`: `.` matches a newline.
    dot_newline: bool,
}

/// An open group, or the whole pattern.
struct Group {
    /// The flags to go back to at its end.
    flags: Flags,
    captures: bool,
    /// Where its code begins, with a jump that becomes a split if there are alternatives.
    start: usize,
    /// Where the code of the current alternative begins, likewise.
    branch_start: usize,
    /// The jumps behind each finished alternative to the end of the group.
    exits: Vec<usize>,
    finished: Alternatives,
    branch: Branch,
}

impl Group {
    fn new(start: usize, flags: Flags, captures: bool) -> Self {
        Group {
            flags,
            captures,
            start,
            branch_start: start,
            exits: Vec::new(),
            finished: Alternatives::default(),
            branch: Branch::default(),
        }
    }
}

struct Parser<'p> {
    cursor: Cursor<'p>,
    flags: Flags,
    program: Program,
    classes: Classes,
    outer: Vec<Group>,
    group: Group,
    /// Whether the thing just read was a repetition: another one may not follow.
    repeated: bool,
}

/// The program for a pattern; `None` when Go refuses the pattern.
pub(super) fn parse(pattern: &str) -> Option<Program> {
    let flags = Flags::default();
    let mut parser = Parser {
        cursor: Cursor(pattern),
        flags,
        program: Program::default(),
        classes: Classes::default(),
        outer: Vec::new(),
        group: Group::new(0, flags, false),
        repeated: false,
    };
    parser.emit(Inst::Jump(1))?;
    while !parser.cursor.0.is_empty() {
        let repeated = parser.step()?;
        parser.repeated = repeated;
    }
    if !parser.outer.is_empty() {
        return None;
    }
    parser.finish_group()?;
    parser.emit(Inst::Match)?;
    Some(parser.program)
}

impl Parser<'_> {
    /// Reads one thing. `Some(true)` if it was a repetition, `None` if Go refuses it.
    fn step(&mut self) -> Option<bool> {
        if let Some(set) = self.classes.class_escape(&mut self.cursor, self.flags.fold).ok()? {
            self.set(set)?;
            return Some(false);
        }
        match self.cursor.take()? {
            '(' if self.cursor.eat("?") => self.group_or_flags()?,
            '(' => self.open(self.flags, true)?,
            ')' => {
                let outer = self.outer.pop()?;
                let shape = self.finish_group()?;
                let group = std::mem::replace(&mut self.group, outer);
                self.flags = group.flags;
                let shape = if group.captures { shape.wrapped() } else { shape };
                self.add(group.start, shape)?;
            }
            '|' => self.next_branch()?,
            '^' if self.flags.lines => self.assert(Assertion::LineStart)?,
            '^' => self.assert(Assertion::TextStart)?,
            '$' if self.flags.lines => self.assert(Assertion::LineEnd)?,
            '$' => self.assert(Assertion::TextEnd)?,
            '.' if self.flags.dot_newline => self.set(Set::of(&[(0, MAX)]))?,
            '.' => self.set(Set::of(&[(0, 0x9), (0xB, MAX)]))?,
            '[' => {
                let set = self.classes.brackets(&mut self.cursor, self.flags.fold)?;
                self.set(set)?;
            }
            '*' => return self.repeat(0, None),
            '+' => return self.repeat(1, None),
            '?' => return self.repeat(0, Some(1)),
            '{' => match repeat_counts(self.cursor) {
                Some((least, most, rest)) => {
                    self.cursor = rest;
                    return self.repeat(least, most);
                }
                None => self.literal('{'.into())?,
            },
            '\\' => self.escape()?,
            other => self.literal(other.into())?,
        }
        Some(false)
    }

    /// An escape that is no class, behind its backslash.
    fn escape(&mut self) -> Option<()> {
        if self.cursor.eat("A") {
            self.assert(Assertion::TextStart)
        } else if self.cursor.eat("z") {
            self.assert(Assertion::TextEnd)
        } else if self.cursor.eat("b") {
            self.assert(Assertion::WordBoundary)
        } else if self.cursor.eat("B") {
            self.assert(Assertion::NoWordBoundary)
        } else if self.cursor.eat("Q") {
            let rest = std::mem::replace(&mut self.cursor, Cursor("")).0;
            let (quoted, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            self.cursor = Cursor(rest);
            quoted.chars().try_for_each(|point| self.literal(point.into()))
        } else {
            let point = point_escape(&mut self.cursor)?;
            self.literal(point)
        }
    }

    /// What follows `(?`: a named group, a group with flags, or flags for the rest of the group.
    fn group_or_flags(&mut self) -> Option<()> {
        if self.cursor.eat("P<") || self.cursor.eat("<") {
            let name = self.cursor.until(">")?;
            let valid =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            valid.then_some(())?;
            return self.open(self.flags, true);
        }
        let outside = self.flags;
        let mut flags = outside;
        let mut on = true;
        let mut dangling = false; // a `-` without a flag behind it
        loop {
            match self.cursor.take()? {
                'i' => flags.fold = on,
                'm' => flags.lines = on,
                's' => flags.dot_newline = on,
                'U' => {} // swaps greedy and lazy: the same texts match
                '-' if on => {
                    on = false;
                    dangling = true;
                    continue;
                }
                ':' if !dangling => {
                    self.open(outside, false)?;
                    self.flags = flags;
                    return Some(());
                }
                ')' if !dangling => {
                    self.flags = flags;
                    return Some(());
                }
                _ => return None,
            }
            dangling = false;
        }
    }

    fn open(&mut self, flags: Flags, captures: bool) -> Option<()> {
        let group = Group::new(self.program.code.len(), flags, captures);
        self.outer.push(std::mem::replace(&mut self.group, group));
        (self.outer.len() <= MAX_GROUPS).then_some(())?;
        self.emit(Inst::Jump(1))
    }

    /// Ends an alternative and begins the next.
    fn next_branch(&mut self) -> Option<()> {
        self.finish_branch()?;
        let end = self.program.code.len();
        self.emit(Inst::Jump(0))?; // patched at the end of the group
        let distance = i32::try_from(end + 1 - self.group.branch_start).ok()?;
        *self.program.code.get_mut(self.group.branch_start)? = Inst::Split(distance);
        self.group.exits.push(end);
        self.group.branch_start = end + 1;
        self.emit(Inst::Jump(1))
    }

    fn finish_branch(&mut self) -> Option<()> {
        let shape = std::mem::take(&mut self.group.branch).finish();
        check(shape)?;
        self.group.finished.add(shape);
        Some(())
    }

    /// Ends the last alternative of the group and lets all of them go on behind it.
    fn finish_group(&mut self) -> Option<Shape> {
        self.finish_branch()?;
        let end = self.program.code.len();
        for exit in std::mem::take(&mut self.group.exits) {
            *self.program.code.get_mut(exit)? = Inst::Jump(i32::try_from(end - exit).ok()?);
        }
        let shape = self.group.finished.finish();
        check(shape)?;
        Some(shape)
    }

    /// Repeats the last thing at least and at most so often.
    fn repeat(&mut self, least: u32, most: Option<u32>) -> Option<bool> {
        self.cursor.eat("?"); // lazy: the same texts match
        if self.repeated || least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least) {
            return None;
        }
        let (start, shape) = self.group.branch.take_last()?;
        let shape = shape.repeated(least, most);
        check(shape)?;
        if (least >= 2 || most.is_some_and(|most| most >= 2)) && shape.copies > MAX_REPEAT {
            return None;
        }
        let once = self.program.code.get(start..)?.to_vec();
        let length = i32::try_from(once.len()).ok()?;
        self.program.code.truncate(start);
        match (least, most) {
            (0, None) => {
                self.emit(Inst::Split(length + 2))?;
                self.append(&once)?;
                self.emit(Inst::Jump(-length - 1))?;
            }
            (_, None) => {
                (0..least).try_for_each(|_| self.append(&once))?;
                self.emit(Inst::Split(-length))?;
            }
            (_, Some(most)) => {
                (0..least).try_for_each(|_| self.append(&once))?;
                // Each further copy may end the whole repetition.
                for left in (1..=most - least).rev() {
                    let rest = i64::from(length + 1) * i64::from(left);
                    self.emit(Inst::Split(i32::try_from(rest).ok()?))?;
                    self.append(&once)?;
                }
            }
        }
        self.group.branch.add(start, shape);
        Some(true)
    }

    fn literal(&mut self, point: u32) -> Option<()> {
        let start = self.program.code.len();
        if self.flags.fold {
            let mut set = Set::of(&[(point, point)]);
            self.classes.fold(&mut set);
            self.emit_set(&mut set)?;
        } else {
            self.emit(Inst::Point(point))?;
        }
        self.add(start, Shape::literal(self.flags.fold))
    }

    fn set(&mut self, mut set: Set) -> Option<()> {
        let start = self.program.code.len();
        self.emit_set(&mut set)?;
        self.add(start, Shape::class())
    }

    fn assert(&mut self, assertion: Assertion) -> Option<()> {
        let start = self.program.code.len();
        self.emit(Inst::Assert(assertion))?;
        self.add(start, Shape::other())
    }

    fn add(&mut self, start: usize, shape: Shape) -> Option<()> {
        check(shape)?;
        self.group.branch.add(start, shape);
        Some(())
    }

    fn emit_set(&mut self, set: &mut Set) -> Option<()> {
        let ranges = set.ranges();
        if let [(low, high)] = ranges
            && low == high
        {
            return self.emit(Inst::Point(*low));
        }
        let start = self.program.ranges.len();
        let end = start + ranges.len();
        if end > MAX_RANGES {
            return None;
        }
        self.program.ranges.extend_from_slice(ranges);
        let number = u32::try_from(self.program.sets.len()).ok()?;
        self.program.sets.push((u32::try_from(start).ok()?, u32::try_from(end).ok()?));
        self.emit(Inst::Set(number))
    }

    fn emit(&mut self, inst: Inst) -> Option<()> {
        self.append(&[inst])
    }

    fn append(&mut self, code: &[Inst]) -> Option<()> {
        (self.program.code.len() + code.len() <= MAX_CODE).then_some(())?;
        self.program.code.extend_from_slice(code);
        Some(())
    }
}

/// Go's limit on depth.
fn check(shape: Shape) -> Option<()> {
    (shape.height <= MAX_HEIGHT).then_some(())
}

/// The counts of `n}`, `n,}` or `n,m}` behind a `{`, and what follows; `None` when it is none of these and the brace is
/// an ordinary character.
fn repeat_counts(mut cursor: Cursor) -> Option<(u32, Option<u32>, Cursor)> {
    let least = count(&mut cursor)?;
    let mut most = Some(least);
    if cursor.eat(",") {
        most = if cursor.0.starts_with('}') { None } else { Some(count(&mut cursor)?) };
    }
    cursor.eat("}").then_some((least, most, cursor))
}

/// A decimal number without leading zeros, cut to what fits.
fn count(cursor: &mut Cursor) -> Option<u32> {
    let digits = cursor.0.bytes().take_while(u8::is_ascii_digit).count();
    let (text, rest) = cursor.0.split_at_checked(digits)?;
    if text.is_empty() || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    *cursor = Cursor(rest);
    Some(text.parse().unwrap_or(u32::MAX))
}

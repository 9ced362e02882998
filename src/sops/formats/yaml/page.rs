//! The text that is being written, and what stands in its last line.

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    room::{Room, Sheet},
};

use super::{style::character_length, text::break_length};

/// A text that grows line by line, indented.
pub(super) struct Page {
    out: Sheet,
    /// The column at which lines start; -1 outside of all collections.
    pub indent: isize,
    column: isize,
    /// Whether what was written last ends with a blank, or nothing is in the line.
    pub blank: bool,
    /// Whether only indentation and indicators are in the line.
    pub indention: bool,
    /// At this indentation an empty line comes next: a foot comment was written.
    pub foot_indent: isize,
}

impl Page {
    pub fn new(room: Room) -> Self {
        Self {
            out: Sheet::in_room(room),
            indent: -1,
            column: 0,
            blank: true,
            indention: true,
            foot_indent: -1,
        }
    }

    pub fn into_text(self) -> Result<Plaintext> {
        self.out.finish()
    }

    /// Fails if the room did not suffice.
    pub fn check(&self) -> Result<()> {
        self.out.check()
    }

    /// Whether nothing is in the line.
    pub fn at_line_start(&self) -> bool {
        self.column == 0
    }

    /// Comment lines, each with a `#`. Line breaks inside of one start another.
    pub fn comment(&mut self, lines: &[&[u8]]) -> Result<()> {
        if lines.iter().any(|line| std::str::from_utf8(line).is_err()) {
            return Err(Failure::new("sops cannot write a comment that is not UTF-8"));
        }
        self.write_indent();
        let mut breaks = false;
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                self.check()?;
                self.line_break();
                self.write_indent();
            }
            self.put(b"#");
            self.indention = false;
            breaks = false;
            let mut pound = true;
            let mut rest = *line;
            while let [byte, ..] = rest {
                let length = break_length(rest);
                if length > 0 {
                    // A CR LF is two line breaks here.
                    let length = if *byte == b'\r' { 1 } else { length };
                    let (line_break, more) = rest.split_at_checked(length).unwrap_or((rest, b""));
                    self.put_break(line_break);
                    (breaks, pound, rest) = (true, false, more);
                    continue;
                }
                if breaks {
                    self.write_indent();
                }
                if !pound && *byte != b'#' {
                    self.put(b"# ");
                }
                let (character, more) = rest.split_at_checked(character_length(*byte)).unwrap_or((rest, b""));
                self.put(character);
                self.indention = false;
                (breaks, pound, rest) = (false, true, more);
            }
        }
        if !breaks {
            self.line_break();
        }
        self.blank = true;
        Ok(())
    }

    /// Goes to the column of the current indentation, in a new line if anything else stands in this one.
    pub fn write_indent(&mut self) {
        let indent = self.indent.max(0);
        if !self.indention || self.column > indent || self.column == indent && !self.blank {
            self.line_break();
        }
        if self.foot_indent == indent {
            self.line_break();
        }
        while self.column < indent {
            self.put(b" ");
        }
        self.blank = true;
        self.foot_indent = -1;
    }

    /// `space`: a blank must stand before it. `indention`: it counts as indentation.
    pub fn indicator(&mut self, text: &[u8], space: bool, indention: bool) {
        if space && !self.blank {
            self.put(b" ");
        }
        self.put(text);
        self.blank = false;
        self.indention &= indention;
    }

    pub fn put(&mut self, text: &[u8]) {
        self.out.push(text);
        self.column += text.iter().filter(|byte| (**byte).cast_signed() >= -0x40).count().cast_signed();
    }

    pub fn line_break(&mut self) {
        self.put_break(b"\n");
    }

    pub fn put_break(&mut self, line_break: &[u8]) {
        self.out.push(line_break);
        self.column = 0;
        self.indention = true;
    }
}

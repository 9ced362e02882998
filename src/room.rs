//! How much memory a file may take while it is open.

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
};

/// What is left of 64 MiB or four times the file, whichever is more.
///
/// Counted, not measured: whether a file opens must not depend on what else is being opened. Each format takes what the
/// parts of the file cost at most, before it makes them; tests/hostile compares with the truth.
#[derive(Debug, Clone, Copy)]
pub struct Room(usize);

impl Room {
    const LEAST: usize = 64 << 20;
    /// The program, the keyring, the stack, and what the allocator loses.
    const PROGRAM: usize = 8 << 20;

    /// The room beside a file of that size in memory.
    #[must_use]
    pub fn beside(file: usize) -> Self {
        Self(Self::LEAST.max(file.saturating_mul(4)).saturating_sub(Self::PROGRAM.saturating_add(file)))
    }

    /// Takes room for `bytes`.
    pub fn take(&mut self, bytes: usize) -> Result<()> {
        match self.0.checked_sub(bytes) {
            Some(left) => self.0 = left,
            None => return Err(Self::full()),
        }
        Ok(())
    }

    /// Gives back what was taken.
    pub fn give_back(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes);
    }

    /// How much is left.
    #[must_use]
    pub fn left(self) -> usize {
        self.0
    }

    /// The failure of a file that does not fit.
    fn full() -> Failure {
        Failure::new("the file takes too much memory: more than 64 MiB and four times its size")
            .fact("reason", "it has very many small values, comments or levels")
            .fix("split it into several files")
    }
}

/// What `bytes` on the heap take: nothing for none, else at least 32 with what the allocator notes.
#[must_use]
pub fn heap(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes.saturating_add(16).max(32) }
}

/// A text that is being written, in the room that is left. Too much is not written and told at the end, so that only what
/// writes very much need ask before.
#[derive(Debug)]
pub struct Sheet {
    text: Plaintext,
    limit: usize,
}

impl Default for Sheet {
    /// Without a limit.
    fn default() -> Self {
        Self { text: Plaintext::default(), limit: usize::MAX }
    }
}

impl Sheet {
    /// A sheet in that room, of which a text takes three times its length: when it moves, the old one and the new one, a
    /// quarter larger, are both there, and what was left behind before.
    #[must_use]
    pub fn in_room(room: Room) -> Self {
        Self { text: Plaintext::default(), limit: room.left() / 3 }
    }

    /// Writes `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.limit.saturating_sub(self.text.len()) {
            self.text.push(bytes);
        } else {
            self.limit = 0;
        }
    }

    /// Fails if the room did not suffice.
    pub fn check(&self) -> Result<()> {
        if self.limit == 0 { Err(Room::full()) } else { Ok(()) }
    }

    /// What was written, as far as there was room.
    #[must_use]
    pub fn into_text(self) -> Plaintext {
        self.text
    }

    /// What was written, if that is all.
    pub fn finish(self) -> Result<Plaintext> {
        self.check()?;
        Ok(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_four_times_the_file_or_64_mib() {
        for (file, left) in [(0, 56 << 20), (1 << 20, 55 << 20), (16 << 20, 40 << 20), (100 << 20, 292 << 20)]
        {
            assert_eq!(Room::beside(file).left(), left);
        }
        let mut room = Room::beside(0);
        assert!(room.take(56 << 20).is_ok() && room.take(1).is_err());
        room.give_back(1);
        assert!(room.take(1).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_told_at_the_end() {
        let mut sheet = Sheet::in_room(Room(120));
        sheet.push(&[b'x'; 40]);
        assert!(sheet.check().is_ok());
        sheet.push(b"x");
        sheet.push(b"");
        assert!(sheet.finish().is_err());
    }
}

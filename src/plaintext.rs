//! Bytes that are wiped when dropped, and never shown.

use std::{fmt, hint::black_box, ops::Deref};

/// Secret bytes: wiped when dropped, compared and hashed as bytes, hidden from `{:?}`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Plaintext(Vec<u8>);

impl Plaintext {
    /// The bytes, to be changed in place. Growing them may leave an unwiped copy behind: reserve first.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Room for `size` bytes, so that pushing up to there moves nothing.
    #[must_use]
    pub fn with_capacity(size: usize) -> Self {
        Vec::with_capacity(size).into()
    }

    /// Appends `bytes`. When the room is used up, the old copy is wiped after the move.
    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            // A quarter more than needed: enough for steady growth, little waste behind a large value.
            let mut grown = Vec::with_capacity(needed.saturating_add(needed / 4).max(64));
            grown.extend_from_slice(&self.0);
            *self = Self(grown);
        }
        self.0.extend_from_slice(bytes);
    }
}

impl Drop for Plaintext {
    /// Not by `zeroize`, which writes byte by byte: a long value shows that.
    fn drop(&mut self) {
        self.0.clear();
        self.0.resize(self.0.capacity(), 0);
        black_box(&mut self.0);
    }
}

impl From<Vec<u8>> for Plaintext {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Plaintext {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<&str> for Plaintext {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

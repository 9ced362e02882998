//! The path of a value: the additional data that ties it to its place.
//!
//! Facts: sops-format.md 1.3.

use std::fmt;

use ghash::{GHash, universal_hash::UniversalHash};

use super::{BLOCK, Cipher};

/// The path of a value, as additional data: each key followed by `:`; the root is `:`.
///
/// The whole blocks of each level are hashed once, so that a long key above many values costs its length once.
pub struct Path<'c> {
    cipher: &'c Cipher,
    bytes: Vec<u8>,
    levels: Vec<Level>,
}

struct Level {
    /// Length of the path down to this level.
    end: usize,
    /// GHASH over the whole blocks of it.
    hash: GHash,
}

impl Level {
    fn hashed(&self) -> usize {
        self.end - self.end % BLOCK
    }
}

impl<'c> Path<'c> {
    /// The root.
    #[must_use]
    pub fn new(cipher: &'c Cipher) -> Self {
        Self { cipher, bytes: Vec::new(), levels: Vec::new() }
    }

    /// Goes down to `key`.
    pub fn enter(&mut self, key: &[u8]) {
        let (hashed, mut hash) = match self.levels.last() {
            Some(level) => (level.hashed(), level.hash.clone()),
            None => (0, self.cipher.ghash.clone()),
        };
        self.bytes.extend_from_slice(key);
        self.bytes.push(b':');
        let level = Level { end: self.bytes.len(), hash: self.cipher.ghash.clone() };
        hash.update_padded(self.bytes.get(hashed..level.hashed()).unwrap_or_default());
        self.levels.push(Level { hash, ..level });
    }

    /// GHASH over the path, padded, and the length of the path in bytes.
    pub(super) fn hash(&self) -> (GHash, usize) {
        let (mut hash, hashed, bytes) = match self.levels.last() {
            Some(level) => (level.hash.clone(), level.hashed(), self.bytes.as_slice()),
            None => (self.cipher.ghash.clone(), 0, &b":"[..]),
        };
        hash.update_padded(bytes.get(hashed..).unwrap_or_default());
        (hash, bytes.len())
    }

    /// Comes back from the key that was entered last.
    pub fn leave(&mut self) {
        self.levels.pop();
        self.bytes.truncate(self.levels.last().map_or(0, |level| level.end));
    }
}

/// For people: the keys joined by `:`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.bytes.strip_suffix(b":").unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_its_keys_and_colons() {
        let cipher = Cipher::new(&[b'f'; 32]).unwrap();
        let mut path = Path::new(&cipher);
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let check = |path: &Path, keys: &[Vec<u8>]| {
            let mut aad = keys.join(&b':');
            aad.push(b':');
            let text = cipher.seal("int", b"5", &[3; 32], &aad);
            assert!(cipher.open_at(text.as_str().into(), path).is_ok(), "{keys:?}");
        };
        check(&path, &keys);
        for length in [0, 1, 13, 15, 16, 17, 40, 0, 3] {
            keys.push(vec![b'k'; length]);
            path.enter(&keys[keys.len() - 1]);
            check(&path, &keys);
            path.enter(b"sibling");
            path.leave();
            check(&path, &keys);
        }
        while keys.pop().is_some() {
            path.leave();
            check(&path, &keys);
        }
    }
}

//! The layout of a segment: which entries it has, in which order, and how every segment begins and ends.
//!
//! The entries: the directory `/.forestage` (without it the kernel would drop `segment.json` silently),
//! `segment.json`, the other directories with parents first, the files, `/.forestage/end`, the trailer. All of it
//! follows from the [`Index`]. Directories outside `/.forestage` and `/.initrd-secrets` get an entry only if the
//! manifest names them: an entry for `lib` replaces the initrd's symlink `lib -> usr/lib` and the machine is dead.

use std::collections::BTreeSet;

use super::{
    HOME, SOURCES,
    cpio::{self, DIRECTORY, Head, REGULAR, TRAILER},
    index::Index,
};
use crate::tree::{Mode, Owner};

/// Where the index lies in the initrd.
pub const INDEX_PATH: &str = "/.forestage/segment.json";
const END_PATH: &str = "/.forestage/end";
/// More than this is not read as an index: 16 MiB.
pub const INDEX_MAX: u32 = 16 << 20;

/// One entry of a segment.
pub(super) struct Member {
    pub(super) name: String,
    mode: u32,
    owner: Owner,
    pub(super) size: u32,
    pub(super) body: Body,
}

/// What an entry of a segment holds.
pub(super) enum Body {
    /// Nothing.
    None,
    /// The index.
    Index,
    /// Number of the file in the index.
    File(usize),
}

impl Member {
    fn directory(path: &str, mode: Mode) -> Self {
        let name = path.trim_start_matches('/').to_owned();
        Self { name, mode: DIRECTORY | mode.bits(), owner: Owner::ROOT, size: 0, body: Body::None }
    }

    fn file(path: &str, mode: Mode, owner: Owner, size: u32, body: Body) -> Self {
        let name = path.trim_start_matches('/').to_owned();
        Self { name, mode: REGULAR | mode.bits(), owner, size, body }
    }

    /// Its head, as entry `number` of the segment. Everything that could differ between two runs is constant.
    pub(super) fn head(&self, number: usize) -> Head<'_> {
        let trailer = self.mode == 0;
        Head {
            name: &self.name,
            inode: if trailer { 0 } else { u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1) },
            mode: self.mode,
            uid: self.owner.uid,
            gid: self.owner.gid,
            // 2 or more on a file would make the kernel look for hard links.
            links: if self.mode & DIRECTORY == 0 { 1 } else { 2 },
            mtime: u32::from(!trailer),
            size: self.size,
        }
    }

    /// Bytes of head, body and padding.
    pub(super) fn length(&self) -> u64 {
        self.head(0).written().saturating_add(cpio::aligned(self.size.into()))
    }
}

const OWN_MODE: Mode = Mode::new(0o700);

/// All entries of the segment with this index, whose text has `index_size` bytes.
pub(super) fn members(index: &Index, index_size: u32) -> Vec<Member> {
    let readable = Mode::new(0o400);
    let mut own = BTreeSet::new();
    for file in &index.files {
        let stage = [HOME, SOURCES].into_iter().find(|stage| below(&file.path, stage));
        let ends = file.path.match_indices('/').map(|(end, _)| end);
        let parents = ends.filter_map(|end| file.path.get(..end));
        own.extend(
            parents.filter(|parent| stage.is_some_and(|stage| below(parent, stage) && *parent != HOME)),
        );
    }
    let own = own.into_iter().map(|path| (path, OWN_MODE));
    let mut directories: Vec<_> =
        own.chain(index.directories.iter().map(|place| (place.path.as_str(), place.mode))).collect();
    directories.sort_unstable();
    let mut members = vec![
        Member::directory(HOME, OWN_MODE),
        Member::file(INDEX_PATH, readable, Owner::ROOT, index_size, Body::Index),
    ];
    members.extend(directories.into_iter().map(|(path, mode)| Member::directory(path, mode)));
    members.extend(index.files.iter().enumerate().map(|(number, file)| {
        Member::file(&file.path, file.mode, file.owner, file.size, Body::File(number))
    }));
    members.push(Member::file(END_PATH, readable, Owner::ROOT, 0, Body::None));
    members.push(Member { name: TRAILER.to_owned(), mode: 0, owner: Owner::ROOT, size: 0, body: Body::None });
    members
}

/// How every segment begins and ends, to find one.
#[derive(Debug)]
pub struct Marks {
    /// The first two heads: `/.forestage` and `segment.json`, whose size is at [`SIZE`](Self::SIZE).
    first: Vec<u8>,
    /// The last two heads without magic and inode of `end`.
    last: Vec<u8>,
}

impl Marks {
    /// Bytes of the first two heads.
    pub const FIRST: usize = 260;
    /// Bytes of the last two heads.
    pub(super) const LAST: usize = 252;
    /// Where the size of `segment.json` stands: second head, seventh field.
    pub(super) const SIZE: std::ops::Range<usize> = 178..186;
    /// Magic and inode number, which the last two heads have in front of what is constant.
    const VARIES: usize = 14;

    /// The marks of all segments.
    #[must_use]
    pub fn new() -> Self {
        let empty = Index { manifest: [0; 32], directories: Vec::new(), files: Vec::new() };
        let [mut first, mut last] = [Vec::new(), Vec::new()];
        for (number, member) in members(&empty, 0).iter().enumerate() {
            member.head(number).write(if number < 2 { &mut first } else { &mut last });
        }
        Self { first, last }
    }

    /// Whether `bytes` are the beginning of a segment, as far as they go.
    #[must_use]
    pub fn begins(&self, bytes: &[u8]) -> bool {
        let magic = |bytes: &[u8]| {
            let uncommitted = bytes.first() == Some(&0);
            bytes.iter().zip(cpio::MAGIC).all(|(byte, magic)| *byte == if uncommitted { 0 } else { *magic })
        };
        let rest_is_same = bytes.iter().zip(&self.first).enumerate().skip(6).all(|(at, (byte, mark))| {
            if Self::SIZE.contains(&at) { byte.is_ascii_hexdigit() } else { byte == mark }
        });
        rest_is_same && bytes.get(..6).is_some_and(magic)
    }

    /// Whether `bytes` are the last two heads of a segment.
    pub(super) fn ends(&self, bytes: &[u8]) -> bool {
        bytes.len() == Self::LAST
            && bytes.starts_with(cpio::MAGIC)
            && bytes.get(Self::VARIES..) == self.last.get(Self::VARIES..)
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether `path` is `directory` or lies in it.
pub(super) fn below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_have_their_length() {
        let marks = Marks::new();
        assert_eq!((marks.first.len(), marks.last.len()), (Marks::FIRST, Marks::LAST));
        assert!(marks.begins(&marks.first) && !marks.begins(&marks.last));
    }
}

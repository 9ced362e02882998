//! Examines a segment in a file: whether the kernel unpacks it as it was written.
//!
//! All of a segment follows from its [`Index`], so this means: read the index, write the heads again, compare, and
//! hash the files.

use std::io;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    cpio::{self, ReadAt},
    find::each_mark,
    index::{Index, Unreadable},
    layout::{Body, INDEX_MAX, INDEX_PATH, Marks, members},
};

/// A segment in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it begins: a multiple of 4.
    pub start: u64,
    /// Where it ends; `None` if it is damaged so that nobody can tell.
    pub end: Option<u64>,
    /// Whether the kernel unpacks it as it was written.
    pub state: State,
    /// Its index, if that is readable.
    pub index: Option<Index>,
}

/// What the kernel makes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Every byte is as written.
    Whole,
    /// It was never finished or its end is lost: the kernel drops it, or lands files with wrong bytes.
    Cut,
    /// It has its length, but these files or entries have wrong bytes; in ascending order.
    Damaged(Vec<String>),
    /// A later version of this program wrote it: its files are not checked.
    Later(u64),
}

/// Examines the segment at `start`, where the first marks were seen, in a file of `end` bytes whose next segment
/// begins at `limit` (or `end`).
///
/// Time is linear in what lies between `start` and the end of the segment, or `limit` if it has none.
pub fn examine<S: ReadAt + ?Sized>(
    source: &S,
    start: u64,
    limit: u64,
    end: u64,
    marks: &Marks,
) -> io::Result<Found> {
    let found = |end, state, index| Found { start, end, state, index };
    // An appender writes the first magic last: the kernel ignores everything from here on.
    let mut magic = [0; 6];
    if source.fill_at(&mut magic, start)? < 6 || magic != *cpio::MAGIC {
        return Ok(found(Some(limit), State::Cut, None));
    }
    let index_at = start.saturating_add(124);
    let head = cpio::entry(source, index_at, end)?;
    let (size, text_at) = match &head {
        Ok(entry) | Err(cpio::Defect::Body(entry)) => (entry.size, entry.body),
        Err(_) => return Ok(found(Some(limit), State::Cut, None)),
    };
    // An index holds no NUL, so no marks: behind the limit it is not what it says.
    let text_end = text_at.saturating_add(size.into());
    let text = if size <= INDEX_MAX && text_end <= limit {
        let mut text = vec![0; size as usize];
        let got = source.fill_at(&mut text, text_at)?;
        text.truncate(got);
        text
    } else {
        Vec::new()
    };
    match Index::from_json(&text) {
        Ok(index) => {
            let skeleton = Skeleton::check(source, start, &index, size, end)?;
            if skeleton.ended {
                let damaged = skeleton.damage(source, &index)?;
                let state = if damaged.is_empty() { State::Whole } else { State::Damaged(damaged) };
                return Ok(found(Some(skeleton.end), state, Some(index)));
            }
            // Its end is where the index says, behind the file: cut. Otherwise bytes are missing or too many.
            Ok(match last_marks(source, text_end, limit, marks)? {
                Some(end) => {
                    let mut broken = skeleton.broken;
                    broken.sort_unstable();
                    found(Some(end), State::Damaged(broken), Some(index))
                }
                None => found((skeleton.end >= limit).then_some(limit), State::Cut, Some(index)),
            })
        }
        Err(Unreadable::Version(version)) => {
            let end = last_marks(source, text_end, limit, marks)?;
            Ok(found(end, State::Later(version), None))
        }
        Err(Unreadable::Malformed) => Ok(match last_marks(source, text_at, limit, marks)? {
            Some(end) => found(Some(end), State::Damaged(vec![INDEX_PATH.to_owned()]), None),
            None => found((text_end >= limit).then_some(limit), State::Cut, None),
        }),
    }
}

/// The end of the first pair of last heads between `from` and `limit`.
fn last_marks<S: ReadAt + ?Sized>(
    source: &S,
    from: u64,
    limit: u64,
    marks: &Marks,
) -> io::Result<Option<u64>> {
    let mut found = None;
    each_mark(source, cpio::aligned(from), limit, Marks::LAST, |at, bytes| {
        let ends = marks.ends(bytes);
        found = ends.then(|| at.saturating_add(bytes.len() as u64));
        !ends
    })?;
    Ok(found)
}

/// The heads of a segment, compared with what its index asks for.
struct Skeleton {
    /// Number of each file in the index, with the offset of its body, if its head is right.
    bodies: Vec<(usize, u64)>,
    /// Paths of the entries whose heads are wrong.
    broken: Vec<String>,
    /// Where the segment ends.
    end: u64,
    /// Whether the last two entries are where they should be.
    ended: bool,
}

impl Skeleton {
    fn check<S: ReadAt + ?Sized>(
        source: &S,
        start: u64,
        index: &Index,
        size: u32,
        end: u64,
    ) -> io::Result<Self> {
        let mut skeleton = Self { bodies: Vec::new(), broken: Vec::new(), end: start, ended: false };
        let members = members(index, size);
        let (mut expected, mut head) = (Vec::new(), Vec::new());
        let last = members.len().saturating_sub(2);
        skeleton.ended = true;
        for (number, member) in members.iter().enumerate() {
            expected.clear();
            member.head(number).write(&mut expected);
            let at = skeleton.end;
            skeleton.end = at.saturating_add(member.length());
            let body = at.saturating_add(expected.len() as u64);
            head.clear();
            head.resize(expected.len(), 0);
            let same = skeleton.end <= end
                && source.fill_at(&mut head, at)? == head.len()
                && head == expected
                && zeros(source, body.saturating_add(member.size.into()), skeleton.end)?;
            match member.body {
                Body::File(number) if same => skeleton.bodies.push((number, body)),
                _ if same => {}
                _ => skeleton.broken.push(format!("/{}", member.name)),
            }
            skeleton.ended &= same || number < last;
        }
        Ok(skeleton)
    }

    /// The paths of all files that are not as the index says.
    fn damage<S: ReadAt + ?Sized>(&self, source: &S, index: &Index) -> io::Result<Vec<String>> {
        let mut damaged = self.broken.clone();
        let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
        for (file, mut at) in self.bodies.iter().filter_map(|(file, at)| Some((index.files.get(*file)?, *at)))
        {
            let mut hash = Sha256::new();
            let end = at.saturating_add(file.size.into());
            while at < end {
                let wanted = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
                let chunk = buffer.get_mut(..wanted).unwrap_or_default();
                if source.fill_at(chunk, at)? < wanted {
                    break;
                }
                hash.update(chunk);
                at = at.saturating_add(wanted as u64);
            }
            if hash.finalize().as_slice() != file.sha256 {
                damaged.push(file.path.clone());
            }
        }
        damaged.sort_unstable();
        Ok(damaged)
    }
}

/// Whether the padding from `from` to `to` is of zeros; at most 3 bytes.
fn zeros<S: ReadAt + ?Sized>(source: &S, from: u64, to: u64) -> io::Result<bool> {
    Ok(from >= to || cpio::skip_zeros(source, from, to)? == to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initrd::{
        cpio::Defect,
        segment::tests::{offsets, sample},
    };

    fn examined(bytes: &[u8]) -> Found {
        let end = bytes.len() as u64;
        examine(bytes, 0, end, end, &Marks::new()).unwrap()
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = sample();
        let good = examined(&bytes);
        assert_eq!((&good.state, good.end), (&State::Whole, Some(bytes.len() as u64)));
        for cut in offsets(bytes.len()).filter(|cut| *cut >= Marks::FIRST) {
            let found = examined(&bytes[..cut]);
            assert_eq!((&found.state, found.end), (&State::Cut, Some(cut as u64)), "{cut}");
        }
        for (at, bit) in offsets(bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bad = bytes.to_vec();
            bad[at] ^= 1 << bit;
            let found = examined(&bad);
            assert_ne!(found.state, State::Whole, "byte {at} bit {bit}");
        }
    }

    #[test]
    fn a_later_version_is_ours_but_not_judged() {
        let bytes = sample();
        let at = bytes.windows(11).position(|window| window == b"\"version\":1").unwrap();
        let mut later = bytes.to_vec();
        later[at + 10] = b'2';
        let found = examined(&later);
        assert_eq!((found.state, found.end), (State::Later(2), Some(bytes.len() as u64)));
    }

    #[test]
    fn a_size_from_the_file_is_not_trusted() {
        let bytes = sample();
        let mut huge = bytes.to_vec();
        huge[Marks::SIZE].copy_from_slice(b"FFFFFFFF");
        let found = examined(&huge);
        assert_eq!(found.state, State::Damaged(vec![INDEX_PATH.to_owned()]));
        assert!(matches!(
            cpio::entry(huge.as_slice(), 124, huge.len() as u64).unwrap(),
            Err(Defect::Body(entry)) if entry.size == u32::MAX
        ));
    }
}

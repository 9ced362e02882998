//! Which segments a file holds.
//!
//! An initrd is mostly compressed bytes of others, so a segment is found by its length where the pristine initrd
//! is known, else by its first two heads: they stand at a multiple of 4 and are 260 bytes of which 252 are fixed,
//! so chance never makes them. What says itself how long it is, is not searched. Time is linear, memory constant.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::fcntl::OFlag;

use super::{
    cpio::{self, ReadAt},
    examine::{Found, State, examine},
    layout::Marks,
    magic::format_at,
    others,
};
use crate::failure::{Failure, Result};

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of the pristine initrd in front, if it is known and the file begins with it.
    pub base: Option<u64>,
    /// Our segments, in the order of the file; none overlaps another.
    pub found: Vec<Found>,
    /// Where bytes begin behind the pristine initrd that no kernel reads, such as a write that was cut short.
    pub dead: Option<u64>,
}

/// Opens a regular file; `None` if there is none.
pub fn open(path: &Path, writable: bool) -> Result<Option<File>> {
    let file =
        match OpenOptions::new().read(true).write(writable).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
        {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("open", path, error)),
        };
    let metadata = file.metadata().map_err(|error| Failure::io("examine", path, error))?;
    if metadata.is_file() {
        Ok(Some(file))
    } else {
        Err(Failure::new(format!("{} is not a regular file", path.display())))
    }
}

/// Looks for segments in `file`; `base` is the path of the pristine initrd, if it is known.
///
/// # Errors
/// The file cannot be read. A base that cannot be read, or with which the file does not begin, is not an error:
/// then the whole file is searched.
pub fn survey(file: &File, path: &Path, base: Option<&Path>) -> Result<Survey> {
    let length = file.metadata().map_err(|error| Failure::io("examine", path, error))?.len();
    let base = base
        .and_then(|base| open(base, false).ok()?)
        .and_then(|base| Some((base.metadata().ok()?.len(), base)))
        .filter(|(size, base)| begins_with(file, length, base, *size))
        .map(|(size, _)| size);
    search(file, length, base).map_err(|error| Failure::io("read", path, error))
}

/// Whether `file` begins with `base`, judged by its length and by nine pieces of it, the end among them. Compressed
/// files with the same pieces at the same offsets are the same file; comparing 60 MiB would take longer than all
/// the rest.
fn begins_with(file: &File, length: u64, base: &File, size: u64) -> bool {
    const PIECE: usize = 4096;
    let (mut ours, mut theirs) = ([0; PIECE], [0; PIECE]);
    let last = size.saturating_sub(PIECE as u64);
    size != 0
        && size <= length
        && (0..=8).all(|number| {
            let at = last / 8 * number + if number == 8 { last % 8 } else { 0 };
            let wanted = usize::try_from(size.saturating_sub(at)).unwrap_or(PIECE).min(PIECE);
            let (Some(ours), Some(theirs)) = (ours.get_mut(..wanted), theirs.get_mut(..wanted)) else {
                return false;
            };
            let read = file.fill_at(ours, at).ok() == base.fill_at(theirs, at).ok();
            read && ours == theirs
        })
}

/// Looks for segments in `source` of `length` bytes, from the end of the pristine initrd on if that is known.
pub fn search<S: ReadAt + ?Sized>(source: &S, length: u64, base: Option<u64>) -> io::Result<Survey> {
    let marks = Marks::new();
    let from = others::clear(source, base.unwrap_or(0), length)?;
    let mut starts = Vec::new();
    each_mark(source, cpio::aligned(from), length, Marks::FIRST, |at, bytes| {
        if marks.begins(bytes) {
            starts.push(at);
        }
        true
    })?;
    let mut found: Vec<Found> = Vec::new();
    for (number, start) in starts.iter().enumerate() {
        // Marks inside the segment before are bytes of its files.
        if inside_last(&found, *start) {
            continue;
        }
        let limit = starts.get(number.saturating_add(1)).copied().unwrap_or(length);
        found.push(examine(source, *start, limit, length, &marks)?);
    }
    if let Some(start) = cut_in_first_heads(source, from, length, &marks)?
        && !inside_last(&found, start)
    {
        found.push(Found { start, end: Some(length), state: State::Cut, index: None });
    }
    let dead = match base {
        Some(base) if found.is_empty() => dead_tail(source, base, length)?,
        _ => None,
    };
    Ok(Survey { length, base, found, dead })
}

/// Whether an offset lies in the last of the segments.
fn inside_last(found: &[Found], at: u64) -> bool {
    found.last().is_some_and(|last| last.end.is_none_or(|end| at < end))
}

/// The beginning of a segment whose file ends within its first two heads.
fn cut_in_first_heads<S: ReadAt + ?Sized>(
    source: &S,
    from: u64,
    length: u64,
    marks: &Marks,
) -> io::Result<Option<u64>> {
    let from = cpio::aligned(from.max(length.saturating_sub(Marks::FIRST as u64 - 1)));
    let mut tail = [0; Marks::FIRST];
    let got = source.fill_at(&mut tail, from)?;
    let tail = tail.get(..got).unwrap_or_default();
    // Zeros alone are padding; only behind a known base would fewer bytes than a magic tell anything.
    let cut = (0..got).step_by(4).find(|at| {
        let rest = tail.get(*at..).unwrap_or_default();
        rest.iter().any(|byte| *byte != 0) && marks.begins(rest)
    });
    Ok(cut.map(|at| from.saturating_add(at as u64)))
}

/// How a file stands against a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its segment is whole and of this manifest.
    Fresh,
    /// Its segment is whole and of another manifest.
    Stale,
    /// It has none.
    Missing,
    /// Its segment was never finished, or has lost its end.
    Cut,
    /// These files of its segment have wrong bytes.
    Damaged(Vec<String>),
}

impl Survey {
    /// How the file stands against the manifest with this digest. Any damage counts; of several segments the kernel
    /// lands all, so none of them is as the manifest wants it.
    #[must_use]
    pub fn verdict(&self, manifest: &[u8; 32]) -> Verdict {
        let damaged = self.found.iter().filter_map(|found| match &found.state {
            State::Damaged(paths) => Some(paths.iter().cloned()),
            _ => None,
        });
        let damaged: Vec<_> = damaged.flatten().collect();
        if !damaged.is_empty() {
            return Verdict::Damaged(damaged);
        }
        if self.found.iter().any(|found| found.state == State::Cut) {
            return Verdict::Cut;
        }
        match self.found.as_slice() {
            [] => Verdict::Missing,
            [Found { index: Some(index), .. }] if index.manifest == *manifest => Verdict::Fresh,
            _ => Verdict::Stale,
        }
    }
}

/// Where bytes behind the pristine initrd begin that the kernel does not read: no newc header at a multiple of 4,
/// and no compression that it knows.
fn dead_tail<S: ReadAt + ?Sized>(source: &S, base: u64, length: u64) -> io::Result<Option<u64>> {
    let at = cpio::skip_zeros(source, base, length)?;
    Ok((at < length && format_at(source, at)?.is_none()).then_some(at))
}

/// Calls `visit` with every multiple of 4 between `from` and `to` at which the name of an entry begins with
/// `.forestage`, and with the `length` bytes from there on, until it returns false.
///
/// `from` is a multiple of 4, `length` a small multiple of it. The names stand 110 bytes behind, so that "ores" is
/// at a multiple of 4 itself: one comparison of words, which compilers turn into vector instructions.
pub(super) fn each_mark<S: ReadAt + ?Sized>(
    source: &S,
    from: u64,
    to: u64,
    length: usize,
    mut visit: impl FnMut(u64, &[u8]) -> bool,
) -> io::Result<()> {
    const CHUNK: usize = 128 << 10;
    const BLOCK: usize = 256;
    const WORD: [u8; 4] = *b"ores";
    const WORD_AT: usize = 112;
    let span = to.saturating_sub(from);
    if span < length as u64 {
        return Ok(());
    }
    let size = CHUNK.saturating_add(length).min(usize::try_from(span).unwrap_or(usize::MAX));
    let mut buffer = vec![0; size];
    let mut at = from;
    while to.saturating_sub(at) >= length as u64 {
        let wanted = usize::try_from(to.saturating_sub(at)).unwrap_or(usize::MAX).min(size);
        let got = source.fill_at(buffer.get_mut(..wanted).unwrap_or_default(), at)?;
        let bytes = buffer.get(..got).unwrap_or_default();
        for (number, block) in bytes.get(WORD_AT..).unwrap_or_default().chunks(BLOCK).enumerate() {
            let (words, _) = block.as_chunks::<4>();
            // Counted without an early exit, so that it becomes vector code.
            if words.iter().filter(|word| **word == WORD).count() == 0 {
                continue;
            }
            for (index, _) in words.iter().enumerate().filter(|(_, word)| **word == WORD) {
                let offset = number.saturating_mul(BLOCK).saturating_add(index.saturating_mul(4));
                let mark = offset.checked_add(length).and_then(|end| bytes.get(offset..end));
                if let Some(mark) = mark.filter(|_| offset < CHUNK)
                    && mark.get(110..).is_some_and(|name| name.starts_with(b".forestage"))
                    && !visit(at.saturating_add(offset as u64), mark)
                {
                    return Ok(());
                }
            }
        }
        if got < wanted {
            break;
        }
        at = at.saturating_add(CHUNK as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initrd::segment::tests::{sample, spec};
    use crate::initrd::segment::{Spec, build};

    fn all(bytes: &[u8], base: Option<u64>) -> Survey {
        search(bytes, bytes.len() as u64, base).unwrap()
    }

    /// Bytes that no archive holds.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_le_bytes()[7]
        };
        (0..length).map(|_| step()).collect()
    }

    #[test]
    fn a_segment_is_found_at_every_place_of_the_chunks() {
        let segment = sample();
        let chunk = 128 << 10;
        for before in (0..16).map(|n| n * 4).chain((chunk - 280..chunk + 8).step_by(4)).chain([2 * chunk - 4])
        {
            for behind in [0, 3, 1000] {
                let mut bytes = noise(before);
                bytes.extend_from_slice(&segment);
                bytes.extend(noise(behind));
                let survey = all(&bytes, None);
                let [found] = survey.found.as_slice() else { panic!("{before} {behind}: {survey:?}") };
                assert_eq!((found.start, &found.state), (before as u64, &State::Whole));
                assert_eq!(found.end, Some((before + segment.len()) as u64));
            }
        }
    }

    #[test]
    fn what_is_no_segment_is_not_found() {
        let segment = sample();
        let names = b".forestage\0\0".repeat(20_000);
        let mut shifted = noise(2);
        shifted.extend_from_slice(&segment);
        let mut renamed = segment.to_vec();
        renamed[109] = b'1';
        for bytes in
            [Vec::new(), noise(1 << 20), names, b"ores".repeat(100_000), shifted, renamed, vec![0; 5000]]
        {
            assert_eq!(all(&bytes, None).found, []);
        }
    }

    #[test]
    fn two_segments_and_one_inside_a_file() {
        let segment = sample();
        let mut twice = segment.to_vec();
        twice.extend_from_slice(&[0; 8]);
        twice.extend_from_slice(&segment);
        let states: Vec<_> = all(&twice, None).found.into_iter().map(|f| (f.start, f.state)).collect();
        let second = segment.len() as u64 + 8;
        assert_eq!(states, [(0, State::Whole), (second, State::Whole)]);

        // The first loses its end: it ends where the second begins.
        let mut torn = segment[..1000].to_vec();
        torn.extend_from_slice(&segment);
        let found = all(&torn, None).found;
        let states: Vec<_> = found.iter().map(|f| (f.start, f.end, &f.state)).collect();
        assert_eq!(states, [(0, Some(1000), &State::Cut), (1000, Some(torn.len() as u64), &State::Whole)]);

        let inside: Spec = spec(&[("/etc/a", &segment), ("/etc/b", b"x")]);
        let outer = build(&inside).unwrap();
        let found = all(&outer, None).found;
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].end, &found[0].state), (Some(outer.len() as u64), &State::Whole));
    }

    #[test]
    fn a_cut_within_the_first_heads_is_found() {
        let segment = sample();
        let mut uncommitted = segment.to_vec();
        uncommitted[..6].fill(0);
        for (what, bytes, least) in [("committed", segment.to_vec(), 6), ("uncommitted", uncommitted, 7)] {
            for length in 1..=300 {
                let mut file = noise(64);
                file.extend_from_slice(&bytes[..length]);
                let found = all(&file, None).found;
                let expected =
                    Found { start: 64, end: Some(file.len() as u64), state: State::Cut, index: None };
                if length >= least {
                    assert_eq!(found, [expected], "{what} {length}");
                } else {
                    assert_eq!(found, [], "{what} {length}");
                    let dead = all(&file, Some(64)).dead;
                    assert_eq!(dead, (what == "committed").then_some(64), "{what} {length}");
                }
            }
        }
    }

    #[test]
    fn dead_bytes_behind_a_known_base() {
        let newc = sample()[..8].to_vec();
        let tail = |zeros: usize, magic: &[u8]| {
            let mut bytes = vec![0; 64 + zeros];
            bytes.extend_from_slice(magic);
            all(&bytes, Some(64)).dead
        };
        for magic in [&b"\x1f\x8b\x08"[..], b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"\x02\x21\x4c\x18"] {
            assert_eq!([tail(0, magic), tail(1, magic)], [None, None]);
        }
        assert_eq!([tail(0, &newc), tail(3, &newc), tail(4, &newc)], [None, Some(67), None]);
        let other = b"070701000000050000";
        assert_eq!([tail(0, other), tail(4, other), tail(3, other)], [None, None, Some(67)]);
        assert_eq!([tail(0, b""), tail(9, b""), tail(0, b"junk")], [None, None, Some(64)]);
    }

    #[test]
    fn verdicts() {
        let manifest = spec(&[]).manifest;
        let good = sample();
        let with = |at: usize, bits: u8| {
            let mut bad = good.to_vec();
            bad[at] ^= bits;
            all(&bad, None).verdict(&manifest)
        };
        assert_eq!(all(&good, None).verdict(&manifest), Verdict::Fresh);
        assert_eq!(all(&good, None).verdict(&[0; 32]), Verdict::Stale);
        assert_eq!(all(b"", None).verdict(&manifest), Verdict::Missing);
        assert_eq!(all(&good[..good.len() - 4], None).verdict(&manifest), Verdict::Cut);
        assert_eq!(with(0, b'0'), Verdict::Missing);
        let body = good.windows(9).position(|w| w == b"hunter222").unwrap();
        assert_eq!(with(body, 1), Verdict::Damaged(vec!["/etc/keys/luks".to_owned()]));
    }
}

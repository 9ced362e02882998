//! How far a file holds nothing but bytes of others.
//!
//! An initrd of 60 MiB takes longer to search than to append to. But most of its bytes lie inside something that
//! says how long it is: an entry of an archive, a block of a zstd frame, of an xz stream, of lz4's legacy format.
//! What lies inside is data of others, even if it looks like a segment. This is a shortcut: where a structure is
//! not known, is damaged, or has parts too small to be worth it, the walk ends. From there on every 64th KiB is looked
//! at, since every segment has a stretch of blanks that is longer; the search begins in front of the first such place,
//! and in any case before the end of the file, where a write may have been cut.

use std::io;

use super::{
    HOME,
    cpio::{self, ReadAt},
    index::BLANK,
    layout::Marks,
    magic::{Format, format_at},
};

/// A step of the walk is a read or two; searching this many bytes takes longer.
const WORTH: u64 = 8 << 10;
/// No block of a zstd frame holds more.
const ZSTD_BLOCK_MAX: u64 = 128 << 10;
/// No block of lz4's legacy format is longer: 8 MiB that do not compress.
const LZ4_BLOCK_MAX: u64 = (8 << 20) + (8 << 20) / 255 + 16;

/// Bytes that are looked at.
const SAMPLE: usize = 64;
/// From one place to the next: the blanks of every segment hold a whole sample.
const STRIDE: u64 = (BLANK - SAMPLE) as u64;
/// How far a segment can begin in front of the first sample of its blanks.
const BACK: u64 = STRIDE + Marks::FIRST as u64;
/// The end of the file, which is always searched: a segment that was cut before its blanks end begins there.
const TAIL: u64 = 256 << 10;

/// An offset from `from` on before which no segment of ours begins; `from` is between two things, as 0 is.
pub fn clear<S: ReadAt + ?Sized>(source: &S, from: u64, length: u64) -> io::Result<u64> {
    let mut walk = Walk { source, length, steps: length.saturating_sub(from) / WORTH + 1024 };
    let mut at = from;
    loop {
        let next = cpio::skip_zeros(source, at, length)?;
        if next >= length {
            return Ok(length);
        }
        let end = match format_at(source, next)? {
            Some(Format::Newc) => walk.archive_entry(next)?,
            Some(Format::Zstd) => walk.zstd(next)?,
            Some(Format::Xz) => walk.xz(next)?,
            Some(Format::Lz4) => walk.lz4(next)?,
            Some(Format::Opaque) | None => None,
        };
        match end {
            Some(end) if walk.is_plausible_end(end)? => at = end.min(length),
            _ => return Ok(blanks(source, at, length)?.saturating_sub(BACK).max(at)),
        }
    }
}

/// The first place from `at` on, a stride after the other, where a segment may have its blanks, or that is near the end.
/// What was written and then lost in a power failure reads as zeros.
fn blanks<S: ReadAt + ?Sized>(source: &S, mut at: u64, length: u64) -> io::Result<u64> {
    let mut sample = [0; SAMPLE];
    while length.saturating_sub(at) > TAIL {
        source.fill_at(&mut sample, at)?;
        if sample.iter().all(|byte| matches!(byte, 0 | b' ')) {
            break;
        }
        at = at.saturating_add(STRIDE);
    }
    Ok(at)
}

struct Walk<'a, S: ?Sized> {
    source: &'a S,
    length: u64,
    /// How many steps are still worth it.
    steps: u64,
}

impl<S: ReadAt + ?Sized> Walk<'_, S> {
    /// Whether something can end here: at the end of the file, before zeros, or before something known.
    fn is_plausible_end(&self, at: u64) -> io::Result<bool> {
        let mut next = [0];
        Ok(self.source.fill_at(&mut next, at)? == 0 || next == [0] || format_at(self.source, at)?.is_some())
    }

    /// The `N` bytes at `at`, if the file has them and the step is worth it.
    fn step<const N: usize>(&mut self, at: u64) -> io::Result<Option<[u8; N]>> {
        let Some(left) = self.steps.checked_sub(1) else { return Ok(None) };
        self.steps = left;
        let mut bytes = [0; N];
        let whole = self.source.fill_at(&mut bytes, at)? == N;
        Ok(whole.then_some(bytes))
    }

    /// The end of the entry of an archive at `at`, unless it may be one of ours.
    fn archive_entry(&mut self, at: u64) -> io::Result<Option<u64>> {
        if self.step::<6>(at)?.is_none() {
            return Ok(None);
        }
        let own = HOME.trim_start_matches('/').as_bytes();
        Ok(match cpio::entry(self.source, at, self.length)? {
            Ok(entry) if !entry.name.starts_with(own) => Some(entry.next),
            _ => None,
        })
    }

    /// The end of the zstd frame at `at` (RFC 8878, 3.1.1).
    fn zstd(&mut self, at: u64) -> io::Result<Option<u64>> {
        let Some([0x28, 0xb5, 0x2f, 0xfd, descriptor]) = self.step(at)? else { return Ok(None) };
        let single_segment = descriptor & 0x20 != 0;
        let window = u64::from(!single_segment);
        let dictionary = match descriptor & 3 {
            3 => 4,
            size => u64::from(size),
        };
        let content_size = match descriptor >> 6 {
            0 => u64::from(single_segment),
            power => 1 << power,
        };
        let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
        let mut at = at.saturating_add(5).saturating_add(window + dictionary + content_size);
        loop {
            let Some([low, middle, high]) = self.step(at)? else { return Ok(None) };
            let header = u32::from_le_bytes([low, middle, high, 0]);
            let size = u64::from(header >> 3);
            let body = match header >> 1 & 3 {
                0 | 2 if size <= ZSTD_BLOCK_MAX => size,
                1 if size <= ZSTD_BLOCK_MAX => 1,
                _ => return Ok(None),
            };
            at = at.saturating_add(3).saturating_add(body);
            if header & 1 != 0 {
                let end = at.saturating_add(checksum);
                return Ok((end <= self.length).then_some(end));
            }
        }
    }

    /// The end of the blocks of lz4's legacy format at `at`: before zeros, or before what cannot be a length.
    fn lz4(&mut self, at: u64) -> io::Result<Option<u64>> {
        let mut at = at.saturating_add(4);
        loop {
            let rest = self.length.saturating_sub(at);
            let Some(size) = self.step(at)? else { return Ok((rest < 4).then_some(at)) };
            let size = u64::from(u32::from_le_bytes(size));
            if size == 0 || size > LZ4_BLOCK_MAX || size > rest.saturating_sub(4) {
                return Ok(Some(at));
            }
            at = at.saturating_add(4).saturating_add(size);
        }
    }

    /// The end of the xz stream at `at` (the .xz file format, 2 and 3).
    fn xz(&mut self, at: u64) -> io::Result<Option<u64>> {
        let Some([0xfd, b'7', b'z', b'X', b'Z', 0, 0, check]) = self.step(at)? else { return Ok(None) };
        let check_size = match check {
            0 => 0,
            1..=3 => 4,
            4..=6 => 8,
            7..=9 => 16,
            10..=12 => 32,
            13..=15 => 64,
            _ => return Ok(None),
        };
        let mut at = at.saturating_add(12);
        let mut blocks: u64 = 0;
        loop {
            let Some([header]) = self.step(at)? else { return Ok(None) };
            if header == 0 {
                return self.xz_index(at, blocks);
            }
            let body = at.saturating_add((u64::from(header) + 1) * 4);
            let Some(end) = self.lzma2(body)? else { return Ok(None) };
            let padding = cpio::padding(end.saturating_sub(body)) as u64;
            at = end.saturating_add(padding).saturating_add(check_size);
            blocks = blocks.saturating_add(1);
        }
    }

    /// The end of the chunks of LZMA2 at `at`.
    fn lzma2(&mut self, mut at: u64) -> io::Result<Option<u64>> {
        loop {
            let Some([control, size @ ..]) = self.step::<6>(at)? else { return Ok(None) };
            let [unpacked_high, unpacked_low, packed_high, packed_low, _] = size;
            let length = |high, low| u64::from(u16::from_be_bytes([high, low])) + 1;
            let chunk = match control {
                0 => return Ok(Some(at.saturating_add(1))),
                1 | 2 => 3 + length(unpacked_high, unpacked_low),
                0x80..0xc0 => 5 + length(packed_high, packed_low),
                0xc0.. => 6 + length(packed_high, packed_low),
                _ => return Ok(None),
            };
            at = at.saturating_add(chunk);
        }
    }

    /// The end of the stream whose index, of as many records as there were blocks, begins at `at`.
    fn xz_index(&mut self, at: u64, blocks: u64) -> io::Result<Option<u64>> {
        // Of the index it is enough to know its numbers, each of at most nine bytes of seven bits: the count, then
        // two for each block.
        let mut end = at.saturating_add(1);
        for number in 0..blocks.saturating_mul(2).saturating_add(1) {
            let mut value = 0_u64;
            let mut bits = 0;
            loop {
                let Some([byte]) = self.step(end)? else { return Ok(None) };
                end = end.saturating_add(1);
                value |= u64::from(byte & 0x7f) << bits;
                bits += 7;
                if byte & 0x80 == 0 {
                    break;
                }
                if bits > 56 {
                    return Ok(None);
                }
            }
            if number == 0 && value != blocks {
                return Ok(None);
            }
        }
        let padding = cpio::padding(end.saturating_sub(at)) as u64;
        // Its checksum, then the footer of twelve bytes.
        let end = end.saturating_add(padding).saturating_add(4 + 12);
        Ok((self.step(end.saturating_sub(2))? == Some(*b"YZ")).then_some(end))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::initrd::segment::tests::sample;

    /// What a compressor makes of `bytes`; `None` if it is not installed.
    fn compressed(command: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take().unwrap();
        let bytes = bytes.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success());
        Some(output.stdout)
    }

    /// Bytes of which a part compresses and a part does not.
    fn mixed(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        (0..length)
            .map(|at| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let byte = state.to_le_bytes()[7];
                if at / 50_000 % 2 == 0 { byte } else { byte & 3 }
            })
            .collect()
    }

    const COMMANDS: [&[&str]; 8] = [
        &["zstd", "-q", "-c", "-3"],
        &["zstd", "-q", "-c", "-19", "--no-check"],
        &["zstd", "-q", "-c", "-T2", "--long=27"],
        &["xz", "-c", "--check=crc32"],
        &["xz", "-c", "-0", "--check=none", "--x86", "--lzma2"],
        &["xz", "-c", "-T2", "--block-size=300000", "--check=sha256"],
        &["lz4", "-q", "-l", "-c"],
        &["lz4", "-q", "-l", "-c", "-9"],
    ];

    #[test]
    fn what_compressors_make_is_walked_over() {
        for command in COMMANDS {
            for length in [0, 1, 1000, 200_000, 900_001] {
                let Some(front) = compressed(command, &mixed(length)) else {
                    eprintln!("SKIPPED others: {} is not installed", command[0]);
                    break;
                };
                let end = front.len() as u64;
                assert_eq!(clear(&*front, 0, end).unwrap(), end, "{command:?} {length}");
                let mut bytes = front.clone();
                bytes.resize((bytes.len() + 4).next_multiple_of(4), 0);
                let start = bytes.len() as u64;
                bytes.extend_from_slice(&sample());
                let length = bytes.len() as u64;
                assert_eq!(clear(&*bytes, 0, length).unwrap(), end, "{command:?} {length}");
                // Not committed, and cut within its first heads.
                let from = usize::try_from(start).unwrap();
                bytes[from..from + 6].fill(0);
                assert_eq!(clear(&*bytes, 0, length).unwrap(), end, "{command:?} {length}");
                assert_eq!(clear(&bytes[..from + 9], 0, start + 9).unwrap(), end, "{command:?} {length}");
            }
        }
    }

    #[test]
    fn archives_are_walked_over_up_to_ours() {
        let mut archive = Vec::new();
        for (name, body) in [("etc", &b""[..]), ("bin/sh", b"text"), (".forest", b"")] {
            let size = u32::try_from(body.len()).unwrap();
            let mode = if body.is_empty() { cpio::DIRECTORY } else { cpio::REGULAR };
            cpio::Head { name, inode: 1, mode, uid: 0, gid: 0, links: 1, mtime: 0, size }.write(&mut archive);
            archive.extend_from_slice(body);
            archive.resize(archive.len().next_multiple_of(4), 0);
        }
        let end = archive.len() as u64;
        assert_eq!(clear(&*archive, 0, end).unwrap(), end);
        let mut ours = archive.clone();
        ours.extend_from_slice(&[0; 512]);
        ours.extend_from_slice(&sample());
        assert_eq!(clear(&*ours, 0, ours.len() as u64).unwrap(), end);
        // A body that says it is longer than the file.
        let at = archive.len() - 130;
        archive.truncate(at);
        assert!(clear(&*archive, 0, at as u64).unwrap() < end - 130);
    }

    #[test]
    fn damage_ends_the_walk_before_it_or_behind_it_but_never_in_what_is_ours() {
        for command in COMMANDS {
            let Some(front) = compressed(command, &mixed(300_000)) else { continue };
            let mut bytes = front.clone();
            bytes.resize((bytes.len() + 4).next_multiple_of(4), 0);
            let start = bytes.len() as u64;
            bytes.extend_from_slice(&sample());
            for at in (0..front.len()).step_by(97) {
                let mut bad = bytes.clone();
                bad[at] ^= 0x11;
                assert!(clear(&*bad, 0, bad.len() as u64).unwrap() <= start, "{command:?} {at}");
            }
        }
    }

    #[test]
    fn of_what_is_not_known_little_is_read() {
        struct Counted<'a>(&'a [u8], std::cell::Cell<usize>);
        impl ReadAt for Counted<'_> {
            fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
                self.1.set(self.1.get() + buffer.len());
                self.0.read_at(buffer, at)
            }
        }
        let stride = usize::try_from(STRIDE).unwrap();
        let segment = sample();
        let mut opaque = vec![0xa5; 4 << 20];
        opaque[..2].copy_from_slice(b"\x1f\x8b");
        let read = Counted(&opaque, std::cell::Cell::new(0));
        let from = clear(&read, 0, opaque.len() as u64).unwrap();
        assert!(read.1.get() < 8 << 10 && from > 2 << 20, "{from}");
        // Whole, not committed, and as what a power failure may leave of it: found wherever it begins.
        let mut uncommitted = segment.to_vec();
        uncommitted[..6].fill(0);
        let mut lost = uncommitted.clone();
        lost[4096..].fill(0);
        for ours in [&*segment, &uncommitted, &lost] {
            for start in (0..4 * stride).step_by(4 * 997).chain((0..300).map(|n| stride * 2 - 600 + n * 4)) {
                let mut bytes = opaque.clone();
                bytes[start + 4..start + 4 + ours.len()].copy_from_slice(ours);
                let start = start as u64 + 4;
                let from = clear(&*bytes, 0, bytes.len() as u64).unwrap();
                assert!(from <= start && from + 3 * STRIDE > start, "{start} {from}");
            }
        }
    }

    #[test]
    fn a_short_file_is_searched_from_the_front() {
        for bytes in [&b"MZ"[..], b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"070701", b"x\0\0\0"]
        {
            assert_eq!(clear(bytes, 0, bytes.len() as u64).unwrap(), 0, "{bytes:?}");
        }
        // Tiny entries without end are not worth the walk.
        let mut entry = Vec::new();
        cpio::Head {
            name: "a",
            inode: 1,
            mode: cpio::DIRECTORY,
            uid: 0,
            gid: 0,
            links: 1,
            mtime: 0,
            size: 0,
        }
        .write(&mut entry);
        let many = entry.repeat(2_300);
        assert!(clear(&*many, 0, many.len() as u64).unwrap() < many.len() as u64 / 2);
    }
}

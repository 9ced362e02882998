//! The newc archive format as the kernel unpacks it: a writer of entry heads and a strict reader at an offset.
//!
//! The kernel (init/initramfs.c) accepts a header only at a multiple of 4 of the whole initrd, reads thirteen
//! eight-digit hexadecimal fields, takes a name of 1 to 4096 bytes that ends in a NUL, and skips zero bytes
//! between entries. It never checks that a body is complete: a file whose archive ends early lands with its full
//! declared size and wrong bytes. The reader here promises the opposite: it trusts no size, reads nothing behind
//! the given end, and calls everything a [`Defect`] that the kernel would refuse, skip or land wrongly.

use std::{fs::File, io, os::unix::fs::FileExt};

/// Bytes of a header.
pub const HEADER: usize = 110;
/// The magic of the format; `070702` (with checksums) is unpacked alike, and never written here.
pub const MAGIC: &[u8; 6] = b"070701";
/// The name of the entry that ends an archive.
pub const TRAILER: &str = "TRAILER!!!";
/// Type bits of a directory.
pub const DIRECTORY: u32 = 0o040_000;
/// Type bits of a regular file.
pub const REGULAR: u32 = 0o100_000;
/// Mask of the type bits.
const TYPE: u32 = 0o170_000;
const SYMLINK: u32 = 0o120_000;
/// Longest name, with its NUL (the kernel's `PATH_MAX`).
const NAME_MAX: u32 = 4096;

/// Bytes that can be read at any offset.
pub trait ReadAt {
    /// Reads some bytes at `at`; 0 only at the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// Reads until `buffer` is full or the end is reached, and says how many bytes came.
    fn fill_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, at.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        io::Read::read(&mut rest, buffer)
    }
}

/// What an entry says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// Path without a leading slash.
    pub name: &'a str,
    /// Inode number; only tells hard links apart.
    pub inode: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Link count.
    pub links: u32,
    /// Modification time, seconds since 1970.
    pub mtime: u32,
    /// Bytes of the body.
    pub size: u32,
}

impl Head<'_> {
    /// Appends header, name and the zeros that align the body.
    pub fn write(&self, out: &mut Vec<u8>) {
        let name_size = u32::try_from(self.name.len()).unwrap_or(u32::MAX).saturating_add(1);
        let fields = [
            self.inode, self.mode, self.uid, self.gid, self.links, self.mtime, self.size, //
            0, 0, 0, 0, // device of the file, device that it stands for
            name_size, 0, // checksum
        ];
        out.extend_from_slice(MAGIC);
        for field in fields {
            out.extend((0..8).rev().map(|digit| hex_digit(field >> (digit * 4))));
        }
        out.extend_from_slice(self.name.as_bytes());
        out.push(0);
        out.extend(std::iter::repeat_n(0, padding(u64::from(name_size).saturating_add(HEADER as u64))));
    }

    /// Bytes that [`write`](Self::write) appends.
    #[must_use]
    pub fn written(&self) -> u64 {
        aligned((HEADER as u64).saturating_add(self.name.len() as u64).saturating_add(1))
    }
}

/// The digit of the low four bits, upper case as cpio writes it.
fn hex_digit(bits: u32) -> u8 {
    match bits & 15 {
        digit @ 0..=9 => b'0' | digit.to_le_bytes()[0],
        letter => b'A' + letter.to_le_bytes()[0] - 10,
    }
}

/// Zeros that bring `length` to a multiple of 4.
#[must_use]
pub fn padding(length: u64) -> usize {
    // At most 3.
    usize::from((length.wrapping_neg() & 3).to_le_bytes()[0])
}

/// `length` rounded up to a multiple of 4.
#[must_use]
pub fn aligned(length: u64) -> u64 {
    length.saturating_add(padding(length) as u64)
}

/// An entry that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path as it stands in the archive, without the NUL.
    pub name: Vec<u8>,
    /// Type and permission bits.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Bytes of the body.
    pub size: u32,
    /// Where the header begins.
    pub start: u64,
    /// Where the body begins.
    pub body: u64,
    /// Where the next entry begins; behind the end of the file if only final padding is missing.
    pub next: u64,
}

impl Entry {
    /// Whether this entry ends an archive.
    #[must_use]
    pub fn is_trailer(&self) -> bool {
        self.name == TRAILER.as_bytes()
    }
}

/// Why there is no entry that the kernel unpacks as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// It does not begin at a multiple of 4: the kernel takes it for an unknown compression and stops.
    Unaligned,
    /// The magic is another: the kernel stops.
    Magic,
    /// A field is not of hexadecimal digits: the kernel reads a part of it, or stops (6.14 and later).
    Field,
    /// The name is empty, too long, holds a NUL, or does not end in one: the kernel skips the entry, or stops.
    Name,
    /// A body on something that has none: the kernel skips the entry silently.
    Kind,
    /// The file ends within header or name: nothing lands, and the kernel says nothing.
    Head,
    /// The file ends within the body: the file lands with its declared size and wrong bytes, silently.
    Body(Entry),
}

/// Reads the entry whose header begins at `at` in a file of `end` bytes.
pub fn entry<S: ReadAt + ?Sized>(source: &S, at: u64, end: u64) -> io::Result<Result<Entry, Defect>> {
    if !at.is_multiple_of(4) {
        return Ok(Err(Defect::Unaligned));
    }
    let mut header = [0; HEADER];
    let got = source.fill_at(limited(&mut header, at, end), at)?;
    let header = header.get(..got).unwrap_or_default();
    let (magic, digits) = header.split_at_checked(MAGIC.len()).unwrap_or((header, &[]));
    if !MAGIC.starts_with(magic) && magic != b"070702" {
        return Ok(Err(Defect::Magic));
    }
    let mut fields = [0_u32; 13];
    let (chunks, _) = digits.as_chunks::<8>();
    for (field, chunk) in fields.iter_mut().zip(chunks) {
        match hex_field(*chunk) {
            Some(value) => *field = value,
            None => return Ok(Err(Defect::Field)),
        }
    }
    if got < HEADER {
        return Ok(Err(Defect::Head));
    }
    let [_, mode, uid, gid, _, _, size, _, _, _, _, name_size, _] = fields;
    if name_size == 0 || name_size > NAME_MAX {
        return Ok(Err(Defect::Name));
    }
    let name_at = at.saturating_add(HEADER as u64);
    let mut name = vec![0; name_size as usize];
    if source.fill_at(limited(&mut name, name_at, end), name_at)? < name_size as usize {
        return Ok(Err(Defect::Head));
    }
    if name.pop() != Some(0) || name.is_empty() || name.contains(&0) {
        return Ok(Err(Defect::Name));
    }
    if size != 0 && !matches!(mode & TYPE, REGULAR | SYMLINK) {
        return Ok(Err(Defect::Kind));
    }
    let body = aligned(name_at.saturating_add(u64::from(name_size)));
    let body_end = body.saturating_add(u64::from(size));
    let entry = Entry { name, mode, uid, gid, size, start: at, body, next: aligned(body_end) };
    Ok(if body_end > end && size != 0 { Err(Defect::Body(entry)) } else { Ok(entry) })
}

/// The part of `buffer` that a read at `at` may fill in a file of `end` bytes.
fn limited(buffer: &mut [u8], at: u64, end: u64) -> &mut [u8] {
    let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
    buffer.get_mut(..room).unwrap_or_default()
}

fn hex_field(digits: [u8; 8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| Some((value << 4) | char::from(*digit).to_digit(16)?))
}

/// Walks uncompressed archives from an offset as the kernel does: over trailers and zeros to the end of the file,
/// or to the first defect, which is the last item.
#[derive(Debug)]
pub struct Walk<'a, S: ?Sized> {
    source: &'a S,
    at: u64,
    end: u64,
    stopped: bool,
}

impl<'a, S: ReadAt + ?Sized> Walk<'a, S> {
    /// A walk through `source`, which has `end` bytes, from offset `at` on.
    pub fn new(source: &'a S, at: u64, end: u64) -> Self {
        Self { source, at, end, stopped: false }
    }

    fn step(&mut self) -> io::Result<Option<Result<Entry, Defect>>> {
        self.at = skip_zeros(self.source, self.at, self.end)?;
        if self.at >= self.end {
            return Ok(None);
        }
        let entry = entry(self.source, self.at, self.end)?;
        match &entry {
            Ok(entry) => self.at = entry.next,
            Err(_) => self.stopped = true,
        }
        Ok(Some(entry))
    }
}

impl<S: ReadAt + ?Sized> Iterator for Walk<'_, S> {
    type Item = io::Result<Result<Entry, Defect>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped {
            return None;
        }
        let item = self.step().transpose();
        self.stopped |= matches!(item, Some(Err(_)));
        item
    }
}

/// The offset of the first byte from `at` on that is not zero, or `end`.
pub fn skip_zeros<S: ReadAt + ?Sized>(source: &S, mut at: u64, end: u64) -> io::Result<u64> {
    let mut window = [0; 64];
    let mut large = Vec::new();
    loop {
        // Most often there is nothing to skip; a long run of zeros deserves longer reads.
        let buffer = if large.is_empty() { window.as_mut_slice() } else { large.as_mut_slice() };
        let buffer = limited(buffer, at, end);
        let got = source.fill_at(buffer, at)?;
        let bytes = buffer.get(..got).unwrap_or_default();
        match bytes.iter().position(|byte| *byte != 0) {
            Some(offset) => return Ok(at.saturating_add(offset as u64)),
            None if got == 0 => return Ok(end),
            None => at = at.saturating_add(got as u64),
        }
        large.resize(64 << 10, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len()).unwrap();
        let head = Head { name, inode: 1, mode: REGULAR | 0o400, uid: 1, gid: 2, links: 1, mtime: 1, size };
        let mut out = Vec::new();
        head.write(&mut out);
        assert_eq!(out.len() as u64, head.written());
        out.extend_from_slice(body);
        out.resize(usize::try_from(aligned(out.len() as u64)).unwrap(), 0);
        out
    }

    fn read(bytes: &[u8]) -> Result<Entry, Defect> {
        entry(bytes, 0, bytes.len() as u64).unwrap()
    }

    #[test]
    fn an_entry_is_written_as_cpio_does() {
        let bytes = file("etc/x", b"hello");
        let head = "070701000000010000810000000001000000020000000100000001000000050000000000000000\
                    00000000000000000000000600000000etc/x\0hello\0\0\0";
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), head);
        let entry = read(&bytes).unwrap();
        let expected = (b"etc/x".to_vec(), 0o100_400, 1, 2, 5, 116, 124);
        let Entry { name, mode, uid, gid, size, body, next, .. } = entry;
        assert_eq!((name, mode, uid, gid, size, body, next), expected);
    }

    #[test]
    fn every_defect_is_told() {
        let good = file("etc/x", b"hello");
        let with = |at: usize, bytes: &[u8]| {
            let mut bad = good.clone();
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            bad
        };
        let cases: [(&str, Vec<u8>, Defect); 12] = [
            ("magic", with(5, b"7"), Defect::Magic),
            ("zeroed magic", with(0, &[0; 6]), Defect::Magic),
            ("field", with(20, b"g"), Defect::Field),
            ("signed field", with(14, b"+"), Defect::Field),
            ("empty name", with(94, b"00000000"), Defect::Name),
            ("long name", with(94, b"00001001"), Defect::Name),
            ("huge name", with(94, b"FFFFFFFF"), Defect::Name),
            ("no NUL", with(115, b"x"), Defect::Name),
            ("NUL inside", with(112, b"\0"), Defect::Name),
            ("directory with a body", with(14, b"000041C0"), Defect::Kind),
            ("cut header", good[..60].to_vec(), Defect::Head),
            ("cut name", good[..113].to_vec(), Defect::Head),
        ];
        for (what, bytes, defect) in cases {
            assert_eq!(read(&bytes), Err(defect), "{what}");
        }
        assert!(matches!(read(&good[..118]), Err(Defect::Body(entry)) if entry.size == 5));
        assert!(matches!(read(&with(54, b"FFFFFFFF")), Err(Defect::Body(entry)) if entry.size == u32::MAX));
        assert_eq!(entry(good.as_slice(), 2, 200).unwrap(), Err(Defect::Unaligned));
        assert_eq!(entry(good.as_slice(), u64::MAX - 3, u64::MAX).unwrap(), Err(Defect::Head));
    }

    #[test]
    fn a_walk_passes_trailers_and_zeros_and_ends_at_a_defect() {
        let mut bytes = file("a", b"1");
        bytes.extend(file(TRAILER, b""));
        bytes.extend([0; 512]);
        bytes.extend(file("b", b""));
        let names = |bytes: &[u8]| {
            Walk::new(bytes, 0, bytes.len() as u64)
                .map(|entry| entry.unwrap().map(|entry| String::from_utf8(entry.name).unwrap()))
                .collect::<Vec<_>>()
        };
        let good = [Ok("a".to_owned()), Ok(TRAILER.to_owned()), Ok("b".to_owned())];
        assert_eq!(names(&bytes), good);
        bytes.extend(b"junk");
        assert_eq!(names(&bytes)[..3], good);
        assert_eq!(names(&bytes)[3..], [Err(Defect::Magic)]);
        let at = bytes.len() - 4;
        bytes.truncate(at);
        bytes.extend([0; 2]);
        bytes.extend(file("c", b""));
        assert_eq!(names(&bytes)[3..], [Err(Defect::Unaligned)]);
    }
}

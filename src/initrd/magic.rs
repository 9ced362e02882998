//! What the kernel takes the bytes at an offset of an initrd for, by how they begin.

use std::io;

use super::cpio::{self, ReadAt};

/// What an initrd is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An entry of an uncompressed archive.
    Newc,
    /// A zstd frame.
    Zstd,
    /// An xz stream.
    Xz,
    /// Blocks of lz4's legacy format.
    Lz4,
    /// A compression that has to be undone to know its length: gzip, bzip2, lzma, lzo.
    Opaque,
}

/// The first two bytes of what the kernel decompresses (lib/decompress.c).
const COMPRESSIONS: [([u8; 2], Format); 8] = [
    ([0x1f, 0x8b], Format::Opaque), // gzip
    ([0x1f, 0x9e], Format::Opaque), // gzip of old
    ([0x42, 0x5a], Format::Opaque), // bzip2
    ([0x5d, 0x00], Format::Opaque), // lzma
    ([0xfd, 0x37], Format::Xz),
    ([0x89, 0x4c], Format::Opaque), // lzo
    ([0x02, 0x21], Format::Lz4),
    ([0x28, 0xb5], Format::Zstd),
];

/// What stands at `at`; `None` if the kernel would stop there.
pub fn format_at<S: ReadAt + ?Sized>(source: &S, at: u64) -> io::Result<Option<Format>> {
    let mut magic = [0; 6];
    source.fill_at(&mut magic, at)?;
    if at.is_multiple_of(4) && matches!(&magic, b"070701" | b"070702") {
        return Ok(Some(Format::Newc));
    }
    let [first, second, ..] = magic;
    Ok(COMPRESSIONS.iter().find(|(magic, _)| *magic == [first, second]).map(|(_, format)| *format))
}

/// Whether the kernel could take `source` for an initrd: it has nothing but zeros, or what follows them is known.
pub fn is_initrd<S: ReadAt + ?Sized>(source: &S, length: u64) -> io::Result<bool> {
    let at = cpio::skip_zeros(source, 0, length)?;
    Ok(at >= length || format_at(source, at)?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initrds_are_known_by_how_they_begin() {
        let cases: [(&[u8], bool); 16] = [
            (b"", true),
            (b"\0\0\0", true),
            (b"070701", true),
            (b"070702", true),
            (b"\0\0\0\x00070701", true),
            (b"\0\x00070701", false),
            (b"070707", false),
            (b"\x1f\x8b\x08", true),
            (b"\x28\xb5\x2f\xfd", true),
            (b"\0\0\x28\xb5\x2f\xfd", true),
            (b"\xfd7zXZ\0", true),
            (b"\x02\x21\x4c\x18", true),
            (b"BZh9", true),
            (b"MZ", false),
            (b"{\"version\": 1}", false),
            (b"\x7fELF", false),
        ];
        for (bytes, expected) in cases {
            assert_eq!(is_initrd(bytes, bytes.len() as u64).unwrap(), expected, "{bytes:?}");
        }
    }
}

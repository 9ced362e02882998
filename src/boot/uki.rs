//! Images that boot by themselves: unified kernel images, `EFI/Linux/*.efi` (Boot Loader Specification, type 2), and those
//! of lanzaboote, which name kernel and initrd instead of holding them.
//!
//! They are PE files with a section for each part (systemd-stub(7)). Of the file only the headers and the short texts
//! are read, nothing behind its end, and a size that it claims is never believed.

use std::{fs::File, io, ops::Range};

use super::{Entry, Order, counted};
use crate::initrd::cpio::ReadAt;

/// Firmware and systemd take no more sections.
const MAX_SECTIONS: u16 = 96;
/// No text in an image is longer.
const MAX_TEXT: u64 = 64 << 10;

/// What systemd-boot would boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its entry; `initrds` are those that it names.
    pub entry: Entry,
    /// Whether it holds an initrd itself.
    pub holds_initrd: bool,
}

/// The image in a file of this name; `None` if it is something else that EFI runs, and an error if it is nothing that
/// EFI runs, or broken.
pub fn image<S: ReadAt + ?Sized>(name: &str, source: &S, length: u64) -> io::Result<Option<Image>> {
    let sections = sections(source, length)?;
    let find = |names: &[&str]| sections.iter().find(|section| names.contains(&section.name.as_str()));
    let text = |names: &[&str]| -> io::Result<String> {
        let Some(section) = find(names) else { return Ok(String::new()) };
        let size = section.bytes.end.saturating_sub(section.bytes.start);
        let Some(size) = usize::try_from(size).ok().filter(|_| size <= MAX_TEXT) else {
            return Err(broken("a text in it is too long"));
        };
        let mut text = vec![0; size];
        let got = source.fill_at(&mut text, section.bytes.start)?;
        text.truncate(got);
        let text = String::from_utf8_lossy(&text);
        Ok(text.trim_end_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned())
    };
    let os_release = text(&[".osrel"])?;
    if os_release.is_empty() || find(&[".linux", ".kernelp"]).is_none() {
        return Ok(None);
    }
    let field = |keys: &[&str]| {
        let values = keys.iter().filter_map(|key| {
            os_release.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
        });
        values.map(|value| value.trim_matches(['"', '\''])).find(|value| !value.is_empty()).map(str::to_owned)
    };
    let (id, tries_left) = counted(name, ".efi");
    let mut entry = Entry {
        title: field(&["PRETTY_NAME", "IMAGE_ID", "NAME", "ID"]).unwrap_or_default(),
        options: text(&[".cmdline"])?,
        order: Order {
            sort_key: field(&["IMAGE_ID", "ID"]),
            machine_id: machine_id(&id),
            version: field(&["IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"]).unwrap_or_default(),
            tries_left,
        },
        id,
        ..Entry::default()
    };
    // Lanzaboote: the path and the hash of a file beside the image.
    let hash = find(&[".initrdh"]);
    if let Some(hash) = hash {
        let mut digest = [0; 32];
        if source.fill_at(&mut digest, hash.bytes.start)? != digest.len() {
            return Err(broken("the hash of its initrd is too short"));
        }
        entry.initrd_sha256 = Some(digest);
        entry.initrds.push(text(&[".initrd", ".initrdp"])?.replace('\\', "/"));
    }
    Ok(Some(Image { entry, holds_initrd: hash.is_none() && find(&[".initrd"]).is_some() }))
}

/// The machine for which kernel-install made it, by whose id it names files.
fn machine_id(name: &str) -> Option<String> {
    let (id, _) = name.split_once('-')?;
    (id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// The initrd inside an image; `None` if the file is none, or holds none.
#[must_use]
pub fn initrd_within<S: ReadAt + ?Sized>(source: &S, length: u64) -> Option<Range<u64>> {
    let sections = sections(source, length).ok()?;
    let named = |name: &str| sections.iter().find(|section| section.name == name);
    named(".initrd").filter(|_| named(".initrdh").is_none()).map(|section| section.bytes.clone())
}

struct Section {
    name: String,
    bytes: Range<u64>,
}

/// The sections of a PE file, those of further profiles left out.
fn sections<S: ReadAt + ?Sized>(source: &S, length: u64) -> io::Result<Vec<Section>> {
    let dos: [u8; 64] = bytes(source, 0)?;
    let [b'M', b'Z', .., a, b, c, d] = dos else { return Err(broken("it is no EFI program")) };
    let pe = u64::from(u32::from_le_bytes([a, b, c, d]));
    let header: [u8; 24] = bytes(source, pe)?;
    let [b'P', b'E', 0, 0, _, _, count_low, count_high, .., size_low, size_high, _, _] = header else {
        return Err(broken("it has no PE header"));
    };
    let count = u16::from_le_bytes([count_low, count_high]);
    if count > MAX_SECTIONS {
        return Err(broken("it has too many sections"));
    }
    let optional = u64::from(u16::from_le_bytes([size_low, size_high]));
    let mut at = pe.saturating_add(24 + optional);
    let mut sections = Vec::new();
    for _ in 0..count {
        let head: [u8; 40] = bytes(source, at)?;
        at = at.saturating_add(40);
        let (name, rest) = head.split_first_chunk::<8>().ok_or_else(|| broken("a section has no name"))?;
        let (numbers, _) = rest.as_chunks::<4>();
        let number =
            |index: usize| numbers.get(index).map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
        let (size, raw, start) = (number(0), number(2), number(3));
        // On disk a section is padded.
        let size = if size == 0 { raw } else { size.min(raw) };
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        if name == ".profile" {
            break;
        }
        if start.saturating_add(size) > length {
            return Err(broken("it is shorter than its sections"));
        }
        sections.push(Section { name, bytes: start..start.saturating_add(size) });
    }
    Ok(sections)
}

fn bytes<const N: usize, S: ReadAt + ?Sized>(source: &S, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    if source.fill_at(&mut bytes, at)? == N { Ok(bytes) } else { Err(broken("it is cut")) }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A part of a file, as if it were one of its own.
pub struct Part<'a> {
    /// The file.
    pub file: &'a File,
    /// What of it.
    pub bytes: Range<u64>,
}

impl ReadAt for Part<'_> {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let from = self.bytes.start.saturating_add(at);
        let left = usize::try_from(self.bytes.end.saturating_sub(from)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        self.file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE file with these sections, padded to 512 bytes as linkers do.
    fn pe(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..2].copy_from_slice(b"MZ");
        head[60] = 64;
        head.extend_from_slice(b"PE\0\0\x64\x86");
        head.extend_from_slice(&u16::try_from(sections.len()).unwrap().to_le_bytes());
        head.extend_from_slice(&[0; 12]);
        head.extend_from_slice(&16_u16.to_le_bytes());
        head.extend_from_slice(&[0; 2 + 16]);
        let mut body = Vec::new();
        let first = (head.len() + 40 * sections.len()).next_multiple_of(512);
        for (name, bytes) in sections {
            let raw = bytes.len().next_multiple_of(512);
            let mut name = name.as_bytes().to_vec();
            name.resize(8, 0);
            head.extend_from_slice(&name);
            for number in [bytes.len(), 0, raw, first + body.len(), 0, 0, 0, 0] {
                head.extend_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
            }
            body.extend_from_slice(bytes);
            body.resize(body.len().next_multiple_of(512), 0);
        }
        head.resize(first, 0);
        [head, body].concat()
    }

    fn read(name: &str, bytes: &[u8]) -> io::Result<Option<Image>> {
        image(name, bytes, bytes.len() as u64)
    }

    const OS_RELEASE: &[u8] = b"ID=debian\nPRETTY_NAME=\"Debian 13\"\nVERSION_ID=13\n";

    #[test]
    fn an_image_that_holds_its_initrd() {
        let bytes = pe(&[
            (".osrel", OS_RELEASE),
            (".cmdline", b"root=x init=/i\n\0"),
            (".linux", b"MZ"),
            (".initrd", b"070701 and so on"),
            (".profile", b"ID=other"),
            (".cmdline", b"other"),
        ]);
        let found = read("0123456789abcdef0123456789abcdef-6.12+2-1.efi", &bytes).unwrap().unwrap();
        assert!(found.holds_initrd && found.entry.initrds.is_empty() && found.entry.initrd_sha256.is_none());
        assert_eq!(found.entry.id, "0123456789abcdef0123456789abcdef-6.12.efi");
        assert_eq!((found.entry.title.as_str(), found.entry.init()), ("Debian 13", Some("/i")));
        let order = Order {
            sort_key: Some("debian".to_owned()),
            machine_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
            version: "13".to_owned(),
            tries_left: Some(2),
        };
        assert_eq!(found.entry.order, order);
        let range = initrd_within(&*bytes, bytes.len() as u64).unwrap();
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert_eq!(&bytes[range], b"070701 and so on");
    }

    #[test]
    fn images_of_lanzaboote_name_their_initrd() {
        for (initrd, linux) in [(".initrd", ".linux"), (".initrdp", ".kernelp")] {
            let path = b"\\EFI\\nixos\\initrd-x.efi";
            let hash = [7; 32];
            let bytes = pe(&[(".osrel", OS_RELEASE), (initrd, path), (linux, b"\\k"), (".initrdh", &hash)]);
            let found = read("nixos-generation-1.efi", &bytes).unwrap().unwrap();
            assert_eq!(
                (found.entry.initrds, found.holds_initrd),
                (vec!["/EFI/nixos/initrd-x.efi".to_owned()], false)
            );
            assert_eq!(found.entry.initrd_sha256, Some(hash));
            assert_eq!(initrd_within(&*bytes, bytes.len() as u64), None);
        }
    }

    #[test]
    fn what_is_no_image_is_passed_over_or_refused() {
        for other in [pe(&[]), pe(&[(".text", b"x")]), pe(&[(".osrel", OS_RELEASE)]), pe(&[(".linux", b"x")])]
        {
            assert_eq!(read("x.efi", &other).unwrap(), None);
        }
        let good =
            pe(&[(".osrel", OS_RELEASE), (".linux", b"MZ"), (".initrd", b"x"), (".initrdh", &[7; 32])]);
        assert!(read("x.efi", &good).unwrap().is_some());
        for cut in 0..good.len() - 512 {
            assert!(read("x.efi", &good[..cut]).is_err(), "{cut}");
        }
        // Any byte may be any other.
        for (at, byte) in (0..512).flat_map(|at| [0, 0x7f, 0xff].map(|byte| (at, byte))) {
            let mut bad = good.clone();
            bad[at] = byte;
            let _ = read("x.efi", &bad);
            let _ = initrd_within(&*bad, bad.len() as u64);
        }
        for text in ["", "MZ", "\u{7f}ELF", "070701"] {
            assert!(read("x.efi", text.as_bytes()).is_err());
        }
    }
}

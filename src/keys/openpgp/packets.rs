//! The frame of OpenPGP: packets, and the numbers inside them. RFC 9580 3 and 4.

use std::ops::Deref;

use zeroize::Zeroizing;

use super::Reason;

/// Packet types.
pub(super) mod tag {
    pub const SESSION_KEY: u8 = 1;
    pub const PASSPHRASE_SESSION_KEY: u8 = 3;
    pub const SECRET_KEY: u8 = 5;
    pub const PUBLIC_KEY: u8 = 6;
    pub const SECRET_SUBKEY: u8 = 7;
    pub const COMPRESSED: u8 = 8;
    pub const UNPROTECTED: u8 = 9;
    pub const LITERAL: u8 = 11;
    pub const USER_ID: u8 = 13;
    pub const PUBLIC_SUBKEY: u8 = 14;
    pub const PROTECTED: u8 = 18;
    pub const GNUPG_AEAD: u8 = 20;
}

/// One packet.
pub(super) struct Packet<'p> {
    /// Its type.
    pub tag: u8,
    /// What is inside.
    pub body: Octets<'p>,
}

/// A packet's body: in one piece, or put together from several.
pub(super) enum Octets<'p> {
    Whole(&'p [u8]),
    Joined(Zeroizing<Vec<u8>>),
}

impl Deref for Octets<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }
}

/// The packets in these bytes. Behind an error nothing follows.
pub(super) struct Packets<'p>(pub &'p [u8]);

impl<'p> Iterator for Packets<'p> {
    type Item = Result<Packet<'p>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut rest = Fields(std::mem::take(&mut self.0));
        let Some(packet) = packet(&mut rest) else {
            return Some(Err("its OpenPGP packets are damaged or cut off".into()));
        };
        self.0 = rest.0;
        Some(Ok(packet))
    }
}

fn packet<'p>(rest: &mut Fields<'p>) -> Option<Packet<'p>> {
    let head = rest.octet()?;
    match head {
        0..0x80 => None,
        // The old form.
        0x80..0xc0 => {
            let length = match head & 3 {
                0 => rest.octet()?.into(),
                1 => rest.number16()?.into(),
                2 => usize::try_from(rest.number32()?).ok()?,
                // To the end.
                _ => rest.0.len(),
            };
            Some(Packet { tag: head >> 2 & 0xf, body: Octets::Whole(rest.take(length)?) })
        }
        _ => Some(Packet { tag: head & 0x3f, body: body(rest)? }),
    }
}

/// The body of a packet of the new form, which may come in pieces.
fn body<'p>(rest: &mut Fields<'p>) -> Option<Octets<'p>> {
    let mut joined = Zeroizing::new(Vec::new());
    loop {
        let (length, last) = match rest.octet()? {
            short @ 0..192 => (short.into(), true),
            long @ 192..224 => (((usize::from(long) - 192) << 8) + usize::from(rest.octet()?) + 192, true),
            part @ 224..255 => (1_usize.checked_shl((part & 0x1f).into())?, false),
            255 => (usize::try_from(rest.number32()?).ok()?, true),
        };
        let piece = rest.take(length)?;
        if last && joined.is_empty() {
            return Some(Octets::Whole(piece));
        }
        if joined.is_empty() {
            // All that can come: growing would leave copies behind.
            joined.reserve_exact(length.saturating_add(rest.0.len()));
        }
        joined.extend_from_slice(piece);
        if last {
            return Some(Octets::Joined(joined));
        }
    }
}

/// What is left of a body.
#[derive(Clone, Copy)]
pub(super) struct Fields<'p>(pub &'p [u8]);

impl<'p> Fields<'p> {
    pub fn octet(&mut self) -> Option<u8> {
        self.array::<1>().map(|[octet]| *octet)
    }

    pub fn number16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub fn number32(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub fn array<const N: usize>(&mut self) -> Option<&'p [u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(bytes)
    }

    pub fn take(&mut self, length: usize) -> Option<&'p [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A field whose length is in its first octet.
    pub fn short(&mut self) -> Option<&'p [u8]> {
        let length = self.octet()?;
        self.take(length.into())
    }

    /// A large number, big-endian, without leading zeros.
    pub fn mpi(&mut self) -> Option<&'p [u8]> {
        let bits = self.number16()?;
        let bytes = self.take(usize::from(bits).div_ceil(8))?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.get(zeros..)
    }
}

/// Appends a large number, given big-endian.
pub(super) fn push_mpi(to: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = number.get(zeros..).unwrap_or_default();
    let unused = number.first().map_or(0, |byte| byte.leading_zeros());
    let bits = (number.len().saturating_mul(8)).saturating_sub(unused as usize);
    to.extend_from_slice(&u16::try_from(bits).unwrap_or(u16::MAX).to_be_bytes());
    to.extend_from_slice(number);
}

/// Appends a packet of the new form.
pub(super) fn push_packet(to: &mut Vec<u8>, tag: u8, body: &[u8]) {
    to.push(0xc0 | tag);
    push_length(to, body.len());
    to.extend_from_slice(body);
}

/// Appends a length in as few octets as it takes.
pub(super) fn push_length(to: &mut Vec<u8>, length: usize) {
    match u32::try_from(length).unwrap_or(u32::MAX) {
        short @ 0..192 => to.extend_from_slice(&short.to_be_bytes()[3..]),
        long @ 192..8384 => to.extend_from_slice(&(long - 192 + (192 << 8)).to_be_bytes()[2..]),
        longer => {
            to.push(255);
            to.extend_from_slice(&longer.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Option<(u8, Vec<u8>)>> {
        Packets(bytes).map(|packet| packet.ok().map(|packet| (packet.tag, packet.body.to_vec()))).collect()
    }

    #[test]
    fn every_form_of_length() {
        for (bytes, tag, body) in [
            (&b"\xcb\x03abc"[..], 11, &b"abc"[..]),
            (b"\xcb\xff\0\0\0\x03abc", 11, b"abc"),
            (b"\xac\x03abc", 11, b"abc"),
            (b"\xad\0\x03abc", 11, b"abc"),
            (b"\xae\0\0\0\x03abc", 11, b"abc"),
            (b"\xafabc", 11, b"abc"),
            (b"\xd2\xe1ab\xe0c\xe0d\x01e", 18, b"abcde"),
            (b"\xd2\xe1ab\0", 18, b"ab"),
            (b"\xd2\0", 18, b""),
        ] {
            assert_eq!(read(bytes), [Some((tag, body.to_vec()))], "{bytes:?}");
        }
        for length in [0, 1, 191, 192, 193, 8383, 8384, 70_000] {
            let mut bytes = Vec::new();
            push_packet(&mut bytes, 2, &vec![7; length]);
            push_packet(&mut bytes, 3, b"x");
            assert_eq!(read(&bytes), [Some((2, vec![7; length])), Some((3, b"x".to_vec()))], "{length}");
        }
    }

    #[test]
    fn damage_ends_the_packets() {
        for bytes in [
            &b"\x7f\0"[..],
            b"\xcb",
            b"\xcb\x04abc",
            b"\xcb\xff\xff\xff\xff\xffabc",
            b"\xcb\xfeabc",
            b"\xd2\xe1ab",
            b"\xd2\xe1ab\xe1a",
        ] {
            assert_eq!(read(bytes), [None], "{bytes:?}");
            assert_eq!(read(&[b"\xca\x03PGP", bytes].concat()), [Some((10, b"PGP".to_vec())), None]);
        }
    }

    #[test]
    fn large_numbers() {
        for (number, written) in [
            (&b"\x01\xff"[..], &b"\0\x09\x01\xff"[..]),
            (b"\0\0\x80", b"\0\x08\x80"),
            (b"", b"\0\0"),
            (b"\0", b"\0\0"),
        ] {
            let mut bytes = Vec::new();
            push_mpi(&mut bytes, number);
            assert_eq!(bytes, written);
            let mut fields = Fields(&bytes);
            let zeros = number.iter().take_while(|byte| **byte == 0).count();
            assert_eq!(fields.mpi(), Some(&number[zeros..]));
            assert!(fields.0.is_empty());
        }
        // GnuPG has written numbers with zeros in front.
        assert_eq!(Fields(b"\0\x10\0\x05").mpi(), Some(&b"\x05"[..]));
        assert_eq!(Fields(b"\0\x10\0").mpi(), None);
    }
}

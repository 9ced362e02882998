//! GnuPG's keybox, `pubring.kbx`: blobs, of which each holds one public key with all that belongs to it.

use super::packets::Fields;

const OPENPGP: u8 = 2;

/// The packets of each OpenPGP key in the keybox. It ends at the first damage.
pub(super) fn keys(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = file;
    let blobs = std::iter::from_fn(move || {
        let length = usize::try_from(Fields(rest).number32()?).ok()?;
        // Less than a head would lead nowhere.
        let (blob, behind) = rest.split_at_checked(length.max(5))?;
        rest = behind;
        Some(blob)
    });
    blobs.filter_map(|blob| {
        let mut fields = Fields(blob);
        let _length = fields.number32()?;
        let (kind, _version, _flags) = (fields.octet()?, fields.octet()?, fields.number16()?);
        let start = usize::try_from(fields.number32()?).ok()?;
        let length = usize::try_from(fields.number32()?).ok()?;
        let packets = blob.get(start..)?.get(..length)?;
        (kind == OPENPGP).then_some(packets)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(kind: u8, packets: &[u8]) -> Vec<u8> {
        let length = u32::try_from(20 + packets.len()).unwrap();
        let size = u32::try_from(packets.len()).unwrap();
        [
            &length.to_be_bytes()[..],
            &[kind, 1, 0, 0],
            &20_u32.to_be_bytes(),
            &size.to_be_bytes(),
            b"info",
            packets,
        ]
        .concat()
    }

    #[test]
    fn keys_among_other_blobs() {
        let file =
            [blob(1, b""), blob(2, b"one"), blob(0, b"deleted"), blob(3, b"x509"), blob(2, b"two")].concat();
        assert_eq!(keys(&file).collect::<Vec<_>>(), [b"one", b"two"]);
        for length in 0..file.len() {
            assert!(keys(&file[..length]).count() < 2);
        }
        for (at, byte) in [(3, 0), (3, 4), (2, 0xff), (31, 0xff), (35, 0xff)] {
            let mut file = file.clone();
            file[at] = byte;
            assert!(keys(&file).count() < 3);
        }
    }
}

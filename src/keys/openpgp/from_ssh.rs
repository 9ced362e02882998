//! The OpenPGP key that ssh-to-pgp makes of an SSH RSA key: version 4, created at the beginning of 1970, without subkeys.
//!
//! Of two conversions of one key only the signature differs: go-crypto puts 16 random bytes into it. Given the same
//! bytes, what is written here is what ssh-to-pgp writes. Facts: sops-format.md 7.1, ssh-to-pgp 1.1.6 with go-crypto 1.1.6.

use std::sync::OnceLock;

use rsa::{Pkcs1v15Sign, traits::PrivateKeyParts};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    Reason, armor,
    key::{Key, Part, algorithm},
    packets::{Fields, push_mpi, push_packet, tag},
    session::rsa_key,
};

/// The numbers of an RSA key, big-endian, with or without zeros in front. Of the primes, `p` is the one that the key
/// file names first.
#[derive(Clone, Copy)]
pub struct RsaNumbers<'n> {
    /// The modulus.
    pub n: &'n [u8],
    /// The public exponent.
    pub e: &'n [u8],
    /// The secret exponent.
    pub d: &'n [u8],
    /// The first prime.
    pub p: &'n [u8],
    /// The second prime.
    pub q: &'n [u8],
}

/// How many random bytes a signature takes.
pub const SALT: usize = 16;

/// The user id that ssh-to-pgp makes of these, unless they hold a character that must not be in one.
/// Its defaults are `root`, `Imported from SSH` and `root@localhost`.
#[must_use]
pub fn user_id(name: &str, comment: &str, email: &str) -> Option<String> {
    if [name, comment, email].iter().any(|part| part.contains(['(', ')', '<', '>', '\0'])) {
        return None;
    }
    let parts = [("", name, ""), ("(", comment, ")"), ("<", email, ">")];
    let parts = parts.into_iter().filter(|(_, text, _)| !text.is_empty());
    let parts: Vec<String> = parts.map(|(open, text, close)| format!("{open}{text}{close}")).collect();
    Some(parts.join(" "))
}

impl RsaNumbers<'_> {
    /// The key, ready to open messages. Nothing is computed; numbers that do not belong together are found out when
    /// a message needs them.
    pub fn key(&self) -> Result<Key, Reason> {
        let mut secret = Zeroizing::new(Vec::with_capacity(self.secret_size()));
        for number in [self.d, self.p, self.q] {
            push_mpi(&mut secret, number);
        }
        let part = Part::public(&mut Fields(&self.public_body()))?;
        let part = part.ok_or("it is no RSA key")?;
        Ok(Key { parts: vec![Part { secret: Ok(secret), rsa: OnceLock::new(), ..part }] })
    }

    /// What `ssh-to-pgp -format binary` writes.
    pub fn to_public(&self, user_id: &str, salt: &[u8; SALT]) -> Result<Vec<u8>, Reason> {
        let mut packets = Vec::new();
        push_packet(&mut packets, tag::PUBLIC_KEY, &self.public_body());
        self.push_user(&mut packets, user_id, salt)?;
        Ok(packets)
    }

    /// What `ssh-to-pgp -private-key -format binary` writes.
    pub fn to_private(&self, user_id: &str, salt: &[u8; SALT]) -> Result<Zeroizing<Vec<u8>>, Reason> {
        let public = self.public_body();
        let key = self.key()?;
        let key = key.parts.first().ok_or("it is no RSA key")?;
        let rsa = rsa_key(&key.public, key.secret.as_ref().map_err(Reason::clone)?)?;
        let coefficient = rsa.qinv().map(|number| Zeroizing::new(number.to_bytes_be().1));
        let coefficient = coefficient.ok_or("it is damaged: its primes are no primes")?;
        // OpenPGP wants the inverse of the first prime, SSH has that of the second: they change places.
        let mut body = Zeroizing::new(Vec::with_capacity(public.len() + self.secret_size()));
        body.extend_from_slice(&public);
        body.push(0);
        let numbers = body.len();
        for number in [self.d, self.q, self.p, &coefficient] {
            push_mpi(&mut body, number);
        }
        let sum = body.iter().skip(numbers).fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        body.extend_from_slice(&sum.to_be_bytes());
        // The user id and the signature take less than this and another modulus.
        let room = body.len() + user_id.len() + self.n.len() + 256;
        let mut packets = Zeroizing::new(Vec::with_capacity(room));
        push_packet(&mut packets, tag::SECRET_KEY, &body);
        self.push_user(&mut packets, user_id, salt)?;
        Ok(packets)
    }

    /// What `ssh-to-pgp` writes.
    pub fn to_public_armor(&self, user_id: &str, salt: &[u8; SALT]) -> Result<String, Reason> {
        Ok(armor::encode("PUBLIC KEY BLOCK", &self.to_public(user_id, salt)?).to_string())
    }

    /// What `ssh-to-pgp -private-key` writes.
    pub fn to_private_armor(&self, user_id: &str, salt: &[u8; SALT]) -> Result<Zeroizing<String>, Reason> {
        Ok(armor::encode("PRIVATE KEY BLOCK", &self.to_private(user_id, salt)?))
    }

    fn public_body(&self) -> Vec<u8> {
        let mut body = vec![4, 0, 0, 0, 0, algorithm::RSA];
        push_mpi(&mut body, self.n);
        push_mpi(&mut body, self.e);
        body
    }

    /// Room for the secret numbers with all that stands around them.
    fn secret_size(&self) -> usize {
        self.d.len() + 2 * self.p.len() + self.q.len() + 32
    }

    /// Appends the user id, and the signature that binds it to the key.
    fn push_user(&self, packets: &mut Vec<u8>, user_id: &str, salt: &[u8; SALT]) -> Result<(), Reason> {
        const SHA256: u8 = 8;
        const POSITIVE: u8 = 0x13;
        /// What the signature says: ASN.1 for SHA-256.
        const PREFIX: [u8; 19] =
            *b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
        let key = self.key()?;
        let key = key.parts.first().ok_or("it is no RSA key")?;
        let public = self.public_body();
        push_packet(packets, tag::USER_ID, user_id.as_bytes());

        let notation = b"salt@notations.openpgpjs.org";
        let said = [
            // Created, critical; by whom; the salt; the primary user id; for everything, critical; by whom, in full.
            &b"\x05\x82\0\0\0\0\x09\x10"[..],
            &key.key_id(),
            b"\x35\x14\0\0\0\0\0\x1c\0\x10",
            notation,
            salt,
            b"\x02\x19\x01\x02\x9b\x0f\x16\x21\x04",
            &key.fingerprint,
        ]
        .concat();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let length16 = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        let hashed = [&[4, POSITIVE, algorithm::RSA, SHA256][..], &length16(&said), &said].concat();
        let digest = Sha256::new()
            .chain_update([0x99])
            .chain_update(length16(&public))
            .chain_update(&public)
            .chain_update([0xb4])
            .chain_update(length(user_id.as_bytes()))
            .chain_update(user_id)
            .chain_update(&hashed)
            .chain_update([4, 0xff])
            .chain_update(length(&hashed))
            .finalize();
        let rsa = rsa_key(&key.public, key.secret.as_ref().map_err(Reason::clone)?)?;
        let scheme = Pkcs1v15Sign { hash_len: Some(32), prefix: PREFIX.into() };
        let signed = rsa.sign(scheme, &digest).map_err(|_| "it is too short to sign with")?;
        let mut body = hashed;
        body.extend_from_slice(&[0, 0]);
        body.extend(digest.iter().take(2));
        push_mpi(&mut body, &signed);
        push_packet(packets, 2, &body);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::{super::fixtures as f, *};

    /// The numbers of a PKCS#1 key: a sequence of integers.
    fn numbers(der: &[u8]) -> Vec<&[u8]> {
        let mut fields = Fields(der);
        let length = |fields: &mut Fields<'_>| match fields.octet().unwrap() {
            0x81 => usize::from(fields.octet().unwrap()),
            0x82 => usize::from(fields.number16().unwrap()),
            short => usize::from(short),
        };
        assert_eq!(fields.octet(), Some(0x30));
        length(&mut fields);
        let mut numbers = Vec::new();
        while fields.octet() == Some(2) {
            let length = length(&mut fields);
            numbers.push(fields.take(length).unwrap());
        }
        numbers
    }

    fn with_key<T>(test: impl Fn(&RsaNumbers<'_>) -> T) -> T {
        let body: String = f::SSH_RSA.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = BASE64_STANDARD.decode(body).unwrap();
        let all = numbers(&bytes);
        test(&RsaNumbers { n: all[1], e: all[2], d: all[3], p: all[4], q: all[5] })
    }

    /// The random bytes in the conversion of somebody else.
    fn salt(armored: &str) -> [u8; SALT] {
        let bytes = &armor::blocks(armored.as_bytes()).unwrap()[0].bytes;
        let name = b"salt@notations.openpgpjs.org";
        let at = bytes.windows(name.len()).position(|part| part == name).unwrap() + name.len();
        bytes[at..at + SALT].try_into().unwrap()
    }

    #[test]
    fn the_bytes_of_ssh_to_pgp() {
        with_key(|numbers| {
            let user = user_id("root", "Imported from SSH", "root@localhost").unwrap();
            let public = numbers.to_public_armor(&user, &salt(f::SSH_RSA_TO_PUBLIC)).unwrap();
            assert_eq!(public, f::SSH_RSA_TO_PUBLIC);
            let private = numbers.to_private_armor(&user, &salt(f::SSH_RSA_TO_PRIVATE)).unwrap();
            assert_eq!(*private, f::SSH_RSA_TO_PRIVATE);
        });
    }

    #[test]
    fn the_key_is_the_one_that_ssh_to_pgp_writes() {
        with_key(|numbers| {
            let key = numbers.key().unwrap();
            assert_eq!(key.fingerprint(), f::SSH_RSA_FINGERPRINT);
            let [read] = &*Key::read_all(f::SSH_RSA_TO_PRIVATE.as_bytes()).unwrap() else { panic!() };
            assert_eq!(read.fingerprints(), key.fingerprints());
            for key in [&key, read] {
                let opened = super::super::open([key], f::SSH_RSA_MESSAGE.as_bytes()).unwrap();
                assert_eq!(
                    opened.as_deref().map(Vec::as_slice),
                    Some(&b"0123456789abcdef0123456789abcdef"[..])
                );
            }
        });
    }

    #[test]
    fn numbers_that_do_not_belong_together() {
        with_key(|numbers| {
            let wrong = [
                RsaNumbers { p: numbers.q, ..*numbers },
                RsaNumbers { d: numbers.n, ..*numbers },
                RsaNumbers { p: &[], ..*numbers },
                RsaNumbers { q: &[1], ..*numbers },
                RsaNumbers { e: &[], ..*numbers },
            ];
            for wrong in wrong {
                assert!(wrong.to_private("x", &[0; SALT]).is_err());
                let key = wrong.key().unwrap();
                assert!(!matches!(super::super::open([&key], f::SSH_RSA_MESSAGE.as_bytes()), Ok(Some(_))));
            }
        });
    }

    #[test]
    fn user_ids() {
        for (parts, id) in [
            (
                ["root", "Imported from SSH", "root@localhost"],
                Some("root (Imported from SSH) <root@localhost>"),
            ),
            (["", "", "a@b"], Some("<a@b>")),
            (["n", "", ""], Some("n")),
            (["", "c", ""], Some("(c)")),
            (["", "", ""], Some("")),
            (["a(b", "", ""], None),
            (["a", "b", "c>d"], None),
            (["a", "b\0", "c"], None),
        ] {
            let [name, comment, email] = parts;
            assert_eq!(user_id(name, comment, email).as_deref(), id, "{parts:?}");
        }
    }
}

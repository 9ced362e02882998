//! age identity files behind a passphrase: age files with one scrypt stanza.
//!
//! What a file demands is checked before anybody is asked. Facts: sops-format.md 5.2 and 6.5, and filippo.io/age 1.3.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use scrypt::{Params, scrypt};
use zeroize::Zeroizing;

use super::{
    age_file::{AgeFile, Damage, dearmor, open_file_key},
    passphrase::Refused,
};

/// The largest file, in bytes, as sops has it.
pub const MAX_SIZE: usize = 16 << 20;

/// The largest work factor, as age has it: 4 GiB of memory, and a quarter of a minute.
const MAX_WORK: u8 = 22;

const STANZA: &[u8] = b"scrypt";

/// An identity file behind a passphrase.
pub struct EncryptedIdentities {
    /// Without its armor.
    file: Vec<u8>,
    salt: [u8; 16],
    /// The binary logarithm of how often scrypt mixes.
    work: u8,
    body: Vec<u8>,
}

impl EncryptedIdentities {
    /// Reads a file.
    pub fn parse(file: &[u8]) -> Result<Self, Damage> {
        const WRONG: Damage = "its scrypt stanza has a wrong form";
        if file.len() > MAX_SIZE {
            return Err("it is larger than 16 MiB");
        }
        let file = if file.starts_with(b"-----BEGIN") { dearmor(file)? } else { file.to_vec() };
        let stanzas = AgeFile::parse(&file)?.stanzas;
        let stanza = match stanzas.as_slice() {
            [stanza] if stanza.kind == STANZA => stanza,
            all if all.iter().any(|stanza| stanza.kind == STANZA) => {
                return Err("its scrypt stanza is not the only one");
            }
            _ => return Err("it is encrypted, but not with a passphrase"),
        };
        let [salt, work] = stanza.args.as_slice() else { return Err(WRONG) };
        let salt = BASE64_STANDARD_NO_PAD.decode(salt).ok().and_then(|salt| salt.try_into().ok());
        let salt = salt.ok_or(WRONG)?;
        if stanza.body.len() != 32 || !work.iter().all(u8::is_ascii_digit) || matches!(work, [] | [b'0', ..])
        {
            return Err(WRONG);
        }
        let work = std::str::from_utf8(work).ok().and_then(|work| work.parse().ok());
        let Some(work @ 1..=MAX_WORK) = work else {
            return Err("its scrypt work factor is larger than 22");
        };
        let body = stanza.body.clone();
        Ok(Self { file, salt, work, body })
    }

    /// The text inside. Takes a second and 256 MiB with the work factor that age chooses.
    pub fn open(&self, passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        const LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
        if passphrase.is_empty() {
            return Err(Refused::Wrong);
        }
        self.check_memory()?;
        let parameters = Params::new(self.work, 8, 1, 32);
        let parameters = parameters.map_err(|_| Refused::Damaged("its scrypt work factor is impossible"))?;
        let mut key = Zeroizing::new([0; 32]);
        scrypt(passphrase, &[LABEL, &self.salt].concat(), &parameters, &mut key[..])
            .map_err(|_| Refused::Damaged("its scrypt work factor is impossible"))?;
        let key = open_file_key(&key, &self.body).map_err(Refused::Damaged)?.ok_or(Refused::Wrong)?;
        AgeFile::parse(&self.file).and_then(|file| file.decrypt(&key)).map_err(Refused::Damaged)
    }

    /// An allocation that fails would end the process, and one that the machine has no memory for, another one.
    fn check_memory(&self) -> Result<(), Refused> {
        const SHORT: Refused =
            Refused::Damaged("this machine has too little free memory for its scrypt work factor");
        let needed = 1024_usize << self.work;
        if Vec::<u8>::new().try_reserve_exact(needed).is_err() {
            return Err(SHORT);
        }
        let Ok(text) = fs::read_to_string("/proc/meminfo") else { return Ok(()) };
        let kibibytes = |name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse::<usize>().ok()
        };
        match (kibibytes("MemAvailable:"), kibibytes("SwapFree:")) {
            (Some(memory), swap) if memory.saturating_add(swap.unwrap_or_default()) < needed / 1024 => {
                Err(SHORT)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = include_str!("../../tests/data/keys/x25519-identity");
    const ARMORED: &[u8] = include_bytes!("../../tests/data/keys/identity-armoured.age");
    const BINARY: &[u8] = include_bytes!("../../tests/data/keys/identity-binary.age");

    fn opened(file: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, Refused> {
        let file = EncryptedIdentities::parse(file).map_err(Refused::Damaged)?;
        file.open(passphrase).map(|text| text.to_vec())
    }

    #[test]
    fn files_of_age() {
        for file in [ARMORED, BINARY] {
            assert!(crate::keys::age_file::is_encrypted(file));
            assert_eq!(opened(file, b"correct horse"), Ok(IDENTITY.into()));
            for wrong in [&b"wrong"[..], b"", b"correct horse "] {
                assert_eq!(opened(file, wrong), Err(Refused::Wrong));
            }
        }
        assert!(!crate::keys::age_file::is_encrypted(IDENTITY.as_bytes()));
    }

    #[test]
    fn damaged_files() {
        let header = |stanzas: &str| format!("age-encryption.org/v1\n{stanzas}--- {}\n", "A".repeat(43));
        let stanza = |args: &str| format!("-> scrypt{args}\n{}\n", "A".repeat(43));
        let salt = "A".repeat(22);
        let wrong = "its scrypt stanza has a wrong form";
        for (file, reason) in [
            (header(&stanza("")), wrong),
            (header(&stanza(&format!(" {salt}"))), wrong),
            (header(&stanza(&format!(" {salt} 10 x"))), wrong),
            (header(&stanza(&format!(" {salt} 010"))), wrong),
            (header(&stanza(&format!(" {salt} +10"))), wrong),
            (header(&stanza(&format!(" {salt} 0"))), wrong),
            (header(&stanza(&format!(" {salt}AA 10"))), wrong),
            (header(&format!("-> scrypt {salt} 10\nAAAA\n")), wrong),
            (header(&stanza(&format!(" {salt} 23"))), "its scrypt work factor is larger than 22"),
            (header(&stanza(&format!(" {salt} 257"))), "its scrypt work factor is larger than 22"),
            (header(&stanza(&format!(" {salt} 10")).repeat(2)), "its scrypt stanza is not the only one"),
            (header(""), "it is encrypted, but not with a passphrase"),
            (header("-> X25519 A\nAAAA\n"), "it is encrypted, but not with a passphrase"),
            (String::new(), "its age header is cut off"),
            ("-----BEGIN AGE ENCRYPTED FILE-----\n".to_owned(), "its armor has no end"),
        ] {
            assert_eq!(opened(file.as_bytes(), b"x"), Err(Refused::Damaged(reason)), "{file}");
        }
        let mut tail = BINARY.to_vec();
        *tail.last_mut().unwrap() ^= 1;
        let damaged = Err(Refused::Damaged("its age payload does not authenticate"));
        assert_eq!(opened(&tail, b"correct horse"), damaged);
        assert!(EncryptedIdentities::parse(&vec![b'a'; MAX_SIZE + 1]).is_err());
    }
}

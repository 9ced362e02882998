//! ssh-ed25519 keys: reading OpenSSH's private key files, opening age's ssh-ed25519 stanzas, and ssh-to-age.
//!
//! The age crate brings RSA and bcrypt along with these, half a megabyte; what ed25519 needs is here.
//! Facts: sops-format.md 6.3 and 6.4, OpenSSH's PROTOCOL.key, RFC 8410.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use curve25519_dalek::{EdwardsPoint, edwards::CompressedEdwardsY};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::{
    age::{self, X25519, agree},
    age_file::{Damage, FileKey, Stanza, Unwrap, bytes32, derive, open_file_key},
};

/// An ed25519 key as an age identity. Wiped when dropped.
pub struct Ed25519 {
    /// The same key on the other curve: what ssh-to-age makes of it.
    converted: X25519,
    scalar: Zeroizing<[u8; 32]>,
    /// The public key in SSH's wire format.
    wire: Vec<u8>,
}

/// Why a private key file gives no identity.
pub type Reason = &'static str;

impl Ed25519 {
    /// Reads a private key file: OpenSSH's own form or PKCS#8, without a passphrase.
    pub fn parse(file: &[u8]) -> Result<Self, Reason> {
        let (label, text) = pem(file).ok_or("it is no private key in PEM form")?;
        let der = Zeroizing::new(BASE64_STANDARD.decode(&*text).map_err(|_| "its PEM body is not base64")?);
        match label {
            b"OPENSSH PRIVATE KEY" => openssh(&der),
            b"PRIVATE KEY" => pkcs8(&der),
            b"ENCRYPTED PRIVATE KEY" => Err(PROTECTED),
            _ => Err("its kind is not supported by this build: only ed25519 is"),
        }
    }

    fn new(seed: &[u8; 32], public: Option<[u8; 32]>) -> Self {
        let mut scalar = Zeroizing::new([0; 32]);
        let hash = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
        scalar.iter_mut().zip(hash.iter()).for_each(|(to, byte)| *to = *byte);
        let public = public.unwrap_or_else(|| EdwardsPoint::mul_base_clamped(*scalar).compress().to_bytes());
        let mut wire = Vec::with_capacity(51);
        for part in [KIND, &public] {
            wire.extend_from_slice(&u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
            wire.extend_from_slice(part);
        }
        Self { converted: X25519::new(scalar.clone()), scalar, wire }
    }

    /// `ssh-ed25519 AAAA…`
    #[must_use]
    pub fn recipient(&self) -> String {
        format!("ssh-ed25519 {}", BASE64_STANDARD.encode(&self.wire))
    }

    /// The age identity that ssh-to-age makes of it.
    #[must_use]
    pub fn converted(&self) -> &X25519 {
        &self.converted
    }
}

/// The age recipient that ssh-to-age makes of a public key line; `None` for other kinds of keys.
#[must_use]
pub fn to_age(public: &str) -> Option<String> {
    let wire = BASE64_STANDARD.decode(public.strip_prefix("ssh-ed25519 ")?.split(' ').next()?).ok()?;
    let (_, point) = wire.split_last_chunk::<32>()?;
    let point = CompressedEdwardsY(*point).decompress()?.to_montgomery();
    Some(age::recipient(point.as_bytes()))
}

impl Unwrap for Ed25519 {
    fn unwrap(&self, stanza: &Stanza<'_>) -> Result<Option<FileKey>, Damage> {
        const WRONG: Damage = "its ssh-ed25519 stanza has a wrong form";
        const LABEL: &[u8] = b"age-encryption.org/v1/ssh-ed25519";
        if stanza.kind != KIND {
            return Ok(None);
        }
        let [tag, share] = stanza.args.as_slice() else { return Err(WRONG) };
        let share = bytes32(share).ok_or(WRONG)?;
        let hash = Sha256::digest(&self.wire);
        if BASE64_STANDARD_NO_PAD.encode(hash.get(..4).unwrap_or_default()).as_bytes() != *tag {
            return Ok(None);
        }
        let shared = agree(&self.scalar, share).ok_or(WRONG)?;
        let shared = agree(&derive(b"", &self.wire, LABEL), *shared).ok_or(WRONG)?;
        let salt = [share, *self.converted.public()].concat();
        match open_file_key(&derive(&shared[..], &salt, LABEL), &stanza.body)? {
            Some(key) => Ok(Some(key)),
            None => Err("its ssh-ed25519 stanza does not authenticate"),
        }
    }
}

const KIND: &[u8] = b"ssh-ed25519";
const PROTECTED: Reason = "it is protected by a passphrase, which is not supported by this build";
const CUT: Reason = "it is cut off or damaged";

/// The label and the base64 text of the first PEM block.
fn pem(file: &[u8]) -> Option<(&[u8], Zeroizing<Vec<u8>>)> {
    let mut lines = file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let label = lines.find_map(|line| line.strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----"))?;
    let mut text = Zeroizing::new(Vec::with_capacity(file.len()));
    for line in lines {
        if let Some(end) = line.strip_prefix(b"-----END ") {
            return (end.strip_suffix(b"-----")? == label).then_some((label, text));
        }
        // Headers of old, encrypted forms.
        if !line.contains(&b':') {
            text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
    }
    None
}

fn openssh(file: &[u8]) -> Result<Ed25519, Reason> {
    let mut rest = file.strip_prefix(b"openssh-key-v1\0").ok_or(CUT)?;
    let cipher = string(&mut rest).ok_or(CUT)?;
    let (_kdf, _options) = (string(&mut rest).ok_or(CUT)?, string(&mut rest).ok_or(CUT)?);
    if number(&mut rest) != Some(1) {
        return Err("it holds more than one key");
    }
    let mut public = string(&mut rest).ok_or(CUT)?;
    match string(&mut public) {
        Some(KIND) => {}
        Some(b"ssh-rsa") => return Err("it is an RSA key, a kind not supported by this build"),
        Some(_) => return Err("its kind is not supported by this build: only ed25519 is"),
        None => return Err(CUT),
    }
    if cipher != b"none" {
        return Err(PROTECTED);
    }
    let mut private = string(&mut rest).ok_or(CUT)?;
    let checks = (number(&mut private), number(&mut private));
    if checks.0.is_none() || checks.0 != checks.1 || string(&mut private) != Some(KIND) {
        return Err(CUT);
    }
    let public: [u8; 32] = string(&mut private).and_then(|key| key.try_into().ok()).ok_or(CUT)?;
    let pair = string(&mut private).ok_or(CUT)?;
    let (seed, again) = pair.split_first_chunk::<32>().ok_or(CUT)?;
    string(&mut private).ok_or(CUT)?;
    // The padding counts.
    if again != public || !private.iter().enumerate().all(|(at, byte)| at + 1 == usize::from(*byte)) {
        return Err(CUT);
    }
    Ok(Ed25519::new(seed, Some(public)))
}

fn pkcs8(der: &[u8]) -> Result<Ed25519, Reason> {
    // SEQUENCE { 0, SEQUENCE { 1.3.101.112 }, OCTET STRING { OCTET STRING of 32 bytes } }
    const START: &[u8] = &[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let seed = der.strip_prefix(START).and_then(|seed| <&[u8; 32]>::try_from(seed).ok());
    seed.map(|seed| Ed25519::new(seed, None))
        .ok_or("its kind is not supported by this build: only ed25519 is")
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    Some(u32::from_be_bytes(*bytes))
}

fn string<'k>(rest: &mut &'k [u8]) -> Option<&'k [u8]> {
    let length = number(rest)?;
    let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures as f, *};

    #[test]
    fn private_key_files() {
        let recipient = |file: &str| Ed25519::parse(file.as_bytes()).map(|key| key.recipient());
        assert_eq!(recipient(f::SSH).as_deref(), Ok(f::SSH_PUBLIC));
        assert_eq!(recipient(&f::SSH.replace('\n', "\r\n")).as_deref(), Ok(f::SSH_PUBLIC));
        assert_eq!(recipient(&format!("note\n{}more", f::SSH)).as_deref(), Ok(f::SSH_PUBLIC));
        // Read with OpenSSH after conversion.
        let pkcs8 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIENUqszBjYYDgwfKTyDMj4yt7vUH0zqYoBrhMjlRv9TB";
        assert_eq!(recipient(f::PKCS8).as_deref(), Ok(pkcs8));
        let none = "it is no private key in PEM form";
        for (file, reason) in [
            (f::SSH_PROTECTED.to_owned(), PROTECTED),
            (f::SSH_RSA.to_owned(), "it is an RSA key, a kind not supported by this build"),
            (f::PKCS8.replace(" PRIVATE", " ENCRYPTED PRIVATE"), PROTECTED),
            (
                f::PKCS8.replace(" PRIVATE", " RSA PRIVATE"),
                "its kind is not supported by this build: only ed25519 is",
            ),
            (f::SSH.replace("b3BlbnNzaC", "b3BlbnNzaD"), CUT),
            (f::SSH.replace("-----END", "----END"), none),
            (String::new(), none),
            (f::SSH_PUBLIC.to_owned(), none),
            (f::SSH.replace("TFvQitzeUIB8uPi8fUC2AAAABGhvc3QB\n", ""), CUT),
            (f::SSH.replace("AAAABGhvc3QB", "AAAABGhvc3QC"), CUT),
            (f::SSH.replace("AAAABGhvc3QB", "AAAABGh*c3QB"), "its PEM body is not base64"),
        ] {
            assert_eq!(recipient(&file), Err(reason), "{file}");
        }
    }
}

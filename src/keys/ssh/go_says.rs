//! Public key lines and private key files as golang.org/x/crypto/ssh reads them, and what it says about others.
//!
//! ssh-to-age and ssh-to-pgp pass its messages on, and scripts have seen them. Observed with version 0.50.0 and 1.26 of
//! Go. Of keys that these programs do not convert, only the kind is looked at.

use super::{Ed25519, Key, Rsa, pem::Pem, wire};
use crate::keys::passphrase::Refused;

/// The key of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// The point of an ed25519 key.
    Ed25519([u8; 32]),
    /// The name of another kind.
    Other(String),
}

/// The key of a private key file.
pub enum PrivateKey {
    /// In OpenSSH's container.
    Ed25519(Ed25519),
    /// In whatever form.
    Rsa(Box<Rsa>),
    /// The name of another type in Go; also of an ed25519 key in PKCS#8.
    Other(&'static str),
}

impl PrivateKey {
    /// The name of its type in Go.
    #[must_use]
    pub const fn go_type(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "*ed25519.PrivateKey",
            Self::Rsa(_) => "*rsa.PrivateKey",
            Self::Other(name) => name,
        }
    }
}

/// Why there is no key, as Go says it.
pub type GoError = String;

const NO_KEY: &str = "ssh: no key found";
const SHORT: &str = "ssh: short read";

/// The key of one line of `authorized_keys`, or of a public key file.
pub fn authorized_key(line: &[u8]) -> Result<PublicKey, GoError> {
    let line = line.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = trimmed(line);
    let mut last = None;
    if !line.is_empty() && line.first() != Some(&b'#') {
        // Without a blank there is nothing behind the first word.
        if let Some(rest) = line.iter().position(|byte| is_blank(*byte)).and_then(|at| line.get(at..)) {
            match encoded_key(rest) {
                Ok(key) => return Ok(key),
                Err(error) => last = Some(error),
            }
            let rest = after_options(line);
            if let Some(rest) = rest.iter().position(|byte| is_blank(*byte)).and_then(|at| rest.get(at..)) {
                match encoded_key(rest) {
                    Ok(key) => return Ok(key),
                    Err(error) => last = Some(error),
                }
            }
        }
    }
    Err(last.map_or_else(
        || NO_KEY.to_owned(),
        |error| format!("{NO_KEY}; last parsing error for ignored line: {error}"),
    ))
}

/// The key of one line of `known_hosts`.
pub fn known_host(line: &[u8]) -> Result<PublicKey, GoError> {
    let line = trimmed(line.split(|byte| *byte == b'\r').next().unwrap_or_default());
    if line.is_empty() || line.first() == Some(&b'#') || !line.iter().any(|byte| is_blank(*byte)) {
        return Err("EOF".to_owned());
    }
    let fields: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).collect();
    if !(3..=5).contains(&fields.len()) {
        return Err("ssh: invalid entry in known_hosts data".to_owned());
    }
    let is_marked = fields.first().is_some_and(|field| field.first() == Some(&b'@'));
    let key = fields.get(if is_marked { 3.. } else { 2.. }).unwrap_or_default();
    encoded_key(&key.join(&b" "[..]))
}

/// What follows the options in front of a key, if the line begins with options.
fn after_options(line: &[u8]) -> &[u8] {
    let mut quoted = false;
    let mut before = 0;
    for (at, byte) in line.iter().enumerate() {
        if !quoted && is_blank(*byte) {
            return line.get(at..).unwrap_or_default().trim_ascii_start();
        }
        if *byte == b'"' && before != b'\\' {
            quoted = !quoted;
        }
        before = *byte;
    }
    b""
}

/// The key in base64 at the front of the text.
fn encoded_key(text: &[u8]) -> Result<PublicKey, GoError> {
    let text = trimmed(text);
    let text = text.split(|byte| is_blank(*byte)).next().unwrap_or_default();
    public_key(&base64(text)?)
}

/// A public key in SSH's wire format.
fn public_key(bytes: &[u8]) -> Result<PublicKey, GoError> {
    let mut rest = bytes;
    let kind = wire::string(&mut rest).ok_or(SHORT)?;
    let name = String::from_utf8_lossy(kind).into_owned();
    let mut next = || wire::string(&mut rest).ok_or(SHORT.to_owned());
    let key = match kind {
        b"ssh-ed25519" => {
            let point = next()?;
            PublicKey::Ed25519(point.try_into().map_err(|_| bad_size(point))?)
        }
        b"sk-ssh-ed25519@openssh.com" => {
            let (point, _application) = (next()?, next()?);
            if point.len() != 32 {
                return Err(bad_size(point));
            }
            PublicKey::Other(name)
        }
        b"ssh-rsa" => {
            let (exponent, _modulus) = (next()?, next()?);
            let digits = exponent.iter().position(|byte| *byte != 0).and_then(|at| exponent.get(at..));
            match digits.unwrap_or_default() {
                digits if digits.len() > 3 => return Err("ssh: exponent too large".to_owned()),
                [.., last] if last & 1 == 1 && digits != Some(&[1]) => {}
                _ => return Err("ssh: incorrect exponent".to_owned()),
            }
            PublicKey::Other(name)
        }
        b"ssh-dss" => {
            for _ in 0..4 {
                next()?;
            }
            PublicKey::Other(name)
        }
        b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384" | b"ecdsa-sha2-nistp521" => {
            let (curve, point) = (next()?, next()?);
            curve_point(curve, point)?;
            PublicKey::Other(format!("ecdsa-sha2-{}", String::from_utf8_lossy(curve)))
        }
        b"sk-ecdsa-sha2-nistp256@openssh.com" => {
            let (curve, point, _application) = (next()?, next()?, next()?);
            if curve != b"nistp256" {
                return Err("ssh: unsupported curve".to_owned());
            }
            curve_point(curve, point)?;
            PublicKey::Other(name)
        }
        b"rsa-sha2-256" | b"rsa-sha2-512" => {
            return Err(format!(
                "ssh: signature algorithm {name:?} isn't a key format; key is malformed and should be re-encoded with \
                 type \"ssh-rsa\""
            ));
        }
        _ if CERTIFICATES.contains(&&*name) => return Ok(PublicKey::Other(name)),
        _ => return Err(format!("ssh: unknown key algorithm: {name}")),
    };
    if rest.is_empty() { Ok(key) } else { Err("ssh: trailing junk in public key".to_owned()) }
}

const CERTIFICATES: [&str; 8] = [
    "ssh-rsa-cert-v01@openssh.com",
    "ssh-dss-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
];

fn bad_size(point: &[u8]) -> GoError {
    format!("invalid size {} for Ed25519 public key", point.len())
}

/// Is it a point of that curve, by its form? Whether it lies on the curve is not computed.
fn curve_point(curve: &[u8], point: &[u8]) -> Result<(), GoError> {
    let size = match curve {
        b"nistp256" => 32,
        b"nistp384" => 48,
        b"nistp521" => 66,
        _ => return Err("ssh: unsupported curve".to_owned()),
    };
    match point {
        [4, numbers @ ..] if numbers.len() == 2 * size => Ok(()),
        _ => Err("ssh: invalid curve point".to_owned()),
    }
}

/// The key of a private key file. An empty passphrase is none.
pub fn private_key(file: &[u8], passphrase: &[u8]) -> Result<PrivateKey, GoError> {
    const PROTECTED: &str = "ssh: this private key is passphrase protected";
    let pem = Pem::parse(file).map_err(|_| NO_KEY)?;
    let other = match pem.label {
        b"OPENSSH PRIVATE KEY" => {
            let is_protected = is_protected(&pem.body)?;
            if is_protected && passphrase.is_empty() {
                return Err(PROTECTED.to_owned());
            }
            if !is_protected && !passphrase.is_empty() {
                return Err("ssh: key is not password protected".to_owned());
            }
            match kind(&pem.body) {
                Some(b"ssh-ed25519" | b"ssh-rsa") => None,
                Some(kind) if kind.starts_with(b"ecdsa-sha2-") => Some("*ecdsa.PrivateKey"),
                _ => return Err("ssh: unhandled key type".to_owned()),
            }
        }
        _ if !passphrase.is_empty() && !pem.encrypted => return Err("ssh: not an encrypted key".to_owned()),
        _ if passphrase.is_empty() && pem.encrypted => return Err(PROTECTED.to_owned()),
        b"RSA PRIVATE KEY" => None,
        b"PRIVATE KEY" => match Key::parse(file) {
            Ok(Key::Rsa(key)) => return Ok(PrivateKey::Rsa(key)),
            Ok(_) => Some("ed25519.PrivateKey"),
            Err(_) if has(&pem.body, EC) => Some("*ecdsa.PrivateKey"),
            Err(_) if has(&pem.body, X25519) => Some("*ecdh.PrivateKey"),
            Err(reason) => return Err(reason.to_owned()),
        },
        b"EC PRIVATE KEY" => Some("*ecdsa.PrivateKey"),
        b"DSA PRIVATE KEY" => Some("*dsa.PrivateKey"),
        label => return Err(format!("ssh: unsupported key type {:?}", String::from_utf8_lossy(label))),
    };
    if let Some(name) = other {
        return Ok(PrivateKey::Other(name));
    }
    match Key::parse(file)? {
        Key::Ed25519(key) => Ok(PrivateKey::Ed25519(key)),
        Key::Rsa(key) => Ok(PrivateKey::Rsa(key)),
        Key::Protected(key) => match key.unlock(passphrase) {
            Ok(Key::Ed25519(key)) => Ok(PrivateKey::Ed25519(key)),
            Ok(Key::Rsa(key)) => Ok(PrivateKey::Rsa(key)),
            Ok(Key::Protected(_)) => Err(PROTECTED.to_owned()),
            Err(Refused::Wrong) => Err("x509: decryption password incorrect".to_owned()),
            Err(Refused::Damaged(reason)) => Err(reason.to_owned()),
        },
    }
}

/// The object identifier of keys on elliptic curves, in DER.
const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// The object identifier of X25519, in DER.
const X25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x6e];

/// Does PKCS#8 name this kind of key? It does so within the first bytes.
fn has(der: &[u8], kind: &[u8]) -> bool {
    der.get(..24).unwrap_or(der).windows(kind.len()).any(|part| part == kind)
}

fn is_protected(body: &[u8]) -> Result<bool, GoError> {
    let mut rest = body.strip_prefix(b"openssh-key-v1\0").ok_or("ssh: invalid openssh private key format")?;
    let (cipher, derivation) = (wire::string(&mut rest).ok_or(SHORT)?, wire::string(&mut rest).ok_or(SHORT)?);
    Ok(cipher != b"none" || derivation != b"none")
}

/// The kind of the public key in OpenSSH's container.
fn kind(body: &[u8]) -> Option<&[u8]> {
    let mut rest = body.strip_prefix(b"openssh-key-v1\0")?;
    for _ in 0..3 {
        wire::string(&mut rest)?;
    }
    wire::number(&mut rest)?;
    wire::string(&mut wire::string(&mut rest)?)
}

/// Go's decoder: line ends are skipped, padding is needed, the last bits may be anything.
fn base64(text: &[u8]) -> Result<Vec<u8>, GoError> {
    let wrong = |at: usize| format!("illegal base64 data at input byte {at}");
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut quantum, mut digits) = (0_u32, 0_usize);
    let mut source = text.iter().enumerate().filter(|(_, byte)| !is_end(byte));
    while let Some((at, byte)) = source.next() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' if digits >= 2 => {
                if digits == 2 {
                    match source.next() {
                        Some((_, b'=')) => {}
                        Some((at, _)) => return Err(wrong(at.saturating_sub(1))),
                        None => return Err(wrong(text.len())),
                    }
                }
                if let Some((at, _)) = source.next() {
                    return Err(wrong(at));
                }
                let whole = (quantum << (6 * (4 - digits))).to_be_bytes();
                bytes.extend_from_slice(whole.get(1..digits).unwrap_or_default());
                return Ok(bytes);
            }
            _ => return Err(wrong(at)),
        };
        quantum = quantum << 6 | u32::from(digit);
        digits += 1;
        if digits == 4 {
            bytes.extend_from_slice(quantum.to_be_bytes().get(1..).unwrap_or_default());
            (quantum, digits) = (0, 0);
        }
    }
    if digits == 0 { Ok(bytes) } else { Err(wrong(text.len().saturating_sub(digits))) }
}

/// Without blanks around it.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |at| at + 1);
    text.get(start..end).unwrap_or_default()
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::{super::super::fixtures as f, *};

    #[test]
    fn lines() {
        let key = f::SSH_PUBLIC.split(' ').nth(1).unwrap();
        let ed25519 = |result: Result<PublicKey, GoError>| matches!(result, Ok(PublicKey::Ed25519(_)));
        for line in [
            f::SSH_PUBLIC.to_owned(),
            format!("{} a comment\r", f::SSH_PUBLIC),
            format!("ssh-ed25519\t{key}"),
            format!("restrict,command=\"a \\\" b\" ssh-ed25519 {key}"),
        ] {
            assert!(ed25519(authorized_key(line.as_bytes())), "{line}");
        }
        for line in [format!("host ssh-ed25519 {key}"), format!("@revoked * ssh-ed25519 {key} c")] {
            assert!(ed25519(known_host(line.as_bytes())), "{line}");
        }
        let ignored = "ssh: no key found; last parsing error for ignored line:";
        for (line, error) in [
            ("ssh-ed25519".to_owned(), NO_KEY.to_owned()),
            ("# ssh-ed25519 AAAA".to_owned(), NO_KEY.to_owned()),
            ("ssh-ed25519 AAAA".to_owned(), format!("{ignored} {SHORT}")),
            (
                format!("ssh-ed25519 {}", key.get(..41).unwrap()),
                format!("{ignored} illegal base64 data at input byte 40"),
            ),
            (
                format!("{} ", f::SSH_PUBLIC.replace("AAAAC3", "AAAAC=")),
                format!("{ignored} illegal base64 data at input byte 5"),
            ),
            ("ssh-x AAAABXNzaC14AAAAAA==".to_owned(), format!("{ignored} ssh: unknown key algorithm: ssh-x")),
        ] {
            assert_eq!(authorized_key(line.as_bytes()), Err(error), "{line}");
        }
        for (line, error) in [
            ("garbage", "EOF"),
            ("a b", "ssh: invalid entry in known_hosts data"),
            ("a b c d e f", "ssh: invalid entry in known_hosts data"),
            ("a b c", "illegal base64 data at input byte 0"),
            ("@a b c", SHORT),
        ] {
            assert_eq!(known_host(line.as_bytes()), Err(error.to_owned()), "{line}");
        }
    }

    #[test]
    fn base64_as_go_decodes_it() {
        for (text, result) in [
            ("", Ok(&b""[..])),
            ("AQID", Ok(b"\x01\x02\x03")),
            ("AQ\r\nID", Ok(b"\x01\x02\x03")),
            ("AQI=", Ok(b"\x01\x02")),
            ("AQ==", Ok(b"\x01")),
            ("AR==", Ok(b"\x01")),
            ("AQ", Err(0)),
            ("AQIDBA", Err(4)),
            ("A===", Err(1)),
            ("=", Err(0)),
            ("AQ=", Err(3)),
            ("AQ=x", Err(2)),
            ("AQ==x", Err(4)),
            ("AQI=AQID", Err(4)),
            ("AQI*", Err(3)),
        ] {
            let expected = result
                .map(<[u8]>::to_vec)
                .map_err(|at: usize| format!("illegal base64 data at input byte {at}"));
            assert_eq!(base64(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn private_keys() {
        let said = |file: &str, passphrase: &str| match private_key(file.as_bytes(), passphrase.as_bytes()) {
            Ok(key) => key.go_type().to_owned(),
            Err(error) => error,
        };
        for (file, passphrase, expected) in [
            (f::SSH, "", "*ed25519.PrivateKey"),
            (f::SSH, "x", "ssh: key is not password protected"),
            (f::SSH_RSA, "", "*rsa.PrivateKey"),
            (f::SSH_PROTECTED, "", "ssh: this private key is passphrase protected"),
            (f::SSH_PROTECTED, "x", "x509: decryption password incorrect"),
            (f::PKCS8, "", "ed25519.PrivateKey"),
            (f::PKCS8, "x", "ssh: not an encrypted key"),
            (f::SSH_PUBLIC, "", NO_KEY),
            ("-----BEGIN X-----\nAAAA\n-----END X-----\n", "", "ssh: unsupported key type \"X\""),
        ] {
            assert_eq!(said(file, passphrase), expected);
        }
    }
}

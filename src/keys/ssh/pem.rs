//! The textual form of private key files: PEM (RFC 7468), with the headers of the old, encrypted forms (RFC 1421).

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::Reason;

/// The first block of a file.
pub(super) struct Pem<'f> {
    /// What stands between `-----BEGIN ` and `-----`.
    pub label: &'f [u8],
    /// Does `Proc-Type` say that the body is encrypted?
    pub encrypted: bool,
    /// `DEK-Info`: cipher and initial vector.
    #[cfg_attr(not(feature = "passphrase"), expect(dead_code))]
    pub cipher: &'f [u8],
    /// What the base64 text stands for.
    pub body: Zeroizing<Vec<u8>>,
}

impl<'f> Pem<'f> {
    pub fn parse(file: &'f [u8]) -> Result<Self, Reason> {
        const NONE: Reason = "it is no private key in PEM form";
        let mut lines = file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let label = lines.find_map(|line| line.strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----"));
        let label = label.ok_or(NONE)?;
        let mut text = Zeroizing::new(Vec::with_capacity(file.len()));
        let (mut encrypted, mut cipher) = (false, &b""[..]);
        for line in lines {
            if let Some(end) = line.strip_prefix(b"-----END ") {
                if end.strip_suffix(b"-----") != Some(label) {
                    break;
                }
                let body = BASE64_STANDARD.decode(&*text).map_err(|_| "its PEM body is not base64")?;
                return Ok(Self { label, encrypted, cipher, body: Zeroizing::new(body) });
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                text.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
                continue;
            };
            let (name, value) = line.split_at_checked(colon).unwrap_or_default();
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            match name {
                b"Proc-Type" => encrypted = value.ends_with(b"ENCRYPTED"),
                b"DEK-Info" => cipher = value,
                _ => {}
            }
        }
        Err(NONE)
    }
}

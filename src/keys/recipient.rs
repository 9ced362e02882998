//! Is it an age recipient that sops would encrypt to?

use base64::{Engine, prelude::BASE64_STANDARD};
use curve25519_dalek::edwards::CompressedEdwardsY;

use super::{bech32, kind::AgeKind, ssh};

/// The shortest RSA key that age takes.
const RSA_BITS: usize = 2048;

/// Why an age recipient cannot be used; nothing if it can.
#[must_use]
pub fn flaw(recipient: &str) -> Option<&'static str> {
    const DAMAGED: &str = "its checksum or length is wrong";
    let size =
        |prefix: &str| bech32::public(recipient).filter(|(own, _)| own == prefix).map(|(_, size)| size);
    match AgeKind::of_recipient(recipient) {
        AgeKind::X25519 => (size("age") != Some(32)).then_some(DAMAGED),
        AgeKind::PostQuantum => (size("age1pq") != Some(1216)).then_some(DAMAGED),
        AgeKind::Tag | AgeKind::TagPostQuantum | AgeKind::Plugin(_) => {
            bech32::public(recipient).is_none().then_some(DAMAGED)
        }
        AgeKind::SshEd25519 => match wire(recipient) {
            Some(("ssh-ed25519", parts)) => match parts.as_slice() {
                [point] if is_point(point) => None,
                _ => Some("its key is damaged"),
            },
            _ => Some("its key is damaged"),
        },
        AgeKind::SshRsa => match wire(recipient) {
            Some(("ssh-rsa", parts)) => match parts.as_slice() {
                [_, modulus] if modulus.len().saturating_mul(8) < RSA_BITS => {
                    Some("its RSA key is too short")
                }
                [_, _] => None,
                _ => Some("its key is damaged"),
            },
            _ => Some("its key is damaged"),
        },
        AgeKind::Passphrase | AgeKind::Unknown => Some("it is of a kind that age does not know"),
    }
}

/// Kind and parts of the key of a line.
fn wire(line: &str) -> Option<(&'static str, Vec<Vec<u8>>)> {
    let wire = BASE64_STANDARD.decode(line.split_whitespace().nth(1)?).ok()?;
    let mut rest = wire.as_slice();
    let kind = match ssh::wire_string(&mut rest)? {
        b"ssh-ed25519" => "ssh-ed25519",
        b"ssh-rsa" => "ssh-rsa",
        _ => return None,
    };
    let mut parts = Vec::new();
    while !rest.is_empty() {
        parts.push(ssh::wire_string(&mut rest)?.to_vec());
    }
    Some((kind, parts))
}

fn is_point(bytes: &[u8]) -> bool {
    CompressedEdwardsY::from_slice(bytes).is_ok_and(|point| point.decompress().is_some())
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures as f, *};

    #[test]
    fn recipients_and_others() {
        let pq = include_str!("../../tests/data/keys/pq-recipient").trim_end();
        for (recipient, good) in [
            (f::A_PUBLIC.to_owned(), true),
            (pq.to_owned(), true),
            (f::SSH_PUBLIC.to_owned(), true),
            (format!("{} host", f::SSH_PUBLIC), true),
            ("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t".to_owned(), true),
            (format!("{}q", f::A_PUBLIC), false),
            (f::A_PUBLIC.replace("age1", "age1x1"), false),
            (format!("{pq}q"), false),
            (f::SSH_PUBLIC.replace("ssh-ed25519 ", "ssh-rsa "), false),
            (f::SSH_PUBLIC.get(..60).unwrap().to_owned(), false),
            ("ssh-dss AAAA".to_owned(), false),
            (f::A.to_owned(), false),
        ] {
            assert_eq!(flaw(&recipient).is_none(), good, "{recipient}");
        }
    }
}

//! Whom a file is, or should be, encrypted to: recipients in the spelling of sops, and when two are the same key.
//!
//! `sops updatekeys` compares these spellings byte by byte. Here two are the same key if they open the same entry: the
//! comment of an SSH key does not count, nor do case and blanks of a fingerprint.

use std::collections::BTreeSet;

use super::metadata::{KeyEntry, KeyKind};

/// A public key, or a key of a cloud service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// What it is.
    pub kind: KeyKind,
    /// As sops prints it: an age recipient, a fingerprint, an ARN with role and context, a URL.
    pub name: String,
}

impl From<&KeyEntry> for Recipient {
    fn from(entry: &KeyEntry) -> Self {
        Self { kind: entry.kind, name: entry.recipient.clone() }
    }
}

impl Recipient {
    /// A recipient as people write it, of the kind that it looks like; `None` if it looks like none.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let kind = if text.starts_with("age1") || text.starts_with("ssh-") {
            KeyKind::Age
        } else if text.starts_with("arn:") {
            KeyKind::Kms
        } else if text.starts_with("projects/") {
            KeyKind::GcpKms
        } else if text.starts_with("https://") && text.split('/').nth(3) == Some("keys") {
            KeyKind::AzureKeyVault
        } else if text.starts_with("https://") || text.starts_with("http://") {
            KeyKind::Vault
        } else if is_fingerprint(text) {
            KeyKind::Pgp
        } else if is_region_and_id(text) {
            KeyKind::HuaweiKms
        } else {
            return None;
        };
        Some(Self { kind, name: text.to_owned() })
    }

    /// The spelling under which it is compared.
    fn canonical(&self) -> (KeyKind, String) {
        let name = match self.kind {
            KeyKind::Pgp => self.name.split_whitespace().collect::<String>().to_ascii_uppercase(),
            KeyKind::Age if self.name.starts_with("ssh-") => {
                self.name.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
            }
            _ => self.name.trim().to_owned(),
        };
        (self.kind, name)
    }
}

/// The recipients of `these` that are not among the `present` ones, each once, in their order.
///
/// An Azure key without a version, which only rules have, is any version of that key.
#[must_use]
pub fn missing<'r>(these: &'r [Recipient], present: &[Recipient]) -> Vec<&'r Recipient> {
    let mut known: BTreeSet<_> = present.iter().map(Recipient::canonical).collect();
    let is_known = |known: &BTreeSet<(KeyKind, String)>, key: &(KeyKind, String)| {
        known.contains(key)
            || key.0 == KeyKind::AzureKeyVault
                && match key.1.rsplit_once('/') {
                    Some((_, "")) => {
                        known.range(key.clone()..).next().is_some_and(|next| next.1.starts_with(&key.1))
                    }
                    Some((unversioned, _)) => known.contains(&(key.0, format!("{unversioned}/"))),
                    None => false,
                }
    };
    let mut missing = Vec::new();
    for recipient in these {
        let key = recipient.canonical();
        if !is_known(&known, &key) {
            missing.push(recipient);
            known.insert(key);
        }
    }
    missing
}

/// A key of AWS KMS.
pub(super) fn kms(arn: &str, role: &str, context: &[(String, String)], profile: &str) -> String {
    let mut name = arn.to_owned();
    if !role.is_empty() {
        name.push('+');
        name.push_str(role);
    }
    let mut pairs: Vec<_> = context.iter().collect();
    pairs.sort();
    let context: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    if !context.is_empty() || !profile.is_empty() {
        name.push('|');
        name.push_str(&context.join(","));
    }
    if !profile.is_empty() {
        name.push('|');
        name.push_str(profile);
    }
    name
}

/// The ARN of what [`kms`] made.
#[must_use]
pub fn arn(name: &str) -> &str {
    let key = name.split('|').next().unwrap_or(name);
    key.split_once("+arn:").map_or(key, |(arn, _)| arn)
}

/// A key of Azure Key Vault; a missing version leaves the slash at the end.
pub(super) fn azure(vault: &str, name: &str, version: &str) -> String {
    format!("{}/keys/{name}/{version}", vault.trim_end_matches('/'))
}

/// A key of Vault's transit engine.
pub(super) fn vault(address: &str, engine: &str, name: &str) -> String {
    format!("{}/v1/{engine}/keys/{name}", address.trim_end_matches('/'))
}

/// `region:id`
pub(super) fn is_region_and_id(text: &str) -> bool {
    text.split_once(':').is_some_and(|(region, id)| !region.trim().is_empty() && !id.trim().is_empty())
}

/// A key id or fingerprint, perhaps in blocks, perhaps with the mark that it is that very subkey.
fn is_fingerprint(text: &str) -> bool {
    let digits: String = text.split_whitespace().collect();
    let digits = digits.strip_suffix('!').unwrap_or(&digits);
    matches!(digits.len(), 16 | 40 | 64) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Vec<Recipient> {
        texts.iter().map(|text| Recipient::of_text(text).unwrap()).collect()
    }

    #[test]
    fn what_recipients_look_like() {
        for (text, kind) in [
            ("age1abc", Some(KeyKind::Age)),
            ("ssh-ed25519 AAAA host", Some(KeyKind::Age)),
            ("85D7 7543 B3D6 24B6 3CEA  9E6D BC17 301B 491B 3F21", Some(KeyKind::Pgp)),
            ("85d77543b3d624b63cea9e6dbc17301b491b3f21!", Some(KeyKind::Pgp)),
            ("arn:aws:kms:eu-west-1:1:key/x", Some(KeyKind::Kms)),
            ("projects/p/locations/l/keyRings/r/cryptoKeys/k", Some(KeyKind::GcpKms)),
            ("https://v.vault.azure.net/keys/k/1", Some(KeyKind::AzureKeyVault)),
            ("https://v:8200/v1/transit/keys/k", Some(KeyKind::Vault)),
            ("eu-west-1:0123", Some(KeyKind::HuaweiKms)),
            ("85D77543", None),
            ("", None),
        ] {
            assert_eq!(Recipient::of_text(text).map(|it| it.kind), kind, "{text}");
        }
    }

    #[test]
    fn the_same_key_in_other_spellings() {
        for (these, present, expected) in [
            (&["ssh-ed25519 AAAA one"][..], &["ssh-ed25519 AAAA"][..], 0),
            (&["ssh-ed25519 AAAA"], &["ssh-rsa AAAA"], 1),
            (
                &["85d77543b3d624b63cea9e6dbc17301b491b3f21"],
                &["85D7 7543 B3D6 24B6 3CEA 9E6D BC17 301B 491B 3F21"],
                0,
            ),
            (
                &["85D77543B3D624B63CEA9E6DBC17301B491B3F21!"],
                &["85D77543B3D624B63CEA9E6DBC17301B491B3F21"],
                1,
            ),
            (&["https://v/keys/k/"], &["https://v/keys/k/7"], 0),
            (&["https://v/keys/k/7"], &["https://v/keys/k/"], 0),
            (&["https://v/keys/k/7"], &["https://v/keys/k/8", "https://v/keys/kk/"], 1),
            (&["age1b", "age1a", "age1b"], &["age1c"], 2),
        ] {
            assert_eq!(missing(&of(these), &of(present)).len(), expected, "{these:?} {present:?}");
        }
    }

    #[test]
    fn keys_of_services_are_spelled_as_sops_does() {
        let context = [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())];
        for (name, expected) in [
            (kms("arn:k", "", &[], ""), "arn:k"),
            (kms("arn:k", "arn:r", &[], ""), "arn:k+arn:r"),
            (kms("arn:k", "", &context, ""), "arn:k|a:1,b:2"),
            (kms("arn:k", "arn:r", &[], "p"), "arn:k+arn:r||p"),
            (azure("https://v/", "n", "1"), "https://v/keys/n/1"),
            (vault("https://v", "a/b", "k"), "https://v/v1/a/b/keys/k"),
        ] {
            assert_eq!(name, expected);
        }
        assert_eq!(arn("arn:k+arn:r|a:1|p"), "arn:k");
    }
}

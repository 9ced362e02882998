//! The kinds of age recipients and stanzas, and what it takes to open each.
//!
//! A recipient's name tells its kind, so that only identities of kinds that matter are loaded, and so that a key entry
//! that nobody here can open is reported by name. Facts: sops-format.md 6.1, and filippo.io/age 1.3.

use super::age;

/// A kind of age recipient, which is also a kind of stanza.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgeKind {
    /// `age1…`
    X25519,
    /// `age1pq1…`, stanza `mlkem768x25519`.
    PostQuantum,
    /// `ssh-ed25519 AAAA…`
    SshEd25519,
    /// `ssh-rsa AAAA…`
    SshRsa,
    /// `age1tag1…`, stanza `p256tag`: a key in hardware.
    Tag,
    /// `age1tagpq1…`, stanza `mlkem768p256tag`: a key in hardware.
    TagPostQuantum,
    /// A passphrase, which has no recipient.
    Passphrase,
    /// `age1NAME1…`: the plugin of this name. What its stanzas are called is the plugin's business.
    Plugin(String),
    /// None of the above.
    Unknown,
}

impl AgeKind {
    /// The kind of a recipient, as a key entry names it.
    #[must_use]
    pub fn of_recipient(recipient: &str) -> Self {
        match recipient.split([' ', '\t']).next() {
            Some("ssh-ed25519") => return Self::SshEd25519,
            Some("ssh-rsa") => return Self::SshRsa,
            _ => {}
        }
        let Some(rest) = recipient.strip_prefix("age1") else { return Self::Unknown };
        match rest.rsplit_once('1').map(|(name, _)| name) {
            None => Self::X25519,
            Some("pq") => Self::PostQuantum,
            Some("tag") => Self::Tag,
            Some("tagpq") => Self::TagPostQuantum,
            Some(name) => Self::Plugin(name.to_owned()),
        }
    }

    /// The kind of a stanza, by the first word of its first line.
    #[must_use]
    pub fn of_stanza(kind: &[u8]) -> Self {
        match kind {
            age::STANZA => Self::X25519,
            b"mlkem768x25519" => Self::PostQuantum,
            b"ssh-ed25519" => Self::SshEd25519,
            b"ssh-rsa" => Self::SshRsa,
            b"p256tag" => Self::Tag,
            b"mlkem768p256tag" => Self::TagPostQuantum,
            b"scrypt" => Self::Passphrase,
            _ => Self::Unknown,
        }
    }

    /// Why no identity of this build can open it by itself; `None` if one could.
    #[must_use]
    pub fn unsupported(&self) -> Option<String> {
        let text = match self {
            Self::X25519 | Self::SshEd25519 => return None,
            Self::PostQuantum if cfg!(feature = "post-quantum") => return None,
            Self::SshRsa if cfg!(feature = "ssh-rsa") => return None,
            Self::Plugin(_) if cfg!(feature = "plugins") => return None,
            Self::PostQuantum => "a post-quantum recipient, which is not supported by this build",
            Self::SshRsa => "an ssh-rsa recipient, which is not supported by this build",
            Self::Plugin(name) => {
                return Some(format!(
                    "a recipient of age-plugin-{name}, which is not supported by this build"
                ));
            }
            Self::Tag => "a p256tag recipient: its key is in hardware, which only an age plugin can reach",
            Self::TagPostQuantum => {
                "an mlkem768p256tag recipient: its key is in hardware, which only an age plugin can reach"
            }
            Self::Passphrase => "it is encrypted with a passphrase (scrypt), which sops does not do",
            Self::Unknown => "a recipient of an unknown kind, which only an age plugin might open",
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures as f, *};

    #[test]
    fn recipients() {
        let pq = include_str!("../../tests/data/keys/pq-recipient").trim_end();
        for (recipient, kind) in [
            (f::A_PUBLIC, AgeKind::X25519),
            (pq, AgeKind::PostQuantum),
            (f::SSH_PUBLIC, AgeKind::SshEd25519),
            ("ssh-rsa AAAA host", AgeKind::SshRsa),
            ("ssh-rsax AAAA host", AgeKind::Unknown),
            ("age1tag1qwe0kafsjrar4txm6heqnhpfuggzr0gvznz7fvygxrlq90u5mq2pysxtw6h", AgeKind::Tag),
            ("age1tagpq1qq", AgeKind::TagPostQuantum),
            ("age1yubikey1qq", AgeKind::Plugin("yubikey".to_owned())),
            ("age1a1b1qq", AgeKind::Plugin("a1b".to_owned())),
            ("AGE1QQ", AgeKind::Unknown),
            ("", AgeKind::Unknown),
        ] {
            assert_eq!(AgeKind::of_recipient(recipient), kind, "{recipient}");
        }
    }

    #[test]
    fn what_nobody_can_open_is_named() {
        for (stanza, reason) in [
            ("X25519", None),
            ("ssh-ed25519", None),
            ("p256tag", Some("p256tag")),
            ("mlkem768p256tag", Some("mlkem768p256tag")),
            ("scrypt", Some("scrypt")),
            ("x25519", Some("unknown")),
        ] {
            let told = AgeKind::of_stanza(stanza.as_bytes()).unsupported();
            match (told, reason) {
                (None, None) => {}
                (Some(told), Some(reason)) => assert!(told.contains(reason), "{stanza}: {told}"),
                (told, _) => panic!("{stanza}: {told:?}"),
            }
        }
    }
}

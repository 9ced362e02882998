//! An encrypted message: for whom it is, and opening it. RFC 9580 10.3.

use zeroize::Zeroizing;

use crate::stack;

use super::{
    Reason, armor, contents,
    key::{Key, Part, algorithm},
    packets::{Fields, Octets, Packets, tag},
};

/// Messages above this size (16 MiB) are refused: that is room for ten thousand recipients.
pub const MAX_MESSAGE: usize = 16 << 20;
/// The part that is encrypted may have this size (1 MiB), since one try must not cost much.
const MAX_SEALED: usize = 1 << 20;
/// How often an operation with a secret key is tried on one message: session keys may name nobody, or all the same
/// key. An operation takes 10 ms at most, with RSA-4096.
const MAX_TRIES: u32 = 64;

/// For whom a session key is.
#[derive(Debug, PartialEq, Eq)]
enum Recipient<'m> {
    KeyId(&'m [u8; 8]),
    Fingerprint(&'m [u8]),
    /// Nobody is named.
    Hidden,
}

/// The session key for one recipient.
struct Sealed<'m> {
    version: u8,
    recipient: Recipient<'m>,
    algorithm: u8,
    fields: Fields<'m>,
}

impl<'m> Sealed<'m> {
    /// Reads a packet's body; `None` for versions that nobody here knows, and for damage.
    fn read(body: &'m [u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let version = fields.octet()?;
        let recipient = match version {
            3 => match fields.array::<8>()? {
                [0, 0, 0, 0, 0, 0, 0, 0] => Recipient::Hidden,
                id => Recipient::KeyId(id),
            },
            6 => match fields.short()?.split_first() {
                Some((_, fingerprint)) => Recipient::Fingerprint(fingerprint),
                None => Recipient::Hidden,
            },
            _ => return None,
        };
        Some(Self { version, recipient, algorithm: fields.octet()?, fields })
    }

    /// Whether it may be for this key.
    fn is_for(&self, part: &Part) -> bool {
        let kind = |algorithm| match algorithm {
            algorithm::RSA_ENCRYPT => algorithm::RSA,
            algorithm::ELGAMAL_SIGN => algorithm::ELGAMAL,
            other => other,
        };
        part.decrypts()
            && kind(self.algorithm) == kind(part.algorithm)
            && match self.recipient {
                Recipient::KeyId(id) => *id == part.key_id(),
                Recipient::Fingerprint(fingerprint) => fingerprint == part.fingerprint,
                Recipient::Hidden => true,
            }
    }
}

/// Opens a message with one of the keys. `None` if it is for others. The error says why it cannot be opened by
/// anybody, or not with the key that it is for.
///
/// `message` is armoured, as in a sops file, or not.
pub fn open<'k>(
    keys: impl IntoIterator<Item = &'k Key, IntoIter: Clone>,
    message: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, Reason> {
    stack::goes_deep();
    if message.len() > MAX_MESSAGE {
        return Err(format!("it has more than {MAX_MESSAGE} bytes").into());
    }
    if message.first().is_some_and(|byte| *byte >= 0x80) {
        return open_packets(&keys.into_iter(), message);
    }
    let mut blocks = armor::blocks(message)?.into_iter();
    let block = blocks.find(|block| block.label == b"MESSAGE").ok_or("it is no armoured OpenPGP message")?;
    open_packets(&keys.into_iter(), &block.bytes).map_err(|reason| {
        if block.intact {
            reason
        } else {
            format!("{reason}; the checksum of its armour is wrong too").into()
        }
    })
}

fn open_packets<'k>(
    keys: &(impl Iterator<Item = &'k Key> + Clone),
    message: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, Reason> {
    let (session_keys, tag, sealed) = split(message)?;
    let parts = || keys.clone().flat_map(|key| key.parts.iter().map(move |part| (key, part)));
    // Recipients that are named come first: nothing is computed for others.
    let sealed_keys = || session_keys.iter().filter_map(|body| Sealed::read(body));
    let named = sealed_keys().filter(|sealed| sealed.recipient != Recipient::Hidden);
    let hidden = sealed_keys().filter(|sealed| sealed.recipient == Recipient::Hidden);
    let mut failed = None;
    let mut tries = 0;
    for session_key in named.chain(hidden) {
        for (key, part) in parts().filter(|(_, part)| session_key.is_for(part)) {
            let hidden = session_key.recipient == Recipient::Hidden;
            if part.usable().is_err() && hidden {
                continue;
            }
            tries += 1;
            if tries > MAX_TRIES {
                let reason =
                    format!("none of the first {MAX_TRIES} pairs of its hidden recipients and our keys fit");
                return Err(failed.unwrap_or(reason.into()));
            }
            let opened = part
                .session_key(session_key.version, session_key.fields)
                .and_then(|session| contents::open(tag, &sealed, &session));
            match opened {
                // What authenticates is what was written: no other key has more to say.
                Ok(contents) => return contents::data(&contents).map(Some),
                Err(_) if hidden => {}
                Err(reason) => failed = failed.or_else(|| Some(told(key, part, reason))),
            }
        }
    }
    failed.map_or(Ok(None), Err)
}

/// The reason, with the key in it if it is about the key.
fn told(key: &Key, part: &Part, reason: Reason) -> Reason {
    let name = key.fingerprint();
    reason.reworded(|reason| {
        let about_key = part.usable().is_err() || reason.contains("numbers");
        match (reason.strip_prefix("its secret part "), reason.strip_prefix("it ").filter(|_| about_key)) {
            (Some(rest), _) => format!("the secret part of its key {name} {rest}"),
            (None, Some(rest)) => format!("its key {name} {rest}"),
            (None, None) => reason.to_owned(),
        }
    })
}

/// The session keys of a message, and type and body of the packet with its contents.
fn split(message: &[u8]) -> Result<(Vec<Octets<'_>>, u8, Octets<'_>), Reason> {
    let mut session_keys = Vec::new();
    let mut passphrase = false;
    for packet in Packets(message) {
        let packet = packet?;
        match packet.tag {
            tag::SESSION_KEY => session_keys.push(packet.body),
            tag::PASSPHRASE_SESSION_KEY => passphrase = true,
            tag::PROTECTED | tag::GNUPG_AEAD if packet.body.len() > MAX_SEALED => {
                return Err(format!(
                    "it holds more than {} bytes, and a data key has 32",
                    contents::MAX_DATA
                )
                .into());
            }
            tag::PROTECTED | tag::GNUPG_AEAD if session_keys.is_empty() && passphrase => {
                return Err("it is encrypted with a passphrase, and to no key".into());
            }
            tag::PROTECTED | tag::GNUPG_AEAD => return Ok((session_keys, packet.tag, packet.body)),
            tag::UNPROTECTED => {
                return Err(
                    "its contents have no integrity protection: anybody could have changed them".into()
                );
            }
            tag::COMPRESSED | tag::LITERAL => return Err("it is not encrypted".into()),
            tag::SECRET_KEY | tag::PUBLIC_KEY => return Err("it is a key, and no message".into()),
            _ => {}
        }
    }
    Err("it has no encrypted contents".into())
}

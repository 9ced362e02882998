//! What a file, a variable or a command holds: text -> identities.
//!
//! Text is taken apart line by line, so that one line that is not understood costs that line. Facts: sops-format.md 5.2.

#[cfg(feature = "passphrase")]
use super::age_encrypted::EncryptedIdentities;
#[cfg(any(feature = "passphrase", feature = "plugins"))]
use super::later::Kind;
#[cfg(feature = "openpgp")]
use super::openpgp;
#[cfg(feature = "plugins")]
use super::plugin::Plugin;
#[cfg(feature = "post-quantum")]
use super::post_quantum::PostQuantum;
use super::{
    Reason, age::X25519, age_file::is_encrypted, identity::Identity, later::Later, reason::Remedy, ssh,
};

/// What was found in one place.
#[derive(Default)]
pub(super) struct Found {
    pub identities: Vec<Identity>,
    #[cfg(feature = "openpgp")]
    pub openpgp: Vec<openpgp::Key>,
    /// What needs a passphrase or a plugin.
    pub later: Vec<Later>,
    /// Why the place, or a line of it, gave no identity.
    pub unread: Vec<Reason>,
    /// Nothing is there, and nothing need be.
    pub absent: bool,
}

/// How a text is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Whatever it looks like.
    Any,
    /// Age identities, one a line, with comments and empty lines between.
    Age,
    /// The same, with blanks between identities too, as sops 3.13 reads a variable.
    AgeWords,
    /// An SSH private key: for SSH's own recipients, and, if it `converts`, for those that ssh-to-age makes.
    Ssh { converts: bool },
    /// An SSH RSA key, as the OpenPGP key that ssh-to-pgp makes of it.
    SshAsOpenPgp,
}

/// How many lines of a file that hold no identity are named.
const MANY: usize = 4;

impl Found {
    /// Nothing, for this reason.
    pub(super) fn unread(reason: impl Into<Reason>) -> Self {
        Self { unread: vec![reason.into()], ..Self::default() }
    }

    /// The identities in a text.
    pub(super) fn of(content: Content, text: &[u8]) -> Self {
        let mut found = Self::default();
        // Editors of some systems put a mark of the byte order there.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let text = if content == Content::Any { without_heading(text) } else { text };
        match content {
            Content::Any if is_openpgp(text) => return Self::openpgp(text),
            Content::Any if text.starts_with(b"-----BEGIN ") && !is_encrypted(text) => {
                let mut found = Self::ssh(text, true);
                found.add_openpgp_of_rsa();
                return found;
            }
            Content::Ssh { converts } => return Self::ssh(text, converts),
            Content::SshAsOpenPgp => return Self::ssh_as_openpgp(text),
            Content::Any | Content::Age | Content::AgeWords if is_encrypted(text) => found.encrypted(text),
            Content::Any | Content::Age if text.starts_with(b"-----BEGIN ") => {
                found.skip("it holds an SSH or other private key where age identities belong");
            }
            Content::Any | Content::Age => {
                for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    if !line.is_empty() && !line.starts_with(b"#") {
                        found.age(line, at);
                    }
                }
            }
            Content::AgeWords => {
                for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
                    if !line.starts_with(b"#") {
                        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                        words.for_each(|word| found.age(word, at));
                    }
                }
            }
        }
        if found.identities.is_empty() && found.later.is_empty() && found.unread.is_empty() {
            found.skip("it holds no identity");
        }
        found
    }

    fn ssh(text: &[u8], converts: bool) -> Self {
        match ssh::Key::parse(text) {
            Ok(key) => Self::of_ssh(key, converts),
            Err(_) if is_public(text) => {
                Self::unread(public("it is a public key, and the private one is needed"))
            }
            Err(reason) => Self::unread(reason),
        }
    }

    /// An SSH private key.
    pub(super) fn of_ssh(key: ssh::Key, converts: bool) -> Self {
        let mut found = Self::default();
        match key {
            ssh::Key::Ed25519(key) => found.identities.push(Identity::Ed25519 { key, converts }),
            #[cfg(feature = "ssh-rsa")]
            ssh::Key::Rsa(key) => found.identities.push(Identity::Rsa(key)),
            #[cfg(feature = "passphrase")]
            ssh::Key::Protected(key) => found.later.push(Later::new(Kind::Ssh { key, converts })),
        }
        found
    }

    #[cfg(feature = "openpgp")]
    fn openpgp(file: &[u8]) -> Self {
        match openpgp::Key::read_all(file) {
            Ok(keys) => Self { openpgp: keys, ..Self::default() },
            Err(reason) => Self::unread(reason),
        }
    }

    #[cfg(not(feature = "openpgp"))]
    fn openpgp(_: &[u8]) -> Self {
        Self::unread("it is an OpenPGP key, which is not supported by this build")
    }

    #[cfg(all(feature = "openpgp", feature = "ssh-rsa"))]
    fn ssh_as_openpgp(file: &[u8]) -> Self {
        let mut found = Self::ssh(file, false);
        found.add_openpgp_of_rsa();
        if found.openpgp.is_empty() && found.unread.is_empty() {
            found.skip(match found.identities.first() {
                Some(_) => "only RSA keys can become OpenPGP keys",
                None => "it is protected by a passphrase",
            });
        }
        // Without ssh-to-age's conversion it is not for age.
        found.identities.clear();
        found.later.clear();
        found
    }

    #[cfg(not(all(feature = "openpgp", feature = "ssh-rsa")))]
    fn ssh_as_openpgp(_: &[u8]) -> Self {
        Self::unread("OpenPGP keys are not supported by this build")
    }

    /// The OpenPGP keys that ssh-to-pgp makes of the RSA keys.
    #[cfg_attr(not(all(feature = "openpgp", feature = "ssh-rsa")), expect(clippy::unused_self))]
    fn add_openpgp_of_rsa(&mut self) {
        #[cfg(all(feature = "openpgp", feature = "ssh-rsa"))]
        for identity in &self.identities {
            let Identity::Rsa(rsa) = identity else { continue };
            let numbers = openpgp::from_ssh::RsaNumbers {
                n: rsa.modulus(),
                e: rsa.public_exponent(),
                d: rsa.private_exponent(),
                p: rsa.primes().0,
                q: rsa.primes().1,
            };
            match numbers.key() {
                Ok(key) => self.openpgp.push(key),
                Err(reason) => self.unread.push(reason),
            }
        }
    }

    #[cfg(feature = "passphrase")]
    fn encrypted(&mut self, text: &[u8]) {
        match EncryptedIdentities::parse(text) {
            Ok(identities) => self.later.push(Later::new(Kind::Encrypted(Box::new(identities)))),
            Err(reason) => self.skip(reason),
        }
    }

    #[cfg(not(feature = "passphrase"))]
    fn encrypted(&mut self, _: &[u8]) {
        self.skip("it is protected by a passphrase, which is not supported by this build");
    }

    fn age(&mut self, text: &[u8], line: usize) {
        let identity = match std::str::from_utf8(text) {
            #[cfg(feature = "plugins")]
            Ok(text) if text.starts_with("AGE-PLUGIN-") => match Plugin::parse(text) {
                Some(plugin) => return self.later.push(Later::new(Kind::Plugin(plugin))),
                None => Err("a damaged identity of an age plugin: its checksum or name is wrong".into()),
            },
            #[cfg(not(feature = "plugins"))]
            Ok(text) if text.starts_with("AGE-PLUGIN-") => {
                Err("an identity of an age plugin, which is not supported by this build".into())
            }
            Ok(text) if text.starts_with("AGE-SECRET-KEY-PQ-1") => post_quantum(text).map_err(Reason::from),
            Ok(text) if text.starts_with("AGE-SECRET-KEY-1") => X25519::parse(text)
                .map(Identity::X25519)
                .ok_or("a damaged age identity: its checksum or length is wrong".into()),
            _ if is_public(text) => Err(public("a public key, and the private one is needed")),
            _ => Err("not an age identity".into()),
        };
        match identity {
            Ok(identity) => self.identities.push(identity),
            Err(reason) => {
                self.skip(reason.reworded(|reason| format!("line {}: {reason}", line.saturating_add(1))));
            }
        }
    }

    fn skip(&mut self, reason: impl Into<Reason>) {
        match self.unread.len() {
            ..MANY => self.unread.push(reason.into()),
            MANY => self.unread.push("and more like these".into()),
            _ => {}
        }
    }
}

#[cfg(feature = "post-quantum")]
fn post_quantum(text: &str) -> Result<Identity, &'static str> {
    let key = PostQuantum::parse(text).map(|key| Identity::PostQuantum(Box::new(key)));
    key.ok_or("a damaged post-quantum identity: its checksum or length is wrong")
}

#[cfg(not(feature = "post-quantum"))]
fn post_quantum(_: &str) -> Result<Identity, &'static str> {
    Err("a post-quantum identity, which is not supported by this build")
}

/// Is it the public side of a key, of age or of SSH?
fn is_public(text: &[u8]) -> bool {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let starts = [&b"age1"[..], b"ssh-", b"ecdsa-sha2-", b"sk-"];
    starts.iter().any(|start| first.starts_with(start)) || first.ends_with(b"PUBLIC KEY-----")
}

fn public(reason: &'static str) -> Reason {
    Reason::from(reason).remedy(Remedy::Private)
}

/// Without what stands before a key in PEM or in armour, unless there are age identities: OpenSSL and people write notes there.
fn without_heading(file: &[u8]) -> &[u8] {
    let begins = |word: &'static [u8]| {
        let mut lines = file.split_inclusive(|byte| *byte == b'\n');
        let mut at = 0_usize;
        lines.find_map(move |line| {
            let start = at;
            at = at.saturating_add(line.len());
            line.starts_with(word).then_some(start)
        })
    };
    match (begins(b"-----BEGIN "), begins(b"AGE-")) {
        (Some(start), None) => file.get(start..).unwrap_or(file),
        _ => file,
    }
}

/// Is it a file of OpenPGP packets, armoured or not?
fn is_openpgp(file: &[u8]) -> bool {
    file.starts_with(b"-----BEGIN PGP ") || file.first().is_some_and(|byte| *byte >= 0x80)
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures as f, *};

    #[test]
    fn notes_before_a_key_are_passed_over() {
        for note in ["", "\n", "Bag Attributes\n  friendlyName: host\n", "# mine\n"] {
            let found = Found::of(Content::Any, format!("{note}{}", f::SSH).as_bytes());
            assert_eq!((found.identities.len(), found.unread.len()), (1, 0), "{note:?}");
        }
        let mixed = format!("{}\n{}", f::A, f::SSH);
        assert_eq!(Found::of(Content::Any, mixed.as_bytes()).identities.len(), 1);
    }

    #[test]
    fn a_mark_of_the_byte_order_is_passed_over() {
        for (key, content) in [
            (f::A, Content::Age),
            (f::A, Content::AgeWords),
            (f::A, Content::Any),
            (f::SSH, Content::Any),
            (f::SSH, Content::Ssh { converts: true }),
        ] {
            let found = Found::of(content, format!("\u{feff}{key}").as_bytes());
            assert_eq!((found.identities.len(), found.unread.len()), (1, 0), "{content:?}");
        }
    }

    #[test]
    fn public_keys_are_called_so() {
        let pem = "-----BEGIN PUBLIC KEY-----\r\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
        for text in
            [f::A_PUBLIC, f::SSH_PUBLIC, "ssh-rsa AAAA root@host", "sk-ssh-ed25519@openssh.com AAAA", pem]
        {
            for content in [Content::Any, Content::Ssh { converts: false }] {
                let unread = Found::of(content, text.as_bytes()).unread;
                assert!(
                    unread[0].contains("a public key, and the private one is needed"),
                    "{text}: {unread:?}"
                );
                assert!(unread[0].next_step("").is_some_and(|step| step.contains("without .pub")), "{text}");
            }
        }
    }

    #[test]
    fn of_many_bad_lines_few_are_named() {
        let found = Found::of(Content::Any, &b"x\n".repeat(100_000));
        assert_eq!(found.unread.len(), MANY + 1);
    }

    #[test]
    fn what_is_empty_says_so() {
        for content in [Content::Any, Content::Age, Content::AgeWords] {
            for text in ["", "\n", "# note\n\n# AGE-SECRET-KEY-1\n"] {
                assert_eq!(
                    Found::of(content, text.as_bytes()).unread,
                    ["it holds no identity"],
                    "{content:?} {text:?}"
                );
            }
        }
    }

    #[test]
    fn a_bad_line_costs_that_line() {
        let text = format!(
            "# note\n\n{}\r\nAGE-PLUGIN-X-1\n {}\n{}\nAGE-SECRET-KEY-PQ-1X\n{}X\n{}",
            f::A,
            f::B,
            f::A,
            f::B,
            f::C
        );
        let found = Found::of(Content::Age, text.as_bytes());
        let recipients: Vec<_> = found.identities.iter().flat_map(Identity::recipients).collect();
        assert_eq!(recipients, [f::A_PUBLIC, f::A_PUBLIC, f::C_PUBLIC]);
        assert_eq!(
            found.unread,
            [
                "line 4: a damaged identity of an age plugin: its checksum or name is wrong",
                "line 5: not an age identity",
                "line 7: a damaged post-quantum identity: its checksum or length is wrong",
                "line 8: a damaged age identity: its checksum or length is wrong",
            ]
        );
    }
}

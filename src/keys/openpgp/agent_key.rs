//! The files in which gpg-agent keeps secret keys, `private-keys-v1.d/*.key`: an S-expression, alone or in the newer form
//! of names and values. Facts: GnuPG's agent/keyformat.txt, libgcrypt's manual.

use zeroize::Zeroizing;

use super::{
    Reason, Remedy,
    key::{Part, algorithm},
    packets::{Fields, push_mpi},
};

/// A secret key.
pub(super) struct AgentKey {
    /// By which it is found again.
    pub public: PublicNumber,
    /// The numbers as a secret key packet holds them, or why they cannot be used.
    pub secret: Result<Zeroizing<Vec<u8>>, Reason>,
}

/// What tells a public key from others: the modulus, the point, or ElGamal's y, without zeros in front.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PublicNumber(Kind, Vec<u8>);

/// The kinds that can decrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Rsa,
    Elgamal,
    Ecc,
}

/// Lists inside lists; GnuPG writes 5.
const MAX_DEPTH: usize = 16;

const DAMAGED: &str = "it is damaged: it does not have the form of gpg-agent's keys";
const PROTECTED: &str = "its secret part is protected by a passphrase: take it off with `gpg --passwd`, or let gpg-agent \
                         remember it";
const SHADOWED: &str = "its secret part is on a smartcard, which only gpg can ask";
const NOT_CONVERTED: &str = "its secret part waits for gpg to convert it: use the key once with gpg";

impl AgentKey {
    /// Reads a file; `None` for a key of a kind that only signs.
    pub fn read(file: &[u8]) -> Result<Option<Self>, Reason> {
        let expression = if file.trim_ascii_start().starts_with(b"(") {
            Zeroizing::new(file.to_vec())
        } else {
            named(file, b"key").ok_or(DAMAGED)?
        };
        let read = Expression::read(&expression).ok_or(DAMAGED)?;
        let (state, kind) = (read.state.as_slice(), read.kind.as_slice());
        let (kind, public, secret) = match kind {
            b"rsa" | b"openpgp-rsa" => (Kind::Rsa, "n", &["d", "p", "q", "u"][..]),
            b"elg" | b"openpgp-elg" => (Kind::Elgamal, "y", &["x"][..]),
            b"ecc" | b"ecdh" => (Kind::Ecc, "q", &["d"][..]),
            _ if state == b"openpgp-private-key" => return Err(NOT_CONVERTED.into()),
            _ => return Ok(None),
        };
        let public = PublicNumber(kind, strip(read.value(public).ok_or(DAMAGED)?).to_vec());
        let secret = match state {
            b"private-key" => {
                let numbers = secret.iter().map(|name| read.value(name)).collect::<Option<Vec<_>>>();
                let numbers = numbers.ok_or(DAMAGED)?;
                let room = numbers.iter().map(|number| number.len() + 2).sum();
                let mut secret = Zeroizing::new(Vec::with_capacity(room));
                for number in numbers {
                    push_mpi(&mut secret, number);
                }
                Ok(secret)
            }
            b"protected-private-key" => Err(Reason::from(PROTECTED).remedy(Remedy::Unlock)),
            b"shadowed-private-key" => Err(SHADOWED.into()),
            _ => return Err(DAMAGED.into()),
        };
        Ok(Some(Self { public, secret }))
    }
}

impl PublicNumber {
    /// That of an OpenPGP key. gpg-agent does not tell signing keys of the kinds that can decrypt from others.
    pub fn of(part: &Part) -> Option<Self> {
        use algorithm::{ECDH, ECDSA, EDDSA, ELGAMAL, ELGAMAL_SIGN, RSA, RSA_ENCRYPT, RSA_SIGN};
        let mut fields = Fields(&part.public);
        let (kind, number) = match part.algorithm {
            RSA | RSA_ENCRYPT | RSA_SIGN => (Kind::Rsa, fields.mpi()?),
            ELGAMAL | ELGAMAL_SIGN => {
                let (_p, _g) = (fields.mpi()?, fields.mpi()?);
                (Kind::Elgamal, fields.mpi()?)
            }
            ECDH | ECDSA | EDDSA => {
                fields.short()?;
                (Kind::Ecc, fields.mpi()?)
            }
            _ => return None,
        };
        Some(Self(kind, number.to_vec()))
    }
}

fn strip(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The value of a name in the newer form: lines, continued by lines that begin with a blank.
fn named(file: &[u8], wanted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut value = Zeroizing::new(Vec::with_capacity(file.len()));
    let mut found = false;
    for line in file.split(|byte| *byte == b'\n') {
        let continues = line.first().is_some_and(u8::is_ascii_whitespace);
        if found && !continues {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or_default();
        let text = match line.split_at_checked(colon) {
            _ if found => line,
            Some((name, text)) if !continues && name.eq_ignore_ascii_case(wanted) => text.get(1..)?,
            _ => continue,
        };
        found = true;
        value.extend_from_slice(text);
        value.push(b'\n');
    }
    found.then_some(value)
}

/// The parts of an S-expression that matter: `(state (kind (name value) …) …)`.
#[derive(Default)]
struct Expression {
    state: Vec<u8>,
    kind: Vec<u8>,
    values: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Expression {
    fn read(text: &[u8]) -> Option<Self> {
        let mut read = Self::default();
        let mut rest = text;
        // For each list that is open, how many atoms it has had.
        let mut open: Vec<usize> = Vec::new();
        loop {
            match next(&mut rest)? {
                Token::Open if open.len() >= MAX_DEPTH => return None,
                Token::Open => open.push(0),
                Token::Close => {
                    open.pop()?;
                    if open.is_empty() {
                        return Some(read);
                    }
                }
                Token::Atom(atom) => {
                    let depth = open.len();
                    let atoms = open.last_mut()?;
                    *atoms += 1;
                    match (depth, *atoms) {
                        (1, 1) => read.state = atom.to_vec(),
                        (2, 1) if read.kind.is_empty() => read.kind = atom.to_vec(),
                        (3, 1) => read.values.push((atom.to_vec(), Zeroizing::default())),
                        (3, 2) => read.values.last_mut()?.1 = atom,
                        _ => {}
                    }
                }
            }
        }
    }

    fn value(&self, wanted: &str) -> Option<&[u8]> {
        let (_, value) = self.values.iter().find(|(name, _)| name == wanted.as_bytes())?;
        Some(value.as_slice()).filter(|value| !value.is_empty())
    }
}

enum Token {
    Open,
    Close,
    Atom(Zeroizing<Vec<u8>>),
}

/// Takes the next token: of the canonical form `4:text`, or of the advanced one: `#hex#`, `"text"`, `text`.
fn next(rest: &mut &[u8]) -> Option<Token> {
    *rest = rest.trim_ascii_start();
    let (first, behind) = rest.split_first()?;
    let until = |from: &[u8], end: u8| from.iter().position(|byte| *byte == end);
    match first {
        b'(' => {
            *rest = behind;
            Some(Token::Open)
        }
        b')' => {
            *rest = behind;
            Some(Token::Close)
        }
        b'#' => {
            let (digits, behind) = behind.split_at_checked(until(behind, b'#')?)?;
            *rest = behind.get(1..)?;
            hexadecimal(digits).map(Token::Atom)
        }
        b'"' => {
            let (text, behind) = behind.split_at_checked(until(behind, b'"')?)?;
            *rest = behind.get(1..)?;
            // What is quoted is for people.
            Some(Token::Atom(Zeroizing::new(text.to_vec())))
        }
        b'0'..=b'9' => {
            let (digits, behind) = rest.split_at_checked(until(rest, b':').filter(|length| *length < 8)?)?;
            let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
            let (text, behind) = behind.get(1..)?.split_at_checked(length)?;
            *rest = behind;
            Some(Token::Atom(Zeroizing::new(text.to_vec())))
        }
        _ => {
            let end = rest.iter().position(|byte| byte.is_ascii_whitespace() || b"()#\"".contains(byte));
            let (text, behind) = rest.split_at_checked(end?)?;
            *rest = behind;
            Some(Token::Atom(Zeroizing::new(text.to_vec())))
        }
    }
}

fn hexadecimal(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    let mut digits = digits.iter().filter(|byte| !byte.is_ascii_whitespace());
    while let Some(high) = digits.next() {
        let pair = [*high, *digits.next()?].map(|digit| char::from(digit).to_digit(16));
        let [Some(high), Some(low)] = pair else { return None };
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANONICAL: &[u8] =
        b"(11:private-key(3:ecc(5:curve10:Curve25519)(1:q3:\x40ab)(1:d2:\0\x05))(7:comment1:x))";
    const EXTENDED: &[u8] =
        b"# note\nCreated: 20261122T101714\nKey: (private-key (ecc (curve Curve25519)(flags\n  \
        djb-tweak)(q\n  #40\n  6162#)(d #0005#)))\nUse: later\n";

    #[test]
    fn both_forms() {
        let crlf = EXTENDED
            .to_vec()
            .iter()
            .flat_map(|byte| if *byte == b'\n' { vec![13, 10] } else { vec![*byte] })
            .collect::<Vec<u8>>();
        for file in [CANONICAL, EXTENDED, &crlf] {
            let key = AgentKey::read(file).unwrap().unwrap();
            assert_eq!(key.public, PublicNumber(Kind::Ecc, b"\x40ab".to_vec()));
            assert_eq!(key.secret.as_deref().map(Vec::as_slice), Ok(&b"\0\x03\x05"[..]));
        }
    }

    #[test]
    fn other_states_and_damage() {
        let replaced =
            |from: &str, to: &str| String::from_utf8_lossy(EXTENDED).replace(from, to).into_bytes();
        for (file, reason) in [
            (replaced("private-key", "protected-private-key"), PROTECTED),
            (replaced("private-key", "shadowed-private-key"), SHADOWED),
        ] {
            assert_eq!(AgentKey::read(&file).unwrap().unwrap().secret.unwrap_err(), reason);
        }
        assert!(AgentKey::read(&replaced("ecc", "dsa")).unwrap().is_none());
        for (from, to) in [
            ("Key:", "Kex:"),
            ("#0005#", "#005#"),
            ("#0005#", "#00x5#"),
            ("#0005#", "##"),
            (")))", "))"),
            ("(d ", "(e "),
            ("(q", "(r"),
            ("private-key", "key"),
        ] {
            assert_eq!(AgentKey::read(&replaced(from, to)).err(), Some(DAMAGED.into()), "{from} {to}");
        }
        for length in 0..CANONICAL.len() {
            assert!(AgentKey::read(&CANONICAL[..length]).is_err());
        }
        for file in [
            &b"("[..],
            b"(99999999:",
            b"(9999999999999999999999:x)",
            b")",
            b"",
            &b"(".repeat(1_000_000),
            b"(x\"",
            b"(x#",
        ] {
            assert!(AgentKey::read(file).is_err());
        }
        let unconverted = b"(openpgp-private-key (version 1:4) (algo 3:rsa))";
        assert_eq!(AgentKey::read(unconverted).err(), Some(NOT_CONVERTED.into()));
    }
}

use super::{super::fixtures as f, *};
use crate::keys::age_file::{AgeFile, Unwrap, dearmor};

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/keys/", $name))
    };
}

fn recipient(file: &str) -> Result<String, Reason> {
    Key::parse(file.as_bytes()).map(|key| key.recipient().unwrap_or_default())
}

fn opened(identity: &dyn Unwrap, file: &str) -> Result<Option<Vec<u8>>, &'static str> {
    let file = dearmor(file.as_bytes())?;
    AgeFile::parse(&file)?.open(identity).map(|bytes| bytes.map(|bytes| bytes.to_vec()))
}

#[test]
fn ed25519_files() {
    assert_eq!(recipient(f::SSH).as_deref(), Ok(f::SSH_PUBLIC));
    assert_eq!(recipient(&f::SSH.replace('\n', "\r\n")).as_deref(), Ok(f::SSH_PUBLIC));
    assert_eq!(recipient(&format!("note\n{}more", f::SSH)).as_deref(), Ok(f::SSH_PUBLIC));
    // Read with OpenSSH after conversion.
    let pkcs8 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIENUqszBjYYDgwfKTyDMj4yt7vUH0zqYoBrhMjlRv9TB";
    assert_eq!(recipient(f::PKCS8).as_deref(), Ok(pkcs8));
    let key = Ed25519::parse(f::SSH.as_bytes()).unwrap();
    assert_eq!(opened(&key, f::ENTRY_SSH), Ok(Some(f::DATA_KEY_SSH.to_vec())));
    assert_eq!(opened(&key, file!("ed25519.age")), Ok(None));
    let none = "it is no private key in PEM form";
    for (file, reason) in [
        (file!("ecdsa").to_owned(), UNSUPPORTED),
        (f::PKCS8.replace(" PRIVATE", " EC PRIVATE"), UNSUPPORTED),
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
    #[cfg(not(feature = "passphrase"))]
    for file in
        [f::SSH_PROTECTED, &f::PKCS8.replace(" PRIVATE", " ENCRYPTED PRIVATE"), file!("rsa-pkcs1-protected")]
    {
        assert_eq!(recipient(file), Err(PROTECTED));
    }
    #[cfg(not(feature = "ssh-rsa"))]
    for file in [f::SSH_RSA, file!("rsa-pkcs1"), file!("rsa-pkcs8")] {
        assert_eq!(recipient(file), Err(RSA));
    }
}

#[cfg(feature = "ssh-rsa")]
mod rsa {
    use super::*;
    use crate::keys::age_file::Stanza;

    fn key(file: &str) -> Rsa {
        match Key::parse(file.as_bytes()).unwrap() {
            Key::Rsa(key) => *key,
            _ => panic!("not RSA"),
        }
    }

    #[test]
    fn files() {
        let public = file!("rsa.pub").trim_end();
        let first = key(file!("rsa-openssh"));
        for file in [file!("rsa-openssh"), file!("rsa-pkcs1"), file!("rsa-pkcs8")] {
            let key = key(file);
            assert_eq!(key.recipient(), public);
            let numbers = |key: &Rsa| {
                [key.modulus(), key.public_exponent(), key.private_exponent(), key.primes().0, key.primes().1]
                    .map(<[u8]>::to_vec)
            };
            assert_eq!(numbers(&key), numbers(&first));
            assert_eq!(
                opened(&key, file!("rsa.age")),
                Ok(Some(b"sixteen by sixteen is a data key".to_vec()))
            );
        }
        assert_eq!(first.modulus().len(), 256);
        assert_eq!(first.public_exponent(), [1, 0, 1]);
        assert!(matches!(Key::parse(f::SSH_RSA.as_bytes()), Ok(Key::Rsa(_))));
        let mismatch = "the numbers of its RSA key do not belong together";
        let (pkcs1, pkcs8) = (file!("rsa-pkcs1"), file!("rsa-pkcs8"));
        for (file, reason) in [
            (pkcs8.replace(" PRIVATE", " RSA PRIVATE"), CUT),
            (pkcs1.replace(" RSA PRIVATE", " PRIVATE"), CUT),
            (pkcs1.replace("MIIE", "MIIF"), CUT),
            (without_line(pkcs1, 20), CUT),
            (f::PKCS8.replace(" PRIVATE", " RSA PRIVATE"), CUT),
        ] {
            assert_eq!(recipient(&file), Err(reason), "{file}");
        }
        // A bit of a prime; a bit of the modulus, which makes it another key.
        assert_eq!(opened(&key(&flip(pkcs1, 900)), file!("rsa.age")), Err(mismatch));
        assert_eq!(opened(&key(&flip(pkcs1, 20)), file!("rsa.age")), Ok(None));
    }

    fn without_line(file: &str, line: usize) -> String {
        let lines: Vec<_> =
            file.lines().enumerate().filter(|(at, _)| *at != line).map(|(_, text)| text).collect();
        lines.join("\n")
    }

    /// The file with one character of its base64 text changed.
    fn flip(file: &str, at: usize) -> String {
        let start = file.find("-\n").unwrap() + 2;
        let mut bytes = file.as_bytes().to_vec();
        let byte = bytes.iter_mut().skip(start).filter(|byte| **byte != b'\n').nth(at).unwrap();
        *byte = if *byte == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn stanzas_for_others_and_damaged_ones() {
        let (key, small) = (key(file!("rsa-openssh")), key(file!("rsa-1024")));
        assert!(!small.is_for_age() && key.is_for_age());
        let tags = [&key, &small].map(|key| tag(key.wire()));
        let [own, of_small] = tags.each_ref().map(String::as_bytes);
        for (identity, args, body, result) in [
            (&key, vec![of_small], 256, Ok(false)),
            (&key, vec![own], 256, Err("its ssh-rsa stanza does not authenticate")),
            (&key, vec![own], 255, Err("its ssh-rsa stanza does not authenticate")),
            (&key, vec![own], 0, Err("its ssh-rsa stanza does not authenticate")),
            (&key, vec![own, own], 256, Err("its ssh-rsa stanza has a wrong form")),
            (&key, vec![], 256, Err("its ssh-rsa stanza has a wrong form")),
            (
                &small,
                vec![of_small],
                128,
                Err("its RSA key has less than 2048 bits, to which age does not encrypt"),
            ),
        ] {
            let stanza = Stanza { kind: b"ssh-rsa", args, body: vec![1; body] };
            assert_eq!(identity.unwrap(&stanza).map(|key| key.is_some()), result, "{stanza:?}");
        }
        assert_eq!(opened(&key, f::ENTRY_SSH), Ok(None));
    }
}

#[cfg(feature = "passphrase")]
mod protected {
    use super::*;
    use crate::keys::passphrase::Refused;

    const PASSPHRASE: &[u8] = b"correct horse";

    fn protected(file: &str) -> Protected {
        match Key::parse(file.as_bytes()).unwrap() {
            Key::Protected(key) => *key,
            _ => panic!("not protected"),
        }
    }

    #[test]
    fn public_lines() {
        let wire = public_line(f::SSH_PUBLIC).unwrap();
        for (line, expected) in [
            (format!("{} user@host", f::SSH_PUBLIC), Some(&wire)),
            (format!("{}\n", f::SSH_PUBLIC), Some(&wire)),
            (f::SSH_PUBLIC.replace("ed25519", "rsa"), None),
            (f::SSH_PUBLIC.replace(' ', ""), None),
            (String::new(), None),
        ] {
            assert_eq!(public_line(&line).as_ref(), expected, "{line}");
        }
    }

    #[test]
    fn every_cipher_of_openssh() {
        let public = file!("ed25519.pub").trim_end();
        for file in [
            file!("ed25519-aes128-ctr"),
            file!("ed25519-aes192-ctr"),
            file!("ed25519-aes256-ctr"),
            file!("ed25519-aes128-cbc"),
            file!("ed25519-aes192-cbc"),
            file!("ed25519-aes256-cbc"),
            file!("ed25519-aes128-gcm"),
            file!("ed25519-aes256-gcm"),
            file!("ed25519-chacha20-poly1305"),
        ] {
            let key = protected(file);
            assert_eq!(key.recipient().as_deref(), Some(public));
            let Ok(Key::Ed25519(unlocked)) = key.unlock(PASSPHRASE) else { panic!("{file}") };
            assert_eq!(unlocked.recipient(), public);
            assert_eq!(
                opened(&unlocked, file!("ed25519.age")),
                Ok(Some(b"sixteen by sixteen is a data key".to_vec()))
            );
            for wrong in [&b"wrong"[..], b""] {
                assert!(matches!(key.unlock(wrong), Err(Refused::Wrong)), "{file}");
            }
        }
        let other = "it is encrypted with a cipher that is not supported";
        assert_eq!(recipient(file!("ed25519-3des-cbc")), Err(other));
        assert!(matches!(protected(f::SSH_PROTECTED).unlock(b"x"), Err(Refused::Wrong)));
    }

    #[cfg(feature = "ssh-rsa")]
    #[test]
    fn every_form() {
        let public = file!("rsa.pub").trim_end();
        for (file, tells) in [
            (file!("rsa-openssh-protected"), true),
            (file!("rsa-pkcs1-protected"), false),
            (file!("rsa-pkcs8-protected"), false),
        ] {
            let key = protected(file);
            assert_eq!(key.recipient().as_deref(), tells.then_some(public));
            assert!(matches!(key.unlock(b"wrong"), Err(Refused::Wrong)));
            let Ok(Key::Rsa(unlocked)) = key.unlock(PASSPHRASE) else { panic!("{file}") };
            assert_eq!(unlocked.recipient(), public);
            let mut key = key;
            key.set_public(&format!("{public} comment\n"));
            assert_eq!(key.recipient().as_deref(), Some(public));
            assert!(key.unlock(PASSPHRASE).is_ok());
            // The public key of another file beside it.
            let mut key = protected(file);
            key.set_public(file!("ed25519.pub"));
            assert_eq!(key.unlock(PASSPHRASE).is_ok(), tells);
        }
    }

    #[test]
    fn nobody_is_asked_for_another_key() {
        let file = dearmor(file!("ed25519.age").as_bytes()).unwrap();
        let file = AgeFile::parse(&file).unwrap();
        let other = dearmor(f::ENTRY_SSH.as_bytes()).unwrap();
        let other = AgeFile::parse(&other).unwrap();
        let key = protected(file!("ed25519-aes256-ctr"));
        assert!(key.may_open(&file.stanzas[0]) && !key.may_open(&other.stanzas[0]));
        let unknown = protected(file!("rsa-pkcs1-protected"));
        assert!(unknown.may_open(&file.stanzas[0]));
        let plain = dearmor(f::ENTRY_A.as_bytes()).unwrap();
        assert!(!unknown.may_open(&AgeFile::parse(&plain).unwrap().stanzas[0]));
    }

    #[test]
    fn what_a_file_demands_is_limited() {
        use base64::Engine;
        let whole = file!("ed25519-aes256-ctr");
        let text: String = whole.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(text).unwrap();
        // Magic, cipher, function, and of the options: length, salt with its length.
        let rounds = 15 + 4 + 10 + 4 + 6 + 4 + 4 + 16;
        let with = |at: usize, bytes: &[u8]| {
            let mut der = der.clone();
            der[at..at + bytes.len()].copy_from_slice(bytes);
            format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
                BASE64_STANDARD.encode(der)
            )
        };
        assert_eq!(der[rounds..rounds + 4], [0, 0, 0, 1]);
        for (file, reason) in [
            (with(rounds, &[0, 0, 0, 0]), CUT),
            (with(rounds, &[0xff; 4]), "it demands more than 10000 rounds of bcrypt"),
            (with(33, b"scrypt"), "its passphrase goes through a function that is not supported"),
            (with(rounds - 20, &[0, 0, 1, 0]), CUT),
        ] {
            assert_eq!(recipient(&file), Err(reason));
        }
        let rsa = file!("rsa-pkcs1-protected");
        for (file, reason) in [
            (
                rsa.replace("AES-128-CBC", "DES-EDE3-CBC"),
                "it is encrypted with a cipher that is not supported",
            ),
            (rsa.replace("AES-128-CBC,B", "AES-128-CBC,"), CUT),
            (rsa.replace("DEK-Info: AES-128-CBC,", "DEK-Info: "), CUT),
            (f::PKCS8.replace(" PRIVATE", " ENCRYPTED PRIVATE"), CUT),
        ] {
            assert_eq!(recipient(&file), Err(reason));
        }
    }
}

/// The file with other bytes in its PEM body.
fn with_body(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    use base64::prelude::BASE64_STANDARD;
    let label = file.lines().next().unwrap();
    let mut body = Pem::parse(file.as_bytes()).unwrap().body.to_vec();
    change(&mut body);
    format!("{label}\n{}\n{}\n", BASE64_STANDARD.encode(body), label.replace("BEGIN", "END"))
}

#[test]
fn damage_is_an_error_or_nothing() {
    for file in [
        f::SSH,
        f::PKCS8,
        file!("ed25519-aes256-gcm"),
        file!("rsa-openssh"),
        file!("rsa-pkcs1"),
        file!("rsa-pkcs8"),
        file!("rsa-pkcs8-protected"),
    ] {
        let length = Pem::parse(file.as_bytes()).unwrap().body.len();
        // The interesting bytes stand at the front; of the numbers behind, some will do.
        for at in (0..length).filter(|at| *at < 120 || at % 29 == 0) {
            assert!(Key::parse(with_body(file, |body| body.truncate(at)).as_bytes()).is_err(), "{at}");
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                // It may be the same byte, or one that does not matter.
                let _ = Key::parse(with_body(file, |body| body[at] = byte).as_bytes());
            }
        }
    }
}

//! Keys and messages of every kind, whole and damaged.

use std::time::{Duration, Instant};

use super::{
    armor, contents, fixtures as f, key::Part, packets::Packets, packets::push_packet, packets::tag, *,
};

fn keys() -> Vec<Key> {
    f::ALL.iter().flat_map(|(_, key, _)| Key::read_all(key.as_bytes()).unwrap()).collect()
}

fn opened(keys: &[Key], message: &[u8]) -> Result<Option<Vec<u8>>, Reason> {
    open(keys, message).map(|opened| opened.map(|data| data.to_vec()))
}

fn binary(text: &str) -> Vec<u8> {
    armor::blocks(text.as_bytes()).unwrap()[0].bytes.to_vec()
}

#[test]
fn every_kind_opens_what_is_for_it() {
    for (name, text, messages) in f::ALL {
        let key = Key::read_all(text.as_bytes()).unwrap();
        let others = keys();
        let fingerprint = key[0].fingerprint();
        let others: Vec<&Key> = others.iter().filter(|other| other.fingerprint() != fingerprint).collect();
        assert_eq!((key.len(), key[0].unusable()), (1, None), "{name}");
        let from_binary = Key::read_all(&binary(text)).unwrap();
        assert_eq!(from_binary[0].key_ids(), key[0].key_ids());
        for message in messages {
            for text in [(*message).to_owned(), message.replace('\n', "\r\n"), message.trim().to_owned()] {
                assert_eq!(opened(&key, text.as_bytes()), Ok(Some(f::DATA.to_vec())), "{name}");
            }
            assert_eq!(opened(&from_binary, &binary(message)), Ok(Some(f::DATA.to_vec())), "{name}");
            assert_eq!(open(others.iter().copied(), message.as_bytes()), Ok(None), "{name}");
        }
    }
}

#[test]
fn what_keys_are_called() {
    let all = f::ALL.map(|(_, key, _)| key).join("\n");
    let keys = Key::read_all(all.as_bytes()).unwrap();
    assert_eq!(keys.len(), f::ALL.len());
    // As gpg shows them.
    assert_eq!(keys[0].key_ids(), ["65C812608025409E", "5F4B823312D00C57"]);
    assert_eq!(keys[0].fingerprint(), "02A8130FFEACF57CBDB533FA65C812608025409E");
    assert_eq!(keys[0].fingerprints().len(), 2);
    assert_eq!((keys[1].fingerprint().len(), keys[1].key_ids()[0].len()), (64, 16));
    assert!(keys[1].fingerprint().starts_with(&keys[1].key_ids()[0]));
}

#[test]
fn keys_that_cannot_be_used_say_why() {
    let key = |text: &str| Key::read_all(text.as_bytes());
    let locked = key(f::LOCKED).unwrap();
    assert!(locked[0].unusable().unwrap().starts_with("it is protected by a passphrase: take it off"));
    let reason = opened(&locked, f::LOCKED_MESSAGE.as_bytes()).unwrap_err();
    let expected =
        "its key 476BC4FEFA62ACA36C19E632E5860C49A6AD505A is protected by a passphrase: take it off";
    assert!(reason.starts_with(expected), "{reason}");
    let locked = key(f::LOCKED_V5).unwrap();
    assert_eq!((locked.len(), locked[0].fingerprint().len()), (1, 64));
    assert!(locked[0].unusable().unwrap().starts_with("it is protected by a passphrase"));
    // Only the subkey decrypts.
    let subkeys = key(f::CV_SUBKEYS).unwrap();
    assert_eq!(subkeys[0].unusable(), None);
    assert_eq!(opened(&subkeys, f::CV_MESSAGE.as_bytes()), Ok(Some(f::DATA.to_vec())));
    for (text, reason) in [
        (f::CV_PUBLIC.to_owned(), "it holds a public key, and the secret one is needed"),
        (f::CV_MESSAGE.to_owned(), "it is an encrypted message, and no key"),
        (String::new(), "it holds no OpenPGP key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned(), "it holds no OpenPGP key"),
        (f::CV.replace("-----END", ""), "its armour has no end"),
        (f::CV.replacen("BGoD", "BG*D", 1).replacen("lF", "l*", 1), "its armour is damaged"),
    ] {
        let read = key(&text).map(|keys| keys.len());
        assert!(read.as_ref().is_err_and(|why| why.starts_with(reason)), "{read:?} {reason}");
    }
    let cut = binary(f::CV);
    let read = Key::read_all(&cut[..cut.len() - 1]).map(|keys| keys.len());
    assert_eq!(read, Err("its OpenPGP packets are damaged or cut off".into()));
    // One bit of the secret number: the checksum tells.
    let mut changed = binary(f::CV);
    let length = usize::from(changed[1]);
    changed[2 + length - 5] ^= 1;
    assert!(Key::read_all(&changed).map(|keys| keys.len()).unwrap_err().starts_with("it is damaged"));
}

#[test]
fn keys_on_other_curves_are_for_gpg() {
    // Only the name of the curve is another: brainpoolP256r1's is one octet shorter.
    let (from, to) =
        (&b"\x0a\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01"[..], b"\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07");
    let mut changed = Vec::new();
    for packet in Packets(&binary(f::CV)).map(Result::unwrap) {
        let mut body = packet.body.to_vec();
        if let Some(at) = body.windows(from.len()).position(|part| part == from) {
            body.splice(at..at + from.len(), to.iter().copied());
        }
        push_packet(&mut changed, packet.tag, &body);
    }
    let keys = Key::read_all(&changed).unwrap();
    let reason = "it lies on brainpoolP256r1, which only gpg can use: name the GnuPG home";
    assert_eq!(keys[0].unusable(), Some(reason.into()));
    // A message to it says so, one for nobody by name is for others.
    let mut message = binary(f::CV_MESSAGE);
    let id = Part::key_id(&keys[0].parts[1]);
    message[3..11].copy_from_slice(&id);
    let reason = opened(&keys, &message).unwrap_err();
    assert!(
        reason.starts_with("its key 02A8130FFEACF57CBDB533FA65C812608025409E lies on brainpoolP256r1"),
        "{reason}"
    );
    message[3..11].fill(0);
    assert_eq!(opened(&keys, &message), Ok(None));
}

/// The session keys of a message, and another packet in place of its contents.
fn with_contents(message: &str, tag: u8, body: &[u8]) -> Vec<u8> {
    let message = binary(message);
    let mut changed = Vec::new();
    for packet in Packets(&message).map(Result::unwrap).filter(|packet| packet.tag == tag::SESSION_KEY) {
        push_packet(&mut changed, packet.tag, &packet.body);
    }
    push_packet(&mut changed, tag, body);
    changed
}

#[test]
fn messages_that_nobody_opens_say_why() {
    let keys = keys();
    let mut cut = binary(f::CV_MESSAGE);
    cut.pop();
    let mut forged = binary(f::CV_MESSAGE);
    *forged.last_mut().unwrap() ^= 1;
    let mut session = binary(f::CV_MESSAGE);
    session[60] ^= 1;
    let only_passphrase = {
        let mut message = vec![0xc3, 2, 4, 9];
        push_packet(&mut message, tag::PROTECTED, b"\x01abc");
        message
    };
    for (message, reason) in [
        (cut, "its OpenPGP packets are damaged or cut off"),
        (forged, "its contents do not authenticate"),
        (session, "its session key does not open with the key it names"),
        (only_passphrase, "it is encrypted with a passphrase, and to no key"),
        (with_contents(f::CV_MESSAGE, tag::UNPROTECTED, b"abc"), "its contents have no integrity protection"),
        (with_contents(f::CV_MESSAGE, tag::PROTECTED, b"\x01abc"), "its contents"),
        (
            with_contents(f::CV_MESSAGE, tag::PROTECTED, b""),
            "its contents are protected in a way that is not",
        ),
        (
            with_contents(f::CV_MESSAGE, tag::PROTECTED, b"\x03"),
            "its contents are protected in a way that is not",
        ),
        (with_contents(f::CV_MESSAGE, tag::PROTECTED, &vec![1; 2 << 20]), "it holds more than 65536 bytes"),
        (binary(f::CV), "it is a key, and no message"),
        (b"\xcb\x06b\0\0\0\0\0".to_vec(), "it is not encrypted"),
        (b"\xca\x03PGP".to_vec(), "it has no encrypted contents"),
        (b"nothing".to_vec(), "it is no armoured OpenPGP message"),
        (f::CV_MESSAGE.replace("-----END", "----END").into_bytes(), "its armour has no end"),
        (vec![b' '; MAX_MESSAGE + 1], "it has more than 16777216 bytes"),
    ] {
        let told = opened(&keys, &message).unwrap_err();
        assert!(told.starts_with(reason), "{told}: {reason}");
    }
    let changed = f::CV_MESSAGE.replacen("hF4D", "hF4E", 1);
    assert_eq!(opened(&keys, changed.as_bytes()), Ok(None));
}

#[test]
fn contents_are_bounded() {
    // 70,000 zeros, compressed.
    let bomb = "78daedc14101004004003022a87821aea450a4f0dbd61359ff05";
    let mut bomb: Vec<u8> =
        (0..bomb.len()).step_by(2).map(|at| u8::from_str_radix(&bomb[at..at + 2], 16).unwrap()).collect();
    bomb.extend([0; 68]);
    bomb.extend([0x70, 0x63, 1, 0x7a, 0x28, 2, 0xb5]);
    bomb.insert(0, 2);
    let mut packets = Vec::new();
    push_packet(&mut packets, tag::COMPRESSED, &bomb);
    assert!(contents::data(&packets).unwrap_err().starts_with("it holds more than 65536 bytes"));
    let mut literal = Vec::new();
    push_packet(&mut literal, tag::LITERAL, &[&b"b\x03abc\0\0\0\0"[..], b"data"].concat());
    let mut nested = literal.clone();
    for depth in 0..6 {
        assert_eq!(contents::data(&nested).is_ok(), depth <= 4, "{depth}");
        let mut outer = Vec::new();
        push_packet(&mut outer, tag::COMPRESSED, &[&[0], nested.as_slice()].concat());
        nested = outer;
    }
    // A signature before and behind does not matter.
    let signed = [b"\xc2\x01x", literal.as_slice(), b"\xc2\x01x"].concat();
    assert_eq!(contents::data(&signed).unwrap().as_slice(), b"data");
    for broken in [
        &b""[..],
        b"\xcb\x01b",
        b"\xcb\x03b\x09a",
        b"\xc8\0",
        b"\xc8\x03\x01ab",
        b"\xc8\x02\x03a",
        b"\xc8\x02\x09a",
    ] {
        assert!(contents::data(broken).is_err(), "{broken:?}");
    }
}

#[test]
fn many_recipients_cost_little() {
    let keys = keys();
    let start = Instant::now();
    let (_, _, messages) = f::ALL[6];
    let parts: Vec<Vec<u8>> = messages.iter().map(|message| binary(message)).collect();
    let first = |message: &[u8]| {
        let packet = Packets(message).next().unwrap().unwrap();
        let mut bytes = Vec::new();
        push_packet(&mut bytes, packet.tag, &packet.body);
        bytes
    };
    let others = f::LOCKED_MESSAGE;
    // Ten thousand for others, and one for us at the end.
    let message = [first(&binary(others)).repeat(10_000), parts[0].clone()].concat();
    assert_eq!(opened(&keys, &message), Ok(Some(f::DATA.to_vec())));
    // Hidden ones that are for none of our keys.
    let mut hidden = first(&parts[1]);
    let length = hidden.len();
    hidden[length - 1] ^= 1;
    let message = [hidden.repeat(10_000), parts[1].clone()].concat();
    let reason = opened(&keys, &message).unwrap_err();
    assert_eq!(reason, "none of the first 64 pairs of its hidden recipients and our keys fit");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Numbers that look like chance, and are the same on every run.
fn chance(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 11).unwrap()
}

/// Some changes to the bytes.
fn damage(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance(state) % 3 {
        let at = chance(state) % bytes.len().max(1);
        match chance(state) % 6 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), u8::try_from(chance(state) % 256).unwrap()),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 if !bytes.is_empty() => bytes[at] = [0, 0xff, 0x80][chance(state) % 3],
            _ if !bytes.is_empty() => bytes[at] ^= 1 << (chance(state) % 8),
            _ => {}
        }
    }
    bytes
}

#[test]
fn damage_never_opens_anything_else() {
    let rounds = std::env::var("FORESTAGE_FUZZ").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(150);
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for (name, key, messages) in f::ALL {
        let keys = Key::read_all(key.as_bytes()).unwrap();
        let key = binary(key);
        for message in messages {
            let message = binary(message);
            for _ in 0..rounds {
                let damaged = damage(&message, &mut state);
                if let Ok(Some(data)) = opened(&keys, &damaged) {
                    assert_eq!(data, f::DATA, "{name} {damaged:02x?}");
                }
                let damaged = damage(&key, &mut state);
                for key in Key::read_all(&damaged).unwrap_or_default() {
                    let _ = (key.fingerprint(), key.unusable());
                    if let Ok(Some(data)) = opened(&[key], &message) {
                        assert_eq!(data, f::DATA, "{name} {damaged:02x?}");
                    }
                }
            }
        }
    }
}

#[test]
fn hostile_secret_numbers() {
    // As above, with the checksum made right: the numbers reach the arithmetic.
    let rounds = std::env::var("FORESTAGE_FUZZ").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(100);
    let mut state = 0x2545_f491_4f6c_dd1d;
    for (name, key, messages) in f::ALL {
        for _ in 0..rounds {
            let mut keys = Key::read_all(key.as_bytes()).unwrap();
            for part in &mut keys[0].parts {
                if chance(&mut state).is_multiple_of(2) {
                    part.public = damage(&part.public, &mut state);
                } else {
                    let secret = damage(part.secret.as_ref().unwrap(), &mut state);
                    part.secret = Ok(secret.into());
                }
            }
            if let Ok(Some(data)) = opened(&keys, messages[0].as_bytes()) {
                assert_eq!(data, f::DATA, "{name}");
            }
        }
    }
}

//! What GnuPG has since version 2.3: packet 20, keys of version 5, Curve448.

use forestage::{
    keys::openpgp::{Key, gnupg_home, open},
    root::Root,
};

use crate::{
    checks::{Stage, opened},
    gnupg::{DATA, Home},
};

/// The types of a message's packets, as gpg tells them.
fn packets(home: &Home, message: &[u8]) -> String {
    String::from_utf8(home.gpg(&["--list-packets"], message)).unwrap()
}

pub fn packet_20(stage: &Stage) {
    for options in [
        &["--cipher-algo", "AES128"][..],
        &["--cipher-algo", "AES192"],
        &["--cipher-algo", "AES256"],
        &["--compress-algo", "none", "--chunk-size", "6"],
        &["--sign", "-u", "cv25519"],
        &["-r", "rsa2048", "-R", "nistp256"],
    ] {
        let message = stage.home.encrypt(&[&["--force-ocb", "-r", "cv25519"], options].concat());
        assert!(packets(&stage.home, &message).contains(":aead encrypted packet:"));
        assert_eq!(opened(&stage.found.keys, &message).as_deref(), Some(&DATA[..]), "{options:?}");
    }
    // Of many chunks.
    let options = [
        "--force-ocb",
        "--armor",
        "--encrypt",
        "-r",
        "cv25519",
        "--compress-algo",
        "none",
        "--chunk-size",
        "6",
    ];
    let long = stage.home.gpg(&options, &vec![7; 50_000]);
    assert_eq!(opened(&stage.found.keys, &long), Some(vec![7; 50_000]));
    // A key that asks for it, as they are made where GnuPG is not Debian's.
    let home = Home::new(&stage.gnupg, "asks");
    home.gpg(&["--compliance=gnupg", "--quick-gen-key", "asks", "default", "default", "never"], b"");
    let message = home.encrypt(&["--compliance=gnupg", "-r", "asks"]);
    assert!(packets(&home, &message).contains(":aead encrypted packet:"));
    let found = gnupg_home::read(&Root::system(), home.path());
    assert_eq!(opened(&found.keys, &message).as_deref(), Some(&DATA[..]));
}

pub fn keys_of_version_5(stage: &Stage) {
    for keyboxd in [false, true] {
        let home = Home::new(&stage.gnupg, &format!("v5-{keyboxd}"));
        if keyboxd {
            home.use_keyboxd();
        }
        // As GnuPG itself is; Debian's has another default.
        let gnupg = "--compliance=gnupg";
        for (kind, subkey) in
            [("ed25519/v5", "cv25519/v5"), ("rsa2048/v5", "rsa2048/v5"), ("nistp256/v5", "nistp384/v5")]
        {
            home.gpg(&[gnupg, "--quick-gen-key", kind, kind, "default", "never"], b"");
            let fingerprint = home.fingerprint(kind);
            assert_eq!(fingerprint.len(), 64);
            home.gpg(&[gnupg, "--quick-add-key", &fingerprint, subkey, "encr", "never"], b"");
            let exported = Key::read_all(&home.gpg(&["--armor", "--export-secret-keys", kind], b""));
            // GnuPG 2.4.7 writes RSA keys that it cannot read itself: a length is missing.
            let exported =
                exported.or_else(|reason| if kind.starts_with("rsa") { Ok(Vec::new()) } else { Err(reason) });
            let exported = exported.unwrap();
            assert!(exported.iter().all(|key| key.fingerprint() == fingerprint));
            let found = gnupg_home::read(&Root::system(), home.path());
            assert!(found.unread.is_empty(), "{:?}", found.unread);
            for way in [&["-r", kind][..], &["-R", kind]] {
                let message = home.encrypt(&[&[gnupg], way].concat());
                assert!(exported.is_empty() || opened(&exported, &message).as_deref() == Some(&DATA[..]));
                assert_eq!(opened(&found.keys, &message).as_deref(), Some(&DATA[..]), "{way:?}");
            }
        }
    }
}

pub fn curves_that_only_gpg_has(stage: &Stage) {
    let home = Home::new(&stage.gnupg, "curves");
    home.use_keyboxd();
    for (name, curve) in [
        ("brainpoolP256r1", "brainpoolP256r1"),
        ("brainpoolP384r1", "brainpoolP384r1"),
        ("brainpoolP512r1", "brainpoolP512r1"),
        ("secp256k1", "secp256k1"),
        ("Curve448", "cv448"),
    ] {
        let fingerprint =
            home.make(name, "EDDSA\nKey-Curve: ed25519", &format!("ECDH\nSubkey-Curve: {curve}"), None);
        let message = home.encrypt(&["-r", name]);
        let found = gnupg_home::read(&Root::system(), home.path());
        assert!(found.unread.is_empty(), "{:?}", found.unread);
        let exported = Key::read_all(&home.gpg(&["--export-secret-keys", name], b"")).unwrap();
        let here = found.keys.into_iter().filter(|key| key.fingerprint() == fingerprint).collect();
        for keys in [exported, here] {
            let reason = format!("lies on {name}, which only gpg can use: name the GnuPG home");
            assert_eq!(keys[0].unusable(), Some(format!("it {reason}").into()));
            assert_eq!(open(&keys, &message).err(), Some(format!("its key {fingerprint} {reason}").into()));
            assert_eq!(open(&keys, &home.encrypt(&["-R", name])).map(|opened| opened.is_some()), Ok(false));
        }
        assert_eq!(home.by_gpg().open(&message).as_deref().map(Vec::as_slice), Ok(&DATA[..]));
    }
}

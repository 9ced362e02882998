//! Throw-away keys, and messages for them; all hold [`DATA`]. Made with gpg 2.2.40; `x25519` with go-crypto 1.4.1; the
//! `gnupg-` messages, in the form that GnuPG 2.3 brought, for `cv` with go-crypto of October 2022; the conversions
//! with ssh-to-pgp 1.1.6; `pubring.db` with SQLite, in pages of 512 bytes: the public keys `cv` and `ssh-rsa`, a row that
//! was deleted, and one of 4000 bytes; the v5 key with gpg 2.4.7, `--compliance=gnupg` and `ed25519/v5`.

pub const DATA: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

pub const SSH_RSA: &str = include_str!("../../../tests/data/openpgp/ssh-rsa.pem");
pub const SSH_RSA_TO_PUBLIC: &str = include_str!("../../../tests/data/openpgp/ssh-rsa.public");
pub const SSH_RSA_TO_PRIVATE: &str = include_str!("../../../tests/data/openpgp/ssh-rsa.private");
pub const SSH_RSA_FINGERPRINT: &str = "E510DA49C639330F306F09D60576AA1CB0329118";
pub const SSH_RSA_MESSAGE: &str = include_str!("../../../tests/data/openpgp/ssh-rsa.message");
pub const CV: &str = include_str!("../../../tests/data/openpgp/cv.key");
pub const CV_MESSAGE: &str = include_str!("../../../tests/data/openpgp/cv.message");

/// Name, key, and messages for it.
pub const ALL: [(&str, &str, &[&str]); 8] = [
    (
        "cv25519",
        CV,
        &[
            CV_MESSAGE,
            include_str!("../../../tests/data/openpgp/gnupg-ocb.message"),
            include_str!("../../../tests/data/openpgp/gnupg-eax.message"),
        ],
    ),
    (
        "x25519",
        include_str!("../../../tests/data/openpgp/x25519.key"),
        &[
            include_str!("../../../tests/data/openpgp/x25519-ocb.message"),
            include_str!("../../../tests/data/openpgp/x25519-eax.message"),
            include_str!("../../../tests/data/openpgp/x25519-gcm.message"),
        ],
    ),
    (
        "nistp256",
        include_str!("../../../tests/data/openpgp/nistp256.key"),
        &[include_str!("../../../tests/data/openpgp/nistp256.message")],
    ),
    (
        "nistp384",
        include_str!("../../../tests/data/openpgp/nistp384.key"),
        &[include_str!("../../../tests/data/openpgp/nistp384.message")],
    ),
    (
        "nistp521",
        include_str!("../../../tests/data/openpgp/nistp521.key"),
        &[include_str!("../../../tests/data/openpgp/nistp521.message")],
    ),
    (
        "elgamal",
        include_str!("../../../tests/data/openpgp/elgamal.key"),
        &[include_str!("../../../tests/data/openpgp/elgamal.message")],
    ),
    (
        "rsa",
        SSH_RSA_TO_PRIVATE,
        &[SSH_RSA_MESSAGE, include_str!("../../../tests/data/openpgp/ssh-rsa-hidden.message")],
    ),
    (
        "cv25519 of version 5",
        include_str!("../../../tests/data/openpgp/cv-v5.key"),
        &[
            include_str!("../../../tests/data/openpgp/cv-v5.message"),
            include_str!("../../../tests/data/openpgp/cv-v5-hidden.message"),
        ],
    ),
];

/// `CV` without the secret of its primary key, which is what decrypts nothing.
pub const CV_SUBKEYS: &str = include_str!("../../../tests/data/openpgp/cv-subkeys.key");
pub const CV_PUBLIC: &str = include_str!("../../../tests/data/openpgp/cv.public");
/// Protected by a passphrase.
pub const LOCKED: &str = include_str!("../../../tests/data/openpgp/locked.key");
pub const LOCKED_MESSAGE: &str = include_str!("../../../tests/data/openpgp/locked.message");
/// The same, of version 5.
pub const LOCKED_V5: &str = include_str!("../../../tests/data/openpgp/locked-v5.key");
/// Where keyboxd has `CV_PUBLIC`, and other keys.
pub const KEYBOXD: &[u8] = include_bytes!("../../../tests/data/openpgp/pubring.db");

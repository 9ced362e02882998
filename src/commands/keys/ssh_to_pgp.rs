//! `forestage keys ssh-to-pgp`, also under that program's own name: what ssh-to-pgp 1.1.6 does.

use crate::{
    commands::{Status, console::Console},
    failure::{Failure, Result},
    keys::{
        openpgp::from_ssh::{RsaNumbers, user_id},
        ssh::{
            Rsa,
            go_says::{self, PrivateKey},
        },
    },
    plaintext::Plaintext,
};

use super::key_file::{self, Place};

/// What to convert, and to what.
#[derive(Debug)]
pub struct Options {
    /// An ssh RSA private key.
    pub input: Place,
    /// Where the `OpenPGP` key goes.
    pub output: Place,
    /// With its secret part.
    pub private: bool,
    /// As text, in armour.
    pub armour: bool,
    /// The parts of the user id.
    pub name: String,
    /// The part between round brackets.
    pub comment: String,
    /// The part between angle brackets.
    pub email: String,
    /// Print an armour around nothing when nothing can be converted, as the program itself does.
    pub empty_on_failure: bool,
}

/// Converts, and tells the fingerprint on standard error.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let text = key_file::read(&options.input).map_err(Failure::new)?;
    let (key, fingerprint) = match converted(options, &text) {
        Ok(converted) => converted,
        Err(reason) => {
            if options.empty_on_failure && options.armour && options.output == Place::Standard {
                let kind = if options.private { "PRIVATE" } else { "PUBLIC" };
                let empty = format!(
                    "-----BEGIN PGP {kind} KEY BLOCK-----\n\n\n=twTO\n-----END PGP {kind} KEY BLOCK-----"
                );
                console.print(empty.as_bytes())?;
            }
            return Err(Failure::new(reason));
        }
    };
    if options.private {
        key_file::write_private(&options.output, &key, console)?;
    } else {
        key_file::write_public(&options.output, &key, console)?;
    }
    console.note(&fingerprint);
    Ok(Status::Done)
}

/// The key as it is written, and its fingerprint.
fn converted(options: &Options, text: &[u8]) -> std::result::Result<(Plaintext, String), String> {
    let cannot = |reason: &dyn std::fmt::Display| format!("failed to parse private ssh key: {reason}");
    let rsa = match go_says::private_key(text, b"") {
        Ok(PrivateKey::Rsa(key)) => key,
        Ok(other) => {
            return Err(cannot(&format!("only RSA keys are supported right now, got: {}", other.go_type())));
        }
        Err(error) => return Err(cannot(&error)),
    };
    let Options { name, comment, email, .. } = options;
    let user = user_id(name, comment, email).ok_or_else(|| {
        format!(
            "userid contains invalid characters (i.e. '\0', '(', ')', '<' and '>'): name='{name}' comment='{comment}' \
             email='{email}'"
        )
    })?;
    let numbers = numbers(&rsa);
    let mut salt = [0; 16];
    rand_core::RngCore::fill_bytes(&mut rand_core::OsRng, &mut salt);
    let key = match (options.private, options.armour) {
        (false, false) => numbers.to_public(&user, &salt).map(Plaintext::from),
        (false, true) => numbers.to_public_armor(&user, &salt).map(|text| Plaintext::from(text.as_str())),
        (true, false) => numbers.to_private(&user, &salt).map(|bytes| Plaintext::from(bytes.as_slice())),
        (true, true) => numbers.to_private_armor(&user, &salt).map(|text| Plaintext::from(text.as_str())),
    };
    let key = key.map_err(|reason| cannot(&reason))?;
    let fingerprint = numbers.key().map_err(|reason| cannot(&reason))?.fingerprint();
    Ok((key, fingerprint.to_ascii_lowercase()))
}

fn numbers(key: &Rsa) -> RsaNumbers<'_> {
    let (p, q) = key.primes();
    RsaNumbers { n: key.modulus(), e: key.public_exponent(), d: key.private_exponent(), p, q }
}

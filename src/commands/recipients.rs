//! Recipients that people give: on the command line, and in files, one a line.

use std::path::PathBuf;

use crate::{
    failure::{Failure, Kind, Result},
    input,
    sops::recipient::Recipient,
};

/// The largest list, in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// All of them, in their order. The text of what is none is not told: it may be a private key in the wrong place.
pub(super) fn given(texts: &[String], files: &[PathBuf]) -> Result<Vec<Recipient>> {
    let mut recipients = Vec::new();
    for text in texts {
        recipients.push(recipient(text, "--recipient")?);
    }
    for path in files {
        let text = input::read(path, MAX_SIZE)?;
        let text = String::from_utf8_lossy(&text);
        for (at, line) in text.lines().map(str::trim).enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                let place = format!("{}, line {}", path.display(), at.saturating_add(1));
                recipients.push(recipient(line, &place)?);
            }
        }
    }
    Ok(recipients)
}

fn recipient(text: &str, place: &str) -> Result<Recipient> {
    Recipient::of_text(text).ok_or_else(|| {
        Failure::new("what was given as a recipient is none")
            .kind(Kind::Usage)
            .fact("given by", place)
            .fix("give an age recipient, an ssh public key, a fingerprint, an ARN or the URL of a key")
    })
}

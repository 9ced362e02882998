//! `forestage keys public`: the recipients and fingerprints of private keys.

use crate::{
    commands::{Status, console::Console, report},
    failure::{Failure, Result},
    json::Writer,
    keys::{
        Access,
        public::{PublicSide, Sides, of_gnupg_home, sides},
    },
    plaintext::Plaintext,
};

use super::key_file::{self, Place};

/// What to look at.
#[derive(Debug)]
pub struct Options {
    /// Private keys of any kind.
    pub input: Place,
    /// How to reach keys that are not simply there.
    pub access: Access,
    /// One JSON object on standard output.
    pub json: bool,
}

/// Prints one line a recipient or fingerprint. What gives none is told; nothing at all is a failure.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let source = match &options.input {
        Place::Standard => "standard input".to_owned(),
        Place::File(path) => path.display().to_string(),
    };
    let (keys, unread) = read(options, &source)?;
    if options.json {
        console.print(&to_json(&keys, &unread))?;
    } else {
        // What a .sops.yaml names: of an OpenPGP key, the primary key.
        let lines = keys.iter().flat_map(|key| key.recipients.iter().chain(key.fingerprints.first()));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        console.print(text.as_bytes())?;
    }
    if keys.is_empty() {
        let reason = if unread.is_empty() { "it holds no identity".to_owned() } else { unread.join("\n") };
        return Err(Failure::new("there is no private key that has a public side")
            .fact("looked at", source)
            .fact("reason", reason));
    }
    for reason in &unread {
        console.note(&format!("not read: {source}: {reason}"));
    }
    Ok(Status::Done)
}

fn read(options: &Options, source: &str) -> Result<Sides> {
    if let Place::File(path) = &options.input
        && path.is_dir()
    {
        return Ok(of_gnupg_home(path));
    }
    let text = key_file::read(&options.input).map_err(Failure::new)?;
    Ok(sides(source, &text, &options.access))
}

/// `{version, keys: [{kind, recipients[], fingerprints[]}], unread[]}`.
fn to_json(keys: &[PublicSide], unread: &[String]) -> Plaintext {
    let mut json = Writer::compact();
    json.begin_object();
    json.key(b"version");
    json.literal("1");
    json.key(b"keys");
    json.begin_array();
    for key in keys {
        json.begin_object();
        json.key(b"kind");
        json.string(key.kind.as_bytes());
        report::strings(&mut json, "recipients", key.recipients.iter().map(String::as_bytes));
        report::strings(&mut json, "fingerprints", key.fingerprints.iter().map(String::as_bytes));
        json.end_object();
    }
    json.end_array();
    report::strings(&mut json, "unread", unread.iter().map(String::as_bytes));
    json.end_object();
    let mut text = json.finish();
    text.push(b"\n");
    text
}

//! The commands of sops that give a file the wanted recipients.
//!
//! `sops updatekeys` takes the key groups from the rules, but never the threshold: it keeps that of the file, and at
//! most the number of groups. Another threshold is set by `sops groups add`, with a copy of a group that the file
//! has; the updatekeys behind it takes the copy away again. At no step does the file need more groups than at the
//! end, and whoever opens it now opens it at every step. (`sops groups add` goes on when it cannot encrypt to a key,
//! for instance to a PGP key that is not in the keyring, so that a file with such keys needs a copy: [`is_risky`].)

use std::{
    borrow::Cow,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    json::Writer,
    sops::{
        creation_rules::Wanted,
        metadata::{KeyKind, Metadata},
        recipient::Recipient,
    },
};

use super::wanted::Choice;

/// The variable that holds the path of a temporary configuration.
const VARIABLE: &str = "\"$rules\"";

/// A line of a shell: not always UTF-8, since paths are not.
pub(super) type Line = Vec<u8>;

/// The commands for one file.
pub(super) fn lines(path: &Path, choice: &Choice, has: &Metadata) -> Vec<Line> {
    let mut lines = Vec::new();
    for threshold in steps(has, &choice.wanted) {
        let mut line = b"sops groups add --file ".to_vec();
        line.extend_from_slice(&argument(path));
        line.extend_from_slice(b" --in-place ");
        line.extend_from_slice(&copied_key(has));
        line.extend_from_slice(format!(" --shamir-secret-sharing-threshold {threshold}").as_bytes());
        lines.push(line);
    }
    let mut line = b"sops ".to_vec();
    match &choice.config {
        None => line.extend_from_slice(format!("--config {VARIABLE} ").as_bytes()),
        Some(config) if choice.is_unusual => {
            line.extend_from_slice(b"--config ");
            line.extend_from_slice(&argument(config));
            line.push(b' ');
        }
        Some(_) => {}
    }
    line.extend_from_slice(b"updatekeys -y ");
    line.extend_from_slice(&argument(path));
    lines.push(line);
    lines
}

/// What has to stand before and behind the commands if recipients were given: they become rules in a temporary file.
pub(super) fn around(given: &[Recipient]) -> (Vec<Line>, Vec<Line>) {
    let mut write = b"printf '%s\\n' ".to_vec();
    write.extend_from_slice(&quoted(rules(given).as_bytes()));
    write.extend_from_slice(format!(" > {VARIABLE}").as_bytes());
    (vec![b"rules=$(mktemp)".to_vec(), write], vec![format!("rm {VARIABLE}").into_bytes()])
}

/// Rules with one rule for these recipients.
fn rules(given: &[Recipient]) -> String {
    let mut json = Writer::compact();
    json.begin_object();
    json.key(b"creation_rules");
    json.begin_array();
    json.begin_object();
    for (kind, field) in [
        (KeyKind::Age, "age"),
        (KeyKind::Pgp, "pgp"),
        (KeyKind::Kms, "kms"),
        (KeyKind::GcpKms, "gcp_kms"),
        (KeyKind::HuaweiKms, "hckms"),
        (KeyKind::AzureKeyVault, "azure_keyvault"),
        (KeyKind::Vault, "hc_vault_transit_uri"),
    ] {
        let mut names = given.iter().filter(|it| it.kind == kind).peekable();
        if names.peek().is_some() {
            json.key(field.as_bytes());
            json.begin_array();
            names.for_each(|it| json.string(it.name.as_bytes()));
            json.end_array();
        }
    }
    json.end_object();
    json.end_array();
    json.end_object();
    String::from_utf8_lossy(&json.finish()).into_owned()
}

/// The thresholds of the groups that have to be added before, one after the other.
fn steps(has: &Metadata, wanted: &Wanted) -> Vec<usize> {
    let count = wanted.groups.len();
    let kept = match has.shamir_threshold.min(count) {
        0 => count,
        kept => kept,
    };
    if count < 2 || kept == wanted.threshold {
        return Vec::new();
    }
    // A threshold must not be above the number of groups.
    let mut groups = has.groups.len();
    let mut steps = Vec::new();
    loop {
        groups = groups.saturating_add(1);
        let step = wanted.threshold.min(groups);
        steps.push(step);
        if step == wanted.threshold {
            return steps;
        }
    }
}

/// Whether the commands can spoil the file if sops cannot encrypt to one of its keys.
pub(super) fn is_risky(choice: &Choice, has: &Metadata) -> bool {
    !steps(has, &choice.wanted).is_empty() && has.entries().any(|entry| entry.kind != KeyKind::Age)
}

/// The option that names a key of the first group of the file: of one that needs no network, if there is one.
fn copied_key(has: &Metadata) -> Vec<u8> {
    let entries = || has.groups.first().into_iter().chain(&has.groups).flatten();
    let entry = [KeyKind::Age, KeyKind::Pgp]
        .iter()
        .find_map(|kind| entries().find(|entry| entry.kind == *kind))
        .or_else(|| entries().next());
    let Some(entry) = entry else { return Vec::new() };
    let (option, name) = match entry.kind {
        KeyKind::Age => ("--age", entry.recipient.as_str()),
        KeyKind::Pgp => ("--pgp", entry.recipient.as_str()),
        KeyKind::Kms => ("--kms", entry.recipient.split('|').next().unwrap_or_default()),
        KeyKind::GcpKms => ("--gcp-kms", entry.recipient.as_str()),
        KeyKind::HuaweiKms => ("--hckms", entry.recipient.as_str()),
        KeyKind::AzureKeyVault => ("--azure-kv", entry.recipient.as_str()),
        KeyKind::Vault => ("--hc-vault-transit", entry.recipient.as_str()),
    };
    [option.as_bytes(), b" ", &quoted(name.as_bytes())].concat()
}

/// A path as an argument of a command: never an option.
fn argument(path: &Path) -> Vec<u8> {
    let path = if path.as_os_str().as_bytes().starts_with(b"-") {
        Cow::Owned(PathBuf::from(".").join(path))
    } else {
        Cow::Borrowed(path)
    };
    quoted(path.as_os_str().as_bytes())
}

/// A word of a shell.
fn quoted(word: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.to_vec();
    }
    let mut quoted = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::{metadata::KeyEntry, rules::Selector};

    fn metadata(groups: usize, shamir_threshold: usize) -> Metadata {
        let entry =
            |kind, recipient: &str| KeyEntry { kind, recipient: recipient.to_owned(), enc: Vec::new() };
        let group = vec![entry(KeyKind::Kms, "arn:a+arn:r|c:d|p"), entry(KeyKind::Age, "ssh-rsa AAAA it's")];
        Metadata {
            groups: vec![group; groups],
            shamir_threshold,
            last_modified: String::new(),
            mac: Vec::new(),
            mac_only_encrypted: false,
            selector: Selector::default(),
            version: String::new(),
        }
    }

    #[test]
    fn thresholds_are_reached_in_steps() {
        for ((groups, has), (count, wanted), expected) in [
            ((1, 0), (1, 1), &[][..]),
            ((1, 0), (3, 3), &[]),
            ((1, 0), (3, 2), &[2]),
            ((1, 1), (3, 3), &[2, 3]),
            ((1, 0), (9, 4), &[2, 3, 4]),
            ((3, 2), (3, 2), &[]),
            ((3, 2), (3, 3), &[3]),
            ((3, 3), (3, 2), &[2]),
            ((3, 3), (2, 2), &[]),
            ((5, 3), (1, 1), &[]),
        ] {
            let recipient = Recipient { kind: KeyKind::Age, name: String::new() };
            let wanted = Wanted { rule: 1, groups: vec![vec![recipient]; count], threshold: wanted };
            assert_eq!(steps(&metadata(groups, has), &wanted), expected, "{groups} {has} {count}");
        }
    }

    #[test]
    fn what_is_copied_needs_no_network() {
        assert_eq!(copied_key(&metadata(1, 0)), b"--age 'ssh-rsa AAAA it'\\''s'");
        let mut cloud = metadata(1, 0);
        cloud.groups.iter_mut().for_each(|group| group.truncate(1));
        assert_eq!(copied_key(&cloud), b"--kms arn:a+arn:r");
    }

    #[test]
    fn words_of_a_shell() {
        for (path, word) in [
            ("a/b_c.yaml", "a/b_c.yaml"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$(x)`y`\n", "'$(x)`y`\n'"),
            ("~", "'~'"),
            ("-x", "./-x"),
            ("", "''"),
        ] {
            assert_eq!(argument(Path::new(path)), word.as_bytes(), "{path}");
        }
    }
}

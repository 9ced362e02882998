//! What a sops file says about itself: for whom its data key is encrypted, when it was written, its MAC, its selector.
//!
//! The formats hand over one mapping. That of JSON, dotenv and INI is typed already; in YAML any scalar may stand for
//! text, a float for a whole number, and `yes` for true, as sops 3.12.2 reads it.
//! Facts: sops-format.md 4 and 12.

use crate::failure::{Failure, Result};

use super::{
    go_regex::Regex,
    recipient,
    rules::Selector,
    time::Time,
    value::{Branch, Entry, Value},
};

/// The metadata of a sops file.
#[derive(Debug)]
pub struct Metadata {
    /// The key groups, in file order. Each opens one part of the data key; a single one opens all of it.
    pub groups: Vec<Vec<KeyEntry>>,
    /// How many groups must be opened, if there are several.
    pub shamir_threshold: usize,
    /// The time of writing as RFC 3339 without a fraction: the additional data of the MAC.
    pub last_modified: String,
    /// The encrypted MAC; empty if there is none.
    pub mac: Vec<u8>,
    /// Whether the MAC takes in encrypted values only.
    pub mac_only_encrypted: bool,
    /// Which values are encrypted.
    pub selector: Selector,
    /// The version of sops that wrote the file; empty if it does not say.
    pub version: String,
}

/// One entry of a key group: who can open it, and the part of the data key, encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// The kind of recipient.
    pub kind: KeyKind,
    /// The recipient as sops prints it: an age recipient, a fingerprint, an ARN with role and context, a URL.
    pub recipient: String,
    /// The encrypted part, as the kind writes it.
    pub enc: Vec<u8>,
}

/// The kinds of recipients that sops knows, in the order in which it holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// AWS KMS.
    Kms,
    /// GCP KMS.
    GcpKms,
    /// Huawei Cloud KMS.
    HuaweiKms,
    /// Azure Key Vault.
    AzureKeyVault,
    /// The transit engine of Vault or `OpenBao`.
    Vault,
    /// `OpenPGP`.
    Pgp,
    /// age.
    Age,
}

impl KeyKind {
    const ALL: [Self; 7] =
        [Self::Kms, Self::GcpKms, Self::HuaweiKms, Self::AzureKeyVault, Self::Vault, Self::Pgp, Self::Age];

    /// The name of its list in the metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::HuaweiKms => "hckms",
            Self::AzureKeyVault => "azure_kv",
            Self::Vault => "hc_vault",
            Self::Pgp => "pgp",
            Self::Age => "age",
        }
    }
}

impl Metadata {
    /// Reads what stands below `sops` in a file of that format.
    pub fn new(branch: &Branch) -> Result<Self> {
        let fields = Fields { branch, place: "" };
        let last_modified = fields.text("lastmodified")?;
        let last_modified = Time::parse_rfc3339(last_modified.as_bytes()).ok_or_else(|| {
            broken("lastmodified is no time as RFC 3339 writes it").fact("it has", sized(&last_modified))
        })?;
        Ok(Self {
            groups: groups(&fields)?,
            shamir_threshold: fields.threshold()?,
            last_modified: last_modified.rfc3339().to_string(),
            mac: fields.text("mac")?.into_bytes(),
            mac_only_encrypted: fields.flag("mac_only_encrypted")?,
            selector: selector(&fields)?,
            version: fields.text("version")?,
        })
    }

    /// All key entries.
    pub fn entries(&self) -> impl Iterator<Item = &KeyEntry> {
        self.groups.iter().flatten()
    }

    /// Whether the holders of the entries that `held` picks can, together, open the file.
    pub fn opens_for(&self, held: impl Fn(&KeyEntry) -> bool) -> bool {
        let needed = if self.groups.len() > 1 { self.shamir_threshold.max(2) } else { 1 };
        self.groups.iter().filter(|group| group.iter().any(&held)).count() >= needed
    }

    /// Fails where the command line of sops does: at a version that is missing or is none. Its library does not look.
    pub fn check_version(&self) -> Result<()> {
        let version = &self.version;
        if version.starts_with("1.") || is_semver(version.strip_prefix('v').unwrap_or(version)) {
            return Ok(());
        }
        let have = if version.is_empty() { "no version".to_owned() } else { format!("version {version:?}") };
        Err(broken(format!("{have}, where sops needs one such as 3.12.2")))
    }
}

fn broken(what: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the sops metadata cannot be used: {what}"))
}

fn sized(text: &str) -> String {
    format!("{} bytes", text.len())
}

fn selector(fields: &Fields<'_>) -> Result<Selector> {
    type Make = fn(String) -> Selector;
    let kinds: [(&str, Make); 6] = [
        ("unencrypted_suffix", |text| Selector::UnencryptedSuffix(text.into_bytes())),
        ("encrypted_suffix", |text| Selector::EncryptedSuffix(text.into_bytes())),
        ("unencrypted_regex", |text| Selector::UnencryptedRegex(Regex::new(&text))),
        ("encrypted_regex", |text| Selector::EncryptedRegex(Regex::new(&text))),
        ("unencrypted_comment_regex", |text| Selector::UnencryptedCommentRegex(Regex::new(&text))),
        ("encrypted_comment_regex", |text| Selector::EncryptedCommentRegex(Regex::new(&text))),
    ];
    let mut selector = None;
    for (name, make) in kinds {
        let text = fields.text(name)?;
        if !text.is_empty() && selector.replace((name, make(text))).is_some() {
            return Err(broken("more than one selector")
                .fact("sops takes one of", kinds.map(|(name, _)| name).join(", ")));
        }
    }
    Ok(selector.map(|(_, selector)| selector).unwrap_or_default())
}

fn groups(fields: &Fields<'_>) -> Result<Vec<Vec<KeyEntry>>> {
    let group = group(fields)?;
    let mut groups = Vec::new();
    for (at, item) in fields.list("key_groups")?.iter().enumerate() {
        let place = format!("key_groups[{at}].");
        match item {
            Value::Map(branch) => groups.push(self::group(&Fields { branch, place: &place })?),
            Value::Null => groups.push(Vec::new()),
            _ => return Err(broken(format!("{place} is no mapping"))),
        }
    }
    // sops looks at the groups only if no list stands beside them.
    let groups = if group.is_empty() { groups } else { vec![group] };
    if groups.is_empty() {
        return Err(broken("no key entry").fix("encrypt the file again: it names nobody who could open it"));
    }
    Ok(groups)
}

fn group(fields: &Fields<'_>) -> Result<Vec<KeyEntry>> {
    let mut entries = Vec::new();
    for kind in KeyKind::ALL {
        for (at, item) in fields.list(kind.name())?.iter().enumerate() {
            let place = format!("{}{}[{at}].", fields.place, kind.name());
            let empty = Branch::new();
            let branch = match item {
                Value::Map(branch) => branch,
                Value::Null => &empty,
                _ => return Err(broken(format!("{place} is no mapping"))),
            };
            entries.push(entry(kind, &Fields { branch, place: &place })?);
        }
    }
    Ok(entries)
}

fn entry(kind: KeyKind, fields: &Fields<'_>) -> Result<KeyEntry> {
    let text = |name| fields.text(name);
    let recipient = match kind {
        KeyKind::Kms => {
            recipient::kms(&text("arn")?, &text("role")?, &fields.context()?, &text("aws_profile")?)
        }
        KeyKind::GcpKms => text("resource_id")?,
        KeyKind::HuaweiKms => text("key_id")?,
        KeyKind::AzureKeyVault => recipient::azure(&text("vault_url")?, &text("name")?, &text("version")?),
        KeyKind::Vault => {
            recipient::vault(&text("vault_address")?, &text("engine_path")?, &text("key_name")?)
        }
        KeyKind::Pgp => text("fp")?,
        KeyKind::Age => text("recipient")?,
    };
    // sops refuses the whole file over these, so that no file opens here which it does not open.
    if kind != KeyKind::Age && Time::parse_rfc3339(fields.text("created_at")?.as_bytes()).is_none() {
        return Err(broken(format!("{}created_at is no time as RFC 3339 writes it", fields.place)));
    }
    if kind == KeyKind::HuaweiKms
        && recipient.split_once(':').is_none_or(|(region, id)| region.is_empty() || id.is_empty())
    {
        return Err(broken(format!("{}key_id is not of the form region:id", fields.place)));
    }
    Ok(KeyEntry { kind, recipient, enc: fields.text("enc")?.into_bytes() })
}

/// The fields of one mapping of the metadata.
#[derive(Clone, Copy)]
struct Fields<'m> {
    branch: &'m Branch,
    /// Where the mapping stands, ending in a dot unless empty; for messages.
    place: &'m str,
}

impl<'m> Fields<'m> {
    /// The value of a field. What YAML has twice was refused, and the other formats give each field once.
    fn find(&self, name: &str) -> &'m Value {
        let mut found = self.branch.iter().filter_map(|entry| match entry {
            Entry::Pair(key, value) if key == name.as_bytes() => Some(value),
            _ => None,
        });
        found.next().unwrap_or(&Value::Null)
    }

    fn wrong(&self, name: &str, wanted: &str) -> Failure {
        broken(format!("{}{name} is not {wanted}", self.place))
    }

    fn text(&self, name: &str) -> Result<String> {
        match self.find(name) {
            Value::Null => Ok(String::new()),
            Value::Str(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            _ => Err(self.wrong(name, "text")),
        }
    }

    fn list(&self, name: &str) -> Result<&'m [Value]> {
        match self.find(name) {
            Value::Null => Ok(&[]),
            Value::List(items) => Ok(items),
            _ => Err(self.wrong(name, "a list")),
        }
    }

    /// The encryption context of a KMS entry; without those pairs that sops could not hold.
    fn context(&self) -> Result<Vec<(String, String)>> {
        let pair = |entry: &Entry| match entry {
            Entry::Pair(key, Value::Str(text)) => Some((lossy(key), lossy(text))),
            Entry::Pair(key, Value::Null) => Some((lossy(key), String::new())),
            _ => None,
        };
        match self.find("context") {
            Value::Null => Ok(Vec::new()),
            Value::Map(pairs) => Ok(pairs.iter().filter_map(pair).collect()),
            _ => Err(self.wrong("context", "a mapping")),
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.find(name) {
            Value::Null => Ok(false),
            Value::Bool(value) => Ok(*value),
            // Where a boolean is wanted, YAML 1.1's words are booleans.
            Value::Str(word) => match &**word {
                b"y" | b"Y" | b"yes" | b"Yes" | b"YES" | b"on" | b"On" | b"ON" => Ok(true),
                b"n" | b"N" | b"no" | b"No" | b"NO" | b"off" | b"Off" | b"OFF" => Ok(false),
                _ => Err(self.wrong(name, "true or false")),
            },
            _ => Err(self.wrong(name, "true or false")),
        }
    }

    fn threshold(&self) -> Result<usize> {
        let name = "shamir_threshold";
        match self.find(name) {
            Value::Null => Ok(0),
            // Below zero, sops demands nothing.
            Value::Int(number) => Ok(usize::try_from((*number).max(0)).unwrap_or(usize::MAX)),
            // YAML cuts fractions off.
            Value::Float(number) if number.is_finite() => {
                Ok(format!("{:.0}", number.trunc().max(0.0)).parse().unwrap_or(usize::MAX))
            }
            _ => Err(self.wrong(name, "a whole number")),
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `MAJOR.MINOR.PATCH[-PRE][+BUILD]`, as the semver library of sops takes it.
fn is_semver(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| {
        digits(text) && (text.len() == 1 || !text.starts_with('0')) && text.parse::<u64>().is_ok()
    };
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let mut parts = text.splitn(3, '.');
    let (Some(major), Some(minor), Some(patch)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (patch, build) = patch.split_once('+').map_or((patch, None), |(patch, build)| (patch, Some(build)));
    let (patch, pre) = patch.split_once('-').map_or((patch, None), |(patch, pre)| (patch, Some(pre)));
    number(major)
        && number(minor)
        && number(patch)
        && build.is_none_or(|build| build.split('.').all(word))
        && pre
            .is_none_or(|pre| pre.split('.').all(|part| if digits(part) { number(part) } else { word(part) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, Value)]) -> Branch {
        pairs.iter().map(|(key, value)| Entry::Pair(key.as_bytes().to_vec(), value.clone())).collect()
    }

    fn text(text: &str) -> Value {
        Value::Str(text.into())
    }

    fn age(recipient: &str) -> Value {
        Value::List(vec![Value::Map(map(&[("recipient", text(recipient)), ("enc", text("sealed"))]))])
    }

    /// Metadata that is whole, with these fields added or put in the place of others.
    fn read(fields: &[(&str, Value)]) -> Result<Metadata> {
        let mut all = vec![
            ("age", age("age1x")),
            ("lastmodified", text("2024-01-02T03:04:05Z")),
            ("version", text("3.12.2")),
        ];
        all.retain(|(name, _)| !fields.iter().any(|(other, _)| other == name));
        all.extend_from_slice(fields);
        Metadata::new(&map(&all))
    }

    #[test]
    fn the_time_of_writing_is_written_again_without_a_fraction() {
        for (written, read_again) in [
            ("2020-07-05T20:44:28Z", Some("2020-07-05T20:44:28Z")),
            ("2020-07-05T20:44:28.5+02:00", Some("2020-07-05T20:44:28+02:00")),
            ("2020-07-05T20:44:28+00:00", Some("2020-07-05T20:44:28Z")),
            ("2020-07-05", None),
            ("", None),
        ] {
            let metadata = read(&[("lastmodified", text(written))]);
            assert_eq!(
                metadata.ok().map(|metadata| metadata.last_modified).as_deref(),
                read_again,
                "{written}"
            );
        }
    }

    #[test]
    fn types_that_stand_for_others() {
        let threshold =
            |value| read(&[("shamir_threshold", value)]).ok().map(|metadata| metadata.shamir_threshold);
        for (value, expected) in [
            (Value::Int(2), Some(2)),
            (Value::Int(-2), Some(0)),
            (Value::Float(2.9), Some(2)),
            (Value::Float(f64::NAN), None),
            (text("1"), None),
            (Value::Null, Some(0)),
        ] {
            assert_eq!(threshold(value.clone()), expected, "{value:?}");
        }
        let only =
            |value| read(&[("mac_only_encrypted", value)]).ok().map(|metadata| metadata.mac_only_encrypted);
        for (value, expected) in [
            (Value::Bool(true), Some(true)),
            (text("yes"), Some(true)),
            (text("off"), Some(false)),
            (text("true"), None),
        ] {
            assert_eq!(only(value.clone()), expected, "{value:?}");
        }
        assert!(read(&[("mac", Value::List(vec![]))]).is_err());
    }

    #[test]
    fn one_selector_at_most() {
        let selector = |fields: &[(&str, Value)]| read(fields).map(|metadata| metadata.selector);
        assert!(
            matches!(selector(&[]), Ok(Selector::UnencryptedSuffix(suffix)) if suffix == b"_unencrypted")
        );
        assert!(matches!(
            selector(&[("encrypted_regex", text("^a")), ("unencrypted_suffix", text(""))]),
            Ok(Selector::EncryptedRegex(Some(_)))
        ));
        assert!(matches!(
            selector(&[("unencrypted_regex", text("("))]),
            Ok(Selector::UnencryptedRegex(None))
        ));
        assert!(selector(&[("encrypted_regex", text("^a")), ("unencrypted_suffix", text("_"))]).is_err());
    }

    #[test]
    fn groups_and_lists() {
        let group = |recipient| Value::Map(map(&[("age", age(recipient)), ("hc_vault", Value::Null)]));
        let groups = ("key_groups", Value::List(vec![group("age1a"), group("age1b")]));
        let recipients = |metadata: Metadata| {
            let of =
                |group: &Vec<KeyEntry>| group.iter().map(|entry| entry.recipient.clone()).collect::<Vec<_>>();
            metadata.groups.iter().map(of).collect::<Vec<_>>()
        };
        let all = read(std::slice::from_ref(&groups)).unwrap();
        assert_eq!(recipients(all), [["age1x"]]);
        let all = read(&[("age", Value::List(vec![])), groups]).unwrap();
        assert_eq!(recipients(all), [["age1a"], ["age1b"]]);
        assert!(read(&[("age", Value::Null)]).is_err());
        assert!(read(&[("age", Value::List(vec![text("age1x")]))]).is_err());
        assert!(read(&[("kms", Value::Null)]).is_ok());
    }

    #[test]
    fn other_kinds_stay_visible() {
        let created = ("created_at", text("2024-01-02T03:04:05Z"));
        let list = |fields: &[(&str, Value)]| Value::List(vec![Value::Map(map(fields))]);
        let metadata = read(&[
            ("pgp", list(&[created.clone(), ("fp", text("AB12")), ("enc", text("x"))])),
            (
                "azure_kv",
                list(&[
                    created.clone(),
                    ("vault_url", text("https://v/")),
                    ("name", text("n")),
                    ("version", text("1")),
                ]),
            ),
            ("hckms", list(&[created.clone(), ("key_id", text("eu:1"))])),
            (
                "kms",
                list(&[
                    created.clone(),
                    ("arn", text("arn:aws")),
                    ("role", text("arn:r")),
                    ("context", Value::Map(map(&[("b", text("2")), ("a", text("1"))]))),
                ]),
            ),
            (
                "hc_vault",
                list(&[
                    created.clone(),
                    ("vault_address", text("https://v")),
                    ("engine_path", text("transit")),
                    ("key_name", text("k")),
                ]),
            ),
        ]);
        let entries: Vec<_> = metadata
            .unwrap()
            .entries()
            .map(|entry| format!("{} {}", entry.kind.name(), entry.recipient))
            .collect();
        let expected = [
            "kms arn:aws+arn:r|a:1,b:2",
            "hckms eu:1",
            "azure_kv https://v/keys/n/1",
            "hc_vault https://v/v1/transit/keys/k",
            "pgp AB12",
            "age age1x",
        ];
        assert_eq!(entries, expected);
        for broken in [
            ("pgp", list(&[("fp", text("AB12"))])),
            ("kms", list(&[("created_at", text("yesterday"))])),
            ("hckms", list(&[created, ("key_id", text("eu"))])),
        ] {
            assert!(read(std::slice::from_ref(&broken)).is_err(), "{}", broken.0);
        }
    }

    #[test]
    fn versions() {
        for (version, good) in [
            ("3.12.2", true),
            ("v3.12.2", true),
            ("1.18", true),
            ("3.0.0-rc.1+b.01", true),
            ("", false),
            ("3.12", false),
            ("3.12.2.1", false),
            ("3.012.2", false),
            ("3.12.x", false),
            ("3.0.0-01", false),
            ("vv3.0.0", false),
        ] {
            let metadata = read(&[("version", text(version))]).unwrap();
            assert_eq!(metadata.check_version().is_ok(), good, "{version}");
        }
    }
}

//! The creation rules of a `.sops.yaml`: to whom a file should be encrypted, as sops 3.12.2 reads it.
//!
//! The first rule whose `path_regex` matches the path decides. What Go's decoder refuses is refused for the whole
//! file, whichever rule it stands in; what sops looks at only when a rule is used is looked at only then.

use crate::failure::{Failure, Result};

use super::{
    formats::yaml::{self, Node},
    go_regex::Regex,
    metadata::KeyKind,
    recipient::{self, Recipient},
    value::{Key, Value},
};

/// The creation rules of one `.sops.yaml`.
#[derive(Debug)]
pub struct CreationRules(Vec<Rule>);

/// What a rule asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The number of the rule, from 1.
    pub rule: usize,
    /// The key groups, in order; one without Shamir's scheme. None is empty.
    pub groups: Vec<Vec<Recipient>>,
    /// How many groups are needed to open the file: from 2 to the number of groups, or 1 if there is one.
    pub threshold: usize,
}

#[derive(Debug)]
struct Rule {
    path_regex: String,
    /// How many of the selectors are set.
    selectors: usize,
    threshold: i64,
    groups: Vec<Group>,
    /// The keys of the rule itself, which count if it has no groups.
    age: Keys,
    pgp: Keys,
    kms: Keys,
    gcp_kms: Keys,
    hckms: Vec<String>,
    azure: Keys,
    vault: Keys,
    aws_profile: String,
}

/// A list or a text with commas; the reason if it is neither.
type Keys = std::result::Result<Vec<String>, String>;

#[derive(Debug, Default)]
struct Group {
    merge: Vec<Group>,
    /// As sops prints them.
    kms: Vec<String>,
    gcp_kms: Vec<String>,
    hckms: Vec<String>,
    azure: Vec<String>,
    vault: Vec<String>,
    age: Vec<String>,
    pgp: Vec<String>,
}

/// More groups than this cannot share a key.
const MAX_GROUPS: usize = 255;

const SELECTORS: [&str; 6] = [
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
];

impl CreationRules {
    /// Reads a `.sops.yaml`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(rules) = yaml::field(bytes, "creation_rules")? else {
            return Err(broken("no creation rules"));
        };
        let root = [(b"creation_rules".to_vec(), rules)];
        let rules = Fields { fields: &root, place: String::new() }.maps("creation_rules", Rule::read)?;
        Ok(Self(rules))
    }

    /// What is wanted for a file. `path` is relative to the directory of the `.sops.yaml`, or absolute if it is
    /// elsewhere.
    pub fn wanted(&self, path: &[u8]) -> Result<Wanted> {
        for (at, rule) in self.0.iter().enumerate() {
            let number = at.saturating_add(1);
            if rule.path_regex.is_empty() {
                return rule.wanted(number);
            }
            let regex = Regex::new(&rule.path_regex)
                .ok_or_else(|| broken(format!("the path_regex of rule {number} is no regular expression")))?;
            let is_match = regex.is_match(path);
            if regex.is_exhausted() {
                return Err(broken(format!("the path_regex of rule {number} takes too long")));
            }
            if is_match {
                return rule.wanted(number);
            }
        }
        Err(broken("no creation rule matches the path of the file"))
    }
}

fn broken(what: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the sops configuration cannot be used: {what}"))
}

impl Rule {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let mut selectors = 0_usize;
        for name in SELECTORS {
            selectors = selectors.saturating_add(usize::from(!fields.text(name)?.is_empty()));
        }
        fields.flag("mac_only_encrypted")?;
        Ok(Self {
            path_regex: fields.text("path_regex")?,
            selectors,
            threshold: fields.number("shamir_threshold")?,
            groups: fields.maps("key_groups", Group::read)?,
            age: fields.keys("age"),
            pgp: fields.keys("pgp"),
            kms: fields.keys("kms"),
            gcp_kms: fields.keys("gcp_kms"),
            hckms: fields.texts("hckms")?,
            azure: fields.keys("azure_keyvault"),
            vault: fields.keys("hc_vault_transit_uri"),
            aws_profile: fields.text("aws_profile")?,
        })
    }

    fn wanted(&self, rule: usize) -> Result<Wanted> {
        let wrong = |what: &str| broken(format!("rule {rule}: {what}"));
        if self.selectors > 1 {
            return Err(wrong("more than one selector").fact("sops takes one of", SELECTORS.join(", ")));
        }
        let groups = match self.groups.as_slice() {
            [] => self.own_keys().map(|group| vec![group]),
            groups => groups.iter().map(Group::recipients).collect(),
        };
        let groups: Vec<Vec<Recipient>> = groups.map_err(|reason| wrong(&reason))?;
        if groups.iter().any(Vec::is_empty) {
            return Err(wrong("a key group without keys, which sops refuses"));
        }
        let threshold = match (groups.len(), usize::try_from(self.threshold)) {
            (1, _) => 1,
            (count, _) if count > MAX_GROUPS => return Err(wrong("more than 255 key groups")),
            (count, Ok(0)) => count,
            (count, Ok(threshold)) if (2..=count).contains(&threshold) => threshold,
            (count, _) => {
                return Err(wrong(&format!("shamir_threshold {} of {count} groups", self.threshold))
                    .fix(format!("use a number from 2 to {count}")));
            }
        };
        Ok(Wanted { rule, groups, threshold })
    }

    /// The one group of a rule without `key_groups`: texts are joined and taken apart again, each kind in its way.
    fn own_keys(&self) -> Fallible<Vec<Recipient>> {
        let joined = |keys: &Keys| keys.as_ref().map(|keys| keys.join(",")).map_err(Clone::clone);
        let split = |text: String| {
            let parts: Vec<_> = text.split(',').map(str::to_owned).collect();
            if text.is_empty() { Vec::new() } else { parts }
        };
        let without_blanks = |text: String| text.replace(' ', "");
        let mut group = Vec::new();
        for text in split(joined(&self.age)?) {
            group.push(age(&text)?);
        }
        for text in split(joined(&self.pgp)?) {
            group.push(of(KeyKind::Pgp, without_blanks(text)));
        }
        for text in split(joined(&self.kms)?) {
            let text = without_blanks(text);
            let (arn, role) = match text.find("+arn:").filter(|at| *at > 0) {
                Some(at) => (text.get(..at), text.get(at.saturating_add(1)..)),
                None => (Some(text.as_str()), None),
            };
            let name =
                recipient::kms(arn.unwrap_or_default(), role.unwrap_or_default(), &[], &self.aws_profile);
            group.push(of(KeyKind::Kms, name));
        }
        for text in split(joined(&self.gcp_kms)?) {
            group.push(of(KeyKind::GcpKms, without_blanks(text)));
        }
        for text in split(self.hckms.join(",")).iter().map(|text| text.trim()).filter(|text| !text.is_empty())
        {
            group.push(huawei(text)?);
        }
        for text in split(joined(&self.azure)?) {
            group.push(azure_url(text.trim())?);
        }
        for text in split(joined(&self.vault)?).iter().filter(|text| !text.is_empty()) {
            group.push(vault(text)?);
        }
        Ok(group)
    }
}

/// The reason, if a key cannot be used.
type Fallible<T> = std::result::Result<T, String>;

impl Group {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let kms = |key: &Fields<'_>| {
            let context = key.context()?;
            Ok(recipient::kms(&key.text("arn")?, &key.text("role")?, &context, &key.text("aws_profile")?))
        };
        let azure = |key: &Fields<'_>| {
            Ok(recipient::azure(&key.text("vaultUrl")?, &key.text("key")?, &key.text("version")?))
        };
        Ok(Self {
            merge: fields.maps("merge", Self::read)?,
            kms: fields.maps("kms", kms)?,
            gcp_kms: fields.maps("gcp_kms", |key| key.text("resource_id"))?,
            hckms: fields.maps("hckms", |key| key.text("key_id"))?,
            azure: fields.maps("azure_keyvault", azure)?,
            vault: fields.texts("hc_vault")?,
            age: fields.texts("age")?,
            pgp: fields.texts("pgp")?,
        })
    }

    fn recipients(&self) -> Fallible<Vec<Recipient>> {
        let mut group = Vec::new();
        for merged in &self.merge {
            group.extend(merged.recipients()?);
        }
        for text in self.age.iter().filter(|text| !text.is_empty()) {
            for part in text.split(',') {
                group.push(age(part)?);
            }
        }
        group.extend(self.pgp.iter().map(|text| of(KeyKind::Pgp, text.replace(' ', ""))));
        group.extend(self.kms.iter().map(|name| of(KeyKind::Kms, name.clone())));
        group.extend(self.gcp_kms.iter().map(|text| of(KeyKind::GcpKms, text.replace(' ', ""))));
        for text in &self.hckms {
            group.push(huawei(text)?);
        }
        group.extend(self.azure.iter().map(|name| of(KeyKind::AzureKeyVault, name.clone())));
        for text in &self.vault {
            group.push(vault(text)?);
        }
        Ok(group)
    }
}

fn of(kind: KeyKind, name: String) -> Recipient {
    Recipient { kind, name }
}

fn age(text: &str) -> Fallible<Recipient> {
    let text = text.trim();
    if text.starts_with("age1") || text.starts_with("ssh-") {
        return Ok(of(KeyKind::Age, text.to_owned()));
    }
    Err("a text among the age recipients is none: it begins with neither age1 nor ssh-".to_owned())
}

fn huawei(text: &str) -> Fallible<Recipient> {
    if recipient::is_region_and_id(text) {
        return Ok(of(KeyKind::HuaweiKms, text.to_owned()));
    }
    Err("a hckms key is not of the form region:id".to_owned())
}

/// `https://VAULT/keys/NAME[/VERSION]`
fn azure_url(text: &str) -> Fallible<Recipient> {
    let mut parts = text.strip_prefix("https://").unwrap_or_default().split('/');
    match [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()] {
        [Some(host), Some("keys"), Some(name), version, None] if !host.is_empty() && !name.is_empty() => {
            let name = recipient::azure(&format!("https://{host}"), name, version.unwrap_or_default());
            Ok(of(KeyKind::AzureKeyVault, name))
        }
        _ => Err("an azure_keyvault key is no URL such as https://VAULT/keys/NAME/VERSION".to_owned()),
    }
}

/// `https://HOST/v1/ENGINE/keys/NAME`
fn vault(text: &str) -> Fallible<Recipient> {
    let wrong = || "a Vault key is no URL such as https://HOST/v1/transit/keys/NAME".to_owned();
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let mut parts = rest.trim_end_matches('/').split('/');
    let (host, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_version = version
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let parts: Vec<_> = parts.collect();
    match parts.as_slice() {
        [engine @ .., _, name]
            if is_version && !scheme.is_empty() && !engine.is_empty() && !parts.contains(&"") =>
        {
            Ok(of(KeyKind::Vault, recipient::vault(&format!("{scheme}://{host}"), &engine.join("/"), name)))
        }
        _ => Err(wrong()),
    }
}

/// The fields of one mapping, as go-yaml decodes them into a structure: null is as if it were not there.
struct Fields<'n> {
    fields: &'n [(Key, Node)],
    /// Where the mapping stands, ending in a dot unless empty; for messages.
    place: String,
}

impl Fields<'_> {
    fn find(&self, name: &str) -> &Node {
        let found = self.fields.iter().find(|(key, _)| key == name.as_bytes());
        found.map_or(&Node::Null, |(_, node)| node)
    }

    fn wrong(&self, name: &str, wanted: &str) -> Failure {
        broken(format!("{}{name} is not {wanted}", self.place))
    }

    fn text(&self, name: &str) -> Result<String> {
        text(self.find(name)).ok_or_else(|| self.wrong(name, "text"))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>> {
        let texts = match self.find(name) {
            Node::Null => Some(Vec::new()),
            Node::List(items) => items.iter().map(text).collect(),
            _ => None,
        };
        texts.ok_or_else(|| self.wrong(name, "a list of texts"))
    }

    /// A list of texts, or one text with commas.
    fn keys(&self, name: &str) -> Keys {
        let is_text = |node: &Node| matches!(node, Node::Scalar { value: Value::Str(_), .. });
        match self.find(name) {
            Node::Null => Ok(Vec::new()),
            node if is_text(node) => {
                let parts = text(node).unwrap_or_default();
                let parts = parts.split(',').map(str::trim).filter(|part| !part.is_empty());
                Ok(parts.map(str::to_owned).collect())
            }
            Node::List(items) if items.iter().all(is_text) => {
                Ok(items.iter().map(|item| text(item).unwrap_or_default()).collect())
            }
            Node::List(_) => Err(format!("{name} has an element that is no text: put it into quotes")),
            _ => Err(format!("{name} is neither text nor a list of texts: put it into quotes")),
        }
    }

    fn number(&self, name: &str) -> Result<i64> {
        match self.find(name) {
            Node::Null => Ok(0),
            Node::Scalar { value: Value::Int(number), .. } => Ok(*number),
            // Fractions are cut off.
            #[allow(clippy::cast_possible_truncation)]
            Node::Scalar { value: Value::Float(number), .. } if number.abs() < 1e15 => Ok(*number as i64),
            _ => Err(self.wrong(name, "a whole number")),
        }
    }

    fn flag(&self, name: &str) -> Result<()> {
        const WORDS: [&[u8]; 16] = [
            b"y", b"Y", b"yes", b"Yes", b"YES", b"on", b"On", b"ON", b"n", b"N", b"no", b"No", b"NO", b"off",
            b"Off", b"OFF",
        ];
        match self.find(name) {
            Node::Null | Node::Scalar { value: Value::Bool(_), .. } => Ok(()),
            Node::Scalar { value: Value::Str(word), .. } if WORDS.contains(&&**word) => Ok(()),
            _ => Err(self.wrong(name, "true or false")),
        }
    }

    /// A list of mappings, each read by `read`.
    fn maps<T>(&self, name: &str, read: impl Fn(&Fields<'_>) -> Result<T>) -> Result<Vec<T>> {
        let items = match self.find(name) {
            Node::Null => return Ok(Vec::new()),
            Node::List(items) => items,
            _ => return Err(self.wrong(name, "a list")),
        };
        let mut all = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let fields = match item {
                Node::Null => &[][..],
                Node::Map(fields) => fields,
                _ => return Err(self.wrong(&format!("{name}[{at}]"), "a mapping")),
            };
            all.push(read(&Fields { fields, place: format!("{}{name}[{at}].", self.place) })?);
        }
        Ok(all)
    }

    fn context(&self) -> Result<Vec<(String, String)>> {
        match self.find("context") {
            Node::Null => Ok(Vec::new()),
            Node::Map(pairs) => {
                let pair = |(key, value): &(Key, Node)| Some((lossy(key), text(value)?));
                let pairs: Option<_> = pairs.iter().map(pair).collect();
                pairs.ok_or_else(|| self.wrong("context", "a mapping of texts"))
            }
            _ => Err(self.wrong("context", "a mapping")),
        }
    }
}

fn text(node: &Node) -> Option<String> {
    match node {
        Node::Null => Some(String::new()),
        Node::Scalar { text, .. } => Some(lossy(text)),
        _ => None,
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups as texts, their recipients behind their kinds; `None` if the rules do not say.
    fn told(rules: &str, path: &str) -> Option<String> {
        let wanted = CreationRules::parse(rules.as_bytes()).and_then(|it| it.wanted(path.as_bytes())).ok()?;
        let recipient = |it: &Recipient| format!("{} {}", it.kind.name(), it.name);
        let group = |group: &Vec<Recipient>| group.iter().map(recipient).collect::<Vec<_>>().join(", ");
        let groups: Vec<_> = wanted.groups.iter().map(group).collect();
        Some(format!("{}: {} of {}", wanted.rule, wanted.threshold, groups.join(" / ")))
    }

    #[test]
    fn keys_of_every_kind() {
        for (rule, expected) in [
            ("pgp: 'AB 12,cd34'", "pgp AB12, pgp cd34"),
            ("kms: 'arn:a +arn:r,arn:b'\n  aws_profile: p", "kms arn:a+arn:r||p, kms arn:b||p"),
            ("gcp_kms: [projects/x]", "gcp_kms projects/x"),
            ("hckms: ['eu:1 , ', 'us:2']", "hckms eu:1, hckms us:2"),
            (
                "azure_keyvault: 'https://v/keys/k/1, https://v/keys/k'",
                "azure_kv https://v/keys/k/1, azure_kv https://v/keys/k/",
            ),
            ("hc_vault_transit_uri: https://v:8200/v1/a/b/keys/k", "hc_vault https://v:8200/v1/a/b/keys/k"),
            (
                "key_groups:\n  - kms: [{arn: 'arn:a', role: 'arn:r', context: {b: 2, a: x}, aws_profile: p}]\n    \
                 azure_keyvault: [{vaultUrl: 'https://v/', key: k}]\n    hc_vault: ['http://v/v1/t/keys/k']\n    \
                 gcp_kms: [{resource_id: projects/x}]\n    hckms: [{key_id: 'eu:1'}]\n    pgp: [A B]\n    merge: [{age: ['age1x,age1y']}]",
                "age age1x, age age1y, pgp AB, kms arn:a+arn:r|a:x,b:2|p, gcp_kms projects/x, hckms eu:1, azure_kv https://v/keys/k/, \
                 hc_vault http://v/v1/t/keys/k",
            ),
        ] {
            let rules = format!("creation_rules:\n- {rule}\n");
            let expected = format!("1: 1 of {expected}");
            assert_eq!(told(&rules, "x"), Some(expected), "{rule}");
        }
    }

    #[test]
    fn groups_and_thresholds() {
        for (groups, threshold, expected) in [
            ("{age: [age1a]}", "7", Some("1: 1 of age age1a")),
            ("{age: [age1a]}, {age: [age1b]}", "0", Some("1: 2 of age age1a / age age1b")),
            ("{age: [age1a]}, {age: [age1b]}", "2.9", Some("1: 2 of age age1a / age age1b")),
            ("{age: [age1a]}, {age: [age1b]}", "null", Some("1: 2 of age age1a / age age1b")),
            ("{age: [age1a]}, {age: [age1b]}", "1", None),
            ("{age: [age1a]}, {age: [age1b]}", "3", None),
            ("{age: [age1a]}, {age: [age1b]}", "-2", None),
            ("{age: [age1a]}, {age: [age1b]}", "'2'", None),
            ("{age: [age1a]}, null", "2", None),
        ] {
            let rules =
                format!("creation_rules: [{{key_groups: [{groups}], shamir_threshold: {threshold}}}]");
            assert_eq!(told(&rules, "x").as_deref(), expected, "{groups} {threshold}");
        }
    }

    #[test]
    fn a_costly_pattern_is_a_failure() {
        let rules = "creation_rules: [{path_regex: '(?:x?){1000}z', age: age1a}, {age: age1b}]";
        assert_eq!(told(rules, &"x".repeat(1 << 20)), None);
        assert_eq!(told(rules, "y").as_deref(), Some("2: 1 of age age1b"));
    }
}

//! `forestage check`: what can be known about a manifest and its sops files before they are needed.
//!
//! Without `--decrypt` no private key is used: keys of a sops file are in the clear.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    failure::{self, Failure, Result},
    input,
    keys::{self, Access, Keyring},
    manifest::{Kind, Manifest, Placement, Secret},
    open,
    root::Root,
    sops::{
        SopsFile,
        lookup::{self, Index},
        metadata::{KeyEntry, KeyKind},
        recipient,
        value::Value,
    },
    stack,
};

use super::{
    Status,
    console::Console,
    recipients,
    report::{Outcome, Report, State},
};

/// How far to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// At the manifest.
    Manifest,
    /// At the sops files too.
    #[default]
    SopsFile,
}

/// What to check.
#[derive(Debug, Default)]
pub struct Options {
    /// The manifest's path.
    pub manifest: PathBuf,
    /// How far to look.
    pub mode: Mode,
    /// Open every secret.
    pub decrypt: bool,
    /// Recipients for whom each file must open.
    pub recipients: Vec<String>,
    /// Files with such recipients, one a line.
    pub recipients_files: Vec<PathBuf>,
    /// What every absolute path is relative to.
    pub root: Option<PathBuf>,
    /// How to reach keys that are not simply there.
    pub access: Access,
    /// One JSON object on standard output.
    pub json: bool,
}

/// Checks the manifest; exit status 3 says that a secret or recipient does not match.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let manifest = Manifest::read(&options.manifest)?;
    let root = options.root.as_deref().map_or(Ok(Root::system()), Root::at)?;
    let recipients = recipients(options)?;
    let asked = !options.recipients.is_empty() || !options.recipients_files.is_empty();
    if asked && (recipients.is_empty() || options.mode == Mode::Manifest) {
        let reason = if recipients.is_empty() {
            "the list of recipients is empty"
        } else {
            "--mode manifest looks at no sops file, so at no recipient"
        };
        return Err(Failure::new(reason).kind(failure::Kind::Usage));
    }
    let mut failures = modes(&manifest);
    let opened = if options.decrypt { unopened(&manifest, &root, &options.access) } else { Failures::new() };
    if options.mode == Mode::SopsFile {
        let no_identity = opened.iter().filter(|(_, failure)| failure.kind == failure::Kind::NoIdentity);
        let mut closed = BTreeSet::new();
        closed.extend(no_identity.map(|(placement, _)| std::ptr::from_ref(*placement)));
        for (path, secrets) in by_file(&manifest) {
            // What was opened was examined on the way: reading it once more would tell nothing new.
            let is_closed =
                secrets.iter().any(|secret| closed.contains(&std::ptr::from_ref(&secret.placement)));
            if !options.decrypt || is_closed || !recipients.is_empty() {
                failures.extend(file_failures(path, &secrets, &root, &recipients));
            }
        }
    }
    failures.extend(opened);
    report(&manifest, failures).tell(console, true, options.json)
}

/// The secrets and templates that this machine's identities do not open, and why.
fn unopened<'m>(manifest: &'m Manifest, root: &Root, access: &Access) -> Failures<'m> {
    let keyring = Keyring::from_manifest(&manifest.identities, root).with_access(access);
    let contents =
        open::contents(manifest, &|path| input::read_file(root, path, input::MAX_SIZE), &keyring, |_| true);
    let secrets = manifest.secrets.iter().map(|secret| &secret.placement);
    let placements = secrets.chain(manifest.templates.iter().map(|template| &template.placement));
    let contents = contents.secrets.into_iter().chain(contents.templates);
    placements.zip(contents).filter_map(|(placement, content)| Some((placement, content.err()?))).collect()
}

type Failures<'m> = Vec<(&'m Placement, Failure)>;

/// One outcome a secret and template: the first failure, if there is one.
fn report(manifest: &Manifest, failures: Failures) -> Report {
    let mut first = BTreeMap::new();
    for (placement, failure) in failures {
        first.entry(std::ptr::from_ref(placement)).or_insert(failure);
    }
    let secrets = manifest.secrets.iter().map(|secret| (Kind::Secret, secret.place(), &secret.placement));
    let templates = manifest.templates.iter();
    let templates = templates.map(|template| (Kind::Template, template.place(), &template.placement));
    let mut report = Report::new(manifest.phase);
    report.checked(secrets.chain(templates).map(|(kind, place, placement)| {
        let failure = first.remove(&std::ptr::from_ref(placement));
        let state = if failure.is_some() { State::Failed } else { State::Good };
        Outcome { name: place.display().to_string(), option: placement.option(kind), state, failure }
    }));
    report
}

fn modes(manifest: &Manifest) -> Failures<'_> {
    let secrets = manifest.secrets.iter().map(|secret| &secret.placement);
    let placements = secrets.chain(manifest.templates.iter().map(|template| &template.placement));
    placements.filter_map(|placement| Some((placement, placement.mode.clone().err()?))).collect()
}

fn by_file(manifest: &Manifest) -> BTreeMap<&Path, Vec<&Secret>> {
    let mut files: BTreeMap<&Path, Vec<&Secret>> = BTreeMap::new();
    for secret in &manifest.secrets {
        files.entry(&secret.sops_file).or_default().push(secret);
    }
    files
}

/// What is wrong with a sops file, for each of its secrets.
fn file_failures<'m>(
    path: &Path,
    secrets: &[&'m Secret],
    root: &Root,
    recipients: &BTreeSet<String>,
) -> Failures<'m> {
    let Some(format) = secrets.first().map(|secret| secret.format) else { return Vec::new() };
    let about = |failure: Failure| failure.fact("file", path.display());
    let examined = input::read_file(root, path, input::MAX_SIZE).and_then(|bytes| {
        stack::for_document(bytes, |bytes| {
            let file = SopsFile::parse(format, bytes)?;
            opens_for(&file, recipients)?;
            Ok(missing(&file, secrets))
        })
    });
    let every =
        |failure: Failure| secrets.iter().map(|secret| (&secret.placement, failure.clone())).collect();
    let failures: Failures<'m> = examined.unwrap_or_else(every);
    failures.into_iter().map(|(placement, failure)| (placement, about(failure))).collect()
}

/// The secrets whose values are not in the file.
fn missing<'m>(file: &SopsFile, secrets: &[&'m Secret]) -> Failures<'m> {
    let wanted = || secrets.iter().filter_map(|secret| secret.key.as_deref());
    let index = file.documents.first().map(|document| Index::of(document, wanted()));
    let missing = |key: &str| match index.as_ref().map(|index| index.get(key)) {
        None => Some(Failure::new(format!("the key '{key}' cannot be found: the file is empty"))),
        Some(Err(failure)) => Some(failure),
        Some(Ok(value @ (Value::Null | Value::Map(_) | Value::List(_)))) => {
            Some(Failure::new(format!("the value of '{key}' is {}, not a string", lookup::kind(value))))
        }
        Some(Ok(_)) => None,
    };
    let failed = |secret: &&'m Secret| Some((&secret.placement, missing(secret.key.as_deref()?)?));
    secrets.iter().filter_map(failed).collect()
}

/// The holders of the recipients, together, must be able to open the file.
fn opens_for(file: &SopsFile, recipients: &BTreeSet<String>) -> Result<()> {
    let is_given = |entry: &KeyEntry| {
        // A key of AWS is given by its ARN, whatever its role and context.
        let arn = (entry.kind == KeyKind::Kms).then(|| recipient::arn(&entry.recipient));
        recipients.contains(&keys::canonical(&entry.recipient))
            || arn.is_some_and(|arn| recipients.contains(arn))
    };
    if recipients.is_empty() || file.metadata.opens_for(is_given) {
        return Ok(());
    }
    let encrypted_to: Vec<_> = file.metadata.entries().map(|entry| entry.recipient.as_str()).collect();
    let wanted: Vec<_> = recipients.iter().map(String::as_str).collect();
    Err(Failure::new("the file does not open for the recipients that were given")
        .fact("given", super::report::few(&wanted))
        .fact("encrypted to", super::report::few(&encrypted_to))
        .fix("add one of the given recipients to .sops.yaml, then run sops updatekeys on the file"))
}

fn recipients(options: &Options) -> Result<BTreeSet<String>> {
    let given = recipients::given(&options.recipients, &options.recipients_files)?;
    let mut recipients: BTreeSet<_> = given.iter().map(|given| keys::canonical(&given.name)).collect();
    // An ssh key also opens what is encrypted to its age conversion.
    let converted: Vec<_> = recipients.iter().filter_map(|text| keys::ssh::to_age(text)).collect();
    recipients.extend(converted);
    Ok(recipients)
}

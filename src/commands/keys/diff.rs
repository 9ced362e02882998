//! `forestage keys diff`: which files lack or exceed which recipients, and what makes them right.
//!
//! Nothing is decrypted and nothing is changed: recipients are in the clear. Standard output is a script of a shell:
//! comments tell the differences, and the lines between are the commands of sops. It is empty when nothing differs.

use std::{
    collections::BTreeMap,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    commands::{Status, console::Console, report},
    failure::{Failure, Result},
    input,
    json::Writer,
    keys,
    plaintext::Plaintext,
    sops::{
        SopsFile,
        formats::Format,
        metadata::Metadata,
        recipient::{self, Recipient},
    },
};

use super::{
    updatekeys::{self, Line},
    wanted::{Choice, Source},
};

/// What to compare with what.
#[derive(Debug, Default)]
pub struct Options {
    /// Encrypted files.
    pub files: Vec<PathBuf>,
    /// The wanted recipients; none here and none in files: those of a `.sops.yaml`.
    pub recipients: Vec<String>,
    /// Files with such recipients, one a line.
    pub recipients_files: Vec<PathBuf>,
    /// The `.sops.yaml`; none: as sops finds it.
    pub config: Option<PathBuf>,
    /// One JSON object on standard output.
    pub json: bool,
}

/// How one file differs from what is wanted.
struct Difference {
    choice: Choice,
    /// One a key group of the file or of what is wanted.
    groups: Vec<Group>,
    /// What the file has and what is wanted, if they differ.
    threshold: Option<(usize, usize)>,
    /// The file may be spoiled by the commands if sops cannot encrypt to one of its keys.
    is_risky: bool,
    commands: Vec<Line>,
}

#[derive(Default)]
struct Group {
    lacks: Vec<Named>,
    exceeds: Vec<Named>,
}

/// A recipient, and what else there is to say of it.
struct Named {
    recipient: Recipient,
    hint: Option<String>,
}

/// Compares; exit status 3 says that a file differs.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let given = !options.recipients.is_empty() || !options.recipients_files.is_empty();
    let mut source = if given {
        Source::given(&options.recipients, &options.recipients_files)?
    } else {
        Source::rules(options.config.as_deref())?
    };
    let mut files = Vec::new();
    for path in &options.files {
        let difference = difference(path, &mut source).map_err(|failure| {
            if tells(&failure, path) { failure } else { failure.fact("file", path.display()) }
        });
        files.push((path, difference));
    }
    let (before, after) = match &source {
        Source::Given(recipients) => updatekeys::around(recipients),
        Source::Rules(_) => Default::default(),
    };
    let differ = files.iter().filter(|(_, outcome)| matches!(outcome, Ok(Some(_)))).count();
    if options.json {
        console.print(&to_json(&files, &before, &after))?;
    } else {
        if differ > 0 {
            console.print(&script(&files, &before, &after))?;
        }
        for (_, outcome) in &files {
            if let Err(failure) = outcome {
                console.error(failure);
            }
        }
    }
    Ok(if files.iter().any(|(_, outcome)| outcome.is_err()) {
        Status::Failed
    } else if differ > 0 {
        Status::Partial
    } else {
        Status::Done
    })
}

fn tells(failure: &Failure, path: &Path) -> bool {
    let path = path.display().to_string();
    failure.headline.contains(&path) || failure.facts.iter().any(|(label, _)| label == "file")
}

/// What differs; nothing if the file is as it should be.
fn difference(path: &Path, source: &mut Source) -> Result<Option<Difference>> {
    let file = SopsFile::parse(Format::of_path(path), input::read(path, input::MAX_SIZE)?)?;
    let choice = source.choose(path)?;
    let has: Vec<Vec<Recipient>> =
        file.metadata.groups.iter().map(|group| group.iter().map(Recipient::from).collect()).collect();
    let wanted = &choice.wanted.groups;
    let none = Vec::new();
    let mut groups = Vec::new();
    for at in 0..has.len().max(wanted.len()) {
        let (has, wanted) = (has.get(at).unwrap_or(&none), wanted.get(at).unwrap_or(&none));
        let named = |recipients: Vec<&Recipient>| {
            recipients.into_iter().map(|it| Named { recipient: it.clone(), hint: None }).collect()
        };
        groups.push(Group {
            lacks: named(recipient::missing(wanted, has)),
            exceeds: named(recipient::missing(has, wanted)),
        });
    }
    let threshold = (threshold(&file.metadata), choice.wanted.threshold);
    let threshold = Some(threshold).filter(|(has, wanted)| has != wanted);
    if threshold.is_none() && groups.iter().all(|group| group.lacks.is_empty() && group.exceeds.is_empty()) {
        return Ok(None);
    }
    hint(&mut groups, &has, wanted);
    let commands = updatekeys::lines(path, &choice, &file.metadata);
    let is_risky = updatekeys::is_risky(&choice, &file.metadata);
    Ok(Some(Difference { choice, groups, threshold, is_risky, commands }))
}

/// How many groups are needed to open the file.
fn threshold(metadata: &Metadata) -> usize {
    match metadata.groups.len() {
        0 | 1 => 1,
        _ => metadata.shamir_threshold,
    }
}

/// Says which recipients are the same key on the other side, in the form that ssh-to-age gives it.
fn hint(groups: &mut [Group], has: &[Vec<Recipient>], wanted: &[Vec<Recipient>]) {
    let converted = |side: &[Vec<Recipient>]| {
        let mut forms = BTreeMap::new();
        for recipient in side.iter().flatten().filter(|it| it.name.starts_with("ssh-ed25519 ")) {
            if let Some(age) = keys::ssh::to_age(&recipient.name) {
                forms.insert(age.clone(), recipient.name.clone());
                forms.insert(recipient.name.clone(), age);
            }
        }
        forms
    };
    let both: BTreeMap<String, String> = converted(has).into_iter().chain(converted(wanted)).collect();
    let names = |side: &[Vec<Recipient>], name: &str| side.iter().flatten().any(|it| it.name == name);
    for group in groups {
        for (list, other, whose) in
            [(&mut group.lacks, has, "the file has"), (&mut group.exceeds, wanted, "is wanted")]
        {
            for named in list {
                let Some(other_form) = both.get(&named.recipient.name).filter(|form| names(other, form))
                else {
                    continue;
                };
                named.hint = Some(if named.recipient.name.starts_with("ssh-") {
                    format!("its ssh-to-age form {other_form} {whose}")
                } else {
                    format!("this is the ssh-to-age form of {other_form}, which {whose}")
                });
            }
        }
    }
}

type Outcomes<'o> = [(&'o PathBuf, Result<Option<Difference>>)];

/// How many recipients a comment tells of each list.
const SHOWN: usize = 20;

fn script(files: &Outcomes, before: &[Line], after: &[Line]) -> Plaintext {
    let mut out = Plaintext::default();
    let mut line = |bytes: &[u8]| {
        out.push(bytes);
        out.push(b"\n");
    };
    for command in before {
        line(command);
    }
    for (path, outcome) in files {
        let Ok(Some(difference)) = outcome else { continue };
        for comment in comments(path, difference) {
            line(format!("# {}", one_line(&comment)).as_bytes());
        }
        for command in &difference.commands {
            line(command);
        }
    }
    for command in after {
        line(command);
    }
    out
}

/// What differs, for people.
fn comments(path: &Path, difference: &Difference) -> Vec<String> {
    let rule = match &difference.choice.config {
        Some(config) => format!(" (rule {} of {})", difference.choice.wanted.rule, config.display()),
        None => String::new(),
    };
    let mut comments = vec![format!("{}{rule}", path.display())];
    let several = difference.groups.len() > 1;
    for (at, group) in difference.groups.iter().enumerate() {
        let place = if several { format!("group {} ", at.saturating_add(1)) } else { String::new() };
        for (word, list) in [("lacks", &group.lacks), ("has too many", &group.exceeds)] {
            for named in list.iter().take(SHOWN) {
                let hint = named.hint.as_ref().map(|hint| format!("  ({hint})")).unwrap_or_default();
                comments.push(format!("  {place}{word}: {}{hint}", told(&named.recipient)));
            }
            match list.len().saturating_sub(SHOWN) {
                0 => {}
                more => comments.push(format!("  {place}{word}: and {more} more")),
            }
        }
    }
    if let Some((has, wanted)) = difference.threshold {
        comments.push(format!("  groups needed to open it: {has}, wanted {wanted}"));
    }
    if difference.groups.iter().any(|group| !group.exceeds.is_empty()) {
        comments
            .push("  who leaves has had the data key: `sops rotate --in-place` makes a new one".to_owned());
    }
    if difference.is_risky {
        comments.push(
            "  keep a copy: `sops groups add` writes the file even if it cannot encrypt to one of its keys"
                .to_owned(),
        );
    }
    comments
}

fn told(recipient: &Recipient) -> String {
    match recipient.kind {
        crate::sops::metadata::KeyKind::Age => recipient.name.clone(),
        kind => format!("{} {}", kind.name(), recipient.name),
    }
}

/// Text from a file may not end the comment that it stands in.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// `{version, before[], after[], files: [{file, differs, config, rule, threshold: {has, wanted}, groups: [{lacks, exceeds}],
/// commands[], error?}]}`; a recipient is `{kind, name, hint?}`.
fn to_json(files: &Outcomes, before: &[Line], after: &[Line]) -> Plaintext {
    let mut json = Writer::compact();
    json.begin_object();
    json.key(b"version");
    json.literal("1");
    report::strings(&mut json, "before", before.iter().map(Vec::as_slice));
    report::strings(&mut json, "after", after.iter().map(Vec::as_slice));
    json.key(b"files");
    json.begin_array();
    for (path, outcome) in files {
        json.begin_object();
        json.key(b"file");
        json.string(path.as_os_str().as_bytes());
        match outcome {
            Ok(None) => {
                json.key(b"differs");
                json.flag(false);
            }
            Ok(Some(difference)) => difference_to_json(difference, &mut json),
            Err(failure) => {
                json.key(b"error");
                report::failure_to_json(failure, &mut json);
            }
        }
        json.end_object();
    }
    json.end_array();
    json.end_object();
    let mut text = json.finish();
    text.push(b"\n");
    text
}

fn difference_to_json(difference: &Difference, json: &mut Writer) {
    json.key(b"differs");
    json.flag(true);
    if let Some(config) = &difference.choice.config {
        json.key(b"config");
        json.string(config.as_os_str().as_bytes());
        json.key(b"rule");
        json.literal(&difference.choice.wanted.rule.to_string());
    }
    if let Some((has, wanted)) = difference.threshold {
        json.key(b"threshold");
        json.begin_object();
        json.key(b"has");
        json.literal(&has.to_string());
        json.key(b"wanted");
        json.literal(&wanted.to_string());
        json.end_object();
    }
    json.key(b"groups");
    json.begin_array();
    for group in &difference.groups {
        json.begin_object();
        for (key, list) in [("lacks", &group.lacks), ("exceeds", &group.exceeds)] {
            json.key(key.as_bytes());
            json.begin_array();
            for named in list {
                json.begin_object();
                json.key(b"kind");
                json.string(named.recipient.kind.name().as_bytes());
                json.key(b"name");
                json.string(named.recipient.name.as_bytes());
                if let Some(hint) = &named.hint {
                    json.key(b"hint");
                    json.string(hint.as_bytes());
                }
                json.end_object();
            }
            json.end_array();
        }
        json.end_object();
    }
    json.end_array();
    report::strings(json, "commands", difference.commands.iter().map(Vec::as_slice));
}

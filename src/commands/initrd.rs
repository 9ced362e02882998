//! `forestage initrd`: puts secrets into an initrd, shows them, compares them with a manifest, takes them out.

use std::{
    collections::BTreeMap,
    env,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    boot::profiles,
    failure::{self, Failure, Result},
    initrd::{
        append::{self, Change, Done, Earlier},
        declared::{self, Inputs, Standing},
        examine::{Found, State},
        find::{self, Survey, Verdict},
        segment::{self, Entry, Spec},
    },
    json::Writer,
    keys::{Access, Keyring},
    manifest::{InitrdContent, Kind, Manifest, Phase, Placement},
    open::{self, Opened},
    owners::Owners,
    plaintext::Plaintext,
    root::Root,
    tree::{File, Mode, Owner},
};

use super::{
    Status,
    console::Console,
    install,
    report::{self, Outcome, Report},
};

/// What to append.
#[derive(Debug)]
pub struct Append {
    /// What should be in the initrd.
    pub manifest: PathBuf,
    /// The pristine initrd; else the manifest's `base`.
    pub base: Option<PathBuf>,
    /// The path by which boot.json names the caller; else the manifest's `appender`. (A script of the Nix store
    /// knows its own path; the manifest that it names cannot.)
    pub appender: Option<PathBuf>,
    /// Where the boot loader keeps what was appended to temporary files elsewhere.
    pub kept: Option<PathBuf>,
    /// What the manifest's absolute paths are relative to.
    pub root: Option<PathBuf>,
    /// How to reach keys that are not simply there.
    pub access: Access,
    /// The initrd; made when it does not exist.
    pub file: PathBuf,
}

/// What to do with an initrd.
#[derive(Debug)]
pub enum Action {
    /// Make the manifest's segment the only one of ours in the file.
    Append(Append),
    /// Print what stage 1 has to expect: names and targets, for `/etc/forestage/initrd.json` in the bare initrd.
    Expect {
        /// What will be appended.
        manifest: PathBuf,
    },
    /// Show the segments of the file.
    List {
        /// The initrd.
        file: PathBuf,
        /// One JSON object on standard output.
        json: bool,
    },
    /// Compare the segment of the file with a manifest.
    Verify {
        /// What should be there.
        manifest: PathBuf,
        /// What the manifest's absolute paths are relative to.
        root: Option<PathBuf>,
        /// The initrd.
        file: PathBuf,
        /// One JSON object on standard output.
        json: bool,
    },
    /// Take our segments out of the file.
    Remove {
        /// The initrd.
        file: PathBuf,
    },
}

/// Does it.
pub fn run(action: &Action, console: &Console) -> Result<Status> {
    match action {
        Action::Append(options) => append(options, console),
        Action::Expect { manifest } => expect(manifest, console),
        Action::List { file, json } => list(file, *json, console),
        Action::Verify { manifest, root, file, json } => {
            verify(manifest, root.as_deref(), file, *json, console)
        }
        Action::Remove { file } => Ok(told(&append::remove(file, None)?, file, console)),
    }
}

fn append(options: &Append, console: &Console) -> Result<Status> {
    let file = options.file.as_path();
    let root = options.root.as_deref().map_or(Ok(Root::system()), Root::at)?;
    let inputs = Inputs::new(&root);
    let manifest = inputs.manifest(&options.manifest)?;
    let base = options.base.clone().or_else(|| Some(root.join(manifest.initrd.base.as_ref()?)));
    let keyring = Keyring::from_manifest(&manifest.identities, &root).with_access(&options.access);
    let contents = open::contents(&manifest, &|path| inputs.read(path), &keyring, |_| true);
    let (entries, failures) = entries(&manifest, contents.secrets, contents.templates, &root);
    if failures.is_empty() {
        if entries.is_empty() {
            return Err(Failure::new("the manifest has nothing for the initrd")
                .fact("manifest", options.manifest.display())
                .fix("give its secrets a `path`, or list them in `files`"));
        }
        warn_of_parents(&manifest, &entries, console);
        let spec = Spec {
            manifest: inputs.digest(),
            directories: manifest.initrd.directories.clone(),
            files: entries,
        };
        let done = append::append(file, base.as_deref(), &segment::build(&spec)?)?;
        warn_of_readers(file, console);
        return Ok(told(&done, file, console));
    }
    let appender =
        options.appender.as_ref().or(manifest.initrd.appender.as_ref()).and_then(|path| path.to_str());
    let toplevel = env::var_os("TOPLEVEL").map(PathBuf::from);
    let older = appender.filter(|appender| !profiles::is_current(&root, toplevel.as_deref(), appender));
    let mut closed = None;
    if let Some(appender) = older {
        let (generation, fix) = profiles::who_uses(&root, appender);
        let names: Vec<_> = failures.iter().map(|outcome| outcome.name.as_str()).collect();
        let cannot = Failure::new(format!("{generation}: {} cannot be opened any more", report::few(&names)));
        // Without all ciphertexts there is no digest to go by. With them, other bytes are another generation's.
        let unknown = inputs.read_all(&manifest).is_err();
        let earlier = Earlier {
            manifest: inputs.digest(),
            alike: &|index| unknown && declared::alike(&manifest, index),
            kept: options.kept.as_deref(),
        };
        if let Some(done) = append::reuse(file, base.as_deref(), &earlier)? {
            failures.iter().filter_map(|outcome| outcome.failure.as_ref()).for_each(|f| console.warning(f));
            let kept = cannot.fact("kept", "the secrets that it had, so it boots as before");
            console.warning(&kept.fix(format!("bring the identity back, or: {fix}")));
            return Ok(told(&done, file, console));
        }
        let missing = "no initrd of that name has the secrets that an earlier run wrote; nothing was written";
        closed = Some(cannot.fact("and", missing).fix(fix));
    }
    let mut report = Report::new(Phase::Initrd);
    report.secrets = failures;
    report.tell(console, false, false)?;
    if let Some(failure) = closed {
        console.error(&failure);
    }
    // Boot loaders tell 0 from everything else.
    Ok(Status::Failed)
}

/// What the manifest wants in the initrd, and what of it failed.
fn entries<'m>(
    manifest: &'m Manifest,
    secrets: Vec<Opened>,
    templates: Vec<Opened>,
    root: &Root,
) -> (Vec<Entry>, Vec<Outcome>) {
    let owners = match (&manifest.initrd.passwd_file, &manifest.initrd.group_file) {
        (None, None) => Owners::of(root),
        (passwd, group) => Owners::in_files(
            root,
            passwd.clone().unwrap_or_else(|| "/etc/passwd".into()),
            group.clone().unwrap_or_else(|| "/etc/group".into()),
        ),
    };
    let by_path =
        |(placement, content): (&'m Placement, Opened)| (placement.name.as_path(), (placement, content));
    let placements = manifest.secrets.iter().map(|secret| &secret.placement);
    let secrets = placements.zip(secrets).map(by_path).collect();
    let placements = manifest.templates.iter().map(|template| &template.placement);
    let templates = placements.zip(templates).map(by_path).collect();
    let placed = Placed { secrets, templates };
    let (mut entries, mut failures) = (Vec::new(), Vec::new());
    let mut take = |name: &str, option: String, entry: Result<Entry>| match entry {
        Ok(entry) => entries.push(entry),
        Err(failure) => {
            let (name, state) = (name.to_owned(), report::State::Failed);
            failures.push(Outcome { name, option, state, failure: Some(failure) });
        }
    };
    if manifest.initrd.files.is_empty() {
        // A manifest of sops-nix: each secret goes where its path says.
        let secrets = placed.secrets.values().map(|(placement, content)| (Kind::Secret, placement, content));
        let templates =
            placed.templates.values().map(|(placement, content)| (Kind::Template, placement, content));
        for (kind, placement, content) in secrets.chain(templates) {
            let target = declared::target(manifest, placement);
            let entry = content.clone().and_then(|content| {
                let (mode, owner) = (placement.mode.clone()?, install::owner(placement, &owners)?);
                Ok(Entry {
                    file: File { path: target, content, mode, owner },
                    plain_source: false,
                    credential: None,
                })
            });
            take(placement.name.as_str(), placement.option(kind), entry);
        }
    }
    for wanted in &manifest.initrd.files {
        let owner = Owner { uid: wanted.uid, gid: wanted.gid };
        let entry = |path: PathBuf, content: Arc<Plaintext>, mode: Mode, plain_source: bool| Entry {
            file: File { path, content, mode, owner },
            plain_source,
            credential: wanted.credential.clone(),
        };
        let name = wanted.target.display().to_string();
        let option = || format!("initrd:{name}");
        if let InitrdContent::Source(source) = &wanted.content {
            match plain(source, wanted.credential.is_some(), root) {
                Ok(copies) => copies.into_iter().for_each(|copy| {
                    let (path, mode) = (copy.place(&wanted.target), wanted.mode.unwrap_or(copy.mode));
                    take(&name, option(), Ok(entry(path, Arc::new(copy.content), mode, true)));
                }),
                Err(failure) => take(&name, option(), Err(failure)),
            }
            continue;
        }
        let made = placed.content(&wanted.content).and_then(|(content, own_mode)| {
            let mode = wanted.mode.map_or(own_mode, Ok)?;
            Ok(entry(wanted.target.clone(), content, mode, false))
        });
        take(&name, option(), made);
    }
    (entries, failures)
}

/// What a plain source gives. A credential is one file.
fn plain(source: &Path, credential: bool, root: &Root) -> Result<Vec<declared::Copy>> {
    let copies = declared::copies(source, root)?;
    if credential && copies.iter().any(|copy| copy.place(source) != source) {
        return Err(Failure::new(format!("{} is a directory, and no credential", source.display())));
    }
    Ok(copies)
}

/// The manifest's secrets and templates with what they hold, by their paths.
struct Placed<'m> {
    secrets: BTreeMap<&'m Path, (&'m Placement, Opened)>,
    templates: BTreeMap<&'m Path, (&'m Placement, Opened)>,
}

impl Placed<'_> {
    /// The bytes of an initrd file, and the mode that it has if nothing else is said.
    fn content(&self, content: &InitrdContent) -> Result<(Arc<Plaintext>, Result<Mode>)> {
        let (kind, list, name) = match content {
            InitrdContent::Source(path) => return Err(Failure::io("open", path, "a secret was expected")),
            InitrdContent::Secret(name) => ("secret", &self.secrets, name),
            InitrdContent::Template(name) => ("template", &self.templates, name),
        };
        let (placement, opened) = list
            .get(name.as_path())
            .ok_or_else(|| Failure::new(format!("the manifest has no {kind} {:?}", name.as_str())))?;
        Ok((opened.clone()?, placement.mode.clone()))
    }
}

/// A file whose directory is missing in the initrd is lost silently, and only the manifest can know.
fn warn_of_parents(manifest: &Manifest, entries: &[Entry], console: &Console) {
    if manifest.phase == Phase::Initrd {
        return;
    }
    let elsewhere = entries.iter().map(|entry| &entry.file.path).filter(|path| !path.starts_with("/run"));
    for parent in elsewhere.filter_map(|path| path.parent()).filter(|parent| *parent != Path::new("/")) {
        console.warning(
            &Failure::new(format!(
                "the kernel drops a file whose directory {} is not in the initrd",
                parent.display()
            ))
            .fix("use a manifest of the initrd phase, which lists `directories`"),
        );
    }
}

/// What is in the initrd is in the clear: whoever reads the file has the secrets.
fn warn_of_readers(file: &Path, console: &Console) {
    let mode = std::fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o044 != 0 {
        console.warning(
            &Failure::new(format!(
                "{} holds secrets, and others may read it (mode {:04o})",
                file.display(),
                mode & 0o777
            ))
            .fix("chmod 600, or on a FAT boot partition mount it with umask=0077"),
        );
    }
}

fn told(done: &Done, file: &Path, console: &Console) -> Status {
    for warning in &done.warnings {
        console.warning(&Failure::new(warning.as_str()));
    }
    let what = match done.change {
        Change::Unchanged => "unchanged",
        Change::Appended => "secrets appended",
        Change::Replaced => "secrets replaced",
        Change::Removed => "secrets removed",
    };
    console.note(&format!("{}: {what}", file.display()));
    Status::Done
}

/// Anybody may read the bare initrd: nothing here is derived from a plaintext, nor from a ciphertext.
fn expect(manifest: &Path, console: &Console) -> Result<Status> {
    let manifest = Manifest::read(manifest)?;
    let mut json = Writer::tabbed();
    json.begin_object();
    json.key(b"version");
    json.literal("1");
    json.key(b"symlinkPath");
    let symlink = Some(&manifest.symlink_path).filter(|path| path.is_absolute());
    json.string(symlink.map_or(b"/run/secrets".as_slice(), |path| path.as_os_str().as_encoded_bytes()));
    json.key(b"files");
    json.begin_array();
    for wanted in declared::wanted(&manifest) {
        json.begin_object();
        json.key(b"name");
        json.string(wanted.name.as_bytes());
        json.key(b"target");
        json.string(wanted.target.as_os_str().as_encoded_bytes());
        json.end_object();
    }
    json.end_array();
    json.end_object();
    let mut text = json.finish();
    text.push(b"\n");
    console.print(&text)?;
    Ok(Status::Done)
}

/// What is in an initrd.
fn surveyed(file: &Path) -> Result<Survey> {
    let opened = find::open(file, false)?.ok_or_else(|| Failure::io("open", file, "no such file"))?;
    let survey = find::survey(&opened, file, None)?;
    if survey.found.is_empty() {
        append::refuse_what_is_no_initrd(&opened, file, &survey)?;
    }
    Ok(survey)
}

fn list(file: &Path, json: bool, console: &Console) -> Result<Status> {
    let found = surveyed(file)?.found;
    if json {
        let mut json = Writer::compact();
        json.begin_object();
        json.key(b"version");
        json.literal("1");
        json.key(b"segments");
        json.begin_array();
        for found in &found {
            segment_to_json(found, &mut json);
        }
        json.end_array();
        json.end_object();
        let mut text = json.finish();
        text.bytes_mut().push(b'\n');
        console.print(&text)?;
        return Ok(Status::Done);
    }
    let mut lines = Vec::new();
    for found in &found {
        let length = found.end.map_or("?".to_owned(), |end| end.saturating_sub(found.start).to_string());
        lines.push(format!("segment at {}, {length} bytes: {}", found.start, state(&found.state)));
        for file in found.index.iter().flat_map(|index| &index.files) {
            let Owner { uid, gid } = file.owner;
            lines.push(format!("{} {uid}:{gid} {:>8} {}", file.mode, file.size, file.target()));
        }
    }
    lines.push(String::new());
    console.print(lines.join("\n").as_bytes())?;
    if found.is_empty() {
        console.note(&format!("{}: no secrets", file.display()));
    }
    Ok(Status::Done)
}

fn state(state: &State) -> String {
    match state {
        State::Whole => "whole".to_owned(),
        State::Cut => "cut: the kernel ignores it or lands wrong bytes".to_owned(),
        State::Damaged(paths) => format!("damaged: {}", report::few(paths)),
        State::Later(version) => format!("of format version {version}, which this forestage does not know"),
    }
}

fn segment_to_json(found: &Found, json: &mut Writer) {
    json.begin_object();
    json.key(b"start");
    json.literal(&found.start.to_string());
    json.key(b"state");
    json.string(match found.state {
        State::Whole => b"whole",
        State::Cut => b"cut",
        State::Damaged(_) => b"damaged",
        State::Later(_) => b"unknown version",
    });
    json.key(b"files");
    json.begin_array();
    for file in found.index.iter().flat_map(|index| &index.files) {
        json.begin_object();
        json.key(b"target");
        json.string(file.target().as_bytes());
        json.key(b"mode");
        json.string(file.mode.to_string().as_bytes());
        for (name, number) in [("uid", file.owner.uid), ("gid", file.owner.gid), ("size", file.size)] {
            json.key(name.as_bytes());
            json.literal(&number.to_string());
        }
        json.end_object();
    }
    json.end_array();
    json.end_object();
}

/// Fresh, or stale and missing (5), or damaged (1). Needs no private key.
fn verify(
    manifest_path: &Path,
    root: Option<&Path>,
    file: &Path,
    json: bool,
    console: &Console,
) -> Result<Status> {
    let root_option = root;
    let root = root.map_or(Ok(Root::system()), Root::at)?;
    let inputs = Inputs::new(&root);
    let manifest = inputs.manifest(manifest_path)?;
    inputs.read_all(&manifest)?;
    let survey = surveyed(file)?;
    let digest = inputs.digest();
    let verdict = survey.verdict(&digest);
    // Of plain files the digest knows nothing.
    let wanted = declared::wanted(&manifest);
    let changed = wanted.iter().filter(|_| verdict == Verdict::Fresh).find_map(|wanted| {
        match declared::standing(wanted, &survey, &digest, &root) {
            Standing::Fresh => None,
            Standing::Unknown(failure) => Some(Err(failure)),
            _ => Some(Ok(wanted.name)),
        }
    });
    let verdict = if changed.transpose()?.is_some() { Verdict::Stale } else { verdict };
    let (word, told) = match &verdict {
        Verdict::Fresh => ("fresh", "fresh".to_owned()),
        Verdict::Stale => ("stale", "its secrets are not those of the manifest".to_owned()),
        Verdict::Missing => ("missing", "it carries no secrets".to_owned()),
        Verdict::Cut => ("cut", "its secrets are cut short".to_owned()),
        Verdict::Damaged(paths) => ("damaged", format!("its secrets are damaged: {}", report::few(paths))),
    };
    if json {
        console.print(format!("{{\"version\":1,\"state\":\"{word}\"}}\n").as_bytes())?;
    }
    let told = format!("{}: {told}", file.display());
    let kind = match verdict {
        Verdict::Fresh => {
            console.note(&told);
            return Ok(Status::Done);
        }
        Verdict::Stale | Verdict::Missing => failure::Kind::Stale,
        Verdict::Cut | Verdict::Damaged(_) => failure::Kind::Other,
    };
    let options = root_option.map_or_else(String::new, |dir| format!("--root {} ", dir.display()));
    let manifest = manifest_path.display();
    let fix = format!("forestage initrd append {options}--manifest {manifest} {}", file.display());
    Err(Failure::new(told).kind(kind).fix(fix))
}

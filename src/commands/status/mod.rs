//! `forestage status`: whether what boots carries the secrets that were declared. Reads only, and needs no private
//! key: fresh is what was made of the manifest and the ciphertexts of its generation.

mod tell;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    boot::{
        Entry, bootspec,
        menu::{self, Found, Loader, Menu, Partition},
        profiles::{self, Generation},
        uki,
    },
    failure::{Failure, Result},
    initrd::{
        declared::{self, Inputs, Standing},
        find::{self, Survey},
    },
    input,
    manifest::Manifest,
    root::Root,
};

use super::{Status, console::Console};

/// The manifest of machines that have no generations: the hooks of other distributions append it.
const HOST_MANIFEST: &str = "/etc/forestage/initrd-manifest.json";
/// An appender is a small script.
const APPENDER_MAX: u64 = 1 << 20;

/// What to look at.
#[derive(Debug, Default)]
pub struct Options {
    /// What absolute paths are relative to.
    pub root: Option<PathBuf>,
    /// Boot partitions; those where they are usually mounted if there is none.
    pub esps: Vec<PathBuf>,
    /// The manifest of entries that no generation declares; not relative to `root`.
    pub manifest: Option<PathBuf>,
    /// One JSON object on standard output.
    pub json: bool,
}

/// How an entry or an initrd stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Nothing is declared for it, or nothing is in it.
    None,
    Fresh,
    Unknown,
    Stale,
    Missing,
    Damaged,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fresh => "fresh",
            Self::Unknown => "unknown",
            Self::Stale => "stale",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
        }
    }
}

/// A secret of an entry.
struct Secret {
    name: String,
    target: PathBuf,
    state: State,
    reason: Option<String>,
}

/// An entry, judged.
struct Judged {
    found: Found,
    generation: Option<Booted>,
    manifest: Option<PathBuf>,
    /// Digest of what is declared, and those of the segments that are there.
    declared: Option<[u8; 32]>,
    present: Vec<[u8; 32]>,
    state: State,
    secrets: Vec<Secret>,
    reasons: Vec<String>,
}

/// The generation that an entry boots.
struct Booted {
    profile: PathBuf,
    number: u64,
    specialisation: Option<String>,
    initrd: Option<PathBuf>,
    appender: Option<PathBuf>,
}

/// An initrd on a boot partition.
struct Initrd {
    path: PathBuf,
    size: u64,
    used: bool,
    state: State,
}

/// All that is told.
struct Picture {
    entries: Vec<Judged>,
    partitions: Vec<(Partition, Vec<Initrd>)>,
    unreadable: Vec<Failure>,
}

/// Looks, tells, and says by the status how the default entry stands.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let root = options.root.as_deref().map_or(Ok(Root::system()), Root::at)?;
    let Menu { entries, partitions, unreadable } = menu::read(&root, &options.esps);
    let generations = profiles::generations(&root);
    let mut judge = Judge {
        root: &root,
        host_manifest: options.manifest.clone(),
        generations: &generations,
        surveys: BTreeMap::new(),
        declared: BTreeMap::new(),
    };
    let mut judged: Vec<_> = entries.into_iter().map(|found| judge.entry(found)).collect();
    let orphans = judge.orphans(&judged);
    judged.extend(orphans);
    let partitions = partitions.into_iter().map(|partition| {
        let initrds = judge.initrds(&partition, &judged);
        (partition, initrds)
    });
    let picture = Picture { partitions: partitions.collect(), entries: judged, unreadable };
    if options.json {
        console.print(&tell::json(&picture))?;
    } else {
        console.print(tell::table(&picture).as_bytes())?;
        picture.unreadable.iter().for_each(|failure| console.warning(failure));
    }
    Ok(picture.status(console))
}

impl Picture {
    fn default(&self) -> Option<&Judged> {
        self.entries.iter().find(|judged| judged.found.default)
    }

    fn status(&self, console: &Console) -> Status {
        let Some(default) = self.default() else {
            let mut failure = Failure::new("which entry boots by default cannot be told");
            if self.entries.is_empty() {
                failure = Failure::new("no boot entry was found")
                    .fix("name the boot partition with --esp DIR; only root may read some");
            }
            console.error(&failure);
            return Status::Failed;
        };
        let id = &default.found.entry.id;
        match default.state {
            State::None | State::Fresh => Status::Done,
            State::Stale | State::Missing => {
                console.error(
                    &Failure::new(format!(
                        "the default entry {id} boots with secrets that are {}",
                        default.state.name()
                    ))
                    .fix("install the boot loader again (nixos-rebuild boot), or: forestage initrd append"),
                );
                Status::Stale
            }
            State::Unknown | State::Damaged => {
                let what = if default.state == State::Damaged { "are damaged" } else { "cannot be judged" };
                let mut failure = Failure::new(format!("the secrets of the default entry {id} {what}"));
                for reason in &default.reasons {
                    failure = failure.fact("because", reason);
                }
                console.error(&failure);
                Status::Failed
            }
        }
    }
}

/// The manifest and its digest.
type Declared = Result<(Manifest, [u8; 32])>;

struct Judge<'r> {
    root: &'r Root,
    host_manifest: Option<PathBuf>,
    generations: &'r [Generation],
    /// Each file is looked at once, whatever entries share it.
    surveys: BTreeMap<PathBuf, Result<Survey>>,
    /// By the path at which the manifest is read.
    declared: BTreeMap<PathBuf, Declared>,
}

impl Judge<'_> {
    fn entry(&mut self, found: Found) -> Judged {
        let generation = found.entry.init().and_then(|init| self.booted(init));
        let mut reasons = Vec::new();
        let manifest = match &generation {
            Some(booted) => booted.appender.as_deref().and_then(|appender| {
                self.manifest_of(appender).map_err(|failure| reasons.push(failure.headline)).ok()?
            }),
            None => self.manifest_of_host(&found.entry),
        };
        let mut judged = Judged {
            found,
            generation,
            manifest,
            declared: None,
            present: Vec::new(),
            state: if reasons.is_empty() { State::None } else { State::Unknown },
            secrets: Vec::new(),
            reasons,
        };
        if judged.found.initrds.is_empty() {
            return judged;
        }
        let Some(survey) = self.combined(&mut judged) else {
            if judged.manifest.is_some() {
                judged.state = State::Unknown;
            }
            return judged;
        };
        judged.present =
            survey.found.iter().filter_map(|found| Some(found.index.as_ref()?.manifest)).collect();
        self.secrets(&mut judged, &survey);
        if let (Some(wanted), [initrd]) = (judged.found.entry.initrd_sha256, judged.found.initrds.as_slice())
            && digest(initrd).is_ok_and(|digest| digest != wanted)
        {
            let reason = format!("{} is not the file that was signed", initrd.display());
            judged.reasons.push(reason);
            judged.state = State::Damaged;
        }
        judged
    }

    /// The kernel unpacks the initrds of an entry one after the other, as if they were one.
    fn combined(&mut self, judged: &mut Judged) -> Option<Survey> {
        let base = judged.generation.as_ref().and_then(|booted| booted.initrd.as_deref());
        let base = base.map(|base| self.root.join(base));
        let mut all = Survey { length: 0, base: None, found: Vec::new(), dead: None };
        for path in &judged.found.initrds {
            match self.survey(path, base.as_deref()) {
                Ok(survey) => all.found.extend(survey.found.iter().cloned()),
                Err(failure) => judged.reasons.push(failure.headline.clone()),
            }
        }
        judged.reasons.is_empty().then_some(all)
    }

    fn survey(&mut self, path: &Path, base: Option<&Path>) -> &Result<Survey> {
        self.surveys.entry(path.to_owned()).or_insert_with(|| {
            let file = find::open(path, false)?.ok_or_else(|| Failure::io("open", path, "no such file"))?;
            let cannot = |error| Failure::io("read", path, error);
            let length = file.metadata().map_err(cannot)?.len();
            let Some(bytes) = uki::initrd_within(&file, length) else {
                return find::survey(&file, path, base);
            };
            let length = bytes.end.saturating_sub(bytes.start);
            find::search(&uki::Part { file: &file, bytes }, length, None).map_err(cannot)
        })
    }

    fn secrets(&mut self, judged: &mut Judged, survey: &Survey) {
        let Some(path) = &judged.manifest else { return };
        let root = self.root;
        // The argument of the command line is taken as it is, as by every other command.
        let path = match &self.host_manifest {
            Some(given) if judged.generation.is_none() => given.clone(),
            _ => root.join(path),
        };
        let declared = self.declared.entry(path).or_insert_with_key(|path| {
            let inputs = Inputs::new(root);
            let manifest = inputs.manifest(path)?;
            inputs.read_all(&manifest)?;
            Ok((manifest, inputs.digest()))
        });
        let (manifest, digest) = match declared {
            Ok((manifest, digest)) => (&*manifest, *digest),
            Err(failure) => {
                judged.reasons.push(failure.headline.clone());
                judged.state = State::Unknown;
                return;
            }
        };
        judged.declared = Some(digest);
        for wanted in declared::wanted(manifest) {
            let (state, reason) = match declared::standing(&wanted, survey, &digest, root) {
                Standing::Fresh => (State::Fresh, None),
                Standing::Stale => (State::Stale, None),
                Standing::Missing => (State::Missing, None),
                Standing::Damaged => (State::Damaged, None),
                Standing::Unknown(failure) => (State::Unknown, Some(failure.headline)),
            };
            judged.reasons.extend(reason.clone());
            let name = wanted.name.to_owned();
            judged.secrets.push(Secret { name, target: wanted.target, state, reason });
        }
        let states = || judged.secrets.iter().map(|secret| secret.state);
        judged.state = match states().max().unwrap_or(State::None) {
            // An initrd that lacks one of its secrets is an old one.
            State::Missing if states().any(|state| state != State::Missing) => State::Stale,
            worst => worst,
        };
    }

    /// The generation whose system begins stage 2 with this program.
    fn booted(&self, init: &str) -> Option<Booted> {
        self.generations.iter().find_map(|generation| {
            let systems = &generation.bootspec.as_ref().ok()?.systems;
            let system = systems.iter().find(|system| system.init.as_deref() == Some(Path::new(init)))?;
            Some(Booted {
                profile: generation.profile.clone(),
                number: generation.number,
                specialisation: system.specialisation.clone(),
                initrd: system.initrd.clone(),
                appender: system.appender.clone(),
            })
        })
    }

    /// The manifest that an appender names; none if it is not ours.
    fn manifest_of(&self, appender: &Path) -> Result<Option<PathBuf>> {
        Ok(bootspec::manifest_of(&input::read_file(self.root, appender, APPENDER_MAX)?))
    }

    /// Of a machine without generations. Other installations on the same partition have manifests of their own.
    fn manifest_of_host(&self, entry: &Entry) -> Option<PathBuf> {
        let ours = input::read_file(self.root, Path::new("/etc/machine-id"), 4096).ok();
        let ours = ours.as_ref().map(|id| id.trim_ascii()).filter(|id| !id.is_empty());
        let foreign = entry.id.starts_with("osprober")
            || entry.init().is_some_and(|init| init.starts_with("/nix/store/"))
            || entry
                .order
                .machine_id
                .as_deref()
                .is_some_and(|id| ours.is_some_and(|ours| ours != id.as_bytes()));
        let host = Path::new(HOST_MANIFEST);
        let usual = || self.root.open(host).is_ok().then(|| host.to_owned());
        if foreign { None } else { self.host_manifest.clone().or_else(usual) }
    }

    /// Generations that declare secrets for the initrd, and that no entry boots.
    fn orphans(&mut self, judged: &[Judged]) -> Vec<Judged> {
        let booted: BTreeSet<_> = judged
            .iter()
            .filter_map(|judged| judged.generation.as_ref())
            .map(|it| (&it.profile, it.number))
            .collect();
        let mut orphans = Vec::new();
        for generation in self.generations {
            let Ok(bootspec) = &generation.bootspec else { continue };
            let Some(system) = bootspec.systems.first() else { continue };
            if booted.contains(&(&generation.profile, generation.number)) {
                continue;
            }
            let Some(Ok(Some(manifest))) = system.appender.as_deref().map(|path| self.manifest_of(path))
            else {
                continue;
            };
            let id = generation.number.to_string();
            let entry = Entry { id, title: system.label.clone(), ..Entry::default() };
            orphans.push(Judged {
                found: Found { loader: Loader::Profile, entry, default: false, initrds: Vec::new() },
                generation: Some(Booted {
                    profile: generation.profile.clone(),
                    number: generation.number,
                    specialisation: None,
                    initrd: system.initrd.clone(),
                    appender: system.appender.clone(),
                }),
                manifest: Some(manifest),
                declared: None,
                present: Vec::new(),
                state: State::Unknown,
                secrets: Vec::new(),
                reasons: vec!["no boot entry that could be read boots it".to_owned()],
            });
        }
        orphans
    }

    /// The initrds of a partition: those that entries name, and what lies beside them and looks like one.
    fn initrds(&mut self, partition: &Partition, judged: &[Judged]) -> Vec<Initrd> {
        let named =
            || judged.iter().flat_map(|judged| judged.found.initrds.iter().map(move |path| (judged, path)));
        let used: BTreeSet<_> =
            named().map(|(_, path)| path.clone()).filter(|path| path.starts_with(&partition.path)).collect();
        let directories: BTreeSet<_> = used.iter().filter_map(|path| path.parent()).collect();
        let beside = directories.into_iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
        let beside =
            beside.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| looks_like_initrd(path));
        let all: BTreeSet<_> = used.iter().cloned().chain(beside).collect();
        let mut initrds = Vec::new();
        for path in all {
            let Ok(about) = fs::metadata(&path) else { continue };
            let states = named().filter(|(_, named)| **named == path).map(|(judged, _)| judged.state);
            let state = states.max().unwrap_or_else(|| match self.survey(&path, None) {
                Ok(survey) if survey.found.is_empty() => State::None,
                Ok(_) | Err(_) => State::Unknown,
            });
            initrds.push(Initrd { size: about.len(), used: used.contains(&path), state, path });
        }
        initrds
    }
}

/// SHA-256 of a file.
fn digest(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(count) => hash.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn looks_like_initrd(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["initrd", "initramfs", "-secrets"].iter().any(|part| name.contains(part)) && path.is_file()
}

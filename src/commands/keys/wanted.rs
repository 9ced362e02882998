//! Which recipients are wanted for a file: those that were given, or those of the `.sops.yaml` that sops would take.
//!
//! sops looks for `.sops.yaml` from the current directory upwards, wherever the file is. Where it would find none, the
//! search begins at the file, and the printed commands name what was found.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Component, Path, PathBuf},
};

use crate::{
    commands::recipients,
    failure::{Failure, Kind, Result},
    input, keys,
    sops::{
        creation_rules::{CreationRules, Wanted},
        metadata::KeyKind,
        recipient::Recipient,
    },
};

/// The largest `.sops.yaml`, in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// How far up sops looks.
const MAX_LEVELS: usize = 100;

const NAME: &str = ".sops.yaml";

/// Where what is wanted comes from.
pub(super) enum Source {
    /// The recipients that were given, in one group.
    Given(Vec<Recipient>),
    /// Rules, read once each.
    Rules(Rules),
}

/// The `.sops.yaml` files of a run.
pub(super) struct Rules {
    /// The current directory, as sops sees it.
    here: PathBuf,
    /// The one that sops takes when nothing is said: `--config`, `SOPS_CONFIG`, or from the current directory upwards.
    usual: Option<PathBuf>,
    /// It was said on the command line, so that the printed commands must say it too.
    is_said: bool,
    read: BTreeMap<PathBuf, Result<CreationRules>>,
}

/// What is wanted for one file, and why.
pub(super) struct Choice {
    /// The groups and the threshold.
    pub wanted: Wanted,
    /// The `.sops.yaml`, if one decided.
    pub config: Option<PathBuf>,
    /// sops has to be told to take it.
    pub is_unusual: bool,
}

impl Source {
    /// The recipients on the command line and in files.
    pub(super) fn given(texts: &[String], files: &[PathBuf]) -> Result<Self> {
        let recipients = recipients::given(texts, files)?;
        if recipients.is_empty() {
            return Err(Failure::new("the list of recipients is empty").kind(Kind::Usage));
        }
        Ok(Self::Given(recipients))
    }

    /// The rules of `config`, or of where sops looks.
    pub(super) fn rules(config: Option<&Path>) -> Result<Self> {
        let here = current_directory()?;
        let variable = || env::var_os("SOPS_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
        let usual = match config {
            Some(path) => Some(path.to_owned()),
            None => variable().or_else(|| found_above(Path::new("."))),
        };
        Ok(Self::Rules(Rules { here, usual, is_said: config.is_some(), read: BTreeMap::new() }))
    }

    /// What is wanted for the file at `path`. Recipients that sops could not encrypt to are a failure.
    pub(super) fn choose(&mut self, path: &Path) -> Result<Choice> {
        let choice = self.chosen(path)?;
        let mut age = choice.wanted.groups.iter().flatten().filter(|it| it.kind == KeyKind::Age);
        match age.find_map(|it| Some((it, keys::recipient::flaw(&it.name)?))) {
            None => Ok(choice),
            // Not the text itself: it may be a private key that was put into the wrong place.
            Some((recipient, flaw)) => Err(Failure::new("one of the wanted age recipients cannot be used")
                .fact("it begins with", recipient.name.chars().take(12).collect::<String>())
                .fact("why", flaw)),
        }
    }

    fn chosen(&mut self, path: &Path) -> Result<Choice> {
        match self {
            Self::Given(recipients) => {
                let wanted = Wanted { rule: 0, groups: vec![recipients.clone()], threshold: 1 };
                Ok(Choice { wanted, config: None, is_unusual: false })
            }
            Self::Rules(rules) => rules.choose(path),
        }
    }
}

impl Rules {
    fn choose(&mut self, path: &Path) -> Result<Choice> {
        let file = absolute(&self.here, path);
        let found = match &self.usual {
            Some(config) => Some(config.clone()),
            None => file.parent().and_then(found_above),
        };
        let config = found.ok_or_else(|| {
            Failure::new("there is no .sops.yaml")
                .fact("looked", "above the current directory, then above the file")
                .fix("say --config FILE or --recipient RECIPIENT")
        })?;
        let rules = self.read.entry(config.clone()).or_insert_with(|| {
            CreationRules::parse(&input::read(&config, MAX_SIZE)?)
                .map_err(|failure| failure.fact("configuration", config.display()))
        });
        let rules = rules.as_ref().map_err(Clone::clone)?;
        let config_file = absolute(&self.here, &config);
        let directory = config_file.parent().unwrap_or(Path::new("/"));
        let wanted = rules.wanted(below(directory, &file)).map_err(|failure| {
            failure.fact("configuration", config.display()).fact("file", path.display())
        })?;
        Ok(Choice { wanted, config: Some(config), is_unusual: self.is_said || self.usual.is_none() })
    }
}

/// The first `.sops.yaml` in the directory or above it.
fn found_above(directory: &Path) -> Option<PathBuf> {
    let mut directory = directory.to_owned();
    for _ in 0..MAX_LEVELS {
        let config = directory.join(NAME);
        let config = config.strip_prefix(".").map(Path::to_owned).unwrap_or(config);
        if fs::metadata(&config).is_ok() {
            return Some(config);
        }
        if directory.is_absolute() {
            directory = directory.parent()?.to_owned();
        } else if directory == Path::new(".") {
            directory = "..".into();
        } else {
            directory.push("..");
        }
    }
    None
}

/// `PWD` if it is the current directory: Go believes it, so that symlinks stay as the user wrote them.
fn current_directory() -> Result<PathBuf> {
    let real = env::current_dir().map_err(|error| Failure::io("look up", "the current directory", error))?;
    let named = env::var_os("PWD").map(PathBuf::from).filter(|path| path.is_absolute());
    let identity = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    Ok(named.filter(|named| identity(named).is_some() && identity(named) == identity(&real)).unwrap_or(real))
}

/// An absolute path without `.` and `..`, by its text alone.
fn absolute(here: &Path, path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in here.join(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// The path as rules are matched on it: relative to the directory, if it is below it.
fn below<'p>(directory: &Path, file: &'p Path) -> &'p [u8] {
    let file = file.as_os_str().as_bytes();
    let mut prefix = directory.as_os_str().as_bytes().to_vec();
    prefix.push(b'/');
    file.strip_prefix(prefix.as_slice()).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_go_cleans_them() {
        for (path, expected) in [
            ("a/b.yaml", "/home/u/a/b.yaml"),
            ("./a/../b.yaml", "/home/u/b.yaml"),
            ("../../../x", "/x"),
            ("/etc//x/.", "/etc/x"),
        ] {
            assert_eq!(absolute(Path::new("/home/u"), Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn rules_see_paths_relative_to_them() {
        for (directory, file, expected) in [
            ("/repo", "/repo/secrets/a.yaml", "secrets/a.yaml"),
            ("/repo", "/repository/a.yaml", "/repository/a.yaml"),
            ("/repo", "/elsewhere/a.yaml", "/elsewhere/a.yaml"),
            // As in sops, whose prefix is then two slashes.
            ("/", "/a.yaml", "/a.yaml"),
        ] {
            assert_eq!(below(Path::new(directory), Path::new(file)), expected.as_bytes(), "{directory}");
        }
    }
}

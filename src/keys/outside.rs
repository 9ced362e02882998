//! What lies outside of this process: people who know passphrases, and programs that hold keys.

// A build with fewer kinds of keys uses less of this.
#![cfg_attr(
    not(all(feature = "passphrase", feature = "plugins")),
    allow(dead_code, unused_imports, unused_variables, clippy::needless_update, clippy::unused_self)
)]

use std::{env, path::PathBuf, sync::OnceLock};

#[cfg(feature = "passphrase")]
use super::passphrase::{Passphrases, Policy};
#[cfg(feature = "plugins")]
use super::plugin::{Person, Surroundings};

/// What a run may do to reach keys that are not simply there.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Nobody is asked for anything.
    pub no_prompt: bool,
    /// A file whose first line is a passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// Directories with age plugins, or plugins; none: those of `PATH`.
    pub plugin_path: Vec<PathBuf>,
}

/// The ways out that a keyring has. None is prepared before it is needed; a keyring without access has none.
#[derive(Default)]
pub(super) struct Outside {
    access: Option<Access>,
    #[cfg(feature = "passphrase")]
    passphrases: OnceLock<Passphrases>,
    #[cfg(feature = "plugins")]
    plugins: OnceLock<Surroundings>,
}

impl Outside {
    pub(super) fn new(access: &Access) -> Self {
        Self { access: Some(access.clone()), ..Self::default() }
    }

    #[cfg(feature = "passphrase")]
    pub(super) fn passphrases(&self) -> &Passphrases {
        self.passphrases.get_or_init(|| {
            self.access.as_ref().map_or_else(Passphrases::default, |access| {
                Passphrases::new(Policy {
                    file: access.passphrase_file.clone(),
                    prompt: !access.no_prompt,
                    ..Policy::from_environment()
                })
            })
        })
    }

    #[cfg(feature = "plugins")]
    pub(super) fn plugins(&self) -> &Surroundings {
        self.plugins.get_or_init(|| {
            self.access.as_ref().map_or_else(Surroundings::default, |access| {
                Surroundings::new(plugin_path(access), env::vars_os())
            })
        })
    }

    /// Who answers the questions of plugins.
    #[cfg(feature = "plugins")]
    pub(super) fn person(&self) -> &dyn Person {
        #[cfg(feature = "passphrase")]
        return self.passphrases();
        #[cfg(not(feature = "passphrase"))]
        return &super::plugin::Nobody;
    }
}

#[cfg(feature = "plugins")]
fn plugin_path(access: &Access) -> Vec<PathBuf> {
    if access.plugin_path.is_empty() {
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
    } else {
        access.plugin_path.clone()
    }
}

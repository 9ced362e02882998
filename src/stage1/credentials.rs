//! Credentials for systemd: files where `LoadCredential=NAME` and `ImportCredential=NAME` look.
//!
//! /run/credstore is found by every service of stage 1 and stage 2. What is in /run/credentials/@initrd becomes a
//! system credential of stage 2, unless PID 1 of stage 1 imported credentials itself: then PID 1 of stage 2 does not
//! look there (systemd 257, measured).

use std::{cell::OnceCell, env, ffi::OsStr, os::fd::AsFd, path::Path};

use nix::sys::stat::Mode;

use super::{check::Damage, walk::Walk};
use crate::{
    initrd::index::Landed,
    manifest::credential,
    root::Root,
    tree::{self, Owner},
};

const STORE: &str = "/run/credstore";
const HANDED_OVER: &str = "/run/credentials/@initrd";
/// What PID 1 makes of the credentials that it imports.
const IMPORTED: [&str; 2] = ["/run/credentials/@system", "/run/credentials/@encrypted"];
/// The unit passes on what PID 1 has of these.
const VARIABLES: [&str; 2] = ["CREDENTIALS_DIRECTORY", "ENCRYPTED_CREDENTIALS_DIRECTORY"];

/// Where credentials go in this boot.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    walk: &'a Walk,
    environment_set: bool,
    handed_over: OnceCell<bool>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(root: &Root, walk: &'a Walk) -> Self {
        let set = root.is_system() && VARIABLES.iter().any(|variable| env::var_os(variable).is_some());
        Self { walk, environment_set: set, handed_over: OnceCell::new() }
    }

    fn handed_over(&self) -> bool {
        let imported = || IMPORTED.iter().any(|directory| self.walk.enter(Path::new(directory)).is_ok());
        *self.handed_over.get_or_init(|| !self.environment_set && !imported())
    }

    /// Makes the file `file` in `dir` the credential `name`.
    pub(super) fn deliver(
        &self,
        name: &str,
        dir: impl AsFd,
        file: &OsStr,
        wanted: &Landed,
    ) -> Result<(), Damage> {
        if !credential::is_name(name) {
            return Err(Damage::Wrong("systemd takes no credential of that name".to_owned()));
        }
        let stores = [STORE].into_iter().chain(self.handed_over().then_some(HANDED_OVER));
        for store in stores {
            let mode_of = |directory: &Path| {
                let own = [STORE, HANDED_OVER].iter().any(|own| directory == Path::new(own));
                Mode::from_bits_truncate(if own { 0o700 } else { 0o755 })
            };
            let place = Path::new(store).join(name);
            let attributes = (tree::Mode::new(0o400), Owner::ROOT);
            self.walk.copy(&dir, file, wanted, &place, attributes, &mode_of)?;
        }
        Ok(())
    }
}

//! A directory in RAM to try landings in, for tests; everything in it is unmounted and removed when it is dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{Entry, Place, Ram, Realm, Settings};
use crate::{
    root::Root,
    tree::{File, Mode, Owner},
    units::{Requests, Unit, Via},
};

pub struct Trial {
    pub dir: PathBuf,
}

impl Trial {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = PathBuf::from(format!("/dev/shm/forestage-{name}-{}-{count}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self { dir }
    }

    pub fn place(&self) -> Place {
        let root = Root::at(&self.dir).unwrap();
        Place::new(root, Path::new("/run/secrets.d"), Path::new("/run/secrets")).unwrap()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path.trim_start_matches('/'))
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| format!("<{error}>"))
    }

    /// Where a symlink points, or `<none>`.
    pub fn link(&self, path: &str) -> String {
        fs::read_link(self.path(path)).map_or("<none>".into(), |target| target.display().to_string())
    }

    pub fn settings(&self, realm: Realm) -> Settings {
        Settings {
            place: self.place(),
            realm,
            via: Via::Lists(Root::at(&self.dir).unwrap()),
            keep: 1,
            reuse_unchanged: false,
            allow_disk: false,
            dry: false,
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What a failed test mounted, the latest first.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for line in mounts.lines().rev() {
            if let Some(point) =
                line.split(' ').nth(1).filter(|point| Path::new(point).starts_with(&self.dir))
            {
                let _ = nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH);
            }
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub const SYSTEM: Realm = Realm::System { ram: Ram::Ramfs, keys_gid: 0 };

/// What a manifest would say about one file.
#[derive(Clone)]
pub struct Wish {
    pub file: File,
    pub path: PathBuf,
    pub units: Requests,
    pub kept: bool,
}

impl Wish {
    /// The file `name` that holds `text`, mode 0400, owner the one who runs, not linked, asking nothing.
    pub fn new(name: &str, text: &str) -> Self {
        let owner = Owner { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
        Self {
            file: File { path: name.into(), content: Arc::new(text.into()), mode: Mode::new(0o400), owner },
            path: Path::new("/run/secrets").join(name),
            units: Requests::default(),
            kept: false,
        }
    }

    pub fn at(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    pub fn mode(mut self, mode: u16) -> Self {
        self.file.mode = Mode::new(mode);
        self
    }

    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.file.owner = Owner { uid, gid };
        self
    }

    pub fn restart(mut self, unit: &str) -> Self {
        self.units.restart.push(Unit::parse(unit).unwrap());
        self
    }

    pub fn reload(mut self, unit: &str) -> Self {
        self.units.reload.push(Unit::parse(unit).unwrap());
        self
    }

    pub fn kept(mut self) -> Self {
        self.kept = true;
        self
    }
}

pub fn entries(wishes: &[Wish]) -> Vec<Entry<'_>> {
    wishes
        .iter()
        .map(|wish| Entry { file: &wish.file, path: &wish.path, units: &wish.units, kept: wish.kept })
        .collect()
}

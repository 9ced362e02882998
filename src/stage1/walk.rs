//! Directories by their real paths, and files copied into them: no symlink on the way is ever followed.

use std::{
    cell::RefCell,
    collections::VecDeque,
    ffi::OsStr,
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, mkdirat},
    unistd::{fchown, linkat},
};

use super::{Attributes, UMASK, bits, check, check::Damage, split};
use crate::{
    failure::{Failure, Result},
    generation::write_all,
    initrd::index::Landed,
    root::Root,
    tree::Owner,
};

/// What a file is called until it is complete.
const SCRATCH: &str = ".forestage-new";

/// The root, from which every step is taken.
#[derive(Debug)]
pub(super) struct Walk {
    root: Root,
    top: OwnedFd,
    /// The directories of the last file and of its place: most files share them with the next.
    entered: Recent<2>,
    followed: Recent<1>,
}

impl Walk {
    pub(super) fn new(root: &Root) -> Result<Self> {
        let path = Path::new("/");
        let top = root.find_dir(path, OFlag::O_PATH)?;
        let top = top.ok_or_else(|| Failure::io("open", root.join(path), Errno::ENOENT))?;
        Ok(Self { root: root.clone(), top, entered: Recent::default(), followed: Recent::default() })
    }

    /// The directory at the absolute `path`. A symlink on the way is an error, as anything that is no directory.
    pub(super) fn enter(&self, path: &Path) -> nix::Result<Rc<OwnedFd>> {
        self.entered.get(path, || {
            let how = OpenHow::new()
                .flags(STEP)
                .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
            let below = path.strip_prefix("/").unwrap_or(path);
            if below.as_os_str().is_empty() {
                return self.top.try_clone().map_err(|_| Errno::EMFILE);
            }
            match openat2(&self.top, below, how) {
                // Before Linux 5.6, or behind a filter that does not know the call.
                Err(Errno::ENOSYS | Errno::EPERM) => self.steps(path, None),
                entered => entered,
            }
        })
    }

    /// The same, made where it is missing; each directory with the mode that `mode_of` its path gives.
    pub(super) fn make(&self, path: &Path, mode_of: &dyn Fn(&Path) -> Mode) -> nix::Result<Rc<OwnedFd>> {
        match self.enter(path) {
            Err(Errno::ENOENT) => self.entered.get(path, || self.steps(path, Some(mode_of))),
            entered => entered,
        }
    }

    /// The directory at `path` if there is one, through symlinks of root, as the kernel went when it unpacked.
    pub(super) fn follow(&self, path: &Path) -> Result<Option<Rc<OwnedFd>>> {
        let find = || self.root.find_dir(path, OFlag::O_PATH).map_err(Some)?.ok_or(None);
        match self.followed.get(path, find) {
            Ok(dir) => Ok(Some(dir)),
            Err(None) => Ok(None),
            Err(Some(failure)) => Err(failure),
        }
    }

    /// Something was mounted: what was entered may be below it.
    pub(super) fn forget(&self) {
        self.entered.0.take();
    }

    fn steps(&self, path: &Path, make: Option<&dyn Fn(&Path) -> Mode>) -> nix::Result<OwnedFd> {
        let mut here = self.top.try_clone().map_err(|_| Errno::EMFILE)?;
        let mut there = PathBuf::from("/");
        for component in path.components() {
            let name = match component {
                Component::Normal(name) => name,
                Component::ParentDir | Component::Prefix(_) => return Err(Errno::EINVAL),
                Component::RootDir | Component::CurDir => continue,
            };
            there.push(name);
            here = match (openat(&here, name, STEP, Mode::empty()), make) {
                (Err(Errno::ENOENT), Some(mode_of)) => {
                    let mode = mode_of(&there);
                    mkdirat(&here, name, mode)?;
                    if mode.intersects(UMASK) {
                        fchmodat(&here, name, mode, FchmodatFlags::FollowSymlink)?;
                    }
                    openat(&here, name, STEP, Mode::empty())?
                }
                (next, _) => next?,
            };
        }
        Ok(here)
    }

    /// Checks the file `name` in `dir`, and makes it anew at `place`, where it appears complete, with its attributes, or
    /// not at all. It is no error if it is there already; anything else in its place is.
    pub(super) fn copy(
        &self,
        dir: impl AsFd,
        name: &OsStr,
        wanted: &Landed,
        place: &Path,
        (mode, owner): Attributes,
        mode_of: &dyn Fn(&Path) -> Mode,
    ) -> std::result::Result<(), Damage> {
        let (above, new) = split(place);
        let parent = self.make(above, mode_of)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        // Group and others get their rights when the owner is right.
        let closed = bits(mode) & Mode::S_IRWXU;
        let create = || openat(&parent, SCRATCH, flags, closed);
        let scratch = match create() {
            // A run that was killed.
            Err(Errno::EEXIST) => {
                check::delete(&parent, SCRATCH.as_ref())?;
                create()?
            }
            created => created?,
        };
        let copied = check::examine(dir, name, wanted, |chunk| write_all(&scratch, chunk)).and_then(|()| {
            if owner != Owner::ROOT {
                fchown(&scratch, Some(owner.uid.into()), Some(owner.gid.into()))?;
            }
            if bits(mode) != closed {
                fchmod(&scratch, bits(mode))?;
            }
            match linkat(&parent, SCRATCH, &parent, new, AtFlags::empty()) {
                Err(Errno::EEXIST) => {
                    let same = Landed { mode, owner, ..wanted.clone() };
                    check::examine(&parent, new, &same, |_| Ok(()))
                        .map_err(|_| Damage::InTheWay(place.to_owned()))
                }
                linked => Ok(linked?),
            }
        });
        let _ = check::delete(&parent, SCRATCH.as_ref());
        copied
    }
}

/// The last `N` directories that were opened.
#[derive(Debug, Default)]
struct Recent<const N: usize>(RefCell<VecDeque<(PathBuf, Rc<OwnedFd>)>>);

impl<const N: usize> Recent<N> {
    fn get<E>(
        &self,
        path: &Path,
        open: impl FnOnce() -> std::result::Result<OwnedFd, E>,
    ) -> std::result::Result<Rc<OwnedFd>, E> {
        if let Some((_, dir)) = self.0.borrow().iter().find(|(known, _)| known == path) {
            return Ok(Rc::clone(dir));
        }
        let dir = Rc::new(open()?);
        let mut all = self.0.borrow_mut();
        all.truncate(N.saturating_sub(1));
        all.push_front((path.to_owned(), Rc::clone(&dir)));
        Ok(dir)
    }
}

const STEP: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

//! Writes a generation: with few system calls, and readable to nobody before it is complete.
//!
//! Everything is relative to open directories, so no path is walked twice and none can be exchanged on the way.
//! The generation's own directory lets nobody in until all is written. What did not change is a hard link to
//! the current generation's file: one call instead of five, and no second copy in memory.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{Mode, fchmod, mkdirat},
    unistd::{fchown, fchownat, linkat, symlinkat},
};

use super::{Current, Entry, links::Link, owner::Ownership, prune::remove_tree};
use crate::{
    failure::{Failure, Result},
    tree::File,
};

/// Mode of every directory of a generation.
pub(super) const DIRECTORY_MODE: u32 = 0o751;

/// A generation that is being written.
pub(super) struct Writer<'a> {
    ownership: &'a Ownership,
    dir: OwnedFd,
    path: PathBuf,
    /// The directory of the last file, if it is not the generation itself: most files share one with the next.
    parent: Option<(PathBuf, OwnedFd)>,
}

impl<'a> Writer<'a> {
    /// Begins generation `number` below the open directory `ground`. What a killed run left of it is removed.
    pub(super) fn begin(
        ground: &OwnedFd,
        number: u64,
        path: PathBuf,
        ownership: &'a Ownership,
    ) -> Result<Self> {
        let name = number.to_string();
        let failed = |error: Errno| Failure::io("make the generation", &path, error);
        if mkdirat(ground, name.as_str(), Mode::S_IRWXU) == Err(Errno::EEXIST) {
            remove_tree(ground, OsStr::new(&name)).map_err(failed)?;
            mkdirat(ground, name.as_str(), Mode::S_IRWXU).map_err(failed)?;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = openat(ground, name.as_str(), flags, Mode::empty()).map_err(failed)?;
        Ok(Self { ownership, dir, path, parent: None })
    }

    /// Writes all files, and says which of the `links` below it are in the way of something, or are not.
    /// `same` says of each entry whether `current` has the very same file.
    pub(super) fn write(
        mut self,
        entries: &[Entry<'_>],
        same: &[bool],
        current: Option<&Current>,
        links: &[(usize, Link)],
    ) -> Result<Vec<(usize, Failure)>> {
        for (number, entry) in entries.iter().enumerate() {
            let unchanged = current.filter(|_| same.get(number) == Some(&true));
            self.file(entry.file, unchanged)
                .map_err(|error| Failure::io("write", self.path.join(&entry.file.path), error))?;
        }
        let mut failures = Vec::new();
        for (number, link) in links {
            if let Err(error) = self.link(link) {
                let failure = Failure::io("link", self.path.join(&link.path), error)
                    .fix("give the secret another path: a secret or template has this one");
                failures.push((*number, failure));
            }
        }
        self.finish().map_err(|error| Failure::io("finish", &self.path, error))?;
        Ok(failures)
    }

    fn finish(&self) -> nix::Result<()> {
        if let Some(owner) = self.ownership.of_directories()
            && !self.ownership.comes_as(owner)
        {
            self.ownership.judge(fchown(&self.dir, Some(owner.uid.into()), Some(owner.gid.into())))?;
        }
        // Also without setgid, which it may have from the mount point.
        fchmod(&self.dir, Mode::from_bits_truncate(DIRECTORY_MODE))
    }

    fn file(&mut self, file: &File, unchanged: Option<&Current>) -> nix::Result<()> {
        let (above, name) = split(&file.path);
        self.enter(above)?;
        let ownership = self.ownership;
        let parent = self.parent();
        if let Some(current) = unchanged
            && linkat(current.dir(), &file.path, parent, name, AtFlags::empty()).is_ok()
        {
            return Ok(());
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(file.mode.bits());
        // Group and others get their rights when the owner is right.
        let closed = mode & Mode::S_IRWXU;
        let open = openat(parent, name, flags, closed)?;
        write_all(&open, &file.content)?;
        if let Some(owner) = ownership.wanted(file.owner)
            && !ownership.comes_as(owner)
        {
            ownership.judge(fchown(&open, Some(owner.uid.into()), Some(owner.gid.into())))?;
        }
        if mode == closed { Ok(()) } else { fchmod(&open, mode) }
    }

    fn link(&mut self, link: &Link) -> nix::Result<()> {
        let (above, name) = split(&link.path);
        self.enter(above)?;
        symlinkat(link.target.as_path(), self.parent(), name)
    }

    /// Opens the directory `path` of the generation, and makes it, and those above it, where they are missing.
    fn enter(&mut self, path: &Path) -> nix::Result<()> {
        let there = self.parent.as_ref().map_or(Path::new(""), |(path, _)| path);
        if there == path {
            return Ok(());
        }
        if path.as_os_str().is_empty() {
            self.parent = None;
            return Ok(());
        }
        let there = there.to_owned();
        let mut missing: Vec<&Path> = path
            .ancestors()
            .take_while(|above| !above.as_os_str().is_empty() && !there.starts_with(above))
            .collect();
        while let Some(directory) = missing.pop() {
            match mkdirat(&self.dir, directory, Mode::from_bits_truncate(DIRECTORY_MODE)) {
                Err(Errno::EEXIST) => continue,
                made => made?,
            }
            if let Some(owner) = self.ownership.of_directories()
                && !self.ownership.comes_as(owner)
            {
                let (uid, gid) = (owner.uid.into(), owner.gid.into());
                let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
                self.ownership.judge(fchownat(&self.dir, directory, Some(uid), Some(gid), flags))?;
            }
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        self.parent = Some((path.to_owned(), openat(&self.dir, path, flags, Mode::empty())?));
        Ok(())
    }

    fn parent(&self) -> &OwnedFd {
        self.parent.as_ref().map_or(&self.dir, |(_, dir)| dir)
    }
}

/// A relative path in two: the directory (empty: the generation itself) and the name.
fn split(path: &Path) -> (&Path, &OsStr) {
    (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default())
}

pub(crate) fn write_all(file: impl AsFd, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(&file, bytes) {
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The directories that the files and links need, as bytes of paths below the generation.
pub(super) fn directories<'a>(paths: impl Iterator<Item = &'a Path>) -> BTreeSet<&'a [u8]> {
    let mut directories = BTreeSet::new();
    for path in paths {
        for above in path.ancestors().skip(1).take_while(|above| !above.as_os_str().is_empty()) {
            // What is above a known directory is known.
            if !directories.insert(above.as_os_str().as_bytes()) {
                break;
            }
        }
    }
    directories
}

//! The directory that stands for `/`: the system's own, or the one that `--root DIR` names.
//!
//! Directories are opened component by component, so that a symlink inside DIR stays inside DIR, and so that a
//! symlink planted by another user in a directory of theirs leads nowhere: only symlinks that belong to root
//! or to the user who runs are followed.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat},
    sys::stat::{Mode, fstat, fstatat, mkdirat},
    unistd::geteuid,
};

use crate::{
    failure::{Failure, Result},
    listing,
};

/// As many symlinks as the kernel follows in one path.
const MAX_SYMLINKS: u32 = 40;

/// What every absolute path of a manifest is relative to.
#[derive(Debug, Clone, Default)]
pub struct Root(Option<Arc<Foreign>>);

/// What a directory has under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink, wherever it leads.
    Link,
    /// A socket, a pipe or a device.
    Other,
}

#[derive(Debug)]
struct Foreign {
    path: PathBuf,
    dir: OwnedFd,
}

impl Root {
    /// The system's own root: paths stay as they are.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// The directory of `--root DIR`. Fails when it cannot be opened as a directory.
    pub fn at(path: &Path) -> Result<Self> {
        let dir = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(|error| Failure::io("open the root", path, error))?;
        Ok(Self(Some(Arc::new(Foreign { path: path.to_owned(), dir }))))
    }

    /// Whether this is the system's own root, so that other programs see the same files.
    #[must_use]
    pub const fn is_system(&self) -> bool {
        self.0.is_none()
    }

    /// Where the absolute `path` is, seen from outside. For messages, and for paths without symlinks.
    #[must_use]
    pub fn join(&self, path: &Path) -> PathBuf {
        match &self.0 {
            None => path.to_owned(),
            Some(foreign) => foreign.path.join(relative(path)),
        }
    }

    /// Opens the file at the absolute `path` for reading; symlinks are resolved inside the root. Does not wait for
    /// the other end of a FIFO, and takes no terminal.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        // Not std's open: with musl that takes a second system call.
        let open = |path: &Path| Ok(File::from(openat(AT_FDCWD, path, flags, Mode::empty())?));
        let Some(foreign) = &self.0 else { return open(path) };
        let how = OpenHow::new()
            .flags(flags)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(&foreign.dir, relative(path), how) {
            // Before Linux 5.6, or behind a filter that does not know the call.
            Err(Errno::ENOSYS | Errno::EPERM) => open(&self.join(path)),
            opened => Ok(File::from(opened?)),
        }
    }

    /// The names in the directory at the absolute `path`, in no order; none if it does not exist.
    pub fn list(&self, path: &Path) -> Result<Vec<OsString>> {
        let cannot = |error: Errno| Failure::io("list", self.join(path), error);
        let Some(dir) = self.find_dir(path, OFlag::O_RDONLY)? else { return Ok(Vec::new()) };
        let entries = listing::list(dir).map_err(cannot)?.into_iter();
        Ok(entries.map(|(name, _)| OsString::from_vec(name.into_bytes())).collect())
    }

    /// The names in the directory at the absolute `path` with what each is, in no order; none if it does not exist.
    pub fn entries(&self, path: &Path) -> Result<Vec<(OsString, Kind)>> {
        let cannot = |error: Errno| Failure::io("list", self.join(path), error);
        let Some(dir) = self.find_dir(path, OFlag::O_RDONLY)? else { return Ok(Vec::new()) };
        let names = self.list(path)?.into_iter();
        names
            .map(|name| {
                let about = fstatat(&dir, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(cannot)?;
                let kind = match about.st_mode & nix::libc::S_IFMT {
                    nix::libc::S_IFREG => Kind::File,
                    nix::libc::S_IFDIR => Kind::Directory,
                    nix::libc::S_IFLNK => Kind::Link,
                    _ => Kind::Other,
                };
                Ok((name, kind))
            })
            .collect()
    }

    /// The directory at the absolute `path`, or nothing if it or a directory above it does not exist.
    pub(crate) fn find_dir(&self, path: &Path, flags: OFlag) -> Result<Option<OwnedFd>> {
        match self.directory(path, flags, None) {
            Ok(dir) => Ok(Some(dir)),
            Err(Lost::Errno(Errno::ENOENT)) => Ok(None),
            Err(lost) => Err(lost.told(&self.join(path))),
        }
    }

    /// The directory at the absolute `path`; it and those above it are made with `mode` where they are missing.
    pub(crate) fn make_dir(&self, path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd> {
        self.directory(path, flags, Some(mode)).map_err(|lost| lost.told(&self.join(path)))
    }

    fn directory(&self, path: &Path, flags: OFlag, make: Option<Mode>) -> std::result::Result<OwnedFd, Lost> {
        let flags = flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        // One call does it when there is no symlink on the way and nothing to make.
        let how = OpenHow::new()
            .flags(flags)
            .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let opened = match &self.0 {
            None => openat2(AT_FDCWD, path, how),
            Some(foreign) => openat2(&foreign.dir, relative(path), how),
        };
        match opened {
            Ok(dir) => Ok(dir),
            Err(Errno::ENOENT) if make.is_none() => Err(Lost::Errno(Errno::ENOENT)),
            Err(_) => self.walk(path, flags, make),
        }
    }

    fn walk(&self, path: &Path, flags: OFlag, make: Option<Mode>) -> std::result::Result<OwnedFd, Lost> {
        let step = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let top = match &self.0 {
            None => open("/", step | OFlag::O_DIRECTORY, Mode::empty())?,
            Some(foreign) => openat(&foreign.dir, ".", step | OFlag::O_DIRECTORY, Mode::empty())?,
        };
        let mut above = vec![top];
        let mut todo = Vec::new();
        push_components(&mut todo, path);
        let mut symlinks = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                if above.len() > 1 {
                    above.pop();
                }
                continue;
            }
            let Some(here) = above.last() else { return Err(Lost::Errno(Errno::ENOENT)) };
            let next = match (openat(here, name.as_os_str(), step, Mode::empty()), make) {
                (Err(Errno::ENOENT), Some(mode)) => {
                    match mkdirat(here, name.as_os_str(), mode) {
                        Ok(()) | Err(Errno::EEXIST) => {}
                        Err(error) => return Err(Lost::Errno(error)),
                    }
                    openat(here, name.as_os_str(), step, Mode::empty())?
                }
                (next, _) => next?,
            };
            match symlink_target(&next)? {
                None => above.push(next),
                Some(target) => {
                    symlinks += 1;
                    if symlinks > MAX_SYMLINKS {
                        return Err(Lost::Errno(Errno::ELOOP));
                    }
                    if Path::new(&target).is_absolute() {
                        above.truncate(1);
                    }
                    push_components(&mut todo, Path::new(&target));
                }
            }
        }
        let Some(last) = above.last() else { return Err(Lost::Errno(Errno::ENOENT)) };
        Ok(openat(last, ".", flags, Mode::empty())?)
    }
}

/// Why a directory was not reached.
enum Lost {
    Errno(Errno),
    /// A symlink on the way belongs to this user, who may be anybody.
    Planted(u32),
}

impl From<Errno> for Lost {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Lost {
    fn told(&self, path: &Path) -> Failure {
        match self {
            Self::Errno(errno) => Failure::io("open the directory", path, errno),
            Self::Planted(uid) => {
                Failure::io("open the directory", path, "a symlink on the way is not to be trusted")
                    .fact("belongs to", format!("uid {uid}"))
                    .fix("name the directory without the symlink, or let root own the symlink")
            }
        }
    }
}

/// What the symlink `next` says; nothing if it is no symlink.
fn symlink_target(next: impl AsFd) -> std::result::Result<Option<OsString>, Lost> {
    let about = fstat(&next)?;
    if about.st_mode & nix::libc::S_IFMT != nix::libc::S_IFLNK {
        return Ok(None);
    }
    if about.st_uid != 0 && about.st_uid != geteuid().as_raw() {
        return Err(Lost::Planted(about.st_uid));
    }
    Ok(Some(readlinkat(&next, OsStr::new(""))?))
}

/// Puts the components of `path` on the stack `todo`, the first on top.
fn push_components(todo: &mut Vec<OsString>, path: &Path) {
    todo.extend(path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }));
}

/// `path` without its leading slashes; `.` for the root itself.
fn relative(path: &Path) -> &Path {
    let mut components = path.components();
    if path.has_root() {
        components.next();
    }
    let rest = components.as_path();
    if rest.as_os_str().is_empty() { Path::new(".") } else { rest }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Read,
        os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink},
    };

    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = PathBuf::from(format!("/dev/shm/forestage-root-{name}-{}", std::process::id()));
            fs::create_dir_all(dir.join("in")).unwrap();
            Self(dir)
        }

        fn root(&self) -> Root {
            Root::at(&self.0.join("in")).unwrap()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn symlinks_stay_inside_the_root() {
        let dir = Dir::new("inside");
        let root = dir.root();
        fs::create_dir_all(dir.0.join("in/persist/etc/deep")).unwrap();
        fs::write(dir.0.join("in/persist/etc/file"), "inside").unwrap();
        for (target, name) in [
            ("/persist/etc", "absolute"),
            ("persist/etc", "relative"),
            ("../../../../persist/./etc", "upwards"),
            ("absolute", "twice"),
            ("loop", "loop"),
            ("/nowhere/etc", "dangling"),
            ("/persist/etc/file", "file"),
        ] {
            symlink(target, dir.0.join("in").join(name)).unwrap();
        }
        let inode = fs::metadata(dir.0.join("in/persist/etc/deep")).unwrap().ino();
        let cases = [
            ("absolute", Ok(true)),
            ("relative", Ok(true)),
            ("upwards", Ok(true)),
            ("twice", Ok(true)),
            ("persist/etc", Ok(true)),
            ("loop", Err(())),
            ("dangling", Ok(false)),
            ("file", Err(())),
            ("missing", Ok(false)),
        ];
        for (name, expected) in cases {
            let path = Path::new("/").join(name).join("deep");
            let found = root.find_dir(&path, OFlag::O_PATH).map_err(|_| ());
            let found = found.map(|dir| dir.is_some_and(|dir| fstat(dir).unwrap().st_ino == inode));
            assert_eq!(found, expected, "{name}");
        }
        for name in ["absolute", "relative", "upwards", "twice"] {
            let mut text = String::new();
            root.open(&Path::new("/").join(name).join("file")).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside", "{name}");
        }
        assert!(root.open(Path::new("/loop/file")).is_err());
    }

    #[test]
    fn missing_directories_are_made_inside() {
        let dir = Dir::new("make");
        let root = dir.root();
        symlink("/a", dir.0.join("in/link")).unwrap();
        fs::create_dir(dir.0.join("in/a")).unwrap();
        root.make_dir(Path::new("/link/b/c"), OFlag::O_RDONLY, Mode::from_bits_truncate(0o751)).unwrap();
        let about = fs::metadata(dir.0.join("in/a/b/c")).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o751);
        fs::write(dir.0.join("in/file"), "").unwrap();
        let made = root.make_dir(Path::new("/file/x"), OFlag::O_RDONLY, Mode::S_IRWXU);
        assert!(made.is_err());
        root.make_dir(Path::new("/"), OFlag::O_RDONLY, Mode::S_IRWXU).unwrap();
    }

    #[test]
    fn symlinks_of_other_users_lead_nowhere() {
        let dir = Dir::new("planted");
        fs::create_dir_all(dir.0.join("in/target")).unwrap();
        let link = dir.0.join("in/link");
        symlink("target", &link).unwrap();
        let find = || dir.root().find_dir(Path::new("/link"), OFlag::O_PATH);
        assert!(find().unwrap().is_some());
        if lchown(&link, Some(1000), None).is_err() {
            eprintln!("skipped: only root can give a symlink away");
            return;
        }
        let failure = find().unwrap_err().to_string();
        assert!(failure.contains("uid 1000"), "{failure}");
    }

    #[test]
    fn paths_are_moved_below_the_root() {
        let dir = Dir::new("join");
        assert_eq!(Root::system().join(Path::new("/run/x")), Path::new("/run/x"));
        assert_eq!(dir.root().join(Path::new("/run/x")), dir.0.join("in/run/x"));
        assert_eq!(dir.root().join(Path::new("//run/x")), dir.0.join("in/run/x"));
        assert!(Root::at(Path::new("/dev/null")).is_err());
    }
}

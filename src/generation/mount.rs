//! The RAM file system that generations are on.
//!
//! Mounting over a file system that holds the current generation would leave `symlinkPath` dangling until the
//! swap. So then the new one is mounted beside, the generation written there under the current number, and the
//! whole is bound over the mount point: that one call is the swap.

use std::{
    fs,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::{
        stat::{Mode, fstat, mkdirat},
        statfs::{FsType, TMPFS_MAGIC, fstatfs},
    },
    unistd::{UnlinkatFlags, fchown, unlinkat},
};

use super::{Place, Ram, Realm, Settings, Swappable, owner::Ownership, place};
use crate::{
    failure::{Failure, Result},
    tree::Owner,
};

const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Where the generation is to be written.
#[derive(Debug)]
pub(super) struct Ground {
    /// The directory of generations.
    pub dir: OwnedFd,
    /// Mounted just now, and empty.
    pub fresh: bool,
    /// It is mounted beside the mount point, and is to cover this, with the current generation on it.
    pub covered: Option<OwnedFd>,
}

/// Whether landing would change the kind of file system under the current generation.
fn fits(realm: Realm, above: &OwnedFd, dir: &OwnedFd) -> nix::Result<bool> {
    let Realm::System { ram, .. } = realm else { return Ok(true) };
    let mounted = fstat(dir)?.st_dev != fstat(above)?.st_dev;
    Ok(mounted && fstatfs(dir)?.filesystem_type() == ram.magic())
}

/// Mounts what is missing. `has_current`: the current generation is on what is there.
pub(super) fn prepare(
    settings: &Settings,
    ownership: &Ownership,
    above: &OwnedFd,
    found: Option<OwnedFd>,
    has_current: bool,
    warnings: &mut Vec<String>,
) -> Result<Ground> {
    let place = &settings.place;
    let outside = place.root.join(&place.mount_point);
    let failed = |error: Errno| Failure::io("examine", &outside, error);
    let dir = match found {
        Some(dir) => dir,
        None => open_mount_point(place)?,
    };
    let Realm::System { ram, .. } = settings.realm else {
        keep_off_disk(&dir, &outside, settings.allow_disk, warnings)?;
        return Ok(Ground { dir, fresh: false, covered: None });
    };
    if fits(settings.realm, above, &dir).map_err(failed)? {
        if let Ram::Tmpfs(swappable) = ram
            && is_swappable(&dir)
        {
            warnings.extend(judge_swap(swappable, swap_in_use(), &outside)?);
        }
        own(&dir, ownership).map_err(|error| Failure::io("change the owner of", &outside, error))?;
        return Ok(Ground { dir, fresh: false, covered: None });
    }

    let mounted = if has_current {
        mount_beside(place, above, ram, warnings)?.map(|beside| Ground {
            dir: beside,
            fresh: true,
            covered: None,
        })
    } else if mount_ram(&target(place, &dir, &place.mount_point), &outside, ram, warnings)? {
        Some(Ground { dir: open_mount_point(place)?, fresh: true, covered: None })
    } else {
        None
    };
    let ground = match mounted {
        Some(ground) if has_current => Ground { covered: Some(dir), ..ground },
        Some(ground) => ground,
        None if place.root.is_system() => {
            return Err(Failure::io("mount on", &outside, Errno::EPERM).fix("run as root"));
        }
        // A demonstration, a test, an installer without root.
        None => {
            keep_off_disk(&dir, &outside, settings.allow_disk, warnings)?;
            Ground { dir, fresh: false, covered: None }
        }
    };
    own(&ground.dir, ownership).map_err(|error| Failure::io("change the owner of", &outside, error))?;
    Ok(ground)
}

/// Mounts a file system beside the mount point, and opens it for writing; nothing without the right to mount.
fn mount_beside(
    place: &Place,
    above: &OwnedFd,
    ram: Ram,
    warnings: &mut Vec<String>,
) -> Result<Option<OwnedFd>> {
    let name = name_beside(place);
    let path = place.above_mount_point().0.join(&name);
    let outside = place.root.join(&path);
    let failed = |error: Errno| Failure::io("make", &outside, error);
    mkdirat(above, name.as_str(), Mode::S_IRWXU).map_err(failed)?;
    let open = || {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(above, name.as_str(), flags, Mode::empty()).map_err(failed)
    };
    let mounted = open()
        .and_then(|dir| mount_ram(&target(place, &dir, &path), &outside, ram, warnings))
        .and_then(|mounted| if mounted { open().map(Some) } else { Ok(None) });
    if !matches!(mounted, Ok(Some(_))) {
        remove_beside(place, above);
    }
    mounted
}

/// Binds the file system `beside` the mount point over it. Gives the mount point as it is then.
pub(super) fn reveal(place: &Place, above: &OwnedFd, beside: &OwnedFd) -> Result<OwnedFd> {
    let outside = place.root.join(&place.mount_point);
    let under = open_mount_point(place)?;
    let from = target(place, beside, &place.above_mount_point().0.join(name_beside(place)));
    let to = target(place, &under, &place.mount_point);
    mount(Some(&from), &to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|error| Failure::io("mount on", &outside, error))?;
    remove_beside(place, above);
    open_mount_point(place)
}

/// Removes the file system that is, or that a killed run left, mounted beside the mount point.
pub(super) fn remove_beside(place: &Place, above: &OwnedFd) {
    let name = name_beside(place);
    if unlinkat(above, name.as_str(), UnlinkatFlags::RemoveDir) != Err(Errno::EBUSY) {
        return;
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    if let Ok(dir) = openat(above, name.as_str(), flags, Mode::empty()) {
        let path = target(place, &dir, &place.above_mount_point().0.join(&name));
        let _ = umount2(&path, MntFlags::MNT_DETACH);
    }
    let _ = unlinkat(above, name.as_str(), UnlinkatFlags::RemoveDir);
}

fn name_beside(place: &Place) -> String {
    place::scratch_name(&place.mount_point, ".mount")
}

/// The open mount point, made if it is missing.
fn open_mount_point(place: &Place) -> Result<OwnedFd> {
    place.root.make_dir(&place.mount_point, OFlag::O_RDONLY, Mode::from_bits_truncate(0o751))
}

/// What to call an open directory in mount(2): in a foreign root its path may lead elsewhere.
fn target(place: &Place, dir: &OwnedFd, path: &Path) -> PathBuf {
    if place.root.is_system() { path.to_owned() } else { format!("/proc/self/fd/{}", dir.as_raw_fd()).into() }
}

impl Ram {
    const fn magic(self) -> FsType {
        match self {
            Self::Ramfs => RAMFS_MAGIC,
            Self::Tmpfs(_) => TMPFS_MAGIC,
        }
    }
}

/// Mounts a ramfs whose top directory has the mode of a generation.
pub(crate) fn mount_ramfs(target: &Path) -> nix::Result<()> {
    try_mount(target, "ramfs", "mode=0751")
}

fn try_mount(target: &Path, kind: &str, options: &str) -> nix::Result<()> {
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("none"), target, Some(kind), flags, Some(options))
}

/// Mounts; false without the right to.
fn mount_ram(target: &Path, outside: &Path, ram: Ram, warnings: &mut Vec<String>) -> Result<bool> {
    let try_mount = |kind: &str, options: &str| try_mount(target, kind, options);
    let result = match ram {
        Ram::Ramfs => mount_ramfs(target),
        Ram::Tmpfs(swappable) => match try_mount("tmpfs", "mode=0751,noswap") {
            // Before Linux 6.4, and in user namespaces.
            Err(Errno::EINVAL) => {
                warnings.extend(judge_swap(swappable, swap_in_use(), outside)?);
                try_mount("tmpfs", "mode=0751")
            }
            result => result,
        },
    };
    match result {
        Ok(()) => Ok(true),
        Err(Errno::EPERM) => Ok(false),
        Err(error) => Err(Failure::io("mount on", outside, error)),
    }
}

/// Whether plaintext may go where it can be swapped out, and what to say about it.
fn judge_swap(swappable: Swappable, in_use: bool, path: &Path) -> Result<Option<String>> {
    let text = format!("{} is a tmpfs without noswap", path.display());
    match (swappable, in_use) {
        (Swappable::Allow, _) => Ok(None),
        (Swappable::Refuse | Swappable::Warn, false) => {
            Ok(Some(format!("{text}; no swap is in use now, but plaintext may reach one that is added")))
        }
        (Swappable::Warn, true) => Ok(Some(format!("{text}: plaintext may be written to swap"))),
        (Swappable::Refuse, true) => Err(Failure::new(format!("{text}, and swap is in use"))
            .fact("reason", "this kernel cannot mount tmpfs with noswap here, or an earlier run did not")
            .fix("leave out useTmpfs, or say allowSwap in the manifest")),
    }
}

/// Whether there is swap. Where that cannot be read, there may be.
fn swap_in_use() -> bool {
    fs::read_to_string("/proc/swaps").map_or(true, |swaps| swaps.lines().count() > 1)
}

/// Whether a tmpfs is known to be mounted without noswap.
fn is_swappable(dir: &OwnedFd) -> bool {
    let fdinfo = fs::read_to_string(format!("/proc/self/fdinfo/{}", dir.as_raw_fd()));
    let mounts = fs::read_to_string("/proc/self/mountinfo");
    let (Ok(fdinfo), Ok(mounts)) = (fdinfo, mounts) else { return false };
    let id = fdinfo.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim);
    id.and_then(|id| options_of(&mounts, id))
        .is_some_and(|options| !options.split(',').any(|option| option == "noswap"))
}

/// The options of the file system that is mounted under this id, from `/proc/self/mountinfo`.
fn options_of<'a>(mounts: &'a str, id: &str) -> Option<&'a str> {
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(id))?;
    line.split_once(" - ")?.1.split(' ').nth(2)
}

fn keep_off_disk(dir: &OwnedFd, path: &Path, allow: bool, warnings: &mut Vec<String>) -> Result<()> {
    let kind = fstatfs(dir).map_err(|error| Failure::io("examine", path, error))?.filesystem_type();
    if kind == RAMFS_MAGIC || kind == TMPFS_MAGIC {
        return Ok(());
    }
    if allow {
        warnings.push(format!("{} is not in RAM: plaintext is written to its disk", path.display()));
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} is not on a tmpfs or ramfs, and nothing may be mounted there",
        path.display()
    ))
    .fix(
        "use a directory in RAM (below /dev/shm), run as root, or accept plaintext on disk with --allow-disk",
    ))
}

fn own(dir: &OwnedFd, ownership: &Ownership) -> nix::Result<()> {
    let Some(wanted) = ownership.of_directories() else { return Ok(()) };
    let about = fstat(dir)?;
    if (Owner { uid: about.st_uid, gid: about.st_gid }) == wanted {
        return Ok(());
    }
    ownership.judge(fchown(dir, Some(wanted.uid.into()), Some(wanted.gid.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_decides_where_noswap_is_missing() {
        let cases = [
            (Swappable::Refuse, true, None),
            (Swappable::Refuse, false, Some(true)),
            (Swappable::Warn, true, Some(true)),
            (Swappable::Warn, false, Some(true)),
            (Swappable::Allow, true, Some(false)),
            (Swappable::Allow, false, Some(false)),
        ];
        for (swappable, in_use, warns) in cases {
            let judged = judge_swap(swappable, in_use, Path::new("/x")).ok().map(|warning| warning.is_some());
            assert_eq!(judged, warns, "{swappable:?} {in_use}");
        }
    }

    #[test]
    fn options_are_those_of_the_file_system() {
        let mounts = "23 1 0:21 / /run rw,noswap shared:2 - tmpfs tmpfs rw,size=1k,mode=755\n\
                      24 23 0:22 / /run/s rw - tmpfs none rw,mode=751,noswap\n\
                      25 broken\n";
        let cases = [
            ("23", Some("rw,size=1k,mode=755")),
            ("24", Some("rw,mode=751,noswap")),
            ("25", None),
            ("2", None),
        ];
        for (id, options) in cases {
            assert_eq!(options_of(mounts, id), options, "{id}");
        }
    }
}

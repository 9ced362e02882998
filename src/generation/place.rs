//! Where generations are: the mount point and the symlink that points at the current one.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use crate::{
    failure::{Failure, Result},
    root::Root,
};

/// The mount point of generations (`secretsMountPoint`) and the symlink to the current one (`symlinkPath`).
/// Both are absolute and plain (no `.`, `..` or doubled slash), as seen inside the root.
#[derive(Debug, Clone)]
pub struct Place {
    pub(super) root: Root,
    pub(super) mount_point: PathBuf,
    pub(super) symlink_path: PathBuf,
}

impl Place {
    /// Fails when a path is relative, the root itself, or has `..`, or when generations would lie below the symlink.
    pub fn new(root: Root, mount_point: &Path, symlink_path: &Path) -> Result<Self> {
        let mount_point = plain(mount_point, "secretsMountPoint")?;
        let symlink_path = plain(symlink_path, "symlinkPath")?;
        if mount_point.starts_with(&symlink_path) {
            return Err(Failure::new("secretsMountPoint is below symlinkPath")
                .fact("secretsMountPoint", mount_point.display())
                .fact("symlinkPath", symlink_path.display()));
        }
        Ok(Self { root, mount_point, symlink_path })
    }

    /// The directory that holds the mount point, and the mount point's name there.
    pub(super) fn above_mount_point(&self) -> (&Path, &OsStr) {
        split(&self.mount_point)
    }

    /// The directory that holds the symlink, and the symlink's name there.
    pub(super) fn above_symlink(&self) -> (&Path, &OsStr) {
        split(&self.symlink_path)
    }

    /// The directory of generation `number`, as the symlink names it.
    pub(super) fn generation(&self, number: u64) -> PathBuf {
        self.mount_point.join(number.to_string())
    }

    /// Which generation a symlink with this target points at; nothing if it points elsewhere.
    pub(super) fn generation_of(&self, target: &Path) -> Option<u64> {
        let mut below = target.strip_prefix(&self.mount_point).ok()?.components();
        match (below.next(), below.next()) {
            (Some(Component::Normal(name)), None) => generation_number(name),
            _ => None,
        }
    }
}

/// The number that a directory's name is, if it is the name of a generation: decimal, as we write it.
pub(super) fn generation_number(name: &OsStr) -> Option<u64> {
    let text = name.to_str()?;
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A name beside `path` for what is being made or moved: always the same for a path, so that what a killed run
/// left is found again without a search, and short, so that it fits where the path's own name fits.
pub(super) fn scratch_name(path: &Path, suffix: &str) -> String {
    // FNV-1a.
    let hash = path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!(".forestage-{hash:016x}{suffix}")
}

/// A plain absolute path in two; never called with the root, which has no name.
pub(super) fn split(path: &Path) -> (&Path, &OsStr) {
    (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default())
}

fn plain(path: &Path, field: &str) -> Result<PathBuf> {
    let good = path.is_absolute()
        && path.file_name().is_some()
        && !path.components().any(|component| component == Component::ParentDir);
    if good {
        Ok(path.components().collect())
    } else {
        Err(Failure::new(format!("{field} is not an absolute path without \"..\""))
            .fact(field, format!("{:?}", path.display().to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_paths_are_places() {
        let cases = [
            ("/run/secrets.d", "/run/secrets", true),
            ("/run//secrets.d/", "/run/./secrets", true),
            ("/run/secrets.d", "/run/secrets.d/current", true),
            ("run/secrets.d", "/run/secrets", false),
            ("/", "/run/secrets", false),
            ("/run/secrets.d", "", false),
            ("/run/../secrets.d", "/run/secrets", false),
            ("/run/secrets", "/run/secrets", false),
            ("/run/secrets/d", "/run/secrets", false),
        ];
        for (mount_point, symlink_path, good) in cases {
            let place = Place::new(Root::system(), Path::new(mount_point), Path::new(symlink_path));
            assert_eq!(place.is_ok(), good, "{mount_point} {symlink_path}");
        }
    }

    #[test]
    fn a_generation_is_known_by_its_plain_number() {
        let place = Place::new(Root::system(), Path::new("/run/s.d"), Path::new("/run/s")).unwrap();
        let cases = [
            ("/run/s.d/7", Some(7)),
            ("/run//s.d/7/", Some(7)),
            ("/run/s.d/18446744073709551615", Some(u64::MAX)),
            ("/run/s.d/18446744073709551616", None),
            ("/run/s.d/07", None),
            ("/run/s.d/+7", None),
            ("/run/s.d/-7", None),
            ("/run/s.d/x", None),
            ("/run/s.d", None),
            ("/run/s.d/7/8", None),
            ("/run/s.dd/7", None),
            ("s.d/7", None),
        ];
        for (target, number) in cases {
            assert_eq!(place.generation_of(Path::new(target)), number, "{target}");
        }
    }
}

//! Where generations are: the mount point and the symlink that points at the current one.

use std::path::{Component, Path, PathBuf};

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

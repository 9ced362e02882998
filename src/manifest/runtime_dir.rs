//! `%r` in the paths of a user's manifest.

use std::{
    ffi::OsStr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use crate::failure::{Failure, Result};

/// `path` with `%r` replaced by `runtime_dir` and `%%` by `%`; other `%` stay.
pub fn expand(path: &Path, runtime_dir: Option<&Path>) -> Result<PathBuf> {
    let mut expanded = Vec::new();
    let mut rest = path.as_os_str().as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.split_first()) {
            (b'%', Some((b'%', after))) => {
                expanded.push(b'%');
                rest = after;
            }
            (b'%', Some((b'r', after))) => {
                expanded.extend_from_slice(runtime_dir.ok_or_else(no_runtime_dir)?.as_os_str().as_bytes());
                rest = after;
            }
            _ => expanded.push(byte),
        }
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(expanded)))
}

/// The runtime directory that the environment names. Set but empty, as sops-install-secrets accepts, would put
/// secrets at the root of the file system: that is absent here.
#[must_use]
pub fn from_environment(xdg_runtime_dir: Option<&OsStr>) -> Option<PathBuf> {
    xdg_runtime_dir.filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

fn no_runtime_dir() -> Failure {
    Failure::new("there is no runtime directory for %r: XDG_RUNTIME_DIR is not set")
        .fix("run this in a user session, or set XDG_RUNTIME_DIR=/run/user/$(id -u)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_directory_and_percent_are_expanded() {
        let expand = |path| expand(Path::new(path), Some(Path::new("/run/user/1"))).unwrap();
        for (path, expanded) in [
            ("%r/secrets.d", "/run/user/1/secrets.d"),
            ("/a%%r", "/a%r"),
            ("/a%%%r", "/a%/run/user/1"),
            ("/a%", "/a%"),
            ("/a%x", "/a%x"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(expand(path), Path::new(expanded), "{path}");
        }
    }

    #[test]
    fn without_a_runtime_directory_only_percent_r_fails() {
        assert!(expand(Path::new("%r/x"), None).is_err());
        assert_eq!(expand(Path::new("/a%%r"), None).unwrap(), Path::new("/a%r"));
        assert_eq!(from_environment(Some(OsStr::new(""))), None);
    }
}

//! What is in a directory, as the kernel tells it. The C library takes eight calls more, and a heap of its own.

use std::{ffi::CString, mem::MaybeUninit, os::fd::AsFd};

use nix::errno::Errno;
use rustix::fs::RawDir;

pub use rustix::fs::FileType;

/// Names with their types, without `.` and `..`, in no order. Some file systems do not know types.
pub fn list(dir: impl AsFd) -> nix::Result<Vec<(CString, FileType)>> {
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut found = RawDir::new(dir, &mut buffer);
    let mut entries = Vec::new();
    while let Some(entry) = found.next() {
        let entry = match entry.map_err(|error| Errno::from_raw(error.raw_os_error())) {
            // It was removed meanwhile.
            Err(Errno::ENOENT) => break,
            entry => entry?,
        };
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            entries.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        os::unix::fs::symlink,
    };

    use super::*;

    #[test]
    fn everything_is_listed_once() {
        let place = std::env::temp_dir().join(format!("forestage-listing-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        let mut expected =
            vec![("dir".to_owned(), FileType::Directory), ("link".to_owned(), FileType::Symlink)];
        fs::create_dir(place.join("dir")).unwrap();
        symlink("nowhere", place.join("link")).unwrap();
        // Longer than the buffer, and longest names.
        for number in 0..20 {
            let name = format!("{number:0>255}");
            File::create(place.join(&name)).unwrap();
            expected.push((name, FileType::RegularFile));
        }
        let found = list(File::open(&place).unwrap()).unwrap();
        assert_eq!(list(File::open(place.join("dir")).unwrap()).unwrap(), []);
        assert_eq!(list(File::open("/dev/null").unwrap()), Err(Errno::ENOTDIR));
        let gone = File::open(place.join("dir")).unwrap();
        fs::remove_dir_all(&place).unwrap();
        assert_eq!(list(gone).unwrap(), []);
        let mut found: Vec<_> =
            found.into_iter().map(|(name, kind)| (name.into_string().unwrap(), kind)).collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(found, expected);
    }
}

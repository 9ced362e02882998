//! Reading what comes from outside: regular files only, of a bounded size, without ever waiting.

use std::{io::Read, path::Path};

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    root::Root,
};

/// Files above this size (256 MiB) are refused before they are read.
pub const MAX_SIZE: u64 = 256 << 20;

/// The bytes of the regular file at `path` in `root`. A FIFO, device or directory is refused without waiting for it.
pub fn read_file(root: &Root, path: &Path, max_size: u64) -> Result<Plaintext> {
    let cannot = |error: &dyn std::fmt::Display| Failure::io("read", path, error);
    let file = root.open(path).map_err(|e| cannot(&e))?;
    let metadata = file.metadata().map_err(|e| cannot(&e))?;
    if !metadata.is_file() {
        return Err(cannot(&"not a regular file"));
    }
    read_bounded(file, metadata.len(), max_size).map_err(|e| cannot(&e))
}

/// The bytes of standard input, which may be anything that ends.
pub fn read_stdin(max_size: u64) -> Result<Plaintext> {
    read_bounded(std::io::stdin().lock(), 0, max_size).map_err(|e| Failure::io("read", "standard input", e))
}

/// The bytes of the file, or of standard input when `path` is `/dev/stdin`.
pub fn read(path: &Path, max_size: u64) -> Result<Plaintext> {
    if path == Path::new("/dev/stdin") {
        read_stdin(max_size)
    } else {
        read_file(&Root::system(), path, max_size)
    }
}

/// Reads `expected` bytes, or to the end if there are none or fewer. They are reserved at once, so that a secret leaves no
/// copy in an outgrown buffer.
fn read_bounded(mut source: impl Read, expected: u64, max_size: u64) -> std::io::Result<Plaintext> {
    let too_large = || {
        let limit = format!("larger than {max_size} bytes (see --max-size)");
        std::io::Error::new(std::io::ErrorKind::FileTooLarge, limit)
    };
    if expected > max_size {
        return Err(too_large());
    }
    let mut bytes = Plaintext::default();
    let mut filled = 0;
    let mut size = usize::try_from(expected).unwrap_or(usize::MAX);
    loop {
        let mut grown = Plaintext::from(vec![0; size]);
        if let Some(start) = grown.bytes_mut().get_mut(..filled) {
            start.copy_from_slice(bytes.get(..filled).unwrap_or_default());
        }
        bytes = grown;
        while let Some(free) = bytes.bytes_mut().get_mut(filled..).filter(|free| !free.is_empty()) {
            match source.read(free) {
                Ok(0) if filled as u64 > max_size => return Err(too_large()),
                Ok(0) => {
                    bytes.bytes_mut().truncate(filled);
                    return Ok(bytes);
                }
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if filled as u64 > max_size {
            return Err(too_large());
        }
        // All that the file said it has. What says nothing, such as a file of /proc, is read to its end.
        if filled > 0 && filled as u64 == expected {
            return Ok(bytes);
        }
        size = size.saturating_mul(2).max(1 << 16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_whole_whatever_was_expected() {
        let text = vec![b'x'; 200_000];
        for expected in [0, 200_000, 200_001] {
            assert_eq!(&*read_bounded(&text[..], expected, MAX_SIZE).unwrap(), &text[..]);
        }
    }

    #[test]
    fn too_much_is_refused_before_and_while_reading() {
        assert!(read_bounded(&b""[..], 11, 10).is_err());
        assert!(read_bounded(&[0; 10_000][..], 0, 10).is_err());
        assert!(read_bounded(&[0; 10][..], 10, 10).is_ok());
    }

    #[test]
    fn only_regular_files_are_read() {
        let directory = read_file(&Root::system(), Path::new("/"), MAX_SIZE).unwrap_err();
        assert_eq!(directory.headline, "cannot read /: not a regular file");
        assert!(read_file(&Root::system(), Path::new("/dev/zero"), MAX_SIZE).is_err());
        assert!(
            read_file(&Root::system(), Path::new("/does/not/exist"), MAX_SIZE)
                .unwrap_err()
                .headline
                .contains("No such file")
        );
    }
}

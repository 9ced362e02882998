//! What FAT, the file system of boot partitions, needs so that a power failure leaves a file that firmware reads.
//!
//! Found by replaying every write to such a partition.

use std::{fs::File, io};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    sys::statfs::{MSDOS_SUPER_MAGIC, fstatfs},
};

/// Whether the file lies on FAT.
pub(super) fn is_fat(file: &File) -> bool {
    fstatfs(file).is_ok_and(|about| about.filesystem_type() == MSDOS_SUPER_MAGIC)
}

/// Makes room for the file to grow from `length` to `end` bytes. On FAT a synced file's size reaches the disk before
/// its chain of clusters does: a machine that dies between has a file that no firmware reads.
pub(super) fn reserve(file: &File, length: u64, end: u64) -> io::Result<()> {
    let offset = |at: u64| i64::try_from(at).map_err(|_| io::ErrorKind::FileTooLarge);
    let (from, count) = (offset(length)?, offset(end.saturating_sub(length))?);
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, from, count) {
        // What a FUSE driver calls itself does not say what it can do.
        Err(Errno::EOPNOTSUPP) => Ok(()),
        reserved => {
            reserved?;
            file.sync_all()
        }
    }
}

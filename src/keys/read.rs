//! Reading the file of an identity: never too much, never for too long, and nothing of it is left in freed memory.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::unix::fs::FileTypeExt,
    thread,
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::Reason;

/// The largest identity file, in bytes. age and sops take sixteen times as much, which is a quarter of a million keys, and
/// seconds of trying them.
pub(super) const MAX_FILE: usize = 1 << 20;

/// How long a FIFO may take to deliver an identity.
const FIFO_LIMIT: Duration = Duration::from_secs(1);

/// What a regular file or a FIFO holds; the reason if it cannot be had.
pub(super) fn read(file: &File) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let metadata = file.metadata().map_err(|error| Reason::io(&error))?;
    let kind = metadata.file_type();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    if kind.is_fifo() {
        return read_fifo(file);
    }
    if !kind.is_file() {
        return Err(if kind.is_dir() { "it is a directory" } else { "it is no regular file" }.into());
    }
    if metadata.len() > limit {
        return Err(format!("it is larger than {MAX_FILE} bytes").into());
    }
    // With room to spare, so that nothing is moved and left behind in freed memory.
    let room = usize::try_from(metadata.len()).unwrap_or_default().saturating_add(64);
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    let mut file = file.take(limit);
    file.read_to_end(&mut text).map_err(|error| Reason::io(&error))?;
    Ok(text)
}

fn read_fifo(mut file: &File) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let deadline = Instant::now().checked_add(FIFO_LIMIT);
    let mut text = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let mut chunk = Zeroizing::new([0; 4096]);
    loop {
        match file.read(&mut chunk[..]) {
            Ok(0) if !text.is_empty() => return Ok(text),
            // No writer yet, or it has not written yet.
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Reason::io(&error)),
            Ok(length) => {
                text.extend_from_slice(chunk.get(..length).unwrap_or_default());
                if text.len() > MAX_FILE {
                    return Err(format!("it delivers more than {MAX_FILE} bytes").into());
                }
                continue;
            }
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return Err(format!(
                "it is a FIFO and was not written to its end within {} s",
                FIFO_LIMIT.as_secs()
            )
            .into());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

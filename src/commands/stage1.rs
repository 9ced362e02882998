//! `forestage stage1`: checks the secrets that came with the initrd, and brings them to their places.

use std::{path::PathBuf, time::Instant};

use crate::{failure::Result, root::Root, stage1};

use super::{Status, console::Console};

/// How to do it.
#[derive(Debug, Default)]
pub struct Options {
    /// What every absolute path is relative to.
    pub root: Option<PathBuf>,
}

/// Does it. Whatever fails is told, and the boot goes on.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let begun = Instant::now();
    let root = options.root.as_deref().map_or(Ok(Root::system()), Root::at)?;
    let outcome = stage1::arrive(&root);
    for failure in &outcome.failures {
        console.error(failure);
    }
    if outcome.good > 0 {
        let time = begun.elapsed();
        console.detail(&format!("{} secrets in place after {} us", outcome.good, time.as_micros()));
    }
    Ok(match (outcome.failures.is_empty(), outcome.good) {
        (true, _) => Status::Done,
        (false, 0) => Status::Failed,
        (false, _) => Status::Partial,
    })
}

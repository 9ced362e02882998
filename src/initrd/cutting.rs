//! Decides what of an initrd has to go, what stays, and where the segment will begin. Writes nothing.

use std::{io, ops::Range, path::Path};

use super::{
    cpio::{self, ReadAt},
    examine::State,
    find::Survey,
};
use crate::failure::{Failure, Result};

/// What has to go, and what of the bytes behind it stays.
pub(super) struct Cutting {
    /// Length of what stays in front.
    pub(super) stays: u64,
    /// Where the first segment of ours begins, or will begin.
    pub(super) start: u64,
    /// Bytes of others behind it.
    pub(super) kept: Vec<Range<u64>>,
    /// Whether the file can be shortened to `start` without losing anything that the kernel would use.
    pub(super) spares_nothing_in_use: bool,
}

impl Cutting {
    /// What has to go from a file of which the survey says what it holds. `warnings` gets a line on each loss.
    ///
    /// # Errors
    /// A damaged segment whose end nobody can tell: what lies behind it would be lost with it.
    pub(super) fn of<S: ReadAt + ?Sized>(
        survey: &Survey,
        file: &S,
        path: &Path,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let shown = path.display();
        if let Some(dead) = survey.dead {
            let count = survey.length.saturating_sub(dead);
            warnings.push(format!("{shown}: removed {count} bytes behind the initrd that no kernel reads"));
        }
        let length = survey.dead.unwrap_or(survey.length);
        let Some(first) = survey.found.first() else {
            return Ok(Self {
                stays: length,
                start: behind(file, length).map_err(|error| Failure::io("read", path, error))?,
                kept: Vec::new(),
                spares_nothing_in_use: true,
            });
        };
        let mut kept = Vec::new();
        let mut last_end = first.start;
        for found in &survey.found {
            let Some(end) = found.end else {
                return Err(Failure::new(format!(
                    "{shown} holds a damaged segment whose end cannot be found"
                ))
                .fact("begins at", found.start)
                .fix("make the initrd anew, then append to it"));
            };
            if last_end < found.start {
                kept.push(last_end..found.start);
            }
            if found.state == State::Cut {
                let count = end.saturating_sub(found.start);
                warnings.push(format!("{shown}: removed a segment that was cut, {count} bytes"));
            }
            last_end = end;
        }
        if last_end < length {
            kept.push(last_end..length);
        }
        let all_cut = survey.found.iter().all(|found| found.state == State::Cut);
        let spares_nothing_in_use = all_cut && kept.is_empty();
        Ok(Self { stays: first.start, start: first.start, kept, spares_nothing_in_use })
    }

    /// Bytes of others behind the segment.
    pub(super) fn kept_length(&self) -> u64 {
        self.kept.iter().map(|range| range.end.saturating_sub(range.start)).fold(0, u64::saturating_add)
    }
}

/// Zeros that stand in front of a segment. The kernel's reader of lz4 needs four: without them it takes what follows for
/// one more block, says "Decoding failed" and drops the segment. Twelve more, since zeros may be the end of the blocks:
/// the last bytes of an archive are zeros, and lz4 copies up to twelve of them as they are.
const ZEROS: usize = 16;

/// Where a segment begins that is put behind `length` bytes of others: at a multiple of 4, with [`ZEROS`] in front.
pub(super) fn behind<S: ReadAt + ?Sized>(others: &S, length: u64) -> io::Result<u64> {
    let mut last = [0; ZEROS];
    let from = length.saturating_sub(ZEROS as u64);
    let got = others.fill_at(&mut last, from)?;
    let got = got.min(usize::try_from(length.saturating_sub(from)).unwrap_or(ZEROS));
    let zeros = last.get(..got).unwrap_or_default().iter().rev().take_while(|byte| **byte == 0).count();
    let missing = if length == 0 { 0 } else { ZEROS.saturating_sub(zeros) };
    Ok(cpio::aligned(length.saturating_add(missing as u64)))
}

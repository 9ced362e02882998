//! Points `symlinkPath` at another generation, by one rename.

use nix::{
    errno::Errno,
    fcntl::{OFlag, renameat},
    sys::stat::Mode,
    unistd::symlinkat,
};

use super::{Place, current::Pointer, links::remove_scratch, place, prune::remove_tree};
use crate::failure::{Failure, Result};

/// Makes generation `number` the current one. `found` is what is at `symlinkPath` now.
pub(super) fn swap(place: &Place, found: Pointer, number: u64) -> Result<()> {
    let (parent, name) = place.above_symlink();
    let parent = place.root.make_dir(parent, OFlag::O_PATH, Mode::from_bits_truncate(0o755))?;
    let target = place.generation(number);
    let outside = place.root.join(&place.symlink_path);
    let failed = |error: Errno| Failure::io("swap", &outside, error);
    match found {
        Pointer::Absent => symlinkat(target.as_path(), &parent, name).map_err(failed),
        Pointer::Directory => {
            let aside = place::scratch_name(&place.symlink_path, ".old");
            remove_tree(&parent, aside.as_ref()).map_err(failed)?;
            renameat(&parent, name, &parent, aside.as_str())
                .map_err(|error| Failure::io("move away the directory", &outside, error))?;
            symlinkat(target.as_path(), &parent, name).map_err(failed)
        }
        Pointer::Elsewhere | Pointer::Generation(_) => {
            let scratch = place::scratch_name(&place.symlink_path, "");
            if symlinkat(target.as_path(), &parent, scratch.as_str()) == Err(Errno::EEXIST) {
                remove_scratch(&parent, &scratch);
                symlinkat(target.as_path(), &parent, scratch.as_str()).map_err(failed)?;
            }
            renameat(&parent, scratch.as_str(), &parent, name).map_err(failed)
        }
    }
}

/// Removes what this or a killed run left beside the symlink.
pub(super) fn clean(place: &Place) -> Option<String> {
    let (parent, _) = place.above_symlink();
    let parent = place.root.find_dir(parent, OFlag::O_PATH).ok()??;
    remove_scratch(&parent, &place::scratch_name(&place.symlink_path, ""));
    let aside = place::scratch_name(&place.symlink_path, ".old");
    let error = remove_tree(&parent, aside.as_ref()).err()?;
    let path = place.root.join(place.symlink_path.with_file_name(aside).as_path());
    Some(format!("the directory that was at symlinkPath cannot be removed from {}: {error}", path.display()))
}

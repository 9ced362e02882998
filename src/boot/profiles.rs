//! The generations of the system profiles: `/nix/var/nix/profiles/system-N-link`, and the same below
//! `system-profiles` for those who use `nixos-rebuild --profile-name`.

use std::path::{Path, PathBuf};

use super::bootspec::Bootspec;
use crate::{failure::Result, input, root::Root};

/// The profile that boots by default.
pub const SYSTEM: &str = "/nix/var/nix/profiles/system";
const OTHERS: &str = "/nix/var/nix/profiles/system-profiles";

/// One generation.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Its profile, such as [`SYSTEM`].
    pub profile: PathBuf,
    /// Its number in the profile.
    pub number: u64,
    /// What its boot.json says, or why it cannot be read.
    pub bootspec: Result<Bootspec>,
}

/// All generations, those of the system profile first, in ascending order of their numbers.
#[must_use]
pub fn generations(root: &Root) -> Vec<Generation> {
    let mut found = Vec::new();
    for directory in [Path::new(SYSTEM).parent().unwrap_or(Path::new("/")), Path::new(OTHERS)] {
        let names = root.list(directory).unwrap_or_default();
        for name in names.iter().filter_map(|name| name.to_str()) {
            let Some((profile, number)) = numbered(name) else { continue };
            let profile = directory.join(profile);
            if directory == Path::new(OTHERS) || profile == Path::new(SYSTEM) {
                found.push((directory, profile, number, directory.join(name)));
            }
        }
    }
    found.sort_by(|(a_in, a, a_number, _), (b_in, b, b_number, _)| {
        (a_in, a, a_number).cmp(&(b_in, b, b_number))
    });
    let read = |(_, profile, number, link): (_, _, _, PathBuf)| {
        let bootspec = boot_json(root, &link);
        Generation { profile, number, bootspec }
    };
    found.into_iter().map(read).collect()
}

/// Profile and number of a link such as `system-41-link`.
fn numbered(link: &str) -> Option<(&str, u64)> {
    let (profile, number) = link.strip_suffix("-link")?.rsplit_once('-')?;
    Some((profile, number.parse().ok()?))
}

/// The boot.json of a system at `toplevel`.
pub fn boot_json(root: &Root, toplevel: &Path) -> Result<Bootspec> {
    let path = toplevel.join("boot.json");
    let text = input::read_file(root, &path, input::MAX_SIZE)?;
    Bootspec::parse(&text).map_err(|failure| failure.fact("file", path.display()))
}

/// The generations that use this appender, for people, and what deletes them: "generation 41", "nix-env ...".
#[must_use]
pub fn who_uses(root: &Root, appender: &str) -> (String, String) {
    let users: Vec<_> = generations(root)
        .into_iter()
        .filter(|generation| generation.bootspec.as_ref().is_ok_and(|bootspec| bootspec.mentions(appender)))
        .collect();
    let Some(first) = users.first() else {
        let fix = format!("nix-env -p {SYSTEM} --delete-generations N, where N is its number");
        return ("an older generation".to_owned(), fix);
    };
    let of_first = users.iter().filter(|user| user.profile == first.profile);
    let numbers: Vec<_> = of_first.map(|user| user.number.to_string()).collect();
    let what = if numbers.len() == 1 { "generation" } else { "generations" };
    let of = if first.profile == Path::new(SYSTEM) {
        String::new()
    } else {
        format!(" of {}", first.profile.display())
    };
    let fix = format!("nix-env -p {} --delete-generations {}", first.profile.display(), numbers.join(" "));
    (format!("{what} {}{of}", numbers.join(", ")), fix)
}

/// Whether the generation that is being installed is the one whose appender this is. `toplevel` is what the switch
/// says that it installs. Where nobody says, it is.
#[must_use]
pub fn is_current(root: &Root, toplevel: Option<&Path>, appender: &str) -> bool {
    // What the environment names is no path of the root's.
    let installed = toplevel.and_then(|toplevel| boot_json(&Root::system(), toplevel).ok());
    let installed = installed.or_else(|| boot_json(root, Path::new(SYSTEM)).ok());
    installed.is_none_or(|bootspec| bootspec.mentions(appender))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_generations() {
        for (link, expected) in [
            ("system-41-link", Some(("system", 41))),
            ("my-box-7-link", Some(("my-box", 7))),
            ("system", None),
            ("system-x-link", None),
            ("system--1-link", Some(("system-", 1))),
        ] {
            assert_eq!(numbered(link), expected, "{link}");
        }
    }
}

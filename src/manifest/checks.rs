//! What makes a manifest invalid as a whole: anything that leaves unclear which bytes end up in which file.

use std::{
    collections::BTreeMap,
    os::unix::ffi::OsStrExt,
    path::{Component, Path},
};

use crate::{
    failure::{Failure, Result},
    sops::formats::Format,
};

use super::{Manifest, Phase};

/// Refuses what cannot be landed whatever the secrets hold.
pub fn whole(manifest: &Manifest) -> Result<()> {
    if manifest.version > 1 {
        return Err(Failure::new(format!(
            "manifest version {} is newer than this forestage",
            manifest.version
        ))
        .fix("use the forestage that belongs to this configuration"));
    }
    identities(manifest)?;
    distinct_names(manifest)?;
    places(manifest)?;
    one_format_a_file(manifest)?;
    placeholders(manifest)?;
    if manifest.phase == Phase::Initrd { Ok(()) } else { generations(manifest) }
}

/// A `gnupgHome` serves alone, as in sops-nix.
fn identities(manifest: &Manifest) -> Result<()> {
    let named = &manifest.identities;
    let other = match () {
        () if !named.ssh_key_paths.is_empty() => "sshKeyPaths",
        () if named.age_key_file.is_some() => "ageKeyFile",
        () => return Ok(()),
    };
    if named.gnupg_home.is_none() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "gnupgHome and {other} were specified in the manifest. Both options are mutually exclusive."
    )))
}

fn distinct_names(manifest: &Manifest) -> Result<()> {
    let secrets = manifest.secrets.iter().map(|secret| ("secret", &secret.placement));
    let templates = manifest.templates.iter().map(|template| ("template", &template.placement));
    let mut seen = std::collections::BTreeSet::new();
    for (kind, placement) in secrets.chain(templates) {
        if !seen.insert((kind, placement.name.as_path())) {
            return Err(Failure::new(format!("two {kind}s have the name {:?}", placement.name.as_str())));
        }
    }
    Ok(())
}

/// No two files at one place, and no file where another needs a directory: in the generation and among the links.
fn places(manifest: &Manifest) -> Result<()> {
    let secrets = manifest.secrets.iter().map(|secret| (secret.place(), &secret.placement));
    let templates = manifest.templates.iter().map(|template| (template.place(), &template.placement));
    let (mut generation, mut links) = (Claims::default(), Claims::default());
    for (place, placement) in secrets.chain(templates) {
        let name = placement.name.as_str();
        generation.add(&place, name);
        let visible = manifest.symlink_path.join(&place);
        let Some(path) = placement.path.as_ref().filter(|path| **path != visible) else { continue };
        // A link below symlinkPath stands in the generation, among the files.
        match path.strip_prefix(&manifest.symlink_path) {
            Ok(inside) if inside.as_os_str().is_empty() => {
                return Err(Failure::new(format!("the path of {name:?} is symlinkPath itself"))
                    .fact("symlinkPath", manifest.symlink_path.display())
                    .fix("give it another path, or none"));
            }
            Ok(inside) => generation.add(inside, name),
            Err(_) => links.add(path, name),
        }
    }
    generation.settle()?;
    links.settle()
}

/// Paths and the names of those who want them.
#[derive(Default)]
struct Claims<'a>(Vec<(Vec<u8>, &'a str)>);

impl<'a> Claims<'a> {
    /// What separates components: no component holds it, and it sorts before all that they hold, so that what lies
    /// below a path comes right behind it.
    const SEPARATOR: u8 = 0;

    fn add(&mut self, path: &Path, name: &'a str) {
        let mut bytes = Vec::with_capacity(path.as_os_str().len());
        for component in path.components() {
            if component != Component::RootDir {
                bytes.extend_from_slice(component.as_os_str().as_bytes());
            }
            bytes.push(Self::SEPARATOR);
        }
        self.0.push((bytes, name));
    }

    fn settle(mut self) -> Result<()> {
        self.0.sort_unstable();
        for pair in self.0.windows(2) {
            let [(above, first), (path, second)] = pair else { continue };
            if !path.starts_with(above) {
                continue;
            }
            let shown = String::from_utf8_lossy(above.strip_suffix(&[Self::SEPARATOR]).unwrap_or(above));
            let shown = if shown.is_empty() { "/".to_owned() } else { shown.replace('\0', "/") };
            return Err(Failure::new(if above == path {
                format!("{first:?} and {second:?} both claim {shown}")
            } else {
                format!("{first:?} is a file at {shown}, and {second:?} needs a directory there")
            }));
        }
        Ok(())
    }
}

fn one_format_a_file(manifest: &Manifest) -> Result<()> {
    let mut formats: BTreeMap<&Path, (Format, &str)> = BTreeMap::new();
    for secret in &manifest.secrets {
        let name = secret.placement.name.as_str();
        let (format, first) = *formats.entry(&secret.sops_file).or_insert((secret.format, name));
        if format != secret.format {
            return Err(Failure::new(format!(
                "secret {name} defined the format of {} as {}, but it was specified as {} in {first} before",
                secret.sops_file.display(),
                secret.format.name(),
                format.name(),
            )));
        }
    }
    Ok(())
}

/// A manifest with templates has a placeholder for each secret, as sops-nix demands.
fn placeholders(manifest: &Manifest) -> Result<()> {
    if manifest.templates.is_empty() {
        return Ok(());
    }
    let mut seen = BTreeMap::new();
    for secret in &manifest.secrets {
        let name = secret.placement.name.as_str();
        let Some(placeholder) = secret.placeholder.as_deref().filter(|text| !text.is_empty()) else {
            return Err(Failure::new(format!("placeholder for {name} not found in manifest")));
        };
        if let Some(other) = seen.insert(placeholder, name) {
            return Err(Failure::new(format!("{other:?} and {name:?} have the same placeholder")));
        }
    }
    Ok(())
}

/// Where generations live must be said, in absolute paths, and the link must not lie inside.
fn generations(manifest: &Manifest) -> Result<()> {
    let paths = [("secretsMountPoint", &manifest.mount_point), ("symlinkPath", &manifest.symlink_path)];
    for (field, path) in paths {
        if path.as_os_str().is_empty() {
            return Err(Failure::new(format!("{field} is missing in the manifest")));
        }
        // In user mode %r stands for an absolute path.
        let absolute = path.is_absolute() || (manifest.user_mode && path.starts_with("%r"));
        if !absolute || path.components().any(|component| component == Component::ParentDir) {
            return Err(Failure::new(format!("{field} is not an absolute path without `..`"))
                .fact(field, path.display()));
        }
    }
    if manifest.symlink_path.starts_with(&manifest.mount_point) {
        return Err(Failure::new("symlinkPath lies inside secretsMountPoint"));
    }
    Ok(())
}

//! What makes a manifest invalid as a whole: anything that leaves unclear which bytes end up in which file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
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
    let (mut generation, mut links) = (BTreeMap::new(), BTreeMap::new());
    for (place, placement) in secrets.chain(templates) {
        let visible = manifest.symlink_path.join(&place);
        claim(&mut generation, &place, placement.name.as_str())?;
        let Some(path) = placement.path.as_ref().filter(|path| **path != visible) else { continue };
        // A link below symlinkPath stands in the generation, among the files.
        match path.strip_prefix(&manifest.symlink_path) {
            Ok(inside) => claim(&mut generation, inside, placement.name.as_str())?,
            Err(_) => claim(&mut links, path, placement.name.as_str())?,
        }
    }
    nested(&generation)?;
    nested(&links)
}

fn claim<'a>(claimed: &mut BTreeMap<PathBuf, &'a str>, path: &Path, name: &'a str) -> Result<()> {
    match claimed.insert(path.to_owned(), name) {
        None => Ok(()),
        Some(other) => Err(Failure::new(format!("{other:?} and {name:?} both claim {}", path.display()))),
    }
}

/// Refuses a path that lies below another one.
fn nested(claimed: &BTreeMap<PathBuf, &str>) -> Result<()> {
    for (path, name) in claimed {
        let above = path.ancestors().skip(1).find_map(|parent| claimed.get_key_value(parent));
        if let Some((parent, other)) = above {
            return Err(Failure::new(format!(
                "{other:?} is a file at {}, and {name:?} needs a directory there",
                parent.display()
            )));
        }
    }
    Ok(())
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
    }
    if manifest.symlink_path.starts_with(&manifest.mount_point) {
        return Err(Failure::new("symlinkPath lies inside secretsMountPoint"));
    }
    Ok(())
}

//! JSON -> types. Field names and their meaning are those of sops-nix; the new ones are forestage's.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    failure::{Failure, Kind, Result},
    json::{self, Place},
    sops::formats::Format,
    tree::Mode,
    units::{Requests, Unit},
};

use super::{
    Identities, Initrd, InitrdContent, InitrdFile, Logging, Manifest, Name, Phase, Placement, Principal,
    Secret, Template, TemplateText, credential,
};

/// The manifest that the first JSON value of `text` describes, not yet checked as a whole.
pub fn manifest(text: &[u8]) -> Result<Manifest> {
    let (value, _) = json::parse_prefix(text)?;
    let top = Place::root(&value);
    let version = top.field("version")?.whole()?.map_or(Ok(0), u32::try_from);
    let version = version.map_err(|_| Failure::new("version is not a small number"))?;
    let user_mode = flag(&top, "userMode")?;
    let phase = match text_of(&top, "phase")? {
        None if user_mode => Phase::User,
        None => Phase::System,
        Some(name) => Phase::named(name).map_err(|failure| failure.kind(Kind::Other))?,
    };
    let placeholders = placeholders(&top)?;
    let secrets = top
        .field("secrets")?
        .items()?
        .map(|item| secret(&item, version, &placeholders))
        .collect::<Result<_>>()?;
    let logging = top.field("logging")?;
    Ok(Manifest {
        version,
        phase,
        secrets,
        templates: top.field("templates")?.items()?.map(|item| template(&item)).collect::<Result<_>>()?,
        mount_point: path(&top, "secretsMountPoint")?.unwrap_or_default(),
        symlink_path: path(&top, "symlinkPath")?.unwrap_or_default(),
        keep_generations: keep_generations(&top)?,
        identities: Identities {
            age_key_file: path(&top, "ageKeyFile")?,
            age_ssh_key_paths: paths(&top, "ageSshKeyPaths")?,
            ssh_key_paths: paths(&top, "sshKeyPaths")?,
            gnupg_home: path(&top, "gnupgHome")?,
        },
        use_tmpfs: flag(&top, "useTmpfs")?,
        user_mode: user_mode || phase == Phase::User,
        allow_swap: flag(&top, "allowSwap")?,
        strict: flag(&top, "strict")?,
        reuse_unchanged: flag(&top, "reuseUnchanged")?,
        logging: Logging {
            key_import: flag(&logging, "keyImport")?,
            secret_changes: flag(&logging, "secretChanges")?,
        },
        initrd: initrd(&top)?,
    })
}

/// Less than nothing means everything, as in sops-install-secrets.
fn keep_generations(top: &Place) -> Result<u64> {
    let keep = top.field("keepGenerations")?.whole()?.unwrap_or(0);
    Ok(u64::try_from(keep).unwrap_or(0))
}

/// Placeholders by the name of their secret.
fn placeholders<'v>(top: &Place<'v, '_>) -> Result<BTreeMap<&'v str, &'v str>> {
    let field = top.field("placeholderBySecretName")?;
    field.entries()?.map(|(name, place)| Ok((name, place.text()?.unwrap_or_default()))).collect()
}

fn secret(place: &Place, version: u32, placeholders: &BTreeMap<&str, &str>) -> Result<Secret> {
    let placement = placement(place)?;
    let format = text_of(place, "format")?.unwrap_or_default();
    // An unknown word is YAML in sops-install-secrets; that hid mistakes, so here it is one.
    let format = match format {
        "" => Format::Yaml,
        name => Format::named(name).ok_or_else(|| {
            place.failure(format!("there is no format {name:?}")).fix("use yaml, json, dotenv, ini or binary")
        })?,
    };
    // sops-nix names a key for every secret, and ignores it where a file is always written whole.
    let whole = format == Format::Binary || (version == 0 && matches!(format, Format::Dotenv | Format::Ini));
    let key = text_of(place, "key")?.filter(|key| !key.is_empty() && !whole);
    Ok(Secret {
        sops_file: path(place, "sopsFile")?.ok_or_else(|| place.failure("sopsFile is missing"))?,
        format,
        key: key.map(str::to_owned),
        placeholder: placeholders.get(placement.name.as_str()).map(|&text| text.to_owned()),
        placement,
    })
}

fn template(place: &Place) -> Result<Template> {
    let placement = placement(place)?;
    let text = match (text_of(place, "content")?.filter(|text| !text.is_empty()), path(place, "file")?) {
        (Some(content), _) => TemplateText::Inline(content.to_owned()),
        (None, Some(file)) => TemplateText::File(file),
        (None, None) => {
            let name = placement.name.as_str();
            return Err(Failure::new(format!("neither content nor file was specified for template {name}")));
        }
    };
    Ok(Template { placement, text })
}

fn placement(place: &Place) -> Result<Placement> {
    let name = text_of(place, "name")?.unwrap_or_default();
    Ok(Placement {
        name: Name::new(name).map_err(|failure| place.failure(failure.headline))?,
        path: path(place, "path")?,
        mode: mode(place),
        owner: principal(place, "owner", "uid")?,
        group: principal(place, "group", "gid")?,
        units: Requests { restart: units(place, "restartUnits")?, reload: units(place, "reloadUnits")? },
    })
}

/// Base 8, at most 16 bits; absent: 0400.
fn mode(place: &Place) -> Result<Mode> {
    let Some(text) = text_of(place, "mode")? else { return Ok(Mode::new(0o400)) };
    let bits =
        Some(text).filter(|text| !text.starts_with('+')).and_then(|text| u16::from_str_radix(text, 8).ok());
    bits.map(Mode::new).ok_or_else(|| {
        place.failure(format!("invalid number in mode: {text}")).fix("write it in octal, such as 0400")
    })
}

fn principal(place: &Place, name: &str, number: &str) -> Result<Principal> {
    match text_of(place, name)? {
        Some(name) => Ok(Principal::Name(name.to_owned())),
        None => id(place, number).map(Principal::Id),
    }
}

fn id(place: &Place, field: &str) -> Result<u32> {
    let id = place.field(field)?.whole()?.unwrap_or(0);
    // The highest number means "leave it" to chown.
    let id = u32::try_from(id).ok().filter(|&id| id != u32::MAX);
    id.ok_or_else(|| place.failure(format!("{field} is not the number of a user or group")))
}

fn units(place: &Place, field: &str) -> Result<Vec<Unit>> {
    let list = place.field(field)?;
    let unit = |item: Place| {
        let name = item.text()?.unwrap_or_default();
        Unit::parse(name).map_err(|failure| item.failure(failure.headline))
    };
    list.items()?.map(unit).collect()
}

fn initrd(top: &Place) -> Result<Initrd> {
    Ok(Initrd {
        files: top.field("files")?.items()?.map(|item| initrd_file(&item)).collect::<Result<_>>()?,
        directories: top
            .field("directories")?
            .items()?
            .map(|item| {
                let path = path(&item, "path")?.ok_or_else(|| item.failure("path is missing"))?;
                Ok((path, explicit_mode(&item)?.unwrap_or(Mode::new(0o755))))
            })
            .collect::<Result<_>>()?,
        base: path(top, "base")?,
        appender: path(top, "appender")?,
        passwd_file: path(top, "passwdFile")?,
        group_file: path(top, "groupFile")?,
    })
}

fn initrd_file(place: &Place) -> Result<InitrdFile> {
    let opened = |name: &str| Name::new(name).map_err(|failure| place.failure(failure.headline));
    let (secret, template, source) =
        (text_of(place, "secret")?, text_of(place, "template")?, path(place, "source")?);
    let content = match (secret, template, source) {
        (Some(name), None, None) => InitrdContent::Secret(opened(name)?),
        (None, Some(name), None) => InitrdContent::Template(opened(name)?),
        (None, None, Some(source)) => InitrdContent::Source(source),
        _ => return Err(place.failure("one of secret, template and source is needed")),
    };
    Ok(InitrdFile {
        target: path(place, "target")?.ok_or_else(|| place.failure("target is missing"))?,
        content,
        mode: explicit_mode(place)?,
        uid: id(place, "uid")?,
        gid: id(place, "gid")?,
        credential: credential(place)?,
    })
}

/// Refused here, since stage 1 could only fail the boot.
fn credential(place: &Place) -> Result<Option<String>> {
    let name = text_of(place, "credential")?;
    match name.filter(|name| !credential::is_name(name)) {
        Some(name) => Err(place
            .failure(format!("systemd takes no credential of the name {name:?}"))
            .fix("use printable ASCII without / and :, at most 255 characters, not . or ..")),
        None => Ok(name.map(str::to_owned)),
    }
}

fn explicit_mode(place: &Place) -> Result<Option<Mode>> {
    if place.field("mode")?.is_absent() { Ok(None) } else { mode(place).map(Some) }
}

fn text_of<'v>(place: &Place<'v, '_>, field: &str) -> Result<Option<&'v str>> {
    place.field(field)?.text()
}

fn flag(place: &Place, field: &str) -> Result<bool> {
    Ok(place.field(field)?.flag()?.unwrap_or(false))
}

/// An empty path is an absent one, as Go's zero value.
fn path(place: &Place, field: &str) -> Result<Option<PathBuf>> {
    let text = text_of(place, field)?.filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.contains('\0')) {
        return Err(place.failure(format!("{field} is not a path")));
    }
    Ok(text.map(PathBuf::from))
}

fn paths(place: &Place, field: &str) -> Result<Vec<PathBuf>> {
    let list = place.field(field)?;
    list.items()?.map(|item| Ok(PathBuf::from(item.text()?.unwrap_or_default()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Manifest> {
        Manifest::parse(text.as_bytes())
    }

    const PLACES: &str = r#""secretsMountPoint": "/run/s.d", "symlinkPath": "/run/s""#;

    #[test]
    fn a_manifest_of_sops_nix_is_read_with_its_defaults() {
        let text = format!(
            r#"{{ {PLACES}, "Secrets": [{{"NAME": "a/b", "key": "x", "sopsFile": "/f", "format": null, "mode": "0440",
                "owner": null, "uid": 7, "group": "keys", "restartUnits": ["u.service"], "neededForUsers": true }}],
                "logging": {{"secretChanges": true}} }} trailing"#
        );
        let manifest = parsed(&text).unwrap();
        let secret = &manifest.secrets[0];
        assert_eq!(secret.placement.name.as_str(), "a/b");
        assert_eq!((secret.format, secret.key.as_deref()), (Format::Yaml, Some("x")));
        assert_eq!(secret.placement.mode, Ok(Mode::new(0o440)));
        assert_eq!(secret.placement.owner, Principal::Id(7));
        assert_eq!(secret.placement.group, Principal::Name("keys".to_owned()));
        assert_eq!(secret.placement.units.restart[0].as_str(), "u.service");
        assert!(manifest.logging.secret_changes && !manifest.logging.key_import);
        assert_eq!((manifest.phase, manifest.keep_generations), (Phase::System, 0));
    }

    #[test]
    fn modes_are_octal_and_a_bad_one_stays_with_its_secret() {
        for (mode, bits) in
            [("0400", Some(0o400)), ("7777", Some(0o777)), ("", None), ("8", None), ("+7", None)]
        {
            let text = format!(
                r#"{{ {PLACES}, "secrets": [{{"name": "a", "sopsFile": "/f", "mode": "{mode}"}}] }}"#
            );
            let mode = parsed(&text).unwrap().secrets[0].placement.mode.clone().ok();
            assert_eq!(mode.map(Mode::bits), bits);
        }
    }

    #[test]
    fn files_that_are_written_whole_ignore_the_key_of_a_sops_nix_manifest() {
        for (version, format, key) in [(0, "dotenv", None), (1, "dotenv", Some("K")), (1, "binary", None)] {
            let secret = format!(r#"{{"name": "a", "sopsFile": "/f", "format": "{format}", "key": "K"}}"#);
            let text = format!(r#"{{ {PLACES}, "version": {version}, "secrets": [{secret}] }}"#);
            assert_eq!(parsed(&text).unwrap().secrets[0].key.as_deref(), key, "{version} {format}");
        }
    }

    #[test]
    fn a_credential_has_a_name_that_systemd_takes() {
        for (name, good) in [("luks.key", true), ("", false), ("..", false), ("a/b", false), ("a:b", false)] {
            let file = format!(r#"{{"target": "/x", "source": "/f", "credential": "{name}"}}"#);
            let read = parsed(&format!(r#"{{"phase": "initrd", "files": [{file}]}}"#));
            match read {
                Ok(manifest) => assert!(good && manifest.initrd.files[0].credential.as_deref() == Some(name)),
                Err(failure) => {
                    assert!(!good, "{failure}");
                    let told = format!("files[0]: systemd takes no credential of the name {name:?}");
                    assert_eq!(failure.headline, told);
                }
            }
        }
    }

    #[test]
    fn what_is_unclear_fails_the_whole_manifest() {
        let secret = |name: &str, more: &str| format!(r#"{{"name": "{name}", "sopsFile": "/f"{more}}}"#);
        let with = |secrets: &[String], more: &str| {
            format!(r#"{{ {PLACES}, "secrets": [{}]{more} }}"#, secrets.join(","))
        };
        let template = r#", "templates": [{"name": "t", "content": "x"}]"#;
        for (text, headline) in [
            ("{".to_owned(), ""),
            ("[]".to_owned(), "expected an object, found a list"),
            (r#"{"symlinkPath": "/run/s"}"#.to_owned(), "secretsMountPoint is missing in the manifest"),
            (with(&[secret("a", ""), secret("a/", "")], ""), "two secrets have the name \"a/\""),
            (
                with(&[secret("a", ""), secret("a/b", "")], ""),
                "\"a\" is a file at a, and \"a/b\" needs a directory there",
            ),
            (with(&[secret("../a", "")], ""), "secrets[0]: the name \"../a\" leaves its directory"),
            (
                with(&[secret("a", r#","path":"/x""#), secret("b", r#","path":"/x""#)], ""),
                "\"a\" and \"b\" both claim /x",
            ),
            (
                with(&[secret("a", ""), secret("b", r#","format":"json""#)], ""),
                "secret b defined the format of /f as json, but it was specified as yaml in a before",
            ),
            (with(&[secret("a", r#","path":"/run/s/""#)], ""), "the path of \"a\" is symlinkPath itself"),
            (
                with(&[secret("a", r#","path":"/""#), secret("b", r#","path":"/x""#)], ""),
                "\"a\" is a file at /, and \"b\" needs a directory there",
            ),
            (with(&[secret("a", "")], template), "placeholder for a not found in manifest"),
            (with(&[secret("a", r#","format":"toml""#)], ""), "secrets[0]: there is no format \"toml\""),
            (with(&[], r#", "version": 2"#), "manifest version 2 is newer than this forestage"),
            (
                with(&[], r#", "templates": [{"name": "t"}]"#),
                "neither content nor file was specified for template t",
            ),
        ] {
            let failure = parsed(&text).unwrap_err();
            assert!(headline.is_empty() || failure.headline == headline, "{text}: {failure}");
        }
    }
}

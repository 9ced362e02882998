//! `boot.json` (NixOS RFC 125): the systems of one generation, itself and its specialisations.

use std::path::PathBuf;

use crate::{
    failure::{Failure, Result},
    json::{self, Place, Value},
};

const SYSTEM: &str = "org.nixos.bootspec.v1";
const SPECIALISATIONS: &str = "org.nixos.specialisation.v1";

/// A boot.json.
#[derive(Debug, Clone)]
pub struct Bootspec {
    value: Value,
    /// The generation itself, then its specialisations.
    pub systems: Vec<System>,
}

/// One system that a generation can boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// The name of the specialisation; none for the generation itself.
    pub specialisation: Option<String>,
    /// What people see in the menu.
    pub label: String,
    /// The program that stage 2 begins with; the kernel's command line names it.
    pub init: Option<PathBuf>,
    /// The initrd as it was built, without secrets.
    pub initrd: Option<PathBuf>,
    /// The appender.
    pub appender: Option<PathBuf>,
}

impl Bootspec {
    /// Reads the text of a boot.json.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let value = json::parse(text)?;
        let systems = systems(&value)?;
        Ok(Self { value, systems })
    }

    /// Whether this path stands in it anywhere.
    #[must_use]
    pub fn mentions(&self, path: &str) -> bool {
        mentions(&self.value, path)
    }
}

fn systems(value: &Value) -> Result<Vec<System>> {
    let top = Place::root(value);
    let mut systems = Vec::new();
    systems.extend(system(&top, None)?);
    for (name, specialisation) in top.field(SPECIALISATIONS)?.entries()? {
        systems.extend(system(&specialisation, Some(name.to_owned()))?);
    }
    if systems.is_empty() {
        return Err(Failure::new(format!("there is no {SYSTEM} in it")));
    }
    Ok(systems)
}

fn system(place: &Place, specialisation: Option<String>) -> Result<Option<System>> {
    let system = place.field(SYSTEM)?;
    if system.is_absent() {
        return Ok(None);
    }
    let path = |name| Ok::<_, Failure>(system.field(name)?.text()?.map(PathBuf::from));
    Ok(Some(System {
        specialisation,
        label: system.field("label")?.text()?.unwrap_or_default().to_owned(),
        init: path("init")?,
        initrd: path("initrd")?,
        appender: path("initrdSecrets")?,
    }))
}

fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => **string == *text.as_bytes(),
        Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        Value::Object(members) => members.iter().any(|(_, value)| mentions(value, text)),
        _ => false,
    }
}

/// The manifest that an appender appends: the word behind `--manifest` in the script, without quotation marks.
#[must_use]
pub fn manifest_of(script: &[u8]) -> Option<PathBuf> {
    let script = std::str::from_utf8(script).ok()?;
    let mut words = script.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(|line| {
        line.split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '\\'))
            .filter(|word| !word.is_empty())
    });
    let path = words.find_map(|word| match word.strip_prefix("--manifest") {
        Some("" | "=") => Some(None),
        Some(rest) => rest.strip_prefix('=').map(Some),
        None => None,
    })?;
    path.or_else(|| words.next()).filter(|path| path.starts_with('/')).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = br#"{
        "org.nixos.bootspec.v1": {
            "init": "/nix/store/a-nixos/init", "initrd": "/nix/store/i/initrd",
            "initrdSecrets": "/nix/store/s/bin/append-initrd-secrets",
            "kernel": "/nix/store/k/bzImage", "kernelParams": ["quiet"], "label": "NixOS 25.11",
            "system": "x86_64-linux", "toplevel": "/nix/store/a-nixos"
        },
        "org.nixos.specialisation.v1": {
            "safe": { "org.nixos.bootspec.v1": { "init": "/nix/store/b/init", "label": "safe" } },
            "empty": {}
        },
        "org.nixos.systemd-boot": { "sortKey": "nixos" }
    }"#;

    #[test]
    fn a_boot_json_and_its_specialisations() {
        let bootspec = Bootspec::parse(TEXT).unwrap();
        let [main, safe] = bootspec.systems.as_slice() else { panic!("{bootspec:?}") };
        assert_eq!((main.label.as_str(), main.specialisation.as_deref()), ("NixOS 25.11", None));
        assert_eq!(main.init.as_deref().unwrap().to_str(), Some("/nix/store/a-nixos/init"));
        assert_eq!(main.initrd.as_deref().unwrap().to_str(), Some("/nix/store/i/initrd"));
        assert_eq!((safe.specialisation.as_deref(), safe.appender.as_deref()), (Some("safe"), None));
        assert!(bootspec.mentions("/nix/store/s/bin/append-initrd-secrets"));
        assert!(!bootspec.mentions("/nix/store/s"));
        for bad in [
            &b"{}"[..],
            b"[]",
            b"{\"org.nixos.bootspec.v1\": 1}",
            b"{\"org.nixos.bootspec.v1\": {\"init\": 1}}",
        ] {
            assert!(Bootspec::parse(bad).is_err());
        }
    }

    #[test]
    fn the_manifest_of_an_appender() {
        for (script, expected) in [
            (
                "#!/bin/sh\nexec /nix/store/f/bin/forestage initrd append --manifest /nix/store/m.json --base /b \"$1\"\n",
                Some("/nix/store/m.json"),
            ),
            ("exec forestage initrd append --manifest='/nix/store/m.json' \"$@\"", Some("/nix/store/m.json")),
            ("exec f initrd append \\\n  --manifest \\\n  \"/m\" \"$1\"", Some("/m")),
            ("# --manifest /comment\nexec f --manifest /real", Some("/real")),
            ("exec f --manifests /m", None),
            ("exec f --manifest", None),
            ("exec f --manifest \"$m\"", None),
            ("", None),
        ] {
            assert_eq!(manifest_of(script.as_bytes()), expected.map(PathBuf::from), "{script}");
        }
        assert_eq!(manifest_of(b"\xff --manifest /m"), None);
    }
}

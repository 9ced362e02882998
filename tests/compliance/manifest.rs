//! Manifests as the NixOS module writes them, as JSON text; each field can be set to anything.

use std::fmt;

/// JSON text.
#[derive(Clone)]
pub struct Json(String);

/// JSON text, taken as it is.
pub fn raw(text: &str) -> Json {
    Json(text.to_owned())
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        Self(format!("\"{escaped}\""))
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}

impl From<bool> for Json {
    fn from(truth: bool) -> Self {
        Self(truth.to_string())
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Self(object.to_string())
    }
}

impl<T: Into<Json>, const N: usize> From<[T; N]> for Json {
    fn from(items: [T; N]) -> Self {
        Vec::from(items).into()
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(items: Vec<T>) -> Self {
        let items: Vec<String> = items.into_iter().map(|item| item.into().0).collect();
        Self(format!("[{}]", items.join(", ")))
    }
}

/// A JSON object: names and values in order.
#[derive(Clone, Default)]
pub struct Object(Vec<(String, Json)>);

impl Object {
    /// With that field, which replaces one of the same name.
    pub fn set(mut self, name: &str, value: impl Into<Json>) -> Self {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((name.to_owned(), value.into())),
        }
        self
    }

    /// Without that field.
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// A manifest with these templates, and a placeholder `<SOPS:name>` for each of `secrets`.
    pub fn templates<const N: usize>(self, templates: [Object; N], secrets: &[&str]) -> Self {
        let placeholders = secrets
            .iter()
            .fold(Self::default(), |all, name| all.set(name, format!("<SOPS:{name}>").as_str()));
        self.set("templates", templates).set("placeholderBySecretName", placeholders)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{}: {}", Json::from(name.as_str()).0, value.0))
            .collect();
        write!(f, "{{{}}}", fields.join(", "))
    }
}

/// The secret whose name is also its key in `/run/sops/secrets.yaml`.
pub fn secret(name: &str) -> Object {
    placed(name, "/run/secrets")
        .set("key", name)
        .set("sopsFile", "/run/sops/secrets.yaml")
        .set("sopsFileHash", "0000")
        .set("format", "yaml")
        .set("neededForUsers", false)
}

/// A secret that is a whole file of `/run/sops`.
pub fn whole_file(name: &str, file: &str, format: &str) -> Object {
    secret(name).set("key", "").set("sopsFile", format!("/run/sops/{file}").as_str()).set("format", format)
}

/// The template with that text.
pub fn template(name: &str, content: &str) -> Object {
    placed(name, "/run/secrets/rendered").set("content", content).set("file", "")
}

fn placed(name: &str, directory: &str) -> Object {
    Object::default()
        .set("name", name)
        .set("path", format!("{directory}/{name}").as_str())
        .set("mode", "0400")
        .set("owner", raw("null"))
        .set("uid", 0)
        .set("group", raw("null"))
        .set("gid", 0)
        .set("restartUnits", raw("[]"))
        .set("reloadUnits", raw("[]"))
}

/// The manifest with these secrets.
pub fn manifest(secrets: impl Into<Json>) -> Object {
    Object::default()
        .set("secrets", secrets)
        .set("templates", raw("[]"))
        .set("placeholderBySecretName", raw("{}"))
        .set("secretsMountPoint", "/run/secrets.d")
        .set("symlinkPath", "/run/secrets")
        .set("keepGenerations", 1)
        .set("gnupgHome", raw("null"))
        .set("sshKeyPaths", raw("[]"))
        .set("ageKeyFile", "/run/sops/key.txt")
        .set("ageSshKeyPaths", raw("[]"))
        .set("useTmpfs", false)
        .set("userMode", false)
        .set("logging", Object::default().set("keyImport", false).set("secretChanges", false))
}

/// A manifest that logs changes.
pub fn logging(manifest: Object) -> Object {
    manifest.set("logging", Object::default().set("keyImport", true).set("secretChanges", true))
}

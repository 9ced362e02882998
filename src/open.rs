//! Manifest + keyring -> plaintexts.
//!
//! Each sops file is read once, its data key unwrapped once, its values decrypted once, its MAC checked once; files
//! are opened in parallel. A failure is a value: it belongs to the secrets of its file, and to no others.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    failure::{Failure, Kind, Result},
    keys::Keyring,
    manifest::{Manifest, Secret, Template, TemplateText},
    plaintext::Plaintext,
    sops::{
        Document, SopsFile,
        formats::Format,
        lookup::{self, Index},
        value::Value,
    },
    stack,
    template::Placeholders,
};

/// One value that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The sops file that holds it.
    pub file: &'a Path,
    /// How that file is written.
    pub format: Format,
    /// Which value; `None`: the whole file.
    pub key: Option<&'a str>,
}

/// What a wanted value turned out to be. Secrets that share a value share the bytes.
pub type Opened = Result<Arc<Plaintext>>;

/// How a file that the manifest names is read: the sops files, each once, and the texts of templates.
pub type Read<'a> = &'a (dyn Fn(&Path) -> Result<Plaintext> + Sync);

/// The contents of a manifest's secrets and templates, each in the order of the manifest.
#[derive(Debug)]
pub struct Contents {
    /// One for each secret.
    pub secrets: Vec<Opened>,
    /// One for each template: its rendering, or why there is none.
    pub templates: Vec<Opened>,
}

/// Opens every secret of the manifest and renders its templates. A secret that cannot land for reasons of its own
/// (`lands`) fails the templates that need it, as one that cannot be opened does.
#[must_use]
pub fn contents(
    manifest: &Manifest,
    read: Read,
    keyring: &Keyring,
    lands: impl Fn(&Secret) -> bool,
) -> Contents {
    let wanted: Vec<_> = manifest.secrets.iter().map(Wanted::from).collect();
    let secrets = open(&wanted, read, keyring);
    let marks = manifest.secrets.iter().enumerate();
    let placeholders = marks
        .filter_map(|(number, secret)| Some((secret.placeholder.as_ref()?.as_bytes(), number)))
        .collect();
    let value = |number: usize| {
        let bytes = secrets.get(number)?.as_ref().ok()?;
        lands(manifest.secrets.get(number)?).then_some(&***bytes)
    };
    let kind = |number: usize| match secrets.get(number) {
        Some(Err(failure)) => failure.kind,
        _ => Kind::Other,
    };
    let render = |template| render(template, manifest, read, &placeholders, value, kind);
    let templates = manifest.templates.iter().map(render).collect();
    Contents { secrets, templates }
}

fn render<'s>(
    template: &Template,
    manifest: &Manifest,
    read: Read,
    placeholders: &Placeholders,
    value: impl Fn(usize) -> Option<&'s [u8]>,
    kind: impl Fn(usize) -> Kind,
) -> Opened {
    let from_file;
    let text: &[u8] = match &template.text {
        TemplateText::Inline(text) => text.as_bytes(),
        TemplateText::File(path) => {
            from_file = read(path)?;
            &from_file
        }
    };
    placeholders.render(text, value).map(Arc::new).map_err(|missing| {
        // For want of an identity it fails as they do.
        let is_closed = missing.iter().all(|&number| kind(number) == Kind::NoIdentity);
        let names = missing.iter().filter_map(|&number| manifest.secrets.get(number));
        let names: Vec<_> = names.map(|secret| secret.placement.name.as_str()).collect();
        Failure::new("the template needs secrets that failed")
            .kind(if is_closed { Kind::NoIdentity } else { Kind::Other })
            .fact("they are", names.join(", "))
    })
}

impl<'a> From<&'a Secret> for Wanted<'a> {
    fn from(secret: &'a Secret) -> Self {
        Self { file: &secret.sops_file, format: secret.format, key: secret.key.as_deref() }
    }
}

/// Opens every wanted value; the results are in the order of `wanted`.
#[must_use]
pub fn open(wanted: &[Wanted], read: Read, keyring: &Keyring) -> Vec<Opened> {
    // By bytes: paths would be compared component by component.
    let mut files: BTreeMap<&OsStr, Vec<usize>> = BTreeMap::new();
    for (number, value) in wanted.iter().enumerate() {
        files.entry(value.file.as_os_str()).or_default().push(number);
    }
    let files: Vec<_> = files.into_iter().collect();
    let opened = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((file, numbers)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let file = Path::new(file);
            let values: Vec<_> = numbers.iter().filter_map(|&number| wanted.get(number).copied()).collect();
            let about = |failure: Failure| failure.fact("file", file.display());
            let results = open_file(file, &values, read, keyring).map_err(about);
            let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
            match results {
                Ok(results) => {
                    let results = results.into_iter().map(|result| result.map_err(about));
                    opened.extend(numbers.iter().copied().zip(results));
                }
                Err(failure) => opened.extend(numbers.iter().map(|&number| (number, Err(failure.clone())))),
            }
        }
    };
    // A thread, and even room for one, costs as much as opening a small file: one file needs none.
    if files.len() < 2 {
        work();
    } else {
        thread::scope(|scope| {
            for _ in 1..parallelism().min(files.len()) {
                // Without a thread the work is done all the same, only later.
                drop(thread::Builder::new().stack_size(stack::ORDINARY).spawn_scoped(scope, work));
            }
            work();
        });
    }
    opened.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

fn parallelism() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn open_file(path: &Path, wanted: &[Wanted], read: Read, keyring: &Keyring) -> Result<Vec<Opened>> {
    let Some(Wanted { format, .. }) = wanted.first() else { return Ok(Vec::new()) };
    stack::for_document(read(path)?, |bytes| {
        let file = SopsFile::parse(*format, bytes)?;
        let data_key = keyring.open(&file.metadata)?;
        Ok(select(file.decrypt(&data_key)?, wanted))
    })
}

/// The wanted values of one opened document.
fn select(document: Document, wanted: &[Wanted]) -> Vec<Opened> {
    let index = document
        .branches
        .first()
        .map(|branch| Index::of(branch, wanted.iter().filter_map(|value| value.key)));
    let keyed = |key: &str| -> Opened {
        let value = index.as_ref().ok_or_else(|| Failure::new("the file is empty"))?.get(key)?;
        scalar(&document, value).map_err(|f| f.fact("key", key)).map(Arc::new)
    };
    let mut shared: BTreeMap<Option<&str>, Opened> = BTreeMap::new();
    for value in wanted {
        if let Some(key) = value.key {
            shared.entry(Some(key)).or_insert_with(|| keyed(key));
        }
    }
    drop(index);
    if wanted.iter().any(|value| value.key.is_none()) {
        shared.insert(None, whole(document).map(Arc::new));
    }
    wanted.iter().filter_map(|value| shared.get(&value.key).cloned()).collect()
}

fn whole(document: Document) -> Result<Plaintext> {
    let format = document.format;
    document.emit(format)
}

/// The bytes of a value as a file: strings as they are, other scalars as sops prints them.
fn scalar(document: &Document, value: &Value) -> Result<Plaintext> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => {
            let mut text = document.emit_value(value, document.format)?;
            if text.ends_with(b"\n") {
                text.bytes_mut().pop();
            }
            Ok(text)
        }
        Value::Null | Value::Map(_) | Value::List(_) | Value::Comment(_) => {
            Err(Failure::new(format!("the value is {}, not a string", lookup::kind(value)))
                .fix("name a value inside it (keys are joined by `/`), or set key = \"\" for the whole file"))
        }
    }
}

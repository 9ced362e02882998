//! What was found, as a table for people and as JSON for programs (docs/status.md).

use std::{fmt::Write, os::unix::ffi::OsStrExt, path::Path};

use super::{Judged, Picture, Secret, State};
use crate::{commands::report, json::Writer, plaintext::Plaintext};

/// The table: entries, what is not fresh of them, boot partitions.
pub(super) fn table(picture: &Picture) -> String {
    let mut rows = vec![[String::new(), "entry".to_owned(), "generation".to_owned(), "secrets".to_owned()]];
    for judged in &picture.entries {
        let mark = if judged.found.default { "*" } else { "" };
        let id = match &judged.found.entry {
            entry if entry.title.is_empty() || entry.title == entry.id => entry.id.clone(),
            entry => format!("{} ({})", entry.id, entry.title),
        };
        rows.push([mark.to_owned(), id, generation(judged), secrets(judged)]);
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (entry, number) = (width(1), width(2));
    let mut out = String::new();
    for [mark, id, generation, secrets] in &rows {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{mark:1} {id:entry$}  {generation:number$}  {secrets}");
    }
    for (partition, initrds) in &picture.partitions {
        let used: u64 = initrds.iter().map(|initrd| initrd.size).fold(0, u64::saturating_add);
        let _ = write!(out, "\n{}: {} initrds, {}", partition.path.display(), initrds.len(), size(used));
        if let Some((free, all)) = partition.space {
            let _ = write!(out, "; {} of {} free", size(free), size(all));
        }
        out.push('\n');
        for initrd in initrds {
            let unused = if initrd.used { "" } else { ", no entry uses it" };
            let name = initrd.path.strip_prefix(&partition.path).unwrap_or(&initrd.path).display();
            let _ = writeln!(out, "  {:>9}  {name}  {}{unused}", size(initrd.size), initrd.state.name());
        }
    }
    out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn generation(judged: &Judged) -> String {
    let Some(booted) = &judged.generation else { return "-".to_owned() };
    let mut told = booted.number.to_string();
    if booted.profile != Path::new(crate::boot::profiles::SYSTEM)
        && let Some(name) = booted.profile.file_name().and_then(|name| name.to_str())
    {
        told = format!("{name} {told}");
    }
    if let Some(specialisation) = &booted.specialisation {
        told = format!("{told} {specialisation}");
    }
    told
}

fn secrets(judged: &Judged) -> String {
    let count = judged.secrets.len();
    let not_fresh: Vec<_> = judged.secrets.iter().filter(|secret| secret.state != State::Fresh).collect();
    match judged.state {
        State::None => "none declared".to_owned(),
        State::Fresh => format!("fresh ({count})"),
        state if not_fresh.is_empty() => format!("{}: {}", state.name(), judged.reasons.join("; ")),
        state => {
            let name = |secret: &&Secret| {
                if secret.state == state {
                    secret.name.clone()
                } else {
                    format!("{} {}", secret.name, secret.state.name())
                }
            };
            let names: Vec<_> = not_fresh.iter().map(name).collect();
            let because = if judged.reasons.is_empty() {
                String::new()
            } else {
                format!(" ({})", judged.reasons.join("; "))
            };
            format!("{}: {}{because}", state.name(), report::few(&names))
        }
    }
}

/// Bytes, as people read them.
fn size(bytes: u64) -> String {
    let (unit, name) = if bytes >= 1 << 30 {
        (1 << 30, "GiB")
    } else if bytes >= 1 << 20 {
        (1 << 20, "MiB")
    } else {
        (1 << 10, "KiB")
    };
    let tenths = bytes.saturating_mul(10) / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// One JSON object.
pub(super) fn json(picture: &Picture) -> Plaintext {
    let mut json = Writer::compact();
    json.begin_object();
    json.key(b"version");
    json.literal("1");
    let default = picture.default();
    json.key(b"state");
    json.string(default.map_or(State::Unknown, |judged| judged.state).name().as_bytes());
    json.key(b"default");
    optional(&mut json, default.map(|judged| judged.found.entry.id.as_bytes()));
    json.key(b"entries");
    json.begin_array();
    for judged in &picture.entries {
        entry(&mut json, judged);
    }
    json.end_array();
    json.key(b"partitions");
    json.begin_array();
    for (partition, initrds) in &picture.partitions {
        json.begin_object();
        json.key(b"path");
        json.string(partition.path.as_os_str().as_bytes());
        for (name, bytes) in
            [("free", partition.space.map(|it| it.0)), ("size", partition.space.map(|it| it.1))]
        {
            json.key(name.as_bytes());
            json.literal(&bytes.map_or("null".to_owned(), |bytes| bytes.to_string()));
        }
        json.key(b"initrds");
        json.begin_array();
        for initrd in initrds {
            json.begin_object();
            json.key(b"path");
            json.string(initrd.path.as_os_str().as_bytes());
            json.key(b"size");
            json.literal(&initrd.size.to_string());
            json.key(b"used");
            json.literal(if initrd.used { "true" } else { "false" });
            json.key(b"state");
            json.string(initrd.state.name().as_bytes());
            json.end_object();
        }
        json.end_array();
        json.end_object();
    }
    json.end_array();
    json.key(b"unreadable");
    json.begin_array();
    for failure in &picture.unreadable {
        json.string(failure.headline.as_bytes());
    }
    json.end_array();
    json.end_object();
    let mut text = json.finish();
    text.push(b"\n");
    text
}

fn entry(json: &mut Writer, judged: &Judged) {
    let entry = &judged.found.entry;
    json.begin_object();
    for (name, text) in [
        ("loader", judged.found.loader.to_string().as_str()),
        ("id", &entry.id),
        ("title", &entry.title),
        ("state", judged.state.name()),
    ] {
        json.key(name.as_bytes());
        json.string(text.as_bytes());
    }
    json.key(b"default");
    json.literal(if judged.found.default { "true" } else { "false" });
    json.key(b"triesLeft");
    json.literal(&entry.order.tries_left.map_or("null".to_owned(), |left| left.to_string()));
    json.key(b"generation");
    match &judged.generation {
        None => json.literal("null"),
        Some(booted) => {
            json.begin_object();
            json.key(b"profile");
            json.string(booted.profile.as_os_str().as_bytes());
            json.key(b"number");
            json.literal(&booted.number.to_string());
            json.key(b"specialisation");
            optional(json, booted.specialisation.as_deref().map(str::as_bytes));
            json.end_object();
        }
    }
    json.key(b"manifest");
    optional(json, judged.manifest.as_ref().map(|path| path.as_os_str().as_bytes()));
    json.key(b"declared");
    optional(json, judged.declared.map(|digest| hex(&digest)).as_deref().map(str::as_bytes));
    json.key(b"present");
    json.begin_array();
    for digest in &judged.present {
        json.string(hex(digest).as_bytes());
    }
    json.end_array();
    json.key(b"initrds");
    json.begin_array();
    for path in &judged.found.initrds {
        json.string(path.as_os_str().as_bytes());
    }
    json.end_array();
    json.key(b"secrets");
    json.begin_array();
    for secret in &judged.secrets {
        json.begin_object();
        json.key(b"name");
        json.string(secret.name.as_bytes());
        json.key(b"target");
        json.string(secret.target.as_os_str().as_bytes());
        json.key(b"state");
        json.string(secret.state.name().as_bytes());
        if let Some(reason) = &secret.reason {
            json.key(b"reason");
            json.string(reason.as_bytes());
        }
        json.end_object();
    }
    json.end_array();
    json.key(b"reasons");
    json.begin_array();
    for reason in &judged.reasons {
        json.string(reason.as_bytes());
    }
    json.end_array();
    json.end_object();
}

fn optional(json: &mut Writer, text: Option<&[u8]>) {
    match text {
        Some(text) => json.string(text),
        None => json.literal("null"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

//! The installations that are killed.

use std::{fs, os::unix::fs::symlink};

use crate::{machine::must, torture::Scenario};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/killed");

/// A manifest as JSON: its own fields, then its secrets and templates.
struct Manifest {
    place: &'static str,
    fields: &'static str,
    data: String,
    secrets: Vec<String>,
    templates: Vec<String>,
}

const SYSTEM: &str = r#""secretsMountPoint": "/run/secrets.d", "symlinkPath": "/run/secrets""#;
const USER: &str = r#""secretsMountPoint": "%r/secrets.d", "symlinkPath": "/run/home/secrets""#;
const KEEP_ONE: &str = r#""keepGenerations": 1"#;

impl Manifest {
    fn new() -> Self {
        Self {
            place: SYSTEM,
            fields: KEEP_ONE,
            data: DATA.to_owned(),
            secrets: Vec::new(),
            templates: Vec::new(),
        }
    }

    /// The usual three secrets and a template, from the sops file of that name.
    fn usual(file: &str) -> Self {
        Self::new()
            .secret(
                "a",
                file,
                "changing",
                r#""mode": "0440", "uid": 1000, "gid": 100, "restartUnits": ["a.service", "both.service"]"#,
            )
            .secret(
                "nested/deep/b",
                file,
                "constant",
                r#""path": "/run/links/b", "restartUnits": ["b.service"]"#,
            )
            .secret(
                "c",
                file,
                "db/password",
                r#""path": "/run/links/deep/c", "reloadUnits": ["c.service", "both.service"]"#,
            )
            .template(
                "t",
                "password = <c>\nvalue = <a>\n",
                r#""path": "/run/links/t", "restartUnits": ["t.service"]"#,
            )
    }

    fn fields(mut self, fields: &'static str) -> Self {
        self.fields = fields;
        self
    }

    fn secret(mut self, name: &str, file: &str, key: &str, more: &str) -> Self {
        let data = &self.data;
        self.secrets.push(format!(
            r#"{{"name": "{name}", "sopsFile": "{data}/{file}.yaml", "format": "yaml", "key": "{key}", {more}}}"#
        ));
        self
    }

    fn template(mut self, name: &str, content: &str, more: &str) -> Self {
        self.templates
            .push(format!(r#"{{"name": "{name}", "content": {content:?}, "mode": "0400", {more}}}"#));
        self
    }

    fn text(&self) -> String {
        let Self { place, fields, data, secrets, templates } = self;
        let (secrets, templates) = (secrets.join(",\n"), templates.join(",\n"));
        // Names in use; a placeholder too many does no harm.
        let placeholders = r#"{"a": "<a>", "nested/deep/b": "<b>", "c": "<c>", "d": "<d>"}"#;
        format!(
            "{{{place}, {fields}, \"ageKeyFile\": \"{data}/key.txt\", \"placeholderBySecretName\": {placeholders},\n\
             \"secrets\": [{secrets}],\n\"templates\": [{templates}]}}"
        )
    }
}

/// `/run` as on a machine that has been up: a few files that are not ours.
fn furnish() {
    for directory in ["/run/nixos", "/run/links/deep", "/run/elsewhere/inner", "/run/bin"] {
        fs::create_dir_all(directory).expect("a directory");
    }
    for file in ["/run/links/foreign", "/run/secrets.bak", "/run/elsewhere/inner/file", "/run/nixos/other"] {
        fs::write(file, "not ours").expect("a file");
    }
    symlink("/run/elsewhere", "/run/links/foreign-link").expect("a symlink");
    fs::write("/run/bin/systemctl", "#!/bin/sh\necho \"$*\" >> /run/systemctl.log\n").expect("a systemctl");
    must("chmod", &["755", "/run/bin/systemctl"]);
}

const FOREIGN: [&str; 7] = [
    "/run/links/foreign",
    "/run/links/foreign-link",
    "/run/secrets.bak",
    "/run/elsewhere",
    "/run/elsewhere/inner/file",
    "/run/nixos/other",
    "/run/bin",
];

fn scenario(name: &'static str, before: Option<Manifest>, after: &Manifest) -> Scenario {
    Scenario {
        name,
        furnish,
        may_be_absent: before.is_none(),
        before: before.map(|manifest| manifest.text()),
        prepare: || {},
        after: after.text(),
        environment: Vec::new(),
        root: "",
        mount_point: "/run/secrets.d",
        symlink: "/run/secrets",
        links: vec!["/run/links/b", "/run/links/deep/c", "/run/links/t"],
        foreign: FOREIGN.to_vec(),
        keep: 1,
        status: 0,
        twice: false,
    }
}

/// Nothing was there before, not even a mount.
pub fn first_run() -> Scenario {
    scenario("first run", None, &Manifest::usual("new"))
}

/// The same on tmpfs.
pub fn first_run_on_tmpfs() -> Scenario {
    let after = Manifest::usual("new").fields(r#""keepGenerations": 1, "useTmpfs": true, "allowSwap": true"#);
    scenario("first run on tmpfs", None, &after)
}

/// Values change, units are asked by the lists of switch-to-configuration.
pub fn update() -> Scenario {
    scenario("update", Some(Manifest::usual("old")), &Manifest::usual("new"))
}

/// The run after the kill is killed too.
pub fn update_killed_twice() -> Scenario {
    Scenario {
        twice: true,
        ..scenario("update killed twice", Some(Manifest::usual("old")), &Manifest::usual("new"))
    }
}

/// Units are asked by systemctl.
pub fn update_by_systemctl() -> Scenario {
    Scenario {
        environment: vec![("SOPS_RESTART_UNITS_VIA_SYSTEMCTL", "1")],
        ..scenario("update by systemctl", Some(Manifest::usual("old")), &Manifest::usual("new"))
    }
}

/// Two secrets with links are gone from the manifest.
pub fn removal() -> Scenario {
    let after =
        Manifest::new().secret("a", "new", "changing", r#""mode": "0400", "restartUnits": ["a.service"]"#);
    scenario("removal", Some(Manifest::usual("old")), &after)
}

/// Links come, go and move; a secret's mode and owner change.
pub fn links() -> Scenario {
    let after = Manifest::new()
        .secret(
            "a",
            "old",
            "changing",
            r#""path": "/run/links/new/a", "uid": 1001, "gid": 101, "mode": "0400""#,
        )
        .secret(
            "nested/deep/b",
            "old",
            "constant",
            r#""path": "/run/links/deep/c", "restartUnits": ["b.service"]"#,
        )
        .secret("c", "old", "db/password", r#""mode": "0404""#)
        .template("t", "password = <c>\nvalue = <a>\n", r#""path": "/run/links/moved/t""#);
    Scenario {
        links: vec![
            "/run/links/b",
            "/run/links/deep/c",
            "/run/links/t",
            "/run/links/new/a",
            "/run/links/moved/t",
        ],
        twice: true,
        ..scenario("links", Some(Manifest::usual("old")), &after)
    }
}

/// The generation of before is one of sops-nix: links, but no record of them.
pub fn adopted_links() -> Scenario {
    let after = Manifest::usual("new").secret("d", "new", "long", r#""path": "/run/links/d""#);
    Scenario {
        prepare: || drop(fs::remove_dir_all("/run/secrets.d/.forestage")),
        links: vec!["/run/links/b", "/run/links/deep/c", "/run/links/t", "/run/links/d"],
        ..scenario("adopted links", Some(Manifest::usual("old")), &after)
    }
}

/// Templates come, go and change in text only.
pub fn templates() -> Scenario {
    let before = Manifest::usual("old").template("gone", "<a>", r#""path": "/run/links/gone""#);
    let mut after = Manifest::usual("old");
    after.templates.clear();
    let after = after
        .template("t", "another text, <c>\n", r#""path": "/run/links/t", "restartUnits": ["t.service"]"#)
        .template("new", "<a><b><c>", r#""path": "/run/links/new", "reloadUnits": ["new.service"]"#);
    Scenario {
        links: vec!["/run/links/b", "/run/links/deep/c", "/run/links/t", "/run/links/new", "/run/links/gone"],
        ..scenario("templates", Some(before), &after)
    }
}

/// A real directory is where the link to the current generation belongs.
pub fn directory_at_symlink_path() -> Scenario {
    Scenario {
        prepare: || {
            fs::create_dir_all("/run/secrets/some/where").expect("a directory");
            for file in ["/run/secrets/x", "/run/secrets/some/y", "/run/secrets/some/where/z"] {
                fs::write(file, "of before").expect("a file");
            }
        },
        ..scenario("directory at symlinkPath", None, &Manifest::usual("new"))
    }
}

/// A symlink to somewhere else is there; what it points at stays as it is.
pub fn symlink_elsewhere_at_symlink_path() -> Scenario {
    Scenario {
        prepare: || symlink("/run/elsewhere", "/run/secrets").expect("a symlink"),
        ..scenario("symlink elsewhere at symlinkPath", None, &Manifest::usual("new"))
    }
}

const REUSE: &str = r#""keepGenerations": 1, "reuseUnchanged": true"#;

/// Nothing changed; a link is missing, and one is left over.
pub fn reuse_unchanged() -> Scenario {
    Scenario {
        prepare: || {
            fs::remove_file("/run/links/b").expect("a link");
        },
        ..scenario(
            "reuseUnchanged",
            Some(Manifest::usual("old").fields(REUSE)),
            &Manifest::usual("old").fields(REUSE),
        )
    }
}

/// `reuseUnchanged`, and something changed: restarts must survive, though the next run finds nothing new.
pub fn reuse_changed() -> Scenario {
    Scenario {
        twice: true,
        ..scenario(
            "reuseUnchanged, changed",
            Some(Manifest::usual("old").fields(REUSE)),
            &Manifest::usual("new").fields(REUSE),
        )
    }
}

/// A file of somebody else is where a link belongs: it is kept, and an error.
pub fn foreign_file_at_path() -> Scenario {
    let before = Manifest::new().secret("a", "old", "changing", r#""restartUnits": ["a.service"]"#);
    Scenario {
        prepare: || fs::write("/run/links/b", "not ours").expect("a file"),
        foreign: [&FOREIGN[..], &["/run/links/b"]].concat(),
        status: 3,
        ..scenario("foreign file at path", Some(before), &Manifest::usual("new"))
    }
}

/// One sops file does not open any more: its secrets keep their values, the others land.
pub fn kept_secret() -> Scenario {
    let after = Manifest::new()
        .secret("a", "broken", "changing", r#""mode": "0400", "restartUnits": ["a.service"]"#)
        .secret(
            "nested/deep/b",
            "new",
            "constant",
            r#""path": "/run/links/b", "restartUnits": ["b.service"]"#,
        )
        .secret("c", "new", "db/password", r#""path": "/run/links/deep/c", "reloadUnits": ["c.service"]"#);
    Scenario { status: 3, ..scenario("kept secret", Some(Manifest::usual("old")), &after) }
}

/// The same, all or nothing.
pub fn strict() -> Scenario {
    let after = Manifest::usual("new").fields(r#""keepGenerations": 1, "strict": true"#).secret(
        "d",
        "broken",
        "changing",
        r#""path": "/run/links/d""#,
    );
    Scenario { status: 1, ..scenario("strict", Some(Manifest::usual("old")), &after) }
}

/// A user's own session: nothing is mounted.
pub fn user_mode() -> Scenario {
    let user = |file: &str| {
        let mut manifest = Manifest::new().fields(r#""keepGenerations": 1, "userMode": true"#);
        manifest.place = USER;
        manifest
            .secret("a", file, "changing", r#""path": "%r/a""#)
            .secret("c", file, "db/password", r#""path": "/run/home/links/c""#)
            .template("t", "<a><c>", r#""path": "/run/home/t""#)
    };
    Scenario {
        furnish: || {
            furnish();
            fs::create_dir_all("/run/user/0").expect("a directory");
        },
        environment: vec![("XDG_RUNTIME_DIR", "/run/user/0")],
        mount_point: "/run/user/0/secrets.d",
        symlink: "/run/home/secrets",
        links: vec!["/run/user/0/a", "/run/home/links/c", "/run/home/t"],
        ..scenario("user mode", Some(user("old")), &user("new"))
    }
}

/// All paths below another root.
pub fn root() -> Scenario {
    let inside = |file: &str| {
        let manifest = Manifest::usual(file);
        let (secrets, templates) = (manifest.secrets, manifest.templates);
        let secrets = secrets.iter().map(|secret| secret.replace(DATA, "/data")).collect();
        Manifest { secrets, templates, data: "/data".to_owned(), ..Manifest::new() }
    };
    Scenario {
        furnish: || {
            furnish();
            fs::create_dir_all("/run/root/run/nixos").expect("a directory");
            must("cp", &["-r", DATA, "/run/root/data"]);
            // Names come from the root's own files.
            fs::create_dir_all("/run/root/etc").expect("a directory");
            fs::write("/run/root/etc/passwd", "root:x:0:0::/root:/bin/sh\n").expect("a file");
            fs::write("/run/root/etc/group", "root:x:0:\nkeys:x:96:\n").expect("a file");
        },
        root: "/run/root",
        mount_point: "/run/root/run/secrets.d",
        symlink: "/run/root/run/secrets",
        links: vec!["/run/root/run/links/b", "/run/root/run/links/deep/c", "/run/root/run/links/t"],
        ..scenario("root", Some(inside("old")), &inside("new"))
    }
}

/// Two generations stay.
pub fn two_generations() -> Scenario {
    let keep = r#""keepGenerations": 2"#;
    Scenario {
        keep: 2,
        ..scenario(
            "two generations",
            Some(Manifest::usual("old").fields(keep)),
            &Manifest::usual("new").fields(keep),
        )
    }
}

/// A program that was killed before, another one perhaps, left half a generation of a higher number.
pub fn leftovers() -> Scenario {
    Scenario {
        prepare: || {
            fs::create_dir_all("/run/secrets.d/2/nested").expect("a directory");
            fs::write("/run/secrets.d/2/nested/half", "ha").expect("a file");
        },
        ..scenario("leftovers", Some(Manifest::usual("old")), &Manifest::usual("new"))
    }
}

/// Generations move from ramfs to tmpfs.
pub fn other_file_system() -> Scenario {
    let after = Manifest::usual("new").fields(r#""keepGenerations": 1, "useTmpfs": true, "allowSwap": true"#);
    scenario("other file system", Some(Manifest::usual("old")), &after)
}

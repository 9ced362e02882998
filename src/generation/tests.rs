//! Whole landings in a directory in RAM. As root they mount; without, they land on its tmpfs.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use super::{
    State::{Added, Modified, Unchanged},
    record::Pending,
    trial::{SYSTEM, Trial, Wish, entries},
    *,
};

fn land(trial: &Trial, wishes: &[Wish]) -> Landed {
    land_with(trial.settings(SYSTEM), wishes).unwrap()
}

fn land_with(settings: Settings, wishes: &[Wish]) -> Result<Landed> {
    Stage::enter(settings)?.land(&entries(wishes))
}

fn states(landed: &Landed) -> Vec<State> {
    landed.entries.iter().map(|outcome| outcome.state).collect()
}

fn names(trial: &Trial, path: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(trial.path(path))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(trial: &Trial, path: &str) -> u32 {
    fs::symlink_metadata(trial.path(path)).unwrap().permissions().mode() & 0o7777
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_first_landing_is_whole() {
    for realm in [SYSTEM, Realm::User, Realm::System { ram: Ram::Tmpfs(Swappable::Warn), keys_gid: 7 }] {
        let trial = Trial::new("first");
        fs::create_dir_all(trial.path("/run/nixos")).unwrap();
        let wishes = [
            Wish::new("a", "A").restart("a.service").at("/etc/deep/er/a"),
            Wish::new("sub/dir/b", "B").mode(0o640).owner(1000, 100),
            Wish::new("sub/c", "C").mode(0o7777 & 0o777),
            Wish::new("z", "").mode(0).at("/run/secrets/elsewhere/z"),
            Wish::new("rendered/t", "T").mode(0o444),
        ];
        let landed = land_with(trial.settings(realm), &wishes).unwrap();
        assert_eq!((landed.generation, landed.first, landed.changed), (1, true, true));
        assert_eq!(states(&landed), [Added; 5]);
        assert!(landed.requests.is_empty() && landed.unit_failure.is_none());
        assert!(landed.change_lines(&entries(&wishes), false).is_empty());
        assert!(landed.entries.iter().all(|outcome| outcome.link.is_none()));

        assert_eq!(trial.link("/run/secrets"), "/run/secrets.d/1");
        assert_eq!(names(&trial, "/run"), ["nixos", "secrets", "secrets.d"]);
        assert_eq!(names(&trial, "/run/secrets.d/1"), ["a", "elsewhere", "rendered", "sub", "z"]);
        assert_eq!(trial.read("/run/secrets.d/1/sub/dir/b"), "B");
        assert_eq!(trial.read("/run/secrets.d/1/rendered/t"), "T");
        assert_eq!(trial.link("/run/secrets.d/1/elsewhere/z"), "/run/secrets/z");
        assert_eq!(trial.link("/etc/deep/er/a"), "/run/secrets/a");
        assert!(names(&trial, "/run/nixos").is_empty());
        for (path, expected) in [
            ("/etc", 0o755),
            ("/etc/deep/er", 0o755),
            ("/run/secrets.d", 0o751),
            ("/run/secrets.d/1", 0o751),
            ("/run/secrets.d/1/sub/dir", 0o751),
            ("/run/secrets.d/1/a", 0o400),
            ("/run/secrets.d/1/sub/dir/b", 0o640),
            ("/run/secrets.d/1/sub/c", 0o777),
            ("/run/secrets.d/1/z", 0),
        ] {
            assert_eq!(mode(&trial, path), expected, "{path}");
        }
        if let (true, Realm::System { keys_gid, .. }) = (is_root(), realm) {
            let owner = |path: &str| {
                let about = fs::symlink_metadata(trial.path(path)).unwrap();
                (about.uid(), about.gid())
            };
            assert_eq!(owner("/run/secrets.d"), (0, keys_gid));
            assert_eq!(owner("/run/secrets.d/1"), (0, keys_gid));
            assert_eq!(owner("/run/secrets.d/1/sub"), (0, keys_gid));
            assert_eq!(owner("/run/secrets.d/1/sub/dir/b"), (1000, 100));
            assert_ne!(
                fs::metadata(trial.path("/run")).unwrap().dev(),
                fs::metadata(trial.path("/run/secrets.d")).unwrap().dev()
            );
        }
    }
}

#[test]
fn changes_are_found_told_and_asked_for() {
    let trial = Trial::new("second");
    fs::create_dir_all(trial.path("/run/nixos")).unwrap();
    let before = [
        Wish::new("same", "1").restart("same.service"),
        Wish::new("bytes", "1").restart("bytes.service"),
        Wish::new("longer", "1").restart("longer.service"),
        Wish::new("mode", "1").restart("mode.service"),
        Wish::new("kept", "1").restart("kept.service"),
        Wish::new("gone/x", "1"),
        Wish::new("kind", "1"),
        Wish::new("rendered/t", "1"),
        Wish::new("rendered/gone", "1"),
    ];
    land(&trial, &before);
    let after = [
        Wish::new("same", "1").restart("same.service"),
        Wish::new("bytes", "2").restart("bytes.service").reload("r.service"),
        Wish::new("longer", "11").restart("bytes.service"),
        Wish::new("mode", "1").mode(0o440).restart("mode.service"),
        Wish::new("kept", "1").mode(0o440).restart("kept.service").kept(),
        Wish::new("kind/x", "1").restart("kind.service"),
        Wish::new("rendered/t", "2").reload("t.service"),
        Wish::new("rendered/new", "2"),
    ];
    let restarts = "bytes.service\nbytes.service\nmode.service\nkind.service\n";

    let mut dry = trial.settings(SYSTEM);
    dry.dry = true;
    let inode = |path: &str| fs::metadata(trial.path(path)).unwrap().ino();
    let told = land_with(dry, &after).unwrap();
    assert_eq!(names(&trial, "/run/secrets.d"), ["1"]);
    assert!(names(&trial, "/run/nixos").is_empty());
    assert_eq!(
        told.requests.restart.iter().flat_map(|unit| [unit.as_str(), "\n"]).collect::<String>(),
        restarts
    );
    let same = inode("/run/secrets.d/1/same");

    let landed = land(&trial, &after);
    assert_eq!(states(&landed), [Unchanged, Modified, Modified, Modified, Unchanged, Added, Modified, Added]);
    assert_eq!(states(&told), states(&landed));
    assert_eq!(
        landed.removed.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(),
        ["gone/x", "kind", "rendered/gone"]
    );
    assert_eq!(
        landed.change_lines(&entries(&after), false),
        [
            "adding secret: kind/x",
            "modifying secrets: bytes, longer, mode",
            "removing secrets: gone/x, kind",
            "adding rendered secret: new",
            "modifying rendered secret: t",
            "removing rendered secret: gone",
        ]
    );
    assert_eq!(told.change_lines(&entries(&after), true)[0], "would add secret: kind/x");
    assert_eq!(trial.read("/run/nixos/activation-restart-list"), restarts);
    assert_eq!(trial.read("/run/nixos/activation-reload-list"), "r.service\nt.service\n");
    assert_eq!(trial.link("/run/secrets"), "/run/secrets.d/2");
    assert_eq!(names(&trial, "/run/secrets.d"), [".forestage", "2"]);
    assert_eq!(mode(&trial, "/run/secrets.d/2/kept"), 0o440);
    assert_eq!(mode(&trial, "/run/secrets.d/2/mode"), 0o440);
    assert_eq!(inode("/run/secrets.d/2/same"), same);
    // Nothing is left to do.
    assert!(land(&trial, &after).replayed.is_empty());
}

#[test]
fn unchanged_results_are_reused_where_that_is_wanted() {
    let trial = Trial::new("reuse");
    let wishes = vec![
        Wish::new("a/b", "1").at("/etc/link"),
        Wish::new("c", "1").at("/run/secrets/d/e"),
        Wish::new("f", "1").owner(1000, 100),
    ];
    let reuse = |wishes: &[Wish]| {
        let mut settings = trial.settings(SYSTEM);
        settings.reuse_unchanged = true;
        land_with(settings, wishes).unwrap()
    };
    assert!(reuse(&wishes).changed);
    let again = reuse(&wishes);
    assert_eq!((again.changed, again.generation), (false, 1));
    // Links are repaired, and what a killed run left goes.
    fs::remove_file(trial.path("/etc/link")).unwrap();
    fs::create_dir(trial.path("/run/secrets.d/2")).unwrap();
    assert!(!reuse(&wishes).changed);
    assert_eq!(trial.link("/etc/link"), "/run/secrets/a/b");
    assert_eq!(names(&trial, "/run/secrets.d"), [".forestage", "1"]);

    let mut number = 1;
    let mut differs = |what: &str, wishes: &[Wish]| {
        assert!(reuse(wishes).changed, "{what}");
        assert!(!reuse(wishes).changed, "{what}, again");
        number += 1;
        assert_eq!(trial.link("/run/secrets"), format!("/run/secrets.d/{number}"), "{what}");
    };
    let mut changed = wishes.clone();
    changed[2] = Wish::new("f", "2").owner(1000, 100);
    differs("bytes", &changed);
    changed[2] = Wish::new("f", "2").owner(1000, 100).mode(0o440);
    differs("mode", &changed);
    changed[1] = Wish::new("c", "1").at("/run/secrets/d/f");
    differs("inner link", &changed);
    changed.pop();
    differs("removed", &changed);
    for (what, damage) in [
        (
            "directory mode",
            &(|dir: &Path| fs::set_permissions(dir.join("a"), fs::Permissions::from_mode(0o755)).unwrap())
                as &dyn Fn(&Path),
        ),
        ("empty directory", &|dir: &Path| fs::create_dir(dir.join("empty")).unwrap()),
        ("strange link", &|dir: &Path| symlink("x", dir.join("strange")).unwrap()),
        ("link gone", &|dir: &Path| fs::remove_file(dir.join("d/f")).unwrap()),
        ("file gone", &|dir: &Path| fs::remove_file(dir.join("c")).unwrap()),
    ] {
        let current = trial.path(&trial.link("/run/secrets"));
        damage(&current);
        differs(what, &changed);
    }
    // The declared mode of a kept file counts too.
    changed[0] = Wish::new("a/b", "1").mode(0o440).kept();
    differs("kept", &changed);
    assert_eq!(mode(&trial, "/run/secrets.d"), 0o751);
    assert_eq!(trial.link("/etc/link"), "<none>");
}

#[test]
fn links_that_are_not_ours_stay_and_stale_ones_go() {
    let trial = Trial::new("links");
    fs::create_dir(trial.path("/etc")).unwrap();
    fs::write(trial.path("/etc/foreign"), "mine").unwrap();
    symlink("/run/secrets/whatever", trial.path("/etc/adopted")).unwrap();
    let wishes = [
        Wish::new("a", "A").at("/etc/foreign"),
        Wish::new("b", "B").at("/etc/adopted"),
        Wish::new("c", "C").at("/etc/stale"),
        Wish::new("d", "D").at("/run/secrets/a"),
    ];
    let landed = land(&trial, &wishes);
    assert_eq!(
        landed.entries.iter().map(|outcome| outcome.link.is_some()).collect::<Vec<_>>(),
        [true, false, false, true]
    );
    assert_eq!(trial.read("/etc/foreign"), "mine");
    assert_eq!(trial.link("/etc/adopted"), "/run/secrets/b");
    assert_eq!(trial.read("/run/secrets.d/1/a"), "A");
    land(&trial, &wishes[..2]);
    assert_eq!(names(&trial, "/etc"), ["adopted", "foreign"]);
    land(&trial, &[]);
    assert_eq!(names(&trial, "/etc"), ["foreign"]);
    assert_eq!(names(&trial, "/run/secrets.d"), [".forestage", "3"]);
}

/// Name, what is there, whether it may be replaced.
type Case = (&'static str, &'static dyn Fn(&Trial), bool);

#[test]
fn what_is_no_generation_is_replaced_without_restarts() {
    let cases: [Case; 5] = [
        (
            "directory",
            &|trial| {
                fs::create_dir_all(trial.path("/run/secrets/a/b")).unwrap();
                fs::write(trial.path("/run/secrets/a/b/c"), "old").unwrap();
            },
            true,
        ),
        ("elsewhere", &|trial| symlink("/run/secrets-for-initrd", trial.path("/run/secrets")).unwrap(), true),
        ("no number", &|trial| symlink("/run/secrets.d/x", trial.path("/run/secrets")).unwrap(), true),
        ("dangling", &|trial| symlink("/run/secrets.d/4", trial.path("/run/secrets")).unwrap(), true),
        ("file", &|trial| fs::write(trial.path("/run/secrets"), "mine").unwrap(), false),
    ];
    for (what, prepare, lands) in cases {
        let trial = Trial::new("nothing");
        fs::create_dir_all(trial.path("/run/nixos")).unwrap();
        prepare(&trial);
        let wishes = [Wish::new("a", "A").restart("a.service")];
        let stage = Stage::enter(trial.settings(SYSTEM));
        assert_eq!(stage.is_ok(), lands, "{what}");
        let Ok(stage) = stage else {
            assert_eq!(trial.read("/run/secrets"), "mine");
            continue;
        };
        assert!(stage.current().is_none(), "{what}");
        let landed = stage.land(&entries(&wishes)).unwrap();
        assert!(landed.first && landed.requests.is_empty(), "{what}");
        let number = if what == "dangling" { 5 } else { 1 };
        assert_eq!(trial.link("/run/secrets"), format!("/run/secrets.d/{number}"), "{what}");
        assert_eq!(names(&trial, "/run"), ["nixos", "secrets", "secrets.d"], "{what}");
        assert!(names(&trial, "/run/nixos").is_empty(), "{what}");
    }
}

#[test]
fn the_current_generation_can_be_read() {
    let trial = Trial::new("current");
    land(&trial, &[Wish::new("a/b", "value"), Wish::new("empty", "")]);
    let stage = Stage::enter(trial.settings(SYSTEM)).unwrap();
    let current = stage.current().unwrap();
    assert_eq!(current.number(), 1);
    assert_eq!(current.path(), trial.path("/run/secrets.d/1"));
    symlink("a/b", trial.path("/run/secrets.d/1/link")).unwrap();
    nix::unistd::mkfifo(&trial.path("/run/secrets.d/1/fifo"), Mode::S_IRWXU).unwrap();
    let cases = [
        ("a/b", Some("value")),
        ("empty", Some("")),
        ("a", None),
        ("link", None),
        ("fifo", None),
        ("a/b/c", None),
    ];
    for (path, bytes) in cases {
        let read = current.read(Path::new(path)).unwrap();
        assert_eq!(
            read.map(|file| file.content.to_vec()),
            bytes.map(|bytes| bytes.as_bytes().to_vec()),
            "{path}"
        );
    }
}

#[test]
fn another_kind_of_file_system_covers_the_old_one() {
    if !is_root() {
        eprintln!("skipped: mounting needs root");
        return;
    }
    let trial = Trial::new("cover");
    fs::create_dir_all(trial.path("/run/nixos")).unwrap();
    let before = [Wish::new("a", "A").at("/etc/a"), Wish::new("b", "B").at("/etc/b")];
    land(&trial, &before);
    land(&trial, &before);
    assert_eq!(trial.link("/run/secrets"), "/run/secrets.d/2");
    let old = fs::File::open(trial.path("/run/secrets.d")).unwrap();

    let mut settings = trial.settings(Realm::System { ram: Ram::Tmpfs(Swappable::Warn), keys_gid: 0 });
    settings.reuse_unchanged = true;
    let after = [Wish::new("a", "A2").at("/etc/a").restart("a.service")];
    let landed = land_with(settings.clone(), &after).unwrap();
    assert!(landed.changed && !landed.first);
    assert_eq!(landed.requests.restart.len(), 1);
    assert_eq!(trial.link("/run/secrets"), "/run/secrets.d/2");
    assert_eq!(trial.read("/run/secrets.d/2/a"), "A2");
    assert_eq!(names(&trial, "/run"), ["nixos", "secrets", "secrets.d"]);
    assert_eq!(names(&trial, "/etc"), ["a"]);
    assert_eq!(trial.read("/run/nixos/activation-restart-list"), "a.service\n");
    // Nothing is left in the file system below.
    assert_eq!(
        prune::list(&old, ".").unwrap().iter().map(|(name, _)| name.to_str().unwrap()).collect::<Vec<_>>(),
        [".forestage"]
    );
    assert!(!land_with(settings, &after).unwrap().changed);
}

#[test]
fn a_failure_leaves_the_old_generation_alone() {
    let trial = Trial::new("failure");
    land(&trial, &[Wish::new("a", "A")]);
    // Two files of one name: the caller's mistake, noticed while writing.
    let twice = [Wish::new("a", "B"), Wish::new("a", "C")];
    assert!(land_with(trial.settings(SYSTEM), &twice).is_err());
    assert_eq!(names(&trial, "/run/secrets.d"), ["1"]);
    assert_eq!(trial.link("/run/secrets"), "/run/secrets.d/1");
    assert_eq!(trial.read("/run/secrets.d/1/a"), "A");
}

#[test]
fn requests_that_failed_are_made_by_the_next_run_once() {
    let trial = Trial::new("replay");
    let list = trial.path("/run/nixos/activation-restart-list");
    fs::create_dir_all(&list).unwrap();
    let wish = |text: &str| [Wish::new("a", text).restart("a.service").reload("b.service")];
    land(&trial, &wish("1"));
    let landed = land(&trial, &wish("2"));
    assert!(landed.unit_failure.is_some());
    assert_eq!(trial.link("/run/secrets"), "/run/secrets.d/2");
    assert_eq!(trial.read("/run/nixos/activation-reload-list"), "b.service\n");

    // It works the second time.
    fs::remove_dir(&list).unwrap();
    let landed = land(&trial, &wish("2"));
    assert_eq!(landed.replayed.restart.len(), 1);
    assert!(landed.requests.is_empty() && landed.unit_failure.is_none());
    assert_eq!(trial.read("/run/nixos/activation-restart-list"), "a.service\n");
    assert_eq!(trial.read("/run/nixos/activation-reload-list"), "b.service\n");

    // It never works: it is told twice, not for ever.
    fs::remove_file(&list).unwrap();
    fs::create_dir(&list).unwrap();
    assert!(land(&trial, &wish("3")).unit_failure.is_some());
    assert!(land(&trial, &wish("3")).unit_failure.is_some());
    let landed = land(&trial, &wish("3"));
    assert!(landed.unit_failure.is_none() && landed.replayed.is_empty());
}

#[test]
fn nothing_is_asked_for_a_generation_that_never_came() {
    let trial = Trial::new("never");
    fs::create_dir_all(trial.path("/run/nixos")).unwrap();
    fs::create_dir(trial.path("/etc")).unwrap();
    let wishes = [Wish::new("a", "1")];
    land(&trial, &wishes);
    // A run that was going to make generation 2, and link it, was killed before its swap.
    let requests =
        Requests { restart: vec![crate::units::Unit::parse("a.service").unwrap()], reload: vec![] };
    let link = Link { path: "/etc/a".into(), target: "/before/a".into(), owner: None };
    let pending = Pending { generation: 2, stale: vec![], requests };
    let mount = OwnedFd::from(fs::File::open(trial.path("/run/secrets.d")).unwrap());
    Record { links: vec![link], pending: Some(pending) }.save(&mount).unwrap();
    symlink("/before/a", trial.path("/etc/a")).unwrap();

    let landed = land(&trial, &wishes);
    assert!(landed.replayed.is_empty());
    assert_eq!(landed.generation, 2);
    assert!(names(&trial, "/run/nixos").is_empty());
    // Its link was ours, and is not wanted.
    assert_eq!(trial.link("/etc/a"), "<none>");
    // Nor when that number is current afterwards.
    assert!(land(&trial, &wishes).replayed.is_empty());
}

#[test]
fn a_dry_run_writes_nothing_at_all() {
    let trial = Trial::new("dry");
    let mut settings = trial.settings(SYSTEM);
    settings.dry = true;
    let wishes = [Wish::new("a", "1").at("/etc/a")];
    let landed = land_with(settings, &wishes).unwrap();
    assert_eq!((landed.generation, landed.first, landed.changed), (1, true, true));
    assert!(names(&trial, "/").is_empty());
}

#[test]
fn plaintext_stays_off_disks() {
    // Without the right to mount, or in a user's session, the mount point must be in RAM already.
    let dir = std::env::temp_dir().join(format!("forestage-disk-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let kind = nix::sys::statfs::statfs(&dir).unwrap().filesystem_type();
    if kind == nix::sys::statfs::TMPFS_MAGIC {
        eprintln!("skipped: {} is a tmpfs", dir.display());
        return;
    }
    let trial = Trial::new("disk");
    let mut settings = trial.settings(Realm::User);
    let root = crate::root::Root::at(&dir).unwrap();
    settings.place = Place::new(root, Path::new("/run/secrets.d"), Path::new("/run/secrets")).unwrap();
    let failure = land_with(settings.clone(), &[Wish::new("a", "1")]).unwrap_err().to_string();
    assert!(failure.contains("--allow-disk"), "{failure}");
    assert!(fs::symlink_metadata(dir.join("run/secrets")).is_err());
    settings.allow_disk = true;
    let landed = land_with(settings, &[Wish::new("a", "1")]).unwrap();
    assert!(landed.warnings.iter().any(|warning| warning.contains("not in RAM")), "{:?}", landed.warnings);
    fs::remove_dir_all(&dir).unwrap();
}

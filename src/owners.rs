//! User and group names to ids.
//!
//! passwd and group are read by us, once, in the root at hand. Only a name that is missing there, on the running
//! system itself, is looked up with `getent` (other sources of names: systemd-userdb, LDAP), called by absolute
//! path and for at most two seconds.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    failure::{Failure, Result},
    input, program,
    root::Root,
};

/// Where `getent` is, on NixOS and elsewhere.
const GETENT: [&str; 3] = ["/run/current-system/sw/bin/getent", "/usr/bin/getent", "/bin/getent"];

/// How long `getent` is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer of `getent`, in bytes: a group may have many members.
const MAX_ANSWER: usize = 16 << 20;

/// Who is who.
#[derive(Debug)]
pub struct Owners(Source);

#[derive(Debug)]
enum Source {
    Ignored,
    Files { root: Root, passwd: Box<Table>, group: Box<Table>, getent: bool },
}

/// One of the two files: names and ids.
#[derive(Debug)]
struct Table {
    /// What `getent` calls it.
    database: &'static str,
    /// What one of its names is called in messages.
    noun: &'static str,
    path: PathBuf,
    bytes: OnceCell<std::result::Result<Vec<u8>, String>>,
    /// What was asked for already: a thousand secrets have few owners.
    known: RefCell<BTreeMap<String, Option<u32>>>,
}

impl Owners {
    /// `-ignore-passwd`: everything belongs to root, whatever name or number the manifest gives.
    #[must_use]
    pub const fn ignored() -> Self {
        Self(Source::Ignored)
    }

    /// The names of `root`: its `/etc/passwd` and `/etc/group`, and `getent` if it is the system's own.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        Self::files(root, "/etc/passwd".into(), "/etc/group".into(), root.is_system())
    }

    /// The names in two given files, absolute in `root`, and in no other place.
    #[must_use]
    pub fn in_files(root: &Root, passwd: PathBuf, group: PathBuf) -> Self {
        Self::files(root, passwd, group, false)
    }

    fn files(root: &Root, passwd: PathBuf, group: PathBuf, getent: bool) -> Self {
        let passwd = Box::new(Table::new("passwd", "user", passwd));
        let group = Box::new(Table::new("group", "group", group));
        Self(Source::Files { root: root.clone(), passwd, group, getent })
    }

    /// Whether names and numbers of the manifest are ignored: everything then belongs to root.
    #[must_use]
    pub const fn are_ignored(&self) -> bool {
        matches!(self.0, Source::Ignored)
    }

    /// The id of a user; 0 if names are ignored.
    pub fn uid(&self, name: &str) -> Result<u32> {
        match &self.0 {
            Source::Ignored => Ok(0),
            Source::Files { root, passwd, getent, .. } => passwd.id(root, name, *getent),
        }
    }

    /// The id of a group; 0 if names are ignored.
    pub fn gid(&self, name: &str) -> Result<u32> {
        match &self.0 {
            Source::Ignored => Ok(0),
            Source::Files { root, group, getent, .. } => group.id(root, name, *getent),
        }
    }

    /// The group that directories of secrets belong to: `keys`, else `nogroup`; 0 if names are ignored.
    pub fn keys_gid(&self) -> Result<u32> {
        let Source::Files { root, group, getent, .. } = &self.0 else { return Ok(0) };
        // Asking getent takes longer than all the rest of a run, so first what the file has.
        let ways = [("keys", false), ("nogroup", false), ("keys", *getent), ("nogroup", *getent)];
        let found = ways.iter().find_map(|&(name, getent)| group.id(root, name, getent).ok());
        found.ok_or_else(|| {
            Failure::new("there is neither a group \"keys\" nor a group \"nogroup\"")
                .fix("declare the group keys, or use --ignore-passwd")
        })
    }
}

impl Table {
    fn new(database: &'static str, noun: &'static str, path: PathBuf) -> Self {
        Self { database, noun, path, bytes: OnceCell::new(), known: RefCell::default() }
    }

    fn id(&self, root: &Root, name: &str, getent: bool) -> Result<u32> {
        let bytes = self.bytes.get_or_init(|| {
            let bytes = input::read_file(root, &self.path, input::MAX_SIZE);
            bytes.map(|bytes| bytes.to_vec()).map_err(|failure| failure.headline)
        });
        let first = match bytes {
            Ok(bytes) => {
                let known = self.known.borrow().get(name).copied();
                let found = known.unwrap_or_else(|| {
                    let found = find(bytes, name);
                    self.known.borrow_mut().insert(name.to_owned(), found);
                    found
                });
                match found {
                    Some(id) => return Ok(id),
                    None => "no such name".to_owned(),
                }
            }
            Err(error) => error.clone(),
        };
        let path = root.join(&self.path);
        let failure = Failure::new(format!("there is no {} {name:?}", self.noun))
            .fact(&path.display().to_string(), first)
            .fix(format!("declare the {0}, or give its number", self.noun));
        if !getent {
            return Err(failure);
        }
        ask_getent(self.database, name).map_err(|why| failure.fact("getent", why))
    }
}

/// The id of a name in passwd or group: in both, the first field is the name and the third the id. Of two lines with the
/// name the first counts; what is no such line is passed over, as the C library does.
fn find(bytes: &[u8], name: &str) -> Option<u32> {
    // Lines of NIS, and comments; and a name ends at the first colon.
    if name.is_empty() || name.starts_with(['+', '-', '#']) || name.contains([':', '\n']) {
        return None;
    }
    bytes.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?.split(|&byte| byte == b':');
        let id = str::from_utf8(fields.nth(1)?).ok()?;
        if id.starts_with('+') { None } else { id.parse().ok() }
    })
}

/// The id that `getent` finds, or why it finds none.
fn ask_getent(database: &str, name: &str) -> std::result::Result<u32, String> {
    let getent = GETENT.iter().find(|path| Path::new(path).exists());
    let getent = getent.ok_or_else(|| format!("not found in {}", GETENT.join(", ")))?;
    let mut command = Command::new(getent);
    command.args([database, "--", name]).env_clear().stderr(Stdio::null());
    let (output, _) = program::ask(&mut command, PATIENCE, MAX_ANSWER)?;
    // It also finds numbers, which are not names.
    find(&output, name).ok_or_else(|| "no such name".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_are_read_as_the_c_library_reads_them() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\n\
            # comment:x:1:1\n\
            +nis:x:2:2::/:\n\
            alice:x:1000:100::/home/alice:\n\
            alice:x:1001:100::/home/alice:\n\
            bad:x:minus:0::/:\n\
            bad2:x:-1:0::/:\n\
            bad3:x:+5:0::/:\n\
            short:x\n\
            :x:7:7::/:\n\
            big:x:4294967295:0::/:\n\
            toobig:x:4294967296:0::/:\n\
            \xff:x:8:8::/:\n\
            last:x:9:9::/:";
        let cases = [
            ("root", Some(0)),
            ("alice", Some(1000)),
            ("big", Some(u32::MAX)),
            ("last", Some(9)),
            ("toobig", None),
            ("bad", None),
            ("bad2", None),
            ("bad3", None),
            ("short", None),
            ("", None),
            ("+nis", None),
            ("root:x", None),
            ("short:x\n", None),
        ];
        for (name, id) in cases {
            assert_eq!(find(passwd, name), id, "{name}");
        }
    }

    struct Etc(PathBuf);

    impl Etc {
        fn new(name: &str, group: &str) -> Self {
            let dir = PathBuf::from(format!("/dev/shm/forestage-owners-{name}-{}", std::process::id()));
            fs::create_dir_all(dir.join("etc")).unwrap();
            fs::write(dir.join("etc/passwd"), "alice:x:1000:100::/:\n").unwrap();
            fs::write(dir.join("etc/group"), group).unwrap();
            Self(dir)
        }
    }

    impl Drop for Etc {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn names_come_from_the_root_alone() {
        let etc = Etc::new("root", "keys:x:96:\nusers:x:100:\n");
        let owners = Owners::of(&Root::at(&etc.0).unwrap());
        assert_eq!(owners.uid("alice"), Ok(1000));
        assert_eq!(owners.gid("users"), Ok(100));
        assert_eq!(owners.keys_gid(), Ok(96));
        let failure = owners.uid("root").unwrap_err().to_string();
        assert!(failure.contains("no user \"root\"") && !failure.contains("getent"), "{failure}");
    }

    #[test]
    fn keys_else_nogroup_else_an_error() {
        let cases =
            [("keys:x:96:\nnogroup:x:65534:\n", Some(96)), ("nogroup:x:65534:\n", Some(65534)), ("", None)];
        for (group, gid) in cases {
            let etc = Etc::new("keys", group);
            assert_eq!(Owners::of(&Root::at(&etc.0).unwrap()).keys_gid().ok(), gid, "{group}");
        }
        let ignored = Owners::ignored();
        assert_eq!((ignored.keys_gid(), ignored.uid("x"), ignored.gid("x")), (Ok(0), Ok(0), Ok(0)));
    }

    #[test]
    fn getent_is_asked_for_names_of_the_system_only() {
        let empty = PathBuf::from("/dev/null");
        let root = Root::system();
        let asked = Owners::files(&root, empty.clone(), empty.clone(), true);
        assert_eq!(asked.uid("root"), Ok(0));
        // A number is not a name, although getent finds it.
        assert!(asked.uid("0").unwrap_err().to_string().contains("getent"));
        assert!(asked.gid("-h").is_err());
        assert!(Owners::in_files(&root, empty.clone(), empty).uid("root").is_err());
    }
}

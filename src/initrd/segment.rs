//! Builds a segment: checks what is to land, puts it in order, writes the bytes.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use sha2::{Digest, Sha256};

use super::{
    HOME, SOURCES, STAGED, cpio,
    index::{Index, Landed, Place, plain_path},
    layout::{Body, INDEX_MAX, Member, below, members},
};
use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    tree::{File, Mode, Owner},
};

/// What is to land in an initrd.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Digest of the manifest and its ciphertexts.
    pub manifest: [u8; 32],
    /// The directories outside [`HOME`] and [`SOURCES`] that get an entry: absolute path and permission bits.
    pub directories: Vec<(PathBuf, Mode)>,
    /// The files, in any order.
    pub files: Vec<Entry>,
}

/// One file that is to land.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The file; its path is the absolute path in the initrd where it is wanted.
    pub file: File,
    /// A file of `boot.initrd.secrets`: staged below [`SOURCES`], where the stock unit finds it.
    pub plain_source: bool,
    /// The credential that stage 1 makes of it, if any.
    pub credential: Option<String>,
}

/// The bytes of a segment.
///
/// # Errors
/// A target or directory that no initrd can hold: not absolute, with `..` or the like, named twice, inside another
/// file, below [`HOME`]; a file of 4 GiB or more.
pub fn build(spec: &Spec) -> Result<Plaintext> {
    let (index, contents) = plan(spec)?;
    let text = index.to_json();
    let members =
        u32::try_from(text.len()).ok().filter(|size| *size <= INDEX_MAX).map(|size| members(&index, size));
    let Some(members) = members else {
        return Err(Failure::new("the segment has too many files").fact("limit", "16 MiB of segment.json"));
    };
    let length = members.iter().map(Member::length).fold(0, u64::saturating_add);
    let length = usize::try_from(length).map_err(|_| Failure::new("the segment does not fit into memory"))?;
    // Reserved at once: growing would leave unwiped copies behind.
    let mut out = Plaintext::from(Vec::with_capacity(length));
    for (number, member) in members.iter().enumerate() {
        member.head(number).write(out.bytes_mut());
        let body: &[u8] = match member.body {
            Body::None => &[],
            Body::Index => text.as_bytes(),
            Body::File(number) => contents.get(number).map(|content| &***content).unwrap_or_default(),
        };
        out.bytes_mut().extend_from_slice(body);
        let padding = cpio::padding(body.len() as u64);
        out.bytes_mut().extend(std::iter::repeat_n(0, padding));
    }
    Ok(out)
}

/// Before any program of stage 1 could look there, something else is mounted.
const MOUNTED: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Checks the paths and puts everything in order: the index, and the contents of its files.
fn plan(spec: &Spec) -> Result<(Index, Vec<Arc<Plaintext>>)> {
    let mut directories = Vec::with_capacity(spec.directories.len());
    for (path, mode) in &spec.directories {
        let path = checked("directory", path)?;
        if below(path, HOME) || below(path, SOURCES) {
            return Err(Failure::new(format!("the directory {path} is forestage's own")));
        }
        directories.push(Place { path: path.to_owned(), mode: *mode });
    }
    directories.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let mut files = Vec::with_capacity(spec.files.len());
    for Entry { file, plain_source, credential } in &spec.files {
        let target = checked("target", &file.path)?;
        if below(target, HOME) || target == "/run" {
            return Err(Failure::new(format!("no file can land at {target}")));
        }
        if !plain_source && let Some(mounted) = MOUNTED.iter().find(|mounted| below(target, mounted)) {
            return Err(Failure::new(format!("no file can land at {target}"))
                .fact("because", format!("{mounted} is mounted over what the kernel unpacks"))
                .fix("choose a place below /run, or elsewhere"));
        }
        let path = match () {
            () if *plain_source => format!("{SOURCES}{target}"),
            () if below(target, "/run") => format!("{STAGED}{target}"),
            () => target.to_owned(),
        };
        let size = u32::try_from(file.content.len()).map_err(|_| {
            Failure::new(format!("{target} is too large for an initrd")).fact("limit", "4 GiB")
        })?;
        let owner = if *plain_source { Owner::ROOT } else { file.owner };
        let sha256 = Sha256::digest(&**file.content).into();
        let credential = credential.clone();
        if !plain_path(&path) {
            return Err(Failure::new(format!("the target {target} is too long for an initrd")));
        }
        files.push((
            Landed { path, size, mode: file.mode, owner, sha256, credential },
            Arc::clone(&file.content),
        ));
    }
    files.sort_unstable_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let (files, contents): (Vec<Landed>, Vec<_>) = files.into_iter().unzip();
    let taken =
        files.iter().map(|file| file.path.as_str()).chain(directories.iter().map(|d| d.path.as_str()));
    let mut unique = BTreeSet::new();
    for path in taken {
        // The kernel would end the archive there.
        if path.strip_prefix('/') == Some(cpio::TRAILER) {
            return Err(Failure::new(format!("nothing can land at {path}")));
        }
        if !unique.insert(path) {
            return Err(Failure::new(format!("{path} is declared twice")));
        }
    }
    let mut credentials = BTreeSet::new();
    for name in files.iter().filter_map(|file| file.credential.as_deref()) {
        if !credentials.insert(name) {
            return Err(Failure::new(format!("the credential {name:?} is declared twice")));
        }
    }
    for file in &files {
        // Everything below the file sorts behind "file/".
        let inside = format!("{}/", file.path);
        if let Some(path) = unique.range(inside.as_str()..).next().filter(|path| path.starts_with(&inside)) {
            return Err(Failure::new(format!("{path} lies below {}, which is a file", file.path)));
        }
    }
    Ok((Index { manifest: spec.manifest, directories, files }, contents))
}

fn checked<'a>(what: &str, path: &'a std::path::Path) -> Result<&'a str> {
    path.to_str().filter(|path| plain_path(path)).ok_or_else(|| {
        Failure::new(format!("the {what} {} is not a plain absolute path", path.display()))
            .fix("write it from / on, in UTF-8, without ., .., // or a slash at the end")
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::initrd::{
        cpio::Walk,
        examine::{Found, State, examine},
        index::BLANK,
        layout::Marks,
    };

    /// Plain files with mode 0400 and owner root.
    pub(crate) fn spec(files: &[(&str, &[u8])]) -> Spec {
        let files = files.iter().map(|(path, bytes)| entry(path, bytes)).collect();
        Spec { manifest: [7; 32], directories: Vec::new(), files }
    }

    fn entry(path: &str, bytes: &[u8]) -> Entry {
        let content = Arc::new(Plaintext::from(bytes));
        let file = File { path: path.into(), content, mode: Mode::new(0o400), owner: Owner::ROOT };
        Entry { file, plain_source: false, credential: None }
    }

    /// A segment with a file of every kind.
    pub(crate) fn sample() -> Plaintext {
        let mut spec = spec(&[
            ("/etc/keys/luks", b"hunter222"),
            ("/run/ssh/key", b"-----BEGIN"),
            ("/run/plain", b"p"),
            ("/etc/empty", b""),
        ]);
        spec.files[0].file.mode = Mode::new(0o640);
        spec.files[0].file.owner = Owner { uid: 1000, gid: 4_294_967_294 };
        spec.files[0].credential = Some("luks".to_owned());
        spec.files[2].plain_source = true;
        spec.files[2].file.owner = Owner { uid: 5, gid: 5 };
        spec.directories =
            vec![("/etc/keys/x".into(), Mode::new(0o700)), ("/etc/keys".into(), Mode::new(0o755))];
        build(&spec).unwrap()
    }

    /// Offsets in a segment of `length` bytes; of those in its blanks, which are all alike, only some.
    pub(crate) fn offsets(length: usize) -> impl Iterator<Item = usize> {
        let alike = Marks::FIRST + 8..Marks::FIRST + BLANK - 8;
        (0..length).filter(move |at| !alike.contains(at) || at % 6007 == 0)
    }

    fn examined(bytes: &[u8]) -> Found {
        let end = bytes.len() as u64;
        examine(bytes, 0, end, end, &Marks::new()).unwrap()
    }

    #[test]
    fn entries_in_their_order() {
        let bytes = sample();
        assert_eq!(bytes.len() % 4, 0);
        let marks = Marks::new();
        assert!(marks.begins(&bytes[..Marks::FIRST]) && marks.ends(&bytes[bytes.len() - Marks::LAST..]));
        let listed: Vec<_> = Walk::new(&*bytes, 0, bytes.len() as u64)
            .map(|entry| entry.unwrap().unwrap())
            .map(|e| {
                format!("{} {:o} {}:{} {}", String::from_utf8(e.name).unwrap(), e.mode, e.uid, e.gid, e.size)
            })
            .collect();
        let size = examined(&bytes).index.unwrap().to_json().len();
        let expected = [
            ".forestage 40700 0:0 0",
            &format!(".forestage/segment.json 100400 0:0 {size}"),
            ".forestage/files 40700 0:0 0",
            ".forestage/files/run 40700 0:0 0",
            ".forestage/files/run/ssh 40700 0:0 0",
            ".initrd-secrets 40700 0:0 0",
            ".initrd-secrets/run 40700 0:0 0",
            "etc/keys 40755 0:0 0",
            "etc/keys/x 40700 0:0 0",
            ".forestage/files/run/ssh/key 100400 0:0 10",
            ".initrd-secrets/run/plain 100400 0:0 1",
            "etc/empty 100400 0:0 0",
            "etc/keys/luks 100640 1000:4294967294 9",
            ".forestage/end 100400 0:0 0",
            "TRAILER!!! 0 0:0 0",
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn same_input_same_bytes_in_any_order() {
        let files: [(&str, &[u8]); 3] = [("/a", b"1"), ("/b", b"2"), ("/run/c", b"3")];
        let mut other = files;
        other.reverse();
        assert_eq!(build(&spec(&files)).unwrap(), build(&spec(&other)).unwrap());
        let bytes = build(&spec(&files)).unwrap();
        assert_ne!(bytes, build(&spec(&files[..2])).unwrap());
        assert_eq!(bytes.len(), Plaintext::clone(&bytes).len());
    }

    #[test]
    fn a_credential_is_one_file() {
        for (names, good) in [([Some("a"), Some("b")], true), ([None, None], true), ([Some("a"); 2], false)] {
            let mut spec = spec(&[("/a", b"1"), ("/run/b", b"2")]);
            for (entry, name) in spec.files.iter_mut().zip(names) {
                entry.credential = name.map(str::to_owned);
            }
            match build(&spec) {
                Ok(_) => assert!(good, "{names:?}"),
                Err(failure) => {
                    assert!(!good && failure.headline == "the credential \"a\" is declared twice");
                }
            }
        }
    }

    #[test]
    fn paths_that_cannot_land() {
        let long = format!("/{}", "a/".repeat(2047) + "a");
        let staged = format!("/run/{}", "a/".repeat(2040) + "a");
        for bad in [
            "etc/x",
            "/",
            "",
            "/etc/",
            "/etc//x",
            "/etc/./x",
            "/etc/../x",
            "/a\0b",
            "/run",
            "/.forestage",
            "/.forestage/segment.json",
            "/dev/x",
            "/proc/sys/x",
            "/sys",
            "/TRAILER!!!",
            &staged,
        ] {
            let failure = build(&spec(&[(bad, b"hunter2")])).unwrap_err().to_string();
            assert!(!failure.contains("hunter2"), "{failure}");
        }
        for good in [
            "/.forestages",
            "/TRAILER!!!x",
            "/etc/TRAILER!!!",
            "/run/TRAILER!!!",
            "/runx",
            "/run/x",
            "/devx",
            "/run/dev/x",
            "/.initrd-secrets/x",
            "/é \n",
            &long,
        ] {
            let bytes = build(&spec(&[(good, b"x")])).unwrap();
            assert_eq!(examined(&bytes).state, State::Whole, "{good}");
        }
        for pair in [["/a", "/a"], ["/a", "/a/b"], ["/a/b/c", "/a"], ["/run/a", "/run/a/b"]] {
            assert!(build(&spec(&pair.map(|path| (path, &b""[..])))).is_err(), "{pair:?}");
        }
        let pairs = [["/a", "/a-b"], ["/a.b", "/a/b"], ["/run/a", "/a"]];
        for pair in pairs {
            assert!(build(&spec(&pair.map(|path| (path, &b""[..])))).is_ok(), "{pair:?}");
        }
        for (directory, good) in [
            ("/a", false),
            ("/a/b", false),
            ("/b/..", false),
            ("/.forestage", false),
            ("/.initrd-secrets/x", false),
            ("/TRAILER!!!", false),
            ("/c", true),
            ("/b", true),
        ] {
            let mut spec = spec(&[("/a", b""), ("/b/x", b"")]);
            spec.directories.push((directory.into(), Mode::new(0o755)));
            assert_eq!(build(&spec).is_ok(), good, "{directory}");
            spec.directories.push((directory.into(), Mode::new(0o755)));
            assert!(build(&spec).is_err());
        }
    }
}

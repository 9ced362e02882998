//! The segment: which entries it has, its bytes, and whether one in a file is whole.
//!
//! Its entries, in this order: the directory `/.forestage` (without it the kernel would drop `segment.json`
//! silently), `segment.json`, the other directories with parents first, the files, `/.forestage/end`, the trailer.
//! All of it follows from the [`Index`], so examining a segment means: read its index, write the heads again, and
//! compare. Directories outside `/.forestage` and `/.initrd-secrets` get an entry only if the manifest names them:
//! an entry for `lib` replaces the initrd's symlink `lib -> usr/lib` and the machine is dead.

use std::{collections::BTreeSet, io, path::PathBuf, sync::Arc};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    HOME, SOURCES, STAGED,
    cpio::{self, DIRECTORY, Head, REGULAR, ReadAt, TRAILER},
    index::{Index, Landed, Place, Unreadable, plain_path},
};
use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    tree::{File, Mode, Owner},
};

/// Where the index lies in the initrd.
pub const INDEX_PATH: &str = "/.forestage/segment.json";
const END_PATH: &str = "/.forestage/end";
/// More than this is not read as an index: 16 MiB.
pub const INDEX_MAX: u32 = 16 << 20;

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
    directories.sort_by(|a, b| a.path.cmp(&b.path));
    let mut files = Vec::with_capacity(spec.files.len());
    for Entry { file, plain_source, credential } in &spec.files {
        let target = checked("target", &file.path)?;
        if below(target, HOME) || target == "/run" {
            return Err(Failure::new(format!("no file can land at {target}")));
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
    files.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let (files, contents): (Vec<Landed>, Vec<_>) = files.into_iter().unzip();
    let taken =
        files.iter().map(|file| file.path.as_str()).chain(directories.iter().map(|d| d.path.as_str()));
    let mut unique = BTreeSet::new();
    for path in taken {
        if !unique.insert(path) {
            return Err(Failure::new(format!("{path} is declared twice")));
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

/// Whether `path` is `directory` or lies in it.
fn below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One entry of a segment.
struct Member {
    name: String,
    mode: u32,
    owner: Owner,
    size: u32,
    body: Body,
}

enum Body {
    None,
    Index,
    /// Number of the file in the index.
    File(usize),
}

impl Member {
    fn directory(path: &str, mode: Mode) -> Self {
        let name = path.trim_start_matches('/').to_owned();
        Self { name, mode: DIRECTORY | mode.bits(), owner: Owner::ROOT, size: 0, body: Body::None }
    }

    fn file(path: &str, mode: Mode, owner: Owner, size: u32, body: Body) -> Self {
        let name = path.trim_start_matches('/').to_owned();
        Self { name, mode: REGULAR | mode.bits(), owner, size, body }
    }

    /// Its head, as entry `number` of the segment. Everything that could differ between two runs is constant.
    fn head(&self, number: usize) -> Head<'_> {
        let trailer = self.mode == 0;
        Head {
            name: &self.name,
            inode: if trailer { 0 } else { u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1) },
            mode: self.mode,
            uid: self.owner.uid,
            gid: self.owner.gid,
            // 2 or more on a file would make the kernel look for hard links.
            links: if self.mode & DIRECTORY == 0 { 1 } else { 2 },
            mtime: u32::from(!trailer),
            size: self.size,
        }
    }

    /// Bytes of head, body and padding.
    fn length(&self) -> u64 {
        self.head(0).written().saturating_add(cpio::aligned(self.size.into()))
    }
}

const OWN_MODE: Mode = Mode::new(0o700);

/// All entries of the segment with this index, whose text has `index_size` bytes.
fn members(index: &Index, index_size: u32) -> Vec<Member> {
    let readable = Mode::new(0o400);
    let mut own = BTreeSet::new();
    for file in &index.files {
        let stage = [HOME, SOURCES].into_iter().find(|stage| below(&file.path, stage));
        let ends = file.path.match_indices('/').map(|(end, _)| end);
        let parents = ends.filter_map(|end| file.path.get(..end));
        own.extend(
            parents.filter(|parent| stage.is_some_and(|stage| below(parent, stage) && *parent != HOME)),
        );
    }
    let own = own.into_iter().map(|path| (path, OWN_MODE));
    let mut directories: Vec<_> =
        own.chain(index.directories.iter().map(|place| (place.path.as_str(), place.mode))).collect();
    directories.sort_unstable();
    let mut members = vec![
        Member::directory(HOME, OWN_MODE),
        Member::file(INDEX_PATH, readable, Owner::ROOT, index_size, Body::Index),
    ];
    members.extend(directories.into_iter().map(|(path, mode)| Member::directory(path, mode)));
    members.extend(index.files.iter().enumerate().map(|(number, file)| {
        Member::file(&file.path, file.mode, file.owner, file.size, Body::File(number))
    }));
    members.push(Member::file(END_PATH, readable, Owner::ROOT, 0, Body::None));
    members.push(Member { name: TRAILER.to_owned(), mode: 0, owner: Owner::ROOT, size: 0, body: Body::None });
    members
}

/// How every segment begins and ends, to find one.
#[derive(Debug)]
pub struct Marks {
    /// The first two heads: `/.forestage` and `segment.json`, whose size is at [`SIZE`](Self::SIZE).
    first: Vec<u8>,
    /// The last two heads without magic and inode of `end`.
    last: Vec<u8>,
}

impl Marks {
    /// Bytes of the first two heads.
    pub const FIRST: usize = 260;
    /// Bytes of the last two heads.
    const LAST: usize = 252;
    /// Where the size of `segment.json` stands: second head, seventh field.
    const SIZE: std::ops::Range<usize> = 178..186;
    /// Magic and inode number, which the last two heads have in front of what is constant.
    const VARIES: usize = 14;

    /// The marks of all segments.
    #[must_use]
    pub fn new() -> Self {
        let empty = Index { manifest: [0; 32], directories: Vec::new(), files: Vec::new() };
        let [mut first, mut last] = [Vec::new(), Vec::new()];
        for (number, member) in members(&empty, 0).iter().enumerate() {
            member.head(number).write(if number < 2 { &mut first } else { &mut last });
        }
        Self { first, last }
    }

    /// Whether `bytes` are the beginning of a segment, as far as they go.
    #[must_use]
    pub fn begins(&self, bytes: &[u8]) -> bool {
        let magic = |bytes: &[u8]| {
            let uncommitted = bytes.first() == Some(&0);
            bytes.iter().zip(cpio::MAGIC).all(|(byte, magic)| *byte == if uncommitted { 0 } else { *magic })
        };
        let rest_is_same = bytes.iter().zip(&self.first).enumerate().skip(6).all(|(at, (byte, mark))| {
            if Self::SIZE.contains(&at) { byte.is_ascii_hexdigit() } else { byte == mark }
        });
        rest_is_same && bytes.get(..6).is_some_and(magic)
    }

    /// Whether `bytes` are the last two heads of a segment.
    fn ends(&self, bytes: &[u8]) -> bool {
        bytes.len() == Self::LAST
            && bytes.starts_with(cpio::MAGIC)
            && bytes.get(Self::VARIES..) == self.last.get(Self::VARIES..)
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self::new()
    }
}

/// A segment in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it begins: a multiple of 4.
    pub start: u64,
    /// Where it ends; `None` if it is damaged so that nobody can tell.
    pub end: Option<u64>,
    /// Whether the kernel unpacks it as it was written.
    pub state: State,
    /// Its index, if that is readable.
    pub index: Option<Index>,
}

/// What the kernel makes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Every byte is as written.
    Whole,
    /// It was never finished or its end is lost: the kernel drops it, or lands files with wrong bytes.
    Cut,
    /// It has its length, but these files or entries have wrong bytes.
    Damaged(Vec<String>),
    /// A later version of this program wrote it: its files are not checked.
    Later(u64),
}

/// Examines the segment at `start`, where the first marks were seen, in a file of `end` bytes whose next segment
/// begins at `limit` (or `end`).
///
/// Time is linear in what lies between `start` and the end of the segment, or `limit` if it has none.
pub fn examine<S: ReadAt + ?Sized>(
    source: &S,
    start: u64,
    limit: u64,
    end: u64,
    marks: &Marks,
) -> io::Result<Found> {
    let found = |end, state, index| Found { start, end, state, index };
    // An appender writes the first magic last: the kernel ignores everything from here on.
    let mut magic = [0; 6];
    if source.fill_at(&mut magic, start)? < 6 || magic != *cpio::MAGIC {
        return Ok(found(Some(limit), State::Cut, None));
    }
    let index_at = start.saturating_add(124);
    let head = cpio::entry(source, index_at, end)?;
    let (size, text_at) = match &head {
        Ok(entry) | Err(cpio::Defect::Body(entry)) => (entry.size, entry.body),
        Err(_) => return Ok(found(Some(limit), State::Cut, None)),
    };
    // An index holds no NUL, so no marks: behind the limit it is not what it says.
    let text_end = text_at.saturating_add(size.into());
    let text = if size <= INDEX_MAX && text_end <= limit {
        let mut text = vec![0; size as usize];
        let got = source.fill_at(&mut text, text_at)?;
        text.truncate(got);
        text
    } else {
        Vec::new()
    };
    match Index::from_json(&text) {
        Ok(index) => {
            let skeleton = Skeleton::check(source, start, &index, size, end)?;
            if skeleton.ended {
                let damaged = skeleton.damage(source, &index)?;
                let state = if damaged.is_empty() { State::Whole } else { State::Damaged(damaged) };
                return Ok(found(Some(skeleton.end), state, Some(index)));
            }
            // Its end is where the index says, behind the file: cut. Otherwise bytes are missing or too many.
            Ok(match last_marks(source, text_end, limit, marks)? {
                Some(end) => found(Some(end), State::Damaged(skeleton.broken), Some(index)),
                None => found((skeleton.end >= limit).then_some(limit), State::Cut, Some(index)),
            })
        }
        Err(Unreadable::Version(version)) => {
            let end = last_marks(source, text_end, limit, marks)?;
            Ok(found(end, State::Later(version), None))
        }
        Err(Unreadable::Malformed) => Ok(match last_marks(source, text_at, limit, marks)? {
            Some(end) => found(Some(end), State::Damaged(vec![INDEX_PATH.to_owned()]), None),
            None => found((text_end >= limit).then_some(limit), State::Cut, None),
        }),
    }
}

/// The end of the first pair of last heads between `from` and `limit`.
fn last_marks<S: ReadAt + ?Sized>(
    source: &S,
    from: u64,
    limit: u64,
    marks: &Marks,
) -> io::Result<Option<u64>> {
    let mut found = None;
    super::find::each_mark(source, cpio::aligned(from), limit, Marks::LAST, |at, bytes| {
        let ends = marks.ends(bytes);
        found = ends.then(|| at.saturating_add(bytes.len() as u64));
        !ends
    })?;
    Ok(found)
}

/// The heads of a segment, compared with what its index asks for.
struct Skeleton {
    /// Number of each file in the index, with the offset of its body, if its head is right.
    bodies: Vec<(usize, u64)>,
    /// Paths of the entries whose heads are wrong.
    broken: Vec<String>,
    /// Where the segment ends.
    end: u64,
    /// Whether the last two entries are where they should be.
    ended: bool,
}

impl Skeleton {
    fn check<S: ReadAt + ?Sized>(
        source: &S,
        start: u64,
        index: &Index,
        size: u32,
        end: u64,
    ) -> io::Result<Self> {
        let mut skeleton = Self { bodies: Vec::new(), broken: Vec::new(), end: start, ended: false };
        let members = members(index, size);
        let (mut expected, mut head) = (Vec::new(), Vec::new());
        let last = members.len().saturating_sub(2);
        skeleton.ended = true;
        for (number, member) in members.iter().enumerate() {
            expected.clear();
            member.head(number).write(&mut expected);
            let at = skeleton.end;
            skeleton.end = at.saturating_add(member.length());
            let body = at.saturating_add(expected.len() as u64);
            head.clear();
            head.resize(expected.len(), 0);
            let same = skeleton.end <= end
                && source.fill_at(&mut head, at)? == head.len()
                && head == expected
                && zeros(source, body.saturating_add(member.size.into()), skeleton.end)?;
            match member.body {
                Body::File(number) if same => skeleton.bodies.push((number, body)),
                _ if same => {}
                _ => skeleton.broken.push(format!("/{}", member.name)),
            }
            skeleton.ended &= same || number < last;
        }
        Ok(skeleton)
    }

    /// The paths of all files that are not as the index says.
    fn damage<S: ReadAt + ?Sized>(&self, source: &S, index: &Index) -> io::Result<Vec<String>> {
        let mut damaged = self.broken.clone();
        let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
        for (file, mut at) in self.bodies.iter().filter_map(|(file, at)| Some((index.files.get(*file)?, *at)))
        {
            let mut hash = Sha256::new();
            let end = at.saturating_add(file.size.into());
            while at < end {
                let wanted = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
                let chunk = buffer.get_mut(..wanted).unwrap_or_default();
                if source.fill_at(chunk, at)? < wanted {
                    break;
                }
                hash.update(chunk);
                at = at.saturating_add(wanted as u64);
            }
            if hash.finalize().as_slice() != file.sha256 {
                damaged.push(file.path.clone());
            }
        }
        damaged.sort_unstable();
        Ok(damaged)
    }
}

/// Whether the padding from `from` to `to` is of zeros; at most 3 bytes.
fn zeros<S: ReadAt + ?Sized>(source: &S, from: u64, to: u64) -> io::Result<bool> {
    Ok(from >= to || cpio::skip_zeros(source, from, to)? == to)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::initrd::cpio::{Defect, Walk};

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

    fn examined(bytes: &[u8]) -> Found {
        let end = bytes.len() as u64;
        examine(bytes, 0, end, end, &Marks::new()).unwrap()
    }

    #[test]
    fn entries_in_their_order() {
        let bytes = sample();
        assert_eq!(bytes.len() % 4, 0);
        let marks = Marks::new();
        assert_eq!((marks.first.len(), marks.last.len()), (Marks::FIRST, Marks::LAST));
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
            &staged,
        ] {
            let failure = build(&spec(&[(bad, b"hunter2")])).unwrap_err().to_string();
            assert!(!failure.contains("hunter2"), "{failure}");
        }
        for good in ["/.forestages", "/runx", "/run/x", "/.initrd-secrets/x", "/é \n", &long] {
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

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = sample();
        let good = examined(&bytes);
        assert_eq!((&good.state, good.end), (&State::Whole, Some(bytes.len() as u64)));
        for cut in Marks::FIRST..bytes.len() {
            let found = examined(&bytes[..cut]);
            assert_eq!((&found.state, found.end), (&State::Cut, Some(cut as u64)), "{cut}");
        }
        for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bad = bytes.to_vec();
            bad[at] ^= 1 << bit;
            let found = examined(&bad);
            assert_ne!(found.state, State::Whole, "byte {at} bit {bit}");
        }
    }

    #[test]
    fn a_later_version_is_ours_but_not_judged() {
        let bytes = sample();
        let at = bytes.windows(11).position(|window| window == b"\"version\":1").unwrap();
        let mut later = bytes.to_vec();
        later[at + 10] = b'2';
        let found = examined(&later);
        assert_eq!((found.state, found.end), (State::Later(2), Some(bytes.len() as u64)));
    }

    #[test]
    fn a_size_from_the_file_is_not_trusted() {
        let bytes = sample();
        let mut huge = bytes.to_vec();
        huge[Marks::SIZE].copy_from_slice(b"FFFFFFFF");
        let found = examined(&huge);
        assert_eq!(found.state, State::Damaged(vec![INDEX_PATH.to_owned()]));
        assert!(matches!(
            cpio::entry(huge.as_slice(), 124, huge.len() as u64).unwrap(),
            Err(Defect::Body(entry)) if entry.size == u32::MAX
        ));
    }
}

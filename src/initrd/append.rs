//! Writes a segment to a file, replaces one, copies one for an older generation, and removes it.
//!
//! At every moment the file boots. Appended in place, the segment has zeros for its first magic until everything
//! else is on the disk: the kernel drops such a tail whole. A segment that is in use is replaced by writing the
//! file aside and renaming it, if there is room. Where a write fails, the file gets its old length back. Bytes of
//! others stay, and keep their order.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    sys::statfs::{MSDOS_SUPER_MAGIC, fstatfs},
};

use super::{
    cpio::{self, ReadAt},
    find::{self, Survey, survey},
    segment::{Found, State},
};
use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
};

/// Behind the file's name, for the file that is written aside.
const ASIDE: &str = ".forestage-new";
/// The magic of the first header, which is written last.
const MAGIC: usize = 6;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// How the file changed.
    pub change: Change,
    /// What the user should know; one line each.
    pub warnings: Vec<String>,
}

/// How a file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    Unchanged,
    /// A segment was added, or the file was made.
    Appended,
    /// A segment took the place of an earlier one.
    Replaced,
    /// The segment was taken out.
    Removed,
}

/// Makes `segment` the only segment of ours in the file at `path`, which is made with mode 0600 if it does not
/// exist. `base` is the path of the pristine initrd, if it is known.
///
/// # Errors
/// The file cannot be read or written, or has no room: then it is as it was before.
pub fn append(path: &Path, base: Option<&Path>, segment: &Plaintext) -> Result<Done> {
    let mut warnings = Vec::new();
    let Some(target) = Target::open(path)? else {
        create(path, segment)?;
        return Ok(Done { change: Change::Appended, warnings });
    };
    let survey = survey(&target.file, path, base)?;
    if let [only] = survey.found.as_slice()
        && only.state == State::Whole
        && same(&target, only, segment)?
    {
        return Ok(Done { change: Change::Unchanged, warnings });
    }
    let cut = Cutting::of(&survey, &target.file, path, &mut warnings)?;
    let change = if survey.found.is_empty() { Change::Appended } else { Change::Replaced };
    if cut.spares_nothing_in_use {
        // What goes is of no use to the kernel, so there is nothing that a crash could lose.
        target.need(cut.start.saturating_add(segment.len() as u64).saturating_sub(survey.length))?;
        target.append(&survey, &cut, segment, &[])?;
    } else if let Err(reason) = target.write_aside(&cut, Some(segment))? {
        warnings.push(format!("{}: replaced in place, since {reason}", path.display()));
        target.replace(&survey, &cut, Some(segment))?;
    }
    Ok(Done { change, warnings })
}

/// Gives the file at `path` the segment with this manifest digest that an earlier run wrote, for a generation that
/// cannot be opened any more: from the file itself, else from a file beside it whose name is a beginning of its
/// name. `None` if there is none; then nothing was written.
pub fn reuse(path: &Path, base: Option<&Path>, manifest: &[u8; 32]) -> Result<Option<Done>> {
    let wanted = |found: &&Found| {
        found.state == State::Whole && found.index.as_ref().is_some_and(|index| index.manifest == *manifest)
    };
    if let Some(file) = find::open(path, false)? {
        let survey = survey(&file, path, base)?;
        if survey.found.iter().any(|found| wanted(&found)) {
            let warnings = vec![format!("{}: kept the segment of an earlier run", path.display())];
            return Ok(Some(Done { change: Change::Unchanged, warnings }));
        }
    }
    for sibling in siblings(path) {
        let Some(file) = find::open(&sibling, false)? else { continue };
        let survey = survey(&file, &sibling, base)?;
        let Some(Found { start, end: Some(end), .. }) = survey.found.iter().find(wanted) else { continue };
        let segment = bytes(&file, *start, *end).map_err(|error| Failure::io("read", &sibling, error))?;
        let mut done = append(path, base, &segment)?;
        done.warnings.push(format!("{}: copied the segment of {}", path.display(), sibling.display()));
        return Ok(Some(done));
    }
    Ok(None)
}

/// Takes every segment of ours out of the file at `path`.
///
/// Up to seven zero bytes in front of it stay, unless the pristine initrd `base` is known: nobody else can tell
/// them from bytes of others.
pub fn remove(path: &Path, base: Option<&Path>) -> Result<Done> {
    let mut warnings = Vec::new();
    let target = Target::open(path)?.ok_or_else(|| Failure::io("open", path, io::ErrorKind::NotFound))?;
    let survey = survey(&target.file, path, base)?;
    if survey.found.is_empty() {
        return Ok(Done { change: Change::Unchanged, warnings });
    }
    let cut = Cutting::of(&survey, &target.file, path, &mut warnings)?;
    if cut.kept.is_empty() {
        let base = survey.base.unwrap_or(cut.stays);
        let padding = cpio::skip_zeros(&target.file, base, cut.stays);
        let only_padding = padding.map_err(|error| target.failed("read", &error))? == cut.stays;
        target.shorten(if only_padding { base } else { cut.stays })?;
    } else if let Err(reason) = target.write_aside(&cut, None)? {
        warnings.push(format!("{}: removed in place, since {reason}", path.display()));
        target.replace(&survey, &cut, None)?;
    }
    Ok(Done { change: Change::Removed, warnings })
}

/// What has to go, and what of the bytes behind it stays.
struct Cutting {
    /// Length of what stays in front.
    stays: u64,
    /// Where the first segment of ours begins, or will begin.
    start: u64,
    /// Bytes of others behind it.
    kept: Vec<std::ops::Range<u64>>,
    /// Whether the file can be shortened to `start` without losing anything that the kernel would use.
    spares_nothing_in_use: bool,
}

impl Cutting {
    fn of(survey: &Survey, file: &File, path: &Path, warnings: &mut Vec<String>) -> Result<Self> {
        let shown = path.display();
        if let Some(dead) = survey.dead {
            let count = survey.length.saturating_sub(dead);
            warnings.push(format!("{shown}: removed {count} bytes behind the initrd that no kernel reads"));
        }
        let length = survey.dead.unwrap_or(survey.length);
        let Some(first) = survey.found.first() else {
            return Ok(Self {
                stays: length,
                start: behind(file, length).map_err(|error| Failure::io("read", path, error))?,
                kept: Vec::new(),
                spares_nothing_in_use: true,
            });
        };
        let mut kept = Vec::new();
        let mut last_end = first.start;
        for found in &survey.found {
            let Some(end) = found.end else {
                return Err(Failure::new(format!(
                    "{shown} holds a damaged segment whose end cannot be found"
                ))
                .fact("begins at", found.start)
                .fix("make the initrd anew, then append to it"));
            };
            if last_end < found.start {
                kept.push(last_end..found.start);
            }
            if found.state == State::Cut {
                let count = end.saturating_sub(found.start);
                warnings.push(format!("{shown}: removed a segment that was cut, {count} bytes"));
            }
            last_end = end;
        }
        if last_end < length {
            kept.push(last_end..length);
        }
        let all_cut = survey.found.iter().all(|found| found.state == State::Cut);
        let spares_nothing_in_use = all_cut && kept.is_empty();
        Ok(Self { stays: first.start, start: first.start, kept, spares_nothing_in_use })
    }

    fn kept_length(&self) -> u64 {
        self.kept.iter().map(|range| range.end.saturating_sub(range.start)).fold(0, u64::saturating_add)
    }
}

/// Where a segment begins that is put behind `length` bytes of others: at a multiple of 4, with four zeros or more in
/// front. Without them the kernel's reader of lz4 takes what follows for one more block, says "Decoding failed" and
/// drops the segment.
fn behind<S: ReadAt + ?Sized>(others: &S, length: u64) -> io::Result<u64> {
    let mut last = [0; 4];
    let from = length.saturating_sub(4);
    let got = others.fill_at(&mut last, from)?.min(usize::try_from(length.saturating_sub(from)).unwrap_or(4));
    let zeros = last.get(..got).unwrap_or_default().iter().rev().take_while(|byte| **byte == 0).count();
    let missing = if length == 0 { 0 } else { 4_u64.saturating_sub(zeros as u64) };
    Ok(cpio::aligned(length.saturating_add(missing)))
}

/// The file that is written to.
struct Target<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Target<'a> {
    /// Opens a regular file; `None` if there is none. Whatever an earlier run left beside it is removed.
    fn open(path: &'a Path) -> Result<Option<Self>> {
        let Some(file) = find::open(path, true)? else { return Ok(None) };
        // It lies where the file is, not where a symlink to it is.
        let _ = fs::canonicalize(path).and_then(|path| fs::remove_file(aside(&path)));
        Ok(Some(Self { path, file }))
    }

    fn failed(&self, verb: &str, error: &io::Error) -> Failure {
        Failure::io(verb, self.path, error)
    }

    /// Fails unless the file can grow by `bytes`.
    fn need(&self, bytes: u64) -> Result<()> {
        let free = free(&self.file).map_err(|error| self.failed("find the free space of", &error))?;
        if bytes <= free { Ok(()) } else { Err(no_room(self.path, bytes, free)) }
    }

    /// Shortens the file to what stays, then writes the segment with its first magic last, and before that what
    /// comes behind it.
    fn append(&self, survey: &Survey, cut: &Cutting, segment: &[u8], behind: &[u8]) -> Result<()> {
        let start = cut.start;
        let write = || {
            let (magic, rest) = segment.split_at_checked(MAGIC).ok_or(io::ErrorKind::InvalidInput)?;
            if cut.stays < survey.length {
                self.file.set_len(cut.stays)?;
            }
            let end = start.saturating_add((segment.len() as u64).saturating_add(behind.len() as u64));
            if is_fat(&self.file) {
                reserve(&self.file, cut.stays, end)?;
            }
            // What is skipped, padding and magic, reads as zeros.
            self.file.write_all_at(rest, start.saturating_add(MAGIC as u64))?;
            self.file.write_all_at(behind, start.saturating_add(segment.len() as u64))?;
            self.file.sync_all()?;
            self.file.write_all_at(magic, start)?;
            self.file.sync_data()
        };
        write().map_err(|error: io::Error| {
            let failure = self.failed("append to", &error);
            match self.file.set_len(cut.stays).and_then(|()| self.file.sync_all()) {
                Ok(()) => failure,
                Err(error) => failure.fact("the file", format!("could not be given its old length: {error}")),
            }
        })
    }

    /// Replaces what has to go where the file is. For a moment there are no secrets in it.
    fn replace(&self, survey: &Survey, cut: &Cutting, segment: Option<&[u8]>) -> Result<()> {
        let new = cut.kept_length().saturating_add(segment.map_or(0, <[u8]>::len) as u64);
        self.need(cut.start.saturating_add(new).saturating_sub(survey.length))?;
        let old = bytes(&self.file, cut.start, survey.length).map_err(|error| self.failed("read", &error))?;
        let mut behind = Plaintext::from(Vec::with_capacity(old.len()));
        for range in &cut.kept {
            let offset = |at: u64| usize::try_from(at.saturating_sub(cut.start)).unwrap_or(usize::MAX);
            behind
                .bytes_mut()
                .extend_from_slice(old.get(offset(range.start)..offset(range.end)).unwrap_or_default());
        }
        let written = match segment {
            Some(segment) => self.append(survey, cut, segment, &behind),
            None => self.shorten(cut.start).and_then(|()| {
                let written = self.file.write_all_at(&behind, cut.start).and_then(|()| self.file.sync_all());
                written.map_err(|error| self.failed("write to", &error))
            }),
        };
        written.map_err(|failure| {
            match self.file.write_all_at(&old, cut.start).and_then(|()| self.file.sync_all()) {
                Ok(()) => failure.fact("what was there", "was written back"),
                Err(error) => failure.fact("what was there", format!("could not be written back: {error}")),
            }
        })
    }

    fn shorten(&self, length: u64) -> Result<()> {
        let shortened = self.file.set_len(length).and_then(|()| self.file.sync_all());
        shortened.map_err(|error| self.failed("shorten", &error))
    }

    /// Writes the new file aside and renames it. The inner error says why that is not possible here.
    fn write_aside(&self, cut: &Cutting, segment: Option<&[u8]>) -> Result<std::result::Result<(), String>> {
        // Renaming over a symlink would replace the symlink.
        let path = fs::canonicalize(self.path).map_err(|error| self.failed("resolve", &error))?;
        let old = self.file.metadata().map_err(|error| self.failed("examine", &error))?;
        let new =
            cut.start.saturating_add(cut.kept_length()).saturating_add(segment.map_or(0, <[u8]>::len) as u64);
        let free = free(&self.file).map_err(|error| self.failed("find the free space of", &error))?;
        if new > free {
            return Ok(Err(format!("there is no room for a copy ({new} bytes needed, {free} free)")));
        }
        let aside = aside(&path);
        let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside) {
            Ok(file) => file,
            Err(error) => return Ok(Err(format!("{} cannot be made: {error}", aside.display()))),
        };
        let written = self.copy(&file, cut, segment).and_then(|()| {
            // vfat has no owners.
            let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
            file.sync_all()?;
            fs::rename(&aside, &path)
        });
        if let Err(error) = written {
            let _ = fs::remove_file(&aside);
            return Err(Failure::io("write", &aside, error).fact("the file", "is as it was"));
        }
        if is_fat(&file) {
            // There the old file's directory entry leads to the new clusters only when the new file is synced again.
            // Until then it leads to those of the old file, which are free as soon as anybody syncs anything.
            let _ = file.sync_all();
        }
        sync_directory(&path);
        Ok(Ok(()))
    }

    fn copy(&self, mut to: &File, cut: &Cutting, segment: Option<&[u8]>) -> io::Result<()> {
        let mut from = &self.file;
        let mut range = |to: &mut &File, start: u64, end: u64| {
            let length = end.saturating_sub(start);
            from.seek(SeekFrom::Start(start))?;
            let copied = io::copy(&mut from.take(length), to)?;
            if copied == length { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) }
        };
        range(&mut to, 0, cut.start)?;
        to.write_all(segment.unwrap_or_default())?;
        cut.kept.iter().try_for_each(|kept| range(&mut to, kept.start, kept.end))
    }
}

/// Makes the file with the segment in it.
fn create(path: &Path, segment: &Plaintext) -> Result<()> {
    let _ = fs::remove_file(aside(path));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::io("create", path, error))?;
    let target = Target { path, file };
    let empty = Survey { length: 0, base: None, found: Vec::new(), dead: None };
    let nothing = Cutting { stays: 0, start: 0, kept: Vec::new(), spares_nothing_in_use: true };
    let written = target
        .file
        // The umask may have taken bits away.
        .set_permissions(Permissions::from_mode(0o600))
        .map_err(|error| target.failed("set the mode of", &error))
        .and_then(|()| target.need(segment.len() as u64))
        .and_then(|()| target.append(&empty, &nothing, segment, &[]));
    match written {
        Ok(()) => sync_directory(path),
        Err(_) => {
            let _ = fs::remove_file(path);
        }
    }
    written
}

/// Makes the new name durable. A file system that cannot do it has done it.
fn sync_directory(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let _ = File::open(parent.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all());
}

fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ASIDE);
    name.into()
}

/// Bytes that this process may still write to the file system of `file`.
fn free(file: &File) -> io::Result<u64> {
    let space = nix::sys::statvfs::fstatvfs(file)?;
    let root = nix::unistd::geteuid().is_root();
    let blocks = if root { space.blocks_free() } else { space.blocks_available() };
    Ok(blocks.saturating_mul(space.fragment_size()))
}

fn is_fat(file: &File) -> bool {
    fstatfs(file).is_ok_and(|about| about.filesystem_type() == MSDOS_SUPER_MAGIC)
}

/// Makes room for the file to grow from `length` to `end` bytes. On FAT a synced file's size reaches the disk before
/// its chain of clusters does: a machine that dies between has a file that no firmware reads.
fn reserve(file: &File, length: u64, end: u64) -> io::Result<()> {
    let offset = |at: u64| i64::try_from(at).map_err(|_| io::ErrorKind::FileTooLarge);
    match fallocate(
        file,
        FallocateFlags::FALLOC_FL_KEEP_SIZE,
        offset(length)?,
        offset(end.saturating_sub(length))?,
    ) {
        // What a FUSE driver calls itself does not say what it can do.
        Err(Errno::EOPNOTSUPP) => Ok(()),
        reserved => {
            reserved?;
            file.sync_all()
        }
    }
}

/// The bytes of a part of a file.
fn bytes(file: &File, start: u64, end: u64) -> io::Result<Plaintext> {
    let length = usize::try_from(end.saturating_sub(start)).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = Plaintext::from(vec![0; length]);
    file.read_exact_at(bytes.bytes_mut(), start)?;
    Ok(bytes)
}

fn no_room(path: &Path, needed: u64, free: u64) -> Failure {
    Failure::new(format!("no room for the segment in {}", path.display()))
        .fact("needed", format!("{needed} bytes"))
        .fact("free", format!("{free} bytes"))
        .fix("remove old generations, or other files from that file system")
}

/// Whether the bytes of a segment in the file are these.
fn same(target: &Target<'_>, found: &Found, segment: &[u8]) -> Result<bool> {
    if found.end != Some(found.start.saturating_add(segment.len() as u64)) {
        return Ok(false);
    }
    let mut buffer = zeroize::Zeroizing::new(vec![0; segment.len().min(64 << 10)]);
    let mut at = found.start;
    for wanted in segment.chunks(64 << 10) {
        let got = buffer.get_mut(..wanted.len()).unwrap_or_default();
        target.file.fill_at(got, at).map_err(|error| target.failed("read", &error))?;
        if got != wanted {
            return Ok(false);
        }
        at = at.saturating_add(wanted.len() as u64);
    }
    Ok(true)
}

/// The regular files beside `path` whose names are a beginning of its name, the longest first.
fn siblings(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().map(OsStr::as_bytes) else { return Vec::new() };
    let names = (1..name.len()).rev().filter_map(|end| name.get(..end));
    names
        .map(|name| path.with_file_name(OsStr::from_bytes(name)))
        .filter(|sibling| fs::symlink_metadata(sibling).is_ok_and(|metadata| metadata.is_file()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initrd::{
        find::{Verdict, survey},
        segment::{
            build,
            tests::{sample, spec},
        },
    };

    /// A directory of its own for each test, removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("forestage-append-{test}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, bytes).unwrap();
            path
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(&self.0)
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn other() -> Plaintext {
        build(&crate::initrd::segment::Spec { manifest: [8; 32], ..spec(&[("/etc/other", b"other value")]) })
            .unwrap()
    }

    fn change(path: &Path, segment: &Plaintext) -> Change {
        append(path, None, segment).unwrap().change
    }

    /// Bytes of others, zeros up to a multiple of 4 and four at least, bytes of ours or others.
    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        for part in parts {
            all.resize(usize::try_from(behind(all.as_slice(), all.len() as u64).unwrap()).unwrap(), 0);
            all.extend_from_slice(part);
        }
        all
    }

    #[test]
    fn appending_again_changes_nothing_and_another_replaces() {
        let place = Place::new("again");
        for base in [&b""[..], b"\x28\xb5\x2f\xfdbase", b"\x28\xb5\x2f\xfdbase, odd"] {
            let path = place.file("initrd", base);
            fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
            assert_eq!(change(&path, &sample()), Change::Appended);
            assert_eq!(fs::read(&path).unwrap(), joined(&[base, &sample()]));
            let inode = fs::metadata(&path).unwrap().ino();
            assert_eq!(change(&path, &sample()), Change::Unchanged);
            assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
            assert_eq!(change(&path, &other()), Change::Replaced);
            assert_eq!(fs::read(&path).unwrap(), joined(&[base, &other()]));
            assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
            assert_eq!(remove(&path, None).unwrap().change, Change::Removed);
            assert_eq!(fs::read(&path).unwrap(), joined(&[base, b""]));
            assert_eq!(remove(&path, None).unwrap().change, Change::Unchanged);
            assert_eq!(place.names(), ["initrd"]);
        }
    }

    #[test]
    fn a_known_base_gets_its_length_back() {
        let place = Place::new("base");
        let base = place.file("base", b"\x28\xb5\x2f\xfdbase, odd");
        let path = place.file("initrd", &fs::read(&base).unwrap());
        append(&path, Some(&base), &sample()).unwrap();
        assert_eq!(append(&path, Some(&base), &sample()).unwrap().change, Change::Unchanged);
        remove(&path, Some(&base)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(&base).unwrap());
        // A base of other bytes is no base.
        let path = place.file("initrd", &joined(&[b"\x28\xb5\x2f\xfdnot that", &sample()]));
        assert_eq!(append(&path, Some(&base), &sample()).unwrap().change, Change::Unchanged);
        // What no kernel reads would hide the segment.
        let path = place.file("initrd", &joined(&[&fs::read(&base).unwrap(), b"0707"]));
        let done = append(&path, Some(&base), &sample()).unwrap();
        assert_eq!(done.warnings.len(), 1);
        assert_eq!(fs::read(&path).unwrap(), joined(&[&fs::read(&base).unwrap(), &sample()]));
    }

    #[test]
    fn bytes_of_others_stay_in_their_order() {
        let place = Place::new("others");
        let (front, middle, behind) =
            (b"\x1f\x8bfront".as_slice(), b"\x28\xb5mid".as_slice(), b"\x02\x21end".as_slice());
        let path = place.file("initrd", &joined(&[front, &other(), middle, &other(), behind]));
        assert_eq!(change(&path, &sample()), Change::Replaced);
        assert_eq!(fs::read(&path).unwrap(), joined(&[front, &sample(), middle, behind]));
        assert_eq!(change(&path, &sample()), Change::Unchanged);
        remove(&path, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), joined(&[front, middle, behind]));
    }

    #[test]
    fn without_room_for_a_copy_it_is_replaced_in_place() {
        let place = Place::new("in-place");
        let path = place.file("initrd", &joined(&[b"\x1f\x8bfront", &other(), b"\x28\xb5behind"]));
        // A directory where the copy would be written stands for a full file system.
        fs::create_dir(aside(&path)).unwrap();
        let done = append(&path, None, &sample()).unwrap();
        assert_eq!((done.change, done.warnings.len()), (Change::Replaced, 1));
        assert_eq!(fs::read(&path).unwrap(), joined(&[b"\x1f\x8bfront", &sample(), b"\x28\xb5behind"]));
        remove(&path, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), joined(&[b"\x1f\x8bfront", b"\x28\xb5behind"]));
    }

    #[test]
    fn a_cut_segment_is_removed() {
        let place = Place::new("cut");
        let base = b"\x28\xb5\x2f\xfdbase!!!";
        let mut uncommitted = other().to_vec();
        uncommitted[..6].fill(0);
        for bytes in [&*other(), &uncommitted] {
            for length in (8..bytes.len()).step_by(61).chain([bytes.len() - 1]) {
                let path = place.file("initrd", &joined(&[base, &bytes[..length]]));
                let done = append(&path, None, &sample()).unwrap();
                assert_eq!(
                    (done.change, done.warnings.len()),
                    (Change::Replaced, 1),
                    "{length} {:?}",
                    done.warnings
                );
                assert_eq!(fs::read(&path).unwrap(), joined(&[base, &sample()]), "{length}");
            }
        }
    }

    #[test]
    fn a_damaged_segment_is_replaced_or_refused_but_never_takes_others_along() {
        let place = Place::new("damaged");
        let (front, behind) = (b"\x28\xb5\x2f\xfdbase!!!".as_slice(), [0xa5_u8; 400]);
        let good = joined(&[front, &other(), &behind]);
        let expected = joined(&[front, &sample(), &behind]);
        let mut refused = 0;
        for at in 16..good.len() - behind.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let path = place.file("initrd", &bad);
            let done = append(&path, None, &sample());
            let now = fs::read(&path).unwrap();
            if done.is_err() {
                assert_eq!(now, bad, "{at}");
                refused += 1;
                continue;
            }
            // With one of the first heads damaged nobody can tell whose it is: it stays.
            let kept = joined(&[&bad, &sample()]);
            assert!(now == expected || (at < 16 + 260 && now == kept), "{at}");
        }
        // Only damage to the last heads hides the end, and even then the index mostly tells it.
        assert!(refused < 252, "{refused}");
    }

    #[test]
    fn a_file_that_does_not_exist_is_made_for_root_alone() {
        let place = Place::new("create");
        let path = place.0.join("secrets.XXXX");
        assert_eq!(change(&path, &sample()), Change::Appended);
        assert_eq!(fs::read(&path).unwrap(), &*sample());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let missing = place.0.join("no/such/directory");
        assert!(append(&missing, None, &sample()).is_err());
        assert!(remove(&missing, None).is_err());
        assert!(append(&place.0, None, &sample()).is_err());
        assert_eq!(place.names(), ["secrets.XXXX"]);
    }

    #[test]
    fn what_a_killed_run_left_aside_is_removed() {
        let place = Place::new("aside");
        let path = place.file("initrd", b"");
        place.file(&format!("initrd{ASIDE}"), b"half");
        append(&path, None, &sample()).unwrap();
        assert_eq!(place.names(), ["initrd"]);
    }

    #[test]
    fn an_older_generation_keeps_or_copies_its_segment() {
        let place = Place::new("reuse");
        let manifest = spec(&[]).manifest;
        let base = b"\x28\xb5\x2f\xfdbase!!!".as_slice();
        place.file("x-initrd", &joined(&[base, &sample()]));
        place.file("x-ini", &joined(&[base, &other()]));
        place.file("x-initr", &joined(&[base, &sample()[..800]]));
        fs::create_dir(place.0.join("x")).unwrap();
        let path = place.file("x-initrd.tmp", base);
        let done = reuse(&path, None, &manifest).unwrap().unwrap();
        assert_eq!((done.change, done.warnings.len()), (Change::Appended, 1));
        assert_eq!(fs::read(&path).unwrap(), joined(&[base, &sample()]));
        assert_eq!(reuse(&path, None, &manifest).unwrap().unwrap().change, Change::Unchanged);
        // GRUB: the argument does not exist.
        let path = place.0.join("x-initrd.ABCDEFGH");
        assert_eq!(reuse(&path, None, &manifest).unwrap().unwrap().change, Change::Appended);
        assert_eq!(fs::read(&path).unwrap(), &*sample());
        let path = place.0.join("x-init");
        assert_eq!(reuse(&path, None, &manifest).unwrap(), None);
        assert_eq!(reuse(&place.0.join("x-initrd.2"), None, &[1; 32]).unwrap(), None);
        assert!(!path.exists());
    }

    #[test]
    fn a_full_file_system_leaves_the_file_alone() {
        let place = Place::new("full");
        let path = place.file("initrd", b"\x28\xb5\x2f\xfdbase");
        let target = Target::open(&path).unwrap().unwrap();
        assert!(target.need(1).is_ok());
        let failure = target.need(u64::MAX).unwrap_err();
        assert_eq!(failure.facts.len(), 2);
        // A write that fails in the middle: the descriptor is read-only.
        let broken = Target { path: &path, file: File::open(&path).unwrap() };
        let survey = survey(&broken.file, &path, None).unwrap();
        let cut = Cutting::of(&survey, &target.file, &path, &mut Vec::new()).unwrap();
        assert!(broken.append(&survey, &cut, &sample(), &[]).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"\x28\xb5\x2f\xfdbase");
        assert_eq!(survey.verdict(&[0; 32]), Verdict::Missing);
    }
}

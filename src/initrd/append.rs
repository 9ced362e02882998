//! Gives an initrd its segment, copies one for an older generation, and takes it out.
//!
//! At every moment the file boots. A segment that is in use is replaced by writing the file aside and renaming it, if
//! there is room. Bytes of others stay, and keep their order. Runs on one file wait for each other.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    cpio,
    cutting::Cutting,
    examine::State,
    find::{self, Survey, survey},
    index::Index,
    magic::is_initrd,
    target::{Target, bytes},
};
use crate::{
    failure::{Failure, Result},
    flock::PATIENCE,
    plaintext::Plaintext,
};

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
/// The file is no initrd, cannot be read or written, has no room, or another run does not end: then it is as it was
/// before.
pub fn append(path: &Path, base: Option<&Path>, segment: &Plaintext) -> Result<Done> {
    let target = Target::open_or_make(path, PATIENCE, segment.len() as u64)?;
    let done = append_to(&target, path, base, segment);
    target.settle(done.is_ok());
    done
}

fn append_to(target: &Target<'_>, path: &Path, base: Option<&Path>, segment: &Plaintext) -> Result<Done> {
    let mut warnings = Vec::new();
    let survey = survey(&target.file, path, base)?;
    if let [only] = survey.found.as_slice()
        && only.state == State::Whole
        && target.holds(only, segment)?
    {
        return Ok(Done { change: Change::Unchanged, warnings });
    }
    refuse_what_is_no_initrd(&target.file, path, &survey).map_err(|failure| {
        failure.fix("name the initrd; a file that is empty or does not exist yet will do, too")
    })?;
    let cut = Cutting::of(&survey, &*target.file, path, &mut warnings)?;
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

/// A kernel, a disk image or a manifest is easily named instead of the initrd. Behind it nobody would read a segment, and
/// to say that it has none would mislead. What begins with the pristine initrd, or with a segment that was cut, is as
/// good as it was.
pub fn refuse_what_is_no_initrd(file: &File, path: &Path, survey: &Survey) -> Result<()> {
    let known = survey.base.is_some() || survey.found.first().is_some_and(|found| found.start == 0);
    if known || is_initrd(file, survey.length).map_err(|error| Failure::io("read", path, error))? {
        return Ok(());
    }
    Err(Failure::new(format!("{} is no initrd", path.display()))
        .fact("begins with", "neither an archive nor a compression that the kernel knows"))
}

/// What an earlier run wrote for a generation that cannot be opened any more.
pub struct Earlier<'a> {
    /// The digest of its manifest and ciphertexts.
    pub manifest: [u8; 32],
    /// Whether a segment is its own as far as can be told. Ciphertexts outside of the store may be gone.
    pub alike: &'a dyn Fn(&Index) -> bool,
    /// A directory besides that of the initrd, for boot loaders that name a temporary file.
    pub kept: Option<&'a Path>,
}

/// Gives the file at `path` the segment that an earlier run wrote: from the file itself, else from a file beside it
/// whose name is a beginning of its name, else from a kept one whose name is an end of its name. A segment of the
/// same manifest and ciphertexts is better than one that is only alike. `None` if there is none; then nothing was
/// written.
pub fn reuse(path: &Path, base: Option<&Path>, earlier: &Earlier) -> Result<Option<Done>> {
    let own = find::open(path, false)?.map(|file| survey(&file, path, base)).transpose()?;
    let mut elsewhere = siblings(path);
    elsewhere.extend(earlier.kept.into_iter().flat_map(|directory| kept(path, directory)));
    let same = |index: &Index| index.manifest == earlier.manifest;
    for wanted in [&same as &dyn Fn(&Index) -> bool, earlier.alike] {
        if own.as_ref().is_some_and(|own| segment_of(wanted, own).is_some()) {
            let warnings = vec![format!("{}: kept the segment of an earlier run", path.display())];
            return Ok(Some(Done { change: Change::Unchanged, warnings }));
        }
        if let Some(done) = copy_from(&elsewhere, path, base, wanted)? {
            return Ok(Some(done));
        }
    }
    Ok(None)
}

/// Copies the segment of the first of these files that has it.
fn copy_from(
    files: &[PathBuf],
    path: &Path,
    base: Option<&Path>,
    wanted: &dyn Fn(&Index) -> bool,
) -> Result<Option<Done>> {
    let mut warnings = Vec::new();
    for file in files {
        let segment = match segment_in(file, base, wanted) {
            Ok(Some(segment)) => segment,
            Ok(None) => continue,
            // Another one may have it.
            Err(failure) => {
                warnings.push(failure.headline);
                continue;
            }
        };
        let mut done = append(path, base, &segment)?;
        warnings.append(&mut done.warnings);
        warnings.push(format!("{}: copied the segment of {}", path.display(), file.display()));
        return Ok(Some(Done { warnings, ..done }));
    }
    Ok(None)
}

/// The whole segment that is wanted in the file at `path`.
fn segment_in(
    path: &Path,
    base: Option<&Path>,
    wanted: &dyn Fn(&Index) -> bool,
) -> Result<Option<Plaintext>> {
    let Some(file) = find::open(path, false)? else { return Ok(None) };
    let Some((start, end)) = segment_of(wanted, &survey(&file, path, base)?) else { return Ok(None) };
    bytes(&file, start, end).map(Some).map_err(|error| Failure::io("read", path, error))
}

/// Beginning and end of the whole segment that is wanted.
fn segment_of(wanted: &dyn Fn(&Index) -> bool, survey: &Survey) -> Option<(u64, u64)> {
    let mut whole = survey.found.iter().filter(|found| found.state == State::Whole);
    let found = whole.find(|found| found.index.as_ref().is_some_and(wanted))?;
    Some((found.start, found.end?))
}

/// Takes every segment of ours out of the file at `path`.
///
/// The zeros in front of it stay, at most 19, unless the pristine initrd `base` is known: nobody else can tell
/// them from bytes of others.
pub fn remove(path: &Path, base: Option<&Path>) -> Result<Done> {
    let mut warnings = Vec::new();
    let target = Target::open(path, PATIENCE)?;
    let target = target.ok_or_else(|| Failure::io("open", path, "no such file"))?;
    let survey = survey(&target.file, path, base)?;
    if survey.found.is_empty() {
        refuse_what_is_no_initrd(&target.file, path, &survey)?;
        return Ok(Done { change: Change::Unchanged, warnings });
    }
    let cut = Cutting::of(&survey, &*target.file, path, &mut warnings)?;
    if cut.kept.is_empty() {
        let base = survey.base.unwrap_or(cut.stays);
        let padding = cpio::skip_zeros(&*target.file, base, cut.stays);
        let only_padding = padding.map_err(|error| target.failed("read", &error))? == cut.stays;
        target.shorten(if only_padding { base } else { cut.stays })?;
    } else if let Err(reason) = target.write_aside(&cut, None)? {
        warnings.push(format!("{}: removed in place, since {reason}", path.display()));
        target.replace(&survey, &cut, None)?;
    }
    Ok(Done { change: Change::Removed, warnings })
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

/// The regular files of a directory whose names are an end of that of `path`, the longest first.
fn kept(path: &Path, directory: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().map(OsStr::as_bytes) else { return Vec::new() };
    let names = (1..name.len()).filter_map(|start| name.get(start..));
    names
        .map(|name| directory.join(OsStr::from_bytes(name)))
        .filter(|kept| fs::symlink_metadata(kept).is_ok_and(|metadata| metadata.is_file()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    use super::*;
    use crate::initrd::{
        cutting::behind,
        segment::{
            build,
            tests::{offsets, sample, spec},
        },
        target::{ASIDE, aside},
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
            names.sort_unstable();
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

    /// Bytes of ours or others, with the zeros of a segment in front of segments and of where one was (an empty part),
    /// and four zeros up to a multiple of 4 in front of others.
    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        for part in parts {
            let start = if part.is_empty() || part.starts_with(b"0707") {
                usize::try_from(behind(all.as_slice(), all.len() as u64).unwrap()).unwrap()
            } else if all.is_empty() || all.ends_with(&[0; 4]) {
                all.len().next_multiple_of(4)
            } else {
                let zeros = all.iter().rev().take_while(|byte| **byte == 0).count();
                (all.len() + 4 - zeros).next_multiple_of(4)
            };
            all.resize(start, 0);
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
        assert_eq!(fs::read(&path).unwrap(), joined(&[front, &sample(), middle, b"", behind]));
        assert_eq!(change(&path, &sample()), Change::Unchanged);
        remove(&path, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), joined(&[front, b"", middle, b"", behind]));
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
        assert_eq!(fs::read(&path).unwrap(), joined(&[b"\x1f\x8bfront", b"", b"\x28\xb5behind"]));
    }

    #[test]
    fn a_cut_segment_is_removed() {
        let place = Place::new("cut");
        let base = b"\x28\xb5\x2f\xfdbase!!!";
        let mut uncommitted = other().to_vec();
        uncommitted[..6].fill(0);
        for bytes in [&*other(), &uncommitted] {
            for length in offsets(bytes.len()).skip(8).step_by(61).chain([bytes.len() - 1]) {
                let path = place.file("initrd", &joined(&[base, b"", &bytes[..length]]));
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
        let start = joined(&[front, b""]).len();
        for at in offsets(other().len()).map(|at| start + at) {
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
            assert!(now == expected || (at < start + 260 && now == kept), "{at}");
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
        let reuse = |path: &Path| reuse(path, None, &Earlier { manifest, alike: &|_| false, kept: None });
        let done = reuse(&path).unwrap().unwrap();
        assert_eq!((done.change, done.warnings.len()), (Change::Appended, 1));
        assert_eq!(fs::read(&path).unwrap(), joined(&[base, &sample()]));
        assert_eq!(reuse(&path).unwrap().unwrap().change, Change::Unchanged);
        // GRUB: the argument does not exist.
        let path = place.0.join("x-initrd.ABCDEFGH");
        assert_eq!(reuse(&path).unwrap().unwrap().change, Change::Appended);
        assert_eq!(fs::read(&path).unwrap(), &*sample());
        let path = place.0.join("x-init");
        assert_eq!(reuse(&path).unwrap(), None);
        assert!(!path.exists());
        let path = place.0.join("x-initrd.2");
        let unknown = Earlier { manifest: [1; 32], alike: &|_| false, kept: None };
        assert_eq!(super::reuse(&path, None, &unknown).unwrap(), None);
        assert!(!path.exists());
    }

    /// Ciphertexts may be gone, limine's argument lies in /tmp, and of two candidates the one of the
    /// same ciphertexts is better.
    #[test]
    fn an_alike_segment_and_a_kept_one_are_found_too() {
        let place = Place::new("kept");
        let temporary = Place::new("kept-temporary");
        let alike = |index: &Index| index.files.iter().any(|file| file.path == "/etc/other");
        let path = temporary.0.join("tmpabcdefghsystem-secrets");
        let earlier = |kept| Earlier { manifest: spec(&[]).manifest, alike: &alike, kept };
        place.file("system-secrets", &other());
        place.file("kernels-system-secrets", &sample());
        assert_eq!(reuse(&path, None, &earlier(None)).unwrap(), None);
        assert!(!path.exists());
        let kept = earlier(Some(&place.0));
        assert_eq!(reuse(&path, None, &kept).unwrap().unwrap().change, Change::Appended);
        assert_eq!(fs::read(&path).unwrap(), &*other());
        // What is in the file itself and only alike does not win over what is the same.
        place.file("secrets", &sample());
        assert_eq!(reuse(&path, None, &kept).unwrap().unwrap().change, Change::Replaced);
        assert_eq!(fs::read(&path).unwrap(), &*sample());
        let none = Earlier { alike: &|_| false, manifest: [1; 32], ..kept };
        assert_eq!(reuse(&path, None, &none).unwrap(), None);
        assert_eq!(fs::read(&path).unwrap(), &*sample());
    }

    #[test]
    fn an_unreadable_neighbour_is_passed_over() {
        let place = Place::new("unreadable");
        let base = b"\x28\xb5\x2f\xfdbase!!!".as_slice();
        place.file("x-i", &joined(&[base, &sample()]));
        let path = place.file("x-initrd", base);
        // A directory stands for what root, too, cannot read.
        let siblings = vec![place.0.clone(), place.0.join("gone"), place.0.join("x-i")];
        let done = copy_from(&siblings, &path, None, &|_| true).unwrap().unwrap();
        assert_eq!((done.change, done.warnings.len()), (Change::Appended, 2));
        assert_eq!(fs::read(&path).unwrap(), joined(&[base, &sample()]));
    }

    #[test]
    fn what_is_no_initrd_is_refused_and_left_alone() {
        let place = Place::new("refused");
        for (bytes, good) in [
            (&b"MZ kernel"[..], false),
            (b"{}", false),
            (b"\0\0\0\0x", false),
            (b"", true),
            (b"\0\0\0\0", true),
            (b"\x1f\x8b", true),
            (b"070701 as cpio begins", true),
        ] {
            let path = place.file("initrd", bytes);
            let done = append(&path, None, &sample());
            assert_eq!(done.is_ok(), good, "{bytes:?}");
            assert_eq!(fs::read(&path).unwrap() == bytes, !good, "{bytes:?}");
        }
        // A base that is no initrd to us is one to who made it.
        let base = place.file("base", b"base of a future kernel");
        let path = place.file("initrd", b"base of a future kernel");
        assert_eq!(append(&path, Some(&base), &sample()).unwrap().change, Change::Appended);
        // Our own segment, cut before it was committed.
        let mut uncommitted = sample().to_vec();
        uncommitted[..6].fill(0);
        let path = place.file("initrd", &uncommitted);
        assert_eq!(append(&path, None, &sample()).unwrap().change, Change::Replaced);
    }

    #[test]
    fn runs_at_the_same_time_take_turns() {
        let place = Place::new("turns");
        let base = b"\x28\xb5\x2f\xfdbase!!!".as_slice();
        for (name, before) in [("made", None), ("there", Some(base))] {
            let path = place.0.join(name);
            if let Some(before) = before {
                fs::write(&path, before).unwrap();
            }
            std::thread::scope(|scope| {
                for number in 0..8 {
                    let path = &path;
                    scope.spawn(move || {
                        for _ in 0..5 {
                            let segment = if number % 2 == 0 { sample() } else { other() };
                            append(path, None, &segment).unwrap();
                        }
                    });
                }
            });
            let now = fs::read(&path).unwrap();
            let front = before.unwrap_or_default();
            assert!([sample(), other()].iter().any(|segment| now == joined(&[front, segment])), "{name}");
        }
        assert_eq!(place.names(), ["made", "there"]);
    }
}

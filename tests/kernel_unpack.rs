//! What cpio and a real kernel unpack from an initrd with a segment.
//!
//! The kernel is booted under QEMU by `vm-tests/qemu/minimal-boot`, 3 seconds each. Where QEMU or the kernel cannot
//! be had, each boot is named as skipped. The strict reader of `initrd::cpio` is held against the kernel on damaged
//! archives: it has to foretell every file that lands, byte by byte.

// A failure of these helpers is a failure of the test that calls them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use forestage::{
    initrd::{
        append::append,
        cpio::{self, Defect},
        examine::State,
        find::{self, Verdict},
        segment::{self, Entry, Spec},
    },
    plaintext::Plaintext,
    tree::{File, Mode, Owner},
};
use sha2::{Digest, Sha256};

/// A directory of its own for each test, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kernel_unpack-{test}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(target: &str, content: &[u8], mode: u16, uid: u32, gid: u32) -> Entry {
    let content = Arc::new(Plaintext::from(content));
    let file = File { path: target.into(), content, mode: Mode::new(mode), owner: Owner { uid, gid } };
    Entry { file, plain_source: false, credential: None }
}

fn spec() -> Spec {
    let mut plain = entry("/run/plain", b"stock", 0o644, 7, 7);
    plain.plain_source = true;
    let large: Vec<u8> = (0..100_001_u32).map(|n| n.to_le_bytes()[0]).collect();
    Spec {
        manifest: [0x5a; 32],
        directories: vec![("/etc/keys".into(), Mode::new(0o750)), ("/srv".into(), Mode::new(0o755))],
        files: vec![
            entry("/etc/keys/luks", b"hunter222", 0o400, 0, 0),
            entry("/etc/shared", b"x", 0o640, 1000, 4_000_000_000),
            entry("/run/ssh/host/ed25519", b"-----BEGIN KEY-----\n", 0o600, 12, 34),
            entry("/srv/empty", b"", 0o444, 0, 0),
            entry("/srv/large, with spaces", &large, 0o400, 0, 0),
            plain,
        ],
    }
}

/// What the kernel shall have unpacked from `spec`: path -> "MODE UID GID SIZE SHA256".
fn landed(spec: &Spec) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut add = |path: &str, mode: u32, owner: Owner, content: Option<&[u8]>| {
        all.insert(path.to_owned(), told(mode, owner.uid, owner.gid, content));
    };
    for own in [
        "/.forestage",
        "/.forestage/files",
        "/.forestage/files/run",
        "/.forestage/files/run/ssh",
        "/.forestage/files/run/ssh/host",
        "/.initrd-secrets",
        "/.initrd-secrets/run",
    ] {
        add(own, 0o040_700, Owner::ROOT, None);
    }
    for (path, mode) in &spec.directories {
        add(path.to_str().unwrap(), 0o040_000 | mode.bits(), Owner::ROOT, None);
    }
    for Entry { file, plain_source, .. } in &spec.files {
        let target = file.path.to_str().unwrap();
        let owner = if *plain_source { Owner::ROOT } else { file.owner };
        let path = match target.starts_with("/run/") {
            true if *plain_source => format!("/.initrd-secrets{target}"),
            true => format!("/.forestage/files{target}"),
            false => target.to_owned(),
        };
        add(&path, 0o100_000 | file.mode.bits(), owner, Some(&file.content));
    }
    add("/.forestage/end", 0o100_400, Owner::ROOT, Some(b""));
    all
}

fn told(mode: u32, uid: u32, gid: u32, content: Option<&[u8]>) -> String {
    match content {
        Some(bytes) => format!("{mode:o} {uid} {gid} {} {:x}", bytes.len(), Sha256::digest(bytes)),
        None => format!("{mode:o} {uid} {gid}"),
    }
}

/// Runs `minimal-boot`; `None` if what it needs cannot be had, which is said by the name of the test.
fn script(test: &str, arguments: &[&Path]) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm-tests/qemu/minimal-boot");
    let output = Command::new(script).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        skipped(test, &errors);
        return None;
    }
    assert!(output.status.success(), "{errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Past the test harness, which would swallow it.
fn skipped(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED kernel_unpack::{test}: {}", reason.trim());
}

/// The smallest initrd that boots and tells, uncompressed.
fn base(test: &str, place: &Place) -> Option<Vec<u8>> {
    let path = place.0.join("base");
    script(test, &[Path::new("base"), &path])?;
    let mut bytes = fs::read(path).unwrap();
    // cpio pads to 512 bytes; nothing has to be of such a length. The trailer's name ends in a NUL.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate((end + 1).next_multiple_of(4));
    Some(bytes)
}

/// What the kernel unpacked from `initrd`, and its complaint.
fn boot(test: &str, place: &Place, initrd: &[u8]) -> Option<(BTreeMap<String, String>, Option<String>)> {
    let path = place.file("booted", initrd);
    let lines = script(test, &[Path::new("boot"), &path])?;
    let (mut all, mut complaint) = (BTreeMap::new(), None);
    for line in lines.lines() {
        if let Some(message) = line.strip_prefix("unpacking: ") {
            complaint = Some(message.to_owned());
            continue;
        }
        let fields: Vec<_> = line.splitn(6, ' ').collect();
        let mode = u32::from_str_radix(fields[0], 16).unwrap();
        let mut told = format!("{mode:o} {} {}", fields[1], fields[2]);
        if fields[4] != "-" {
            write!(told, " {} {}", fields[3], fields[4]).unwrap();
        }
        all.insert(fields[5].to_owned(), told);
    }
    Some((all, complaint))
}

fn run(program: &str, arguments: &[&str], input: &Path) -> Option<Vec<u8>> {
    let input = fs::File::open(input).unwrap();
    let output = Command::new(program).args(arguments).stdin(input).stderr(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// Compressors as initrds use them.
const COMPRESSORS: [(&str, &[&str]); 5] = [
    ("cat", &[]),
    ("gzip", &["-9n"]),
    ("zstd", &["-q", "-c"]),
    ("xz", &["--check=crc32", "-c"]),
    ("lz4", &["-l", "-c"]),
];

#[test]
fn cpio_lists_and_extracts_a_segment() {
    let place = Place::new("cpio");
    let segment = segment::build(&spec()).unwrap();
    let path = place.file("segment", &segment);
    let Some(list) = run("cpio", &["-t", "--quiet"], &path) else {
        return skipped("cpio_lists_and_extracts_a_segment", "no cpio");
    };
    let mut names: Vec<_> = String::from_utf8(list).unwrap().lines().map(|name| format!("/{name}")).collect();
    assert_eq!(names[..2], ["/.forestage", "/.forestage/segment.json"]);
    assert_eq!(names.last().unwrap(), "/.forestage/end");
    names.sort();
    let mut expected: Vec<_> = landed(&spec()).into_keys().collect();
    expected.push("/.forestage/segment.json".to_owned());
    expected.sort();
    assert_eq!(names, expected);

    // No -d: every parent has to be in the archive, but for those that the initrd has.
    let out = place.0.join("out");
    fs::create_dir_all(out.join("etc")).unwrap();
    let status = Command::new("cpio")
        .args(["-i", "--quiet", "--no-preserve-owner"])
        .current_dir(&out)
        .stdin(fs::File::open(&path).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    for Entry { file, plain_source, .. } in spec().files {
        let stage = match file.path.starts_with("/run") {
            true if plain_source => ".initrd-secrets",
            true => ".forestage/files",
            false => "",
        };
        let path = out.join(stage).join(file.path.strip_prefix("/").unwrap());
        assert_eq!(fs::read(&path).unwrap(), file.content.to_vec(), "{}", path.display());
    }
}

/// Behind every compressor, a microcode archive in front, a stock segment behind.
fn behind(test: &str, compressor: usize) {
    let (program, arguments) = COMPRESSORS[compressor];
    let place = Place::new(test);
    let Some(plain) = base(test, &place) else { return };
    let Some(packed) = run(program, arguments, &place.file("plain", &plain)) else {
        return skipped(test, &format!("no {program}"));
    };
    let mut microcode = Vec::new();
    for (name, mode) in [("kernel", 0o040_755), (cpio::TRAILER, 0)] {
        let head = cpio::Head { name, inode: 1, mode, uid: 0, gid: 0, links: 1, mtime: 0, size: 0 };
        head.write(&mut microcode);
    }
    let mut initrd = microcode;
    initrd.extend_from_slice(&packed);
    // One byte more or less than a multiple of 4, whatever the compressor made. Zeros behind it do not matter.
    while program != "cat" && initrd.len() % 4 != 1 + compressor % 3 {
        initrd.push(0);
    }
    let base = place.file("base", &initrd);
    let initrd = place.file("initrd", &initrd);
    let bytes = segment::build(&spec()).unwrap();
    append(&initrd, Some(&base), &bytes).unwrap();

    // Stock NixOS appends an archive of its own, compressed alike.
    let mut stock = Vec::new();
    for (name, mode) in [("stock", 0o040_711), (cpio::TRAILER, 0)] {
        let head = cpio::Head { name, inode: 1, mode, uid: 0, gid: 0, links: 1, mtime: 1, size: 0 };
        head.write(&mut stock);
    }
    let stock = run(program, arguments, &place.file("stock", &stock)).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&initrd).unwrap();
    file.write_all(&stock).unwrap();
    drop(file);

    // Found with and without the base; appended again it does not grow; replaced and back it is the same.
    let before = fs::read(&initrd).unwrap();
    for base in [None, Some(base.as_path())] {
        let file = find::open(&initrd, false).unwrap().unwrap();
        let survey = find::survey(&file, &initrd, base).unwrap();
        assert_eq!(survey.verdict(&spec().manifest), Verdict::Fresh);
        assert_eq!(survey.found[0].state, State::Whole);
        append(&initrd, base, &bytes).unwrap();
        assert_eq!(fs::read(&initrd).unwrap(), before);
        append(&initrd, base, &segment::build(&Spec { manifest: [1; 32], ..spec() }).unwrap()).unwrap();
        assert_ne!(fs::read(&initrd).unwrap(), before);
        append(&initrd, base, &bytes).unwrap();
        assert_eq!(fs::read(&initrd).unwrap(), before);
    }

    let Some((mut unpacked, complaint)) = boot(test, &place, &before) else { return };
    assert_eq!(complaint, None);
    let index = unpacked.remove("/.forestage/segment.json").unwrap();
    assert!(index.starts_with("100400 0 0 "), "{index}");
    let mut expected = landed(&spec());
    expected.insert("/kernel".to_owned(), "40755 0 0".to_owned());
    expected.insert("/stock".to_owned(), "40711 0 0".to_owned());
    assert_eq!(unpacked, expected);
}

#[test]
fn the_kernel_unpacks_it_behind_an_uncompressed_initrd() {
    behind("the_kernel_unpacks_it_behind_an_uncompressed_initrd", 0);
}

#[test]
fn the_kernel_unpacks_it_behind_gzip() {
    behind("the_kernel_unpacks_it_behind_gzip", 1);
}

#[test]
fn the_kernel_unpacks_it_behind_zstd() {
    behind("the_kernel_unpacks_it_behind_zstd", 2);
}

#[test]
fn the_kernel_unpacks_it_behind_xz() {
    behind("the_kernel_unpacks_it_behind_xz", 3);
}

#[test]
fn the_kernel_unpacks_it_behind_lz4() {
    behind("the_kernel_unpacks_it_behind_lz4", 4);
}

/// What the strict reader says the kernel will unpack, and why the kernel stops.
fn foretold(initrd: &[u8], base: usize) -> (BTreeMap<String, String>, Option<Defect>) {
    let end = initrd.len() as u64;
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for step in cpio::Walk::new(initrd, base as u64, end) {
        let (entry, defect) = match step.unwrap() {
            Ok(entry) if entry.is_trailer() => continue,
            Ok(entry) => (entry, None),
            Err(Defect::Body(entry)) => (entry.clone(), Some(Defect::Body(entry))),
            Err(defect) => return (all, Some(defect)),
        };
        let path = format!("/{}", String::from_utf8(entry.name).unwrap());
        let parent = path.rsplit_once('/').unwrap().0;
        let content = (entry.mode & 0o170_000 == cpio::REGULAR).then(|| {
            let body = usize::try_from(entry.body).unwrap();
            let size = entry.size as usize;
            let mut content = initrd[body..initrd.len().min(body + size)].to_vec();
            content.resize(size, 0);
            content
        });
        // A missing parent loses the file.
        if ["", "/etc"].contains(&parent) || all.contains_key(parent) {
            all.insert(path, told(entry.mode, entry.uid, entry.gid, content.as_deref()));
        }
        if defect.is_some() {
            return (all, defect);
        }
    }
    (all, None)
}

/// Damages the segment behind an uncompressed initrd, and holds the strict reader against the kernel.
fn damaged(
    test: &str,
    damage: impl Fn(&mut Vec<u8>),
    defect: impl Fn(Option<&Defect>) -> bool,
    complains: bool,
) {
    let place = Place::new(test);
    let Some(base) = base(test, &place) else { return };
    let mut segment = segment::build(&spec()).unwrap().to_vec();
    damage(&mut segment);
    let mut initrd = base.clone();
    initrd.extend_from_slice(&segment);
    let (expected, why) = foretold(&initrd, base.len());
    assert!(defect(why.as_ref()), "{why:?}");
    let found = find::search(initrd.as_slice(), initrd.len() as u64, None).unwrap();
    assert_ne!(found.verdict(&spec().manifest), Verdict::Fresh);
    let Some((unpacked, message)) = boot(test, &place, &initrd) else { return };
    assert_eq!(unpacked, expected);
    assert_eq!(message.is_some(), complains, "{message:?}");
}

fn at(segment: &[u8], bytes: &[u8]) -> usize {
    segment.windows(bytes.len()).rposition(|window| window == bytes).unwrap()
}

#[test]
fn the_kernel_ignores_a_segment_whose_first_magic_is_zero() {
    let name = "the_kernel_ignores_a_segment_whose_first_magic_is_zero";
    damaged(name, |bytes| bytes[..6].fill(0), |defect| defect == Some(&Defect::Unaligned), true);
}

#[test]
fn the_kernel_ignores_the_beginning_of_an_unfinished_segment() {
    let name = "the_kernel_ignores_the_beginning_of_an_unfinished_segment";
    let damage = |bytes: &mut Vec<u8>| {
        bytes[..6].fill(0);
        bytes.truncate(1000);
    };
    damaged(name, damage, |defect| defect == Some(&Defect::Unaligned), true);
}

#[test]
fn the_kernel_lands_a_cut_file_with_its_size_and_wrong_bytes() {
    let name = "the_kernel_lands_a_cut_file_with_its_size_and_wrong_bytes";
    let damage = |bytes: &mut Vec<u8>| bytes.truncate(at(bytes, b"hunter222") + 5);
    damaged(name, damage, |defect| matches!(defect, Some(Defect::Body(_))), false);
}

#[test]
fn the_kernel_drops_a_cut_header_silently() {
    let name = "the_kernel_drops_a_cut_header_silently";
    let damage = |bytes: &mut Vec<u8>| bytes.truncate(at(bytes, b"etc/shared\0") - 30);
    damaged(name, damage, |defect| defect == Some(&Defect::Head), false);
}

#[test]
fn the_kernel_lands_a_flipped_owner_silently() {
    let name = "the_kernel_lands_a_flipped_owner_silently";
    let damage = |bytes: &mut Vec<u8>| {
        let uid = at(bytes, b"etc/shared\0") - 110 + 6 + 2 * 8;
        bytes[uid + 7] ^= 1;
    };
    damaged(name, damage, |defect| defect.is_none(), false);
}

#[test]
fn the_kernel_stops_where_a_size_is_wrong() {
    let name = "the_kernel_stops_where_a_size_is_wrong";
    let damage = |bytes: &mut Vec<u8>| {
        let size = at(bytes, b"etc/shared\0") - 110 + 6 + 6 * 8;
        bytes[size + 7] = b'9';
    };
    damaged(name, damage, |defect| defect == Some(&Defect::Magic), true);
}

#[test]
fn the_kernel_loses_a_file_without_its_directory() {
    let name = "the_kernel_loses_a_file_without_its_directory";
    let damage = |bytes: &mut Vec<u8>| {
        // The directory etc/keys becomes etc/kexs; its file has no parent then.
        let directory = bytes.windows(9).position(|window| window == b"etc/keys\0").unwrap();
        bytes[directory + 6] = b'x';
    };
    damaged(name, damage, |defect| defect.is_none(), false);
}

//! The entries of all boot loaders that are found on the boot partitions.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Entry, grub, limine, type1, uki};
use crate::{
    failure::{Failure, Result},
    input,
    root::Root,
};

/// Where boot partitions are mounted, as systemd looks for them.
const MOUNTS: [&str; 3] = ["/efi", "/boot", "/boot/efi"];
const GRUB_DIRECTORIES: [&str; 2] = ["/grub", "/grub2"];
const LIMINE: [&str; 4] =
    ["/limine/limine.conf", "/limine.conf", "/EFI/limine/limine.conf", "/boot/limine/limine.conf"];
/// What `bootctl set-default` writes, before `loader.conf` is asked.
const LOADER_ENTRY_DEFAULT: &str =
    "/sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// No text of a boot loader is larger.
const MAX_SIZE: u64 = 4 << 20;

/// Whose entry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// An entry of the Boot Loader Specification.
    Type1,
    /// An image that boots by itself, as the same specification has it.
    Type2,
    /// An entry of grub.cfg.
    Grub,
    /// An entry of limine.conf.
    Limine,
    /// A generation of a profile that no entry boots.
    Profile,
}

impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type1 => "type1",
            Self::Type2 => "type2",
            Self::Grub => "grub",
            Self::Limine => "limine",
            Self::Profile => "profile",
        })
    }
}

/// An entry that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Whose it is.
    pub loader: Loader,
    /// What it says.
    pub entry: Entry,
    /// Whether the machine boots it when nobody chooses.
    pub default: bool,
    /// Its initrds, as paths of this system.
    pub initrds: Vec<PathBuf>,
}

/// A boot partition, or a directory that is used as one.
#[derive(Debug, Clone)]
pub struct Partition {
    /// Where it is mounted.
    pub path: PathBuf,
    /// Bytes that are free, and all bytes.
    pub space: Option<(u64, u64)>,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Menu {
    /// The entries, by loader.
    pub entries: Vec<Found>,
    /// The partitions that hold them.
    pub partitions: Vec<Partition>,
    /// What could not be read.
    pub unreadable: Vec<Failure>,
}

/// Reads the menus on these partitions; on those where they are usually mounted if none is given.
#[must_use]
pub fn read(root: &Root, given: &[PathBuf]) -> Menu {
    let mut reader = Reader { root, menu: Menu::default() };
    let usual = MOUNTS.iter().map(|path| root.join(Path::new(path)));
    let paths: Vec<_> = if given.is_empty() { usual.collect() } else { given.to_vec() };
    let mut seen = BTreeSet::new();
    let mut partitions = Vec::new();
    for path in paths {
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() && seen.insert((about.dev(), about.ino())) => {
                partitions.extend(reader.keep(Root::at(&path)).map(|root| (path, root)));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && given.is_empty() => {}
            Err(error) => reader.menu.unreadable.push(Failure::io("examine", &path, error)),
        }
    }
    reader.type1(&partitions);
    for (path, partition) in &partitions {
        reader.grub(path, partition);
    }
    for (path, partition) in &partitions {
        reader.limine(path, partition);
    }
    let mut menu = reader.menu;
    // One loader boots the machine: the first that is there.
    let first = menu.entries.iter().find(|found| found.default).map(|found| found.loader);
    for found in &mut menu.entries {
        found.default &= Some(found.loader) == first;
    }
    let holds =
        |path: &Path| menu.entries.iter().any(|found| found.initrds.iter().any(|it| it.starts_with(path)));
    let kept: Vec<_> = partitions.iter().filter(|(path, _)| !given.is_empty() || holds(path)).collect();
    menu.partitions =
        kept.into_iter().map(|(path, _)| Partition { path: path.clone(), space: space(path) }).collect();
    menu
}

/// Free and all bytes of the file system that holds `path`.
fn space(path: &Path) -> Option<(u64, u64)> {
    let space = nix::sys::statvfs::fstatvfs(File::open(path).ok()?).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(space.fragment_size());
    Some((bytes(space.blocks_free()), bytes(space.blocks())))
}

struct Reader<'r> {
    root: &'r Root,
    menu: Menu,
}

impl Reader<'_> {
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|failure| self.menu.unreadable.push(failure)).ok()
    }

    /// A text of a boot loader; none if there is none.
    fn text(&mut self, root: &Root, path: &str) -> Option<String> {
        let path = Path::new(path);
        if let Err(error) = root.open(path)
            && matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
        {
            return None;
        }
        // The failure names the path as it is seen from here.
        let read = input::read_file(root, path, MAX_SIZE)
            .map_err(|failure| failure.fact("which is", root.join(path).display()));
        let bytes = self.keep(read)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Entries of the Boot Loader Specification; one loader reads those of all partitions.
    fn type1(&mut self, partitions: &[(PathBuf, Root)]) {
        let (mut entries, mut found) = (Vec::new(), Vec::new());
        let mut loader_conf = None;
        let mut saved = None;
        for (path, partition) in partitions {
            loader_conf = loader_conf.or_else(|| self.text(partition, "/loader/loader.conf"));
            for directory in GRUB_DIRECTORIES {
                saved = saved.or_else(|| self.text(partition, &format!("{directory}/grubenv")));
            }
            for name in self.names(partition, "/loader/entries", ".conf") {
                let Some(text) = self.text(partition, &format!("/loader/entries/{name}")) else { continue };
                let entry = type1::entry(&name, &text);
                found.push((Loader::Type1, self.resolve_all(path, partition, &entry)));
                entries.push(entry);
            }
            for name in self.names(partition, "/EFI/Linux", ".efi") {
                let Some(image) = self.image(partition, &name) else { continue };
                let mut initrds = self.resolve_all(path, partition, &image.entry);
                initrds.extend(image.holds_initrd.then(|| path.join("EFI/Linux").join(&name)));
                found.push((Loader::Type2, initrds));
                entries.push(image.entry);
            }
        }
        let chosen = self.chosen();
        let pattern = if let Some(text) = &loader_conf {
            chosen.as_deref().or_else(|| type1::default_pattern(text)).map(str::to_owned)
        } else {
            // GRUB reads these entries, too, and has its own default.
            let saved = saved.as_deref().and_then(|grubenv| grub::saved(grubenv, "saved_entry"));
            saved.map(|id| format!("{}.conf", id.trim_end_matches(".conf")))
        };
        let default = type1::default(&entries, pattern.as_deref());
        self.add(entries, found, default);
    }

    /// The names in a directory that end like this, in order.
    fn names(&mut self, partition: &Root, directory: &str, suffix: &str) -> Vec<String> {
        let names = self.keep(partition.list(Path::new(directory))).unwrap_or_default();
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(suffix)).collect();
        names.sort_unstable();
        names
    }

    /// The image of this name, if systemd-boot has an entry for it.
    fn image(&mut self, partition: &Root, name: &str) -> Option<uki::Image> {
        let path = Path::new("/EFI/Linux").join(name);
        let read = || {
            let file = partition.open(&path)?;
            uki::image(name, &file, file.metadata()?.len())
        };
        self.keep(read().map_err(|error| Failure::io("read", partition.join(&path), error)))?
    }

    /// The entry that somebody chose as the default in the firmware's variables.
    fn chosen(&mut self) -> Option<String> {
        let bytes = input::read_file(self.root, Path::new(LOADER_ENTRY_DEFAULT), MAX_SIZE).ok()?;
        // Four bytes of attributes, then UTF-16 that ends in a NUL.
        let (units, _) = bytes.get(4..)?.as_chunks::<2>();
        let units: Vec<_> =
            units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0).collect();
        String::from_utf16(&units).ok().filter(|id| !id.is_empty())
    }

    fn grub(&mut self, path: &Path, partition: &Root) {
        for directory in GRUB_DIRECTORIES {
            let Some(text) = self.text(partition, &format!("{directory}/grub.cfg")) else { continue };
            let grubenv = self.text(partition, &format!("{directory}/grubenv")).unwrap_or_default();
            let config = grub::config(&text);
            let default = config.default_entry(grub::saved(&grubenv, "saved_entry"));
            let entries: Vec<_> = config.entries.into_iter().map(|(entry, _)| entry).collect();
            let found = entries.iter().map(|entry| (Loader::Grub, self.resolve_all(path, partition, entry)));
            let found = found.collect();
            self.add(entries, found, default.filter(|_| !config.blscfg));
        }
    }

    fn limine(&mut self, path: &Path, partition: &Root) {
        let Some(text) = LIMINE.iter().find_map(|config| self.text(partition, config)) else { return };
        let (entries, default) = limine::config(&text);
        let found = entries.iter().map(|entry| (Loader::Limine, self.resolve_all(path, partition, entry)));
        let found = found.collect();
        self.add(entries, found, default);
    }

    fn add(&mut self, entries: Vec<Entry>, found: Vec<(Loader, Vec<PathBuf>)>, default: Option<usize>) {
        let entries = entries.into_iter().zip(found).enumerate();
        self.menu.entries.extend(entries.map(|(number, (entry, (loader, initrds)))| {
            let default = default == Some(number);
            Found { loader, entry, default, initrds }
        }));
    }

    fn resolve_all(&self, mounted: &Path, partition: &Root, entry: &Entry) -> Vec<PathBuf> {
        entry.initrds.iter().map(|initrd| self.resolve(mounted, partition, initrd)).collect()
    }

    /// Where the initrd `path` of a menu is: on its partition; else, where the partition is a directory of the root
    /// file system, from its top, with or without the name of a subvolume in front.
    fn resolve(&self, mounted: &Path, partition: &Root, path: &str) -> PathBuf {
        let path = Path::new("/").join(path.trim_start_matches('/'));
        let mut components = path.components();
        components.next();
        components.next();
        let below_subvolume = Path::new("/").join(components.as_path());
        let there = |root: &Root, path: &Path| root.open(path).map(drop);
        let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        match there(partition, &path) {
            Err(error) if missing(&error) && there(self.root, &path).is_ok() => self.root.join(&path),
            Err(error) if missing(&error) && there(self.root, &below_subvolume).is_ok() => {
                self.root.join(&below_subvolume)
            }
            _ => mounted.join(path.strip_prefix("/").unwrap_or(&path)),
        }
    }
}

//! What a machine can boot, as far as files tell: the generations of NixOS profiles, and the entries of boot loaders.
//!
//! Parsers take text and know no files; `profiles` and `menu` read. Everything here reads only, and what cannot be
//! read is a value beside what can.

#[cfg(feature = "status")]
pub mod menu; // the entries of all boot loaders that are found
#[cfg(feature = "status")]
pub mod type1; // entries of the Boot Loader Specification: systemd-boot, and GRUB on Fedora
#[cfg(feature = "status")]
pub mod uki; // images that boot by themselves: UKIs, lanzaboote's
#[cfg(feature = "status")]
pub mod grub; // a generated grub.cfg
#[cfg(feature = "status")]
pub mod limine; // limine.conf
pub mod profiles; // the generations of the system profiles
pub mod bootspec; // what a boot.json says

/// An entry of a boot menu, as it is written there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What the loader calls it.
    pub id: String,
    /// What people see.
    pub title: String,
    /// The initrds in the order in which the kernel gets them, as paths of the partition that they are on.
    pub initrds: Vec<String>,
    /// SHA-256 of the initrd, where the loader refuses another one.
    pub initrd_sha256: Option<[u8; 32]>,
    /// The kernel's command line.
    pub options: String,
    /// How the loader orders it.
    pub order: Order,
}

/// By what systemd-boot orders its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// `sort-key`.
    pub sort_key: Option<String>,
    /// `machine-id`: which installation it belongs to.
    pub machine_id: Option<String>,
    /// `version`.
    pub version: String,
    /// How many more times it is tried before it counts as bad, if boots are counted.
    pub tries_left: Option<u32>,
}

/// The id of an entry and the tries that are left, by the name of its file: `arch+2-1.conf` is `arch.conf` with two
/// tries left, after one that failed.
#[cfg(feature = "status")]
fn counted(name: &str, suffix: &str) -> (String, Option<u32>) {
    let counted = || {
        let (stem, count) = name.strip_suffix(suffix)?.rsplit_once('+')?;
        let (left, done) = count.split_once('-').unwrap_or((count, "0"));
        done.parse::<u32>().ok()?;
        Some((format!("{stem}{suffix}"), Some(left.parse().ok()?)))
    };
    counted().unwrap_or_else(|| (name.to_owned(), None))
}

impl Entry {
    /// The program that stage 2 begins with: `init=` of the command line. On NixOS this names the system.
    #[must_use]
    pub fn init(&self) -> Option<&str> {
        self.options.split_whitespace().rev().find_map(|word| word.strip_prefix("init="))
    }
}

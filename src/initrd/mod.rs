//! Lands a file tree in an initrd, as a segment: an uncompressed cpio archive behind what is there.
//!
//! A segment is a pure function of manifest and plaintexts. It is found again, checked, replaced, listed and
//! removed; bytes of others stay as they are, and at every moment the file boots with the old secrets, the new
//! ones, or none.

pub mod declared; // what a manifest wants in an initrd, and how a file stands against it
pub mod append; // gives a file its segment, replaces and removes it
mod target; // the file that is written to
mod fat; // what a file on FAT needs
mod cutting; // what of a file goes and what stays
pub mod find; // which segments a file holds
pub mod segment; // builds a segment
pub mod examine; // whether a segment in a file is whole
pub mod layout; // the entries of a segment, and how it begins and ends
pub mod others; // how far a file needs no search
pub mod magic; // what the kernel takes bytes for
pub mod index; // segment.json: what a segment holds
pub mod cpio; // the archive format, as the kernel reads it

/// Directory of everything that is ours.
pub const HOME: &str = "/.forestage";
/// Below it lie files for /run, at their final paths.
pub const STAGED: &str = "/.forestage/files";
/// Below it lie plain `source` files, as stock NixOS has them.
pub const SOURCES: &str = "/.initrd-secrets";

//! What a machine can boot, as far as files tell: the generations of NixOS profiles, and the entries of boot loaders.
//!
//! Parsers take text and know no files; `profiles` and `entries` read. Everything here reads only.

pub mod profiles; // the generations of the system profiles
pub mod bootspec; // what a boot.json says

//! forestage stages sops secrets in every boot phase.
//!
//! A secret is opened once and becomes a file in a file tree in memory; the tree lands as a generation on a
//! RAM file system or as a segment of an initrd. The modules below are in the order of that flow, and each
//! imports only from modules that stand below it.

pub mod cli; // the command line
pub mod commands; // one file a command
pub mod stage1; // brings the secrets of an initrd to their places
pub mod generation; // lands a tree on a RAM file system
pub mod initrd; // lands a tree in an initrd
pub mod boot; // what the machine can boot
pub mod open; // manifest + keyring -> plaintexts
pub mod template; // placeholders, one pass
pub mod keys; // identities and how each opens a data key
pub mod manifest; // what the module hands over
pub mod sops; // the file format, bytes in and out
pub mod tree; // the file tree
pub mod units; // restart and reload requests
pub mod owners; // user and group names -> ids
pub mod confine; // what the process gives up
pub mod json; // JSON as Go's encoding/json reads and writes it
pub mod program; // running another program for a limited time
pub mod input; // reading what comes from outside
pub mod flock; // one process at a time
pub mod root; // the directory that stands for /
pub mod stack; // room for recursion
pub mod listing; // what is in a directory
pub mod room; // how much memory a file may take
pub mod plaintext; // bytes that are wiped
pub mod failure; // what went wrong, with facts and the next step

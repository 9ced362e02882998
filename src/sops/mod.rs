//! The sops file format, bytes in and out, without I/O.
//!
//! `parse` reads an encrypted file of any of the five formats, `SopsFile::decrypt` opens it with its data key and
//! checks its MAC, `Document::emit` writes the plaintext as sops 3.12.2 would. What each step has to do was
//! observed with the real sops.

pub mod formats;
pub mod number;
#[cfg(test)]
pub(crate) mod observed;
pub mod time;
pub mod value;

//! The sops file format, bytes in and out, without I/O.
//!
//! The formats read an encrypted file, [`SopsFile::new`] takes in what it says about itself, [`SopsFile::decrypt`]
//! opens it with its data key and checks its MAC, and the formats write the plaintext as sops 3.12.2 would. What each
//! step has to do was observed with the real sops.

pub mod cipher;
pub mod decrypt;
pub mod extract;
pub mod formats;
pub mod go_regex;
pub mod mac;
pub mod metadata;
pub mod rules;
pub mod scalar;
pub mod shamir;
pub mod time;
pub mod value;

use zeroize::Zeroizing;

use crate::failure::{Failure, Result};

use self::{
    cipher::Cipher,
    formats::Format,
    metadata::{Metadata, Node},
    value::Branch,
};

/// How deep documents may be nested.
pub const MAX_DEPTH: usize = 1000;

/// An encrypted file.
pub struct SopsFile {
    /// How it is written.
    pub format: Format,
    /// Its documents, without the metadata. Only YAML has more than one.
    pub documents: Vec<Branch>,
    /// What it says about itself.
    pub metadata: Metadata,
}

/// A decrypted file whose MAC was right.
#[derive(Debug)]
pub struct Document {
    /// How it was written.
    pub format: Format,
    /// Its documents in the clear.
    pub branches: Vec<Branch>,
    /// How many comments stood in the clear where an encrypted one belongs. Worth a warning.
    pub plain_comments: usize,
}

/// The symmetric key of a file, of 16, 24 or 32 bytes. Wiped when dropped.
pub struct DataKey(Zeroizing<Vec<u8>>);

impl DataKey {
    /// Takes what a key entry held.
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl SopsFile {
    /// An encrypted file as its format hands it over: the documents, and what stood below `sops`.
    pub fn new(format: Format, documents: Vec<Branch>, metadata: &Node) -> Result<Self> {
        Ok(Self { format, documents, metadata: Metadata::new(metadata)? })
    }

    /// Decrypts the values and checks the MAC.
    pub fn decrypt(self, key: &DataKey) -> Result<Document> {
        self.decrypt_or(key, || None)
    }

    /// As [`decrypt`](Self::decrypt); when the MAC does not match, `reading` may give another reading of the same
    /// documents to try. Versions of sops differ in the types that they give to plain numbers, which are part of the
    /// MAC. If that does not match either, the failure is that of the first reading.
    pub fn decrypt_or(
        mut self,
        key: &DataKey,
        reading: impl FnOnce() -> Option<Vec<Branch>>,
    ) -> Result<Document> {
        let cipher =
            Cipher::new(key.bytes()).map_err(|fault| Failure::new(format!("cannot decrypt: {fault}")))?;
        let (mac, mut plain_comments) = decrypt::decrypt(&mut self.documents, &self.metadata, &cipher)?;
        if let Err(failure) = mac.verify(&cipher, &self.metadata) {
            let mut documents = reading().ok_or_else(|| failure.clone())?;
            let (mac, plain) = decrypt::decrypt(&mut documents, &self.metadata, &cipher)?;
            mac.verify(&cipher, &self.metadata).map_err(|_| failure)?;
            (self.documents, plain_comments) = (documents, plain);
        }
        Ok(Document { format: self.format, branches: self.documents, plain_comments })
    }
}

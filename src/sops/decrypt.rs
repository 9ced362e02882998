//! The walk over an encrypted document: which leaves are encrypted, their plaintext, and the MAC, in one pass.
//!
//! Facts: sops-format.md 1.3, 2 and 3.

use std::mem;

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
};

use super::{
    MAX_DEPTH,
    cipher::{Cipher, Fault, Path, is_encrypted_comment},
    mac::Mac,
    metadata::Metadata,
    rules::{Scope, Selector},
    scalar,
    value::{Branch, Entry, Value},
};

/// Decrypts the documents in place. The MAC is not compared yet, so they must not be used before
/// [`Mac::verify`] has passed. Also gives how many comments stand in the clear where an encrypted one belongs:
/// sops takes them for plain ones, and warns.
pub fn decrypt(documents: &mut [Branch], metadata: &Metadata, cipher: &Cipher) -> Result<(Mac, usize)> {
    let mut walk = Walk {
        cipher,
        selector: &metadata.selector,
        mac: Mac::new(metadata.mac_only_encrypted),
        path: Path::new(cipher),
        plain_comments: 0,
    };
    for document in documents {
        walk.branch(document, Scope::default(), 0)?;
    }
    Ok((walk.mac, walk.plain_comments))
}

struct Walk<'a> {
    cipher: &'a Cipher,
    selector: &'a Selector,
    mac: Mac,
    path: Path<'a>,
    plain_comments: usize,
}

impl Walk<'_> {
    fn branch(&mut self, branch: &mut Branch, mut scope: Scope, depth: usize) -> Result<()> {
        for entry in branch {
            match entry {
                Entry::Comment(text) => {
                    let encrypted = self.selector.comment(&mut scope, text);
                    match self.comment(mem::take(text), encrypted) {
                        Value::Comment(plain) | Value::Str(plain) => *text = plain,
                        _ => return Err(self.failure("a comment", "it decrypts to something else")),
                    }
                }
                Entry::Pair(key, value) => {
                    self.path.enter(key);
                    self.value(value, self.selector.at_key(scope, key), depth)?;
                    self.path.leave();
                    self.selector.entry(&mut scope);
                }
            }
        }
        Ok(())
    }

    fn list(&mut self, items: &mut [Value], mut scope: Scope, depth: usize) -> Result<()> {
        for item in items {
            if let Value::Comment(text) = item {
                let encrypted = self.selector.comment(&mut scope, text);
                *item = self.comment(mem::take(text), encrypted);
                continue;
            }
            // sops writes an encrypted comment of a list as an ordinary element and then takes it for one, so that
            // the comments before it lose their effect; here they keep it, and such files open.
            let comment = self.selector.reads_comments()
                && self.selector.encrypts(scope)
                && matches!(item, Value::Str(text) if is_encrypted_comment(text));
            self.value(item, scope, depth)?;
            if !comment {
                self.selector.entry(&mut scope);
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &mut Value, scope: Scope, depth: usize) -> Result<()> {
        let inner = depth.saturating_add(1);
        if inner > MAX_DEPTH && matches!(value, Value::Map(_) | Value::List(_)) {
            return Err(Failure::new(format!("the document is nested deeper than {MAX_DEPTH} levels")));
        }
        let encrypted = self.selector.encrypts(scope);
        match value {
            Value::Null => return Ok(()),
            Value::Map(branch) => return self.branch(branch, self.selector.inside(scope), inner),
            Value::List(items) => return self.list(items, self.selector.inside(scope), inner),
            _ if !encrypted => {}
            // Nothing encrypts to nothing.
            Value::Str(text) if text.is_empty() => {}
            Value::Str(text) => {
                let text = mem::take(text);
                *value = self.open(text).map_err(|fault| self.failure("the value", fault))?;
            }
            Value::Comment(text) => *value = self.comment(mem::take(text), true),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => {
                return Err(self.failure("the value", Fault::NotText));
            }
        }
        self.mac.add(value, encrypted);
        Ok(())
    }

    fn open(&self, text: Plaintext) -> std::result::Result<Value, Fault> {
        let (kind, bytes) = self.cipher.open_at(text, &self.path)?;
        scalar::from_bytes(kind, bytes).ok_or(Fault::Conversion(kind))
    }

    /// A comment in the clear. One that does not decrypt was plain before, and stays.
    fn comment(&mut self, text: Plaintext, encrypted: bool) -> Value {
        if !encrypted {
            return Value::Comment(text);
        }
        if text.is_empty() {
            return Value::Str(text);
        }
        let Ok(value) = self.open(text.clone()) else {
            self.plain_comments = self.plain_comments.saturating_add(1);
            return Value::Comment(text);
        };
        // Only what says that it is a comment is left out of the MAC.
        self.mac.add(&value, true);
        value
    }

    fn failure(&self, what: &str, reason: impl std::fmt::Display) -> Failure {
        let at = match self.path.to_string().as_str() {
            "" => "the top of the document".to_owned(),
            path => path.to_owned(),
        };
        Failure::new(format!("{what} at {at} cannot be decrypted")).fact("reason", reason)
    }
}

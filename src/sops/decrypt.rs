//! The walk over an encrypted document: which leaves are encrypted, their plaintext, and the MAC, in one pass.
//!
//! Facts: sops-format.md 1.3, 2 and 3.

use std::mem;

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
    stack::{self, max_depth},
};

use super::{
    cipher::{Cipher, Fault, Path, is_encrypted_comment},
    mac::Mac,
    metadata::Metadata,
    rules::{Scope, Selector},
    scalar,
    value::{Branch, Entry, Value},
};

/// Decrypts the documents in place. The MAC is not compared yet, so they must not be used before
/// [`Mac::verify`] has passed.
pub fn decrypt(documents: &mut [Branch], metadata: &Metadata, cipher: &Cipher) -> Result<Mac> {
    let mut walk = Walk {
        cipher,
        selector: &metadata.selector,
        mac: Mac::new(metadata.mac_only_encrypted),
        path: Path::new(cipher),
    };
    for document in documents {
        walk.branch(document, Scope::default(), 0)?;
    }
    if metadata.selector.is_exhausted() {
        return Err(Failure::new("the regex that selects what is encrypted takes too long").fix(
            "write a simpler encrypted_regex or unencrypted_regex in .sops.yaml and encrypt the file again",
        ));
    }
    Ok(walk.mac)
}

/// Levels of a document that use no more of the stack than its keys do.
const SHALLOW: usize = 16;

struct Walk<'a> {
    cipher: &'a Cipher,
    selector: &'a Selector,
    mac: Mac,
    path: Path<'a>,
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
        if inner > SHALLOW {
            stack::goes_deep();
        }
        if inner > max_depth() && matches!(value, Value::Map(_) | Value::List(_)) {
            return Err(Failure::new("the document is nested too deep"));
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
                let long = self.cipher.open_long(text, &self.path, self.mac.hash_mut());
                if long.map_err(|fault| self.failure("the value", fault))? {
                    return Ok(());
                }
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
        let Ok(value) = self.open(text.clone()) else { return Value::Comment(text) };
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

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha512};

    use super::*;
    use crate::sops::{go_regex::Regex, time::Time};

    const KEY: [u8; 32] = [
        0xc1, 0x8d, 0xa3, 0x29, 0x5a, 0xa0, 0xf6, 0xe4, 0x5d, 0xdb, 0x14, 0x05, 0x78, 0x13, 0x94, 0xfe, 0x0b,
        0xef, 0x01, 0x12, 0x30, 0x18, 0x6d, 0x7f, 0x0d, 0xea, 0xfd, 0xa0, 0x6f, 0x0b, 0xfb, 0x99,
    ];
    const TIME: &str = "2026-11-22T07:04:30Z";

    fn pair(key: &str, value: Value) -> Entry {
        Entry::Pair(key.into(), value)
    }

    fn enc(text: &str) -> Value {
        Value::Str(text.into())
    }

    fn metadata(selector: Selector, mac: &str) -> Metadata {
        Metadata {
            groups: Vec::new(),
            shamir_threshold: 0,
            last_modified: TIME.to_owned(),
            mac: mac.into(),
            mac_only_encrypted: false,
            selector,
            version: "3.12.2".to_owned(),
        }
    }

    fn cipher() -> Cipher {
        Cipher::new(&KEY).unwrap()
    }

    fn seal(kind: &str, plain: &str, path: &str) -> Value {
        enc(&cipher().seal(kind, plain.as_bytes(), &[7; 32], path.as_bytes()))
    }

    /// The MAC over these bytes, as a file holds it.
    fn mac_of(hashed: &str) -> String {
        cipher().seal("str", format!("{:X}", Sha512::digest(hashed)).as_bytes(), &[8; 32], TIME.as_bytes())
    }

    fn open(mut branch: Branch, metadata: &Metadata) -> Result<Branch> {
        let mac = decrypt(std::slice::from_mut(&mut branch), metadata, &cipher())?;
        mac.verify(&cipher(), metadata).map(|()| branch)
    }

    /// Written by sops 3.12.2: comments at the top, in a mapping and in a list, every type, null and empty.
    fn by_sops() -> (Branch, Metadata) {
        let list = vec![
            enc(
                "ENC[AES256_GCM,data:9RDRmDJT,iv:XLhbe0L2TrEzcSopbAtChHk+Ga9m6ujBX8Ufz9AlGhI=,tag:tGIvz607eDc+NoGCTb/FUw==,type:comment]",
            ),
            enc(
                "ENC[AES256_GCM,data:iK+L,iv:KhILtwXypfXjOVWJbwjkEFG1msHHKKRmm+2dRCPFRP0=,tag:u3AKPlAF7bbZlUOWpkv2GQ==,type:str]",
            ),
            enc(
                "ENC[AES256_GCM,data:bg==,iv:F3JOFfzm/STR6dSc2ug27ZwE41vkB+QeBKMh6GZO7to=,tag:Tj4AyPGv/qrsLAcaguBarg==,type:int]",
            ),
            enc(
                "ENC[AES256_GCM,data:mVP5Nyhjtw==,iv:Rm9yPXVH9ScJIliTcPAMw57iali7CvLTmQ6bzl6Z/f0=,tag:tYH3qNNJghznq8s7sNpnfw==,type:comment]",
            ),
            Value::Map(vec![pair(
                "three",
                enc(
                    "ENC[AES256_GCM,data:Wg==,iv:HLWbWE62PmeQh5jfhAnhIly8FepB/ih9qXwrkP6QLBo=,tag:pMMWXMT74aW/TRNPm5FcHg==,type:str]",
                ),
            )]),
        ];
        let inner = vec![
            Entry::Comment("ENC[AES256_GCM,data:nHGHABWF,iv:25TAmDZS77WOkmmSBMG3HjEgJNKZjIFq3aLGHEtANGo=,tag:RwGPlJdNWYG0L4pfW25DgQ==,type:comment]".into()),
            pair("c", enc("ENC[AES256_GCM,data:3kG0EbBd,iv:z4DBzda574aoHBlTIBdVt+t8eCsL6DJ6jzIbCEUXey8=,tag:Z5HUmWs8EGij99ksG4D5Ng==,type:str]")),
            pair("n_unencrypted", Value::Float(1.5)),
            pair("num", enc("ENC[AES256_GCM,data:pDA=,iv:lch1YoK8HV4LCnW9Kxob65uhoUFNnjWO5FQUsMRsJbw=,tag:HAwLJ16Su1ZU+dR8HU3i4A==,type:int]")),
            pair("f", enc("ENC[AES256_GCM,data:l2VpCn+nmQOX,iv:1J5hl+obHPKaYzi6bjUnut1tyPYFa6lMPZGkK/F9xsw=,tag:Lb25z3/f0AxgF97klAomBQ==,type:float]")),
            pair("t", enc("ENC[AES256_GCM,data:kc2m4Q==,iv:MEpKkdxQL1XNNgYLjf2oIXYkO9aGFFLJeDEbJP5EEeo=,tag:1I9GSyBGYUdGpqwd08CE4A==,type:bool]")),
            pair("x", Value::Null),
            pair("e", enc("")),
            pair("d", enc("ENC[AES256_GCM,data:ul761lx9B7nTVD/Kp7QxYpSQhvWFZTttqAqqibs=,iv:3I0tzEGDtabAZ4jGmmoGfUPSSmZDBc/RNPlEKz51c/I=,tag:rTgascSR9PV7+j/cc1euMA==,type:time]")),
            pair("l", Value::List(list)),
        ];
        let branch = vec![
            Entry::Comment("ENC[AES256_GCM,data:c2KeECC9c5c3Til1,iv:KhxPd3IihzgMnLNNLZxxDzE80B1+wOyiHN3WoLZucPY=,tag:HTpidTlXm7/wwhyvRYX1uQ==,type:comment]".into()),
            pair("a", enc("ENC[AES256_GCM,data:EAY1sT4=,iv:4amYFHl+HiLAVhv/dvmrvHdSqyC5ujgTA7rGkVeOxRE=,tag:xOPakaREHg87SGKWIGl7MQ==,type:str]")),
            pair("b", Value::Map(inner)),
        ];
        let mac = "ENC[AES256_GCM,data:TsEqARQ4AhESorZDjdd3a4bL7XVEXiEMb8K6HiUmVW5ypWmHUP5+aZFQOOsh5KfTqNRVQdB8WOfKKcV8XcGHNzTBxwGlXJXGC5+VmnKJWV9duQ6slcIz022+eP4lmFiMigTdXIfF8FGlcbsBQgmVMLXEH9Xx3GcJZZ89Qpio0Q4=,iv:Ni9oeKZ6cUevSKJ0RnQ2ll9Z7Ui8tgrg/IyS+/453Xc=,tag:HYOrwv3XELfKhbyBOoY70Q==,type:str]";
        (branch, metadata(Selector::default(), mac))
    }

    #[test]
    fn a_file_of_sops() {
        let (branch, metadata) = by_sops();
        let branch = open(branch, &metadata).unwrap();
        let time = Time {
            year: 2024,
            month: 1,
            day: 2,
            hour: 3,
            minute: 4,
            second: 5,
            nanosecond: 678_000_000,
            offset: Some(7200),
        };
        let list = vec![
            Value::Comment(" first".into()),
            enc("one"),
            Value::Int(2),
            Value::Comment(" second".into()),
            Value::Map(vec![pair("three", enc("3"))]),
        ];
        let inner = vec![
            Entry::Comment(" inner".into()),
            pair("c", enc("wörld")),
            pair("n_unencrypted", Value::Float(1.5)),
            pair("num", Value::Int(42)),
            pair("f", Value::Float(1234.5678)),
            pair("t", Value::Bool(true)),
            pair("x", Value::Null),
            pair("e", enc("")),
            pair("d", Value::Time(time)),
            pair("l", Value::List(list)),
        ];
        let all = vec![
            Entry::Comment(" top comment".into()),
            pair("a", enc("hello")),
            pair("b", Value::Map(inner)),
        ];
        assert_eq!(branch, all);
    }

    #[test]
    fn the_mac_notices_what_changed() {
        type Change<'c> = &'c dyn Fn(&mut Branch, &mut Metadata);
        let headline = |change: Change<'_>| {
            let (mut branch, mut metadata) = by_sops();
            change(&mut branch, &mut metadata);
            open(branch, &metadata).err().map(|failure| failure.headline)
        };
        let mismatch =
            "MAC mismatch: values were changed, added, removed or reordered since sops wrote the file";
        let undecryptable = "the MAC of the file cannot be decrypted";
        assert_eq!(headline(&|_, _| {}), None);
        // Keys, nulls and empty values are not part of it.
        assert_eq!(headline(&|branch, _| branch.push(pair("new", Value::Null))), None);
        assert_eq!(headline(&|branch, _| branch.insert(0, pair("new", enc("")))), None);
        for (change, expected) in [
            (&(|branch: &mut Branch, _: &mut Metadata| drop(branch.remove(1))) as Change, mismatch),
            (&|branch, _| branch.swap(1, 2), mismatch),
            (&|branch, _| branch.push(pair("x_unencrypted", Value::Int(0))), mismatch),
            (&|_, metadata| metadata.mac_only_encrypted = true, mismatch),
            (&|_, metadata| metadata.last_modified = "2026-11-22T07:04:31Z".into(), undecryptable),
            (&|_, metadata| metadata.mac = b"ENC[]".to_vec(), undecryptable),
            (&|_, metadata| metadata.mac.clear(), "the file has no MAC: its values may have been changed"),
            (&|branch, _| branch.push(pair("x", Value::Int(0))), "the value at x cannot be decrypted"),
            (&|branch, _| branch.push(pair("x", enc("plain"))), "the value at x cannot be decrypted"),
        ] {
            assert_eq!(headline(change).as_deref(), Some(expected));
        }
        // Lower-case digits are not taken.
        let lower =
            cipher().seal("str", format!("{:x}", Sha512::digest("v")).as_bytes(), &[8; 32], TIME.as_bytes());
        let branch = || vec![pair("k", seal("str", "v", "k:"))];
        assert!(open(branch(), &metadata(Selector::default(), &mac_of("v"))).is_ok());
        assert!(open(branch(), &metadata(Selector::default(), &lower)).is_err());
    }

    #[test]
    fn a_moved_value_names_its_place_and_not_its_text() {
        let branch = vec![pair("a", Value::Map(vec![pair("b", seal("str", "secret", "a:c:"))]))];
        let failure = open(branch, &metadata(Selector::default(), "")).unwrap_err().to_string();
        assert!(failure.starts_with("the value at a:b cannot be decrypted\n  reason: authentication failed"));
        let branch = vec![pair("a", enc("not-encrypted-secret"))];
        let failure = open(branch, &metadata(Selector::default(), "")).unwrap_err().to_string();
        assert!(!failure.contains("not-encrypted-secret"), "{failure}");
    }

    #[test]
    fn comments() {
        // Plain where encrypted ones belong, by an older sops; typed as text, and then part of the MAC; empty.
        let branch = vec![
            Entry::Comment(" plain".into()),
            Entry::Comment(Plaintext::from(&*text_of(seal("str", "typed", ":")))),
            Entry::Comment(Plaintext::default()),
            pair("l", Value::List(vec![Value::Comment(Plaintext::default()), seal("comment", "c", "l:")])),
        ];
        let branch = open(branch, &metadata(Selector::default(), &mac_of("typed"))).unwrap();
        let list = Value::List(vec![enc(""), Value::Comment("c".into())]);
        let all = vec![
            Entry::Comment(" plain".into()),
            Entry::Comment("typed".into()),
            Entry::Comment("".into()),
            pair("l", list),
        ];
        assert_eq!(branch, all);
        let branch = vec![Entry::Comment(Plaintext::from(&*text_of(seal("int", "1", ":"))))];
        assert!(open(branch, &metadata(Selector::default(), &mac_of("1"))).is_err());
    }

    fn text_of(value: Value) -> Plaintext {
        match value {
            Value::Str(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_encrypted_comment_in_a_list_does_not_end_the_marker_before_it() {
        let selector = || Selector::EncryptedCommentRegex(Regex::new("enc"));
        let list = vec![
            Value::Comment(" enc".into()),
            seal("comment", " second", "l:"),
            seal("str", "value", "l:"),
            enc("plain"),
        ];
        let branch = vec![pair("l", Value::List(list))];
        let branch = open(branch, &metadata(selector(), &mac_of("valueplain"))).unwrap();
        let list =
            vec![Value::Comment(" enc".into()), Value::Comment(" second".into()), enc("value"), enc("plain")];
        assert_eq!(branch, [pair("l", Value::List(list))]);
    }

    #[test]
    fn depth_is_limited() {
        let nested = |levels| (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
        let open =
            |levels| open(vec![pair("k", nested(levels))], &metadata(Selector::default(), &mac_of("")));
        assert!(open(max_depth()).is_ok());
        assert!(open(max_depth() + 1).is_err());
    }
}

//! Room for recursion: values are read, decrypted, written and dropped level by level. And what is left there: hashes and
//! curves move their state about.
//!
//! A thread says how deep it can go. The main thread has what `ulimit -s` gave it; where that is too little the program
//! runs on a thread of its own, and a document that is nested deep is opened on one that is large enough.

use std::{
    cell::Cell,
    hint::black_box,
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nix::sys::resource::{Resource, getrlimit};

use crate::{
    failure::{Failure, Result},
    plaintext::Plaintext,
};

/// What everything but deep documents needs, and what Linux gives a process.
pub const ORDINARY: usize = 8 << 20;

/// How deep documents may be nested on an ordinary stack.
pub const ORDINARY_DEPTH: usize = 1000;

/// How deep sops reads them.
const MAX_DEPTH: usize = 10_000;

/// What a level takes at most, where it takes most. Pages are touched on demand.
const LEVEL: usize = if cfg!(debug_assertions) { 16 << 10 } else { 4 << 10 };

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(ORDINARY_DEPTH) };
}

/// How deep documents may be nested on this thread.
#[must_use]
pub fn max_depth() -> usize {
    DEPTH.get()
}

/// Does the `work` of the whole program, on another stack if this one is too small.
pub fn ordinary<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    match getrlimit(Resource::RLIMIT_STACK) {
        Ok((soft, _)) if soft < ORDINARY as u64 => on(ORDINARY, work),
        _ => Ok(work()),
    }
}

/// Does `work` that goes through a document with this text, on a large stack if the document may be nested deep.
pub fn for_document<T: Send>(text: Plaintext, work: impl FnOnce(Plaintext) -> Result<T> + Send) -> Result<T> {
    if deepest(&text) <= ORDINARY_DEPTH {
        return work(text);
    }
    on(MAX_DEPTH * LEVEL, || {
        DEPTH.set(MAX_DEPTH);
        work(text)
    })?
}

fn on<T: Send>(size: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
    let cannot =
        |error: io::Error| Failure::new(format!("cannot get a stack of {} MiB: {error}", size >> 20));
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(size).spawn_scoped(scope, work).map_err(cannot)?;
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whether [`goes_deep`].
static DEEP: AtomicBool = AtomicBool::new(false);

/// What follows leaves secrets deeper on the stack than files, age keys and ssh-ed25519 keys do.
pub fn goes_deep() {
    DEEP.store(true, Ordering::Relaxed);
}

/// Wipes what functions that have returned left on the stack. Threads need it not: their stacks go with them.
pub fn wipe() {
    // A page that nobody has touched costs two microseconds: less is wiped where that is surely enough.
    if DEEP.load(Ordering::Relaxed) || cfg!(debug_assertions) {
        wipe_bytes::<{ 64 << 10 }>();
    } else {
        wipe_bytes::<{ 24 << 10 }>();
    }
}

/// Not by `zeroize`, which writes byte by byte.
#[inline(never)]
fn wipe_bytes<const LENGTH: usize>() {
    let mut left = [0_u8; LENGTH];
    black_box(&mut left);
}

/// A number of levels that the text hardly exceeds: twice the brackets that are open at once (a pair in brackets is a
/// level too), and twice the columns before a line's first word (a list may stand in a mapping at the same column). If a
/// document is deeper after all, it is refused. In chunks, without a branch for each byte: all files pass through here.
#[expect(clippy::needless_bitwise_bool, reason = "no branches")]
fn deepest(text: &[u8]) -> usize {
    const CHUNK: usize = 64;
    let (mut open, mut brackets, mut run, mut columns) = (0_usize, 0, 0, 0);
    for chunk in text.chunks(CHUNK) {
        let count = |wanted: fn(u8) -> bool| {
            usize::from(chunk.iter().map(|byte| u8::from(wanted(*byte))).sum::<u8>())
        };
        open += count(|byte| (byte == b'[') | (byte == b'{'));
        brackets = open.max(brackets);
        open = open.saturating_sub(count(|byte| (byte == b']') | (byte == b'}')));
        let marks = count(|byte| (byte <= b' ') | (byte == b'-') | (byte == b'?') | (byte == b':'));
        run = if marks == chunk.len() { run + CHUNK } else { 0 };
        columns = run.max(columns);
    }
    // A run may reach into the chunks around it.
    2 * (brackets + columns + 2 * CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deep_documents_look_deep() {
        let deep = |text: &str| deepest(text.as_bytes()) > ORDINARY_DEPTH;
        for text in [
            "",
            &"a: [x, y]\n".repeat(1000),
            &"a: ENC[x]\n".repeat(1000),
            &" - ? : ".repeat(20),
            &"# ------------ - - - -\n".repeat(1000),
            &"[".repeat(50),
        ] {
            assert!(!deep(text), "{text}");
        }
        let steps = (0..1000).map(|level| " ".repeat(level)).collect::<Vec<_>>().join("a:\n");
        for text in [
            &"[".repeat(1000),
            &r#"{"a":"#.repeat(1000),
            &"- ".repeat(1000),
            &"? ".repeat(1000),
            &steps,
            &format!("{}{}", "x".repeat(12_345), "- ".repeat(1000)),
        ] {
            assert!(deep(text), "{text}");
        }
    }

    #[test]
    fn deep_documents_get_a_deep_stack() {
        assert_eq!(max_depth(), ORDINARY_DEPTH);
        let depth = |text: &[u8]| for_document(text.into(), |_| Ok(max_depth())).unwrap();
        assert_eq!(depth(b"a: b"), ORDINARY_DEPTH);
        assert_eq!(depth(&[b'['; 2000]), MAX_DEPTH);
    }
}

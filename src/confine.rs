//! What the process gives up before it holds a secret.
//!
//! No core dump and no tracing by other processes of the same user: two system calls. Capabilities stay: those
//! that landing needs (mounting, giving files away, reading any file) are as good as all, so that dropping the
//! others would cost calls and protect nothing.

use nix::sys::{
    prctl::set_dumpable,
    resource::{Resource, setrlimit},
};

/// Forbids core dumps of this process, and, where the kernel writes them to files, of the programs that it starts.
///
/// Never fails: a kernel that refuses leaves things as they were, and the secrets still have to land.
pub fn core_dumps_off() {
    let _ = set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

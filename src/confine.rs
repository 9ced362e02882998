//! What the process gives up before it holds a secret.
//!
//! No core dump and no tracing by other processes of the same user: two system calls. Capabilities stay: of
//! those that root has, landing needs sys_admin (mount), chown, dac_override, fowner and dac_read_search, with
//! which the others can be had back, so that dropping those would cost calls and protect nothing.

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

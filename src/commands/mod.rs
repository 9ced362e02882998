//! One file a command. Each reads what it needs, has the rooms below do the work, and tells the outcome.

pub mod check;
pub mod console;
pub mod decrypt;
pub mod initrd;
pub mod install;
pub mod keys;
mod recipients;
pub mod report;
pub mod stage1;
#[cfg(feature = "status")]
pub mod status;

use std::process::ExitCode;

use crate::failure::Kind;

/// How a run ended, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Everything was done.
    Done = 0,
    /// Nothing landed, or not all that follows a landing was done.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Some secrets failed, the others landed.
    Partial = 3,
    /// Every failure is "no identity".
    NoIdentity = 4,
    /// An initrd is older than its manifest.
    Stale = 5,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

impl From<Kind> for Status {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Usage => Self::Usage,
            Kind::NoIdentity => Self::NoIdentity,
            Kind::Stale => Self::Stale,
            Kind::Other => Self::Failed,
        }
    }
}

//! One file a command. Each reads what it needs, has the rooms below do the work, and tells the outcome.

pub mod check;
pub mod console;
pub mod decrypt;
pub mod initrd;
pub mod install;
pub mod keys;
pub mod report;

use std::{ffi::OsString, path::Path, process::ExitCode};

use console::Console;

use crate::{
    cli::{self, Invocation, sops_install_secrets},
    confine,
    failure::{Failure, Kind, Result},
};

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

/// Runs what the program's name and arguments ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Status {
    confine::core_dumps_off();
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_default();
    if Path::new(&program).file_name().is_some_and(|name| name == "sops-install-secrets") {
        return run_as_sops_install_secrets(&program.to_string_lossy(), arguments);
    }
    let console = Console::from_environment("error: ");
    let outcome = cli::parse(arguments).and_then(|invocation| execute(invocation, &console));
    outcome.unwrap_or_else(|failure| {
        console.error(&failure);
        failure.kind.into()
    })
}

/// Only the exit statuses 0 and 1, and the messages that begin with the program's name.
fn run_as_sops_install_secrets(program: &str, arguments: impl Iterator<Item = OsString>) -> Status {
    let console = Console::from_environment(&format!("{program}: "));
    let outcome = match sops_install_secrets::parse(arguments) {
        Ok(invocation) => execute(invocation, &console),
        Err(sops_install_secrets::Refusal::Help) => {
            console.note(&sops_install_secrets::usage(program));
            return Status::Done;
        }
        Err(sops_install_secrets::Refusal::Usage(message)) => {
            console.note(&message);
            console.note(&sops_install_secrets::usage(program));
            Err(Failure::new(message))
        }
        Err(sops_install_secrets::Refusal::Message(message)) => Err(Failure::new(message)),
    };
    match outcome {
        Ok(Status::Done) => Status::Done,
        Ok(_) => Status::Failed,
        Err(failure) => {
            console.error(&failure);
            Status::Failed
        }
    }
}

fn execute(invocation: Invocation, console: &Console) -> Result<Status> {
    match invocation {
        Invocation::Print(text) => console.print(text.as_bytes()).map(|()| Status::Done),
        Invocation::Install(options) => install::run(&options, console),
        Invocation::Check(options) => check::run(&options, console),
        Invocation::Decrypt(options) => decrypt::run(&options, console),
        Invocation::Initrd(action) => initrd::run(&action, console),
        Invocation::Keys(options) => keys::run(&options, console),
    }
}

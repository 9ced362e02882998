//! Name or subcommand -> command -> exit status.

use std::{env, ffi::OsString, path::Path, process::ExitCode};

use dlmalloc::GlobalDlmalloc;
#[cfg(feature = "key-tools")]
use forestage::cli::key_programs::Program;
use forestage::{
    cli::{self, Invocation, sops_install_secrets},
    commands::{Status, check, console::Console, decrypt, initrd, install, keys, stage1},
    confine,
    failure::{Failure, Result},
    stack,
};
use zeroizing_alloc::ZeroAlloc;

fn main() -> ExitCode {
    confine::core_dumps_off();
    let work = || {
        let status = run();
        stack::wipe();
        status
    };
    stack::ordinary(work).unwrap_or_else(|failure| {
        Console::from_environment("error: ").error(&failure);
        ExitCode::FAILURE
    })
}

#[inline(never)]
fn run() -> ExitCode {
    let mut arguments = env::args_os();
    let program = arguments.next().unwrap_or_default();
    if Path::new(&program).file_name().is_some_and(|name| name == "sops-install-secrets") {
        return run_as_sops_install_secrets(&program.to_string_lossy(), arguments).into();
    }
    #[cfg(feature = "key-tools")]
    if let Some(known) = Path::new(&program).file_name().and_then(Program::named) {
        return run_as(known, &program.to_string_lossy(), arguments).into();
    }
    let console = Console::from_environment("error: ");
    let outcome = cli::parse(arguments).and_then(|invocation| execute(invocation, &console));
    let status = outcome.unwrap_or_else(|failure| {
        console.error(&failure);
        failure.kind.into()
    });
    status.into()
}

/// A program that converts or makes keys: its messages begin with its name.
#[cfg(feature = "key-tools")]
fn run_as(program: Program, name: &str, arguments: impl Iterator<Item = OsString>) -> Status {
    let console = Console::from_environment(&format!("{name}: "));
    match program.parse(name, arguments) {
        Ok(invocation) => execute(invocation, &console).unwrap_or_else(|failure| {
            console.error(&failure);
            Status::Failed
        }),
        Err(refusal) => {
            if let Some(message) = &refusal.message {
                console.note(message);
            }
            if refusal.with_usage {
                console.note(&program.usage(name));
            }
            refusal.status
        }
    }
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
        Invocation::Stage1(options) => stage1::run(&options, console),
        Invocation::Keys(options) => keys::run(&options, console),
        #[cfg(feature = "status")]
        Invocation::Status(options) => forestage::commands::status::run(&options, console),
    }
}

/// Also where musl is not the libc: one behaviour to measure.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<GlobalDlmalloc> = ZeroAlloc(GlobalDlmalloc);

//! Name or subcommand -> command -> exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    forestage::commands::run(std::env::args_os()).into()
}

/// Also where musl is not the libc: one behaviour to measure.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

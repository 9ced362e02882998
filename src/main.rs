//! Name or subcommand -> command -> exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    forestage::commands::run(std::env::args_os()).into()
}

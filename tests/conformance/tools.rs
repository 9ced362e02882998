//! The programs that the suite compares with, through the scripts in `tests/tools`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The versions that write; the first one also is the reference that reads.
pub const WRITERS: [&str; 3] = ["3.12.2", "3.11.0", "3.9.4"];

/// Runs a script of `tests/tools`, which prints the path of a program. The error is the reason why there is none.
fn locate(script: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(script);
    let output = Command::new(script).args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    }
    let reason =
        String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no reason given").to_owned();
    Err(reason)
}

pub fn sops(version: &str) -> Result<PathBuf, String> {
    locate("sops", &[version])
}

pub fn age_keygen() -> Result<PathBuf, String> {
    locate("go-program", &["filippo.io/age/cmd/age-keygen", "1.3.1"])
}

#[allow(dead_code, reason = "only tests of keys need it")]
pub fn age() -> Result<PathBuf, String> {
    locate("go-program", &["filippo.io/age/cmd/age", "1.3.1"])
}

pub fn ssh_to_age() -> Result<PathBuf, String> {
    let module = "github.com/Mic92/ssh-to-age";
    locate("go-program", &["github.com/Mic92/ssh-to-age/cmd/ssh-to-age", "1.3.0", module])
}

#[allow(dead_code, reason = "only tests of keys need it")]
pub fn ssh_to_pgp() -> Result<PathBuf, String> {
    // 1.1.6, whose tag is none for Go.
    let (package, version) = ("github.com/Mic92/ssh-to-pgp", "0.0.0-20250326091106-317b73bb193c");
    locate("go-program", &[package, version, package])
}

/// Output of a command that has to succeed.
pub fn output(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&stderr).trim_end()))
}

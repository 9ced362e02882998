//! The programs that the suite runs, through the scripts in `tests/tools`. The error is the reason why there is none.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn locate(script: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(script);
    let output = Command::new(script).args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(reason.lines().last().unwrap_or("no reason given").to_owned())
}

pub fn sops(version: &str) -> Result<PathBuf, String> {
    locate("sops", &[version])
}

pub fn gnupg24() -> Result<PathBuf, String> {
    locate("gnupg24", &[])
}

/// It writes keys and messages of go-crypto into a directory.
pub fn go_crypto() -> Result<PathBuf, String> {
    locate("go-source", &[concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openpgp/go-crypto")])
}

/// The one that `SSH_TO_PGP` names, else that of the module proxy, which not every proxy has.
pub fn ssh_to_pgp() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("SSH_TO_PGP").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    // 1.1.6, whose tag is none for Go.
    let (module, version) = ("github.com/Mic92/ssh-to-pgp", "0.0.0-20250326091106-317b73bb193c");
    locate("go-program", &[module, version, module])
}

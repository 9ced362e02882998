//! `forestage keys new --openpgp`, also under the name sops-init-gpg-key: a GnuPG home with a key for a host.
//!
//! gpg makes the key, so that the home is one that gpg knows. It appears complete or not at all, and no agent stays.

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    commands::{Status, console::Console},
    failure::{Failure, Kind, Result},
    keys::openpgp::gpg::Gpg,
};

/// How long gpg may take to make a key, which depends on how much randomness there is.
const LIMIT: Duration = Duration::from_secs(120);
/// How long anything else of it may take.
const SHORT: Duration = Duration::from_secs(10);

/// What to make.
#[derive(Debug)]
pub struct Options {
    /// For whom: the name of the key; none: this host.
    pub hostname: Option<String>,
    /// The directory, which must not be there.
    pub home: PathBuf,
    /// The kind of key.
    pub key: Key,
}

/// Kinds of keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Key {
    /// RSA with 2048 bits.
    #[default]
    Rsa,
    /// Ed25519 with a Curve25519 subkey.
    Curve25519,
}

impl Key {
    /// The kind of that name, as sops-init-gpg-key spells it.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "RSA" => Ok(Self::Rsa),
            "Curve25519" => Ok(Self::Curve25519),
            _ => Err(Failure::new(format!("unknown keytype '{name}'")).fix("use RSA or Curve25519")),
        }
    }

    const fn parameters(self) -> &'static str {
        match self {
            Self::Rsa => "Key-Type: 1\nKey-Length: 2048\n",
            Self::Curve25519 => {
                "Key-Type: eddsa\nKey-Curve: Ed25519\nKey-Usage: sign\n\
                 Subkey-Type: ecdh\nSubkey-Curve: Curve25519\nSubkey-Usage: encrypt\n"
            }
        }
    }
}

/// Makes the home, and tells the public key on standard error.
pub fn run(options: &Options, console: &Console) -> Result<Status> {
    let home = &options.home;
    if fs::symlink_metadata(home).is_ok() {
        return Err(Failure::new(format!("secret path {} already exists", home.display())));
    }
    let hostname = match &options.hostname {
        Some(name) => name.clone(),
        None => this_host()?,
    };
    // It becomes a line of what gpg reads, and of what the user is told to run.
    if hostname.is_empty() || hostname.chars().any(char::is_control) {
        return Err(Failure::new("the host name is empty, or has control characters").kind(Kind::Usage));
    }
    let name = home.file_name().ok_or_else(|| Failure::io("create", home, "it has no name"))?;
    let parent = match home.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| Failure::io("create", parent, error))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    let beside = parent.join(beside);
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&beside)
        .map_err(|error| Failure::io("create", &beside, error))?;
    let made = make(&beside, &hostname, options.key).and_then(|made| {
        // A directory with something in it is not replaced; an empty one that just appeared may be.
        fs::rename(&beside, home).map_err(|error| match error.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                Failure::new(format!("secret path {} already exists", home.display()))
            }
            _ => Failure::io("create", home, error),
        })?;
        Ok(made)
    });
    let made = made.inspect_err(|_| drop(fs::remove_dir_all(&beside)))?;
    console.note("You can use the following command to save it to a file:");
    console.note(&format!("cat > {hostname}.asc <<EOF\n{}EOF", made.public));
    console.note(&format!("fingerprint: {}", made.fingerprints.join("\n")));
    Ok(Status::Done)
}

struct Made {
    /// The public key in armour.
    public: String,
    /// Of the key and its subkeys.
    fingerprints: Vec<String>,
}

fn make(home: &Path, hostname: &str, key: Key) -> Result<Made> {
    let program = env::var_os("SOPS_GPG_EXEC").filter(|program| !program.is_empty());
    let gpg = Gpg::new(program.unwrap_or_else(|| "gpg".into()), home);
    let run = |arguments: &[&str], input: &str, limit| -> Result<String> {
        let output = gpg.run_for(arguments, input.as_bytes(), limit);
        let output = output.map_err(|reason| {
            Failure::new("gpg cannot make the key").fact("gpg", reason).fact("in", home.display())
        })?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    };
    let parameters = format!(
        "%no-protection\n{}Name-Real: {hostname}\nName-Email: root@{hostname}\nExpire-Date: 0\n",
        key.parameters()
    );
    run(&["--quiet", "--batch", "--gen-key"], &parameters, LIMIT)?;
    let public = run(&["--export", "--armor"], "", SHORT)?;
    let list = run(&["--quiet", "--list-keys", "--with-colons", "--fingerprint"], "", SHORT)?;
    let fingerprint = |line: &str| Some(line.strip_prefix("fpr:")?.split(':').nth(8)?.to_owned());
    Ok(Made { public, fingerprints: list.lines().filter_map(fingerprint).collect() })
}

fn this_host() -> Result<String> {
    const PATH: &str = "/proc/sys/kernel/hostname";
    let name = fs::read_to_string(PATH)
        .map_err(|error| Failure::io("read", PATH, error).fix("say --hostname NAME"))?;
    Ok(name.trim_end().to_owned())
}

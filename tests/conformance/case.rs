//! One document, how sops encrypts it, and what is asked of the result.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    keyring::{Key, Keyring},
    known::Known,
    tools::{self, WRITERS},
};

/// Longest time for one decryption by us, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Json,
    Dotenv,
    Ini,
    Binary,
}

impl Format {
    pub const ALL: [Format; 5] = [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini, Format::Binary];

    /// The word for `--input-type`.
    pub fn word(self) -> &'static str {
        match self {
            Format::Yaml => "yaml",
            Format::Json => "json",
            Format::Dotenv => "dotenv",
            Format::Ini => "ini",
            Format::Binary => "binary",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Format::Dotenv => "env",
            Format::Binary => "bin",
            other => other.word(),
        }
    }
}

/// Changes the encrypted file; `None` when there is nothing to change.
pub type Change = Arc<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// One decryption of the encrypted document.
#[derive(Clone)]
pub struct Check {
    pub label: String,
    pub change: Option<Change>,
    /// `--input-type` and `--output-type`.
    pub input: Option<Format>,
    pub output: Option<Format>,
    pub extract: Option<String>,
    pub keys: Vec<Key>,
}

impl Check {
    /// The whole file, with the usual identity.
    pub fn whole() -> Self {
        Check {
            label: String::new(),
            change: None,
            input: None,
            output: None,
            extract: None,
            keys: vec![Key::First],
        }
    }
}

pub struct Case {
    pub name: String,
    pub format: Format,
    pub plain: Vec<u8>,
    /// Version of sops that encrypts.
    pub writer: &'static str,
    /// Lines of the creation rule in `.sops.yaml`, without the recipient if it is the usual one.
    pub rule: String,
    /// What the file holds, for one that sops writes but cannot read back.
    pub right: Option<Vec<u8>>,
    pub checks: Vec<Check>,
}

impl Case {
    pub fn new(name: impl Into<String>, format: Format, plain: impl Into<Vec<u8>>) -> Self {
        Case {
            name: format!("{}/{}", format.word(), name.into()),
            format,
            plain: plain.into(),
            writer: WRITERS[0],
            rule: String::new(),
            right: None,
            checks: vec![Check::whole()],
        }
    }

    pub fn by(mut self, writer: &'static str) -> Self {
        if writer != WRITERS[0] {
            write!(self.name, "@{writer}").unwrap();
        }
        self.writer = writer;
        self
    }

    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = rule.into();
        self
    }

    pub fn right(mut self, right: impl Into<Vec<u8>>) -> Self {
        self.right = Some(right.into());
        self
    }

    pub fn checks(mut self, checks: Vec<Check>) -> Self {
        self.checks = checks;
        self
    }

    fn check_name(&self, check: &Check) -> String {
        if check.label.is_empty() { self.name.clone() } else { format!("{}/{}", self.name, check.label) }
    }

    /// Drops the checks in whose name none of the words occurs.
    pub fn keep(&mut self, words: &[String]) {
        let checks = std::mem::take(&mut self.checks);
        let wanted = |check: &Check| {
            let name = self.check_name(check);
            words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
        };
        self.checks = checks.into_iter().filter(wanted).collect();
    }

    /// Encrypts the document once and decrypts it as often as there are checks.
    pub fn run(&self, stage: &Stage, worker: usize) -> Vec<Outcome> {
        let directory = stage.directory.join(format!("worker-{worker}"));
        fs::create_dir_all(&directory).unwrap();
        let Some(encrypted) = self.encrypt(stage, &directory) else { return vec![Outcome::Unwritten] };
        let file = directory.join(format!("encrypted.{}", self.format.suffix()));
        let mut outcomes = Vec::new();
        for check in &self.checks {
            let bytes = match &check.change {
                None => encrypted.clone(),
                Some(change) => {
                    let Some(bytes) = change(&encrypted) else {
                        outcomes.push(Outcome::Inapplicable);
                        continue;
                    };
                    bytes
                }
            };
            fs::write(&file, &bytes).unwrap();
            outcomes.push(self.compare(check, stage, &file));
        }
        outcomes
    }

    fn encrypt(&self, stage: &Stage, directory: &Path) -> Option<Vec<u8>> {
        let mut rule = self.rule.clone();
        if !rule.contains("age:") {
            writeln!(rule, "age: {}", stage.keyring.recipient(Key::First)).unwrap();
        }
        let rule = rule.trim_end().replace('\n', "\n    ");
        let config = directory.join("config.yaml");
        fs::write(&config, format!("creation_rules:\n  - {rule}\n")).unwrap();
        let plain = directory.join(format!("plain.{}", self.format.suffix()));
        fs::write(&plain, &self.plain).unwrap();
        let mut command = stage.sops(self.writer, directory);
        command.arg("--config").arg(config).arg("--encrypt").arg(plain);
        let output = command.output().unwrap();
        output.status.success().then_some(output.stdout)
    }

    fn compare(&self, check: &Check, stage: &Stage, file: &Path) -> Outcome {
        let options = check.options();
        let directory = file.parent().unwrap();
        let mut sops = stage.sops(WRITERS[0], directory);
        stage.keyring.give_to_sops(&mut sops, &check.keys);
        let expected = sops.arg("--decrypt").args(&options).arg(file).output().unwrap();

        let mut ours = stage.command(&stage.binary, directory);
        ours.arg("decrypt");
        for &key in &check.keys {
            ours.arg("--identity").arg(stage.keyring.file(key));
        }
        ours.args(&options).arg(file);
        let started = Instant::now();
        let got = ours.output().unwrap();
        let took = started.elapsed();

        let name = self.check_name(check);
        let problem = match (expected.status.success(), got.status.code()) {
            _ if took > LIMIT => Some("took too long"),
            (_, None | Some(101 | 124 | 134 | 137 | 139)) => Some("crashed or ran for too long"),
            (true, Some(0)) if got.stdout == expected.stdout => return Outcome::Opened,
            (true, Some(0)) => Some("other bytes"),
            (_, Some(code)) if code != 0 && !got.stdout.is_empty() => {
                Some("failed, but something is on stdout")
            }
            // sops wrote the file and cannot read it back, or it crashes: opening is better, since our MAC matched.
            (false, Some(0)) if check.change.is_none() || panicked(&expected) => {
                // Under a comment selector sops also leaves elements of lists encrypted (upstream #2281): the MAC decides.
                let by_comments = self.rule.contains("comment_regex");
                match check.without_mac(stage, file).or_else(|| self.right.clone()) {
                    Some(bytes) if bytes != got.stdout && !by_comments => {
                        Some("other bytes than sops has without its MAC")
                    }
                    _ => return Outcome::Salvaged,
                }
            }
            (false, Some(0)) => {
                let right = self.right.as_ref() == Some(&got.stdout)
                    || check.without_mac(stage, file).is_some_and(|bytes| bytes == got.stdout);
                if right && stage.known.allows(&name) {
                    return Outcome::Known;
                }
                Some("opened what sops refuses")
            }
            (true, Some(_)) => {
                if stage.known.allows(&name) {
                    return Outcome::Known;
                }
                Some("refused what sops opens")
            }
            (false, Some(_)) => return Outcome::Refused,
        };
        Outcome::Different(report(&name, problem.unwrap_or_default(), file, &ours, &expected, &got))
    }
}

impl Check {
    /// The bytes that sops has for the file when it does not look at the MAC, if it can read it at all.
    fn without_mac(&self, stage: &Stage, file: &Path) -> Option<Vec<u8>> {
        let mut sops = stage.sops(WRITERS[0], file.parent().unwrap());
        stage.keyring.give_to_sops(&mut sops, &self.keys);
        let output =
            sops.args(["--decrypt", "--ignore-mac"]).args(self.options()).arg(file).output().unwrap();
        output.status.success().then_some(output.stdout)
    }

    fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        for (option, format) in [("--input-type", self.input), ("--output-type", self.output)] {
            if let Some(format) = format {
                options.extend([option.to_owned(), format.word().to_owned()]);
            }
        }
        if let Some(path) = &self.extract {
            options.extend(["--extract".to_owned(), path.clone()]);
        }
        options
    }
}

pub enum Outcome {
    /// Both gave the same bytes.
    Opened,
    /// Both failed, and ours printed nothing.
    Refused,
    /// sops wrote the file and cannot read it back; we can.
    Salvaged,
    /// Different, and listed as such.
    Known,
    /// The change found nothing to change.
    Inapplicable,
    /// sops did not encrypt the document.
    Unwritten,
    Different(String),
}

fn panicked(output: &Output) -> bool {
    output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("panic:")
}

/// Describes a difference and keeps what led to it.
fn report(name: &str, problem: &str, file: &Path, ours: &Command, expected: &Output, got: &Output) -> String {
    let kept =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/conformance").join(name.replace(['/', ' '], "_"));
    fs::create_dir_all(&kept).unwrap();
    let encrypted = file.file_name().unwrap();
    fs::copy(file, kept.join(encrypted)).unwrap();
    let arguments: Vec<_> = ours.get_args().collect();
    for identity in arguments.windows(2).filter(|pair| pair[0] == "--identity") {
        let _ = fs::copy(identity[1], kept.join(Path::new(identity[1]).file_name().unwrap()));
    }
    for (what, output) in [("sops", expected), ("forestage", got)] {
        fs::write(kept.join(format!("{what}.stdout")), &output.stdout).unwrap();
        fs::write(kept.join(format!("{what}.stderr")), &output.stderr).unwrap();
    }
    fs::write(kept.join("arguments"), format!("{arguments:?}\n")).unwrap();
    let mut text = format!("DIFFERENT {name}: {problem}\n");
    let said = |output: &Output| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let line = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        format!("{}, {} bytes, {}", output.status, output.stdout.len(), line.trim())
    };
    writeln!(text, "    sops:      {}", said(expected)).unwrap();
    writeln!(text, "    forestage: {}", said(got)).unwrap();
    if expected.status.success() && got.status.success() {
        let lines = |output: &Output| -> Vec<String> {
            output.stdout.split(|&byte| byte == b'\n').map(|line| line.escape_ascii().to_string()).collect()
        };
        let (theirs, ours) = (lines(expected), lines(got));
        let end = "(end)".to_owned();
        let differs = theirs.iter().zip(&ours).take_while(|(theirs, ours)| theirs == ours).count();
        let at = |lines: &[String]| lines.get(differs).unwrap_or(&end).chars().take(200).collect::<String>();
        writeln!(text, "    line {}:\n    - {}\n    + {}", differs + 1, at(&theirs), at(&ours)).unwrap();
    }
    write!(text, "    kept in {}", kept.display()).unwrap();
    text
}

/// What all cases share.
pub struct Stage {
    pub keyring: Keyring,
    pub known: Known,
    /// Why cases of some version are left out.
    pub missing: Vec<String>,
    /// On a RAM file system, removed at the end.
    directory: PathBuf,
    binary: PathBuf,
    writers: Vec<(&'static str, PathBuf)>,
}

impl Stage {
    /// Finds the programs and makes the keys. The error says why nothing can be compared.
    pub fn prepare() -> Result<Self, String> {
        let mut writers = Vec::new();
        let mut missing = Vec::new();
        for version in WRITERS {
            match tools::sops(version) {
                Ok(path) => writers.push((version, path)),
                Err(reason) if version == WRITERS[0] => return Err(format!("sops {version}: {reason}")),
                Err(reason) => missing.push(format!("files of sops {version}: {reason}")),
            }
        }
        let ram = Path::new("/dev/shm");
        let parent = if ram.is_dir() { ram.to_owned() } else { std::env::temp_dir() };
        let directory = parent.join(format!("forestage-conformance-{}", std::process::id()));
        fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let keyring = Keyring::make(&directory).inspect_err(|_| {
            let _ = fs::remove_dir_all(&directory);
        })?;
        let binary = crate::program::path().into();
        Ok(Stage { keyring, known: Known::load(), missing, directory, binary, writers })
    }

    pub fn has(&self, version: &str) -> bool {
        self.writers.iter().any(|(known, _)| *known == version)
    }

    fn sops(&self, version: &str, directory: &Path) -> Command {
        let (_, path) = self.writers.iter().find(|(known, _)| *known == version).unwrap();
        self.command(path, directory)
    }

    /// A command in this directory that finds no keys by itself and is ended after 20 seconds.
    fn command(&self, program: &Path, directory: &Path) -> Command {
        let mut command = Command::new("timeout");
        command.arg("20").arg(program).current_dir(directory).stdin(Stdio::null());
        command.env_clear().env("HOME", self.directory.join("home"));
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

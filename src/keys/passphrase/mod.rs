//! Passphrases: given beforehand, or asked for.
//!
//! A file or a systemd credential serves machines where nobody answers. Otherwise somebody is asked: on the terminal if
//! there is one, else through systemd's password agents, which reach the console, Plymouth and whoever is logged in.
//! One [`Passphrases`] serves a whole run: one question at a time, each thing once. When a question stays without an
//! answer, the next ones are not asked. What was answered is wiped. Facts: sops-format.md 6.5.

mod agent;
mod given;
mod terminal;

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    keys::reason::{Reason, Remedy},
    plaintext::Plaintext,
    stack,
};

use self::{given::Given, terminal::Terminal};

/// How long a question waits for its answer.
pub const LIMIT: Duration = Duration::from_secs(90);

/// How often a wrong answer may be corrected.
const TRIES: usize = 3;

/// Where systemd's password agents look for questions.
const AGENTS: &str = "/run/systemd/ask-password";

/// The longest passphrase, in bytes.
const MAX_LENGTH: usize = 4096;

/// Why a passphrase does not open something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is another passphrase.
    Wrong,
    /// No passphrase would open it, and why.
    Damaged(&'static str),
}

/// Where passphrases come from.
#[derive(Debug, Clone)]
pub struct Policy {
    /// A file whose first line is the passphrase.
    pub file: Option<PathBuf>,
    /// The directory of systemd's credentials, where `forestage.passphrase` may be.
    pub credentials: Option<PathBuf>,
    /// Whether somebody may be asked.
    pub prompt: bool,
    /// Whether the terminal may be used, if there is one.
    pub terminal: bool,
    /// The directory of systemd's password agents.
    pub agents: PathBuf,
    /// How long a question waits for its answer.
    pub limit: Duration,
}

impl Default for Policy {
    /// Nobody is asked, and nothing is given.
    fn default() -> Self {
        Self {
            file: None,
            credentials: None,
            prompt: false,
            terminal: true,
            agents: AGENTS.into(),
            limit: LIMIT,
        }
    }
}

impl Policy {
    /// Somebody may be asked; the credential is where `CREDENTIALS_DIRECTORY` says.
    #[must_use]
    pub fn from_environment() -> Self {
        let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { credentials, prompt: true, ..Self::default() }
    }
}

/// The passphrases of a run.
#[derive(Default)]
pub struct Passphrases {
    policy: Policy,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was given; read when first needed.
    given: Option<Given>,
    /// The last answer that was right: people protect several keys with one passphrase.
    right: Option<Plaintext>,
    /// What could not be opened, and why, so that it is not asked for again.
    failed: BTreeMap<String, Reason>,
    /// Why nobody is asked any more.
    silent: Option<String>,
}

/// Why a question has no answer.
enum Unanswered {
    /// Nobody can be asked this way.
    Nobody(String),
    /// Nobody answered within the limit.
    Late,
    /// Somebody declined to answer.
    Cancelled,
}

impl Passphrases {
    /// Passphrases that come from where the policy says.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, state: Mutex::default() }
    }

    /// Opens something with the passphrase for it: the one that was given, the last one that was right, or an answer.
    /// `what` stands in the question, for instance `the SSH key /etc/ssh/key`. What has failed once fails again
    /// without a question; what has opened is for the caller to keep. Fails with the reason.
    pub fn unlock<T>(
        &self,
        what: &str,
        mut open: impl FnMut(&[u8]) -> Result<T, Refused>,
    ) -> Result<T, Reason> {
        stack::goes_deep();
        let mut state = self.state();
        if let Some(reason) = state.failed.get(what) {
            return Err(reason.clone());
        }
        let opened = self.try_all(&mut state, what, &mut open);
        if let Err(reason) = &opened {
            state.failed.insert(what.to_owned(), reason.clone());
        }
        opened
    }

    /// Asks for a secret that is not a passphrase of ours, for instance a PIN. Fails with the reason.
    pub fn ask_secret(&self, question: &str) -> Result<Plaintext, String> {
        self.ask(&mut self.state(), question, false)
    }

    /// Asks for something that may be seen while it is typed. Fails with the reason.
    pub fn ask_public(&self, question: &str) -> Result<Plaintext, String> {
        self.ask(&mut self.state(), question, true)
    }

    /// Shows a message, if there is a terminal to show it on.
    #[must_use]
    pub fn tell(&self, message: &str) -> bool {
        let _state = self.state();
        let terminal = if self.policy.prompt && self.policy.terminal { Terminal::open() } else { None };
        terminal.is_some_and(|terminal| terminal.tell(message))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_all<T>(
        &self,
        state: &mut State,
        what: &str,
        open: &mut dyn FnMut(&[u8]) -> Result<T, Refused>,
    ) -> Result<T, Reason> {
        let missing = |reason: String| Reason::from(reason).remedy(Remedy::Passphrase);
        let mut refused = String::new();
        match state.given.get_or_insert_with(|| Given::read(&self.policy)) {
            Given::Nothing => {}
            Given::Unreadable(reason) => return Err(missing(reason.clone())),
            Given::Passphrase { source, passphrase } => match open(passphrase) {
                Ok(opened) => return Ok(opened),
                Err(Refused::Damaged(reason)) => return Err(reason.into()),
                Err(Refused::Wrong) => refused = format!("the passphrase in {source} is wrong for it; "),
            },
        }
        if let Some(passphrase) = &state.right {
            match open(passphrase) {
                Ok(opened) => return Ok(opened),
                Err(Refused::Damaged(reason)) => return Err(reason.into()),
                Err(Refused::Wrong) => {}
            }
        }
        let mut question = format!("Passphrase for {what}");
        for _ in 0..TRIES {
            let answer = self.ask(state, &question, false);
            let answer = answer.map_err(|reason| missing(format!("{refused}{reason}")))?;
            match open(&answer) {
                Ok(opened) => {
                    state.right = Some(answer);
                    return Ok(opened);
                }
                Err(Refused::Damaged(reason)) => return Err(reason.into()),
                Err(Refused::Wrong) => question = format!("That was wrong. Passphrase for {what}"),
            }
        }
        Err(missing(format!("{refused}{TRIES} wrong passphrases were answered")))
    }

    /// Asks, and waits for the answer.
    fn ask(&self, state: &mut State, question: &str, visible: bool) -> Result<Plaintext, String> {
        if let Some(reason) = &state.silent {
            return Err(reason.clone());
        }
        if !self.policy.prompt {
            return Err("nobody may be asked for its passphrase".to_owned());
        }
        let question = one_line(question);
        let limit = self.policy.limit;
        let terminal = if self.policy.terminal { Terminal::open() } else { None };
        let answer = match terminal {
            Some(terminal) => terminal.ask(&question, visible, limit),
            None => agent::ask(&self.policy.agents, &question, visible, limit),
        };
        answer.map_err(|reason| {
            let (reason, next) = match reason {
                Unanswered::Nobody(reason) => (reason.clone(), reason),
                Unanswered::Late => {
                    let seconds = limit.as_secs();
                    let late = format!("nobody answered within {seconds} s when asked for a passphrase");
                    (late.clone(), format!("{late} before"))
                }
                Unanswered::Cancelled => (
                    "the question for its passphrase was declined".to_owned(),
                    "a question for a passphrase was declined before".to_owned(),
                ),
            };
            state.silent = Some(next);
            reason
        })
    }
}

/// Text for a prompt: on one line, not too long, without control characters.
fn one_line(text: &str) -> String {
    const MAX: usize = 400;
    text.chars().take(MAX).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests;

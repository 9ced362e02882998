//! Talking to a plugin: messages through its standard input and output, until a deadline.
//!
//! A message has the form of a stanza. All three pipes are served at once, so that a plugin that reads nothing, or
//! prints without end, holds nothing up.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::fd::AsFd,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use zeroize::Zeroizing;

use crate::{keys::age_file::Stanza, plaintext::Plaintext};

/// How much of a plugin's output is kept that is no message yet, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;

/// How much of a plugin's standard error is kept, in bytes.
const MAX_ERRORS: usize = 2000;

/// How long a plugin may take to end when it is done.
const FAREWELL: Duration = Duration::from_secs(1);

/// The base64 text on one line of a message.
const COLUMNS: usize = 64;

/// A plugin that runs. It is killed when this is dropped; what it started itself is not.
pub(super) struct Conversation {
    child: Child,
    /// Closed when the plugin does not read any more.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    /// What is to be written.
    said: Plaintext,
    /// How much of it was.
    sent: usize,
    /// What was read, up to a message.
    heard: Plaintext,
    errors: Vec<u8>,
    limit: Duration,
    deadline: Instant,
}

/// A message of the plugin.
pub(super) struct Message {
    pub command: Vec<u8>,
    words: Vec<Vec<u8>>,
    pub body: Zeroizing<Vec<u8>>,
}

impl Message {
    pub fn words(&self) -> Vec<&[u8]> {
        self.words.iter().map(Vec::as_slice).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Conversation {
    /// Starts the program.
    pub fn start(command: &mut Command, limit: Duration) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("it has no pipes"));
        };
        for pipe in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let deadline = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
        Ok(Self {
            child,
            stdin: Some(stdin),
            stdout,
            stderr: Some(stderr),
            said: Plaintext::default(),
            sent: 0,
            heard: Plaintext::default(),
            errors: Vec::new(),
            limit,
            deadline,
        })
    }

    /// Puts a message behind what is still to be written.
    pub fn say(&mut self, words: &[&[u8]], body: &[u8]) {
        let text = Zeroizing::new(BASE64_STANDARD_NO_PAD.encode(body));
        self.said.push(b"->");
        for word in words {
            self.said.push(b" ");
            self.said.push(word);
        }
        self.said.push(b"\n");
        for line in text.as_bytes().chunks(COLUMNS) {
            self.said.push(line);
            self.said.push(b"\n");
        }
        // The last line is a short one.
        if text.len().is_multiple_of(COLUMNS) {
            self.said.push(b"\n");
        }
    }

    /// Waits for a message. Fails with the reason, which continues the name of the plugin.
    pub fn hear(&mut self) -> Result<Message, String> {
        const GARBAGE: &str = "prints what is not a message of the plugin protocol";
        loop {
            if let Some(length) = complete(&self.heard).map_err(|()| GARBAGE)? {
                let (text, rest) = self.heard.split_at_checked(length).ok_or(GARBAGE)?;
                let cut = text.iter().position(|byte| *byte == b'\n').ok_or(GARBAGE)?;
                let (first, mut body) = text.split_at_checked(cut).ok_or(GARBAGE)?;
                body = body.get(1..).ok_or(GARBAGE)?;
                let stanza = Stanza::parse(first, &mut body).map_err(|_| GARBAGE)?;
                let words = stanza.args.iter().map(|word| word.to_vec()).collect();
                let (command, body) = (stanza.kind.to_vec(), Zeroizing::new(stanza.body));
                self.heard = Plaintext::from(rest);
                return Ok(Message { command, words, body });
            }
            if self.heard.len() > MAX_MESSAGE {
                return Err(GARBAGE.to_owned());
            }
            if !self.serve(self.deadline)? {
                return Err("ended before it was done".to_owned());
            }
        }
    }

    /// Does what takes the time of people, which is not the plugin's.
    pub fn pause<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = act();
        self.deadline = self.deadline.checked_add(start.elapsed()).unwrap_or(self.deadline);
        result
    }

    /// Reads and writes what is ready, when something is; false when the plugin has closed its standard output.
    fn serve(&mut self, deadline: Instant) -> Result<bool, String> {
        let failed = |error: io::Error| format!("cannot be talked to: {error}");
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        {
            let said = self.stdin.as_ref().filter(|_| !self.said.is_empty());
            let said = said.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLOUT));
            let errors = self.stderr.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
            let heard = PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN);
            let mut pipes: Vec<_> = [Some(heard), said, errors].into_iter().flatten().collect();
            match poll(&mut pipes, left) {
                Ok(0) => return Err(format!("did not finish within {} s", self.limit.as_secs())),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        // None of them waits, so each may be tried.
        self.write().map_err(failed)?;
        self.read_errors();
        let mut chunk = Zeroizing::new([0; 4096]);
        match self.stdout.read(&mut chunk[..]) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.heard.push(chunk.get(..length).unwrap_or_default());
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(true),
            Err(error) => Err(failed(error)),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(pipe) = self.stdin.as_mut().filter(|_| !self.said.is_empty()) else { return Ok(()) };
        match pipe.write(self.said.get(self.sent..).unwrap_or_default()) {
            Ok(length) => {
                self.sent = self.sent.saturating_add(length);
                if self.sent >= self.said.len() {
                    (self.said, self.sent) = (Plaintext::default(), 0);
                }
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            // It reads no more; what it says about that is still to come.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                (self.said, self.sent, self.stdin) = (Plaintext::default(), 0, None);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn read_errors(&mut self) {
        let Some(pipe) = &mut self.stderr else { return };
        let mut chunk = [0; 1024];
        match pipe.read(&mut chunk) {
            Ok(0) => self.stderr = None,
            Ok(length) => {
                self.errors.extend_from_slice(chunk.get(..length).unwrap_or_default());
                // The end matters most.
                let more = self.errors.len().saturating_sub(MAX_ERRORS);
                self.errors.drain(..more).for_each(drop);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.stderr = None,
        }
    }

    /// Ends the conversation. After a failure: how the plugin ended, if it did, and what it said about it.
    pub fn end(mut self, failed: bool) -> String {
        self.write().unwrap_or_default();
        self.stdin = None;
        let farewell = Instant::now().checked_add(FAREWELL).unwrap_or(self.deadline);
        let deadline = farewell.min(self.deadline);
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => {
                    // It may wait for somebody to read its errors.
                    self.read_errors();
                    thread::sleep(Duration::from_millis(2));
                }
                _ => break None,
            }
        };
        if !failed {
            return String::new();
        }
        // All of it is in the pipe by now, unless there is no end to it.
        for _ in 0..64 {
            self.read_errors();
        }
        let status = status.filter(|status| !status.success()).map(|status| format!(" ({status})"));
        let errors = super::shown(&String::from_utf8_lossy(&self.errors));
        let errors = if errors.is_empty() { String::new() } else { format!(": {errors}") };
        format!("{}{errors}", status.unwrap_or_default())
    }
}

/// The length of the message at the front, if all of it is there. An error if it cannot become one.
fn complete(text: &[u8]) -> Result<Option<usize>, ()> {
    const START: &[u8] = b"-> ";
    if !text.iter().zip(START).all(|(byte, expected)| byte == expected) {
        return Err(());
    }
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let Some(first) = lines.next() else { return Ok(None) };
    let mut length = first.len();
    for line in lines {
        length += line.len();
        match line.len() - 1 {
            COLUMNS => {}
            0..COLUMNS => return Ok(Some(length)),
            _ => return Err(()),
        }
    }
    Ok(None)
}

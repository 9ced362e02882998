//! Asking on the terminal.
//!
//! Only when this process may read it: a background job would be stopped. While an answer is typed, the terminal shows
//! nothing, and is put back afterwards; Ctrl-C and Ctrl-D decline. A signal from elsewhere that ends the process
//! leaves the terminal silent, as with most programs; `stty sane` helps.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, IsTerminal, Read, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr},
    unistd::{getpgrp, tcgetpgrp},
};
use zeroize::{Zeroize, Zeroizing};

use super::{MAX_LENGTH, Unanswered};
use crate::plaintext::Plaintext;

/// A terminal on which somebody can be asked.
pub(super) struct Terminal {
    device: File,
    settings: Termios,
}

/// Puts the settings of the terminal back.
struct Restored<'t>(&'t Terminal);

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        // It may be gone.
        let _ = tcsetattr(&self.0.device, SetArg::TCSADRAIN, &self.0.settings);
    }
}

impl Terminal {
    /// The terminal of this process, or the one that is its standard input.
    pub fn open() -> Option<Self> {
        let open = |path| OpenOptions::new().read(true).write(true).open(path).ok();
        let device = open("/dev/tty")
            .or_else(|| if io::stdin().is_terminal() { open("/proc/self/fd/0") } else { None })?;
        // Another terminal's group cannot be asked for; it does not stop us either.
        if tcgetpgrp(&device).is_ok_and(|group| group != getpgrp()) {
            return None;
        }
        let settings = tcgetattr(&device).ok()?;
        Some(Self { device, settings })
    }

    /// Shows a line.
    pub fn tell(&self, message: &str) -> bool {
        writeln!(&self.device, "{}", super::one_line(message)).is_ok()
    }

    /// Asks for a line.
    pub fn ask(&self, question: &str, visible: bool, limit: Duration) -> Result<Plaintext, Unanswered> {
        let gone = |error: &dyn ToString| {
            Unanswered::Nobody(format!("the terminal cannot be used: {}", error.to_string()))
        };
        let _restored = Restored(self);
        let mut settings = self.settings.clone();
        // Each byte as it is typed: a line that the terminal had collected would outlive us there.
        settings.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        for (at, value) in [(SpecialCharacterIndices::VMIN, 1), (SpecialCharacterIndices::VTIME, 0)] {
            if let Some(slot) = settings.control_chars.get_mut(at as usize) {
                *slot = value;
            }
        }
        tcsetattr(&self.device, SetArg::TCSADRAIN, &settings).map_err(|error| gone(&error))?;
        write!(&self.device, "{question}: ").map_err(|error| gone(&error))?;
        let answer = self.line(visible, limit);
        let _ = writeln!(&self.device);
        answer.map_err(|reason| reason.unwrap_or_else(|error| gone(&error)))
    }

    /// What is typed until the end of the line.
    fn line(&self, visible: bool, limit: Duration) -> Result<Plaintext, Result<Unanswered, io::Error>> {
        let deadline = Instant::now().checked_add(limit);
        let mut line = Plaintext::with_capacity(MAX_LENGTH);
        let mut chunk = Zeroizing::new([0; 64]);
        loop {
            let left = deadline.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)], left) {
                Ok(0) => return Err(Ok(Unanswered::Late)),
                Err(nix::errno::Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(Err(error.into())),
            }
            let length = match (&self.device).read(&mut chunk[..]) {
                Ok(0) => return Err(Ok(Unanswered::Cancelled)),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Err(error)),
            };
            for &byte in chunk.iter().take(length) {
                match typed(&mut line, byte) {
                    Typed::Text if visible => (&self.device).write_all(&[byte]).map_err(Err)?,
                    Typed::Erased if visible => (&self.device).write_all(b"\x08 \x08").map_err(Err)?,
                    Typed::Text | Typed::Erased | Typed::Nothing => {}
                    Typed::End => return Ok(line),
                    Typed::Cancelled => return Err(Ok(Unanswered::Cancelled)),
                }
            }
            chunk.zeroize();
        }
    }
}

/// What a byte from the keyboard meant.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Text,
    Erased,
    Nothing,
    End,
    Cancelled,
}

/// Edits the line by one byte.
fn typed(line: &mut Plaintext, byte: u8) -> Typed {
    match byte {
        b'\n' | b'\r' => Typed::End,
        // Ctrl-C, and Ctrl-D on an empty line.
        3 => Typed::Cancelled,
        4 if line.is_empty() => Typed::Cancelled,
        // Ctrl-U.
        21 => {
            line.bytes_mut().zeroize();
            Typed::Nothing
        }
        // Backspace takes a whole character, whose further bytes are 10xxxxxx.
        8 | 127 => {
            while let Some(last) = line.bytes_mut().pop() {
                if last & 0xc0 != 0x80 {
                    return Typed::Erased;
                }
            }
            Typed::Nothing
        }
        0..32 => Typed::Nothing,
        _ if line.len() >= MAX_LENGTH => Typed::Nothing,
        _ => {
            line.push(&[byte]);
            Typed::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing() {
        for (keys, text, last) in [
            (&b"secret\n"[..], &b"secret"[..], Typed::End),
            (b"secrex\x7ft\r", b"secret", Typed::End),
            (b"wrong\x15right\n", b"right", Typed::End),
            ("gr\u{fc}\u{8}un\n".as_bytes(), b"grun", Typed::End),
            (b"\x08\x08a b\x01\n", b"a b", Typed::End),
            (b"sec\x03", b"sec", Typed::Cancelled),
            (b"\x04", b"", Typed::Cancelled),
            (b"a\x04", b"a", Typed::Nothing),
        ] {
            let mut line = Plaintext::default();
            let end = keys.iter().map(|byte| typed(&mut line, *byte)).last();
            assert_eq!((&*line, end), (text, Some(last)), "{keys:?}");
        }
        let mut line = Plaintext::default();
        for _ in 0..=MAX_LENGTH {
            typed(&mut line, b'a');
        }
        assert_eq!(line.len(), MAX_LENGTH);
    }

    /// Asks on a terminal of its own, on which `keys` are typed when the question is there. Gives the answer, and
    /// what was seen.
    fn asked(visible: bool, keys: Option<&'static [u8]>) -> (Result<Plaintext, Unanswered>, String) {
        let pair = nix::pty::openpty(None, None).unwrap();
        let (mut person, device) = (File::from(pair.master), File::from(pair.slave));
        let settings = tcgetattr(&device).unwrap();
        assert!(settings.local_flags.contains(LocalFlags::ECHO));
        let terminal = Terminal { device: device.try_clone().unwrap(), settings: settings.clone() };
        let reader = std::thread::spawn(move || {
            let (mut seen, mut typed) = (Vec::new(), false);
            let mut chunk = [0; 64];
            while !seen.ends_with(b"\n") {
                let length = person.read(&mut chunk).unwrap();
                seen.extend_from_slice(&chunk[..length]);
                if let Some(keys) = keys.filter(|_| !typed && seen.ends_with(b"Q: ")) {
                    person.write_all(keys).unwrap();
                    typed = true;
                }
            }
            // The terminal must outlive the question: without its other side it cannot be asked for its settings.
            (String::from_utf8(seen).unwrap(), person)
        });
        let limit = Duration::from_millis(if keys.is_some() { 20_000 } else { 50 });
        let answer = terminal.ask("Q", visible, limit);
        let (seen, person) = reader.join().unwrap();
        assert_eq!(tcgetattr(&device).unwrap(), settings);
        drop(person);
        (answer, seen)
    }

    #[test]
    fn on_a_terminal() {
        let (answer, seen) = asked(false, Some(b"secret\r"));
        assert_eq!((answer.ok().as_deref(), seen.as_str()), (Some(&b"secret"[..]), "Q: \r\n"));
        let (answer, seen) = asked(true, Some(b"12\x7f3\r"));
        assert_eq!((answer.ok().as_deref(), seen.as_str()), (Some(&b"13"[..]), "Q: 12\x08 \x083\r\n"));
        assert!(matches!(asked(false, Some(b"sec\x03")).0, Err(Unanswered::Cancelled)));
        assert!(matches!(asked(false, None).0, Err(Unanswered::Late)));
    }
}

//! Running another program for its output, never longer than a given time.

use std::{
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use zeroize::Zeroizing;

/// What a program printed, and how it ended.
pub type Answer = (Zeroizing<Vec<u8>>, ExitStatus);

/// Runs the program without input, and gives its standard output, of at most `max_size` bytes. It is killed when it
/// has not ended within `limit`. What it started itself is not, and nobody waits for that either.
pub fn ask(command: &mut Command, limit: Duration, max_size: usize) -> Result<Answer, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let late = || format!("{name} did not end within {} s", seconds(limit));
    let deadline = Instant::now().checked_add(limit).ok_or_else(late)?;
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run {name}: {error}"))?;
    let answer = read(&mut child, deadline, max_size).and_then(|output| wait(&mut child, deadline, output));
    answer.map_err(|failed| {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        match failed {
            Failed::Late => late(),
            Failed::Loud => format!("{name} prints more than {max_size} bytes"),
            Failed::System(error) => format!("cannot talk to {name}: {error}"),
        }
    })
}

/// What a program said that was talked to.
pub struct Said {
    /// Its standard output.
    pub output: Zeroizing<Vec<u8>>,
    /// Its standard error, as far as it is of use to people.
    pub complaint: String,
    /// How it ended.
    pub status: ExitStatus,
}

/// Runs the program with `input`, as [`ask`] does without. It runs in a process group of its own, which is killed with it.
/// The error tells what the program said on standard error until then.
pub fn talk(command: &mut Command, input: &[u8], limit: Duration, max_size: usize) -> Result<Said, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let late = || format!("{name} did not end within {} s", seconds(limit));
    let deadline = Instant::now().checked_add(limit).ok_or_else(late)?;
    let command =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|error| format!("cannot run {name}: {error}"))?;
    let complaint = Arc::default();
    let started = write(&mut child, input.to_vec()).and_then(|()| listen(&mut child, &complaint));
    let answer = started.and_then(|ended| {
        let output = read(&mut child, deadline, max_size)?;
        let answer = wait(&mut child, deadline, output)?;
        // What it started may hold the pipe open.
        let _ = ended.recv_timeout(LAST_WORDS);
        Ok(answer)
    });
    match answer {
        Ok((output, status)) => Ok(Said { output, complaint: told(&complaint), status }),
        Err(failed) => {
            if let Ok(group) = i32::try_from(child.id()) {
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            let _ = child.wait();
            let reason = match failed {
                Failed::Late => late(),
                Failed::Loud => format!("{name} prints more than {max_size} bytes"),
                Failed::System(error) => format!("cannot talk to {name}: {error}"),
            };
            let complaint = told(&complaint);
            Err(if complaint.is_empty() { reason } else { format!("{reason}; it said: {complaint}") })
        }
    }
}

/// Whole seconds, for people: a limit may have been cut by what came before.
fn seconds(limit: Duration) -> u64 {
    limit.saturating_add(Duration::from_millis(500)).as_secs()
}

/// How long a program's standard error may stay open after it.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// So much of it is kept.
const MAX_COMPLAINT: usize = 4096;

/// Writes to the program, which may not want to hear it.
fn write(child: &mut Child, input: Vec<u8>) -> Result<(), Failed> {
    let Some(mut stdin) = child.stdin.take() else { return Ok(()) };
    let writer = move || drop(stdin.write_all(&input));
    thread::Builder::new().spawn(writer).map(drop).map_err(Failed::System)
}

/// Collects standard error while the program runs. What is given says when it was closed.
fn listen(child: &mut Child, complaint: &Arc<Mutex<Vec<u8>>>) -> Result<mpsc::Receiver<()>, Failed> {
    let (sender, receiver) = mpsc::channel();
    let Some(mut stderr) = child.stderr.take() else { return Ok(receiver) };
    let complaint = Arc::clone(complaint);
    let listener = move || {
        let mut chunk = [0; 1024];
        while let Ok(length @ 1..) = stderr.read(&mut chunk) {
            let mut complaint = complaint.lock().unwrap_or_else(PoisonError::into_inner);
            let free = MAX_COMPLAINT.saturating_sub(complaint.len());
            complaint.extend(chunk.iter().take(length.min(free)));
        }
        // Nobody may be waiting.
        let _ = sender.send(());
    };
    thread::Builder::new().spawn(listener).map_err(Failed::System)?;
    Ok(receiver)
}

/// Lines as one, without what could change a terminal.
fn told(complaint: &Mutex<Vec<u8>>) -> String {
    let bytes = complaint.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let shown = |line: &str| line.replace(|char: char| char.is_control(), "\u{fffd}");
    lines.map(shown).collect::<Vec<_>>().join("; ")
}

/// Why there is no answer.
enum Failed {
    Late,
    Loud,
    System(std::io::Error),
}

fn read(child: &mut Child, deadline: Instant, max_size: usize) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let Some(stdout) = child.stdout.take() else { return Ok(Zeroizing::default()) };
    let (sender, receiver) = mpsc::channel();
    // A thread of its own, since a pipe cannot be read with a time limit. It ends with the pipe.
    let reader = move || {
        let mut output = Zeroizing::new(Vec::with_capacity(4096));
        let limit = u64::try_from(max_size).unwrap_or(u64::MAX).saturating_add(1);
        let read = stdout.take(limit).read_to_end(&mut output).map(|_| output);
        // Nobody listens any more when the time is over.
        let _ = sender.send(read);
    };
    thread::Builder::new().spawn(reader).map_err(Failed::System)?;
    let output = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    let output = output.map_err(|_| Failed::Late)?.map_err(Failed::System)?;
    if output.len() > max_size { Err(Failed::Loud) } else { Ok(output) }
}

fn wait(child: &mut Child, deadline: Instant, output: Zeroizing<Vec<u8>>) -> Result<Answer, Failed> {
    loop {
        match child.try_wait().map_err(Failed::System)? {
            Some(status) => return Ok((output, status)),
            None if Instant::now() >= deadline => return Err(Failed::Late),
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str, limit: Duration) -> Result<Answer, String> {
        ask(Command::new("sh").args(["-c", line]), limit, 300_000)
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let start = Instant::now();
        // In the first, the grandchild still holds the pipe.
        for line in ["sleep 5; :", "exec sleep 5", "exec >&-; sleep 5"] {
            let reason = shell(line, Duration::from_millis(50)).unwrap_err();
            assert!(reason.contains("did not end"), "{line}: {reason}");
        }
        assert!(start.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn output_is_bounded() {
        let long = Duration::from_secs(5);
        let (output, status) = shell("head -c 300000 /dev/zero; exit 3", long).unwrap();
        assert_eq!((output.len(), status.code()), (300_000, Some(3)));
        assert!(shell("head -c 300001 /dev/zero", long).unwrap_err().contains("prints more"));
        assert!(ask(&mut Command::new("/nonexistent"), long, 1).unwrap_err().contains("cannot run"));
    }

    #[test]
    fn talking() {
        let talk = |line: &str, input: &[u8], limit| {
            talk(Command::new("sh").args(["-c", line]), input, Duration::from_millis(limit), 300_000)
        };
        let large = vec![b'x'; 250_000];
        let said = talk("echo one >&2; cat; printf '\\033[1mtwo\\n\\n' >&2; exit 3", &large, 5000).unwrap();
        assert_eq!((&**said.output, said.status.code()), (&*large, Some(3)));
        assert_eq!(said.complaint, "one; \u{fffd}[1mtwo");
        // Nobody reads, or writes.
        assert_eq!(talk("exec <&- >&-; exit 1", &large, 5000).unwrap().status.code(), Some(1));
        assert_eq!(talk("head -c 100000 /dev/zero >&2", b"", 5000).unwrap().complaint.chars().count(), 4096);
        let start = Instant::now();
        let marker = format!("{}.{}", 4_000_000 + std::process::id(), 5);
        let reason =
            talk(&format!("echo waiting >&2; sleep {marker} & sleep {marker}"), b"", 200).err().unwrap();
        assert_eq!(reason, "sh did not end within 0 s; it said: waiting");
        assert!(talk("cat /dev/zero", b"", 5000).err().unwrap().contains("prints more"));
        // What holds the pipe of standard error is not waited for.
        assert_eq!(talk("echo on >&2; sleep 3 >&- & exit 0", b"", 5000).unwrap().complaint, "on");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        // Its children went with it.
        let left =
            Command::new("sh").args(["-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"]).output();
        assert!(!String::from_utf8_lossy(&left.unwrap().stdout).contains(&format!("sleep {marker}")));
    }
}

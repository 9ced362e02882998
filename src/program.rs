//! Running another program for its output, never longer than a given time.

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

/// What a program printed, and how it ended.
pub type Answer = (Zeroizing<Vec<u8>>, ExitStatus);

/// Runs the program without input, and gives its standard output, of at most `max_size` bytes. It is killed when it
/// has not ended within `limit`. What it started itself is not, and nobody waits for that either.
pub fn ask(command: &mut Command, limit: Duration, max_size: usize) -> Result<Answer, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let late = || format!("{name} did not end within {} s", limit.as_secs());
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
}

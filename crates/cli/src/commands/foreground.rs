//! A container whose streams are this terminal's: what `run`, `start -a` and `attach` share.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::Path;

use engine::Starting;
use runtime::attach::{AttachRequest, Connection, Console, Foreground, Outcome, run_foreground};
use runtime::failure::{Failure as Said, FailureKind};
use runtime::keys::DetachKeys;

use crate::failure::Failure;

/// What of a container is shown here.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) tty: bool,
    /// Whether signals are the container's.
    pub(crate) forwards: bool,
}

impl Wanted {
    /// Whether nothing of the container is seen here.
    pub(crate) fn is_silent(self) -> bool {
        !(self.stdout || self.stderr)
    }

    /// The request of it.
    pub(super) fn request(self) -> AttachRequest {
        let Wanted { stdin, stdout, stderr, .. } = self;
        AttachRequest { stdin, stdout, stderr, patient: true }
    }
}

/// Docker's code for a failure of its own.
pub(crate) const ENGINE: u8 = 125;

/// The keys that leave a container running.
pub(crate) fn keys(text: Option<&str>) -> Result<DetachKeys, Failure> {
    DetachKeys::parse(text.unwrap_or_default()).map_err(|error| {
        Failure::new(format!(
            "invalid detach keys ({}) provided: {error}",
            text.unwrap_or_default()
        ))
    })
}

/// Refuses a terminal for a container where standard input is none.
pub(crate) fn check_tty(stdin: bool, tty: bool) -> Result<(), Failure> {
    match stdin && tty && !io::stdin().is_terminal() {
        true => Err(Failure::new("the input device is not a TTY")),
        false => Ok(()),
    }
}

/// What is said to who has left a container by the keys for that, where docker says so.
pub(crate) fn left() -> Failure {
    Failure::new("read escape sequence")
}

/// Shows a container until it ends or is left, and gives the exit code.
pub(super) fn show(
    connection: Connection,
    run_folder: &Path,
    wanted: Wanted,
    keys: DetachKeys,
) -> Result<u8, Failure> {
    Ok(watch_until(connection, run_folder, wanted, keys)?.unwrap_or(0))
}

/// Shows a container until it ends, and gives the exit code, or until it is left.
pub(super) fn watch_until(
    connection: Connection,
    run_folder: &Path,
    wanted: Wanted,
    keys: DetachKeys,
) -> Result<Option<u8>, Failure> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let io = |error: io::Error| Failure::new(format!("error: {error}"));
    let window = (wanted.tty && stdout.is_terminal()).then(|| stdout.as_fd());
    let mut console = Console::take(wanted.forwards, window).map_err(io)?;
    let is_terminal = wanted.tty && stdin.is_terminal();
    if wanted.stdin && is_terminal {
        console.enter_raw(stdin.as_fd()).map_err(io)?;
    }
    let client = Foreground {
        connection,
        run_folder,
        stdin: wanted.stdin.then(|| stdin.as_fd()),
        stdout: stdout.as_fd(),
        stderr: stderr.as_fd(),
        leaves_with_input: wanted.is_silent(),
        keys: if is_terminal { keys } else { DetachKeys::none() },
        console,
    };
    match run_foreground(client).map_err(io)? {
        Outcome::Exited(exit) => Ok(Some(exit.code as u8)),
        Outcome::Detached => Ok(None),
        Outcome::Interrupted(signal) => Ok(Some(128 + signal as u8)),
        Outcome::Failed(said) => Err(failed(said)),
        Outcome::Lost => {
            Err(Failure::new("error: the container's monitor has gone without a word").code(ENGINE))
        }
    }
}

/// The same, of a container that is just being started.
pub(super) fn show_start(
    starting: Starting,
    run_folder: &Path,
    wanted: Wanted,
    keys: DetachKeys,
) -> Result<u8, Failure> {
    show(starting.connection, run_folder, wanted, keys)
}

/// What a monitor says: 127 for a program that is not there, 126 for one that cannot be run.
pub(super) fn failed(said: Said) -> Failure {
    let mut text = format!("Error response from daemon: {}", said.message);
    for cause in &said.because {
        text += &format!("\n  because: {cause}");
    }
    let failure = match said.kind {
        FailureKind::CommandNotFound => Failure::new(text).code(127),
        FailureKind::CommandNotExecutable => Failure::new(text).code(126),
        _ => Failure::new(text).code_of_run(),
    };
    match said.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

//! A process watched from a terminal: signals go to it, its terminal is copied, its end is awaited.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::error::{Result, RuntimeError};
use crate::launch::{self, Exit};
use crate::stdio::WindowSize;

/// The size of the terminal that this process has.
pub(super) fn size() -> Option<WindowSize> {
    let size = tcgetwinsize(rustix::stdio::stdin()).ok()?;
    Some(WindowSize { height: size.ws_row, width: size.ws_col })
}

/// Waits for a child's end.
pub(super) fn watch(pidfd: BorrowedFd<'_>, terminal: Option<OwnedFd>) -> Result<Exit> {
    let step = || RuntimeError::step("watch the container");
    sys::task::block_signals().map_err(step())?;
    let signals = sys::task::signal_descriptor().map_err(step())?;
    let _raw = terminal.as_ref().map(|_| Raw::enter());
    let mut input = terminal.is_some();
    loop {
        let stdin = rustix::stdio::stdin();
        let mut polled =
            vec![PollFd::new(&pidfd, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        if let Some(terminal) = &terminal {
            polled.push(PollFd::new(terminal, PollFlags::IN));
            if input {
                polled.push(PollFd::new(&stdin, PollFlags::IN));
            }
        }
        match poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            other => other.map_err(|error| step()(error.into()))?,
        };
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(polled);
        if ready[1] {
            forward(&signals, pidfd, terminal.as_ref());
        }
        if let Some(terminal) = &terminal {
            let open = ready[2] && copy(terminal.as_fd(), rustix::stdio::stdout());
            if ready.get(3) == Some(&true) {
                input = copy(stdin, terminal.as_fd());
            }
            // Everything that was written comes out before the end is told.
            if open {
                continue;
            }
        }
        if ready[0] {
            return launch::wait(pidfd);
        }
    }
}

fn forward(signals: &OwnedFd, pidfd: BorrowedFd<'_>, terminal: Option<&OwnedFd>) {
    let Ok(told) = sys::task::read_signal(signals) else { return };
    match told.signal {
        libc::SIGCHLD | libc::SIGURG => {}
        libc::SIGWINCH => {
            if let (Some(terminal), Ok(size)) = (terminal, tcgetwinsize(rustix::stdio::stdin())) {
                let _ = tcsetwinsize(terminal, size);
            }
        }
        signal => drop(sys::task::send_signal(pidfd, signal)),
    }
}

/// Copies what is there; whether there may be more.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 16 << 10];
    match rustix::io::read(from, &mut buffer) {
        Ok(0) => false,
        Ok(bytes) => {
            let mut rest = &buffer[..bytes];
            while !rest.is_empty() {
                match rustix::io::write(to, rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(Errno::INTR) => {}
                    Err(_) => return false,
                }
            }
            true
        }
        Err(Errno::INTR) => true,
        Err(_) => false,
    }
}

/// This process's terminal passing every key on, until dropped.
struct Raw(Option<Termios>);

impl Raw {
    fn enter() -> Raw {
        let stdin = rustix::stdio::stdin();
        let Ok(old) = tcgetattr(stdin) else { return Raw(None) };
        let mut raw = old.clone();
        raw.make_raw();
        let _ = tcsetattr(stdin, OptionalActions::Now, &raw);
        Raw(Some(old))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(old) = &self.0 {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, old);
        }
    }
}

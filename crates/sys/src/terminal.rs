//! Terminals: their modes and their sizes.

use std::io;
use std::os::fd::AsFd;

use rustix::termios::{OptionalActions, Termios, Winsize};

/// How many characters a terminal shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// How a terminal treats what is typed and shown.
#[derive(Clone, Debug)]
pub struct Modes(Termios);

impl Modes {
    /// The same, but every byte passes as it is.
    pub fn raw(&self) -> Modes {
        let mut modes = self.clone();
        modes.0.make_raw();
        modes
    }

    /// Whether typed keys are shown: false in raw mode.
    pub fn echoes(&self) -> bool {
        self.0.local_modes.contains(rustix::termios::LocalModes::ECHO)
    }
}

/// Whether this is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    rustix::termios::isatty(fd)
}

/// A terminal's modes.
pub fn modes(fd: impl AsFd) -> io::Result<Modes> {
    Ok(Modes(rustix::termios::tcgetattr(fd)?))
}

/// Changes a terminal's modes at once, or after what was written has been shown.
pub fn set_modes(fd: impl AsFd, modes: &Modes, drain: bool) -> io::Result<()> {
    let when = if drain { OptionalActions::Drain } else { OptionalActions::Now };
    Ok(rustix::termios::tcsetattr(fd, when, &modes.0)?)
}

/// A terminal's size.
pub fn size(fd: impl AsFd) -> io::Result<Size> {
    let size = rustix::termios::tcgetwinsize(fd)?;
    Ok(Size { rows: size.ws_row, columns: size.ws_col })
}

/// Changes a terminal's size; its programs get SIGWINCH.
pub fn set_size(fd: impl AsFd, size: Size) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(fd, size)?)
}

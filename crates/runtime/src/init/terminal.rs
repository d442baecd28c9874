//! The container's terminal, made in its own `devpts`.
//!
//! Nothing is believed of names: the multiplexer is opened without following links and must be on
//! a `devpts`; the other end comes from it by a call, not by a path; and `/dev/console` is covered
//! with that very descriptor. So neither an image nor a process racing with us decides what is
//! opened.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::pty::OpenptFlags;

use super::{Prepared, Result};
use crate::channel::Message;
use crate::error::{Explain, refused};
use crate::path::{self, Missing};
use crate::stdio::{Stdio, WindowSize};

/// What marks the file system of terminals.
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// What the process must know of its streams.
pub(crate) enum Terminal {
    /// They are in place and belong to whoever gave them.
    Given,
    /// They were made for the container and belong to its user.
    Own,
}

/// Makes a terminal where one is asked for, and sends its other end away.
pub(super) fn open(prepared: &Prepared, root: BorrowedFd<'_>) -> Result<Terminal> {
    let size = match &prepared.stdio {
        Stdio::Terminal(size) => size.or(prepared.plan.process.size),
        Stdio::Pipes { .. } => return Ok(Terminal::Own),
        Stdio::Inherit | Stdio::Null => return Ok(Terminal::Given),
    };
    let (outer, inner) = pair(root, size)?;
    let console = path::ensure(root, Path::new("/dev/console"), Missing::File);
    let console = console.call("openat2", "/dev/console")?;
    let cover = sys::mount::clone_of(&inner, false).call("open_tree", "the terminal")?;
    sys::mount::attach_at(cover, console).call("move_mount", "/dev/console")?;
    take(&prepared.channel, outer, &inner)?;
    Ok(Terminal::Own)
}

/// Both ends of a new terminal below a root.
pub(crate) fn pair(root: BorrowedFd<'_>, size: Option<WindowSize>) -> Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let outer = rustix::fs::openat2(root, "dev/pts/ptmx", flags, Mode::empty(), resolve);
    let outer = outer.call("openat2", "/dev/pts/ptmx")?;
    if !is_terminal(&outer) {
        return Err(refused("check", "/dev/pts is no devpts"));
    }
    rustix::pty::unlockpt(&outer).call("ioctl", "TIOCSPTLCK")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let inner = rustix::pty::ioctl_tiocgptpeer(&outer, flags).call("ioctl", "TIOCGPTPEER")?;
    if let Some(size) = size {
        let size = rustix::termios::Winsize {
            ws_row: size.height,
            ws_col: size.width,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&outer, size).call("ioctl", "TIOCSWINSZ")?;
    }
    Ok((outer, inner))
}

/// Makes one end this process's terminal and sends the other away.
pub(crate) fn take(
    channel: &crate::channel::Channel,
    outer: OwnedFd,
    inner: &OwnedFd,
) -> Result<()> {
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
    rustix::process::ioctl_tiocsctty(inner).call("ioctl", "TIOCSCTTY")?;
    dup2_stdin(inner).and(dup2_stdout(inner)).and(dup2_stderr(inner)).call("dup2", "")?;
    channel.send(&Message::Terminal(outer)).call("sendmsg", "the terminal")
}

/// Whether a descriptor is the outer end of a terminal. Asked by those who receive one, too.
pub(crate) fn is_terminal(file: impl AsFd) -> bool {
    let stat = rustix::fs::fstat(&file);
    #[allow(clippy::unnecessary_cast)] // The type differs between processors.
    let on_devpts = rustix::fs::fstatfs(&file).is_ok_and(|stat| stat.f_type as i64 == DEVPTS_MAGIC);
    let multiplexer = rustix::fs::makedev(5, 2);
    on_devpts && stat.is_ok_and(|stat| stat.st_rdev == multiplexer)
}

//! Processes watched through descriptors, which stay right when a number is used again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitOptions};

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl Ended {
    /// The exit code as shells and docker tell it: 128 and the signal's number for a signal.
    pub fn code(self) -> i32 {
        match self {
            Ended::Status(status) => status,
            Ended::Signal(signal) => 128 + signal,
        }
    }
}

/// Opens a process; the descriptor can be read from when it has ended.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends a signal, of the real-time ones too; 0 only asks whether the process is there.
pub fn signal(process: impl AsFd, signal: i32) -> io::Result<()> {
    let fd = process.as_fd().as_raw_fd();
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open for the call's length, and no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, nothing, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes the end of a child, if it has ended.
pub fn reap(process: impl AsFd) -> io::Result<Option<Ended>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(status) = rustix::process::waitid(WaitId::PidFd(process.as_fd()), options)? else {
        return Ok(None);
    };
    let ended = status.exit_status().map(Ended::Status);
    Ok(ended.or_else(|| status.terminating_signal().map(Ended::Signal)))
}

/// Lets this process be told of its children's ends, which whoever made it may have ignored: then
/// the kernel takes them, and nobody learns the exit codes.
pub fn hear_of_children() -> io::Result<()> {
    // SAFETY: the default action needs no handler of ours.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes the end of any child that has ended.
pub fn reap_any() -> io::Result<Option<(i32, Ended)>> {
    let (pid, status) = match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(Some(ended)) => ended,
        // Without children nobody has ended.
        Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let by_signal = status.terminating_signal().map(Ended::Signal);
    let ended = by_signal.unwrap_or_else(|| Ended::Status(status.exit_status().unwrap_or(255)));
    Ok(Some((pid.as_raw_pid(), ended)))
}

/// When a process began, in ticks since the boot: with its number, a name that is never given
/// again. `None` if there is no such process, or only what is left until somebody reaps it.
pub fn started(pid: i32) -> io::Result<Option<u64>> {
    let text = match crate::read::text(Path::new(&format!("/proc/{pid}/stat"))) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
        Err(error) => return Err(error),
    };
    // The name stands in parentheses and may contain any; the last one ends it.
    let rest = text.rfind(')').map_or("", |end| &text[end + 1..]);
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next(), Some("Z" | "X")) {
        return Ok(None);
    }
    let ticks = fields.nth(18).and_then(|field| field.parse().ok());
    ticks.map(Some).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Leaves the terminal and the session that this process was started in.
pub fn leave_session() -> io::Result<()> {
    match rustix::process::setsid() {
        // It leads a session already, which is as good.
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends a signal to this process itself.
pub fn signal_self(number: i32) {
    // SAFETY: `raise` takes a number and touches no memory.
    unsafe { libc::raise(number) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    #[allow(clippy::zombie_processes)] // They are reaped through their descriptors.
    fn ends_are_told_apart() {
        let child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let process = open(child.id() as i32).unwrap();
        crate::event::poll([(Some(process.as_fd()), crate::event::Interest::READ)], None).unwrap();
        assert_eq!(reap(&process).unwrap(), Some(Ended::Status(7)));
        let child = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = child.id() as i32;
        let process = open(pid).unwrap();
        assert_eq!(reap(&process).unwrap(), None);
        assert!(started(pid).unwrap().is_some());
        signal(&process, 0).unwrap();
        signal(&process, 34).unwrap();
        crate::event::poll([(Some(process.as_fd()), crate::event::Interest::READ)], None).unwrap();
        assert_eq!(started(pid).unwrap(), None, "not yet reaped, but gone");
        assert_eq!(reap(&process).unwrap().map(Ended::code), Some(162));
        assert_eq!(started(pid).unwrap(), None);
        assert!(signal(&process, 0).is_err());
        assert!(open(0).is_err() && open(-1).is_err());
    }
}

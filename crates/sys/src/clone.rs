//! A new process as a copy of this one, born into its namespaces and its cgroup.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::thread::UnshareFlags;

/// `CLONE_INTO_CGROUP`, which does not fit the type that libc gives it.
const INTO_CGROUP: u64 = 1 << 33;

/// How a process is born.
pub struct Birth<'a> {
    /// What it does not share with this process.
    pub namespaces: UnshareFlags,
    /// Whether it becomes a child of this process's parent.
    pub sibling: bool,
    /// A group of cgroup v2 that it is in from its first instruction.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// Which of the two processes this is.
pub enum Cloned {
    /// The new one.
    Child,
    /// The old one, with what names the new one.
    Parent {
        /// Its number here.
        pid: i32,
        /// A descriptor that stays its own when the number is given to another process.
        pidfd: OwnedFd,
    },
}

/// Makes a copy of this process. Refused when this process has threads: what they hold (the lock of
/// the allocator, for one) would be held in the copy for ever.
pub fn clone(birth: Birth<'_>) -> io::Result<Cloned> {
    if has_threads() {
        return Err(io::Error::other("a process with threads cannot be copied"));
    }
    let mut pidfd: RawFd = -1;
    let mut flags = u64::from(birth.namespaces.bits()) | libc::CLONE_PIDFD as u64;
    let mut exit_signal = libc::SIGCHLD as u64;
    if birth.sibling {
        // The exit signal of a sibling is this process's own.
        flags |= libc::CLONE_PARENT as u64;
        exit_signal = 0;
    }
    // SAFETY: all-zero bytes are a valid `clone_args`, which is made of integers.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.pidfd = &raw mut pidfd as u64;
    arguments.exit_signal = exit_signal;
    if let Some(cgroup) = birth.cgroup {
        flags |= INTO_CGROUP;
        arguments.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(io::Error::other)?;
    }
    arguments.flags = flags;
    // SAFETY: without CLONE_VM the new process has memory of its own and goes on where this one
    // does, on the same stack; there is one thread, so nothing is in the middle of a change. The
    // kernel writes the descriptor into `pidfd`, which outlives the call, in this process.
    let result = unsafe {
        libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>())
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        pid => {
            // SAFETY: the kernel has just made this descriptor for us and nobody else has it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: pid as i32, pidfd })
        }
    }
}

/// Leaves namespaces that are shared with the parent for new ones. Never shares less of the
/// process's own memory or descriptors, which other code may count on.
pub fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    let sharing = UnshareFlags::FILES | UnshareFlags::FS;
    if namespaces.intersects(sharing) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the call takes a number; without CLONE_FILES no descriptor changes its meaning.
    let result = unsafe { libc::unshare(namespaces.bits() as libc::c_int) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether this process has more threads than one. Needs no `/proc`.
pub fn has_threads() -> bool {
    // SAFETY: the call takes a number. A process with one thread shares none, so there is nothing
    // to take apart; with more of them the kernel refuses.
    let result = unsafe { libc::unshare(libc::CLONE_THREAD) };
    result != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_seen_and_refused() {
        // A test runs beside the runner's own thread.
        assert!(has_threads());
        let birth = Birth { namespaces: UnshareFlags::empty(), sibling: false, cgroup: None };
        assert!(clone(birth).is_err());
    }
}

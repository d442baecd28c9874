//! What a process may set of itself before it becomes another program.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

/// Becomes another program. Comes back only with an error.
pub fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let arguments = pointers(arguments);
    let environment = pointers(environment);
    // SAFETY: both lists end in a null pointer and point at terminated strings that outlive the
    // call; the kernel only reads them.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Becomes the program in an open file. A script cannot be started so.
pub fn execute_file(
    program: impl AsFd,
    arguments: &[CString],
    environment: &[CString],
) -> io::Error {
    let arguments = pointers(arguments);
    let environment = pointers(environment);
    // SAFETY: as above; the path is an empty, terminated string.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_fd().as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Ends this process at once: nothing is dropped, flushed or run.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Lets every descriptor from `first` on end when another program is started.
pub fn close_on_execute(first: RawFd) -> io::Result<()> {
    close_range(first, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes the descriptors from `first` to `last`, whoever has them.
///
/// For a process that was just copied and that knows all of its own: an `OwnedFd` in this range
/// must be forgotten, not dropped.
pub fn close_all(first: RawFd, last: RawFd) -> io::Result<()> {
    close_range(first, last, 0)
}

fn close_range(first: RawFd, last: RawFd, flags: u32) -> io::Result<()> {
    // SAFETY: the call takes three numbers. Closing descriptors that are owned elsewhere breaks no
    // memory; that owners forget them is what the documentation asks for.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets one descriptor through when another program is started.
pub fn keep_on_execute(number: RawFd) -> io::Result<()> {
    // SAFETY: the call takes three numbers and touches no memory.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives this process a session keyring of its own, so that it does not see its parent's keys.
pub fn join_session_keyring(name: &CStr) -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the name is a terminated string that outlives the call; the kernel only reads it.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets the execution domain.
pub fn set_personality(domain: u64) -> io::Result<()> {
    // SAFETY: the call takes a number.
    let result = unsafe { libc::personality(domain as libc::c_ulong) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets this process's share of the disks: a class (1 real-time, 2 best effort, 3 idle) and a
/// priority within it.
pub fn set_io_priority(class: u8, priority: u8) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    let value = libc::c_int::from(class) << 13 | libc::c_int::from(priority);
    // SAFETY: the call takes three numbers; 0 means this process.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// How a process is scheduled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scheduling {
    /// `SCHED_OTHER` and so on.
    pub policy: u32,
    /// `SCHED_FLAG_RESET_ON_FORK` and so on.
    pub flags: u64,
    /// Niceness.
    pub nice: i32,
    /// Priority of the real-time policies.
    pub priority: u32,
    /// Nanoseconds of the deadline policy.
    pub runtime: u64,
    /// Nanoseconds of the deadline policy.
    pub deadline: u64,
    /// Nanoseconds of the deadline policy.
    pub period: u64,
}

/// Sets how this process is scheduled.
pub fn set_scheduling(scheduling: Scheduling) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: scheduling.policy,
        flags: scheduling.flags,
        nice: scheduling.nice,
        priority: scheduling.priority,
        runtime: scheduling.runtime,
        deadline: scheduling.deadline,
        period: scheduling.period,
    };
    // SAFETY: the structure is laid out as the kernel's first version, carries its size and
    // outlives the call, which only reads it.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The signals that this process ignores and would leave ignored to the next program, as bits from
/// the first signal on.
pub fn ignored_signals() -> io::Result<u64> {
    let status = crate::read::text(Path::new("/proc/self/status"))?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Makes these signals do what they do to a new program, and blocks none. Handlers of ours end by
/// themselves when another program is started; what is ignored stays ignored.
pub fn reset_signals(ignored: u64) -> io::Result<()> {
    // Two cannot be ignored, and two belong to the C library.
    let others = [libc::SIGKILL, libc::SIGSTOP, 32, 33];
    let signals = (1..=64).filter(|signal| !others.contains(signal));
    for signal in signals.filter(|signal| ignored & 1 << (signal - 1) != 0) {
        // SAFETY: the default action needs no handler of ours.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    mask(libc::SIG_SETMASK, false)
}

/// Blocks every signal that can be blocked.
pub fn block_signals() -> io::Result<()> {
    mask(libc::SIG_SETMASK, true)
}

fn mask(how: libc::c_int, full: bool) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid set, which the calls below then fill.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a live variable of the type that these calls fill and read.
    let result = unsafe {
        if full {
            libc::sigfillset(&raw mut set)
        } else {
            libc::sigemptyset(&raw mut set)
        };
        libc::sigprocmask(how, &raw const set, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A descriptor from which the signals to this process can be read while they are blocked.
pub fn signal_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: all-zero bytes are a valid set, which is then filled; the kernel only reads it.
    let fd = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC)
    };
    match fd {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just made this descriptor for us.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// One signal that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signalled {
    /// Its number.
    pub signal: i32,
    /// Who sent it, or the child that it is about.
    pub pid: i32,
}

/// Takes the next signal from [`signal_descriptor`].
pub fn read_signal(descriptor: impl AsFd) -> io::Result<Signalled> {
    let mut buffer = [0; size_of::<libc::signalfd_siginfo>()];
    rustix::io::retry_on_intr(|| rustix::io::read(&descriptor, &mut buffer))?;
    let word = |at: usize| {
        i32::from_ne_bytes([buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]])
    };
    Ok(Signalled { signal: word(0), pid: word(12) })
}

/// Sends any signal, real-time ones too, to the process that a descriptor names; 0 asks whether it
/// is there.
pub fn send_signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    // SAFETY: the kernel makes the signal's details itself when none are passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends any signal to a process, a group of them (negative) or all (-1).
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: the call takes two numbers.
    let result = unsafe { libc::kill(pid, signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes off this process the mark that others may not look into it, or puts it on.
pub fn set_dumpable(dumpable: bool) -> io::Result<()> {
    // SAFETY: the call takes numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(dumpable)) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

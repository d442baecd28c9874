//! Processes: waited for, and what they cost.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Starts a program that outlives this process: with these arguments, this environment and no
/// descriptors but `streams` as its standard streams and `further` as the one after them, which it
/// takes with [`inherited_sockets`]. Gives its number, for those that live long enough to take its
/// end with [`has_ended`].
///
/// Whether the program could be run is not told here: the caller hears from it, or finds the other
/// end of what it was given closed.
pub fn start(
    program: impl AsFd,
    arguments: &[CString],
    environment: &[CString],
    streams: BorrowedFd<'_>,
    further: BorrowedFd<'_>,
) -> io::Result<i32> {
    let pointers = |list: &[CString]| -> Vec<_> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (list, environment) = (pointers(arguments), pointers(environment));
    let (streams, further) = (streams.as_raw_fd(), further.as_raw_fd());
    let program = program.as_fd().as_raw_fd();
    // Numbers below the third would be overwritten before they are used.
    if [streams, further, program].iter().any(|number| *number < 3) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (arguments, environment) = (list.as_ptr(), environment.as_ptr());
    let mut next = Next { program, arguments, environment, streams, further };
    let mut stack = vec![0_u128; STACK_WORDS];
    // Not a copy of this process, which would be thrown away a moment later.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child has a stack of its own, which like all that it reads is there until this
    // call comes back: when the child has become the program or has ended. It has descriptors of its
    // own. It calls nothing that allocates or takes a lock, whatever other threads of this process
    // were doing, and no handler of a signal is ours.
    let child = unsafe {
        let top = stack.as_mut_ptr().add(STACK_WORDS);
        libc::clone(become_next, top.cast(), flags, (&raw mut next).cast())
    };
    if child < 0 { Err(io::Error::last_os_error()) } else { Ok(child) }
}

/// The child's stack, in words of 16 bytes. It makes a handful of calls.
const STACK_WORDS: usize = 2048;

/// What a child becomes.
struct Next {
    program: RawFd,
    arguments: *const *const libc::c_char,
    environment: *const *const libc::c_char,
    streams: RawFd,
    further: RawFd,
}

extern "C" fn become_next(next: *mut libc::c_void) -> libc::c_int {
    // SAFETY: whoever made this process has put a live `Next` there, with numbers of open
    // descriptors and lists that end in a null pointer and point at terminated strings.
    unsafe {
        let Next { program, arguments, environment, streams, further } = *next.cast::<Next>();
        for number in 0..3 {
            libc::dup2(streams, number);
        }
        let program = match program {
            3 => libc::fcntl(program, libc::F_DUPFD_CLOEXEC, 4),
            program => program,
        };
        // A copy of itself would keep the mark that closes it.
        match further {
            3 => libc::fcntl(3, libc::F_SETFD, 0),
            further => libc::dup2(further, 3),
        };
        libc::syscall(libc::SYS_close_range, 4, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        let (path, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
        libc::syscall(libc::SYS_execveat, program, path, arguments, environment, flags);
        libc::_exit(127)
    }
}

/// Whether a child has ended, which takes its end. One that is no child any more has.
pub fn has_ended(child: i32) -> bool {
    let Some(child) = rustix::process::Pid::from_raw(child) else { return true };
    let waited = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::NOHANG);
    !matches!(waited, Ok(None))
}

/// The sockets that systemd, or what works like it, has opened for this process: `count` of them,
/// from the first number that is no standard stream. To be taken once, before anything is opened.
pub fn inherited_sockets(count: usize) -> io::Result<Vec<OwnedFd>> {
    const FIRST: RawFd = 3;
    (FIRST..).take(count).map(inherited_socket).collect()
}

fn inherited_socket(number: RawFd) -> io::Result<OwnedFd> {
    let socket = inherited(number)?;
    rustix::net::sockopt::socket_type(&socket)?;
    Ok(socket)
}

/// The file that whoever became this program has left open for it under a number. To be taken once.
pub fn inherited_file(number: RawFd) -> io::Result<File> {
    match number {
        0..3 => Err(io::ErrorKind::InvalidInput.into()),
        number => inherited(number).map(File::from),
    }
}

fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: setting the flags of a number touches no memory; one that is not open is an error.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the number is open, and whoever started this process left it for whoever asks here.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// How many files this process could have open before [`raise_open_files`]; 0 if that changed
/// nothing.
static OPEN_FILES: AtomicU64 = AtomicU64::new(0);

/// Lets this process have as many files open as it may. For one that holds many itself: a program
/// that may go through all that could be open, as any of a user's, is to begin with
/// [`lower_open_files`].
pub fn raise_open_files() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    OPEN_FILES.store(limit.current.unwrap_or(0), Ordering::Relaxed);
    Ok(())
}

/// Goes back to as many open files as could be before; what is set afterwards stays. Allocates
/// nothing and takes no lock.
pub fn lower_open_files() -> io::Result<()> {
    let before = OPEN_FILES.swap(0, Ordering::Relaxed);
    if before == 0 {
        return Ok(());
    }
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(before), ..limit })?)
}

/// The same for a program that is started.
pub fn with_own_limits(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between the copy of this process and the program only calls are made that take
    // numbers; nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(lower_open_files) };
}

/// Lets a program begin with no signal blocked and with what each does by default, whatever this
/// process has set: blocked and ignored signals are inherited otherwise.
pub fn with_default_signals(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between the copy of this process and the program only calls are made that take
    // numbers and sets on the stack; nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(|| crate::task::reset_signals(u64::MAX)) };
}

/// Lets a program lead a group of its own, in the foreground of the terminal that is its input if
/// there is one. Whoever starts it so blocks signals meanwhile, or is stopped for taking a terminal.
pub fn leading_the_terminal(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let lead = || {
        rustix::process::setpgid(None, None)?;
        // Most have none.
        let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid());
        Ok(())
    };
    // SAFETY: between the copy of this process and the program only calls are made that take
    // numbers; nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(lead) };
}

/// What a process and all that it waited for cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// User and system time.
    pub cpu: Duration,
    /// The largest resident set among them, in KiB.
    pub peak_kib: u64,
}

/// Leaves the session of whoever started this process: no terminal of theirs ends it.
pub fn new_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Waits for a child and takes what it cost: its raw status, which is 0 for success, and the cost.
/// Nobody else may wait for the same child.
pub fn wait_for(child: u32) -> io::Result<(i32, Cost)> {
    let child = libc::pid_t::try_from(child).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid `rusage`, which is made of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live variables of the types that the call fills.
        let waited = unsafe { libc::wait4(child, &raw mut status, 0, &raw mut usage) };
        if waited == child {
            let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
            let peak_kib = u64::try_from(usage.ru_maxrss).unwrap_or(0);
            return Ok((status, Cost { cpu, peak_kib }));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_started_with_its_streams_and_nothing_else() {
        use std::io::Read;
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let shell = File::open("/bin/sh").unwrap();
        let script = "echo $# $HOME; ls /proc/self/fd | wc -l; read word <&3; echo $word";
        let words = ["sh", "-c", script, "x", "y"].map(|word| CString::new(word).unwrap());
        let environment = [CString::new("HOME=h").unwrap()];
        start(&shell, &words, &environment, theirs.as_fd(), theirs.as_fd()).unwrap();
        drop(theirs);
        io::Write::write_all(&mut ours, b"word\n").unwrap();
        let mut said = String::new();
        ours.read_to_string(&mut said).unwrap();
        // `ls` has the folder that it lists open besides.
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["1", "h", "5", "word"]);
    }

    #[test]
    fn what_is_started_has_the_limit_that_was_there_before() {
        let limit = getrlimit(Resource::Nofile);
        // Other tests may need more than the few that would show it best.
        let lower = limit.maximum.map(|most| most.min(500));
        setrlimit(Resource::Nofile, Rlimit { current: lower, ..limit }).unwrap();
        raise_open_files().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
        raise_open_files().unwrap();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -Sn; ulimit -Hn"]);
        with_own_limits(&mut command);
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let number = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |n| n.to_string());
        let words: Vec<_> = said.split_whitespace().collect();
        assert_eq!(words[1], number(limit.maximum));
        if lower.is_some() {
            assert_eq!(words[0], number(lower));
        }
        setrlimit(Resource::Nofile, limit).unwrap();
    }

    #[test]
    fn a_program_begins_with_signals_as_they_are_by_default() {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status"]);
        with_default_signals(&mut command);
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let words: Vec<_> = said.split_whitespace().collect();
        // Two signals belong to the C library.
        let ignored = u64::from_str_radix(words[3], 16).unwrap() & !(3 << 31);
        assert_eq!((words[1], ignored), ("0000000000000000", 0));
    }

    #[test]
    fn a_child_has_a_status_and_a_cost() {
        let mut child = std::process::Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        let (status, cost) = wait_for(child.id()).unwrap();
        assert!(child.wait().is_err(), "its status was taken");
        assert_eq!(status >> 8, 3);
        assert!(cost.peak_kib > 100);
        assert!(wait_for(child.id()).is_err(), "a child can be waited for once");
    }
}

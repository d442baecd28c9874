//! How a program of ours begins.
//!
//! The standard library prepares every program for what few of them meet: it reads
//! `/proc/self/maps` to find the end of the first stack and puts a handler for its overflow on a
//! stack of its own. That is more calls than a short command takes for itself, and the monitor of
//! each container begins like that too. [`crate::entry!`] begins without it: an overflow of the
//! stack then ends the program by the kernel's signal alone.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::stdio::{stderr, stdin, stdout};

/// Makes a function without arguments, which gives the exit code, the program's beginning. Used in a
/// binary whose first line is `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($begin:path) => {
        // SAFETY: the C library calls the one function of this name when everything of its own is
        // ready. Nothing else in a program without a `main` of Rust's has the name.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> i32 {
            $crate::entry::prepare();
            let code: u8 = $begin();
            // Writes what standard output still holds.
            std::process::exit(i32::from(code))
        }
    };
}

/// What the standard library does as well: no standard stream is left closed, or the next file would
/// get its number; and a pipe whose reader has gone is an error, not a signal.
#[doc(hidden)]
pub fn prepare() {
    let closed = closed_streams();
    crate::stdio::note(closed[1]);
    if closed.contains(&true) {
        for _ in closed.iter().filter(|closed| **closed) {
            // It gets the lowest number that is free, and keeps it.
            let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty());
            null.map_or_else(|_| std::process::abort(), std::mem::forget);
        }
    }
    // SAFETY: to ignore a signal needs no handler of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Which of the standard streams this process was started without.
fn closed_streams() -> [bool; 3] {
    let (input, output, errors) = (stdin(), stdout(), stderr());
    let mut asked =
        [input, output, errors].map(|stream| PollFd::from_borrowed_fd(stream, PollFlags::empty()));
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    match rustix::event::poll(&mut asked, Some(&now)) {
        Ok(_) => asked.map(|stream| stream.revents().contains(PollFlags::NVAL)),
        // Who may have fewer files than three open is asked for each.
        Err(_) => {
            [input, output, errors].map(|stream| rustix::io::fcntl_getfd(stream.as_fd()).is_err())
        }
    }
}

//! Processes: waited for, and what they cost.

use std::io;
use std::time::Duration;

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
    fn a_child_has_a_status_and_a_cost() {
        let mut child = std::process::Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        let (status, cost) = wait_for(child.id()).unwrap();
        assert!(child.wait().is_err(), "its status was taken");
        assert_eq!(status >> 8, 3);
        assert!(cost.peak_kib > 100);
        assert!(wait_for(child.id()).is_err(), "a child can be waited for once");
    }
}

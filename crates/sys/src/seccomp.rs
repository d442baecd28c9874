//! Filters of system calls.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// One instruction of a filter, as the kernel lays it out.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// How many instructions are left out when a comparison holds.
    pub jump_true: u8,
    /// And when it does not.
    pub jump_false: u8,
    /// What it is done with.
    pub value: u32,
}

/// Puts a filter over this thread's calls, for good. With `NEW_LISTENER` among the flags gives the
/// descriptor on which calls are announced.
pub fn load(filter: &[Instruction], flags: u32) -> io::Result<Option<OwnedFd>> {
    #[repr(C)]
    struct Program {
        len: u16,
        filter: *const Instruction,
    }
    let len = u16::try_from(filter.len()).map_err(io::Error::other)?;
    let program = Program { len, filter: filter.as_ptr() };
    // SAFETY: `program` points at `len` instructions that outlive the call; the kernel copies them
    // and writes nothing back.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if u64::from(flags) & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    // SAFETY: with this flag the result is a descriptor that the kernel has just made for us.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(result as i32) }))
}

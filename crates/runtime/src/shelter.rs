//! The program's own file, out of reach of containers.
//!
//! The first process of a container runs this program's file until it becomes another one. A
//! hostile image can make it become itself (`/proc/self/exe`), and a process in the container can
//! then open that file and write to it when nobody runs it. So whoever makes containers runs from a
//! file that cannot be written to through the way by which it was reached: a mount of its own,
//! read-only and nowhere attached; where that is forbidden, a sealed copy in memory.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{MemfdFlags, SealFlags};

use crate::error::{Result, RuntimeError};

/// This program's file.
const SELF: &str = "/proc/self/exe";

/// Whether this process already runs from such a file.
pub fn is_sheltered() -> bool {
    let Ok(file) = File::open(SELF) else { return false };
    let read_only = rustix::fs::StatVfsMountFlags::RDONLY;
    rustix::fs::fstatvfs(&file).is_ok_and(|stat| stat.f_flag.contains(read_only))
        || rustix::fs::fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
}

/// A descriptor of this program's file that can be run and through which nobody can write.
pub fn file() -> Result<OwnedFd> {
    let mounted = || -> io::Result<OwnedFd> {
        let mount = sys::mount::clone(Path::new(SELF), false)?;
        sys::mount::make_read_only(&mount)?;
        Ok(mount)
    };
    mounted().or_else(|_| sealed()).map_err(RuntimeError::step("shelter the program's file"))
}

fn sealed() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("mica", flags)?;
    io::copy(&mut File::open(SELF)?, &mut File::from(memory.try_clone()?))?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    Ok(memory)
}

/// Starts this program again from such a file, with the same arguments and environment. Comes back
/// when it runs from one already.
pub fn enter(arguments: &[CString], environment: &[CString]) -> Result<()> {
    if is_sheltered() {
        return Ok(());
    }
    let file = file()?;
    let error = sys::task::execute_file(&file, arguments, environment);
    Err(RuntimeError::Step { step: "start again from a sheltered file".into(), source: error })
}

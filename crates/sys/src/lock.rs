//! Locks on open files (`flock`): they end with the process, however it ends.

use std::fs::File;
use std::io;

use rustix::fs::{FlockOperation, flock};

/// How a lock is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// With other readers.
    Shared,
    /// With nobody.
    Exclusive,
}

/// Waits for the lock; closing the file gives it back.
pub fn lock(file: &File, mode: Mode) -> io::Result<()> {
    let operation = match mode {
        Mode::Shared => FlockOperation::LockShared,
        Mode::Exclusive => FlockOperation::LockExclusive,
    };
    loop {
        match flock(file, operation) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Takes the lock if nobody is in the way, and says whether it did.
pub fn try_lock(file: &File, mode: Mode) -> io::Result<bool> {
    let operation = match mode {
        Mode::Shared => FlockOperation::NonBlockingLockShared,
        Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

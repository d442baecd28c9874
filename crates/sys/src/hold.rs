//! A lock that can be asked about without being taken (open file description locks): it ends with
//! the process, and whoever looks is never in the way of whoever wants it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Takes the lock over a file if nobody has it, and says whether it did. Closing the file gives
/// it back.
pub fn try_hold(file: &File) -> io::Result<bool> {
    let mut lock = whole(libc::F_WRLCK);
    match control(file, libc::F_OFD_SETLK, &mut lock) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Whether somebody else has the lock.
pub fn is_held(file: &File) -> io::Result<bool> {
    let mut lock = whole(libc::F_WRLCK);
    control(file, libc::F_OFD_GETLK, &mut lock)?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn whole(kind: i32) -> libc::flock {
    // SAFETY: all-zero bytes are a valid `flock`, which is made of integers: the whole file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

fn control(file: &File, command: i32, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: the descriptor is open and `lock` is a live `flock`, which the kernel reads and fills.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut *lock) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_and_others_may_look() {
        let path = std::env::temp_dir().join(format!("sys-hold-{}", std::process::id()));
        let open = || File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        let (first, second) = (open(), open());
        assert!(!is_held(&second).unwrap());
        assert!(try_hold(&first).unwrap());
        assert!(is_held(&second).unwrap());
        assert!(!try_hold(&second).unwrap());
        drop(first);
        assert!(try_hold(&second).unwrap());
        std::fs::remove_file(&path).unwrap();
    }
}

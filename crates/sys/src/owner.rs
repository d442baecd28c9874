//! Whose the files are that a thread makes.

use std::io;

use rustix::thread::{capabilities, set_capabilities};

/// Does something while files that the calling thread makes belong to this user and group. It may do
/// all that it may otherwise.
pub fn making_for<T>(user: u32, group: u32, work: impl FnOnce() -> T) -> io::Result<T> {
    let _home = Home::leave(user, group)?;
    Ok(work())
}

/// Brings the thread back when it is dropped.
struct Home {
    user: u32,
    group: u32,
}

impl Home {
    fn leave(user: u32, group: u32) -> io::Result<Home> {
        let own = capabilities(None)?;
        let home = Home { group: set_group(group), user: set_user(user) };
        // The kernel takes powers over files from whoever is no longer root to them.
        set_capabilities(None, own)?;
        match (set_user(user), set_group(group)) == (user, group) {
            true => Ok(home),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        set_user(self.user);
        set_group(self.group);
    }
}

/// Sets the user to whom files are made, and gives who it was. That it failed is seen by asking again.
fn set_user(user: u32) -> u32 {
    // SAFETY: the call takes a number and concerns the calling thread alone.
    unsafe { libc::syscall(libc::SYS_setfsuid, user) as u32 }
}

/// The same for the group.
fn set_group(group: u32) -> u32 {
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_setfsgid, group) as u32 }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn files_are_made_for_somebody_else_and_then_for_oneself_again() {
        if !crate::host::is_root() {
            return println!("skipped: files for somebody else take root");
        }
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            // The folder is closed to everybody but its owner, who is not this user.
            File::create_new(folder.path().join(name)).unwrap();
            let found = fs::metadata(folder.path().join(name)).unwrap();
            (found.uid(), found.gid())
        };
        assert_eq!(making_for(70_001, 70_002, || made("theirs")).unwrap(), (70_001, 70_002));
        assert_eq!(made("own"), (0, 0));
    }
}

//! Where a walk through folders is, however deep, with one folder open.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use sys::fs::Stat;

/// A folder somewhere below the one that the walk began in.
pub struct Place {
    folder: OwnedFd,
    /// Device and inode number of each folder above, the first one first.
    above: Vec<(u64, u64)>,
}

impl Place {
    /// Begins in this folder.
    pub fn at(folder: impl AsFd) -> io::Result<Place> {
        Ok(Place { folder: sys::fs::folder_beneath(folder, ".")?, above: Vec::new() })
    }

    /// The folder where the walk is.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Its attributes.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.folder)?)
    }

    /// Goes into a folder of this folder; no link is followed.
    pub fn enter(&mut self, name: &[u8]) -> io::Result<()> {
        let here = self.identity()?;
        self.folder = sys::fs::folder_beneath(&self.folder, name)?;
        self.above.push(here);
        Ok(())
    }

    /// Goes back to the folder that it came from, which must still be the one above.
    pub fn leave(&mut self) -> io::Result<()> {
        let wanted = self.above.pop();
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.folder = rustix::fs::openat(&self.folder, "..", flags, Mode::empty())?;
        match wanted == Some(self.identity()?) {
            true => Ok(()),
            false => Err(io::Error::other("a folder was moved while somebody was in it")),
        }
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        let stat = self.stat()?;
        Ok((stat.st_dev, stat.st_ino))
    }
}

/// Removes a file, or a folder with all that is in it; what is not there is no error.
pub fn remove(folder: impl AsFd, name: &[u8]) -> io::Result<()> {
    if !remove_file(&folder, name)? {
        return Ok(());
    }
    let mut place = Place::at(folder)?;
    // Each folder on the way with the folders in it that are still to go.
    let mut way = vec![(name.to_vec(), enter_and_clear(&mut place, name)?)];
    while let Some((name, folders)) = way.last_mut() {
        match folders.pop() {
            Some(next) => {
                let inner = enter_and_clear(&mut place, &next)?;
                way.push((next, inner));
            }
            None => {
                place.leave()?;
                sys::fs::remove_folder(place.folder(), name.as_slice())?;
                way.pop();
            }
        }
    }
    Ok(())
}

/// Goes into a folder, removes the files in it, and gives the names of the folders.
fn enter_and_clear(place: &mut Place, name: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    place.enter(name)?;
    let mut folders = Vec::new();
    for (name, _) in sys::fs::names(place.folder())? {
        if remove_file(place.folder(), &name)? {
            folders.push(name);
        }
    }
    Ok(folders)
}

/// Removes what is no folder, and says whether it is one.
fn remove_file(folder: impl AsFd, name: &[u8]) -> io::Result<bool> {
    match sys::fs::remove_file(&folder, name) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // EISDIR on Linux; EPERM elsewhere, and for a file that must not be changed.
        Err(error) => match sys::fs::stat(&folder, name) {
            Ok(stat) if is_folder(&stat) => Ok(true),
            _ => Err(error),
        },
    }
}

fn is_folder(stat: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
}

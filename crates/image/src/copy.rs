//! Copies a tree of files as it is: data, names, owners, modes, times, attributes, holes.
//!
//! Everything happens below open folders and no link is followed. Memory and open files do not
//! grow with the tree: a walk holds one open folder on each side, and hard links are found again
//! through a folder of spare names instead of a table.

mod merge;
mod place;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sys::fs::{FileType, Stat};

pub use merge::{hide, merge};
pub use place::{Place, remove};

/// Copies everything in one folder into another, which must be empty, and its attributes too.
pub fn copy_tree(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    let (mut from, mut to) = (Place::at(from)?, Place::at(to)?);
    let stat = from.stat()?;
    let mut copier = Copier::new(to.folder())?;
    copier.walk(&mut from, &mut to)?;
    copier.finish()?;
    dress(from.folder(), &stat, to.folder(), b".")
}

/// A copy in the making, of a whole tree or of parts of it.
pub struct Copier {
    root: OwnedFd,
    /// A folder in the root with one more name of each copied file that has several.
    links: Option<(Vec<u8>, OwnedFd)>,
    /// Whether the file system may be asked to share data.
    shares: bool,
}

/// A folder that a walk is in.
struct Level {
    /// The folder's attributes before anything was done to it.
    stat: Stat,
    /// The folders in it that are still to come.
    folders: Vec<Vec<u8>>,
}

impl Copier {
    /// Copies into a tree with this root.
    pub fn new(root: impl AsFd) -> io::Result<Copier> {
        Ok(Copier { root: sys::fs::folder_beneath(root, ".")?, links: None, shares: true })
    }

    /// Copies a file of any kind, a folder with all that is in it, under the same name into
    /// another folder, where nothing has that name.
    pub fn entry(&mut self, from: impl AsFd, to: impl AsFd, name: &[u8]) -> io::Result<()> {
        let stat = sys::fs::stat(&from, name)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return self.file(&from, &to, name, &stat);
        }
        sys::fs::make_folder(&to, name, 0o700)?;
        let (mut from, mut to) = (Place::at(from)?, Place::at(to)?);
        from.enter(name)?;
        to.enter(name)?;
        self.walk(&mut from, &mut to)?;
        dress(from.folder(), &stat, to.folder(), b".")
    }

    /// Ends the copy. Until then names of linked files may be missing, and a folder too many be
    /// in the root.
    pub fn finish(self) -> io::Result<()> {
        match &self.links {
            Some((name, _)) => remove(&self.root, name),
            None => Ok(()),
        }
    }

    /// Copies what is in a folder. The folder itself stays as it is, for the caller to dress.
    fn walk(&mut self, from: &mut Place, to: &mut Place) -> io::Result<()> {
        let mut levels = vec![self.level(from, to)?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.folders.pop() {
                from.enter(&name)?;
                to.enter(&name)?;
                levels.push(self.level(from, to)?);
                continue;
            }
            let Some(Level { stat, .. }) = levels.pop().filter(|_| !levels.is_empty()) else {
                break;
            };
            // Nothing more is put into it, so its time stays.
            dress(from.folder(), &stat, to.folder(), b".")?;
            from.leave()?;
            to.leave()?;
        }
        Ok(())
    }

    /// Copies the files of one folder and makes the folders in it.
    fn level(&mut self, from: &Place, to: &Place) -> io::Result<Level> {
        let mut level = Level { stat: from.stat()?, folders: Vec::new() };
        for (name, _) in sys::fs::names(from.folder())? {
            let stat = sys::fs::stat(from.folder(), name.as_slice())?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                sys::fs::make_folder(to.folder(), name.as_slice(), 0o700)?;
                level.folders.push(name);
            } else {
                self.file(from.folder(), to.folder(), &name, &stat)?;
            }
        }
        Ok(level)
    }

    /// Copies what is no folder, or gives its copy one more name.
    fn file(&mut self, from: impl AsFd, to: impl AsFd, name: &[u8], stat: &Stat) -> io::Result<()> {
        let spare = (stat.st_nlink > 1).then(|| format!("{:x}-{:x}", stat.st_dev, stat.st_ino));
        if let (Some(spare), Some((_, links))) = (&spare, &self.links) {
            match sys::fs::hard_link(links, spare.as_str(), &to, name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other,
            }
        }
        self.new_file(&from, &to, name, stat)?;
        match spare {
            Some(spare) => sys::fs::hard_link(&to, name, self.links()?, spare.as_str()),
            None => Ok(()),
        }
    }

    fn new_file(
        &mut self,
        from: impl AsFd,
        to: impl AsFd,
        name: &[u8],
        stat: &Stat,
    ) -> io::Result<()> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let source = sys::fs::file_beneath(&from, name)?;
                let copy = sys::fs::create_new(&to, name, 0o600)?;
                self.data(&source, &copy, stat.st_size as u64)?;
                return dress(&source, stat, &to, name);
            }
            FileType::Symlink => {
                sys::fs::make_link(sys::fs::read_link(&from, name)?, &to, name)?;
            }
            _ => {
                let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                sys::fs::make_node(&to, name, stat.st_mode, device)?;
            }
        }
        dress(sys::fs::open_path(&from, name)?, stat, &to, name)
    }

    /// The folder of spare names. Nobody can have foreseen its own.
    fn links(&mut self) -> io::Result<&OwnedFd> {
        if self.links.is_none() {
            let name = format!(".links-{}", sys::host::random_id()?).into_bytes();
            sys::fs::make_folder(&self.root, name.as_slice(), 0o700)?;
            let folder = sys::fs::folder_beneath(&self.root, name.as_slice())?;
            self.links = Some((name, folder));
        }
        let (_, folder) = self.links.as_ref().expect("it was made just now");
        Ok(folder)
    }

    /// Shares a file's data with its copy where the file system can, or copies what is not a hole.
    fn data(&mut self, from: &File, to: &File, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        if self.shares {
            match sys::fs::clone_file(from, to) {
                Ok(()) => return Ok(()),
                // Never on this file system, so there is no need to ask again.
                Err(error) if is_no_sharing(&error) => self.shares = false,
                // Not this file; copying says why if that fails too.
                Err(_) => {}
            }
        }
        let mut at = 0;
        while let Some((start, end)) = next_data(from, at, bytes)? {
            if sys::fs::copy_range(from, start, to, start, end - start)? < end - start {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at = end;
        }
        to.set_len(bytes)
    }
}

fn is_no_sharing(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::OPNOTSUPP | Errno::XDEV | Errno::NOTTY | Errno::NOSYS))
}

/// The next stretch at or behind `at` that is no hole.
fn next_data(file: &File, at: u64, bytes: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= bytes {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows no holes has data everywhere.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, bytes))),
        Err(error) => return Err(error.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(bytes);
    Ok((start < end).then_some((start, end)))
}

/// Gives what stands at `name` in a folder the owner, mode and times of `stat` and the extended
/// attributes of `from`, in the order in which none undoes another.
pub fn dress(from: impl AsFd, stat: &Stat, folder: impl AsFd, name: &[u8]) -> io::Result<()> {
    let folder = folder.as_fd();
    sys::fs::set_owner(folder, name, stat.st_uid, stat.st_gid)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        sys::fs::set_mode(folder, name, stat.st_mode & 0o7777)?;
    }
    let file = sys::fs::open_path(folder, name)?;
    let (wanted, found) = (sys::fs::xattrs(from)?, sys::fs::xattrs(&file)?);
    for (name, _) in found.iter().filter(|(name, _)| !wanted.iter().any(|(other, _)| other == name))
    {
        // The host's own label of a new file is the host's business.
        if name != b"security.selinux" {
            remove_xattr(&file, name)?;
        }
    }
    for (name, value) in wanted.iter().filter(|wanted| !found.contains(wanted)) {
        match sys::fs::set_xattr(&file, name, value) {
            // What this file system cannot keep at all is left out, as when a layer is unpacked.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            other => other?,
        }
    }
    sys::fs::set_mtime(folder, name, stat.st_mtime, stat.st_mtime_nsec as u32)
}

/// Removes an extended attribute of the file that a descriptor names; one that is not there is no
/// error.
fn remove_xattr(file: impl AsFd, name: &[u8]) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // An O_PATH descriptor has no attribute calls of its own; its path in /proc has.
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    match rustix::fs::removexattr(path, name) {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests;

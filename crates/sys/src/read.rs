//! Small files read in as few calls as can be: opened, read once, closed. Large ones that nobody
//! changes are seen where the kernel has them.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::ptr::NonNull;

use rustix::fs::{Mode, OFlags};

/// What one read takes. Nearly all that is read on the way to a container is smaller.
const FIRST_BYTES: usize = 16 << 10;

/// Reads a file whole, of a regular file system, of `/proc` or of control groups.
///
/// These give less than they were asked for only at their end, so a first read that comes back
/// short is the last one too, and nobody needs to be asked for the size before.
pub fn whole(path: &Path) -> io::Result<Vec<u8>> {
    limited(path, u64::MAX)
}

/// Reads a file whole, but no more than `limit` bytes and one.
pub fn limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    opened(File::open(path)?, limit)
}

/// The bytes of a file.
pub enum Bytes {
    /// A copy of them.
    Read(Vec<u8>),
    /// Themselves.
    Mapped(Mapped),
}

/// A file's bytes in the kernel's own memory.
pub struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

/// The bytes of a file that is replaced by another and never changed, up to `limit` of them and one.
///
/// A page of one's own costs the kernel more than to show the page that it has, so a large file is
/// mapped. Whoever changes such a file in its place all the same changes these bytes too, and who
/// cuts it short ends this process.
pub fn replaced(path: &Path, limit: u64) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    let first = first(&mut file)?;
    if first.len() < FIRST_BYTES {
        return Ok(Bytes::Read(first));
    }
    let length = file.metadata()?.len();
    if length <= limit
        && let Ok(length) = usize::try_from(length)
        // Not every file system can do it, and no kernel before 5.14.
        && let Ok(mapped) = Mapped::new(&file, length)
    {
        return Ok(Bytes::Mapped(mapped));
    }
    with_rest(first, file, limit).map(Bytes::Read)
}

// SAFETY: nobody writes to what was mapped, whichever thread reads it, and it goes with its owner.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn new(file: &File, length: usize) -> io::Result<Mapped> {
        let (nowhere, private) = (std::ptr::null_mut(), libc::MAP_PRIVATE);
        let fd = file.as_raw_fd();
        // SAFETY: the kernel chooses a place where nothing is; the file is open.
        let start = unsafe { libc::mmap(nowhere, length, libc::PROT_READ, private, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::Unsupported)?;
        let mapped = Mapped { start, length };
        // What the disk cannot give shows here; a read then says why. Later it would be a signal.
        // SAFETY: this is what was mapped, and nothing of it changes.
        match unsafe { libc::madvise(start.as_ptr().cast(), length, libc::MADV_POPULATE_READ) } {
            0 => Ok(mapped),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: this is what was mapped, and nobody can refer to it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Read(bytes) => bytes,
            // SAFETY: so many bytes are mapped for as long as `self` lives. That nobody changes
            // them is what callers of `replaced` say of the file.
            Bytes::Mapped(mapped) => unsafe {
                std::slice::from_raw_parts(mapped.start.as_ptr(), mapped.length)
            },
        }
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes::Read(Vec::new())
    }
}

/// Reads a file whole by its path from an open folder: shorter to walk for who reads many.
pub fn at(folder: impl AsFd, path: &str) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, path, flags, Mode::empty())?;
    opened(file.into(), u64::MAX)
}

/// The same of a file that is open, from where it is read.
pub fn opened(mut file: File, limit: u64) -> io::Result<Vec<u8>> {
    let first = first(&mut file)?;
    match first.len() {
        FIRST_BYTES => with_rest(first, file, limit),
        _ => Ok(first),
    }
}

/// What one read gives.
fn first(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = [0; FIRST_BYTES];
    loop {
        match file.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            taken => return Ok(bytes[..taken?].to_vec()),
        }
    }
}

/// The same with all that follows.
fn with_rest(mut bytes: Vec<u8>, file: File, limit: u64) -> io::Result<Vec<u8>> {
    let taken = bytes.len() as u64;
    bytes.reserve(file.metadata()?.len().min(limit).saturating_sub(taken) as usize + 1);
    file.take(limit.saturating_add(1).saturating_sub(taken)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file whole as text.
pub fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(whole(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_all_sizes_come_whole() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        for size in [0, 1, FIRST_BYTES - 1, FIRST_BYTES, FIRST_BYTES + 1, 5 * FIRST_BYTES] {
            let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(whole(&path).unwrap(), bytes, "{size} bytes");
            assert_eq!(*replaced(&path, u64::MAX).unwrap(), bytes, "{size} bytes");
        }
        // What is replaced stays what it was for who has it.
        let before = replaced(&path, u64::MAX).unwrap();
        assert!(matches!(before, Bytes::Mapped(_)));
        std::fs::write(place.path().join("new"), vec![7; 5 * FIRST_BYTES]).unwrap();
        std::fs::rename(place.path().join("new"), &path).unwrap();
        assert_ne!(*before, *replaced(&path, u64::MAX).unwrap());
        assert_eq!(before[255..258], [255, 0, 1]);
        assert_eq!(replaced(&path, 2 * FIRST_BYTES as u64).unwrap().len(), 2 * FIRST_BYTES + 1);
        assert_eq!(limited(&path, 2 * FIRST_BYTES as u64).unwrap().len(), 2 * FIRST_BYTES + 1);
        assert!(text(Path::new("/proc/self/stat")).unwrap().ends_with('\n'));
        assert_eq!(whole(place.path().join("none").as_path()).unwrap_err().raw_os_error(), Some(2));
    }
}

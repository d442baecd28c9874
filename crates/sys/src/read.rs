//! Small files read in as few calls as can be: opened, read once, closed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

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

/// Reads a file whole by its path from an open folder: shorter to walk for who reads many.
pub fn at(folder: impl AsFd, path: &str) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, path, flags, Mode::empty())?;
    opened(file.into(), u64::MAX)
}

/// The same of a file that is open, from where it is read.
pub fn opened(mut file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut first = [0; FIRST_BYTES];
    let taken = loop {
        match file.read(&mut first) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    let mut bytes = first[..taken].to_vec();
    if taken == FIRST_BYTES {
        bytes.reserve(file.metadata()?.len().min(limit).saturating_sub(taken as u64) as usize + 1);
        let left = limit.saturating_add(1).saturating_sub(taken as u64);
        file.take(left).read_to_end(&mut bytes)?;
    }
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
        }
        assert_eq!(limited(&path, 2 * FIRST_BYTES as u64).unwrap().len(), 2 * FIRST_BYTES + 1);
        assert!(text(Path::new("/proc/self/stat")).unwrap().ends_with('\n'));
        assert_eq!(whole(place.path().join("none").as_path()).unwrap_err().raw_os_error(), Some(2));
    }
}

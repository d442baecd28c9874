//! The digest of an index file.

use std::fs::File;
use std::io;

use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use spec::{Algorithm, Digest, Hasher};

/// What is hashed together.
const BLOCK: u64 = 4096;
/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// The digest of a file that may claim terabytes and hold kilobytes: the index of a layer with
/// sparse files lays them out at full length.
///
/// Blocks of zeros are passed over, and holes without being read. What is hashed is every other
/// block behind its offset, and at the end the file's length; so the digest is the same whether a
/// file system keeps zeros as holes or not.
pub(crate) fn digest(file: &File, algorithm: Algorithm) -> io::Result<Digest> {
    let length = file.metadata()?.len();
    let mut hasher = Hasher::new(algorithm);
    let mut at = 0;
    while let Some((from, to)) = next_data(file, at, length)? {
        hash_blocks(file, from / BLOCK * BLOCK, to, &mut hasher)?;
        // The block in which the data ends is hashed whole.
        at = to.next_multiple_of(BLOCK);
    }
    hasher.update(&length.to_le_bytes());
    Ok(hasher.finish())
}

/// The next stretch at or behind `at` that may hold something else than zeros.
fn next_data(file: &File, at: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= length {
        return Ok(None);
    }
    let from = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(from) => from,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows no holes has data everywhere.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, length))),
        Err(error) => return Err(error.into()),
    };
    let to = rustix::fs::seek(file, SeekFrom::Hole(from))?;
    Ok(Some((from, to.min(length))))
}

fn hash_blocks(file: &File, from: u64, to: u64, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = from;
    while at < to {
        let filled = read_full(file, &mut buffer, at)?;
        if filled == 0 {
            break;
        }
        for (number, block) in buffer[..filled].chunks(BLOCK as usize).enumerate() {
            let offset = at + number as u64 * BLOCK;
            if offset < to && block.iter().any(|byte| *byte != 0) {
                hasher.update(&offset.to_le_bytes());
                hasher.update(block);
            }
        }
        at += filled as u64;
    }
    Ok(())
}

fn read_full(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_and_zeros_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = folder.path().join(name);
            File::options().read(true).write(true).create_new(true).open(path).unwrap()
        };
        let (sparse, dense) = (make("sparse"), make("dense"));
        dense.write_all_at(&vec![0; 1_000_000], 0).unwrap();
        sparse.set_len(1_000_000).unwrap();
        let digest = |file: &File| super::digest(file, Algorithm::Sha256).unwrap();
        assert_eq!(digest(&sparse), digest(&dense));
        let empty = digest(&sparse);
        for (at, bytes) in [(0, 1), (4095, 2), (500_000, 70_000), (999_999, 1)] {
            let before = digest(&dense);
            for file in [&sparse, &dense] {
                file.write_all_at(&vec![1; bytes], at).unwrap();
            }
            assert_eq!(digest(&sparse), digest(&dense), "at {at}");
            assert_ne!(digest(&dense), before, "at {at}");
        }
        sparse.set_len(1_000_001).unwrap();
        assert_ne!(digest(&sparse), digest(&dense));
        assert_ne!(digest(&make("empty")), empty);
    }

    #[test]
    fn a_terabyte_of_nothing_takes_no_time() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        let started = std::time::Instant::now();
        super::digest(&file, Algorithm::Sha256).unwrap();
        assert!(started.elapsed().as_secs() < 5);
    }
}

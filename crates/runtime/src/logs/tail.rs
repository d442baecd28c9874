//! Where the last entries of a file begin, found from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::local;

const BLOCK_BYTES: u64 = 64 * 1024;

/// Where the last `wanted` entries of a plain file begin, and how many there are of them at most.
pub(super) fn last_lines(file: &File, wanted: u64) -> io::Result<(u64, u64)> {
    let size = file.metadata()?.len();
    if wanted == 0 || size == 0 {
        return Ok((size, 0));
    }
    let mut found = 0;
    let mut end = size;
    let mut block = vec![0; BLOCK_BYTES as usize];
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        let bytes = &mut block[..(end - start) as usize];
        file.read_exact_at(bytes, start)?;
        // A line begins behind every line end but the last byte of the file.
        for (place, byte) in bytes.iter().enumerate().rev() {
            let next = start + place as u64 + 1;
            if *byte == b'\n' && next < size {
                found += 1;
                if found == wanted {
                    return Ok((next, found));
                }
            }
        }
        end = start;
    }
    Ok((0, found + 1))
}

/// Likewise for the records of a `local` file, which begin at `start`.
pub(super) fn last_records(file: &File, start: u64, wanted: u64) -> io::Result<(u64, u64)> {
    let (mut at, mut found) = (file.metadata()?.len().max(start), 0);
    while found < wanted {
        let Some(before) = local::before(file, start, at)? else { break };
        at = before;
        found += 1;
    }
    Ok((at, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_from_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let check = |text: &str, wanted, expected| {
            std::fs::write(&path, text).unwrap();
            let found = last_lines(&File::open(&path).unwrap(), wanted).unwrap();
            assert_eq!(found, expected, "{} of {} bytes", wanted, text.len());
        };
        check("", 3, (0, 0));
        check("a\nb\nc\n", 2, (2, 2));
        check("a\nb\nc\n", 3, (0, 3));
        check("a\nb\nc\n", 9, (0, 3));
        check("a\nb\nc\n", 0, (6, 0));
        check("a\nb", 1, (2, 1));
        let long = "x".repeat(200_000) + "\n" + "y\n";
        check(&long, 1, (200_001, 1));
        check(&long, 2, (0, 2));
    }
}

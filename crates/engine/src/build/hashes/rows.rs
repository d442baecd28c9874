//! A memory of hashes as it lies in its file: rows that are looked up where they are, so that a
//! hundred thousand files cost one reading of it and nothing each.

use std::sync::atomic::{AtomicUsize, Ordering};

use sys::read::Bytes;

use super::{Hash, Seen};

/// The first bytes of a memory; another version is no memory.
const MAGIC: &[u8; 8] = b"micahsh1";
/// Paths' bytes aside, what one file takes.
const ROW: usize = 4 + 8 + 8 + 12 + 12 + 32;

/// What is remembered, file by file.
#[derive(Default)]
pub(super) struct Rows {
    bytes: Bytes,
    /// Where each row begins, in the order of the paths.
    starts: Vec<u32>,
    /// The row after the one that was asked for last: who walks through a folder asks in order.
    next: AtomicUsize,
}

impl Rows {
    /// Takes what a file holds; nothing if that is no memory.
    pub(super) fn parse(bytes: Bytes) -> Option<Rows> {
        let (mut at, mut is_sorted) = (MAGIC.len(), bytes.starts_with(MAGIC));
        if !is_sorted {
            return None;
        }
        let mut starts = Vec::with_capacity(bytes.len() / (ROW + 24));
        let mut before = &b""[..];
        while at < bytes.len() {
            starts.push(u32::try_from(at).ok()?);
            let row = bytes.get(at..at + ROW)?;
            let length = u32::from_le_bytes(row[..4].try_into().ok()?) as usize;
            let path = bytes.get(at + ROW..at + ROW + length)?;
            is_sorted &= before <= path;
            (at, before) = (at + ROW + length, path);
        }
        let mut rows = Rows { bytes, starts, next: AtomicUsize::new(0) };
        if !is_sorted {
            let mut starts = std::mem::take(&mut rows.starts);
            starts.sort_unstable_by(|one, other| rows.path(*one).cmp(rows.path(*other)));
            rows.starts = starts;
        }
        Some(rows)
    }

    /// Writes rows in the order of their paths.
    pub(super) fn write(mut all: Vec<(&[u8], (Seen, Hash))>) -> Vec<u8> {
        all.sort_by_key(|(path, _)| *path);
        let paths: usize = all.iter().map(|(path, _)| path.len()).sum();
        let mut bytes = Vec::with_capacity(MAGIC.len() + all.len() * ROW + paths);
        bytes.extend(MAGIC);
        for (path, (seen, hash)) in all {
            bytes.extend((path.len() as u32).to_le_bytes());
            bytes.extend(seen.inode.to_le_bytes());
            bytes.extend(seen.bytes.to_le_bytes());
            for (seconds, nanos) in [seen.changed, seen.modified] {
                bytes.extend(seconds.to_le_bytes());
                bytes.extend(nanos.to_le_bytes());
            }
            bytes.extend(hash);
            bytes.extend(path);
        }
        bytes
    }

    /// What is remembered of a file.
    pub(super) fn find(&self, path: &[u8]) -> Option<(Seen, Hash)> {
        let next = self.next.load(Ordering::Relaxed);
        let is_next = self.starts.get(next).is_some_and(|start| self.path(*start) == path);
        let at = match is_next {
            true => next,
            false => {
                let found = self.starts.binary_search_by(|start| self.path(*start).cmp(path));
                // Where it would be is near to what is asked for next.
                let _ = found.inspect_err(|at| self.next.store(*at, Ordering::Relaxed));
                found.ok()?
            }
        };
        self.next.store(at + 1, Ordering::Relaxed);
        Some(self.row(self.starts[at]))
    }

    /// All of it.
    pub(super) fn all(&self) -> impl Iterator<Item = (&[u8], (Seen, Hash))> {
        self.starts.iter().map(|start| (self.path(*start), self.row(*start)))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    fn path(&self, start: u32) -> &[u8] {
        let start = start as usize;
        let length = u32::from_le_bytes(self.field(start)) as usize;
        &self.bytes[start + ROW..start + ROW + length]
    }

    fn row(&self, start: u32) -> (Seen, Hash) {
        let start = start as usize;
        let time = |at: usize| {
            let nanos = u32::from_le_bytes(self.field(at + 8));
            (i64::from_le_bytes(self.field(at)), nanos)
        };
        let seen = Seen {
            inode: u64::from_le_bytes(self.field(start + 4)),
            bytes: u64::from_le_bytes(self.field(start + 12)),
            changed: time(start + 20),
            modified: time(start + 32),
        };
        (seen, self.field(start + 44))
    }

    /// A row was found to be whole when it was read.
    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..at + N].try_into().expect("a slice is as long as it was cut")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: Vec<u8>) -> Option<Rows> {
        Rows::parse(Bytes::Read(bytes))
    }

    fn seen(number: u64) -> Seen {
        Seen { inode: number, bytes: 7 * number, changed: (-1, 5), modified: (number as i64, 999) }
    }

    #[test]
    fn rows_are_found_in_any_order() {
        let paths: Vec<Vec<u8>> = (0..200_u64).map(|n| format!("{}/f{n}", n % 9).into()).collect();
        let row = |n: usize| (seen(n as u64), [n as u8; 32]);
        let told = paths.iter().enumerate().map(|(n, path)| (&path[..], row(n)));
        let written = Rows::write(told.clone().collect());
        let rows = read(written).unwrap();
        for (path, row) in told.clone().chain(told.rev()) {
            assert_eq!(rows.find(path), Some(row));
            assert_eq!(rows.find(b"5/none"), None);
        }
        assert!(rows.all().map(|(path, _)| path).is_sorted());
    }

    #[test]
    fn rows_in_no_order_are_put_in_order() {
        // As versions before wrote them.
        let one = |path: &'static str, n| Rows::write(vec![(path.as_bytes(), (seen(n), [1; 32]))]);
        let mut bytes = one("b", 1);
        bytes.extend(&one("a/x", 2)[MAGIC.len()..]);
        bytes.extend(&one("a", 3)[MAGIC.len()..]);
        let rows = read(bytes).unwrap();
        assert!(rows.all().map(|(path, _)| path).eq([&b"a"[..], b"a/x", b"b"]));
        assert_eq!(rows.find(b"a/x"), Some((seen(2), [1; 32])));
    }

    #[test]
    fn a_damaged_memory_is_none() {
        let whole = Rows::write(vec![(b"a", (seen(1), [1; 32])), (b"b", (seen(2), [2; 32]))]);
        let ends = [8, 8 + ROW + 1, 8 + 2 * (ROW + 1)];
        for end in 0..=whole.len() {
            let rows = read(whole[..end].to_vec());
            assert_eq!(rows.is_some(), ends.contains(&end), "{end}");
        }
        assert!(read(b"something else".to_vec()).is_none());
        let mut endless = whole;
        endless[8..12].fill(0xff);
        assert!(read(endless).is_none());
    }
}

//! The layer that a step made in an earlier build: what is in it and has not changed since need not be
//! read from the context again. It is one file, read once from its beginning to its end.

use std::fs::File;
use std::io::{BufReader, Read};

use ::build::graph::StepId;
use image::tar::{Entry, EntryKind, Limits, TarReader};
use spec::Digest;

use super::copy::Gathered;
use super::hashes::{Hash, hash_of};
use super::history;
use super::tracks;
use super::work::Builder;

/// So many files are worth the search.
const WORTH: u64 = 64;
/// What a file takes in a tar besides its bytes.
const FILE_BYTES: u64 = 1024;
/// A larger file is read where it is: what comes from here is in memory until it was found to be right.
const MOST_BYTES: u64 = 1 << 20;
/// How much is read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A layer's tar, as far as it was read.
pub(super) struct Older {
    tar: TarReader<BufReader<File>>,
    entry: Entry,
    has_entry: bool,
}

impl Builder<'_> {
    /// What a step made before, if there is enough that may come from there.
    pub(super) fn older(&self, at: StepId, gathered: &Gathered) -> Option<Older> {
        let step = &self.graph.steps[at];
        let items = gathered.chosen.iter().flat_map(|chosen| chosen.items());
        let small = items.filter(|item| item.stat.bytes <= MOST_BYTES);
        let (count, bytes) =
            small.fold((0, 0), |(count, bytes), item| (count + 1, bytes + item.stat.bytes));
        if count < WORTH || !self.may_recall(at, step) {
            return None;
        }
        let text = tracks::text(step);
        let (now, platform) = self.earlier.now();
        let record = history::before(self.store(), now, platform).next()?;
        let is_it = |own: &&history::BuildStep| own.text == text && own.stage == step.stage;
        let key = record.steps.iter().find(is_it)?.key?;
        let layer = self.store().recall_step(&key).ok()??.layer?;
        // Nobody reads past large files to find small ones.
        if layer.bytes > 2 * (bytes + count * FILE_BYTES) {
            return None;
        }
        Some(Older::new(self.store().open_blob(&layer.diff.0).ok()?))
    }
}

impl Older {
    fn new(tar: File) -> Older {
        let tar = BufReader::with_capacity(BUFFER_BYTES, tar);
        let tar = TarReader::new(tar, Limits::default());
        let mut older = Older { tar, entry: Entry::default(), has_entry: true };
        older.advance();
        older
    }

    /// What is in the file of this path, if it is this. Paths are asked for in their order.
    pub(super) fn take(&mut self, path: &[u8], bytes: u64, hash: &Hash) -> Option<Vec<u8>> {
        while self.has_entry && self.path() < path {
            self.advance();
        }
        let is_it = self.has_entry
            && self.path() == path
            && self.entry.kind == EntryKind::File
            && self.entry.size == bytes
            && bytes <= MOST_BYTES;
        if !is_it {
            return None;
        }
        let mut content = Vec::with_capacity(bytes as usize);
        let read = self.tar.data().take(bytes).read_to_end(&mut content);
        // Whatever is wrong with it, the context has the file.
        let is_right = read.is_ok() && hash_of(&Digest::of(&content)) == *hash;
        is_right.then_some(content)
    }

    fn path(&self) -> &[u8] {
        self.entry.path.strip_suffix(b"/").unwrap_or(&self.entry.path)
    }

    fn advance(&mut self) {
        self.has_entry = matches!(self.tar.next_into(&mut self.entry), Ok(true));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use image::tar::TarWriter;

    use super::*;

    fn tar(files: &[(&str, &str)]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let mut tar = TarWriter::new(Vec::new());
        for (path, content) in files {
            let kind = if path.ends_with('/') { EntryKind::Directory } else { EntryKind::File };
            let (path, size) = (path.as_bytes().to_vec(), content.len() as u64);
            let entry = Entry { path, kind, size, ..Entry::default() };
            tar.append(&entry, &mut content.as_bytes()).unwrap();
        }
        file.write_all(&tar.finish().unwrap()).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn what_is_the_same_is_taken_and_nothing_else() {
        let files = [("a/", ""), ("a/b", "one"), ("a/c", "two"), ("a/e", "three"), ("b", "four")];
        let mut older = Older::new(tar(&files));
        let mut check = |path: &str, content: &str, is_there: bool| {
            let hash = hash_of(&Digest::of(content.as_bytes()));
            let taken = older.take(path.as_bytes(), content.len() as u64, &hash);
            assert_eq!(taken, is_there.then(|| content.as_bytes().to_vec()), "{path}");
        };
        check("a", "", false);
        check("a/b", "one", true);
        check("a/c", "owt", false);
        check("a/d", "new", false);
        check("a/e", "longer than it was", false);
        check("b", "four", true);
        check("c", "five", false);
    }
}

//! A merged tree, one name after another: however large it is, a few names are held at a time.

use std::collections::HashMap;
use std::iter::Peekable;

use super::{Merge, Merged, Origin};
use crate::erofs::{self, IndexEntry, IndexError};

/// What is in a merged folder, in the order of the names. Of each layer's folder only a few names
/// are held at a time.
pub struct Entries<'a> {
    merged: &'a Merged,
    /// Top first.
    parts: Vec<Part<'a>>,
}

/// A layer's part of a merged folder.
struct Part<'a> {
    layer: usize,
    names: Peekable<erofs::Entries<'a>>,
}

impl Part<'_> {
    fn name(&mut self) -> Option<&[u8]> {
        self.names.peek().and_then(|entry| entry.as_ref().ok()).map(|entry| entry.name.as_slice())
    }

    /// What it has under a name, if that is its next one.
    fn take(&mut self, name: &[u8]) -> Option<IndexEntry> {
        if self.name()? != name {
            return None;
        }
        self.names.next()?.ok()
    }

    fn take_error(&mut self) -> Result<(), IndexError> {
        match self.names.next_if(Result::is_err) {
            Some(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

impl<'a> Entries<'a> {
    pub(super) fn new(merged: &'a Merged, folder: &Merge) -> Result<Entries<'a>, IndexError> {
        let mut parts = Vec::new();
        for part in folder.parts.iter().filter(|part| part.inode.is_folder()) {
            let names = merged.layers[part.layer].entries(&part.inode)?.peekable();
            parts.push(Part { layer: part.layer, names });
        }
        Ok(Entries { merged, parts })
    }

    fn advance(&mut self) -> Result<Option<(Vec<u8>, Merge)>, IndexError> {
        loop {
            self.parts.iter_mut().try_for_each(Part::take_error)?;
            let first = self.parts.iter_mut().filter_map(Part::name).min();
            let Some(name) = first.map(<[u8]>::to_vec) else { return Ok(None) };
            let (mut merge, mut shows_more) = (Merge { parts: Vec::new() }, true);
            for part in &mut self.parts {
                let Some(entry) = part.take(&name).filter(|_| shows_more) else { continue };
                let inode = self.merged.layers[part.layer].inode(entry.nid)?;
                shows_more =
                    self.merged.put_below(&mut merge, Origin { layer: part.layer, inode })?;
            }
            // A name may be there to hide what is below and nothing else.
            if !merge.parts.is_empty() {
                return Ok(Some((name, merge)));
            }
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(Vec<u8>, Merge), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.parts.clear();
        }
        next.transpose()
    }
}

/// Every file below a folder with its path; see [`Merged::walk`].
pub struct Walk<'a> {
    merged: &'a Merged,
    path: Vec<u8>,
    /// The folders on the way to the path: how long each one's own path is, and what of it is
    /// still to come.
    above: Vec<(usize, Entries<'a>)>,
    seen: Seen,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        merged: &'a Merged,
        folder: &Merge,
        path: Vec<u8>,
    ) -> Result<Walk<'a>, IndexError> {
        let mut walk = Walk { merged, path, above: Vec::new(), seen: Seen::default() };
        walk.enter(folder)?;
        Ok(walk)
    }

    fn enter(&mut self, folder: &Merge) -> Result<(), IndexError> {
        self.seen.enter(folder, &self.path)?;
        self.above.push((self.path.len(), self.merged.entries(folder)?));
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<(Vec<u8>, Merge)>, IndexError> {
        while let Some((length, entries)) = self.above.last_mut() {
            self.path.truncate(*length);
            let Some((name, merge)) = entries.next().transpose()? else {
                self.above.pop();
                continue;
            };
            self.path.push(b'/');
            self.path.extend(&name);
            if merge.top().inode.is_folder() {
                self.enter(&merge)?;
            }
            return Ok(Some((self.path.clone(), merge)));
        }
        Ok(None)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Vec<u8>, Merge), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.above.clear();
        }
        next.transpose()
    }
}

/// No layer is taken whose folders are deeper than a path of this length can name.
const MAX_PATH: usize = 1 << 19;

/// The folders that a walk has been in. A damaged index may lead in a ring, or to one folder on so
/// many ways that the walk would have no end; in a whole one there is one way to each.
#[derive(Default)]
pub(super) struct Seen {
    /// For pages of each layer, a bit for each place where a folder can be.
    pages: HashMap<(usize, u64), [u64; 64]>,
}

impl Seen {
    pub(super) fn enter(&mut self, folder: &Merge, path: &[u8]) -> Result<(), IndexError> {
        if path.len() > MAX_PATH {
            return Err(IndexError::Damaged("its folders have no end"));
        }
        match folder.parts.iter().all(|part| self.is_first(part)) {
            true => Ok(()),
            false => Err(IndexError::Damaged("a folder of it is in several folders")),
        }
    }

    fn is_first(&mut self, part: &Origin) -> bool {
        let place = part.inode.nid().place();
        let page = self.pages.entry((part.layer, place / 4096)).or_insert([0; 64]);
        let (word, bit) = (&mut page[(place / 64 % 64) as usize], 1 << (place % 64));
        let is_first = *word & bit == 0;
        *word |= bit;
        is_first
    }
}

//! The parts of a tar by their names, for archives read at any place and for those that pass by.

use std::collections::BTreeMap;

use super::ArchiveError;
use crate::tar::{Entry, EntryKind};
use crate::tree::clean;

/// Links among parts lead somewhere within so many steps.
const MAX_LINKS: usize = 8;
/// An archive of images has few parts; one of files has many.
pub(super) const MAX_PARTS: usize = 100_000;
/// What names and targets may take together.
const MAX_NAME_BYTES: usize = 8 << 20;

/// Named parts, each a `T` or a link to another one. How many there are is bounded, and with them
/// the memory that they take.
pub struct Parts<T> {
    parts: BTreeMap<Vec<u8>, Named<T>>,
    name_bytes: usize,
}

enum Named<T> {
    Part(T),
    Link(Vec<u8>),
}

impl<T> Default for Parts<T> {
    fn default() -> Self {
        Parts { parts: BTreeMap::new(), name_bytes: 0 }
    }
}

impl<T> Parts<T> {
    /// Notes an entry that is a part; the last one of a name counts.
    pub fn add(&mut self, entry: &Entry, part: T) -> Result<(), ArchiveError> {
        self.insert(clean(&entry.path).join(&b'/'), Named::Part(part))
    }

    /// Notes an entry that is a link, and passes over any other: old archives point from one
    /// image's folder to another's layer.
    pub fn add_link(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let name = clean(&entry.path).join(&b'/');
        let target = match &entry.kind {
            EntryKind::Symlink(target) => {
                let folder = name.rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or(b"");
                clean(&[folder, b"/", target.as_slice()].concat()).join(&b'/')
            }
            EntryKind::Hardlink(target) => clean(target).join(&b'/'),
            _ => return Ok(()),
        };
        self.insert(name, Named::Link(target))
    }

    /// The part with this name, or the one that a link of this name leads to.
    pub fn get(&self, name: &str) -> Option<&T> {
        let name = clean(name.as_bytes()).join(&b'/');
        let mut name = name.as_slice();
        for _ in 0..MAX_LINKS {
            match self.parts.get(name)? {
                Named::Part(part) => return Some(part),
                Named::Link(target) => name = target,
            }
        }
        None
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn insert(&mut self, name: Vec<u8>, named: Named<T>) -> Result<(), ArchiveError> {
        self.name_bytes += name.len();
        if let Named::Link(target) = &named {
            self.name_bytes += target.len();
        }
        self.parts.insert(name, named);
        match self.parts.len() > MAX_PARTS || self.name_bytes > MAX_NAME_BYTES {
            true => Err(ArchiveError::TooManyParts { limit: MAX_PARTS }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: path.as_bytes().to_vec(), kind, ..Entry::default() }
    }

    #[test]
    fn links_lead_to_parts_and_not_in_a_ring() {
        let mut parts = Parts::default();
        parts.add(&entry("./one/layer.tar", EntryKind::File), 1).unwrap();
        for (name, kind) in [
            ("two/layer.tar", EntryKind::Symlink(b"../one/layer.tar".to_vec())),
            ("three", EntryKind::Hardlink(b"two/layer.tar".to_vec())),
            ("ring", EntryKind::Symlink(b"ring".to_vec())),
            ("out", EntryKind::Symlink(b"../../../one/layer.tar".to_vec())),
            ("folder", EntryKind::Directory),
        ] {
            parts.add_link(&entry(name, kind)).unwrap();
        }
        for name in ["one/layer.tar", "two/layer.tar", "/three", "out"] {
            assert_eq!(parts.get(name), Some(&1), "{name}");
        }
        for name in ["ring", "folder", "one"] {
            assert_eq!(parts.get(name), None, "{name}");
        }
    }

    #[test]
    fn more_names_than_an_archive_of_images_has_are_refused() {
        let many = |count: usize, length: usize| {
            let mut parts = Parts::default();
            (0..count).try_for_each(|number| {
                let name = format!("{number:0length$}");
                parts.add(&entry(&name, EntryKind::File), ())
            })
        };
        many(MAX_PARTS, 8).unwrap();
        assert!(matches!(many(MAX_PARTS + 1, 8), Err(ArchiveError::TooManyParts { .. })));
        assert!(matches!(many(3000, 4000), Err(ArchiveError::TooManyParts { .. })));
    }
}

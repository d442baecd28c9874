//! Files that were chosen, and how they are told, opened and read.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use ::build::key::Listing;
use sys::fs::FileType;

use super::Place;
use crate::build::fetch::Unchanged;
use crate::build::hashes::Seen;
use crate::build::passing::Passing;
use crate::error::{EngineError, Result};

/// A file that was chosen.
#[derive(Clone)]
pub(in crate::build) struct Item {
    pub(in crate::build) source: ItemSource,
    pub(in crate::build) stat: ItemStat,
    /// The target of a link.
    pub(in crate::build) link: Vec<u8>,
}

/// Where its bytes are.
#[derive(Clone)]
pub(in crate::build) enum ItemSource {
    /// In a place, at this path from its top.
    Placed(Arc<Place>, Arc<[u8]>),
    /// Here.
    Bytes(Arc<[u8]>),
    /// Here, of a file of the context at this path, which was read before.
    Read(Arc<[u8]>, Arc<[u8]>),
    /// In a file of the context whose hash is made while it is written.
    Passing(Arc<Passing>),
    /// In a file of ours that was fetched.
    Fetched(Arc<std::fs::File>),
    /// Still on the web, and known from before.
    Unchanged(Arc<Unchanged>),
}

/// What is told of a file.
#[derive(Clone, Copy)]
pub(in crate::build) struct ItemStat {
    pub(in crate::build) kind: FileType,
    pub(in crate::build) mode: u32,
    pub(in crate::build) owner: (u32, u32),
    pub(in crate::build) bytes: u64,
    /// Its time, if that is to be kept.
    pub(in crate::build) time: Option<(i64, u32)>,
    /// Its time.
    pub(in crate::build) modified: (i64, u32),
    pub(in crate::build) device: u64,
    /// Which file it is, where it has several names.
    pub(in crate::build) shared: Option<(u64, u64)>,
    /// How a file of a context was when it was chosen, which says whether what is in it is known.
    pub(in crate::build) seen: Option<Seen>,
}

/// Files under a source, by their path from it; a single file has its own name.
#[derive(Clone, Default)]
pub(in crate::build) struct Chosen {
    pub(in crate::build) items: BTreeMap<Vec<u8>, Item>,
    /// Whether the source is a folder, whose contents are meant.
    pub(in crate::build) is_folder: bool,
    /// What `--parents` keeps of the source's path: all, or what follows a `/./` in it.
    pub(in crate::build) path: Vec<u8>,
}

impl Chosen {
    /// Tells what was chosen, for a key.
    pub(in crate::build) fn list(
        &mut self,
        place: &Place,
        listing: &mut Listing,
        room: &mut u64,
    ) -> Result<()> {
        for (path, item) in &mut self.items {
            item.list(place, path, listing, room)?;
        }
        self.list_link(listing);
        Ok(())
    }

    /// Tells what it was called, where a link leads there: files are told where they are, but named
    /// as they were chosen.
    fn list_link(&self, listing: &mut Listing) {
        let first = self.items.values().next().and_then(Item::own_path);
        if let Some(real) = first.filter(|real| ***real != self.path) {
            listing.add('l', 0o777, &escaped(real), &String::from_utf8_lossy(&self.path));
        }
    }
}

impl Item {
    /// Tells what it is, for a key; `path` counts where it has none of its own.
    pub(in crate::build) fn list(
        &mut self,
        place: &Place,
        path: &[u8],
        listing: &mut Listing,
        room: &mut u64,
    ) -> Result<()> {
        // Of the whole context, so that who reads it finds the file.
        let own = self.own_path().cloned();
        let path = String::from_utf8_lossy(own.as_deref().unwrap_or(path));
        let (kind, content) = match self.stat.kind {
            FileType::Directory => ('d', "-".to_owned()),
            FileType::Symlink => ('l', escaped(&self.link)),
            FileType::RegularFile => ('f', place.content(self, room)?),
            _ => ('o', self.stat.device.to_string()),
        };
        let path = if path.is_empty() { "." } else { &path };
        listing.add(kind, self.stat.mode, &content, path);
        Ok(())
    }

    /// Its path from the top of where it is, if it is a file of a place.
    fn own_path(&self) -> Option<&Arc<[u8]>> {
        match &self.source {
            ItemSource::Placed(_, path) | ItemSource::Read(path, _) => Some(path),
            ItemSource::Passing(passing) => Some(&passing.path),
            _ => None,
        }
    }

    /// Opens its bytes.
    pub(in crate::build) fn open(&self) -> Result<Box<dyn Read + Send + '_>> {
        Ok(match &self.source {
            ItemSource::Placed(place, path) => {
                let file = sys::fs::file_beneath(&place.root, &**path);
                Box::new(file.map_err(place.failed(path))?)
            }
            ItemSource::Bytes(bytes) | ItemSource::Read(_, bytes) => Box::new(&bytes[..]),
            ItemSource::Passing(passing) => passing.open()?,
            ItemSource::Fetched(file) => {
                let io = || EngineError::io("read", "what was fetched");
                let mut file = file.try_clone().map_err(io())?;
                io::Seek::rewind(&mut file).map_err(io())?;
                Box::new(file)
            }
            ItemSource::Unchanged(_) => {
                unreachable!("what has not changed is brought before it is opened")
            }
        })
    }

    /// A file of our own making.
    pub(in crate::build) fn made(
        source: ItemSource,
        mode: u32,
        bytes: u64,
        time: Option<(i64, u32)>,
    ) -> Item {
        let stat = ItemStat {
            kind: FileType::RegularFile,
            mode,
            owner: (0, 0),
            bytes,
            time,
            modified: time.unwrap_or_default(),
            device: 0,
            shared: None,
            seen: None,
        };
        Item { source, stat, link: Vec::new() }
    }

    /// Extended attributes, where those of the source count.
    pub(in crate::build) fn xattrs(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let ItemSource::Placed(place, path) = &self.source else { return Ok(Vec::new()) };
        if place.context.is_some() || self.stat.kind == FileType::Symlink {
            return Ok(Vec::new());
        }
        let at = if path.is_empty() { &b"."[..] } else { path };
        let read = || sys::fs::xattrs(sys::fs::open_path(&place.root, at)?);
        let mut xattrs = read().map_err(place.failed(path))?;
        xattrs.retain(|(name, _)| {
            !name.starts_with(b"trusted.overlay.") && name != b"security.selinux"
        });
        xattrs.sort();
        Ok(xattrs)
    }
}

/// A path as one word of a listing.
fn escaped(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_default().to_string().replace(' ', "\\x20")
}

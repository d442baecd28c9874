//! Files that were chosen, and how they are told, opened and read.
//!
//! There may be a hundred thousand: each is a small record, and their paths stand in one row of bytes.

use std::io::{self, Read};
use std::sync::Arc;

use ::build::key::{self, Listing};
use sys::fs::FileType;

use super::Place;
use crate::build::fetch::Unchanged;
use crate::build::hashes::{Hash, Seen};
use crate::build::passing::Passing;
use crate::error::{EngineError, Result};

/// Files under a source.
#[derive(Clone, Default)]
pub(in crate::build) struct Chosen {
    /// Where they are, unless they were made here.
    pub(super) place: Option<Arc<Place>>,
    /// The paths of all from the top of that place, one after another.
    pub(super) paths: Vec<u8>,
    /// In the order of their paths.
    pub(super) items: Vec<Item>,
    /// What a single file is called.
    pub(super) name: Vec<u8>,
    /// So many bytes of each path lead to the folder that is meant.
    pub(super) above: usize,
    /// Whether the source is a folder, whose contents are meant.
    pub(in crate::build) is_folder: bool,
    /// What `--parents` keeps of the source's path: all, or what follows a `/./` in it.
    pub(in crate::build) path: Vec<u8>,
}

/// A file that was chosen.
#[derive(Clone)]
pub(in crate::build) struct Item {
    /// Where its path begins and how long it is.
    pub(super) path: (u32, u32),
    pub(in crate::build) source: ItemSource,
    pub(in crate::build) stat: ItemStat,
}

/// Where its bytes are.
#[derive(Clone)]
pub(in crate::build) enum ItemSource {
    /// In the place, at its path.
    Placed,
    /// It is a link, which leads there.
    Link(Arc<[u8]>),
    /// Here.
    Bytes(Arc<[u8]>),
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
    /// Whether its time is to be kept.
    pub(in crate::build) keeps_time: bool,
    pub(in crate::build) mode: u32,
    pub(in crate::build) owner: (u32, u32),
    pub(in crate::build) bytes: u64,
    /// Its time.
    pub(in crate::build) modified: (i64, u32),
    pub(in crate::build) device: u64,
    pub(in crate::build) identity: Identity,
}

/// Which file it is, where that matters.
#[derive(Clone, Copy)]
pub(in crate::build) enum Identity {
    Any,
    /// A file of a context, as it was when it was chosen: that says whether what is in it is known.
    Seen(Seen),
    /// One that has several names: its file system and its number there.
    Shared(u64, u64),
}

impl Chosen {
    /// A file or a folder of our own making.
    pub(in crate::build) fn made(name: &[u8], item: Item) -> Chosen {
        let is_folder = item.stat.kind == FileType::Directory;
        let path = if is_folder { Vec::new() } else { name.to_vec() };
        Chosen { items: vec![item], name: path.clone(), is_folder, path, ..Chosen::default() }
    }

    /// The first, and the only one if it is no folder; nothing if all were left out.
    pub(in crate::build) fn first(&self) -> Option<&Item> {
        self.items.first()
    }

    pub(in crate::build) fn items(&self) -> &[Item] {
        &self.items
    }

    pub(in crate::build) fn items_mut(&mut self) -> &mut [Item] {
        &mut self.items
    }

    /// Each file of a place, with its path from there.
    pub(in crate::build) fn placed_mut(
        &mut self,
    ) -> impl Iterator<Item = (&Arc<Place>, &[u8], &mut Item)> {
        let (place, paths) = (self.place.as_ref(), self.paths.as_slice());
        let items = self.items.iter_mut().filter(|item| matches!(item.source, ItemSource::Placed));
        place.into_iter().zip([items]).flat_map(move |(place, items)| {
            items.map(move |item| {
                let path = item.path_in(paths);
                (place, path, item)
            })
        })
    }

    /// The time that all of these are to have, if they are to have one of their own.
    pub(in crate::build) fn time(&self) -> Option<(i64, u32)> {
        self.place.as_ref().and_then(|place| place.time()).map(|seconds| (seconds, 0))
    }

    /// The path of one of these from the source; a single file has its name.
    pub(in crate::build) fn inner(&self, item: &Item) -> &[u8] {
        match self.is_folder {
            true => item.path_in(&self.paths).get(self.above..).unwrap_or_default(),
            false => &self.name,
        }
    }

    /// The path of one of these from the top of where it is, if it is in a place.
    fn own_path(&self, item: &Item) -> Option<&[u8]> {
        self.place.as_ref().map(|_| item.path_in(&self.paths))
    }

    /// Where the path stands that begins here and is the last of all.
    pub(super) fn last_path(&self, start: usize) -> Result<(u32, u32)> {
        let short = |number: usize| {
            u32::try_from(number).map_err(|_| {
                EngineError::Input("the names of the files take more than 4 GiB".to_owned())
            })
        };
        Ok((short(start)?, short(self.paths.len() - start)?))
    }

    /// Tells what was chosen, for a key, and how it was chosen.
    pub(in crate::build) fn list(&mut self, listing: &mut Listing, room: &mut u64) -> Result<()> {
        self.list_items(listing, room)?;
        self.list_link(listing);
        Ok(())
    }

    /// Tells what was chosen, however it was.
    pub(in crate::build) fn list_items(
        &mut self,
        listing: &mut Listing,
        room: &mut u64,
    ) -> Result<()> {
        listing.reserve(self.items.len(), self.paths.len());
        for item in &mut self.items {
            let own = self.place.as_deref().map(|place| (place, item.path_in(&self.paths)));
            item.list(own, &self.name, listing, room)?;
        }
        Ok(())
    }

    /// Tells what it was called, where a link leads there: files are told where they are, but named
    /// as they were chosen.
    fn list_link(&self, listing: &mut Listing) {
        let first = self.first().and_then(|first| self.own_path(first));
        if let Some(real) = first.filter(|real| *real != self.path) {
            listing.add('l', 0o777, &escaped(real), &self.path);
        }
    }

    /// What is in one of these that is a file of a context, if it need not be read to know it.
    pub(in crate::build) fn known(&self, item: &Item) -> Option<Hash> {
        let (ItemSource::Placed, Identity::Seen(seen)) = (&item.source, item.stat.identity) else {
            return None;
        };
        let own = self.place.as_ref()?.context.as_ref()?;
        own.hashes.find(item.path_in(&self.paths), &seen)
    }

    /// Opens the bytes of one of these.
    pub(in crate::build) fn open<'a>(
        &'a self,
        item: &'a Item,
    ) -> Result<Box<dyn Read + Send + 'a>> {
        Ok(match &item.source {
            ItemSource::Placed => {
                let place = self.place.as_ref().expect("what is placed has a place");
                let path = item.path_in(&self.paths);
                Box::new(sys::fs::file_beneath(&place.root, path).map_err(place.failed(path))?)
            }
            ItemSource::Link(_) => Box::new(io::empty()),
            ItemSource::Bytes(bytes) => Box::new(&bytes[..]),
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

    /// The extended attributes of one of these, where those of the source count.
    pub(in crate::build) fn xattrs(&self, item: &Item) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let foreign = self.place.as_ref().filter(|place| place.context.is_none());
        let Some(place) = foreign.filter(|_| matches!(item.source, ItemSource::Placed)) else {
            return Ok(Vec::new());
        };
        let path = item.path_in(&self.paths);
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

impl Item {
    /// Tells what it is, for a key; `own` is where it is, and its name counts where that is nowhere.
    fn list(
        &mut self,
        own: Option<(&Place, &[u8])>,
        name: &[u8],
        listing: &mut Listing,
        room: &mut u64,
    ) -> Result<()> {
        // Of the whole context, so that who reads it finds the file.
        let path = own.map_or(name, |(_, path)| path);
        let path = if path.is_empty() { &b"."[..] } else { path };
        let mode = self.stat.mode;
        match self.stat.kind {
            FileType::Directory => listing.add('d', mode, "-", path),
            FileType::Symlink => listing.add('l', mode, &escaped(self.link()), path),
            FileType::RegularFile => {
                let hash = own.map(|(place, path)| place.content(self, path, room)).transpose()?;
                listing.add_file(mode, hash.flatten().as_ref(), path);
            }
            _ => listing.add('o', mode, &self.stat.device.to_string(), path),
        }
        Ok(())
    }

    /// Where a link leads.
    pub(in crate::build) fn link(&self) -> &[u8] {
        match &self.source {
            ItemSource::Link(target) => target,
            _ => b"",
        }
    }

    /// Its path, among those of what was chosen with it.
    pub(super) fn path_in<'a>(&self, paths: &'a [u8]) -> &'a [u8] {
        &paths[self.path.0 as usize..][..self.path.1 as usize]
    }

    /// A file of our own making.
    pub(in crate::build) fn made(
        source: ItemSource,
        mode: u32,
        bytes: u64,
        time: Option<(i64, u32)>,
    ) -> Item {
        let kind = match source {
            ItemSource::Link(_) => FileType::Symlink,
            _ => FileType::RegularFile,
        };
        let stat = ItemStat {
            kind,
            keeps_time: time.is_some(),
            mode,
            owner: (0, 0),
            bytes,
            modified: time.unwrap_or_default(),
            device: 0,
            identity: Identity::Any,
        };
        Item { path: (0, 0), source, stat }
    }
}

/// A path as one word of a listing.
fn escaped(path: &[u8]) -> String {
    key::escaped(path).replace(' ', "\\x20")
}

//! Looking into images: mounted, listed, explained.

use std::path::PathBuf;

use image::erofs::IndexError;
use image::merged::{Merge, Merged, Origin};
use image::tree::clean;
use spec::{ChainId, ImageId};
use store::{StoreError, Tables, View};

use crate::error::{EngineError, Result};
use crate::find::find;
use crate::{Engine, Standing};

/// A file in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Its path, with a slash in front.
    pub path: Vec<u8>,
    /// Kind and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size.
    pub size: u64,
    /// Modification time in seconds.
    pub mtime: i64,
    /// Where a link leads.
    pub target: Option<Vec<u8>>,
    /// The layer that it is from, counted from the bottom.
    pub layer: usize,
}

/// A layer that has something to say about a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyRow {
    /// The layer's place, counted from the bottom.
    pub layer: usize,
    /// The layer's diff id.
    pub diff: String,
    /// What made the layer.
    pub created_by: String,
    /// `added`, `changed` or `deleted`.
    pub what: &'static str,
    /// The file's size there.
    pub size: u64,
}

/// A layer in the tree of layers that images share.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeRow {
    /// The stack that ends with the layer.
    pub chain: ChainId,
    /// How many layers are below it.
    pub depth: usize,
    /// Its size.
    pub size: u64,
    /// The size of the whole stack.
    pub total: u64,
    /// Images whose topmost layer it is: ids and names.
    pub images: Vec<(ImageId, Vec<String>)>,
}

impl Engine {
    /// Mounts an image for reading and says where.
    pub fn mount_image(&self, name: &str) -> Result<PathBuf> {
        if let Standing::Namespace { .. } = self.settings().standing {
            return Err(EngineError::MountUnseen);
        }
        let lease = self.store.lease()?;
        let id = self.find_image(name)?.id;
        self.store.mount_view(&lease, id).map_err(|error| {
            // Somebody may have removed it in between: then that is what is wrong.
            let gone = self.store.images().ok().and_then(|images| find(&images, name).err());
            gone.unwrap_or_else(|| error.into())
        })
    }

    /// Takes one user of an image's mount away, or all of them.
    pub fn unmount_image(&self, name: &str, force: bool) -> Result<ImageId> {
        let id = match find(&self.store.images()?, name) {
            Ok(found) => found.id,
            // A view outlives its image if those who removed both died in between.
            Err(error) => {
                let bare = name.strip_prefix("sha256:").unwrap_or(name);
                let meant = |view: &&View| bare.len() >= 12 && view.image.0.hex().starts_with(bare);
                self.store.views()?.iter().find(meant).ok_or(error)?.image
            }
        };
        match self.store.unmount_view(id, force)? {
            Some(_) => Ok(id),
            None => Err(EngineError::NotMounted(name.to_owned())),
        }
    }

    /// The images that are mounted.
    pub fn mounted_images(&self) -> Result<Vec<View>> {
        Ok(self.store.views()?)
    }

    /// Opens the list of an image's files, or of those below a path; links on the way to it are
    /// followed, and a link at its end is shown itself.
    pub fn image_files(&self, name: &str, below: &str) -> Result<ImageFiles> {
        let tables = self.store.tables()?;
        let (_, merged, chains) = self.merged(&tables, name)?;
        let parts = merged.resolve(&clean(below.as_bytes())).map_err(at_top(&chains))?;
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let start = merged.find(&parts).map_err(at_top(&chains))?;
        if start.is_none() && !parts.is_empty() {
            return Err(EngineError::NoPath { path: below.to_owned() });
        }
        let path = parts.iter().flat_map(|part| [b"/", *part].concat()).collect();
        Ok(ImageFiles { merged, chains, path, start })
    }

    /// Which layers brought, changed or deleted a path, the topmost first. Links on the way to it
    /// are followed.
    pub fn why(&self, name: &str, path: &str) -> Result<Vec<WhyRow>> {
        let tables = self.store.tables()?;
        let (id, merged, chains) = self.merged(&tables, name)?;
        let config = self.config(id)?;
        let mut makers: Vec<String> = vec![String::new(); chains.len()];
        for (row, layer) in config.history_with_layers() {
            if let Some(maker) = layer.and_then(|layer| makers.get_mut(layer)) {
                *maker =
                    if row.created_by.is_empty() { &row.comment } else { &row.created_by }.clone();
            }
        }
        let parts = merged.resolve(&clean(path.as_bytes())).map_err(at_top(&chains))?;
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let mut rows: Vec<WhyRow> = Vec::new();
        for (layer, maker) in makers.into_iter().enumerate() {
            let seen = trace(&merged, layer, &parts).map_err(at_top(&chains))?;
            let there = rows.last().is_some_and(|row| row.what != "deleted");
            let (what, size) = match seen {
                Trace::File(size) if there => ("changed", size),
                Trace::File(size) => ("added", size),
                Trace::Hidden if there => ("deleted", 0),
                Trace::Hidden | Trace::Nothing => continue,
            };
            let diff = config.rootfs.diff_ids[layer].to_string();
            rows.push(WhyRow { layer, diff, created_by: maker, what, size });
        }
        if rows.is_empty() {
            return Err(EngineError::NoPath { path: path.to_owned() });
        }
        rows.reverse();
        Ok(rows)
    }

    /// All layers with the images on them, as a tree: parents before children.
    pub fn layer_tree(&self) -> Result<Vec<TreeRow>> {
        let tables = self.store.tables()?;
        let mut rows = Vec::new();
        let mut pending: Vec<(ChainId, usize, u64)> = Vec::new();
        let children = |parent: Option<ChainId>| {
            let mut list: Vec<ChainId> = tables
                .layers
                .layers
                .iter()
                .filter(|(_, record)| record.parent == parent)
                .map(|(chain, _)| *chain)
                .collect();
            list.reverse();
            list
        };
        pending.extend(children(None).into_iter().map(|chain| (chain, 0, 0)));
        while let Some((chain, depth, below)) = pending.pop() {
            let size = tables.layers.layers[&chain].bytes;
            let familiar =
                |name: &str| spec::Reference::parse(name).map(|name| name.familiar()).ok();
            let on_top = tables.images.images.iter().filter(|(_, image)| image.top == Some(chain));
            let images = on_top
                .map(|(id, _)| (*id, tables.images.names_of(*id).filter_map(familiar).collect()))
                .collect();
            rows.push(TreeRow { chain, depth, size, total: below + size, images });
            let next = children(Some(chain)).into_iter();
            pending.extend(next.map(|child| (child, depth + 1, below + size)));
        }
        Ok(rows)
    }

    /// An image's merged tree, with the stacks of its layers, bottom first.
    pub(crate) fn merged(
        &self,
        tables: &Tables,
        name: &str,
    ) -> Result<(ImageId, Merged, Vec<ChainId>)> {
        let id = find(&tables.images, name)?.id;
        let stack = self.store.fit(tables.images.images[&id].top, &tables.layers)?;
        let chains: Vec<ChainId> = stack.iter().map(|(chain, _)| *chain).collect();
        let indexes = chains.iter().map(|chain| self.store.open_index(chain));
        let merged = Merged::new(indexes.collect::<Result<_, StoreError>>()?);
        Ok((id, merged, chains))
    }
}

/// The files of an image. They are read anew in each walk, because there may be millions.
pub struct ImageFiles {
    merged: Merged,
    chains: Vec<ChainId>,
    /// The path from which on they are listed; empty for the root, which is not listed itself.
    path: Vec<u8>,
    start: Option<Merge>,
}

impl ImageFiles {
    /// Each file, folders before what is in them.
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<FileRow>> + '_> {
        let first = self.start.clone().filter(|_| !self.path.is_empty());
        let first = first.map(|start| Ok((self.path.clone(), start)));
        let walk = self.start.as_ref().map(|start| self.merged.walk(start, self.path.clone()));
        let rest = walk.transpose().map_err(at_top(&self.chains))?.into_iter().flatten();
        Ok(first.into_iter().chain(rest).map(|entry| {
            let (path, merge) = entry.map_err(at_top(&self.chains))?;
            self.row(path, merge.top()).map_err(at_top(&self.chains))
        }))
    }

    fn row(&self, path: Vec<u8>, top: &Origin) -> Result<FileRow, IndexError> {
        let inode = &top.inode;
        let target = match inode.is_link() {
            true => Some(self.merged.layer(top.layer).link_target(inode)?),
            false => None,
        };
        Ok(FileRow {
            path,
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            size: if inode.is_folder() { 0 } else { inode.size },
            mtime: inode.mtime.0,
            target,
            layer: top.layer,
        })
    }
}

/// Whose index it was is not known here; the topmost stack names them all.
pub(crate) fn at_top(chains: &[ChainId]) -> impl Fn(IndexError) -> EngineError {
    let chain = chains.last().copied();
    move |source| match chain {
        Some(chain) => StoreError::Index { chain, source }.into(),
        None => EngineError::Input(source.to_string()),
    }
}

enum Trace {
    File(u64),
    Hidden,
    Nothing,
}

/// What one layer says about a path.
fn trace(merged: &Merged, layer: usize, parts: &[&[u8]]) -> Result<Trace, IndexError> {
    let index = merged.layer(layer);
    let mut at = index.inode(index.root())?;
    for part in parts {
        let opaque = index.is_opaque(&at)?;
        match index.child(&at, part)? {
            Some(next) if next.is_whiteout() => return Ok(Trace::Hidden),
            Some(next) => at = next,
            None if opaque => return Ok(Trace::Hidden),
            None => return Ok(Trace::Nothing),
        }
    }
    Ok(Trace::File(if at.is_folder() { 0 } else { at.size }))
}

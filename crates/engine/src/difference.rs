//! How two images differ: in files, and in what they say of themselves.

use std::fs::File;
use std::os::unix::fs::FileExt;

use image::erofs::{IndexInode, IndexReader};
use image::merged::{Change, Difference, Merged, Origin, diff};
use image::upper::Altered;
use serde_json::Value;
use spec::{ChainId, ImageId};
use store::Tables;

use crate::Engine;
use crate::error::Result;
use crate::look::at_top;

/// How two images differ. Files are compared while they are asked for.
pub struct ImageDiff {
    before: Side,
    after: Side,
    /// As many layers at the bottom are the same.
    common: usize,
    /// Fields of the configuration that differ: name, first image's value, second's.
    pub config: Vec<(String, Value, Value)>,
}

/// One of two images.
pub(crate) struct Side {
    pub(crate) merged: Merged,
    pub(crate) chains: Vec<ChainId>,
    /// The tars of its layers that are kept.
    tars: Vec<Option<File>>,
}

/// A file that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffEntry {
    /// Its path, with a slash in front.
    pub path: Vec<u8>,
    /// How.
    pub change: Change,
    /// Its size in the first image.
    pub before: Option<u64>,
    /// Its size in the second.
    pub after: Option<u64>,
}

impl Engine {
    /// How the second image differs from the first.
    pub fn image_diff(&self, first: &str, second: &str) -> Result<ImageDiff> {
        let tables = self.store.tables()?;
        let (one, before) = self.side(&tables, first)?;
        let (two, after) = self.side(&tables, second)?;
        let pairs = before.chains.iter().zip(&after.chains);
        let common = pairs.take_while(|(a, b)| a == b).count();
        let config = diff_config(self.config(one)?, self.config(two)?);
        Ok(ImageDiff { before, after, common, config })
    }

    fn side(&self, tables: &Tables, name: &str) -> Result<(ImageId, Side)> {
        let (id, merged, chains) = self.merged(tables, name)?;
        Ok((id, self.side_of(tables, merged, chains)))
    }

    fn side_of(&self, tables: &Tables, merged: Merged, chains: Vec<ChainId>) -> Side {
        let open = |chain| {
            let record = tables.layers.layers.get(chain)?;
            self.store.open_blob(&record.diff.0).ok()
        };
        let tars = chains.iter().map(open).collect();
        Side { merged, chains, tars }
    }

    /// A stack to be compared with another.
    pub(crate) fn stack_side(&self, tables: &Tables, top: Option<ChainId>) -> Result<Side> {
        let chains = tables.layers.stack(top)?.iter().map(|(chain, _)| *chain).collect();
        Ok(self.side_of(tables, self.store.merged(top)?, chains))
    }

    /// What a stack has otherwise than the one that it stands on, times included.
    pub(crate) fn altered(
        &self,
        below: Option<ChainId>,
        top: Option<ChainId>,
    ) -> Result<Vec<Altered>> {
        let tables = self.store.tables()?;
        let (before, after) = (self.stack_side(&tables, below)?, self.stack_side(&tables, top)?);
        let mut altered = Vec::new();
        before.compare(&after, before.chains.len(), true, &mut |difference| {
            altered.push(Altered { path: difference.path, change: difference.change });
        })?;
        Ok(altered)
    }
}

impl ImageDiff {
    /// Shows each file that only one image has or that differs, folders before what is in them.
    pub fn each_file(&self, each: &mut dyn FnMut(DiffEntry)) -> Result<()> {
        let size = |origin: &Option<Origin>| {
            let inode = &origin.as_ref()?.inode;
            Some(if inode.is_folder() { 0 } else { inode.size })
        };
        self.before.compare(&self.after, self.common, false, &mut |difference| {
            each(DiffEntry {
                before: size(&difference.before),
                after: size(&difference.after),
                path: difference.path,
                change: difference.change,
            });
        })
    }
}

impl Side {
    /// Compares two trees, by what is in files, and by the times of all if that is asked for.
    pub(crate) fn compare(
        &self,
        after: &Side,
        common: usize,
        times: bool,
        each: &mut dyn FnMut(Difference),
    ) -> Result<()> {
        let mut same = |a: &Origin, b: &Origin| {
            (!times || a.inode.mtime == b.inode.mtime) && self.has_same_bytes(after, a, b)
        };
        diff(&self.merged, &after.merged, common, &mut same, each).map_err(at_top(&self.chains))
    }

    /// Compares two trees; whether two files that look alike are the same is the caller's to say.
    pub(crate) fn compare_by(
        &self,
        after: &Side,
        same: &mut dyn FnMut(&Origin, &Origin) -> bool,
        each: &mut dyn FnMut(Difference),
    ) -> Result<()> {
        let pairs = self.chains.iter().zip(&after.chains);
        let common = pairs.take_while(|(a, b)| a == b).count();
        diff(&self.merged, &after.merged, common, same, each).map_err(at_top(&self.chains))
    }

    /// Whether two of the same size hold the same bytes, as far as they are files.
    pub(crate) fn has_same_bytes(&self, after: &Side, a: &Origin, b: &Origin) -> bool {
        if !a.inode.is_file() || a.inode.size == 0 {
            return true;
        }
        match (self.bytes(a), after.bytes(b)) {
            (Some(one), Some(two)) => same_bytes(&one, &two, a.inode.size),
            // Where a tar is not kept, the same size and time count as the same content.
            _ => a.inode.mtime == b.inode.mtime,
        }
    }

    fn bytes<'a>(&'a self, origin: &'a Origin) -> Option<Bytes<'a>> {
        let tar = self.tars[origin.layer].as_ref();
        Bytes::of(tar, self.merged.layer(origin.layer), &origin.inode)
    }
}

/// Where a file's bytes can be read.
enum Bytes<'a> {
    /// In the tar, from this byte on.
    Tar(&'a File, u64),
    /// In the index, with its holes.
    Sparse(&'a IndexReader, &'a IndexInode),
}

impl<'a> Bytes<'a> {
    /// Nowhere, if the tar is not kept.
    fn of(tar: Option<&'a File>, index: &'a IndexReader, inode: &'a IndexInode) -> Option<Self> {
        let tar = tar?;
        Some(match inode.tar_offset {
            Some(offset) => Bytes::Tar(tar, offset),
            None => Bytes::Sparse(index, inode),
        })
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> bool {
        match self {
            Bytes::Tar(tar, offset) => tar.read_exact_at(buffer, offset + at).is_ok(),
            Bytes::Sparse(index, inode) => index.read_sparse(inode, at, buffer).is_ok(),
        }
    }

    /// Where something else than a hole begins, at or behind a place.
    fn next_data(&self, at: u64) -> u64 {
        match self {
            Bytes::Tar(..) => at,
            Bytes::Sparse(index, inode) => index.next_data(inode, at).unwrap_or(at),
        }
    }
}

/// Whether two files hold the same bytes, so many. What is a hole in both is passed over.
fn same_bytes(one: &Bytes<'_>, two: &Bytes<'_>, size: u64) -> bool {
    let room = size.min(COMPARE_BYTES as u64) as usize;
    let mut buffers = (vec![0; room], vec![0; room]);
    let mut at = 0;
    loop {
        at = one.next_data(at).min(two.next_data(at));
        let bytes = size.saturating_sub(at).min(COMPARE_BYTES as u64);
        if bytes == 0 {
            return true;
        }
        let (a, b) = (&mut buffers.0[..bytes as usize], &mut buffers.1[..bytes as usize]);
        if !one.read(at, a) || !two.read(at, b) || a != b {
            return false;
        }
        at += bytes;
    }
}

/// How much of two files is compared at once.
const COMPARE_BYTES: usize = 64 << 10;

/// The fields of two configurations that differ, history and layers left out.
pub(crate) fn diff_config(
    one: spec::ImageConfig,
    two: spec::ImageConfig,
) -> Vec<(String, Value, Value)> {
    let document = |config: &spec::ImageConfig| -> Value {
        serde_json::from_slice(&config.to_bytes()).unwrap_or(Value::Null)
    };
    let (one, two) = (document(&one), document(&two));
    let mut fields = Vec::new();
    compare("", &one, &two, &mut fields);
    fields.retain(|(name, _, _)| {
        !name.starts_with("history")
            && !name.starts_with("rootfs")
            && !name.starts_with("container")
    });
    fields
}

fn compare(name: &str, one: &Value, two: &Value, fields: &mut Vec<(String, Value, Value)>) {
    match (one, two) {
        (Value::Object(left), Value::Object(right)) => {
            let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let inner = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                let null = Value::Null;
                compare(
                    &inner,
                    left.get(key).unwrap_or(&null),
                    right.get(key).unwrap_or(&null),
                    fields,
                );
            }
        }
        (one, two) if one == two => {}
        (one, two) => fields.push((name.to_owned(), one.clone(), two.clone())),
    }
}

//! Writes the index of a layer's tree.
//!
//! One pass over the tree gives every inode its place, the others write. The file is
//! `superblock | device slot | inodes | directory blocks | sparse files`, and the same tree
//! always gives the same bytes.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use super::format::{
    BLOCK, BLOCK_BITS, COMPAT_MTIME, DEVICE_SLOT_INDEX, DIRENT_BYTES, FORMAT_EXTENDED,
    INCOMPAT_DEVICE_TABLE, INODES_OFFSET, LAYOUT_INLINE, LAYOUT_PLAIN, MAGIC, META_BLOCK,
    SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET, XATTR_ENTRY_BYTES, XATTR_HEADER_BYTES, dirent_type,
    encode_device,
};
use super::plan::{Item, Place, Plan};
use crate::tree::{Content, LayerTree, NodeId, SparseFile};

/// Writes the index of `tree`, whose files lie in a tar of `tar_bytes`, into the empty file `out`.
///
/// `identity` becomes the file system's UUID. The tar itself is read only where a sparse file
/// must be laid out as a mounted file system wants it; an index that is never mounted does
/// without.
pub fn write_index(
    tree: &LayerTree,
    identity: [u8; 16],
    tar: Option<&File>,
    tar_bytes: u64,
    out: &File,
) -> io::Result<u64> {
    let plan = Plan::new(tree);
    let areas = plan.areas(tar_bytes)?;
    let mut file = BufWriter::with_capacity(256 << 10, out);
    file.write_all(&plan.superblock(&areas, identity, tar_bytes))?;
    plan.write_inodes(&mut file, &areas)?;
    plan.write_blocks(&mut file)?;
    file.seek(SeekFrom::Start(areas.sparse_start * BLOCK))?;
    file.flush()?;
    drop(file);
    if let Some(tar) = tar.filter(|_| plan.used.sparse > 0) {
        plan.write_sparse(tar, out, &areas)?;
    }
    out.set_len(areas.tar_start * BLOCK)?;
    Ok(areas.tar_start * BLOCK)
}

/// Where the areas start, in blocks, once all sizes are known.
struct Areas {
    blocks_start: u64,
    sparse_start: u64,
    tar_start: u64,
}

impl Plan<'_> {
    fn areas(&self, tar_bytes: u64) -> io::Result<Areas> {
        let blocks_start = self.end.div_ceil(BLOCK);
        let sparse_start = blocks_start + self.used.blocks;
        let tar_start = sparse_start + self.used.sparse;
        if tar_start + tar_bytes.div_ceil(BLOCK) > u64::from(u32::MAX) {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a layer of more than 2 TiB cannot be indexed",
            ));
        }
        Ok(Areas { blocks_start, sparse_start, tar_start })
    }

    /// Everything in front of the inodes: the superblock and the slot that describes the tar.
    fn superblock(&self, areas: &Areas, identity: [u8; 16], tar_bytes: u64) -> Vec<u8> {
        let mut block = vec![0; SUPERBLOCK_OFFSET as usize];
        block.extend(MAGIC.to_le_bytes());
        block.extend(0_u32.to_le_bytes()); // no checksum: the layer's record has the digest
        block.extend(COMPAT_MTIME.to_le_bytes());
        block.extend([BLOCK_BITS, 0]);
        block.extend((self.nid(NodeId::ROOT) as u16).to_le_bytes());
        block.extend(self.inodes.to_le_bytes());
        block.extend([0; 12]); // the time of inodes in the short form, of which there are none
        block.extend((areas.tar_start as u32).to_le_bytes());
        block.extend(META_BLOCK.to_le_bytes());
        block.extend(0_u32.to_le_bytes()); // no shared attributes
        block.extend(identity);
        block.extend([0; 16]); // no volume name
        block.extend(INCOMPAT_DEVICE_TABLE.to_le_bytes());
        block.extend(0_u16.to_le_bytes()); // no compression
        block.extend(1_u16.to_le_bytes()); // one extra device
        block.extend(DEVICE_SLOT_INDEX.to_le_bytes());
        block.resize(SUPERBLOCK_OFFSET as usize + SUPERBLOCK_BYTES, 0);
        block.extend([0; 64]); // the device's tag
        block.extend((tar_bytes.div_ceil(BLOCK) as u32).to_le_bytes());
        block.extend((areas.tar_start as u32).to_le_bytes());
        block.resize(INODES_OFFSET as usize, 0);
        block
    }

    fn write_inodes(&self, file: &mut impl Write, areas: &Areas) -> io::Result<()> {
        let mut at = INODES_OFFSET;
        let mut bytes = Vec::with_capacity(1024);
        self.each(&mut |item, place| {
            bytes.clear();
            bytes.resize((place.at - at) as usize, 0);
            self.put_inode(item, place, areas, &mut bytes)?;
            at += bytes.len() as u64;
            file.write_all(&bytes)
        })?;
        pad(file, at)
    }

    fn put_inode(
        &self,
        item: Item,
        place: &Place,
        areas: &Areas,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let inode = self.tree.inode(item.node);
        let number = self.tree.inode_number(item.node);
        let (xattrs, own) = (place.xattr_bytes as usize, place.own_bytes);
        let layout = if place.inlined { LAYOUT_INLINE } else { LAYOUT_PLAIN };
        let size = if own > 0 { own } else { inode.size };
        out.extend(((layout << 1) | FORMAT_EXTENDED).to_le_bytes());
        let icount = if xattrs == 0 { 0 } else { 1 + (xattrs - XATTR_HEADER_BYTES) / 4 };
        out.extend((icount as u16).to_le_bytes());
        out.extend((inode.mode as u16).to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(self.data_word(&inode.content, place, areas).to_le_bytes());
        out.extend((number + 1).to_le_bytes());
        out.extend(inode.uid.to_le_bytes());
        out.extend(inode.gid.to_le_bytes());
        out.extend(inode.mtime.to_le_bytes());
        out.extend(inode.mtime_nanos.to_le_bytes());
        out.extend(self.links(item).to_le_bytes());
        out.extend([0; 16]);
        self.put_xattrs(item.node, place, out);
        if place.inlined {
            self.each_block(item, own / BLOCK, &mut |tail| {
                out.extend(tail);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Names of a file; for a folder also its own and those that its folders have for it.
    fn links(&self, item: Item) -> u32 {
        match item.folder {
            Some(folder) => {
                let inner = self.children(folder).iter().filter(|node| self.tree.is_folder(**node));
                2 + inner.count() as u32
            }
            None => {
                1 + self.more_names.get(&self.tree.inode_number(item.node)).copied().unwrap_or(0)
            }
        }
    }

    /// The inode's word that says where its data is: a block, or a device's number.
    fn data_word(&self, content: &Content, place: &Place, areas: &Areas) -> u32 {
        match content {
            Content::Device(major, minor) => encode_device(*major, *minor),
            Content::Tar(offset) => (areas.tar_start + offset / BLOCK) as u32,
            Content::Sparse(_) => (areas.sparse_start + place.block) as u32,
            _ => (areas.blocks_start + place.block) as u32,
        }
    }

    fn put_xattrs(&self, node: NodeId, place: &Place, out: &mut Vec<u8>) {
        if place.xattr_bytes == 0 {
            return;
        }
        out.extend([0; XATTR_HEADER_BYTES]);
        for (index, rest, value) in self.xattr_entries(node) {
            out.extend([rest.len() as u8, index]);
            out.extend((value.len() as u16).to_le_bytes());
            out.extend(rest);
            out.extend(value);
            let bytes = XATTR_ENTRY_BYTES + rest.len() + value.len();
            out.resize(out.len() + bytes.next_multiple_of(4) - bytes, 0);
        }
    }

    /// Shows the blocks of a file's own bytes from one on; the last one may be shorter.
    fn each_block(
        &self,
        item: Item,
        from: u64,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(folder) = item.folder else {
            let target = self.tree.link_target(item.node);
            return target.chunks(BLOCK as usize).skip(from as usize).try_for_each(each);
        };
        let mut block: Vec<(&[u8], NodeId)> = Vec::new();
        let (mut number, mut used) = (0, 0);
        let mut bytes = Vec::with_capacity(BLOCK as usize);
        let mut show = |number: u64, block: &[(&[u8], NodeId)], used: usize| {
            if number < from {
                return Ok(());
            }
            bytes.clear();
            self.put_folder_block(block, &mut bytes);
            debug_assert_eq!(bytes.len(), used);
            each(&bytes)
        };
        for entry in self.folder_entries(folder) {
            let wanted = DIRENT_BYTES + entry.0.len();
            if used + wanted > BLOCK as usize {
                show(number, &block, used)?;
                block.clear();
                (number, used) = (number + 1, 0);
            }
            used += wanted;
            block.push(entry);
        }
        show(number, &block, used)
    }

    /// A folder's block: the entries first and their names behind them.
    fn put_folder_block(&self, entries: &[(&[u8], NodeId)], out: &mut Vec<u8>) {
        let mut name_at = entries.len() * DIRENT_BYTES;
        for (name, node) in entries {
            out.extend(u64::from(self.nid(*node)).to_le_bytes());
            out.extend((name_at as u16).to_le_bytes());
            out.extend([dirent_type(self.tree.mode(*node)), 0]);
            name_at += name.len();
        }
        entries.iter().for_each(|(name, _)| out.extend(*name));
    }

    /// The data blocks of folders and long links, in the order of their inodes.
    fn write_blocks(&self, file: &mut impl Write) -> io::Result<()> {
        let zeros = [0; BLOCK as usize];
        self.each(&mut |item, place| {
            let mut left = place.own_blocks();
            if left == 0 {
                return Ok(());
            }
            self.each_block(item, 0, &mut |block| {
                // The one that stands behind the inode is the last.
                if left > 0 {
                    left -= 1;
                    file.write_all(block)?;
                    file.write_all(&zeros[block.len()..])?;
                }
                Ok(())
            })
        })
    }

    /// Copies the pieces of sparse files to where a mounted file has them; holes stay holes.
    fn write_sparse(&self, tar: &File, out: &File, areas: &Areas) -> io::Result<()> {
        self.each(&mut |item, place| {
            let Content::Sparse(number) = self.tree.inode(item.node).content else {
                return Ok(());
            };
            let start = (areas.sparse_start + place.block) * BLOCK;
            copy_pieces(tar, self.tree.sparse_file(number), out, start)
        })
    }
}

fn copy_pieces(tar: &File, sparse: &SparseFile, out: &File, start: u64) -> io::Result<()> {
    let mut from = sparse.data_offset;
    let mut buffer = vec![0; 64 << 10];
    for (offset, length) in &sparse.pieces {
        let (mut to, mut left) = (start + offset, *length);
        while left > 0 {
            let chunk = &mut buffer[..left.min(64 << 10) as usize];
            tar.read_exact_at(chunk, from)?;
            out.write_all_at(chunk, to)?;
            from += chunk.len() as u64;
            to += chunk.len() as u64;
            left -= chunk.len() as u64;
        }
    }
    Ok(())
}

fn pad(file: &mut impl Write, at: u64) -> io::Result<()> {
    let zeros = [0; BLOCK as usize];
    file.write_all(&zeros[..(at.next_multiple_of(BLOCK) - at) as usize])
}

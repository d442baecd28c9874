//! Writes the index of a layer's tree.
//!
//! Two passes over the tree: one gives every inode its place, one writes. The file is
//! `superblock | device slot | inodes | directory blocks | sparse files`, and the same tree
//! always gives the same bytes.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use super::format::{
    BLOCK, BLOCK_BITS, COMPAT_MTIME, DEVICE_SLOT_INDEX, DIRENT_BYTES, FORMAT_EXTENDED,
    INCOMPAT_DEVICE_TABLE, INODE_BYTES, INODES_OFFSET, LAYOUT_INLINE, LAYOUT_PLAIN, MAGIC,
    META_BLOCK, NID_UNIT, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET, XATTR_ENTRY_BYTES,
    XATTR_HEADER_BYTES, dirent_type, encode_device, split_xattr,
};
use crate::tree::{Content, LayerTree, NodeId, SparseFile};

/// The overlay file system's mark of a folder that hides what is below it.
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");
const UNPLACED: u32 = u32::MAX;

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
    let mut plan = Plan::new(tree);
    plan.place_all();
    let sizes = plan.finish(tar_bytes)?;
    let mut file = BufWriter::with_capacity(256 << 10, out);
    file.write_all(&plan.superblock(&sizes, identity, tar_bytes))?;
    plan.write_inodes(&mut file, &sizes)?;
    plan.write_blocks(&mut file, &sizes)?;
    file.seek(SeekFrom::Start(sizes.sparse_start * BLOCK))?;
    file.flush()?;
    drop(file);
    if let Some(tar) = tar {
        plan.write_sparse(tar, out, &sizes)?;
    }
    out.set_len(sizes.tar_start * BLOCK)?;
    Ok(sizes.tar_start * BLOCK)
}

/// Where one inode stands and how its data is laid out.
#[derive(Clone, Copy)]
struct Place {
    /// Position in units of 32 bytes.
    nid: u32,
    /// The first of its data blocks, counted from the start of its area.
    block: u32,
    inlined: bool,
}

/// Where the areas start, in blocks, once all sizes are known.
struct Areas {
    blocks_start: u64,
    sparse_start: u64,
    tar_start: u64,
}

struct Plan<'a> {
    tree: &'a LayerTree,
    /// All places but the root, by folder and then by name.
    sorted: Vec<NodeId>,
    /// For every place: where its children start in `sorted`.
    children: Vec<u32>,
    /// One place for each inode, in the order in which they are written.
    order: Vec<NodeId>,
    places: Vec<Place>,
    /// Names of each inode; for a folder its sub-folders.
    links: Vec<u32>,
    end: u64,
    blocks: u64,
    sparse_blocks: u64,
}

impl<'a> Plan<'a> {
    fn new(tree: &'a LayerTree) -> Plan<'a> {
        let sorted = tree.sorted();
        let mut children = vec![0_u32; tree.node_count() + 1];
        for node in &sorted {
            children[tree.parent(*node).index() + 1] += 1;
        }
        for index in 1..children.len() {
            children[index] += children[index - 1];
        }
        let inodes = tree.inode_count();
        Plan {
            tree,
            sorted,
            children,
            order: Vec::with_capacity(inodes),
            places: vec![Place { nid: UNPLACED, block: 0, inlined: false }; inodes],
            links: vec![0; inodes],
            end: INODES_OFFSET,
            blocks: 0,
            sparse_blocks: 0,
        }
    }

    fn children(&self, folder: NodeId) -> &[NodeId] {
        let (from, to) = (self.children[folder.index()], self.children[folder.index() + 1]);
        &self.sorted[from as usize..to as usize]
    }

    /// Gives every inode its place: a folder, then what is in it, then folder by folder.
    fn place_all(&mut self) {
        self.place(NodeId::ROOT);
        let mut next = 0;
        while next < self.order.len() {
            let folder = self.order[next];
            next += 1;
            if !self.tree.is_folder(folder) {
                continue;
            }
            let (from, to) = (self.children[folder.index()], self.children[folder.index() + 1]);
            for index in from..to {
                let child = self.sorted[index as usize];
                if self.tree.is_folder(child) {
                    self.links[self.tree.inode_number(folder) as usize] += 1;
                } else {
                    self.links[self.tree.inode_number(child) as usize] += 1;
                }
                if self.places[self.tree.inode_number(child) as usize].nid == UNPLACED {
                    self.place(child);
                }
            }
        }
    }

    fn place(&mut self, node: NodeId) {
        let data = self.own_data_bytes(node);
        let header = INODE_BYTES + self.xattr_bytes(node);
        let tail = data % BLOCK;
        let mut at = self.end.next_multiple_of(NID_UNIT);
        // A tail stands behind its inode where one block holds both ends of it.
        let mut inlined = tail > 0 && (at + header) % BLOCK + tail <= BLOCK;
        if tail > 0 && !inlined && header + tail <= BLOCK {
            at = at.next_multiple_of(BLOCK);
            inlined = true;
        }
        let whole = data / BLOCK + u64::from(tail > 0 && !inlined);
        let number = self.tree.inode_number(node) as usize;
        let block = if let Content::Sparse(_) = self.tree.inode(node).content {
            let block = self.sparse_blocks;
            self.sparse_blocks += self.tree.inode(node).size.div_ceil(BLOCK);
            block
        } else {
            self.blocks += whole;
            self.blocks - whole
        };
        self.places[number] = Place { nid: (at / NID_UNIT) as u32, block: block as u32, inlined };
        self.end = at + header + if inlined { tail } else { 0 };
        self.order.push(node);
    }

    /// The bytes of a file that stand in the index itself: a folder's names, a link's target.
    fn own_data_bytes(&self, node: NodeId) -> u64 {
        match self.tree.inode(node).content {
            Content::Link(_, length) => u64::from(length),
            _ if self.tree.is_folder(node) => self.folder_bytes(node),
            _ => 0,
        }
    }

    fn folder_bytes(&self, folder: NodeId) -> u64 {
        let (mut full, mut used) = (0, 0);
        for (name, _) in self.folder_entries(folder) {
            let bytes = DIRENT_BYTES as u64 + name.len() as u64;
            if used + bytes > BLOCK {
                (full, used) = (full + 1, 0);
            }
            used += bytes;
        }
        full * BLOCK + used
    }

    /// A folder's names in order, its own and its parent's dots among them.
    fn folder_entries(&self, folder: NodeId) -> impl Iterator<Item = (&[u8], NodeId)> {
        let children = self.children(folder);
        let split = |name: &[u8]| children.partition_point(|child| self.tree.name(*child) < name);
        let (one, two) = (split(b"."), split(b".."));
        let named = |range: &'_ [NodeId]| {
            range.iter().map(|child| (self.tree.name(*child), *child)).collect::<Vec<_>>()
        };
        let mut list = named(&children[..one]);
        list.push((b".", folder));
        list.extend(named(&children[one..two]));
        list.push((b"..", self.tree.parent(folder)));
        list.extend(named(&children[two..]));
        list.into_iter()
    }

    fn xattr_entries(&self, node: NodeId) -> Vec<(u8, &[u8], &[u8])> {
        let mut list: Vec<_> = self
            .tree
            .xattrs(node)
            .into_iter()
            .filter_map(|(name, value)| split_xattr(name).map(|(index, rest)| (index, rest, value)))
            .collect();
        if self.tree.is_opaque(node) {
            let (index, rest) = split_xattr(OPAQUE.0).expect("the name has a known prefix");
            list.push((index, rest, OPAQUE.1));
        }
        list
    }

    fn xattr_bytes(&self, node: NodeId) -> u64 {
        if !self.tree.has_xattrs(node) && !self.tree.is_opaque(node) {
            return 0;
        }
        let entries = self.xattr_entries(node);
        if entries.is_empty() {
            return 0;
        }
        let entry = |rest: &[u8], value: &[u8]| {
            (XATTR_ENTRY_BYTES + rest.len() + value.len()).next_multiple_of(4)
        };
        let sum: usize = entries.iter().map(|(_, rest, value)| entry(rest, value)).sum();
        (XATTR_HEADER_BYTES + sum) as u64
    }

    fn finish(&self, tar_bytes: u64) -> io::Result<Areas> {
        let blocks_start = self.end.div_ceil(BLOCK);
        let sparse_start = blocks_start + self.blocks;
        let tar_start = sparse_start + self.sparse_blocks;
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
        let root = self.places[self.tree.inode_number(NodeId::ROOT) as usize].nid;
        block.extend((root as u16).to_le_bytes());
        block.extend((self.order.len() as u64).to_le_bytes());
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
        for node in &self.order {
            let place = self.places[self.tree.inode_number(*node) as usize];
            let start = u64::from(place.nid) * NID_UNIT;
            bytes.clear();
            bytes.resize((start - at) as usize, 0);
            self.put_inode(*node, place, areas, &mut bytes);
            at += bytes.len() as u64;
            file.write_all(&bytes)?;
        }
        pad(file, at)
    }

    fn put_inode(&self, node: NodeId, place: Place, areas: &Areas, out: &mut Vec<u8>) {
        let inode = self.tree.inode(node);
        let number = self.tree.inode_number(node);
        let xattrs = self.xattr_bytes(node);
        let own = self.own_data_bytes(node);
        let layout = if place.inlined { LAYOUT_INLINE } else { LAYOUT_PLAIN };
        let size = if own > 0 { own } else { inode.size };
        let extra = u64::from(self.tree.is_folder(node)) * 2;
        out.extend(((layout << 1) | FORMAT_EXTENDED).to_le_bytes());
        let icount = if xattrs == 0 { 0 } else { 1 + (xattrs as usize - XATTR_HEADER_BYTES) / 4 };
        out.extend((icount as u16).to_le_bytes());
        out.extend((inode.mode as u16).to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(self.data_word(node, place, areas).to_le_bytes());
        out.extend((number + 1).to_le_bytes());
        out.extend(inode.uid.to_le_bytes());
        out.extend(inode.gid.to_le_bytes());
        out.extend(inode.mtime.to_le_bytes());
        out.extend(inode.mtime_nanos.to_le_bytes());
        out.extend((self.links[number as usize] + extra as u32).to_le_bytes());
        out.extend([0; 16]);
        self.put_xattrs(node, out);
        if place.inlined {
            let mut data = Vec::new();
            self.put_own_data(node, &mut data);
            out.extend(&data[data.len() - (own % BLOCK) as usize..]);
        }
    }

    /// The inode's word that says where its data is: a block, or a device's number.
    fn data_word(&self, node: NodeId, place: Place, areas: &Areas) -> u32 {
        match self.tree.inode(node).content {
            Content::Device(major, minor) => encode_device(major, minor),
            Content::Tar(offset) => (areas.tar_start + offset / BLOCK) as u32,
            Content::Sparse(_) => (areas.sparse_start + u64::from(place.block)) as u32,
            _ => (areas.blocks_start + u64::from(place.block)) as u32,
        }
    }

    fn put_xattrs(&self, node: NodeId, out: &mut Vec<u8>) {
        if self.xattr_bytes(node) == 0 {
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

    fn put_own_data(&self, node: NodeId, out: &mut Vec<u8>) {
        if self.tree.is_folder(node) {
            self.put_folder(node, out);
        } else {
            out.extend(self.tree.link_target(node));
        }
    }

    /// A folder's blocks: in each, the entries first and their names behind them.
    fn put_folder(&self, folder: NodeId, out: &mut Vec<u8>) {
        let mut block: Vec<(&[u8], NodeId)> = Vec::new();
        let mut used = 0;
        for entry in self.folder_entries(folder) {
            let bytes = DIRENT_BYTES + entry.0.len();
            if used + bytes > BLOCK as usize {
                self.put_folder_block(&block, out);
                out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
                block.clear();
                used = 0;
            }
            used += bytes;
            block.push(entry);
        }
        self.put_folder_block(&block, out);
    }

    fn put_folder_block(&self, entries: &[(&[u8], NodeId)], out: &mut Vec<u8>) {
        let mut name_at = entries.len() * DIRENT_BYTES;
        for (name, node) in entries {
            let nid = self.places[self.tree.inode_number(*node) as usize].nid;
            out.extend(u64::from(nid).to_le_bytes());
            out.extend((name_at as u16).to_le_bytes());
            out.extend([dirent_type(self.tree.inode(*node).mode), 0]);
            name_at += name.len();
        }
        entries.iter().for_each(|(name, _)| out.extend(*name));
    }

    /// The data blocks of folders and long links, in the order of their inodes.
    fn write_blocks(&self, file: &mut impl Write, areas: &Areas) -> io::Result<()> {
        let mut written = 0;
        let mut data = Vec::new();
        for node in &self.order {
            let own = self.own_data_bytes(*node);
            if own == 0 {
                continue;
            }
            let place = self.places[self.tree.inode_number(*node) as usize];
            data.clear();
            self.put_own_data(*node, &mut data);
            if place.inlined {
                data.truncate((own / BLOCK * BLOCK) as usize);
            }
            data.resize(data.len().next_multiple_of(BLOCK as usize), 0);
            written += data.len() as u64;
            file.write_all(&data)?;
        }
        debug_assert_eq!(written / BLOCK, areas.sparse_start - areas.blocks_start);
        Ok(())
    }

    /// Copies the pieces of sparse files to where a mounted file has them; holes stay holes.
    fn write_sparse(&self, tar: &File, out: &File, areas: &Areas) -> io::Result<()> {
        for node in &self.order {
            let Content::Sparse(number) = self.tree.inode(*node).content else { continue };
            let place = self.places[self.tree.inode_number(*node) as usize];
            let start = (areas.sparse_start + u64::from(place.block)) * BLOCK;
            copy_pieces(tar, self.tree.sparse_file(number), out, start)?;
        }
        Ok(())
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

//! Does an index say what its tree says?

use super::{IndexError, IndexInode, IndexReader, Nid};
use crate::tree::{Content, LayerTree, NodeId};

/// The number of no file.
const NOWHERE: u32 = u32::MAX;

/// A number as an index of ours has it, which is half as long as others may have.
fn short(nid: Nid) -> Option<u32> {
    u32::try_from(nid.0).ok().filter(|nid| *nid != NOWHERE)
}

/// The first thing in which an index differs from the tree that it should describe.
pub fn difference(index: &IndexReader, tree: &LayerTree) -> Result<Option<String>, IndexError> {
    let sorted = tree.sorted();
    // Where the index has the file of each number, as the first of its names says.
    let mut nids = vec![NOWHERE; tree.node_count()];
    let Some(root) = short(index.root()) else {
        return Ok(Some(told(tree, NodeId::ROOT, "place")));
    };
    nids[NodeId::ROOT.index()] = root;
    let mut folders: Vec<NodeId> =
        sorted.iter().copied().filter(|node| tree.is_folder(*node)).collect();
    folders.push(NodeId::ROOT);
    // A folder is always made before what is in it, so in this order its place is known.
    folders.sort_unstable_by_key(|folder| folder.index());
    for folder in folders {
        let inode = index.inode(Nid(nids[folder.index()].into()))?;
        if let Some(what) = attribute(index, &inode, tree, folder)? {
            return Ok(Some(told(tree, folder, what)));
        }
        let from = sorted.partition_point(|node| tree.parent(*node).index() < folder.index());
        let children = sorted[from..].iter().take_while(|node| tree.parent(**node) == folder);
        let mut entries = index.entries(&inode)?;
        for &child in children {
            let entry = entries.next().transpose()?;
            let entry = entry.filter(|entry| entry.name == tree.name(child)).map(|entry| entry.nid);
            let Some((nid, number)) = entry.and_then(|nid| Some((nid, short(nid)?))) else {
                return Ok(Some(told(tree, child, "place")));
            };
            let known = &mut nids[tree.inode_number(child) as usize];
            if *known != NOWHERE && *known != number {
                return Ok(Some(told(tree, child, "set of names")));
            }
            *known = number;
            if tree.is_folder(child) {
                continue;
            }
            if let Some(what) = attribute(index, &index.inode(nid)?, tree, child)? {
                return Ok(Some(told(tree, child, what)));
            }
        }
        if let Some(stranger) = entries.next().transpose()? {
            return Ok(Some(format!("{} is not in the layer", stranger.name.escape_ascii())));
        }
    }
    Ok(None)
}

fn told(tree: &LayerTree, node: NodeId, what: &str) -> String {
    format!("{}: the {what} is another", tree.path(node).escape_ascii())
}

/// What of a file the index has otherwise.
fn attribute(
    index: &IndexReader,
    found: &IndexInode,
    tree: &LayerTree,
    node: NodeId,
) -> Result<Option<&'static str>, IndexError> {
    let inode = tree.inode(node);
    if found.mode != inode.mode {
        return Ok(Some("mode"));
    }
    if (found.uid, found.gid) != (inode.uid, inode.gid) {
        return Ok(Some("owner"));
    }
    if found.mtime != (inode.mtime, inode.mtime_nanos) {
        return Ok(Some("time"));
    }
    let mut xattrs: Vec<_> =
        tree.xattrs(node).iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    if tree.is_opaque(node) {
        xattrs.push((b"trusted.overlay.opaque".to_vec(), b"y".to_vec()));
    }
    if index.xattrs(found)? != xattrs {
        return Ok(Some("list of extended attributes"));
    }
    Ok(match inode.content {
        Content::Link(..) if index.link_target(found)? != tree.link_target(node) => Some("target"),
        Content::Device(major, minor) if found.device != Some((major, minor)) => Some("device"),
        Content::Tar(offset) if found.tar_offset != Some(offset) => Some("place in the tar"),
        _ if found.is_file() && found.size != inode.size => Some("size"),
        _ => None,
    })
}

//! Looks through a stack of layers without mounting it: what is where, what differs, which layer
//! brought it.
//!
//! A folder of the merged tree is made of the same folder in some of the layers. Two images that
//! share layers share those folders, and comparing them passes over everything that no other
//! layer touches: it takes time in proportion to the difference.

use std::collections::{BTreeMap, HashSet, btree_map};

use crate::erofs::{IndexError, IndexInode, IndexReader, Nid};

/// A stack of indexes, bottom first.
pub struct Merged {
    layers: Vec<IndexReader>,
}

/// A file of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The layer's place in the stack, from the bottom.
    pub layer: usize,
    /// The file.
    pub inode: IndexInode,
}

/// Something in the merged tree: the file on top, and for a folder those below it that it merges
/// with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Top first; only folders have more than one.
    pub parts: Vec<Origin>,
}

impl Merge {
    /// The file whose attributes show.
    pub fn top(&self) -> &Origin {
        &self.parts[0]
    }
}

impl Merged {
    /// Looks through these indexes, bottom first; there must be one.
    pub fn new(layers: Vec<IndexReader>) -> Merged {
        Merged { layers }
    }

    /// The index of a layer.
    pub fn layer(&self, place: usize) -> &IndexReader {
        &self.layers[place]
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is no layer at all.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The root of the merged tree; none without layers.
    pub fn root(&self) -> Result<Option<Merge>, IndexError> {
        let mut parts = Vec::new();
        for (layer, index) in self.layers.iter().enumerate().rev() {
            let inode = index.inode(index.root())?;
            let opaque = index.is_opaque(&inode)?;
            parts.push(Origin { layer, inode });
            if opaque {
                break;
            }
        }
        Ok((!parts.is_empty()).then_some(Merge { parts }))
    }

    /// What is in a folder, by name.
    pub fn entries(&self, folder: &Merge) -> Result<BTreeMap<Vec<u8>, Merge>, IndexError> {
        // `None` stands for a name that a layer has hidden from those below it.
        let mut found: BTreeMap<Vec<u8>, Option<Merge>> = BTreeMap::new();
        let mut closed: BTreeMap<Vec<u8>, ()> = BTreeMap::new();
        for part in folder.parts.iter().filter(|part| part.inode.is_folder()) {
            let index = &self.layers[part.layer];
            for entry in index.entries(&part.inode)? {
                if closed.contains_key(&entry.name) {
                    continue;
                }
                let inode = index.inode(entry.nid)?;
                let merges = inode.is_folder() && !index.is_opaque(&inode)?;
                let (whiteout, is_folder) = (inode.is_whiteout(), inode.is_folder());
                if !merges {
                    closed.insert(entry.name.clone(), ());
                }
                let origin = Origin { layer: part.layer, inode };
                match found.get_mut(&entry.name) {
                    // What a folder finds below it merges if it is one too, and is hidden if not.
                    Some(Some(above)) if is_folder => above.parts.push(origin),
                    Some(_) => {}
                    None if whiteout => {
                        found.insert(entry.name, None);
                    }
                    None => {
                        found.insert(entry.name, Some(Merge { parts: vec![origin] }));
                    }
                }
            }
        }
        Ok(found.into_iter().filter_map(|(name, merge)| Some((name, merge?))).collect())
    }

    /// What has this name in a folder.
    pub fn child(&self, folder: &Merge, name: &[u8]) -> Result<Option<Merge>, IndexError> {
        let mut parts = Vec::new();
        for part in folder.parts.iter().filter(|part| part.inode.is_folder()) {
            let index = &self.layers[part.layer];
            let Some(inode) = index.child(&part.inode, name)? else { continue };
            let merges = inode.is_folder() && !index.is_opaque(&inode)?;
            // Below a folder nothing but folders count; whatever else is there ends it.
            if !inode.is_whiteout() && (parts.is_empty() || inode.is_folder()) {
                parts.push(Origin { layer: part.layer, inode });
            }
            if !merges {
                break;
            }
        }
        Ok((!parts.is_empty()).then_some(Merge { parts }))
    }

    /// What is at a path, given as cleaned parts; links are not followed.
    pub fn find(&self, parts: &[&[u8]]) -> Result<Option<Merge>, IndexError> {
        let Some(mut at) = self.root()? else { return Ok(None) };
        for part in parts {
            match self.child(&at, part)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Shows every file below a folder, parents before children, names in order.
    pub fn walk(
        &self,
        folder: &Merge,
        path: &mut Vec<u8>,
        each: &mut dyn FnMut(&[u8], &Merge) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut seen = Seen::default();
        seen.enter(folder, path)?;
        let mut above = vec![(path.len(), self.entries(folder)?.into_iter())];
        while let Some((length, entries)) = above.last_mut() {
            path.truncate(*length);
            let Some((name, merge)) = entries.next() else {
                above.pop();
                continue;
            };
            path.push(b'/');
            path.extend(&name);
            each(path, &merge)?;
            if merge.top().inode.is_folder() {
                seen.enter(&merge, path)?;
                above.push((path.len(), self.entries(&merge)?.into_iter()));
            }
        }
        Ok(())
    }
}

/// No layer is taken whose folders are deeper than a path of this length can name.
const MAX_PATH: usize = 1 << 19;

/// The folders that a walk has been in. A damaged index may lead in a ring, or to one folder on so
/// many ways that the walk would have no end; in a whole one there is one way to each.
#[derive(Default)]
struct Seen(HashSet<(usize, Nid)>);

impl Seen {
    fn enter(&mut self, folder: &Merge, path: &[u8]) -> Result<(), IndexError> {
        if path.len() > MAX_PATH {
            return Err(IndexError::Damaged("its folders have no end"));
        }
        match folder.parts.iter().all(|part| self.0.insert((part.layer, part.inode.nid()))) {
            true => Ok(()),
            false => Err(IndexError::Damaged("a folder of it is in several folders")),
        }
    }
}

/// How a path differs between two trees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Both have it, and it is not the same.
    Changed,
    /// Only the first has it.
    Deleted,
}

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path from the root, with a slash in front.
    pub path: Vec<u8>,
    /// How it differs.
    pub change: Change,
    /// The file in the first tree.
    pub before: Option<Origin>,
    /// The file in the second.
    pub after: Option<Origin>,
}

/// Says whether two files that look alike hold the same bytes.
pub type SameContent<'a> = dyn FnMut(&Origin, &Origin) -> bool + 'a;

/// Compares two stacks that have `common` layers at the bottom in common.
pub fn diff(
    before: &Merged,
    after: &Merged,
    common: usize,
    same_content: &mut SameContent<'_>,
    each: &mut dyn FnMut(Difference),
) -> Result<(), IndexError> {
    let mut walk = Walk {
        before,
        after,
        common,
        same_content,
        each,
        path: Vec::new(),
        above: Vec::new(),
        seen: Default::default(),
    };
    walk.enter(before.root()?, after.root()?)?;
    while let Some((length, pairs)) = walk.above.last_mut() {
        walk.path.truncate(*length);
        match pairs.next() {
            Some((name, (one, two))) => {
                walk.path.push(b'/');
                walk.path.extend(&name);
                walk.entry(one, two)?;
            }
            None => drop(walk.above.pop()),
        }
    }
    Ok(())
}

/// What two folders have under one name.
type Pair = (Option<Merge>, Option<Merge>);

struct Walk<'a, 'b> {
    before: &'a Merged,
    after: &'a Merged,
    common: usize,
    same_content: &'a mut SameContent<'b>,
    each: &'a mut dyn FnMut(Difference),
    path: Vec<u8>,
    /// The folders on the way to the path: how long each one's own path is, and what of it is still
    /// to be compared.
    above: Vec<(usize, btree_map::IntoIter<Vec<u8>, Pair>)>,
    seen: [Seen; 2],
}

impl Walk<'_, '_> {
    /// Goes into two folders, or one that the other tree does not have.
    fn enter(&mut self, one: Option<Merge>, two: Option<Merge>) -> Result<(), IndexError> {
        if let (Some(one), Some(two)) = (&one, &two)
            && self.is_shared(one, two)
        {
            return Ok(());
        }
        let mut pairs: BTreeMap<Vec<u8>, Pair> = BTreeMap::new();
        if let Some(folder) = &one {
            self.seen[0].enter(folder, &self.path)?;
            let entries = self.before.entries(folder)?.into_iter();
            pairs.extend(entries.map(|(name, merge)| (name, (Some(merge), None))));
        }
        if let Some(folder) = &two {
            self.seen[1].enter(folder, &self.path)?;
            for (name, merge) in self.after.entries(folder)? {
                pairs.entry(name).or_default().1 = Some(merge);
            }
        }
        self.above.push((self.path.len(), pairs.into_iter()));
        Ok(())
    }

    fn entry(&mut self, one: Option<Merge>, two: Option<Merge>) -> Result<(), IndexError> {
        let change = match (&one, &two) {
            (Some(one), Some(two)) if self.is_shared(one, two) => return Ok(()),
            (Some(one), Some(two)) => match self.is_same(one.top(), two.top())? {
                true => None,
                false => Some(Change::Changed),
            },
            (None, _) => Some(Change::Added),
            (_, None) => Some(Change::Deleted),
        };
        if let Some(change) = change {
            let origin = |merge: &Option<Merge>| merge.as_ref().map(|merge| merge.top().clone());
            let (before, after) = (origin(&one), origin(&two));
            (self.each)(Difference { path: self.path.clone(), change, before, after });
        }
        let folder = |merge: Option<Merge>| merge.filter(|merge| merge.top().inode.is_folder());
        match (folder(one), folder(two)) {
            (None, None) => Ok(()),
            (one, two) => self.enter(one, two),
        }
    }

    /// Whether both are made of the same files of layers that both stacks have.
    fn is_shared(&self, one: &Merge, two: &Merge) -> bool {
        one.parts.len() == two.parts.len()
            && one.parts.iter().zip(&two.parts).all(|(one, two)| {
                one.layer == two.layer
                    && one.layer < self.common
                    && one.inode.nid() == two.inode.nid()
            })
    }

    fn is_same(&mut self, one: &Origin, two: &Origin) -> Result<bool, IndexError> {
        let (a, b) = (&one.inode, &two.inode);
        let outside = |inode: &IndexInode| {
            let size = if inode.is_folder() { 0 } else { inode.size };
            (inode.mode, inode.uid, inode.gid, inode.device, size)
        };
        if outside(a) != outside(b) {
            return Ok(false);
        }
        let (left, right) = (self.before.layer(one.layer), self.after.layer(two.layer));
        if shown_xattrs(left, a)? != shown_xattrs(right, b)? {
            return Ok(false);
        }
        if a.is_link() {
            return Ok(left.link_target(a)? == right.link_target(b)?);
        }
        Ok(!a.is_file() || a.size == 0 || (self.same_content)(one, two))
    }
}

/// A file's extended attributes as a mount shows them: without overlay's marks.
fn shown_xattrs(
    index: &IndexReader,
    inode: &IndexInode,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, IndexError> {
    let mut xattrs = index.xattrs(inode)?;
    xattrs.retain(|(name, _)| !name.starts_with(b"trusted.overlay."));
    Ok(xattrs)
}

//! Two stacks compared, folder by folder.

use std::iter::Peekable;

use super::walk::Seen;
use super::{Entries, Merge, Merged, Origin};
use crate::erofs::{IndexError, IndexInode, IndexReader};

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

/// Says whether two of whatever kind that look alike are the same: files, whether they hold the same
/// bytes; and whether times count.
pub type SameContent<'a> = dyn FnMut(&Origin, &Origin) -> bool + 'a;

/// Compares two stacks that have `common` layers at the bottom in common.
pub fn diff(
    before: &Merged,
    after: &Merged,
    common: usize,
    same_content: &mut SameContent<'_>,
    each: &mut dyn FnMut(Difference),
) -> Result<(), IndexError> {
    let mut walk = Comparison {
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
        match pairs.next()? {
            Some((name, one, two)) => {
                walk.path.push(b'/');
                walk.path.extend(&name);
                walk.entry(one, two)?;
            }
            None => drop(walk.above.pop()),
        }
    }
    Ok(())
}

/// What two folders have, name by name.
struct Pairs<'a> {
    one: Option<Peekable<Entries<'a>>>,
    two: Option<Peekable<Entries<'a>>>,
}

type Named = (Vec<u8>, Merge);

impl Pairs<'_> {
    fn next(&mut self) -> Result<Option<(Vec<u8>, Option<Merge>, Option<Merge>)>, IndexError> {
        let first = [&mut self.one, &mut self.two].into_iter().flatten().filter_map(|entries| {
            let name = entries.peek()?.as_ref().map(|(name, _)| name.as_slice());
            // An error comes before everything else.
            Some(name.unwrap_or_default())
        });
        let Some(name) = first.min().map(<[u8]>::to_vec) else { return Ok(None) };
        let one = take(&mut self.one, &name)?;
        let two = take(&mut self.two, &name)?;
        Ok(Some((name, one, two)))
    }
}

fn take(
    entries: &mut Option<Peekable<Entries<'_>>>,
    name: &[u8],
) -> Result<Option<Merge>, IndexError> {
    let is_it =
        |next: &Result<Named, IndexError>| next.as_ref().map_or(true, |(other, _)| other == name);
    let taken = entries.as_mut().and_then(|entries| entries.next_if(is_it));
    Ok(taken.transpose()?.map(|(_, merge)| merge))
}

struct Comparison<'a, 'b> {
    before: &'a Merged,
    after: &'a Merged,
    common: usize,
    same_content: &'a mut SameContent<'b>,
    each: &'a mut dyn FnMut(Difference),
    path: Vec<u8>,
    /// The folders on the way to the path: how long each one's own path is, and what of it is still
    /// to be compared.
    above: Vec<(usize, Pairs<'a>)>,
    seen: [Seen; 2],
}

impl Comparison<'_, '_> {
    /// Goes into two folders, or one that the other tree does not have.
    fn enter(&mut self, one: Option<Merge>, two: Option<Merge>) -> Result<(), IndexError> {
        if let (Some(one), Some(two)) = (&one, &two)
            && self.is_shared(one, two)
        {
            return Ok(());
        }
        let [seen_before, seen_after] = &mut self.seen;
        let path = &self.path;
        let entries = |merged, seen: &mut Seen, folder: Option<Merge>| {
            folder.map(|folder| opened(merged, seen, &folder, path)).transpose()
        };
        let one = entries(self.before, seen_before, one)?;
        let two = entries(self.after, seen_after, two)?;
        self.above.push((self.path.len(), Pairs { one, two }));
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
        if a.is_link() && left.link_target(a)? != right.link_target(b)? {
            return Ok(false);
        }
        Ok((self.same_content)(one, two))
    }
}

fn opened<'a>(
    merged: &'a Merged,
    seen: &mut Seen,
    folder: &Merge,
    path: &[u8],
) -> Result<Peekable<Entries<'a>>, IndexError> {
    seen.enter(folder, path)?;
    Ok(merged.entries(folder)?.peekable())
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

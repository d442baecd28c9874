//! What a stack of layers must look like: the rules of layers, applied one by one in memory.
//!
//! Naive on purpose, and nothing of the real thing is used: no tree, no index, no mount. It
//! takes layers that are well-formed; what is refused is another table's business.

use image::tar::EntryKind;
use spec::Digest;

use crate::layer::{Item, Layer};
use crate::tree::{Kind, Node, Tree};

/// The tree that these layers make, bottom first.
pub fn apply(layers: &[Layer]) -> Tree {
    let mut oracle = Oracle { tree: Tree::default(), files: 0 };
    let root = oracle.implied();
    oracle.tree.nodes.insert(Vec::new(), root);
    for layer in layers {
        oracle.apply(layer);
    }
    oracle.tree
}

/// A tree before the layer that is being applied, and with what it has done so far.
struct Oracle {
    tree: Tree,
    files: u64,
}

impl Oracle {
    fn apply(&mut self, layer: &Layer) {
        // What a layer hides is what the layers below have, whatever comes when in the tar.
        for item in &layer.items {
            let path = clean(&item.entry.path);
            let (folder, name) = split(&path);
            if name == b".wh..wh..opq" {
                self.remove_below(folder);
            } else if let Some(hidden) = name.strip_prefix(b".wh.")
                && !name.starts_with(b".wh..wh.")
            {
                self.remove(&join(folder, hidden));
            }
        }
        for item in &layer.items {
            let path = clean(&item.entry.path);
            let (folder, name) = split(&path);
            // A folder that only a mark names is there all the same.
            self.imply(folder);
            if !name.starts_with(b".wh.") {
                self.put(path, item);
            }
        }
    }

    /// Makes the folders above an entry that are not there, in the layer or below it.
    fn imply(&mut self, folder: &[u8]) {
        if folder.is_empty() {
            return;
        }
        self.imply(split(folder).0);
        let there = self.tree.nodes.get(folder).is_some_and(|node| node.kind == Kind::Folder);
        if !there {
            let node = self.implied();
            self.tree.nodes.insert(folder.to_vec(), node);
        }
    }

    fn put(&mut self, path: Vec<u8>, item: &Item) {
        let Item { entry, data } = item;
        if let EntryKind::Hardlink(target) = &entry.kind {
            let node = self.tree.nodes[&clean(target)].clone();
            self.remove(&path);
            self.tree.nodes.insert(path, node);
            return;
        }
        let kind = match &entry.kind {
            EntryKind::Directory => Kind::Folder,
            EntryKind::Symlink(target) => Kind::Link(target.clone()),
            EntryKind::Char { major, minor } => Kind::Char(*major, *minor),
            EntryKind::Block { major, minor } => Kind::Block(*major, *minor),
            EntryKind::Fifo => Kind::Fifo,
            _ => Kind::File(data.len() as u64, Digest::of(data)),
        };
        let was_folder = self.tree.nodes.get(&path).is_some_and(|node| node.kind == Kind::Folder);
        if !(was_folder && kind == Kind::Folder) {
            self.remove(&path);
        }
        let mode = if matches!(kind, Kind::Link(_)) { 0o777 } else { entry.mode };
        let for_user = matches!(kind, Kind::Folder | Kind::File(..));
        let shown = |name: &[u8]| !name.starts_with(b"user.") || for_user;
        let kept = entry.xattrs.iter().filter(|(name, _)| shown(name)).cloned();
        let node = Node {
            kind,
            mode,
            uid: entry.uid as u32,
            gid: entry.gid as u32,
            mtime: (entry.mtime.seconds, entry.mtime.nanos),
            xattrs: kept.collect(),
            file: self.next(),
        };
        self.tree.nodes.insert(path, node);
    }

    fn implied(&mut self) -> Node {
        let file = self.next();
        let kind = Kind::Folder;
        Node { kind, mode: 0o755, uid: 0, gid: 0, mtime: (0, 0), xattrs: Vec::new(), file }
    }

    fn next(&mut self) -> u64 {
        self.files += 1;
        self.files
    }

    fn remove(&mut self, path: &[u8]) {
        self.remove_below(path);
        self.tree.nodes.remove(path);
    }

    fn remove_below(&mut self, folder: &[u8]) {
        // All that is below `a` stands between `a/` and `a0`, the byte after the slash.
        let (from, to) = match folder.is_empty() {
            true => (vec![0], vec![0xff; 2]),
            false => ([folder, b"/"].concat(), [folder, b"0"].concat()),
        };
        let below: Vec<_> = self.tree.nodes.range(from..to).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.tree.nodes.remove(&path);
        }
    }
}

/// A path without dots, doubled slashes and anything above the root.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// The folder of a path and the name in it.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// The way back.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match folder.is_empty() {
        true => name.to_vec(),
        false => [folder, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(layers: &[Layer], expected: &[&str]) {
        assert_eq!(apply(layers).paths(), expected);
    }

    #[test]
    fn a_later_layer_wins_and_hides() {
        let below = Layer::new().folder("d").file("d/x", "1").file("d/y", "2").file("top", "3");
        check(std::slice::from_ref(&below), &["d", "d/x", "d/y", "top"]);
        check(&[below.clone(), Layer::new().whiteout("d/x")], &["d", "d/y", "top"]);
        check(&[below.clone(), Layer::new().whiteout("d")], &["top"]);
        check(&[below.clone(), Layer::new().file("d/new", "").opaque("d")], &["d", "d/new", "top"]);
        check(&[below.clone(), Layer::new().file("d", "")], &["d", "top"]);
        check(&[below.clone(), Layer::new().folder("d")], &["d", "d/x", "d/y", "top"]);
        check(&[below, Layer::new().whiteout("d").folder("d")], &["d", "top"]);
    }

    #[test]
    fn implied_folders_keep_what_is_below_them() {
        let below = Layer::new().folder("d").mode(0o700).owner(1, 2);
        let tree = apply(&[below, Layer::new().file("d/e/f", "")]);
        assert_eq!((tree.get("d").unwrap().mode, tree.get("d").unwrap().uid), (0o700, 1));
        assert_eq!((tree.get("d/e").unwrap().mode, tree.get("d/e").unwrap().uid), (0o755, 0));
    }

    #[test]
    fn names_of_one_file_are_told_from_equal_files() {
        let linked = apply(&[Layer::new().file("a", "1").hard_link("b", "a")]);
        let equal = apply(&[Layer::new().file("a", "1").file("b", "1")]);
        assert_eq!(linked.differences(&equal).len(), 1);
        assert!(linked.differences(&linked).is_empty());
    }
}

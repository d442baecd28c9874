//! A stack looked through without mounting it: what is where, and what differs.

use std::os::unix::fs::FileExt;

use image::erofs::{IndexError, IndexReader};
use image::merged::{Change, Merge, Merged, Origin, diff};
use image::tree::LayerTree;
use testkit::oracle::apply;
use testkit::{Kind, Layer, Tree, random};

use crate::{index_of, read};

/// What a stack of indexes shows of each layer below, for settling the next.
struct Below<'a>(&'a Merged);

impl image::tree::Below for Below<'_> {
    type Error = image::tree::TreeError;

    fn at(&mut self, path: &[&[u8]]) -> Result<image::tree::Shown, Self::Error> {
        use image::tree::{Attributes, Shown};
        Ok(match self.0.find(path).unwrap() {
            None => Shown::Nothing,
            Some(merge) if merge.top().inode.is_folder() => {
                let top = merge.top();
                let (mode, uid, gid) = (top.inode.mode, top.inode.uid, top.inode.gid);
                let (mtime, mtime_nanos) = top.inode.mtime;
                let mut xattrs = self.0.layer(top.layer).xattrs(&top.inode).unwrap();
                xattrs.retain(|(name, _)| !name.starts_with(b"trusted.overlay."));
                Shown::Folder(Attributes { mode, uid, gid, mtime, mtime_nanos, xattrs })
            }
            Some(_) => Shown::File,
        })
    }

    fn root_names(&mut self) -> Result<Vec<Vec<u8>>, Self::Error> {
        let Some(root) = self.0.root().unwrap() else { return Ok(Vec::new()) };
        Ok(self.0.entries(&root).unwrap().map(|entry| entry.unwrap().0).collect())
    }
}

fn merged(layers: &[Layer]) -> Merged {
    let mut settled: Vec<(LayerTree, Vec<u8>)> = Vec::new();
    let stack = |settled: &[(LayerTree, Vec<u8>)]| {
        Merged::new(settled.iter().map(|(tree, tar)| index_of(tree, tar)).collect())
    };
    for layer in layers {
        let tar = layer.tar();
        let mut tree = read(&tar).unwrap();
        tree.settle(&mut Below(&stack(&settled))).unwrap();
        settled.push((tree, tar));
    }
    stack(&settled)
}

/// Every path with what the oracle and the stack must agree on.
fn seen(merged: &Merged) -> Vec<(Vec<u8>, String)> {
    let mut list = Vec::new();
    let root = merged.root().unwrap().unwrap();
    for entry in merged.walk(&root, Vec::new()).unwrap() {
        let (path, merge): (Vec<u8>, Merge) = entry.unwrap();
        let origin = merge.top();
        let (inode, index) = (&origin.inode, merged.layer(origin.layer));
        let kind = match inode {
            inode if inode.is_folder() => "folder".to_owned(),
            inode if inode.is_file() => format!("file {}", inode.size),
            inode if inode.is_link() => {
                format!("link {}", index.link_target(inode).unwrap().escape_ascii())
            }
            inode => format!("node {:?}", inode.device),
        };
        let mut xattrs = index.xattrs(inode).unwrap();
        xattrs.retain(|(name, _)| !name.starts_with(b"trusted.overlay."));
        let owner = (inode.mode & 0o7777, inode.uid, inode.gid, inode.mtime);
        list.push((path, format!("{kind} {owner:?} {xattrs:?}")));
    }
    list.sort();
    list
}

fn expected(tree: &Tree) -> Vec<(Vec<u8>, String)> {
    let named = tree.nodes.iter().filter(|(path, _)| !path.is_empty());
    let mut list: Vec<_> = named
        .map(|(path, node)| {
            let kind = match &node.kind {
                Kind::Folder => "folder".to_owned(),
                Kind::File(bytes, _) => format!("file {bytes}"),
                Kind::Link(target) => format!("link {}", target.escape_ascii()),
                Kind::Char(major, minor) | Kind::Block(major, minor) => {
                    format!("node {:?}", Some((*major, *minor)))
                }
                Kind::Fifo | Kind::Socket => "node None".to_owned(),
            };
            let owner = (node.mode, node.uid, node.gid, node.mtime);
            ([b"/", &path[..]].concat(), format!("{kind} {owner:?} {:?}", node.xattrs))
        })
        .collect();
    list.sort();
    list
}

#[test]
fn shows_what_a_mount_would() {
    for seed in 0..80 {
        let layers = random::stack(seed, 1 + seed as usize % 7, 50);
        assert_eq!(seen(&merged(&layers)), expected(&apply(&layers)), "seed {seed}");
    }
}

#[test]
fn finds_every_path_and_no_other() {
    for seed in 100..130 {
        let layers = random::stack(seed, 5, 40);
        let (merged, tree) = (merged(&layers), apply(&layers));
        let find = |path: &[u8]| {
            let parts = image::tree::clean(path);
            merged.find(&parts).unwrap()
        };
        for (path, node) in &tree.nodes {
            let found = find(path).unwrap_or_else(|| panic!("{}", path.escape_ascii()));
            assert_eq!(found.top().inode.is_folder(), node.kind == Kind::Folder);
            if !path.is_empty() {
                assert!(find(&[path, &b"/no such name"[..]].concat()).is_none());
            }
        }
        for layer in &layers {
            for item in &layer.items {
                let path = testkit::oracle::clean(&item.entry.path);
                assert_eq!(find(&path).is_some(), tree.nodes.contains_key(&path), "{path:?}");
            }
        }
    }
}

/// What differs between two trees of the oracle, without a clever thought.
fn naive(before: &Tree, after: &Tree) -> Vec<(Vec<u8>, Change)> {
    let mut list = Vec::new();
    let outside = |tree: &Tree, path: &Vec<u8>| {
        let node = tree.nodes.get(path)?;
        Some((node.kind.clone(), node.mode, node.uid, node.gid, node.xattrs.clone()))
    };
    for path in
        before.nodes.keys().chain(after.nodes.keys().filter(|p| !before.nodes.contains_key(*p)))
    {
        let change = match (outside(before, path), outside(after, path)) {
            (one, two) if one == two || path.is_empty() => continue,
            (None, _) => Change::Added,
            (_, None) => Change::Deleted,
            _ => Change::Changed,
        };
        list.push(([b"/", &path[..]].concat(), change));
    }
    list.sort();
    list
}

#[test]
fn tells_what_differs() {
    for seed in 0..20 {
        let stack = random::stack(seed, 6, 40);
        let other = random::stack(seed + 5000, 6, 40);
        for (common, one, two) in [
            (3, stack[..3].to_vec(), stack.clone()),
            (6, stack.clone(), stack.clone()),
            (0, stack.clone(), other.clone()),
            (2, stack.clone(), [&stack[..2], &other[..1]].concat()),
            (0, Vec::new(), stack.clone()),
        ] {
            let (left, right) = (merged(&one), merged(&two));
            let (before, after) = (tree(&one), tree(&two));
            let mut found = Vec::new();
            // The files' bytes are not looked at here, so the oracle is asked for them.
            let tars = |layers: &[Layer]| layers.iter().map(Layer::tar).collect::<Vec<_>>();
            let (tars_before, tars_after) = (tars(&one), tars(&two));
            fn bytes<'a>(tars: &'a [Vec<u8>], origin: &Origin) -> &'a [u8] {
                let offset = origin.inode.tar_offset.unwrap();
                &tars[origin.layer][offset as usize..][..origin.inode.size as usize]
            }
            let mut same = |a: &Origin, b: &Origin| {
                let has_bytes = a.inode.is_file() && a.inode.size > 0;
                !has_bytes || bytes(&tars_before, a) == bytes(&tars_after, b)
            };
            diff(&left, &right, common, &mut same, &mut |difference| {
                found.push((difference.path, difference.change));
            })
            .unwrap();
            found.sort();
            assert_eq!(found, naive(&before, &after), "seed {seed}, common {common}");
        }
    }
}

/// The oracle's tree; of no layers at all it is nothing, not an empty root.
fn tree(layers: &[Layer]) -> Tree {
    if layers.is_empty() { Tree::default() } else { apply(layers) }
}

#[test]
fn what_both_share_is_not_looked_at() {
    let base = (0..50).fold(Layer::new(), |layer, n| layer.file(format!("big/{n}/f"), "same size"));
    let one = merged(&[base.clone(), Layer::new().file("small/a", "1")]);
    let two = merged(&[base, Layer::new().file("small/a", "2")]);
    let mut asked = 0;
    let mut same = |a: &Origin, _: &Origin| {
        asked += usize::from(a.inode.is_file());
        a.inode.is_folder()
    };
    let mut found = Vec::new();
    diff(&one, &two, 1, &mut same, &mut |difference| found.push(difference.path)).unwrap();
    assert_eq!((found, asked), (vec![b"/small/a".to_vec()], 1));
}

#[test]
fn nothing_is_in_no_layers() {
    let nothing = Merged::new(Vec::new());
    assert!(nothing.is_empty() && nothing.root().unwrap().is_none());
    assert!(nothing.find(&[b"a"]).unwrap().is_none());
    let mut never = |_: &Origin, _: &Origin| unreachable!();
    diff(&nothing, &Merged::new(Vec::new()), 0, &mut never, &mut |_| unreachable!()).unwrap();
}

/// The stack of one layer in whose index one file's number stands for another's.
fn damaged(layer: &Layer, put: &[&[u8]], instead_of: &[&[u8]]) -> Merged {
    let tar = layer.tar();
    let tree = crate::tree_of(layer);
    let file = crate::index_file(&tree, &tar);
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let index = IndexReader::open(file.try_clone().unwrap()).unwrap();
    let number = |path: &[&[u8]]| -> [u8; 8] {
        let nid = format!("{:?}", index.find(path).unwrap().unwrap().nid());
        let digits: String = nid.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap().to_le_bytes()
    };
    let (new, old) = (number(put), number(instead_of));
    for at in 0..bytes.len() - 8 {
        if bytes[at..at + 8] == old {
            bytes[at..at + 8].copy_from_slice(&new);
        }
    }
    file.write_all_at(&bytes, 0).unwrap();
    Merged::new(vec![IndexReader::open(file).unwrap()])
}

#[test]
fn a_damaged_index_is_never_walked_for_ever() {
    let layer = Layer::new().file("a/b/c/d/file", "x").file("a/z/file", "y");
    let whole = merged(std::slice::from_ref(&layer));
    let ways: [(&[&[u8]], &[&[u8]]); 3] = [
        // A ring of all folders, a folder in itself, and one folder in two.
        (&[], &[b"a", b"b", b"c"]),
        (&[b"a", b"b"], &[b"a", b"b", b"c"]),
        (&[b"a", b"b"], &[b"a", b"z"]),
    ];
    for (put, instead_of) in ways {
        let ring = damaged(&layer, put, instead_of);
        let root = ring.root().unwrap().unwrap();
        let mut shown = 0;
        let mut walk = ring.walk(&root, Vec::new()).unwrap();
        let walked = walk.try_for_each(|entry| entry.map(|_| shown += 1));
        assert!(matches!(walked, Err(IndexError::Damaged(_))), "{walked:?}");
        assert!(shown < 20, "{shown}");
        let mut never = |_: &Origin, _: &Origin| true;
        for (one, two) in [(&whole, &ring), (&ring, &whole), (&ring, &ring)] {
            let found = diff(one, two, 0, &mut never, &mut |_| {});
            assert!(matches!(found, Err(IndexError::Damaged(_))), "{found:?}");
        }
    }
}

//! An index says what its tree says, to our reader and to the kernel.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use image::erofs::{IndexInode, IndexReader, Nid, write_index};
use image::tar::{Entry, EntryKind};
use image::tree::{Content, LayerTree, NodeId, TreeLimits};
use testkit::{Layer, Mounted, Tree, random};

use crate::{index_file, index_of, scratch_file, tree_of};

/// Checks every place of a tree against an index of it.
struct Compare<'a> {
    tree: &'a LayerTree,
    index: &'a IndexReader,
    tar: &'a [u8],
    nids: HashMap<u32, Nid>,
}

impl Compare<'_> {
    fn inode(&mut self, node: NodeId, found: &IndexInode, names: &HashMap<u32, u32>) {
        let inode = self.tree.inode(node);
        let path = String::from_utf8_lossy(&self.tree.path(node)).into_owned();
        let expected = (inode.mode, inode.uid, inode.gid, (inode.mtime, inode.mtime_nanos));
        assert_eq!((found.mode, found.uid, found.gid, found.mtime), expected, "{path}");
        let xattrs = self.index.xattrs(found).unwrap();
        let pairs: Vec<_> = xattrs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        assert_eq!(pairs, self.tree.xattrs(node), "{path}");
        let number = self.tree.inode_number(node);
        assert_eq!(*self.nids.entry(number).or_insert(found.nid()), found.nid(), "{path}");
        match inode.content {
            Content::Link(..) => {
                assert_eq!(self.index.link_target(found).unwrap(), self.tree.link_target(node));
            }
            Content::Device(major, minor) => assert_eq!(found.device, Some((major, minor))),
            Content::Tar(offset) => {
                assert_eq!((found.tar_offset, found.size), (Some(offset), inode.size), "{path}");
                assert!(offset + inode.size <= self.tar.len() as u64);
            }
            Content::Sparse(_) => assert_eq!((found.tar_offset, found.size), (None, inode.size)),
            Content::None => assert!(found.is_folder() || found.size == 0, "{path}"),
        }
        if !found.is_folder() {
            assert_eq!(found.links, names[&number], "{path}");
        }
    }
}

fn compare(layer: &Layer) {
    let (tree, tar) = (tree_of(layer), layer.tar());
    let index = index_of(&tree, &tar);
    let mut names = HashMap::new();
    let sorted = tree.sorted();
    for node in &sorted {
        *names.entry(tree.inode_number(*node)).or_insert(0) += 1;
    }
    let mut compare = Compare { tree: &tree, index: &index, tar: &tar, nids: HashMap::new() };
    let root = index.inode(index.root()).unwrap();
    compare.inode(NodeId::ROOT, &root, &names);
    let mut folders = vec![(NodeId::ROOT, root)];
    let mut seen = 0;
    while let Some((folder, found)) = folders.pop() {
        let mut children: Vec<NodeId> =
            sorted.iter().copied().filter(|node| tree.parent(*node) == folder).collect();
        children.sort_by(|a, b| tree.name(*a).cmp(tree.name(*b)));
        let entries: Vec<_> = index.entries(&found).unwrap().map(Result::unwrap).collect();
        let listed: Vec<&[u8]> = entries.iter().map(|entry| &entry.name[..]).collect();
        let wanted: Vec<&[u8]> = children.iter().map(|node| tree.name(*node)).collect();
        assert_eq!(listed, wanted);
        let subfolders = children.iter().filter(|node| tree.is_folder(**node)).count();
        assert_eq!(found.links, 2 + subfolders as u32);
        for (node, entry) in children.into_iter().zip(entries) {
            let inode = index.inode(entry.nid).unwrap();
            compare.inode(node, &inode, &names);
            assert_eq!(index.child(&found, &entry.name).unwrap().as_ref(), Some(&inode));
            let other = [&entry.name[..], b"\x01"].concat();
            assert_eq!(index.child(&found, &other).unwrap(), None);
            if inode.is_folder() {
                folders.push((node, inode));
            }
            seen += 1;
        }
    }
    assert_eq!(seen, sorted.len());
    assert_eq!(index.inode_count(), compare.nids.len() as u64);
}

#[test]
fn says_what_the_tree_says() {
    for seed in 0..150 {
        compare(&random::layer(seed, 10 + seed as usize));
    }
}

#[test]
fn folders_of_every_size_are_laid_out_right() {
    // Names and counts around the ends of blocks, and of what fits behind an inode.
    for length in [1, 4, 100, 200, 243, 244, 255] {
        for count in [1, 2, 3, 4, 5, 30, 31, 32, 33, 200] {
            let layer = (0..count).fold(Layer::new(), |layer, number| {
                let name = format!("{number:03}{}", "n".repeat(length));
                layer.file(format!("d/{}", &name[..length.max(3)]), "")
            });
            compare(&layer);
        }
    }
    for bytes in 0..80 {
        let value = vec![b'v'; bytes * 7];
        let layer =
            Layer::new().folder("d").xattr("user.a", &value).link("l", vec![b't'; 1 + bytes * 7]);
        compare(&layer.xattr("trusted.b", &value).file("d/f", ""));
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let bytes = |seed| {
        let layer = random::layer(seed, 80);
        let file = index_file(&tree_of(&layer), &layer.tar());
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    assert!(bytes(3) == bytes(3));
    assert!(bytes(3) != bytes(4));
}

/// Reads everything an index says, up to a limit, whatever it says.
fn read_everything(index: &IndexReader) {
    let mut folders: Vec<_> = index.inode(index.root()).into_iter().collect();
    for _ in 0..300 {
        let Some(folder) = folders.pop() else { return };
        let Ok(entries) = index.entries(&folder) else { continue };
        for entry in entries.map_while(Result::ok).take(300) {
            let _ = index.child(&folder, &entry.name);
            let Ok(inode) = index.inode(entry.nid) else { continue };
            let _ = (index.xattrs(&inode), index.link_target(&inode), index.is_opaque(&inode));
            if inode.is_folder() {
                folders.push(inode);
            }
        }
    }
}

#[test]
fn a_damaged_index_is_an_error_and_never_a_panic() {
    let layer = random::layer(11, 120);
    let file = index_file(&tree_of(&layer), &layer.tar());
    let mut good = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut good, 0).unwrap();
    let mut random = testkit::Random::new(1);
    for round in 0..1500 {
        let mut bad = good.clone();
        for _ in 0..1 + random.below(8) {
            let at = random.below(bad.len().min(if round % 2 == 0 { 4096 } else { usize::MAX }));
            bad[at] = random.next() as u8;
        }
        if round % 10 == 0 {
            bad.truncate(random.below(good.len()));
        }
        let file = scratch_file();
        file.write_all_at(&bad, 0).unwrap();
        if let Ok(index) = IndexReader::open(file) {
            read_everything(&index);
        }
    }
}

#[test]
fn the_kernel_reads_data_behind_four_gibibytes() {
    testkit::need_root!();
    let place = Mounted::on_disk();
    let open = |name: &str| {
        let path = place.path().join(name);
        File::options().read(true).write(true).create_new(true).open(path).unwrap()
    };
    // A tar with a hole: only the places matter, and nothing reads the headers again.
    let (tar, out) = (open("tar"), open("index"));
    let mut tree = LayerTree::new(TreeLimits::default());
    let places = [512, (4 << 30) - 512, (4 << 30) + 512, (1 << 40) - 4096];
    for (number, data_offset) in places.into_iter().enumerate() {
        let path = format!("f{number}").into_bytes();
        let entry = Entry { path, size: 700, data_offset, mode: 0o644, ..Entry::default() };
        tree.add(&Entry { kind: EntryKind::File, ..entry }).unwrap();
        tar.write_all_at(&[b'a' + number as u8; 700], data_offset).unwrap();
    }
    let tar_bytes = 1 << 40;
    tar.set_len(tar_bytes).unwrap();
    write_index(&tree, [1; 16], Some(&tar), tar_bytes, &out).unwrap();
    let path = |name: &str| place.path().join(name);
    let view = match sys::mount::erofs(&path("index"), &path("tar"), false) {
        Ok(view) => view,
        Err(error) => {
            return testkit::skip(format!("EROFS cannot be mounted from a file: {error}"));
        }
    };
    for (number, node) in Tree::read_at(&view).unwrap().nodes.values().skip(1).enumerate() {
        let expected = spec::Digest::of(&[b'a' + number as u8; 700]);
        assert_eq!(node.kind, testkit::Kind::File(700, expected), "at {}", places[number]);
    }
}

#[test]
fn more_than_an_index_can_address_is_refused() {
    let tree = LayerTree::new(TreeLimits::default());
    let out = scratch_file();
    let error = write_index(&tree, [0; 16], None, 1 << 42, &out).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
}

#[test]
fn an_independent_reader_agrees() {
    testkit::need_root!();
    for seed in 0..12 {
        let layer = random::layer(seed, 80);
        let (tree, tar) = (tree_of(&layer), layer.tar());
        let place = Mounted::folder();
        let path = |name: &str| place.path().join(name);
        std::fs::write(path("tar"), &tar).unwrap();
        let tar_file = File::open(path("tar")).unwrap();
        let out = File::create(path("index")).unwrap();
        write_index(&tree, [1; 16], Some(&tar_file), tar.len() as u64, &out).unwrap();
        let output = std::process::Command::new("fsck.erofs")
            .arg(format!("--device={}", path("tar").display()))
            .arg(format!("--extract={}", path("out").display()))
            .arg("--preserve")
            .arg(path("index"))
            .output();
        let Ok(output) = output else { return testkit::skip("there is no fsck.erofs") };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("blksize 512") {
            return testkit::skip(format!(
                "this fsck.erofs knows no blocks of 512 bytes: {}",
                said.trim()
            ));
        }
        assert!(output.status.success(), "seed {seed}: {said}");
        Tree::read(&path("out"))
            .unwrap()
            .must_equal(&testkit::oracle::apply(&[layer]), "fsck.erofs");
    }
}

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use testkit::{Layer, Mounted, Tree};

use super::*;
use crate::codec::Codec;
use crate::folder::{FolderSink, Ownership};
use crate::layer::{LayerLimits, Taps, read_layer};
use crate::stream::Tap;
use crate::tree::{Attributes, Below, LayerTree, Shown, TreeError};

fn open(path: &Path) -> OwnedFd {
    sys::fs::open_folder(path).unwrap()
}

/// Two empty folders beside each other.
fn two(place: &Mounted) -> (std::path::PathBuf, std::path::PathBuf) {
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    (from, to)
}

/// Something of every kind, with every attribute that can be set.
fn fill(root: &Path) {
    let folder = open(root);
    fs::create_dir_all(root.join("d/inner/empty")).unwrap();
    fs::write(root.join("d/file"), "some bytes").unwrap();
    fs::write(root.join("d/inner/none"), "").unwrap();
    fs::write(root.join("program"), vec![7; 300_000]).unwrap();
    symlink("/nowhere/at/all", root.join("link")).unwrap();
    sys::fs::make_node(&folder, "fifo", 0o010_640, (0, 0)).unwrap();
    sys::fs::make_node(&folder, "char", 0o020_600, (5, 70_000)).unwrap();
    sys::fs::make_node(&folder, "block", 0o060_600, (4095, 1)).unwrap();
    for (old, new) in [("d/file", "d/inner/same"), ("link", "d/link"), ("fifo", "d/fifo")] {
        sys::fs::hard_link(&folder, old, &folder, new).unwrap();
    }
    fs::hard_link(root.join("d/file"), root.join("third")).unwrap();
    for (name, uid) in
        [("d", 1), ("d/file", 2), ("program", 3), ("link", 4), ("char", 5), ("d/inner", 6)]
    {
        sys::fs::set_owner(&folder, name, uid, uid + 100).unwrap();
    }
    for (name, mode) in [("d", 0o3711), ("program", 0o6755), ("d/file", 0o400), ("d/inner", 0o500)]
    {
        sys::fs::set_mode(&folder, name, mode).unwrap();
    }
    let user = sys::fs::open_path(&folder, "d/file").unwrap();
    sys::fs::set_xattr(&user, b"user.mark", b"file").unwrap();
    let inner = sys::fs::open_path(&folder, "d").unwrap();
    sys::fs::set_xattr(&inner, b"trusted.mark", &[0, 255, 7]).unwrap();
    let capability = [&[1, 0, 0, 2][..], &[0; 16]].concat();
    let program = sys::fs::open_path(&folder, "program").unwrap();
    sys::fs::set_xattr(&program, b"security.capability", &capability).unwrap();
    // Whatever is made in this folder would get a list of its own from it.
    let acl: [(u16, u16, u32); 5] = [(1, 7, !0), (2, 5, 9), (4, 5, !0), (16, 7, !0), (32, 0, !0)];
    let entry = |(tag, permissions, id): &(u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let list: Vec<u8> = acl.iter().flat_map(entry).collect();
    let list = [2_u32.to_le_bytes().to_vec(), list].concat();
    sys::fs::set_xattr(&inner, b"system.posix_acl_default", &list).unwrap();
    let times =
        ["d/inner/none", "d/inner/empty", "d/inner", "d/file", "d", "link", "char", "fifo", "."];
    for (number, name) in times.into_iter().enumerate() {
        sys::fs::set_mtime(&folder, name, 1000 + number as i64, 7 + number as u32).unwrap();
    }
}

#[test]
fn a_copy_is_as_the_original() {
    testkit::need_root!();
    for place in [Mounted::folder(), Mounted::on_disk()] {
        let (from, to) = two(&place);
        fill(&from);
        copy_tree(open(&from), open(&to)).unwrap();
        let original = Tree::read(&from).unwrap();
        assert_eq!(original.paths().len(), 14);
        Tree::read(&to).unwrap().must_equal(&original, "copied");
        // A part of a tree is copied with the links inside it.
        let part = place.path().join("part");
        fs::create_dir(&part).unwrap();
        let mut copier = Copier::new(open(&part)).unwrap();
        copier.entry(open(&from), open(&part), b"d").unwrap();
        copier.entry(open(&from), open(&part), b"third").unwrap();
        assert!(copier.entry(open(&from), open(&part), b"third").is_err(), "it is there");
        copier.finish().unwrap();
        let copied = Tree::read(&part).unwrap();
        assert_eq!(copied.get("third").unwrap().file, copied.get("d/inner/same").unwrap().file);
        assert_eq!(copied.paths().len(), 9);
        assert_eq!(fs::metadata(part.join("third")).unwrap().nlink(), 3, "a spare name is left");
    }
}

#[test]
fn holes_stay_holes() {
    for place in [Mounted::folder(), Mounted::on_disk()] {
        let (from, to) = two(&place);
        let size = (5_u64 << 30) + 17;
        let pieces = [(0, 10), (4_294_967_290, 9000), (size - 5, 5)];
        let file = File::create(from.join("large")).unwrap();
        file.set_len(size).unwrap();
        for (at, bytes) in pieces {
            file.write_all_at(&vec![b'x'; bytes], at).unwrap();
        }
        File::create(from.join("hole")).unwrap().set_len(1 << 40).unwrap();
        copy_tree(open(&from), open(&to)).unwrap();
        let copy = File::open(to.join("large")).unwrap();
        assert_eq!(copy.metadata().unwrap().len(), size);
        assert!(copy.metadata().unwrap().blocks() * 512 < 1 << 20, "its holes were filled");
        for (at, bytes) in pieces {
            let mut data = vec![0; bytes];
            copy.read_exact_at(&mut data, at).unwrap();
            assert_eq!(data, vec![b'x'; bytes], "at {at}");
        }
        assert_eq!(fs::metadata(to.join("hole")).unwrap().len(), 1 << 40);
    }
}

#[test]
fn depth_costs_no_open_files() {
    const DEPTH: usize = 1500;
    let place = Mounted::folder();
    let (from, to) = two(&place);
    let mut at = Place::at(open(&from)).unwrap();
    for _ in 0..DEPTH {
        sys::fs::make_folder(at.folder(), "d", 0o700).unwrap();
        at.enter(b"d").unwrap();
    }
    sys::fs::create_new(at.folder(), "leaf", 0o600).unwrap();
    let deepest = at.stat().unwrap().st_ino;
    let opened = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = opened();
    copy_tree(open(&from), open(&to)).unwrap();
    let mut at = Place::at(open(&to)).unwrap();
    for _ in 0..DEPTH {
        at.enter(b"d").unwrap();
    }
    assert!(sys::fs::stat(at.folder(), "leaf").is_ok());
    assert_ne!(at.stat().unwrap().st_ino, deepest);
    // Other tests run at the same time, but none of them opens hundreds of files.
    assert!(opened() < before + 200);
    for root in [&from, &to] {
        remove(open(root), b"d").unwrap();
        assert_eq!(fs::read_dir(root).unwrap().count(), 0);
    }
}

#[test]
fn removal_follows_no_link() {
    let place = Mounted::folder();
    let (inside, outside) = two(&place);
    fs::create_dir(inside.join("tree")).unwrap();
    fs::write(outside.join("precious"), "x").unwrap();
    symlink(&outside, inside.join("tree/link")).unwrap();
    fs::create_dir(inside.join("tree/closed")).unwrap();
    fs::set_permissions(inside.join("tree/closed"), fs::Permissions::from_mode(0o700)).unwrap();
    remove(open(&inside), b"tree").unwrap();
    remove(open(&inside), b"tree").unwrap();
    assert!(!inside.join("tree").exists() && outside.join("precious").exists());
    symlink(&outside, inside.join("link")).unwrap();
    remove(open(&inside), b"link").unwrap();
    assert!(!inside.join("link").exists() && outside.join("precious").exists());
}

#[test]
fn a_walk_notices_that_its_folder_was_moved() {
    let place = Mounted::folder();
    let (from, to) = two(&place);
    fs::create_dir(from.join("d")).unwrap();
    let mut at = Place::at(open(&from)).unwrap();
    assert!(at.enter(b"none").is_err());
    at.enter(b"d").unwrap();
    fs::rename(from.join("d"), to.join("d")).unwrap();
    assert!(at.leave().is_err());
}

#[test]
fn attributes_are_taken_over_whole() {
    testkit::need_root!();
    let place = Mounted::folder();
    let (from, to) = two(&place);
    fill(&from);
    fs::create_dir(to.join("d")).unwrap();
    let target = sys::fs::open_path(open(&to), "d").unwrap();
    sys::fs::set_xattr(&target, b"user.stale", b"1").unwrap();
    sys::fs::set_xattr(&target, b"trusted.mark", b"other").unwrap();
    let stat = sys::fs::stat(open(&from), "d").unwrap();
    dress(open(&from.join("d")), &stat, open(&to), b"d").unwrap();
    let (wanted, found) = (Tree::read(&from).unwrap(), Tree::read(&to).unwrap());
    let (wanted, found) = (wanted.get("d").unwrap(), found.get("d").unwrap());
    assert_eq!((found.mode, found.uid, found.gid), (0o3711, 1, 101));
    assert_eq!((&found.xattrs, found.mtime), (&wanted.xattrs, wanted.mtime));
    assert_eq!(found.xattrs.len(), 2);
}

/// A tree of files that a layer is put on.
struct OnDisk<'a>(&'a Path);

impl Below for OnDisk<'_> {
    type Error = TreeError;

    fn at(&mut self, path: &[&[u8]]) -> Result<Shown, TreeError> {
        let path = self.0.join(std::ffi::OsStr::from_bytes(&path.join(&b'/')));
        Ok(match fs::symlink_metadata(&path) {
            Err(_) => Shown::Nothing,
            Ok(meta) if meta.is_dir() => Shown::Folder(Attributes {
                mode: meta.mode(),
                uid: meta.uid(),
                gid: meta.gid(),
                mtime: meta.mtime(),
                mtime_nanos: meta.mtime_nsec() as u32,
                xattrs: sys::fs::xattrs(open(&path)).unwrap(),
            }),
            Ok(_) => Shown::File,
        })
    }

    fn root_names(&mut self) -> Result<Vec<Vec<u8>>, TreeError> {
        Ok(sys::fs::names(open(self.0)).unwrap().into_iter().map(|(name, _)| name).collect())
    }
}

/// Unpacks a layer into a folder that holds no marks, and gives its tree.
fn unpack(layer: &Layer, folder: &Path, below: &Path) -> LayerTree {
    let mut sink = FolderSink::new(open(folder), None, Ownership::Same);
    let taps = Taps { stored: &mut Nobody, plain: &mut Nobody };
    let (tar, limits) = (layer.tar(), LayerLimits::default());
    let mut tree =
        read_layer(&mut tar.as_slice(), Codec::None, taps, Some(&mut sink), &limits).unwrap();
    tree.settle(&mut OnDisk(below)).unwrap();
    sink.finish(&tree).unwrap();
    tree
}

struct Nobody;

impl Tap for Nobody {
    fn pass(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn merged_layers_are_as_overlay_would_show_them() {
    testkit::need_root!();
    for (number, place) in [Mounted::folder(), Mounted::on_disk()].iter().enumerate() {
        let (aside, tree) = two(place);
        fs::remove_dir(&aside).unwrap();
        sys::fs::set_mtime(open(&tree), ".", 0, 0).unwrap();
        let layers = testkit::random::stack(40 + number as u64, 6, 80);
        for layer in &layers {
            fs::create_dir(&aside).unwrap();
            let unpacked = unpack(layer, &aside, &tree);
            hide(&unpacked, open(&tree)).unwrap();
            merge(open(&aside), open(&tree)).unwrap();
            remove(open(place.path()), b"from").unwrap();
        }
        let merged = Tree::read(&tree).unwrap();
        merged.must_equal(&testkit::oracle::apply(&layers), "merged");
    }
}

#[test]
fn what_lies_below_keeps_its_data_and_its_other_names() {
    let place = Mounted::folder();
    let (layer, tree) = two(&place);
    fs::write(tree.join("changed"), "before").unwrap();
    fs::hard_link(tree.join("changed"), tree.join("other-name")).unwrap();
    symlink("/nowhere", tree.join("link")).unwrap();
    fs::create_dir_all(tree.join("kept/inner")).unwrap();
    fs::write(layer.join("changed"), "after").unwrap();
    fs::create_dir_all(layer.join("link")).unwrap();
    fs::hard_link(layer.join("changed"), layer.join("link/same")).unwrap();
    fs::create_dir(layer.join("kept")).unwrap();
    fs::set_permissions(layer.join("kept"), fs::Permissions::from_mode(0o2750)).unwrap();
    sys::fs::set_mtime(open(&layer), "kept", 77, 7).unwrap();
    merge(open(&layer), open(&tree)).unwrap();
    let merged = Tree::read(&tree).unwrap();
    let expected =
        ["changed", "kept", "kept/inner", "link", "link/same", "other-name"].map(str::to_owned);
    assert_eq!(merged.paths(), expected);
    assert_eq!(fs::read(tree.join("changed")).unwrap(), b"after");
    assert_eq!(fs::read(tree.join("other-name")).unwrap(), b"before", "it was written to");
    assert_eq!(merged.get("changed").unwrap().file, merged.get("link/same").unwrap().file);
    let kept = merged.get("kept").unwrap();
    assert_eq!((kept.mode, kept.mtime), (0o2750, (77, 7)));
}

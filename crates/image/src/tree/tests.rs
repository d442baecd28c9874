//! Every rule of the module's page, and everything that is refused.

use super::*;
use crate::tar::{Entry, EntryKind, Segment, Time};

fn entry(path: impl AsRef<[u8]>, kind: EntryKind) -> Entry {
    let path = path.as_ref().to_vec();
    Entry { path, kind, mode: 0o644, mtime: Time { seconds: 7, nanos: 9 }, ..Entry::default() }
}

fn file(path: impl AsRef<[u8]>) -> Entry {
    Entry { size: 10, data_offset: 512, ..entry(path, EntryKind::File) }
}

fn folder(path: &str) -> Entry {
    Entry { mode: 0o750, ..entry(path, EntryKind::Directory) }
}

fn link(path: &str, target: &str) -> Entry {
    entry(path, EntryKind::Symlink(target.into()))
}

fn hard_link(path: &str, target: &str) -> Entry {
    entry(path, EntryKind::Hardlink(target.into()))
}

fn tree_of(entries: &[Entry]) -> Result<LayerTree, TreeError> {
    tree_within(TreeLimits::default(), entries)
}

fn tree_within(limits: TreeLimits, entries: &[Entry]) -> Result<LayerTree, TreeError> {
    let mut tree = LayerTree::new(limits);
    for entry in entries {
        tree.add(entry)?;
    }
    Ok(tree)
}

#[track_caller]
fn at(tree: &LayerTree, path: &str) -> NodeId {
    let parts = clean(path.as_bytes());
    // A settled tree finds nothing by its name.
    let child = |folder, name: &[u8]| {
        let is_it = |node: &NodeId| tree.parent(*node) == folder && tree.name(*node) == name;
        tree.sorted().into_iter().find(is_it)
    };
    parts.iter().fold(NodeId::ROOT, |node, name| child(node, name).unwrap())
}

/// Every live place by its path, with what it is.
fn shown(tree: &LayerTree) -> Vec<String> {
    let mut list: Vec<String> = tree
        .sorted()
        .into_iter()
        .map(|node| {
            let kind = match (tree.is_whiteout(node), tree.inode(node).mode & S_IFMT) {
                (true, _) => "hidden",
                (_, S_IFDIR) if tree.is_opaque(node) => "opaque",
                (_, S_IFDIR) if tree.is_implied(node) => "implied",
                (_, S_IFDIR) => "folder",
                (_, S_IFLNK) => "link",
                (_, S_IFREG) => "file",
                _ => "node",
            };
            format!("{} {kind}", String::from_utf8_lossy(&tree.path(node)))
        })
        .collect();
    list.sort();
    list
}

#[track_caller]
fn check(entries: &[Entry], expected: &[&str]) {
    assert_eq!(shown(&tree_of(entries).unwrap()), expected);
}

#[track_caller]
fn refuse(entries: &[Entry], expected: TreeError) {
    assert_eq!(tree_of(entries).err(), Some(expected));
}

#[test]
fn names_stay_inside_the_root() {
    check(&[file("/a")], &["a file"]);
    check(&[file("../../a")], &["a file"]);
    check(&[file("./b/../a//c/.")], &["a implied", "a/c file"]);
    check(&[file("b/../../a")], &["a file"]);
}

#[test]
fn nameless_files_and_marks_of_others_mean_nothing() {
    check(&[file(""), file("/"), file(".."), link("./", "x")], &[]);
    check(&[file(".wh..wh.aufs"), file(".wh..wh.plnk/1.2"), folder(".wh..wh.orph")], &[]);
    check(&[file("d/.wh..wh.x"), file("d/f")], &["d implied", "d/f file"]);
}

#[test]
fn folders_are_implied_and_listed_later() {
    check(&[file("a/b/c")], &["a implied", "a/b implied", "a/b/c file"]);
    let tree = tree_of(&[file("a/b"), folder("a")]).unwrap();
    assert_eq!(shown(&tree), ["a folder", "a/b file"]);
    let a = tree.child(NodeId::ROOT, b"a").unwrap();
    assert_eq!(tree.inode(a).mode, S_IFDIR | 0o750);
    assert_eq!((tree.inode(a).mtime, tree.inode(a).mtime_nanos), (7, 9));
    assert!(tree.is_implied(NodeId::ROOT));
    assert!(!tree_of(&[folder("./")]).unwrap().is_implied(NodeId::ROOT));
}

#[test]
fn links_are_followed_inside_the_layer() {
    check(&[folder("d"), link("l", "d"), file("l/f")], &["d folder", "d/f file", "l link"]);
    check(
        &[folder("d/e"), link("l", "/d/./e/.."), link("m", "l/e"), file("m/f")],
        &["d implied", "d/e folder", "d/e/f file", "l link", "m link"],
    );
    check(&[link("l", "../../.."), file("l/f")], &["f file", "l link"]);
    let dangling = |path: &str| TreeError::DanglingParent { path: path.to_owned() };
    refuse(&[link("l", "nowhere"), file("l/f")], dangling("l/f"));
    refuse(&[link("l", "/etc"), file("l/f")], dangling("l/f"));
    refuse(&[file("x"), link("l", "x"), file("l/f")], dangling("l/f"));
    let ring = TreeError::LinkLoop { path: "a/f".to_owned() };
    refuse(&[link("a", "b"), link("b", "a"), file("a/f")], ring);
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let chain = |count: usize| {
        let mut entries = vec![folder("l0")];
        entries.extend((1..=count).map(|n| link(&format!("l{n}"), &format!("l{}", n - 1))));
        entries.push(file(format!("l{count}/f")));
        entries
    };
    assert!(tree_of(&chain(40)).is_ok());
    let path = "l41/f".to_owned();
    refuse(&chain(41), TreeError::LinkLoop { path });
}

#[test]
fn only_folders_hold_anything() {
    let wrong = |path: &str, parent: &str| TreeError::ParentNotFolder {
        path: path.to_owned(),
        parent: parent.to_owned(),
    };
    refuse(&[file("a"), file("a/b")], wrong("a/b", "a"));
    refuse(&[folder("a"), entry("a/p", EntryKind::Fifo), file("a/p/b")], wrong("a/p/b", "a/p"));
    refuse(&[file("a/.wh.b"), file("a/b/c")], wrong("a/b/c", "a/b"));
    refuse(&[file("a"), file("a/.wh..wh..opq")], wrong("a/.wh..wh..opq", "a"));
}

#[test]
fn the_same_name_twice_is_refused() {
    let twice = |path: &str| TreeError::Duplicate(path.to_owned());
    refuse(&[file("a"), file("a")], twice("a"));
    refuse(&[folder("a"), file("./a")], twice("./a"));
    refuse(&[folder("a"), folder("a/")], twice("a/"));
    refuse(&[folder("/"), folder("./")], twice("./"));
    refuse(&[file("a/.wh.b"), file("a/.wh.b")], twice("a/.wh.b"));
    refuse(&[file("/a"), file("../a")], twice("../a"));
    // Under another beginning it replaces, as docker does: the last one counts.
    check(&[folder("a"), file("a/b"), file("/a")], &["a file"]);
    check(&[file("a"), folder("/a")], &["a folder"]);
    check(&[file("d/a"), link("l", "d"), link("l/a", "x")], &["d implied", "d/a link", "l link"]);
}

#[test]
fn marks_hide_what_is_below_and_not_their_own_layer() {
    check(&[file("d/.wh.x")], &["d implied", "d/x hidden"]);
    check(&[file("d/.wh..wh..opq"), file("d/x")], &["d opaque", "d/x file"]);
    check(&[file(".wh.d"), folder("d"), file("d/x")], &["d opaque", "d/x file"]);
    check(&[file(".wh.x"), file("x")], &["x file"]);
    check(&[entry("x", EntryKind::Char { major: 0, minor: 0 })], &["x hidden"]);
    refuse(&[file("x"), file(".wh.x")], TreeError::HidesOwn(".wh.x".to_owned()));
    refuse(&[file("x/y"), file(".wh.x")], TreeError::HidesOwn(".wh.x".to_owned()));
    for name in [".wh.", "d/.wh..", "d/.wh..."] {
        refuse(&[file(name)], TreeError::BadWhiteout(name.to_owned()));
    }
    assert!(tree_of(&[file(".wh..wh..opq")]).unwrap().is_opaque(NodeId::ROOT));
}

#[test]
fn hard_links_are_names_of_one_file() {
    let tree = tree_of(&[file("a"), hard_link("d/b", "./a"), hard_link("c", "/d/b")]).unwrap();
    let at = |path: &str| at(&tree, path);
    let number = tree.inode_number(at("a"));
    assert_eq!(tree.inode_number(at("d/b")), number);
    assert_eq!(tree.inode_number(at("c")), number);
    // A link is linked itself; the way to it is followed.
    check(
        &[folder("d"), link("d/l", "/etc/passwd"), link("m", "d"), hard_link("h", "m/l")],
        &["d folder", "d/l link", "h link", "m link"],
    );
    let no_target = |path: &str, target: &str| TreeError::NoLinkTarget {
        path: path.to_owned(),
        target: target.to_owned(),
    };
    refuse(&[hard_link("b", "a"), file("a")], no_target("b", "a"));
    refuse(&[hard_link("b", "b")], no_target("b", "b"));
    refuse(&[file(".wh.a"), hard_link("b", "a")], no_target("b", "a"));
    refuse(&[file("n/x"), hard_link("n", "n/x")], no_target("n", "n/x"));
    refuse(&[folder("a"), hard_link("b", "a")], TreeError::BadLinkTarget { path: "b".to_owned() });
    refuse(&[hard_link("b", "../..")], no_target("b", "../.."));
}

#[test]
fn a_file_that_is_replaced_takes_what_was_in_it_along() {
    let tree = tree_of(&[file("n/x/y"), file("n/z"), link("n", "elsewhere")]).unwrap();
    assert_eq!(shown(&tree), ["n link"]);
    let dead = (1..tree.node_count() as u32).filter(|id| !tree.is_live(NodeId(*id))).count();
    assert_eq!(dead, 4);
}

#[test]
fn names_and_depths_have_ends() {
    let long = "n".repeat(256);
    refuse(&[file(&long)], TreeError::LongName { path: names::shown(long.as_bytes()) });
    check(
        &[file(format!("{}/f", &long[1..]))],
        &[&format!("{} implied", &long[1..]), &format!("{}/f file", &long[1..])],
    );
    let deep = "d/".repeat(1023);
    assert!(tree_of(&[file(format!("{deep}f"))]).is_ok());
    let path = format!("{deep}e/f");
    let too_deep =
        |path: &str| TreeError::TooDeep { path: names::shown(path.as_bytes()), limit: 1024 };
    refuse(&[file(&path)], too_deep(&path));
    // Neither do links lead deeper.
    let path = format!("l/{}f", "e/".repeat(600));
    let through = [folder(&"d/".repeat(600)), link("l", &"d/".repeat(600)), file(&path)];
    refuse(&through, too_deep(&path));
    refuse(&[file("a\0b")], TreeError::NulInName { path: "a\0b".to_owned() });
    refuse(&[link("l", "a\0b")], TreeError::NulInName { path: "l".to_owned() });
}

#[test]
fn numbers_are_those_a_file_system_can_hold() {
    let range = |path: &str, what, value: &str| TreeError::OutOfRange {
        path: path.to_owned(),
        what,
        value: value.to_owned(),
    };
    let owned = |uid, gid| Entry { uid, gid, ..file("f") };
    refuse(&[owned(u32::MAX.into(), 0)], range("f", "uid", "4294967295"));
    refuse(&[owned(0, 1 << 32)], range("f", "gid", "4294967296"));
    assert!(tree_of(&[owned(4_294_967_294, 0)]).is_ok());
    let device = |major, minor| entry("f", EntryKind::Char { major, minor });
    refuse(&[device(4096, 0)], range("f", "device number", "4096:0"));
    refuse(&[device(0, 1 << 20)], range("f", "device number", "0:1048576"));
    assert!(tree_of(&[device(4095, (1 << 20) - 1)]).is_ok());
    refuse(&[link("l", "")], range("l", "length of the link", "0"));
    refuse(&[link("l", &"t".repeat(4096))], range("l", "length of the link", "4096"));
    let kind = TreeError::UnknownKind { path: "f".to_owned(), kind: 'Z' };
    refuse(&[entry("f", EntryKind::Other(b'Z'))], kind);
    let no_devices = TreeLimits { devices: false, ..TreeLimits::default() };
    let refused = tree_within(no_devices, &[device(1, 3)]).err();
    assert_eq!(refused, Some(TreeError::DeviceRefused { path: "f".to_owned() }));
}

#[test]
fn links_have_no_mode_and_files_keep_theirs() {
    let tree = tree_of(&[link("l", "x"), Entry { mode: 0o6755, ..file("f") }]).unwrap();
    let mode = |name: &[u8]| tree.inode(tree.child(NodeId::ROOT, name).unwrap()).mode;
    assert_eq!(mode(b"l"), S_IFLNK | 0o777);
    assert_eq!(mode(b"f"), S_IFREG | 0o6755);
}

fn with_xattrs(path: &str, xattrs: &[(&str, &[u8])]) -> Entry {
    let xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
    Entry { xattrs: xattrs.collect(), ..file(path) }
}

#[test]
fn attributes_are_kept_once_however_many_files_have_them() {
    let label: (&str, &[u8]) = ("security.selinux", b"system_u:object_r:usr_t:s0");
    let mut tree = LayerTree::new(TreeLimits::default());
    for number in 0..1000 {
        tree.add(&with_xattrs(&format!("f{number}"), &[label])).unwrap();
    }
    tree.add(&with_xattrs("other", &[label, ("user.a", b"1")])).unwrap();
    assert!(tree.xattrs.len() < 300, "{} bytes", tree.xattrs.len());
    let other = tree.child(NodeId::ROOT, b"other").unwrap();
    assert_eq!(tree.xattrs(other), [(label.0.as_bytes(), label.1), (b"user.a", b"1")]);
    let first = tree.child(NodeId::ROOT, b"f999").unwrap();
    assert_eq!(tree.xattrs(first), [(label.0.as_bytes(), label.1)]);
    assert!(tree.has_xattrs(first) && !tree.has_xattrs(NodeId::ROOT));
}

#[test]
fn attributes_have_limits() {
    let large = vec![0; 65_536];
    let error = tree_of(&[with_xattrs("f", &[("user.a", &large)])]).err().unwrap();
    assert!(matches!(error, TreeError::LargeXattrs { bytes: 65_550, .. }), "{error:?}");
    let three = [("user.a", &large[1..]), ("user.b", &large[1..]), ("user.c", &large[1..])];
    assert!(matches!(
        tree_of(&[with_xattrs("f", &three)]).err(),
        Some(TreeError::LargeXattrs { .. })
    ));
    assert!(tree_of(&[with_xattrs("f", &three[..2])]).is_ok());
    let (path, name) = ("f".to_owned(), "security.capability".to_owned());
    refuse(
        &[with_xattrs("f", &[("security.capability", b"x")])],
        TreeError::BadXattr { path, name },
    );
}

#[test]
fn parts_of_seconds_are_kept_as_far_as_there_are_any() {
    let when = |path: &str, nanos| Entry { mtime: Time { seconds: 7, nanos }, ..file(path) };
    let tree =
        tree_of(&[when("a", 0), when("b", 5), when("c", 0), when("d", 999_999_999), when("e", 0)])
            .unwrap();
    let nanos = ["a", "b", "c", "d", "e"].map(|path| tree.inode(at(&tree, path)).mtime_nanos);
    assert_eq!(nanos, [0, 5, 0, 999_999_999, 0]);
    // The last one is not there, and neither would any be of a layer in whole seconds.
    assert_eq!(tree.nanos.len(), 5);
}

#[test]
fn a_place_takes_few_bytes() {
    let taken = add::NODE_MEMORY;
    assert!(taken <= 34, "{taken} bytes and a name for each of a million places");
}

#[test]
fn entries_bytes_and_memory_have_limits() {
    let limits = |change: fn(&mut TreeLimits)| {
        let mut limits = TreeLimits::default();
        change(&mut limits);
        limits
    };
    let many: Vec<Entry> = (0..50).map(|n| file(format!("file-{n}"))).collect();
    let refused = |limits| tree_within(limits, &many).err();
    assert_eq!(refused(limits(|_| ())), None);
    // The root is one of them.
    assert_eq!(refused(limits(|l| l.entries = 51)), None);
    assert_eq!(refused(limits(|l| l.entries = 50)), Some(TreeError::TooManyEntries { limit: 50 }));
    assert_eq!(refused(limits(|l| l.apparent_bytes = 500)), None);
    let bytes = TreeError::TooLarge { bytes: 500, limit: 499 };
    assert_eq!(refused(limits(|l| l.apparent_bytes = 499)), Some(bytes));
    let memory = Some(TreeError::TooMuchMemory { limit: 2000 });
    assert_eq!(refused(limits(|l| l.memory = 2000)), memory);
    let within = |entry: Entry| tree_within(limits(|l| l.memory = 2000), &[entry]).err();
    assert_eq!(within(link("l", &"t".repeat(3000))), memory);
    assert_eq!(within(with_xattrs("f", &[("user.a", &[0; 3000])])), memory);
    let pieces = (0..300).map(|n| Segment { offset: n * 2, length: 1 }).collect();
    assert_eq!(within(Entry { size: 600, sparse: Some(pieces), ..file("s") }), memory);
}

/// Layers below that show the same at every path.
struct Everywhere(Shown, Vec<Vec<u8>>);

impl Below for Everywhere {
    type Error = TreeError;

    fn at(&mut self, _: &[&[u8]]) -> Result<Shown, TreeError> {
        Ok(self.0.clone())
    }

    fn root_names(&mut self) -> Result<Vec<Vec<u8>>, TreeError> {
        Ok(self.1.clone())
    }
}

fn folders_below() -> Everywhere {
    let (mode, uid, gid, mtime, mtime_nanos) = (S_IFDIR | 0o711, 1, 2, 3, 4);
    let xattrs = vec![(b"user.a".to_vec(), b"1".to_vec())];
    let attributes = Attributes { mode, uid, gid, mtime, mtime_nanos, xattrs };
    Everywhere(Shown::Folder(attributes), vec![b"d".to_vec(), b"top".to_vec()])
}

#[test]
fn at_the_bottom_marks_mean_nothing() {
    let entries =
        [file(".wh.a"), file("d/.wh.b"), file("o/.wh..wh..opq"), file(".wh.r"), folder("r")];
    let mut tree = tree_of(&entries).unwrap();
    tree.settle(&mut Bottom).unwrap();
    assert_eq!(shown(&tree), ["d implied", "o implied", "r folder"]);
}

#[test]
fn implied_folders_take_after_those_below() {
    let entries = [file("a/b/f"), folder("own"), file("o/.wh..wh..opq"), file("o/c/f")];
    let mut tree = tree_of(&entries).unwrap();
    tree.settle(&mut folders_below()).unwrap();
    let at = |path: &str| at(&tree, path);
    for path in ["", "a", "a/b", "o"] {
        let inode = tree.inode(at(path));
        assert_eq!((inode.mode, inode.uid, inode.gid), (S_IFDIR | 0o711, 1, 2), "{path:?}");
        assert_eq!((inode.mtime, inode.mtime_nanos), (3, 4));
        assert_eq!(tree.xattrs(at(path)), [(&b"user.a"[..], &b"1"[..])]);
    }
    assert_eq!(tree.inode(at("own")).mode, S_IFDIR | 0o750);
    // Below an opaque folder nothing of the layers below shows.
    assert_eq!(tree.inode(at("o/c")).mode, S_IFDIR | 0o755);
    assert!(tree.is_opaque(at("o")));
}

#[test]
fn marks_stay_where_they_hide_something() {
    let entries = [
        file(".wh.a"),
        file("d/.wh.b"),
        file("o/.wh..wh..opq"),
        file("o/.wh.c"),
        file(".wh.r"),
        folder("r"),
        file("r/.wh.d"),
    ];
    let mut tree = tree_of(&entries).unwrap();
    tree.settle(&mut folders_below()).unwrap();
    let expected = ["a hidden", "d implied", "d/b hidden", "o opaque", "r opaque"];
    assert_eq!(shown(&tree), expected);
    let mut tree = tree_of(&entries).unwrap();
    tree.settle(&mut Everywhere(Shown::File, Vec::new())).unwrap();
    let expected = ["a hidden", "d implied", "d/b hidden", "o implied", "r folder"];
    assert_eq!(shown(&tree), expected);
}

#[test]
fn an_opaque_root_is_spelled_out() {
    let entries = [file(".wh..wh..opq"), file("d/f"), file(".wh.none"), file("own/f")];
    let mut tree = tree_of(&entries).unwrap();
    let mut below = folders_below();
    tree.settle(&mut below).unwrap();
    let expected =
        ["d opaque", "d/f file", "none hidden", "own implied", "own/f file", "top hidden"];
    assert_eq!(shown(&tree), expected);
    assert!(!tree.is_opaque(NodeId::ROOT));
    let d = at(&tree, "d");
    assert_eq!(tree.inode(d).mode, S_IFDIR | 0o755, "it is not the folder below");
}

#[test]
fn what_others_give_is_counted_too() {
    let limits = TreeLimits { memory: 4000, ..TreeLimits::default() };
    let mut tree = tree_within(limits, &[file("a/b")]).unwrap();
    let Everywhere(Shown::Folder(mut attributes), _) = folders_below() else { unreachable!() };
    attributes.xattrs = vec![(b"user.a".to_vec(), vec![0; 5000])];
    let settled = tree.settle(&mut Everywhere(Shown::Folder(attributes), Vec::new()));
    assert_eq!(settled, Err(TreeError::TooMuchMemory { limit: 4000 }));
}

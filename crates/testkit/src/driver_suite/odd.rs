//! Entries of every kind, and those that file systems treat in ways of their own.

use image::tar::EntryKind;

use super::open;
use super::trees::loaded;
use crate::layer::Layer;
use crate::oracle::apply;
use crate::scratch::Scratch;
use crate::tree::Kind;

#[track_caller]
fn check(scratch: &Scratch, what: &str, layers: &[Layer]) {
    loaded(scratch, layers).must_equal(&apply(layers), what);
}

/// Files, folders, links, hard links, devices, pipes; each replaced by each of the others.
pub fn kinds_of_entries(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let makers: [(&str, fn(Layer) -> Layer); 8] = [
        ("folder", |layer| layer.folder("x").mode(0o711).file("x/inner", "1")),
        ("file", |layer| layer.file("x", "content").mode(0o4711).owner(7, 8)),
        ("empty file", |layer| layer.file("x", "")),
        ("link", |layer| layer.link("x", "elsewhere").owner(3, 4).mtime(12, 34)),
        ("hard link", |layer| layer.file("x0", "h").hard_link("x", "x0").hard_link("x1", "x")),
        ("char device", |layer| layer.char_device("x", 5, 70_000)),
        ("block device", |layer| layer.block_device("x", 4095, 1_048_575)),
        ("fifo", |layer| layer.fifo("x").mode(0o6777)),
    ];
    for (one, below) in makers {
        check(&scratch, one, &[below(Layer::new())]);
        for (two, above) in makers {
            check(
                &scratch,
                &format!("{two} over {one}"),
                &[below(Layer::new()), above(Layer::new())],
            );
        }
    }
    let linked = Layer::new().folder("a").file("a/1", "same").hard_link("b", "a/1").link("l", "a");
    check(&scratch, "links to links", &[linked.clone().hard_link("l2", "l").hard_link("p", "a/1")]);
    check(&scratch, "a name of three goes", &[linked, Layer::new().whiteout("b")]);
    let fifos =
        Layer::new().fifo("f").hard_link("g", "f").char_device("c", 1, 3).hard_link("d", "c");
    check(&scratch, "hard links of nodes", &[fifos]);
}

/// Names up to what the kernel takes, in any bytes; targets of links of every length.
pub fn long_and_odd_names(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let mut layer = Layer::new();
    for length in [1, 99, 100, 101, 155, 156, 254, 255] {
        layer = layer.file(vec![b'n'; length], length.to_string());
    }
    for byte in (1..=255_u8).filter(|byte| !matches!(byte, b'/' | b'.')) {
        layer = layer.file([b"by/x".as_slice(), &[byte]].concat(), [byte]).mode(0o600);
    }
    let deep: Vec<u8> = [b"d/".repeat(800), b"leaf".to_vec()].concat();
    layer = layer.file(&deep, "at the bottom");
    let wide = [vec![b'w'; 255], vec![b'v'; 255], vec![b'u'; 255]].join(&b'/');
    layer = layer.file(&wide, "wide");
    for length in [1, 59, 60, 61, 447, 448, 449, 511, 512, 513, 1023, 1024, 4094, 4095] {
        layer = layer.link(format!("link-{length}"), vec![b't'; length]);
    }
    let names =
        ["...", "..a", "a..", " ", "\t", "\n", "-", "~", "wh.x", ".wh", "a.wh.b", "é", "e\u{301}"];
    for name in names {
        layer = layer.file(format!("odd/{name}"), name);
    }
    check(&scratch, "names", &[layer.clone()]);
    let hides =
        names.iter().fold(Layer::new(), |layer, name| layer.whiteout(format!("odd/{name}")));
    check(&scratch, "odd names hidden", &[layer, hides.whiteout(vec![b'n'; 251])]);
}

/// Folders that a layer does not list are as the layers below have them.
pub fn implied_folders(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let base = Layer::new()
        .folder("./")
        .mode(0o711)
        .owner(9, 9)
        .folder("a")
        .mode(0o1777)
        .owner(10, 20)
        .mtime(1000, 5)
        .xattr("user.mark", "below")
        .xattr("trusted.mark", "too")
        .folder("a/b")
        .mode(0o700)
        .file("a/b/old", "1")
        .file("plain", "2")
        .link("to-a", "a");
    let new = |layer: Layer| layer.file("a/b/c/new", "3");
    check(&scratch, "inherited", &[base.clone(), new(Layer::new())]);
    check(
        &scratch,
        "through a layer between",
        &[base.clone(), Layer::new().file("other", ""), new(Layer::new())],
    );
    check(
        &scratch,
        "changed between",
        &[
            base.clone(),
            Layer::new().folder("a/b").mode(0o750),
            new(Layer::new()),
            Layer::new().file("a/b/c/newer", ""),
        ],
    );
    check(
        &scratch,
        "hidden between",
        &[base.clone(), Layer::new().whiteout("a"), new(Layer::new())],
    );
    check(&scratch, "opaque between", &[base.clone(), Layer::new().opaque("a"), new(Layer::new())]);
    check(&scratch, "opaque in the layer itself", &[base.clone(), new(Layer::new().opaque("a"))]);
    check(
        &scratch,
        "replaced in the layer itself",
        &[base.clone(), new(Layer::new().whiteout("a").folder("a"))],
    );
    check(&scratch, "over a file", &[base.clone(), Layer::new().file("plain/x", "")]);
    check(&scratch, "over a link", &[base.clone(), Layer::new().file("to-a/x", "")]);
    check(
        &scratch,
        "listed after its content",
        &[base.clone(), new(Layer::new()).folder("a/b").mode(0o711).folder("a").mode(0o733)],
    );
    check(
        &scratch,
        "implied by a whiteout",
        &[base, Layer::new().whiteout("a/b/old").whiteout("n/x")],
    );
}

/// Opaque folders at every place, the root included.
pub fn opaque_folders(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let base = Layer::new().folder("d").file("d/x", "1").file("d/s/y", "2").file("top", "3");
    let cases: [(&str, Layer); 9] = [
        ("first", Layer::new().opaque("d").file("d/new", "")),
        ("last", Layer::new().folder("d").file("d/new", "").opaque("d")),
        ("empty", Layer::new().opaque("d")),
        ("of nothing", Layer::new().opaque("nowhere/at/all")),
        ("inner", Layer::new().opaque("d/s")),
        ("root", Layer::new().opaque("").file("only", "")),
        ("root, with folders", Layer::new().file("d/new", "").folder("top").opaque("")),
        (
            "root, with marks",
            Layer::new().opaque("").whiteout("d").whiteout("none").whiteout("top"),
        ),
        ("over a file", Layer::new().opaque("top")),
    ];
    for (what, layer) in cases {
        check(&scratch, what, &[base.clone(), layer.clone()]);
        check(&scratch, &format!("{what}, alone"), std::slice::from_ref(&layer));
        let above = Layer::new().file("d/s/above", "");
        check(&scratch, &format!("{what}, below another"), &[base.clone(), layer, above]);
    }
}

/// Whiteouts that hide nothing leave no trace, wherever they stand.
pub fn whiteouts_of_nothing(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let hides = Layer::new().whiteout("a/none").whiteout("none").file("a/real", "");
    check(&scratch, "alone", std::slice::from_ref(&hides));
    let other = Layer::new().file("b/other", "");
    check(&scratch, "at the bottom", &[hides.clone(), other.clone()]);
    check(&scratch, "on top", &[other.clone(), hides.clone()]);
    check(&scratch, "twice", &[other.clone(), hides.clone(), hides.clone()]);
    let gone = Layer::new().whiteout("b");
    check(&scratch, "what is gone already", &[other.clone(), gone.clone(), gone.clone()]);
    check(&scratch, "what came back", &[other.clone(), gone.clone(), other.clone(), gone]);
    let inside = Layer::new().opaque("b").whiteout("b/other").whiteout("b/none");
    check(&scratch, "inside an opaque folder", &[other.clone(), inside]);
    let replaced = Layer::new().whiteout("b").folder("b").whiteout("b/other");
    check(&scratch, "inside a replaced folder", &[other.clone(), replaced]);
    let tree = loaded(&scratch, &[other, Layer::new().char_device("b/other", 0, 0)]);
    assert_eq!(tree.paths(), ["b"], "a device 0:0 hides, as it does for overlay");
}

/// What drivers could each understand in their own way is decided before they see it.
pub fn attributes_that_disagree(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let link = Layer::new().link("l", "t").mode(0o644);
    check(&scratch, "a link's mode", &[link]);
    let user = Layer::new()
        .link("l", "t")
        .xattr("user.x", "1")
        .fifo("f")
        .xattr("user.x", "1")
        .char_device("c", 1, 3)
        .xattr("user.x", "1");
    check(&scratch, "user attributes where none can be", &[user]);
    let odd = Layer::new()
        .file("f", "")
        .xattr("trusted.overlay.opaque", "y")
        .xattr("user.overlay.whiteout", "y")
        .xattr("system.nfs4_acl", "x")
        .xattr("nonsense", "x")
        .xattr("user.kept", "y");
    let tree = loaded(&scratch, &[odd]);
    let file = tree.get("f").expect("it is there");
    assert_eq!(file.xattrs, [(b"user.kept".to_vec(), b"y".to_vec())]);
    let times = Layer::new()
        .file("old", "")
        .mtime(-1_000_000, 999_999_999)
        .file("late", "")
        .mtime(1 << 33, 1)
        .folder("when")
        .mtime(0, 1);
    check(&scratch, "times", &[times]);
    // An access list that says nothing new is the mode; one that does decides the mode.
    let acl = Layer::new()
        .file("plain", "")
        .mode(0o777)
        .xattr("system.posix_acl_access", acl(&[(1, 6, !0), (4, 4, !0), (32, 0, !0)]))
        .file("real", "")
        .mode(0o777)
        .xattr(
            "system.posix_acl_access",
            acl(&[(1, 6, !0), (2, 7, 5), (4, 4, !0), (16, 5, !0), (32, 0, !0)]),
        );
    let tree = loaded(&scratch, &[acl]);
    let (plain, real) = (tree.get("plain").expect("there"), tree.get("real").expect("there"));
    assert_eq!((plain.mode, plain.xattrs.len()), (0o640, 0));
    assert_eq!(real.mode, 0o650);
    let refused = [
        ("security.capability", b"nonsense".as_slice()),
        ("system.posix_acl_access", b"nonsense"),
        ("system.posix_acl_default", b"\x02\0\0\0"),
    ];
    for (name, value) in refused {
        let lease = scratch.store.lease().expect("a lease can be taken");
        let tar = Layer::new().folder("f").xattr(name, value).tar();
        assert!(scratch.load(&lease, &[tar]).is_err(), "{name}");
    }
    let other = Layer::new().entry("o", EntryKind::Other(b'V'), 0o644, b"");
    let lease = scratch.store.lease().expect("a lease can be taken");
    assert!(scratch.load(&lease, &[other.tar()]).is_err());
    assert!(matches!(apply(&[Layer::new().fifo("f")]).get("f").expect("there").kind, Kind::Fifo));
}

/// An access control list in its form as an attribute: (tag, permissions, id) each.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

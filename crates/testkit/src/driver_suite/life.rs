//! A layer's life: read in any order, mounted by many, removed when nobody looks any more.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use spec::{ChainId, DiffId};
use store::{DriverKind, Expected, Settings, Store, StoreError};

use super::open;
use crate::child::{Child, child};
use crate::layer::Layer;
use crate::oracle::apply;
use crate::random::stack;
use crate::tree::Tree;

/// Nothing can be changed through a view, of one layer or of many.
pub fn writes_are_refused(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let layer = Layer::new().file("f", "1").folder("d").file("d/g", "2");
    for count in [1, 3] {
        let tars: Vec<_> =
            (0..count).map(|n| layer.clone().file(format!("n{n}"), "").tar()).collect();
        let view = scratch.view(scratch.add_tars(&tars).expect("it is taken")).expect("it mounts");
        let view = view.as_fd();
        let open = |name, flags| rustix::fs::openat(view, name, flags, Mode::from(0o600)).map(drop);
        let refused = [
            ("create", open("new", OFlags::CREATE | OFlags::WRONLY)),
            ("write", open("f", OFlags::WRONLY)),
            ("truncate", open("f", OFlags::WRONLY | OFlags::TRUNC)),
            ("remove", rustix::fs::unlinkat(view, "d/g", rustix::fs::AtFlags::empty())),
            ("mkdir", rustix::fs::mkdirat(view, "d/new", Mode::from(0o700))),
            ("rename", rustix::fs::renameat(view, "f", view, "g")),
            (
                "chmod",
                rustix::fs::chmodat(view, "f", Mode::from(0o777), rustix::fs::AtFlags::empty()),
            ),
            ("symlink", rustix::fs::symlinkat("x", view, "new")),
        ];
        for (what, result) in refused {
            assert_eq!(result, Err(Errno::ROFS), "{what}, {count} layers");
        }
    }
}

/// Layers may be read side by side and in any order; only their adoption goes from the bottom up.
pub fn any_unpack_order(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let layers = stack(77, 6, 60);
    let expected = apply(&layers);
    let store = &scratch.store;
    let lease = store.lease().expect("a lease can be taken");
    let mut unpacked: Vec<_> = std::thread::scope(|scope| {
        let read = |layer: &Layer| {
            let tar = layer.tar();
            store.unpack_layer(&lease, &mut tar.as_slice(), Expected::default())
        };
        let workers: Vec<_> =
            layers.iter().rev().map(|layer| scope.spawn(move || read(layer))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic").expect("taken")).collect()
    });
    unpacked.reverse();
    let mut known = store.tables().expect("they can be read").layers;
    let mut parent = None;
    for layer in unpacked {
        let diff = layer.diff();
        let (chain, record) = store.adopt_layer(&lease, layer, parent, &known).expect("adopted");
        assert_eq!(chain, ChainId::extend(parent, diff));
        known.layers.insert(chain, record);
        parent = Some(chain);
    }
    let view = store.view(&store.stacked(parent, &known).expect("it is whole")).expect("it mounts");
    Tree::read_at(&view).expect("a view can be read").must_equal(&expected, driver);
    // The same layer on another stack, made from what is kept of it.
    let bottom = known.stack(parent).expect("it is whole")[0].1.clone();
    let (chain, record) = store.reuse_layer(&lease, &bottom, parent, &known).expect("reused");
    known.layers.insert(chain, record);
    let again = [layers.clone(), vec![layers[0].clone()]].concat();
    let view = store.view(&store.stacked(Some(chain), &known).expect("whole")).expect("it mounts");
    Tree::read_at(&view).expect("it can be read").must_equal(&apply(&again), "used twice");
}

/// Threads that mount one stack at once all see it, and what can be shared is mounted once.
pub fn many_threads(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let layers = stack(5, 5, 30);
    let tars: Vec<_> = layers.iter().map(Layer::tar).collect();
    let top = scratch.add_tars(&tars).expect("it is taken");
    let expected = apply(&layers);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (scratch, expected) = (&scratch, &expected);
            scope.spawn(move || {
                for _ in 0..4 {
                    scratch.tree(top).must_equal(expected, &format!("thread {thread}"));
                }
            });
        }
    });
    let mounts = scratch.mounts();
    let distinct: BTreeSet<_> = mounts.iter().collect();
    assert_eq!(distinct.len(), mounts.len(), "a layer is mounted twice");
}

/// The same between processes. The suite's tests stand in a module called `drivers`.
pub fn many_processes(driver: &str) {
    let layers = stack(6, 5, 30);
    if let Child::Role(role) = Child::this() {
        let settings: Vec<&str> = role.split('|').collect();
        let settings = Settings {
            root: settings[0].into(),
            run: settings[1].into(),
            driver: settings[2].parse::<DriverKind>().ok(),
            owners: Default::default(),
            limits: Default::default(),
        };
        let store = Store::open(settings).expect("the store is there");
        let top = ChainId::of(&layers.iter().map(diff).collect::<Vec<_>>());
        for _ in 0..4 {
            let tables = store.tables().expect("they can be read");
            let stacked = store.stacked(top, &tables.layers).expect("it is whole");
            let view = store.view(&stacked).expect("it can be mounted");
            Tree::read_at(&view).expect("it can be read").must_equal(&apply(&layers), "child");
        }
        return;
    }
    let Some(scratch) = open(driver) else { return };
    let tars: Vec<_> = layers.iter().map(Layer::tar).collect();
    scratch.add_tars(&tars).expect("it is taken");
    let settings = scratch.settings();
    let role = format!("{}|{}|{driver}", settings.root.display(), settings.run.display());
    let name = format!("drivers::{driver}::many_processes");
    let children: Vec<_> =
        (0..4).map(|_| child(&name, &role).spawn().expect("it starts")).collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success(), "a child failed");
    }
    let mounts = scratch.mounts();
    let distinct: BTreeSet<_> = mounts.iter().collect();
    assert_eq!(distinct.len(), mounts.len(), "a layer is mounted twice");
}

fn diff(layer: &Layer) -> DiffId {
    DiffId(spec::Digest::of(&layer.tar()))
}

/// An image that is mounted stays whole when it is removed, and goes when it is unmounted.
pub fn removal_while_mounted(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let layers = stack(9, 4, 40);
    let tars: Vec<_> = layers.iter().map(Layer::tar).collect();
    let (id, _) = scratch.add_image("mounted", &tars).expect("it is taken");
    let lease = scratch.store.lease().expect("a lease can be taken");
    let path = scratch.store.mount_view(&lease, id).expect("it can be mounted");
    drop(lease);
    let collected = scratch.remove_image(id).expect("it can be removed");
    assert!(collected.layers.is_empty(), "a mounted layer was collected");
    Tree::read(&path).expect("it can be read").must_equal(&apply(&layers), "removed");
    assert_eq!(scratch.store.unmount_view(id, false).expect("it can be unmounted"), Some(0));
    assert_eq!(scratch.store.unmount_view(id, false).expect("that is no error"), None);
    let collected = scratch.store.collect().expect("it can be collected");
    assert_eq!(collected.layers.len(), layers.len());
    assert_eq!(scratch.store.present().expect("it can be listed"), Default::default());
    let inner: Vec<_> = scratch
        .mounts()
        .into_iter()
        // The run root itself stays a mount of its own for as long as the boot.
        .filter(|path| path.starts_with(&scratch.settings().run))
        .filter(|path| path != scratch.store.paths().run())
        .collect();
    assert!(inner.is_empty(), "still mounted: {inner:?}");
    scratch.must_be_clean();
    // A second image that shares its lower layers keeps them, and only them.
    let (one, _) = scratch.add_image("one", &tars[..2]).expect("it is taken");
    let (two, _) = scratch.add_image("two", &tars).expect("it is taken");
    assert_eq!(scratch.remove_image(two).expect("it can be removed").layers.len(), 2);
    scratch.must_be_clean();
    let top = scratch.store.images().expect("they can be read").images[&one].top;
    scratch.tree(top).must_equal(&apply(&layers[..2]), "shared");
}

/// Two views of one layer read the same file of the same file system: the page cache has it once.
pub fn shared_mounts(driver: &str) {
    let Some(scratch) = open(driver) else { return };
    let tar = Layer::new().file("f", "shared").tar();
    let top = scratch.add_tars(std::slice::from_ref(&tar)).expect("it is taken");
    let identity = || {
        let view = scratch.view(top).expect("it mounts");
        let stat = sys::fs::stat(&view, "f").expect("it is there");
        (stat.st_dev, stat.st_ino)
    };
    let first = scratch.view(top).expect("it mounts");
    assert_eq!(identity(), identity());
    drop(first);
    // Two stacks on one layer need no second mount of it.
    let before = scratch.mounts().len();
    for name in ["one", "two"] {
        let above = Layer::new().file(name, "").tar();
        let top = scratch.add_tars(&[tar.clone(), above]).expect("it is taken");
        scratch.view(top).expect("it mounts");
    }
    assert!(scratch.mounts().len() <= before + 2);
    let missing = scratch.store.tables().and_then(|tables| {
        scratch.store.stacked(Some(ChainId(spec::Digest::of(b"nothing"))), &tables.layers)
    });
    assert!(matches!(missing, Err(StoreError::NoLayer(_))));
}

//! A store that changes its driver is the same store, whatever happens on the way.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use spec::ChainId;
use store::{DriverKind, ErrorKind, Lasting, MigrateStep, Settings, Store, StoreError};
use testkit::{Child, Layer, Mounted, Scratch, Tree, child, random, skip};

use DriverKind::{Btrfs, Erofs, Overlay, Vfs};

/// A store with layers in every form that they come in, or nothing where its driver does not work.
fn filled(place: Mounted, kind: DriverKind) -> Option<(Scratch, Vec<Known>)> {
    let scratch = match Scratch::build(place, |settings| settings.driver = Some(kind)) {
        Err(StoreError::DriverUnfit { why, .. }) => {
            skip(format!("no {kind} driver: {why}"));
            return None;
        }
        other => other.unwrap(),
    };
    let stack = random::stack(11, 4, 60);
    let plain: Vec<_> = stack.iter().map(Layer::tar).collect();
    let packed: Vec<_> = stack[..2].iter().filter_map(|layer| layer.compressed("gzip")).collect();
    let mut known = Vec::new();
    for (name, tars) in [("plain", plain), ("packed", packed), ("sparse", vec![sparse()])] {
        let (_, top) = scratch.add_image(name, &tars).unwrap();
        known.push(Known { top, tree: scratch.tree(top) });
    }
    Some((scratch, known))
}

/// A stack, and how it looked when it came.
struct Known {
    top: Option<ChainId>,
    tree: Tree,
}

/// A compressed layer with a file that is mostly holes.
fn sparse() -> Vec<u8> {
    let place = Mounted::folder();
    let file = File::create(place.path().join("holes")).unwrap();
    file.set_len(3 << 20).unwrap();
    for at in [0, 1 << 20, (3 << 20) - 7] {
        file.write_all_at(b"pieces!", at).unwrap();
    }
    let mut tar = Command::new("tar");
    tar.args(["--sparse", "--owner=0", "--group=0", "-czf-", "-C"]).arg(place.path()).arg("holes");
    tar.output().unwrap().stdout
}

/// The store with the driver that it has now.
fn open(scratch: &Scratch) -> Store {
    Store::open(Settings { driver: None, ..scratch.settings().clone() }).unwrap()
}

#[track_caller]
fn must_show(store: &Store, known: &[Known]) {
    let layers = store.tables().unwrap().layers;
    for Known { top, tree } in known {
        let view = store.view(&store.stacked(*top, &layers).unwrap()).unwrap();
        Tree::read_at(&view).unwrap().must_equal(tree, store.driver().kind().as_str());
    }
}

/// Nothing wrong, and nothing there but what this driver keeps.
#[track_caller]
fn must_be_whole(store: &Store) {
    let report = store.check(false).unwrap();
    assert_eq!(report.faults, [], "with {}", store.driver().kind());
    assert_eq!(store.present().unwrap().foreign, []);
    for kind in [Overlay, Btrfs, Vfs] {
        let folder = store.paths().folders(kind.as_str());
        assert_eq!(folder.exists(), kind == store.driver().kind(), "{kind}");
    }
    let records = store.tables().unwrap().layers.layers;
    for record in records.values().filter(|record| record.blob.is_some()) {
        let same = records.values().filter(|other| other.diff == record.diff);
        let is_spare = !store.driver().keeps_tar() && same.clone().all(|it| it.blob.is_some());
        assert_eq!(store.has_blob(&record.diff.0), !is_spare, "its tar");
    }
}

fn walk(place: Mounted, way: &[DriverKind]) {
    let Some((scratch, known)) = filled(place, way[0]) else { return };
    for to in &way[1..] {
        let mut store = open(&scratch);
        let from = store.driver().kind();
        let mut steps = Vec::new();
        let migrated = store.migrate(*to, &mut |step| steps.push(step)).unwrap();
        assert_eq!((migrated.from, migrated.to), (from, *to));
        let layers = store.tables().unwrap().layers.layers;
        assert_eq!((migrated.layers, steps.len()), (layers.len(), 2 * layers.len()));
        assert_eq!(migrated.bytes, layers.values().map(|record| record.bytes).sum::<u64>());
        for store in [store, open(&scratch)] {
            assert_eq!(store.driver().kind(), *to);
            assert_eq!(store.driver_reason(), format!("converted from {from}"));
            must_show(&store, &known);
            must_be_whole(&store);
        }
    }
}

#[test]
fn every_driver_becomes_every_other() {
    let way = [Erofs, Overlay, Vfs, Erofs, Vfs, Overlay, Erofs];
    walk(Mounted::on_disk(), &way);
}

#[test]
fn btrfs_too() {
    match Mounted::image(&["mkfs.btrfs", "-q"], 512 << 20) {
        Ok(place) => walk(place, &[Vfs, Btrfs, Erofs, Btrfs, Overlay, Btrfs, Vfs]),
        Err(why) => skip(format!("no btrfs: {why}")),
    }
}

#[test]
fn what_is_in_use_is_not_converted() {
    let scratch = Scratch::with_driver(Overlay).unwrap();
    let (id, top) = scratch.add_image("image", &[Layer::new().file("f", "1").tar()]).unwrap();
    let before = scratch.files().unwrap();
    let must_fail = |what: &str| {
        let error = open(&scratch).migrate(Vfs, &mut |_| panic!("it began")).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.hint().is_some());
        assert_eq!(open(&scratch).driver().kind(), Overlay);
    };
    let lease = scratch.store.lease().unwrap();
    must_fail("another command is at work");
    scratch.store.mount_view(&lease, id).unwrap();
    drop(lease);
    must_fail("is mounted");
    scratch.store.unmount_view(id, false).unwrap();
    let making = store::Making::InTime(scratch.store.lease().unwrap());
    scratch.store.create_snapshot(&making, "mine", top, Lasting::Kept).unwrap();
    drop(making);
    must_fail("snapshot mine stands on it");
    scratch.store.remove_snapshot("mine").unwrap();
    let snapshots = scratch.store.paths().snapshots();
    fs::remove_dir(snapshots).unwrap();
    assert_eq!(scratch.files().unwrap(), before);
    let same = open(&scratch).migrate(Overlay, &mut |_| panic!("it began")).unwrap();
    assert_eq!(same.layers, 0);
    assert!(matches!(
        open(&scratch).migrate(Btrfs, &mut |_| ()),
        Err(StoreError::DriverUnfit { driver: Btrfs, .. })
    ));
}

#[test]
fn others_work_on_while_it_runs_and_learn_of_it() {
    let scratch = Scratch::with_driver(Overlay).unwrap();
    let tars = |name: &str| vec![Layer::new().file(name, name).tar()];
    let (_, one) = scratch.add_image("one", &tars("one")).unwrap();
    let (gone, _) = scratch.add_image("gone", &tars("gone")).unwrap();
    let before = scratch.tree(one);
    let (mut store, mut late) = (open(&scratch), None);
    let migrated = store.migrate(Vfs, &mut |step| {
        if late.is_none() && matches!(step, MigrateStep::Begin(..)) {
            late = scratch.add_image("late", &tars("late")).unwrap().1;
            scratch.remove_image(gone).unwrap();
            scratch.store.collect().unwrap();
        }
    });
    assert_eq!(migrated.unwrap().layers, 3);
    let late_tree = testkit::oracle::apply(&[Layer::new().file("late", "late")]);
    let known = [Known { top: one, tree: before }, Known { top: late, tree: late_tree }];
    must_show(&store, &known);
    store.collect().unwrap();
    must_be_whole(&store);
    // One who opened it before does no harm.
    for error in [scratch.store.lease().err(), scratch.store.collect().err()] {
        let error = error.expect("it has the wrong driver");
        assert!(matches!(error, StoreError::Migrated { now: Vfs, .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    must_show(&open(&scratch), &known);
    must_be_whole(&open(&scratch));
}

#[test]
fn who_is_at_work_at_the_end_is_waited_for_but_not_forever() {
    let scratch = Scratch::with_driver(Overlay).unwrap();
    scratch.add_image("one", &[Layer::new().file("f", "1").tar()]).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let migrated = std::thread::scope(|scope| {
        scope.spawn(move || {
            let lease: Option<store::Lease> = receiver.recv().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(200));
            drop(lease);
        });
        let mut sender = Some(sender);
        open(&scratch).migrate(Vfs, &mut |_| {
            if let Some(sender) = sender.take() {
                sender.send(scratch.store.lease().ok()).unwrap();
            }
        })
    });
    assert_eq!(migrated.unwrap().to, Vfs);
    let mut lease = None;
    let error = open(&scratch).migrate(Overlay, &mut |_| lease = open(&scratch).lease().ok());
    assert!(matches!(error, Err(StoreError::Busy(_))), "{error:?}");
    drop(lease);
    assert_eq!(open(&scratch).driver().kind(), Vfs);
    open(&scratch).collect().unwrap();
    must_be_whole(&open(&scratch));
}

/// Dies as by a signal after so many steps.
fn convert_and_die(role: &str) {
    let parts: Vec<_> = role.split('|').collect();
    let [root, run, to, steps] = parts[..] else { panic!("{role}") };
    let settings = Settings {
        root: Path::new(root).to_owned(),
        run: Path::new(run).to_owned(),
        driver: None,
        owners: Default::default(),
        limits: Default::default(),
    };
    let mut left: usize = steps.parse().unwrap();
    let mut store = Store::open(settings).unwrap();
    let migrated = store.migrate(to.parse().unwrap(), &mut |_| match left {
        0 => std::process::abort(),
        _ => left -= 1,
    });
    migrated.unwrap();
}

#[test]
fn a_death_on_the_way_leaves_the_old_store_and_something_to_sweep() {
    if let Child::Role(role) = Child::this() {
        return convert_and_die(&role);
    }
    let name = "migrate::a_death_on_the_way_leaves_the_old_store_and_something_to_sweep";
    for (from, to) in [(Overlay, Erofs), (Erofs, Vfs), (Vfs, Overlay)] {
        let Some((scratch, known)) = filled(Mounted::on_disk(), from) else { continue };
        let Settings { root, run, .. } = scratch.settings();
        let layers = scratch.store.tables().unwrap().layers.layers.len();
        for steps in 0..2 * layers {
            let role = format!("{}|{}|{to}|{steps}", root.display(), run.display());
            let output = child(name, &role).output().unwrap();
            assert!(!output.status.success(), "it lived");
            let store = open(&scratch);
            assert_eq!(store.driver().kind(), from);
            must_show(&store, &known);
            let faults = store.check(false).unwrap().faults;
            assert!(faults.iter().all(|fault| fault.why == "nothing needs it"), "{faults:?}");
            // Every other time the next attempt finds what the last one left.
            if steps % 2 == 0 {
                store.collect().unwrap();
                must_be_whole(&store);
            }
        }
        let mut store = open(&scratch);
        store.migrate(to, &mut |_| ()).unwrap();
        must_show(&store, &known);
        must_be_whole(&store);
    }
}

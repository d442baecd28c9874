//! After the machine stopped: what is not known to be on disk is looked at before it is used.

use std::fs;

use spec::ChainId;
use store::{DriverKind, StoreError};
use testkit::{Layer, Scratch};

/// Makes the records say that the layers were written in another boot.
fn reboot(scratch: &Scratch) {
    scratch
        .store
        .change::<_, StoreError>(|tables| {
            for record in tables.layers.layers.values_mut() {
                assert!(record.unsynced.is_some());
                record.unsynced = Some("another boot".to_owned());
            }
            Ok(())
        })
        .unwrap();
    scratch.store.unmount_all().unwrap();
}

fn two_layers(driver: DriverKind) -> Option<(Scratch, ChainId)> {
    let scratch = Scratch::with_driver(driver).map_err(testkit::skip).ok()?;
    let tars = [Layer::new().file("a", "1").tar(), Layer::new().file("b", "2").tar()];
    let (_, top) = scratch.add_image("image", &tars).unwrap();
    Some((scratch, top.unwrap()))
}

#[test]
fn whole_layers_are_used_and_remembered() {
    for driver in DriverKind::ALL {
        let Some((scratch, top)) = two_layers(driver) else { continue };
        reboot(&scratch);
        assert_eq!(scratch.tree(Some(top)).paths(), ["a", "b"]);
        let tables = scratch.store.tables().unwrap();
        assert!(tables.layers.layers.values().all(|record| record.unsynced.is_none()));
    }
}

#[test]
fn damaged_layers_are_refused_with_a_hint() {
    for driver in DriverKind::ALL {
        let Some((scratch, top)) = two_layers(driver) else { continue };
        reboot(&scratch);
        // What a power cut leaves: a name, and a file without its bytes.
        let tar = scratch.blob(&scratch.record(top).diff.0);
        fs::File::create(tar).unwrap();
        let error = scratch.view(Some(top)).err().unwrap();
        assert!(matches!(error, StoreError::Damaged { .. }), "{driver}: {error}");
        assert!(error.hint().unwrap().contains("system check"));
        assert!(scratch.record(top).unsynced.is_some());
        let below = scratch.record(top).parent;
        assert_eq!(scratch.tree(below).paths(), ["a"]);
    }
}

/// An image of one layer that came compressed, as after another boot.
fn packed(driver: DriverKind) -> Option<(Scratch, ChainId)> {
    let scratch = Scratch::with_driver(driver).map_err(testkit::skip).ok()?;
    let packed = Layer::new().file("f", vec![b'x'; 9000]).compressed("gzip");
    let Some(packed) = packed else {
        testkit::skip("there is no gzip program");
        return None;
    };
    let (_, top) = scratch.add_image("image", &[packed]).unwrap();
    reboot(&scratch);
    Some((scratch, top.unwrap()))
}

fn empty(path: std::path::PathBuf) {
    fs::File::create(path).unwrap();
}

#[test]
fn each_form_is_judged_alone() {
    // A bad blob beside a good tar is forgotten.
    let Some((scratch, top)) = packed(DriverKind::Erofs) else { return };
    let blob = scratch.blob(&scratch.record(top).blob.unwrap().digest);
    empty(blob.clone());
    assert_eq!(scratch.tree(Some(top)).paths(), ["f"]);
    let record = scratch.record(top);
    assert_eq!((record.blob, record.unsynced, blob.exists()), (None, None, false));
    scratch.must_be_clean();
    // A bad tar or index beside a good blob is made again.
    for damage in [0, 1] {
        let Some((scratch, top)) = packed(DriverKind::Erofs) else { return };
        let paths = [scratch.blob(&scratch.record(top).diff.0), scratch.store.paths().index(&top)];
        empty(paths[damage].clone());
        assert_eq!(scratch.tree(Some(top)).paths(), ["f"]);
        // What was made again is not on disk for certain either.
        assert_ne!(scratch.record(top).unsynced.as_deref(), Some("another boot"));
        scratch.must_be_clean();
    }
    // So is a folder; but without the blob nothing says that the folder is good.
    let Some((scratch, top)) = packed(DriverKind::Overlay) else { return };
    empty(scratch.store.paths().folder("overlay", &top).join("f"));
    let view = scratch.view(Some(top)).unwrap();
    assert_eq!(testkit::Tree::read_at(&view).unwrap().paths(), ["f"]);
    drop(view);
    scratch.must_be_clean();
    let Some((scratch, top)) = packed(DriverKind::Overlay) else { return };
    empty(scratch.blob(&scratch.record(top).blob.unwrap().digest));
    assert!(matches!(scratch.view(Some(top)), Err(StoreError::Damaged { .. })));
}

#[test]
fn no_use_goes_round_the_verification() {
    for driver in DriverKind::ALL {
        let Some((scratch, top)) = packed(driver) else { continue };
        let store = &scratch.store;
        let record = scratch.record(top);
        empty(scratch.blob(&record.blob.unwrap().digest));
        empty(scratch.blob(&record.diff.0));
        let lease = store.lease().unwrap();
        let refused = |what: &str, result: Result<(), StoreError>| {
            assert!(matches!(result, Err(StoreError::Damaged { .. })), "{driver}: {what}");
        };
        let image = *store.images().unwrap().images.keys().next().unwrap();
        refused("view", store.mount_view(&lease, image).map(drop));
        refused("merged", store.merged(Some(top)).map(drop));
        refused("scratch", store.scratch_snapshot(&lease, Some(top)).map(drop));
        let making = store::Making::InTime(lease);
        let kept = store.create_snapshot(&making, "kept", Some(top), store::Lasting::Kept);
        refused("snapshot", kept.map(drop));
        refused("fit", store.fit(Some(top), &store.tables().unwrap().layers).map(drop));
        let mut layers = store.tables().unwrap().layers;
        store.keep_fit(&mut layers, [record.diff]).unwrap();
        assert!(layers.layers.is_empty(), "{driver}: whoever loads it again counts on it");
        assert!(scratch.record(top).unsynced.is_some());
    }
}

#[test]
fn settling_makes_it_durable_and_says_so() {
    for driver in DriverKind::ALL {
        let Some((scratch, _)) = two_layers(driver) else { continue };
        assert_eq!(scratch.store.settle().unwrap(), 2);
        let tables = scratch.store.tables().unwrap();
        assert!(tables.layers.layers.values().all(|record| record.unsynced.is_none()));
        assert_eq!(scratch.store.settle().unwrap(), 0);
    }
    // What another boot wrote is not made durable by syncing now.
    let Some((scratch, _)) = two_layers(DriverKind::Overlay) else { return };
    reboot(&scratch);
    assert_eq!(scratch.store.settle().unwrap(), 0);
}

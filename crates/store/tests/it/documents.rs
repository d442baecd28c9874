//! The documents that say what there is, and the store's own description.

use std::fs;

use store::{DriverKind, ErrorKind, Settings, Store, StoreError};
use testkit::{Layer, Scratch};

fn open(settings: &Settings) -> Result<Store, StoreError> {
    Store::open(settings.clone())
}

#[test]
fn a_damaged_or_missing_document_stops_everything_that_could_lose_data() {
    for name in ["images.json", "layers.json"] {
        for bytes in
            [None, Some(""), Some("{"), Some("[]"), Some("{\"images\": 1}"), Some("\0\0\0")]
        {
            let scratch = Scratch::new();
            let (id, _) = scratch.add_image("kept", &[Layer::new().file("f", "").tar()]).unwrap();
            let before = scratch.store.present().unwrap().blobs;
            let path = scratch.settings().root.join(name);
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let damaged = |result: Result<(), StoreError>| {
                let error = result.unwrap_err();
                assert!(matches!(error, StoreError::Damaged { .. }), "{name} {bytes:?}: {error}");
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                assert!(error.hint().is_some());
            };
            damaged(scratch.store.tables().map(drop));
            damaged(scratch.store.collect().map(drop));
            damaged(scratch.store.change::<_, StoreError>(|_| Ok(())));
            if name == "images.json" {
                damaged(scratch.store.images().map(drop));
                damaged(scratch.store.change_images::<_, StoreError>(|_| Ok(())));
                damaged(scratch.remove_image(id).map(drop));
            }
            let report = scratch.store.check(true).unwrap();
            assert!(report.faults[0].what.contains(name) && report.is_clean(), "{report:?}");
            assert_eq!(scratch.store.present().unwrap().blobs, before, "something was swept");
        }
    }
}

#[test]
fn a_store_without_its_description_is_not_taken_for_a_new_one() {
    let scratch = Scratch::new();
    scratch.add_image("kept", &[Layer::new().file("f", "").tar()]).unwrap();
    let format = scratch.store.paths().format();
    let good = fs::read_to_string(&format).unwrap();
    fs::remove_file(&format).unwrap();
    assert!(matches!(open(scratch.settings()), Err(StoreError::DamagedFormat { .. })));
    for bad in [
        "",
        "{}",
        "{\"version\": 1, \"id\": \"../../../etc/x\", \"driver\": \"overlay\", \"why\": \"\"}",
        "{\"version\": 1, \"id\": \"abc\", \"driver\": \"overlay\", \"why\": \"\"}",
        "{\"version\": 1, \"id\": \"ééééééééé\", \"driver\": \"overlay\", \"why\": \"\"}",
    ] {
        fs::write(&format, bad).unwrap();
        assert!(matches!(open(scratch.settings()), Err(StoreError::DamagedFormat { .. })), "{bad}");
    }
    let newer = good.replace("\"version\":1", "\"version\":99");
    // Nothing else of it need be what this version knows.
    for newer in [&*newer, "{\"version\": 99, \"id\": 7, \"driver\": \"tape\"}"] {
        fs::write(&format, newer).unwrap();
        let error = open(scratch.settings()).err().unwrap();
        assert!(matches!(error, StoreError::NewerFormat { found: 99, .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    fs::write(&format, good).unwrap();
    assert!(open(scratch.settings()).is_ok());
}

#[test]
fn a_store_keeps_its_driver() {
    let scratch = Scratch::with_driver(DriverKind::Overlay).unwrap();
    let mut settings = scratch.settings().clone();
    settings.driver = Some(DriverKind::Erofs);
    let error = open(&settings).err().unwrap();
    assert!(matches!(error, StoreError::OtherDriver { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    settings.driver = None;
    let store = open(&settings).unwrap();
    assert_eq!(store.driver().kind(), DriverKind::Overlay);
    assert_eq!((store.id(), store.driver_reason()), (scratch.store.id(), "asked for"));
}

#[test]
fn many_who_make_a_store_make_one() {
    let scratch = Scratch::new();
    let mut settings = scratch.settings().clone();
    settings.root = scratch.path().join("another/deeper/root");
    let ids: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| open(&settings).unwrap().id().to_owned())).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let scratch = Scratch::new();
    let (id, _) = scratch.add_image("kept", &[Layer::new().file("f", "").tar()]).unwrap();
    let before = (scratch.store.tables().unwrap(), scratch.files().unwrap());
    let failed: Result<(), StoreError> = scratch.store.change(|tables| {
        tables.images.images.clear();
        tables.layers.layers.clear();
        Err(StoreError::NoBlob(id.0))
    });
    assert!(failed.is_err());
    let failed: Result<(), StoreError> = scratch.store.change_images(|images| {
        images.names.clear();
        Err(StoreError::NoBlob(id.0))
    });
    assert!(failed.is_err());
    let failed = scratch.store.remove_images::<(), StoreError>(|images| {
        images.images.clear();
        Err(StoreError::NoBlob(id.0))
    });
    assert!(failed.is_err());
    assert_eq!(scratch.store.tables().unwrap(), before.0);
    assert_eq!(scratch.files().unwrap(), before.1);
}

#[test]
fn changes_of_many_are_all_kept() {
    let scratch = Scratch::new();
    let (id, _) = scratch.add_image("image", &[Layer::new().file("f", "").tar()]).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = scratch.open_again();
            scope.spawn(move || {
                for round in 0..20 {
                    let change = |images: &mut store::Images| {
                        let name = format!("{writer}-{round}");
                        images.names.insert(name, store::NameRecord::of(id));
                        Ok(())
                    };
                    store.change_images::<_, StoreError>(change).unwrap();
                }
            });
        }
    });
    assert_eq!(scratch.store.images().unwrap().names_of(id).count(), 81);
}

/// What is read whole has a limit: a document that grew beyond all measure is damage.
#[test]
fn a_document_larger_than_any_is_refused_without_reading_it() {
    let scratch = Scratch::new();
    let paths = scratch.store.paths().clone();
    let grow = |path: &std::path::Path, bytes: u64| {
        let file = fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
        let before = file.metadata().unwrap().len();
        file.set_len(bytes).unwrap();
        before
    };
    let huge = 1 << 42;
    for path in [paths.images(), paths.layers(), paths.format()] {
        let before = grow(&path, huge);
        let opened = store::Store::open(scratch.settings().clone());
        let error = opened.and_then(|store| store.tables()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        grow(&path, before);
    }
    let lease = scratch.store.lease().unwrap();
    let file = fs::read_dir(paths.leases()).unwrap().next().unwrap().unwrap().path();
    grow(&file, huge);
    assert!(matches!(scratch.store.collect(), Err(StoreError::Damaged { .. })));
    drop(lease);
    scratch.store.collect().unwrap();
}

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

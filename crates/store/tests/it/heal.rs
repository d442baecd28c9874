//! Damaged layers that come again, from several sides at once.

use std::fs;

use spec::ChainId;
use store::{DriverKind, Expected, Layers, Lease, StoreError};
use testkit::{Layer, Scratch};

/// A store with an image of one layer, and that layer's tar.
struct Sick {
    scratch: Scratch,
    image: spec::ImageId,
    chain: ChainId,
    tar: Vec<u8>,
}

impl Sick {
    fn new(driver: DriverKind) -> Option<Sick> {
        let scratch = Scratch::with_driver(driver).map_err(testkit::skip).ok()?;
        let tar = Layer::new().file("f", "1").tar();
        let (image, top) = scratch.add_image("image", std::slice::from_ref(&tar)).unwrap();
        Some(Sick { scratch, image, chain: top.unwrap(), tar })
    }

    fn damage(&self) {
        let blob = self.scratch.blob(&self.scratch.record(self.chain).diff.0);
        fs::write(blob, "something else").unwrap();
        assert!(!self.scratch.store.check(false).unwrap().is_clean());
        assert_eq!(self.scratch.record(self.chain).unsynced.as_deref(), Some("damaged"));
    }

    /// What somebody knows who is about to bring the layer.
    fn known(&self) -> Layers {
        let mut layers = self.scratch.store.tables().unwrap().layers;
        let diff = self.scratch.record(self.chain).diff;
        self.scratch.store.keep_fit(&mut layers, [diff]).unwrap();
        assert!(layers.layers.is_empty());
        layers
    }

    /// Brings the layer, as far as its record.
    fn bring(&self, lease: &Lease, known: &Layers) -> Result<Layers, StoreError> {
        let store = &self.scratch.store;
        let unpacked = store.unpack_layer(lease, &mut &*self.tar, Expected::default())?;
        let (chain, record) = store.adopt_layer(lease, unpacked, None, known)?;
        let mut noted = known.clone();
        noted.note(chain, record);
        Ok(noted)
    }

    fn record(&self, noted: &Layers) {
        let change = self.scratch.store.change::<_, StoreError>(|tables| {
            tables.layers.add_stacks(noted, [self.chain]);
            Ok(())
        });
        change.unwrap();
    }
}

#[test]
fn who_is_later_finds_the_layer_well() {
    for driver in DriverKind::ALL {
        let Some(sick) = Sick::new(driver) else { continue };
        sick.damage();
        let [late, early] = [(); 2].map(|()| sick.scratch.store.lease().unwrap());
        let known = sick.known();
        sick.record(&sick.bring(&early, &known).unwrap());
        // Who uses it now must not lose it to the other one.
        let view = sick.scratch.store.mount_view(&early, sick.image).unwrap();
        sick.record(&sick.bring(&late, &known).unwrap());
        assert_eq!(fs::read_to_string(view.join("f")).unwrap(), "1", "{driver}");
        assert!(sick.scratch.store.check(false).unwrap().is_clean(), "{driver}");
    }
}

#[test]
fn what_is_in_use_is_not_replaced() {
    for driver in DriverKind::ALL {
        let Some(sick) = Sick::new(driver) else { continue };
        let lease = sick.scratch.store.lease().unwrap();
        sick.scratch.store.mount_view(&lease, sick.image).unwrap();
        sick.damage();
        let error = sick.bring(&lease, &sick.known()).err().unwrap();
        assert!(matches!(error, StoreError::InUse { .. }), "{driver}: {error}");
    }
}

#[test]
fn only_a_layer_that_came_is_thought_to_be_well_again() {
    let Some(sick) = Sick::new(DriverKind::Overlay) else { return };
    // Read while it was well by somebody who brings another layer.
    let before = sick.scratch.store.tables().unwrap().layers;
    sick.damage();
    sick.record(&before);
    assert_eq!(sick.scratch.record(sick.chain).unsynced.as_deref(), Some("damaged"));
}

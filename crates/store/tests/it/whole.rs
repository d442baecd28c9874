//! Trees that hold copies of what lies below them.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use store::DriverKind;
use testkit::oracle::apply;
use testkit::{Layer, Scratch, skip};

/// A copy that has gone bad has the right size and time, and no tar of its own to be held against.
#[test]
fn a_damaged_copy_of_a_lower_layers_file_is_found_and_mended() {
    for kind in [DriverKind::Vfs, DriverKind::Btrfs] {
        let scratch = match Scratch::with_driver(kind) {
            Ok(scratch) => scratch,
            Err(why) => {
                skip(format!("no {kind} driver: {why}"));
                continue;
            }
        };
        let layers = [
            Layer::new().file("d/large", vec![7; 400_000]).file("d/small", "small"),
            Layer::new().file("d/other", "o"),
            Layer::new().file("top", "t"),
        ];
        let tars: Vec<_> = layers.iter().map(Layer::tar).collect();
        let (_, top) = scratch.add_image("image", &tars).unwrap();
        let stack: Vec<_> = {
            let tables = scratch.store.tables().unwrap();
            tables.layers.stack(top).unwrap().into_iter().map(|(chain, _)| chain).collect()
        };
        for (at, name, offset) in [(1, "d/small", 0), (2, "d/large", 399_999), (2, "d/other", 0)] {
            let tree = scratch.store.paths().folder(kind.as_str(), &stack[at]);
            let before = fs::metadata(tree.join(name)).unwrap();
            let file = fs::File::options().write(true).open(tree.join(name)).unwrap();
            file.write_all_at(b"X", offset).unwrap();
            let folder = sys::fs::open_folder(&tree).unwrap();
            let nanos = before.mtime_nsec() as u32;
            sys::fs::set_mtime(&folder, name, before.mtime(), nanos).unwrap();
            let faults = scratch.store.check(false).unwrap().faults;
            let why = format!("{}: its content has changed", name.replace("d/", "d: "));
            assert!(faults.iter().any(|fault| fault.why == why), "{kind} {name}: {faults:?}");
            let report = scratch.store.check(true).unwrap();
            assert!(report.is_clean(), "{kind} {name}: {:?}", report.faults);
            scratch.must_be_clean();
            scratch.tree(top).must_equal(&apply(&layers), kind.as_str());
        }
    }
}

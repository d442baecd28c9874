//! What those leave who die in the middle, and that nobody is harmed by it.

use std::fs;

use store::{DriverKind, Present, StoreError};
use testkit::oracle::apply;
use testkit::{Layer, Scratch, random};

#[test]
fn a_removal_cut_short_is_finished_by_the_next_one() {
    let scratch = Scratch::new();
    let tars = |name: &str| [Layer::new().file(name, name).tar()];
    let (one, _) = scratch.add_image("one", &tars("one")).unwrap();
    let (two, _) = scratch.add_image("two", &tars("two")).unwrap();
    // It died after the image was gone and before its layers were.
    scratch
        .store
        .change_images::<_, StoreError>(|images| {
            images.images.remove(&one);
            images.names.remove("one");
            Ok(())
        })
        .unwrap();
    assert_eq!(scratch.remove_image(two).unwrap().layers.len(), 2);
    scratch.store.collect().unwrap();
    assert_eq!(scratch.store.present().unwrap(), Present::default());
    scratch.must_be_clean();
}

#[test]
fn left_overs_of_every_kind_are_swept() {
    let scratch = Scratch::new();
    let paths = scratch.store.paths().clone();
    fs::write(paths.ingest().join("0123-4"), "half a blob").unwrap();
    fs::create_dir_all(paths.ingest().join("0123-5/folder")).unwrap();
    fs::write(paths.ingest().join("0123-5/folder/file"), "").unwrap();
    fs::create_dir_all(paths.trash().join("bin/0")).unwrap();
    fs::write(paths.trash().join("bin/0/file"), "").unwrap();
    fs::write(paths.leases().join("0123"), "chain nonsense\nblob").unwrap();
    fs::write(paths.images().with_extension("json.new"), "{\"ima").unwrap();
    scratch.store.collect().unwrap();
    assert_eq!(scratch.store.present().unwrap(), Present::default());
    for folder in [paths.trash(), paths.leases(), paths.ingest()] {
        assert!(fs::read_dir(&folder).unwrap().next().is_none(), "{}", folder.display());
    }
    scratch.must_be_clean();
}

/// A folder or tar that was put in place by one who died before saying so is not trusted: a power
/// cut may have taken its bytes.
#[test]
fn what_was_never_recorded_is_not_trusted() {
    for driver in DriverKind::ALL {
        let Ok(scratch) = Scratch::with_driver(driver) else { continue };
        let stack = random::stack(4, 3, 40);
        let tars: Vec<_> = stack.iter().map(Layer::tar).collect();
        {
            let lease = scratch.store.lease().unwrap();
            scratch.load(&lease, &tars).unwrap();
        }
        scratch.store.unmount_all().unwrap();
        for (path, _) in scratch.files().unwrap() {
            let in_forms = ["blobs", "index", driver.as_str()]
                .iter()
                .any(|name| path.starts_with(scratch.settings().root.join(name)));
            if in_forms && fs::symlink_metadata(&path).unwrap().is_file() {
                fs::File::options().write(true).truncate(true).open(&path).unwrap();
            }
        }
        let (_, top) = scratch.add_image("image", &tars).unwrap();
        scratch.tree(top).must_equal(&apply(&stack), driver.as_str());
        scratch.must_be_clean();
    }
}

#[test]
fn a_view_whose_mount_is_gone_is_none() {
    let scratch = Scratch::new();
    let (id, _) = scratch.add_image("image", &[Layer::new().file("f", "").tar()]).unwrap();
    let mount = || {
        let lease = scratch.store.lease().unwrap();
        scratch.store.mount_view(&lease, id).unwrap()
    };
    let path = mount();
    assert_eq!(mount(), path);
    assert_eq!(scratch.store.views().unwrap()[0].count, 2);
    sys::mount::detach(&path).unwrap();
    assert_eq!(scratch.store.views().unwrap(), []);
    assert_eq!(mount(), path);
    assert_eq!(scratch.store.views().unwrap()[0].count, 1, "those before it are gone too");
    assert_eq!(scratch.store.unmount_view(id, false).unwrap(), Some(0));
    assert!(
        scratch
            .store
            .mount_view(&scratch.store.lease().unwrap(), spec::ImageId(spec::Digest::of(b"x")))
            .is_err()
    );
    scratch.remove_image(id).unwrap();
    assert_eq!(scratch.store.present().unwrap(), Present::default());
}

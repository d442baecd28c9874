//! How much space what takes.

use std::os::unix::fs::MetadataExt;

use store::TopShare;
use testkit::{Layer, Scratch};

#[test]
fn numbers_are_exact() {
    let scratch = Scratch::new();
    let empty = scratch.store.usage(&scratch.store.tables().unwrap()).unwrap();
    assert_eq!((empty.layers, empty.blobs, empty.indexes), (0, 0, 0));
    let shared = Layer::new().file("shared", vec![1; 50_000]).tar();
    let [one, two] = ["one", "two"].map(|name| Layer::new().file(name, vec![2; 9000]).tar());
    let (first, _) = scratch.add_image("first", &[shared.clone(), one.clone()]).unwrap();
    let (second, _) = scratch.add_image("second", &[shared.clone(), two.clone()]).unwrap();
    let (third, _) = scratch.add_image("third", &[]).unwrap();
    let usage = scratch.store.usage(&scratch.store.tables().unwrap()).unwrap();
    let bytes = |tar: &Vec<u8>| tar.len() as u64;
    let sizes = |id| {
        let one = usage.images[&id];
        (one.size, one.shared, one.unique)
    };
    assert_eq!(sizes(first), (bytes(&shared) + bytes(&one), bytes(&shared), bytes(&one)));
    assert_eq!(sizes(second), (bytes(&shared) + bytes(&two), bytes(&shared), bytes(&two)));
    assert_eq!(sizes(third), (0, 0, 0));
    assert_eq!(usage.layers, bytes(&shared) + bytes(&one) + bytes(&two));
    let on_disk = |folder: &str| -> u64 {
        let files = scratch.files().unwrap().into_iter();
        let inside =
            files.filter(|(path, _)| path.starts_with(scratch.settings().root.join(folder)));
        inside.map(|(path, bytes)| bytes.min(std::fs::metadata(path).unwrap().blocks() * 512)).sum()
    };
    assert_eq!((usage.blobs, usage.indexes), (on_disk("blobs"), on_disk("index")));
    let collected = scratch.remove_image(second).unwrap();
    let config = usage.blobs - scratch.store.usage(&scratch.store.tables().unwrap()).unwrap().blobs;
    assert_eq!(collected.bytes, config, "what was freed is what is gone");
    let usage = scratch.store.usage(&scratch.store.tables().unwrap()).unwrap();
    assert_eq!((usage.images[&first].shared, usage.layers), (0, bytes(&shared) + bytes(&one)));
}

#[test]
fn compressed_blobs_beside_their_tars_could_go() {
    let scratch = Scratch::new();
    let layer = Layer::new().file("f", vec![3; 100_000]);
    let Some(gzip) = layer.compressed("gzip") else {
        return testkit::skip("there is no gzip program");
    };
    scratch.add_image("image", std::slice::from_ref(&gzip)).unwrap();
    let usage = scratch.store.usage(&scratch.store.tables().unwrap()).unwrap();
    let evictable = if scratch.store.driver().keeps_tar() { gzip.len() as u64 } else { 0 };
    assert_eq!(usage.evictable, evictable);
}

#[test]
fn compressed_blobs_are_evicted_and_the_layer_is_whole_without() {
    let scratch = Scratch::new();
    let layer = Layer::new().file("f", vec![3; 100_000]);
    let Some(gzip) = layer.compressed("gzip") else {
        return testkit::skip("there is no gzip program");
    };
    let (image, top) = scratch.add_image("image", std::slice::from_ref(&gzip)).unwrap();
    let top = top.unwrap();
    let evicted = scratch.store.evict_blobs().unwrap();
    if !scratch.store.driver().keeps_tar() {
        return assert_eq!(evicted.bytes, 0);
    }
    assert_eq!(evicted.bytes, gzip.len() as u64);
    let record = scratch.record(top);
    assert_eq!((record.blob, record.unsynced), (None, None));
    assert_eq!(scratch.store.evict_blobs().unwrap().bytes, 0);
    scratch.must_be_clean();
    assert_eq!(scratch.tree(Some(top)).paths(), ["f"]);
    scratch.remove_image(image).unwrap();
    assert_eq!(scratch.store.present().unwrap(), store::Present::default());

    // The blob of a layer whose tar may not have reached the disk is what it could be made from.
    let (_, top) = scratch.add_image("image", std::slice::from_ref(&gzip)).unwrap();
    let doubt = |tables: &mut store::Tables| {
        tables.layers.layers.get_mut(&top.unwrap()).unwrap().unsynced = Some("before".to_owned());
        Ok(())
    };
    scratch.store.change::<_, store::StoreError>(doubt).unwrap();
    assert_eq!(scratch.store.evict_blobs().unwrap().bytes, 0);
    assert!(scratch.record(top.unwrap()).blob.is_some());
}

#[test]
fn what_is_in_use_cannot_be_reclaimed() {
    let scratch = Scratch::new();
    let tar = |name: &str, bytes: usize| Layer::new().file(name, vec![1; bytes]).tar();
    let (shared, one, two) = (tar("shared", 9000), tar("one", 20_000), tar("two", 30_000));
    let (first, _) = scratch.add_image("first", &[shared.clone(), one.clone()]).unwrap();
    let (second, top) = scratch.add_image("second", &[shared.clone(), two.clone()]).unwrap();
    let usage = || scratch.store.usage(&scratch.store.tables().unwrap()).unwrap();
    assert_eq!(usage().reclaimable, usage().layers);
    let lease = scratch.store.lease().unwrap();
    scratch.store.mount_view(&lease, first).unwrap();
    assert_eq!(usage().reclaimable, two.len() as u64);
    let kept = store::Lasting::Kept;
    let making = store::Making::InTime(lease);
    let snapshot = scratch.store.create_snapshot(&making, "work", top, kept).unwrap();
    assert_eq!(usage().reclaimable, 0);
    // What was made on an image stays when the image goes, and so do its layers.
    let all = usage().layers;
    scratch.remove_image(second).unwrap();
    assert_eq!((usage().layers, usage().reclaimable), (all, 0));
    let top = || usage().tops["work"];
    assert_eq!((usage().tops.len(), top()), (1, TopShare { bytes: 0, mounted: false }));
    let place = scratch.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let mount = scratch.store.mount_snapshot(&snapshot, kept).unwrap();
    sys::mount::attach(&mount, &place).unwrap();
    drop(mount);
    std::fs::write(place.join("new"), [1; 700]).unwrap();
    std::fs::hard_link(place.join("new"), place.join("same")).unwrap();
    assert_eq!(top(), TopShare { bytes: 700, mounted: true });
    sys::mount::detach(&place).unwrap();
    assert_eq!(top(), TopShare { bytes: 700, mounted: false });
    scratch.store.unmount_view(first, false).unwrap();
    scratch.store.remove_snapshot("work").unwrap();
    scratch.store.collect().unwrap();
    assert_eq!(usage().reclaimable, (shared.len() + one.len()) as u64);
}

#[test]
fn unpacked_layers_count_their_blocks_once() {
    let Ok(scratch) = Scratch::with_driver(store::DriverKind::Overlay) else {
        return testkit::skip("overlay does not work here");
    };
    let layer = Layer::new().file("f", vec![1; 50_000]).hard_link("same", "f").folder("d");
    scratch.add_image("image", &[layer.file("d/g", "1").tar()]).unwrap();
    let usage = scratch.store.usage(&scratch.store.tables().unwrap()).unwrap();
    let folder = scratch.store.paths().folders("overlay");
    let own = std::fs::metadata(&folder).unwrap().blocks() * 512;
    let said = std::process::Command::new("du").args(["-s", "-B1"]).arg(folder).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let said: u64 = said.split('\t').next().unwrap().parse().unwrap();
    assert_eq!(usage.folders, said - own);
    assert!((50_000..100_000).contains(&usage.folders));
}

#[test]
fn a_sparse_file_counts_what_it_holds() {
    let scratch = Scratch::new();
    let place = testkit::Mounted::folder();
    let file = std::fs::File::create(place.path().join("f")).unwrap();
    file.set_len(1 << 30).unwrap();
    let packed = std::process::Command::new("tar")
        .args(["--sparse", "--format=posix", "-cf-", "-C"])
        .arg(place.path())
        .arg("f")
        .output();
    let Ok(packed) = packed else { return testkit::skip("there is no tar program") };
    scratch.add_tars(&[packed.stdout]).unwrap();
    let usage = scratch.store.usage(&scratch.store.tables().unwrap()).unwrap();
    assert!(usage.indexes < 1 << 20, "{}", usage.indexes);
}

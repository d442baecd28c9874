//! What only the btrfs driver has: subvolumes, which share their data and go as a whole.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use store::{DriverKind, Lasting};
use testkit::{Layer, Random, Scratch, skip};

fn scratch() -> Option<Scratch> {
    match Scratch::with_driver(DriverKind::Btrfs) {
        Ok(scratch) => Some(scratch),
        Err(why) => {
            skip(format!("no btrfs driver: {why}"));
            None
        }
    }
}

fn is_subvolume(path: &Path) -> bool {
    sys::btrfs::is_subvolume(sys::fs::open_folder(path).unwrap()).unwrap()
}

/// Bytes that are taken on the file system, once all is written.
fn taken(scratch: &Scratch) -> u64 {
    let root = scratch.store.paths().root();
    sys::fs::sync_file_system(&fs::File::open(root).unwrap()).unwrap();
    let space = rustix::fs::statvfs(root).unwrap();
    (space.f_blocks - space.f_bfree) * space.f_frsize
}

#[test]
fn trees_share_what_they_have_in_common() {
    let Some(scratch) = scratch() else { return };
    let mut random = Random::new(3);
    let noise: Vec<u8> = (0..16 << 20).map(|_| random.below(256) as u8).collect();
    let below = Layer::new().file("noise", &noise);
    let tars: Vec<_> = (0..6)
        .map(|n| if n == 0 { below.tar() } else { Layer::new().file(n.to_string(), "x").tar() })
        .collect();
    let before = taken(&scratch);
    let (id, top) = scratch.add_image("image", &tars).unwrap();
    // The tar and the first tree have the file, and the other five trees nothing of their own.
    let grown = taken(&scratch) - before;
    assert!((32 << 20..40 << 20).contains(&grown), "{grown} bytes");
    for (chain, _) in scratch.store.tables().unwrap().layers.stack(top).unwrap() {
        assert!(is_subvolume(&scratch.store.paths().folder("btrfs", &chain)));
    }
    scratch.remove_image(id).unwrap();
    assert_eq!(fs::read_dir(scratch.store.paths().folders("btrfs")).unwrap().count(), 0);
    scratch.must_be_clean();
}

#[test]
fn a_container_that_made_subvolumes_can_be_removed() {
    let Some(scratch) = scratch() else { return };
    let top = scratch.add_tars(&[Layer::new().file("f", "1").tar()]).unwrap();
    let making = store::Making::InTime(scratch.store.lease().unwrap());
    for name in ["plain", "nested"] {
        let store = &scratch.store;
        let snapshot = store.create_snapshot(&making, name, top, Lasting::Kept).unwrap();
        assert!(is_subvolume(&snapshot.folder.join("tree")));
        let mount = store.mount_snapshot(&snapshot, Lasting::Kept).unwrap();
        let path = format!("/proc/self/fd/{}/d", mount.as_raw_fd());
        fs::create_dir(&path).unwrap();
        if name == "nested" {
            let folder = sys::fs::folder_beneath(&mount, "d").unwrap();
            sys::btrfs::create_subvolume(&folder, "inner".as_ref()).unwrap();
            fs::write(format!("{path}/inner/file"), "x").unwrap();
        }
        drop(mount);
        store.remove_snapshot(name).unwrap();
        assert!(!snapshot.folder.exists());
        assert_eq!(fs::read_dir(store.paths().trash()).unwrap().count(), 0);
    }
}

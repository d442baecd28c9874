//! A snapshot takes writes in its top alone, tells what was changed, and becomes a layer.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use image::merged::Change;
use spec::ChainId;
use store::{DriverKind, Lasting, Snapshot, StoreError};
use testkit::{Layer, Scratch, Tree, skip};

/// Runs a case with every driver that works here.
fn each(case: impl Fn(&Scratch)) {
    for kind in DriverKind::ALL {
        match Scratch::with_driver(kind) {
            Ok(scratch) => case(&scratch),
            Err(why) => skip(format!("no {kind} driver: {why}")),
        }
    }
}

fn base() -> [Vec<u8>; 2] {
    let lower = Layer::new()
        .folder("etc")
        .file("etc/passwd", "root")
        .file("etc/group", "root")
        .file("keep", "kept")
        .folder("cache")
        .file("cache/one", "1")
        .file("cache/two", "2");
    let upper = Layer::new().folder("var").file("var/log", "").whiteout("keep").file("kept", "k");
    [lower.tar(), upper.tar()]
}

/// Where a detached mount can be reached from this process.
fn path(mount: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/.", mount.as_raw_fd()))
}

fn make(scratch: &Scratch, name: &str, below: Option<ChainId>) -> Snapshot {
    let making = scratch.store.making::<_, StoreError>(&store::About::All, |_| Ok(((), below)));
    scratch.store.create_snapshot(&making.unwrap().0, name, below, Lasting::Kept).unwrap()
}

fn altered(scratch: &Scratch, snapshot: &Snapshot) -> Vec<String> {
    let all = scratch.store.snapshot_changes(snapshot).unwrap();
    let letter = |change| match change {
        Change::Added => 'A',
        Change::Changed => 'C',
        Change::Deleted => 'D',
    };
    let line =
        |path: &[u8], change| format!("{} {}", letter(change), String::from_utf8_lossy(path));
    all.iter().map(|one| line(&one.path, one.change)).collect()
}

fn write_changes(root: &std::path::Path) {
    fs::write(root.join("etc/passwd"), "root and more").unwrap();
    fs::remove_file(root.join("etc/group")).unwrap();
    fs::create_dir(root.join("n")).unwrap();
    fs::write(root.join("n/a"), "new").unwrap();
    symlink("a", root.join("n/link")).unwrap();
    fs::set_permissions(root.join("n/a"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::hard_link(root.join("n/a"), root.join("n/same")).unwrap();
    // A folder that is made again hides what was in it.
    fs::remove_dir_all(root.join("cache")).unwrap();
    fs::create_dir(root.join("cache")).unwrap();
    fs::write(root.join("cache/two"), "two").unwrap();
}

#[test]
fn what_is_written_is_told_and_becomes_a_layer() {
    each(|scratch| {
        let (image, top) = scratch.add_image("base", &base()).unwrap();
        let snapshot = make(scratch, "work", top);
        assert_eq!(altered(scratch, &snapshot), [""; 0]);
        let mount = scratch.store.mount_snapshot(&snapshot, Lasting::Kept).unwrap();
        assert_eq!(altered(scratch, &snapshot), [""; 0]);
        write_changes(&path(&mount));
        let expected = [
            "C /cache",
            "D /cache/one",
            "C /cache/two",
            "C /etc",
            "D /etc/group",
            "C /etc/passwd",
            "A /n",
            "A /n/a",
            "A /n/link",
            "A /n/same",
        ];
        assert_eq!(altered(scratch, &snapshot), expected);
        assert_eq!(scratch.store.snapshot_usage(&snapshot).unwrap().bytes, 13 + 3 + 3);

        // The layer made of it shows the same tree as the snapshot, but for the skeleton.
        let lease = scratch.store.lease().unwrap();
        let unpacked = scratch.store.unpack_snapshot(&lease, &snapshot, None).unwrap();
        let again = scratch.store.unpack_snapshot(&lease, &snapshot, None).unwrap();
        assert_eq!(unpacked.diff(), again.diff());
        drop(again);
        let layers = scratch.store.tables().unwrap().layers;
        let (chain, record) = scratch.store.adopt_layer(&lease, unpacked, top, &layers).unwrap();
        scratch
            .store
            .change::<_, StoreError>(|tables| {
                tables.layers.layers.insert(chain, record);
                Ok(())
            })
            .unwrap();
        let made = scratch.tree(Some(chain));
        let seen = Tree::read_at(&mount).unwrap();
        for path in ["etc/passwd", "n/a", "n/link", "n/same", "cache/two", "kept", "var/log"] {
            let line = |tree: &Tree| tree.lines().get(path.as_bytes()).cloned();
            assert_eq!(line(&made), line(&seen), "{path}");
        }
        for path in ["etc/group", "cache/one", "keep"] {
            assert!(made.get(path).is_none() && seen.get(path).is_none(), "{path}");
        }
        drop(mount);
        scratch.store.remove_snapshot("work").unwrap();
        drop(lease);
        scratch.remove_image(image).unwrap();
        scratch.store.collect().unwrap();
        scratch.must_be_clean();
    });
}

#[test]
fn a_snapshot_keeps_its_stack_and_two_see_nothing_of_each_other() {
    each(|scratch| {
        let (image, top) = scratch.add_image("base", &base()).unwrap();
        let (one, two) = (make(scratch, "one", top), make(scratch, "two", top));
        let mount = scratch.store.mount_snapshot(&one, Lasting::Kept).unwrap();
        fs::write(path(&mount).join("mine"), "1").unwrap();
        scratch.remove_image(image).unwrap();
        scratch.store.collect().unwrap();
        drop(mount);
        // After all that, and opened again, what was written is there, and nowhere else.
        let again = scratch.open_again();
        let found = again.snapshot("one").unwrap();
        assert_eq!(found, one);
        let mount = again.mount_snapshot(&found, Lasting::Kept).unwrap();
        assert_eq!(fs::read_to_string(path(&mount).join("mine")).unwrap(), "1");
        assert_eq!(altered(scratch, &two), [""; 0]);
        drop(mount);
        for name in ["one", "two", "one"] {
            again.remove_snapshot(name).unwrap();
        }
        assert!(matches!(again.snapshot("one"), Err(StoreError::NoSnapshot(_))));
        assert_eq!(again.collect().unwrap().layers.len(), 2);
        scratch.must_be_clean();
    });
}

#[test]
fn nothing_at_all_is_a_stack_too() {
    each(|scratch| {
        let lease = scratch.store.lease().unwrap();
        let snapshot = scratch.store.scratch_snapshot(&lease, None).unwrap();
        for _ in 0..2 {
            // What is thrown away may be mounted again without complaint.
            let mount = scratch.store.mount_snapshot(&snapshot, Lasting::ThrownAway).unwrap();
            fs::write(path(&mount).join("file"), "x").unwrap();
            assert!(path(&mount).join("proc").is_dir());
        }
        assert_eq!(altered(scratch, &snapshot), ["A /file"]);
        drop(lease);
        scratch.store.collect().unwrap();
        scratch.must_be_clean();
    });
}

#[test]
fn places_for_mounts_are_no_change_until_something_is_done_to_them() {
    each(|scratch| {
        let base = Layer::new().folder("dev").mode(0o700).mtime(5, 6).link("sys", "nowhere");
        let top = scratch.add_tars(&[base.file("etc", "a file").tar()]).unwrap();
        let snapshot = make(scratch, "work", top);
        let mount = scratch.store.mount_snapshot(&snapshot, Lasting::Kept).unwrap();
        let root = path(&mount);
        // What the image has counts, whatever it is.
        assert_eq!(fs::read_link(root.join("sys")).unwrap().as_os_str(), "nowhere");
        assert_eq!(fs::read(root.join("etc")).unwrap(), b"a file");
        assert!(root.join("dev/shm").is_dir() && root.join("proc").is_dir());
        let meta = fs::metadata(root.join("dev")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o700);
        assert_eq!(altered(scratch, &snapshot), [""; 0]);
        fs::remove_file(root.join(".dockerenv")).unwrap();
        assert_eq!(altered(scratch, &snapshot), [""; 0], "nothing of the image is gone");
        fs::write(root.join("dev/shm/file"), "x").unwrap();
        fs::set_permissions(root.join("proc"), fs::Permissions::from_mode(0o711)).unwrap();
        let expected = ["C /dev", "A /dev/shm", "A /dev/shm/file", "A /proc"];
        assert_eq!(altered(scratch, &snapshot), expected);
        drop(mount);
        scratch.store.remove_snapshot("work").unwrap();
        let empty = make(scratch, "empty", None);
        let mount = scratch.store.mount_snapshot(&empty, Lasting::Kept).unwrap();
        assert_eq!(fs::metadata(path(&mount)).unwrap().permissions().mode() & 0o7777, 0o755);
        fs::write(path(&mount).join("etc/hosts"), "1.2.3.4 me").unwrap();
        assert_eq!(altered(scratch, &empty), ["A /etc", "A /etc/hosts"]);
        assert_eq!(
            fs::read_link(path(&mount).join("etc/mtab")).unwrap().as_os_str(),
            "/proc/mounts"
        );
        drop(mount);
        scratch.store.remove_snapshot("empty").unwrap();
        scratch.store.collect().unwrap();
        scratch.must_be_clean();
    });
}

#[test]
fn a_stack_that_only_a_snapshot_stands_on_is_no_fault() {
    each(|scratch| {
        let (image, top) = scratch.add_image("base", &base()).unwrap();
        make(scratch, "mine", top);
        scratch.remove_image(image).unwrap();
        scratch.must_be_clean();
        scratch.store.remove_snapshot("mine").unwrap();
        assert_eq!(scratch.store.collect().unwrap().layers.len(), 2);
    });
}

#[test]
fn folders_in_which_nothing_was_may_be_lost() {
    each(|scratch| {
        let (_, top) = scratch.add_image("base", &base()).unwrap();
        let paths = scratch.store.paths();
        fs::remove_dir(paths.ingest()).unwrap();
        let one = make(scratch, "one", top);
        assert!(one.folder.is_dir());
        fs::remove_dir(paths.trash()).unwrap();
        scratch.store.remove_snapshot("one").unwrap();
        assert!(!one.folder.exists());
        assert_eq!(fs::read_dir(paths.trash()).unwrap().count(), 0);
        let two = make(scratch, "two", top);
        fs::remove_dir(paths.trash()).unwrap();
        scratch.store.discard_snapshot(&two).unwrap();
        assert!(!two.folder.exists());
        scratch.store.remove_snapshot("nobody").unwrap();
        scratch.must_be_clean();
    });
}

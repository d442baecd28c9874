//! No room left, at every point of the way: an error that says so, and nothing left behind.

use std::error::Error;
use std::fs;
use std::io;

use store::{DriverKind, StoreError};
use testkit::oracle::apply;
use testkit::{Layer, Mounted, Scratch, random};

fn sample() -> (Vec<Layer>, Vec<Vec<u8>>) {
    let mut stack = random::stack(8, 3, 60);
    stack[1] = stack[1].clone().file("large", testkit::Random::new(1).bytes(400_000));
    let tars =
        stack.iter().map(|layer| layer.compressed("gzip").unwrap_or_else(|| layer.tar())).collect();
    (stack, tars)
}

fn is_full(error: &StoreError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let io = cause.downcast_ref::<io::Error>();
        if io.is_some_and(|io| {
            io.raw_os_error() == Some(28) || io.kind() == io::ErrorKind::StorageFull
        }) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// A store in a file system of its own, with ballast that leaves so much room.
fn with_room(place: Mounted, kind: DriverKind, room: u64) -> Option<Scratch> {
    let scratch = Scratch::build(place, |settings| settings.driver = Some(kind)).ok()?;
    let (free, _) = sys::fs::space(&scratch.settings().root).unwrap();
    let ballast = fs::File::create(scratch.path().join("ballast")).unwrap();
    fill(&ballast, free.saturating_sub(room));
    Some(scratch)
}

fn fill(mut ballast: &fs::File, mut bytes: u64) {
    use std::io::Write;
    let chunk = vec![1; 64 << 10];
    while bytes > 0 {
        let part = bytes.min(chunk.len() as u64) as usize;
        if ballast.write_all(&chunk[..part]).is_err() {
            return;
        }
        bytes -= part as u64;
    }
}

fn run(kind: DriverKind, place: impl Fn() -> Option<Mounted>, step: usize) {
    let (stack, tars) = sample();
    let expected = apply(&stack);
    let mut failures = 0;
    for room in (0..2_600_000).step_by(step) {
        let Some(place) = place() else { return };
        let Some(scratch) = with_room(place, kind, room) else { continue };
        let before = scratch.store.present().unwrap();
        match scratch.add_image("image", &tars) {
            Ok((_, top)) => {
                scratch.tree(top).must_equal(&expected, &format!("room of {room}"));
                scratch.store.unmount_all().unwrap();
                scratch.must_be_clean();
                assert!(failures > 2, "{failures} failures are not enough to have tried anything");
                return;
            }
            Err(error) => {
                assert!(is_full(&error), "room of {room}: {error:?}");
                failures += 1;
            }
        }
        assert!(scratch.store.tables().unwrap().images.images.is_empty());
        assert!(scratch.store.present().unwrap().asides.is_empty(), "room of {room}");
        // Room is needed to clean up on some file systems; then it is there.
        fs::remove_file(scratch.path().join("ballast")).unwrap();
        scratch.store.collect().unwrap();
        assert_eq!(scratch.store.present().unwrap(), before, "room of {room}");
        scratch.must_be_clean();
        let (_, top) = scratch.add_image("image", &tars).unwrap();
        scratch.tree(top).must_equal(&expected, &format!("after a room of {room}"));
        scratch.store.unmount_all().unwrap();
    }
    panic!("there was never room enough");
}

#[test]
fn overlay_in_memory() {
    testkit::need_root!();
    run(DriverKind::Overlay, || Some(Mounted::tmpfs(8 << 20)), 20_480);
}

#[test]
fn erofs_on_a_small_disk() {
    testkit::need_root!();
    let make = || match Mounted::image(&["mkfs.ext4", "-q", "-O", "^has_journal"], 8 << 20) {
        Ok(place) => Some(place),
        Err(why) => {
            testkit::skip(format!("no file system can be made: {why}"));
            None
        }
    };
    run(DriverKind::Erofs, make, 61_440);
}

/// Removing needs no room worth mentioning, or says that it has none; it never harms.
#[test]
fn a_full_store_can_be_looked_at_and_stays_whole() {
    testkit::need_root!();
    let (stack, tars) = sample();
    let place = Mounted::tmpfs(8 << 20);
    let scratch =
        Scratch::build(place, |settings| settings.driver = Some(DriverKind::Overlay)).unwrap();
    let (id, top) = scratch.add_image("image", &tars).unwrap();
    let ballast = fs::File::create(scratch.path().join("ballast")).unwrap();
    fill(&ballast, u64::MAX);
    scratch.tree(top).must_equal(&apply(&stack), "full");
    scratch.store.record_event("image", "tag", "x", &[]);
    let tagged = scratch.store.change_images::<_, StoreError>(|images| {
        images.names.insert("n".repeat(8000), store::NameRecord::of(id));
        Ok(())
    });
    assert!(tagged.as_ref().is_err_and(is_full), "{tagged:?}");
    assert_eq!(scratch.store.images().unwrap().names.len(), 1);
    if let Err(error) = scratch.remove_image(id) {
        assert!(is_full(&error), "{error:?}");
        scratch.tree(top).must_equal(&apply(&stack), "still there");
    }
    fs::remove_file(scratch.path().join("ballast")).unwrap();
    scratch.store.collect().unwrap();
    scratch.must_be_clean();
}

#[test]
fn errors_of_the_device_are_told() {
    testkit::need_root!();
    if !std::path::Path::new("/dev/mapper/control").exists() {
        return testkit::skip("there is no device mapper to make a device that fails");
    }
    testkit::skip("a failing device is left to the fault harness of the binary");
}

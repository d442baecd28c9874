//! Images that are mounted: what is left of those who died, and who sees the mounts.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use testkit::{Layer, Mounted, Scratch, need_root, skip};

fn mount(scratch: &Scratch, id: spec::ImageId) -> PathBuf {
    scratch.store.mount_view(&scratch.store.lease().unwrap(), id).unwrap()
}

#[test]
fn a_record_without_a_mount_is_no_user() {
    need_root!();
    let scratch = Scratch::new();
    let (id, _) = scratch.add_image("image", &[Layer::new().file("f", "").tar()]).unwrap();
    let path = mount(&scratch, id);
    sys::mount::detach(&path).unwrap();
    assert_eq!(scratch.store.unmount_view(id, false).unwrap(), None, "it is not mounted");
    assert!(!path.exists(), "the folder goes with the record");
}

#[test]
fn a_mount_without_a_record_is_found() {
    need_root!();
    let scratch = Scratch::new();
    let (id, top) = scratch.add_image("image", &[Layer::new().file("f", "").tar()]).unwrap();
    let path = mount(&scratch, id);
    for lost in ["", "{\"views\": [{", "null"] {
        fs::write(scratch.store.paths().run().join("views.json"), lost).unwrap();
        let views = scratch.store.views().unwrap();
        assert_eq!((views[0].count, views[0].top, &views[0].path), (1, top, &path), "{lost:?}");
    }
    assert_eq!(mount(&scratch, id), path);
    assert_eq!(scratch.store.unmount_view(id, false).unwrap(), Some(1));
    assert_eq!(scratch.store.unmount_view(id, false).unwrap(), Some(0));
}

#[test]
fn what_the_dead_left_goes_with_a_collection() {
    need_root!();
    let scratch = Scratch::new();
    let (id, _) = scratch.add_image("image", &[Layer::new().file("f", "").tar()]).unwrap();
    let (other, _) = scratch.add_image("other", &[Layer::new().file("g", "").tar()]).unwrap();
    let (dead, alive) = (mount(&scratch, id), mount(&scratch, other));
    sys::mount::detach(&dead).unwrap();
    scratch.store.collect().unwrap();
    assert!(!dead.exists() && alive.join("g").exists());
    let text = fs::read_to_string(scratch.store.paths().run().join("views.json")).unwrap();
    assert!(!text.contains(&id.to_string()) && text.contains(&other.to_string()), "{text}");
}

#[test]
fn nobody_else_gets_the_mounts() {
    need_root!();
    let place = Mounted::tmpfs(32 << 20);
    let shared = Command::new("mount").arg("--make-shared").arg(place.path()).status();
    if !shared.is_ok_and(|status| status.success()) {
        return skip("needs mount");
    }
    let scratch = Scratch::build(place, |_| {}).unwrap();
    // Another namespace, which gets whatever is mounted below a shared mount.
    let script = "echo ready; read line; cat /proc/self/mountinfo";
    let mut other = Command::new("unshare")
        .args(["--mount", "--propagation", "slave", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let (id, _) = scratch.add_image("image", &[Layer::new().file("f", "").tar()]).unwrap();
    let path = mount(&scratch, id).display().to_string();
    drop(other.stdin.take());
    let seen: Vec<String> = lines.map(Result::unwrap).collect();
    other.wait().unwrap();
    assert!(seen.iter().any(|line| line.contains(&scratch.path().display().to_string())));
    assert!(!seen.iter().any(|line| line.contains(&path)), "{seen:#?}");
    assert!(scratch.mounts().contains(&path.into()));
}

/// A mount that nothing needs any more goes with a collection; one that something stands on stays.
#[test]
fn idle_mounts_of_layers_go_with_a_collection() {
    let Ok(scratch) = Scratch::with_driver(store::DriverKind::Erofs) else {
        return testkit::skip("erofs does not work here");
    };
    let tars = [Layer::new().file("a", "1").tar(), Layer::new().file("b", "2").tar()];
    let (image, top) = scratch.add_image("image", &tars).unwrap();
    let below = scratch.record(top.unwrap()).parent;
    let layers = || {
        let inner = scratch.store.paths().run().join("layers");
        scratch.mounts().into_iter().filter(|path| path.starts_with(&inner)).count()
    };
    let lease = scratch.store.lease().unwrap();
    scratch.store.mount_view(&lease, image).unwrap();
    drop(lease);
    scratch.store.collect().unwrap();
    assert_eq!(layers(), 2);
    let making = store::Making::InTime(scratch.store.lease().unwrap());
    let kept = store::Lasting::Kept;
    scratch.store.create_snapshot(&making, "work", below, kept).unwrap();
    scratch.store.unmount_view(image, false).unwrap();
    scratch.store.collect().unwrap();
    // The lease and the snapshot need the lower one.
    assert_eq!(layers(), 1);
    drop(making);
    scratch.store.remove_snapshot("work").unwrap();
    scratch.store.collect().unwrap();
    assert_eq!(layers(), 0);
    assert_eq!(scratch.tree(top).paths(), ["a", "b"]);
    scratch.remove_image(image).unwrap();
    assert_eq!(layers(), 0);
}

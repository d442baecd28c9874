//! `mica system migrate`.

use std::fs;

use serde_json::json;
use testkit::{Layer, need_root};

use crate::support::{Image, Mica, short, small};

fn app() -> Image {
    let above = Layer::new().whiteout("etc/motd").file("app", vec![7; 10_000]);
    Image::new(&["app:1"]).layer(small(), "base").layer(above, "app")
}

#[test]
fn a_store_goes_from_driver_to_driver_and_stays_the_same() {
    need_root!();
    let mica = Mica::on_disk().with_driver("overlay");
    let id = mica.load(&app());
    mica.ok("save -o before.tar app:1");
    let bytes: usize = app().layers().iter().map(|layer| layer.tar().len()).sum();
    let size = spec::human_size(bytes as f64);
    mica.run("system migrate --to vfs").prints(&format!(
        "The store is kept by the vfs driver now, not overlay: 2 layers, {size}\n"
    ));
    // The settings still ask for the driver before.
    let run = mica.run("images");
    run.complains(1, "is kept by the vfs driver, not overlay");
    assert!(run.err.contains("`mica system migrate --to overlay` changes it"), "{run}");
    let mica = mica.with_driver("");
    assert_eq!(mica.json("info -f json")["DriverStatus"][1][1], json!("converted from overlay"));
    mica.must_be_whole();
    mica.run("system migrate --to vfs").prints("The store is kept by the vfs driver already\n");
    let document = mica.json("system migrate --to overlay2 --format json");
    let expected = json!({"From": "vfs", "To": "overlay", "Layers": 2, "Bytes": bytes});
    assert_eq!(document, expected);
    assert!(!mica.root().join("vfs").exists());
    mica.ok("save -o after.tar app:1");
    let read = |name| fs::read(mica.path(name)).unwrap();
    assert!(read("before.tar") == read("after.tar"), "the archive changed");
    let path = mica.ok("image mount app:1");
    assert_eq!(fs::read(format!("{path}/app")).unwrap(), vec![7; 10_000]);
    let run = mica.run("system migrate --to vfs");
    let words =
        format!("the storage driver cannot be changed now: image {} is mounted", short(&id));
    run.complains(1, &words);
    assert!(run.err.contains(&format!("hint: `mica image unmount {}` first", short(&id))), "{run}");
    mica.ok("image unmount app:1");
    mica.must_be_whole();
}

#[test]
fn what_cannot_be_is_refused() {
    let mica = Mica::new().with_driver("vfs");
    mica.import("small:1");
    mica.run("system migrate").complains(1, "no storage driver is named");
    mica.run("system migrate --to zfs").complains(1, "unknown storage driver \"zfs\"");
    mica.run("system migrate --to btrfs").complains(1, "the btrfs driver does not work here: ");
    assert_eq!(mica.ok("info -f '{{.Driver}}'"), "vfs");
    mica.must_be_whole();
}

//! After the machine stopped in the middle: no command takes a torn layer for a whole one, and what
//! is loaded again is well.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use testkit::Layer;

use crate::support::{Image, Mica};

/// An image of one layer, in a store that was written before the machine stopped, and the files of
/// which the power cut took the bytes.
fn torn() -> (Mica, Image, Vec<PathBuf>) {
    let mica = Mica::new();
    let image = Image::new(&["torn:1"]).layer(Layer::new().file("f", "content"), "f");
    mica.load(&image);
    let path = mica.root().join("layers.json");
    let mut layers: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for record in layers["layers"].as_object_mut().unwrap().values_mut() {
        assert!(record["unsynced"].is_string());
        record["unsynced"] = json!("another boot");
    }
    fs::write(&path, layers.to_string()).unwrap();
    let tars = image
        .diff_ids()
        .into_iter()
        .map(|diff| mica.root().join("blobs/sha256").join(diff.strip_prefix("sha256:").unwrap()));
    let tars = tars.collect();
    (mica, image, tars)
}

#[test]
fn a_whole_layer_is_used_after_a_reboot() {
    let (mica, _, _) = torn();
    mica.ok("save -o saved.tar torn:1");
    let layers = fs::read_to_string(mica.root().join("layers.json")).unwrap();
    assert!(!layers.contains("another boot"), "it was looked at, and that is remembered");
    mica.must_be_whole();
}

#[test]
fn a_torn_layer_is_refused_by_every_command_until_it_comes_again() {
    let uses = ["save -o saved.tar torn:1", "image files torn:1", "image diff torn:1 torn:1"];
    for line in uses.into_iter().chain(["image why torn:1 f", "image export-layout torn:1 out"]) {
        let (mica, image, tars) = torn();
        tars.iter().for_each(|tar| drop(fs::File::create(tar).unwrap()));
        let run = mica.run(line);
        run.complains(1, "is damaged: ");
        assert!(!mica.path("saved.tar").exists(), "{line}");
        // It is not counted on when it is loaded again.
        mica.load(&image);
        mica.ok(line);
        mica.must_be_whole();
    }
}

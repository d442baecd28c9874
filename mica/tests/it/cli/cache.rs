//! What stays in memory of an image that was looked into.

use std::fs;
use std::process::Command;

use serde_json::json;
use testkit::Layer;

use crate::need_programs;
use crate::support::{Image, Mica};

#[test]
fn the_data_of_a_view_that_is_gone_is_held_once() {
    need_programs!("fincore", "sync");
    let mica = Mica::on_disk();
    let data: Vec<u8> = (0..4u32 << 20).map(|at| (at.wrapping_mul(31) >> 7) as u8).collect();
    let image = Image::new(&["app:1"]).layer(Layer::new().file("large", &data), "x");
    mica.load(&image);
    if mica.json("info -f json")["Driver"] != json!("erofs") {
        return testkit::skip("the erofs driver does not work here");
    }
    let tar = mica.root().join("blobs/sha256").join(image.diff_ids()[0].replace("sha256:", ""));
    let in_memory = || -> u64 {
        let said = Command::new("fincore").args(["-b", "-n", "-o", "RES"]).arg(&tar).output();
        String::from_utf8(said.unwrap().stdout).unwrap().trim().parse().unwrap()
    };
    for _ in 0..2 {
        let place = mica.ok("image mount app:1");
        assert!(fs::read(format!("{place}/large")).unwrap() == data);
        // Pages that are not on disk yet cannot go.
        assert!(Command::new("sync").arg(&tar).status().unwrap().success());
        mica.ok("image unmount app:1");
        assert!(in_memory() < 1 << 20, "{} bytes", in_memory());
    }
}

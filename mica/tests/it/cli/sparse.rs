//! Sparse files in images that are compared: what counts is what a program would read.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::need_programs;
use crate::support::Mica;

/// Imports a folder with two files of 8 GiB that hold little: `data` at the end of one, and zeros
/// that are written down in the other.
fn import(mica: &Mica, name: &str, data: &[u8], seconds: u64) {
    let folder = mica.path(name);
    fs::create_dir(&folder).unwrap();
    let size = 8 << 30;
    for (file, data) in [("ends", data), ("zeros", &[0; 16384][..data.len() * 512])] {
        let file = File::create(folder.join(file)).unwrap();
        file.set_len(size).unwrap();
        file.write_all_at(b"begins", 0).unwrap();
        file.write_all_at(data, size - data.len() as u64).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }
    let tar = format!("{name}.tar");
    let mut pack = mica.program("tar");
    pack.args(["--sparse", "-cf", &tar, "-C", name, "ends", "zeros"]);
    assert!(pack.status().unwrap().success());
    mica.ok(&format!("import {tar} {name}:1"));
}

#[test]
fn a_diff_reads_holes_as_zeros() {
    need_programs!("tar");
    let mica = Mica::new();
    import(&mica, "one", b"the end", 1000);
    import(&mica, "same", b"the end", 2000);
    import(&mica, "other", b"THE END", 1000);
    import(&mica, "longer", b"and this is the end", 1000);
    let changed = |other: &str| mica.json(&format!("image diff one:1 {other} --format json"));
    let files = |other: &str| changed(other)["Files"].as_array().map_or(0, Vec::len);
    assert_eq!(files("same:1"), 0, "{}", changed("same:1"));
    for other in ["other:1", "longer:1"] {
        assert_eq!(files(other), 1, "{}", changed(other));
        assert_eq!(changed(other)["Files"][0]["Path"], json!("/ends"));
    }
}

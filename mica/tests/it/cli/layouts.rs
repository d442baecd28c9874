//! Layouts in folders, what they list and lack, and names that stand for several platforms.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt;

use serde_json::{Value, json};

use crate::support::{Image, Mica, small};

fn read(mica: &Mica, name: &str) -> Value {
    serde_json::from_slice(&fs::read(mica.path(name)).unwrap()).unwrap()
}

/// What a layout calls its images, by their names.
fn words(mica: &Mica, folder: &str) -> BTreeMap<String, String> {
    let index = read(mica, &format!("{folder}/index.json"));
    let note = |entry: &Value, key: &str| entry["annotations"][key].as_str().unwrap().to_owned();
    let word = |entry: &Value| {
        (note(entry, "io.containerd.image.name"), note(entry, "org.opencontainers.image.ref.name"))
    };
    index["manifests"].as_array().unwrap().iter().map(word).collect()
}

fn blob(digest: &Value) -> String {
    format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"))
}

fn load_two(mica: &Mica) {
    mica.load(&Image::new(&["one:1"]).layer(small(), "base"));
    mica.load(&Image::new(&["two:2"]).layer(small().file("two", "2"), "base"));
}

#[test]
fn a_layout_must_have_what_it_lists() {
    let mica = Mica::new();
    load_two(&mica);
    let digest = |name: &str| mica.json(&format!("inspect {name}"))[0].clone();
    let missing = [
        ("its layer", digest("two:2")["RootFS"]["Layers"][0].clone()),
        ("its configuration", digest("two:2")["Id"].clone()),
    ];
    for (what, digest) in missing {
        mica.ok("image export-layout one:1 two:2 whole");
        fs::remove_file(mica.path("whole").join(blob(&digest))).unwrap();
        mica.ok("rmi one:1 two:2");
        let expected = format!("the archive names {}, but does not have it", blob(&digest));
        mica.run("load -i whole").complains(1, &expected);
        assert_eq!(mica.ok("images -aq"), "", "{what}");
        mica.must_be_empty();
        fs::remove_dir_all(mica.path("whole")).unwrap();
        load_two(&mica);
    }
    mica.file("none/index.json", json!({"schemaVersion": 2, "manifests": []}).to_string());
    mica.run("load -i none").complains(1, "the archive names no image");
}

#[test]
fn what_came_before_a_fault_goes_again() {
    let mica = Mica::new();
    let good = small();
    // A hard link to what is in another layer is none.
    let bad = small().hard_link("etc/other", "../outside");
    let image = Image::new(&["bad:1"]).layer(good, "good").layer(bad, "bad");
    mica.file("bad.tar", image.archive());
    assert_eq!(mica.run("load -i bad.tar").code, 1);
    mica.run("system check").complains(0, "");
    mica.must_be_empty();
}

#[test]
fn a_layout_keeps_images_whose_names_share_a_tag() {
    let mica = Mica::new();
    load_two(&mica);
    mica.ok("tag two:2 me/two:1");
    mica.ok("save -o oci:layout one:1");
    mica.ok("save -o oci:layout me/two:1");
    let one = ("docker.io/library/one:1".to_owned(), "1".to_owned());
    let two = ("docker.io/me/two:1".to_owned(), "me/two:1".to_owned());
    let both = BTreeMap::from([one, two]);
    assert_eq!(words(&mica, "layout"), both);
    mica.ok("save -o oci:layout me/two:1");
    assert_eq!(words(&mica, "layout"), both, "nothing twice");
    mica.ok("image export-layout one:1 me/two:1 at-once");
    assert_eq!(words(&mica, "at-once"), both);
    // A word that is asked for is taken from whoever had it.
    mica.ok("save -o oci:layout:1 two:2");
    let asked = words(&mica, "layout");
    assert_eq!(asked["docker.io/library/two:1"], "1");
    assert!(!asked.contains_key("docker.io/library/one:1"), "{asked:?}");
    mica.ok("rmi one:1 two:2 me/two:1");
    mica.run("load -i at-once").prints("Loaded image: one:1\nLoaded image: me/two:1\n");
}

#[test]
fn many_who_write_one_layout_lose_nothing() {
    let mica = Mica::new();
    let names: Vec<String> = (0..8).map(|number| format!("app{number}:1")).collect();
    for (number, name) in names.iter().enumerate() {
        let layer = small().file("number", number.to_string());
        mica.load(&Image::new(&[name]).layer(layer, "base"));
    }
    std::thread::scope(|scope| {
        for name in &names {
            let mica = &mica;
            scope.spawn(move || mica.ok(&format!("image export-layout {name} layout")));
        }
    });
    assert_eq!(words(&mica, "layout").len(), names.len());
}

#[test]
fn only_plain_files_are_saved_to() {
    let mica = Mica::new();
    mica.import("base");
    mica.file("behind", "kept");
    std::os::unix::fs::symlink("behind", mica.path("link")).unwrap();
    mica.run("save -o link base")
        .fails(1, "failed to save image: cannot write to a symbolic link directly\n");
    assert_eq!(fs::read(mica.path("behind")).unwrap(), b"kept");
    mica.run("save -o /dev/null base")
        .fails(1, "failed to save image: cannot write to a character device file\n");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    mica.run("save -o oci: base").complains(1, "names no place to save to");
}

/// Loads an image for these processors as `mp:1`, and returns the digest of its index.
pub(super) fn load_platforms(mica: &Mica, processors: &[&str]) -> String {
    let mut parts = String::new();
    for (at, processor) in processors.iter().enumerate() {
        mica.file("part.tar", small().file("processor", *processor).tar());
        mica.ok(&format!("import --platform linux/{processor} part.tar part:{at}"));
        parts += &format!(" part:{at}");
    }
    mica.ok(&format!("image export-layout{parts} layout"));
    let mut inner = read(mica, "layout/index.json");
    for entry in inner["manifests"].as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("annotations");
    }
    let bytes = serde_json::to_vec(&inner).unwrap();
    let digest = spec::Digest::of(&bytes);
    mica.file(&format!("layout/blobs/sha256/{}", digest.hex()), &bytes);
    let outer = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest.to_string(),
        "size": bytes.len(),
        "annotations": { "io.containerd.image.name": "docker.io/library/mp:1" },
    }]});
    mica.file("layout/index.json", outer.to_string());
    mica.ok(&format!("rmi{parts}"));
    mica.run("load -i layout").prints("Loaded image: mp:1\n");
    digest.to_string()
}

#[test]
fn a_name_for_several_platforms_is_saved_with_all_of_them() {
    let mica = Mica::new();
    let index = load_platforms(&mica, &["arm64", "amd64"]);
    let listed = mica.ok("images");
    assert_eq!(listed.lines().count(), 2, "one row for the name: {listed}");
    mica.ok("save -o mp.tar mp:1");
    mica.ok("save -o oci:again mp:1");
    let saved = read(&mica, "again/index.json");
    assert_eq!(saved["manifests"][0]["digest"], json!(index), "the index goes as it came");
    for source in ["mp.tar", "again"] {
        mica.ok("rmi mp:1");
        mica.must_be_empty();
        mica.run(&format!("load -i {source}")).prints("Loaded image: mp:1\n");
        for platform in ["arm64", "amd64"] {
            mica.ok(&format!("save -o one.tar --platform linux/{platform} mp:1"));
        }
        let shown = mica.json("manifest inspect --local mp:1");
        assert_eq!(shown["manifests"].as_array().unwrap().len(), 2, "{shown}");
    }
    mica.run("save -o dir:flat mp:1").complains(1, "2 images do not fit where one image goes");
    mica.ok("save -o oci:renamed:other mp:1");
    mica.ok("rmi mp:1");
    mica.run("load -i renamed").prints("Loaded image: mp:other\n");
    mica.run("save --platform linux/s390x mp:other").complains(1, "does not provide");
}

#[test]
fn a_digest_is_no_name() {
    let mica = Mica::new();
    let name = format!("e@sha256:{}", "0".repeat(64));
    mica.file("digest.tar", Image::new(&[&name]).layer(small(), "base").archive());
    mica.run("load -i digest.tar").complains(1, &format!("invalid tag {name:?}"));
    mica.must_be_empty();
}

#[test]
fn what_a_layout_calls_an_image_is_not_what_others_are_tagged() {
    let mica = Mica::new();
    load_two(&mica);
    mica.ok("tag two:2 two:1");
    mica.ok("image export-layout one:1 lay");
    mica.ok("image export-layout two:1 lay");
    let words: Vec<String> = words(&mica, "lay").into_values().collect();
    mica.ok("rmi one:1 two:1 two:2");
    // One is called just `1`, or both have whole names that end so.
    mica.ok("load -i oci:lay:1");
    let loaded = mica.ok("images -q").lines().count();
    let exact = words.iter().filter(|word| *word == "1").count();
    assert_eq!(loaded, if exact == 0 { 2 } else { exact }, "{words:?}");
    assert_eq!(exact, 1, "{words:?}");
}

//! `oci:`, `oci-archive:`, `docker-archive:` and `dir:`, `mica image export-layout`,
//! `mica manifest inspect`.

use std::fs;

use serde_json::{Value, json};
use testkit::Layer;

use crate::support::{Image, Mica, small};

fn app(name: &str) -> Image {
    Image::new(&[name]).layer(small(), "base").step(name)
}

fn index(mica: &Mica, folder: &str) -> Vec<(String, String)> {
    let bytes = fs::read(mica.path(folder).join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&bytes).unwrap();
    let manifests = index["manifests"].as_array().unwrap().iter();
    manifests
        .map(|descriptor| {
            let notes = &descriptor["annotations"];
            let text = |key: &str| notes[key].as_str().unwrap_or("-").to_owned();
            (text("org.opencontainers.image.ref.name"), text("io.containerd.image.name"))
        })
        .collect()
}

fn pair(tag: &str, name: &str) -> (String, String) {
    (tag.to_owned(), name.to_owned())
}

#[test]
fn a_layout_grows_image_by_image() {
    let mica = Mica::new();
    mica.load(&app("app:1.0"));
    mica.load(&app("me/other:2"));
    mica.run("save -o oci:layout app:1.0").prints("");
    mica.run("save -o oci:layout:stable me/other:2").prints("");
    let app1 = pair("1.0", "docker.io/library/app:1.0");
    assert_eq!(index(&mica, "layout"), [app1.clone(), pair("stable", "docker.io/me/other:stable")]);
    // The same tag again stands for the new image; the other one stays.
    mica.run("save -o oci:layout:stable app:1.0").prints("");
    assert_eq!(index(&mica, "layout"), [app1, pair("stable", "docker.io/library/app:stable")]);
    mica.run("save -o oci:layout:example.com/a/b:3 app:1.0").prints("");
    assert_eq!(index(&mica, "layout")[2], pair("example.com/a/b:3", "example.com/a/b:3"));
    assert_eq!(
        fs::read(mica.path("layout/oci-layout")).unwrap(),
        br#"{"imageLayoutVersion":"1.0.0"}"#
    );
    assert!(!mica.path("layout/manifest.json").exists());
    mica.run("load -i oci:layout").prints(
        "Loaded image: app:1.0\nLoaded image: app:stable\nLoaded image: example.com/a/b:3\n",
    );
    mica.run("load -i oci:layout:stable").prints("Loaded image: app:stable\n");
    mica.run("load -i oci:layout:nope")
        .complains(1, "has no image nope; it has app:1.0, app:stable");
}

#[test]
fn an_image_without_a_name_has_a_tag_in_a_layout() {
    let mica = Mica::new();
    let id = mica.load(&app("app:1.0"));
    mica.run(&format!("save -o oci:layout:v1 {id}")).prints("");
    assert_eq!(index(&mica, "layout"), [pair("v1", "-")]);
    mica.run("load -i oci:layout:v1").prints(&format!("Loaded image ID: {id}\n"));
}

#[test]
fn archives_by_their_prefixes() {
    let mica = Mica::new();
    let id = mica.load(&app("app:1.0"));
    mica.run("save -o docker-archive:d.tar app:1.0").prints("");
    mica.run("save -o docker-archive:renamed.tar:me/new:7 app:1.0").prints("");
    mica.run("save -o oci-archive:o.tar:v9 app:1.0").prints("");
    mica.run("save -o plain.tar app:1.0").prints("");
    let bytes = |name: &str| fs::read(mica.path(name)).unwrap();
    assert_eq!(bytes("d.tar"), bytes("plain.tar"));
    let fresh = Mica::new();
    fresh.run_with("load", &bytes("renamed.tar")).prints("Loaded image: me/new:7\n");
    fresh.run_with("load", &bytes("o.tar")).prints("Loaded image: app:v9\n");
    assert_eq!(fresh.ok("images -q --no-trunc app"), id);
}

#[test]
fn one_image_in_a_flat_folder() {
    let mica = Mica::new();
    let id = mica.load(&app("app:1.0"));
    mica.load(&app("other"));
    mica.run("save -o dir:flat app:1.0").prints("");
    let names = |folder: &str| {
        let entries = fs::read_dir(mica.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let mut expected = vec![
        id[7..].to_owned(),
        app("").diff_ids()[0][7..].to_owned(),
        "manifest.json".into(),
        "version".into(),
    ];
    expected.sort();
    assert_eq!(names("flat"), expected);
    assert_eq!(fs::read(mica.path("flat/version")).unwrap(), b"Directory Transport Version: 1.1\n");
    // Another image takes its place, and the first one's parts go; signatures were for those.
    mica.file("flat/signature-1", "old");
    mica.run("save -o dir:flat other").prints("");
    assert_eq!(names("flat").len(), 4);
    assert!(!names("flat").contains(&expected[0]) || expected[0] != id[7..]);
    assert!(!names("flat").contains(&"signature-1".to_owned()));
    mica.ok("rmi other");
    mica.run("load -i dir:flat").prints(&format!("Loaded image ID: {}\n", app("other").id()));
    // What is no such folder is left alone.
    mica.file("precious/thing", "x");
    mica.run("save -o dir:precious app:1.0")
        .fails(1, "error: precious is neither empty nor an image in the form dir:\n");
    assert_eq!(names("precious"), ["thing"]);
    mica.ok("tag app:1.0 app:2.0");
    mica.ok("import fixture.tar app:3.0");
    mica.run("save -o dir:two app")
        .fails(1, "error: 2 images do not fit where one image goes: name one, or its --platform\n");
    assert!(!mica.path("two").exists());
}

#[test]
fn a_folder_with_wrong_bytes_is_refused() {
    let mica = Mica::new();
    let id = mica.load(&app("app:1.0"));
    for (folder, part) in [("dir:flat", "flat/"), ("oci:layout", "layout/blobs/sha256/")] {
        mica.ok(&format!("save -o {folder} app:1.0"));
        mica.ok("rmi app:1.0");
        let path = format!("{part}{}", &id[7..]);
        let right = fs::read(mica.path(&path)).unwrap();
        let wrong = String::from_utf8(right.clone()).unwrap().replace("linux", "Linux");
        mica.file(&path, wrong);
        mica.run(&format!("load -i {folder}"))
            .complains(1, &format!("{} in the archive is sha256:", &path[path.len() - 64..]));
        mica.file(&path, right);
        let layer = format!("{part}{}", &app("").diff_ids()[0][7..]);
        let right = fs::read(mica.path(&layer)).unwrap();
        mica.file(&layer, Layer::new().file("evil", "").tar());
        mica.run(&format!("load -i {folder}")).complains(1, "sha256:");
        fs::remove_file(mica.path(&layer)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", mica.path(&layer)).unwrap();
        // A link does not lead out of the folder.
        let run = mica.run(&format!("load -i {folder}"));
        assert!(run.code == 1 && !run.err.contains("root:"), "{run}");
        fs::remove_file(mica.path(&layer)).unwrap();
        mica.file(&layer, right);
        mica.must_be_empty();
        mica.load(&app("app:1.0"));
    }
}

#[test]
fn export_layout() {
    let mica = Mica::new();
    mica.load(&app("app:1.0"));
    mica.load(&app("me/other:2"));
    mica.run("image export-layout app:1.0 me/other:2 layout").prints("");
    assert_eq!(
        index(&mica, "layout"),
        [pair("1.0", "docker.io/library/app:1.0"), pair("2", "docker.io/me/other:2")]
    );
    mica.run("image export-layout --platform linux/s390x app:1.0 x")
        .complains(1, "does not provide");
    mica.run("image export-layout app:1.0").complains(1, "requires at least 2 arguments");
    mica.run("image export-layout nothere x").complains(1, "No such image: nothere");
    assert!(!mica.path("x").exists());
    mica.run("load -i layout").prints("Loaded image: app:1.0\nLoaded image: me/other:2\n");
}

#[test]
fn manifests_of_images_that_are_here() {
    let mica = Mica::new();
    let id = mica.load(&app("app:1.0"));
    let text = mica.ok("manifest inspect --local app:1.0");
    assert!(text.starts_with("{\n\t\"schemaVersion\": 2,\n\t\"mediaType\": "), "{text}");
    let manifest: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["config"]["digest"], json!(id));
    assert_eq!(manifest["layers"][0]["digest"], json!(app("").diff_ids()[0]));
    let verbose: Value = mica.json("manifest inspect --local --verbose app:1.0");
    assert_eq!(verbose["Ref"], json!("docker.io/library/app:1.0"));
    assert_eq!(verbose["OCIManifest"], manifest);
    assert_eq!(verbose["Descriptor"]["platform"]["os"], json!("linux"));
    // The same manifest as in a layout.
    mica.ok("save -o oci:layout app:1.0");
    let digest = verbose["Descriptor"]["digest"].as_str().unwrap().replace("sha256:", "");
    let bytes = fs::read(mica.path("layout/blobs/sha256").join(digest)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), manifest);
    assert_eq!(mica.json("manifest inspect --local list app:1.0"), manifest);
    mica.run("manifest inspect --local nothere").complains(1, "No such image: nothere:latest");
    mica.run("manifest inspect").complains(1, "requires at least 1 and at most 2 arguments");
}

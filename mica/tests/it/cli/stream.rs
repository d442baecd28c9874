//! `mica load` of archives that pass by once: layers are unpacked before anything says that they
//! are some.

use serde_json::json;
use testkit::Layer;

use crate::support::{Image, Mica, archive, small};

/// A layer that is too large to stay in memory until the archive's end.
fn large(seed: u8) -> Layer {
    let data: Vec<u8> = (0..3u32 << 20).map(|at| (at.wrapping_mul(31) >> 7) as u8 ^ seed).collect();
    Layer::new().folder("data").file("data/large", data)
}

fn app() -> Image {
    Image::new(&["app:1"]).layer(large(1), "base").layer(small(), "files").layer(large(2), "top")
}

/// The archive with `more` parts before its own, which come in the order in which they are or in
/// the opposite one.
fn arranged(image: &Image, more: Layer, documents_first: bool) -> Vec<u8> {
    let bytes = image.archive();
    let mut tar = image::tar::TarReader::new(bytes.as_slice(), image::tar::Limits::default());
    let mut parts = Vec::new();
    while let Some(entry) = tar.next().unwrap() {
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut tar.data(), &mut data).unwrap();
        parts.push((entry.path, data));
    }
    if documents_first {
        parts.reverse();
    }
    parts.into_iter().fold(more, |layer, (path, data)| layer.file(path, data)).tar()
}

#[test]
fn layers_before_and_behind_the_documents() {
    for (documents_first, mica) in [(false, Mica::on_disk()), (true, Mica::new())] {
        let bytes = arranged(&app(), Layer::new(), documents_first);
        mica.run_with("load", &bytes).prints("Loaded image: app:1\n");
        let layers = &mica.json("inspect app:1")[0]["RootFS"]["Layers"];
        assert_eq!(*layers, json!(app().diff_ids()), "{documents_first}");
        mica.must_be_whole();
        // The same bytes as from a file that can be read at any place.
        mica.ok("save -o streamed.tar app:1");
        let other = Mica::new();
        other.load(&app());
        other.ok("save -o read.tar app:1");
        let saved = |mica: &Mica, name: &str| std::fs::read(mica.path(name)).unwrap();
        assert!(saved(&mica, "streamed.tar") == saved(&other, "read.tar"), "{documents_first}");
    }
}

#[test]
fn parts_that_no_image_names_leave_nothing() {
    let mica = Mica::new();
    let document = [b"{\"x\":\"".as_slice(), &[b'y'; 2 << 20], b"\"}"].concat();
    let more = Layer::new()
        .file("stranger.tar", large(9).tar())
        .file("noise", vec![0xa5; 2 << 20])
        .file("empty", "")
        .file("cut.tar", &large(8).tar()[..2 << 20])
        .file("document.json", document);
    mica.run_with("load", &arranged(&app(), more, false)).prints("Loaded image: app:1\n");
    mica.must_be_whole();
    assert_eq!(mica.json("info -f json")["Layers"], json!(3));
    let blobs = std::fs::read_dir(mica.root().join("blobs/sha256")).unwrap().count();
    // The configuration and the plain tars.
    assert_eq!(blobs, 1 + 3);
}

#[test]
fn a_large_layer_that_is_wrong_is_refused() {
    let mica = Mica::new();
    let whole = arranged(&app(), Layer::new(), false);
    let hex = app().diff_ids()[0].replace("sha256:", "");
    let mut changed = whole.clone();
    changed[2 << 20] ^= 1;
    let run = mica.run_with("load", &changed);
    run.complains(1, "error: ");
    assert!(run.err.contains(&hex), "{run}");
    // Named as a layer, and none.
    let more = Layer::new().file(format!("{hex}/layer.tar"), vec![7; 2 << 20]);
    let documents = arranged(&app(), more, true);
    assert_eq!(mica.run_with("load", &whole[..whole.len() / 3]).code, 1);
    let run = mica.run_with("load", &documents[..documents.len() - 1024]);
    assert!(run.code == 0, "the last part of a name counts: {run}");
    mica.ok("rmi app:1");
    let without = Layer::new()
        .file(format!("{hex}/layer.tar"), vec![7; 2 << 20])
        .file(
            "manifest.json",
            format!(r#"[{{"Config":"c.json","RepoTags":["a:1"],"Layers":["{hex}/layer.tar"]}}]"#),
        )
        .file("c.json", Image::new(&[]).layer(large(1), "base").document());
    mica.run_with("load", &without.tar()).complains(1, "cannot unpack the layer");
    mica.must_be_empty();
}

#[test]
fn what_is_here_is_passed_over() {
    let mica = Mica::new();
    mica.load(&app());
    mica.ok("save -o app.tar app:1");
    let saved = std::fs::read(mica.path("app.tar")).unwrap();
    let blob = mica.root().join("blobs/sha256").join(app().diff_ids()[0].replace("sha256:", ""));
    let before = std::fs::metadata(&blob).unwrap();
    mica.run_with("load", &saved).prints("Loaded image: app:1\n");
    let after = std::fs::metadata(&blob).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(before.ino(), after.ino(), "it was written once more");
    // On another stack it is taken from what is here.
    let other = Image::new(&["other:1"]).layer(large(2), "base").layer(large(1), "top");
    mica.run_with("load", &archive(&[&other])).prints("Loaded image: other:1\n");
    mica.must_be_whole();
}

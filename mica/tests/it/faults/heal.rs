//! What became bad on disk long after it was written: it is neither handed out nor believed, and it
//! is well again once its image has come again.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use testkit::Layer;

use crate::support::{Image, Mica};

/// Two images that share their lowest layer, and the tar of that layer.
fn shared(mica: &Mica) -> (Image, Image, PathBuf) {
    let below = || Layer::new().file("f", vec![b'x'; 3000]);
    let base = Image::new(&["base:1"]).layer(below(), "f");
    let app = Image::new(&["app:3", "app:latest"]).layer(below(), "f");
    let app = app.layer(Layer::new().file("g", "content"), "g");
    [&base, &app].into_iter().for_each(|image| drop(mica.load(image)));
    mica.ok("system sync");
    let diff = base.diff_ids().remove(0);
    let tar = mica.root().join("blobs/sha256").join(diff.strip_prefix("sha256:").unwrap());
    (base, app, tar)
}

fn flip(path: &Path) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 700).unwrap();
    file.write_all_at(&[byte[0] ^ 4], 700).unwrap();
}

fn everywhere(test: impl Fn(&Mica)) {
    // The drivers that are the default in memory and on a disk.
    [Mica::new(), Mica::on_disk()].iter().for_each(test);
}

/// Removes the indexes of all layers.
fn lose_indexes(mica: &Mica) {
    for entry in walk(&mica.root().join("index")) {
        fs::remove_file(entry).unwrap();
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_damaged_layer_comes_back_with_any_image_that_has_it() {
    everywhere(|mica| {
        let (base, _, tar) = shared(mica);
        flip(&tar);
        let found = mica.run("system check");
        assert!(found.code == 1 && found.out.contains("lost: "), "{found}");
        found.complains(1, "load or pull again what is lost");
        // From now on nobody counts on it.
        mica.run("save -o saved.tar app:3").complains(1, "is damaged: ");
        mica.run("image files base:1").complains(1, "is damaged: ");
        mica.load(&base);
        mica.must_be_whole();
        mica.ok("save -o saved.tar app:3");
        assert!(mica.ok("image files app:3").contains("/g"));
    });
}

#[test]
fn a_lost_file_is_noticed_when_the_image_is_loaded() {
    everywhere(|mica| {
        let (_, app, tar) = shared(mica);
        fs::remove_file(&tar).unwrap();
        mica.load(&app);
        mica.must_be_whole();
        fs::File::options().write(true).open(&tar).unwrap().set_len(600).unwrap();
        // From a pipe the layers are read one after the other, as they come.
        mica.run_with("load", &app.archive()).works();
        mica.must_be_whole();
        lose_indexes(mica);
        mica.run("image files app:3").complains(1, "the index of layer sha256:");
        mica.load(&app);
        assert!(mica.ok("image files app:3").contains("/g"));
        mica.must_be_whole();
    });
}

#[test]
fn a_damaged_layer_is_not_handed_out() {
    everywhere(|mica| {
        let (base, _, tar) = shared(mica);
        fs::write(mica.path("saved.tar"), "before").unwrap();
        flip(&tar);
        // Nobody has checked anything: it is found out while the bytes pass.
        let run = mica.run("save -o saved.tar app:3");
        run.complains(1, "is damaged: its bytes are sha256:");
        run.complains(1, "load or pull the image again");
        assert_eq!(fs::read(mica.path("saved.tar")).unwrap(), b"before");
        mica.load(&base);
        flip(&tar);
        for line in ["image export-layout app:3 new/layout", "save -o dir:new/dir base:1"] {
            mica.run(line).complains(1, "is damaged: ");
            assert!(!mica.path("new").exists(), "{line} left something");
            mica.load(&base);
            flip(&tar);
        }
        // Into a pipe what was read is gone: the archive has no end, and no digest for these bytes.
        let broken = mica.run("save app:3");
        broken.complains(1, "is damaged: ");
        mica.load(&base);
        mica.must_be_whole();
        assert!(broken.bytes.len() < mica.run("save app:3").bytes.len());
        mica.ok("image export-layout app:3 new/layout");
    });
}

#[test]
fn all_names_come_back_from_the_journal_or_it_is_said() {
    let mica = Mica::new();
    shared(&mica);
    let names = mica.ok("images --format {{.Repository}}:{{.Tag}}");
    fs::write(mica.root().join("images.json"), "x").unwrap();
    let said = mica.ok("system check --repair");
    assert!(said.contains("1 fault, all mended"), "{said}");
    assert_eq!(mica.ok("images --format {{.Repository}}:{{.Tag}}"), names);
    // What came before the journal begins may have had names that nobody knows.
    fs::remove_file(mica.root().join("events")).unwrap();
    fs::write(mica.root().join("images.json"), "x").unwrap();
    let said = mica.ok("system check --repair");
    assert!(said.contains("may be missing: names of images "), "{said}");
    assert!(
        said.contains("mended as far as can be told") && !said.contains("all mended"),
        "{said}"
    );
}

//! Images of sizes that people really have: many layers, many files, a Debian.

use std::fs;

use testkit::{Layer, Tree, need_root};

use super::peers::{Peer, must_look_like, must_look_like_but_for_the_root};
use crate::need_programs;
use crate::support::{Image, Mica, has};

/// The host's own release, whose packages it knows where to get.
fn codename() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned())
}

#[test]
fn more_than_a_hundred_layers() {
    need_root!();
    let mut image = Image::new(&["localhost/deep:latest"]);
    for number in 0..120 {
        let mut layer = Layer::new().folder("./").mtime(1_600_000_000 + number, 0);
        layer = layer.folder("layers").file(format!("layers/{number:03}"), format!("{number}\n"));
        // Each layer takes away what the one before the last brought.
        if number >= 2 && number % 2 == 0 {
            layer = layer.whiteout(format!("layers/{:03}", number - 2));
        }
        image = image.layer(layer.file("top", number.to_string()), &format!("step {number}"));
    }
    let mica = Mica::on_disk();
    mica.load(&image);
    let path = mica.ok("image mount localhost/deep");
    must_look_like(path.as_ref(), &image, "mica");
    mica.ok("image unmount --all");
    assert_eq!(mica.ok("history -q localhost/deep").lines().count(), 120);
    mica.ok("save -o saved.tar localhost/deep");
    mica.ok("image export-layout localhost/deep layout");
    let fresh = Mica::on_disk();
    let bytes = fs::read(mica.path("saved.tar")).unwrap();
    fresh.run_with("load", &bytes).prints("Loaded image: localhost/deep:latest\n");
    assert_eq!(fresh.ok("images -q --no-trunc"), image.id());
    fresh.must_be_whole();
    if has("umoci") {
        Peer::new(&mica, "umoci").ok("unpack --image layout:latest bundle");
        must_look_like(&mica.path("bundle/rootfs"), &image, "umoci");
    }
}

#[test]
fn fifty_thousand_files() {
    need_root!();
    let mut layer = Layer::new().folder("./");
    for folder in 0..50 {
        layer = layer.folder(format!("d{folder:02}"));
        for file in 0..1000 {
            layer = layer
                .file(format!("d{folder:02}/f{file:04}"), if file % 10 == 0 { "x" } else { "" });
        }
    }
    let image = Image::new(&["localhost/files:latest"]).layer(layer, "many");
    let mica = Mica::on_disk();
    mica.load(&image);
    assert_eq!(mica.ok("image files -q localhost/files").lines().count(), 50_050);
    let path = mica.ok("image mount localhost/files");
    must_look_like(path.as_ref(), &image, "mica");
    mica.ok("image unmount --all");
    mica.ok("save -o saved.tar localhost/files");
    mica.ok("rmi localhost/files");
    mica.must_be_empty();
    mica.ok("load -q -i saved.tar");
    assert_eq!(mica.ok("images -q --no-trunc"), image.id());
    mica.must_be_whole();
}

#[test]
fn a_thousand_images() {
    let mica = Mica::new();
    let images: Vec<Image> = (0..1000)
        .map(|number| {
            let name = format!("many/image-{number:04}:v{}", number % 7);
            let layer = Layer::new().file("number", number.to_string());
            Image::new(&[&name]).layer(crate::support::small(), "base").layer(layer, "number")
        })
        .collect();
    let bytes = crate::support::archive(&images.iter().collect::<Vec<_>>());
    mica.file("many.tar", bytes);
    assert_eq!(mica.ok("load -i many.tar").lines().count(), 1000);
    assert_eq!(mica.ok("images -q").lines().count(), 1000);
    assert_eq!(mica.ok("images -q 'many/image-000?'").lines().count(), 10);
    assert_eq!(mica.ok("inspect -f '{{.Id}}' many/image-0500:v3"), images[500].id());
    assert_eq!(mica.json("info -f json")["Layers"], serde_json::json!(1001));
    mica.must_be_whole();
    mica.ok("image prune -a -f");
    mica.must_be_empty();
}

#[test]
fn a_real_debian() {
    need_root!();
    need_programs!("mmdebstrap", "tar", "podman");
    let Some(codename) = codename() else {
        return testkit::skip("this is no release of Debian's or Ubuntu's");
    };
    let mica = Mica::on_disk();
    let made = mica
        .program("mmdebstrap")
        .args(["--variant=essential", &codename, "debian.tar"])
        .output()
        .unwrap();
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr);
        return testkit::skip(format!(
            "mmdebstrap fails here: {}",
            why.lines().last().unwrap_or_default()
        ));
    }
    mica.ok("import debian.tar localhost/debian:stable");
    fs::create_dir(mica.path("unpacked")).unwrap();
    let tar = mica
        .program("tar")
        .args(["-C", "unpacked", "--xattrs", "--xattrs-include=*", "-xpf", "debian.tar"])
        .status();
    assert!(tar.unwrap().success());
    let expected = Tree::read(&mica.path("unpacked")).unwrap();
    let path = mica.ok("image mount localhost/debian:stable");
    Tree::read(path.as_ref()).unwrap().must_equal(&expected, "mica");
    mica.ok("image unmount --all");
    let podman = Peer::new(&mica, "podman");
    mica.ok("save -o saved.tar localhost/debian:stable");
    podman.ok("load -q -i saved.tar");
    let path = podman.ok("image mount localhost/debian:stable");
    must_look_like_but_for_the_root(path.as_ref(), &expected, "podman");
    podman.ok("image unmount --all");
    let id = mica.ok("images -q --no-trunc");
    podman.ok("save -q -o back.tar localhost/debian:stable");
    mica.ok("rmi localhost/debian:stable");
    mica.run("load -i back.tar").prints("Loaded image: localhost/debian:stable\n");
    assert_eq!(mica.ok("images -q --no-trunc"), id);
    mica.must_be_whole();
}

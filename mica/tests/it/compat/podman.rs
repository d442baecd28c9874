//! podman: `podman load` of what mica saves, `mica load` of what podman saves.

use std::fs;

use serde_json::json;
use testkit::oracle;

use super::peers::{Peer, must_have, must_look_like_but_for_the_root, rich};
use crate::need_peers;
use crate::support::{Image, Mica, archive};

/// Fails unless podman has the image as it was made.
#[track_caller]
fn podman_must_have(podman: &Peer, name: &str, image: &Image, what: &str) {
    let shown = &podman.json(&format!("image inspect {name}"))[0];
    assert_eq!(format!("sha256:{}", shown["Id"].as_str().unwrap()), image.id(), "{what}");
    assert_eq!(shown["RootFS"]["Layers"], json!(image.diff_ids()), "{what}");
    let document: serde_json::Value = serde_json::from_slice(&image.document()).unwrap();
    for field in ["Env", "Cmd", "Labels", "ExposedPorts", "WorkingDir"] {
        assert_eq!(shown["Config"][field], document["config"][field], "{what}: {field}");
    }
    let path = podman.ok(&format!("image mount {name}"));
    must_look_like_but_for_the_root(path.as_ref(), &oracle::apply(image.layers()), what);
    podman.ok(&format!("image unmount {name}"));
}

#[test]
fn podman_loads_what_mica_saves() {
    need_peers!("podman");
    let mica = Mica::on_disk();
    let podman = Peer::new(&mica, "podman");
    let image = rich(&["localhost/rich:1.0", "localhost/other:latest"]);
    mica.load(&image);
    mica.ok("save -o both.tar localhost/rich:1.0 localhost/other");
    let out = podman.ok("load -i both.tar");
    assert!(out.contains("localhost/rich:1.0") && out.contains("localhost/other:latest"), "{out}");
    podman_must_have(&podman, "localhost/rich:1.0", &image, "docker archive");
    podman.ok("rmi -f --all");
    // The same bytes, read as the OCI archive that they are as well.
    podman.ok("pull -q oci-archive:both.tar:1.0");
    podman_must_have(&podman, &image.id()[7..], &image, "OCI archive");
    podman.ok("rmi -f --all");
    mica.ok("image export-layout localhost/rich:1.0 layout");
    podman.ok("pull -q oci:layout:1.0");
    podman_must_have(&podman, &image.id()[7..], &image, "OCI layout");
    podman.ok("rmi -f --all");
    mica.ok("save -o dir:flat localhost/rich:1.0");
    podman.ok("pull -q dir:flat");
    podman_must_have(&podman, &image.id()[7..], &image, "dir");
}

#[test]
fn mica_loads_what_podman_saves() {
    need_peers!("podman");
    let mica = Mica::on_disk();
    let podman = Peer::new(&mica, "podman");
    let image = rich(&["localhost/rich:1.0"]);
    mica.load(&image);
    mica.ok("save -o oci:layout localhost/rich:1.0");
    mica.ok("rmi localhost/rich:1.0");
    for format in ["docker-archive", "oci-archive"] {
        // Between docker's form and OCI's podman writes the configuration anew: what is to keep its
        // id must come in the form in which it goes.
        match format {
            "docker-archive" => podman.ok("load -q -i fixture.tar"),
            _ => podman
                .ok(&format!("tag {} localhost/rich:1.0", podman.ok("pull -q oci:layout:1.0"))),
        };
        podman.ok(&format!("save -q --format {format} -o saved.tar localhost/rich:1.0"));
        mica.run("load -i saved.tar").prints("Loaded image: localhost/rich:1.0\n");
        must_have(&mica, "localhost/rich:1.0", &image, format);
        mica.ok("rmi localhost/rich:1.0");
        let bytes = fs::read(mica.path("saved.tar")).unwrap();
        mica.run_with("load", &bytes).prints("Loaded image: localhost/rich:1.0\n");
        must_have(&mica, "localhost/rich:1.0", &image, &format!("{format} through a pipe"));
        mica.ok("rmi localhost/rich:1.0");
        fs::remove_file(mica.path("saved.tar")).unwrap();
        podman.ok("rmi -f --all");
    }
    // Compressed layers come back as they came.
    podman.ok("load -q -i fixture.tar");
    podman.ok("save -q --compress --format docker-dir -o flat localhost/rich:1.0");
    mica.run("load -i dir:flat").prints(&format!("Loaded image ID: {}\n", image.id()));
    must_have(&mica, &image.id(), &image, "docker-dir");
    mica.ok(&format!("save -o dir:again {}", image.id()));
    let bytes = |folder: &str| fs::read(mica.path(folder).join("manifest.json")).unwrap();
    assert_eq!(bytes("again"), bytes("flat"));
}

#[test]
fn several_images_in_one_archive() {
    need_peers!("podman");
    let mica = Mica::on_disk();
    let podman = Peer::new(&mica, "podman");
    let one = rich(&["localhost/one:1", "localhost/one:2"]);
    let root = testkit::Layer::new().folder("./").file("x", "two");
    let two = Image::new(&["localhost/two:latest"]).layer(root, "base").step("x");
    mica.file("made.tar", archive(&[&one, &two]));
    podman.ok("load -q -i made.tar");
    podman.ok(
        "save -q --multi-image-archive -o saved.tar localhost/one:1 localhost/one:2 localhost/two",
    );
    let run = mica.run("load -i saved.tar");
    let mut lines: Vec<&str> = run.out.lines().collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "Loaded image: localhost/one:1",
            "Loaded image: localhost/one:2",
            "Loaded image: localhost/two:latest"
        ],
        "{run}"
    );
    must_have(&mica, "localhost/one:2", &one, "multi-image archive");
    must_have(&mica, "localhost/two", &two, "multi-image archive");
    mica.ok("save -o back.tar localhost/one localhost/two");
    podman.ok("rmi -f --all");
    podman.ok("load -q -i back.tar");
    podman_must_have(&podman, "localhost/one:2", &one, "several images");
    podman_must_have(&podman, "localhost/two", &two, "several images");
}

#[test]
fn an_import_is_the_same_file_system_for_both() {
    need_peers!("podman");
    let mica = Mica::on_disk();
    let podman = Peer::new(&mica, "podman");
    mica.import("base");
    let id = podman.ok("import -q small.tar localhost/base");
    let layers = &podman.json(&format!("image inspect {}", id.trim()))[0]["RootFS"]["Layers"];
    assert_eq!(*layers, mica.json("inspect base")[0]["RootFS"]["Layers"]);
}

//! skopeo: every form that it reads and writes, from and to mica.

use std::fs;

use serde_json::{Value, json};

use super::peers::{Peer, manifest_of, must_have, rich};
use crate::need_peers;
use crate::support::{Image, Mica};

/// Fails unless a folder in skopeo's `dir:` form holds the image as it was made.
#[track_caller]
fn dir_must_be(mica: &Mica, folder: &str, image: &Image, what: &str) {
    let manifest = manifest_of(mica.path(folder).join("manifest.json"));
    assert_eq!(manifest["config"]["digest"], json!(image.id()), "{what}");
    let config = fs::read(mica.path(folder).join(&image.id()[7..])).unwrap();
    assert_eq!(config, image.document(), "{what}");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), image.layers().len(), "{what}");
}

#[test]
fn skopeo_reads_every_form_that_mica_writes() {
    need_peers!("skopeo");
    let mica = Mica::on_disk();
    let skopeo = Peer::new(&mica, "skopeo");
    let image = rich(&["me/rich:1.0"]);
    mica.load(&image);
    for (form, read) in [
        ("docker-archive:a.tar", "docker-archive:a.tar"),
        ("docker-archive:b.tar:me/new:2", "docker-archive:b.tar:docker.io/me/new:2"),
        ("oci-archive:c.tar", "oci-archive:c.tar:1.0"),
        ("oci-archive:d.tar:v2", "oci-archive:d.tar:v2"),
        ("oci:layout", "oci:layout:1.0"),
        ("oci:layout:v3", "oci:layout:v3"),
        ("dir:flat", "dir:flat"),
        ("plain.tar", "docker-archive:plain.tar:me/rich:1.0"),
        ("plain.tar", "oci-archive:plain.tar"),
    ] {
        mica.ok(&format!("save -o {form} me/rich:1.0"));
        let copy = format!("copy --quiet --policy policy.json {read} dir:out");
        skopeo
            .ok(&copy
                .replace("copy --quiet --policy policy.json", "--policy policy.json copy --quiet"));
        dir_must_be(&mica, "out", &image, read);
        fs::remove_dir_all(mica.path("out")).unwrap();
    }
    let shown = skopeo.json("--policy policy.json inspect --config --raw oci:layout:1.0");
    assert_eq!(serde_json::to_vec(&shown).unwrap(), image.document());
    let shown = skopeo.json("inspect oci-archive:plain.tar");
    assert_eq!(shown["Layers"], json!(image.diff_ids()));
    assert_eq!(shown["Labels"]["org.example.note"], json!("<a> & \"b\""));
}

#[test]
fn mica_reads_every_form_that_skopeo_writes() {
    need_peers!("skopeo");
    let mica = Mica::on_disk();
    let skopeo = Peer::new(&mica, "skopeo");
    let image = rich(&["me/rich:1.0"]);
    mica.load(&image);
    mica.ok("save -o oci:source:1.0 me/rich:1.0");
    mica.ok("rmi me/rich:1.0");
    for (write, load, said) in [
        ("docker-archive:a.tar:me/rich:1.0", "a.tar", "Loaded image: me/rich:1.0\n"),
        ("docker-archive:b.tar", "docker-archive:b.tar", ""),
        ("oci:layout:me/rich:1.0", "oci:layout", "Loaded image: me/rich:1.0\n"),
        ("oci:tagged:1.0", "oci:tagged:1.0", ""),
        ("oci-archive:c.tar:me/rich:1.0", "c.tar", "Loaded image: me/rich:1.0\n"),
        ("oci-archive:d.tar", "oci-archive:d.tar", ""),
        ("dir:flat", "dir:flat", ""),
        ("--dest-compress dir:packed", "packed", ""),
        ("--format=v2s2 dir:schema2", "dir:schema2", ""),
    ] {
        // Between docker's form and OCI's the configuration is written anew: what is to keep its id
        // must come in the form in which it goes.
        let is_oci = write.starts_with("oci");
        let read = if is_oci { "oci:source:1.0" } else { "docker-archive:fixture.tar" };
        skopeo.ok(&format!("--policy policy.json copy --quiet {read} {write}"));
        let nameless = format!("Loaded image ID: {}\n", image.id());
        mica.run(&format!("load -i {load}")).prints(if said.is_empty() { &nameless } else { said });
        must_have(&mica, &image.id(), &image, write);
        // What came compressed leaves with the same digests.
        if load.starts_with("packed") {
            mica.ok(&format!("save -o dir:again {}", image.id()));
            let manifest = |folder: &str| manifest_of(mica.path(folder).join("manifest.json"));
            assert_eq!(manifest("again"), manifest("packed"));
        }
        mica.ok(&format!("rmi -f {}", image.id()));
    }
    mica.must_be_empty();
}

#[test]
fn an_index_of_several_platforms() {
    need_peers!("skopeo");
    let mica = Mica::on_disk();
    let skopeo = Peer::new(&mica, "skopeo");
    let image = rich(&["me/rich:1.0"]);
    mica.load(&image);
    mica.ok("image export-layout me/rich:1.0 layout");
    // An index over the one manifest, as registries have it for several platforms.
    let index = manifest_of(mica.path("layout/index.json"));
    let mut inner = index.clone();
    let descriptor = &mut inner["manifests"][0];
    descriptor.as_object_mut().unwrap().remove("annotations");
    let bytes = serde_json::to_vec(&inner).unwrap();
    let digest = spec::Digest::of(&bytes);
    mica.file(&format!("layout/blobs/sha256/{}", digest.hex()), &bytes);
    let outer = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest.to_string(),
            "size": bytes.len(),
            "annotations": { "org.opencontainers.image.ref.name": "me/rich:multi" },
        }],
    });
    mica.file("layout/index.json", serde_json::to_vec(&outer).unwrap());
    skopeo.ok("--policy policy.json copy --quiet --all oci:layout:me/rich:multi dir:flat");
    assert!(
        fs::read_dir(mica.path("flat")).unwrap().any(|entry| {
            entry.unwrap().file_name().to_string_lossy().ends_with(".manifest.json")
        })
    );
    mica.ok("rmi me/rich:1.0");
    mica.run("load -i dir:flat").prints(&format!("Loaded image ID: {}\n", image.id()));
    must_have(&mica, &image.id(), &image, "dir: with an index");
    mica.ok(&format!("rmi {}", image.id()));
    mica.run("load -i layout").prints("Loaded image: me/rich:multi\n");
    must_have(&mica, "me/rich:multi", &image, "layout with an index");
    let shown: Value = mica.json("manifest inspect --local me/rich:multi");
    assert_eq!(shown, inner);
}

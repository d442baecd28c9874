//! Small images for the commands to work on: layers plain and compressed, shared, stacked anew,
//! one too large to be kept in memory on its way in.

use std::fs;
use std::io::Write;
use std::path::Path;

use image::codec::{Codec, encoder};
use serde_json::{Value, json};
use spec::Digest;
use testkit::{Layer, Random};

use crate::support::{Image, archive};

/// Writes everything that commands read into a folder.
pub(super) fn write(folder: &Path) {
    fs::create_dir_all(folder).expect("the scratch folder can be written");
    let put = |name: &str, bytes: Vec<u8>| {
        fs::write(folder.join(name), bytes).expect("the scratch folder can be written");
    };
    let base = Image::new(&["base:1"]).layer(bottom(), "bottom");
    let app = Image::new(&["app:1"])
        .layer(bottom(), "bottom")
        .layer(middle(), "middle")
        .layer(top(), "top")
        .config("Cmd", json!(["run"]));
    let big = Image::new(&["big:1", "big:latest"])
        .layer(bottom(), "bottom")
        .layer(large(), "large")
        .layer(top(), "top");
    // Layers that are here already, on other stacks.
    let turned = Image::new(&["turned:1"]).layer(top(), "top").layer(bottom(), "bottom");
    put("base.tar", base.archive());
    put("app-layout.tar", layout(&app, "app:1"));
    put("big.tar", big.archive());
    put("big.tar.gz", gzip(&big.archive()));
    put("big-layout.tar", layout(&big, "big:1"));
    put("pair.tar", archive(&[&big, &turned]));
    put("turned.tar", turned.archive());
    put("other.tar", root("other").tar());
    put("root.tar", root("one").tar());
    put("root.tar.gz", gzip(&root("two").tar()));
}

fn bottom() -> Layer {
    let noise = Random::new(1).bytes(90_000);
    Layer::new()
        .folder("etc")
        .file("etc/motd", "bottom\n")
        .folder("usr")
        .folder("usr/lib")
        .file("usr/lib/noise", noise)
        .hard_link("usr/lib/same", "usr/lib/noise")
        .link("lib", "usr/lib")
        .file("etc/gone", "hidden later")
}

fn middle() -> Layer {
    Layer::new()
        .whiteout("etc/gone")
        .folder("srv")
        .file("srv/data", Random::new(2).bytes(40_000))
        .file("etc/motd", "middle\n")
        .xattr("user.kind", "test")
}

/// It names a file in a folder that only layers below describe.
fn top() -> Layer {
    Layer::new().file("usr/lib/late", "top\n").folder("empty").mode(0o700).owner(7, 7)
}

fn large() -> Layer {
    Layer::new().folder("big").file("big/noise", Random::new(3).bytes(1_300_000))
}

fn root(word: &str) -> Layer {
    Layer::new().folder("bin").file("bin/sh", word).file("data", Random::new(4).bytes(70_000))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = encoder(Codec::Gzip, Some(1), Vec::new()).expect("gzip has a level 1");
    writer.write_all(bytes).expect("memory takes everything");
    writer.finish().expect("memory takes everything")
}

/// An archive of an OCI layout whose layers are compressed, all but the topmost.
fn layout(image: &Image, name: &str) -> Vec<u8> {
    let mut parts = Layer::new().folder("blobs").folder("blobs/sha256");
    let mut put = |bytes: Vec<u8>, kind: &str| -> Value {
        let digest = Digest::of(&bytes);
        let size = bytes.len();
        parts = std::mem::take(&mut parts).file(format!("blobs/sha256/{}", digest.hex()), bytes);
        json!({ "mediaType": kind, "digest": digest.to_string(), "size": size })
    };
    let config = put(image.document(), "application/vnd.oci.image.config.v1+json");
    let last = image.layers().len() - 1;
    let mut layers = Vec::new();
    for (at, layer) in image.layers().iter().enumerate() {
        layers.push(match at == last {
            true => put(layer.tar(), "application/vnd.oci.image.layer.v1.tar"),
            false => put(gzip(&layer.tar()), "application/vnd.oci.image.layer.v1.tar+gzip"),
        });
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": layers,
    });
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let mut named = put(manifest.to_string().into_bytes(), kind);
    named["annotations"] =
        json!({ "io.containerd.image.name": format!("docker.io/library/{name}") });
    let index = json!({ "schemaVersion": 2, "manifests": [named] });
    parts
        .file("index.json", index.to_string())
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
        .tar()
}

//! The collector takes what nobody needs, and nothing else, while others work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hub::{Bucket, Garbage, collect};
use serde_json::json;
use spec::{Digest, MediaType};

use crate::server::{CONFIG, Registry, descriptor, digest_of, image};

/// All that is not needed, however young.
const NOW: Garbage = Garbage { grace: Duration::ZERO, uploads: Duration::ZERO, untagged: false };

/// Longer than the times of files are coarse.
fn wait() {
    std::thread::sleep(Duration::from_millis(600));
}

/// Makes of each function a test of a folder and one of an object store.
macro_rules! everywhere {
    ($($name:ident),* $(,)?) => {
        mod folder {
            $(#[test] fn $name() { super::$name(&[super::Registry::ours()]); })*
        }
        mod objects {
            $(#[test] fn $name() { super::$name(&super::two_servers()); })*
        }
    };
}
everywhere!(
    takes_what_nobody_needs,
    takes_manifests_that_no_tag_leads_to,
    never_takes_what_a_manifest_needs,
);

/// Two servers that have one store.
fn two_servers() -> [Registry; 2] {
    let bucket = Bucket::in_memory().unwrap();
    [Registry::objects_in(&bucket), Registry::objects_in(&bucket)]
}

#[test]
fn what_is_no_registry_is_not_made_one() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("typo");
    let error = collect(path.clone(), &NOW).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no registry in {}", path.display()));
    assert!(!path.exists() && error.hint().is_some());
}

fn takes_what_nobody_needs(registries: &[Registry]) {
    let registry = &registries[0];
    let kept = registry.push_image("app", "1", "kept");
    let lost = registry.push("app", b"lost");
    let shared = registry.push("app", b"shared");
    registry.push("other", b"shared");
    registry.push("other", CONFIG);
    registry.put_manifest("other", "1", &image(CONFIG, &[b"shared"])).is(201);
    let gone = registry.push_image("app", "2", "gone");
    registry.delete(format!("/v2/app/manifests/{}", digest_of(&gone))).is(202);
    let upload = registry.begin("app");
    wait();
    let young = Garbage { grace: Duration::from_secs(60), uploads: Duration::from_secs(60), ..NOW };
    assert_eq!(collect(registry.place(), &young).unwrap(), hub::Collected::default());
    let taken = collect(registry.place(), &NOW).unwrap();
    // The lost layer, the layer of the deleted image, and its manifest.
    assert_eq!((taken.blobs, taken.uploads, taken.manifests), (3, 1, 0));
    assert_eq!(taken.bytes, 4 + 4 + gone.to_string().len() as u64);
    let status = |path: String| registry.get(path).status;
    assert_eq!(status(format!("/v2/app/blobs/{lost}")), 404);
    assert_eq!(status(format!("/v2/app/blobs/{shared}")), 404);
    assert_eq!(status(format!("/v2/other/blobs/{shared}")), 200);
    assert_eq!(status(format!("/v2/app/blobs/{}", Digest::of(b"kept"))), 200);
    assert_eq!(status(format!("/v2/app/manifests/{}", digest_of(&kept))), 200);
    assert_eq!(status(upload), 404);
    // What was taken can come again.
    registry.push_image("app", "2", "gone");
    assert_eq!(status(format!("/v2/app/blobs/{}", Digest::of(b"gone"))), 200);
}

fn takes_manifests_that_no_tag_leads_to(registries: &[Registry]) {
    let registry = &registries[0];
    let inner = registry.push_image("app", "inner", "inner");
    let entry = descriptor(&MediaType::OciManifest, inner.to_string().as_bytes());
    let index = json!({
        "schemaVersion": 2, "mediaType": MediaType::OciIndex.as_str(), "manifests": [entry],
    });
    registry.put_manifest("app", "all", &index).is(201);
    registry.delete("/v2/app/manifests/inner").is(202);
    let mut about = image(CONFIG, &[]);
    about["subject"] = descriptor(&MediaType::OciIndex, index.to_string().as_bytes());
    registry.put_manifest("app", &digest_of(&about).to_string(), &about).is(201);
    let old = registry.push_image("app", "moving", "old");
    registry.push_image("app", "moving", "new");
    wait();
    let untagged = Garbage { untagged: true, ..NOW };
    let taken = collect(registry.place(), &untagged).unwrap();
    assert_eq!((taken.manifests, taken.blobs), (1, 2));
    let status = |digest| registry.get(format!("/v2/app/manifests/{digest}")).status;
    assert_eq!(status(digest_of(&old)), 404);
    for kept in [&inner, &index, &about] {
        assert_eq!(status(digest_of(kept)), 200);
    }
    // Without the index, nothing leads to what it listed and what was about it.
    registry.delete("/v2/app/manifests/all").is(202);
    wait();
    assert_eq!(collect(registry.place(), &untagged).unwrap().manifests, 3);
    assert_eq!(registry.get("/v2/app/tags/list").json()["tags"], json!(["moving"]));
}

/// Pushes go on while the collector runs as hard as it can: each finds its blobs, or is told that
/// they are missing and sends them again; none is acknowledged and then broken.
fn never_takes_what_a_manifest_needs(registries: &[Registry]) {
    let done = AtomicBool::new(false);
    // An upload that another process goes on with cannot be told from one that nobody does.
    let garbage = Garbage { uploads: Duration::from_secs(60), ..NOW };
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut runs = 0;
            while !done.load(Ordering::Relaxed) {
                collect(registries[0].place(), &garbage).unwrap();
                runs += 1;
            }
            runs
        });
        let names = ["app/0", "app/1", "app/2"];
        let pushers = names.map(|name| scope.spawn(|| push_and_delete(registries, name)));
        let ended = pushers.map(|thread| thread.join().is_ok());
        done.store(true, Ordering::Relaxed);
        assert!(collector.join().unwrap() > 0);
        assert_eq!(ended, [true; 3]);
    });
}

fn push_and_delete(registries: &[Registry], name: &str) {
    for round in 0..20 {
        let registry = &registries[round % registries.len()];
        let other = &registries[(round + 1) % registries.len()];
        // The same few layers, so that they are taken and come again.
        let layer = format!("layer {}", round % 3);
        let manifest = image(CONFIG, &[layer.as_bytes()]);
        let blobs = [CONFIG, layer.as_bytes()];
        while registry.put_manifest(name, "1", &manifest).status != 201 {
            blobs.iter().for_each(|blob| {
                let digest = Digest::of(blob);
                if registry.head(format!("/v2/{name}/blobs/{digest}")).status == 404 {
                    other.push(name, blob);
                }
            });
        }
        for blob in blobs {
            other.get(format!("/v2/{name}/blobs/{}", Digest::of(blob))).is(200);
        }
        other.delete(format!("/v2/{name}/manifests/{}", digest_of(&manifest))).is(202);
    }
}

/// Who was told by HEAD that a manifest is there lists it in an index without sending it again.
#[test]
fn a_manifest_that_was_asked_for_stays() {
    let registry = Registry::ours();
    let asked = registry.push_image("app", "1", "asked");
    let other = registry.push_image("app", "2", "other");
    registry.delete("/v2/app/manifests/1").is(202);
    registry.delete("/v2/app/manifests/2").is(202);
    let hour = Duration::from_secs(3600);
    for digest in [digest_of(&asked), digest_of(&other)] {
        let path = registry.root().join(format!("repositories/app/_manifests/{digest}"));
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - hour).unwrap();
    }
    let path = |manifest| format!("/v2/app/manifests/{}", digest_of(manifest));
    assert_eq!(registry.ask("HEAD", path(&asked)).send().status, 200);
    assert_eq!(registry.get(path(&other)).status, 200);
    wait();
    let garbage = Garbage { grace: hour / 2, uploads: hour, untagged: true };
    assert_eq!(collect(registry.place(), &garbage).unwrap().manifests, 1);
    assert_eq!(registry.get(path(&asked)).status, 200);
    assert_eq!(registry.get(path(&other)).status, 404);
}

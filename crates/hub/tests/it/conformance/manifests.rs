//! Manifests: end-3, end-7, end-9.

use serde_json::{Value, json};
use spec::{Algorithm, Digest, Hasher, MediaType};

use super::need;
use crate::server::{CONFIG, Feature, Registry, descriptor, digest_of, image};

super::conform!(
    gives_manifests_by_tag_and_digest,
    takes_a_manifest_by_its_digest,
    takes_dockers_manifests,
    takes_indexes,
    takes_indexes_in_part,
    takes_artifacts,
    needs_all_blobs,
    refuses_what_is_no_manifest,
    refuses_what_is_too_large,
    misses_what_is_not_there,
    moves_tags,
    deletes_tags,
    deletes_manifests,
    gives_several_tags_at_once,
);

fn gives_manifests_by_tag_and_digest(registry: &Registry) {
    let manifest = registry.push_image("app", "1.0", "layer");
    let digest = digest_of(&manifest);
    for reference in ["1.0".to_owned(), digest.to_string()] {
        let path = format!("/v2/app/manifests/{reference}");
        let (got, head) = (registry.get(&*path).is(200), registry.head(&*path).is(200));
        assert_eq!(got.body, manifest.to_string().into_bytes());
        for answer in [&got, &head] {
            assert_eq!(answer.digest(), digest);
            assert_eq!(answer.must("content-type"), MediaType::OciManifest.as_str());
            assert_eq!(answer.must("content-length"), manifest.to_string().len().to_string());
        }
    }
}

fn takes_a_manifest_by_its_digest(registry: &Registry) {
    registry.push("by", CONFIG);
    let manifest = image(CONFIG, &[]);
    let digest = digest_of(&manifest);
    let answer = registry.put_manifest("by", &digest.to_string(), &manifest).is(201);
    assert_eq!(answer.digest(), digest);
    assert!(answer.location().ends_with(&format!("/v2/by/manifests/{digest}")));
    let other = Digest::of(b"other").to_string();
    registry.put_manifest("by", &other, &manifest).is(400).says("DIGEST_INVALID");
    if !registry.has(Feature::Sha512) {
        return;
    }
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(manifest.to_string().as_bytes());
    let long = hasher.finish();
    registry.put_manifest("by", &long.to_string(), &manifest).is(201);
    assert_eq!(registry.get(format!("/v2/by/manifests/{long}")).is(200).digest(), long);
}

fn takes_dockers_manifests(registry: &Registry) {
    registry.push("docker", CONFIG);
    let mut manifest = image(CONFIG, &[]);
    manifest["mediaType"] = json!(MediaType::DockerManifest.as_str());
    manifest["config"]["mediaType"] = json!(MediaType::DockerConfig.as_str());
    registry.put_manifest("docker", "1", &manifest).is(201);
    let got = registry.get("/v2/docker/manifests/1").is(200);
    assert_eq!(got.must("content-type"), MediaType::DockerManifest.as_str());
    assert_eq!(got.body, manifest.to_string().into_bytes());
}

/// An index of these manifests.
fn index(kind: &MediaType, manifests: &[&Value]) -> Value {
    let entry = |manifest: &&Value| {
        let kind = MediaType::from(manifest["mediaType"].as_str().unwrap());
        let mut entry = descriptor(&kind, manifest.to_string().as_bytes());
        entry["platform"] = json!({ "os": "linux", "architecture": "amd64" });
        entry
    };
    let manifests: Vec<_> = manifests.iter().map(entry).collect();
    json!({ "schemaVersion": 2, "mediaType": kind.as_str(), "manifests": manifests })
}

fn takes_indexes(registry: &Registry) {
    let one = registry.push_image("many", "one", "1");
    for kind in [MediaType::OciIndex, MediaType::DockerIndex] {
        let index = index(&kind, &[&one]);
        registry.put_manifest("many", "all", &index).is(201);
        let got = registry.get("/v2/many/manifests/all").is(200);
        assert_eq!((got.must("content-type"), got.digest()), (kind.as_str(), digest_of(&index)));
    }
}

fn takes_indexes_in_part(registry: &Registry) {
    need!(registry, SparseIndexes);
    let one = registry.push_image("part", "one", "1");
    let inner = index(&MediaType::OciIndex, &[&one, &image(CONFIG, &[b"not here"])]);
    registry.put_manifest("part", "inner", &inner).is(201);
    let outer = index(&MediaType::OciIndex, &[&inner]);
    registry.put_manifest("part", "outer", &outer).is(201);
    assert_eq!(registry.get("/v2/part/manifests/outer").is(200).digest(), digest_of(&outer));
}

fn takes_artifacts(registry: &Registry) {
    need!(registry, Artifacts);
    registry.push("things", b"{}");
    registry.push("things", b"data");
    let subject = descriptor(&MediaType::OciManifest, b"a manifest that is not here");
    let kind = "application/vnd.oci.artifact.manifest.v1+json";
    let draft = json!({
        "mediaType": kind, "artifactType": "application/vnd.example",
        "blobs": [descriptor(&MediaType::Other("text/plain".into()), b"data")], "subject": subject,
    });
    let answer = registry.put_manifest("things", "draft", &draft).is(201);
    assert_eq!(answer.must("oci-subject"), subject["digest"]);
    assert_eq!(registry.get("/v2/things/manifests/draft").is(200).must("content-type"), kind);
    let mut artifact = image(b"{}", &[b"data"]);
    artifact["config"]["mediaType"] = json!(MediaType::OciEmpty.as_str());
    artifact["artifactType"] = json!("application/vnd.example");
    artifact["subject"] = subject.clone();
    artifact["org.example.unknown"] = json!({ "kept": [1, 2] });
    let answer = registry.put_manifest("things", "new", &artifact).is(201);
    assert_eq!(answer.must("oci-subject"), subject["digest"]);
    let got = registry.get("/v2/things/manifests/new").is(200);
    assert_eq!(got.body, artifact.to_string().into_bytes());
}

fn needs_all_blobs(registry: &Registry) {
    registry.push("needs", CONFIG);
    registry.push("elsewhere", b"layer");
    let manifest = image(CONFIG, &[b"layer", b"another"]);
    let answer = registry.put_manifest("needs", "1", &manifest).either(&[400, 404]);
    let answer = answer.says("MANIFEST_BLOB_UNKNOWN");
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 2);
    registry.get("/v2/needs/manifests/1").is(404);
    need!(registry, ForeignLayers);
    // A layer that is not passed on is not missed.
    let mut foreign = image(CONFIG, &[b"windows"]);
    foreign["mediaType"] = json!(MediaType::DockerManifest.as_str());
    foreign["config"]["mediaType"] = json!(MediaType::DockerConfig.as_str());
    foreign["layers"][0]["mediaType"] = json!(MediaType::DockerForeignLayerGzip.as_str());
    foreign["layers"][0]["urls"] = json!(["https://example.com/layer"]);
    registry.put_manifest("needs", "foreign", &foreign).is(201);
}

fn refuses_what_is_no_manifest(registry: &Registry) {
    let oci = MediaType::OciManifest;
    registry.push("junk", CONFIG);
    for text in ["", "{", "[]", "{}", "null", r#"{"schemaVersion":2}"#] {
        let put = registry.ask("PUT", "/v2/junk/manifests/1").header("Content-Type", oci.as_str());
        let answer = put.body(text).send();
        match registry.has(Feature::JunkManifests) {
            true => answer.is(400).says("MANIFEST_INVALID"),
            false => answer.either(&[400, 500]),
        };
    }
    let manifest = image(CONFIG, &[]).to_string();
    let put = registry.ask("PUT", "/v2/junk/manifests/1");
    let put = put.header("Content-Type", MediaType::OciIndex.as_str());
    put.body(&manifest).send().is(400).says("MANIFEST_INVALID");
    let put = registry.ask("PUT", "/v2/junk/manifests/-x").header("Content-Type", oci.as_str());
    put.body(&manifest).send().either(&[400, 404]);
}

fn refuses_what_is_too_large(registry: &Registry) {
    let mut manifest = image(CONFIG, &[]);
    manifest["annotations"] = json!({ "large": "x".repeat(5 << 20) });
    registry.push("large", CONFIG);
    registry.put_manifest("large", "1", &manifest).either(&[400, 413]);
}

fn misses_what_is_not_there(registry: &Registry) {
    registry.push_image("here", "1", "layer");
    let other = Digest::of(b"other").to_string();
    for reference in ["2", &other, ".not-a-tag"] {
        let path = format!("/v2/here/manifests/{reference}");
        registry.get(&*path).is(404);
        registry.head(&*path).is(404);
    }
    registry.get("/v2/here/manifests/2").says("MANIFEST_UNKNOWN");
    registry.get("/v2/nowhere/manifests/2").is(404);
}

fn moves_tags(registry: &Registry) {
    let one = registry.push_image("moves", "latest", "one");
    let two = registry.push_image("moves", "latest", "two");
    let at = |reference: String| registry.get(format!("/v2/moves/manifests/{reference}")).is(200);
    assert_eq!(at("latest".into()).body, two.to_string().into_bytes());
    assert_eq!(at(digest_of(&one).to_string()).body, one.to_string().into_bytes());
}

fn deletes_tags(registry: &Registry) {
    need!(registry, DeleteTags);
    let manifest = registry.push_image("untag", "1", "layer");
    registry.put_manifest("untag", "2", &manifest).is(201);
    registry.delete("/v2/untag/manifests/1").is(202);
    registry.get("/v2/untag/manifests/1").is(404).says("MANIFEST_UNKNOWN");
    registry.delete("/v2/untag/manifests/1").is(404).says("MANIFEST_UNKNOWN");
    registry.get("/v2/untag/manifests/2").is(200);
    registry.get(format!("/v2/untag/manifests/{}", digest_of(&manifest))).is(200);
}

fn deletes_manifests(registry: &Registry) {
    let one = registry.push_image("gone", "1", "one");
    let two = registry.push_image("gone", "2", "two");
    let path = format!("/v2/gone/manifests/{}", digest_of(&one));
    registry.delete(&*path).is(202);
    registry.get(&*path).is(404).says("MANIFEST_UNKNOWN");
    registry.get("/v2/gone/manifests/1").is(404);
    registry.delete(&*path).is(404).says("MANIFEST_UNKNOWN");
    registry.get("/v2/gone/manifests/2").is(200);
    assert_eq!(registry.get("/v2/gone/tags/list").is(200).json()["tags"], json!(["2"]));
    // Its blobs stay.
    registry.get(format!("/v2/gone/blobs/{}", Digest::of(b"one"))).is(200);
    registry.get(format!("/v2/gone/manifests/{}", digest_of(&two))).is(200);
    // One that has lost them all is still known.
    registry.delete(format!("/v2/gone/manifests/{}", digest_of(&two))).is(202);
    let tags = registry.get("/v2/gone/tags/list").is(200).json();
    assert!(tags["tags"].as_array().is_none_or(Vec::is_empty), "{tags}");
}

fn gives_several_tags_at_once(registry: &Registry) {
    need!(registry, TagsWithPush);
    registry.push("tags", CONFIG);
    let manifest = image(CONFIG, &[]);
    let reference = format!("{}?tag=a&tag=b", digest_of(&manifest));
    let answer = registry.put_manifest("tags", &reference, &manifest).is(201);
    assert_eq!(answer.headers.iter().filter(|(name, _)| name == "oci-tag").count(), 2);
    assert_eq!(registry.get("/v2/tags/tags/list").json()["tags"], json!(["a", "b"]));
}

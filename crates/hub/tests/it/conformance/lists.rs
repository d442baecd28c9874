//! Lists: end-8a, end-8b, end-12a, end-12b, and docker's catalog.

use serde_json::{Value, json};
use spec::{Digest, MediaType};

use super::need;
use crate::server::{CONFIG, Feature, Registry, descriptor, digest_of, image};

super::conform!(
    lists_tags,
    lists_tags_page_by_page,
    lists_nothing_where_nothing_is_wanted,
    lists_repositories,
    lists_referrers,
    lists_referrers_of_a_kind,
    forgets_referrers,
);

fn lists_tags(registry: &Registry) {
    let manifest = registry.push_image("tags/list", "b", "layer");
    for tag in ["a", "B", "1.0", "_x"] {
        registry.put_manifest("tags/list", tag, &manifest).is(201);
    }
    let answer = registry.get("/v2/tags/list/tags/list").is(200);
    let mut list = answer.json();
    if !registry.has(Feature::PagesOfTags) {
        let key = |tag: &Value| (tag.to_string().to_lowercase(), tag.to_string());
        list["tags"].as_array_mut().unwrap().sort_by_key(key);
    }
    // Letters go by the alphabet, whether they are large or small.
    let wanted = json!({ "name": "tags/list", "tags": ["1.0", "_x", "a", "B", "b"] });
    assert_eq!(list, wanted);
    assert!(answer.must("content-type").starts_with("application/json"));
    assert_eq!(answer.header("link"), None);
    registry.get("/v2/nobody/tags/list").is(404).says("NAME_UNKNOWN");
}

/// The path of a `Link` to the next page.
fn next(link: &str) -> String {
    let (address, relation) = link.split_once('>').unwrap();
    assert_eq!(relation, "; rel=\"next\"");
    address.trim_start_matches('<').to_owned()
}

fn lists_tags_page_by_page(registry: &Registry) {
    need!(registry, PagesOfTags);
    let manifest = registry.push_image("pages", "0", "layer");
    for tag in 1..7 {
        registry.put_manifest("pages", &tag.to_string(), &manifest).is(201);
    }
    let whole = registry.get("/v2/pages/tags/list?n=100").is(200);
    assert_eq!((whole.header("link"), whole.json()["tags"].as_array().unwrap().len()), (None, 7));
    let after = registry.get("/v2/pages/tags/list?n=2&last=3").is(200);
    assert_eq!(after.json()["tags"], json!(["4", "5"]));
    assert_eq!(
        registry.get("/v2/pages/tags/list?last=4").is(200).json()["tags"],
        json!(["5", "6"])
    );
    let (mut path, mut seen) = ("/v2/pages/tags/list?n=3".to_owned(), Vec::new());
    loop {
        let answer = registry.get(path).is(200);
        let tags = answer.json()["tags"].as_array().unwrap().clone();
        assert!(tags.len() <= 3 && !tags.is_empty());
        seen.extend(tags);
        match answer.header("link") {
            Some(link) => path = next(link),
            None => break,
        }
    }
    assert_eq!(Value::Array(seen), json!(["0", "1", "2", "3", "4", "5", "6"]));
    for tag in ["a", "B", "C"] {
        registry.put_manifest("pages", tag, &manifest).is(201);
    }
    let page = registry.get("/v2/pages/tags/list?n=2&last=6").is(200);
    assert_eq!(page.json()["tags"], json!(["a", "B"]));
    let rest = registry.get(next(page.must("link"))).is(200);
    assert_eq!((&rest.json()["tags"], rest.header("link")), (&json!(["C"]), None));
}

fn lists_nothing_where_nothing_is_wanted(registry: &Registry) {
    need!(registry, PagesOfTags);
    registry.push_image("none", "1", "layer");
    let answer = registry.get("/v2/none/tags/list?n=0").is(200);
    assert_eq!((answer.json()["tags"].clone(), answer.header("link")), (json!([]), None));
    registry.get("/v2/none/tags/list?n=-1").is(400).says("PAGINATION_NUMBER_INVALID");
    registry.get("/v2/none/tags/list?n=x").is(400).says("PAGINATION_NUMBER_INVALID");
}

fn lists_repositories(registry: &Registry) {
    for name in ["b/c", "a", "b", "b-c"] {
        registry.push_image(name, "1", "layer");
    }
    let all = registry.get("/v2/_catalog?n=100").is(200);
    let mut names: Vec<_> = all.json()["repositories"].as_array().unwrap().clone();
    names.sort_by_key(Value::to_string);
    assert_eq!(json!(names), json!(["a", "b", "b-c", "b/c"]));
    let answer = registry.get("/v2/_catalog?n=1").is(200);
    assert_eq!(answer.json(), json!({ "repositories": ["a"] }));
    let answer = registry.get(next(answer.must("link"))).is(200);
    assert_eq!(answer.json(), json!({ "repositories": ["b"] }));
}

/// Pushes an artifact about a manifest, and gives its digest.
fn attach(registry: &Registry, subject: &Value, kind: &str) -> Digest {
    registry.push("about", b"{}");
    let mut artifact = image(b"{}", &[]);
    artifact["config"]["mediaType"] = json!(MediaType::OciEmpty.as_str());
    artifact["artifactType"] = json!(kind);
    artifact["annotations"] = json!({ "kind": kind });
    artifact["subject"] = descriptor(&MediaType::OciManifest, subject.to_string().as_bytes());
    let answer = registry.put_manifest("about", &digest_of(&artifact).to_string(), &artifact);
    assert_eq!(answer.is(201).must("oci-subject"), digest_of(subject).to_string());
    digest_of(&artifact)
}

fn list(registry: &Registry, subject: &Digest, query: &str) -> Vec<Value> {
    let answer = registry.get(format!("/v2/about/referrers/{subject}{query}")).is(200);
    assert_eq!(answer.must("content-type"), MediaType::OciIndex.as_str());
    let index = answer.json();
    assert_eq!(
        (&index["schemaVersion"], &index["mediaType"]),
        (&json!(2), &json!(MediaType::OciIndex.as_str()))
    );
    index["manifests"].as_array().unwrap().clone()
}

fn lists_referrers(registry: &Registry) {
    need!(registry, Referrers);
    // What is about something may come before it.
    let subject = image(CONFIG, &[b"layer"]);
    let first = attach(registry, &subject, "application/one");
    let second = attach(registry, &subject, "application/two");
    registry.push_image("about", "1", "layer");
    let found = list(registry, &digest_of(&subject), "");
    assert_eq!(found.len(), 2);
    for entry in &found {
        assert!([first, second].iter().any(|digest| entry["digest"] == json!(digest)));
        assert_eq!(entry["annotations"]["kind"], entry["artifactType"]);
        let path = format!("/v2/about/manifests/{}", entry["digest"].as_str().unwrap());
        assert_eq!(registry.head(path).is(200).must("content-length"), entry["size"].to_string());
    }
    assert!(list(registry, &Digest::of(b"nothing"), "").is_empty());
    registry.get("/v2/about/referrers/nonsense").is(400).says("DIGEST_INVALID");
}

fn lists_referrers_of_a_kind(registry: &Registry) {
    need!(registry, Referrers);
    let subject = image(CONFIG, &[]);
    let digest = digest_of(&subject);
    attach(registry, &subject, "application/one");
    let wanted = attach(registry, &subject, "application/two+json");
    let query = "?artifactType=application%2Ftwo%2Bjson";
    let found = list(registry, &digest, query);
    assert_eq!((found.len(), &found[0]["digest"]), (1, &json!(wanted)));
    let answer = registry.get(format!("/v2/about/referrers/{digest}{query}"));
    assert_eq!(answer.must("oci-filters-applied"), "artifactType");
    assert!(list(registry, &digest, "?artifactType=application/none").is_empty());
}

fn forgets_referrers(registry: &Registry) {
    need!(registry, Referrers);
    let subject = image(CONFIG, &[]);
    let digest = attach(registry, &subject, "application/one");
    registry.delete(format!("/v2/about/manifests/{digest}")).is(202);
    assert!(list(registry, &digest_of(&subject), "").is_empty());
}

use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn descriptor(media_type: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{HEX}","size":3}}"#)
}

fn manifest(more: &str) -> String {
    let config = descriptor("application/vnd.oci.image.config.v1+json");
    format!(r#"{{"schemaVersion":2,{more}"config":{config},"layers":[]}}"#)
}

#[track_caller]
fn refuse(text: &str, words: &str) {
    let error = Document::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), words, "{text}");
}

#[test]
fn reads_and_writes_manifests() {
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip");
    let config = descriptor("application/vnd.oci.image.config.v1+json");
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{config},"layers":[{layer}],"annotations":{{"a":"1","b":"2"}}}}"#,
        MediaType::OciManifest
    );
    let document = Document::parse(text.as_bytes()).unwrap();
    assert_eq!(document.to_bytes(), text.as_bytes());
    assert_eq!(document.media_type(), MediaType::OciManifest);
    let Document::Manifest(parsed) = document else { panic!("not a manifest") };
    assert_eq!(parsed.layers[0].size, 3);
    let mut made = Manifest::new(parsed.config.clone(), parsed.layers.clone());
    made.annotations = parsed.annotations.clone();
    assert_eq!(made, parsed);
    let docker = Manifest::new(Descriptor::of(MediaType::DockerConfig, b"abc"), Vec::new());
    assert_eq!(docker.media_type, Some(MediaType::DockerManifest));
    assert_eq!((docker.config.size, docker.config.digest), (3, Digest::of(b"abc")));
}

#[test]
fn reads_and_writes_indexes() {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}","digest":"sha256:{HEX}","size":1,"platform":{{"architecture":"arm","os":"linux","variant":"v7"}}}}]}}"#,
        MediaType::DockerIndex,
        MediaType::DockerManifest
    );
    let document = Document::parse(text.as_bytes()).unwrap();
    assert_eq!(document.to_bytes(), text.as_bytes());
    assert_eq!(document.media_type(), MediaType::DockerIndex);
    let bare = Document::parse(br#"{"schemaVersion":2,"manifests":[],"mediaType":""}"#).unwrap();
    assert_eq!(bare.media_type(), MediaType::OciIndex);
}

#[test]
fn documents_need_not_say_what_they_are() {
    let document = Document::parse(manifest("").as_bytes()).unwrap();
    assert_eq!(document.media_type(), MediaType::OciManifest);
    let docker = manifest("").replace("oci.image.config.v1", "docker.container.image.v1");
    assert_eq!(Document::parse(docker.as_bytes()).unwrap().media_type(), MediaType::DockerManifest);
    let nulls = manifest(r#""annotations":null,"subject":null,"#).replace("[]", "null");
    assert!(
        matches!(Document::parse(nulls.as_bytes()), Ok(Document::Manifest(manifest)) if manifest.layers.is_empty())
    );
}

#[test]
fn refuses_documents_that_are_two_things() {
    refuse(
        &manifest(r#""manifests":[],"#),
        "ambiguous document: it is both a manifest and an index",
    );
    let both = manifest(&format!(r#""mediaType":"{}","manifests":[],"#, MediaType::OciManifest));
    refuse(&both, "ambiguous document: it is both a manifest and an index");
    let index = MediaType::OciIndex;
    let wrong = format!("document says it is {index} but has not its fields");
    refuse(&manifest(&format!(r#""mediaType":"{index}","#)), &wrong);
    let wrong =
        "document says it is application/vnd.oci.image.manifest.v1+json but has not its fields";
    let text =
        format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, MediaType::OciManifest);
    refuse(&text, wrong);
    refuse(r#"{"schemaVersion":2,"layers":[]}"#, "document is neither a manifest nor an index");
    refuse(r#"{"schemaVersion":2}"#, "document is neither a manifest nor an index");
    refuse(&manifest(r#""mediaType":"text/plain","#), "unsupported manifest media type text/plain");
}

#[test]
fn refuses_old_and_unknown_schemas() {
    let old = "image manifest schema 1 is no longer supported: \
               the image must be pushed again with a current tool";
    refuse(r#"{"schemaVersion":1,"fsLayers":[]}"#, old);
    refuse(&manifest(r#""fsLayers":[],"#), old);
    refuse(&manifest(&format!(r#""mediaType":"{}","#, MediaType::DockerSchema1Signed)), old);
    refuse(&manifest("").replace(":2,", ":3,"), "unsupported manifest schema version 3");
    refuse("{}", "unsupported manifest schema version 0");
}

#[test]
fn refuses_what_is_malformed_or_too_large() {
    refuse("", "malformed document");
    refuse("[]", "malformed document");
    let source = |text: &str| match Document::parse(text.as_bytes()).unwrap_err() {
        DocumentError::Json(error) => error.to_string(),
        other => panic!("{other}"),
    };
    assert!(source(&manifest("").replace(":3", ":-3")).starts_with("negative size -3"));
    assert!(
        source(&manifest("").replace(":3", ":9223372036854775808")).starts_with("invalid value")
    );
    assert!(
        source(&manifest("").replace("sha256:e", "sha256:"))
            .starts_with("invalid checksum digest length")
    );
    assert!(source(&manifest(r#""layers":[],"#)).starts_with("duplicate field"));
    assert!(source(&"[".repeat(100_000)).starts_with("invalid type"));
    let deep = format!(r#""x":{}1{},"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(Document::parse(manifest(&deep).as_bytes()).is_ok());
    let large = manifest("") + &" ".repeat(MAX_DOCUMENT_BYTES);
    refuse(&large, &format!("document of {} bytes is larger than 4194304", large.len()));
}

#[test]
fn finds_the_best_image_for_a_platform() {
    let entry = |platform: &str, number: u64| {
        let platform = Some(platform).filter(|text| !text.is_empty());
        let platform = platform.map(|text| text.parse().unwrap());
        Descriptor { platform, ..Descriptor::new(MediaType::OciManifest, Digest::of(b""), number) }
    };
    let mut attestation = entry("", 9);
    attestation
        .annotations
        .insert("vnd.docker.reference.type".into(), "attestation-manifest".into());
    let mut index = Index::new(vec![
        attestation,
        entry("linux/arm/v5", 1),
        entry("linux/arm/v6", 2),
        entry("linux/amd64", 3),
        entry("linux/amd64", 4),
    ]);
    let best =
        |index: &Index, wanted: &str| index.best(&wanted.parse().unwrap()).map(|entry| entry.size);
    assert_eq!(best(&index, "linux/arm/v7"), Some(2));
    assert_eq!(best(&index, "linux/arm/v5"), Some(1));
    assert_eq!(best(&index, "linux/amd64"), Some(3));
    assert_eq!(best(&index, "linux/s390x"), None);
    index.manifests.push(entry("", 5));
    assert_eq!(best(&index, "linux/s390x"), Some(5));
    assert_eq!(best(&index, "linux/amd64"), Some(3));
}

#[test]
fn reads_the_manifest_of_an_archive() {
    let text = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l/layer.tar"]}]"#;
    let list: Vec<ArchiveManifest> = serde_json::from_str(text).unwrap();
    assert_eq!(list[0].repo_tags.as_deref(), Some(&["a:1".to_owned()][..]));
    assert_eq!(serde_json::to_string(&list).unwrap(), text);
    let bare: ArchiveManifest =
        serde_json::from_str(r#"{"Config":"c","RepoTags":null,"Layers":null}"#).unwrap();
    assert_eq!(
        serde_json::to_string(&bare).unwrap(),
        r#"{"Config":"c","RepoTags":null,"Layers":[]}"#
    );
    let layer = descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip");
    let text = format!(
        r#"{{"Config":"c","RepoTags":[],"Layers":[],"LayerSources":{{"sha256:{HEX}":{layer}}}}}"#
    );
    let sources: ArchiveManifest = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&sources).unwrap(), text);
}

proptest! {
    #[test]
    fn takes_any_bytes(bytes: Vec<u8>, text in "[{}\\[\\]\":,a-z0-9]{0,40}") {
        prop_assert!(Document::parse(&bytes).is_err());
        prop_assert!(Document::parse(text.as_bytes()).is_err());
    }

    #[test]
    fn parses_what_it_writes(sizes in prop::collection::vec(0..i64::MAX as u64, 0..5), note in "\\PC{0,9}") {
        let layer = |size: &u64| Descriptor::new(MediaType::OciLayerZstd, Digest::of(b""), *size);
        let mut made = Manifest::new(Descriptor::of(MediaType::OciConfig, b""), sizes.iter().map(layer).collect());
        made.annotations.insert(note.clone(), note);
        prop_assert_eq!(Document::parse(&made.to_bytes()).unwrap(), Document::Manifest(made));
    }
}

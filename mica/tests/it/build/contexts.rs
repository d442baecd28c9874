//! Named contexts that are images: of a layout, of the store.

use spec::Digest;

use super::Builds;

const DOCKERFILE: &str = "FROM base\nCOPY --from=base /bin/busybox /copied\nRUN echo ran > /ran\n";

/// A root whose base is only in the layout `lay`, called `bb:1` and `bb:latest` there.
fn laid() -> Option<Builds> {
    let it = Builds::new()?;
    it.ok("tag bb bb:1");
    it.run("image export-layout bb:1 lay").works();
    it.run("image export-layout bb:latest lay").works();
    it.ok("rmi -f bb:1");
    it.ok("rmi -f bb:latest");
    Some(it)
}

/// The digest of the image that the layout lists first.
fn listed(it: &Builds) -> Digest {
    let index = std::fs::read(it.path("lay/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_base_comes_from_a_layout() {
    let Some(it) = laid() else { return };
    let digest = listed(&it);
    let progress = it.builds(DOCKERFILE, "--build-context base=oci-layout://lay");
    assert!(progress.contains("[context base] oci-layout://lay"), "{progress}");
    assert_eq!(it.shows("cat /ran; cmp /bin/busybox /copied && echo same"), "ran\nsame");
    let id = it.id();
    for address in ["lay:1", &format!("lay@{digest}"), &format!("lay:1@{digest}")] {
        let progress =
            it.builds(DOCKERFILE, &format!("--build-context base=oci-layout://{address}"));
        assert!(progress.contains("CACHED"), "{progress}");
        assert_eq!(it.id(), id);
    }
    // What is called like an image stands for it, however the Dockerfile writes the name.
    let dockerfile = DOCKERFILE.replace("FROM base", "FROM docker.io/library/base:latest");
    it.builds(&dockerfile, "--build-context base=oci-layout://lay");
    assert_eq!(it.id(), id);
    // It got no name, and is no image by itself.
    assert_eq!(it.ok("images -aq --no-trunc"), id);
}

#[test]
fn what_a_layout_does_not_have_is_named() {
    let Some(it) = laid() else { return };
    let fails = |address: &str, words: &str| {
        let run = it.build(DOCKERFILE, &format!("--build-context base={address}"));
        run.complains(1, words);
    };
    fails("oci-layout://lay:9", "the archive has no image 9; it has");
    fails("oci-layout://nowhere", "cannot open nowhere");
    let missing = Digest::of(b"nothing");
    fails(&format!("oci-layout://lay@{missing}"), "does not have it");
    fails("oci-layout://lay@sha256:12", "the digest is none");
    fails("nowhere", "failed to get build context base: \"nowhere\" is no folder");
}

#[test]
fn an_image_stands_for_another() {
    let Some(it) = Builds::new() else { return };
    it.builds("FROM other:1\nRUN echo ran > /ran\n", "--build-context other:1=docker-image://bb");
    assert_eq!(it.shows("cat /ran"), "ran");
}

#[test]
fn a_bake_takes_contexts_from_layouts() {
    let Some(it) = laid() else { return };
    it.put("Dockerfile", DOCKERFILE);
    it.file(
        "docker-bake.hcl",
        "target \"default\" {\n context = \"ctx\"\n tags = [\"t\"]\n network = \"none\"\n contexts = { base = \"oci-layout://lay:1\" }\n}\n",
    );
    it.run("buildx bake").works();
    assert_eq!(it.shows("cat /ran"), "ran");
}

//! What is told of how an image was built.

use serde_json::Value;
use spec::Digest;

use super::Builds;
use crate::compat::peers::Peer;
use crate::compat::registry::Registry;
use crate::need_programs;

/// The statement beside an image in a registry, and the digest of the image's manifest.
fn statement(it: &Builds, skopeo: &Peer<'_>, name: &str) -> (Value, String) {
    let remote = format!("--tls-verify=false docker://{name}");
    let index = skopeo.json(&format!("inspect --raw {remote}"));
    let entries = index["manifests"].as_array().unwrap();
    let told = &entries[entries.len() - 1];
    assert_eq!(told["platform"]["architecture"], "unknown");
    let annotations = &told["annotations"];
    assert_eq!(annotations["vnd.docker.reference.type"], "attestation-manifest");
    let about = annotations["vnd.docker.reference.digest"].as_str().unwrap().to_owned();
    assert!(entries.iter().any(|entry| entry["digest"] == about.as_str()));
    let repository = name.rsplit_once(':').unwrap().0;
    let digest = told["digest"].as_str().unwrap();
    // All that it names is there, and is what it says.
    skopeo.ok(&format!("copy -q --src-tls-verify=false docker://{repository}@{digest} dir:told"));
    let manifest =
        skopeo.json(&format!("inspect --raw --tls-verify=false docker://{repository}@{digest}"));
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
    assert_eq!(layer["annotations"]["in-toto.io/predicate-type"], "https://slsa.dev/provenance/v1");
    let blob = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    (
        serde_json::from_slice(&std::fs::read(it.path(format!("told/{blob}"))).unwrap()).unwrap(),
        about,
    )
}

#[test]
fn provenance_goes_with_the_image() {
    need_programs!("docker-registry", "skopeo");
    let Some(it) = Builds::new() else { return };
    let (registry, skopeo) = (Registry::plain(&it), Peer::new(&it, "skopeo"));
    let name = registry.name("told:1");
    it.put("Dockerfile", "FROM bb\nARG SECRET_PLAN\nRUN echo 1 > /x\n");
    let line = "build --network none --build-arg SECRET_PLAN=tea";
    it.run(&format!("{line} --provenance=true -t {name} --push ctx")).works();
    let (told, about) = statement(&it, &skopeo, &name);
    assert_eq!(told["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(told["subject"][0]["digest"]["sha256"], about.strip_prefix("sha256:").unwrap());
    let subject = told["subject"][0]["name"].as_str().unwrap();
    assert!(subject.starts_with("pkg:docker/127.0.0.1:"), "{subject}");
    let definition = &told["predicate"]["buildDefinition"];
    let base = definition["resolvedDependencies"][0]["uri"].as_str().unwrap();
    assert!(base.starts_with("pkg:docker/bb@latest?platform=linux%2F"), "{base}");
    assert!(!told.to_string().contains("tea"), "the small form tells no arguments");
    // The image itself runs as ever, from here and from there.
    assert_eq!(it.ok(&format!("run --rm --network none {name} cat /x")), "1");
    it.ok("image prune -f");
    it.ok("system check");
    let index = || {
        Digest::of(
            skopeo.ok(&format!("inspect --raw --tls-verify=false docker://{name}")).as_bytes(),
        )
    };
    let before = index();
    it.ok(&format!("push -q {name}"));
    assert_eq!(index(), before, "what was kept leaves as it was");
    it.run(&format!("{line} --no-cache --provenance=true -t {name} --push ctx")).works();
    assert_eq!(index(), before, "the same build tells the same");
    it.ok(&format!("rmi {name}"));
    it.run(&format!("pull -q {name}")).works();
    it.run(&format!("{line} --attest type=provenance,mode=max -t {name} --push ctx")).works();
    let (told, _) = statement(&it, &skopeo, &name);
    let request = &told["predicate"]["buildDefinition"]["externalParameters"]["request"];
    assert_eq!(request["args"]["build-arg:SECRET_PLAN"], "tea");
    it.run(&format!("{line} --provenance=mode=max -o type=oci,dest=told.oci,name=a:1 ctx")).works();
    let index = skopeo.json("inspect --raw oci-archive:told.oci");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    it.run("build --sbom=true ctx").complains(1, "cannot build with --sbom");
    it.run("build --attest type=sbom ctx").complains(1, "no attestation of type \"sbom\"");
}

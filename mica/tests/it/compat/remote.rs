//! What is done with images in registries without pulling them: copied, combined, listed, removed,
//! kept in step; between mica's registry and Debian's, with skopeo as the judge.

use std::fs;

use registry::{Access, Client, ClientSettings, Target};
use serde_json::{Value, json};
use spec::{Descriptor, Digest, Index, MediaType, Reference};
use testkit::Layer;

use super::hub::Hub;
use super::peers::{Peer, digest_in};
use super::registry::Registry;
use crate::need_programs;
use crate::support::{Mica, Run};

/// Pushes an image for each of two platforms, and gives their names.
fn two_platforms(mica: &Mica, hub: &Hub) -> [String; 2] {
    ["amd64", "arm64"].map(|architecture| {
        let name = hub.name(&format!("me/app:1-{architecture}"));
        let files = Layer::new().file("arch", architecture).file("same", "x".repeat(5000));
        mica.file("fs.tar", files.tar());
        mica.ok(&format!("import --platform linux/{architecture} fs.tar {name}"));
        mica.ok(&format!("push -q {name}"));
        name
    })
}

/// The digests in an index.
fn entries(index: &Value) -> Vec<Value> {
    index["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].clone()).collect()
}

#[test]
fn lists_are_made_annotated_and_pushed() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let [amd, arm] = two_platforms(&mica, &hub);
    let list = hub.name("me/app:1");
    let made = format!("Created manifest list {list}");
    assert_eq!(mica.ok(&format!("manifest create {list} {amd}")), made);
    mica.run(&format!("manifest create {list} {arm}"))
        .fails(1, "refusing to amend an existing manifest list with no --amend flag\n");
    assert_eq!(mica.ok(&format!("manifest create -a {list} {arm}")), made);
    mica.ok(&format!("manifest annotate --variant v8 --os-version 6.1 {list} {arm}"));
    let nothing = hub.name("me/app:9");
    mica.run(&format!("manifest annotate --arch s390x {list} {nothing}"))
        .fails(1, &format!("manifest for image {nothing} does not exist in {list}\n"));
    let before = mica.json(&format!("manifest inspect {list}"));
    let platform = |at: usize| before["manifests"][at]["platform"].clone();
    assert_eq!(platform(0), json!({ "architecture": "amd64", "os": "linux" }));
    assert_eq!(
        platform(1),
        json!({ "architecture": "arm64", "os": "linux", "os.version": "6.1", "variant": "v8" })
    );
    mica.run(&format!("manifest annotate --arch mips128 {list} {arm}"))
        .fails(1, "manifest entry for image has unsupported os/arch combination: linux/mips128\n");
    let pushed = mica.run(&format!("manifest push -p {list}"));
    assert_eq!(pushed.code, 0, "{pushed}");
    let lines: Vec<&str> = pushed.out.lines().collect();
    let one = before["manifests"][0]["digest"].as_str().unwrap();
    let repository = hub.name("me/app");
    assert_eq!(lines[0], format!("Pushed ref {repository}@{one} with digest: {one}"));
    let (digest, count) = (lines.last().unwrap().to_string(), lines.len());
    assert_eq!(count, 3, "{pushed}");
    assert_eq!(mica.ok(&format!("remote digest {list}")), digest);
    assert_eq!(mica.json(&format!("manifest inspect {list}")), before);
    let verbose = mica.json(&format!("manifest inspect -v {list}"));
    assert_eq!(verbose[1]["Descriptor"]["platform"]["variant"], json!("v8"));
    assert_eq!(verbose[0]["SchemaV2Manifest"]["schemaVersion"], json!(2));
    mica.run(&format!("manifest rm {list}")).fails(1, &format!("No such manifest: {list}\n"));
    mica.run(&format!("manifest create {list} {list}"))
        .fails(1, &format!("{list} is a manifest list\n"));
    // Into another repository the images come along.
    let other = hub.name("you/all:2");
    mica.ok(&format!("manifest create {other} {amd} {arm}"));
    // What the policy does not let out of where they are, goes nowhere.
    let rule = format!("[[rule]]\nprefix = \"{}/me\"\npolicy = \"reject\"\n", hub.host);
    let policy = mica.file("policy.toml", &rule);
    let config =
        mica.file("mica.toml", format!("[registries]\npolicy = \"{}\"\n", policy.display()));
    mica.run(&format!("--config {} manifest push {other}", config.display()))
        .complains(1, "may not be pulled: the policy rejects it");
    assert_eq!(mica.run(&format!("manifest push {other}")).code, 0);
    mica.ok(&format!("manifest rm {other}"));
    for architecture in ["amd64", "arm64"] {
        mica.ok(&format!("pull -q --platform linux/{architecture} {other}"));
    }
    let missing = hub.name("no/where:1");
    mica.run(&format!("manifest inspect {missing}"))
        .fails(1, &format!("no such manifest: {missing}\n"));
}

/// Puts a document into a registry as it is written.
fn put(mica: &Mica, place: &str, kind: &str, text: &str, blobs: &[&[u8]]) -> Value {
    let folder = mica.path("written");
    let _ = fs::remove_dir_all(&folder);
    let to = folder.join("blobs/sha256");
    fs::create_dir_all(&to).unwrap();
    for bytes in blobs.iter().copied().chain([text.as_bytes()]) {
        fs::write(to.join(spec::Digest::of(bytes).hex()), bytes).unwrap();
    }
    let digest = spec::Digest::of(text.as_bytes());
    let mut entry = json!({ "mediaType": kind, "size": text.len(), "digest": digest });
    let described = entry.clone();
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "it" });
    fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    mica.ok(&format!("remote cp -q oci:written:it {place}"));
    described
}

#[test]
fn manifests_are_shown_as_docker_shows_them() {
    need_programs!("docker");
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let config: &[u8] = br#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let kinds = ["application/vnd.oci.image", "application/vnd.docker.distribution"];
    for (kind, own, index, of_config) in [
        (kinds[0], "manifest.v1+json", "index.v1+json", "application/vnd.oci.image.config.v1+json"),
        (
            kinds[1],
            "manifest.v2+json",
            "manifest.list.v2+json",
            "application/vnd.docker.container.image.v1+json",
        ),
    ] {
        let (own, index) = (format!("{kind}.{own}"), format!("{kind}.{index}"));
        let config_place = json!({
            "mediaType": of_config, "digest": spec::Digest::of(config), "size": config.len(),
        });
        let annotations = match kind == kinds[0] {
            true => {
                ", \"annotations\": { \"z\" : \"<&>\", \"a\":\"\\u00e9 { : ,\\u2028\" }, \"own\": 1.50e1"
            }
            false => "",
        };
        let text = format!(
            "{{ \"schemaVersion\": 2,\n \"mediaType\":\"{own}\", \"config\": {config_place}, \
             \"layers\": [ ]{annotations} }}"
        );
        let (one, all) = (hub.name("me/app:one"), hub.name("me/app:all"));
        let mut entry = put(&mica, &one, &own, &text, &[config]);
        let bare = entry.clone();
        entry["platform"] = json!({
            "architecture": "arm64", "os": "linux", "os.version": "1", "variant": "v8",
            "os.features": ["b", "a"],
        });
        entry["annotations"] = json!({ "x": "<y>" });
        let list = json!({
            "schemaVersion": 2, "mediaType": index, "manifests": [entry, bare],
            "annotations": { "top": "1" },
        });
        put(&mica, &all, &index, &list.to_string(), &[config, text.as_bytes()]);
        for line in [one.clone(), format!("-v {one}"), all.clone(), format!("-v {all}")] {
            let line = format!("manifest inspect --insecure {line}");
            let docker = mica.program("docker").args(line.split(' ')).output().unwrap();
            let docker = Run::of(&line, docker);
            assert_eq!(docker.code, 0, "{docker}");
            assert_eq!(mica.run(&line).out, docker.out, "{line}");
        }
    }
}

#[test]
fn images_are_combined_under_a_name() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let [amd, arm] = two_platforms(&mica, &hub);
    // An image that is alone comes, whatever it is for.
    mica.ok(&format!("rmi -f {amd}"));
    mica.ok(&format!("pull -q --platform linux/arm64 {amd}"));
    assert_eq!(mica.ok(&format!("inspect --format {{{{.Architecture}}}} {amd}")), "amd64");
    let all = hub.name("you/all:1");
    let dry = mica.json(&format!("buildx imagetools create --dry-run -t {all} {amd} {arm}"));
    assert_eq!(dry["manifests"][1]["platform"]["architecture"], json!("arm64"));
    mica.run(&format!("remote digest {all}")).complains(1, "no such manifest");
    let run = mica.run(&format!("buildx imagetools create -t {all} {amd}"));
    assert_eq!(run.code, 0, "{run}");
    let inspect = |format: &str| mica.ok(&format!("buildx imagetools inspect {format} {all}"));
    assert_eq!(entries(&serde_json::from_str(&inspect("--raw")).unwrap()).len(), 1);
    let arguments = format!("--annotation index:org.example.note=both --append -t {all} {arm}");
    let run = mica.run(&format!("buildx imagetools create --metadata-file meta {arguments}"));
    assert_eq!(run.code, 0, "{run}");
    let raw: Value = serde_json::from_str(&inspect("--raw")).unwrap();
    assert_eq!(raw["annotations"], json!({ "org.example.note": "both" }));
    assert_eq!(entries(&raw), entries(&dry));
    let meta: Value = serde_json::from_slice(&fs::read(mica.path("meta")).unwrap()).unwrap();
    let digest = mica.ok(&format!("remote digest {all}"));
    assert_eq!(meta["containerimage.descriptor"]["digest"], json!(digest));
    let page = inspect("");
    let top = format!(
        "Name:      {all}\nMediaType: application/vnd.oci.image.index.v1+json\nDigest:    {digest}\n\nManifests:\n  Name:      {all}@sha256:"
    );
    assert!(page.starts_with(&top) && page.contains("\n  Platform:  linux/arm64"), "{page}");
    assert_eq!(inspect("--format {{.Manifest}}"), page);
    assert_eq!(inspect("--format {{.Manifest.digest}}"), digest);
    assert_eq!(inspect("--format {{.Manifest.Digest}}"), digest);
    let listed = "{{range .Manifest.Manifests}}{{.Platform.Architecture}} {{end}}";
    assert_eq!(inspect(&format!("--format '{listed}'")), "amd64 arm64 ");
    let arm64 = "{{(index .Image \"linux/arm64\").Architecture}}";
    assert_eq!(inspect(&format!("--format '{arm64}'")), "arm64");
    let whole: Value = serde_json::from_str(&inspect("--format '{{json .}}'")).unwrap();
    let keys: Vec<_> = whole.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "manifest", "image"]);
    let same = "--format '{{ with . }}{{ . | json }}{{ end }}'";
    assert_eq!(serde_json::from_str::<Value>(&inspect(same)).unwrap(), whole);
    assert_eq!(whole["manifest"]["digest"], json!(digest));
    let images: Value = serde_json::from_str(&inspect("--format '{{json .Image}}'")).unwrap();
    assert_eq!(images["linux/arm64"]["architecture"], json!("arm64"));
    // One source is copied as it is, under as many names as there are.
    let copies = ["you/copy:1", "they/copy:2"].map(|name| hub.name(name));
    let run =
        mica.run(&format!("buildx imagetools create -t {} -t {} {all}", copies[0], copies[1]));
    assert_eq!(run.code, 0, "{run}");
    for copy in &copies {
        assert_eq!(mica.ok(&format!("remote digest {copy}")), digest);
    }
    let bare = hub.name("you/bare");
    mica.run(&format!("buildx imagetools create --prefer-index=false -t {bare} {amd}"));
    assert_eq!(mica.ok(&format!("remote digest {bare}")), mica.ok(&format!("remote digest {amd}")));
    let run = format!("buildx imagetools create --platform linux/arm64 -t {bare} {all}");
    assert_eq!(mica.run(&run).code, 0);
    let shown = mica.json(&format!("remote inspect {bare}"));
    assert_eq!((&shown["Architecture"], &shown["Manifests"][1]), (&json!("arm64"), &Value::Null));
    // The repository that is named goes without saying for digests alone.
    let parts = entries(&dry);
    let [one, two] = [&parts[0], &parts[1]].map(|digest| digest.as_str().unwrap());
    let both = format!("{}@{one} {two}", hub.name("you/all"));
    let again = mica.json(&format!("buildx imagetools create --dry-run {both}"));
    assert_eq!(entries(&again), entries(&dry));
    mica.run("buildx imagetools create app").complains(1, "no tags specified");
    mica.run(&format!("buildx imagetools create -t {all}")).complains(1, "no sources specified");
}

#[test]
fn images_are_copied_between_registries() {
    need_programs!("docker-registry", "skopeo");
    let mica = Mica::new();
    let (hub, registry) = (Hub::start(&mica, &[]), Registry::plain(&mica));
    let skopeo = Peer::new(&mica, "skopeo");
    let [amd, arm] = two_platforms(&mica, &hub);
    let all = hub.name("me/app:1");
    assert_eq!(mica.run(&format!("buildx imagetools create -t {all} {amd} {arm}")).code, 0);
    let digest = mica.ok(&format!("remote digest {all}"));
    let there = registry.name("mirror/app:1");
    let copied = mica.run(&format!("remote cp {all} {there}"));
    assert!(copied.code == 0 && copied.out == format!("{digest}\n"), "{copied}");
    assert_eq!(copied.err.matches(": Manifest copied\n").count(), 3, "{copied}");
    let shown = skopeo.json(&format!("inspect --raw --tls-verify=false docker://{there}"));
    assert_eq!(entries(&shown).len(), 2);
    let again = mica.run(&format!("remote cp {all} {there}"));
    assert_eq!(again.err.matches(": Manifest already exists\n").count(), 1, "{again}");
    // Within a registry nothing is sent at all.
    let beside = mica.run(&format!("remote cp {all} {}", hub.name("beside/app:1")));
    assert!(beside.err.contains(": Mounted\n") && !beside.err.contains(": Copied\n"), "{beside}");
    // One platform, into a folder, and from there to where it has not been.
    mica.ok(&format!("remote cp -q --platform linux/arm64 {there} oci:layout:arm"));
    let id = mica.ok("load -q -i oci:layout:arm");
    let id = id.strip_prefix("Loaded image: app:arm").map_or(id.clone(), |_| "app:arm".into());
    let id = id.trim_start_matches("Loaded image ID: ");
    assert_eq!(mica.ok(&format!("image inspect -f {{{{.Architecture}}}} {id}")), "arm64");
    let back = hub.name("from/folder:1");
    let one = mica.ok(&format!("remote cp -q oci:layout:arm {back}"));
    assert_eq!(one, mica.ok(&format!("remote digest {arm}")));
    let ls = |what: &str| mica.ok(&format!("remote ls {what}"));
    assert_eq!(ls(&hub.name("me/app")), "1\n1-amd64\n1-arm64");
    assert_eq!(ls(&format!("{}/", registry.name("").trim_end_matches('/'))), "mirror/app");
    let config = mica.json(&format!("remote inspect --config --platform linux/arm64 {all}"));
    assert_eq!(config["architecture"], json!("arm64"));
    // Names go alone where the registry can do it.
    mica.ok(&format!("remote rm {}", hub.name("me/app:1-arm64")));
    assert_eq!(ls(&hub.name("me/app")), "1\n1-amd64");
    assert_eq!(mica.ok(&format!("remote digest {back}")), one);
    mica.run(&format!("remote rm {}", hub.name("me/app:none"))).complains(1, "no such manifest");
    mica.run(&format!("remote cp {} x/y", hub.name("me/none"))).complains(1, "no such manifest");
}

#[test]
fn what_refers_to_an_image_comes_along() {
    need_programs!("docker-registry");
    let mica = Mica::new();
    let (hub, registry) = (Hub::start(&mica, &[]), Registry::plain(&mica));
    let [name, _] = two_platforms(&mica, &hub);
    let subject = mica.json(&format!("manifest inspect -v {name}"))["Descriptor"].clone();
    let digest = subject["digest"].as_str().unwrap().to_owned();
    // A signature by the protocol's own means.
    let client = registry::Client::new(registry::ClientSettings::default());
    let parsed = spec::Reference::parse(&name).unwrap();
    let repository = client.repository(&parsed, registry::Access::Push).unwrap();
    let empty = spec::Digest::of(b"{}");
    let open = |_: u64| Ok(Box::new(&b"{}"[..]) as Box<dyn std::io::Read>);
    repository.put_blob(&empty, 2, None, &open).unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.signature",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 },
        "layers": [], "subject": subject, "annotations": { "by": "me" },
    });
    let bytes = manifest.to_string().into_bytes();
    let signature = spec::Digest::of(&bytes);
    let target = registry::Target::Digest(signature);
    repository.put_document(&target, &spec::MediaType::OciManifest, &bytes).unwrap();
    let mut places = vec![hub.name("copy/app:1"), registry.name("copy/app:1")];
    let mut from = name;
    while let Some(to) = places.pop() {
        mica.ok(&format!("remote cp -q --referrers {from} {to}"));
        let there = spec::Reference::parse(&to).unwrap();
        let there = client.repository(&there, registry::Access::Pull).unwrap();
        let found = there.referrers(&digest.parse().unwrap(), None).unwrap();
        assert_eq!(found.len(), 1, "{to}");
        assert_eq!(found[0].digest, signature);
        assert_eq!(found[0].artifact_type.as_deref(), Some("application/vnd.example.signature"));
        assert_eq!(found[0].annotations["by"], "me");
        from = to;
    }
    mica.ok(&format!("remote cp -q --referrers {from} oci:folder:app"));
    let back = hub.name("back/app:1");
    mica.ok(&format!("remote cp -q --referrers oci:folder:app {back}"));
    let there = spec::Reference::parse(&back).unwrap();
    let there = client.repository(&there, registry::Access::Pull).unwrap();
    assert_eq!(there.referrers(&digest.parse().unwrap(), None).unwrap().len(), 1);
}

#[test]
fn registries_and_folders_are_kept_in_step() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    two_platforms(&mica, &hub);
    let source = hub.name("me/app");
    let target = format!("{}/mirror", hub.host);
    let would = mica.ok(&format!("image sync --dry-run {source} {target}"));
    assert_eq!(would.matches(": would be copied from ").count(), 2, "{would}");
    let first = mica.ok(&format!("image sync -q {source} {target}"));
    let there = hub.name("mirror/me/app:1-amd64");
    assert!(first.starts_with(&format!("{there}: copied sha256:")), "{first}");
    assert_eq!(first.lines().count(), 2, "{first}");
    let second = mica.ok(&format!("image sync {source} {target}"));
    assert_eq!(second.matches(": up to date").count(), 2, "{second}");
    // By a list, with a pattern, into a folder, and out of it again.
    mica.file("list", format!("# what is wanted\n{source}  # all tags\n\n"));
    let rows = mica.ok("image sync -f list --tags '*-arm64' --format json oci:folder");
    let row: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(
        (&row["Status"], &row["Source"]),
        (&json!("copied"), &json!(format!("{source}:1-arm64")))
    );
    assert!(row["MovedBytes"].as_u64().unwrap() > 0);
    let out = mica.ok(&format!("image sync -q oci:folder {}/out", hub.host));
    assert_eq!(digest_in(&out), row["Digest"].as_str().unwrap());
    assert_eq!(
        mica.ok(&format!("remote digest {}", hub.name("out/me/app:1-arm64"))),
        row["Digest"].as_str().unwrap()
    );
    // Everything a registry has, and what it has not.
    let everything = mica.ok(&format!("image sync -q {}/ oci:everything", hub.host));
    assert_eq!(everything.matches(": copied ").count(), 5, "{everything}");
    let missing = hub.name("me/app:none");
    let run = mica.run(&format!("image sync -q -k {missing} {source}:1-amd64 {target}"));
    assert!(run.code == 1 && run.out.contains(": failed\n"), "{run}");
    assert!(run.err.contains("error: 1 of 2 images were not copied"), "{run}");
    mica.run(&format!("image sync {target}")).complains(1, "nothing is named");
}

/// Puts an index under a name, as somebody else may have made it.
fn put_index(name: &str, entries: Vec<Descriptor>) -> Digest {
    let client = Client::new(ClientSettings::default());
    let name = Reference::parse(name).unwrap();
    let repository = client.repository(&name, Access::Push).unwrap();
    let index = Index::new(entries).to_bytes();
    let target = Target::Tag(name.tag().unwrap().to_owned());
    repository.put_document(&target, &MediaType::OciIndex, &index).unwrap();
    Digest::of(&index)
}

#[test]
fn indexes_in_indexes_are_looked_into() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let [amd, arm] = two_platforms(&mica, &hub);
    let (inner, outer) = (hub.name("me/app:inner"), hub.name("me/app:outer"));
    mica.run(&format!("buildx imagetools create -t {inner} {amd} {arm}")).works();
    let document = mica.run(&format!("remote inspect --raw {inner}")).out;
    let kind = MediaType::from("application/vnd.oci.image.index.v1+json");
    let entry = Descriptor { platform: None, ..Descriptor::of(kind, document.as_bytes()) };
    put_index(&outer, vec![entry]);
    for (architecture, image) in [("amd64", &amd), ("arm64", &arm)] {
        let line = format!("remote inspect --platform linux/{architecture} {outer}");
        let shown = mica.json(&line);
        assert_eq!(shown["ManifestDigest"], json!(mica.ok(&format!("remote digest {image}"))));
        assert_eq!(shown["Architecture"], json!(architecture));
    }
}

#[test]
fn what_is_missing_of_an_index_is_named() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let [amd, _] = two_platforms(&mica, &hub);
    let document = mica.run(&format!("remote inspect --raw {amd}")).out;
    let there = Descriptor::of(MediaType::OciManifest, document.as_bytes());
    let missing = Descriptor::of(MediaType::OciManifest, b"nowhere");
    let digest = missing.digest;
    let name = hub.name("me/app:broken");
    put_index(&name, vec![there, missing]);
    let told = format!("no such manifest: {}@{digest}\n", hub.name("me/app"));
    mica.run(&format!("image sync {name} {}/mirror", hub.host)).complains(1, &told);
    mica.run(&format!("remote inspect {name}")).complains(1, &told);
}

//! Layers compressed otherwise than they were, and what other programs make of them.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::{Layer, Tree, oracle};

use super::hub::Hub;
use super::peers::{Peer, digest_in, must_have, rich};
use super::registry::Registry;
use crate::support::Mica;
use crate::{need_peers, need_programs};

/// What the registry has under a name, as it is.
fn raw(mica: &Mica, name: &str) -> Value {
    mica.json(&format!("remote inspect --raw {name}"))
}

/// The types of the layers of a manifest.
fn kinds(manifest: &Value) -> Vec<&str> {
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["mediaType"].as_str().unwrap().rsplit('.').next().unwrap()).collect()
}

/// Builds an image for two platforms, and pushes it.
fn build_for_two(mica: &Mica, name: &str) {
    fs::create_dir_all(mica.path("ctx")).unwrap();
    fs::write(mica.path("ctx/file"), vec![7; 100_000]).unwrap();
    fs::write(
        mica.path("ctx/Dockerfile"),
        "FROM scratch\nARG TARGETARCH\nCOPY file /$TARGETARCH\n",
    )
    .unwrap();
    let platforms = "--platform linux/amd64,linux/arm64";
    mica.ok(&format!("build -q --provenance=false {platforms} -t {name} ctx"));
    mica.ok(&format!("push -q {name}"));
}

#[test]
fn images_for_several_platforms_are_compressed_otherwise_together() {
    testkit::need_root!();
    let mica = Mica::on_disk();
    let hub = Hub::start(&mica, &[]);
    let (name, other) = (hub.name("app:1"), hub.name("app:2"));
    build_for_two(&mica, &name);
    let before = raw(&mica, &name);
    mica.ok(&format!("tag {name} {other}"));
    let line = "push --compression-format zstd --force-compression";
    let pushed = digest_in(mica.ok(&format!("{line} {other}")).lines().last().unwrap());
    let after = raw(&mica, &other);
    let entries = after["manifests"].as_array().unwrap();
    assert_eq!(after["mediaType"], json!("application/vnd.oci.image.index.v1+json"));
    for (entry, old) in entries.iter().zip(before["manifests"].as_array().unwrap()) {
        assert_eq!(entry["platform"], old["platform"]);
        assert_ne!(entry["digest"], old["digest"]);
        let one = raw(&mica, &hub.name(&format!("app@{}", entry["digest"].as_str().unwrap())));
        assert_eq!(kinds(&one), ["v1+zstd"].map(|kind| kind.replace("v1", "tar")), "{one}");
    }
    // What was asked for once need not be made again, and the other name is as it was.
    let again = mica.ok(&format!("{line} {other}"));
    assert!(again.contains("Layer already exists") && !again.contains(": Pushed"), "{again}");
    assert_eq!(digest_in(again.lines().last().unwrap()), pushed);
    mica.ok(&format!("push -q --platform linux/amd64 {line} {other}", line = &line[5..]));
    assert_eq!(kinds(&raw(&mica, &other)), ["tar+zstd"]);
    mica.ok(&format!("push -q {name}"));
    assert_eq!(raw(&mica, &name), before);
    mica.must_be_whole();
}

#[test]
fn one_name_is_compressed_otherwise_and_no_other() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let (name, other) = (hub.name("app:gzip"), hub.name("app:zstd"));
    mica.import(&name);
    mica.ok(&format!("tag {name} {other}"));
    let push = |words: &str| {
        let told = mica.ok(&format!("push {words}"));
        (digest_in(told.lines().last().unwrap()), told)
    };
    let (gzip, _) = push(&name);
    // What is compressed already stays so, and that is said, unless somebody insists.
    let zstd = |more: &str| push(&format!("--compression-format zstd {more}{other}")).0;
    let made = zstd("");
    assert_eq!(kinds(&raw(&mica, &other)), ["tar+zstd"]);
    assert_eq!(push(&name).0, gzip);
    assert_eq!(push(&other).0, made, "as it was pushed before");
    mica.must_be_whole();
    for coding in ["zstd:chunked", "gzip", "zstd"] {
        push(&format!("--compression-format {coding} {other}"));
        mica.must_be_whole();
    }
    // Harder than before, in the same way.
    let (hard, _) = push(&format!("--compression-level 19 --force-compression {other}"));
    assert_eq!(kinds(&raw(&mica, &other)), ["tar+zstd"]);
    assert_ne!(hard, made);
    // As it came, it goes.
    let there = Mica::new();
    there.ok(&format!("pull -q {name}"));
    there.ok(&format!("tag {name} {}", hub.name("app:3")));
    let told = there.ok(&format!("push --compression-format zstd {}", hub.name("app:3")));
    assert!(told.contains(": Stays gzip, unless --force-compression\n"), "{told}");
    assert_eq!(digest_in(told.lines().last().unwrap()), gzip);
}

#[test]
fn a_layer_without_words_for_it_goes_without_a_table() {
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let name = hub.name("app:1");
    fs::write(mica.path("odd.tar"), Layer::new().file(b"\xff", "no text").tar()).unwrap();
    mica.ok(&format!("import odd.tar {name}"));
    let line = format!("push --compression-format zstd:chunked {name}");
    let first = mica.ok(&line);
    assert!(
        first.contains(": No table can say what is in it, so it went as zstd alone\n"),
        "{first}"
    );
    let again = mica.ok(&line);
    assert!(again.contains(": Layer already exists\n"), "{again}");
}

#[test]
fn a_base_with_a_table_keeps_it_below_other_images() {
    testkit::need_root!();
    let (mica, other) = (Mica::on_disk(), Mica::on_disk());
    let hub = Hub::start(&mica, &[]);
    let (base, app) = (hub.name("base:1"), hub.name("app:1"));
    mica.import(&base);
    mica.ok(&format!("push -q --compression-format zstd:chunked {base}"));
    let wanted = raw(&mica, &base)["layers"][0].clone();
    fs::create_dir_all(other.path("ctx")).unwrap();
    fs::write(other.path("ctx/Dockerfile"), format!("FROM {base}\nCOPY Dockerfile /\n")).unwrap();
    other.ok(&format!("build -q -t {app} ctx"));
    // Even where nothing but the layer itself tells of it any more.
    other.ok(&format!("rmi {base}"));
    other.ok(&format!("push -q {app}"));
    let pushed = raw(&mica, &app);
    assert_eq!(pushed["layers"][0], wanted);
    assert_eq!(kinds(&pushed), ["tar+zstd", "tar+gzip"]);
}

/// Podman with its files in the test's folder, that fetches parts of layers if it can.
fn with_parts<'a>(mica: &'a Mica) -> Peer<'a> {
    let podman = Peer::new(mica, "podman");
    let config = fs::read_to_string(mica.path("storage.conf")).unwrap();
    let config = config.replace("\"vfs\"", "\"overlay\"");
    let options = "[storage.options]\npull_options = {enable_partial_images = \"true\"}\n";
    mica.file("storage.conf", config + options);
    podman
}

/// Pushed in every way there is, and read by those who did not make it.
fn is_read_by_others(mica: &Mica, place: &dyn Fn(&str) -> String) {
    let skopeo = Peer::new(mica, "skopeo");
    let podman = with_parts(mica);
    let image = rich(&[&place("app:gzip")]);
    mica.load(&image);
    for (tag, coding) in [("gzip", "gzip"), ("zstd", "zstd"), ("chunked", "zstd:chunked")] {
        let name = place(&format!("app:{tag}"));
        mica.ok(&format!("tag {} {name}", image.id()));
        mica.ok(&format!("push -q --force-compression --compression-format {coding} {name}"));
        let copy = "--policy policy.json copy --quiet --src-tls-verify=false";
        skopeo.ok(&format!("{copy} docker://{name} oci:{tag}:1"));
        let mut pull = podman.command(&format!(
            "--log-level=debug pull --tls-verify=false --signature-policy policy.json {name}"
        ));
        let told = streams(&mut pull);
        // Those of this age lose times and devices when they take parts, and are not told that they can.
        assert!(!told.contains("Retrieved partial blob"), "{tag}: {told}");
        let shown = &podman.json(&format!("image inspect {name}"))[0];
        assert_eq!(shown["Id"].as_str(), Some(&image.id()[7..]), "{tag}");
        let path = podman.ok(&format!("image mount {name}"));
        let expected = oracle::apply(image.layers());
        let mut found = Tree::read(path.as_ref()).unwrap();
        // The root is podman's own.
        found.nodes.insert(Vec::new(), expected.get("").unwrap().clone());
        found.must_equal(&expected, tag);
        podman.ok(&format!("image unmount {name}"));
        // The next one comes anew.
        podman.ok(&format!("rmi -f {name}"));
        mica.ok(&format!("load -q -i oci:{tag}"));
    }
    mica.ok(&format!("rmi -f {}", image.id()));
    mica.ok(&format!("pull -q {}", place("app:chunked")));
    must_have(mica, &place("app:chunked"), &image, "pulled");
}

/// A program's both streams; it must succeed.
#[track_caller]
fn streams(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let all = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command:?}: {all}");
    all
}

#[test]
fn others_read_all_forms_from_our_registry() {
    need_peers!("podman", "skopeo");
    let mica = Mica::on_disk();
    let hub = Hub::start(&mica, &[]);
    is_read_by_others(&mica, &|name| hub.name(name));
}

#[test]
fn others_read_all_forms_from_dockers_registry() {
    need_peers!("podman", "skopeo", "docker-registry");
    let mica = Mica::on_disk();
    let registry = Registry::plain(&mica);
    is_read_by_others(&mica, &|name| registry.name(name));
}

/// The library that podman and skopeo have reads our signatures and writes them anew; what it wrote
/// is believed here. (Debian's own build of it does not decide on them.)
#[test]
fn signatures_go_through_other_hands() {
    need_programs!("openssl", "skopeo");
    let mica = Mica::new();
    let hub = Hub::start(&mica, &[]);
    let name = hub.name("me/app:1");
    for line in [
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem",
        "pkey -in key.pem -pubout -out key.pub",
    ] {
        streams(mica.program("openssl").args(line.split(' ')));
    }
    mica.import(&name);
    mica.ok(&format!("push -q --sign-key key.pem {name}"));
    // What is said about an image is no image, and is not pulled as one.
    mica.ok(&format!("pull -q -a {}", name.rsplit_once(':').unwrap().0));
    fs::create_dir_all(mica.path("registries.d")).unwrap();
    let attached = format!("docker:\n  {}:\n    use-sigstore-attachments: true\n", hub.host);
    mica.file("registries.d/hub.yaml", attached);
    let skopeo = Peer::new(&mica, "skopeo");
    let copy = "--policy policy.json --registries.d registries.d copy --quiet";
    skopeo.ok(&format!("{copy} --src-tls-verify=false docker://{name} dir:signed"));
    let found = fs::read(mica.path("signed/signature-1")).unwrap();
    let json = found.strip_prefix(b"\0sigstore-json\n").unwrap();
    let read: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(read["mimeType"], json!("application/vnd.dev.cosign.simplesigning.v1+json"));
    // Gone here, it comes back from there.
    let digest = mica.ok(&format!("remote digest {name}"));
    let signature = hub.name(&format!("me/app:{}.sig", digest.replace(':', "-")));
    mica.run(&format!("pull {signature}"))
        .complains(1, "unsupported media type application/vnd.dev.cosign.simplesigning.v1+json\n");
    mica.ok(&format!("remote rm {signature}"));
    let verify = || mica.run(&format!("remote verify --key key.pub {name}"));
    verify().complains(1, "it has no signature");
    skopeo.ok(&format!("{copy} --dest-tls-verify=false dir:signed docker://{name}"));
    verify().prints(&format!("{digest}\n"));
    // Changed on the way, it is worth nothing.
    let payload = read["payload"].as_str().unwrap();
    let changed = String::from_utf8(STANDARD.decode(payload).unwrap()).unwrap();
    let changed = STANDARD.encode(changed.replace("me/app:1", "me/app:2"));
    let other = String::from_utf8(found).unwrap().replace(payload, &changed);
    mica.file("signed/signature-1", other);
    mica.ok(&format!("remote rm {signature}"));
    skopeo.ok(&format!("{copy} --dest-tls-verify=false dir:signed docker://{name}"));
    verify().complains(1, "none of its signatures is by a key that is asked for");
}

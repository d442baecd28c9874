//! Where a result goes, read again by the tools of others.

use std::fs;
use std::path::Path;

use serde_json::Value;
use spec::Digest;

use super::Builds;
use crate::compat::peers::Peer;
use crate::compat::registry::Registry;
use crate::need_programs;

const DOCKERFILE: &str = "FROM bb\nCOPY f /dir/f\nRUN echo ran > /ran && chmod 640 /ran\nENV A=1\n";

/// A root with a context of one file.
fn builds() -> Option<Builds> {
    let it = Builds::new()?;
    it.put("f", "content");
    Some(it)
}

/// A JSON file of the test.
#[track_caller]
fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The layers' media types of an image as skopeo finds it.
fn layer_types(skopeo: &Peer<'_>, image: &str) -> Vec<String> {
    let manifest = skopeo.json(&format!("inspect --raw {image}"));
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["mediaType"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn files_go_to_folders_and_tars() {
    let Some(it) = builds() else { return };
    let dockerfile = format!("{DOCKERFILE}FROM scratch\nCOPY --from=0 /dir /ran /out/\n");
    it.builds(&dockerfile, "-o made");
    assert_eq!(fs::read_to_string(it.path("made/out/f")).unwrap(), "content");
    assert_eq!(fs::read_to_string(it.path("made/out/ran")).unwrap(), "ran\n");
    // A second time over what is there; what is not the build's stays.
    it.file("made/out/f", "changed by somebody");
    it.file("made/own", "mine");
    it.builds(&dockerfile, "--output type=local,dest=made");
    assert_eq!(fs::read_to_string(it.path("made/out/f")).unwrap(), "content");
    assert!(it.path("made/own").exists());
    it.builds(&dockerfile, "-o type=tar,dest=made.tar");
    let run = it.run("build --network none -q -o - ctx");
    assert_eq!(run.code, 0, "{run}");
    let streamed = it.command("build --network none -q -o - ctx").output().unwrap().stdout;
    assert_eq!(fs::read(it.path("made.tar")).unwrap(), streamed);
    let listed = it.program("tar").args(["-tf", "made.tar"]).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "out/\nout/f\nout/ran\n");
    // In place of what is there: what is not the build's goes, and links lead nowhere.
    it.file("elsewhere/f", "stays");
    fs::remove_file(it.path("made/out/f")).unwrap();
    it.file("made/out/f/was/a/folder", "x");
    std::os::unix::fs::symlink(it.path("elsewhere"), it.path("made/link")).unwrap();
    std::os::unix::fs::symlink(it.path("elsewhere"), it.path("made/out/dir")).unwrap();
    let mirror = "--output type=local,dest=made,mode=delete";
    it.build(&dockerfile, &format!("{mirror} --allow buildx.local.delete")).works();
    let left: Vec<_> = fs::read_dir(it.path("made")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(fs::read_to_string(it.path("made/out/f")).unwrap(), "content");
    assert_eq!(fs::read_to_string(it.path("elsewhere/f")).unwrap(), "stays");
    let run = it.build(&dockerfile, "--output type=local,dest=/,mode=delete");
    run.complains(1, "mode=delete removes all else in /");
    // A link that an output before has brought leads no emptying astray.
    let linked = format!(
        "FROM bb AS b\nRUN mkdir /o && ln -s {} /o/sub\nFROM scratch\nCOPY --from=b /o /\n",
        it.path("elsewhere").display()
    );
    let run = it.build(&linked, "-o type=local,dest=both -o type=local,dest=both/sub,mode=delete");
    assert_ne!(run.code, 0, "{run}");
    assert_eq!(fs::read_to_string(it.path("elsewhere/f")).unwrap(), "stays");
    // Files alone leave no image behind.
    assert_eq!(it.ok("images -q t"), "");
    let run = it.build(&dockerfile, "-o type=local");
    run.complains(1, "dest is required for local output");
}

#[test]
fn archives_are_read_by_others() {
    need_programs!("skopeo");
    let Some(it) = builds() else { return };
    let skopeo = Peer::new(&it, "skopeo");
    it.builds(DOCKERFILE, "");
    let id = it.id();
    it.builds(DOCKERFILE, "-o type=oci,dest=i.oci --metadata-file m.json --iidfile id");
    let config =
        |image: &str| Digest::of(skopeo.ok(&format!("inspect --config --raw {image}")).as_bytes());
    assert_eq!(config("oci-archive:i.oci:latest").to_string(), id);
    assert_eq!(fs::read_to_string(it.path("id")).unwrap(), id);
    let metadata = json(&it.path("m.json"));
    assert_eq!(metadata["containerimage.config.digest"], id.as_str());
    assert_eq!(metadata["image.name"], "docker.io/library/t:latest");
    let raw = skopeo.ok("inspect --raw oci-archive:i.oci:latest");
    assert_eq!(metadata["containerimage.digest"], Digest::of(raw.as_bytes()).to_string());
    assert!(metadata["buildx.build.ref"].as_str().unwrap().starts_with("default/default/"));
    let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    assert_eq!(layer_types(&skopeo, "oci-archive:i.oci:latest"), [gzip; 3]);
    it.builds(DOCKERFILE, "-o type=docker,dest=i.docker");
    assert_eq!(config("docker-archive:i.docker:t:latest").to_string(), id);
    it.builds(
        DOCKERFILE,
        "-o type=oci,dest=layout,tar=false,compression=zstd,force-compression=true",
    );
    let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
    assert_eq!(layer_types(&skopeo, "oci:layout:latest"), [zstd; 3]);
    it.builds(DOCKERFILE, "-o type=oci,dest=plain.oci,compression=uncompressed,name=other/name:9");
    assert_eq!(
        layer_types(&skopeo, "oci-archive:plain.oci:latest"),
        ["application/vnd.oci.image.layer.v1.tar"; 3]
    );
    // Level 9 is smaller than level 1, or at least not the same.
    let size = |level: &str| {
        it.builds(
            DOCKERFILE,
            &format!("-o type=oci,dest=l.oci,compression-level={level},force-compression=true"),
        );
        fs::metadata(it.path("l.oci")).unwrap().len()
    };
    assert!(size("1") > size("9"));
    // The same image gives the same archive, also from a root that never saw it.
    let bytes = fs::read(it.path("i.oci")).unwrap();
    it.builds(DOCKERFILE, "--no-cache -o type=oci,dest=again.oci");
    assert!(fs::read(it.path("again.oci")).unwrap() == bytes);
    let stream =
        it.command("build --network none -q -t t -o type=oci,dest=- ctx").output().unwrap();
    assert!(stream.stdout == bytes);
    // And what others read, mica reads.
    it.ok("rmi -f t");
    it.run("load -i i.oci").works();
    assert_eq!((it.id(), it.shows("cat /ran /dir/f")), (id, "ran\ncontent".to_owned()));
}

#[test]
fn annotations_and_compression_stay_with_the_image() {
    need_programs!("docker-registry", "skopeo");
    let Some(it) = builds() else { return };
    let (registry, skopeo) = (Registry::plain(&it), Peer::new(&it, "skopeo"));
    let name = registry.name("app:1");
    it.put("Dockerfile", DOCKERFILE);
    let line =
        "build --network none --annotation org.example.a=1 --annotation manifest:b=2 --label l=x";
    let run =
        it.run(&format!("{line} -o type=image,compression=zstd,annotation.c=3 -t {name} ctx"));
    run.works();
    it.ok(&format!("push -q {name}"));
    let remote = format!("--tls-verify=false docker://{name}");
    let raw = skopeo.ok(&format!("inspect --raw {remote}"));
    let manifest: Value = serde_json::from_str(&raw).unwrap();
    let said = manifest["annotations"].as_object().unwrap();
    let said: Vec<String> = said.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(said, ["b=\"2\"", "c=\"3\"", "org.example.a=\"1\""]);
    let types = layer_types(&skopeo, &remote);
    assert_eq!(types.iter().filter(|text| text.ends_with("zstd")).count(), 3, "{types:?}");
    let shown = skopeo.json(&format!("inspect {remote}"));
    assert_eq!(shown["Labels"]["l"], "x");
    let run = it.run("build --network none --annotation index:a=1 ctx");
    run.complains(1, "index annotations are not supported for a single image");
    let run = it.run("build --annotation nonsense ctx");
    run.complains(1, "invalid annotation \"nonsense\"");
}

#[test]
fn what_is_pushed_can_be_pulled() {
    need_programs!("docker-registry", "skopeo");
    let Some(it) = builds() else { return };
    let (registry, skopeo) = (Registry::plain(&it), Peer::new(&it, "skopeo"));
    it.put("Dockerfile", DOCKERFILE);
    let name = registry.name("me/app:2");
    let run = it.run(&format!("build --network none -t {name} --push --metadata-file m ctx"));
    run.works();
    let digest = json(&it.path("m"))["containerimage.digest"].as_str().unwrap().to_owned();
    let remote = |name: &str| format!("--tls-verify=false docker://{name}");
    let raw = skopeo.ok(&format!("inspect --raw {}", remote(&name)));
    assert_eq!(Digest::of(raw.as_bytes()).to_string(), digest);
    // By its digest alone, under no tag.
    let repository = registry.name("me/bare");
    let output =
        format!("type=image,name={repository},push=true,push-by-digest=true,name-canonical=true");
    it.run(&format!("build --network none -o {output} --metadata-file m ctx")).works();
    let digest = json(&it.path("m"))["containerimage.digest"].as_str().unwrap().to_owned();
    skopeo.ok(&format!("inspect --raw {}", remote(&format!("{repository}@{digest}"))));
    let tags = skopeo.command(&format!("list-tags {}", remote(&repository))).output().unwrap();
    let tags = String::from_utf8_lossy(&tags.stdout).into_owned();
    assert!(!tags.contains("latest"), "{tags}");
    it.run("build --network none --push ctx")
        .complains(1, "tag is needed when pushing to registry");
}

#[test]
fn annotations_stand_at_entries_of_layouts_too() {
    let Some(it) = builds() else { return };
    it.put("Dockerfile", DOCKERFILE);
    let line = "build --network none --metadata-file m.json --annotation";
    it.run(&format!("{line} manifest,manifest-descriptor:a=1 -o type=oci,tar=false,dest=lay ctx"))
        .works();
    let entry = json(&it.path("lay/index.json"))["manifests"][0].clone();
    assert_eq!(entry["annotations"]["a"], "1");
    assert_eq!(json(&it.path("m.json"))["containerimage.descriptor"]["annotations"]["a"], "1");
    let blob = |entry: &Value| {
        let digest = entry["digest"].as_str().unwrap().replace(':', "/");
        json(&it.path(format!("lay/blobs/{digest}")))
    };
    assert_eq!(blob(&entry)["annotations"]["a"], "1");
    std::fs::remove_dir_all(it.path("lay")).unwrap();
    let both = "index-descriptor:i=2 --annotation manifest-descriptor:d=3 --provenance=true";
    it.run(&format!("{line} {both} -o type=oci,tar=false,dest=lay ctx")).works();
    let entry = json(&it.path("lay/index.json"))["manifests"][0].clone();
    assert_eq!(entry["annotations"]["i"], "2");
    assert!(entry["annotations"]["d"].is_null());
    assert_eq!(blob(&entry)["manifests"][0]["annotations"]["d"], "3");
    let run = it.run("build --network none --annotation index-descriptor:a=1 ctx");
    run.complains(1, "index annotations are not supported for a single image");
}

#[test]
fn images_are_known_by_their_digests_where_that_is_asked() {
    let Some(it) = builds() else { return };
    let digests = |name: &str| it.ok(&format!("inspect -f '{{{{json .RepoDigests}}}}' {name}"));
    it.builds(DOCKERFILE, "-o type=image,name-canonical=TRUE");
    let known = digests("t");
    let known = known.trim_matches(['[', ']', '"']);
    assert!(known.starts_with("t@sha256:"), "{known}");
    assert_eq!(it.ok(&format!("images -q --no-trunc {known}")), it.id());
    it.put("Dockerfile", DOCKERFILE);
    let line = "build --network none -q -o type=image,dangling-name-prefix=moby/dangling ctx";
    let id = it.ok(line);
    assert!(digests(&id).contains("\"moby/dangling@sha256:"), "{}", digests(&id));
    it.builds(DOCKERFILE, "-o type=image");
    it.ok("image prune -f");
    assert!(digests("t").contains("moby/dangling@"), "it is the same image");
    it.ok("system check");
}

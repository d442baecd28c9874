//! What is told of how an image was built.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use spec::Digest;

use super::{Builds, on_the_web};
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
    it.run("build --attest type=sum ctx").complains(1, "no attestation of type \"sum\"");
}

/// The statements beside the image of a layout in a folder, by what they are about.
fn statements(it: &Builds, folder: &str) -> BTreeMap<String, Value> {
    let kind = |one: &Value| one["predicateType"].as_str().unwrap().to_owned();
    all_statements(it, folder).into_iter().map(|one| (kind(&one), one)).collect()
}

/// The same where several are of one kind.
fn all_statements(it: &Builds, folder: &str) -> Vec<Value> {
    let read = |path: &str| -> Value {
        serde_json::from_slice(&std::fs::read(it.path(format!("{folder}/{path}"))).unwrap())
            .unwrap()
    };
    let blob = |entry: &Value| {
        read(&format!("blobs/{}", entry["digest"].as_str().unwrap().replace(':', "/")))
    };
    let told = attestation(it, folder);
    let layers = told["layers"].as_array().unwrap().iter();
    let read = |layer: &Value| {
        let statement = blob(layer);
        let kind = &layer["annotations"]["in-toto.io/predicate-type"];
        assert_eq!(*kind, statement["predicateType"]);
        statement
    };
    layers.map(read).collect()
}

const SPDX: &str = "https://spdx.dev/Document";

#[test]
fn what_is_installed_goes_with_the_image() {
    let Some(it) = Builds::new() else { return };
    it.put("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    it.put(
        "var/lib/dpkg/status",
        "Package: tzdata\nStatus: install ok installed\nArchitecture: all\nVersion: 2024a\n",
    );
    it.put("lib/apk/db/installed", "P:musl\nV:1.2\nA:x86_64\nL:MIT\n\n");
    it.put("app/node_modules/left/package.json", r#"{"name":"left","version":"1.3.0"}"#);
    it.put("py/foo-1.dist-info/METADATA", "Name: foo\nVersion: 1\n");
    it.put("var/lib/rpm/Packages", "an old database");
    let dockerfile = "FROM bb\nCOPY . /\nRUN rm /app/node_modules/left/package.json; mkdir -p /app/node_modules/right; echo '{\"name\":\"right\",\"version\":\"2.0.0\"}' > /app/node_modules/right/package.json\n";
    it.put("Dockerfile", dockerfile);
    let line = "build --progress plain --network none -o type=oci,tar=false,dest";
    let run = it.run(&format!("{line}=one --sbom=true --provenance=true ctx"));
    run.works();
    assert!(run.err.contains("generating sbom"), "{run}");
    assert!(run.err.contains("/var/lib/rpm/Packages could not be read"), "{run}");
    let told = statements(&it, "one");
    assert_eq!(told.len(), 2);
    let statement = &told[SPDX];
    assert_eq!(statement["predicateType"], SPDX);
    assert_eq!(
        statement["subject"], told["https://slsa.dev/provenance/v1"]["subject"],
        "both are about the same image"
    );
    let document = &statement["predicate"];
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    let packages = document["packages"].as_array().unwrap();
    let url = |package: &Value| {
        package["externalRefs"][0]["referenceLocator"].as_str().map(str::to_owned)
    };
    let urls: Vec<String> = packages.iter().filter_map(url).collect();
    let wanted = [
        "pkg:apk/debian/musl@1.2?arch=x86_64&distro=debian-12",
        "pkg:deb/debian/tzdata@2024a?arch=all&distro=debian-12",
        "pkg:npm/right@2.0.0",
        "pkg:pypi/foo@1",
    ];
    assert_eq!(urls, wanted);
    // The same build tells the same, and tells nothing that nobody asked for.
    it.run(&format!("{line}=two --no-cache --attest type=sbom ctx")).works();
    let again = statements(&it, "two");
    assert_eq!(again.len(), 1);
    assert_eq!(again[SPDX], *statement);
    // A Dockerfile may want more looked through. What only says so is seen by no command.
    let more = "ARG BUILDKIT_SBOM_SCAN_CONTEXT=true\nFROM bb AS tools\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n\
                RUN test -z \"$BUILDKIT_SBOM_SCAN_STAGE\" && mkdir -p /lib/apk/db; \
                printf 'P:tool\\nV:7\\nA:x86_64\\n\\n' > /lib/apk/db/installed\n\
                FROM bb\nCOPY --from=tools /lib/apk /copied\n";
    it.put("Dockerfile", more);
    it.run(&format!("{line}=three --sbom=true ctx")).works();
    let documents = all_statements(&it, "three");
    let names: Vec<&str> =
        documents.iter().map(|one| one["predicate"]["name"].as_str().unwrap()).collect();
    assert_eq!(names[1..], ["context", "stage-tools"]);
    let has = |at: usize, package: &str| documents[at].to_string().contains(package);
    assert!(has(2, "pkg:apk/") && has(2, "tool@7") && !has(0, "tool@7"));
    assert!(has(1, "pkg:pypi/foo@1") && !has(0, "pkg:pypi/foo@1"));
}

/// A generator that tells the names of what it was given, in the form of BuildKit's scanners.
const GENERATOR: &str = "FROM bb\nWORKDIR /own\nCOPY scan /bin/scan\nUSER 7\nENTRYPOINT [\"sh\", \"/bin/scan\"]\nCMD [\"$word\"]\nONBUILD USER 8\n";
const SCAN: &str = r#"
say() {
    head='"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document"'
    echo "{$head,\"predicate\":{\"spdxVersion\":\"SPDX-2.3\",\"name\":\"$(cat $1/mark)$2\"}}" \
        > $BUILDKIT_SCAN_DESTINATION/$(basename $1).spdx.json
}
say $BUILDKIT_SCAN_SOURCE " by $(id -u) in $(pwd) $1"
[ -z "$BUILDKIT_SCAN_SOURCE_EXTRAS" ] || for one in $BUILDKIT_SCAN_SOURCE_EXTRAS*; do say $one; done
"#;

#[test]
fn a_generator_tells_what_is_installed() {
    let Some(it) = Builds::new() else { return };
    it.put("scan", SCAN);
    it.put("Dockerfile", GENERATOR);
    it.run("build --network none -t scanner ctx").works();
    it.put("mark", "of the context");
    let file = "ARG BUILDKIT_SBOM_SCAN_CONTEXT=true\nFROM bb AS tools\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n\
                RUN echo of the stage > /mark\nFROM bb\nRUN echo of the image > /mark\n";
    it.put("Dockerfile", file);
    it.put("Dockerfile.more", &format!("{file}COPY --from=tools /mark /mark2\n"));
    let line = "build --network none --progress plain --attest type=sbom,generator=scanner";
    it.run(&format!("{line} -o type=oci,tar=false,dest=one ctx")).works();
    let names = |folder: &str| -> Vec<String> {
        let told = all_statements(&it, folder);
        let name = |one: &Value| one["predicate"]["name"].as_str().unwrap().to_owned();
        told.iter().map(name).collect()
    };
    // Documents stand in the order of their names.
    let image = "of the image by 7 in /own $word".to_owned();
    assert_eq!(names("one"), ["of the context".to_owned(), image.clone()]);
    let [first, _] = &all_statements(&it, "one")[..] else { panic!("two documents") };
    assert!(first["subject"][0]["digest"]["sha256"].is_string(), "it is about the image: {first}");
    it.run(&format!("{line} -f ctx/Dockerfile.more -o type=oci,tar=false,dest=two ctx")).works();
    assert_eq!(names("two"), ["of the context", "of the stage", image.as_str()]);
    // Beside files each document has its own name.
    it.run(&format!("{line} -o beside ctx")).works();
    for name in ["sbom.spdx.json", "sbom-context.spdx.json"] {
        assert!(it.path("beside").join(name).exists(), "{name}");
    }
    // What it told is remembered as steps are, and no build of its own is.
    let again = it.run(&format!("{line} -o type=oci,tar=false,dest=three,oci-artifact=true ctx"));
    assert!(again.err.contains("CACHED"), "{again}");
    assert_eq!(it.ok("buildx history ls --format json").lines().count(), 5);
    let manifest = attestation(&it, "three");
    assert_eq!(manifest["artifactType"], "application/vnd.docker.attestation.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(manifest["subject"]["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert!(attestation(&it, "one").get("subject").is_none(), "only where it is asked for");
    it.run("build --attest type=sbom,generator=bb --network none ctx")
        .complains(1, "generator bb:latest says nothing that could be run");
    it.put("Dockerfile", "FROM bb\nCMD [\"true\"]\n");
    it.run("build --network none -t silent ctx").works();
    it.run("build --attest type=sbom,generator=silent --network none ctx")
        .complains(1, "there is no file *.spdx.json in /run/out/");
    it.run("build --attest type=sbom,generator=Scanner ctx").complains(1, "is no image");
}

/// The manifest of what is told in a layout in a folder.
fn attestation(it: &Builds, folder: &str) -> Value {
    let read = |path: &str| -> Value {
        serde_json::from_slice(&std::fs::read(it.path(format!("{folder}/{path}"))).unwrap())
            .unwrap()
    };
    let blob = |entry: &Value| {
        read(&format!("blobs/{}", entry["digest"].as_str().unwrap().replace(':', "/")))
    };
    let index = blob(&read("index.json")["manifests"][0]);
    blob(index["manifests"].as_array().unwrap().last().unwrap())
}

#[test]
fn files_have_what_is_told_beside_them() {
    let Some(it) = Builds::new() else { return };
    it.put("f", "content");
    it.put("Dockerfile", "FROM scratch\nCOPY f /dir/f\n");
    let line = "build --network none --sbom=true";
    it.run(&format!("{line} --provenance=mode=max -o out ctx")).works();
    let read = |path: &str| -> Value {
        serde_json::from_slice(&std::fs::read(it.path(path)).unwrap()).unwrap()
    };
    let provenance = read("out/provenance.json");
    assert_eq!(provenance["predicateType"], "https://slsa.dev/provenance/v1");
    let sbom = read("out/sbom.spdx.json");
    assert_eq!(sbom["predicateType"], SPDX);
    let digest = Digest::of(b"content").hex();
    for told in [&provenance, &sbom] {
        let subjects = told["subject"].as_array().unwrap();
        assert_eq!(subjects.len(), 1);
        assert_eq!(subjects[0]["name"], "dir/f");
        assert_eq!(subjects[0]["digest"]["sha256"], digest.as_str());
    }
    let listed = |output: &str, flags: &str| {
        it.run(&format!("{line} --provenance=true -o type=tar,dest=t.tar{output} {flags} ctx"))
            .works();
        let listed = it.program("tar").args(["-tf", "t.tar"]).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().replace('\n', " ")
    };
    assert_eq!(
        listed(",attestation-prefix=my-", ""),
        "dir/ dir/f my-sbom.spdx.json my-provenance.json "
    );
    let both = "--platform linux/amd64,linux/arm64";
    let shown = listed("", both);
    assert!(shown.contains("linux_arm64/provenance.json "), "{shown}");
    // Two files cannot be in one place.
    let run = it.run(&format!("{line} {both} -o type=local,dest=x,platform-split=false ctx"));
    run.complains(
        1,
        "cannot overwrite dir/f from linux/amd64 with linux/arm64 when split option is disabled",
    );
    it.put("Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY f /dir/$TARGETARCH\n");
    let shown = listed(",platform-split=false", both);
    assert!(shown.contains(" provenance.linux_amd64.json "), "{shown}");
    assert!(shown.contains(" sbom.spdx.linux_arm64.json "), "{shown}");
    let more = "FROM bb AS tools\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN echo > /f\nFROM scratch\nCOPY --from=tools /f /f\n";
    it.put("Dockerfile", more);
    assert_eq!(listed("", ""), "f sbom.spdx.json sbom-tools.spdx.json provenance.json ");
    let run = it.run(
        "build --network none --sbom=true -o type=local,dest=up/out,attestation-prefix=../ ctx",
    );
    run.complains(1, "is no path below the folder");
    it.run("build --network none --provenance=filename=told.json -o named ctx").works();
    assert!(it.path("named/told.json").exists());
    // Who wants it beside images alone, or not at all, has files alone.
    it.run("build --network none --provenance=inline-only=true -o alone ctx").works();
    it.run("build --network none -o alone ctx").works();
    assert!(!it.path("alone/provenance.json").exists());
}

#[test]
fn metadata_tells_how_and_what_was_found() {
    let Some(it) = Builds::new() else { return };
    it.put("Dockerfile", "FROM bb\nCMD echo hi\n");
    let metadata = |variables: &[(&str, &str)]| -> Value {
        let mut command = it.command("build --network none --metadata-file m.json -q ctx");
        command.envs(variables.iter().copied());
        assert!(command.output().unwrap().status.success());
        serde_json::from_slice(&std::fs::read(it.path("m.json")).unwrap()).unwrap()
    };
    let usual = metadata(&[]);
    let base = &usual["buildx.build.provenance"]["buildDefinition"]["resolvedDependencies"][0];
    assert!(base["uri"].as_str().unwrap().starts_with("pkg:docker/bb@latest"), "{usual}");
    assert!(usual["buildx.build.warnings"].is_null());
    let place = "/runDetails/metadata/buildkit_metadata/source/infos/0/filename";
    assert!(usual["buildx.build.provenance"].pointer(place).is_none(), "{usual}");
    let most = metadata(&[("BUILDX_METADATA_PROVENANCE", "max")]);
    assert_eq!(most["buildx.build.provenance"].pointer(place), Some(&"Dockerfile".into()));
    let told =
        metadata(&[("BUILDX_METADATA_PROVENANCE", "disabled"), ("BUILDX_METADATA_WARNINGS", "1")]);
    assert!(told["buildx.build.provenance"].is_null());
    let warning = &told["buildx.build.warnings"][0];
    let text = |field: &Value| {
        let bytes = BASE64_STANDARD.decode(field.as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert!(text(&warning["short"]).starts_with("JSONArgsRecommended: "), "{told}");
    assert!(text(&warning["detail"][0]).contains("JSON arguments recommended"), "{told}");
    assert_eq!(text(&warning["sourceInfo"]["data"]), "FROM bb\nCMD echo hi\n");
    assert_eq!(warning["range"][0]["start"]["line"], 2);
    // A bake tells of all its targets at once.
    it.file("docker-bake.json", r#"{"target":{"default":{"context":"ctx"}}}"#);
    let mut bake = it.command("buildx bake --set *.network=none --metadata-file b.json");
    assert!(bake.env("BUILDX_METADATA_WARNINGS", "true").output().unwrap().status.success());
    let told: Value = serde_json::from_slice(&std::fs::read(it.path("b.json")).unwrap()).unwrap();
    assert_eq!(told["buildx.build.warnings"][0], *warning);
    assert!(told["default"]["buildx.build.warnings"].is_null());
}

#[test]
fn provenance_in_older_words() {
    let Some(it) = Builds::new() else { return };
    it.put("Dockerfile", "FROM bb\nRUN echo 1 > /x\n");
    let how = "version=v0.2,builder-id=https://me/1,reproducible=true";
    it.run(&format!("build --network none -o type=oci,tar=false,dest=old --provenance={how} ctx"))
        .works();
    let [told] = &all_statements(&it, "old")[..] else { panic!("one statement is asked for") };
    assert_eq!(told["_type"], "https://in-toto.io/Statement/v0.1");
    assert_eq!(told["predicateType"], "https://slsa.dev/provenance/v0.2");
    let own = &told["predicate"];
    assert_eq!(own["builder"]["id"], "https://me/1");
    assert_eq!(own["metadata"]["reproducible"], true);
    assert_eq!(own["invocation"]["configSource"]["entryPoint"], "Dockerfile");
    assert!(own["materials"][0]["uri"].as_str().unwrap().starts_with("pkg:docker/bb@latest"));
}

#[test]
fn passwords_of_addresses_are_told_to_nobody() {
    let Some(it) = Builds::new() else { return };
    let host = on_the_web("content");
    it.put("Dockerfile", &format!("FROM bb\nADD http://me:hidden@{host}/f /f\n"));
    let out = "--provenance=true -o type=oci,tar=false,dest=out";
    it.run(&format!("build --network none {out} --cache-to type=local,dest=kept,mode=max ctx"))
        .works();
    let [told] = &all_statements(&it, "out")[..] else { panic!("one statement is asked for") };
    assert!(told.to_string().contains(&format!("http://{host}/f")), "{told}");
    for folder in ["out", "kept"] {
        for blob in std::fs::read_dir(it.path(folder).join("blobs/sha256")).unwrap() {
            let bytes = std::fs::read(blob.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("hidden"), "{folder}: {text}");
        }
    }
}

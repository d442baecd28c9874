//! Images for several platforms from one file.

use serde_json::Value;

use super::{Builds, done};
use crate::compat::peers::Peer;
use crate::compat::registry::Registry;
use crate::need_programs;

/// One stage runs here and builds for all; what is for one platform alone is in the last.
const CROSS: &str = "FROM --platform=$BUILDPLATFORM bb AS build\nRUN echo once > /all\n\
                     ARG TARGETARCH\nRUN echo $TARGETARCH > /arch\n\
                     FROM scratch\nCOPY --from=build /all /arch /\nCMD [\"/all\"]\n";

#[test]
fn an_index_names_an_image_for_each_platform() {
    need_programs!("docker-registry", "skopeo");
    let Some(it) = Builds::new() else { return };
    let (registry, skopeo) = (Registry::plain(&it), Peer::new(&it, "skopeo"));
    let name = registry.name("cross:1");
    it.put("Dockerfile", CROSS);
    let annotations = "--annotation index:of=all --annotation manifest[linux/arm64]:of=arm";
    let line = "build --progress plain --network none --platform linux/amd64,linux/arm64";
    let run = it.run(&format!("{line} --no-cache {annotations} -t {name} --push ctx"));
    run.works();
    // Also without a cache, what is the same for both is done once.
    let runs: Vec<String> = done(&run.err).into_iter().filter(|it| it.starts_with("RUN")).collect();
    let shared = runs.iter().filter(|step| step.contains("once")).count();
    assert_eq!((shared, runs.len()), (1, 3), "{}", run.err);
    assert!(run.err.contains("[linux/arm64 build 3/3] RUN echo $TARGETARCH"), "{}", run.err);
    let index = skopeo.json(&format!("inspect --raw --tls-verify=false docker://{name}"));
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(index["annotations"]["of"], "all");
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    for arch in ["amd64", "arm64"] {
        let one = skopeo.ok(&format!(
            "inspect --config --override-arch {arch} --tls-verify=false docker://{name}"
        ));
        let config: Value = serde_json::from_str(&one).unwrap();
        assert_eq!(config["architecture"], arch);
    }
    // All of them are here too, under one name.
    it.ok(&format!("save --platform linux/arm64 -o arm.tar {name}"));
    // And as files, each in its folder.
    let run = it.run(&format!("{line} -o type=local,dest=files ctx"));
    run.works();
    let arch = |folder: &str| std::fs::read_to_string(it.path(format!("files/{folder}/arch")));
    assert_eq!(
        (arch("linux_amd64").unwrap(), arch("linux_arm64").unwrap()),
        ("amd64\n".into(), "arm64\n".into())
    );
    let run = it.run(&format!("{line} -o type=tar,dest=files.tar ctx"));
    run.works();
    let listed = it.program("tar").args(["-tf", "files.tar"]).output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&listed).contains("linux_arm64/arch\n"));
    it.run(&format!("{line} -o type=oci,dest=both.oci ctx")).works();
    let both = skopeo.json("inspect --raw oci-archive:both.oci");
    assert_eq!(both["manifests"].as_array().unwrap().len(), 2);
    let run = it.run(&format!("{line} -o type=docker,dest=both.docker ctx"));
    run.complains(1, "docker exporter does not currently support exporting manifest lists");
}

#[test]
fn programs_for_others_need_an_emulator() {
    let Some(it) = Builds::new() else { return };
    let registered = std::fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    if registered.into_iter().any(|entry| entry.file_name().to_string_lossy().contains("s390x")) {
        testkit::skip("an emulator for s390x is registered");
        return;
    }
    let run = it.build("FROM scratch\nRUN [\"/x\"]\n", "--platform linux/s390x");
    run.complains(1, "RUN needs programs for linux/s390x");
    run.complains(1, "hint: register an emulator");
}

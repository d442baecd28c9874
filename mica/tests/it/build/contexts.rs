//! Named contexts that are images: of a layout, of the store.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spec::Digest;

use super::Builds;
use crate::compat::registry::Registry;
use crate::need_programs;

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

#[test]
fn a_context_stands_for_a_stage_of_its_name() {
    let Some(it) = Builds::new() else { return };
    let dockerfile = "FROM bb AS deps\nRUN false\nFROM deps AS app\nRUN echo ran > /ran\n\
                      FROM bb\nCOPY --from=deps /what /named\nCOPY --from=0 /what /numbered\n\
                      COPY --from=app /what /ran /app/\n";
    it.builds("FROM bb\nRUN echo image > /what\n", "");
    it.ok("tag t other");
    let progress = it.builds(dockerfile, "--build-context deps=docker-image://other");
    assert!(progress.contains("[deps 1/1] FROM deps"), "{progress}");
    let shown = "cat /named /numbered /app/what /app/ran";
    assert_eq!(it.shows(shown), "image\nimage\nimage\nran");
    // Files alone are a stage too, and the target itself may be one.
    it.file("files/what", "files\n");
    it.builds(
        "FROM bb AS deps\nRUN false\nFROM bb\nCOPY --from=deps /what /named\n",
        "--build-context deps=files",
    );
    assert_eq!(it.shows("cat /named"), "files");
    it.builds("FROM bb\nFROM x AS deps\nRUN false\n", "--build-context deps=files --target deps");
    let files = it.ok("image files t");
    assert!(files.contains("/what") && !files.contains("busybox"), "{files}");
}

#[test]
fn a_stage_begins_with_files() {
    let Some(it) = Builds::new() else { return };
    it.builds("FROM bb\nRUN mkdir /own; echo 1 > /own/f\n", "-o type=local,dest=root");
    let dockerfile = "FROM root\nRUN cat /own/f > /seen\n";
    let context = "--build-context root=root";
    it.builds(dockerfile, context);
    assert_eq!(it.shows("cat /seen"), "1");
    assert!(it.builds(dockerfile, context).contains("CACHED"));
    it.file("root/own/f", "2\n");
    it.builds(dockerfile, context);
    assert_eq!(it.shows("cat /seen"), "2");
}

/// Passes requests on to a registry, and counts those for manifests.
fn counted(host: &str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, host) = (listener.local_addr().unwrap().to_string(), host.to_owned());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&host) else { return };
            let (mut back_from, mut back_to) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || io::copy(&mut back_from, &mut back_to));
            let counter = counter.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(client).split(b'\n').map_while(Result::ok) {
                    let asks = line.starts_with(b"GET ") || line.starts_with(b"HEAD ");
                    if asks && line.windows(11).any(|word| word == b"/manifests/") {
                        counter.fetch_add(1, Ordering::SeqCst);
                    }
                    let _ = (&server).write_all(&[&line[..], b"\n"].concat());
                }
            });
        }
    });
    (address, count)
}

#[test]
fn a_base_is_fetched_once_for_a_build() {
    need_programs!("docker-registry");
    let Some(it) = Builds::new() else { return };
    let registry = Registry::plain(&it);
    let (proxy, count) = counted(registry.name("").trim_end_matches('/'));
    let name = format!("{proxy}/base:1");
    it.ok(&format!("tag bb {}", registry.name("base:1")));
    it.run(&format!("push {}", registry.name("base:1"))).works();
    let dockerfile = format!(
        "FROM {name} AS a\nRUN echo a > /a\nFROM {name} AS b\nCOPY --from={name} /bin/busybox /b\n\
         FROM --platform=$BUILDPLATFORM {name}\nCOPY --from=a /a /\nCOPY --from=b /b /\n"
    );
    let asked = || {
        it.builds(&dockerfile, "--pull");
        count.swap(0, Ordering::SeqCst)
    };
    // The name, and the manifest that it leads to.
    assert!((1..=2).contains(&asked()));
    // It is here; that it is still the one is asked once.
    assert_eq!(asked(), 1);
    it.builds(&dockerfile, "");
    assert_eq!(count.load(Ordering::SeqCst), 0, "without --pull nobody is asked");
}

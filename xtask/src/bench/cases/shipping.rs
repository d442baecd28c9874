//! Jobs with a registry on this machine: pull, push, push again, and a copy between two names.
//!
//! Every tool has a registry of its own, so that none finds what another has sent. It is Debian's
//! for all of them; how fast mica's own one is beside it, the jobs whose names end in `-hub` say.

use super::Contender;
use crate::bench::tools::{Lab, Step};

/// Where the registries listen: Debian's for each tool, and mica's.
const PORTS: [(&str, u16); 3] = [("mica", 5971), ("podman", 5972), ("skopeo", 5973)];
const HUB: u16 = 5974;

/// The large image, in the stores and in the registries.
const IMAGE: &str = "ship/big:1";

fn port(tool: &str) -> u16 {
    PORTS.iter().find(|(name, _)| *name == tool).map_or(HUB, |(_, port)| *port)
}

fn name(port: u16) -> String {
    format!("127.0.0.1:{port}/{IMAGE}")
}

/// Starts Debian's registry with nothing in it, or does nothing if it runs.
fn serve(lab: &Lab, port: u16) -> Step {
    let line = "if curl -sf http://127.0.0.1:$2/v2/ >/dev/null; then exit 0; fi; mkdir -p \"$1\"; \
        printf 'version: 0.1\\nlog: {level: error, accesslog: {disabled: true}}\\nstorage: \
        {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\\nhttp: {addr: \"127.0.0.1:%s\"}\\n' \
        \"$1/data\" \"$2\" >\"$1/config.yml\"; \
        setsid docker-registry serve \"$1/config.yml\" >/dev/null 2>&1 & echo $! >\"$1/pid\"; \
        for i in $(seq 100); do curl -sf http://127.0.0.1:$2/v2/ >/dev/null && exit 0; sleep 0.05; \
        done; exit 1";
    Step::shell(line, &[&folder(lab, port), &port.to_string()])
}

/// Starts mica's.
fn serve_hub(lab: &Lab) -> Step {
    let binary = lab.mica_binary().map(|path| path.to_string_lossy().into_owned());
    let line = "if curl -sf http://127.0.0.1:$2/v2/ >/dev/null; then exit 0; fi; mkdir -p \"$1\"; \
        setsid \"$3\" registry serve --root \"$1/data\" --listen 127.0.0.1:$2 --log none \
        >/dev/null 2>&1 & echo $! >\"$1/pid\"; \
        for i in $(seq 100); do curl -sf http://127.0.0.1:$2/v2/ >/dev/null && exit 0; sleep 0.05; \
        done; exit 1";
    Step::shell(line, &[&folder(lab, HUB), &HUB.to_string(), &binary.unwrap_or_default()])
}

/// Ends a registry and deletes what it had.
fn end(lab: &Lab, port: u16) -> Step {
    let line = "kill $(cat \"$1/pid\"); sleep 0.2; rm -rf \"$1\"";
    Step::shell(line, &[&folder(lab, port)]).or_not()
}

/// Makes a registry forget everything.
fn forget(lab: &Lab, port: u16) -> Step {
    Step::shell("rm -rf \"$1/data/docker\"", &[&folder(lab, port)])
}

fn folder(lab: &Lab, port: u16) -> String {
    lab.path(&format!("registry-{port}"))
}

/// Puts the large image into a registry.
fn fill(lab: &Lab, port: u16) -> Step {
    let from = format!("docker-archive:{}", lab.fixture("big-gzip.tar"));
    let to = format!("docker://{}", name(port));
    lab.skopeo("ship", &["copy", "--quiet", "--dest-tls-verify=false", &from, &to])
}

pub(super) fn pull(lab: &Lab) -> Vec<Contender> {
    let [mica, podman, skopeo] = pulls(lab, port);
    vec![mica, podman, skopeo]
        .into_iter()
        .zip(PORTS)
        .map(|(contender, (_, port))| {
            contender.once(serve(lab, port)).once(fill(lab, port)).last(end(lab, port))
        })
        .collect()
}

pub(super) fn pull_hub(lab: &Lab) -> Vec<Contender> {
    let all = pulls(lab, |_| HUB).into_iter();
    let mut all: Vec<Contender> =
        all.map(|contender| contender.once(serve_hub(lab)).once(fill(lab, HUB))).collect();
    let last = all.pop().expect("there are three").last(end(lab, HUB));
    all.push(last);
    all
}

/// The pulls, into stores that do not have the image.
fn pulls(lab: &Lab, port: fn(&str) -> u16) -> [Contender; 3] {
    let [mica, podman, skopeo] = ["mica", "podman", "skopeo"].map(|tool| name(port(tool)));
    let there = |name: &str| lab.podman("ship", &["image", "inspect", name]);
    let to = format!("containers-storage:{skopeo}");
    let from = format!("docker://{skopeo}");
    [
        Contender::new("mica", lab.mica("ship", &["pull", "--quiet", &mica]))
            .before(lab.delete("mica-ship"))
            .after(lab.mica("ship", &["image", "inspect", &mica]))
            .after(lab.delete("mica-ship")),
        Contender::new(
            "podman",
            lab.podman("ship", &["pull", "--quiet", "--tls-verify=false", &podman]),
        )
        .before(lab.empty_storage("ship"))
        .after(there(&podman))
        .after(lab.empty_storage("ship")),
        Contender::new(
            "skopeo",
            lab.skopeo("ship", &["copy", "--quiet", "--src-tls-verify=false", &from, &to]),
        )
        .before(lab.empty_storage("ship"))
        .after(there(&skopeo))
        .after(lab.empty_storage("ship")),
    ]
}

pub(super) fn push(lab: &Lab) -> Vec<Contender> {
    pushes(lab)
        .into_iter()
        .zip(PORTS)
        .map(|(contender, (_, port))| {
            contender.once(serve(lab, port)).before(forget(lab, port)).last(end(lab, port))
        })
        .collect()
}

pub(super) fn push_again(lab: &Lab) -> Vec<Contender> {
    pushes(lab)
        .into_iter()
        .zip(PORTS)
        .map(|(contender, (_, port))| {
            let timed = contender.timed.clone();
            contender.once(serve(lab, port)).once(timed).last(end(lab, port))
        })
        .collect()
}

/// The pushes, out of stores that loaded the image from an archive without compression.
fn pushes(lab: &Lab) -> [Contender; 3] {
    let archive = lab.fixture("big.tar");
    let load = ["load", "--quiet", "--input", archive.as_str()];
    let [mica, podman, skopeo] = ["mica", "podman", "skopeo"].map(|tool| name(port(tool)));
    let to = format!("docker://{skopeo}");
    let from = "containers-storage:localhost/big:1";
    [
        Contender::new("mica", lab.mica("shipped", &["push", "--quiet", &mica]))
            .once(lab.mica("shipped", &load))
            .once(lab.mica("shipped", &["tag", "big:1", &mica])),
        Contender::new(
            "podman",
            lab.podman("ship", &["push", "--quiet", "--tls-verify=false", "big:1", &podman]),
        )
        .once(lab.podman("ship", &load)),
        Contender::new(
            "skopeo",
            lab.skopeo("ship", &["copy", "--quiet", "--dest-tls-verify=false", from, &to]),
        )
        .once(lab.podman("ship", &load)),
    ]
}

pub(super) fn copy(lab: &Lab) -> Vec<Contender> {
    let ends = |tool: &str| {
        let port = port(tool);
        (name(port), format!("127.0.0.1:{port}/copied/big:1"))
    };
    let ((mica, to), (skopeo, there)) = (ends("mica"), ends("skopeo"));
    let (from, there) = (format!("docker://{skopeo}"), format!("docker://{there}"));
    let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let mut arguments = vec!["copy", "--quiet"];
    arguments.extend(insecure);
    arguments.extend([from.as_str(), there.as_str()]);
    let contenders = [
        (
            "mica",
            Contender::new("mica", lab.mica("ship", &["remote", "cp", "--quiet", &mica, &to])),
        ),
        ("skopeo", Contender::new("skopeo", lab.skopeo("ship", &arguments))),
    ];
    contenders
        .into_iter()
        .map(|(tool, contender)| {
            let gone = "docker/registry/v2/repositories/copied";
            let gone = format!("{}/data/{gone}", folder(lab, port(tool)));
            contender
                .once(serve(lab, port(tool)))
                .once(fill(lab, port(tool)))
                .before(Step::new("rm", &["-rf", &gone]))
                .last(end(lab, port(tool)))
        })
        .collect()
}

/// Eight clients that ask for the manifest again and again.
pub(super) fn serve_manifests(lab: &Lab) -> Vec<Contender> {
    servers(lab, "manifest", "2500")
}

/// The same for a small blob.
pub(super) fn serve_small(lab: &Lab) -> Vec<Contender> {
    servers(lab, "config", "2500")
}

/// The same for a layer.
pub(super) fn serve_layers(lab: &Lab) -> Vec<Contender> {
    servers(lab, "layer", "4")
}

/// The two registries, each with the large image, asked for a part of it.
fn servers(lab: &Lab, what: &str, times: &str) -> Vec<Contender> {
    let (repository, tag) = IMAGE.split_once(':').expect("the image has a tag");
    let ask = |port: u16| {
        let host = format!("127.0.0.1:{port}");
        lab.ask_often(&[&host, repository, tag, what, "8", times])
    };
    let theirs = port("skopeo");
    vec![
        Contender::new("mica", ask(HUB))
            .once(serve_hub(lab))
            .once(fill(lab, HUB))
            .last(end(lab, HUB)),
        Contender::new("docker-registry", ask(theirs))
            .once(serve(lab, theirs))
            .once(fill(lab, theirs))
            .last(end(lab, theirs)),
    ]
}

//! Mica as docker's plugin `docker-buildx`, called by the real client.

use std::fs;
use std::os::unix::fs::symlink;

use super::support::Server;
use crate::containers::support::Root;
use crate::need_programs;
use crate::support::{Mica, Run, words};

/// Docker's client with mica in its folder of plugins.
fn docker(mica: &Mica, host: Option<&str>, line: &str) -> Run {
    let folder = mica.path("docker");
    if !folder.exists() {
        fs::create_dir_all(folder.join("cli-plugins")).unwrap();
        symlink(env!("CARGO_BIN_EXE_mica"), folder.join("cli-plugins/docker-buildx")).unwrap();
    }
    let mut command = mica.program("docker");
    command.env("DOCKER_CONFIG", folder).args(words(line));
    command.envs(host.map(|host| ("DOCKER_HOST", host)));
    Run::of(line, command.output().unwrap())
}

#[test]
fn docker_builds_through_it() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    root.file("src/Dockerfile", "FROM bb\nRUN echo made > /made\n");
    // Nobody serves: the store is this machine's own.
    let built = docker(&root, None, "build -t one src");
    assert_eq!(built.code, 0, "{built}");
    assert!(built.err.contains("naming to docker.io/library/one:latest"), "{built}");
    assert_eq!(
        docker(&root, None, "buildx build -q -t two src").out.trim(),
        root.ok("images -q --no-trunc two")
    );
    docker(&root, None, "build src/none").complains(1, "");
    docker(&root, None, "build --nope src").complains(125, "unknown flag: --nope");
    assert!(docker(&root, None, "buildx version").out.starts_with("mica v"));
    assert!(docker(&root, None, "buildx ls").out.contains("default*"));
    assert!(
        docker(&root, None, "buildx inspect --bootstrap").out.contains("Status:           running")
    );
    docker(&root, None, "buildx use other").complains(1, "no builder \"other\" found");
    assert!(docker(&root, None, "buildx").err.contains("Usage:  docker buildx COMMAND"));
    assert!(docker(&root, None, "info").out.contains("buildx: Docker Buildx (mica)"));
    let pruned = docker(&root, None, "builder prune -af");
    assert!(pruned.code == 0 && pruned.out.contains("Total:"), "{pruned}");
    // And where somebody does, it is that engine's.
    let server = Server::start(&root);
    let host = format!("unix://{}", server.socket().display());
    let built = docker(&root, Some(&host), "build -t three src");
    assert!(built.code == 0 && built.out.contains("Step 2/2 : RUN echo made"), "{built}");
    assert_eq!(docker(&root, Some(&host), "builder prune -f").code, 0);
    root.run("run --rm --network none three cat /made").prints("made\n");
}

#[test]
fn it_says_what_it_is() {
    let mica = Mica::new();
    let said = mica.json("docker-cli-plugin-metadata");
    assert_eq!(
        (said["SchemaVersion"].as_str(), said["Vendor"].as_str()),
        (Some("0.1.0"), Some("mica"))
    );
}

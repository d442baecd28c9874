//! What is found around a build: the environment, docker's own file, names of files.

use super::Builds;

#[test]
fn a_dockerfile_may_have_a_small_name() {
    let Some(it) = Builds::new() else { return };
    it.put("dockerfile", "FROM bb\nLABEL of=small\n");
    it.run("build --network none -t t ctx").works();
    assert_eq!(it.ok("inspect -f '{{.Config.Labels.of}}' t"), "small");
    it.put("Dockerfile", "FROM bb\nLABEL of=usual\n");
    it.run("build --network none -t t ctx").works();
    assert_eq!(it.ok("inspect -f '{{.Config.Labels.of}}' t"), "usual");
    std::fs::remove_file(it.path("ctx/Dockerfile")).unwrap();
    std::fs::remove_file(it.path("ctx/dockerfile")).unwrap();
    let run = it.run("build --network none ctx");
    run.complains(1, "failed to read dockerfile: open Dockerfile: no such file or directory");
}

#[test]
fn dockers_file_names_proxies() {
    let Some(it) = Builds::new() else { return };
    let proxies = r#"{"proxies": {"default": {"httpProxy": "http://p:3128", "noProxy": "here"}}}"#;
    it.file("docker/config.json", proxies);
    it.put("Dockerfile", "FROM bb\nRUN echo $HTTP_PROXY $http_proxy $no_proxy > /p\n");
    let build = |options: &str| {
        let mut command = it.command(&format!("build --network none -t t {options} ctx"));
        let output = command.env("DOCKER_CONFIG", it.path("docker")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        it.shows("cat /p")
    };
    assert_eq!(build("--no-cache"), "http://p:3128 http://p:3128 here");
    assert_eq!(build("--no-cache --build-arg http_proxy=own"), "http://p:3128 own here");
}

#[test]
fn the_environment_names_platforms_and_bake_files() {
    let Some(it) = Builds::new() else { return };
    it.put("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    let with = |line: &str, name: &str, value: &str| {
        let output = it.command(line).env(name, value).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let platform = "inspect -f '{{.Os}}/{{.Architecture}}' t";
    let build = "build --network none -t t ctx";
    with(build, "DOCKER_DEFAULT_PLATFORM", "linux/s390x");
    assert_eq!(it.ok(platform), "linux/s390x");
    let build = "build --network none --platform linux/riscv64 -t t ctx";
    with(build, "DOCKER_DEFAULT_PLATFORM", "linux/s390x");
    assert_eq!(it.ok(platform), "linux/riscv64");
    it.file("one.hcl", "target default { context = \"one\" }");
    it.file("two.json", r#"{"target": {"default": {"target": "two"}}}"#);
    let shown = with("buildx bake --print", "BUILDX_BAKE_FILE", "one.hcl:two.json");
    assert!(shown.contains("\"one\"") && shown.contains("\"two\""), "{shown}");
    let shown = with("buildx bake -f one.hcl --print", "BUILDX_BAKE_FILE", "two.json");
    assert!(!shown.contains("\"two\""), "{shown}");
}

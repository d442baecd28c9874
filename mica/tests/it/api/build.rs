//! `docker build` without BuildKit, and what builds remember.

use super::support::Server;
use crate::containers::support::Root;
use crate::need_programs;

#[test]
fn docker_builds_with_its_older_builder() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.file(
        "app/Dockerfile",
        "FROM bb AS base\nARG word=no\nRUN echo said-$word > /said\nFROM base\nCOPY a /a\n\
         RUN cat /a /said\nCMD [\"cat\", \"/said\"]\n",
    );
    root.file("app/a", "of the context\n");
    let build = |words: &str| {
        let mut command = server.command(&format!("build --network none {words} app"));
        let output = command.env("DOCKER_BUILDKIT", "0").output().unwrap();
        crate::support::Run::of(words, output)
    };
    let first = build("-t made:1 -t other --build-arg word=yes --label x=y");
    assert_eq!(first.code, 0, "{first}");
    for part in [
        "Step 1/7 : FROM bb AS base\nStep 2/7 : ARG word=no\nStep 3/7 : RUN echo said-$word > /said\n",
        "\nStep 7/7 : CMD [\"cat\", \"/said\"]\n ---> ",
        "Step 6/7 : RUN cat /a /said\n ---> Running in ",
        "\nof the context\nsaid-yes\nRemoving intermediate container ",
        "Successfully built ",
        "Successfully tagged made:1\nSuccessfully tagged other:latest\n",
    ] {
        assert!(first.out.contains(part), "{part:?}: {first}");
    }
    assert_eq!(server.ok("run --rm --network none made:1"), "said-yes");
    assert_eq!(server.ok("inspect -f '{{.Config.Labels.x}}' other"), "y");
    let again = build("-t made:1 --build-arg word=yes");
    assert!(again.out.contains(" ---> Using cache\n"), "{again}");
    let quiet = build("-q --build-arg word=yes --label x=y");
    let id = server.ok("images -q --no-trunc other");
    assert_eq!((quiet.out.trim(), quiet.code), (id.as_str(), 0), "{quiet}");
    root.file("app/Dockerfile", "FROM bb\nRUN echo before; exit 3\n");
    let failed = build("");
    failed.complains(3, "The command '/bin/sh -c echo before; exit 3' returned a non-zero code: 3");
    assert!(failed.out.contains("before\n"), "{failed}");
    root.file("app/Dockerfile", "FROM bb\nNONSENSE\n");
    build("").complains(1, "unknown instruction: NONSENSE");
    assert_eq!(server.ok("ps -aq"), "", "no step leaves a container");
    let pruned = server.send("POST", "/build/prune?all=1", "");
    assert!(pruned.status == 200 && pruned.json()["CachesDeleted"].is_array(), "{pruned:?}");
}

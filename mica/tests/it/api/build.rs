//! `docker build` without BuildKit, and what builds remember.

use super::support::Server;
use crate::containers::support::Root;
use crate::need_programs;

/// Whether a line of the older builder tells an image.
fn is_arrow(line: &str) -> bool {
    let id = line.strip_prefix(" ---> ").unwrap_or_default();
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

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
        "Step 2/7 : ARG word=no\n ---> ",
        "\nStep 3/7 : RUN echo said-$word > /said\n ---> Running in ",
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
    // Each step tells the image that would be if it were the last, the base's own id first.
    let arrows = |out: &str| out.lines().filter(|line| is_arrow(line)).count();
    let base = server.ok("images -q bb");
    assert!(first.out.contains(&format!("Step 1/7 : FROM bb AS base\n ---> {base}\n")), "{first}");
    assert_eq!(arrows(&first.out), 6, "FROM a stage makes nothing: {first}");
    let again = build("-t made:1 --build-arg word=yes");
    assert!(again.out.contains(" ---> Using cache\n ---> "), "{again}");
    assert_eq!(arrows(&again.out), 6, "{again}");
    // Cut off after a step, the file gives the image that was told there.
    let told = again
        .out
        .lines()
        .skip_while(|line| !line.starts_with("Step 5/7"))
        .find(|line| is_arrow(line));
    root.file(
        "app/Short",
        "FROM bb AS base\nARG word=no\nRUN echo said-$word > /said\nFROM base\nCOPY a /a\n",
    );
    let short = build("-q -f app/Short --build-arg word=yes");
    let id = short.out.trim().trim_start_matches("sha256:").get(..12).unwrap_or_default();
    assert_eq!(told, Some(format!(" ---> {id}").as_str()), "{short}{again}");
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

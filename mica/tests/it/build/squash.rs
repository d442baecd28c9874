//! `--squash`, checks that stop a build, and what clean-ups take away.

use super::{Builds, done};

#[test]
fn what_was_changed_is_one_layer() {
    let Some(it) = Builds::new() else { return };
    let dockerfile = "FROM bb\nRUN mkdir /d && echo 1 > /d/a && echo x > /d/b\nRUN rm -r /d && mkdir /d && echo 2 > /d/a\n\
                      RUN rm /etc/passwd && ln -s d/a /link && ln /d/a /hard && chmod 700 /d\nENV A=1\n";
    it.builds(dockerfile, "");
    let tree = "cd /; find d link hard etc | sort; cat d/a link hard; stat -c %a%h d/a; stat -c %a d; test -e etc/passwd; echo $? $A";
    let wanted = it.shows(tree);
    let layers = "inspect -f '{{len .RootFS.Layers}}' t";
    let plain: u32 = it.ok(layers).parse().unwrap();
    it.builds(dockerfile, "--squash");
    assert_eq!(it.shows(tree), wanted);
    assert_eq!(it.ok(layers).parse::<u32>().unwrap(), plain - 2);
    let history = it.ok("history --format '{{.Comment}}|{{.CreatedBy}}' t");
    assert!(history.starts_with("squashed by mica|\n"), "{history}");
    assert!(history.contains("RUN /bin/sh -c rm /etc/passwd"), "{history}");
    let id = it.id();
    it.builds(dockerfile, "--squash --no-cache");
    assert_eq!(it.id(), id, "the same from the same");
    it.ok("system check");
}

#[test]
fn checks_stop_a_build_before_it_begins() {
    let Some(it) = Builds::new() else { return };
    let wrong = "# check=error=true\nFROM bb as build\nRUN touch /x\n";
    let run = it.build(wrong, "");
    run.complains(1, "lint violation found for rules: FromAsCasing");
    assert!(!run.err.contains("RUN touch"), "{run}");
    it.builds(&wrong.replace(" as ", " AS "), "");
    it.builds(&wrong.replace("error=true", "skip=FromAsCasing;error=true"), "");
    let run = it.build("FROM bb as build\n", "--build-arg BUILDKIT_DOCKERFILE_CHECK=error=true");
    run.complains(1, "FromAsCasing");
}

#[test]
fn a_system_prune_takes_what_is_remembered() {
    let Some(it) = Builds::new() else { return };
    it.put("f", "f");
    let dockerfile = "FROM bb\nCOPY f /\nRUN --mount=type=cache,target=/c,id=mine date >> /c/log\n";
    it.builds(dockerfile, "");
    it.put("Gone", "FROM bb\nRUN echo gone > /gone\n");
    it.run("build --network none -t u -f ctx/Gone ctx").works();
    it.ok("rmi -f u");
    assert!(it.ok("builder du").contains("cache mount mine"));
    let said = it.ok("system prune -f");
    assert!(said.contains("Deleted build cache objects:\n"), "{said}");
    assert!(!it.ok("builder du").contains("cache mount"));
    // What an image has stays remembered.
    assert_eq!(done(&it.builds(dockerfile, "")), [""; 0]);
    let made = done(&it.builds("FROM bb\nRUN echo gone > /gone\n", ""));
    assert_eq!(made, ["RUN echo gone > /gone"]);
    it.ok("rmi -f t");
    it.ok("system prune -af");
    let left = |name: &str| {
        let folder = std::fs::read_dir(it.root().join("build").join(name));
        folder.into_iter().flatten().count()
    };
    assert_eq!((left("steps"), left("held"), left("listings")), (0, 0, 0));
}

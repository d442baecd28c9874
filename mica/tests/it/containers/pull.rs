//! Images that `run` and `create` pull because they need them.

use crate::compat::registry::Registry;
use crate::need_programs;

use super::support::Root;

/// A root, a registry, and the name of an image that only the registry has.
fn with_registry() -> Option<(Root, Registry, String)> {
    let root = Root::new()?;
    let registry = Registry::plain(&root);
    let name = registry.name("bb");
    root.ok(&format!("tag bb {name}"));
    root.ok(&format!("push -q {name}"));
    root.ok(&format!("rmi {name}"));
    Some((root, registry, name))
}

#[test]
fn an_image_that_is_missing_is_pulled() {
    need_programs!("docker-registry");
    let Some((root, _registry, name)) = with_registry() else { return };
    let line = format!("run --rm --network none {name} echo here");
    let run = root.run(&line);
    assert_eq!((run.out.as_str(), run.code), ("here\n", 0), "{run}");
    let head = format!("Unable to find image '{name}:latest' locally\nlatest: Pulling from bb\n");
    assert!(run.err.starts_with(&head), "{run}");
    let end = format!("Status: Downloaded newer image for {name}:latest\n");
    assert!(run.err.ends_with(&end), "{run}");
    let again = root.run(&line);
    assert_eq!((again.out.as_str(), again.err.as_str()), ("here\n", ""), "it is here now");
}

#[test]
fn a_quiet_pull_says_nothing() {
    need_programs!("docker-registry");
    let Some((root, _registry, name)) = with_registry() else { return };
    let run = root.run(&format!("create -q --network none {name} true"));
    assert_eq!((run.out.len(), run.err.as_str(), run.code), (65, "", 0), "{run}");
}

#[test]
fn an_image_is_pulled_always_or_never() {
    need_programs!("docker-registry");
    let Some((root, _registry, name)) = with_registry() else { return };
    let line = |pull: &str| format!("run --rm --network none --pull {pull} {name} echo here");
    root.run(&line("never")).complains(125, &format!("No such image: {name}:latest"));
    assert!(!root.run(&line("always")).err.contains("Unable to find"));
    let run = root.run(&line("always"));
    assert!(
        run.err.ends_with(&format!("Status: Image is up to date for {name}:latest\n")),
        "{run}"
    );
    root.run(&line("odd")).complains(125, "invalid pull option: 'odd': must be one of");
}

#[test]
fn a_pull_that_fails_ends_with_dockers_code() {
    need_programs!("docker-registry");
    let Some((root, registry, name)) = with_registry() else { return };
    let missing = registry.name("missing");
    let run = root.run(&format!("run --rm {missing}:1 true"));
    run.complains(125, &format!("Unable to find image '{missing}:1' locally"));
    assert!(run.err.contains("not found"), "{run}");
    root.run(&format!("create {name}@sha256:{}", "0".repeat(64))).complains(1, "not found");
    // An id is nobody's to ask for.
    let id = "0".repeat(64);
    let run = root.run(&format!("run {id}"));
    assert!(run.code == 125 && !run.err.contains("Unable to find"), "{run}");
    root.run("run UPPER:1").complains(125, "invalid reference format");
    assert_eq!(root.containers(), Vec::<String>::new());
}

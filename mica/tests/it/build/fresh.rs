//! Commands that compare times: what has changed is newer than what was made of it.

use super::Builds;

/// `make`'s rule: made anew if the source is newer than what was made of it. What is made is a minute
/// old, since this shell does not compare parts of seconds.
const MAKE: &str = "if [ ! -e /out/$n ] || [ /src/$n -nt /out/$n ]; then \
                    cp /src/$n /out/$n; touch -d @$(($(date +%s)-60)) /out/$n; echo $n; fi";

#[test]
fn what_has_changed_is_newer_than_what_a_cache_holds() {
    let Some(it) = Builds::new() else { return };
    let run = |mounts: &str, say: &str| {
        format!(
            "RUN {mounts} --mount=type=cache,target=/out {{ for n in a b c; do {MAKE}; done; }} > /made; {say}\n"
        )
    };
    for name in ["a", "b", "c"] {
        it.put(&format!("src/{name}"), name);
    }
    let copied = format!("FROM bb\nCOPY src /src\n{}", run("", ":"));
    let make = || {
        it.builds(&copied, "");
        it.shows("cat /made").replace('\n', " ")
    };
    assert_eq!(make(), "a b c");
    // The same size, as only what is in it counts.
    it.put("src/b", "B");
    assert_eq!(make(), "b");
    let first = it.id();
    it.put("src/b", "b");
    assert_eq!(make(), "a b c", "the first image is remembered");
    it.put("src/c", "C");
    assert_eq!(make(), "b c", "compared with what was there when the command last ran");

    // What was touched is in no layer: without the cache the same comes of it, but for what is made.
    it.put("src/b", "B");
    it.put("src/c", "c");
    it.ok("builder prune -af");
    assert_eq!(make(), "a b c");
    let files = it.ok("image files t");
    assert_eq!(files.lines().filter(|line| line.contains("/src/")).count(), 3);
    assert_ne!(it.id(), first);

    // What the command itself changes is a change.
    let dockerfile = format!("FROM bb\nCOPY src /src\n{}", run("", "chmod 700 /src/a; rm /src/b"));
    it.builds(&dockerfile, "");
    it.put("src/a", "A");
    it.builds(&dockerfile, "");
    assert_eq!(it.shows("ls /src; stat -c %a /src/a"), "a\nc\n700");
    assert_eq!(it.ok("inspect -f '{{len .RootFS.Layers}}' t"), "3");
}

/// A command puts a link where a folder was, which leads out of the store as it leads to a file of the
/// same moment in the image.
#[test]
fn a_link_in_a_folders_place_leads_nowhere() {
    let Some(it) = Builds::new() else { return };
    let host = it.path("victim");
    std::fs::create_dir(&host).unwrap();
    std::fs::write(host.join("n"), "mine").unwrap();
    let link = format!("{}{}", "../".repeat(40), host.display());
    let file = format!(
        "FROM bb\nCOPY src /src\nCOPY src {host}\nRUN --mount=type=cache,target=/out \
         if [ -e /out/again ]; then rm -r /src; ln -s {link} /src; fi; touch /out/again\n",
        host = host.display()
    );
    it.put("src/n", "one");
    it.builds(&file, "");
    it.put("src/n", "two");
    it.builds(&file, "");
    assert_eq!(it.shows("readlink /src"), link);
    assert_eq!(std::fs::read_to_string(host.join("n")).unwrap(), "mine");
}

#[test]
fn what_was_touched_is_in_no_layer() {
    let Some(it) = Builds::new() else { return };
    let dockerfile = "FROM bb\nCOPY deep /deep\n\
        RUN --mount=type=cache,target=/out echo x > /out/x; [ -z \"$own\" ] || touch /deep/er/own; cat /deep/er/f\n";
    it.put("deep/er/f", "1");
    it.put("deep/er/g", "same");
    it.builds(dockerfile, "");
    it.put("deep/er/f", "2");
    // Its cache knows what it was; then there is none.
    it.builds(dockerfile, "");
    let touched = it.id();
    it.ok("builder prune -af");
    it.builds(dockerfile, "");
    assert_eq!(it.id(), touched);
    // What the command puts beside it is.
    let own = dockerfile.replace("FROM bb", "FROM bb\nENV own=1");
    it.builds(&own, "");
    it.put("deep/er/f", "3");
    it.builds(&own, "");
    let touched = it.id();
    assert_eq!(it.shows("ls /deep/er | xargs"), "f g own");
    it.ok("builder prune -af");
    it.builds(&own, "");
    assert_eq!(it.id(), touched);
}

#[test]
fn what_is_bound_into_a_command_has_its_own_times() {
    let Some(it) = Builds::new() else { return };
    it.put("src/n", "one");
    let run = |say: &str| {
        format!(
            "FROM bb\nRUN --mount=type=bind,source=src,target=/src --mount=type=cache,target=/out : {say}; n=n; {MAKE}; cp /out/n /n\n"
        )
    };
    it.builds(&run("1"), "");
    assert_eq!(it.shows("cat /n"), "one");
    it.put("src/n", "two");
    it.builds(&run("1"), "");
    assert_eq!(it.shows("cat /n"), "two");
    // What was bound goes with what steps gave.
    it.must_be_whole();
    it.ok("rmi -f t bb");
    it.ok("builder prune -af");
    it.must_be_empty();
}

//! What is remembered of steps, and what is not.

use testkit::Layer;

use super::{Builds, done};

const FILE: &str = "FROM bb\nARG V=1\nWORKDIR /app\nCOPY src .\nRUN cat f > /made\nENV E=1\nCOPY late /late\nRUN echo $V > /v\n";

fn with_files() -> Option<Builds> {
    let it = Builds::new()?;
    it.put("src/f", "one");
    it.put("late", "late");
    Some(it)
}

#[test]
fn nothing_is_done_twice() {
    let Some(it) = with_files() else { return };
    assert_eq!(done(&it.builds(FILE, "")).len(), 5);
    let id = it.id();
    assert_eq!(done(&it.builds(FILE, "")), Vec::<String>::new());
    assert_eq!(it.id(), id);
}

#[test]
fn times_alone_change_nothing_and_contents_do() {
    let Some(it) = with_files() else { return };
    it.builds(FILE, "");
    let id = it.id();
    std::thread::sleep(std::time::Duration::from_millis(20));
    it.put("src/f", "one");
    assert_eq!(done(&it.builds(FILE, "")), Vec::<String>::new());
    it.put("late", "later");
    assert_eq!(done(&it.builds(FILE, "")), ["COPY late /late", "RUN echo $V > /v"]);
    assert_ne!(it.id(), id);
    it.put("late", "late");
    assert_eq!(
        done(&it.builds(FILE, "")),
        Vec::<String>::new(),
        "what was once done is remembered"
    );
    assert_eq!(it.id(), id);
}

#[test]
fn words_are_told_apart() {
    let Some(it) = with_files() else { return };
    for (one, other) in [
        (r#"RUN ["touch","a b"]"#, r#"RUN ["touch","a","b"]"#),
        ("RUN true x", r#"RUN ["/bin/sh","-c","true","x"]"#),
        (r#"RUN ["touch","a \"b c\""]"#, r#"RUN ["touch","a","\"b c\""]"#),
        (
            "SHELL [\"/bin/sh\",\"-c\",\"true\",\"x\"]\nRUN y",
            "SHELL [\"/bin/sh\",\"-c\",\"true x\"]\nRUN y",
        ),
    ] {
        let file = |line: &str| format!("FROM bb\nWORKDIR /w\n{line}\n");
        it.builds(&file(one), "");
        let done = done(&it.builds(&file(other), ""));
        assert_eq!(done.len(), 1, "{one} is not {other}");
    }
    let file = |words: &str| {
        format!("FROM bb AS s\nRUN touch /a /b '/a b'\nFROM bb\nCOPY --from=s {words}\n")
    };
    it.builds(&file(r#"["/a b", "/d/"]"#), "");
    it.builds(&file(r#"["/a", "/b", "/d/"]"#), "");
    assert_eq!(it.shows("ls /d"), "a\nb");
}

#[test]
fn a_link_that_is_renamed_is_copied_under_its_new_name() {
    let Some(it) = Builds::new() else { return };
    it.put("x/cab", "of x");
    std::os::unix::fs::symlink("x/cab", it.path("ctx/b")).unwrap();
    let file = "FROM bb\nCOPY *b /d/\n";
    it.builds(file, "");
    assert_eq!(it.shows("ls /d"), "b");
    // Of the file's own name it is the end, too.
    std::fs::rename(it.path("ctx/b"), it.path("ctx/ab")).unwrap();
    it.builds(file, "");
    assert_eq!(it.shows("ls /d"), "ab");
}

#[test]
fn what_comes_out_the_same_leaves_the_rest_as_it_was() {
    let Some(it) = Builds::new() else { return };
    let file = |note: &str| format!("FROM bb\nRUN : {note}; echo same > /x\nRUN cat /x > /y\n");
    it.builds(&file("one"), "");
    let id = it.id();
    assert_eq!(done(&it.builds(&file("two"), "")), ["RUN : two; echo same > /x"]);
    assert_ne!(it.id(), id, "the history tells another story");
    it.builds("FROM bb\nENV A=1\nLABEL l=1\nRUN cat /etc/passwd > /y\n", "");
    let label = it.builds("FROM bb\nENV A=1\nLABEL l=2\nRUN cat /etc/passwd > /y\n", "");
    assert_eq!(done(&label), Vec::<String>::new(), "no command sees a label");
}

#[test]
fn arguments_count_where_they_are_seen() {
    let Some(it) = with_files() else { return };
    it.builds(FILE, "");
    let second = it.builds(FILE, "--build-arg V=2");
    assert_eq!(done(&second), ["RUN cat f > /made", "RUN echo $V > /v"]);
    let warned = it.builds(FILE, "--build-arg NOBODY=1");
    assert!(
        warned.contains("[Warning] One or more build-args [NOBODY] were not consumed"),
        "{warned}"
    );
}

#[test]
fn it_can_be_done_again() {
    let Some(it) = with_files() else { return };
    it.builds(FILE, "");
    let id = it.id();
    assert_eq!(done(&it.builds(FILE, "--no-cache")).len(), 5);
    assert_eq!(it.id(), id, "the same from the same, however often");
    let staged =
        "FROM bb AS a\nRUN echo 1 > /a\nFROM bb AS b\nRUN echo 2 > /b\nCOPY --from=a /a /a\n";
    it.builds(staged, "");
    assert_eq!(
        done(&it.builds(staged, "--no-cache-filter b")),
        ["RUN echo 2 > /b", "COPY --from=a /a /a"]
    );
}

#[test]
fn what_is_remembered_is_kept_until_it_is_pruned() {
    let Some(it) = with_files() else { return };
    it.builds(FILE, "");
    it.ok("rmi -f t");
    it.ok("image prune -f");
    assert_eq!(done(&it.builds(FILE, "")), Vec::<String>::new());
    it.ok("rmi -f t");
    let listed = it.ok("system df --format '{{.Type}} {{.TotalCount}}'");
    assert!(listed.contains("Build Cache 5"), "{listed}");
    let rows = it.ok("builder du --format json");
    let kinds =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["Type"].clone();
    assert_eq!(rows.lines().map(kinds).collect::<Vec<_>>(), vec!["regular"; 5]);
    assert_eq!(
        it.ok("buildx du --filter description~=RUN --format '{{.Type}}'"),
        "regular\nregular"
    );
    let pretty = it.ok("buildx du --verbose");
    assert!(pretty.contains("\nUsage count:  1\n") && pretty.contains("Total:"), "{pretty}");
    it.run("builder du --filter color=red").complains(1, "invalid filter \"color=red\"");
    it.run("builder prune -f --filter color=red").complains(1, "invalid filter \"color=red\"");
    it.ok("builder prune -af --filter type=exec.cachemount");
    assert_eq!(it.ok("builder du --format json").lines().count(), 5);
    it.ok("buildx prune -af --filter description~=^RUN --filter type=regular");
    assert_eq!(it.ok("builder du --format json").lines().count(), 3);
    assert!(it.ok("builder prune -af").contains("Total:"), "it says how much it was");
    assert_eq!(done(&it.builds(FILE, "")).len(), 5);
    it.ok("system check");
}

#[test]
fn a_linked_file_of_somebody_is_theirs_on_each_base() {
    let Some(it) = Builds::new() else { return };
    it.put("f", "");
    for number in ["1001", "2002"] {
        let base = format!("FROM bb\nRUN echo u:x:{number}:{number}::/:/bin/sh > /etc/passwd\n");
        it.builds(&format!("{base}COPY --link --chown=u f /f\n"), "");
        assert_eq!(it.shows("stat -c %u:%g /f"), format!("{number}:{number}"));
    }
}

#[test]
fn a_link_is_known_by_its_own_name() {
    let Some(it) = Builds::new() else { return };
    let link = |name: &str| std::os::unix::fs::symlink("f", it.path(format!("ctx/{name}")));
    it.put("f", "one");
    link("link1").unwrap();
    it.builds("FROM bb\nCOPY link* /to/\n", "");
    std::fs::remove_file(it.path("ctx/link1")).unwrap();
    link("link2").unwrap();
    let told = it.builds("FROM bb\nCOPY link* /to/\n", "--explain");
    assert_eq!(it.shows("ls /to; cat /to/link2"), "link2\none");
    for cause in ["file link2 was added", "file link1 was deleted"] {
        assert!(told.contains(cause), "{told}");
    }
    assert!(done(&it.builds("FROM bb\nCOPY link* /to/\n", "")).is_empty());
}

#[test]
fn rules_let_go_of_what_is_remembered() {
    let Some(it) = Builds::new() else { return };
    let made = |name: &str| format!("FROM bb\nRUN head -c 300000 /dev/zero > /{name}\n");
    for name in ["a", "b"] {
        it.builds(&made(name), "-o type=cacheonly");
    }
    let steps = || it.ok("builder du").lines().filter(|line| line.contains("RUN head")).count();
    assert_eq!(steps(), 2);
    // The older goes; what is reserved stays, whatever else is said.
    it.ok("builder prune -f --max-used-space 400k");
    assert!(done(&it.builds(&made("b"), "-o type=cacheonly")).is_empty());
    assert_eq!(steps(), 1);
    it.ok("builder prune -f --max-used-space 1 --reserved-space 10m");
    it.ok("builder prune -f --keep-storage 10m");
    it.ok("builder prune -f --filter until=1h");
    assert_eq!(steps(), 1);
    let everything = 1_u64 << 60;
    it.ok(&format!("builder prune -f --min-free-space {everything}"));
    assert_eq!(steps(), 0);
    // By itself, after a build, as the settings say.
    it.file("c.toml", "[[build-cache.rules]]\nmax-used-space = \"400k\"\n");
    let build = |name: &str| {
        it.put("Dockerfile", &made(name));
        it.run("--config c.toml build --network none -o type=cacheonly ctx").works();
    };
    build("a");
    build("b");
    assert_eq!(steps(), 2, "not at every build");
    std::fs::remove_file(it.root().join("build/collected")).unwrap();
    build("b");
    assert_eq!(steps(), 1);
}

/// What a killed build left of its client's folder goes with all else, and not with what is chosen.
#[test]
fn folders_that_clients_sent_are_pruned() {
    let Some(it) = Builds::new() else { return };
    let left = it.root().join("build/sent/once-left");
    std::fs::create_dir_all(left.join("files")).unwrap();
    std::fs::write(left.join("files/f"), "12345").unwrap();
    assert_eq!(it.ok("builder prune -f --filter type=regular"), "Total:\t0B");
    assert!(left.exists());
    assert_eq!(it.ok("builder prune -f"), "Total:\t5B");
    assert!(!left.exists());
}

/// Whoever begins a cache that all may have at once, all have the same one.
#[test]
fn a_cache_mount_is_begun_once() {
    let Some(it) = Builds::new() else { return };
    let many =
        "FROM bb AS seed\nRUN mkdir /s && cd /s && for n in $(seq 500); do echo $n > $n; done\n";
    for turn in 0..4 {
        let mount = format!("--mount=type=cache,id=c{turn},target=/c,from=seed,source=/s");
        let stage = |name: usize| {
            format!(
                "FROM bb AS s{name}\nRUN {mount} ls /c | grep -vc own > /n{name}; echo > /c/own{name}\n"
            )
        };
        let stages: String = (0..4).map(stage).collect();
        let copies: String =
            (0..4).map(|name| format!("COPY --from=s{name} /n{name} /\n")).collect();
        let all = format!("FROM bb\n{copies}RUN {mount} cat /n*; ls /c | grep -c own > /own\n");
        it.builds(&format!("{many}{stages}{all}"), "");
        assert_eq!(it.shows("cat /n0 /n1 /n2 /n3 /own"), "500\n500\n500\n500\n4");
    }
}

#[test]
fn cache_mounts_are_seeded_exported_and_removed() {
    let Some(it) = Builds::new() else { return };
    let tar = Layer::new().file("kept/f", "seeded").tar();
    it.file("seed.tar", &tar);
    it.ok("builder mounts seed work seed.tar");
    let file =
        "FROM bb\nRUN --mount=type=cache,id=work,target=/w cat /w/kept/f > /f; echo more > /w/g\n";
    it.builds(file, "");
    assert_eq!(it.shows("cat /f"), "seeded");
    it.builds("FROM bb\nRUN --mount=type=cache,target=/root/.cache echo 1 > /root/.cache/x\n", "");
    assert_eq!(it.ok("builder mounts ls --format {{.ID}}"), "/root/.cache\nwork");
    it.ok("builder mounts export -o out.tar work");
    let listed = it.program("tar").args(["-xOf", "out.tar", "kept/f", "g"]).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "more\nseeded");
    it.run("builder mounts seed work seed.tar").complains(1, "has files already");
    it.ok("builder mounts seed -f work seed.tar");
    it.builds(&file.replace("cat", "ls /w; cat"), "");
    assert_eq!(it.ok("builder mounts rm /root/.cache"), "/root/.cache");
    it.run("builder mounts rm /root/.cache").complains(1, "there is no cache mount /root/.cache");
    assert_eq!(it.ok("builder mounts ls --format {{.ID}}"), "work");
}

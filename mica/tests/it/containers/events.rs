//! What `events` tells of containers that run, now and later.

use super::support::{Root, eventually};

/// The actions that are written down, one a line.
fn actions(root: &Root, line: &str) -> String {
    root.events(&format!("{line} --format '{{{{.Type}}}} {{{{.Action}}}}'"))
}

#[test]
fn the_whole_life_of_a_container_is_kept() {
    let Some(root) = Root::new() else { return };
    let id = root.ok("create --rm --name box -l tier=front -v data:/data -i bb cat");
    assert_eq!(root.run_with("start -a -i box", b"said\n").out, "said\n");
    eventually("it is gone", || root.containers().is_empty());
    eventually("that is written down", || {
        actions(&root, "-f event=destroy") == "container destroy"
    });
    assert_eq!(
        actions(&root, &format!("-f container={id}")).lines().collect::<Vec<_>>(),
        [
            "container create",
            "container attach",
            "network connect",
            "volume mount",
            "container start",
            "container die",
            "network disconnect",
            "volume unmount",
            "container destroy",
        ]
    );
    assert_eq!(actions(&root, "-f volume=data"), "volume create\nvolume mount\nvolume unmount");
    assert_eq!(actions(&root, "-f network=bridge -f event=connect"), "network connect");
    assert_eq!(actions(&root, "-f container=box -f event=die"), "container die");
    let lasted = root.events("-f event=die --format '{{.Actor.Attributes.execDuration}}'");
    assert!(lasted.parse::<u64>().is_ok(), "{lasted}");
    assert_eq!(actions(&root, "-f label=tier=front -f event=start"), "container start");
    assert_eq!(actions(&root, "-f image=bb -f event=create"), "container create");
    assert_eq!(actions(&root, "-f type=node -f plugin=x"), "");
    let mounted = root.events("-f event=mount --format '{{json .Actor.Attributes}}'");
    let mounted: serde_json::Value = serde_json::from_str(&mounted).unwrap();
    assert_eq!(mounted["destination"], "/data");
    assert_eq!((&mounted["container"], &mounted["read/write"]), (&id.into(), &"true".into()));
}

#[test]
fn further_processes_are_told_with_their_words() {
    let Some(root) = Root::new() else { return };
    root.sleeper("box", "");
    root.run("exec box sh -c 'exit 3'");
    let told = || root.events("-f event=exec_create -f event=exec_start -f event=exec_die");
    eventually("its end is written down", || told().contains("exec_die"));
    let lines = actions(&root, "-f event=exec_create -f event=exec_start -f event=exec_die");
    let expected = "container exec_create: sh -c exit 3\ncontainer exec_start: sh -c exit 3\ncontainer exec_die";
    assert_eq!(lines, expected);
    let code = root.events("-f event=exec_die --format '{{.Actor.Attributes.exitCode}}'");
    assert_eq!(code, "3");
}

#[test]
fn events_have_dockers_older_fields_and_gos_names() {
    let Some(root) = Root::new() else { return };
    let id = root.ok("create --name box bb true");
    let said = root.events("-f event=create --format '{{.Status}} {{.ID}} {{.From}} {{.Scope}}'");
    assert_eq!(said, format!("create {id} bb local"));
    let line = root.events("-f event=create --format json");
    assert!(line.starts_with(&format!("{{\"status\":\"create\",\"id\":\"{id}\"")), "{line}");
    let same = root.events("-f event=create --format '{{json .}}'");
    assert_eq!(same, line);
    root.run("events --until 1 --format '{{.Foo}}'").complains(64, "Error parsing format: ");
    root.run("events --since 2 --until 1").complains(
        1,
        "Error response from daemon: `since` time (2) cannot be after `until` time (1)",
    );
    root.ok("volume create data");
    let line = root.events("-f type=volume --format json");
    assert!(line.starts_with("{\"Type\":\"volume\""), "{line}");
    assert_eq!(root.events("-f type=volume --format '{{.Status}}|{{.TimeNano}}'").len(), 20);
}

#[test]
fn the_start_of_one_that_stays_is_told_while_it_runs() {
    let Some(root) = Root::new() else { return };
    // That of one that is there for a moment is told with its end.
    let mut attached = root.command("run --rm --name box --network none bb sleep 600");
    let mut attached = attached.stdout(std::process::Stdio::null()).spawn().unwrap();
    let begun = "container create\ncontainer attach\ncontainer start";
    eventually("its start is told", || actions(&root, "-f container=box") == begun);
    root.ok("kill box");
    attached.wait().unwrap();
    let ended = format!("{begun}\ncontainer kill\ncontainer die\ncontainer destroy");
    eventually("its end is told", || actions(&root, "-f container=box") == ended);
}

#[test]
fn a_container_is_told_of_by_the_name_that_it_has() {
    let Some(root) = Root::new() else { return };
    root.sleeper("before", "");
    root.ok("rename before after");
    root.ok("rm -f after");
    let told = actions(&root, "-f container=after");
    for action in ["rename", "kill", "die", "destroy"] {
        assert!(told.lines().any(|line| line == format!("container {action}")), "{action}: {told}");
    }
    root.ok("builder prune -af");
    assert_eq!(actions(&root, "-f type=builder"), "builder prune");
}

#[test]
fn what_ends_a_container_is_told_in_dockers_order() {
    let Some(root) = Root::new() else { return };
    root.sleeper("box", "");
    root.ok("exec box true");
    root.ok("restart -t 0 box");
    root.ok("rm -f box");
    let told =
        || root.events("-f type=container --format '{{.Action}}|{{.Actor.Attributes.signal}}'");
    eventually("its end is written down", || told().contains("destroy"));
    let told = told();
    // The first kill of a restart asks, and the second one sees to it.
    let lines: Vec<&str> = told.lines().collect();
    let expected = [
        "create|<no value>",
        "start|<no value>",
        "exec_create: true |<no value>",
        "exec_start: true |<no value>",
        "exec_die|<no value>",
        "kill|15",
        "kill|9",
        "die|<no value>",
        "stop|<no value>",
        "start|<no value>",
        "restart|<no value>",
        "kill|9",
        "die|<no value>",
        "destroy|<no value>",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn images_are_told_of_by_their_labels_and_ids() {
    let Some(root) = Root::new() else { return };
    root.file("Dockerfile", "FROM bb\nLABEL a=b io.mica.names=stolen:1\n");
    root.ok("build -q -t one:1 .");
    let id = root.ok("images -q --no-trunc one");
    root.ok("tag one:1 two:2");
    root.ok("save -o saved.tar one:1 two:2");
    root.ok("rmi one:1 two:2");
    root.ok("load -q -i saved.tar");
    let format = "--format '{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.a}}'";
    let told = root.events(&format!("-f type=image {format}"));
    let told: Vec<_> = told.lines().filter(|line| !line.contains("bb:")).collect();
    let expected = [
        "tag one:1 b",
        "tag two:2 b",
        &format!("save {id} b"),
        &format!("untag {id} b"),
        &format!("untag {id} b"),
        &format!("delete {id} <no value>"),
        &format!("load {id} b"),
    ];
    assert_eq!(told[told.len() - expected.len()..], expected);
    let all = root.events("-f type=image --format json");
    assert!(!all.contains("io.mica"), "{all}");
    root.ok("rmi two:2");
    // What is remembered of names puts a damaged store right.
    std::fs::remove_file(root.root().join("images.json")).unwrap();
    root.ok("system check --repair");
    assert_eq!(root.ok("images --format '{{.Repository}}:{{.Tag}}' one"), "one:1");
    assert_eq!(root.ok("images -q two"), "");
    assert_eq!(root.ok("images -q stolen"), "");
}

//! `mica image prune`, `mica system prune`.

use serde_json::json;
use testkit::{Layer, need_root};

use crate::support::{Image, Mica};

/// An image of a layer of its own.
fn image(names: &[&str], label: &str) -> Image {
    Image::new(names)
        .layer(Layer::new().file(label, label), label)
        .config("Labels", json!({ "which": label }))
}

const DANGLING: &str = "WARNING! This will remove all dangling images.\n\
                        Are you sure you want to continue? [y/N] ";
const ALL: &str = "WARNING! This will remove all images without at least one container associated to them.\n\
     Are you sure you want to continue? [y/N] ";
const NOTHING: &str = "Total reclaimed space: 0B\n";

#[test]
fn only_what_has_no_name() {
    let mica = Mica::new();
    mica.load(&image(&["kept"], "kept"));
    let (id, diff) = (mica.load(&image(&[], "loose")), image(&[], "loose").diff_ids()[0].clone());
    let run = mica.run("image prune --force");
    let expected =
        format!("Deleted Images:\ndeleted: {id}\ndeleted: {diff}\n\nTotal reclaimed space: ");
    assert!(run.out.starts_with(&expected) && run.code == 0, "{run}");
    assert!(!run.out.ends_with(" 0B\n"), "{run}");
    mica.run("image prune -f").prints(NOTHING);
    assert_eq!(mica.ok("images --format '{{.Repository}}'"), "kept");
    mica.must_be_whole();
}

#[test]
fn everything_unused() {
    let mica = Mica::new();
    mica.load(&image(&["a", "b:2"], "one"));
    let run = mica.run("image prune --all -f");
    let id = image(&[], "one").id();
    assert!(
        run.out.starts_with(&format!(
            "Deleted Images:\nuntagged: a:latest\nuntagged: b:2\ndeleted: {id}\n"
        )),
        "{run}"
    );
    assert_eq!(mica.ok("images -aq"), "");
    mica.load(&image(&["a"], "one"));
    // As docker has it: not dangling is everything.
    assert!(mica.ok("image prune -f --filter dangling=false").contains("untagged: a:latest"));
    mica.must_be_empty();
}

#[test]
fn image_by_image() {
    let mica = Mica::new();
    let (one, two) = (image(&["a:1", "a:2"], "one"), image(&["b"], "two"));
    mica.load(&one);
    mica.load(&two);
    let out = mica.ok("image prune -a -f");
    let part = |image: &Image, names: &[&str]| {
        let names = names.iter().map(|name| format!("untagged: {name}\n")).collect::<String>();
        format!("{names}deleted: {}\ndeleted: {}\n", image.id(), image.diff_ids()[0])
    };
    for part in [part(&one, &["a:1", "a:2"]), part(&two, &["b:latest"])] {
        assert!(out.contains(&part), "{part:?} in {out}");
    }
    let events = mica.events("--format '{{.Action}} {{.Actor.Attributes.name}}'");
    for (image, names) in [(&one, 2), (&two, 1)] {
        let line = format!("untag {}", image.id());
        assert_eq!(events.lines().filter(|told| **told == line).count(), names, "{events}");
    }
}

/// A container that is made while `prune` waits for its turn keeps its image.
#[test]
fn what_is_used_is_asked_when_nobody_else_works() {
    need_root!();
    let mica = Mica::new();
    mica.load(&image(&["a"], "one").config("Cmd", json!(["x"])));
    let lock = std::fs::File::open(mica.root().join("lock")).unwrap();
    sys::lock::lock(&lock, sys::lock::Mode::Shared).unwrap();
    let mut command = mica.command("image prune -a -f");
    let mut prune = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    // It has read whatever it reads before, and waits.
    std::thread::sleep(std::time::Duration::from_millis(300));
    mica.ok("create --name kept a");
    drop(lock);
    assert!(prune.wait().unwrap().success());
    assert_eq!(mica.ok("images --format '{{.Repository}}'"), "a");
    mica.ok("rm kept");
}

#[test]
fn it_asks_first() {
    let mica = Mica::new();
    mica.load(&image(&[], "loose"));
    for answer in ["n\n", "", "no\n", "yes please\n"] {
        let run = mica.run_with("image prune", answer.as_bytes());
        assert_eq!((run.out.as_str(), run.code), (DANGLING, 0), "{run}");
    }
    mica.run_with("image prune -a", b"n\n").prints(ALL);
    assert_eq!(mica.ok("images -q").lines().count(), 1);
    let run = mica.run_with("image prune", b"y\n");
    assert!(run.out.starts_with(&format!("{DANGLING}Deleted Images:\n")), "{run}");
    assert_eq!(mica.ok("images -q"), "");
    mica.run_with("system prune", b"N\n").prints(
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at \
         least one container\n  - all dangling images\n  - unused build cache\n  - whatever unfinished work has left \
         behind\n\nAre you sure you want to continue? [y/N] ",
    );
}

#[test]
fn filters() {
    let left = |line: &str| {
        let mica = Mica::new();
        mica.load(&image(&[], "one"));
        mica.load(&image(&[], "two"));
        mica.import("young");
        mica.ok("rmi young");
        mica.ok("import small.tar");
        mica.ok(&format!("image prune -f {line}"));
        let mut found: Vec<String> = Vec::new();
        for id in mica.ok("images -q --no-trunc").lines() {
            found.push(
                mica.ok(&format!("inspect -f '{{{{index .Config.Labels \"which\"}}}}' {id}")),
            );
        }
        found.sort();
        found.join(" ").trim().replace("<no value>", "young")
    };
    assert_eq!(left("--filter label=which=one"), "two");
    assert_eq!(left("--filter label!=which=one"), "one");
    assert_eq!(left("--filter label!=which"), "one two");
    assert_eq!(left("--filter until=2021-06-01"), "");
    assert_eq!(left("--filter until=2010-01-01"), "one two");
}

#[test]
fn wrong_filters() {
    let mica = Mica::new();
    for name in ["reference", "before", "since", "nope"] {
        let expected = format!("Error response from daemon: invalid filter '{name}'\n");
        mica.run(&format!("image prune -f --filter {name}=x")).fails(1, &expected);
        mica.run(&format!("system prune -f --filter {name}=x")).fails(1, &expected);
    }
    mica.run("image prune -f --filter nope").complains(
        125,
        "invalid argument \"nope\" for \"--filter\" flag: bad format of filter (expected name=value)",
    );
    mica.run("image prune x").complains(1, "mica: 'mica image prune' accepts no arguments");
}

#[test]
fn what_is_mounted_stays() {
    need_root!();
    let mica = Mica::new();
    let id = mica.load(&image(&[], "loose"));
    mica.ok(&format!("image mount {id}"));
    mica.run("image prune -f").prints(NOTHING);
    mica.run("system prune -a -f").prints(NOTHING);
    assert_eq!(mica.ok("images -q --no-trunc"), id);
    mica.ok("image unmount --all");
    assert!(mica.ok("system prune -a -f").contains(&format!("deleted: {id}")));
}

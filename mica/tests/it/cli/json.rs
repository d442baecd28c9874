//! Every verb has `--format json`: small documents, one a line.

use serde_json::{Value, json};
use testkit::need_root;

use crate::support::{Image, Mica, small};

fn app() -> Image {
    Image::new(&["app:1.0", "me/app:latest"]).layer(small(), "base").step("x")
}

#[test]
fn verbs_that_bring_images() {
    let mica = Mica::new();
    mica.file("small.tar", small().tar());
    let made = mica.json("import --format json small.tar app:1.0");
    let old = mica.ok("images -q --no-trunc app:1.0");
    assert_eq!(made, json!({ "ID": old, "Names": ["app:1.0"] }));
    assert_eq!(mica.json("import --format json -m other small.tar")["Names"], json!([]));
    mica.file("app.tar", app().archive());
    assert_eq!(
        mica.json("load -i app.tar --format json"),
        json!({
            "ID": app().id(), "Names": ["app:1.0", "me/app:latest"],
            "Displaced": [{ "Name": "app:1.0", "ID": old }],
        })
    );
    mica.run("load -i app.tar --format '{{.ID}}'").prints(&format!("{}\n", app().id()));
}

#[test]
fn verbs_that_write_images() {
    let mica = Mica::new();
    let id = mica.load(&app());
    assert_eq!(
        mica.json("save --format json -o x.tar app:1.0"),
        json!({ "ID": id, "Names": ["app:1.0"], "Output": "x.tar" })
    );
    assert_eq!(
        mica.json("image export-layout --format json app:1.0 layout"),
        json!({ "ID": id, "Names": ["app:1.0"], "Output": "layout" })
    );
    // Standard output cannot be both.
    let run = mica.run("save --format json app:1.0");
    run.fails(1, "error: --format needs --output\n");
}

#[test]
fn verbs_that_name_and_remove() {
    let mica = Mica::new();
    let id = mica.load(&app());
    assert_eq!(
        mica.json("tag --format json app:1.0 other"),
        json!({ "ID": id, "Name": "other:latest" })
    );
    let removed = |line: &str| -> Vec<Value> {
        mica.ok(line).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(
        removed("rmi --format json other me/app"),
        [json!({ "Untagged": "other:latest" }), json!({ "Untagged": "me/app:latest" }),]
    );
    let diff = app().diff_ids()[0].clone();
    assert_eq!(
        removed("rmi --format json app:1.0"),
        [json!({ "Untagged": "app:1.0" }), json!({ "Deleted": id }), json!({ "Deleted": diff }),]
    );
    mica.load(&app());
    let pruned = mica.json("image prune -a -f --format json");
    assert_eq!(
        pruned["ImagesDeleted"],
        json!([
            { "Untagged": "app:1.0" }, { "Untagged": "me/app:latest" }, { "Deleted": id },
            { "Deleted": diff },
        ])
    );
    assert!(pruned["SpaceReclaimed"].as_u64().unwrap() > 1000);
    assert_eq!(
        mica.json("system prune -f --format json"),
        json!({ "ImagesDeleted": [], "SpaceReclaimed": 0 })
    );
    // The question is not among the documents.
    let run = mica.run_with("image prune --format json", b"y\n");
    assert!(run.out.starts_with("{\"ImagesDeleted\"") && run.err.contains("[y/N]"), "{run}");
}

#[test]
fn verbs_that_mount() {
    need_root!();
    let mica = Mica::new();
    let id = mica.load(&app());
    let mounted = mica.json("image mount --format json app:1.0");
    assert_eq!(mounted["Image"], json!("app:1.0"));
    let row = mica.json("image mount --format json");
    assert_eq!((&row["Path"], &row["Count"]), (&mounted["Path"], &json!(1)));
    assert_eq!(mica.json("image unmount --format json app:1.0"), json!({ "ID": id }));
}

#[test]
fn verbs_that_tell() {
    let mica = Mica::new();
    mica.load(&app());
    for line in [
        "images --format json app:1.0",
        "history --format json me/app",
        "info --format json",
        "version --format json",
        "system check --format json",
        "system df -v --format json",
        "image tree --format json",
        "image diff --format json app:1.0 me/app",
        "inspect --format json app:1.0",
        "image inspect --format json app:1.0",
        "manifest inspect app:1.0",
    ] {
        let out = mica.ok(line);
        let first = if line.starts_with("manifest") { &out } else { out.lines().next().unwrap() };
        assert!(serde_json::from_str::<Value>(first).is_ok(), "{line}: {out}");
    }
}

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
        json!({
            "ContainersDeleted": [], "NetworksDeleted": [], "VolumesDeleted": [],
            "ImagesDeleted": [], "CachesDeleted": [], "SpaceReclaimed": 0,
        })
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
        "manifest inspect --local app:1.0",
    ] {
        let out = mica.ok(line);
        let first = if line.starts_with("manifest") { &out } else { out.lines().next().unwrap() };
        assert!(serde_json::from_str::<Value>(first).is_ok(), "{line}: {out}");
    }
}

/// The fields that the document promises in a section, with their types; rows of several fields
/// stand for each of them, and parts of fields (`Files[].Kind`) are left to others.
fn documented(section: &str) -> Vec<(String, String)> {
    let document = include_str!("../../../../docs/json.md");
    let start = document.find(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("{section}"));
    let text = &document[start + 1..];
    let text = &text[..text.find("\n## ").unwrap_or(text.len())];
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let kind = cells[2].split(':').next().unwrap().to_owned();
        let names = cells[1].split('`').skip(1).step_by(2).map(str::to_owned);
        names.map(|name| (name, kind.clone())).collect::<Vec<_>>()
    })
    .filter(|(name, _)| !name.contains("[]"))
    .collect()
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" => value.is_u64(),
        "object" => value.is_object(),
        "true or false" => value.is_boolean(),
        "list of strings" => value.as_array().is_some_and(|l| l.iter().all(Value::is_string)),
        "list of objects" => value.as_array().is_some_and(|l| l.iter().all(Value::is_object)),
        "list of pairs of strings" => value.as_array().is_some_and(|list| {
            list.iter().all(|pair| pair.as_array().is_some_and(|pair| pair.len() == 2))
        }),
        kind => panic!("{kind} is no type that the document explains"),
    }
}

/// Every line of a command has the fields of a section, of the types it says, and no others.
#[track_caller]
fn keeps_its_word(mica: &Mica, line: &str, section: &str) {
    let (promised, out) = (documented(section), mica.ok(line));
    assert!(!promised.is_empty() && !out.is_empty(), "{section}: {promised:?}");
    for text in out.lines() {
        let row: Value = serde_json::from_str(text).unwrap();
        let row = row.as_object().unwrap();
        for (name, kind) in &promised {
            let (kind, may_lack) = match kind.strip_suffix(", if any") {
                Some(kind) => (kind, true),
                None => (kind.as_str(), false),
            };
            match row.get(name) {
                Some(value) => assert!(is_of(kind, value), "{line}: {name} is no {kind}: {value}"),
                None => assert!(may_lack, "{line}: no {name} in {text}"),
            }
        }
        for name in row.keys() {
            assert!(promised.iter().any(|(known, _)| known == name), "{line}: {name} in {text}");
        }
    }
}

#[test]
fn fields_and_their_types_are_as_documented() {
    let mica = Mica::new();
    mica.load(&app());
    let base = Image::new(&["base"]).layer(testkit::Layer::new().file("x", "x"), "COPY x");
    mica.load(&base);
    for (line, section) in [
        ("images --format json", "images, image ls"),
        ("image tree --format json", "image tree"),
        ("history --format json app:1.0", "history, image history"),
        ("history --format json -H=false app:1.0", "history, image history"),
        ("info --format json", "info, system info"),
        ("image diff --format json base app:1.0", "image diff"),
        ("image files --format json app:1.0", "image files"),
        ("image why --format json app:1.0 /etc/motd", "image why"),
        ("load --format json -i fixture.tar", "load"),
        ("save --format json -o x.tar app:1.0 base", "save, image export-layout"),
        ("import --format json fixture.tar other", "import"),
        ("system check --format json", "system check"),
        ("events --format json --since 10m --until 0s", "events, system events"),
        ("image prune -f --format json", "image prune, system prune"),
    ] {
        if line.starts_with("events") {
            // Docker counts this end in whole seconds.
            std::thread::sleep(std::time::Duration::from_millis(1100));
        }
        keeps_its_word(&mica, line, section);
    }
}

#[test]
fn fields_of_mounts_are_as_documented() {
    need_root!();
    let mica = Mica::new();
    mica.load(&app());
    mica.ok("image mount app:1.0");
    keeps_its_word(&mica, "image mount --format json", "image mount");
}

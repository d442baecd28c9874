//! `mica image mount`, `unmount`, `diff`, `why`, `files`, `tree`.

use std::fs;

use serde_json::{Value, json};
use testkit::{Layer, Tree, need_root, oracle};

use crate::support::{Image, Mica, short, small};

fn app() -> Image {
    Image::new(&["app:1.0"])
        .layer(small(), "base")
        .step("ENV A=1")
        .layer(
            Layer::new()
                .file("etc/motd", "changed\n")
                .mode(0o640)
                .owner(5, 6)
                .whiteout("bin/sh")
                .file("app", "app"),
            "COPY . /",
        )
        .config("Env", json!(["A=1"]))
}

#[test]
fn a_mount_shows_all_layers_merged_and_read_only() {
    need_root!();
    let mut drivers = 0;
    for driver in ["erofs", "overlay", "btrfs", "vfs"] {
        let mica = Mica::on_disk().with_driver(driver);
        if mica.run("info").code != 0 {
            continue;
        }
        drivers += 1;
        let id = mica.load(&app());
        let path = mica.ok("image mount app:1.0");
        let tree = Tree::read(path.as_ref()).unwrap();
        tree.must_equal(&oracle::apply(app().layers()), driver);
        let error = fs::write(format!("{path}/etc/new"), "x").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{driver}");
        // Mounted again it is in the same place, and has to be unmounted as often.
        assert_eq!(mica.ok(&format!("image mount {id}")), path);
        mica.run("image mount").prints(&format!(
            "IMAGE ID       MOUNT POINT{0}COUNT\n{1}   {path}   2\n",
            " ".repeat(path.len() + 3 - "MOUNT POINT".len()),
            short(&id)
        ));
        mica.run("image unmount app:1.0").prints(&format!("{id}\n"));
        assert!(fs::read(format!("{path}/app")).is_ok(), "{driver}");
        mica.run("image umount app:1.0").prints(&format!("{id}\n"));
        assert!(fs::read(format!("{path}/app")).is_err(), "{driver}");
        mica.run("image unmount app:1.0").complains(1, "image app:1.0 is not mounted");
        mica.run("image mount").prints("IMAGE ID   MOUNT POINT   COUNT\n");
        mica.must_be_whole();
    }
    assert!(drivers > 0, "no driver works here");
}

#[test]
fn several_mounts() {
    need_root!();
    let mica = Mica::new();
    let (one, two) = (mica.load(&app()), mica.import("base"));
    let out = mica.ok("image mount app:1.0 base");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("app:1.0 /") && lines[1].starts_with("base /"), "{out}");
    let rows = mica.ok("image mount --format '{{.ID}} {{.Count}}'");
    let mut rows: Vec<&str> = rows.lines().collect();
    let mut expected = [format!("{} 1", short(&one)), format!("{} 1", short(&two))];
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected);
    mica.ok("image mount base");
    mica.run("image unmount --force base").prints(&format!("{two}\n"));
    mica.run("image unmount -a").prints(&format!("{one}\n"));
    mica.run("image unmount --all").prints("");
    mica.run("image unmount").complains(1, "error: name an image, or use --all");
    mica.run("image unmount -a base").complains(1, "not both");
    mica.run("image mount nothere")
        .fails(1, "Error response from daemon: No such image: nothere:latest\n");
}

#[test]
fn a_diff_names_files_and_settings() {
    let mica = Mica::new();
    mica.load(&Image::new(&["base"]).layer(small(), "base").step("x"));
    mica.load(&app());
    mica.run("image diff base app:1.0").prints(
        "A /app (3B)\nD /bin/sh (2B)\nC /etc/motd (6B -> 8B)\nconfig config.Env: null -> [\"A=1\"]\n",
    );
    mica.run("image diff app:1.0 app:1.0").prints("");
    let diff = mica.json("image diff --format json base app:1.0");
    assert_eq!(
        diff,
        json!({
            "Files": [
                { "Kind": "A", "Path": "/app", "Before": null, "After": 3 },
                { "Kind": "D", "Path": "/bin/sh", "Before": 2, "After": null },
                { "Kind": "C", "Path": "/etc/motd", "Before": 6, "After": 8 },
            ],
            "Config": [{ "Field": "config.Env", "Before": null, "After": ["A=1"] }],
        })
    );
    mica.run("image diff --format '{{len .Files}}' base app:1.0").prints("3\n");
    mica.run("image diff base nothere").complains(1, "No such image: nothere:latest");
    mica.run("image diff base").complains(1, "mica: 'mica image diff' requires 2 arguments");
}

#[test]
fn why_names_layer_and_instruction() {
    let mica = Mica::new();
    mica.load(&app());
    mica.run("image why app:1.0 /etc/motd").prints(
        "LAYER     CHANGE    SIZE      CREATED BY\n\
         2         changed   8B        COPY . /\n\
         1         added     6B        base\n",
    );
    mica.run("image why --format '{{.Layer}} {{.Change}}' app:1.0 bin/sh")
        .prints("2 deleted\n1 added\n");
    let rows = mica.ok("image why --format json app:1.0 app");
    let row: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(
        row,
        json!({
            "Change": "added", "CreatedBy": "COPY . /", "DiffID": app().diff_ids()[1], "Layer": "2",
            "Size": "3B",
        })
    );
    mica.run("image why app:1.0 /nothere").fails(1, "error: /nothere is not in the image\n");
}

#[test]
fn files_without_mounting() {
    let mica = Mica::new();
    mica.load(&app());
    mica.run("image files app:1.0").prints(
        "MODE         OWNER     SIZE      MODIFIED               PATH\n\
         -rw-r--r--   0:0       3         2023-11-14T22:13:20Z   /app\n\
         drwxr-xr-x   0:0       0         2023-11-14T22:13:20Z   /bin\n\
         drwxr-xr-x   0:0       0         2023-11-14T22:13:20Z   /etc\n\
         lrwxrwxrwx   0:0       4         2023-11-14T22:13:20Z   /etc/link -> motd\n\
         -rw-r-----   5:6       8         2023-11-14T22:13:20Z   /etc/motd\n",
    );
    mica.run("image files -q app:1.0 /etc").prints("/etc\n/etc/link\n/etc/motd\n");
    mica.run("image files --quiet app:1.0 app").prints("/app\n");
    mica.run("image files --format '{{.Path}} {{.Layer}} {{.Uid}}:{{.Gid}}' app:1.0 /etc/motd")
        .prints("/etc/motd 2 5:6\n");
    let row = mica.json("image files --format json app:1.0 /etc/link");
    assert_eq!((&row["Target"], &row["Layer"]), (&json!("motd"), &json!(1)));
    mica.run("image files app:1.0 /gone").fails(1, "error: /gone is not in the image\n");
    mica.run("image files nothere").complains(1, "No such image: nothere:latest");
}

#[test]
fn a_tree_shows_what_is_shared() {
    let mica = Mica::new();
    let base = mica.load(&Image::new(&["base", "base:2"]).layer(small(), "base").step("x"));
    let id = mica.load(&app());
    let diffs = app().diff_ids();
    let top = spec::Digest::of(format!("{} {}", diffs[0], diffs[1]).as_bytes());
    let rows = mica.ok("image tree --format json");
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let sizes: Vec<u64> = rows.iter().map(|row| row["Size"].as_u64().unwrap()).collect();
    assert_eq!(
        rows,
        [
            json!({
                "Chain": diffs[0], "Depth": 0, "Size": sizes[0], "Total": sizes[0],
                "Images": [{ "ID": base, "Names": ["base:2", "base:latest"] }],
            }),
            json!({
                "Chain": top.to_string(), "Depth": 1, "Size": sizes[1], "Total": sizes[0] + sizes[1],
                "Images": [{ "ID": id, "Names": ["app:1.0"] }],
            }),
        ]
    );
    let human = |bytes: u64| spec::human_size_3(bytes as f64);
    mica.run("image tree").prints(&format!(
        "{} {}  base:2, base:latest ({}, {} in all)\n  {} {}  app:1.0 ({}, {} in all)\n",
        short(&diffs[0]),
        human(sizes[0]),
        short(&base),
        human(sizes[0]),
        top.short(),
        human(sizes[1]),
        short(&id),
        human(sizes[0] + sizes[1]),
    ));
    Mica::new().run("image tree").prints("");
}

#[test]
fn paths_lead_over_links() {
    let mica = Mica::new();
    let merged = Layer::new()
        .folder("usr")
        .folder("usr/bin")
        .file("usr/bin/bash", "#!")
        .link("bin", "usr/bin")
        .link("usr/bin/sh", "bash")
        .link("abs", "/bin/../bin")
        .link("round", "round");
    mica.load(&Image::new(&["deb:1"]).layer(merged, "debootstrap"));
    for path in ["/bin/bash", "usr/bin/bash", "/abs/bash"] {
        assert_eq!(mica.ok(&format!("image files -q deb:1 {path}")), "/usr/bin/bash", "{path}");
        let why = mica.json(&format!("image why --format json deb:1 {path}"));
        assert_eq!(why["CreatedBy"], json!("debootstrap"), "{path}");
    }
    // A link at the end is what was asked for.
    assert_eq!(mica.ok("image files -q deb:1 /bin/sh"), "/usr/bin/sh");
    assert_eq!(mica.ok("image files -q deb:1 /bin"), "/bin");
    mica.run("image files deb:1 /round/x").complains(1, "/round/x is not in the image");
    mica.run("image why deb:1 /bin/none").complains(1, "/bin/none is not in the image");
}

#[test]
fn a_time_without_a_date_is_told_in_seconds() {
    let mica = Mica::new();
    let far = Layer::new().file("far", "").mtime(300_000_000_000, 0);
    mica.load(&Image::new(&["far:1"]).layer(far, "x"));
    assert_eq!(mica.ok("image files --format '{{.Modified}}' far:1"), "@300000000000");
}

#[test]
fn an_index_that_is_gone_or_damaged_is_named() {
    need_root!();
    let mica = Mica::on_disk().with_driver("erofs");
    if mica.run("info").code != 0 {
        return testkit::skip("no erofs from files here");
    }
    mica.load(&app());
    let indexes = || fs::read_dir(mica.root().join("index")).unwrap();
    indexes().for_each(|entry| fs::write(entry.unwrap().path(), vec![0; 8192]).unwrap());
    let run = mica.run("image mount app:1.0");
    run.complains(1, "cannot read the index of layer sha256:");
    run.complains(1, "hint: `mica system check`");
    indexes().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    mica.run("image mount app:1.0").complains(1, "the index of layer sha256:");
    mica.run("image files app:1.0").complains(1, "the index of layer sha256:");
}

#[test]
fn names_of_files_forge_no_lines() {
    let mica = Mica::new();
    mica.load(&Image::new(&["one:1"]).layer(small(), "base"));
    let odd = Layer::new().file("new\nline", "x").file("esc\u{1b}[2J", "x");
    mica.load(&Image::new(&["two:1"]).layer(small(), "base").layer(odd, "odd"));
    for command in ["image diff one:1 two:1", "image files two:1"] {
        let shown = mica.ok(command);
        assert!(shown.contains("new\\nline") && shown.contains("esc\\u{1b}[2J"), "{shown}");
        assert!(!shown.contains('\u{1b}') && !shown.contains("\nline"), "{shown}");
    }
}

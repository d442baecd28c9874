//! `mica images`, `mica image ls`.

use serde_json::json;
use testkit::Layer;

use crate::support::{Image, Mica, short, small};

/// Three images: one with three names, one made before it, one without a name.
struct Shelf {
    mica: Mica,
    base: String,
    app: String,
    bare: String,
}

fn shelf() -> Shelf {
    let mica = Mica::new();
    let base = mica.import("base");
    mica.ok("tag base base:two");
    mica.ok("tag base user/base:3");
    let app = mica.load(
        &Image::new(&["localhost:5000/x/app:1.0"])
            .layer(small(), "base")
            .layer(Layer::new().file("app", "app"), "COPY app")
            .config("Labels", json!({ "stage": "test", "empty": "" })),
    );
    let bare = mica.load(&Image::new(&[]).layer(Layer::new().file("x", ""), "touch x"));
    Shelf { mica, base, app, bare }
}

impl Shelf {
    /// The size of an image as lists show it.
    fn size(&self, id: &str) -> String {
        let bytes = self.mica.ok(&format!("inspect -f '{{{{.Size}}}}' {id}"));
        spec::human_size_3(bytes.parse().unwrap())
    }

    /// How long ago the loaded images were made, as lists show it.
    fn age(&self) -> String {
        let line = "images --format '{{.CreatedSince}}' localhost:5000/x/app";
        let age = self.mica.ok(line);
        assert!(age.ends_with(" years ago"), "{age}");
        age
    }
}

#[test]
fn a_table_with_a_line_for_each_name() {
    let shelf = shelf();
    let Shelf { mica, base, app, bare } = &shelf;
    let (age, small, large, tiny) =
        (shelf.age(), shelf.size(base), shelf.size(app), shelf.size(bare));
    let (base, app, bare) = (short(base), short(app), short(bare));
    let expected = format!(
        "REPOSITORY             TAG       IMAGE ID       CREATED       SIZE\n\
         base                   latest    {base}   3 days ago    {small}\n\
         base                   two       {base}   3 days ago    {small}\n\
         user/base              3         {base}   3 days ago    {small}\n"
    );
    let run = mica.run("images");
    assert!(run.out.starts_with(&expected), "{run}");
    // Both others were made at the same time: which of them is first is not promised.
    let app = format!("localhost:5000/x/app   1.0       {app}   {age:<11}   {large}");
    let bare = format!("<none>                 <none>    {bare}   {age:<11}   {tiny}");
    let mut rest: Vec<&str> = run.out[expected.len()..].lines().collect();
    rest.sort();
    assert_eq!(rest, [bare, app], "{run}");
    mica.run("image ls").prints(&run.out);
    mica.run("image list").prints(&run.out);
    mica.run("images --all").prints(&run.out);
}

#[test]
fn an_empty_store_has_a_header() {
    let mica = Mica::new();
    mica.run("images").prints("REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
    mica.run("images -q").prints("");
    mica.run("images --format json").prints("");
    mica.run("images --digests")
        .prints("REPOSITORY   TAG       DIGEST    IMAGE ID   CREATED   SIZE\n");
}

#[test]
fn ids_long_and_short() {
    let Shelf { mica, base, .. } = shelf();
    mica.run("images -q base").prints(&format!("{0}\n{0}\n", short(&base)));
    mica.run("images --quiet --no-trunc base:two").prints(&format!("{base}\n"));
    let out = mica.ok("images --no-trunc base:two");
    assert!(out.contains(&base), "{out}");
    assert_eq!(
        mica.ok("images --digests --format '{{.Tag}} {{.Digest}}' base"),
        "latest <none>\ntwo <none>"
    );
    assert!(
        mica.ok("images --digests base").starts_with("REPOSITORY   TAG       DIGEST    IMAGE ID")
    );
}

const NAMES: &str = "--format '{{.Repository}}:{{.Tag}}'";

#[test]
fn names_and_patterns() {
    let Shelf { mica, .. } = shelf();
    let check = |arguments: &str, expected: &[&str]| {
        let found = mica.ok(&format!("images {NAMES} {arguments}"));
        let mut found: Vec<&str> = found.lines().collect();
        found.sort();
        assert_eq!(found, expected, "{arguments}");
    };
    check("base", &["base:latest", "base:two"]);
    check("base:two", &["base:two"]);
    check("docker.io/library/base:two", &["base:two"]);
    check("'b*'", &["base:latest", "base:two"]);
    check("'*'", &["base:latest", "base:two"]);
    check("'*/*'", &["user/base:3"]);
    check("'*:two'", &["base:two"]);
    check("'*/*/*'", &["localhost:5000/x/app:1.0"]);
    check("localhost:5000/x/app", &["localhost:5000/x/app:1.0"]);
    check("'base:[a-l]*'", &["base:latest"]);
    check("'bas?'", &["base:latest", "base:two"]);
    check("nothere", &[]);
    check("base:nothere", &[]);
    check("-f reference=user/base", &["user/base:3"]);
    // Several names are alternatives, and the one after the command is one of them.
    check("-f 'reference=*:two' -f 'reference=user/*'", &["base:two", "user/base:3"]);
    check("-f reference=user/base base:two", &["base:two", "user/base:3"]);
}

#[test]
fn filters() {
    let Shelf { mica, base, app, bare } = shelf();
    let check = |arguments: &str, expected: &[&str]| {
        let found = mica.ok(&format!("images -q --no-trunc {arguments}"));
        let mut found: Vec<&str> = found.lines().collect();
        let mut expected = expected.to_vec();
        found.sort();
        expected.sort();
        found.dedup();
        assert_eq!(found, expected, "{arguments}");
    };
    check("-f dangling=true", &[&bare]);
    check("-f dangling=false", &[&base, &app]);
    check("--filter dangling=1", &[&bare]);
    check("-f label=stage", &[&app]);
    check("-f label=stage=test", &[&app]);
    check("-f label=empty=", &[&app]);
    check("-f label=stage=prod", &[]);
    check("-f label=stage -f dangling=true", &[]);
    check("-f before=base", &[&app, &bare]);
    check(&format!("-f since={app}"), &[&base]);
    check(&format!("-f since={}", short(&app)), &[&base]);
    check("-f until=24h", &[&base, &app, &bare]);
    check("-f until=96h", &[&app, &bare]);
    check("-f until=2021-01-01", &[&app, &bare]);
    check("-f until=1262304000", &[]);
    check("-f 'LABEL = stage'", &[&app]);
    check("-f ''", &[&base, &app, &bare]);
}

#[test]
fn wrong_filters() {
    let Shelf { mica, .. } = shelf();
    let check = |filter: &str, words: &str| {
        let expected = format!("Error response from daemon: {words}\n");
        mica.run(&format!("images -f '{filter}'")).fails(1, &expected);
    };
    check("nope=1", "invalid filter 'nope'");
    check("dangling=maybe", "invalid filter 'dangling=[maybe]'");
    check("label!=x", "invalid filter 'label!'");
    check("before=nothere", "No such image: nothere:latest");
    check("since=nothere:1", "No such image: nothere:1");
    check("reference=[bad", "syntax error in pattern");
    check("until=garbage", "failed to parse value as time or duration: \"garbage\"");
    mica.run("images -f nope").fails(
        125,
        "invalid argument \"nope\" for \"-f, --filter\" flag: bad format of filter (expected name=value)\n\n\
         Usage:  mica images [OPTIONS] [REPOSITORY[:TAG]]\n\n\
         Run 'mica images --help' for more information\n",
    );
}

#[test]
fn formats() {
    let shelf = shelf();
    let Shelf { mica, base, .. } = &shelf;
    let id = short(base);
    mica.run(&format!("images {NAMES} base")).prints("base:latest\nbase:two\n");
    mica.run("images --format 'table {{.Repository}}\\t{{.Tag}}' base")
        .prints("REPOSITORY   TAG\nbase         latest\nbase         two\n");
    mica.run("images --format 'table {{.ID}}' -q base:two").prints(&format!("IMAGE ID\n{id}\n"));
    mica.run("images --format '{{upper .Tag}} {{len .ID}} {{json .Repository}}' base:two")
        .prints("TWO 12 \"base\"\n");
    let row = mica.json("images --format json base:two");
    assert_eq!(row["CreatedAt"].as_str().unwrap().len(), "2020-01-02 03:04:05 +0000 UTC".len());
    assert_eq!(
        row,
        json!({
            "Containers": "N/A", "CreatedAt": row["CreatedAt"], "CreatedSince": "3 days ago",
            "Digest": "<none>", "ID": id, "Platform": spec::Platform::host().to_string(),
            "Repository": "base", "SharedSize": "N/A", "Size": shelf.size(base), "Tag": "two",
            "UniqueSize": "N/A", "VirtualSize": row["VirtualSize"],
        })
    );
    assert_eq!(
        mica.ok("images --format '{{json .}}' base:two"),
        mica.ok("images --format json base:two")
    );
    // As docker's own encoder has it.
    assert!(mica.ok("images --format json base:two").contains("\"Digest\":\"\\u003cnone\\u003e\""));
}

#[test]
fn the_raw_form() {
    let shelf = shelf();
    let Shelf { mica, base, .. } = &shelf;
    let (id, size) = (short(base), shelf.size(base));
    let made = mica.ok("images --format '{{.CreatedAt}}' base:two");
    let rest = format!("image_id: {id}\ncreated_at: {made}\nvirtual_size: {size}\n\n");
    mica.run("images --format raw base:two").prints(&format!("repository: base\ntag: two\n{rest}"));
    mica.run("images --digests --format raw base:two")
        .prints(&format!("repository: base\ntag: two\ndigest: <none>\n{rest}"));
    mica.run("images -q --format raw base:two").prints(&format!("image_id: {id}\n"));
    mica.run("images -q --format table base:two").prints(&format!("{id}\n"));
    // What only begins so is a template.
    mica.run("images --format rawx base:two").prints("rawx\n");
    let exact = mica.ok("images --format '{{.VirtualSize}}' base:two");
    assert!(exact.len() >= size.len() && exact.ends_with('B'), "{exact}");
}

#[test]
fn an_empty_pattern_is_none() {
    let Shelf { mica, .. } = shelf();
    assert_eq!(mica.ok("images ''"), mica.ok("images"));
}

#[test]
fn wrong_formats() {
    let Shelf { mica, .. } = shelf();
    mica.run("images --format '{{.Nope}}'").fails(
        1,
        "template parsing error: template: :1:2: executing \"\" at <.Nope>: can't evaluate field \
         Nope in type *formatter.imageContext\n",
    );
    mica.run("images --format '{{.ID'").complains(1, "template parsing error: template: :1: ");
    mica.run("images a b").complains(1, "mica: 'mica images' requires at most 1 argument");
    mica.run("images --nope").complains(125, "unknown flag: --nope");
}

#[test]
fn a_column_for_digests_in_tables_of_ones_own() {
    let Shelf { mica, base, .. } = shelf();
    // As docker's client has it, quirk for quirk.
    let id = short(&base);
    mica.run("images --digests --format 'table {{.ID}}' base:two")
        .prints(&format!("IMAGE ID       DIGEST\n{id}   <none>\n"));
    mica.run("images --digests --format 'table {{.Digest}}' base:two").prints("DIGEST\n<none>\n");
    mica.run("images --digests --format '{{.ID}}' base:two").prints(&format!("{id}\n"));
}

#[test]
fn a_tree_of_platforms() {
    let shelf = shelf();
    let Shelf { mica, app, bare, base } = &shelf;
    let tree = mica.ok("images --tree");
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines[0].trim(), "Info ->  U In Use");
    let titles = ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"];
    let columns: Vec<&str> =
        lines[2].split("  ").map(str::trim).filter(|t| !t.is_empty()).collect();
    assert_eq!(columns, titles, "{tree}");
    // Names of the same image stand together, the last of them with what is said of all.
    let at = lines.iter().position(|line| *line == "base:latest").unwrap();
    assert_eq!(lines[at + 1], "base:two", "{tree}");
    let size = shelf.size(base);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[at + 2]), ["user/base:3", short(base), &size, &size], "{tree}");
    let platform = spec::Platform::host().to_string();
    assert_eq!(words(lines[at + 3]), ["└─", &platform, short(base), &size, &size], "{tree}");
    assert!(tree.contains("localhost:5000/x/app:1.0") && tree.contains(short(app)), "{tree}");
    assert!(tree.lines().all(|line| line.chars().count() <= 80), "{tree}");
    // A container uses what it was made from.
    mica.ok("create base true");
    let used = mica.ok("images --tree user/base");
    assert!(used.lines().any(|line| words(line).last().is_some_and(|it| it == "U")), "{used}");
    mica.ok("container prune -f");
    // What has no name is shown only on request, and filters hold.
    assert!(!tree.contains(short(bare)), "{tree}");
    let all = mica.ok("images --tree -a");
    assert!(all.contains("<untagged>") && all.contains(short(bare)), "{all}");
    let some = mica.ok("images --tree user/base");
    assert!(some.contains("user/base:3") && !some.contains("base:two"), "{some}");
    for (flag, word) in [
        ("-q", "quiet"),
        ("--no-trunc", "no-trunc"),
        ("--digests", "show-digest"),
        ("--format x", "format"),
    ] {
        mica.run(&format!("images --tree {flag}"))
            .fails(1, &format!("--{word} is not yet supported with --tree\n"));
    }
}

#[test]
fn a_tree_of_layers() {
    let Shelf { mica, app, .. } = shelf();
    let tree = mica.ok("image tree");
    // The base and the application share their first layer.
    let lines: Vec<&str> = tree.lines().collect();
    let parent = lines.iter().position(|line| line.contains("base:latest, base:two, user/base:3"));
    let child = lines[parent.unwrap() + 1];
    let named = format!("localhost:5000/x/app:1.0 ({}", short(&app));
    assert!(child.starts_with("  ") && child.contains(&named), "{tree}");
}

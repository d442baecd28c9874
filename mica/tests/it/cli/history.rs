//! `mica history`.

use serde_json::{Value, json};
use testkit::Layer;

use crate::support::{Image, Mica, short, small};

fn app() -> Image {
    Image::new(&["app:1.0"])
        .layer(
            small(),
            "/bin/sh -c #(nop) ADD file:0123456789abcdef0123456789abcdef0123456789abcdef in /",
        )
        .step("ENV A=1")
        .layer(Layer::new().file("app", "app"), "COPY app / # <here>")
}

/// The sizes of the layers as history shows them, top first.
fn sizes(mica: &Mica) -> [String; 2] {
    let bytes = mica.ok("history -H=false --format '{{.Size}}' app:1.0");
    let bytes: Vec<f64> = bytes.lines().map(|line| line.parse().unwrap()).collect();
    assert!(bytes[0] > 0.0 && bytes[1] == 0.0 && bytes[2] > 0.0, "{bytes:?}");
    [spec::human_size_3(bytes[0]), spec::human_size_3(bytes[2])]
}

#[test]
fn a_row_for_each_instruction_the_newest_first() {
    let mica = Mica::new();
    let id = mica.load(&app());
    let [top, bottom] = sizes(&mica);
    let age = mica.ok("images --format '{{.CreatedSince}}' app:1.0");
    let id = short(&id);
    let expected = format!(
        "IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT\n\
         {id}   {age}   COPY app / # <here>                             {top:<10}\n\
         <missing>      {age}   ENV A=1                                         0B        \n\
         <missing>      {age}   /bin/sh -c #(nop) ADD file:0123456789abcdef0…   {bottom:<10}\n"
    );
    mica.run("history app:1.0").prints(&expected);
    mica.run("image history app:1.0").prints(&expected);
}

#[test]
fn in_full() {
    let mica = Mica::new();
    let id = mica.load(&app());
    let out = mica.ok("history --no-trunc app:1.0");
    let made_by = "ADD file:0123456789abcdef0123456789abcdef0123456789abcdef in /";
    assert!(out.contains(&id) && out.contains(made_by), "{out}");
    mica.run("history -q app:1.0").prints(&format!("{}\n<missing>\n<missing>\n", short(&id)));
    mica.run("history --quiet --no-trunc app:1.0").prints(&format!("{id}\n<missing>\n<missing>\n"));
    let out = mica.ok("history --human=false app:1.0");
    assert!(out.starts_with("IMAGE          CREATED AT             CREATED BY"), "{out}");
    assert!(out.contains("   2020-02-03T04:05:06Z   COPY app"), "{out}");
}

#[test]
fn formats() {
    let mica = Mica::new();
    let id = mica.load(&app());
    mica.run("history --format '{{.CreatedBy}}|{{.Comment}}' app:1.0")
        .prints("COPY app / # <here>|\nENV A=1|\n/bin/sh -c #(nop) ADD file:0123456789abcdef0…|\n");
    mica.run("history --format 'table {{.ID}}\\t{{.Comment}}' app:1.0").prints(&format!(
        "IMAGE          COMMENT\n{}   \n<missing>      \n<missing>      \n",
        short(&id)
    ));
    let rows = mica.ok("history --format json app:1.0");
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(
        rows[1],
        json!({
            "Comment": "", "CreatedAt": "2020-02-03T04:05:06Z", "CreatedBy": "ENV A=1",
            "CreatedSince": rows[0]["CreatedSince"], "ID": "<missing>", "Size": "0B",
        })
    );
    mica.run("history --format '{{.Nope}}' app:1.0").fails(
        1,
        "template parsing error: template: :1:2: executing \"\" at <.Nope>: can't evaluate field \
         Nope in type *image.historyContext\n",
    );
}

#[test]
fn an_import_says_where_it_is_from() {
    let mica = Mica::new();
    mica.import("base");
    mica.run("history --format '{{.CreatedBy}}|{{.Comment}}|{{.CreatedSince}}' base")
        .prints("|Imported from -|3 days ago\n");
}

#[test]
fn an_image_without_a_history_still_has_layers() {
    let mica = Mica::new();
    let mut image = app();
    let mut document: Value = serde_json::from_slice(&image.document()).unwrap();
    document.as_object_mut().unwrap().remove("history");
    document["created"] = Value::Null;
    // Through a layout, because the helper always writes a history.
    image = Image::new(&["plain"]).layer(image.layers()[0].clone(), "x");
    mica.load(&image);
    let (config, layer) = (serde_json::to_vec(&document).unwrap(), app());
    let mut parts = Layer::new().file("c.json", config);
    for (number, layer) in layer.layers().iter().enumerate() {
        parts = parts.file(format!("{number}.tar"), layer.tar());
    }
    let manifest =
        json!([{ "Config": "c.json", "RepoTags": ["bare:1"], "Layers": ["0.tar", "1.tar"] }]);
    mica.file("bare.tar", parts.file("manifest.json", manifest.to_string()).tar());
    mica.ok("load -i bare.tar");
    assert_eq!(mica.ok("history -q bare:1").lines().count(), 2);
    assert_eq!(mica.ok("images --format '{{.CreatedSince}}' bare:1"), "N/A");
}

#[test]
fn mistakes_are_told_in_dockers_words() {
    let mica = Mica::new();
    mica.load(&app());
    mica.run("history nothere")
        .fails(1, "Error response from daemon: No such image: nothere:latest\n");
    mica.run("history").fails(
        1,
        "mica: 'mica history' requires 1 argument\n\n\
         Usage:  mica history [OPTIONS] IMAGE\n\n\
         Run 'mica history --help' for more information\n",
    );
    mica.run("history --platform linux/s390x app:1.0")
        .complains(1, "does not provide the specified platform");
}

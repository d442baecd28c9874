//! `mica inspect`, `mica image inspect`.

use serde_json::{Value, json};
use testkit::Layer;

use crate::support::{CREATED, Image, Mica, small};

fn app() -> Image {
    Image::new(&["app:1.0", "me/app:latest"])
        .layer(small(), "base")
        .layer(Layer::new().file("app", "app"), "COPY app")
        .config("Cmd", json!(["sh"]))
        .config("Env", json!(["A=1", "B=2"]))
        .config("ExposedPorts", json!({ "80/tcp": {} }))
        .config("Labels", json!({ "a": "b" }))
}

#[test]
fn an_array_with_dockers_fields() {
    let mica = Mica::new();
    let id = mica.load(&app());
    let text = mica.ok("image inspect app:1.0");
    assert!(text.starts_with("[\n    {\n        \"Id\": \"sha256:"), "{text}");
    let image = &serde_json::from_str::<Value>(&text).unwrap()[0];
    assert_eq!(image["Id"], json!(id));
    assert_eq!(image["RepoTags"], json!(["app:1.0", "me/app:latest"]));
    assert_eq!(image["RepoDigests"], json!([]));
    assert_eq!(image["Created"], json!(CREATED));
    assert_eq!(image["RootFS"], json!({ "Type": "layers", "Layers": app().diff_ids() }));
    let driver = mica.ok("info -f '{{.Driver}}'");
    assert_eq!(image["GraphDriver"]["Name"], json!(driver));
    if let Some(data) = image["GraphDriver"]["Data"].as_object() {
        let folders = ["UpperDir", "LowerDir", "MergedDir", "WorkDir"];
        assert!(folders.iter().all(|folder| data.contains_key(*folder)), "{data:?}");
        assert!(data["MergedDir"].as_str().unwrap().ends_with(&id[7..]), "{data:?}");
    }
    assert_eq!(
        image["Config"],
        json!({
            "Cmd": ["sh"], "Entrypoint": null, "Env": ["A=1", "B=2"],
            "ExposedPorts": { "80/tcp": {} }, "Labels": { "a": "b" }, "OnBuild": null,
            "User": "", "Volumes": null, "WorkingDir": "",
        })
    );
    let keys: Vec<&str> = image.as_object().unwrap().keys().map(String::as_str).collect();
    let keys: Vec<&str> = keys.into_iter().filter(|key| *key != "Variant").collect();
    assert_eq!(
        keys,
        [
            "Id",
            "RepoTags",
            "RepoDigests",
            "Parent",
            "Comment",
            "Created",
            "DockerVersion",
            "Author",
            "Architecture",
            "Os",
            "Size",
            "GraphDriver",
            "RootFS",
            "Metadata",
            "Config"
        ]
    );
    assert_eq!(mica.ok("inspect app:1.0"), text);
    assert_eq!(mica.ok("inspect --type image app:1.0"), text);
}

#[test]
fn an_image_has_many_names() {
    let mica = Mica::new();
    let id = mica.load(&app());
    let hex = &id[7..];
    for name in [
        "app:1.0",
        "docker.io/library/app:1.0",
        "me/app",
        "index.docker.io/me/app:latest",
        &id,
        hex,
        &hex[..12],
        &hex[..4],
        &format!("sha256:{}", &hex[..5]),
    ] {
        assert_eq!(mica.ok(&format!("inspect -f '{{{{.Id}}}}' {name}")), id, "{name}");
    }
}

#[test]
fn a_prefix_of_several_ids_is_refused() {
    let mica = Mica::new();
    let mut first = std::collections::BTreeMap::new();
    // Sooner or later two ids begin alike.
    for number in 0.. {
        let image = Image::new(&[]).layer(small(), "base").step(&number.to_string());
        let digit = image.id()[7..8].to_owned();
        if let Some(other) = first.insert(digit.clone(), image.clone()) {
            mica.load(&other);
            mica.load(&image);
            let run = mica.run(&format!("image inspect {digit}"));
            let expected = format!("Error response from daemon: image {digit} is ambiguous: ");
            assert!(run.code == 1 && run.err.starts_with(&expected), "{run}");
            assert_eq!(
                mica.ok(&format!("image inspect -f '{{{{.ID}}}}' {}", image.id())),
                image.id()
            );
            break;
        }
    }
}

#[test]
fn templates() {
    let mica = Mica::new();
    mica.load(&app());
    let check = |template: &str, expected: &str| {
        let line = format!("image inspect -f '{template}' app:1.0");
        mica.run(&line).prints(&format!("{expected}\n"));
    };
    check("{{.RepoTags}}", "[app:1.0 me/app:latest]");
    check("{{join .RepoTags \", \"}}", "app:1.0, me/app:latest");
    check("{{json .Config.Env}}", "[\"A=1\",\"B=2\"]");
    check("{{index .Config.Env 1}}", "B=2");
    check("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n");
    check("{{len .RootFS.Layers}} {{.RootFS.Type}}", "2 layers");
    check("{{json .RootFS.Type}}", "\"layers\"");
    check("{{.Config.Labels}} {{.Config.ExposedPorts}}", "map[a:b] map[80/tcp:{}]");
    check("{{index .Config.Labels \"a\"}}{{index .Config.Labels \"none\"}}", "b");
    check("{{.Config.Labels.none}}", "<no value>");
    check("{{if .Config.User}}u{{else}}nobody{{end}}", "nobody");
    check("{{json .Config.Volumes}}", "null");
    check("{{with .Config.Healthcheck}}{{.Test}}{{else}}none{{end}}", "none");
    check("{{.Config.Healthcheck}}", "<nil>");
    check(
        "{{.Variant}}{{.OsVersion}}{{.Config.StopSignal}}|",
        &format!("{}|", spec::Platform::host().variant.unwrap_or_default()),
    );
    check("{{.Os}}{{printf \"%5d|%-4s|\" 7 \"x\"}}", "linux    7|x   |");
    check(
        "{{upper .Os}} {{title .Os}} {{pad .Os 1 2}}| {{truncate .Os 3}}",
        "LINUX Linux  linux  | lin",
    );
    check("{{eq .Os \"linux\"}} {{and true (gt (len .Config.Env) 1)}}", "true true");
    check("{{slice .Id 0 7}} {{(split .Os \"n\")}}", "sha256: [li ux]");
    check("{{- .Os -}}", "linux");
    check("{{json .RootFS}}", &json!({ "Type": "layers", "Layers": app().diff_ids() }).to_string());
}

#[test]
fn wrong_templates() {
    let mica = Mica::new();
    mica.load(&app());
    let run = mica.run("inspect -f '{{' app:1.0");
    run.fails(64, "template parsing error: template: :1: unclosed action\n");
    let run = mica.run("inspect -f '{{.Nope}}' app:1.0");
    assert_eq!((run.out.as_str(), run.code), ("\n", 1), "{run}");
    assert_eq!(
        run.err,
        "template parsing error: template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\"\n"
    );
    mica.run("inspect -f '{{nope}}' app:1.0")
        .fails(64, "template parsing error: template: :1: function \"nope\" not defined\n");
}

#[test]
fn what_is_found_is_shown_and_what_is_not_is_told() {
    let mica = Mica::new();
    let id = mica.load(&app());
    let run = mica.run("image inspect app:1.0 nothere me/app");
    let found: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 2);
    assert_eq!(run.err, "Error response from daemon: No such image: nothere:latest\n");
    assert_eq!(run.code, 1);
    let run = mica.run("inspect -f '{{.Id}}' nothere app:1.0");
    assert_eq!(run.out, format!("{id}\n"));
    assert_eq!((run.err.as_str(), run.code), ("Error: No such object: nothere\n", 1));
    let run = mica.run("inspect nothere other");
    assert_eq!(run.out, "[]\n");
    assert_eq!(run.err, "Error: No such object: nothere\nError: No such object: other\n");
    let run = mica.run("image inspect --format json nothere app:1.0");
    assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap()[0]["Id"], json!(id));
    assert_eq!(run.code, 1);
}

#[test]
fn kinds_of_objects() {
    let mica = Mica::new();
    mica.load(&app());
    let run = mica.run("inspect --type container app:1.0");
    assert_eq!(run.out, "[]\n");
    assert_eq!(
        (run.err.as_str(), run.code),
        ("Error response from daemon: No such container: app:1.0\n", 1)
    );
    mica.run("inspect --type nope app:1.0").fails(
        1,
        "unknown type: \"nope\": must be one of \"config\", \"container\", \"image\", \"network\", \
         \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"\n",
    );
    let run = mica.run("inspect -s -f '{{.Os}}' app:1.0");
    assert_eq!(
        (run.out.as_str(), run.err.as_str()),
        ("linux\n", "WARNING: --size ignored for image\n")
    );
    let empty = |kind: &str| format!("invalid {kind} name or ID: value is empty\n");
    let run = mica.run("inspect ''");
    assert_eq!((run.out.as_str(), run.err, run.code), ("[]\n", empty("container"), 1));
    assert_eq!(mica.run("inspect --type network ''").err, empty("network"));
    assert_eq!(mica.run("inspect --type volume ''").err, empty("volume"));
    mica.run("inspect").complains(1, "mica: 'mica inspect' requires at least 1 argument");
    mica.run("image inspect")
        .complains(1, "mica: 'mica image inspect' requires at least 1 argument");
    mica.run("image inspect --platform linux/s390x app:1.0").complains(
        1,
        "Error response from daemon: image with reference app:1.0 was found but does not provide \
         the specified platform (linux/s390x)",
    );
    let host = spec::Platform::host().architecture;
    mica.ok(&format!("image inspect --platform linux/{host} app:1.0"));
}

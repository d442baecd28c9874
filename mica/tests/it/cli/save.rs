//! `mica save`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use testkit::Layer;

use crate::support::{Image, Mica, Run, small};

fn app() -> Image {
    Image::new(&["app:1.0", "app:latest", "me/other:2"])
        .layer(small(), "base")
        .layer(Layer::new().file("app", "app"), "COPY app")
}

/// The members of an archive, in their order.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut tar = image::tar::TarReader::new(bytes, image::tar::Limits::default());
    let mut members = Vec::new();
    while let Some(entry) = tar.next().unwrap() {
        assert_eq!((entry.uid, entry.gid, entry.mtime.seconds), (0, 0, 0));
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut tar.data(), &mut data).unwrap();
        members.push((String::from_utf8(entry.path).unwrap(), data));
    }
    members
}

fn member(bytes: &[u8], name: &str) -> Vec<u8> {
    let found = members(bytes).into_iter().find(|(path, _)| path == name);
    found.unwrap_or_else(|| panic!("{name} is missing")).1
}

fn document(bytes: &[u8], name: &str) -> Value {
    serde_json::from_slice(&member(bytes, name)).unwrap()
}

fn tags(bytes: &[u8]) -> Value {
    let manifest = document(bytes, "manifest.json");
    let images = manifest.as_array().unwrap().iter();
    images.map(|image| image["RepoTags"].clone()).collect()
}

#[test]
fn an_archive_is_dockers_and_ocis_at_once() {
    let mica = Mica::new();
    let id = mica.load(&app());
    mica.run("save -o app.tar app:1.0").prints("");
    let bytes = fs::read(mica.path("app.tar")).unwrap();
    let blob = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
    let layers: Vec<String> = app().diff_ids().iter().map(|diff| blob(diff)).collect();
    assert_eq!(
        document(&bytes, "manifest.json"),
        json!([{ "Config": blob(&id), "RepoTags": ["app:1.0"], "Layers": layers }])
    );
    assert_eq!(document(&bytes, "oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }));
    let index = document(&bytes, "index.json");
    let descriptor = &index["manifests"][0];
    assert_eq!(
        descriptor["annotations"],
        json!({
            "io.containerd.image.name": "docker.io/library/app:1.0",
            "org.opencontainers.image.ref.name": "1.0",
        })
    );
    let manifest = document(&bytes, &blob(descriptor["digest"].as_str().unwrap()));
    assert_eq!(manifest["config"]["digest"], json!(id));
    assert_eq!(member(&bytes, &blob(&id)), app().document());
    for (layer, path) in app().layers().iter().zip(&layers) {
        assert_eq!(member(&bytes, path), layer.tar());
    }
    // A reader of a stream knows what it gets before the layers come.
    let order: Vec<String> = members(&bytes).into_iter().map(|(path, _)| path).collect();
    let place = |name: &String| order.iter().position(|path| path == name).unwrap();
    assert!(place(&blob(&id)) < place(&layers[0]) && place(&blob(&id)) < place(&layers[1]));
    let mode = fs::metadata(mica.path("app.tar")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn standard_output_is_the_default() {
    let mica = Mica::new();
    mica.load(&app());
    mica.ok("save -o file.tar app:1.0");
    let file = fs::read(mica.path("file.tar")).unwrap();
    let run = mica.run("save app:1.0");
    assert!(run.bytes == file && run.err.is_empty(), "a pipe gets the same bytes");
    let redirected = fs::File::create(mica.path("redirected.tar")).unwrap();
    let status = mica.command("save app:1.0").stdout(redirected).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read(mica.path("redirected.tar")).unwrap(), file);
    let appended = fs::File::options().append(true).open(mica.path("redirected.tar")).unwrap();
    assert!(mica.command("save app:1.0").stdout(appended).status().unwrap().success());
    assert_eq!(fs::read(mica.path("redirected.tar")).unwrap(), [file.clone(), file].concat());
}

#[test]
fn the_same_images_give_the_same_bytes() {
    let bytes = |turn: &str| {
        let mica = Mica::new();
        mica.load(&Image::new(&["unrelated"]).layer(Layer::new().file(turn, turn), turn));
        mica.load(&app());
        let first = mica.run("save app:1.0 me/other:2").bytes;
        assert_eq!(mica.run("save app:1.0 me/other:2").bytes, first);
        first
    };
    assert_eq!(bytes("one"), bytes("another"));
}

#[test]
fn a_repository_is_all_its_tags() {
    let mica = Mica::new();
    let id = mica.load(&app());
    let other = mica.import("app:old");
    let saved = |line: &str| tags(&mica.run(line).bytes);
    // Images come in the order of their names.
    assert_eq!(saved("save app"), json!([["app:1.0", "app:latest"], ["app:old"]]));
    assert_eq!(saved("save app:latest"), json!([["app:latest"]]));
    assert_eq!(
        saved("save app:old me/other:2 app:1.0"),
        json!([["app:old"], ["me/other:2", "app:1.0"]])
    );
    assert_eq!(saved(&format!("save {id}")), json!([null]));
    assert_eq!(saved(&format!("save {}", &other[7..15])), json!([null]));
    assert_eq!(saved("save docker.io/me/other"), json!([["me/other:2"]]));
}

#[test]
fn what_is_saved_can_be_loaded() {
    let (mica, fresh) = (Mica::new(), Mica::new());
    let id = mica.load(&app());
    let bytes = mica.run("save app me/other").bytes;
    fresh
        .run_with("load", &bytes)
        .prints("Loaded image: app:1.0\nLoaded image: app:latest\nLoaded image: me/other:2\n");
    assert_eq!(fresh.ok("images -q --no-trunc me/other"), id);
    assert_eq!(fresh.run("save app me/other").bytes, bytes);
    let empty = Image::new(&["nothing"]);
    mica.load(&empty);
    fresh
        .run_with("load", &mica.run("save nothing").bytes)
        .prints("Loaded image: nothing:latest\n");
    assert_eq!(fresh.ok("images -q --no-trunc nothing"), empty.id());
    fresh.must_be_whole();
}

#[test]
fn platforms_are_chosen_and_missed() {
    let mica = Mica::new();
    mica.load(&app());
    let host = spec::Platform::host().architecture;
    let run = mica.run(&format!("save --platform linux/{host} app:1.0"));
    assert_eq!((tags(&run.bytes), run.code), (json!([["app:1.0"]]), 0));
    mica.run("save --platform linux/s390x app:1.0").fails(
        1,
        "Error response from daemon: image with reference app:1.0 was found but does not provide \
         the specified platform (linux/s390x)\n",
    );
}

#[test]
fn mistakes_are_told_in_dockers_words() {
    let mica = Mica::new();
    mica.import("base");
    mica.run("save -o nope/x.tar base").fails(
        1,
        "failed to save image: invalid output path: stat nope: no such file or directory\n",
    );
    // Where it goes is looked at first.
    mica.run("save -o nope/x.tar nothere").fails(
        1,
        "failed to save image: invalid output path: stat nope: no such file or directory\n",
    );
    mica.run("save -o . base").fails(1, "failed to save image: cannot write to a directory\n");
    mica.run("save -o small.tar/x base")
        .fails(1, "failed to save image: invalid output path: stat small.tar: not a directory\n");
    mica.run("save -o x.tar nothere")
        .fails(1, "Error response from daemon: No such image: nothere\n");
    mica.run("save nothere:1").fails(1, "Error response from daemon: reference does not exist\n");
    mica.run("save Upper").fails(
        1,
        "Error response from daemon: invalid reference format: repository name (library/Upper) \
         must be lowercase\n",
    );
    mica.run("save").fails(
        1,
        "mica: 'mica save' requires at least 1 argument\n\n\
         Usage:  mica save [OPTIONS] IMAGE [IMAGE...]\n\n\
         See 'mica save --help' for more information\n",
    );
    let left: Vec<_> =
        fs::read_dir(mica.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["small.tar"], "nothing is left of what failed");
}

#[test]
fn a_full_device_is_an_error() {
    let mica = Mica::new();
    mica.import("base");
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let output = mica.command("save base").stdout(full()).output().unwrap();
    let run = Run::of("save base >/dev/full", output);
    run.complains(1, "error: cannot write the archive\n  because: ");
    // A file that was there stays as it was.
    mica.file("kept.tar", "kept");
    mica.run("save -o kept.tar nothere").complains(1, "No such image");
    assert_eq!(fs::read(mica.path("kept.tar")).unwrap(), b"kept");
    mica.run("save -o kept.tar base").prints("");
    assert!(fs::read(mica.path("kept.tar")).unwrap().len() > 1024);
}

/// Who stops reading has enough: that is told by a number alone, as of every command.
#[test]
fn a_reader_that_goes_away_is_no_error_to_speak_of() {
    let mica = Mica::new();
    let big = Layer::new().file("big", vec![7; 4 << 20]);
    mica.load(&Image::new(&["big:1"]).layer(big, "x"));
    let mut command = mica.command("save big:1");
    let (reader, writer) = std::io::pipe().unwrap();
    let child = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // The command holds another end for writing as long as it is there.
    drop(command);
    drop(reader);
    let run = Run::of("save big:1", child.wait_with_output().unwrap());
    assert_eq!((run.code, run.err.as_str()), (141, ""), "{run}");
}

//! `mica load`.

use std::fs::File;
use std::process::Stdio;

use serde_json::json;
use testkit::Layer;

use crate::need_programs;
use crate::support::{Image, Mica, Run, archive, small};

fn app() -> Image {
    Image::new(&["app:1.0", "localhost:5000/me/app:latest"])
        .layer(small(), "base")
        .step("CMD [\"sh\"]")
        .layer(Layer::new().file("app", "app"), "COPY app")
        .config("Cmd", json!(["sh"]))
}

fn bare() -> Image {
    Image::new(&[]).layer(small(), "base").layer(Layer::new().file("bare", ""), "touch bare")
}

const APP: &str = "Loaded image: app:1.0\nLoaded image: localhost:5000/me/app:latest\n";

#[test]
fn from_a_file_a_redirection_and_a_pipe() {
    for way in ["file", "redirection", "pipe"] {
        let mica = Mica::new();
        let bytes = app().archive();
        let path = mica.file("app.tar", &bytes);
        let run = match way {
            "file" => mica.run("load -i app.tar"),
            "pipe" => mica.run_with("load", &bytes),
            _ => {
                let stdin = Stdio::from(File::open(path).unwrap());
                Run::of("load", mica.command("load").stdin(stdin).output().unwrap())
            }
        };
        run.prints(APP);
        assert_eq!(mica.json("inspect app:1.0")[0]["Id"], json!(app().id()), "{way}");
        let layers = &mica.json("inspect app:1.0")[0]["RootFS"]["Layers"];
        assert_eq!(*layers, json!(app().diff_ids()), "{way}");
        mica.must_be_whole();
    }
}

#[test]
fn compressed_archives() {
    need_programs!("gzip", "bzip2", "xz", "zstd");
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        let mica = Mica::new();
        let tar = Layer::new().file("x", app().archive());
        // `compressed` compresses a whole tar: the archive is the data of its only entry.
        let packed = compress(&tar.items[0].data, program);
        mica.file("app.tar.z", &packed);
        mica.run("load -i app.tar.z").prints(APP);
        mica.run_with("load", &packed).prints(APP);
        assert_eq!(mica.ok("images -q --no-trunc app"), app().id(), "{program}");
        mica.must_be_whole();
    }
}

#[test]
fn compressed_layers_within_an_archive() {
    need_programs!("gzip", "bzip2", "xz", "zstd");
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        let mica = Mica::new();
        let (image, mut parts) = (app(), Layer::new());
        for (path, data) in self::parts(&image) {
            let data = if path.ends_with(".tar") { compress(&data, program) } else { data };
            parts = parts.file(path, data);
        }
        mica.file("packed.tar", parts.tar());
        mica.run("load -i packed.tar").prints(APP);
        assert_eq!(mica.ok("images -q --no-trunc app"), image.id(), "{program}");
        // What is saved is of a kind that others know: as it came, or plain.
        let manifest = mica.json("manifest inspect --local app:1.0");
        let layer = &manifest["layers"][0];
        let plain = layer["digest"] == json!(image.diff_ids()[0]);
        let ending = match program {
            _ if plain => ".tar",
            "gzip" => ".tar+gzip",
            "zstd" => ".tar+zstd",
            _ => panic!("{layer}"),
        };
        assert!(layer["mediaType"].as_str().unwrap().ends_with(ending), "{program}: {layer}");
        // Without its compressed form it is the same image of a plain layer.
        let freed =
            mica.json("system prune --compressed -f --format json")["SpaceReclaimed"].clone();
        let keeps_both = !plain && mica.json("info -f json")["Driver"] == json!("erofs");
        assert_eq!(freed.as_u64().unwrap() > 0, keeps_both, "{program}: {freed}");
        if keeps_both {
            let layer = &mica.json("manifest inspect --local app:1.0")["layers"][0];
            assert_eq!(layer["digest"], json!(image.diff_ids()[0]));
            assert!(layer["mediaType"].as_str().unwrap().ends_with(".tar"));
        }
        assert_eq!(mica.ok("images -q --no-trunc app"), image.id(), "{program}");
        mica.must_be_whole();
    }
}

/// Bytes through `program -c`.
fn compress(bytes: &[u8], program: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain");
    std::fs::write(&path, bytes).unwrap();
    let output = std::process::Command::new(program).arg("-c").arg(path).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn several_images_and_one_without_a_name() {
    let mica = Mica::new();
    mica.file("both.tar", archive(&[&app(), &bare()]));
    mica.run("load -i both.tar").prints(&format!("{APP}Loaded image ID: {}\n", bare().id()));
    assert_eq!(mica.ok("images -q --no-trunc -f dangling=true"), bare().id());
    // The layer that both have is kept once.
    assert_eq!(mica.json("info -f json")["Layers"], json!(3));
    mica.run("load --quiet --input both.tar")
        .prints(&format!("{APP}Loaded image ID: {}\n", bare().id()));
    mica.must_be_whole();
}

#[test]
fn a_name_moves_and_the_old_image_stays_without() {
    let mica = Mica::new();
    let old = mica.import("app:1.0");
    mica.file("app.tar", app().archive());
    mica.run("load -i app.tar").prints(&format!(
        "The image app:1.0 already exists, renaming the old one with ID {old} to empty string\n{APP}"
    ));
    assert_eq!(mica.ok("images -q --no-trunc -f dangling=true"), old);
    // Loading what is there already moves nothing.
    mica.run("load -i app.tar").prints(APP);
}

#[test]
fn one_platform_of_several() {
    let mica = Mica::new();
    mica.file("app.tar", app().archive());
    let host = spec::Platform::host().architecture;
    mica.run(&format!("load -i app.tar --platform linux/{host}")).prints(APP);
    mica.run("rmi app:1.0 localhost:5000/me/app");
    mica.run("load -i app.tar --platform linux/s390x").fails(
        1,
        "Error response from daemon: image with reference app:1.0 was found but does not provide \
         the specified platform (linux/s390x)\n",
    );
    mica.run("load -i app.tar --platform a/b/c/d").complains(1, "invalid platform: ");
    assert_eq!(mica.ok("images -aq"), "");
}

#[test]
fn folders_are_archives_too() {
    let mica = Mica::new();
    mica.load(&app());
    mica.ok("save -o oci:layout app:1.0");
    mica.ok("save -o dir:flat app:1.0");
    mica.ok("rmi app:1.0 localhost:5000/me/app");
    mica.run("load -i layout").prints("Loaded image: app:1.0\n");
    mica.ok("rmi app:1.0");
    mica.run("load -i flat").prints(&format!("Loaded image ID: {}\n", app().id()));
    mica.run("load -i oci:flat").prints(&format!("Loaded image ID: {}\n", app().id()));
    mica.run("load -i dir:nothere").fails(1, "open nothere: no such file or directory\n");
    mica.run("load -i oci:fixture.tar").fails(1, "open fixture.tar: not a directory\n");
    mica.run("load -i .").complains(1, "error: the archive is neither a docker archive");
    mica.must_be_whole();
}

#[test]
fn one_image_of_an_archive() {
    let mica = Mica::new();
    let other = Image::new(&["other:2"]).layer(small(), "base").step("x");
    mica.file("both.tar", archive(&[&app(), &other]));
    mica.run("load -i docker-archive:both.tar:other:2").prints("Loaded image: other:2\n");
    mica.run("load -i docker-archive:both.tar:app:1.0").prints("Loaded image: app:1.0\n");
    mica.run("load -i docker-archive:both.tar:@1").prints("Loaded image: other:2\n");
    mica.run("load -i docker-archive:both.tar:nope").fails(
        1,
        "error: the archive has no image nope; it has app:1.0, localhost:5000/me/app:latest, other:2\n",
    );
    mica.run("load -i docker-archive:both.tar:@2").complains(1, "has no image @2");
    // What has no name can be given one.
    mica.file("bare.tar", bare().archive());
    mica.run("load -i docker-archive:bare.tar:named").prints("Loaded image: named:latest\n");
    assert_eq!(mica.ok("images -q --no-trunc named"), bare().id());
}

#[test]
fn mistakes_are_told() {
    let mica = Mica::new();
    mica.run("load -i nothere").fails(1, "open nothere: no such file or directory\n");
    mica.run("load x").fails(
        1,
        "mica: 'mica load' accepts no arguments\n\n\
         Usage:  mica load [OPTIONS]\n\n\
         Run 'mica load --help' for more information\n",
    );
    mica.run("load").complains(1, "error: the archive is neither a docker archive");
    mica.file("rootfs.tar", small().tar());
    let run = mica.run("load -i rootfs.tar");
    run.complains(1, "hint: a plain file system becomes an image with `mica import`");
}

#[test]
fn broken_archives_leave_nothing() {
    let mica = Mica::new();
    let whole = app().archive();
    let replaced = |from: &str, to: &str| {
        let mut items = Layer::new();
        for item in parts(&app()) {
            let data = String::from_utf8_lossy(&item.1).replace(from, to);
            let data = if item.0.ends_with(".tar") { item.1 } else { data.into_bytes() };
            items = items.file(item.0, data);
        }
        items.tar()
    };
    let diff = app().diff_ids()[0].clone();
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("cut short", whole[..whole.len() / 2].to_vec(), "error: "),
        ("no JSON", replaced("[{", "{["), "is malformed"),
        ("a layer is missing", replaced("layer.tar", "other.tar"), "does not have it"),
        ("a configuration is missing", replaced(".json\"", ".jsn\""), "does not have it"),
        ("a wrong digest", replaced(&diff, &format!("sha256:{}", "0".repeat(64))), "sha256:"),
        ("too few layers", replaced("\"Layers\":[\"", "\"Layers\":[\"x\",\""), "is malformed"),
        ("a bad name", replaced("app:1.0", "App:1.0"), "must be lowercase"),
    ];
    for (what, bytes, part) in cases {
        mica.file("broken.tar", &bytes);
        for run in [mica.run("load -i broken.tar"), mica.run_with("load", &bytes)] {
            assert!(run.code == 1 && run.out.is_empty(), "{what}: {run}");
            assert!(run.err.contains(part), "{what}: {run}");
        }
        assert_eq!(mica.ok("images -aq"), "", "{what}");
    }
    mica.must_be_empty();
}

/// The members of an image's archive.
fn parts(image: &Image) -> Vec<(String, Vec<u8>)> {
    let bytes = image.archive();
    let mut tar = image::tar::TarReader::new(bytes.as_slice(), image::tar::Limits::default());
    let mut parts = Vec::new();
    while let Some(entry) = tar.next().unwrap() {
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut tar.data(), &mut data).unwrap();
        parts.push((String::from_utf8(entry.path).unwrap(), data));
    }
    parts
}

//! `mica import`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::json;

use crate::need_programs;
use crate::support::{Mica, Run, small};

#[test]
fn a_file_becomes_an_image_of_one_layer() {
    let mica = Mica::new().with("SOURCE_DATE_EPOCH", "1577934245");
    mica.file("small.tar", small().tar());
    let id = mica.ok("import small.tar base");
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    let image = &mica.json("image inspect base")[0];
    assert_eq!(image["Id"], json!(id));
    assert_eq!(image["RepoTags"], json!(["base:latest"]));
    assert_eq!(image["RootFS"]["Layers"], json!([spec::Digest::of(&small().tar()).to_string()]));
    assert_eq!(image["Created"], json!("2020-01-02T03:04:05Z"));
    assert_eq!(image["Comment"], json!("Imported from -"));
    assert_eq!(image["Os"], json!("linux"));
    assert_eq!(image["Architecture"], json!(spec::Platform::host().architecture));
    // Without a name it is there as well.
    let other = mica.ok("import -m 'by hand' small.tar");
    assert_eq!(mica.ok("images -q --no-trunc -f dangling=true"), other);
    assert_eq!(mica.json("inspect base")[0]["Id"], json!(id));
    mica.must_be_whole();
}

#[test]
fn the_same_import_gives_the_same_image_everywhere() {
    let import = || {
        let mica = Mica::new().with("SOURCE_DATE_EPOCH", "1577934245");
        mica.import("base")
    };
    assert_eq!(import(), import());
}

#[test]
fn standard_input_is_a_source() {
    let mica = Mica::new();
    mica.run_with("import - piped", &small().tar())
        .prints(&format!("{}\n", mica.ok("images -q --no-trunc piped")));
    let file = mica.file("small.tar", small().tar());
    let mut command = mica.command("import - redirected");
    let output = command.stdin(Stdio::from(std::fs::File::open(file).unwrap())).output().unwrap();
    let run = Run::of("import - redirected", output);
    assert_eq!(run.code, 0, "{run}");
    let layers = |name| mica.json(&format!("inspect {name}"))[0]["RootFS"].clone();
    assert_eq!(layers("piped"), layers("redirected"));
}

/// Answers one request with this, and says where.
fn serve(answer: Vec<u8>) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        // A client that has seen enough may leave.
        let _ = stream.write_all(&answer);
        String::from_utf8(request).unwrap()
    });
    (format!("http://{address}"), server)
}

#[test]
fn a_url_is_a_source() {
    let mica = Mica::new();
    let tar = small().tar();
    let counted = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", tar.len());
    let (url, server) = serve([counted.as_bytes(), &tar].concat());
    let id = mica.ok(&format!("import {url}/rootfs.tar fetched"));
    assert!(server.join().unwrap().starts_with("GET /rootfs.tar HTTP/1.1\r\n"));
    let image = &mica.json("inspect fetched")[0];
    assert_eq!(image["Id"], json!(id));
    assert_eq!(image["Comment"], json!(format!("Imported from {url}/rootfs.tar")));
    // A server that does not say how much there is.
    let (url, server) =
        serve([b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(), &tar].concat());
    mica.ok(&format!("import {url}/ open-ended"));
    server.join().unwrap();
    assert_eq!(mica.json("inspect open-ended")[0]["RootFS"], image["RootFS"]);
}

#[test]
fn a_url_that_fails_leaves_nothing() {
    let mica = Mica::new();
    let (url, _) = serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
    let run = mica.run(&format!("import {url}/gone"));
    run.complains(1, &format!("error: failed to GET {url}/gone with status 404"));
    // The connection ends before the layer does.
    let tar = small().tar();
    let counted = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", tar.len());
    let (url, _) = serve([counted.as_bytes(), &tar[..700]].concat());
    mica.run(&format!("import {url}/short cut")).complains(1, "error: ");
    mica.run("import http://127.0.0.1:1/x")
        .complains(1, "error: cannot fetch http://127.0.0.1:1/x");
    assert_eq!(mica.ok("images -aq"), "");
    mica.must_be_empty();
}

#[test]
fn all_instructions_change_the_configuration() {
    let mica = Mica::new();
    mica.file("small.tar", small().tar());
    let changes = [
        "CMD [\"sh\", \"-c\", \"x\"]",
        "ENTRYPOINT [\"/entry\"]",
        "ENV A=1 B=\"two words\"",
        "EXPOSE 80 443/udp 9000-9001",
        "LABEL a=b \"c d\"=e",
        "USER me:us",
        "VOLUME /data /more",
        "WORKDIR /srv",
        "WORKDIR below",
        "STOPSIGNAL SIGUSR1",
        "HEALTHCHECK --interval=5s --retries=2 CMD true",
        "ONBUILD RUN make",
        "SHELL [\"/bin/bash\", \"-c\"]",
    ];
    let flags: String = changes.iter().map(|change| format!(" -c '{change}'")).collect();
    mica.ok(&format!("import{flags} small.tar all"));
    let expected = json!({
        "Cmd": ["sh", "-c", "x"],
        "Entrypoint": ["/entry"],
        "Env": ["A=1", "B=two words"],
        "ExposedPorts": { "443/udp": {}, "80/tcp": {}, "9000/tcp": {}, "9001/tcp": {} },
        "Labels": { "a": "b", "c d": "e" },
        "User": "me:us",
        "Volumes": { "/data": {}, "/more": {} },
        "WorkingDir": "/srv/below",
        "StopSignal": "SIGUSR1",
        "Healthcheck": { "Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_u64, "Retries": 2 },
        "OnBuild": ["RUN make"],
        "Shell": ["/bin/bash", "-c"],
    });
    let config = &mica.json("inspect all")[0]["Config"];
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&config[field], value, "{field}");
    }
    // Shell forms, the old form of ENV, and the long name of the flag.
    mica.ok("import --change 'CMD echo $A' --change 'ENV old form' small.tar shell");
    let config = &mica.json("inspect shell")[0]["Config"];
    assert_eq!(config["Cmd"], json!(["/bin/sh", "-c", "echo $A"]));
    assert_eq!(config["Env"], json!(["old=form"]));
}

#[test]
fn message_and_platform() {
    let mica = Mica::new();
    mica.file("small.tar", small().tar());
    mica.ok("import --message 'by hand' --platform linux/arm64 small.tar other");
    let image = &mica.json("inspect other")[0];
    assert_eq!(image["Comment"], json!("by hand"));
    assert_eq!((&image["Architecture"], &image["Os"]), (&json!("arm64"), &json!("linux")));
    mica.ok("import --platform linux/arm/v6 small.tar old");
    assert_eq!(mica.ok("inspect -f '{{.Architecture}}/{{.Variant}}' old"), "arm/v6");
    let history = mica.ok("history --format '{{.Comment}}' other");
    assert_eq!(history, "by hand");
}

#[test]
fn compressed_file_systems_give_the_same_layer() {
    need_programs!("gzip", "bzip2", "xz", "zstd");
    let mica = Mica::new();
    let plain = mica.import("plain");
    let layers = mica.json("inspect plain")[0]["RootFS"].clone();
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        let bytes = small().compressed(program).unwrap();
        mica.file("rootfs", &bytes);
        mica.ok(&format!("import rootfs {program}:file"));
        let run = mica.run_with(&format!("import - {program}:pipe"), &bytes);
        assert_eq!(run.code, 0, "{run}");
        for tag in ["file", "pipe"] {
            let image = &mica.json(&format!("inspect {program}:{tag}"))[0];
            assert_eq!(image["RootFS"], layers, "{program}:{tag}");
            assert_eq!(image["Id"], json!(plain), "{program}:{tag}");
        }
    }
    mica.must_be_whole();
}

#[test]
fn mistakes_are_told_in_dockers_words() {
    let mica = Mica::new();
    mica.file("small.tar", small().tar());
    let check = |line: &str, expected: &str| {
        mica.run(line).fails(1, expected);
    };
    check("import nothere", "open nothere: no such file or directory\n");
    check("import .", "open .: is a directory\n");
    check(
        "import small.tar Upper",
        "invalid reference format: repository name (library/Upper) must be lowercase\n",
    );
    check("import small.tar x:", "invalid reference format\n");
    let digest = format!("sha256:{}", "a".repeat(64));
    check(
        &format!("import small.tar x@{digest}"),
        "Error response from daemon: cannot import digest reference\n",
    );
    check(
        "import -c 'RUN x' small.tar",
        "Error response from daemon: RUN is not a valid change command\n",
    );
    check("import -c '' small.tar", "Error response from daemon: file with no instructions\n");
    check(
        "import -c 'EXPOSE abc' small.tar",
        "Error response from daemon: invalid containerPort: abc\n",
    );
    check(
        "import",
        "mica: 'mica import' requires at least 1 argument\n\n\
         Usage:  mica import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]\n\n\
         See 'mica import --help' for more information\n",
    );
    mica.run("import --platform a/b/c/d small.tar").complains(1, "invalid platform: ");
    mica.run("import small.tar").prints(&format!("{}\n", mica.ok("images -q --no-trunc")));
}

#[test]
fn broken_layers_leave_nothing() {
    let mica = Mica::new();
    let tar = small().tar();
    mica.file("cut.tar", &tar[..tar.len() / 2]);
    mica.file("noise.tar", vec![0x5a; 4096]);
    mica.file("empty.tar", b"");
    mica.file("escape.tar", testkit::Layer::new().hard_link("out", "../../etc/passwd").tar());
    for name in ["cut.tar", "noise.tar", "escape.tar"] {
        let run = mica.run(&format!("import {name} broken"));
        assert!(run.code == 1 && run.out.is_empty() && run.err.starts_with("error: "), "{run}");
    }
    assert_eq!(mica.ok("images -aq"), "");
    mica.must_be_empty();
    // A name that climbs out ends in the image all the same, as docker has it.
    mica.file("climb.tar", testkit::Layer::new().file("../../out", "x").tar());
    mica.ok("import climb.tar climb");
    assert_eq!(mica.ok("image files -q climb"), "/out");
    assert!(!mica.path("../out").exists() && !mica.path("../../out").exists());
}

#[test]
fn what_cannot_become_an_image_is_refused() {
    let mica = Mica::new();
    mica.file("small.tar", small().tar());
    mica.run("import -c '# nothing' small.tar x")
        .fails(1, "Error response from daemon: file with no instructions\n");
    mica.run("import --platform foo/bar small.tar x")
        .fails(1, "Error response from daemon: operating system is not supported\n");
    assert_eq!(mica.ok("images -aq"), "");
    mica.ok("import --platform linux/arm64/v8 small.tar arm");
    assert_eq!(mica.ok("inspect -f '{{.Architecture}}/{{.Variant}}' arm"), "arm64/v8");
}

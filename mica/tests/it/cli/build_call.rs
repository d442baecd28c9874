//! `mica build --check` and `--call`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Image, Mica};

const SHELL_FORM: &str = "FROM alpine:3\nCMD echo \"Hello, world!\"\n";

#[test]
fn checks_say_what_where_and_why() {
    let mica = Mica::new();
    mica.file("Dockerfile", SHELL_FORM);
    let run = mica.run("build --check .");
    assert_eq!(run.code, 1);
    assert!(
        run.out.starts_with(
            "Check complete, 1 warning has been found!\n\nWARNING: JSONArgsRecommended\n"
        ),
        "{run}"
    );
    assert!(run.out.contains("Dockerfile:2\n"), "{run}");
    assert_eq!(mica.run("buildx build --call=check .").out, run.out);
    assert_eq!(mica.run_with("build --call=check -", SHELL_FORM.as_bytes()).out, run.out);
    let document: Value =
        serde_json::from_str(&mica.run("image build --call check,format=json .").out).unwrap();
    assert_eq!(document["warnings"][0]["ruleName"], "JSONArgsRecommended");
    mica.run("build --check --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all .")
        .prints("Check complete, no warnings found.\n");
    mica.must_be_empty();
}

#[test]
fn an_error_shows_its_line() {
    let mica = Mica::new();
    mica.file("Dockerfile", "FROM a:1\nRUNN x");
    let wanted = "Dockerfile:2\n--------------------\n   1 |     FROM a:1\n   2 | >>> RUNN x\n\
                  --------------------\nERROR: dockerfile parse error on line 2: unknown \
                  instruction: RUNN (did you mean RUN?)\n";
    for line in ["build --check .", "build --call outline .", "build --call=targets ."] {
        let run = mica.run(line);
        assert_eq!((run.code, run.out.as_str()), (1, wanted), "{line}");
    }
}

#[test]
fn fixes_what_needs_no_thinking() {
    let mica = Mica::new();
    let path =
        mica.file("x.Dockerfile", "FROM alpine:3 as Build\nrun apk add curl\nCMD node index.js\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let run = mica.run("build --check --fix -f x.Dockerfile .");
    assert_eq!((run.code, run.out.as_str()), (0, "Check complete, no warnings found.\n"), "{run}");
    assert!(run.err.contains("fixed x.Dockerfile:1: FromAsCasing: "), "{run}");
    let wanted =
        "FROM alpine:3 AS build\nRUN apk add --no-cache curl\nCMD [\"node\", \"index.js\"]\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), wanted);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    mica.run("build --fix .").complains(1, "--fix needs --check");
    mica.run_with("build --check --fix -", b"FROM a").complains(1, "standard input");
}

#[test]
fn ignore_files_and_base_images_are_known() {
    let mica = Mica::new();
    mica.load(&Image::new(&["node:22"]).config("Env", json!(["NODE_VERSION=22"])));
    mica.file("Dockerfile", "FROM node:22\nLABEL v=$NODE_VERSION w=$OTHER\nCOPY secret/x /\n");
    mica.file(".dockerignore", "secret\n");
    let names = || -> Vec<String> {
        let document: Value =
            serde_json::from_str(&mica.run("build --call check,format=json .").out).unwrap();
        let rows = document["warnings"].as_array().unwrap().iter();
        rows.map(|row| row["detail"].as_str().unwrap().to_owned()).collect()
    };
    let variable = "Usage of undefined variable '$OTHER'";
    let copy = "Attempting to Copy file \"secret/x\" that is excluded by .dockerignore";
    assert_eq!(names(), [variable, copy]);
    mica.file("Dockerfile.dockerignore", "else\n");
    assert_eq!(names(), [variable]);
}

#[test]
fn outlines_and_targets() {
    let mica = Mica::new();
    mica.file(
        "Dockerfile",
        "# V is the version\nARG V=1\n# app runs\nFROM a:$V AS app\nFROM app AS test\n",
    );
    mica.run("build --call=targets .")
        .prints("TARGET         DESCRIPTION\napp            runs\ntest (default)\n");
    mica.run("build --call=outline --target app --build-arg V=2 .").prints(
        "TARGET:      app\nDESCRIPTION: runs\n\nBUILD ARG   VALUE   DESCRIPTION\nV           2       is the version\n",
    );
    mica.run("build --call=outline --target ap .").complains(1, "");
    mica.run("build --call=outlin .").complains(1, "did you mean outline?");
    mica.run("build --call=check nowhere").complains(1, "path \"nowhere\" not found");
    mica.run("build --call=check -f nothing .")
        .complains(1, "failed to read dockerfile: open nothing: no such file or directory");
}

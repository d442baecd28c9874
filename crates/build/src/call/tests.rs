use std::collections::BTreeMap;

use spec::Platform;

use super::*;
use crate::lint::{Surroundings, check};
use crate::scope::Inputs;

fn inputs(target: Option<&str>, arguments: &[(&str, &str)]) -> Inputs {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Inputs {
        arguments: arguments.iter().map(own).collect(),
        target_platform: Platform::new("linux", "amd64", None),
        build_platform: Platform::new("linux", "amd64", None),
        target: target.map(str::to_owned),
    }
}

const FILE: &str = "# syntax=docker/dockerfile:1\n\n# GO_VERSION sets the Go version\nARG GO_VERSION=1.22\n\
ARG UNUSED=1\n\n# base is where it begins\nFROM golang:${GO_VERSION} AS base\n# not a description\nARG HOST\n\
RUN --mount=type=secret,id=key,required --mount=type=cache,target=/c --mount=type=ssh x\n\n\
# Lint checks\nFROM base AS lint\nARG LEVEL=2\nRUN lint\n\n# release is small\n\
FROM --platform=$BUILDPLATFORM scratch AS release\nARG NEVER\nCOPY --from=base /a /b\n";

#[test]
fn outlines_a_target() {
    let text = outline(FILE, &inputs(None, &[])).unwrap().text();
    let wanted = "TARGET:      release\nDESCRIPTION: is small\n\n\
                  BUILD ARG    VALUE   DESCRIPTION\nGO_VERSION   1.22    sets the Go version\nHOST\n\n\
                  SECRET   REQUIRED\nkey      true\n\nSSH       REQUIRED\ndefault\n\nCACHE MOUNT\n/c\n";
    assert_eq!(text, wanted);
    let text = outline(FILE, &inputs(Some("LINT"), &[("LEVEL", "3"), ("HOST", "h")])).unwrap();
    let arguments: Vec<(&str, Option<&str>)> =
        text.arguments.iter().map(|one| (one.name.as_str(), one.value.as_deref())).collect();
    assert_eq!(
        arguments,
        [("GO_VERSION", Some("1.22")), ("HOST", Some("h")), ("LEVEL", Some("3"))]
    );
    assert!(outline(FILE, &inputs(Some("none"), &[])).is_err());
    assert_eq!(outline("FROM scratch", &inputs(None, &[])).unwrap().text(), "");
}

#[test]
fn outlines_for_programs() {
    let mut document = outline(FILE, &inputs(Some("base"), &[])).unwrap().document();
    document.as_object_mut().unwrap().remove("sources");
    let place =
        |line: usize| json!({ "ranges": [{ "start": {"line": line}, "end": {"line": line} }] });
    let wanted = json!({
        "name": "base",
        "description": "is where it begins",
        "args": [
            { "name": "GO_VERSION", "description": "sets the Go version", "value": "1.22", "location": place(4) },
            { "name": "HOST", "value": null, "location": place(10) },
        ],
        "secrets": [{ "name": "key", "required": true, "location": place(11) }],
        "ssh": [{ "name": "default", "location": place(11) }],
        "cache": [{ "ID": "/c", "location": place(11) }],
    });
    assert_eq!(document, wanted);
}

#[test]
fn an_argument_made_of_another_brings_it() {
    let text = "ARG a=1\nARG b=$a-x\nARG c\nFROM img:$b";
    let outline = outline(text, &inputs(None, &[])).unwrap();
    let names: Vec<&str> = outline.arguments.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn lists_targets() {
    let list = targets(FILE).unwrap();
    let wanted = "TARGET            DESCRIPTION\nbase              is where it begins\n\
                  lint              checks\nrelease (default) is small\n";
    assert_eq!(list.text(), wanted);
    let document = list.document();
    let release = &document["targets"][2];
    assert_eq!(
        (&release["base"], &release["platform"]),
        (&json!("scratch"), &json!("$BUILDPLATFORM"))
    );
    assert_eq!((&release["default"], document["targets"][0].get("default")), (&json!(true), None));
    assert_eq!(targets("FROM a").unwrap().text(), "TARGET    DESCRIPTION\n(default)\n");
    assert!(targets("ARG a").is_err());
}

#[test]
fn shows_what_checks_find() {
    let show = |text: &str| {
        let inputs = inputs(None, &[]);
        let bases = BTreeMap::new();
        let around =
            Surroundings { inputs: &inputs, ignore: None, has_context: false, bases: &bases };
        let found = check(text, &around);
        (check_text(&found, "Dockerfile", text), check_document(&found, "Dockerfile", text))
    };
    let text = "FROM alpine:3\nCMD echo \"Hello, world!\"\n";
    let (shown, document) = show(text);
    let wanted = "Check complete, 1 warning has been found!\n\nWARNING: JSONArgsRecommended\n\
                  JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n\
                  Dockerfile:2\n--------------------\n   1 |     FROM alpine:3\n   2 | >>> CMD echo \"Hello, world!\"\n   3 |     \n\
                  --------------------\nwhy: ";
    assert!(shown.starts_with(wanted), "{shown}");
    let warning = &document["warnings"][0];
    assert_eq!(warning["ruleName"], "JSONArgsRecommended");
    assert_eq!(warning["location"]["ranges"][0]["start"]["line"], 2);
    assert_eq!(document["sources"][0]["filename"], "Dockerfile");
    let (shown, document) = show("FROM alpine:3\n");
    assert_eq!(shown, "Check complete, no warnings found.\n");
    assert_eq!(document["warnings"], json!([]));
    let (shown, document) = show("FROM a:1\nRUNN x\n");
    let wanted = "Dockerfile:2\n--------------------\n   1 |     FROM a:1\n   2 | >>> RUNN x\n   3 |     \n\
                  --------------------\nERROR: dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)\n";
    assert_eq!(shown, wanted);
    assert_eq!(document["buildError"]["location"]["ranges"][0]["end"]["line"], 2);
}

#[test]
fn what_a_build_refuses_stands_below_what_checks_find() {
    let text = "FROM a:1\nCMD x\n";
    let inputs = inputs(None, &[]);
    let bases = BTreeMap::new();
    let around = Surroundings { inputs: &inputs, ignore: None, has_context: false, bases: &bases };
    let mut found = check(text, &around);
    let at = crate::error::Span::new(1, 1);
    found.as_mut().unwrap().refused = Some(crate::BuildError::refused(at, "no"));
    let shown = check_text(&found, "Dockerfile", text);
    assert!(shown.starts_with("Check complete, 1 warning has been found!\n"), "{shown}");
    assert!(shown.ends_with("   3 |     \n--------------------\nERROR: no\n"), "{shown}");
    let document = check_document(&found, "Dockerfile", text);
    assert_eq!(document["buildError"]["message"], "no");
    assert_eq!(document["warnings"].as_array().unwrap().len(), 1);
    found.as_mut().unwrap().findings.clear();
    assert!(check_text(&found, "Dockerfile", text).starts_with("Dockerfile:1\n"));
}

#[test]
fn calls_are_read() {
    let read = |text: &str| Call::parse(text);
    assert_eq!(read("build"), Ok(None));
    assert_eq!(read("check"), Ok(Some((Call::Check, Format::Text))));
    assert_eq!(read("lint,format=json"), Ok(Some((Call::Check, Format::Json))));
    assert_eq!(read("outline"), Ok(Some((Call::Outline, Format::Text))));
    assert_eq!(read("targets,format=text"), Ok(Some((Call::Targets, Format::Text))));
    assert_eq!(read("subrequests.describe"), Ok(Some((Call::Describe, Format::Text))));
    assert!(read("outlin").unwrap_err().contains("did you mean outline?"));
    assert!(read("check,format=xml").is_err() && read("check,x").is_err());
    assert!(describe_text().starts_with("NAME                 VERSION DESCRIPTION\n"));
    assert_eq!(describe_document()[0]["name"], "frontend.lint");
}

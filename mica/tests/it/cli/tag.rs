//! `mica tag`.

use crate::support::Mica;

#[test]
fn one_id_under_many_names() {
    let mica = Mica::new();
    let id = mica.import("my-ubuntu");
    mica.run("image tag my-ubuntu:latest account/my-ubuntu:1.0").prints("");
    mica.run(&format!("tag {} localhost:5000/x/y", &id[7..19])).prints("");
    mica.run("tag my-ubuntu:latest registry.example.com/deep/er/name:v1").prints("");
    for name in [
        "account/my-ubuntu:1.0",
        "localhost:5000/x/y:latest",
        "registry.example.com/deep/er/name:v1",
    ] {
        assert_eq!(mica.ok(&format!("inspect -f '{{{{.Id}}}}' {name}")), id, "{name}");
    }
    mica.must_be_whole();
}

#[test]
fn a_name_moves() {
    let mica = Mica::new();
    let first = mica.import("app");
    mica.ok("import -m other small.tar other");
    mica.ok("tag other app");
    assert_ne!(mica.ok("images -q --no-trunc app"), first);
    assert_eq!(mica.ok("images -q --no-trunc -f dangling=true"), first);
}

#[test]
fn mistakes_are_told_in_dockers_words() {
    let mica = Mica::new();
    mica.import("alpine");
    let check = |line: &str, expected: &str| mica.run(line).fails(1, expected);
    let arguments = "mica: 'mica tag' requires 2 arguments\n\n\
                     Usage:  mica tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]\n\n\
                     Run 'mica tag --help' for more information\n";
    check("tag alpine", arguments);
    check("tag alpine: latest x/alpine:1.0", arguments);
    check(
        "tag alpine: x",
        "Error parsing reference: \"alpine:\" is not a valid repository/tag: invalid reference format\n",
    );
    check(
        "tag alpine https://example.com/x",
        "Error parsing reference: \"https://example.com/x\" is not a valid repository/tag: invalid reference format\n",
    );
    check(
        "tag alpine Upper",
        "Error parsing reference: \"Upper\" is not a valid repository/tag: invalid reference format: \
         repository name (library/Upper) must be lowercase\n",
    );
    let digest = format!("sha256:{}", "a".repeat(64));
    check(&format!("tag alpine x@{digest}"), "refusing to create a tag with a digest reference\n");
    check("tag nothere x", "Error response from daemon: No such image: nothere:latest\n");
    check("tag nothere:1 x", "Error response from daemon: No such image: nothere:1\n");
    assert_eq!(mica.ok("images --format '{{.Repository}}'"), "alpine");
}

#[test]
fn a_name_that_reads_like_an_id_is_refused() {
    let mica = Mica::new();
    mica.import("alpine");
    for name in ["sha256:abc", "sha512"] {
        mica.run(&format!("tag alpine {name}")).fails(
            1,
            "Error response from daemon: refusing to create an ambiguous tag using digest \
             algorithm as name\n",
        );
    }
    mica.ok("tag alpine me/sha256:abc");
}

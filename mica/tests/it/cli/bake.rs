//! `mica buildx bake`.

use crate::support::Mica;

const FILE: &str = r#"
variable "TAG" {
  default = "latest"
  description = "the version"
}
group "default" {
  targets = ["web", "db"]
}
target "web" {
  description = "the site"
  context = "web"
  tags = ["me/web:${TAG}"]
  args = { HOST = HOME == "" ? "none" : "some" }
}
target "db" {
  dockerfile-inline = "FROM a:1\nCMD x\n"
}
variable "HOME" {}
"#;

#[test]
fn prints_what_it_would_build() {
    let mica = Mica::new().with("TAG", "1.0");
    mica.file("docker-bake.hcl", FILE);
    let document = mica.json("buildx bake --print --set web.args.X=y --var HOME= web");
    assert_eq!(document["group"]["default"]["targets"][0], "web");
    let web = &document["target"]["web"];
    assert_eq!((&web["tags"][0], &web["context"]), (&"me/web:1.0".into(), &"web".into()));
    assert_eq!((&web["args"]["HOST"], &web["args"]["X"]), (&"none".into(), &"y".into()));
    let all = mica.json("buildx f --print --push --no-cache --sbom=true");
    assert_eq!(all["target"]["db"]["output"][0]["type"], "registry");
    assert_eq!(all["target"]["db"]["attest"][0]["type"], "sbom");
    assert_eq!(mica.run_with("buildx bake -f - --print", FILE.as_bytes()).code, 0);
    mica.must_be_empty();
}

#[test]
fn files_of_a_folder_are_joined() {
    let mica = Mica::new();
    mica.file(".env", "# c\nVERSION='3'\n");
    mica.file("compose.yaml", "services:\n  web:\n    build: .\n    image: web:${VERSION}\n");
    mica.file("docker-bake.json", r#"{"target": {"web": {"args": {"A": "1"}}}}"#);
    let web = &mica.json("buildx bake --print")["target"]["web"];
    assert_eq!((&web["tags"][0], &web["args"]["A"]), (&"web:3".into(), &"1".into()));
}

#[test]
fn lists_and_checks() {
    let mica = Mica::new();
    mica.file("docker-bake.hcl", FILE);
    mica.file("web/Dockerfile", "FROM b:1\n");
    let rows = mica.ok("buildx bake --list=targets");
    assert!(rows.contains("web") && rows.contains("the site"), "{rows}");
    let rows = mica.ok("buildx bake --list variables");
    assert!(rows.contains("TAG") && rows.contains("the version"), "{rows}");
    let run = mica.run("buildx bake --check");
    assert_eq!(run.code, 1, "{run}");
    assert!(run.out.contains("JSONArgsRecommended") && run.out.starts_with("db\n--\n"), "{run}");
    assert!(mica.ok("buildx bake --call=targets web").contains("(default)"));
}

#[test]
fn mistakes_show_their_place() {
    let mica = Mica::new();
    mica.run("buildx bake --print").complains(1, "couldn't find a bake definition");
    mica.file("docker-bake.hcl", "target \"default\" {\n  tags = [TGA]\n}\nvariable \"TAG\" {}\n");
    let wanted = "docker-bake.hcl:2\n--------------------\n   1 |     target \"default\" {\n   2 | >>>   tags = [TGA]\n\
                  \u{20}  3 |     }\n   4 |     variable \"TAG\" {}\n--------------------\nERROR: docker-bake.hcl:2,11-14: \
                  Unknown variable; There is no variable named \"TGA\". Did you mean \"TAG\"?\n";
    mica.run("buildx bake --print").fails(1, wanted);
    mica.file("docker-bake.hcl", "target \"default\" {}\n");
    mica.run("buildx bake --print nothing").fails(1, "ERROR: failed to find target nothing\n");
    mica.run("buildx bake --print --set x.tags=y")
        .complains(1, "could not find any target matching 'x'");
}

//! Targets of a bake built together.

use serde_json::Value;

use super::{Builds, done, on_the_web};
use crate::compat::registry::Registry;
use crate::need_programs;
use crate::support::Run;

const FILE: &str = r#"
variable "TAG" { default = "1" }
group "default" { targets = ["app", "tool"] }
target "base" { dockerfile-inline = "FROM bb\nRUN echo base > /base\n" }
target "app" {
  context = "ctx"
  dockerfile = "App"
  contexts = { base = "target:base" }
  tags = ["app:${TAG}"]
  args = { WHO = "app" }
  labels = { kind = "app" }
}
target "tool" {
  inherits = ["app"]
  tags = ["tool:${TAG}"]
  args = { WHO = "tool" }
}
"#;

const APP: &str = "FROM base\nRUN echo shared > /shared\nARG WHO\nRUN echo $WHO > /who\nCOPY f /\n";

fn baked() -> Option<Builds> {
    let it = Builds::new()?;
    it.put("App", APP);
    it.put("f", "content");
    it.file("docker-bake.hcl", FILE);
    Some(it)
}

fn runs(progress: &str) -> usize {
    done(progress).iter().filter(|step| step.starts_with("RUN")).count()
}

#[test]
fn targets_share_what_they_have_in_common() {
    let Some(it) = baked() else { return };
    let bake =
        "buildx bake --progress plain --set *.network=none --no-cache --metadata-file m.json";
    let run = it.run(bake);
    run.works();
    // base and shared once, who twice.
    assert_eq!(runs(&run.err), 4, "{}", run.err);
    assert!(run.err.contains("[app 3/4] RUN echo $WHO"), "{}", run.err);
    for name in ["app", "tool"] {
        let line = format!("run --rm --network none {name}:1 sh -c 'cat /base /shared /who /f'");
        assert_eq!(it.ok(&line), format!("base\nshared\n{name}\ncontent"));
    }
    let label = "inspect -f '{{index .Config.Labels \"kind\"}}' tool:1";
    assert_eq!(it.ok(label), "app");
    // What only others need has no name and is no image.
    assert_eq!(it.ok("images -aq").lines().count(), 3);
    let metadata: Value =
        serde_json::from_slice(&std::fs::read(it.path("m.json")).unwrap()).unwrap();
    assert_eq!(metadata["tool"]["image.name"], "docker.io/library/tool:1");
    assert!(metadata["base"]["containerimage.digest"].is_null());
    let run = it.run("buildx bake --progress plain --set *.network=none --set app.args.WHO=me app");
    run.works();
    assert_eq!(runs(&run.err), 1, "{}", run.err);
    let run = it.run("buildx bake --set *.network=none --set app.target=nope app");
    run.complains(1, "target stage \"nope\" could not be found");
}

#[test]
fn a_bake_is_pushed_and_written() {
    need_programs!("docker-registry");
    let Some(it) = baked() else { return };
    let registry = Registry::plain(&it);
    let name = registry.name("baked:2");
    let bake = "buildx bake --set *.network=none";
    it.run(&format!("{bake} --push --set app.tags={name} app")).works();
    it.ok(&format!("rmi {name}"));
    it.run(&format!("pull -q {name}")).works();
    it.run(&format!("{bake} --set app.output=out app")).works();
    assert_eq!(std::fs::read_to_string(it.path("out/who")).unwrap(), "app\n");
    it.run(&format!("{bake} --set app.resources.memory=1g app"))
        .complains(1, "cannot build with resources");
}

#[test]
fn privileges_must_be_granted() {
    let Some(it) = Builds::new() else { return };
    it.file(
        "docker-bake.hcl",
        "target \"default\" {\n dockerfile-inline = \"FROM bb\\nRUN --network=host true\"\n \
         network = \"none\"\n entitlements = [\"network.host\"]\n}\n\
         target \"all\" {\n inherits = [\"default\"]\n network = \"host\"\n entitlements = []\n}\n",
    );
    for target in ["default", "all"] {
        let run = it.run(&format!("buildx bake {target}"));
        assert_eq!(run.code, 1, "{run}");
        for words in
            ["can access host network", "Pass \"--allow=network.host\"", "additional privileges"]
        {
            assert!(run.err.contains(words), "{run}");
        }
        it.run(&format!("buildx bake --allow network.host {target}")).works();
    }
    let run = it.run("buildx bake --allow everything");
    assert!(run.err.contains("unknown entitlement key \"everything\""), "{run}");
}

#[test]
fn compose_files_include_others() {
    let Some(it) = Builds::new() else { return };
    it.file("here/compose.yml", "include: [sub/more.yml]\nservices:\n  a: { build: . }\n");
    it.file("here/Dockerfile", "FROM scratch\nLABEL who=a\nCOPY f /f\n");
    it.file("here/f", "a");
    let more = "include: [{ path: ../other/last.yml }]\nservices:\n  b: { build: ., image: b }\n";
    it.file("here/sub/more.yml", more);
    it.file("here/sub/Dockerfile", "FROM scratch\nLABEL who=b\nCOPY f /f\n");
    it.file("here/sub/f", "b");
    it.file("here/other/last.yml", "include: [last.yml]\nservices: {}\n");
    let run = |options: &str| {
        let line = format!("buildx bake {options}");
        Run::of(&line, it.command(&line).current_dir(it.path("here")).output().unwrap())
    };
    run("").complains(1, "there is no end to it");
    it.file("here/other/last.yml", "services:\n  c: { build: { dockerfile_inline: FROM x } }\n");
    let print = run("--print");
    print.works();
    assert!(print.out.contains("\"context\": \"sub/../other\""), "{print}");
    run("a b").works();
    assert_eq!(it.ok("inspect -f '{{.Config.Labels.who}}' b"), "b");
}

#[test]
fn what_a_definition_of_the_web_takes_must_be_granted() {
    let Some(it) = Builds::new() else { return };
    it.file("here/f", "here");
    it.file("private/key", "hidden");
    it.file("private/Dockerfile", "FROM bb\nCOPY key /key\n");
    let bake = |body: &str, options: &str| {
        let text =
            format!("target default {{\n tags = [\"t\"]\n network = \"none\"\n {body}\n}}\n");
        let line = format!("buildx bake {options} http://{}/docker-bake.hcl", on_the_web(text));
        Run::of(&line, it.command(&line).current_dir(it.path("here")).output().unwrap())
    };
    let inline = "dockerfile-inline = \"FROM bb\\nCOPY . /c\\n\"";
    let check = |body: &str, means: &str, flag: &str| {
        let run = bake(body, "--allow fs=../other --allow fs.read=../priv");
        run.complains(1, "additional privileges requested");
        let told = format!(" - {means}\n");
        assert!(run.err.contains(&told) && run.err.contains(&format!("--allow={flag}")), "{run}");
        bake(body, &format!("--allow {flag}")).works();
    };
    let read = "Read access to path ../private";
    check(&format!("context = \"../private\"\n {inline}"), read, "fs.read=../private");
    check("context = \"./../here/../private\"", read, "fs.read=../private");
    let named = "dockerfile-inline = \"FROM bb\\nCOPY --from=x . /c\\n\"";
    let path = it.path("private").display().to_string();
    check(&format!("contexts = {{ x = \"{path}\" }}\n {named}"), read, "fs.read=../private");
    let file = "Read access to path ../private/Dockerfile";
    it.file("here/key", "own");
    check("dockerfile = \"../private/Dockerfile\"", file, "fs.read=../private/Dockerfile");
    let key = "Read access to path ../private/key";
    let secret = "secret = [{ id = \"x\", SRC = \"../private/key\" }]";
    check(&format!("{secret}\n {inline}"), key, "fs.read=../private/key");
    it.run("build --network none --cache-to type=local,dest=cache -f private/Dockerfile private")
        .works();
    let cache = "cache-from = [{ type = \"local\", SRC = \"../cache\" }]";
    check(&format!("{cache}\n {inline}"), "Read access to path ../cache", "fs.read=../cache");
    let cache = "cache-to = [\"type=local,dest=../kept\"]";
    check(&format!("{cache}\n {inline}"), "Write access to path ../kept", "fs.write=../kept");
    let body = format!("output = [{{ type = \"local\", DEST = \"../out\" }}]\n {inline}");
    bake(&body, "").complains(1, "additional privileges requested");
    assert!(!it.path("out").exists());
    check(&body, "Write access to path ../out", "fs.write=../out");
    // What lies here needs nothing, and what a bake fills is not looked into before.
    bake(&format!("output = [\"type=local,dest=out\"]\n {inline}"), "").works();
    assert_eq!(std::fs::read_to_string(it.path("here/out/c/f")).unwrap(), "here");
    let nested = "output = [\"type=local,dest=out\", \"type=local,dest=out/l\"]";
    bake(&format!("{nested}\n {inline}"), "").complains(1, "which the same definition fills");
    // A target's own Dockerfile may lie where its files go: it is read before.
    it.file("here/Dockerfile", "FROM scratch\nCOPY f /made\n");
    bake("context = \".\"\n output = [\"type=local,dest=.\"]", "").works();
    assert_eq!(std::fs::read_to_string(it.path("here/made")).unwrap(), "here");
    // Files need not be asked about; the user's agent is asked about all the same.
    let free = |body: &str, options: &str| {
        let text = format!("target default {{\n {body}\n}}\n");
        let line = format!("buildx bake {options} http://{}/docker-bake.hcl", on_the_web(text));
        let mut command = it.command(&line);
        command.env("BUILDX_BAKE_ENTITLEMENTS_FS", "0").current_dir(it.path("here"));
        Run::of(&line, command.output().unwrap())
    };
    free("context = \"../private\"", "").works();
    let run = free("context = \"../private\"\n ssh = [\"default\"]", "");
    run.complains(1, "additional privileges requested");
    assert!(run.err.contains("--allow=ssh") && !run.err.contains("fs="), "{run}");
    let question = bake("context = \"../private\"", "--call outline");
    question.complains(1, "additional privileges requested");
    let line = format!(
        "buildx bake http://{}/docker-bake.hcl --print",
        on_the_web("target default { context = \"/\" }")
    );
    it.run(&line).works();
}

#[test]
fn paths_may_be_said_to_be_here() {
    let Some(it) = Builds::new() else { return };
    it.file("Own", "FROM bb\nCOPY f /f\nCOPY --from=x g /g\n");
    it.put("f", "f");
    it.file("more/g", "g");
    let hcl = "target default {\n tags = [\"t\"]\n network = \"none\"\n context = \"cwd://ctx\"\n \
               dockerfile = \"cwd://Own\"\n contexts = { x = \"cwd://more\" }\n}\n\
               target all {\n inherits = [\"default\"]\n context = BAKE_CMD_CONTEXT\n \
               dockerfile = \"Whole\"\n}\n";
    it.file("docker-bake.hcl", hcl);
    it.run("buildx bake").works();
    assert_eq!(it.shows("cat /f /g"), "fg");
    it.file("Whole", "FROM bb\nCOPY ctx/f /whole\n");
    it.run("buildx bake all").works();
    assert_eq!(it.shows("cat /whole"), "f");
    it.run("buildx bake --call outline").works();
}

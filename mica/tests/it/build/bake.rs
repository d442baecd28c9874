//! Targets of a bake built together.

use serde_json::Value;

use super::{Builds, done};
use crate::compat::registry::Registry;
use crate::need_programs;

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

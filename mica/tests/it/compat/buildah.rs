//! buildah: commits a container of an image that mica wrote, and mica loads the commit.

use std::fs;

use serde_json::json;
use testkit::Tree;

use super::peers::{Peer, must_look_like_but_for_the_root, rich};
use crate::need_peers;
use crate::support::Mica;

#[test]
fn a_commit_on_top_of_micas_image() {
    need_peers!("buildah");
    let mica = Mica::on_disk();
    let buildah = Peer::new(&mica, "buildah");
    let image = rich(&["localhost/rich:1.0"]);
    mica.load(&image);
    mica.ok("save -o oci-archive:rich.tar:localhost/rich:1.0 localhost/rich:1.0");
    let container = buildah.ok("from --signature-policy policy.json oci-archive:rich.tar");
    let path = buildah.ok(&format!("mount {container}"));
    let path = std::path::Path::new(&path);
    fs::write(path.join("etc/new"), "added").unwrap();
    fs::remove_file(path.join("bin/sh")).unwrap();
    let mut expected = Tree::read(path).unwrap();
    // Buildah commits whole seconds.
    for node in expected.nodes.values_mut().filter(|node| node.mtime.0 > 1_700_000_000) {
        node.mtime.1 = 0;
    }
    buildah.ok(&format!("umount {container}"));
    buildah.ok(&format!("config --env B=2 {container}"));
    for form in [
        "oci-archive:commit.tar:localhost/child:1",
        "docker-archive:legacy.tar:localhost/child:2",
        "oci:commit:localhost/child:3",
        "dir:flat",
    ] {
        buildah.ok(&format!("commit -q --signature-policy policy.json {container} {form}"));
    }
    for (load, said) in [
        ("commit.tar", "Loaded image: localhost/child:1\n"),
        ("legacy.tar", "Loaded image: localhost/child:2\n"),
        ("commit", "Loaded image: localhost/child:3\n"),
        ("dir:flat", ""),
    ] {
        let run = mica.run(&format!("load -i {load}"));
        assert!(run.code == 0 && (run.out == said || said.is_empty()), "{run}");
        let id = mica.ok("images -q --no-trunc --filter before=localhost/rich:1.0");
        let name = said.trim().strip_prefix("Loaded image: ").map(str::to_owned);
        let name = name.unwrap_or_else(|| run.out.trim().replace("Loaded image ID: ", ""));
        assert!(!name.is_empty(), "{id}");
        let shown = &mica.json(&format!("inspect {name}"))[0];
        let layers = shown["RootFS"]["Layers"].as_array().unwrap();
        assert_eq!(
            layers[..3],
            image.diff_ids().iter().map(|diff| json!(diff)).collect::<Vec<_>>()
        );
        assert!(shown["Config"]["Env"].as_array().unwrap().contains(&json!("B=2")));
        let mounted = mica.ok(&format!("image mount {name}"));
        must_look_like_but_for_the_root(mounted.as_ref(), &expected, load);
        mica.ok("image unmount --all");
    }
    mica.must_be_whole();
}

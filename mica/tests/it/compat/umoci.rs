//! umoci: unpacks what mica writes; mica loads what umoci makes.

use std::fs;
use std::os::unix::fs::symlink;

use testkit::Tree;

use super::peers::{Peer, must_look_like, rich};
use crate::need_peers;
use crate::support::Mica;

#[test]
fn umoci_unpacks_what_mica_writes() {
    need_peers!("umoci");
    let mica = Mica::on_disk();
    let umoci = Peer::new(&mica, "umoci");
    let image = rich(&["rich:1.0"]);
    mica.load(&image);
    mica.ok("image export-layout rich:1.0 layout");
    assert_eq!(umoci.ok("list --layout layout"), "1.0");
    let stat = umoci.json("stat --image layout:1.0 --json");
    assert_eq!(stat["history"].as_array().unwrap().len(), 4);
    umoci.ok("unpack --image layout:1.0 bundle");
    must_look_like(&mica.path("bundle/rootfs"), &image, "umoci unpack");
    // A layout that umoci changes afterwards is still one that mica reads.
    umoci.ok("tag --image layout:1.0 again");
    umoci.ok("config --image layout:again --config.user me");
    mica.run("load -i oci:layout:again");
    let run = mica.run("load -i oci:layout:again");
    assert!(run.code == 0 && run.out.contains("Loaded image"), "{run}");
}

#[test]
fn mica_loads_what_umoci_makes() {
    need_peers!("umoci");
    let mica = Mica::on_disk();
    let umoci = Peer::new(&mica, "umoci");
    umoci.ok("init --layout made");
    umoci.ok("new --image made:empty");
    umoci.ok("unpack --image made:empty bundle");
    let rootfs = mica.path("bundle/rootfs");
    fs::create_dir_all(rootfs.join("etc/deep/er")).unwrap();
    fs::write(rootfs.join("etc/deep/er/file"), "one").unwrap();
    fs::hard_link(rootfs.join("etc/deep/er/file"), rootfs.join("etc/second")).unwrap();
    symlink("second", rootfs.join("etc/link")).unwrap();
    std::os::unix::fs::chown(rootfs.join("etc/deep"), Some(7), Some(8)).unwrap();
    umoci.ok("repack --image made:one bundle");
    fs::remove_dir_all(mica.path("bundle")).unwrap();
    umoci.ok("unpack --image made:one bundle");
    fs::remove_file(rootfs.join("etc/link")).unwrap();
    fs::write(rootfs.join("etc/added"), "two").unwrap();
    umoci.ok("repack --image made:two bundle");
    umoci.ok("config --image made:two --config.cmd /bin/sh --config.env A=1");
    fs::remove_dir_all(mica.path("bundle")).unwrap();
    for tag in ["one", "two"] {
        umoci.ok(&format!("unpack --image made:{tag} {tag}"));
        let id = mica.ok(&format!("load -i oci:made:{tag}"));
        let id = id.strip_prefix("Loaded image ID: ").unwrap();
        let path = mica.ok(&format!("image mount {id}"));
        let expected = Tree::read(&mica.path(tag).join("rootfs")).unwrap();
        Tree::read(path.as_ref()).unwrap().must_equal(&expected, tag);
        mica.ok("image unmount --all");
    }
    mica.must_be_whole();
    // All of a layout at once: none of its tags is a name.
    let run = mica.run("load -i made");
    assert_eq!(
        run.out.lines().filter(|line| line.starts_with("Loaded image ID: ")).count(),
        3,
        "{run}"
    );
}

//! Root file systems, volumes and mounts.

use std::fs;

use testkit::Mounted;

use super::support::Root;

#[test]
fn a_root_that_is_read_only() {
    let Some(root) = Root::new() else { return };
    let run = root.sh("--read-only --tmpfs /room:size=1m", "touch /room/a && echo kept; touch /b");
    assert!(run.code == 1 && run.out == "kept\n" && run.err.contains("Read-only"), "{run}");
    for file in ["hosts", "hostname", "resolv.conf"] {
        let run = root.sh("--read-only", &format!("cat /etc/{file}; echo x >> /etc/{file}"));
        assert!(run.code == 1 && run.err.contains("Read-only"), "{run}");
    }
}

#[test]
fn folders_of_the_host() {
    let Some(root) = Root::new() else { return };
    let from = root.file("from/file", "host\n");
    let folder = from.parent().unwrap().display();
    root.sh(&format!("-v {folder}:/in"), "cat /in/file; echo back > /in/new").prints("host\n");
    assert_eq!(fs::read_to_string(root.path("from/new")).unwrap(), "back\n");
    for options in
        [format!("-v {folder}:/in:ro"), format!("--mount type=bind,src={folder},dst=/in,readonly")]
    {
        root.sh(&options, "cat /in/file; touch /in/x").complains(1, "Read-only file system");
    }
    root.file(".own/file", "own\n");
    root.sh("-v .own:/in", "cat /in/file").prints("own\n");
    root.sh("--mount type=bind,src=.own,dst=/in", "cat /in/file").prints("own\n");
    root.sh("--mount type=bind,src=from,dst=/in", "true")
        .complains(125, "invalid mount path: 'from' mount path must be absolute");
    let missing = format!("--mount type=bind,src={folder}/missing,dst=/in");
    root.sh(&missing, "true").complains(125, "bind source path does not exist");
    root.sh(&format!("-v {folder}/missing:/in"), "true").prints("");
    assert!(root.path("from/missing").is_dir(), "-v makes what is missing");
}

#[test]
fn volumes_are_filled_from_the_image_and_kept() {
    let Some(root) = Root::new() else { return };
    root.sh("-v kept:/filled", "cat /filled/from-image; echo mine > /filled/mine")
        .prints("filled\n");
    root.sh("-v kept:/filled", "cat /filled/mine; rm /filled/from-image").prints("mine\n");
    root.sh("-v kept:/filled", "ls /filled").prints("mine\n");
    root.sh("--mount type=volume,src=bare,dst=/filled,volume-nocopy", "ls /filled").prints("");
    root.sleeper("owner", "-v kept:/filled -v /anonymous");
    root.ok("exec owner touch /anonymous/theirs");
    root.sh("--volumes-from owner", "ls /filled /anonymous")
        .prints("/anonymous:\ntheirs\n\n/filled:\nmine\n");
    root.sh("--volumes-from owner:ro", "touch /filled/x").complains(1, "Read-only");
}

#[test]
fn rm_takes_the_anonymous_volumes_and_leaves_the_named() {
    let Some(root) = Root::new() else { return };
    root.sh("-v /anonymous -v named:/named", "true").prints("");
    assert_eq!(root.ok("volume ls -q"), "named");
}

#[test]
fn inspect_says_where_the_files_are() {
    let Some(root) = Root::new() else { return };
    root.sleeper("web", "");
    root.ok("exec web touch /new");
    let data = |name: &str| root.json(&format!("inspect {name}"))[0]["GraphDriver"]["Data"].clone();
    let (image, own) = (data("bb"), data("web"));
    if image.is_null() {
        return testkit::skip("the driver keeps whole trees");
    }
    let folder = |key: &str| std::path::PathBuf::from(own[key].as_str().unwrap());
    assert_eq!(own["LowerDir"], image["UpperDir"], "the image has one layer");
    assert!(folder("UpperDir").join("new").exists() && folder("WorkDir").is_dir());
    assert!(folder("MergedDir").join("new").exists(), "{own}");
    root.ok("kill web");
    assert_eq!(data("web")["MergedDir"], "");
}

#[test]
fn the_overlay_driver_holds_containers() {
    holds_containers(Mounted::folder(), "overlay");
}

#[test]
fn the_erofs_driver_holds_containers() {
    // What lies in memory cannot be mounted from a file.
    holds_containers(Mounted::on_disk(), "erofs");
}

#[test]
fn the_vfs_driver_holds_containers() {
    holds_containers(Mounted::folder(), "vfs");
}

fn holds_containers(place: Mounted, driver: &str) {
    let Some(root) = Root::on_driver(place, driver) else { return };
    let script = "cat /filled/from-image; echo new > /filled/new; rm /etc/group; ls /etc /filled";
    let run = root.sh("", script);
    assert!(run.code == 0 && run.err.is_empty(), "{run}");
    assert!(run.out.starts_with("filled\n") && !run.out.contains("group"), "{run}");
    root.sh("", "ls /filled").prints("from-image\n");
    root.must_be_clean(&[]);
}

#[test]
fn what_is_committed_again_is_well_again() {
    let Some(root) = Root::new() else { return };
    root.ok("run --name box --network none bb sh -c 'echo 1 > /made'");
    let id = root.ok("commit box made:1");
    let layers = root.json("image inspect made:1")[0]["RootFS"]["Layers"].clone();
    let top = layers.as_array().unwrap().last().unwrap().as_str().unwrap().to_owned();
    let tar = root.root().join("blobs/sha256").join(top.strip_prefix("sha256:").unwrap());
    fs::write(tar, "something else").unwrap();
    assert_eq!(root.run("system check").code, 1);
    // The bytes are at hand: none that are damaged are counted on.
    assert_ne!(root.ok("commit -m again box made:2"), id);
    root.ok("system check");
    root.run("run --rm --network none made:1 cat /made").prints("1\n");
}

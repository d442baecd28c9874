//! File systems that were real once: what GNU tar packs of a folder comes back as that folder.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use testkit::{Tree, need_root};

use super::peers::{Peer, must_look_like_but_for_the_root};
use crate::need_programs;
use crate::support::{Mica, has};

/// A folder with all that a file system can hold.
fn make(root: &Path) {
    fs::create_dir_all(root.join("usr/share/doc")).unwrap();
    fs::create_dir(root.join("sparse")).unwrap();
    fs::write(root.join("usr/share/doc/readme"), "text\n".repeat(1000)).unwrap();
    fs::hard_link(root.join("usr/share/doc/readme"), root.join("usr/readme")).unwrap();
    symlink("usr/readme", root.join("readme")).unwrap();
    let mut holes = fs::File::create(root.join("sparse/holes")).unwrap();
    for at in [0_u64, 1 << 20, 3 << 20, (64 << 20) - 5] {
        holes.seek(SeekFrom::Start(at)).unwrap();
        holes.write_all(b"data!").unwrap();
    }
    fs::File::create(root.join("sparse/only-hole")).unwrap().set_len(10 << 20).unwrap();
    fs::write(root.join("secret"), "x").unwrap();
    chown(root.join("secret"), Some(12), Some(34)).unwrap();
    fs::set_permissions(root.join("secret"), fs::Permissions::from_mode(0o4640)).unwrap();
    let long = root.join("l".repeat(255));
    fs::write(long, "longest name").unwrap();
    let mut deep = root.to_owned();
    for _ in 0..30 {
        deep.push("directory-");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("bottom"), "deep").unwrap();
}

#[test]
fn what_tar_packs_comes_back() {
    need_root!();
    need_programs!("tar", "setfattr");
    let mica = Mica::on_disk();
    let root = mica.path("rootfs");
    make(&root);
    let note =
        mica.program("setfattr").args(["-n", "user.note", "-v", "kept", "rootfs/secret"]).status();
    assert!(note.unwrap().success());
    let expected = Tree::read(&root).unwrap();
    for format in ["posix", "gnu"] {
        let mut tar = mica.program("tar");
        tar.args(["-C", "rootfs", &format!("--format={format}"), "--sparse", "-cf", "rootfs.tar"]);
        if format == "posix" {
            tar.args(["--xattrs", "--xattrs-include=user.*"]);
        }
        assert!(tar.arg(".").status().unwrap().success());
        mica.ok(&format!("import rootfs.tar {format}"));
        // Zeros take no room: the archive is small, and so is what is kept.
        let usage = mica.ok(&format!("inspect -f '{{{{.Size}}}}' {format}"));
        let path = mica.ok(&format!("image mount {format}"));
        let mut found = Tree::read(path.as_ref()).unwrap();
        let mut expected = expected.clone();
        if format == "gnu" {
            // The old format has no room for parts of a second and for attributes.
            for node in expected.nodes.values_mut().chain(found.nodes.values_mut()) {
                node.mtime.1 = 0;
                node.xattrs.clear();
            }
        }
        found.must_equal(&expected, format);
        let holes = fs::metadata(Path::new(&path).join("sparse/holes")).unwrap();
        assert_eq!(holes.len(), 64 << 20, "{usage}");
        mica.ok("image unmount --all");
    }
    let blobs = |path: &Path| -> u64 {
        fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512)
            .sum()
    };
    assert!(blobs(&mica.root().join("blobs/sha256")) < 4 << 20, "holes are not kept as zeros");
    mica.must_be_whole();
}

#[test]
fn sparse_files_survive_the_way_to_others() {
    need_root!();
    need_programs!("tar");
    let mica = Mica::on_disk();
    let root = mica.path("rootfs");
    make(&root);
    let packed = mica
        .program("tar")
        .args(["-C", "rootfs", "--format=posix", "--sparse", "-cf", "rootfs.tar", "."])
        .status();
    assert!(packed.unwrap().success());
    mica.ok("import rootfs.tar localhost/sparse");
    mica.ok("save -o saved.tar localhost/sparse");
    let expected = Tree::read(&root).unwrap();
    let mut peers = 0;
    if has("podman") {
        let podman = Peer::new(&mica, "podman");
        podman.ok("load -q -i saved.tar");
        let path = podman.ok("image mount localhost/sparse");
        must_look_like_but_for_the_root(path.as_ref(), &expected, "podman");
        podman.ok("image unmount --all");
        peers += 1;
    }
    if has("umoci") {
        let umoci = Peer::new(&mica, "umoci");
        mica.ok("image export-layout localhost/sparse layout");
        umoci.ok("unpack --image layout:latest bundle");
        Tree::read(&mica.path("bundle/rootfs")).unwrap().must_equal(&expected, "umoci");
        peers += 1;
    }
    if peers == 0 {
        testkit::skip("neither podman nor umoci is installed");
    }
}

#[test]
fn busybox_as_a_root_file_system() {
    need_root!();
    need_programs!("busybox", "tar");
    let mica = Mica::on_disk();
    let script = "mkdir -p rootfs/bin rootfs/etc && cp \"$(command -v busybox)\" rootfs/bin/busybox && \
                  for name in $(busybox --list); do ln -f rootfs/bin/busybox rootfs/bin/$name; done && \
                  tar -C rootfs -c .";
    let output = mica.program("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = mica.run_with("import -c 'CMD [\"sh\"]' - busybox", &output.stdout);
    assert_eq!(run.code, 0, "{run}");
    let path = mica.ok("image mount busybox");
    let expected = Tree::read(&mica.path("rootfs")).unwrap();
    let mut found = Tree::read(path.as_ref()).unwrap();
    // GNU's format, which tar writes by default, has whole seconds.
    let mut expected = expected;
    for node in expected.nodes.values_mut().chain(found.nodes.values_mut()) {
        node.mtime.1 = 0;
    }
    found.must_equal(&expected, "busybox");
    let names = fs::metadata(Path::new(&path).join("bin/busybox")).unwrap().nlink();
    assert!(names > 100, "{names} names of one file");
    // What is in the image runs.
    let output = mica.program("chroot").args([&path, "/bin/echo", "hello"]).output().unwrap();
    assert_eq!(output.stdout, b"hello\n");
}

//! What an ordinary user gets of images: all but their mounts. Containers are in `rootless`.

use testkit::{Layer, need_root};

use crate::support::{Image, Mica, small};

/// A layer with all that an ordinary user cannot have on disk.
fn odd() -> Layer {
    let capability = [&[1, 0, 0, 2][..], &[0; 16]].concat();
    Layer::new()
        .folder("closed")
        .mode(0)
        .owner(7, 8)
        .file("closed/secret", "s")
        .mode(0)
        .folder("closed/read-only")
        .mode(0o555)
        .file("closed/read-only/f", "f")
        .mode(0o444)
        .char_device("dev/null", 1, 3)
        .hard_link("dev/again", "dev/null")
        .block_device("dev/disk", 8, 0)
        .fifo("pipe")
        .owner(9, 9)
        .file("bin/ping", "ping")
        .mode(0o6755)
        .owner(100_000, 4_000_000_000)
        .xattr("security.capability", capability)
        .xattr("user.mark", "kept")
        .folder("shared")
        .mode(0o3777)
        .xattr("trusted.mark", "root's")
        .hard_link("bin/ping6", "bin/ping")
}

fn image() -> Image {
    let above = Layer::new().whiteout("closed/secret").opaque("closed/read-only");
    Image::new(&["odd:1"])
        .layer(small(), "base")
        .layer(odd(), "odd")
        .layer(above.file("closed/read-only/new", "n").file("closed/late", ""), "above")
}

#[test]
fn an_ordinary_user_has_the_same_images() {
    need_root!();
    let (root, user) = (Mica::new(), Mica::new().by_nobody());
    for mica in [&root, &user] {
        mica.load(&image());
        mica.file("small.tar", small().tar());
        mica.ok("import small.tar small:1");
        mica.must_be_whole();
    }
    assert_eq!(user.ok("info -f '{{.Driver}}'"), "overlay2");
    let why = user.json("info -f json")["DriverStatus"][1][1].as_str().unwrap().to_owned();
    assert!(why.contains("not erofs: only root"), "{why}");
    for line in [
        "images --digests --format '{{.Repository}} {{.Digest}} {{.Size}}'",
        "image files odd:1",
        "image diff small:1 odd:1",
        "image why odd:1 /bin/ping",
        "history --no-trunc odd:1 --format '{{.ID}} {{.Size}}'",
        "inspect -f '{{json .RootFS}} {{.Size}}' odd:1",
    ] {
        assert_eq!(user.ok(line), root.ok(line), "{line}");
    }
    for mica in [&root, &user] {
        mica.ok("save -o saved.tar odd:1 ");
    }
    let saved = |mica: &Mica| std::fs::read(mica.path("saved.tar")).unwrap();
    assert!(saved(&user) == saved(&root), "an archive differs");
    let run = user.run("image mount odd:1");
    run.complains(1, "an image that an ordinary user mounts is seen by nobody else");
    assert!(run.err.contains("hint: `mica image files`"), "{run}");
    user.ok("rmi odd:1");
    user.ok("load -q -i saved.tar");
    user.must_be_whole();
    user.ok("rmi odd:1 small:1");
    user.must_be_empty();
}

#[test]
fn an_ordinary_users_folders_are_theirs_and_damage_is_found() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    need_root!();
    let user = Mica::new().by_nobody().with_driver("vfs");
    user.load(&image());
    let folders = || std::fs::read_dir(user.root().join("vfs")).unwrap();
    let top =
        folders().map(|entry| entry.unwrap().path()).find(|it| it.join("closed/late").exists());
    let top = top.expect("one has the topmost layer");
    for (name, mode) in [
        ("closed", Some(0o700)),
        ("closed/read-only", Some(0o755)),
        ("bin/ping", Some(0o6755)),
        ("shared", Some(0o3777)),
        ("closed/secret", None),
        ("closed/read-only/f", None),
        ("dev/null", None),
        ("dev/again", None),
    ] {
        let meta = std::fs::symlink_metadata(top.join(name)).ok();
        assert_eq!(meta.as_ref().map(|meta| meta.mode() & 0o7777), mode, "{name}");
        assert!(meta.is_none_or(|meta| (meta.uid(), meta.gid()) == (65534, 65534)), "{name}");
    }
    std::fs::set_permissions(top.join("closed"), PermissionsExt::from_mode(0o755)).unwrap();
    let run = user.run("system check");
    assert!(run.code == 1 && run.out.contains("closed: its mode has changed"), "{run}");
    let run = user.run("system check --repair");
    assert!(run.code == 0 && run.out.contains("all mended"), "{run}");
    user.must_be_whole();
}

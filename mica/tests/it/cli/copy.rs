//! `mica cp`: docker's rules about trailing slashes, links that lead out, archives.

use std::fs;
use std::os::unix::fs::symlink;

use testkit::{Layer, need_root};

use crate::support::Mica;

/// A container `web` with a volume at `/data`, and files beside it.
fn prepared() -> Mica {
    let mica = Mica::on_disk();
    let files = crate::support::small().link("out", "/").folder("dir").file("dir/one", "1");
    mica.file("base.tar", files.tar());
    mica.ok("import base.tar base");
    mica.ok("create --name web -v data:/data base x");
    mica.file("file", "file\n");
    mica.file("tree/a", "a");
    mica.file("tree/sub/b", "b");
    mica
}

fn read(mica: &Mica, name: &str) -> String {
    fs::read_to_string(mica.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn out_of_a_container() {
    need_root!();
    let mica = prepared();
    mica.ok("cp web:/etc/motd .");
    assert_eq!(read(&mica, "motd"), "hello\n");
    mica.ok("cp web:etc/motd other");
    assert_eq!(read(&mica, "other"), "hello\n");
    mica.run("cp web:/etc/motd gone/").fails(1, "no such directory\n");
    let gone = mica.path("gone");
    let words = format!("invalid output path: directory {gone:?} does not exist\n");
    mica.run("cp web:/etc/motd gone/x").fails(1, &words);
    mica.run("cp web:/etc/motd gone/x/").fails(1, &words);
    mica.ok("cp web:/dir new");
    assert_eq!(read(&mica, "new/one"), "1");
    mica.ok("cp web:/dir new");
    assert_eq!(read(&mica, "new/dir/one"), "1");
    mica.ok("cp web:/dir/. new/dir");
    assert!(!mica.path("new/dir/dir").exists());
    mica.run("cp web:/dir other").fails(1, "cannot copy directory\n");
    mica.ok("cp web:/etc/link link");
    assert_eq!(fs::read_link(mica.path("link")).unwrap().to_str(), Some("motd"));
    mica.ok("cp -L web:/etc/link followed");
    assert_eq!(read(&mica, "followed"), "hello\n");
    fs::create_dir(mica.path("room")).unwrap();
    mica.ok("cp -L web:/etc/link room");
    assert_eq!(read(&mica, "room/link"), "hello\n", "a copy is called as it was asked for");
    std::os::unix::fs::symlink("link", mica.path("room/way")).unwrap();
    mica.ok("cp -L room/way web:/dir");
    mica.ok("cp web:/dir/way from-way");
    assert_eq!(read(&mica, "from-way"), "hello\n");
    mica.run("cp web:/nope .")
        .fails(1, "Error response from daemon: Could not find the file /nope in container web\n");
    mica.ok("cp image:base:/etc/motd of-image");
    assert_eq!(read(&mica, "of-image"), "hello\n");
}

#[test]
fn into_a_container() {
    need_root!();
    let mica = prepared();
    mica.ok("cp file web:/etc");
    mica.ok("cp file web:/renamed");
    mica.ok("cp tree web:/");
    mica.ok("cp tree web:/fresh");
    mica.ok("cp tree/. web:/dir");
    let changes = mica.ok("diff web");
    for line in ["C /dir", "A /dir/a", "A /etc/file", "A /fresh/sub/b", "A /renamed", "A /tree/a"] {
        assert!(changes.lines().any(|found| found == line), "{line}: {changes}");
    }
    mica.run("cp tree web:/renamed").fails(1, "cannot copy directory\n");
    mica.run("cp file web:/nope/x")
        .complains(1, "Could not find the file /nope/x in container web");
    mica.ok("cp file web:/data/");
    assert_eq!(fs::read_to_string(mica.root().join("volumes/data/_data/file")).unwrap(), "file\n");
    mica.ok("cp web:/data/file back");
    assert_eq!(read(&mica, "back"), "file\n");
    mica.ok("create --name ro --read-only base x");
    mica.run("cp file ro:/etc").complains(1, "container rootfs is marked read-only");
}

#[test]
fn what_is_mounted_when_it_starts_is_looked_up_where_it_comes_from() {
    need_root!();
    let mica = prepared();
    mica.ok("cp tree web:/data/");
    let part = "--mount type=volume,src=data,dst=/in,volume-subpath=tree/sub";
    mica.ok(&format!("create --name part {part} base x"));
    mica.ok("cp part:/in/b b");
    assert_eq!(read(&mica, "b"), "b");
    mica.run("cp part:/in/a a").complains(1, "Could not find the file /in/a in container part");
    // A way out of the mount leads to the container's files.
    mica.ok("cp part:/in/../etc/motd motd");
    assert_eq!(read(&mica, "motd"), "hello\n");
    mica.ok("cp file web:/data/../beside");
    assert!(mica.ok("diff web").contains("A /beside"));
    // The host may have a folder with the image's name.
    mica.file("base/motd", "the host's");
    let image = "--mount type=image,src=base,dst=/other,image-subpath=etc";
    mica.ok(&format!("create --name shows {image} base x"));
    mica.ok("cp shows:/other/motd of-image");
    assert_eq!(read(&mica, "of-image"), "hello\n");
    mica.run("cp file shows:/other/").complains(1, "mounted volume is marked read-only");
}

#[test]
fn links_do_not_lead_out_of_a_container() {
    need_root!();
    let mica = prepared();
    mica.ok("cp file web:/out/inside");
    assert!(mica.ok("diff web").contains("A /inside"));
    // An archive that goes through a link of its own.
    symlink("/", mica.path("root")).unwrap();
    let hostile = Layer::new().link("way", mica.work().to_str().unwrap()).file("way/escaped", "x");
    let run = mica.run_with("cp - web:/", &hostile.tar());
    assert!(run.code != 0 && !mica.path("escaped").exists(), "{run}");
    let climbing = Layer::new().file("../../../../climbed", "x");
    mica.run_with("cp - web:/dir", &climbing.tar());
    assert!(!mica.ok("diff web").contains("climbed"));
}

#[test]
fn from_one_container_to_another() {
    need_root!();
    let mica = prepared();
    mica.ok("create --name other base x");
    let tar = Layer::new().file("mine", "whose").owner(7, 8).tar();
    assert_eq!(mica.run_with("cp -a - web:/dir", &tar).code, 0);
    mica.ok("cp web:/dir other:/fresh");
    mica.ok("cp image:base:/etc/motd other:/fresh/motd");
    // Links of one container are not those of the other.
    mica.ok("cp other:/fresh/mine web:/out/file");
    let listed = mica.run("cp other:/fresh -").bytes;
    mica.file("listed.tar", &listed);
    let output = mica.program("tar").args(["--numeric-owner", "-tvf", "listed.tar"]).output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("fresh/mine")).collect();
    assert!(lines.len() == 1 && lines[0].contains("7/8"), "files keep their owners: {said}");
    assert!(said.contains("fresh/one") && said.contains("fresh/motd"), "{said}");
    mica.run("cp web:/etc/motd image:base:/etc").complains(1, "an image cannot be changed");
}

#[test]
fn archives_on_both_sides() {
    need_root!();
    let mica = prepared();
    let tar = mica.run("cp web:/dir -");
    assert_eq!(tar.code, 0, "{tar}");
    let run = mica.run_with("cp - web:/bin", &tar.bytes);
    assert_eq!(run.code, 0, "{run}");
    assert!(mica.ok("diff web").contains("A /bin/dir/one"));
    mica.run_with("cp - web:/etc/motd", &tar.bytes)
        .complains(1, "destination \"web:/etc/motd\" must be a directory");
}

#[test]
fn mistakes_in_dockers_words() {
    let mica = Mica::new();
    mica.run("cp a b").fails(1, "must specify at least one container source\n");
    mica.run("cp nope:/x nope:/y")
        .fails(1, "Error response from daemon: No such container: nope\n");
    mica.run("cp nope:/x .").fails(1, "Error response from daemon: No such container: nope\n");
}

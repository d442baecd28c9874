//! Volumes with options, places in volumes, images as mounts, and what `--mount` says of binds.

use std::fs;

use super::support::{Root, eventually};

/// Whether something is mounted at a volume's files.
fn is_mounted(root: &Root, volume: &str) -> bool {
    let place = root.root().join("volumes").join(volume).join("_data");
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().any(|line| line.split(' ').nth(4) == place.to_str())
}

#[test]
fn a_tmpfs_volume_lasts_as_long_as_somebody_has_it() {
    let Some(root) = Root::new() else { return };
    root.ok("volume create -o type=tmpfs -o device=tmpfs -o o=size=1m,mode=0700,noexec room");
    root.ok("run -d --rm --name one --network none -v room:/room bb sleep 600");
    root.ok("exec one sh -c 'echo kept > /room/file'");
    root.sh("-v room:/room", "cat /room/file").prints("kept\n");
    let table = root.prints("-v room:/room", "grep \" /room \" /proc/self/mountinfo");
    assert!(table.contains("noexec") && table.contains("size=1024k"), "{table}");
    assert!(is_mounted(&root, "room"), "one container has it still");
    root.run("volume rm room").complains(1, "volume is in use");
    root.ok("rm -f one");
    eventually("the last one takes it away", || !is_mounted(&root, "room"));
    root.sh("-v room:/room", "ls /room").prints("");
    root.ok("volume rm room");
}

#[test]
fn a_source_that_is_missing_is_made_where_that_was_asked_for() {
    let Some(root) = Root::new() else { return };
    let place = root.root().with_file_name("made").join("here");
    let mount = format!("type=bind,src={},dst=/x", place.display());
    let words = format!("bind source path does not exist: {}", place.display());
    root.sh(&format!("--mount {mount}"), "true").complains(125, &words);
    root.sh(&format!("--mount {mount},bind-create-src"), "echo in > /x/file").prints("");
    assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "in\n");
    // What is there stays what it is.
    root.sh(&format!("--mount {mount},bind-create-src=true"), "cat /x/file").prints("in\n");
}

#[test]
fn a_binds_users_are_mapped() {
    use std::os::unix::fs::MetadataExt;
    let Some(root) = Root::new() else { return };
    let folder = root.file("theirs/file", "host\n").parent().unwrap().display().to_string();
    let owners = "stat -c %u:%g /in/file /in/new";
    let maps = "idmap=uids=0-1000-10;gids=0-50-10";
    let script = format!("touch /in/new && {owners}");
    let as_bob =
        root.sh(&format!("-u 1000:50 -v \"{folder}:/in:{maps}\"").replace('"', "'"), &script);
    if as_bob.err.contains("cannot map the users of the mount") {
        return testkit::skip("this file system has no mapped mounts");
    }
    as_bob.prints("1000:50\n1000:50\n");
    let new = fs::metadata(format!("{folder}/new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (0, 0), "on disk it is the first user's of the map");
    let mount = format!("--mount 'type=bind,src={folder},dst=/in,{maps}'");
    root.sh(&mount, owners).prints("1000:50\n1000:50\n");
    // What is mounted below is theirs too.
    let inside = format!("mount -t tmpfs none '{folder}' && mkdir '{folder}/sub' && ");
    let below = "mount -t tmpfs none \"$0/sub\" && exec \"$@\"";
    let mut command = root.program("unshare");
    command.args(["--mount", "sh", "-c", &format!("{inside}{below}"), &folder]);
    command.arg(env!("CARGO_BIN_EXE_mica")).args(["run", "--rm", "--network", "none"]);
    command.arg("--mount").arg(format!("type=bind,src={folder},dst=/in,{maps}"));
    command.args(["bb", "stat", "-c", "%u:%g", "/in", "/in/sub"]);
    let run = crate::support::Run::of("run", command.output().unwrap());
    run.prints("1000:50\n1000:50\n");
    root.sh(&format!("-v {folder}:/in:idmap"), "true").complains(125, "it takes a map");
    root.sh("-v /proc:/in:idmap=uids=0-1000-10", "true").complains(125, "the mount /in");
}

#[test]
fn a_bound_volume_leaves_the_hosts_files_when_it_goes() {
    let Some(root) = Root::new() else { return };
    let file = root.file("theirs/file", "host\n");
    let folder = file.parent().unwrap().display();
    root.ok(&format!("volume create -o type=none -o o=bind -o device={folder} bound"));
    root.sh("-v bound:/in", "cat /in/file; echo back > /in/new").prints("host\n");
    assert_eq!(fs::read_to_string(root.path("theirs/new")).unwrap(), "back\n");
    root.sh("-v bound:/in:ro", "touch /in/x").complains(1, "Read-only file system");
    let options = root.json("volume inspect bound")[0]["Options"].clone();
    assert_eq!(options["o"], "bind");
    // Even where a killed monitor has left it mounted.
    let id = root.sleeper("left", "-v bound:/in");
    let monitors = root.monitors();
    monitors.into_iter().for_each(|pid| super::support::kill(pid, "KILL"));
    eventually("nobody holds it", || root.monitors().is_empty());
    root.ok(&format!("rm -f {id}"));
    root.ok("volume rm bound");
    assert_eq!(fs::read_to_string(&file).unwrap(), "host\n");
}

#[test]
fn volumes_that_cannot_be_mounted_say_why() {
    let Some(root) = Root::new() else { return };
    let create = |name: &str, options: &str| {
        root.ok(&format!("volume create {options} {name}"));
        root.sh(&format!("-v {name}:/in"), "true")
    };
    let gone = create("gone", "-o type=none -o o=bind -o device=/no/such/folder");
    gone.complains(125, "failed to mount local volume: mount /no/such/folder:");
    let odd = create("odd", "-o type=nosuchfs -o device=none");
    odd.complains(125, "failed to mount local volume: mount none:");
    let far = create("far", "-o type=nfs -o device=:/x -o o=addr=no-such-host.invalid,rw");
    far.complains(125, "error resolving passed in network volume address: no-such-host.invalid");
    root.run("volume create -o size=1 x1").complains(1, "invalid option: \"size\"");
    root.run("volume create -o o=bind x2").complains(1, "missing required option: \"device\"");
    assert_eq!(root.containers(), Vec::<String>::new());
}

#[test]
fn a_place_in_a_volume() {
    let Some(root) = Root::new() else { return };
    root.sh("-v data:/data", "mkdir -p /data/a/b; echo deep > /data/a/b/file; ln -s / /data/out")
        .prints("");
    let part = |path: &str| format!("--mount type=volume,src=data,dst=/in,volume-subpath={path}");
    root.sh(&part("a/b"), "cat /in/file; echo more > /in/more").prints("deep\n");
    root.sh(&part("a/b/file"), "cat /in").prints("deep\n");
    root.sh(&part("a"), "ls /in/b").prints("file\nmore\n");
    root.sh(&part("missing"), "true").complains(127, "missing: no such file or directory");
    // A link leads to the volume's own top, never to the host's.
    root.sh(&part("out"), "ls /in").prints("a\nout\n");
}

#[test]
fn an_image_is_mounted_for_reading() {
    let Some(root) = Root::new() else { return };
    let mount = "--mount type=image,src=bb,dst=/other";
    root.sh(mount, "cat /other/filled/from-image; touch /other/x")
        .complains(1, "Read-only file system");
    root.sh(&format!("{mount},image-subpath=filled"), "ls /other").prints("from-image\n");
    let run = root.sh(&format!("{mount},image-subpath=nowhere"), "true");
    run.complains(127, "cannot access path bb/nowhere: no such file or directory");
    root.sh("--mount type=image,src=nobody,dst=/x", "true").complains(125, "No such image: nobody");
    root.must_be_clean(&[]);
}

#[test]
fn binds_are_closed_in_depth_or_not() {
    let Some(root) = Root::new() else { return };
    let top = root.path("top");
    fs::create_dir_all(top.join("below")).unwrap();
    let below = top.join("below");
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&below).status();
    assert!(mounted.unwrap().success());
    let bind = format!("--mount type=bind,src={},dst=/in,readonly", top.display());
    let writes = |options: &str| root.sh(options, "touch /in/below/x").code;
    assert_eq!(writes(&bind), 1, "what is below is closed too");
    assert_eq!(writes(&format!("{bind},bind-recursive=writable")), 0);
    assert_eq!(writes(&format!("{bind},bind-recursive=readonly,bind-propagation=rprivate")), 1);
    fs::remove_file(below.join("x")).unwrap();
    let alone = format!("--mount type=bind,src={},dst=/in,bind-recursive=disabled", top.display());
    root.sh(&alone, "touch /in/below/only-here; ls /in/below").prints("only-here\n");
    assert!(fs::read_dir(&below).unwrap().next().is_none());
    let shared = std::process::Command::new("mount").arg("--make-shared").arg(&below).status();
    assert!(shared.unwrap().success());
    let shared = format!("-v {}:/in:rslave", below.display());
    let said = root.prints(&shared, "grep \" /in \" /proc/self/mountinfo");
    assert!(said.contains("master:"), "{said}");
}

#[test]
fn what_is_mounted_below_a_bind_is_copied_with_it() {
    let Some(root) = Root::new() else { return };
    let below = root.path("top/sub/below");
    fs::create_dir_all(&below).unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&below).status();
    assert!(mounted.unwrap().success());
    fs::create_dir(below.join("x")).unwrap();
    fs::write(below.join("x/file"), "deep").unwrap();
    let mounts =
        format!("-v {}:/data --mount type=image,src=bb,dst=/image", root.path("top").display());
    root.sleeper("box", &mounts);
    for (number, (from, file)) in [
        ("/", "data/sub/below/x/file"),
        ("/data/.", "sub/below/x/file"),
        ("/data/sub/.", "below/x/file"),
        ("/data/sub", "sub/below/x/file"),
        ("/data/sub/below/.", "x/file"),
        ("/data/sub/below/x", "x/file"),
        ("/", "image/filled/from-image"),
    ]
    .into_iter()
    .enumerate()
    {
        let to = root.path(format!("out{number}"));
        fs::create_dir(&to).unwrap();
        root.ok(&format!("cp box:{from} out{number}"));
        assert!(to.join(file).is_file(), "{from}: {file}");
        assert!(!to.join("proc/self").exists(), "{from}");
    }
}

#[test]
fn volumes_of_others_come_with_their_modes() {
    let Some(root) = Root::new() else { return };
    root.ok("create --name owner -v one:/one -v two:/two:ro bb true");
    let access = "touch /one/x && echo one; touch /two/x && echo two; true";
    assert_eq!(root.sh("--volumes-from owner", access).out, "one\n");
    assert_eq!(root.sh("--volumes-from owner:ro,z", access).out, "");
    root.sh("--volumes-from owner:odd", "true").complains(125, "invalid mode: odd");
    root.sh("--volumes-from nobody", "true").complains(125, "No such container: nobody");
}

#[test]
fn volumes_travel_as_tars() {
    let Some(root) = Root::new() else { return };
    root.sh("-v data:/data", "echo a > /data/a; mkdir /data/b; chown bob /data/b; ln -s a /data/l")
        .prints("");
    root.ok("volume export -o data.tar data");
    root.ok("volume create other");
    root.ok("volume import other data.tar");
    let look = "cd /data; cat l; stat -c %U b";
    root.sh("-v other:/data", look).prints("a\nbob\n");
    assert_eq!(root.ok("volume clone data copy"), "copy");
    root.sh("-v copy:/data", look).prints("a\nbob\n");
    let tar = root.run("volume export data").bytes;
    assert_eq!(tar, root.run("volume export copy").bytes, "the same files, the same bytes");
    root.ok("volume create third");
    assert_eq!(root.run_with("volume import third -", &tar).code, 0);
    root.sh("-v third:/data", look).prints("a\nbob\n");
    root.run("volume export nobody").complains(1, "no such volume");
    root.run("volume clone data copy").complains(1, "already exists");
    root.run("volume update data").complains(1, "");
}

#[test]
fn what_is_left_of_a_removal_is_in_nobodys_way() {
    let Some(root) = Root::new() else { return };
    root.ok("volume create data");
    let volumes = root.root().join("volumes");
    std::fs::write(volumes.join("data/_data/old"), "").unwrap();
    std::fs::remove_file(volumes.join("data/volume.json")).unwrap();
    std::fs::create_dir_all(volumes.join(".other.7.gone/_data")).unwrap();
    root.ok("volume create data");
    assert!(!volumes.join("data/_data/old").exists());
    assert_eq!(root.ok("volume ls -q"), "data");
    root.ok("volume prune -af");
    assert_eq!(std::fs::read_dir(&volumes).unwrap().count(), 0);
}

/// A volume that a container is about to have is no volume of nobody's.
#[test]
fn who_prunes_leaves_what_is_being_made() {
    let Some(root) = Root::new() else { return };
    std::thread::scope(|scope| {
        let pruning = scope.spawn(|| (0..40).for_each(|_| drop(root.ok("volume prune -af"))));
        for turn in 0..20 {
            root.ok(&format!(
                "create --name c{turn} --network none -v /a -v named{turn}:/b bb true"
            ));
        }
        pruning.join().unwrap();
    });
    for turn in 0..20 {
        root.ok(&format!("start -a c{turn}"));
    }
}

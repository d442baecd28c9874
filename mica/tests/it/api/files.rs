//! A container's files, put in and taken out as archives.

use std::process::Stdio;

use super::support::{Answered, Server};
use crate::containers::support::Root;

/// Puts an archive into a folder of a container.
fn put(server: &Server<'_>, path: &str, archive: &[u8]) -> Answered {
    let head = format!("Content-Type: application/x-tar\r\nContent-Length: {}\r\n", archive.len());
    server.send_raw("PUT", path, &head, archive)
}

/// What tar makes of files in a folder, given these words.
fn tar(root: &Root, words: &[&str]) -> Vec<u8> {
    root.program("tar").args(words).stderr(Stdio::inherit()).output().unwrap().stdout
}

#[test]
fn archives_may_be_compressed() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.ok("create --name one --network none bb true");
    for (letter, name) in [("-z", "gzip"), ("-j", "bzip2"), ("-J", "xz"), ("-f-", "none")] {
        root.file(&format!("in/{name}"), name);
        let archive = tar(&root, &["-C", "in", "-c", letter, name]);
        let done = put(&server, "/containers/one/archive?path=/tmp", &archive);
        assert_eq!(done.status, 200, "{name}: {done:?}");
        root.ok(&format!("cp one:/tmp/{name} out"));
        assert_eq!(std::fs::read_to_string(root.path("out")).unwrap(), name);
    }
    let broken = put(&server, "/containers/one/archive?path=/tmp", b"\x1f\x8b\x08 nonsense");
    assert_eq!(broken.status, 400, "{broken:?}");
    root.ok("rm one");
}

#[test]
fn a_file_takes_a_folders_place_unless_that_is_forbidden() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.ok("create --name one --network none bb true");
    root.file("folder/dd/x", "x");
    root.file("file/dd", "text");
    let folder = tar(&root, &["-C", "folder", "-c", "dd"]);
    let file = tar(&root, &["-C", "file", "-c", "dd"]);
    let path = "/containers/one/archive?path=/tmp";
    assert_eq!(put(&server, path, &folder).status, 200);
    let kept = put(&server, &format!("{path}&noOverwriteDirNonDir=1"), &file);
    assert_eq!(kept.status, 400, "{kept:?}");
    assert!(kept.message().contains("cannot overwrite directory with non-directory"));
    assert_eq!(put(&server, path, &file).status, 200);
    root.ok("cp one:/tmp/dd out");
    assert_eq!(std::fs::read_to_string(root.path("out")).unwrap(), "text");
    assert_eq!(put(&server, path, &folder).status, 200);
    // Nothing is left away in silence.
    let out = tar(&root, &["-C", "file", "--transform", "s,^,../../,", "-P", "-c", "dd"]);
    let refused = put(&server, path, &out);
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.message().contains("is outside of where it is unpacked"), "{refused:?}");
    root.ok("rm one");
}

#[test]
fn files_may_become_the_containers_users() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.ok("run -d --name one --network none -u 65534:65534 bb sleep 600");
    root.file("in/file", "text");
    let owned = ["-C", "in", "--owner", "77", "--group", "88", "-c", "file"];
    let archive = tar(&root, &owned);
    let path = "/containers/one/archive?path=/tmp";
    let owner = |name: &str| root.ok(&format!("exec one stat -c %u:%g /tmp/{name}"));
    assert_eq!(put(&server, path, &archive).status, 200);
    assert_eq!(owner("file"), "77:88");
    assert_eq!(put(&server, &format!("{path}&copyUIDGID=1"), &archive).status, 200);
    assert_eq!(owner("file"), "65534:65534");
    root.ok("cp -a in/file one:/tmp/own");
    assert_eq!(owner("own"), "65534:65534");
    root.ok("rm -f one");
}

#[test]
fn all_of_a_running_container_is_its_files_and_its_volumes() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.file("bound/sub/file", "text");
    let bound = root.path("bound");
    let run = "run -d --name one --network none --tmpfs /memory -v data:/data";
    root.ok(&format!("{run} -v {}:/bound bb sleep 600", bound.display()));
    root.ok("exec one sh -c 'echo x > /data/of-volume; echo x > /memory/gone; echo x > /own'");
    let whole = server.get("/containers/one/archive?path=/");
    assert_eq!(whole.status, 200);
    std::fs::write(root.path("api.tar"), &whole.body).unwrap();
    let local = root.command("cp one:/ -").output().unwrap();
    assert!(local.status.success(), "{local:?}");
    std::fs::write(root.path("local.tar"), &local.stdout).unwrap();
    for archive in ["api.tar", "local.tar"] {
        let names = String::from_utf8(tar(&root, &["-t", "-f", archive])).unwrap();
        let has = |name: &str| names.lines().any(|line| line.trim_start_matches("./") == name);
        for name in ["own", "data/of-volume", "bound/sub/file", "proc/", "sys/", "dev/", "memory/"]
        {
            assert!(has(name), "{archive} has no {name}: {names}");
        }
        let not = ["proc/1/", "proc/self", "sys/kernel/", "dev/null", "dev/pts/", "memory/gone"];
        for name in not {
            assert!(!has(name), "{archive} has {name}");
        }
    }
    // What is named is meant, wherever it is.
    root.ok("cp one:/memory/gone out");
    root.ok("cp one:/data back");
    assert!(root.path("back/of-volume").exists());
    // A look is no event, and a copy is one.
    root.ok("rm -f one");
}

//! The real docker daemon, in a scratch of its own, where Debian's docker.io is installed.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::Tree;

use super::peers::{must_have, rich};
use crate::need_peers;
use crate::support::{Mica, Run};

/// A daemon with everything it has below the test's folder. It is alone in namespaces of its own,
/// so that nothing of it outlives the test.
struct Docker<'a> {
    mica: &'a Mica,
    daemon: Child,
}

impl<'a> Docker<'a> {
    /// Starts it, or says why it does not start here.
    fn start(mica: &'a Mica) -> Result<Docker<'a>, String> {
        let log = fs::File::create(mica.path("dockerd.log")).unwrap();
        let mut command = mica.program("unshare");
        command.args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
        ]);
        // A hybrid layout of control groups confuses it; it needs none of them here.
        command.arg(
            "ip link set lo up; umount /sys/fs/cgroup/unified 2>/dev/null; exec dockerd \
             --data-root $PWD/docker-data --exec-root $PWD/docker-exec -p $PWD/docker.pid \
             -H unix://$PWD/docker.sock --bridge=none --iptables=false --ip6tables=false \
             --storage-driver vfs",
        );
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let daemon = command.spawn().map_err(|error| error.to_string())?;
        let mut docker = Docker { mica, daemon };
        let start = Instant::now();
        while !docker.run("info").status.success() {
            let ended = docker.daemon.try_wait().unwrap().is_some();
            if ended || start.elapsed() > Duration::from_secs(40) {
                let log = fs::read_to_string(mica.path("dockerd.log")).unwrap();
                let last = log.lines().last().unwrap_or_default();
                return Err(format!("dockerd does not start here: {last}"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(docker)
    }

    fn run(&self, line: &str) -> std::process::Output {
        let mut command = self.mica.program("docker");
        command.args(line.split(' ')).stdin(Stdio::null());
        command.env("DOCKER_HOST", format!("unix://{}", self.mica.path("docker.sock").display()));
        command.output().unwrap()
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let run = Run::of(&format!("docker {line}"), self.run(line));
        assert!(run.code == 0, "{run}");
        run.out
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        // The first process of its namespace takes all others with it.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let start = Instant::now();
        while matches!(self.daemon.try_wait(), Ok(None))
            && start.elapsed() < Duration::from_secs(10)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
fn docker_and_mica_load_what_the_other_saves() {
    need_peers!("dockerd", "docker", "unshare");
    let mica = Mica::on_disk();
    let docker = match Docker::start(&mica) {
        Ok(docker) => docker,
        Err(why) => return testkit::skip(why),
    };
    let image = rich(&["me/rich:1.0", "rich:latest"]);
    mica.load(&image);
    mica.ok("save -o saved.tar me/rich:1.0 rich");
    let out = docker.ok("load -i saved.tar");
    assert!(
        out.contains("Loaded image: me/rich:1.0") && out.contains("Loaded image: rich:latest"),
        "{out}"
    );
    let shown: serde_json::Value = serde_json::from_str(&docker.ok("image inspect rich")).unwrap();
    assert_eq!(shown[0]["Id"], json!(image.id()));
    assert_eq!(shown[0]["RootFS"]["Layers"], json!(image.diff_ids()));
    // What docker has unpacked: the writable layer of a container that never ran is a copy.
    let container = docker.ok("create rich");
    let export = format!("export -o export.tar {}", container.trim());
    docker.ok(&export);
    fs::create_dir(mica.path("exported")).unwrap();
    let tar = mica
        .program("tar")
        .args(["-C", "exported", "--xattrs", "--xattrs-include=*", "-xpf", "export.tar"])
        .status();
    assert!(tar.unwrap().success());
    let expected = testkit::oracle::apply(image.layers());
    let found = Tree::read(&mica.path("exported")).unwrap();
    for (path, node) in &expected.nodes {
        // Docker puts its own files at a few places of a container.
        if path.is_empty() || path.starts_with(b"dev") || *path == b"etc" {
            continue;
        }
        let other = found.get(path).unwrap_or_else(|| panic!("/{} is gone", path.escape_ascii()));
        let facts =
            |node: &testkit::Node| (node.kind.clone(), node.mode, node.uid, node.gid, node.mtime.0);
        assert_eq!(facts(other), facts(node), "/{}", path.escape_ascii());
    }
    // And back.
    docker.ok("save -o back.tar me/rich:1.0 rich");
    mica.ok("rmi me/rich:1.0 rich");
    mica.must_be_empty();
    let run = mica.run("load -i back.tar");
    assert!(
        run.out.contains("Loaded image: me/rich:1.0\n")
            && run.out.contains("Loaded image: rich:latest\n"),
        "{run}"
    );
    must_have(&mica, "rich", &image, "docker save");
    // A file system that both import is the same layer.
    mica.file("small.tar", crate::support::small().tar());
    mica.ok("import small.tar small");
    docker.ok("import small.tar small");
    let layer = docker.ok("image inspect -f {{index.RootFS.Layers}} small"
        .replace("{{index.RootFS.Layers}}", "{{.RootFS.Layers}}")
        .as_str());
    assert_eq!(layer.trim(), mica.ok("image inspect -f '{{.RootFS.Layers}}' small"));
}

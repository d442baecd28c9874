//! podman with this runtime under it.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use super::{Bundle, bundle};
use crate::support::words;

/// A podman of one test, whose runtime this program is by its name.
struct Podman {
    bundle: Bundle,
    runtime: PathBuf,
}

impl Podman {
    fn new(bundle: Bundle) -> Option<Podman> {
        Command::new("podman").arg("--version").output().ok()?;
        let runtime = bundle.mica.path("mica-runtime");
        symlink(env!("CARGO_BIN_EXE_mica"), &runtime).unwrap();
        Some(Podman { bundle, runtime })
    }

    /// Its words before a command; `ROOT` in a line is the root of a container without network.
    fn arguments(&self, line: &str) -> Vec<String> {
        let path = |name: &str| self.bundle.mica.path(name).display().to_string();
        let (store, run, root) = (path("store"), path("run"), path("rootfs"));
        let runtime = self.runtime.display();
        let flags = format!(
            "--root {store} --runroot {run} --storage-driver vfs --cgroup-manager cgroupfs --runtime {runtime} "
        );
        words(&(flags + &line.replace("ROOT", &format!("--network none --rootfs {root}"))))
    }

    fn run(&self, line: &str) -> Output {
        self.bundle.mica.program("podman").args(self.arguments(line)).output().unwrap()
    }

    /// Its exit code and what it printed.
    fn said(&self, line: &str) -> (i32, String) {
        let output = self.run(line);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// The same on a terminal; `None` where `script` is missing.
    fn on_terminal(&self, line: &str) -> Option<(i32, String)> {
        let quoted =
            self.arguments(line).iter().map(|word| format!("'{word}' ")).collect::<String>();
        let mut command = self.bundle.mica.program("script");
        command.args(["-qec", &format!("stty cols 77 rows 22; podman {quoted}"), "/dev/null"]);
        let output = command.output().ok()?;
        // The end of its own input is echoed.
        let text = String::from_utf8_lossy(&output.stdout).replace("^@", "");
        Some((output.status.code().unwrap_or(-1), text))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.run("rm -f -t 0 --all");
    }
}

/// A podman, or the test is left, counted as skipped.
macro_rules! podman {
    () => {
        match Podman::new(bundle!()) {
            Some(podman) => podman,
            None => return testkit::skip("needs podman"),
        }
    };
}

#[test]
fn podman_runs_containers_with_it() {
    let podman = podman!();
    let (code, text) = podman.said("run --rm ROOT sh -c 'id; exit 6'");
    assert_eq!(code, 6, "{text}");
    assert!(text.starts_with("uid=0"), "{text}");
    let (code, text) = podman.said("run --rm ROOT nothing");
    assert_eq!(code, 127, "{text}");
    assert!(text.contains("executable file not found in $PATH"), "{text}");
    assert_eq!(podman.said("run --rm ROOT /bin").0, 126);
    let Some((code, text)) =
        podman.on_terminal("run -it --rm ROOT sh -c 'tty; for turn in 1 2 3 4 5 6 7 8 9; do stty size | grep -q 22 && break; sleep 1; done; stty size; exit 4'")
    else {
        return testkit::skip("needs script");
    };
    assert_eq!((code, text.as_str()), (4, "/dev/pts/0\r\n22 77\r\n"));
}

#[test]
fn podman_keeps_a_container_with_it() {
    let podman = podman!();
    let script = "trap \"exit 9\" TERM; echo out; echo err >&2; while :; do sleep 0.1; done";
    let (code, text) = podman.said(&format!("run -d --name one ROOT sh -c '{script}'"));
    assert_eq!(code, 0, "{text}");
    let mut logged = String::new();
    for _ in 0..100 {
        logged = podman.said("logs one").1;
        if logged.contains("err") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(logged, "out\nerr\n");
    let (code, text) =
        podman.said("exec -u 5:6 -w /bin -e A=7 one sh -c 'id; pwd; echo $A; exit 4'");
    assert_eq!((code, text.as_str()), (4, "uid=5 gid=6\n/bin\n7\n"));
    assert_eq!(podman.said("exec one nothing").0, 127);
    if let Some((code, text)) = podman.on_terminal("exec -it one sh -c 'tty; exit 5'") {
        assert_eq!((code, text.trim_end()), (5, "/dev/pts/0"));
    }
    let status = |podman: &Podman| podman.said("inspect one --format {{.State.Status}}").1;
    assert_eq!(podman.said("pause one").0, 0);
    assert_eq!(status(&podman), "paused\n");
    assert_eq!(podman.said("unpause one").0, 0);
    assert_eq!(podman.said("update --memory 64m one").0, 0);
    assert_eq!(podman.said("stop one").0, 0);
    assert_eq!(podman.said("inspect one --format {{.State.ExitCode}}").1, "9\n");
    assert_eq!(podman.said("start one").0, 0);
    assert_eq!(podman.said("kill one").0, 0);
    assert_eq!(podman.said("wait one").1, "137\n");
    assert_eq!(podman.said("rm one").0, 0);
}

//! podman with this runtime under it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use super::bundle;

#[test]
fn podman_runs_containers_with_it() {
    let bundle = bundle!();
    if Command::new("podman").arg("--version").output().is_err() {
        return testkit::skip("needs podman");
    }
    let wrapper = bundle.mica.path("wrapper");
    let script = format!("#!/bin/sh\nexec {} runtime \"$@\"\n", env!("CARGO_BIN_EXE_mica"));
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let podman = |line: &str| -> Output {
        let mut command = bundle.mica.program("podman");
        let path = |name: &str| bundle.mica.path(name).display().to_string();
        command.args(["--root", &path("store"), "--runroot", &path("run")]);
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
        command.args(["--runtime", &path("wrapper")]);
        command.args(crate::support::words(line)).output().unwrap()
    };
    let rootfs = bundle.mica.path("rootfs").display().to_string();
    let run =
        |line: &str| podman(&line.replace("ROOT", &format!("--network none --rootfs {rootfs}")));
    let output = run("run --rm ROOT sh -c 'id; exit 6'");
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("uid=0"));
    let started = run("run -d --name one ROOT sleep 1000");
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let codes: Vec<_> = ["exec one sh -c 'exit 4'", "pause one", "unpause one", "rm -f -t 0 one"]
        .map(|line| podman(line).status.code())
        .to_vec();
    assert_eq!(codes, [Some(4), Some(0), Some(0), Some(0)]);
}

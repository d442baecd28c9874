//! A container's life after its start: asked, held, ended, and started again.

use std::time::{Duration, Instant};

use super::support::{Root, eventually};

/// Runs until TERM, which it answers with 7.
const POLITE: &str = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";

fn run_script(root: &Root, options: &str, script: &str) {
    let line = format!("run -d --network none {options} bb sh -c");
    let output = root.command(&line).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn stop_asks_before_it_forces() {
    let Some(root) = Root::new() else { return };
    run_script(&root, "--name polite", POLITE);
    eventually("the trap is set", || root.run("logs polite").out == "ready\n");
    root.run("stop polite").prints("polite\n");
    assert_eq!(root.ok("wait polite"), "7");

    root.sleeper("deaf", "");
    let begun = Instant::now();
    root.ok("stop -t 1 deaf");
    assert!(begun.elapsed() >= Duration::from_secs(1), "it was given its time");
    assert_eq!(root.ok("wait deaf"), "137");
    root.run("stop deaf").prints("deaf\n");
    root.run("kill deaf").complains(1, "is not running");
}

#[test]
fn the_stop_signal_is_the_containers_own() {
    let Some(root) = Root::new() else { return };
    let script = "trap 'exit 8' USR2; echo ready; while :; do sleep 0.05; done";
    run_script(&root, "--name own --stop-signal USR2", script);
    eventually("the trap is set", || root.run("logs own").out == "ready\n");
    root.ok("stop own");
    assert_eq!(root.ok("wait own"), "8");
}

#[test]
fn started_twice_is_started_once_and_restart_begins_anew() {
    let Some(root) = Root::new() else { return };
    run_script(&root, "--name again", "echo began; exec sleep 600");
    eventually("it began", || root.run("logs again").out == "began\n");
    root.run("start again").prints("again\n");
    assert_eq!(root.ok("logs again"), "began");
    assert_eq!(root.monitors().len(), 1);
    root.run("restart -t 0 again").prints("again\n");
    eventually("it began again", || root.run("logs again").out == "began\nbegan\n");
    root.ok("kill again");
    root.ok("wait again");
    root.run("start again").prints("again\n");
    eventually("it began a third time", || root.ok("logs again").lines().count() == 3);
}

#[test]
fn pause_holds_every_process() {
    let Some(root) = Root::new() else { return };
    let id = root.sleeper("held", "");
    root.run("pause held").prints("held\n");
    assert_eq!(root.state(&id)["status"], "paused");
    root.run("exec held true").complains(1, "is paused, unpause the container before exec");
    root.run("rm held").fails(
        1,
        "Error response from daemon: cannot remove container \"/held\": container is paused and must be unpaused first\n",
    );
    root.run("unpause held").prints("held\n");
    root.run("exec held true").prints("");
}

#[test]
fn exec_runs_beside() {
    let Some(root) = Root::new() else { return };
    root.sleeper("host", "-e A=1 -w /tmp");
    assert_eq!(root.run("exec host sh -c 'exit 9'").code, 9);
    root.run("exec host sh -c 'pwd; echo $A'").prints("/tmp\n1\n");
    root.run("exec -u bob -w /etc -e B=2 host sh -c 'id -u; pwd; echo $A$B'")
        .prints("1000\n/etc\n12\n");
    root.run("exec host nosuch").complains(127, "\"nosuch\": executable file not found");
    root.run("exec host /etc/passwd").complains(126, "permission denied");
    root.run("exec nosuch true").complains(1, "No such container: nosuch");
    assert_eq!(root.run_with("exec -i host cat", b"in\n").out, "in\n");
    root.run("exec -d host sh -c 'echo done > /tmp/done'").prints("");
    eventually("it is done", || root.run("exec host cat /tmp/done").out == "done\n");
    root.run("exec --privileged host grep CapEff /proc/self/status")
        .prints(&root.sh("--privileged", "grep CapEff /proc/self/status").out);
    root.ok("kill host");
    root.run("exec host true").complains(1, "is not running");
}

#[test]
fn failures_are_tried_again_as_often_as_asked() {
    let Some(root) = Root::new() else { return };
    run_script(&root, "--name thrice --restart on-failure:2", "echo try; exit 3");
    eventually("it has given up", || root.run("logs thrice").out.lines().count() == 3);
    assert_eq!(root.ok("wait thrice"), "3");
    assert_eq!(root.ok("logs thrice"), "try\ntry\ntry");
}

#[test]
fn always_ends_with_stop() {
    let Some(root) = Root::new() else { return };
    run_script(&root, "--name ever --restart always", "echo try; sleep 0.05");
    eventually("it came back", || root.run("logs ever").out.lines().count() > 1);
    root.ok("stop -t 0 ever");
    eventually("its monitor has gone", || root.monitors().is_empty());
    let said = root.ok("logs ever");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(root.ok("logs ever"), said, "it does not come back");
}

#[test]
fn health_is_asked_for() {
    let Some(root) = Root::new() else { return };
    let options = "--health-cmd 'test -e /tmp/ok' --health-interval 100ms --health-retries 1";
    let id = root.sleeper("ill", options);
    let folder = root.root().join("containers").join(&id);
    let status = || {
        let run = root.run("inspect -f '{{.State.Health.Status}}' ill");
        if run.code == 0 { run.out } else { health_of(&folder) }
    };
    eventually("it is unhealthy", || status().contains("unhealthy"));
    root.ok("exec ill touch /tmp/ok");
    eventually("it is healthy", || status().contains("healthy") && !status().contains("unhealthy"));
}

/// What any document of a container says of its health.
fn health_of(folder: &std::path::Path) -> String {
    let files = ["health.json", "state.json"].map(|name| folder.join(name));
    files.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

#[test]
fn all_that_is_mounted_can_be_released_when_nothing_runs() {
    let Some(root) = Root::new() else { return };
    root.sleeper("busy", "");
    root.ok("image mount bb");
    let refused = root.run("system unmount");
    refused.complains(1, "running containers stand on what is mounted: 1");
    refused.complains(1, "stop them first");
    root.ok("stop -t 0 busy");
    root.ok("system unmount");
    let run = root.root().with_file_name("run").display().to_string();
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!table.contains(&run), "{table}");
    root.run("image unmount bb").complains(1, "is not mounted");
    assert_eq!(root.prints("", "echo back"), "back");
}

#[test]
fn commands_are_shown_with_their_blanks_in_quotes() {
    let Some(root) = Root::new() else { return };
    run_script(&root, "--name quoted", "exit 0 # done");
    let row = root.ok("ps -a --no-trunc --format {{.Command}}");
    assert_eq!(row, "\"sh -c 'exit 0 # done'\"");
}

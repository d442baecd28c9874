//! After the machine has been down: `system boot`, with a run root of the new boot's own.

use std::fs;

use super::support::{Root, eventually, groups, kill};
use crate::support::{Run, has};

/// A root whose machine went down and came up.
struct After(Root);

impl After {
    /// What ran is gone, with nobody who could have noted that; it was in another boot.
    fn reboot(root: Root) -> After {
        let ids = root.containers();
        root.monitors().into_iter().for_each(|pid| kill(pid, "KILL"));
        let processes = || {
            let groups = ids.iter().flat_map(|id| groups(id));
            let lists = groups.map(|group| fs::read_to_string(group.join("cgroup.procs")));
            lists.flatten().flat_map(|list| pids(&list)).collect::<Vec<u32>>()
        };
        eventually("all processes are gone", || {
            processes().into_iter().for_each(|pid| kill(pid, "KILL"));
            processes().is_empty() && root.monitors().is_empty()
        });
        for id in &ids {
            let path = root.root().join("containers").join(id).join("state.json");
            let Ok(bytes) = fs::read(&path) else { continue };
            let mut state: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            state["boot"] = "another".into();
            fs::write(&path, state.to_string()).unwrap();
        }
        After(root)
    }

    fn run(&self, line: &str) -> Run {
        let run_root = self.0.path("run-after");
        self.0.run(&format!("--run-root {} {line}", run_root.display()))
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let run = self.run(line);
        assert_eq!(run.code, 0, "{run}");
        run.out.trim_end().to_owned()
    }
}

fn pids(list: &str) -> Vec<u32> {
    list.lines().filter_map(|line| line.parse().ok()).collect()
}

impl Drop for After {
    fn drop(&mut self) {
        for id in self.0.containers() {
            self.run(&format!("stop -t 0 {id}"));
        }
    }
}

#[test]
fn a_boot_starts_what_policies_ask_for() {
    let Some(root) = Root::new() else { return };
    for policy in ["no", "always", "unless-stopped", "on-failure"] {
        for state in ["running", "stopped"] {
            root.sleeper(&format!("{policy}-{state}"), &format!("--restart {policy}"));
        }
        root.ok(&format!("stop -t 0 {policy}-stopped"));
        root.ok(&format!("create --name {policy}-new --restart {policy} --network none bb true"));
    }
    root.ok("run -d --rm --name thrown-away --network none -v anonymous:/x bb sleep 600");
    let after = After::reboot(root);
    after.run("system boot").prints("always-running\nalways-stopped\nunless-stopped-running\n");
    let running = after.ok("ps --format '{{.Names}}'");
    assert_eq!(running.lines().count(), 3, "{running}");
    assert_eq!(after.ok("exec always-stopped echo alive"), "alive");
    let ended = after.ok("ps -a -f status=exited --format '{{.Names}}'");
    assert!(!ended.contains("thrown-away") && ended.contains("on-failure-running"), "{ended}");
    assert_eq!(after.ok("inspect -f '{{.State.ExitCode}}' no-running"), "255");
    after.run("inspect thrown-away").complains(1, "thrown-away");
    // What somebody stops from now on stays so.
    after.ok("stop -t 0 always-running");
    after.run("system boot").prints("");
}

#[test]
fn who_shares_namespaces_starts_after_their_owner() {
    let Some(root) = Root::new() else { return };
    root.sleeper("owner", "--restart always");
    root.ok("run -d --name guest --restart always --network container:owner bb sleep 600");
    // By name it would come first.
    root.ok("rename guest a-guest");
    root.ok("create --name lost --restart always --network none -v /gone:/x bb sleep 600");
    let after = After::reboot(root);
    after.run("system boot").prints("owner\na-guest\n");
    let link = |name: &str| after.ok(&format!("exec {name} readlink /proc/self/ns/net"));
    assert_eq!(link("owner"), link("a-guest"));
}

#[test]
fn a_container_that_cannot_start_keeps_no_other_from_it() {
    let Some(root) = Root::new() else { return };
    let source = root.path("source");
    fs::create_dir(&source).unwrap();
    let mount = format!("--mount type=bind,source={},target=/x", source.display());
    root.sleeper("broken", &format!("--restart always {mount}"));
    root.sleeper("well", "--restart always");
    let after = After::reboot(root);
    fs::remove_dir(&source).unwrap();
    let run = after.run("system boot");
    assert_eq!((run.out.as_str(), run.code), ("well\n", 1), "{run}");
    assert!(run.err.starts_with("cannot start broken:\n"), "{run}");
}

#[test]
fn the_unit_is_one() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/mica-boot.service");
    let text = fs::read_to_string(unit).unwrap();
    assert!(text.contains("\nExecStart=/usr/bin/mica system boot\n"));
    if !has("systemd-analyze") {
        return testkit::skip("systemd-analyze is not installed");
    }
    // The program need not be installed where the test runs.
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("mica-boot.service");
    fs::write(&copy, text.replace("/usr/bin/mica", "/bin/true")).unwrap();
    let output = std::process::Command::new("systemd-analyze").arg("verify").arg(&copy).output();
    let said = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
    let about: Vec<_> = said.lines().filter(|line| line.contains("mica-boot")).collect();
    assert!(about.is_empty(), "{said}");
}

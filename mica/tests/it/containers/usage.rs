//! `update`, `top`, `stats`: what containers may use, and what they do use.

use super::support::{Root, eventually};

/// A file of the container's group, wherever the version of groups has it.
#[track_caller]
fn limit(root: &Root, name: &str, old: &str, new: &str) -> String {
    let line = format!("exec {name} sh -c 'cd /sys/fs/cgroup; cat {old} 2>/dev/null || cat {new}'");
    root.ok(&line)
}

#[test]
fn limits_of_a_running_container_change_at_once() {
    let Some(root) = Root::new() else { return };
    root.sleeper("box", "-m 64m --cpu-shares 512");
    let line = "update -m 256m --memory-swap 512m --pids-limit 17 --cpus 0.25 box";
    root.run(line).prints("box\n");
    let memory = limit(&root, "box", "memory/memory.limit_in_bytes", "memory.max");
    assert_eq!(memory, (256 << 20).to_string());
    assert_eq!(limit(&root, "box", "pids/pids.max", "pids.max"), "17");
    let quota = limit(&root, "box", "cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(quota.starts_with("25000"), "{quota}");
    let host = &root.json("inspect box")[0]["HostConfig"];
    assert_eq!((host["Memory"].as_i64(), host["PidsLimit"].as_i64()), (Some(256 << 20), Some(17)));
    assert_eq!(host["CpuShares"], 512, "what nobody asked for stays");
    root.ok("update --pids-limit -1 box");
    assert_eq!(limit(&root, "box", "pids/pids.max", "pids.max"), "max");
}

#[test]
fn limits_that_cannot_be_leave_all_as_it_was() {
    let Some(root) = Root::new() else { return };
    let id = root.sleeper("box", "-m 64m");
    let refused = |line: &str, words: &str| {
        root.run(&format!("update {line} box")).complains(1, words);
    };
    let head = format!("Error response from daemon: Cannot update container {id}: ");
    refused("-m 1m", &format!("{head}Minimum memory limit allowed is 6MB"));
    refused("-m 1g", &format!("{head}Memory limit should be smaller than already set memoryswap"));
    refused("--cpuset-cpus 4000", &format!("{head}Requested CPUs are not available"));
    refused("--restart odd", "invalid restart policy: unknown policy 'odd'");
    root.run("update box")
        .complains(1, "you must provide one or more flags when using this command");
    root.run("update -m 64m nobody").complains(1, "No such container: nobody");
    let host = &root.json("inspect box")[0]["HostConfig"];
    assert_eq!((host["Memory"].as_i64(), host["CpusetCpus"].as_str()), (Some(64 << 20), Some("")));
}

#[test]
fn a_stopped_container_starts_with_its_new_limits() {
    let Some(root) = Root::new() else { return };
    root.ok("create --name box --network none bb sleep 600");
    root.ok("update --pids-limit 23 box");
    root.ok("start box");
    assert_eq!(limit(&root, "box", "pids/pids.max", "pids.max"), "23");
}

#[test]
fn a_new_policy_counts_from_now_on() {
    let Some(root) = Root::new() else { return };
    let script = "trap \"exit 3\" USR1; while :; do sleep 0.02; done";
    root.ok(&format!("run -d --name box --network none bb sh -c '{script}'"));
    let restarts = || root.json("inspect box")[0]["RestartCount"].as_u64().unwrap();
    let is = |word: &str| root.ok("inspect -f '{{.State.Status}}' box") == word;
    // Before its trap is set it does not hear.
    let tell = || root.run("exec box kill -USR1 1");
    root.ok("update --restart always box");
    eventually("it is started again", || {
        tell();
        restarts() >= 1
    });
    root.ok("update --restart no box");
    eventually("it stays where it is", || {
        tell();
        is("exited")
    });
    let run = root.run("run -d --rm --name gone --network none bb sleep 600");
    assert_eq!(run.code, 0, "{run}");
    root.run("update --restart always gone").complains(1, "because AutoRemove is enabled");
    root.ok("rm -f gone");
}

#[test]
fn top_shows_the_processes_as_ps_does() {
    if !crate::support::has("ps") {
        return testkit::skip("ps is not installed");
    }
    let Some(root) = Root::new() else { return };
    root.sleeper("box", "");
    root.ok("exec -d box sleep 500");
    eventually("both processes are there", || root.ok("top box").lines().count() == 3);
    let text = root.ok("top box");
    let head = "UID                 PID                 PPID                C                   ";
    assert!(text.starts_with(head), "{text}");
    assert!(text.contains("sleep 600") && text.contains("sleep 500"), "{text}");
    let pid = root.ok("inspect -f '{{.State.Pid}}' box");
    let text = root.ok("top box -o pid,args");
    assert!(text.starts_with("PID                 COMMAND\n"), "{text}");
    assert!(text.contains(&format!("{pid:<20}sleep 600")), "{text}");
    root.run("top box -o args").complains(1, "Couldn't find PID field in ps output");
    root.run("top box --nosuch").complains(1, "Error response from daemon: ps: error:");
    root.run("top box -e -o ppid=PID").complains(1, "is not allowed");
    let id = root.ok("create --name idle bb true");
    root.run("top idle").complains(1, &format!("container {id} is not running"));
}

#[test]
fn stats_are_those_of_the_groups() {
    let Some(root) = Root::new() else { return };
    let id = root.sleeper("idle", "-m 64m");
    root.ok("run -d --name busy --network none bb sh -c 'while :; do :; done'");
    root.ok("create --name never bb true");
    let row = root.json("stats --no-stream --format json idle");
    assert_eq!((row["Container"].as_str(), row["Name"].as_str()), (Some("idle"), Some("idle")));
    assert_eq!((row["ID"].as_str(), row["PIDs"].as_str()), (Some(&id[..12]), Some("1")));
    assert!(row["MemUsage"].as_str().unwrap().ends_with(" / 64MiB"), "{row}");
    assert_eq!(row["NetIO"], "0B / 0B");
    let text = root.ok("stats --no-stream --no-trunc");
    let head = format!("{:<67}{:<10}{:<10}MEM USAGE / LIMIT", "CONTAINER ID", "NAME", "CPU %");
    assert!(text.starts_with(&head), "{text}");
    assert!(text.contains(&id) && !text.contains("never"), "{text}");
    let all =
        root.ok("stats -a --no-stream --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}'");
    assert!(all.contains("never 0.00% 0B / 0B 0"), "{all}");
    let line = all.lines().find(|line| line.starts_with("busy ")).unwrap();
    let share: f64 = line.split([' ', '%']).nth(1).unwrap().parse().unwrap();
    assert!(share > 5.0, "{line}");
    root.run("stats --no-stream nobody").complains(1, "No such container: nobody");
    root.ok("stop -t 0 busy");
}

#[test]
fn stats_count_what_a_network_carries() {
    let Some(root) = Root::new() else { return };
    root.ok("run -d --name box bb sleep 600");
    let sent = || root.ok("stats --no-stream --format '{{.NetIO}}' box");
    let gateway = root.ok("inspect -f '{{.NetworkSettings.Networks.bridge.Gateway}}' box");
    root.run(&format!("exec box ping -c 20 -s 10000 -i 0.01 -w 1 {gateway}"));
    let text = sent();
    assert!(!text.starts_with("0B") && text.contains("kB / "), "{text}");
}

#[test]
fn stats_on_a_terminal_are_drawn_over_the_last_ones() {
    let Some(root) = Root::new() else { return };
    root.ok("run -d --rm --name box --network none bb sleep 1.5");
    // It ends when the container it watches has gone.
    let Some((text, code)) = root.on_terminal(120, "stats box") else { return };
    assert_eq!(code, 0, "{text}");
    assert!(
        text.starts_with("\x1b[HCONTAINER ID") && text.matches("\x1b[J").count() >= 2,
        "{text}"
    );
}

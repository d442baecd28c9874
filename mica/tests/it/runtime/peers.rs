//! What runc and crun do with the same documents and flags, so that callers expect it.

use std::fs;

use serde_json::{Value, json};

use super::bundle;
use super::callers::refused;

#[test]
fn whoever_describes_a_process_describes_all_of_it() {
    let mut bundle = bundle!();
    bundle.config["process"]["env"] = json!(["PATH=/bin", "A=1"]);
    bundle.config["process"]["oomScoreAdj"] = json!(77);
    bundle.config["process"]["user"] = json!({"uid": 0, "gid": 7, "additionalGids": [9]});
    bundle.sleeper();
    let script = "echo $A; ulimit -n; grep NoNewPrivs: /proc/self/status; \
        cat /proc/self/oom_score_adj; id -G";
    let process = json!({
        "args": ["sh", "-c", script], "cwd": "/", "env": ["PATH=/bin"], "rlimits": null,
        "user": {"uid": 0, "gid": 0}
    });
    fs::write(bundle.mica.path("process.json"), process.to_string()).unwrap();
    let described = bundle.runtime("exec -p process.json ID");
    let lines: Vec<_> = described.out.lines().collect();
    assert_eq!(lines.len(), 5, "{}", described.err);
    assert_eq!((lines[0], lines[2], lines[3]), ("", "NoNewPrivs:\t0", "77"));
    assert_ne!(lines[1], "1024", "a limit of the container's own process");
    assert_eq!(lines[4], "0");
    let powers =
        |line: &str| bundle.runtime(&format!("{line} ID grep CapBnd /proc/self/status")).out;
    let process = json!({
        "args": ["/bin/grep", "CapBnd", "/proc/self/status"], "cwd": "/",
        "user": {"uid": 0, "gid": 0}
    });
    fs::write(bundle.mica.path("process.json"), process.to_string()).unwrap();
    assert_eq!(bundle.runtime("exec -p process.json ID").out, powers("exec"));
    let usual = bundle.runtime(&format!("exec ID sh -c '{script}'"));
    assert_eq!(usual.out, "1\n1024\nNoNewPrivs:\t1\n77\n7 9\n", "{}", usual.err);
    let process = json!({"args": ["true"], "user": {"uid": 0, "gid": 0}});
    fs::write(bundle.mica.path("process.json"), process.to_string()).unwrap();
    assert_eq!(bundle.runtime("exec -p process.json ID").code, 255, "it has no folder");
}

#[test]
fn another_user_stays_in_the_containers_groups() {
    let mut bundle = bundle!();
    bundle.config["process"]["user"] = json!({"uid": 0, "gid": 7, "additionalGids": [9]});
    bundle.sleeper();
    assert_eq!(bundle.runtime("exec -u 5 ID id").out, "uid=5 gid=7 groups=9\n");
    assert_eq!(bundle.runtime("exec -u 5:6 -g 11 ID id").out, "uid=5 gid=6 groups=9,11\n");
}

#[test]
fn a_container_that_stands_still_can_be_killed() {
    let mut bundle = bundle!();
    bundle.sleeper();
    assert_eq!(bundle.runtime("kill ID 0").code, 0, "somebody is there");
    assert_eq!(bundle.runtime("pause ID").code, 0);
    assert_eq!(bundle.runtime("kill ID KILL").code, 0);
    bundle.wait_for("stopped");
    assert_eq!(bundle.runtime("kill ID 0").code, 1, "nobody is there");
}

#[test]
fn a_terminal_that_nobody_takes_is_refused() {
    let mut bundle = bundle!();
    let words = "cannot allocate tty if runc will detach without setting console socket";
    bundle.sleeper();
    let run = bundle.runtime("exec -d -t ID true");
    assert_eq!(run.code, 255);
    assert!(run.err.contains(words), "{}", run.err);
    bundle.config["process"]["terminal"] = json!(true);
    bundle.write_config();
    let run = bundle.runtime("run -d IDx");
    assert_eq!(run.code, 1);
    assert!(run.err.contains(words), "{}", run.err);
}

#[test]
fn what_is_null_is_not_said() {
    let bundle = bundle!();
    let mut bundle = bundle.with(|config| {
        for pointer in ["hooks", "annotations", "hostname", "domainname"] {
            config[pointer] = Value::Null;
        }
        for member in ["env", "apparmorProfile", "oomScoreAdj", "selinuxLabel", "terminal"] {
            config["process"][member] = Value::Null;
        }
        config["process"]["capabilities"]["ambient"] = Value::Null;
        for member in ["sysctl", "devices", "uidMappings", "timeOffsets", "rootfsPropagation"] {
            config["linux"][member] = Value::Null;
        }
        config["linux"]["resources"]["memory"] = Value::Null;
        config["linux"]["seccomp"] = Value::Null;
    });
    let run = bundle.script("echo here");
    assert_eq!((run.code, run.out.as_str()), (0, "here\n"), "{}", run.err);
    bundle.sleeper();
    let limits = bundle.mica.path("limits.json");
    fs::write(limits, r#"{"memory": null, "pids": {"limit": 77}, "cpu": null}"#).unwrap();
    let run = bundle.runtime("update -r limits.json ID");
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn flags_of_other_runtimes_are_known_and_wrong_ones_end_with_one() {
    let mut bundle = bundle!();
    bundle.sleeper();
    for line in ["update --moon 1 ID", "--moon state ID", "exec --moon ID true", "kill --moon ID"] {
        assert_eq!(bundle.runtime(line).code, 1, "{line}");
    }
    let run = bundle.runtime("--debug update --kernel-memory 100m ID");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("Kernel memory settings are ignored"), "{}", run.err);
    let words = "Intel RDT/CAT: l3 cache schema is not enabled";
    refused(&bundle, "update --l3-cache-schema L3:0=f ID", 1, words);
    bundle.config["process"]["args"] = json!([""]);
    bundle.write_config();
    let run = bundle.runtime("run IDx");
    let words = "exec: \\\"\\\": executable file not found in $PATH";
    assert!(run.err.contains(words), "{}", run.err);
}

#[test]
fn users_that_are_joined_may_be_told_of() {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let bundle = bundle!();
    let mut bundle = bundle.with(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map.clone();
    });
    // The container's root must own its tree to make mount points in it.
    std::os::unix::fs::chown(bundle.inside(""), Some(100_000), Some(100_000)).unwrap();
    bundle.sleeper();
    let state: Value = serde_json::from_str(&bundle.runtime("state ID").out).unwrap();
    let users = json!({"type": "user", "path": format!("/proc/{}/ns/user", state["pid"])});
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    *namespaces.last_mut().unwrap() = users;
    bundle.config["process"]["args"] = json!(["sh", "-c", "id -u; cat /proc/self/uid_map"]);
    bundle.write_config();
    let run = bundle.runtime("run IDx");
    let words: Vec<_> = run.out.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536"], "{}", run.err);
}

#[test]
fn a_bind_has_a_map_of_users_in_its_options() {
    let mut bundle = bundle!();
    let files = bundle.mica.path("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("one"), "").unwrap();
    bundle.config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/files", "type": "bind", "source": &files,
        "options": ["rbind", "idmap=uids=0-1234-10;gids=0-2345-10"]
    }));
    let run = bundle.script("stat -c %u:%g /files/one");
    if run.err.contains("cannot map the users of the mount") {
        return testkit::skip("needs a file system with mapped mounts");
    }
    assert_eq!(run.out, "1234:2345\n", "{}", run.err);
}

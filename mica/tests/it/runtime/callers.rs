//! What callers of a runtime match and read: words, codes, documents, names of flags.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Bundle, bundle};

/// A command that is refused, with runc's words for that.
#[track_caller]
pub(super) fn refused(bundle: &Bundle, line: &str, code: i32, words: &str) {
    let run = bundle.runtime(line);
    assert_eq!(run.code, code, "{line}: {}", run.err);
    assert!(run.err.contains(&format!("level=error msg={words:?}")), "{line}: {}", run.err);
}

/// Runs a command that sends a descriptor to this socket in the folder of commands, and gives it.
#[track_caller]
fn sent(bundle: &Bundle, socket: &str, line: &str) -> OwnedFd {
    let folder = fs::File::open(bundle.mica.work()).unwrap();
    // The way there may be longer than the name of a socket can be.
    let listener = UnixListener::bind(sys::classic::path(&folder).join(socket)).unwrap();
    let run = bundle.runtime(line);
    assert_eq!(run.code, 0, "{line}: {}", run.err);
    let (stream, _) = listener.accept().unwrap();
    let (mut bytes, mut files) = ([0; 16], Vec::new());
    sys::socket::receive(&stream, &mut bytes, &mut files).unwrap();
    files.pop().expect("a descriptor comes with the words")
}

#[test]
fn processes_are_handed_over_by_a_descriptor() {
    let mut bundle = bundle!();
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.write_config();
    let first = sent(&bundle, "first", "create --pidfd-socket first ID");
    assert_eq!(bundle.runtime("start ID").code, 0);
    sys::watched::signal(&first, 0).unwrap();
    let second = sent(&bundle, "second", "exec -d --pidfd-socket second ID sleep 1000");
    sys::watched::signal(&second, 9).unwrap();
    sys::watched::signal(&first, 9).unwrap();
}

#[test]
fn a_process_runs_in_a_group_below_the_containers() {
    let mut bundle = bundle!();
    bundle.sleeper();
    refused_in_part(&bundle, "exec --cgroup below ID true", "find ");
    refused_in_part(&bundle, "exec --cgroup ../../up ID true", "is no path of a cgroup");
    refused_in_part(&bundle, "exec --cgroup a --cgroup b ID true", "missing <controller>: prefix");
    refused_in_part(&bundle, "exec --cgroup moon:below ID true", "no such controller");
    refused_in_part(&bundle, "exec --cgroup ,:below ID true", "empty <controller> prefix");
    let trees = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    let trees = trees.chain([PathBuf::from("/sys/fs/cgroup")]);
    let groups: Vec<_> = trees.map(|tree| tree.join("mica").join(&bundle.id)).collect();
    let groups: Vec<_> = groups.iter().filter(|group| group.is_dir()).collect();
    groups.iter().for_each(|group| fs::create_dir(group.join("below")).unwrap());
    let run = bundle.runtime("exec --cgroup below ID cat /proc/self/cgroup");
    assert_eq!(run.code, 0, "{}", run.err);
    let inside = run.out.lines().filter(|line| line.ends_with("/below")).count();
    assert_eq!(inside, groups.len(), "{}", run.out);
    let tree = Path::new("/sys/fs/cgroup/memory/mica").join(&bundle.id);
    if tree.is_dir() {
        fs::create_dir(tree.join("other")).unwrap();
        let line = "exec --cgroup memory:other --cgroup pids:below ID cat /proc/self/cgroup";
        let run = bundle.runtime(line);
        let with = |end: &str| {
            let lines = run.out.lines().filter(|line| line.ends_with(end));
            lines.filter_map(|line| line.split(':').nth(1)).collect::<Vec<_>>().join(" ")
        };
        let seen = (with("/other"), with("/below"));
        assert_eq!(seen, ("memory".to_owned(), "pids".to_owned()), "{} {}", run.out, run.err);
    }
}

/// A command that is refused, with these words in what it says.
#[track_caller]
fn refused_in_part(bundle: &Bundle, line: &str, words: &str) {
    let run = bundle.runtime(line);
    assert!(run.code == 255 && run.err.contains(words), "{line}: {} {}", run.code, run.err);
}

#[test]
fn each_state_refuses_what_does_not_fit_it() {
    let mut bundle = bundle!();
    for line in ["state ID", "start ID", "kill ID", "delete ID", "ps ID", "pause ID"] {
        refused(&bundle, line, 1, "container does not exist");
    }
    assert_eq!(bundle.runtime("delete --force ID").code, 0);
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.write_config();
    assert_eq!(bundle.runtime("create ID").code, 0);
    refused(&bundle, "create ID", 1, "container with given ID already exists");
    refused(&bundle, "resume ID", 1, "container not paused");
    assert_eq!(bundle.runtime("exec ID true").code, 0, "a created container takes processes");
    assert_eq!(bundle.runtime("pause ID").code, 0);
    assert_eq!(bundle.status(), "paused");
    refused(&bundle, "start ID", 1, "cannot start a container in the paused state");
    assert_eq!(bundle.runtime("resume ID").code, 0);
    assert_eq!(bundle.status(), "created");
    assert_eq!(bundle.runtime("delete ID").code, 0, "what was never started can be given up");
    bundle.sleeper();
    refused(&bundle, "start ID", 1, "cannot start an already running container");
    let id = bundle.id.clone();
    let words = format!("cannot delete container {id} that is not stopped: running");
    refused(&bundle, "delete ID", 1, &words);
    assert_eq!(bundle.runtime("pause ID").code, 0);
    refused(&bundle, "pause ID", 1, "container not running");
    let words = "cannot exec in a paused container (use --ignore-paused to override)";
    refused(&bundle, "exec ID true", 255, words);
    refused(&bundle, "delete ID", 1, &words_of_delete(&id, "paused"));
    assert_eq!(bundle.runtime("delete --force ID").code, 0, "frozen or not");
    bundle.sleeper();
    assert_eq!(bundle.runtime("kill ID 9").code, 0);
    bundle.wait_for("stopped");
    for line in ["kill ID", "pause ID", "ps ID", "update --memory 64m ID", "events --stats ID"] {
        refused(&bundle, line, 1, "container not running");
    }
    refused(&bundle, "start ID", 1, "cannot start a container that has stopped");
    refused(&bundle, "exec ID true", 255, "cannot exec in a stopped container");
    assert_eq!(bundle.runtime("kill --all ID KILL").code, 0, "there may be others");
}

fn words_of_delete(id: &str, status: &str) -> String {
    format!("cannot delete container {id} that is not stopped: {status}")
}

#[test]
fn errors_go_to_the_log_where_there_is_one() {
    let bundle = bundle!();
    let log = bundle.mica.path("log");
    let root = bundle.mica.path("state").display().to_string();
    let flags = format!("runtime --root {root} --log {} --log-format json", log.display());
    let run = bundle.mica.run(&format!("{flags} state nothing"));
    assert_eq!((run.code, run.err.as_str()), (1, "container does not exist\n"));
    let line: Value = serde_json::from_slice(&fs::read(&log).unwrap()).unwrap();
    assert_eq!(
        (&line["level"], &line["msg"]),
        (&json!("error"), &json!("container does not exist"))
    );
    let run = bundle.mica.run(&format!("runtime --log-format json --root {root} state nothing"));
    let line: Value = serde_json::from_str(&run.err).unwrap();
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    let run = bundle.mica.run("runtime --systemd-cgroup state nothing");
    assert!(run.err.contains("container does not exist"), "{run}");
    assert_eq!(bundle.mica.run("runtime --log-format xml list").code, 1);
}

#[test]
fn a_container_is_shown_with_all_that_others_show() {
    let mut bundle = bundle!();
    bundle.config["annotations"] = json!({"a.b": "c"});
    bundle.sleeper();
    let state: Value = serde_json::from_str(&bundle.runtime("state ID").out).unwrap();
    let folder = fs::canonicalize(bundle.mica.work()).unwrap().display().to_string();
    assert_eq!(state["bundle"], folder);
    assert_eq!(state["rootfs"], format!("{folder}/rootfs"));
    assert_eq!(state["annotations"], json!({"a.b": "c"}));
    assert_eq!((&state["owner"], &state["status"]), (&json!("root"), &json!("running")));
    assert!(state["created"].as_str().unwrap().ends_with('Z'));
    refused(&bundle, "list -f bogus", 1, "invalid format option");
    let list: Value = serde_json::from_str(&bundle.runtime("list -f json").out).unwrap();
    assert_eq!(list, json!([state]));
    let table = bundle.runtime("list").out;
    let titles: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let pids: Value = serde_json::from_str(&bundle.runtime("ps -f json ID").out).unwrap();
    assert_eq!(pids, json!([state["pid"]]));
    let event: Value = serde_json::from_str(&bundle.runtime("events --stats ID").out).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &state["id"]));
    let data = &event["data"];
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{data}");
    assert!(data["memory"]["usage"]["usage"].as_u64().unwrap() > 0, "{data}");
    assert_eq!(data["pids"]["current"], 1);
}

#[test]
fn events_end_with_the_container() {
    let mut bundle = bundle!();
    bundle.config["process"]["args"] = json!(["sleep", "4"]);
    bundle.write_config();
    assert_eq!(bundle.runtime("run -d ID").code, 0);
    let lines = bundle.runtime("events --interval 200ms ID").out.lines().count();
    assert!((3..40).contains(&lines), "{lines}");
    refused(&bundle, "events --interval 0s ID", 1, "the interval is not above zero");
}

#[test]
fn under_a_runtimes_name_it_is_a_runtime() {
    let bundle = bundle!();
    for name in ["mica-runtime", "runc", "crun"] {
        let link = bundle.mica.path(name);
        symlink(env!("CARGO_BIN_EXE_mica"), &link).unwrap();
        let output = bundle.mica.program(&link).arg("features").output().unwrap();
        let features: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(features["ociVersionMax"], "1.2.0", "{name}");
        let version = bundle.mica.program(&link).arg("--version").output().unwrap();
        assert!(String::from_utf8_lossy(&version.stdout).contains("\nspec: 1.2.0\n"));
    }
    bundle.write_config();
    let link = bundle.mica.path("runc");
    // It starts itself again from a sheltered file, under the same name.
    let root = bundle.mica.path("state");
    let run = bundle.mica.program(link).arg("--root").arg(root).args(["run", &bundle.id]).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn what_is_not_done_is_refused_and_not_forgotten() {
    let mut bundle = bundle!();
    let plain = bundle.config.clone();
    let mut check = |pointer: &str, value: Value, words: &str| {
        bundle.config = plain.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        bundle.config.pointer_mut(parent).unwrap()[name] = value;
        let run = bundle.script("true");
        assert_eq!(run.code, 1, "{pointer}");
        assert!(run.err.contains(words), "{pointer}: {}", run.err);
    };
    check("/ociVersion", json!("2.0.0"), "is not a version 1 of the specification");
    check("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt");
    check("/linux/netDevices", json!({"eth0": {}}), "linux.netDevices");
    check("/linux/personality", json!({"domain": "LINUX", "flags": ["x"]}), "unknown flag x");
    check("/linux/resources/unified", json!({"moon.max": "1"}), "no moon controller");
    check(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_FOO"]}),
        "string SCMP_ARCH_FOO is not a valid arch for seccomp",
    );
    check(
        "/linux/namespaces",
        json!([{"type": "mount"}, {"type": "uts"}, {"type": "user"}]),
        "User namespaces enabled, but no uid mappings found.",
    );
    if !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        check("/linux/mountLabel", json!("a:b:c"), "the kernel has no SELinux");
        check("/process/selinuxLabel", json!("a:b:c"), "the kernel has no SELinux");
    }
    if !std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        check("/process/apparmorProfile", json!("x"), "the kernel has no AppArmor");
    }
    check("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_MOON"}), "unknown variant");
    check("/linux/seccomp", json!({"syscalls": []}), "missing field `defaultAction`");
    check(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}),
        "SCMP_ACT_NOTIFY cannot be used as default action",
    );
    check(
        "/linux/sysctl",
        json!({"kernel.hostname": "x"}),
        "is not allowed as it conflicts with the OCI",
    );
    check(
        "/process/rlimits",
        json!([{"type": "RLIMIT_MOON", "soft": 1, "hard": 1}]),
        "RLIMIT_MOON",
    );
}

#[test]
fn a_limit_of_memory_in_which_nothing_can_begin_is_named() {
    let mut bundle = bundle!();
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 1024});
    let run = bundle.script("true");
    assert_eq!(run.code, 1);
    assert!(run.err.contains("container init was OOM-killed (memory limit too low?)"), "{run}");
}

#[test]
fn every_process_has_the_execution_domain_of_its_container() {
    let mut bundle = bundle!();
    bundle.config["linux"]["personality"] = json!({"domain": "LINUX32"});
    let usual = bundle.script("uname -m").out;
    bundle.sleeper();
    assert_eq!(bundle.runtime("exec ID busybox uname -m").out, usual);
    if std::env::consts::ARCH == "x86_64" {
        assert_eq!(usual, "i686\n");
    }
}

#[test]
fn a_container_is_made_without_pivot_and_without_a_keyring() {
    let mut bundle = bundle!();
    bundle.config["linux"]["maskedPaths"] = json!([]);
    bundle.config["process"]["args"] = json!(["sh", "-c", "ls /; cat /proc/keys; cat /rootfs"]);
    bundle.write_config();
    let usual = bundle.runtime("run ID");
    let other = bundle.runtime("run --no-pivot --no-new-keyring IDx");
    assert!(usual.out.contains("_ses."), "{}", usual.out);
    assert!(!other.out.contains(&format!("_ses.{}x", bundle.id)), "{}", other.out);
    let folders = |text: &str| text.lines().take_while(|line| !line.contains(' ')).count();
    assert_eq!(folders(&usual.out), folders(&other.out), "the same root: {}", other.err);
}

#[test]
fn a_configuration_for_an_ordinary_user_maps_that_user() {
    let bundle = bundle!();
    fs::remove_file(bundle.mica.path("config.json")).unwrap();
    bundle.mica.ok("runtime spec --rootless");
    let text = fs::read(bundle.mica.path("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&text).unwrap();
    let kinds: Vec<_> = config["linux"]["namespaces"].as_array().unwrap().iter().collect();
    assert!(
        kinds.contains(&&json!({"type": "user"})) && !kinds.contains(&&json!({"type": "network"}))
    );
    assert_eq!(config["linux"]["uidMappings"][0]["size"], 1);
    assert_eq!(config["linux"].get("resources"), None);
    assert_ne!(bundle.mica.run("runtime spec").code, 0, "what is there is not overwritten");
}

//! Containers whose groups a real systemd makes: one that manages a user's own units, in a namespace of
//! mounts of the test's own, where it listens as the system's does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::support::{Root, entries, eventually};
use crate::support::Run;

const PROGRAM: &str = "/lib/systemd/systemd";
const GROUPS: &str = "/sys/fs/cgroup";

/// Starts systemd in groups of its own below the roots of all trees.
const START: &str = r#"
for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do
    # Where trees stand side by side, what they stand in is none.
    [ -e "$procs" ] || continue
    group=${procs%/*}/$GROUP
    mkdir "$group" 2>/dev/null && echo $$ 2>/dev/null >"$group/cgroup.procs"
done
mount -t tmpfs none /run/systemd || exit 1
mkdir /run/systemd/system || exit 1
exec "$0" --user --unit=test.target
"#;

/// A systemd, and a root whose containers are its scopes.
struct Managed {
    root: Root,
    systemd: Child,
    group: String,
}

impl Managed {
    fn new() -> Option<Managed> {
        let root = Root::new()?;
        if !Path::new(PROGRAM).exists() {
            testkit::skip("systemd is not installed");
            return None;
        }
        fs::create_dir_all("/run/systemd").unwrap();
        root.file("home/.config/systemd/user/test.target", "[Unit]\nDescription=test\n");
        root.file("config.toml", "cgroup-driver = 'systemd'\n");
        let group = format!("mica-systemd-{}", std::process::id());
        let mut command = root.program("unshare");
        command.args(["--mount", "sh", "-c", START, PROGRAM]).env("GROUP", &group);
        command.env("HOME", root.path("home")).env("XDG_RUNTIME_DIR", "/run");
        let log = fs::File::create(root.path("systemd.log")).unwrap();
        let systemd = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let managed = Managed { root, systemd, group };
        let socket = format!("/proc/{}/root/run/systemd/private", managed.systemd.id());
        eventually("systemd listens", || Path::new(&socket).exists());
        Some(managed)
    }

    /// A command beside systemd.
    fn beside(&self, own: &Command) -> Command {
        let mut command = self.root.program("nsenter");
        let mounts = format!("--mount=/proc/{}/ns/mnt", self.systemd.id());
        command.arg(mounts).arg(format!("--wd={}", self.root.work().display())).arg("--");
        command.arg(own.get_program()).args(own.get_args());
        command
    }

    fn run(&self, line: &str) -> Run {
        let line = format!("--config config.toml {line}");
        Run::of(&line, self.beside(&self.root.command(&line)).output().unwrap())
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let run = self.run(line);
        assert_eq!(run.code, 0, "{run}");
        run.out.trim_end().to_owned()
    }

    /// What systemd says of a unit's property.
    fn property(&self, unit: &str, name: &str) -> String {
        let mut own = Command::new("systemctl");
        own.args(["--user", "show", "--value", "-p", name, unit]);
        let output = self.beside(&own).env("XDG_RUNTIME_DIR", "/run").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// All groups of this name, in whichever trees.
    fn groups_named(&self, name: &str) -> Vec<PathBuf> {
        let mut places = vec![PathBuf::from(GROUPS)];
        places.extend(entries(Path::new(GROUPS)));
        let mut found = Vec::new();
        while let Some(place) = places.pop() {
            found.extend(Some(place.clone()).filter(|place| place.ends_with(name)));
            places.extend(entries(&place).into_iter().filter(|below| {
                let is_link = below.is_symlink();
                below.is_dir() && !is_link && below.components().count() < 10
            }));
        }
        found
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        for id in self.root.containers() {
            self.run(&format!("rm -f {id}"));
        }
        let _ = self.systemd.kill();
        let _ = self.systemd.wait();
        // Deepest first.
        let mut left = Vec::new();
        let mut places = self.groups_named(&self.group);
        while let Some(place) = places.pop() {
            places.extend(entries(&place).into_iter().filter(|below| below.is_dir()));
            left.push(place);
        }
        left.sort_by_key(|place| std::cmp::Reverse(place.components().count()));
        left.iter().for_each(|place| drop(fs::remove_dir(place)));
        let left = self.groups_named(&self.group);
        assert!(left.is_empty() || std::thread::panicking(), "groups are left: {left:?}");
    }
}

#[test]
fn a_container_is_a_scope_that_systemd_knows_and_limits() {
    let Some(managed) = Managed::new() else { return };
    assert_eq!(managed.ok("info --format '{{.CgroupDriver}}'"), "systemd");
    let limits = "--pids-limit 20 --cpu-shares 512";
    let id = managed.ok(&format!("run -d --name one --network none {limits} bb sleep 600"));
    let unit = format!("mica-{id}.scope");
    assert_eq!(managed.property(&unit, "ActiveState"), "active");
    assert_eq!(managed.property(&unit, "Slice"), "system.slice");
    assert_eq!(managed.property(&unit, "Delegate"), "yes");
    assert_eq!(managed.property(&unit, "TasksMax"), "20");
    let group = managed.property(&unit, "ControlGroup");
    let end = format!("{}/system.slice/{unit}", managed.group);
    assert!(group.ends_with(&end), "{group}");
    let pid = managed.ok("inspect --format '{{.State.Pid}}' one");
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(own.lines().any(|line| line.ends_with(&end)), "{own}");
    // Nothing of ours keeps the container's place any more.
    let groups = managed.groups_named(&unit);
    let lists = groups.iter().map(|group| fs::read_to_string(group.join("cgroup.procs")).unwrap());
    assert!(lists.clone().any(|list| list.trim() == pid), "{groups:?}");
    assert!(lists.into_iter().all(|list| list.is_empty() || list.trim() == pid));
    let most = groups.iter().find_map(|group| fs::read_to_string(group.join("pids.max")).ok());
    assert_eq!(most.as_deref().map(str::trim), Some("20"));
    assert_eq!(managed.ok("exec one cat /proc/1/comm"), "sleep");
    managed.ok("update --pids-limit 30 one");
    assert_eq!(managed.property(&unit, "TasksMax"), "30");
    managed.ok("pause one");
    assert_eq!(managed.ok("inspect --format '{{.State.Status}}' one"), "paused");
    managed.ok("unpause one");
    managed.ok("restart -t 0 one");
    assert_eq!(managed.property(&unit, "ActiveState"), "active");
    managed.ok("rm -f one");
    assert_eq!(managed.property(&unit, "LoadState"), "not-found");
    assert_eq!(managed.groups_named(&unit), [""; 0].map(PathBuf::from));
}

#[test]
fn a_scope_lies_in_the_slice_that_is_asked_for() {
    let Some(managed) = Managed::new() else { return };
    let line = "run --rm --network none --cgroup-parent a-b.slice bb cat /proc/self/cgroup";
    let own = managed.ok(line);
    assert!(own.contains("/a.slice/a-b.slice/mica-"), "{own}");
    let run = managed.run("run --rm --network none --cgroup-parent /else bb true");
    run.complains(125, "should be a valid slice named as \"xxx.slice\"");
    // Where there is room for one process, it is the container's.
    managed.ok("run --rm --network none --pids-limit 1 bb true");
    let run = managed.run("run --rm --network none bb sh -c 'exit 7'");
    assert_eq!(run.code, 7, "{run}");
    let run = managed.run("run --rm --network none bb nothing");
    assert_eq!(run.code, 127, "{run}");
    let folders = managed.groups_named("system.slice");
    let scopes = folders.iter().flat_map(|slice| entries(slice)).filter(|below| below.is_dir());
    assert_eq!(scopes.collect::<Vec<_>>(), [""; 0].map(PathBuf::from));
}

#[test]
fn a_runtime_takes_scopes_in_systemds_words() {
    let Some(managed) = Managed::new() else { return };
    managed.ok("create --name one --network none bb sleep 600");
    managed.ok("container bundle one bundle");
    managed.ok("rm one");
    let path = managed.root.path("bundle/config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["linux"]["cgroupsPath"] = "user-x.slice:lib:one".into();
    config["process"]["args"] = serde_json::json!(["sleep", "600"]);
    config["process"]["terminal"] = false.into();
    config["linux"]["resources"]["pids"] = serde_json::json!({ "limit": 9 });
    config["annotations"]["org.systemd.property.Description"] = "'one of ours'".into();
    config["annotations"]["org.systemd.property.TimeoutStopSec"] = "7".into();
    fs::write(&path, config.to_string()).unwrap();
    let runtime = "runtime --root runtime --systemd-cgroup";
    let ok = |line: &str| {
        let own = managed.root.command(line);
        // What runs on has the same streams: a pipe would not end.
        let out = fs::File::create(managed.root.path("out")).unwrap();
        let mut command = managed.beside(&own);
        command.stdout(out.try_clone().unwrap()).stderr(out);
        let status = command.status().unwrap();
        let text = fs::read_to_string(managed.root.path("out")).unwrap();
        assert!(status.success(), "{line}: {text}");
        text
    };
    ok(&format!("{runtime} run --detach --bundle bundle one"));
    assert_eq!(managed.property("lib-one.scope", "ActiveState"), "active");
    assert_eq!(managed.property("lib-one.scope", "Slice"), "user-x.slice");
    assert_eq!(managed.property("lib-one.scope", "TasksMax"), "9");
    assert_eq!(managed.property("lib-one.scope", "Description"), "one of ours");
    assert_eq!(managed.property("lib-one.scope", "TimeoutStopUSec"), "7s");
    assert!(ok(&format!("{runtime} state one")).contains("\"running\""));
    ok(&format!("{runtime} delete --force one"));
    assert_eq!(managed.property("lib-one.scope", "LoadState"), "not-found");
    config["linux"]["cgroupsPath"] = "/a/path".into();
    fs::write(&path, config.to_string()).unwrap();
    let line = format!("{runtime} run --bundle bundle two");
    let output = managed.beside(&managed.root.command(&line)).output().unwrap();
    Run::of(&line, output).complains(1, "expected cgroupsPath to be of format");
}

#[test]
fn where_no_systemd_listens_its_driver_says_so() {
    let Some(root) = Root::new() else { return };
    if Path::new("/run/systemd/private").exists() {
        testkit::skip("systemd runs here");
        return;
    }
    root.file("config.toml", "cgroup-driver = 'systemd'\n");
    let run = root.run("--config config.toml run --rm --network none bb true");
    run.complains(125, "systemd does not listen on /run/systemd/private");
    assert!(run.err.contains("cgroupfs"), "{run}");
    assert_eq!(root.containers(), Vec::<String>::new());
}

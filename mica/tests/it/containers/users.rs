//! Containers whose users are not the host's.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::support::{Root, eventually};
use crate::support::{Run, has, words};

/// The first lent id, who is root inside.
const LENT: u32 = 1_400_000;

/// What is lent is put in place for one command: `$1` says it.
const PLACE: &str = r#"
set -e
for file in subuid subgid; do mount --bind "$1" "/etc/$file"; done
shift
exec "$@"
"#;

/// A root whose settings give containers lent ids.
struct Remapped {
    root: Root,
}

impl Deref for Remapped {
    type Target = Root;

    fn deref(&self) -> &Root {
        &self.root
    }
}

impl Remapped {
    fn new() -> Option<Remapped> {
        if !has("unshare") {
            testkit::skip("unshare is not installed");
            return None;
        }
        Remapped::in_root(Root::new()?)
    }

    fn in_root(root: Root) -> Option<Remapped> {
        root.file("settings.toml", "userns-remap = 'ann'\n");
        root.file("lent", format!("bob:7:9\nann:{LENT}:65536\n"));
        Some(Remapped { root })
    }

    /// Runs a command while the ids are lent. What it starts keeps them.
    fn lent(&self, line: &str) -> Run {
        let mut command = self.program("unshare");
        command.args(["--mount", "sh", "-c", PLACE, "sh"]).arg(self.path("lent"));
        command.arg(env!("CARGO_BIN_EXE_mica")).arg("--config").arg(self.path("settings.toml"));
        command.args(words(line));
        Run::of(line, command.output().unwrap())
    }

    /// A container that runs, made from this line.
    #[track_caller]
    fn started(&self, name: &str, line: &str) {
        self.lent(&format!("create --name {name} {line}")).works();
        self.ok(&format!("start {name}"));
    }

    /// What a script prints in a container of its own.
    #[track_caller]
    fn lent_prints(&self, options: &str, script: &str) -> String {
        let run = self.lent(&format!("run --rm {options} bb sh -c '{script}'"));
        assert!(run.code == 0 && run.err.is_empty(), "{run}");
        run.out.trim_end().to_owned()
    }
}

#[track_caller]
fn owner(path: impl AsRef<Path>) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.uid(), found.gid())
}

#[test]
fn root_inside_is_nobody_outside_and_files_keep_their_owners() {
    let Some(root) = Remapped::new() else { return };
    let shared = root.path("shared").display().to_string();
    let script = "cat /proc/self/uid_map; touch /own; chown bob /own /tmp; mkdir /s/new; \
        rm -r /filled; exec sleep 600";
    root.started("box", &format!("--network none -v {shared}:/s bb sh -c '{script}'"));
    eventually("all is done", || root.ok("diff box").contains("D /filled"));
    let map = root.ok("logs box");
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", &LENT.to_string(), "65536"]);
    let pid = root.ok("inspect -f '{{.State.Pid}}' box");
    assert_eq!(owner(format!("/proc/{pid}")), (LENT, LENT));
    // What was made on the host for the container is its root's.
    assert_eq!((owner(&shared), owner(root.path("shared/new"))), ((LENT, LENT), (LENT, LENT)));
    let stat = "stat -c %u:%g /own /tmp /etc/hosts /dev/shm";
    assert_eq!(root.ok(&format!("exec box {stat}")), "1000:0\n1000:0\n0:0\n0:0");
    assert_eq!(root.ok("exec -u bob box id -u"), "1000");
    assert_eq!(root.ok("diff box"), "D /filled\nA /own\nA /s\nC /tmp");
    root.ok("commit box made");
    // Whoever has the host's users, or again others, finds the same owners.
    let stat = "run --rm --network none --userns host made stat -c %u:%g /own /tmp /etc/passwd";
    let owners = "1000:0\n1000:0\n0:0\n";
    root.run(stat).prints(owners);
    root.lent(stat).prints(owners);
    root.lent(&stat.replace("--userns host", "")).prints(owners);
    // It starts again as it was made, whatever is lent by then.
    root.ok("stop -t 0 box");
    root.ok("start box");
    assert_eq!(owner(format!("/proc/{}", root.ok("inspect -f '{{.State.Pid}}' box"))).0, LENT);
}

#[test]
fn a_volume_is_the_same_whomever_it_belongs_to_outside() {
    let Some(root) = Remapped::new() else { return };
    let script = "touch /filled/new; chown bob:staff /filled/new; stat -c %u:%g /filled/from-image";
    assert_eq!(root.lent_prints("--network none -v vol:/filled", script), "0:0");
    let seen = root.prints("-v vol:/v", "stat -c %u:%g /v/from-image /v/new; touch /v/more");
    assert_eq!(seen, "0:0\n1000:50");
    assert_eq!(root.lent_prints("--network none -v vol:/v", "stat -c %u:%g /v/more"), "0:0");
    let place = root.ok("volume inspect -f '{{.Mountpoint}}' vol");
    assert_eq!(owner(Path::new(&place).join("new")), (1000, 50));
}

#[test]
fn files_are_copied_to_whom_they_belong_inside() {
    let Some(root) = Remapped::new() else { return };
    root.started("box", "--network none bb sleep 600");
    let file = root.file("in", "brought");
    std::os::unix::fs::chown(&file, Some(1000), Some(1001)).unwrap();
    root.ok("cp in box:/tmp/plain");
    root.ok("cp -a in box:/tmp/kept");
    assert_eq!(root.ok("exec box stat -c %u:%g /tmp/plain /tmp/kept"), "0:0\n1000:1001");
    root.ok("exec box chown bob:staff /tmp/kept");
    root.ok("cp -a box:/tmp/kept out");
    assert_eq!(owner(root.path("out")), (1000, 50));
    root.ok("export -o all.tar box");
    let listed = root.program("tar").args(["-tvnf", "all.tar"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let line = listed.lines().find(|line| line.ends_with(" tmp/kept"));
    assert!(line.is_some_and(|line| line.contains(" 1000/50 ")), "{listed}");
}

#[test]
fn a_network_belongs_to_its_users_and_reaches_others() {
    let Some(root) = Remapped::new() else { return };
    root.ok("network create inner");
    root.started("web", "--network inner bb sh -c 'mkdir /w; echo hello > /w/index.html; exec httpd -f -p 80 -h /w'");
    let get = "for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://web && break; sleep 1; done";
    assert_eq!(root.lent_prints("--network inner", get), "hello");
    // Who shares its network shares its users too.
    let seen = root.lent_prints("--network container:web", "ls /sys/class/net; id -u");
    assert_eq!(seen, "eth0\nlo\n0");
    let set = "ip link set lo mtu 1500 && cat /sys/class/net/lo/mtu";
    assert_eq!(root.lent_prints("--network inner --cap-add NET_ADMIN", set), "1500");
}

#[test]
fn what_needs_the_hosts_users_says_so() {
    let Some(root) = Remapped::new() else { return };
    for (flags, words) in [
        ("--privileged", "privileged mode is incompatible with user namespaces.  You must run"),
        ("--network host", "cannot share the host's network namespace when user namespaces are"),
        ("--pid host", "cannot share the host PID namespace when user namespaces are enabled"),
    ] {
        root.lent(&format!("run --rm {flags} bb true")).complains(125, words);
        let run = root.lent(&format!("run --rm --userns host {flags} bb cat /proc/self/uid_map"));
        assert!(run.code == 0 && run.out.contains("4294967295"), "{run}");
    }
    // Without a line of his the user lends nothing.
    root.file("lent", "bob:7:9\n");
    let run = root.lent("create bb true");
    run.complains(1, "no subuid ranges found for user \"ann\"");
    run.complains(1, "ann:100000:65536");
    let info = root.lent("info -f '{{.SecurityOptions}}'").out;
    assert!(info.contains("name=userns"), "{info}");
    root.lent("run --rm --userns moon bb true").complains(125, "--userns: invalid USER mode");
}

#[test]
fn drivers_show_files_to_other_users() {
    for driver in ["erofs", "overlay", "vfs"] {
        let Some(root) = Root::on_driver(testkit::Mounted::on_disk(), driver) else { return };
        let Some(root) = Remapped::in_root(root) else { return };
        let script = "touch /own; rm /filled/from-image; stat -c %u:%g /own /bin/busybox";
        root.started("box", &format!("--network none bb sh -c '{script}; sleep 600'"));
        eventually("all is done", || root.ok("logs box").lines().count() == 2);
        assert_eq!(root.ok("logs box"), "0:0\n0:0", "{driver}");
        assert_eq!(root.ok("diff box"), "C /filled\nD /filled/from-image\nA /own", "{driver}");
        root.ok("rm -f box");
        root.lent("run --rm --network none --mount type=image,src=bb,dst=/i bb stat -c %u /i/bin")
            .prints("0\n");
    }
}

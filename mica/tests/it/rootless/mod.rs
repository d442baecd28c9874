//! Containers of an ordinary user, for whom nobody has done anything but lend him ids, or not even
//! that.

mod namespace;
mod network;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;

use sys::terminal::Size;

use crate::containers::support::eventually;
use crate::containers::terminal::Terminal;
use support::{LENT, USER, User};

const RUN: &str = "run --rm --network none";

#[test]
fn files_and_processes_are_the_users_and_those_that_were_lent_to_him() {
    let Some(user) = User::with_ids() else { return };
    assert_eq!(user.ok(&format!("{RUN} bb sh -c 'id -u; id -g'")), "0\n0");
    assert_eq!(user.ok(&format!("{RUN} -u bob bb sh -c 'id -u; id -g'")), "1000\n1001");
    fs::create_dir(user.path("shared")).unwrap();
    std::os::unix::fs::chown(user.path("shared"), Some(USER), Some(USER)).unwrap();
    let script = "touch /s/own /s/lent; chown 1000:1001 /s/lent; stat -c %u:%g /s/own /s/lent";
    let shared = user.path("shared").display().to_string();
    assert_eq!(user.ok(&format!("{RUN} -v {shared}:/s bb sh -c '{script}'")), "0:0\n1000:1001");
    let owner = |name: &str| fs::metadata(user.path("shared").join(name)).unwrap();
    assert_eq!((owner("own").uid(), owner("own").gid()), (USER, USER));
    // Root inside is the user; the first lent id is the first user inside.
    assert_eq!((owner("lent").uid(), owner("lent").gid()), (LENT + 999, LENT + 1000));
    let secret = user.file("secret", "of the host's root");
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let run = user.run(&format!("{RUN} --privileged -v {}:/x bb cat /x", secret.display()));
    assert!(run.code == 1 && run.err.contains("Permission denied"), "{run}");
}

#[test]
fn a_container_lives_and_becomes_an_image() {
    let Some(user) = User::with_ids() else { return };
    let script = "echo begun; touch /new; chown bob /new; rm /filled/from-image; exec sleep 600";
    user.ok(&format!("run -d --name box --network none -v data:/data bb sh -c '{script}'"));
    eventually("it has begun", || user.ok("logs box") == "begun");
    assert_eq!(user.ok("exec -u bob box id -u"), "1000");
    eventually("it has changed", || user.ok("top box").contains("sleep 600"));
    assert_eq!(user.ok("diff box"), "A /data\nC /filled\nD /filled/from-image\nA /new");
    user.file("in", "brought\n");
    user.ok("cp in box:/data/in");
    assert_eq!(user.ok("exec box cat /data/in"), "brought");
    user.ok("cp box:/data/in out");
    let out = fs::metadata(user.path("out")).unwrap();
    assert_eq!((out.uid(), out.len()), (USER, 8));
    user.ok("commit box made");
    assert_eq!(user.ok(&format!("{RUN} made stat -c %u /new")), "1000");
    user.ok("stop -t 0 box");
    user.ok("start box");
    assert_eq!(user.ok("ps --format '{{.Names}} {{.State}}'"), "box running");
    let run = user.run("pause box");
    run.complains(1, "pausing takes control groups");
    user.ok("kill box");
    assert_eq!(user.ok("wait box"), "137");
    user.ok("rm box");
    user.ok("volume rm data");
    assert_eq!(user.ok("ps -aq"), "");
    let check = user.run("system check");
    assert!(check.code == 0 && check.out.ends_with(": all is well\n"), "{check}");
    assert_eq!(user.ok("info -f '{{.Driver}}'"), "overlay2");
    assert!(user.ok("info -f '{{.SecurityOptions}}'").contains("name=rootless"));
}

#[test]
fn a_build_has_all_users_too() {
    let Some(user) = User::with_ids() else { return };
    user.file(
        "b/Dockerfile",
        "FROM bb\nRUN touch /a && chown bob /a\nUSER bob\nRUN id -u > /tmp/id\n",
    );
    let run = user.run("build -q --network none -t built b");
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(user.ok(&format!("{RUN} built sh -c 'stat -c %u /a; cat /tmp/id'")), "1000\n1000");
}

#[test]
fn one_id_is_enough_and_that_is_said() {
    let Some(user) = User::with_one_id() else { return };
    let run = user.run(&format!("{RUN} bb sh -c 'id -u; touch /x; stat -c %u /x /bin/busybox'"));
    assert_eq!((run.code, run.out.as_str()), (0, "0\n0\n0\n"), "{run}");
    assert!(run.err.contains("WARNING: This user has no subordinate ids"), "{run}");
    let run = user.run(&format!("{RUN} -u bob bb id"));
    assert!(run.code != 0 && run.err.contains("become the program's user"), "{run}");
    user.run("run -d --name box --network none bb sleep 600");
    assert_eq!(user.ok("exec box id -u"), "0");
    user.ok("exec box touch /new");
    user.ok("commit box made");
    user.ok("rm -f box");
    assert!(user.run(&format!("{RUN} made stat -c %u /new")).out == "0\n");
    let check = user.run("system check");
    assert!(check.code == 0 && check.out.ends_with(": all is well\n"), "{check}");
}

#[test]
fn a_terminal_is_the_users_too() {
    let Some(user) = User::with_ids() else { return };
    let terminal = Terminal::new(Size { rows: 24, columns: 80 });
    let mut child = terminal.start(user.command("run --rm -it --network none bb sh"));
    terminal.shows("# ");
    terminal.types("tty; echo ab''out; exit 4\n");
    terminal.shows("/dev/pts/0");
    terminal.shows("about");
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn limits_that_take_groups_are_lost_and_that_is_said() {
    let Some(user) = User::with_ids() else { return };
    let run = user.run(&format!("{RUN} -m 64m --pids-limit 9 --cpus 0.5 bb true"));
    assert_eq!((run.code, run.err.lines().count()), (0, 3), "{run}");
    assert!(run.err.contains("memory limit capabilities or the cgroup is not mounted"), "{run}");
    user.ok(&format!("{RUN} --ulimit nofile=99 bb sh -c 'test $(ulimit -n) = 99'"));
    user.ok("create --name box --network none --pid host bb sleep 600");
    for running in [false, true] {
        let run = user.run("update -m 64m --memory-swap 64m box");
        assert!(run.code == 0 && run.err.contains("memory limit capabilities"), "{run}");
        assert_eq!(user.ok("inspect -f '{{.HostConfig.Memory}}' box"), "0", "{running}");
        user.ok("start box");
    }
    if crate::support::has("ps") {
        let table = user.ok("top box -o pid,args");
        assert!(table.lines().count() == 2 && table.contains("sleep 600"), "{table}");
    }
}

#[test]
fn a_word_that_is_no_text_is_a_word() {
    use std::os::unix::ffi::OsStrExt;
    let Some(user) = User::with_ids() else { return };
    let mut command = user.command(&format!("{RUN} bb echo"));
    let output = command.arg(std::ffi::OsStr::from_bytes(b"\xff")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code != 101), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn namespaces_of_the_host_are_shared() {
    let Some(user) = User::with_ids() else { return };
    let own = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    let of = |options: &str, kind: &str| {
        user.ok(&format!("run --rm {options} bb readlink /proc/self/ns/{kind}"))
    };
    assert_eq!(of("--network host", "net"), own("net").display().to_string());
    assert_eq!(of("--network none --pid host", "pid"), own("pid").display().to_string());
    assert_eq!(of("--network none --ipc host", "ipc"), own("ipc").display().to_string());
    assert_ne!(of("--network none", "net"), own("net").display().to_string());
    let run = user.run("run --rm --network host bb touch /sys/x");
    assert!(run.err.contains("Read-only file system"), "{run}");
}

//! The namespace that all commands of a user share, and where there can be none.

use std::fs;

use super::RUN;
use super::support::User;
use crate::containers::support::{eventually, kill};
use crate::support::Run;

fn is_there(pid: u32) -> bool {
    // One that has ended and that nobody has taken in is not there.
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[test]
fn commands_of_a_user_share_one_namespace() {
    let Some(user) = User::with_ids() else { return };
    let of = || user.ok(&format!("{RUN} bb readlink /proc/self/ns/user"));
    let first = of();
    assert_ne!(first, fs::read_link("/proc/self/ns/user").unwrap().display().to_string());
    assert_eq!(of(), first);
    let map = user.ok(&format!("{RUN} bb cat /proc/self/uid_map"));
    let words: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(words, ["0", "23456", "1", "1", "1300000", "65536"]);
}

#[test]
fn where_the_programs_that_map_users_fail_there_is_one_id_and_that_is_said() {
    let Some(user) = User::with_ids() else { return };
    let keeper = user.keeper();
    kill(keeper, "KILL");
    eventually("the keeper ends", || !is_there(keeper));
    let script = "#!/bin/sh\necho 'newuidmap: it is not allowed' >&2\nexit 1\n";
    let program = user.file("bin/newuidmap", script);
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", program.parent().unwrap().display());
    let mut command = user.command("images -q");
    let run = Run::of("images -q", command.env("PATH", path).output().unwrap());
    assert!(run.code == 0 && !run.out.is_empty(), "{run}");
    assert_eq!(run.err, "newuidmap cannot map users: it is not allowed\n");
}

#[test]
fn containers_outlive_the_keeper() {
    let Some(user) = User::with_ids() else { return };
    user.ok("run -d --name box --network none bb sleep 600");
    let keeper = user.keeper();
    kill(keeper, "KILL");
    eventually("the keeper has gone", || !is_there(keeper));
    assert_eq!(user.ok("exec box echo lives"), "lives");
    user.ok("stop -t 0 box");
    user.ok("rm box");
    assert!(user.keeper() != keeper);
}

#[test]
fn a_monitor_that_was_killed_is_recovered_from() {
    let Some(user) = User::with_ids() else { return };
    user.ok("run -d --name box --network none -u bob bb sleep 600");
    let pid: u32 = user.ok("inspect -f '{{.State.Pid}}' box").parse().unwrap();
    let [monitor] = *user.monitors() else { panic!("one monitor") };
    kill(monitor, "KILL");
    eventually("the monitor has gone", || user.monitors().is_empty());
    assert_eq!(user.ok("ps -a --format '{{.State}}'"), "exited");
    eventually("its process has gone", || !is_there(pid));
    user.ok("rm box");
}

#[test]
fn without_namespaces_there_are_images_and_no_containers() {
    let Some(user) = User::without_namespaces() else { return };
    assert_eq!(user.ok("info -f '{{.Driver}}'"), "vfs");
    assert!(user.ok("image files bb").contains("/bin/busybox"));
    let run = user.run(&format!("{RUN} bb true"));
    run.complains(125, "containers of an ordinary user need a namespace of users");
    assert!(run.err.contains("hint: user.max_user_namespaces"), "{run}");
}

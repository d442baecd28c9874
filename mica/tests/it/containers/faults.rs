//! What is left when somebody is killed, and when many come at once.

use super::support::{Root, eventually, groups, kill};

#[test]
fn containers_outlive_the_command_that_started_them() {
    let Some(root) = Root::new() else { return };
    let mut command = root.command("run --name lives --network none bb sleep 600");
    let mut child = command.spawn().unwrap();
    eventually("it runs", || root.run("exec lives true").code == 0);
    child.kill().unwrap();
    child.wait().unwrap();
    root.run("exec lives echo here").prints("here\n");
}

#[test]
fn a_killed_monitor_is_noticed_and_cleaned_up_after() {
    let Some(root) = Root::new() else { return };
    let id = root.sleeper("lost", "");
    let pid = root.state(&id)["process"]["pid"].as_u64().unwrap();
    let [monitor] = root.monitors()[..] else { panic!("{:?}", root.monitors()) };
    kill(monitor, "KILL");
    eventually("the monitor has gone", || root.monitors().is_empty());
    assert_eq!(root.ok("wait lost"), "137");
    let state = root.state(&id);
    assert_eq!(
        (state["status"].as_str(), state["exit_code"].as_i64()),
        (Some("exited"), Some(137))
    );
    let gone = || !std::path::Path::new(&format!("/proc/{pid}/root/bin/sleep")).exists();
    eventually("its process has gone", gone);
    assert_eq!(groups(&id), Vec::<std::path::PathBuf>::new());
    root.run("start lost").prints("lost\n");
    root.run("exec lost echo back").prints("back\n");
}

#[test]
fn twenty_at_once_leave_nothing() {
    let Some(root) = Root::new() else { return };
    let start = |number: i32| {
        let cid = root.path(format!("cid{number}"));
        let line = format!("run --rm --network none --cidfile {} bb sh -c", cid.display());
        root.command(&line).arg(format!("exit {number}")).spawn().unwrap()
    };
    let children = (0..20).map(start).collect::<Vec<_>>();
    for (number, mut child) in children.into_iter().enumerate() {
        assert_eq!(child.wait().unwrap().code(), Some(number as i32));
    }
    let id = |number| std::fs::read_to_string(root.path(format!("cid{number}"))).unwrap();
    root.must_be_clean(&(0..20).map(id).collect::<Vec<_>>());
}

//! What is left when somebody is killed, and when many come at once.

use std::time::{Duration, Instant};

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

#[test]
fn a_container_ends_at_once_whatever_runs_in_it_beside() {
    let Some(root) = Root::new() else { return };
    for round in 0..5 {
        let name = format!("busy{round}");
        // A check that begins in every millisecond is being born when the container dies.
        let checks = "--health-cmd true --health-interval 1ms";
        root.sleeper(&name, checks);
        root.sleeper(&format!("joins{round}"), &format!("--pid container:{name} {checks}"));
        root.ok(&format!("exec -d {name} sleep 600"));
        root.ok(&format!("exec -d joins{round} sleep 600"));
        let begun = Instant::now();
        root.ok(&format!("stop -t 0 {name}"));
        assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
        root.ok(&format!("wait joins{round}"));
    }
}

#[test]
fn a_monitor_rests() {
    let Some(root) = Root::new() else { return };
    root.sleeper("rests", "");
    let [monitor] = root.monitors()[..] else { panic!("{:?}", root.monitors()) };
    // User and system time, in hundredths of a second: fields 14 and 15.
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{monitor}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields = fields.split_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_millis(700));
    assert!(ticks() - before <= 2, "{} ticks for nothing", ticks() - before);
}

#[test]
fn a_monitor_that_rests_is_small() {
    let Some(root) = Root::new() else { return };
    root.sleeper("rests", "");
    let [monitor] = root.monitors()[..] else { panic!("{:?}", root.monitors()) };
    let resident = || {
        let text = std::fs::read_to_string(format!("/proc/{monitor}/status")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim_end_matches("kB").trim().parse::<u64>().unwrap()
    };
    // Without optimisation, and with the libraries that it then has, the program's own data alone is
    // as much; what it begins with is ten times that.
    let most = if cfg!(debug_assertions) { 12 << 10 } else { 3 << 10 };
    eventually("it is small", || resident() < most);
    root.ok("exec rests true");
    eventually("it is small again", || resident() < most);
}

#[test]
fn who_was_promised_a_word_and_hears_none_writes_that_it_was_made() {
    let Some(root) = Root::new() else { return };
    let id = root.ok("create --name box --network none bb true");
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(ours);
    let own = root.command(&format!("__watch {id} told"));
    let mut command = root.program("sh");
    command.args(["-c", "exec 3<&0 </dev/null; exec \"$0\" \"$@\""]);
    command.arg(own.get_program()).args(own.get_args()).stdin(std::os::fd::OwnedFd::from(theirs));
    assert!(command.status().unwrap().success());
    let created = root.events("-f event=create --format '{{.ID}}'");
    assert_eq!(created.lines().collect::<Vec<_>>(), [&id, &id], "by `create`, and by the monitor");
    assert_eq!(root.ok("inspect -f '{{.State.Status}}' box"), "created");
}

#[test]
fn any_command_finds_a_killed_monitor() {
    let Some(root) = Root::new() else { return };
    let lost = |name: &str, options: &str| {
        let id = root.ok(&format!("run -d --name {name} {options} bb sleep 600"));
        let [monitor] = root.monitors()[..] else { panic!("{:?}", root.monitors()) };
        kill(monitor, "KILL");
        // Its memory goes before its locks: only then it is gone as a whole.
        let process = format!("/proc/{monitor}");
        eventually("the monitor has gone", || !std::path::Path::new(&process).exists());
        id
    };
    for (line, words) in [
        ("ps -a --format '{{.Status}}' -f name=c0", "Exited (137)"),
        ("inspect -f '{{.State.Status}} {{.State.ExitCode}}' c1", "exited 137"),
        ("exec c2 true", "is not running"),
        ("network connect one c3", ""),
        ("logs c4", ""),
        ("cp c5:/etc/passwd -", "root:x:0"),
        ("container prune -f", "Deleted Containers"),
        ("rm c7", "c7"),
    ] {
        let at = root.containers().len();
        if at == 0 {
            root.run("network create one");
        }
        let name = line.split(['c', ':', ' ']).find_map(|word| word.parse::<u8>().ok());
        let name = format!("c{}", name.unwrap_or(6));
        let id = lost(&name, "--ipc shareable -p 127.0.0.1::80");
        let said = root.run(line);
        assert!(format!("{said}").contains(words), "{said}");
        root.run(&format!("rm {name}"));
        assert_eq!(groups(&id), Vec::<std::path::PathBuf>::new(), "{line}");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&id), "{line}: a mount is left");
    }
    let id = lost("gone", "--rm --network none");
    root.run("ps -aq").prints("");
    root.ok("network prune -f");
    root.must_be_clean(&[id]);
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let Some(root) = Root::new() else { return };
    root.sleeper("taken", "");
    for options in
        ["-v fresh:/a --name taken", "-v fresh:/a -v other:/a", "-v /anonymous --name taken"]
    {
        assert_ne!(root.run(&format!("create --network none {options} bb true")).code, 0);
        root.run("volume ls -q").prints("");
        assert_eq!(root.containers().len(), 1);
    }
}

//! Containers run by another OCI runtime: runc, crun, and this program under a runtime's name.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::support::{Root, eventually, kill};
use crate::support::Run;

/// A root whose settings name a runtime `other`, which is also the default; counted as skipped
/// without it.
fn root_with(program: &str) -> Option<Root> {
    let root = Root::new()?;
    let path = match program {
        "mica-runtime" => {
            let link = root.path(program);
            symlink(env!("CARGO_BIN_EXE_mica"), &link).unwrap();
            link
        }
        name => match installed(name) {
            Some(path) => path,
            None => {
                testkit::skip(format!("needs {name}"));
                return None;
            }
        },
    };
    let text = format!(
        "default-runtime = 'other'\n[runtimes.other]\npath = '{}'\nargs = ['--debug']\n",
        path.display()
    );
    root.file("config.toml", text);
    Some(root)
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.exists())
}

/// A command with those settings.
fn other(root: &Root, line: &str) -> Run {
    root.run(&format!("--config config.toml {line}"))
}

#[track_caller]
fn prints(root: &Root, line: &str) -> String {
    let run = other(root, line);
    assert!(run.code == 0 && run.err.is_empty(), "{run}");
    run.out.trim_end().to_owned()
}

fn in_the_foreground(program: &str) {
    let Some(root) = root_with(program) else { return };
    let run = other(&root, "run --rm --network none bb sh -c 'echo out; echo err >&2; exit 7'");
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (7, "out\n", "err\n"));
    let run = root.run_with("--config config.toml run --rm -i --network none bb cat", b"through");
    assert_eq!((run.code, run.out.as_str()), (0, "through"), "{run}");
    let line = "--config config.toml run --rm -it --network none bb sh -c 'tty; stty size; exit 3'";
    if let Some((text, code)) = root.on_terminal(77, line) {
        assert_eq!((text.replace("^@", "").as_str(), code), ("/dev/pts/0\n40 77\n", 3));
    }
    let run = other(&root, "run --rm --network none bb nothing");
    assert_eq!(run.code, 127, "{run}");
    let run = other(&root, "run --rm --network none bb /etc/passwd");
    assert_eq!(run.code, 126, "{run}");
    let id = prints(&root, "run --rm --network none bb cat /proc/self/cgroup");
    assert!(id.contains("/mica/"), "{id}");
    let limits = prints(
        &root,
        "run --rm --network none --pids-limit 33 -h other -u bob -w /tmp -e A=7 bb sh -c 'id -u; hostname; pwd; echo $A'",
    );
    assert_eq!(limits, "1000\nother\n/tmp\n7");
    prints(&root, "volume create data");
    prints(
        &root,
        "run --rm --network none -v data:/x bb sh -c 'mkdir /x/sub; echo deep > /x/sub/f'",
    );
    let part = "type=volume,src=data,dst=/y,volume-subpath=sub";
    let read = prints(&root, &format!("run --rm --network none --mount {part} bb cat /y/f"));
    assert_eq!(read, "deep");
    let image = "type=image,src=bb,dst=/image";
    let read =
        prints(&root, &format!("run --rm --network none --mount {image} bb ls /image/filled"));
    assert_eq!(read, "from-image");
    root.must_be_clean(&[]);
}

/// An init is this program, which as it is built for tests needs libraries of the host.
fn with_an_init(program: &str) {
    let Some(root) = root_with(program) else { return };
    let line = "run --rm --init --network none -v /lib:/lib:ro -v /lib64:/lib64:ro bb";
    let run = |script: &str| other(&root, &format!("{line} {script}"));
    let script =
        "sh -c '(sleep 0.01 &) ; sleep 0.2; cat /proc/1/comm; ps -o stat | grep -c Z; exit 5'";
    let said = run(script);
    assert_eq!((said.code, said.out.as_str()), (5, "mica-init\n0\n"), "{said}");
    assert_eq!(run("sh -c 'kill -9 $$'").code, 137);
    let said = run("nothing");
    assert!(said.code == 127 && said.err.contains("exec nothing failed"), "{said}");
    let said = run("sh -c 'echo x > /sbin/docker-init'");
    assert!(said.err.contains("Read-only file system"), "{said}");
    let script = "trap \"exit 9\" TERM; echo ready; while :; do sleep 0.02; done";
    let line = line.replace("--rm", "-d --name told");
    prints(&root, &format!("{line} sh -c '{script}'"));
    eventually("the trap is set", || root.run("logs told").out == "ready\n");
    root.ok("stop told");
    assert_eq!(root.ok("wait told"), "9");
    root.ok("rm told");
    root.must_be_clean(&[]);
}

#[test]
fn runc_gives_an_init() {
    with_an_init("runc");
}

#[test]
fn this_program_as_a_runtime_gives_an_init() {
    with_an_init("mica-runtime");
}

fn in_the_background(program: &str) {
    let Some(root) = root_with(program) else { return };
    let script = "trap \"exit 9\" TERM; echo ready; while :; do sleep 0.05; done";
    let line = format!("run -d --name one --network none bb sh -c '{script}'");
    let id = prints(&root, &line);
    eventually("the trap is set", || root.run("logs one").out == "ready\n");
    // Whoever comes later need not know these settings.
    assert_eq!(root.ok("inspect -f '{{.HostConfig.Runtime}}' one"), "other");
    let run = root.run("exec -u bob -e A=7 one sh -c 'id -u; echo $A; exit 4'");
    assert_eq!((run.code, run.out.as_str()), (4, "1000\n7\n"), "{run}");
    let run = root.run_with("exec -i one cat", b"through");
    assert_eq!((run.code, run.out.as_str()), (0, "through"), "{run}");
    assert_eq!(root.run("exec one nothing").code, 127);
    if let Some((text, code)) = root.on_terminal(66, "exec -it one sh -c 'tty; exit 5'") {
        assert_eq!((text.replace("^@", "").as_str(), code), ("/dev/pts/0\n", 5));
    }
    root.ok("pause one");
    assert_eq!(root.ok("inspect -f '{{.State.Status}}' one"), "paused");
    root.ok("unpause one");
    root.ok("update --pids-limit 44 one");
    let pids = root.ok("exec one cat /sys/fs/cgroup/pids/pids.max");
    assert!(pids == "44" || pids.is_empty(), "{pids}");
    assert!(root.ok("top one -o pid,comm").contains("sh"));
    root.ok("stop one");
    assert_eq!(root.ok("wait one"), "9");
    root.ok("start one");
    assert_eq!(root.ok("inspect -f '{{.State.Running}}' one"), "true");
    root.ok("kill one");
    assert_eq!(root.ok("wait one"), "137");
    root.ok("rm one");
    root.must_be_clean(&[id]);
}

fn without_its_monitor(program: &str) {
    let Some(root) = root_with(program) else { return };
    let id = prints(&root, "run -d --name one --network none bb sleep 600");
    let pid: i32 = root.ok("inspect -f '{{.State.Pid}}' one").parse().unwrap();
    for monitor in root.monitors() {
        kill(monitor, "KILL");
    }
    eventually("it is known", || {
        root.ok("ps -a --format '{{.Status}}'").starts_with("Exited (137)")
    });
    assert_eq!(sys::watched::started(pid).unwrap(), None, "it runs on");
    root.ok("start one");
    root.ok("rm -f one");
    root.must_be_clean(&[id]);
}

#[test]
fn runc_runs_in_the_foreground() {
    in_the_foreground("runc");
}

#[test]
fn runc_runs_in_the_background() {
    in_the_background("runc");
}

#[test]
fn runc_is_ended_without_its_monitor() {
    without_its_monitor("runc");
}

#[test]
fn this_program_as_a_runtime_runs_in_the_foreground() {
    in_the_foreground("mica-runtime");
}

#[test]
fn this_program_as_a_runtime_runs_in_the_background() {
    in_the_background("mica-runtime");
}

#[test]
fn this_program_as_a_runtime_is_ended_without_its_monitor() {
    without_its_monitor("mica-runtime");
}

#[test]
fn a_runtime_is_found_by_name_and_by_path_and_has_networks() {
    let Some(root) = Root::new() else { return };
    let Some(runc) = installed("runc") else { return testkit::skip("needs runc") };
    let script = "ip -4 addr show eth0 | grep -c inet; cat /etc/hostname";
    let path = runc.display();
    let line = format!("run --rm --runtime {path} -h told bb sh -c '{script}'");
    assert_eq!(root.ok(&line), "1\ntold");
    let run = root.command("run --rm --runtime runc --network none bb true").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let info = root.json("info -f json");
    assert_eq!(info["DefaultRuntime"], "mica");
    assert_eq!(info["Runtimes"]["mica"]["path"], "mica");
    assert_eq!(info["Runtimes"]["runc"]["path"], path.to_string());
    root.file("config.toml", "default-runtime = 'quick'\n[runtimes.quick]\npath = '/bin/true'\n");
    let info = other(&root, "info").out;
    assert!(info.contains("Default Runtime: quick\n"), "{info}");
    assert!(info.contains(" quick "), "{info}");
    root.must_be_clean(&[]);
}

/// crun takes a host's groups for version 2 where that tree is mounted at all, so it is shown a
/// host that has only the older ones.
#[test]
fn crun_runs_where_it_can() {
    let Some(root) = Root::new() else { return };
    if installed("crun").is_none() {
        return testkit::skip("needs crun");
    }
    let mica = env!("CARGO_BIN_EXE_mica");
    let run = |line: &str| {
        let hide = "umount /sys/fs/cgroup/unified 2> /dev/null; exec";
        let script = format!("{hide} {mica} {line}");
        let mut command: Command = root.program("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let line = "run --rm --runtime crun --network none bb sh -c 'echo from crun; exit 6'";
    assert_eq!(run(line), (Some(6), "from crun\n".to_owned()));
    assert_eq!(run("run --rm --runtime crun --network none bb nothing").0, Some(127));
}

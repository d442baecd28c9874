//! What the flags of `run` set, seen from inside.

use super::support::{Root, eventually};

#[test]
fn the_environment() {
    let Some(root) = Root::new() else { return };
    root.file("list", "# a comment\nFROM=file\nTWICE=file\n");
    let run = root
        .sh("--env-file list -e TWICE=flag -h box", "echo $FROM $TWICE $HOSTNAME $HOME; hostname");
    run.prints("file flag box /root\nbox\n");
}

#[test]
fn users_and_folders() {
    let Some(root) = Root::new() else { return };
    assert_eq!(
        root.prints("-u bob", "id; echo $HOME"),
        "uid=1000(bob) gid=1001(bob) groups=50(staff),1001(bob)\n/home/bob"
    );
    assert_eq!(root.prints("-u 7:8", "id -u; id -g; echo $HOME"), "7\n8\n/");
    assert_eq!(root.prints("-u bob:staff --group-add 99", "id -G"), "50 99");
    assert_eq!(root.prints("-w /made/here", "pwd"), "/made/here");
}

#[test]
fn another_runtime_is_refused_and_leaves_nothing() {
    let Some(root) = Root::new() else { return };
    for line in ["run --rm --runtime moon bb true", "create --runtime /nothing bb"] {
        let run = root.run(line);
        assert!(run.code != 0 && run.err.contains("unknown or invalid runtime name: "), "{run}");
        assert!(run.err.contains("`mica info` names the runtimes"), "{run}");
    }
    assert_eq!(root.containers(), Vec::<String>::new());
    assert_eq!(root.prints("--runtime mica", "echo ours"), "ours");
}

#[test]
fn the_entrypoint() {
    let Some(root) = Root::new() else { return };
    root.run("run --rm --network none --entrypoint echo bb said").prints("said\n");
}

#[test]
fn limits_reach_the_groups() {
    let Some(root) = Root::new() else { return };
    let options = "-m 64m --pids-limit 50 --cpus 0.5 --cpu-shares 512 --ulimit nofile=100:200";
    let script = "cd /sys/fs/cgroup; ulimit -n; ulimit -Hn; \
        cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares || \
        cat memory.max pids.max cpu.max cpu.weight";
    let said = root.prints(options, script);
    assert!(said.starts_with("100\n200\n67108864\n50\n50000"), "{said}");
}

#[test]
fn as_many_files_can_be_open_as_for_whoever_starts_it() {
    let Some(root) = Root::new() else { return };
    let command = root.command("run -d --network none --name box bb sh -c");
    let mut limited = root.program("sh");
    limited.args(["-c", "ulimit -Sn 321; exec \"$0\" \"$@\""]);
    limited.arg(command.get_program()).args(command.get_args());
    // The monitor may have more for itself.
    let output = limited.arg("ulimit -n; exec sleep 60").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eventually("it has said how many", || root.run("logs box").out == "321\n");
    root.ok("exec box sh -c 'test $(ulimit -n) = 321'");
    root.ok("rm -f box");
}

#[test]
fn capabilities_are_those_of_docker() {
    let Some(root) = Root::new() else { return };
    let effective = |options: &str| root.prints(options, "grep CapEff /proc/self/status");
    assert_eq!(effective(""), "CapEff:\t00000000a80425fb");
    assert_eq!(effective("--cap-drop ALL"), "CapEff:\t0000000000000000");
    assert_eq!(effective("--cap-drop ALL --cap-add CHOWN"), "CapEff:\t0000000000000001");
    assert_eq!(effective("--cap-add SYS_ADMIN"), "CapEff:\t00000000a82425fb");
    assert_eq!(effective("-u bob"), "CapEff:\t0000000000000000");
    let all = root.prints("--privileged", "grep CapEff /proc/self/status");
    assert_eq!(root.prints("--cap-add ALL", "grep CapEff /proc/self/status"), all);
}

#[test]
fn new_privileges_can_be_refused() {
    let Some(root) = Root::new() else { return };
    let said = root.prints("--security-opt no-new-privileges", "grep NoNewPrivs /proc/self/status");
    assert_eq!(said, "NoNewPrivs:\t1");
}

#[test]
fn namespaces_are_shared_where_asked() {
    let Some(root) = Root::new() else { return };
    root.sleeper("other", "");
    for kind in ["pid", "net"] {
        let flag = if kind == "net" { "network" } else { kind };
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        let look = format!("readlink /proc/self/ns/{kind}");
        let theirs = root.ok(&format!("exec other {look}"));
        let line = format!("run --rm --{flag} container:other bb {look}");
        assert_eq!(root.ok(&line), theirs);
        let line = format!("run --rm --{flag} host bb {look}");
        assert_eq!(root.ok(&line), host.to_string_lossy());
        assert_ne!(theirs, host.to_string_lossy());
    }
    for kind in ["uts", "ipc"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        let said =
            root.prints(&format!("--{kind} host"), &format!("readlink /proc/self/ns/{kind}"));
        assert_eq!(said, host.to_string_lossy());
    }
}

#[test]
fn an_init_reaps() {
    let Some(root) = Root::new() else { return };
    let script = "sh -c \"sleep 0.02 & exit\"; sleep 0.3; ps -o stat,comm; exit 5";
    let run = root.sh("--init", script);
    assert!(run.out.contains("init") && !run.out.contains('Z') && run.code == 5, "{run}");
}

#[test]
fn shared_memory_is_shared_by_those_who_ask() {
    let Some(root) = Root::new() else { return };
    root.sleeper("donor", "--ipc shareable --shm-size 1m");
    root.prints("--ipc container:donor", "echo shared > /dev/shm/file");
    root.run("exec donor cat /dev/shm/file").prints("shared\n");
    assert_eq!(
        root.prints(
            "--ipc container:donor",
            "df -k /dev/shm | tail -1 | tr -s \" \" | cut -d\" \" -f2"
        ),
        "1024"
    );
    let queues = "readlink /proc/self/ns/ipc";
    assert_eq!(
        root.prints("--ipc container:donor", queues),
        root.ok(&format!("exec donor {queues}"))
    );
    root.sleeper("alone", "");
    root.sh("--ipc container:alone", "true").complains(125, "non-shareable IPC");
    root.run("exec alone ls /dev/shm").prints("");
    assert_eq!(root.prints("--ipc none", "test -e /dev/shm || echo none"), "none");
    let host = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    assert_eq!(root.prints("--ipc host", queues), host.display().to_string());
    root.ok("rm -f donor");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let run = root.root().with_file_name("run").display().to_string();
    assert!(!mounts.lines().any(|line| line.contains(&run) && line.contains("/shm ")), "{mounts}");
}

#[test]
fn a_first_process_of_ours_takes_in_orphans_and_hands_signals_on() {
    let Some(root) = Root::new() else { return };
    assert_eq!(root.sh("--init", "exit 7").code, 7);
    assert_eq!(root.sh("--init", "kill -9 $$").code, 137);
    assert_eq!(
        root.prints("--init", "cat /proc/1/comm; echo $$").lines().next(),
        Some("mica-init")
    );
    // The middle process ends first; a program that waits for nobody leaves its child a zombie.
    for (name, options, left) in [("reaped", "--init", ""), ("left", "", "Z (zombie)\n")] {
        let line = format!("run -d {options} --name {name} --network none bb sh -c");
        let script = "(sh -c '(sleep 0.05; : > /ended) & exec true'); exec sleep 600";
        assert!(root.command(&line).arg(script).output().unwrap().status.success());
        let said = |script: &str| {
            let mut exec = root.command(&format!("exec {name} sh -c"));
            String::from_utf8(exec.arg(script).output().unwrap().stdout).unwrap()
        };
        super::support::eventually("the orphan ends", || said("ls /ended") == "/ended\n");
        std::thread::sleep(std::time::Duration::from_millis(200));
        let zombies = "grep -h State:.Z /proc/[0-9]*/status | cut -f2";
        super::support::eventually(name, || said(zombies) == left);
    }
    let script = "trap \"exit 9\" TERM; echo ready; while :; do sleep 0.02; done";
    let line = "run -d --init --name told --network none bb sh -c";
    assert!(root.command(line).arg(script).output().unwrap().status.success());
    super::support::eventually("the trap is set", || root.run("logs told").out == "ready\n");
    root.ok("stop told");
    assert_eq!(root.ok("wait told"), "9");
}

#[test]
fn what_a_log_is_tagged_with() {
    let Some(root) = Root::new() else { return };
    let id = root.ok("create --name web --log-opt tag={{.ImageName}}/{{.Name}}/{{.ID}} bb echo hi");
    root.ok("start -a web");
    let log = root.root().join("containers").join(&id).join(format!("{id}-json.log"));
    let line: serde_json::Value = serde_json::from_slice(&std::fs::read(log).unwrap()).unwrap();
    assert_eq!(line["attrs"]["tag"], format!("bb/web/{}", &id[..12]));
    let run = root.run("run --rm --network none --log-opt tag={{.Moon}} bb true");
    run.complains(125, "there is no marker {{.Moon}}");
    root.run("create --log-driver moon bb").complains(1, "no log driver named 'moon'");
}

#[test]
fn what_the_storage_cannot_do_is_refused() {
    let Some(root) = Root::new() else { return };
    let run = root.run("run --rm --storage-opt size=1G bb true");
    run.complains(125, "supported only for overlay over xfs with 'pquota' mount option");
}

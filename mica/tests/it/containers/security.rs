//! What a container without further rights must be refused.

use std::path::Path;

use serde_json::json;
use testkit::Layer;

use super::support::Root;
use crate::support::Image;

#[test]
fn the_kernel_cannot_be_touched() {
    let Some(root) = Root::new() else { return };
    for script in [
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /proc/sys",
        "umount /proc/sys",
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "mkdir /sys/fs/cgroup/memory/out",
        "echo 1 > /sys/kernel/mm/ksm/run",
        "mknod /disk b 7 0 && head -c 1 /disk",
        "head -c 1 /proc/kcore | grep .",
        "cat /proc/keys | grep .",
        "ls -A /sys/firmware | grep .",
        "ls -A /proc/acpi | grep .",
        "chroot /proc/1/root/.. unshare -m true",
        "unshare -m true",
        "hostname other",
        "date -s 2000-01-01 2>&1 | grep -v -e permitted -e UTC",
        "insmod /bin/busybox",
        "ip link add name extra type dummy",
    ] {
        let run = root.sh("", script);
        assert_ne!(run.code, 0, "{run}");
    }
}

#[test]
fn each_container_has_groups_of_its_own_in_all_trees() {
    let Some(root) = Root::new() else { return };
    // What one may be given later, as by `exec --privileged`, must not be another's.
    for name in ["one", "two"] {
        let id = root.sleeper(name, "");
        let pid = root.state(&id)["process"]["pid"].to_string();
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let all = ["blkio", "cpu", "cpuset", "devices", "freezer", "memory", "pids"];
        let has =
            |line: &str| line.split(':').nth(1).unwrap().split(',').any(|one| all.contains(&one));
        let version1 = text.lines().filter(|line| has(line)).collect::<Vec<_>>();
        let lines = if version1.is_empty() { text.lines().collect() } else { version1 };
        for line in lines {
            let (above, own) = line.rsplit_once('/').unwrap();
            assert_eq!(own, id, "{line}");
            // What that one has nobody in a container can change, who sees his own alone.
            let is_shared = line.split(':').nth(1) == Some("devices")
                && above.rsplit_once("/mica/devices=").is_some_and(|(_, rules)| rules.len() == 12);
            assert!(is_shared || above.ends_with("/mica"), "{line}");
        }
    }
}

#[test]
fn rules_of_devices_are_each_containers_own() {
    let Some(root) = Root::new() else { return };
    if !std::path::Path::new("/sys/fs/cgroup/devices/devices.allow").exists() {
        testkit::skip("needs a tree of version 1 that has rules of devices");
        return;
    }
    for (name, flags) in [("one", ""), ("two", ""), ("other", "--device-cgroup-rule 'c 1:1 r'")] {
        root.sleeper(name, flags);
    }
    let list =
        |name: &str| root.ok(&format!("exec {name} cat /sys/fs/cgroup/devices/devices.list"));
    let (usual, wider) = (list("two"), list("other"));
    assert!(usual.contains("c 1:3 rwm") && !usual.contains("a *:*"), "{usual}");
    assert_eq!(list("one"), usual);
    assert_eq!(wider.trim_end(), format!("{}\nc 1:1 r", usual.trim_end()));
    // With all powers what one has can be changed by hand, for itself and for less than it began with.
    let groups = "mkdir /tmp/d; mount -t cgroup -o devices devices /tmp/d; \
                  cd /tmp/d$(grep :devices: /proc/self/cgroup | cut -d: -f3)";
    root.ok(&format!("exec --privileged one sh -c '{groups}; echo c 1:3 rwm > devices.deny'"));
    let more =
        root.run(&format!("exec --privileged one sh -c '{groups}; echo b *:* r > devices.allow'"));
    assert_ne!(more.code, 0, "{more}");
    assert!(!list("one").contains("c 1:3 rwm") && !list("one").contains("b *:* r"));
    assert_eq!((list("two"), list("other")), (usual, wider));
}

#[test]
fn who_takes_a_place_of_groups_away_stops_nobody() {
    let Some(root) = Root::new() else { return };
    let tree = Path::new("/sys/fs/cgroup/pids/cgroup.procs");
    if !tree.exists() {
        testkit::skip("needs trees of groups of version 1");
        return;
    }
    root.sleeper("one", "");
    let seen = || root.prints("", "head -n 1 /sys/fs/cgroup/pids/tasks; ls -d /sys/fs/cgroup/cpu");
    assert_eq!(seen(), "1\n/sys/fs/cgroup/cpu");
    let change = |script: &str| {
        let within = "mount -o remount,rw /sys/fs/cgroup; cd /sys/fs/cgroup";
        root.ok(&format!("exec --privileged one sh -c '{within}; {script}'"))
    };
    change("umount pids && mv pids moved");
    assert_eq!(seen(), "1\n/sys/fs/cgroup/cpu");
    change("rmdir moved");
    assert_eq!(seen(), "1\n/sys/fs/cgroup/cpu");
}

#[test]
fn a_tree_of_groups_that_is_not_shown_is_bound_where_others_are() {
    let Some(root) = Root::new() else { return };
    let tree = "/sys/fs/cgroup/systemd";
    if !Path::new(tree).join("cgroup.procs").exists() {
        testkit::skip("needs the tree of groups name=systemd");
        return;
    }
    let script = format!("ls {tree}/cgroup.procs /sys/fs/cgroup/pids/cgroup.procs");
    let said = root.prints(&format!("-v {tree}:{tree}"), &script);
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn no_descriptor_leaks_in() {
    let Some(root) = Root::new() else { return };
    root.sleeper("other", "");
    // The fourth is the folder that is being listed.
    root.sh("", "cd /proc/self/fd; echo *").prints("0 1 2 3\n");
    root.run("exec other sh -c 'cd /proc/self/fd; echo *'").prints("0 1 2 3\n");
    for number in 3..12 {
        for folder in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/..")] {
            let run =
                root.run(&format!("run --rm --network none -w {folder} bb ls /root/../dev/shm"));
            assert_ne!(run.code, 0, "{run}");
            let run = root.run(&format!("exec -w {folder} other pwd"));
            assert_ne!(run.code, 0, "{run}");
        }
    }
}

#[test]
fn our_own_program_cannot_be_overwritten() {
    let Some(root) = Root::new() else { return };
    root.sleeper("other", "");
    let before = std::fs::metadata(env!("CARGO_BIN_EXE_mica")).unwrap();
    // Whoever joins is caught through the first process's view and by naming our own program.
    let run = root.run("exec other /proc/self/exe");
    assert_ne!(run.code, 0, "{run}");
    let run = root.sh("", "for pid in /proc/[0-9]*; do echo hurt >> $pid/exe; done");
    assert!(!run.out.contains("mica"), "{run}");
    let after = std::fs::metadata(env!("CARGO_BIN_EXE_mica")).unwrap();
    assert_eq!(
        (before.len(), before.modified().unwrap()),
        (after.len(), after.modified().unwrap())
    );
}

#[test]
fn links_in_an_image_do_not_lead_mounts_out() {
    let Some(root) = Root::new() else { return };
    let secret = root.file("host/secret", "untouched\n");
    let out = secret.parent().unwrap().display().to_string();
    let hostile =
        Layer::new().link("data", format!("/../../../..{out}")).link("up", "../../../../../../etc");
    let image = Image::new(&["hostile:latest"])
        .layer(super::support::base().unwrap(), "base")
        .layer(hostile, "links")
        .config("Volumes", json!({ "/data": {} }));
    root.load(&image);
    let line = "run --rm --network none --tmpfs /up --tmpfs /data/deep hostile";
    let run =
        root.run(&format!("{line} sh -c 'echo new > /data/new; echo new > /up/new; ls /etc'"));
    assert!(run.out.contains("new"), "{run}");
    let names = std::fs::read_dir(root.path("host")).unwrap().flatten();
    let names = names.map(|entry| entry.file_name()).collect::<Vec<_>>();
    assert_eq!(names, ["secret"], "nothing was made outside");
    assert!(!std::path::Path::new("/etc/new").exists());
}

//! What a container must not be able to do.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::bundle;

/// Runs each script in one container like docker's; all must fail.
#[test]
fn a_container_as_docker_makes_it_refuses() {
    let bundle = bundle!();
    let mut bundle = bundle.docker_like();
    let attempts = [
        "mount -t tmpfs none /bin",
        "mount --bind /proc /bin",
        "umount /proc/keys",
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "echo x > /sys/kernel/mm/ksm/run",
        "echo core > /proc/sys/kernel/core_pattern",
        "mkdir /sys/fs/cgroup/pids/x",
        "echo 1 > /sys/fs/cgroup/devices/devices.allow",
        "mknod /d b 254 0 && dd if=/d of=/dev/null bs=1 count=1",
        "mknod /m c 1 1 && dd if=/m of=/dev/null bs=1 count=1",
        "hostname other",
        "test -s /proc/keys",
        "test -s /proc/timer_list",
        "ls /sys/firmware/* /proc/acpi/*",
        "cat /proc/kcore | head -c 1 | grep -q .",
    ];
    let script: Vec<_> = attempts
        .iter()
        .enumerate()
        .map(|(number, attempt)| format!("( {attempt} ) >/dev/null 2>&1 && echo {number}; "))
        .collect();
    let run = bundle.script(&format!("{} echo end", script.concat()));
    assert_eq!(run.out, "end\n", "these attempts succeeded; {}", run.err);
}

#[test]
fn powers_are_dockers() {
    let bundle = bundle!();
    let run = bundle.docker_like().script("grep -E 'Cap|Seccomp:|NoNew' /proc/self/status");
    let words: Vec<_> = run.out.split_whitespace().collect();
    let set = "00000000a80425fb";
    let none = "0000000000000000";
    let wanted = [
        "CapInh:",
        none,
        "CapPrm:",
        set,
        "CapEff:",
        set,
        "CapBnd:",
        set,
        "CapAmb:",
        none,
        "NoNewPrivs:",
        "0",
        "Seccomp:",
        "2",
    ];
    assert_eq!(words, wanted, "{}", run.err);
}

#[test]
fn nothing_of_the_host_is_left_open() {
    let mut bundle = bundle!();
    // The folder's own descriptor is the fourth.
    let run = bundle.script("ls /proc/self/fd | wc -l");
    assert_eq!(run.out.trim(), "4");
    // A working folder through a descriptor that a runtime has left open (CVE-2024-21626).
    for number in 3..12 {
        bundle.config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let run = bundle.script("ls ..");
        assert_ne!(run.code, 0, "descriptor {number}: {}", run.out);
    }
}

#[test]
fn nothing_of_the_host_is_open_while_the_program_waits() {
    let mut bundle = bundle!();
    bundle.config["process"]["args"] = json!(["true"]);
    bundle.write_config();
    assert_eq!(bundle.runtime("create --pid-file pid ID").code, 0);
    let pid = fs::read_to_string(bundle.mica.path("pid")).unwrap();
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    for link in links.filter(|link| link.file_name().to_str().unwrap().parse::<u32>().unwrap() > 2)
    {
        let target = fs::read_link(link.path()).unwrap();
        let target = target.to_str().unwrap();
        let own = target.starts_with("socket:")
            || target.contains("/tasks")
            || target == "/"
            || target == "/dev/null"
            || target == "/proc";
        assert!(own, "{} is {target}", link.path().display());
    }
}

#[test]
fn mounts_stay_inside_whatever_links_say() {
    let bundle = bundle!();
    let outside = bundle.mica.path("outside");
    fs::create_dir(&outside).unwrap();
    let up = format!("{}{}", "../".repeat(20), outside.strip_prefix("/").unwrap().display());
    symlink(&up, bundle.inside("relative")).unwrap();
    symlink(&outside, bundle.inside("absolute")).unwrap();
    let mut bundle = bundle.with(|config| {
        config["root"]["readonly"] = json!(false);
        for place in ["/relative/x", "/absolute/y"] {
            config["mounts"].as_array_mut().unwrap().push(json!({
                "destination": place, "type": "tmpfs", "source": "tmpfs", "options": []
            }));
        }
    });
    let run = bundle.script("grep -c outside /proc/self/mounts");
    assert_eq!(run.out.trim(), "2", "{}", run.err);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "it was made on the host");
}

#[test]
fn what_masks_is_not_the_images() {
    let bundle = bundle!();
    // The image's null device is a link to what is to be hidden, and to be written (2025).
    fs::create_dir(bundle.inside("dev")).unwrap();
    symlink("/proc/sys/kernel/core_pattern", bundle.inside("dev/null")).unwrap();
    let mut bundle = bundle.with(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
        config["root"]["readonly"] = json!(false);
    });
    let run = bundle.script("true");
    assert_ne!(run.code, 0, "a device that is something else is refused");
    assert!(run.err.contains("/dev/null is something else"), "{}", run.err);
}

#[test]
fn a_terminal_is_made_in_a_real_devpts() {
    let bundle = bundle!();
    let mut bundle = bundle.with(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/dev/pts");
        mounts.push(json!({"destination": "/dev/pts", "type": "tmpfs", "source": "x"}));
        mounts.push(json!({
            "destination": "/dev/pts/ptmx", "type": "bind", "source": "/etc/passwd",
            "options": ["bind"]
        }));
        config["process"]["terminal"] = json!(true);
    });
    let run = bundle.script("true");
    assert!(run.err.contains("/dev/pts is no devpts"), "{}", run.err);
}

#[test]
fn the_programs_own_file_cannot_be_written() {
    let mut bundle = bundle!().docker_like();
    // The container's program becomes the runtime's file (CVE-2019-5736), which then lies open.
    symlink("/proc/self/exe", bundle.inside("bin/self")).unwrap();
    bundle.sleeper();
    bundle.runtime("exec -d ID /bin/self runtime features");
    let before = fs::read(env!("CARGO_BIN_EXE_mica")).unwrap().len();
    bundle.config["process"]["args"] = json!(["/bin/self"]);
    let script = "for p in /proc/[0-9]*; do ( echo x > $p/exe ) 2>/dev/null && echo $p; done; true";
    let run = bundle.runtime(&format!("exec ID sh -c '{script}'"));
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(fs::read(env!("CARGO_BIN_EXE_mica")).unwrap().len(), before);
    assert!(!run.out.contains("/proc/1\n"));
}

#[test]
fn keys_are_not_shared() {
    let mut bundle = bundle!();
    bundle.config["linux"]["maskedPaths"] = json!([]);
    let run = bundle.script("cat /proc/keys");
    assert!(run.out.contains(&format!("_ses.{}", bundle.id)), "{}{}", run.out, run.err);
}

//! Containers and images written as bundles, which other runtimes run.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::support::Root;

/// What a runtime makes of a bundle in the folder `bundle`: its exit code and what was printed.
fn run_by(root: &Root, runtime: &[&str], id: &str) -> (Option<i32>, String) {
    let mut command: Command = root.program(runtime[0]);
    command.args(&runtime[1..]).arg("--root").arg(root.path("state"));
    let output = command.args(["run", "--bundle", "bundle", id]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Those that are installed, and ours.
fn runtimes() -> Vec<Vec<&'static str>> {
    let mut all = vec![vec![env!("CARGO_BIN_EXE_mica"), "runtime"]];
    match Command::new("runc").arg("--version").output() {
        Ok(_) => all.push(vec!["runc"]),
        Err(_) => testkit::skip("needs runc for a part"),
    }
    all
}

fn config(root: &Root) -> Value {
    serde_json::from_slice(&fs::read(root.path("bundle/config.json")).unwrap()).unwrap()
}

#[test]
fn a_containers_bundle_is_run_by_others() {
    let Some(root) = Root::new() else { return };
    root.ok("volume create data");
    root.ok("run --rm --network none -v data:/x bb sh -c 'mkdir /x/sub; echo deep > /x/sub/f'");
    let part = "type=volume,src=data,dst=/part,volume-subpath=sub";
    let script = "cat /added /part/f /etc/hostname; id -u; echo $A; pwd; exit 7";
    let line = format!(
        "create --name one -h told -u bob -e A=b -w /tmp --pids-limit 50 -v data:/data --mount {part} --tmpfs /t bb sh -c '{script}'"
    );
    root.ok(&line);
    root.file("added", "added\n");
    root.ok("cp added one:/added");
    root.run("container bundle one bundle").complains(0, "network bridge is mica's");
    let config = config(&root);
    assert_eq!(config["ociVersion"], "1.0.2");
    assert_eq!(config["root"], json!({"path": "rootfs"}));
    assert_eq!(config["linux"].get("cgroupsPath"), None);
    let text = config.to_string();
    assert!(!text.contains("/proc/self/fd") && !text.contains("bundle/"), "{text}");
    for runtime in runtimes() {
        let (code, text) = run_by(&root, &runtime, &format!("mica-bundle-{}", std::process::id()));
        assert_eq!((code, text.as_str()), (Some(7), "added\ndeep\ntold\n1000\nb\n/tmp\n"));
    }
    root.run("container bundle one bundle").complains(1, "is not empty");
    root.run("container bundle --mount one other").complains(1, "only an image's files");
    assert!(!root.path("other").exists());
}

#[test]
fn an_images_bundle_is_run_by_others_copied_or_mounted() {
    let Some(root) = Root::new() else { return };
    root.run("container bundle bb bundle").complains(1, "no command specified");
    root.ok(
        "create --name base bb sh -c 'cat /filled/from-image; touch /new && echo made; exit 3'",
    );
    root.ok("commit base with-command");
    root.run("container bundle with-command bundle").complains(0, "");
    let id = format!("mica-bundle-{}", std::process::id());
    for runtime in runtimes() {
        assert_eq!(run_by(&root, &runtime, &id), (Some(3), "filled\nmade\n".to_owned()));
        fs::remove_file(root.path("bundle/rootfs/new")).unwrap();
    }
    fs::remove_dir_all(root.path("bundle")).unwrap();
    root.run("container bundle --mount with-command bundle").complains(0, "is mounted");
    for runtime in runtimes() {
        assert_eq!(run_by(&root, &runtime, &id), (Some(3), "filled\nmade\n".to_owned()));
    }
    assert!(root.path("bundle/rootfs/new").exists());
    let unmounted = Command::new("umount").arg(root.path("bundle/rootfs")).status().unwrap();
    assert!(unmounted.success());
    // What was written is the bundle's alone.
    let ran = root.run("run --rm --network none with-command ls /new");
    assert!(ran.code != 0 && ran.out.is_empty(), "{ran}");
}

#[test]
fn a_bundle_brings_its_init_along() {
    let Some(root) = Root::new() else { return };
    // This program, as it is built for tests, needs libraries of the host.
    let libraries = "-v /lib:/lib:ro -v /lib64:/lib64:ro";
    let script = "head -c 17 /proc/1/cmdline; exit 4";
    root.ok(&format!("create --name one --init --network none {libraries} bb sh -c '{script}'"));
    root.ok("container bundle one bundle");
    assert!(root.path("bundle/init").exists());
    let id = format!("mica-bundle-{}", std::process::id());
    for runtime in runtimes() {
        assert_eq!(run_by(&root, &runtime, &id), (Some(4), "/sbin/docker-init".to_owned()));
    }
}

#[test]
fn what_only_mica_has_is_in_no_bundle() {
    let Some(root) = Root::new() else { return };
    root.ok("create --name one --network none --mount type=image,src=bb,dst=/image bb true");
    let run = root.run("container bundle one bundle");
    run.complains(1, "a bundle cannot have it: an image at /image is mounted by mica alone");
    assert!(!root.path("bundle").exists(), "nothing is left");
    root.run("container bundle nothing bundle").complains(1, "No such image");
}

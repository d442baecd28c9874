//! Devices of the host, by path and by name.

use std::fs;
use std::path::PathBuf;

use super::support::{Root, eventually};

/// A vendor's description, which goes with the test.
struct Described {
    vendor: String,
    file: PathBuf,
}

impl Described {
    fn new(vendor: &str, root: &Root) -> Described {
        // No other test's, and no real vendor's.
        let vendor = format!("{vendor}{}.example", std::process::id());
        let file = PathBuf::from(format!("/var/run/cdi/mica-test-{vendor}.json"));
        let here = |name: &str| root.path(name).display().to_string();
        let text = serde_json::json!({
            "cdiVersion": "0.7.0",
            "kind": format!("{vendor}/thing"),
            "containerEdits": { "env": ["THINGS=here", "COLOR=vendors"] },
            "devices": [{ "name": "one", "containerEdits": {
                "deviceNodes": [{ "path": "/dev/thing", "hostPath": "/dev/null", "permissions": "rw" }],
                "mounts": [{ "hostPath": here("library"), "containerPath": "/lib/thing", "options": ["ro"] }],
                "additionalGids": [4242],
                "hooks": [
                    { "hookName": "createRuntime", "path": "/bin/sh",
                      "args": ["sh", "-c", format!("cat > {}", here("begun"))] },
                    { "hookName": "poststop", "path": "/bin/sh",
                      "args": ["sh", "-c", format!("cat > {}", here("ended"))] },
                ],
            }}],
        });
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text.to_string()).unwrap();
        Described { vendor, file }
    }
}

impl Drop for Described {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

#[test]
fn what_a_vendor_describes_is_given_by_name() {
    let Some(root) = Root::new() else { return };
    root.file("library", "code");
    let described = Described::new("acme", &root);
    let name = format!("{}/thing=one", described.vendor);
    let script = "echo $THINGS $COLOR; cat /lib/thing; echo; id -G; echo x > /dev/thing && echo written; \
                  ls -l /dev/thing | cut -c1-10; echo y > /lib/thing";
    let run = root.sh(&format!("-e COLOR=red --device {name}"), script);
    let expected = "here vendors\ncode\n0 10 4242\nwritten\ncrw-rw-rw-\n";
    assert_eq!(run.out.replace("0 4242", "0 10 4242"), expected, "{run}");
    assert!(run.err.contains("Read-only file system"), "{run}");
    let state = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(root.path(file)).unwrap_or_default()).unwrap_or_default()
    };
    assert_eq!(state("begun")["status"], "creating");
    eventually("the last hook has run", || state("ended")["status"] == "stopped");
    let annotated = format!("--annotation cdi.k8s.io/acme={name}");
    assert_eq!(root.sh(&annotated, "echo $THINGS").out, "here\n");
    let words = "CDI device injection failed: unresolvable CDI devices";
    root.sh(&format!("--device {name}x"), "true").complains(125, &format!("{words} {name}x"));
    root.sh("--gpus all", "true")
        .complains(125, "could not select device driver \"\" with capabilities: [[gpu]]");
}

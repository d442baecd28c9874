//! Devices that commands of a build ask for.

use std::fs;
use std::path::PathBuf;

use super::Builds;

/// A vendor's description, which goes with the test.
struct Described(PathBuf);

impl Drop for Described {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Two devices, the second of which any build may have.
fn describe() -> (String, Described) {
    // No other test's, and no real vendor's.
    let vendor = format!("builds{}.example", std::process::id());
    let file = PathBuf::from(format!("/var/run/cdi/mica-test-{vendor}.json"));
    let node = |name: &str| {
        serde_json::json!({ "deviceNodes": [{ "path": format!("/dev/{name}"), "hostPath": "/dev/null" }],
                            "env": [format!("HAS_{name}=yes")] })
    };
    let text = serde_json::json!({
        "cdiVersion": "0.7.0",
        "kind": format!("{vendor}/thing"),
        "devices": [
            { "name": "one", "containerEdits": node("one") },
            { "name": "two", "containerEdits": node("two"),
              "annotations": { "org.mobyproject.buildkit.device.autoallow": "true" } },
        ],
    });
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text.to_string()).unwrap();
    (format!("{vendor}/thing"), Described(file))
}

#[test]
fn a_command_gets_devices_that_a_vendor_describes() {
    let Some(it) = Builds::new() else { return };
    let (kind, _described) = describe();
    let run = |device: &str, script: &str, flags: &str| {
        it.build(&format!("FROM bb\nARG ONE=one\nRUN --device={device} {script}\n"), flags)
    };
    let script =
        "test -c /dev/one && test ! -e /dev/two && echo x > /dev/one && test $HAS_one = yes";
    let refused = run(&format!("{kind}=one"), script, "");
    let words = "granting entitlement device is not allowed by build daemon configuration: use --allow device";
    assert!(refused.code == 1 && refused.err.contains(words), "{refused}");
    run(&format!("{kind}=one"), script, "--allow device").works();
    run(&format!("{kind}=$ONE,required"), script, &format!("--allow device={kind}=one")).works();
    run(&kind, script, "--allow device").works();
    run(&format!("{kind}=two"), "test -c /dev/two -a ! -e /dev/one", "").works();
    run(&format!("{kind}=*"), "test -c /dev/two -a -c /dev/one", "--allow device").works();
    // What is not there need not be, unless it is said.
    let without = run(&format!("{kind}=three"), "test ! -e /dev/three", "");
    without.works();
    assert!(without.err.contains("=three is not registered"), "{without}");
    let file = format!("FROM bb\nARG YES=true\nRUN --device={kind}=three,required=$YES true\n");
    it.build(&file, "").complains(1, "=three is not registered");
}

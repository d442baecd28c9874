use super::*;

const CONFIG: &str = r#"{
  "ociVersion": "1.0.2",
  "process": {
    "terminal": true, "consoleSize": {"height": 24, "width": 80},
    "user": {"uid": 1, "gid": 2, "additionalGids": [3]},
    "args": ["sh"], "env": ["A=b"], "cwd": "/",
    "capabilities": {"bounding": ["CAP_KILL"]},
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 512}],
    "noNewPrivileges": true
  },
  "root": {"path": "rootfs", "readonly": true},
  "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
  "hooks": {"createRuntime": [{"path": "/bin/true", "timeout": 3}]},
  "linux": {
    "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
    "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
    "resources": {
      "devices": [{"allow": false, "access": "rwm"}],
      "memory": {"limit": -1, "disableOOMKiller": true},
      "blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 9}]}
    },
    "seccomp": {
      "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
      "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]}]
    }
  },
  "windows": {"ignored": true}
}"#;

#[test]
fn a_configuration_is_read_and_written() {
    let spec: Spec = serde_json::from_str(CONFIG).unwrap();
    let linux = spec.linux.clone().unwrap();
    assert_eq!(linux.namespaces[1].kind, NamespaceKind::Network);
    assert_eq!(linux.uid_mappings[0].host_id, 1000);
    let resources = linux.resources.unwrap();
    assert_eq!(resources.memory.disable_oom_killer, Some(true));
    assert_eq!(resources.block_io.throttle_read_iops_device[0].rate, 9);
    let rule = &linux.seccomp.unwrap().syscalls[0];
    assert_eq!(rule.args[0].op, SeccompOp::MaskedEqual);
    let written = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&written).unwrap(), spec);
    assert!(!written.contains("windows"));
    assert!(!written.contains("realtimeRuntime"), "what says nothing is not written");
}

#[test]
fn a_wrong_namespace_is_refused() {
    let text = r#"{"type": "moon"}"#;
    assert!(serde_json::from_str::<Namespace>(text).is_err());
}

#[test]
fn what_a_policy_does_is_said() {
    let read = |text: &str| read::<Seccomp>(text.as_bytes()).map_err(|error| error.to_string());
    let allows = read(r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": null, "flags": null}"#);
    assert_eq!(allows.unwrap().default_action, SeccompAction::Allow);
    assert!(read("{}").unwrap_err().contains("missing field `defaultAction`"));
    let with =
        |rule: &str| read(&format!(r#"{{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{rule}]}}"#));
    assert!(with(r#"{"names": ["x"]}"#).unwrap_err().contains("missing field `action`"));
    let rule = r#"{"names": ["x"], "action": "SCMP_ACT_TRAP", "args": [{"value": 1}]}"#;
    assert!(with(rule).unwrap_err().contains("missing field `op`"));
}

#[test]
fn what_is_null_is_not_said() {
    let text = r#"{"ociVersion": "1.0.2", "hostname": null, "hooks": null, "annotations": null,
        "process": {"args": ["sh"], "cwd": "/", "env": null, "terminal": null, "rlimits": null,
            "apparmorProfile": null, "user": {"uid": 1, "gid": 2, "additionalGids": null},
            "capabilities": {"bounding": null, "effective": ["CAP_KILL"]}},
        "root": {"path": "r", "readonly": null},
        "mounts": [{"destination": "/x", "type": null, "options": null}],
        "linux": {"sysctl": null, "devices": null, "maskedPaths": null, "timeOffsets": null,
            "uidMappings": null, "cgroupsPath": null, "rootfsPropagation": null,
            "namespaces": [{"type": "pid", "path": null}],
            "resources": {"memory": null, "cpu": {"cpus": null}, "blockIO": null,
                "devices": [{"allow": true, "type": null}], "unified": {"memory.high": null}}}}"#;
    let spec: Spec = read(text.as_bytes()).unwrap();
    let process = spec.process.unwrap();
    assert_eq!((process.user.uid, process.env.len()), (1, 0));
    assert_eq!(process.capabilities.unwrap().effective, ["CAP_KILL"]);
    assert_eq!(spec.mounts[0].kind, "");
    // Of a text among others nothing is left but the name, as in Go.
    let resources = spec.linux.unwrap().resources.unwrap();
    assert_eq!(resources.unified["memory.high"], "");
    let annotated: Spec = read(br#"{"annotations": {"a": null, "b": "c"}}"#).unwrap();
    assert_eq!(annotated.annotations["a"], "");
    assert!(read::<Spec>(br#"{"hostname": 1}"#).is_err());
}

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

use super::*;

/// A configuration with these changes made to a small one.
fn spec(change: &str) -> Spec {
    let mut base: serde_json::Value = serde_json::from_str(
        r#"{"ociVersion": "1.0.0", "root": {"path": "r"},
            "process": {"args": ["x"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "linux": {"namespaces": [{"type": "mount"}, {"type": "uts"}]}}"#,
    )
    .unwrap();
    let change: serde_json::Value = serde_json::from_str(change).unwrap();
    merge(&mut base, change);
    serde_json::from_value(base).unwrap()
}

fn merge(base: &mut serde_json::Value, change: serde_json::Value) {
    match (base, change) {
        (serde_json::Value::Object(base), serde_json::Value::Object(change)) => {
            for (key, value) in change {
                merge(base.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (base, change) => *base = change,
    }
}

fn facts() -> Facts {
    Facts { root: true, bounding: u64::MAX, may_raise_limits: true, ..Facts::default() }
}

#[track_caller]
fn check(change: &str, error: &str) {
    let result = Plan::new(&spec(change), &facts());
    match error {
        "" => drop(result.unwrap()),
        error => {
            assert_eq!(result.unwrap_err().to_string(), format!("invalid configuration: {error}"))
        }
    }
}

#[test]
fn what_would_change_the_host_is_refused() {
    check("{}", "");
    check(r#"{"linux": {"namespaces": []}}"#, "a mount namespace is needed");
    let no_uts = r#"{"hostname": "h", "linux": {"namespaces": [{"type": "mount"}]}}"#;
    check(no_uts, "a host name needs a UTS namespace");
    let sysctl = |name: &str| format!(r#"{{"linux": {{"sysctl": {{"{name}": "1"}}}}}}"#);
    check(&sysctl("kernel.hostname"), "");
    check(&sysctl("vm.swappiness"), "sysctl vm.swappiness is not in a namespace of its own");
    check(&sysctl("net.ipv4.ip_forward"), "sysctl net.ipv4.ip_forward needs a net namespace");
    let maps = r#"{"linux": {"uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}}"#;
    check(maps, "mapped users need a user namespace");
    check(&maps.replace("uidMappings", "gidMappings"), "mapped users need a user namespace");
    let users = r#"{"linux": {"namespaces": [{"type": "mount"}, {"type": "user"}]"#;
    check(&format!("{users}}}}}"), "User namespaces enabled, but no uid mappings found.");
    let maps = r#""uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]"#;
    check(&format!("{users}, {maps}}}}}"), "User namespaces enabled, but no gid mappings found.");
    let joined = users.replace(r#""user"}"#, r#""user", "path": "/proc/1/ns/user"}"#);
    check(&format!("{joined}, {maps}}}}}"), "");
}

#[test]
fn a_name_is_said_in_one_place() {
    let named = |field: &str| {
        format!(r#"{{"{field}": "h", "linux": {{"sysctl": {{"kernel.{field}": "x"}}}}}}"#)
    };
    for field in ["hostname", "domainname"] {
        let words = format!(
            "sysctl \"kernel.{field}\" is not allowed as it conflicts with the OCI \"{field}\" field"
        );
        check(&named(field), &words);
        check(&named(field).replace("kernel.", "kernel/"), &words);
    }
    check(&named("hostname").replace("kernel.host", "kernel.domain"), "");
}

#[test]
fn what_is_no_process_is_refused() {
    check(r#"{"process": {"args": []}}"#, "process.args is empty");
    check(r#"{"process": {"cwd": "x"}}"#, "process.cwd is not absolute");
    let twice = r#"{"linux": {"namespaces": [{"type": "mount"}, {"type": "mount"}]}}"#;
    check(twice, "namespace Mount is given twice");
    let limit = r#"{"process": {"rlimits": [{"type": "RLIMIT_X", "hard": 1, "soft": 1}]}}"#;
    check(limit, "unknown limit RLIMIT_X");
}

#[test]
fn of_a_variable_the_last_word_counts() {
    let environment = |list: &str| {
        let plan = Plan::new(&spec(&format!(r#"{{"process": {{"env": {list}}}}}"#)), &facts());
        let process = plan.unwrap().process;
        let words: Vec<_> = process.environment.iter().map(|one| one.to_str().unwrap()).collect();
        (words.join(" "), process.search, process.needs_home)
    };
    let (words, search, needs_home) =
        environment(r#"["A=1", "PATH=/x", "A=2", "HOME=", "B=3", "PATH=/bin", "HOME=/h"]"#);
    assert_eq!((words.as_str(), search.as_str()), ("A=2 PATH=/bin HOME=/h B=3", "/bin"));
    assert!(!needs_home);
    let (words, _, needs_home) = environment(r#"["HOME=/h", "B=3", "HOME="]"#);
    assert_eq!((words.as_str(), needs_home), ("B=3", true), "nothing in it is nothing said");
}

#[test]
fn what_the_host_forbids_is_less_and_said() {
    let spec = spec(
        r#"{"process": {"oomScoreAdj": -500,
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1000000, "soft": 1000000}],
            "capabilities": {"bounding": ["CAP_KILL", "CAP_SYS_RESOURCE"]}}}"#,
    );
    let facts = Facts {
        may_raise_limits: false,
        hard_limits: vec![(Resource::Nofile, 4096)],
        oom_score_floor: 0,
        bounding: 1 << 5,
        ..facts()
    };
    let plan = Plan::new(&spec, &facts).unwrap();
    assert_eq!(plan.process.limits, [(Resource::Nofile, Some(4096), Some(4096))]);
    assert_eq!(plan.process.oom_score, Some(0));
    assert_eq!(plan.process.capabilities.unwrap().bounding, 1 << 5);
    assert_eq!(plan.warnings.len(), 3, "{:?}", plan.warnings);
}

#[test]
fn clocks_and_groups_are_entered_later() {
    let kinds = ["mount", "pid", "cgroup", "time", "uts", "user"];
    let list: Vec<_> = kinds.iter().map(|kind| format!(r#"{{"type": "{kind}"}}"#)).collect();
    let map = r#"[{"containerID": 0, "hostID": 1, "size": 1}]"#;
    let maps = format!(r#""uidMappings": {map}, "gidMappings": {map}"#);
    let list = list.join(",");
    let spec = spec(&format!(r#"{{"linux": {{"namespaces": [{list}], {maps}}}}}"#));
    let plan = Plan::new(&spec, &facts()).unwrap();
    let born =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWUTS | UnshareFlags::NEWUSER;
    assert_eq!(plan.born_into(), born);
}

use spec::bundle::Resources;

use super::*;

fn resources(text: &str) -> Resources {
    serde_json::from_str(text).unwrap()
}

#[track_caller]
fn check(text: &str, old: &[(&str, &str)], new: &[(&str, &str)]) {
    let pairs = |settings: Vec<Setting>| -> Vec<_> {
        settings.into_iter().map(|setting| (setting.file, setting.value)).collect()
    };
    let owned = |list: &[(&str, &str)]| -> Vec<_> {
        list.iter().map(|(file, value)| ((*file).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(pairs(version1(&resources(text)).unwrap()), owned(old), "version 1");
    assert_eq!(pairs(version2(&resources(text)).unwrap()), owned(new), "version 2");
}

#[test]
fn limits_become_files() {
    check(
        r#"{"memory": {"limit": 1000, "swap": 3000, "reservation": 500}}"#,
        &[
            ("memory.limit_in_bytes", "1000"),
            ("memory.memsw.limit_in_bytes", "3000"),
            ("memory.soft_limit_in_bytes", "500"),
        ],
        &[("memory.max", "1000"), ("memory.swap.max", "2000"), ("memory.low", "500")],
    );
    check(
        r#"{"cpu": {"shares": 1024, "quota": 50000, "cpus": "0-1"}, "pids": {"limit": -1}}"#,
        &[
            ("cpu.shares", "1024"),
            ("cpu.cfs_quota_us", "50000"),
            ("cpuset.cpus", "0-1"),
            ("pids.max", "max"),
        ],
        &[
            ("cpu.weight", "100"),
            ("cpu.max", "50000 100000"),
            ("cpuset.cpus", "0-1"),
            ("pids.max", "max"),
        ],
    );
    check(
        r#"{"blockIO": {"weight": 500,
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}]}}"#,
        &[("blkio.bfq.weight", "500"), ("blkio.throttle.read_bps_device", "8:0 7")],
        &[("io.weight", "default 4950"), ("io.max", "8:0 rbps=7")],
    );
    check(
        r#"{"devices": [{"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}]}"#,
        &[("devices.deny", "a"), ("devices.allow", "c 1:3 rw")],
        &[],
    );
}

#[test]
fn quota_and_burst_move_together_both_ways() {
    let root = PathBuf::from("/sys/fs/cgroup/cpu");
    let unified = PathBuf::from("/sys/fs/cgroup/cgroup.controllers");
    let layout = Layout::of_host().unwrap();
    if !testkit::is_root() || !(root.join(settings::BURST[0]).exists() || unified.exists()) {
        return testkit::skip("needs root and a controller of processors that knows bursts");
    }
    let path = format!("mica-test-burst-{}", std::process::id());
    let mut group = Cgroup::at(layout, &path).unwrap();
    group.create().unwrap();
    let set = |quota: u64, burst: u64| {
        let text =
            format!(r#"{{"cpu": {{"quota": {quota}, "burst": {burst}, "period": 100000}}}}"#);
        group.apply(&resources(&text), Missing::Fail).map(drop)
    };
    let moved = [(60_000, 50_000), (20_000, 10_000), (90_000, 80_000)]
        .map(|(quota, burst)| set(quota, burst));
    let above = set(20_000, 30_000);
    group.remove().unwrap();
    moved.into_iter().for_each(Result::unwrap);
    assert!(above.is_err(), "a burst above the quota is refused all the same");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let swap = resources(r#"{"memory": {"swap": 3000}}"#);
    assert!(version2(&swap).is_err());
    assert!(version1(&resources(r#"{"memory": {"swappiness": 101}}"#)).is_err());
    assert!(version2(&resources(r#"{"unified": {"../x.y": "1"}}"#)).is_err());
    for path in ["", "/", "/a/../b", "."] {
        assert!(Cgroup::at(Layout::None, path).is_err(), "{path}");
    }
}

#[test]
fn weights_and_shares_meet_at_their_ends_and_their_usual_values() {
    let curve = [(2, 1), (1024, 100), (262_144, 10_000)];
    for (shares, weight) in curve {
        assert_eq!(weight_of_shares(shares), weight);
    }
    assert_eq!((shares_of_weight(1), shares_of_weight(10_000)), (2, 262_144));
    assert_eq!((weight_of_block_io(10), weight_of_block_io(1000)), (1, 10_000));
    let mut last = 0;
    for shares in (2..262_144).step_by(997) {
        assert!(weight_of_shares(shares) >= last, "more shares are never less weight");
        last = weight_of_shares(shares);
    }
}

#[test]
fn a_path_is_ours_unless_it_is_absolute() {
    let path = |configured| Cgroup::path_for("x", configured, false).unwrap();
    assert_eq!(path(""), "/mica/x");
    assert_eq!(path("a/b"), "/mica/a/b");
    assert_eq!(path("/a/b"), "/a/b");
    assert_eq!(path("a:b:c"), "/mica/a:b:c");
}

#[test]
fn systemds_words_are_three() {
    let scope = |configured| Cgroup::path_for("x", configured, true);
    assert_eq!(scope("").unwrap(), ":mica:x");
    assert_eq!(scope("a-b.slice:p:n").unwrap(), "a-b.slice:p:n");
    for wrong in ["/a/b", "a:b", "a.slice:b:c:d", "a:b:c", "a.slice:b:c d", "../a.slice:b:c"] {
        assert!(scope(wrong).is_err(), "{wrong}");
    }
}

/// Nobody makes folders in the kernel's own places, not even root.
#[test]
fn a_group_that_is_forbidden_is_an_error_unless_it_may_be_missing() {
    let root = PathBuf::from("/sys/kernel");
    let mut group = Cgroup::at(Layout::Version2 { root }, "mica-test-forbidden").unwrap();
    let error = group.create().unwrap_err();
    assert!(matches!(error, RuntimeError::Cgroup { .. }), "{error}");
    assert!(matches!(group.layout(), Layout::Version2 { .. }), "it is still wanted there");
    assert!(group.create_where_allowed().unwrap());
    assert_eq!(*group.layout(), Layout::None);
}

/// The version 2 side of a hybrid host is one of its own: nothing else there limits devices.
#[test]
fn a_program_limits_devices_in_version_2() {
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let is_tree = |root: &PathBuf| root.join("cgroup.subtree_control").exists();
    let Some(root) = roots.into_iter().find(|root| is_tree(root)) else {
        return testkit::skip("needs groups of version 2");
    };
    if !testkit::is_root() {
        return testkit::skip("needs root");
    }
    let path = format!("mica-test-devices-{}", std::process::id());
    let mut group = Cgroup::at(Layout::Version2 { root: root.clone() }, &path).unwrap();
    group.create().unwrap();
    let reads = |rules: &str| {
        group.apply(&resources(rules), Missing::Fail).unwrap();
        let script = format!(
            "echo 0 > {}/cgroup.procs; for d in null zero full; do head -c 0 /dev/$d && echo $d; done",
            root.join(&path).display()
        );
        let mut command = std::process::Command::new("sh");
        let output = command.args(["-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let some = reads(
        r#"{"devices": [{"allow": false}, {"allow": true, "type": "c", "major": 1, "minor": 3},
            {"allow": true, "type": "c", "major": 1, "minor": 7, "access": "r"},
            {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "w"}]}"#,
    );
    let other =
        reads(r#"{"devices": [{"allow": false}, {"allow": true, "type": "c", "major": 1}]}"#);
    group.remove().unwrap();
    assert_eq!((some.as_str(), other.as_str()), ("null\nfull\n", "null\nzero\nfull\n"));
}

/// Rules as every container has them, a few.
const FEW: &str = r#"{"devices": [{"allow": false}, {"allow": true, "type": "c", "access": "m"},
    {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]}"#;

#[test]
fn groups_with_the_same_rules_have_them_from_one() {
    let root = PathBuf::from("/sys/fs/cgroup/devices");
    if !root.join("devices.allow").exists() {
        return testkit::skip("needs a tree of version 1 that has devices alone");
    }
    if !testkit::is_root() {
        return testkit::skip("needs root");
    }
    let name = "devices".to_owned();
    let tree = Hierarchy { controllers: vec![name.clone()], name, root: root.clone() };
    let layout = Layout::Version1 { hierarchies: vec![tree], unified: None };
    let above = format!("mica-test-shared-{}", std::process::id());
    let few = resources(FEW);
    let make = |name: &str, is_shared: bool| {
        let mut group = Cgroup::at(layout.clone(), &format!("{above}/{name}")).unwrap();
        if is_shared {
            group.share_devices(&few.devices).unwrap();
        }
        assert!(group.create().unwrap());
        group.apply(&few, Missing::Fail).unwrap();
        group
    };
    let (one, two, own) = (make("one", true), make("two", true), make("own", false));
    let list = |group: &Cgroup| read(&group.folder_of("devices").unwrap(), "devices.list").unwrap();
    let lists = [&one, &two, &own].map(list);
    let folder = |group: &Cgroup| group.folder_of("devices").unwrap();
    let (first, second) = (folder(&one), folder(&two));
    // Nobody adds to them in one of the groups, and what is taken there is taken there alone.
    let added = write(&first, "devices.allow", "b 8:0 rwm");
    let taken = write(&first, "devices.deny", "c 1:3 rwm");
    let then = [&one, &two].map(list);
    // Who cleans up knows no more than the name.
    let found = Cgroup::at(layout.clone(), &format!("{above}/one")).unwrap().with_shared();
    let is_found = found.exists();
    found.remove().unwrap();
    let rest = (first.exists(), second.exists());
    two.remove().unwrap();
    own.remove().unwrap();
    shared::remove_empty(&layout, &root, &root.join(&above));
    let is_empty = fs::remove_dir(root.join(&above)).is_ok();
    assert_eq!(lists[0], lists[2]);
    assert_eq!(lists[1], lists[2]);
    assert_eq!(first.parent(), second.parent());
    assert!(added.is_err() && taken.is_ok());
    assert!(then[0] != lists[0] && then[1] == lists[1], "{then:?}");
    assert!(is_found && rest == (false, true) && is_empty);
}

#[test]
fn a_group_is_not_called_like_one_that_has_rules_for_others() {
    assert!(Cgroup::at(Layout::None, "/mica/devices=0123").is_err());
    // Where a tree has more than devices, others look for it where the group is elsewhere.
    let controllers = vec!["devices".to_owned(), "memory".to_owned()];
    let tree = Hierarchy { controllers, name: "devices,memory".to_owned(), root: "/none".into() };
    let layout = Layout::Version1 { hierarchies: vec![tree], unified: None };
    let mut group = Cgroup::at(layout, "/mica/one").unwrap();
    group.share_devices(&resources(FEW).devices).unwrap();
    assert!(!group.has_shared_rules());
    assert_eq!(group.folders(), [PathBuf::from("/none/mica/one")]);
}

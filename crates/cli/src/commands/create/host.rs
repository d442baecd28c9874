//! How the host runs it: limits, devices, capabilities, namespaces, restarts, logs.

use spec::{
    CgroupnsMode, DeviceMapping, DeviceRequest, HostConfig, LogConfig, NamespaceMode, Resources,
    RestartError, RestartName, RestartPolicy, ThrottleDevice, Ulimit, WeightDevice,
};

use super::{Parsed, pairs, some_list, wrong};
use crate::args::{Matches, split_values};
use crate::failure::Failure;

pub(super) fn read(matches: &Matches) -> Parsed<HostConfig> {
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    let number = |name: &str| matches.int(name).unwrap_or_default();
    modes(matches)?;
    let (security, unconfined) = security(matches)?;
    let paths = || unconfined.then(Vec::new);
    Ok(HostConfig {
        container_id_file: text("cidfile"),
        log_config: log(matches)?,
        restart_policy: restart(matches)?,
        auto_remove: matches.flag("rm"),
        volume_driver: text("volume-driver"),
        annotations: pairs(matches.list("annotation")),
        cap_add: some_list(matches.list("cap-add")),
        cap_drop: some_list(matches.list("cap-drop")),
        cgroupns_mode: text("cgroupns"),
        group_add: some_list(matches.list("group-add")),
        ipc_mode: text("ipc"),
        isolation: text("isolation"),
        oom_score_adj: number("oom-score-adj"),
        pid_mode: text("pid"),
        privileged: matches.flag("privileged"),
        readonly_rootfs: matches.flag("read-only"),
        security_opt: security,
        storage_opt: storage(matches)?,
        uts_mode: text("uts"),
        userns_mode: text("userns"),
        shm_size: matches.size_bytes("shm-size").unwrap_or_default(),
        sysctls: sysctls(matches)?,
        runtime: text("runtime"),
        resources: resources(matches)?,
        masked_paths: paths(),
        readonly_paths: paths(),
        init: matches.given("init").then(|| matches.flag("init")),
        ..HostConfig::default()
    })
}

fn modes(matches: &Matches) -> Parsed<()> {
    let text = |name: &str| matches.string(name).unwrap_or_default();
    let host_only = |text: &str| matches!(text, "" | "host");
    let checks = [
        (
            text("pid") != "private" && NamespaceMode::parse(text("pid")).is_some(),
            "--pid: invalid PID mode",
        ),
        (host_only(text("uts")), "--uts: invalid UTS mode"),
        (host_only(text("userns")), "--userns: invalid USER mode"),
        (
            CgroupnsMode::parse(text("cgroupns"), CgroupnsMode::Private).is_some(),
            "--cgroupns: invalid CGROUP mode",
        ),
    ];
    match checks.iter().find(|(right, _)| !right) {
        Some((_, words)) => Err(Failure::new(*words)),
        None => Ok(()),
    }
}

fn restart(matches: &Matches) -> Parsed<RestartPolicy> {
    let said = matches.string("restart").unwrap_or_default();
    let policy = restart_policy(said);
    let restarts = policy.as_ref().map_or(true, |policy| policy.name != RestartName::No);
    if restarts && matches.flag("rm") {
        return Err(Failure::new("conflicting options: cannot specify both --restart and --rm"));
    }
    policy
}

/// A policy by its word. Which there are is left to the engine by docker's client.
pub(in crate::commands) fn restart_policy(text: &str) -> Parsed<RestartPolicy> {
    text.parse().map_err(|error| match error {
        RestartError::Unknown(_) => Failure::of_engine(error),
        error => Failure::new(error.to_string()),
    })
}

fn log(matches: &Matches) -> Parsed<LogConfig> {
    let kind = matches.string("log-driver").unwrap_or_default().to_owned();
    let config = pairs(matches.list("log-opt"));
    match kind == "none" && !config.is_empty() {
        true => Err(Failure::new("invalid logging opts for driver none")),
        false => Ok(LogConfig { kind, config }),
    }
}

/// Keys of the kernel that are a namespace's own, and so may be a container's.
fn sysctls(matches: &Matches) -> Parsed<std::collections::BTreeMap<String, String>> {
    let of_ipc = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni"];
    let allowed = |key: &str| match key.strip_prefix("kernel.") {
        Some(name) => of_ipc.contains(&name) || name == "shm_rmid_forced",
        None => key.starts_with("net.") || key.starts_with("fs.mqueue."),
    };
    let list = matches.list("sysctl");
    let is_wrong = |text: &&String| !text.split_once('=').is_some_and(|(key, _)| allowed(key));
    match list.iter().find(is_wrong) {
        Some(text) => Err(wrong("sysctl", text, format!("sysctl '{text}' is not allowed"))),
        None => Ok(pairs(list)),
    }
}

fn storage(matches: &Matches) -> Parsed<std::collections::BTreeMap<String, String>> {
    let list = matches.list("storage-opt");
    match list.iter().find(|option| !option.contains('=')) {
        Some(_) => Err(Failure::new("invalid storage option")),
        None => Ok(pairs(list)),
    }
}

/// Security options, with profiles read from their files; and whether nothing of `/proc` and
/// `/sys` is to be hidden.
fn security(matches: &Matches) -> Parsed<(Option<Vec<String>>, bool)> {
    let (mut options, mut unconfined) = (Vec::new(), false);
    for option in matches.list("security-opt") {
        let (key, value) = match option.split_once('=').or_else(|| option.split_once(':')) {
            Some((key, value)) => (key, value),
            None if option == "no-new-privileges" => ("no-new-privileges", ""),
            None => return Err(Failure::new(format!("Invalid --security-opt: {option:?}"))),
        };
        match (key, value) {
            ("systempaths", "unconfined") => unconfined = true,
            ("seccomp", "unconfined" | "builtin") => options.push(option.clone()),
            ("seccomp", file) => options.push(format!("seccomp={}", profile(file)?)),
            _ => options.push(option.clone()),
        }
    }
    Ok(((!options.is_empty()).then_some(options), unconfined))
}

/// A profile as one line of JSON.
fn profile(file: &str) -> Parsed<String> {
    let failed =
        |why: String| Failure::new(format!("opening seccomp profile ({file}) failed: {why}"));
    let bytes = std::fs::read(file)
        .map_err(|error| failed(format!("open {file}: {}", super::reason(&error))))?;
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::new(format!("compacting json for seccomp profile ({file}) failed: {error}"))
    })?;
    Ok(value.to_string())
}

fn each<T>(
    matches: &Matches,
    flag: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Parsed<Option<Vec<T>>> {
    let values = matches.list(flag).iter();
    let parsed = values.map(|text| parse(text).map_err(|why| wrong(flag, text, why)));
    Ok(Some(parsed.collect::<Parsed<Vec<T>>>()?))
}

fn resources(matches: &Matches) -> Parsed<Resources> {
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    let number = |name: &str| matches.int(name).unwrap_or_default();
    let swappiness = number("memory-swappiness");
    if matches.given("memory-swappiness") && !(-1..=100).contains(&swappiness) {
        return Err(Failure::new(format!(
            "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
        )));
    }
    let (devices, mut requests) = devices(matches)?;
    requests.extend(gpus(matches)?);
    let given = |name: &str| matches.given(name);
    Ok(Resources {
        cgroup_parent: text("cgroup-parent"),
        blkio_weight_device: each(matches, "blkio-weight-device", |t| t.parse::<WeightDevice>())?,
        blkio_device_read_bps: each(matches, "device-read-bps", ThrottleDevice::parse_bytes)?,
        blkio_device_write_bps: each(matches, "device-write-bps", ThrottleDevice::parse_bytes)?,
        blkio_device_read_iops: each(matches, "device-read-iops", ThrottleDevice::parse_count)?,
        blkio_device_write_iops: each(matches, "device-write-iops", ThrottleDevice::parse_count)?,
        devices: Some(devices),
        device_cgroup_rules: rules(matches)?,
        device_requests: (!requests.is_empty()).then_some(requests),
        memory_swappiness: (swappiness >= 0 && given("memory-swappiness")).then_some(swappiness),
        oom_kill_disable: given("oom-kill-disable").then(|| matches.flag("oom-kill-disable")),
        ulimits: each(matches, "ulimit", |text| text.parse::<Ulimit>())?,
        ..limits(matches)
    })
}

/// The limits that `update` changes too.
pub(in crate::commands) fn limits(matches: &Matches) -> Resources {
    let text = |name: &str| matches.string(name).unwrap_or_default().to_owned();
    let number = |name: &str| matches.int(name).unwrap_or_default();
    let size = |name: &str| matches.size_bytes(name).unwrap_or_default();
    Resources {
        cpu_shares: number("cpu-shares"),
        memory: size("memory"),
        nano_cpus: matches.billionths("cpus").unwrap_or_default(),
        blkio_weight: matches.uint("blkio-weight").unwrap_or_default() as u16,
        cpu_period: number("cpu-period"),
        cpu_quota: number("cpu-quota"),
        cpu_realtime_period: number("cpu-rt-period"),
        cpu_realtime_runtime: number("cpu-rt-runtime"),
        cpuset_cpus: text("cpuset-cpus"),
        cpuset_mems: text("cpuset-mems"),
        memory_reservation: size("memory-reservation"),
        memory_swap: size("memory-swap"),
        pids_limit: matches.given("pids-limit").then(|| number("pids-limit")),
        ..Resources::default()
    }
}

/// Devices by path, and those named in the manner of the container device interface.
fn devices(matches: &Matches) -> Parsed<(Vec<DeviceMapping>, Vec<DeviceRequest>)> {
    let (mut devices, mut named) = (Vec::new(), Vec::new());
    for text in matches.list("device") {
        match text.contains('=') && !text.starts_with('/') {
            true => named.push(text.clone()),
            false => devices.push(device(text)?),
        }
    }
    let request = DeviceRequest {
        driver: "cdi".to_owned(),
        device_ids: Some(named),
        ..DeviceRequest::default()
    };
    let any = request.device_ids.as_ref().is_some_and(|ids| !ids.is_empty());
    Ok((devices, any.then_some(request).into_iter().collect()))
}

fn device(text: &str) -> Parsed<DeviceMapping> {
    let device: DeviceMapping = text.parse().map_err(|why: String| Failure::new(why))?;
    match device.path_in_container.starts_with('/') {
        true => Ok(device),
        false => {
            let path = &device.path_in_container;
            Err(Failure::new(format!("{path} is not an absolute path")))
        }
    }
}

/// `--gpus all`, `--gpus 2`, `--gpus device=0,1`, with `capabilities=` and `driver=`.
fn gpus(matches: &Matches) -> Parsed<Vec<DeviceRequest>> {
    let mut requests = Vec::new();
    for text in matches.list("gpus") {
        let mut request = DeviceRequest::default();
        let mut able = vec!["gpu".to_owned()];
        let mut seen = Vec::new();
        if text.is_empty() {
            return Err(wrong("gpus", text, "EOF".to_owned()));
        }
        for field in split_values(text).map_err(|why| wrong("gpus", text, why))? {
            let (key, value) = field.split_once('=').unwrap_or(("count", &field));
            if seen.iter().any(|known| known == key) {
                let why = format!("gpu request key '{key}' can be specified only once");
                return Err(wrong("gpus", text, why));
            }
            seen.push(key.to_owned());
            match (key, value) {
                ("count", "all") => request.count = -1,
                ("count", number) => {
                    request.count = number.parse().map_err(|_| {
                        let why = format!("invalid count ({number}): value must be either \"all\" or an integer: invalid syntax");
                        wrong("gpus", text, why)
                    })?;
                }
                ("driver", driver) => driver.clone_into(&mut request.driver),
                ("device", ids) => {
                    request.device_ids = Some(ids.split(',').map(str::to_owned).collect());
                }
                ("capabilities", list) => able.extend(list.split(',').map(str::to_owned)),
                ("options", list) => {
                    let list: Vec<String> = list.split(',').map(str::to_owned).collect();
                    request.options = pairs(&list);
                }
                (key, _) => {
                    let why = format!("unexpected key '{key}' in '{field}'");
                    return Err(wrong("gpus", text, why));
                }
            }
        }
        if request.device_ids.is_none() && !seen.iter().any(|key| key == "count") {
            request.count = 1;
        }
        request.capabilities = Some(vec![able]);
        requests.push(request);
    }
    Ok(requests)
}

fn rules(matches: &Matches) -> Parsed<Option<Vec<String>>> {
    for rule in matches.list("device-cgroup-rule") {
        let parts: Vec<&str> = rule.split(' ').collect();
        let number = |text: &str| text == "*" || text.bytes().all(|b| b.is_ascii_digit());
        let right = match parts[..] {
            [kind, device, access] => {
                let numbers = device.split_once(':');
                ["a", "b", "c"].contains(&kind)
                    && numbers.is_some_and(|(major, minor)| number(major) && number(minor))
                    && (1..=3).contains(&access.len())
                    && access.chars().all(|letter| "rwm".contains(letter))
            }
            _ => false,
        };
        if !right {
            let why = format!("invalid device cgroup format '{rule}'");
            return Err(wrong("device-cgroup-rule", rule, why));
        }
    }
    Ok(some_list(matches.list("device-cgroup-rule")))
}

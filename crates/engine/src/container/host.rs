//! How the host runs a container, checked and completed as docker's engine does.

use spec::{HostConfig, Resources};

use super::check;
use crate::error::{EngineError, Result};

/// `/dev/shm`, unless asked otherwise.
const SHM_BYTES: i64 = 64 << 20;

/// What of `/proc` and `/sys` a container does not see.
pub(super) const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

/// What of `/proc` it does not write.
pub(super) const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Fills in what was left open and refuses what cannot be; returns what the user should know.
pub(super) fn complete(host: &mut HostConfig) -> Result<Vec<String>> {
    if host.network_mode.is_empty() || host.network_mode == "default" {
        host.network_mode = "bridge".to_owned();
    }
    if host.ipc_mode.is_empty() {
        host.ipc_mode = "private".to_owned();
    }
    if host.shm_size == 0 {
        host.shm_size = SHM_BYTES;
    }
    if host.shm_size < 0 {
        return check::refuse("SHM size can not be less than 0");
    }
    if host.log_config.kind.is_empty() {
        host.log_config.kind = "json-file".to_owned();
    }
    let paths = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let all = host.privileged;
    host.masked_paths.get_or_insert_with(|| if all { Vec::new() } else { paths(&MASKED) });
    host.readonly_paths.get_or_insert_with(|| if all { Vec::new() } else { paths(&READ_ONLY) });
    limits(&mut host.resources)
}

fn limits(resources: &mut Resources) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    // Docker's client says 0 and -1 where nothing was asked.
    resources.pids_limit = resources.pids_limit.filter(|limit| *limit > 0);
    resources.memory_swappiness = resources.memory_swappiness.filter(|share| *share != -1);
    check::limits(resources)?;
    let memory = resources.memory;
    if resources.memory_swap == 0 && memory > 0 {
        resources.memory_swap = memory * 2;
    }
    if resources.oom_kill_disable == Some(true) && memory == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
                .to_owned(),
        );
    }
    Ok(warnings)
}

/// What is said where all files in a container are one user's.
pub(super) const ONE_ID: &str = "This user has no subordinate ids: all files in the container are one user's, and its processes can be no other. Lines in /etc/subuid and /etc/subgid and the programs of the package uidmap give more";

/// Systemd's groups lie in its slices.
pub(super) fn check_slice(host: &HostConfig) -> Result<()> {
    match host.resources.cgroup_parent.as_str() {
        "" => Ok(()),
        slice if slice.ends_with(".slice") && !slice.contains('/') => Ok(()),
        _ => {
            let words =
                "cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"";
            Err(EngineError::Refused(words.to_owned()))
        }
    }
}

/// Takes limits away that need control groups, which an ordinary user has not, and says so in
/// docker's words.
pub(super) fn without_groups(host: &mut HostConfig) -> Vec<String> {
    let asked = &mut host.resources;
    let mut lost = Vec::new();
    let mut lose = |is_asked: bool, what: &str, discarded: &str| {
        if is_asked {
            lost.push(format!(
                "Your kernel does not support {what} or the cgroup is not mounted. {discarded} discarded."
            ));
        }
    };
    lose(asked.memory != 0, "memory limit capabilities", "Limitation");
    lose(asked.memory_reservation != 0, "memory soft limit capabilities", "Limitation");
    // Docker's client says -1 where nothing was asked.
    let of_swap = asked.memory_swappiness.is_some_and(|share| share >= 0);
    lose(of_swap, "memory swappiness capabilities", "Swappiness");
    lose(asked.oom_kill_disable == Some(true), "OomKillDisable", "OomKillDisable");
    lose(asked.pids_limit.is_some_and(|limit| limit > 0), "PIDs limit capabilities", "PIDs limit");
    lose(asked.cpu_shares != 0, "CPU shares", "Shares");
    let times = [asked.nano_cpus, asked.cpu_period, asked.cpu_quota];
    lose(times != [0; 3], "CPU CFS scheduler", "CPUs/period/quota");
    let real = [asked.cpu_realtime_period, asked.cpu_realtime_runtime];
    lose(real != [0; 2], "CPU real-time scheduler", "CPU real-time period/runtime");
    lose(!(asked.cpuset_cpus.is_empty() && asked.cpuset_mems.is_empty()), "cpuset", "Cpuset");
    lose(asked.blkio_weight != 0, "Block I/O weight", "Weight");
    let of_weight = asked.blkio_weight_device.iter().flatten().next().is_some();
    lose(of_weight, "Block I/O weight_device", "Weight-device");
    let throttles = [
        &asked.blkio_device_read_bps,
        &asked.blkio_device_write_bps,
        &asked.blkio_device_read_iops,
        &asked.blkio_device_write_iops,
    ];
    let throttled = throttles.into_iter().flatten().any(|list| !list.is_empty());
    lose(throttled, "Block I/O throttling", "Throttle");
    host.resources = Resources {
        cgroup_parent: std::mem::take(&mut asked.cgroup_parent),
        devices: asked.devices.take(),
        device_requests: asked.device_requests.take(),
        ulimits: asked.ulimits.take(),
        ..Resources::default()
    };
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_is_filled_in() {
        let mut host = HostConfig::default();
        host.resources.memory = 64 << 20;
        (host.resources.pids_limit, host.resources.memory_swappiness) = (Some(0), Some(-1));
        assert_eq!(complete(&mut host).unwrap(), [""; 0]);
        assert_eq!(host.resources.pids_limit, None);
        assert_eq!(host.resources.memory_swappiness, None);
        assert_eq!(host.network_mode, "bridge");
        assert_eq!(host.shm_size, 64 << 20);
        assert_eq!(host.resources.memory_swap, 128 << 20);
        assert_eq!(host.masked_paths.unwrap().len(), MASKED.len());
    }

    #[test]
    fn limits_of_groups_are_lost_where_there_are_none_and_that_is_said() {
        let mut host = HostConfig::default();
        host.resources.memory_swappiness = Some(-1);
        assert_eq!(without_groups(&mut host), [""; 0]);
        host.resources.memory = 64 << 20;
        host.resources.pids_limit = Some(5);
        host.resources.cgroup_parent = "above".to_owned();
        let lost = without_groups(&mut host);
        assert_eq!(lost.len(), 2, "{lost:?}");
        assert!(lost[0].contains("memory limit") && lost[0].ends_with("Limitation discarded."));
        assert_eq!((host.resources.memory, host.resources.pids_limit), (0, None));
        assert_eq!(host.resources.cgroup_parent, "above");
    }
}

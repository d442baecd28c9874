//! How the host runs a container, checked and completed as docker's engine does.

use runtime::logs::{LogConfig, LogFacts};
use spec::{HostConfig, Resources};

use super::check;
use crate::error::{EngineError, Result};

/// The least memory that a container can be limited to.
const LEAST_MEMORY: i64 = 6 << 20;
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
        return Err(refused("SHM size can not be less than 0"));
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

/// Refuses limits that no container can be given while it runs.
pub(super) fn check_update(asked: &Resources) -> Result<()> {
    memory(asked)?;
    processors(asked)?;
    weight(asked)
}

fn limits(resources: &mut Resources) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    // Docker's client says 0 and -1 where nothing was asked.
    resources.pids_limit = resources.pids_limit.filter(|limit| *limit > 0);
    resources.memory_swappiness = resources.memory_swappiness.filter(|share| *share != -1);
    memory(resources)?;
    let memory = resources.memory;
    match resources.memory_swap {
        swap if swap > 0 && memory == 0 => {
            return Err(refused(
                "You should always set the Memory limit when using Memoryswap limit, see usage",
            ));
        }
        0 if memory > 0 => resources.memory_swap = memory * 2,
        _ => {}
    }
    processors(resources)?;
    if resources.oom_kill_disable == Some(true) && memory == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
                .to_owned(),
        );
    }
    weight(resources)?;
    Ok(warnings)
}

/// What is said where all files in a container are one user's.
pub(super) const ONE_ID: &str = "This user has no subordinate ids: all files in the container are one user's, and its processes can be no other. Lines in /etc/subuid and /etc/subgid and the programs of the package uidmap give more";

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

fn memory(resources: &Resources) -> Result<()> {
    let (memory, swap) = (resources.memory, resources.memory_swap);
    if memory != 0 && memory < LEAST_MEMORY {
        return Err(refused("Minimum memory limit allowed is 6MB"));
    }
    if swap > 0 && swap < memory {
        return Err(refused(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ));
    }
    let reservation = resources.memory_reservation;
    if reservation != 0 && reservation < LEAST_MEMORY {
        return Err(refused("Minimum memory reservation allowed is 6MB"));
    }
    if memory > 0 && reservation > memory {
        return Err(refused(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ));
    }
    Ok(())
}

/// Whether a container can be logged as is asked: told now, not when it starts.
pub(super) fn check_log(host: &HostConfig) -> Result<()> {
    let asked = &host.log_config;
    let log = LogConfig::parse(&asked.kind, &asked.config);
    let tagged = log.and_then(|log| log.tagged(LogFacts::default()));
    tagged.map(drop).map_err(|error| EngineError::Refused(error.to_string()))
}

/// What is asked of the storage driver for one container. None of ours can keep a container's files
/// below a size: that takes quotas of projects, which the file system would have to be mounted with.
pub(super) fn check_storage(host: &HostConfig) -> Result<()> {
    match host.storage_opt.keys().next() {
        None => Ok(()),
        Some(key) if key.eq_ignore_ascii_case("size") => Err(refused(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        )),
        Some(key) => Err(EngineError::Refused(format!("Unknown option {key}"))),
    }
}

fn weight(resources: &Resources) -> Result<()> {
    match resources.blkio_weight != 0 && !(10..=1000).contains(&resources.blkio_weight) {
        true => Err(refused("Range of blkio weight is from 10 to 1000")),
        false => Ok(()),
    }
}

fn processors(resources: &Resources) -> Result<()> {
    let nanos = resources.nano_cpus;
    if nanos != 0 && resources.cpu_period != 0 {
        return Err(refused("Conflicting options: Nano CPUs and CPU Period cannot both be set."));
    }
    if nanos != 0 && resources.cpu_quota != 0 {
        return Err(refused("Conflicting options: Nano CPUs and CPU Quota cannot both be set."));
    }
    // Asked only where it matters: the answer is long in coming.
    let there = || std::thread::available_parallelism().map_or(1, |count| count.get() as i64);
    if nanos < 0 || nanos > 0 && nanos > there() * 1_000_000_000 {
        let there = there();
        return Err(EngineError::Refused(format!(
            "range of CPUs is from 0.01 to {there}.00, as there are only {there} CPUs available"
        )));
    }
    let period = resources.cpu_period;
    if period != 0 && !(1_000..=1_000_000).contains(&period) {
        return Err(refused(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if resources.cpu_quota > 0 && resources.cpu_quota < 1_000 {
        return Err(refused("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    if resources.cpu_shares < 0 {
        return Err(refused("shares: invalid argument"));
    }
    check::sets(resources)
}

fn refused(words: &str) -> EngineError {
    EngineError::Refused(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl Fn(&mut Resources), words: &str) {
        let mut host = HostConfig::default();
        change(&mut host.resources);
        let said = complete(&mut host).map_err(|error| error.to_string());
        match words {
            "" => assert!(said.is_ok(), "{said:?}"),
            words => assert!(said.as_ref().is_err_and(|said| said.contains(words)), "{said:?}"),
        }
    }

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

    #[test]
    fn nothing_is_asked_of_storage_in_vain() {
        let mut host = HostConfig::default();
        check_storage(&host).unwrap();
        host.storage_opt.insert("size".to_owned(), "1G".to_owned());
        assert!(check_storage(&host).unwrap_err().to_string().contains("pquota"));
        host.storage_opt = [("colour".to_owned(), "red".to_owned())].into();
        assert!(check_storage(&host).unwrap_err().to_string().contains("Unknown option colour"));
    }

    #[test]
    fn limits_that_cannot_be_are_refused_in_dockers_words() {
        check(|r| r.memory = 1 << 20, "Minimum memory limit allowed is 6MB");
        check(|r| r.memory_swap = 1 << 30, "always set the Memory limit");
        check(|r| (r.memory, r.memory_swap) = (8 << 20, 7 << 20), "should be larger than memory");
        check(|r| (r.memory, r.memory_swap) = (8 << 20, -1), "");
        check(|r| (r.nano_cpus, r.cpu_period) = (1, 1), "Conflicting options: Nano CPUs");
        check(|r| r.nano_cpus = i64::MAX, "range of CPUs is from 0.01");
        check(|r| r.cpu_period = 5, "CPU cfs period");
    }
}

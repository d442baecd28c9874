//! Limits, in the runtime's words.

use spec::HostConfig;
use spec::bundle::{
    BlockIoLimits, CpuLimits, DeviceRule, Hooks, MemoryLimits, PidsLimit, Resources, Spec,
    ThrottleDevice, WeightDevice,
};

use super::devices::{self, Found};
use crate::error::{EngineError, Result};

/// Microseconds of a period, unless asked otherwise.
const PERIOD: u64 = 100_000;
const NANOS_PER_MICRO: i64 = 1_000;

pub(in crate::container) fn plan(host: &HostConfig, found: &[Found]) -> Result<Resources> {
    let limits = &host.resources;
    Ok(Resources {
        devices: rules(host, found)?,
        memory: MemoryLimits {
            limit: some(limits.memory),
            reservation: some(limits.memory_reservation),
            swap: some(limits.memory_swap),
            swappiness: limits.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
            disable_oom_killer: limits.oom_kill_disable.filter(|disabled| *disabled),
            ..MemoryLimits::default()
        },
        cpu: processors(host),
        pids: limits.pids_limit.filter(|limit| *limit != 0).map(|limit| PidsLimit { limit }),
        block_io: disks(host)?,
        ..Resources::default()
    })
}

fn some(value: i64) -> Option<i64> {
    (value != 0).then_some(value)
}

fn processors(host: &HostConfig) -> CpuLimits {
    let limits = &host.resources;
    let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let mut cpu = CpuLimits {
        shares: positive(limits.cpu_shares),
        quota: some(limits.cpu_quota),
        period: positive(limits.cpu_period),
        realtime_period: positive(limits.cpu_realtime_period),
        realtime_runtime: some(limits.cpu_realtime_runtime),
        cpus: limits.cpuset_cpus.clone(),
        mems: limits.cpuset_mems.clone(),
        ..CpuLimits::default()
    };
    if limits.nano_cpus > 0 {
        cpu.period = Some(PERIOD);
        cpu.quota = Some(limits.nano_cpus * (PERIOD as i64 / NANOS_PER_MICRO) / 1_000_000);
    }
    cpu
}

fn disks(host: &HostConfig) -> Result<BlockIoLimits> {
    let limits = &host.resources;
    let number = |path: &str| {
        devices::number(path).ok_or_else(|| EngineError::Start(format!("no such device: {path}")))
    };
    let rates = |list: &Option<Vec<spec::ThrottleDevice>>| -> Result<Vec<ThrottleDevice>> {
        let rate = |device: &spec::ThrottleDevice| {
            let (major, minor) = number(&device.path)?;
            Ok(ThrottleDevice { major, minor, rate: device.rate })
        };
        list.iter().flatten().map(rate).collect()
    };
    let weight = |device: &spec::WeightDevice| {
        let (major, minor) = number(&device.path)?;
        Ok(WeightDevice { major, minor, weight: Some(device.weight), ..WeightDevice::default() })
    };
    Ok(BlockIoLimits {
        weight: (limits.blkio_weight != 0).then_some(limits.blkio_weight),
        weight_device: limits
            .blkio_weight_device
            .iter()
            .flatten()
            .map(weight)
            .collect::<Result<_>>()?,
        throttle_read_bps_device: rates(&limits.blkio_device_read_bps)?,
        throttle_write_bps_device: rates(&limits.blkio_device_write_bps)?,
        throttle_read_iops_device: rates(&limits.blkio_device_read_iops)?,
        throttle_write_iops_device: rates(&limits.blkio_device_write_iops)?,
        ..BlockIoLimits::default()
    })
}

/// What may be done with devices: nothing, but for what every container has and what was added.
fn rules(host: &HostConfig, found: &[Found]) -> Result<Vec<DeviceRule>> {
    if host.privileged {
        return Ok(vec![all(true)]);
    }
    let mut rules = usual();
    rules.extend(found.iter().map(Found::rule));
    for text in host.resources.device_cgroup_rules.iter().flatten() {
        rules.push(rule(text)?);
    }
    Ok(rules)
}

fn all(allow: bool) -> DeviceRule {
    DeviceRule { allow, access: "rwm".to_owned(), ..DeviceRule::default() }
}

fn usual() -> Vec<DeviceRule> {
    let mut rules = vec![all(false)];
    rules.extend(USUAL.iter().map(|(kind, major, minor, access)| DeviceRule {
        allow: true,
        kind: (*kind).to_owned(),
        major: *major,
        minor: *minor,
        access: (*access).to_owned(),
    }));
    rules
}

/// Whether a container may do with devices what every other one may, and nobody will change that:
/// hooks may be there for just that.
pub(in crate::container) fn has_usual_rules(host: &HostConfig, spec: &Spec) -> bool {
    let resources = spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    resources.is_some_and(|resources| resources.devices == usual())
        && spec.hooks == Hooks::default()
        && host.resources.cgroup_parent.is_empty()
}

type Usual = (&'static str, Option<i64>, Option<i64>, &'static str);

/// Docker's list: any node may be made, and null, zero, full, random, tty, console and ptys used.
const USUAL: [Usual; 11] = [
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", Some(1), Some(3), "rwm"),
    ("c", Some(1), Some(5), "rwm"),
    ("c", Some(1), Some(7), "rwm"),
    ("c", Some(1), Some(8), "rwm"),
    ("c", Some(1), Some(9), "rwm"),
    ("c", Some(5), Some(0), "rwm"),
    ("c", Some(5), Some(1), "rwm"),
    ("c", Some(5), Some(2), "rwm"),
    ("c", Some(136), None, "rwm"),
];

fn rule(text: &str) -> Result<DeviceRule> {
    let wrong = || EngineError::Refused(format!("invalid device cgroup rule format: '{text}'"));
    let parts: Vec<&str> = text.split(' ').collect();
    let [kind, device, access] = parts[..] else { return Err(wrong()) };
    let (major, minor) = device.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        text => text.parse().map(Some).map_err(|_| wrong()),
    };
    let (kind, access) = (kind.to_owned(), access.to_owned());
    Ok(DeviceRule { allow: true, kind, major: number(major)?, minor: number(minor)?, access })
}

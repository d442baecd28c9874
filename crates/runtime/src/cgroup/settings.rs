//! Limits as files and what is written into them.

use spec::bundle::{DeviceRule, Resources, ThrottleDevice};

use super::values::{quota, weight_of_block_io, weight_of_shares};
use crate::error::{Result, RuntimeError};

/// One file of a group and what is written into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The controller that has it.
    pub controller: String,
    /// The file.
    pub file: String,
    /// What is written.
    pub value: String,
    /// The limit that it stands for, in words.
    pub limit: &'static str,
    /// Whether it does not matter that the file is not there.
    pub optional: bool,
}

/// The files of the CPU burst, of both versions.
pub(super) const BURST: [&str; 2] = ["cpu.cfs_burst_us", "cpu.max.burst"];

/// A list being made.
#[derive(Default)]
struct List(Vec<Setting>);

impl List {
    fn add(&mut self, file: &str, value: Option<impl ToString>, limit: &'static str) {
        let Some(value) = value else { return };
        let controller = file.split('.').next().unwrap_or_default().to_owned();
        self.0.push(Setting {
            controller,
            file: file.to_owned(),
            value: value.to_string(),
            limit,
            optional: false,
        });
    }
}

fn nonzero<T: Default + PartialEq + Copy>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

/// The files of version 1.
pub fn version1(resources: &Resources) -> Result<Vec<Setting>> {
    let mut list = List::default();
    devices(&mut list, &resources.devices);
    let memory = &resources.memory;
    list.add("memory.limit_in_bytes", nonzero(memory.limit), "the memory limit");
    list.add("memory.memsw.limit_in_bytes", nonzero(memory.swap), "the swap limit");
    let reservation = nonzero(memory.reservation);
    list.add("memory.soft_limit_in_bytes", reservation, "the memory reservation");
    let tcp = nonzero(memory.kernel_tcp);
    list.add("memory.kmem.tcp.limit_in_bytes", tcp, "the limit of TCP memory");
    if let Some(swappiness) = memory.swappiness {
        if swappiness > 100 {
            return Err(RuntimeError::invalid("swappiness is not within 0 and 100"));
        }
        list.add("memory.swappiness", Some(swappiness), "swappiness");
    }
    let disable = memory.disable_oom_killer.filter(|disable| *disable).map(|_| 1);
    list.add("memory.oom_control", disable, "keeping the OOM killer off");
    let cpu = &resources.cpu;
    list.add("cpu.shares", nonzero(cpu.shares), "CPU shares");
    list.add("cpu.cfs_period_us", nonzero(cpu.period), "the CPU period");
    // It may never be above the quota: where both sink, it goes first.
    list.add(BURST[0], cpu.burst, "the CPU burst");
    list.add("cpu.cfs_quota_us", nonzero(cpu.quota), "the CPU quota");
    list.add("cpu.rt_period_us", nonzero(cpu.realtime_period), "the real-time period");
    list.add("cpu.rt_runtime_us", nonzero(cpu.realtime_runtime), "the real-time share");
    list.add("cpu.idle", cpu.idle, "CPU idling");
    let words = |text: &String| (!text.is_empty()).then(|| text.clone());
    list.add("cpuset.cpus", words(&cpu.cpus), "the choice of processors");
    list.add("cpuset.mems", words(&cpu.mems), "the choice of memory nodes");
    pids(&mut list, resources);
    block_io(&mut list, resources);
    for limit in &resources.hugepage_limits {
        let file = format!("hugetlb.{}.limit_in_bytes", limit.page_size);
        list.add(&file, Some(limit.limit), "the limit of huge pages");
    }
    let network = &resources.network;
    list.add("net_cls.classid", network.class_id, "the class of packets");
    for link in &network.priorities {
        let value = format!("{} {}", link.name, link.priority);
        list.add("net_prio.ifpriomap", Some(value), "the priority of packets");
    }
    rdma(&mut list, resources);
    Ok(list.0)
}

/// Rules in the order in which they were given; the kernel lets the last one win.
fn devices(list: &mut List, rules: &[DeviceRule]) {
    for rule in rules {
        let kind = match rule.kind.as_str() {
            "" => "a",
            kind => kind,
        };
        let number = |number: Option<i64>| match number {
            Some(number) if number >= 0 => number.to_string(),
            _ => "*".to_owned(),
        };
        let access = if rule.access.is_empty() { "rwm" } else { &rule.access };
        let everything = kind == "a" && rule.major.is_none() && rule.minor.is_none();
        // `a` is not taken with numbers, and not with part of the access.
        let value = match everything {
            true => "a".to_owned(),
            false => format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor)),
        };
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        list.add(file, Some(value), "the rules of devices");
    }
}

fn pids(list: &mut List, resources: &Resources) {
    let limit = resources.pids.map(|pids| match pids.limit {
        limit if limit > 0 => limit.to_string(),
        _ => "max".to_owned(),
    });
    list.add("pids.max", limit, "the limit of processes");
}

/// The scheduler that is in use decides which of two names the weight has.
fn block_io(list: &mut List, resources: &Resources) {
    let io = &resources.block_io;
    list.add("blkio.bfq.weight", nonzero(io.weight), "the weight of disks");
    list.add("blkio.leaf_weight", nonzero(io.leaf_weight), "the leaf weight of disks");
    for device in &io.weight_device {
        let place = format!("{}:{}", device.major, device.minor);
        let weight = device.weight.map(|weight| format!("{place} {weight}"));
        list.add("blkio.bfq.weight_device", weight, "the weight of a disk");
        let leaf = device.leaf_weight.map(|weight| format!("{place} {weight}"));
        list.add("blkio.leaf_weight_device", leaf, "the leaf weight of a disk");
    }
    let throttled: [(&str, &[ThrottleDevice]); 4] = [
        ("blkio.throttle.read_bps_device", &io.throttle_read_bps_device),
        ("blkio.throttle.write_bps_device", &io.throttle_write_bps_device),
        ("blkio.throttle.read_iops_device", &io.throttle_read_iops_device),
        ("blkio.throttle.write_iops_device", &io.throttle_write_iops_device),
    ];
    for (file, devices) in throttled {
        for device in devices {
            let value = format!("{}:{} {}", device.major, device.minor, device.rate);
            list.add(file, Some(value), "the speed of a disk");
        }
    }
}

fn rdma(list: &mut List, resources: &Resources) {
    for (device, limit) in &resources.rdma {
        let handles = limit.hca_handles.map(|count| format!(" hca_handle={count}"));
        let objects = limit.hca_objects.map(|count| format!(" hca_object={count}"));
        let value = [Some(device.clone()), handles, objects].into_iter().flatten();
        list.add("rdma.max", Some(value.collect::<String>()), "the limit of RDMA");
    }
}

/// The files of version 2. Rules of devices are a program there, not a file: see `devices`.
pub fn version2(resources: &Resources) -> Result<Vec<Setting>> {
    let mut list = List::default();
    memory2(&mut list, resources)?;
    let cpu = &resources.cpu;
    list.add("cpu.weight", nonzero(cpu.shares).map(weight_of_shares), "CPU shares");
    list.add(BURST[1], cpu.burst, "the CPU burst");
    list.add("cpu.max", quota(cpu.quota, cpu.period), "the CPU quota");
    list.add("cpu.idle", cpu.idle, "CPU idling");
    if nonzero(cpu.realtime_runtime).is_some() || nonzero(cpu.realtime_period).is_some() {
        return Err(RuntimeError::NoController {
            controller: "version 1 cpu".into(),
            limit: "the real-time share".into(),
        });
    }
    let words = |text: &String| (!text.is_empty()).then(|| text.clone());
    list.add("cpuset.cpus", words(&cpu.cpus), "the choice of processors");
    list.add("cpuset.mems", words(&cpu.mems), "the choice of memory nodes");
    pids(&mut list, resources);
    let io = &resources.block_io;
    let weight = nonzero(io.weight).map(|weight| weight_of_block_io(weight.into()));
    list.add("io.weight", weight.map(|w| format!("default {w}")), "the weight of disks");
    for device in &io.weight_device {
        let weight = device.weight.map(|weight| weight_of_block_io(weight.into()));
        let value = weight.map(|weight| format!("{}:{} {weight}", device.major, device.minor));
        list.add("io.weight", value, "the weight of a disk");
    }
    let throttled: [(&str, &[ThrottleDevice]); 4] = [
        ("rbps", &io.throttle_read_bps_device),
        ("wbps", &io.throttle_write_bps_device),
        ("riops", &io.throttle_read_iops_device),
        ("wiops", &io.throttle_write_iops_device),
    ];
    for (key, devices) in throttled {
        for device in devices {
            let value = format!("{}:{} {key}={}", device.major, device.minor, device.rate);
            list.add("io.max", Some(value), "the speed of a disk");
        }
    }
    for limit in &resources.hugepage_limits {
        let name = |end: &str| format!("hugetlb.{}.{end}", limit.page_size);
        list.add(&name("max"), Some(limit.limit), "the limit of huge pages");
        let reserved = list.0.len();
        list.add(&name("rsvd.max"), Some(limit.limit), "the limit of huge pages");
        // Older kernels do not count reservations.
        list.0[reserved].optional = true;
    }
    rdma(&mut list, resources);
    only_version1(&mut list, resources);
    for (file, value) in &resources.unified {
        if file.contains('/') || !file.contains('.') {
            return Err(RuntimeError::invalid(format!("{file} is no file of a cgroup")));
        }
        list.add(file, Some(value), "a setting of the unified tree");
    }
    Ok(list.0)
}

/// What version 2 has nothing for: it asks for a controller that is never there.
fn only_version1(list: &mut List, resources: &Resources) {
    let (memory, io, network) = (&resources.memory, &resources.block_io, &resources.network);
    let leaf = io.weight_device.iter().any(|device| device.leaf_weight.is_some());
    let asked = [
        (nonzero(memory.kernel_tcp).is_some(), "the limit of TCP memory"),
        (memory.swappiness.is_some(), "swappiness"),
        (memory.disable_oom_killer == Some(true), "keeping the OOM killer off"),
        (nonzero(io.leaf_weight).is_some() || leaf, "the leaf weight of disks"),
        (network.class_id.is_some(), "the class of packets"),
        (!network.priorities.is_empty(), "the priority of packets"),
    ];
    for (_, limit) in asked.into_iter().filter(|(is_asked, _)| *is_asked) {
        list.add("version 1", Some(""), limit);
    }
}

fn memory2(list: &mut List, resources: &Resources) -> Result<()> {
    let memory = &resources.memory;
    let bytes = |value: i64| match value {
        -1 => "max".to_owned(),
        value => value.to_string(),
    };
    list.add("memory.max", nonzero(memory.limit).map(bytes), "the memory limit");
    // Version 1 counts memory and swap together, version 2 swap alone.
    let swap = match (nonzero(memory.swap), nonzero(memory.limit)) {
        (None, _) => None,
        (Some(-1), _) => Some("max".to_owned()),
        (Some(sum), Some(limit)) if limit > 0 && sum >= limit => Some((sum - limit).to_string()),
        (Some(_), _) => {
            return Err(RuntimeError::invalid("a swap limit needs a memory limit not above it"));
        }
    };
    list.add("memory.swap.max", swap, "the swap limit");
    list.add("memory.low", nonzero(memory.reservation).map(bytes), "the memory reservation");
    Ok(())
}

//! What containers use: processors, memory, networks, disks.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use runtime::cgroup::{Cgroup, Layout, Stats};
use spec::{ContainerId, NetworkMode, Timestamp};

use super::{ContainerRecord, bundle};
use crate::Engine;
use crate::error::Result;

/// What a link has carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounts {
    /// What came in: bytes, packets, errors, packets dropped.
    pub received: [u64; 4],
    /// What went out: the same.
    pub sent: [u64; 4],
}

/// What a container has used up to a moment.
#[derive(Debug, Clone)]
pub struct ContainerSample {
    /// The container.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// When this was read.
    pub read: Timestamp,
    /// What its processes have used; absent if it does not run.
    pub usage: Option<Stats>,
    /// Its links, by their names inside.
    pub links: BTreeMap<String, LinkCounts>,
    /// Bytes of memory that it can have at most: its limit, or all that there is.
    pub memory_limit_bytes: u64,
    /// Nanoseconds that all processors of the machine have counted, at work or not.
    pub machine_nanos: u64,
    taken: Instant,
}

impl ContainerSample {
    /// The share of one processor's time that was used since an earlier sample: 2.0 is two whole
    /// processors.
    pub fn processors_since(&self, before: &ContainerSample) -> f64 {
        let (Some(now), Some(then)) = (&self.usage, &before.usage) else { return 0.0 };
        let elapsed = self.taken.duration_since(before.taken).as_nanos();
        match elapsed {
            0 => 0.0,
            // A container that was started again counts from nothing.
            nanos => now.cpu_nanos.saturating_sub(then.cpu_nanos) as f64 / nanos as f64,
        }
    }

    /// Bytes of memory in use, without files that are only kept at hand. Docker's count.
    pub fn memory_bytes(&self) -> u64 {
        self.usage.as_ref().map_or(0, |usage| {
            let cached = usage.inactive_file_bytes;
            if cached < usage.memory_bytes {
                usage.memory_bytes - cached
            } else {
                usage.memory_bytes
            }
        })
    }

    /// Bytes that came in and went out over all links.
    pub fn network_bytes(&self) -> (u64, u64) {
        let sum = |of: fn(&LinkCounts) -> u64| self.links.values().map(of).sum();
        (sum(|link| link.received[0]), sum(|link| link.sent[0]))
    }
}

impl Engine {
    /// What a container has used. One that does not run uses nothing.
    pub fn container_sample(&self, id: &ContainerId) -> Result<ContainerSample> {
        let record = self.containers().read(id)?;
        let process = self.process(id)?;
        let usage = match process {
            Some(_) => Some(Cgroup::at(Layout::of_host()?, &bundle::cgroup_path(&record))?.stats()),
            None => None,
        };
        let links = process.map(|pid| links(&record, pid)).unwrap_or_default();
        let limit = match &usage {
            Some(usage) => {
                let all = sys::host::memory_bytes();
                usage.memory_limit_bytes.unwrap_or(all).min(all)
            }
            None => 0,
        };
        Ok(ContainerSample {
            id: *id,
            name: record.name,
            read: Timestamp::now(),
            usage,
            links,
            memory_limit_bytes: limit,
            machine_nanos: machine_nanos(),
            taken: Instant::now(),
        })
    }
}

/// What `/proc/stat` says of all processors together. Its unit is a hundredth of a second.
fn machine_nanos() -> u64 {
    const TICK_NANOS: u64 = 10_000_000;
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers = text.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1);
    // What guests used is in the others already.
    let ticks: u64 = numbers.take(8).filter_map(|number| number.parse::<u64>().ok()).sum();
    ticks.saturating_mul(TICK_NANOS)
}

/// The links of a container's own; the host's are not its.
fn links(record: &ContainerRecord, pid: i32) -> BTreeMap<String, LinkCounts> {
    match NetworkMode::parse(&record.host_config.network_mode) {
        NetworkMode::Host => BTreeMap::new(),
        // A process that has just ended has none any more.
        _ => counts(&fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default()),
    }
}

/// What `/proc/PID/net/dev` says of all links but the loop.
fn counts(text: &str) -> BTreeMap<String, LinkCounts> {
    let link = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let name = name.trim();
        let numbers: Vec<u64> =
            numbers.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        let four = |start: usize| numbers.get(start..start + 4)?.try_into().ok();
        let counts = LinkCounts { received: four(0)?, sent: four(8)? };
        (name != "lo").then(|| (name.to_owned(), counts))
    };
    text.lines().filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_of_links_is_read() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes    packets\n\
            \x20   lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n\
            \x20 eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n";
        let found = counts(text);
        assert_eq!(found.len(), 1);
        let eth0 = LinkCounts { received: [1000, 10, 1, 2], sent: [2000, 20, 3, 4] };
        assert_eq!(found["eth0"], eth0);
    }
}

//! What a container uses and what happens to it, told again and again until it ends.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value, json};
use spec::bundle::Status;

use super::{Containers, wrong_state};
use crate::cgroup::Cgroup;
use crate::error::{Result, RuntimeError};

/// How soon a want of memory is noticed.
const LOOK: Duration = Duration::from_millis(500);

/// What is told of a container.
#[derive(Clone, PartialEq, Debug)]
pub enum Happening {
    /// What it has used, in the words of other runtimes.
    Stats(Value),
    /// The kernel has killed something in it for want of memory.
    OutOfMemory,
}

impl Containers {
    /// What a container has used.
    pub fn stats(&self, id: &str) -> Result<Value> {
        let record = self.record(id)?;
        match record.status() {
            Status::Stopped => Err(wrong_state("watch", id, Status::Stopped)),
            _ => Ok(stats(&record.cgroup()?)),
        }
    }

    /// Tells what a container uses, at once and after each interval, and what happens to it, until
    /// it ends.
    pub fn watch(
        &self,
        id: &str,
        interval: Duration,
        tell: &mut dyn FnMut(Happening),
    ) -> Result<()> {
        let record = self.record(id)?;
        let cgroup = record.cgroup()?;
        let gone = || wrong_state("watch", id, Status::Stopped);
        let pidfd = record.pidfd().ok_or_else(gone)?;
        let mut kills = cgroup.out_of_memory_kills().unwrap_or(0);
        let mut due = Instant::now();
        loop {
            let now = cgroup.out_of_memory_kills().unwrap_or(0);
            (kills..now).for_each(|_| tell(Happening::OutOfMemory));
            kills = now;
            if Instant::now() >= due {
                tell(Happening::Stats(stats(&cgroup)));
                due += interval;
            }
            let wait = due.saturating_duration_since(Instant::now()).min(LOOK);
            if has_ended(&pidfd, wait)? {
                return Ok(());
            }
        }
    }
}

fn has_ended(pidfd: &OwnedFd, wait: Duration) -> Result<bool> {
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(wait.subsec_nanos()),
    };
    let ready = rustix::io::retry_on_intr(|| poll(&mut polled, Some(&limit)));
    ready.map(|count| count > 0).map_err(|error| RuntimeError::step("wait")(error.into()))
}

fn stats(cgroup: &Cgroup) -> Value {
    let used = cgroup.stats();
    let (periods, throttled, lost) = used.throttled;
    let usage = |limit, usage, max, failures| json!({"limit": limit, "usage": usage, "max": max, "failcnt": failures});
    let number =
        |file: &str| -> Option<u64> { cgroup.read_file("memory", file)?.trim().parse().ok() };
    let failures = number("memory.failcnt").unwrap_or(0);
    let mut memory = json!({
        "usage": usage(
            used.memory_limit_bytes.unwrap_or(u64::MAX), used.memory_bytes,
            used.memory_peak_bytes.unwrap_or(0), failures,
        ),
        "raw": raw(&cgroup.read_file("memory", "memory.stat").unwrap_or_default()),
    });
    if let Some(swap) = number("memory.memsw.usage_in_bytes") {
        let limit = number("memory.memsw.limit_in_bytes").unwrap_or(u64::MAX);
        memory["swap"] =
            usage(limit, swap, number("memory.memsw.max_usage_in_bytes").unwrap_or(0), 0);
    } else if let Some(swap) = number("memory.swap.current") {
        memory["swap"] = usage(number("memory.swap.max").unwrap_or(u64::MAX), swap, 0, 0);
    }
    json!({
        "cpu": {
            "usage": {
                "total": used.cpu_nanos, "user": used.cpu_user_nanos,
                "kernel": used.cpu_system_nanos,
            },
            "throttling": {
                "periods": periods, "throttledPeriods": throttled, "throttledTime": lost,
            },
        },
        "memory": memory,
        "pids": {"current": used.pids, "limit": used.pids_limit.unwrap_or(0)},
        "blkio": {"ioServiceBytesRecursive": block_bytes(cgroup)},
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

/// `NAME NUMBER` a line.
fn raw(text: &str) -> Map<String, Value> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    let numbers = pairs.filter_map(|(name, value)| Some((name, value.trim().parse::<u64>().ok()?)));
    numbers.map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

/// What was read from each disk and written to it: version 1 says so on a line each, version 2 on
/// one line.
fn block_bytes(cgroup: &Cgroup) -> Vec<Value> {
    let old = cgroup.read_file("blkio", "blkio.throttle.io_service_bytes");
    let text = old.or_else(|| cgroup.read_file("io", "io.stat")).unwrap_or_default();
    text.lines().flat_map(entries).collect()
}

fn entries(line: &str) -> Vec<Value> {
    let mut words = line.split_whitespace();
    let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else {
        return Vec::new();
    };
    let (Ok(major), Ok(minor)) = (major.parse::<u32>(), minor.parse::<u32>()) else {
        return Vec::new();
    };
    let entry = |op: &str, value: &str| {
        let value: u64 = value.parse().ok()?;
        Some(json!({"major": major, "minor": minor, "op": op, "value": value}))
    };
    let words: Vec<&str> = words.collect();
    match words[..] {
        [op @ ("Read" | "Write"), value] => entry(op, value).into_iter().collect(),
        [_, _] => Vec::new(),
        _ => {
            let pairs = words.iter().filter_map(|word| word.split_once('='));
            let read = pairs.filter_map(|(name, value)| match name {
                "rbytes" => entry("Read", value),
                "wbytes" => entry("Write", value),
                _ => None,
            });
            read.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_told_alike_for_both_versions() {
        let one = |op: &str, value: u64| json!({"major": 8, "minor": 1, "op": op, "value": value});
        assert_eq!(entries("8:1 Read 10"), [one("Read", 10)]);
        assert_eq!(entries("8:1 Sync 10"), [] as [Value; 0]);
        assert_eq!(entries("Total 10"), [] as [Value; 0]);
        let line = "8:1 rbytes=3 wbytes=4 rios=1 wios=1 dbytes=0 dios=0";
        assert_eq!(entries(line), [one("Read", 3), one("Write", 4)]);
        assert_eq!(raw("cache 5\nrss x\n"), Map::from_iter([("cache".to_owned(), json!(5))]));
    }
}

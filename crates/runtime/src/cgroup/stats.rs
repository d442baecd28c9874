//! What a group has used.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Cgroup;
use super::values::keyed;

/// What a group has used. What cannot be known is 0 or absent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Stats {
    /// Nanoseconds of processors.
    pub cpu_nanos: u64,
    /// The same for each processor, where the kernel counts them alone.
    pub cpu_each_nanos: Vec<u64>,
    /// Of these in programs.
    pub cpu_user_nanos: u64,
    /// Of these in the kernel.
    pub cpu_system_nanos: u64,
    /// Periods with a quota, those in which it ran out, and nanoseconds lost.
    pub throttled: (u64, u64, u64),
    /// Bytes of memory, caches included.
    pub memory_bytes: u64,
    /// Of these, file pages that have not been used lately.
    pub inactive_file_bytes: u64,
    /// The most that was used, where the kernel says so.
    pub memory_peak_bytes: Option<u64>,
    /// The limit; absent where there is none.
    pub memory_limit_bytes: Option<u64>,
    /// All that the kernel counts of its memory, by the kernel's names.
    pub memory_counts: BTreeMap<String, u64>,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: u64,
    /// Processes and threads.
    pub pids: u64,
    /// The most that there may be.
    pub pids_limit: Option<u64>,
    /// Bytes read from disks and written to them.
    pub block_bytes: (u64, u64),
}

pub(super) fn read(group: &Cgroup) -> Stats {
    let number = |controller: &str, file: &str| -> Option<u64> {
        group.read_file(controller, file)?.trim().parse().ok()
    };
    let mut stats = Stats {
        oom_kills: group.out_of_memory_kills().unwrap_or(0),
        pids: number("pids", "pids.current").unwrap_or(0),
        pids_limit: number("pids", "pids.max"),
        ..Stats::default()
    };
    cpu(group, &mut stats, &number);
    memory(group, &mut stats, &number);
    let old = "blkio.throttle.io_service_bytes";
    stats.block_bytes = match group.read_file("blkio", old) {
        Some(text) => old_block_bytes(&text),
        None => group.read_file("io", "io.stat").map(|text| block_bytes(&text)).unwrap_or_default(),
    };
    stats
}

fn cpu(group: &Cgroup, stats: &mut Stats, number: &dyn Fn(&str, &str) -> Option<u64>) {
    if let Some(nanos) = number("cpuacct", "cpuacct.usage") {
        stats.cpu_nanos = nanos;
        let each = group.read_file("cpuacct", "cpuacct.usage_percpu").unwrap_or_default();
        stats.cpu_each_nanos = each.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        stats.cpu_user_nanos = number("cpuacct", "cpuacct.usage_user").unwrap_or(0);
        stats.cpu_system_nanos = number("cpuacct", "cpuacct.usage_sys").unwrap_or(0);
    }
    // Version 2 has this file in every group, with or without the controller.
    let text = group.read_file("cpu", "cpu.stat").or_else(|| group.read_file("cgroup", "cpu.stat"));
    let text = text.unwrap_or_default();
    let value = |key: &str| keyed(&text, key);
    if let Some(micros) = value("usage_usec") {
        stats.cpu_nanos = micros * 1000;
        stats.cpu_user_nanos = value("user_usec").unwrap_or(0) * 1000;
        stats.cpu_system_nanos = value("system_usec").unwrap_or(0) * 1000;
    }
    let lost = value("throttled_time").or(value("throttled_usec").map(|micros| micros * 1000));
    let count = |key: &str| value(key).unwrap_or(0);
    stats.throttled = (count("nr_periods"), count("nr_throttled"), lost.unwrap_or(0));
}

fn memory(group: &Cgroup, stats: &mut Stats, number: &dyn Fn(&str, &str) -> Option<u64>) {
    let first = |files: [&str; 2]| files.into_iter().find_map(|file| number("memory", file));
    stats.memory_bytes = first(["memory.usage_in_bytes", "memory.current"]).unwrap_or(0);
    stats.memory_peak_bytes = first(["memory.max_usage_in_bytes", "memory.peak"]);
    // No limit is a number near the largest that pages can count.
    let limit = first(["memory.limit_in_bytes", "memory.max"]);
    stats.memory_limit_bytes = limit.filter(|limit| *limit < 1 << 62);
    let text = group.read_file("memory", "memory.stat").unwrap_or_default();
    let inactive = keyed(&text, "total_inactive_file").or_else(|| keyed(&text, "inactive_file"));
    stats.inactive_file_bytes = inactive.unwrap_or(0);
    stats.memory_counts = counts(&text);
}

/// `NAME NUMBER`, a line each.
fn counts(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (name, number) = line.split_once(' ')?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// `MAJOR:MINOR Read BYTES` and so on.
fn old_block_bytes(text: &str) -> (u64, u64) {
    let sum = |word: &str| {
        let lines = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            (words.next() == Some(word)).then(|| words.next()?.parse::<u64>().ok()).flatten()
        });
        lines.sum()
    };
    (sum("Read"), sum("Write"))
}

/// `MAJOR:MINOR rbytes=N wbytes=N …`.
fn block_bytes(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        let words = text.split_whitespace().filter_map(|word| word.split_once('='));
        words.filter(|(name, _)| *name == key).filter_map(|(_, n)| n.parse::<u64>().ok()).sum()
    };
    (sum("rbytes"), sum("wbytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_counts_has_its_names() {
        let read = counts("cache 4096\ntotal_rss 7\nodd\n");
        assert_eq!(read, [("cache".to_owned(), 4096), ("total_rss".to_owned(), 7)].into());
    }

    #[test]
    fn both_forms_of_disk_numbers_are_summed() {
        let old = "8:0 Read 10\n8:0 Write 5\n8:16 Read 1\nTotal 16\n";
        assert_eq!(old_block_bytes(old), (11, 5));
        let new = "8:0 rbytes=10 wbytes=5 rios=1\n8:16 rbytes=1 wbytes=0\n";
        assert_eq!(block_bytes(new), (11, 5));
    }
}

//! What the container may use of the machine.

use std::ops::RangeInclusive;

use spec::Resources;

use super::refuse;
use crate::error::Result;

/// The least memory that a container can be limited to.
const LEAST_MEMORY: i64 = 6 << 20;

/// Refuses limits that no container can be given.
pub(in super::super) fn limits(asked: &Resources) -> Result<()> {
    update(asked)?;
    match asked.memory_swap > 0 && asked.memory == 0 {
        true => {
            refuse("You should always set the Memory limit when using Memoryswap limit, see usage")
        }
        false => Ok(()),
    }
}

/// Refuses limits that no container can be given while it runs, whatever it has of them already.
pub(in super::super) fn update(asked: &Resources) -> Result<()> {
    memory(asked)?;
    processors(asked)?;
    if let Some(share) = asked.memory_swappiness.filter(|share| !(-1..=100).contains(share)) {
        return refuse(format!("Invalid value: {share}, valid memory swappiness range is 0-100"));
    }
    match asked.blkio_weight != 0 && !(10..=1000).contains(&asked.blkio_weight) {
        true => refuse("Range of blkio weight is from 10 to 1000"),
        false => Ok(()),
    }
}

fn memory(resources: &Resources) -> Result<()> {
    let (memory, swap) = (resources.memory, resources.memory_swap);
    if memory != 0 && memory < LEAST_MEMORY {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if swap < -1 {
        return refuse(format!("invalid memory swap limit {swap}: -1 stands for none"));
    }
    if swap > 0 && swap < memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    let reservation = resources.memory_reservation;
    if reservation != 0 && reservation < LEAST_MEMORY {
        return refuse("Minimum memory reservation allowed is 6MB");
    }
    match memory > 0 && reservation > memory {
        true => {
            refuse("Minimum memory limit can not be less than memory reservation limit, see usage")
        }
        false => Ok(()),
    }
}

fn processors(resources: &Resources) -> Result<()> {
    let nanos = resources.nano_cpus;
    if nanos != 0 && resources.cpu_period != 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set.");
    }
    if nanos != 0 && resources.cpu_quota != 0 {
        return refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set.");
    }
    // Asked only where it matters: the answer is long in coming.
    let there = || std::thread::available_parallelism().map_or(1, |count| count.get() as i64);
    if nanos < 0 || nanos > 0 && nanos > there() * 1_000_000_000 {
        let there = there();
        return refuse(format!(
            "range of CPUs is from 0.01 to {there}.00, as there are only {there} CPUs available"
        ));
    }
    let period = resources.cpu_period;
    if period != 0 && !(1_000..=1_000_000).contains(&period) {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if resources.cpu_quota > 0 && resources.cpu_quota < 1_000 {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if resources.cpu_shares < 0 {
        return refuse("shares: invalid argument");
    }
    sets(resources)
}

/// Refuses processors and memory nodes that this machine has not, as far as it tells.
fn sets(resources: &Resources) -> Result<()> {
    let (cpus, mems) = (&resources.cpuset_cpus, &resources.cpuset_mems);
    let there = |what| std::fs::read_to_string(format!("/sys/devices/system/{what}/online"));
    if !cpus.is_empty() {
        within(cpus, there("cpu").ok(), "CPUs", "cpus")?;
    }
    if !mems.is_empty() {
        within(mems, there("node").ok(), "memory nodes", "mems")?;
    }
    Ok(())
}

fn within(asked: &str, there: Option<String>, what: &str, key: &str) -> Result<()> {
    let Some(wanted) = ranges(asked) else {
        return refuse(format!("Invalid value {asked} for cpuset {key}"));
    };
    let Some(there) = there else { return Ok(()) };
    let there = there.trim();
    let online = ranges(there).unwrap_or_default();
    let is_there = |wanted: &RangeInclusive<u32>| {
        online.iter().any(|one| one.contains(wanted.start()) && one.contains(wanted.end()))
    };
    match wanted.iter().all(is_there) {
        true => Ok(()),
        false => refuse(format!(
            "Requested {what} are not available - requested {asked}, available: {there}"
        )),
    }
}

/// The kernel's list of numbers: `0-2,7`.
fn ranges(text: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let one = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(first..=last)
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl Fn(&mut Resources), words: &str) {
        let mut asked = Resources::default();
        change(&mut asked);
        let said = limits(&asked).map_err(|error| error.to_string());
        match words {
            "" => assert_eq!(said, Ok(())),
            words => assert!(said.as_ref().is_err_and(|said| said.contains(words)), "{said:?}"),
        }
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

    #[test]
    fn processors_that_are_not_there_are_named() {
        let there = || Some("0-3,8\n".to_owned());
        let said = |asked| within(asked, there(), "CPUs", "cpus").map_err(|e| e.to_string());
        assert_eq!(said("1-3,8"), Ok(()));
        let words = "Requested CPUs are not available - requested 3-8, available: 0-3,8";
        assert_eq!(said("3-8"), Err(words.to_owned()));
        assert_eq!(said("two"), Err("Invalid value two for cpuset cpus".to_owned()));
        assert!(within("3-1", None, "CPUs", "cpus").is_err());
        assert!(within("77", None, "CPUs", "cpus").is_ok());
    }
}

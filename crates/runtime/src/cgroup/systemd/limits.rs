//! Limits in systemd's words.

use std::fs;

use spec::bundle::DeviceRule;

use super::wire::Value;
use crate::cgroup::Setting;

/// The properties that mean the same as what is written into a group's files; what systemd has no word
/// for it leaves alone. It has no words for processors with version 1, and older ones, which are found
/// there, none for periods.
pub(super) fn properties(settings: &[Setting], is_unified: bool) -> Vec<(&'static str, Value)> {
    let mut list = Vec::new();
    let find = |file: &str| settings.iter().find(|one| one.file == file).map(|one| &one.value);
    for (file, property) in [
        ("memory.max", "MemoryMax"),
        ("memory.low", "MemoryLow"),
        ("memory.high", "MemoryHigh"),
        ("memory.min", "MemoryMin"),
        ("memory.swap.max", "MemorySwapMax"),
        ("cpu.weight", "CPUWeight"),
        ("pids.max", "TasksMax"),
        ("memory.limit_in_bytes", "MemoryLimit"),
        ("cpu.shares", "CPUShares"),
        ("blkio.bfq.weight", "BlockIOWeight"),
    ] {
        if let Some(number) = find(file).and_then(|value| number(value)) {
            list.push((property, Value::Large(number)));
        }
    }
    if let Some(weight) =
        find("io.weight").and_then(|value| number(value.strip_prefix("default ")?))
    {
        list.push(("IOWeight", Value::Large(weight)));
    }
    let both = find("cpu.max").and_then(|value| value.split_once(' '));
    let quota = both.map(|(quota, _)| quota).or(find("cpu.cfs_quota_us").map(String::as_str));
    let period = both.map(|(_, period)| period).or(find("cpu.cfs_period_us").map(String::as_str));
    list.extend(processor_time(quota, period));
    if !is_unified {
        return list;
    }
    if let Some(period) = period.and_then(number) {
        list.push(("CPUQuotaPeriodUSec", Value::Large(period)));
    }
    for (file, property) in [("cpuset.cpus", "AllowedCPUs"), ("cpuset.mems", "AllowedMemoryNodes")]
    {
        if let Some(bits) = find(file).and_then(|list| bits(list)) {
            list.push((property, Value::Bytes(bits)));
        }
    }
    list
}

/// A number, or all there is.
pub(super) fn number(text: &str) -> Option<u64> {
    match text {
        "max" | "-1" => Some(u64::MAX),
        text => text.parse().ok(),
    }
}

/// How many microseconds of processor time a second has, in steps of ten milliseconds as systemd
/// counts.
fn processor_time(quota: Option<&str>, period: Option<&str>) -> Option<(&'static str, Value)> {
    const SECOND: u64 = 1_000_000;
    const STEP: u64 = 10_000;
    const USUAL_PERIOD: u64 = 100_000;
    let time = match number(quota?)? {
        u64::MAX => u64::MAX,
        quota => {
            let period = period.and_then(number).unwrap_or(USUAL_PERIOD).max(1);
            (quota.saturating_mul(SECOND) / period).div_ceil(STEP).saturating_mul(STEP)
        }
    };
    Some(("CPUQuotaPerSecUSec", Value::Large(time)))
}

/// `0-2,5` as bits, the first in the lowest of the first byte.
fn bits(list: &str) -> Option<Vec<u8>> {
    const MOST: usize = 8192;
    let mut bytes = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        for number in first..=last {
            bytes.resize(bytes.len().max(number / 8 + 1), 0u8);
            bytes[number / 8] |= 1 << (number % 8);
        }
    }
    Some(bytes)
}

/// Rules of devices; none where nothing was said of them.
pub(super) fn devices(rules: &[DeviceRule]) -> Vec<(&'static str, Value)> {
    if rules.is_empty() {
        return Vec::new();
    }
    let names = fs::read_to_string("/proc/devices").unwrap_or_default();
    let (policy, allowed) = list_of(rules, &names);
    let policy = Value::Text(policy.to_owned());
    // An empty list takes back what was said before.
    let clear = ("DeviceAllow", Value::Pairs(Vec::new()));
    let mut list = vec![("DevicePolicy", policy), clear];
    if !allowed.is_empty() {
        list.push(("DeviceAllow", Value::Pairs(allowed)));
    }
    list
}

/// The policy, and what is allowed by it. Rules count in their order; systemd has a list of what is
/// allowed, and its program is not the one that decides: ours is put in its place.
fn list_of(rules: &[DeviceRule], names: &str) -> (&'static str, Vec<(String, String)>) {
    let mut policy = "auto";
    let mut allowed: Vec<(String, String)> = Vec::new();
    for rule in rules {
        let kind = if rule.kind.is_empty() { "a" } else { &rule.kind };
        if policy == "auto" && kind != "a" {
            // All is allowed, and a list would allow less. What is denied of it, ours forbids.
            continue;
        }
        let number = |number: Option<i64>| number.filter(|number| *number >= 0);
        let access = if rule.access.is_empty() { "rwm" } else { &rule.access };
        let names = match (kind, number(rule.major), number(rule.minor)) {
            ("a", _, _) => {
                allowed.clear();
                policy = if rule.allow { "auto" } else { "strict" };
                continue;
            }
            (kind, None, _) => vec![format!("{}-*", word(kind))],
            (kind, Some(major), None) => {
                named(names, kind, major).map(|name| format!("{}-{name}", word(kind))).collect()
            }
            (kind, Some(major), Some(minor)) => {
                vec![format!("/dev/{}/{major}:{minor}", word(kind))]
            }
        };
        for name in names {
            // A part that is taken back stays: what is too much here, ours forbids.
            allowed.retain(|(before, same)| !(*before == name && same == access));
            if rule.allow {
                allowed.push((name, access.to_owned()));
            }
        }
    }
    (policy, allowed)
}

fn word(kind: &str) -> &'static str {
    if kind == "b" { "block" } else { "char" }
}

/// The names that the kernel has for all devices of a major number.
fn named<'a>(names: &'a str, kind: &str, major: i64) -> impl Iterator<Item = &'a str> {
    let head = if kind == "b" { "Block devices:" } else { "Character devices:" };
    let lines = names.lines().skip_while(move |line| *line != head).skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    lines.filter_map(move |line| {
        let (number, name) = line.trim().split_once(' ')?;
        (number.parse() == Ok(major)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(file: &str, value: &str) -> Setting {
        Setting {
            controller: file.split('.').next().unwrap().to_owned(),
            file: file.to_owned(),
            value: value.to_owned(),
            limit: "a limit",
            optional: false,
        }
    }

    #[test]
    fn limits_are_said_in_systemds_words() {
        let unified = [
            setting("memory.max", "67108864"),
            setting("memory.swap.max", "max"),
            setting("cpu.max", "150000 100000"),
            setting("io.weight", "default 50"),
            setting("io.weight", "8:0 70"),
            setting("cpuset.cpus", "0-2,9"),
            setting("hugetlb.2MB.max", "1"),
        ];
        let expected = [
            ("MemoryMax", Value::Large(64 << 20)),
            ("MemorySwapMax", Value::Large(u64::MAX)),
            ("IOWeight", Value::Large(50)),
            ("CPUQuotaPerSecUSec", Value::Large(1_500_000)),
            ("CPUQuotaPeriodUSec", Value::Large(100_000)),
            ("AllowedCPUs", Value::Bytes(vec![7, 2])),
        ];
        assert_eq!(properties(&unified, true), expected);
        let old = [
            setting("cpu.cfs_quota_us", "1234"),
            setting("pids.max", "max"),
            setting("cpuset.cpus", "0"),
        ];
        let expected =
            [("TasksMax", Value::Large(u64::MAX)), ("CPUQuotaPerSecUSec", Value::Large(20_000))];
        assert_eq!(properties(&old, false), expected, "rounded up, never to nothing");
        assert_eq!((bits("3-1"), bits("x"), bits("99999")), (None, None, None));
    }

    #[test]
    fn devices_are_named_as_systemd_knows_them() {
        let rule = |text: &str| {
            let words: Vec<_> = text.split(' ').collect();
            DeviceRule {
                allow: words[0] == "allow",
                kind: words[1].to_owned(),
                major: words[2].parse().ok(),
                minor: words[3].parse().ok(),
                access: words[4].to_owned(),
            }
        };
        let names = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  1 ramdisk\n";
        let rules = ["deny a x x rwm", "allow c x x m", "allow c 1 3 rwm", "allow c 136 x rw"];
        let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
        let (policy, allowed) = list_of(&rules, names);
        let pair = |name: &str, access: &str| (name.to_owned(), access.to_owned());
        let expected = [pair("char-*", "m"), pair("/dev/char/1:3", "rwm"), pair("char-pts", "rw")];
        assert_eq!((policy, allowed), ("strict", expected.to_vec()));
        let everything = [rule("deny a x x rwm"), rule("allow a x x rwm")];
        assert_eq!(list_of(&everything, names), ("auto", Vec::new()));
        let usual_too = [rule("allow a x x rwm"), rule("allow c 1 3 rwm")];
        assert_eq!(list_of(&usual_too, names), ("auto", Vec::new()), "as privileged ones say it");
        assert_eq!(named(names, "b", 1).collect::<Vec<_>>(), ["ramdisk"]);
    }
}

//! Numbers of one version in those of the other.

/// Weight of version 2 (1 to 10000) for shares of version 1 (2 to 262144): a curve through the
/// ends that also takes the usual 1024 to the usual 100.
pub fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0 => 0,
        1..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

/// Shares of version 1 for a weight of version 2, along a straight line.
pub fn shares_of_weight(weight: u64) -> u64 {
    match weight {
        0 => 0,
        weight => 2 + (weight.clamp(1, 10_000) - 1) * 262_142 / 9_999,
    }
}

/// `io.weight` (1 to 10000) for a weight of disks of version 1 (10 to 1000).
pub fn weight_of_block_io(weight: u64) -> u64 {
    match weight {
        0 => 0,
        weight => 1 + (weight.clamp(10, 1000) - 10) * 9_999 / 990,
    }
}

/// `cpu.max`: the quota, or `max`, and the period.
pub fn quota(quota: Option<i64>, period: Option<u64>) -> Option<String> {
    if quota.unwrap_or(0) == 0 && period.unwrap_or(0) == 0 {
        return None;
    }
    let quota = match quota {
        Some(quota) if quota > 0 => quota.to_string(),
        _ => "max".to_owned(),
    };
    let period = period.filter(|period| *period != 0).unwrap_or(100_000);
    Some(format!("{quota} {period}"))
}

/// The number after a word at the start of a line.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key).and_then(|(_, value)| value.trim().parse().ok())
}

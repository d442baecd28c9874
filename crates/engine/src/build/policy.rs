//! What of all that builds remember goes: a pure function of what there is and of what is to stay.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use spec::{ChainId, DiffId};

use super::chosen::CacheFilter;
use super::prune::CacheRow;

/// What is to be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneCache {
    /// Also what images have.
    pub all: bool,
    /// Only what was of no use for so long.
    pub until: Option<Duration>,
    /// Only what one of these means, if there is any.
    pub filters: Vec<CacheFilter>,
    /// How much stays; without a word about it, nothing that may go.
    pub keep: KeepCache,
}

/// How much of what builds remember stays, in bytes. What images have does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepCache {
    /// So much stays whatever else is said.
    pub reserved: Option<u64>,
    /// No more than this stays.
    pub max_used: Option<u64>,
    /// So much is to be free on the disk.
    pub min_free: Option<u64>,
}

/// A row with what it takes to choose.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) row: CacheRow,
    /// The layer that it made.
    pub(super) diff: Option<DiffId>,
    /// The stack that it keeps, bottom first.
    pub(super) stack: Vec<ChainId>,
}

impl KeepCache {
    /// How much may stay of what is used now; nothing if that is not said.
    fn limit(&self, used: u64, free: u64) -> Option<u64> {
        if *self == KeepCache::default() {
            return None;
        }
        let missing = self.min_free.map_or(0, |wanted| wanted.saturating_sub(free));
        let for_disk = (missing > 0).then(|| used.saturating_sub(missing));
        let most = self.max_used.into_iter().chain(for_disk).min();
        Some(match (most, self.reserved, self.min_free) {
            (Some(most), reserved, _) => most.max(reserved.unwrap_or(0)),
            (None, Some(reserved), None) => reserved,
            // The disk has room enough.
            (None, _, _) => u64::MAX,
        })
    }
}

impl PruneCache {
    /// The ids of what goes: what was of no use for longest first, and what stands on something
    /// before that.
    pub(super) fn choose(
        &self,
        all: &[Candidate],
        used: u64,
        free: u64,
        now: SystemTime,
    ) -> BTreeSet<String> {
        let limit = self.keep.limit(used, free);
        // A step is of use as long as one that stands on it is.
        let mut last: HashMap<ChainId, SystemTime> = HashMap::new();
        let mut layers: HashMap<DiffId, usize> = HashMap::new();
        for Candidate { row, diff, stack } in all {
            for chain in stack {
                let time = last.entry(*chain).or_insert(row.used);
                *time = (*time).max(row.used);
            }
            diff.iter().for_each(|diff| *layers.entry(*diff).or_default() += 1);
        }
        let used_last = |one: &Candidate| {
            let of_stack = one.stack.last().and_then(|top| last.get(top).copied());
            of_stack.unwrap_or(one.row.used)
        };
        let mut order: Vec<&Candidate> = all.iter().collect();
        order.sort_by_cached_key(|one| {
            (used_last(one), Reverse(one.stack.len()), Reverse(one.row.used), one.row.id.clone())
        });
        let (mut goes, mut left) = (BTreeSet::new(), used);
        for one in order {
            if limit.is_some_and(|limit| left <= limit) {
                break;
            }
            let idle = now.duration_since(used_last(one)).unwrap_or_default();
            let is_old = self.until.is_none_or(|until| idle >= until);
            let is_meant =
                self.filters.is_empty() || self.filters.iter().any(|f| f.holds(&one.row));
            if !is_old || !is_meant || one.row.shared && !self.all {
                continue;
            }
            goes.insert(one.row.id.clone());
            let is_last = one.diff.is_none_or(|diff| match layers.get_mut(&diff) {
                Some(count) => {
                    *count -= 1;
                    *count == 0
                }
                None => true,
            });
            if is_last && !one.row.shared {
                left = left.saturating_sub(one.row.bytes);
            }
        }
        goes
    }
}

#[cfg(test)]
mod tests {
    use spec::Digest;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn chain(name: &str) -> ChainId {
        ChainId(Digest::of(name.as_bytes()))
    }

    /// A step that was of use so many seconds ago and keeps a stack; its id is the stack's top.
    fn step(stack: &[&str], bytes: u64, ago: u64, shared: bool) -> Candidate {
        let top = stack.last().unwrap();
        Candidate {
            row: CacheRow {
                id: (*top).to_owned(),
                text: String::new(),
                bytes,
                made: 0,
                used: now() - ago as u32 * SECOND,
                shared,
            },
            diff: Some(DiffId(Digest::of(top.as_bytes()))),
            stack: stack.iter().map(|name| chain(name)).collect(),
        }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 1_000_000 * SECOND
    }

    fn chosen(request: &PruneCache, all: &[Candidate], free: u64) -> String {
        let used = all.iter().filter(|one| !one.row.shared).map(|one| one.row.bytes).sum();
        let goes = request.choose(all, used, free, now());
        goes.into_iter().collect::<Vec<_>>().join(" ")
    }

    fn keeping(reserved: u64, max_used: u64, min_free: u64) -> PruneCache {
        let some = |bytes: u64| (bytes > 0).then_some(bytes);
        let keep = KeepCache {
            reserved: some(reserved),
            max_used: some(max_used),
            min_free: some(min_free),
        };
        PruneCache { keep, ..PruneCache::default() }
    }

    #[test]
    fn what_was_of_no_use_for_longest_goes_first() {
        let all = [
            step(&["a"], 10, 500, false),
            step(&["a", "b"], 20, 100, false),
            step(&["c"], 30, 300, false),
            step(&["d"], 40, 900, true),
        ];
        let check = |request: PruneCache, free, wanted: &str| {
            assert_eq!(chosen(&request, &all, free), wanted, "{request:?}");
        };
        check(PruneCache::default(), 0, "a b c");
        check(PruneCache { all: true, ..PruneCache::default() }, 0, "a b c d");
        // `a` is of use as long as `b`, which stands on it; then what stands on it goes first.
        check(PruneCache { until: Some(200 * SECOND), ..PruneCache::default() }, 0, "c");
        check(keeping(0, 30, 0), 0, "c");
        check(keeping(0, 29, 0), 0, "b c");
        check(keeping(0, 9, 0), 0, "a b c");
        check(keeping(60, 0, 0), 0, "");
        check(keeping(59, 0, 0), 0, "c");
        check(keeping(50, 10, 0), 0, "c");
        // Enough is free, or 5 bytes are missing, or more than may go.
        check(keeping(0, 0, 100), 100, "");
        check(keeping(0, 0, 100), 95, "c");
        check(keeping(25, 0, 100), 0, "b c");
    }

    #[test]
    fn a_layer_on_two_stacks_counts_until_both_go() {
        let mut all = vec![step(&["a"], 10, 300, false), step(&["b"], 10, 200, false)];
        all[1].diff = all[0].diff;
        all.push(step(&["c"], 10, 100, false));
        let goes = keeping(0, 10, 0).choose(&all, 20, 0, now());
        assert_eq!(goes.len(), 2, "{goes:?}");
    }
}

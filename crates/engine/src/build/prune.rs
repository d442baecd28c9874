//! What builds remember: how much it is, and how it is let go.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use spec::{ChainId, DiffId};
use store::RememberedStep;

use crate::Engine;
use crate::error::Result;

/// One remembered step.
#[derive(Clone, Debug)]
pub struct CacheRow {
    /// The name it is remembered under.
    pub id: String,
    /// The instruction.
    pub text: String,
    /// The size of the layer it made.
    pub bytes: u64,
    /// When it was done, in seconds since 1970.
    pub made: i64,
    /// When it was last of use.
    pub used: SystemTime,
    /// Whether an image has its layer too.
    pub shared: bool,
}

/// All that is remembered.
#[derive(Clone, Debug, Default)]
pub struct BuildCache {
    /// The steps, newest last.
    pub rows: Vec<CacheRow>,
    /// Bytes of layers, each once.
    pub bytes: u64,
    /// Bytes of layers that nothing else has.
    pub reclaimable: u64,
}

/// What is to be forgotten.
#[derive(Clone, Debug, Default)]
pub struct PruneCache {
    /// Also what images have.
    pub all: bool,
    /// Only what was of no use for so long.
    pub until: Option<Duration>,
    /// Until no more than this is left.
    pub keep_bytes: Option<u64>,
}

impl Engine {
    /// What builds remember.
    pub fn build_cache(&self) -> Result<BuildCache> {
        let tables = self.store.tables()?;
        let tops = tables.images.images.values().filter_map(|record| record.top);
        let in_images = tables.layers.closure(tops);
        let mut cache = BuildCache::default();
        let (mut seen, mut steps) = (BTreeSet::<DiffId>::new(), self.store.remembered_steps()?);
        steps.sort_by_key(|step| (step.used, step.key));
        for step in steps {
            let row = row(&step, &in_images);
            if step.record.layer.is_some_and(|layer| seen.insert(layer.diff)) {
                cache.bytes += row.bytes;
                cache.reclaimable += if row.shared { 0 } else { row.bytes };
            }
            cache.rows.push(row);
        }
        Ok(cache)
    }

    /// Forgets, and gives what was forgotten and how many bytes that freed.
    pub fn prune_cache(&self, request: &PruneCache) -> Result<(Vec<CacheRow>, u64)> {
        let cache = self.build_cache()?;
        let now = SystemTime::now();
        let mut left = cache.bytes;
        let mut goes = BTreeSet::new();
        for row in &cache.rows {
            let idle = now.duration_since(row.used).unwrap_or_default();
            let old = request.until.is_none_or(|until| idle >= until);
            let much = request.keep_bytes.is_none_or(|keep| left > keep);
            if old && much && (request.all || !row.shared) {
                left = left.saturating_sub(row.bytes);
                goes.insert(row.id.clone());
            }
        }
        self.store.forget_steps(&mut |step| goes.contains(&step.key.hex()))?;
        let freed = self.store.collect()?.bytes;
        let rows = cache.rows.into_iter().filter(|row| goes.contains(&row.id)).collect();
        Ok((rows, freed))
    }
}

fn row(step: &RememberedStep, in_images: &BTreeSet<ChainId>) -> CacheRow {
    let record = &step.record;
    CacheRow {
        id: step.key.hex(),
        text: record.text.clone(),
        bytes: record.layer.map_or(0, |layer| layer.bytes),
        made: record.made,
        used: step.used,
        shared: record.layer.is_none() || record.top.is_some_and(|top| in_images.contains(&top)),
    }
}

//! What builds remember: how much it is, and how it is let go.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ::build::key::About;

use spec::{ChainId, DiffId};
use store::RememberedStep;

use super::caches::CacheMount;
use super::chosen::CacheFilter;
use super::fetch::URLS;
use super::policy::{Candidate, KeepCache, PruneCache};
use super::work::Remembered;

use crate::Engine;
use crate::error::{EngineError, Result};

/// How a cache mount is called among steps.
pub(super) const MOUNT: &str = "cache mount ";
/// After so long nobody is expected to build from a context or a URL again.
const CONTEXT_REST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Its time is when rules were last followed, and so long they are left alone then.
const COLLECTED: &str = "collected";
const COLLECT_REST: Duration = Duration::from_secs(60 * 60);

/// No build takes so long that it still needs a repository then.
const FETCHED_REST: Duration = Duration::from_secs(24 * 60 * 60);

/// One remembered step, or a cache mount.
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

impl Engine {
    /// What builds remember.
    pub fn build_cache(&self) -> Result<BuildCache> {
        Ok(self.remembered()?.0)
    }

    /// What builds remember, and all that is needed to choose what of it goes.
    fn remembered(&self) -> Result<(BuildCache, Vec<Candidate>)> {
        let tables = self.store.tables()?;
        let tops = tables.images.images.values().filter_map(|record| record.top);
        let in_images = tables.layers.closure(tops);
        let alone = |row| Candidate { row, diff: None, stack: Vec::new() };
        let mut all: Vec<Candidate> =
            self.cache_mounts()?.into_iter().map(mount_row).map(alone).collect();
        let mut cache = BuildCache::default();
        cache.bytes = all.iter().map(|one| one.row.bytes).sum();
        cache.reclaimable = cache.bytes;
        let (mut seen, mut steps) = (BTreeSet::<DiffId>::new(), self.store.remembered_steps()?);
        steps.sort_by_key(|step| (step.used, step.key));
        for step in steps {
            let row = row(&step, &in_images);
            if step.record.layer.is_some_and(|layer| seen.insert(layer.diff)) {
                cache.bytes += row.bytes;
                cache.reclaimable += if row.shared { 0 } else { row.bytes };
            }
            // A stack that has gone keeps nothing.
            let stack = tables.layers.stack(step.record.top).unwrap_or_default();
            let stack = stack.into_iter().map(|(chain, _)| chain).collect();
            all.push(Candidate { row, diff: step.record.layer.map(|layer| layer.diff), stack });
        }
        cache.rows = all.iter().map(|one| one.row.clone()).collect();
        cache.rows.sort_by_key(|row| row.used);
        Ok((cache, all))
    }

    /// Removes lists of files that no remembered step names, and what is known of contexts from
    /// which nobody has built for long.
    fn sweep_notes(&self) -> Result<()> {
        let mut named: BTreeSet<String> = BTreeSet::new();
        for step in self.store.remembered_steps()? {
            let Ok(remembered) = serde_json::from_str::<Remembered>(step.record.rest.get()) else {
                continue;
            };
            let files = remembered.key.parts.into_iter().filter(|part| part.about == About::Files);
            named.extend(files.filter_map(|part| Some(part.value.split_once(':')?.1.to_owned())));
        }
        let build = self.store.build_folder();
        let now = SystemTime::now();
        for listing in entries(&build.join("listings"))? {
            let name = listing.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !named.contains(&name) {
                let _ = fs::remove_file(&listing);
            }
        }
        let rest = |path: &PathBuf| {
            let used = fs::metadata(path).and_then(|meta| meta.modified()).unwrap_or(now);
            now.duration_since(used).unwrap_or_default()
        };
        for folder in ["contexts", URLS] {
            for memory in entries(&build.join(folder))? {
                if rest(&memory) > CONTEXT_REST {
                    let _ = fs::remove_file(&memory);
                }
            }
        }
        // Of builds that were killed: each removes its own.
        for fetched in entries(&build.join("fetched"))? {
            if rest(&fetched) > FETCHED_REST {
                let _ = fs::remove_dir_all(&fetched);
            }
        }
        Ok(())
    }

    /// Forgets, and gives what was forgotten and how many bytes that freed.
    pub fn prune_cache(&self, request: &PruneCache) -> Result<(Vec<CacheRow>, u64)> {
        let (rows, freed) = self.forget_cache(request)?;
        self.store.record_event("builder", "prune", "", &[("reclaimed", &freed.to_string())]);
        Ok((rows, freed))
    }

    fn forget_cache(&self, request: &PruneCache) -> Result<(Vec<CacheRow>, u64)> {
        let (cache, all) = self.remembered()?;
        let root = self.store.paths().root();
        let (free, _) = sys::fs::space(root).map_err(EngineError::io("look at", root))?;
        let goes = request.choose(&all, cache.reclaimable, free, SystemTime::now());
        self.store.forget_steps(&mut |step| goes.contains(&step.key.hex()))?;
        let mut freed = self.store.collect()?.bytes;
        let rows: Vec<CacheRow> =
            cache.rows.into_iter().filter(|row| goes.contains(&row.id)).collect();
        for row in rows.iter().filter(|row| row.is_mount()) {
            self.let_go_of_mount(&row.id)?;
            freed += row.bytes;
        }
        let is_chosen = request.filters.iter().any(|filter| *filter != CacheFilter::default());
        if request.until.is_none() && !is_chosen && request.keep == KeepCache::default() {
            freed += self.sweep_sent(request.all)?;
        }
        self.sweep_notes()?;
        Ok((rows, freed))
    }

    /// Forgets what the settings' rules do not keep, if nobody has for a while. It costs a look at
    /// all that is remembered, so not every build does it.
    pub(super) fn collect_cache(&self) -> Result<()> {
        let rules = &self.settings().build_cache.rules;
        if rules.is_empty() {
            return Ok(());
        }
        let mark = self.store.build_folder().join(COLLECTED);
        let made = fs::metadata(&mark).and_then(|meta| meta.modified());
        let age = made.ok().and_then(|made| SystemTime::now().duration_since(made).ok());
        if age.is_some_and(|age| age < COLLECT_REST) {
            return Ok(());
        }
        // First, so that of several builds that end now one does it.
        fs::write(&mark, "").map_err(EngineError::io("write", &mark))?;
        let root = self.store.paths().root();
        for rule in rules {
            let (_, disk) = sys::fs::space(root).map_err(EngineError::io("look at", root))?;
            self.forget_cache(&rule.on_disk(disk))?;
        }
        Ok(())
    }
}

/// A cache mount among steps.
fn mount_row(CacheMount { id, name, bytes, used }: CacheMount) -> CacheRow {
    let made = used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let made = i64::try_from(made.as_secs()).unwrap_or(i64::MAX);
    let text = format!("{MOUNT}{}", id.trim_start_matches('/'));
    CacheRow { id: name, text, bytes, made, used, shared: false }
}

/// What is in a folder, in the order of the names; nothing if it is not there.
pub(super) fn entries(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(EngineError::io("list", folder))?,
    };
    let mut paths: Vec<PathBuf> = read.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
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

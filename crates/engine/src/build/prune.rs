//! What builds remember: how much it is, and how it is let go.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ::build::key::About;

use spec::{ChainId, DiffId};
use store::RememberedStep;
use sys::lock::{Mode, try_lock};

use super::work::Remembered;

use crate::Engine;
use crate::error::{EngineError, Result};

/// How a cache mount is called among steps.
const MOUNT: &str = "cache mount ";
/// After so long nobody is expected to build from a context again.
const CONTEXT_REST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

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
        let mut cache = BuildCache { rows: self.cache_mounts()?, ..BuildCache::default() };
        cache.bytes = cache.rows.iter().map(|row| row.bytes).sum();
        cache.reclaimable = cache.bytes;
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
        cache.rows.sort_by_key(|row| row.used);
        Ok(cache)
    }

    /// Cache mounts: what commands keep for themselves from one build to the next.
    fn cache_mounts(&self) -> Result<Vec<CacheRow>> {
        let mut rows = Vec::new();
        for folder in entries(&self.mounts_folder())? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Ok(used) = fs::metadata(folder.join("lock")).and_then(|meta| meta.modified())
            else {
                continue;
            };
            let id = fs::read_to_string(folder.join("id")).unwrap_or_default();
            // One that was emptied has only its lock.
            let Ok(files) = sys::fs::open_folder(&folder.join("files")) else { continue };
            let bytes = image::upper::usage(&files);
            let made = used.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            rows.push(CacheRow {
                id: name,
                text: format!("{MOUNT}{}", id.trim_start_matches('/')),
                bytes: bytes.map_or(0, |(bytes, _)| bytes),
                made: i64::try_from(made.as_secs()).unwrap_or(i64::MAX),
                used,
                shared: false,
            });
        }
        Ok(rows)
    }

    fn mounts_folder(&self) -> PathBuf {
        self.store.build_folder().join("mounts")
    }

    /// Removes a cache mount that no command uses now.
    fn remove_mount(&self, name: &str) -> Result<()> {
        let folder = self.mounts_folder().join(name);
        let lock = folder.join("lock");
        let file = File::open(&lock).map_err(EngineError::io("open", &lock))?;
        if !try_lock(&file, Mode::Exclusive).map_err(EngineError::io("lock", &lock))? {
            return Ok(());
        }
        // The lock stays: whoever waits for it finds no files, and begins anew.
        fs::remove_dir_all(folder.join("files")).map_err(EngineError::io("remove", &folder))
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
        for context in entries(&build.join("contexts"))? {
            if rest(&context) > CONTEXT_REST {
                let _ = fs::remove_file(&context);
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
        let mut freed = self.store.collect()?.bytes;
        let rows: Vec<CacheRow> =
            cache.rows.into_iter().filter(|row| goes.contains(&row.id)).collect();
        for row in rows.iter().filter(|row| row.text.starts_with(MOUNT)) {
            self.remove_mount(&row.id)?;
            freed += row.bytes;
        }
        if request.until.is_none() && request.keep_bytes.is_none() {
            freed += self.sweep_sent(request.all)?;
        }
        self.sweep_notes()?;
        Ok((rows, freed))
    }
}

fn entries(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
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

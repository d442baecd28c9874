//! What has changed since a cache was last used.
//!
//! All files that a build brings have one time, and what lies in a cache has the time at which it
//! was made. To whoever compares times, as `make` and cargo do, a source that has changed would be
//! older than what was once made of it. So what has changed since a step last used a cache is as
//! old as this moment while its command runs; afterwards it is as it was, and no layer tells of it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ::build::graph::Step;
use image::merged::{Change, Difference, Origin};
use spec::{ChainId, Digest};
use store::Touched;
use sys::fs::Stat;

use super::work::{Builder, Made};
use crate::error::{EngineError, Result};

/// In a cache's folder: the stacks that steps last used it on, by what the steps are.
pub(super) const SEEN: &str = "seen";
/// The stack of whichever step used it last.
const LAST: &str = "last";

/// A cache that a command may write to.
pub(super) struct UsedCache {
    /// Where it is kept.
    pub(super) folder: PathBuf,
    /// Whether nothing was in it before.
    pub(super) is_new: bool,
}

/// Files that are as old as this moment.
pub(super) struct Fresh {
    touched: Touched,
    /// Which file each is, and since when it is so, as the kernel says it: one that somebody changes
    /// has a later time.
    since: Vec<Identity>,
    /// Where it is remembered that the command has seen the caches.
    memories: Vec<PathBuf>,
}

impl Fresh {
    /// Touches what has changed, in a tree to which nothing has been written yet.
    pub(super) fn touch(
        builder: &Builder<'_>,
        root: &OwnedFd,
        caches: &[UsedCache],
        step: &Step,
        below: &Made,
    ) -> Result<Fresh> {
        let name = format!("{} {:?} {}", below.platform, step.stage, step.text);
        let name = Digest::of(name.as_bytes()).hex();
        let mut changed = BTreeSet::new();
        for cache in caches.iter().filter(|cache| !cache.is_new) {
            let seen = cache.folder.join(SEEN);
            let known = [name.as_str(), LAST].iter().find_map(|name| read(&seen.join(name)));
            match known {
                Some(before) if Some(before) == below.top => {}
                before => builder.changed(before, below, &mut changed)?,
            }
        }
        let memory = |cache: &UsedCache| cache.folder.join(SEEN).join(&name);
        let memories = caches.iter().map(memory).collect();
        let (touched, since) = Default::default();
        let mut fresh = Fresh { touched, since, memories };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for path in changed {
            fresh.touch_one(root, path, (now.as_secs() as i64, now.subsec_nanos()))?;
        }
        Ok(fresh)
    }

    fn touch_one(&mut self, root: &OwnedFd, path: Vec<u8>, now: (i64, u32)) -> Result<()> {
        let failed =
            |error| EngineError::io("touch", String::from_utf8_lossy(&path).into_owned())(error);
        let was = stat(root, &path).map_err(failed)?;
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (at, _) in slashes {
            let folder = &path[..at];
            if !self.touched.folders.contains_key(folder) {
                self.touched.folders.insert(folder.to_vec(), stat(root, folder).map_err(failed)?);
            }
        }
        let (above, name) = sys::fs::place_beneath(root, &path).map_err(failed)?;
        sys::fs::set_mtime(above, name, now.0, now.1).map_err(failed)?;
        self.since.push(identity(&stat(root, &path).map_err(failed)?));
        self.touched.files.push((path, (was.st_mtime, was.st_mtime_nsec as u32)));
        Ok(())
    }

    /// What the command has left as it was.
    pub(super) fn untouched(&mut self, root: &OwnedFd) -> Touched {
        let mut touched = std::mem::take(&mut self.touched);
        let mut since = self.since.drain(..);
        touched.files.retain(|(path, _)| {
            let is = stat(root, path).map(|stat| identity(&stat)).ok();
            is == since.next()
        });
        touched
    }

    /// Remembers that the command has seen these files.
    pub(super) fn remember(&self, top: Option<ChainId>) -> Result<()> {
        let Some(top) = top else { return Ok(()) };
        for memory in &self.memories {
            let folder = memory.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(folder).map_err(EngineError::io("create", folder))?;
            for path in [memory, &folder.join(LAST)] {
                let random = sys::host::random_id().map_err(EngineError::io("read", "/proc"))?;
                let aside = folder.join(random);
                fs::write(&aside, top.to_string())
                    .and_then(|()| fs::rename(&aside, path))
                    .map_err(EngineError::io("write", path))?;
            }
        }
        Ok(())
    }
}

/// A file's attributes. A command may have put links where folders were: none is followed.
fn stat(root: &OwnedFd, path: &[u8]) -> io::Result<Stat> {
    let (above, name) = sys::fs::place_beneath(root, path)?;
    sys::fs::stat(above, name)
}

/// Device and number of a file, and when anything at all of it was last changed.
type Identity = (u64, u64, i64, i64);

fn identity(stat: &Stat) -> Identity {
    (stat.st_dev, stat.st_ino, stat.st_ctime, stat.st_ctime_nsec as i64)
}

/// A stack that is remembered; none if nothing is.
fn read(path: &Path) -> Option<ChainId> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl Builder<'_> {
    /// Adds the files that a stack has otherwise than one before it, as far as they have the time
    /// that we gave them. Where that one is here no more, all of them have changed.
    fn changed(
        &self,
        before: Option<ChainId>,
        below: &Made,
        changed: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        let tables = self.store().tables()?;
        let before = before.filter(|before| tables.layers.layers.contains_key(before));
        let is_ours = |origin: &Origin| origin.inode.mtime.0 == below.epoch;
        let (one, two) =
            (self.engine.stack_side(&tables, before)?, self.engine.stack_side(&tables, below.top)?);
        let mut is_same = |a: &Origin, b: &Origin| !is_ours(b) || one.has_same_bytes(&two, a, b);
        let mut note = |difference: Difference| {
            let Some(origin) = difference.after.filter(|_| difference.change != Change::Deleted)
            else {
                return;
            };
            // A file with several names would be several afterwards.
            let is_alone = origin.inode.is_file() && origin.inode.links == 1;
            if is_alone && is_ours(&origin) {
                changed.insert(difference.path.strip_prefix(b"/").unwrap_or_default().to_vec());
            }
        };
        one.compare_by(&two, &mut is_same, &mut note)
    }
}

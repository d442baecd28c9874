//! Images mounted for people to look into: read-only, shared, counted.
//!
//! The mount decides: an image is mounted from the moment in which its mount is in place to the one
//! in which it is taken away. A record whose mount is gone is none, and a mount without a record has
//! one user. The record is written before the mount is made and removed after it is gone, so that a
//! crash leaves a record too many. Both lie below the run root and end with the boot.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use spec::{ChainId, ImageId};
use sys::lock::Mode;

use crate::Store;
use crate::document;
use crate::driver::Users;
use crate::error::{Result, StoreError};
use crate::lease::{self, Lease};
use crate::paths::create_private;
use crate::run::{self, MOUNTING, VIEWING};
use crate::tables::LayerRecord;

/// An image that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The image.
    pub image: ImageId,
    /// Its topmost stack.
    pub top: Option<ChainId>,
    /// Where it is mounted.
    pub path: PathBuf,
    /// How many times it was asked for.
    pub count: u32,
}

#[derive(Default, Serialize, Deserialize)]
struct Views {
    views: Vec<View>,
}

impl Store {
    /// Mounts an image for reading, or counts one more user of the mount that is there.
    pub fn mount_view(&self, lease: &Lease, image: ImageId) -> Result<PathBuf> {
        let _alone = run::hold(self.paths(), VIEWING)?;
        let top = self.images()?.images.get(&image).and_then(|record| record.top);
        if let Some(top) = &top {
            lease.protect_chain(top)?;
        }
        // Read again: what the lease protects now may have gone a moment before.
        let tables = self.tables()?;
        if !tables.images.images.contains_key(&image) {
            return Err(StoreError::NoBlob(image.0));
        }
        let stack = self.stacked(top, &tables.layers)?;
        let mut views = self.read_views()?;
        let path = self.paths().views().join(image.0.hex());
        let mounted = is_mounted(&path)?;
        match views.views.iter_mut().find(|view| view.image == image) {
            Some(view) if mounted => view.count = view.count.saturating_add(1),
            // Left by those who died before the mount was made, or after it was gone.
            Some(view) => view.count = 1,
            None => views.views.push(View { image, top, path: path.clone(), count: 1 }),
        }
        self.write_views(&views)?;
        if mounted {
            return Ok(path);
        }
        let made = self.mount_at(&stack, &path);
        if made.is_err() {
            let _ = fs::remove_dir(&path);
        }
        made.map(|()| path)
    }

    fn mount_at(&self, stack: &[crate::Stacked], path: &Path) -> Result<()> {
        run::seclude(self.paths())?;
        create_private(path)?;
        let mount = self.view(stack)?;
        sys::mount::attach(&mount, path).map_err(StoreError::mount("mount on", path))
    }

    /// A detached, read-only mount of a stack.
    pub fn view(&self, stack: &[crate::Stacked]) -> Result<std::os::fd::OwnedFd> {
        self.view_for(stack, None)
    }

    /// The same as others see it.
    pub fn view_for(
        &self,
        stack: &[crate::Stacked],
        users: Option<Users<'_>>,
    ) -> Result<std::os::fd::OwnedFd> {
        if !stack.is_empty() {
            // A clean-up unmounts layers that nobody seems to use: not while they are put together.
            let _shared = lease::hold(self.paths(), Mode::Shared)?;
            return self.driver().view(stack, users);
        }
        let empty = self.paths().run().join("empty");
        create_private(&empty)?;
        let view = sys::mount::clone(&empty, false).map_err(StoreError::mount("mount", &empty))?;
        sys::mount::make_read_only(&view).map_err(StoreError::mount("mount", &empty))?;
        Ok(view)
    }

    /// Takes one user of a view away, or with `force` all of them, and says how many are left;
    /// `None` if it was not mounted.
    pub fn unmount_view(&self, image: ImageId, force: bool) -> Result<Option<u32>> {
        let _alone = run::hold(self.paths(), VIEWING)?;
        let mut views = self.read_views()?;
        let Some(at) = views.views.iter().position(|view| view.image == image) else {
            return Ok(None);
        };
        let view = &mut views.views[at];
        let path = view.path.clone();
        let mounted = is_mounted(&path)?;
        view.count = if force { 0 } else { view.count.saturating_sub(1) };
        let left = view.count;
        if mounted && left > 0 {
            self.write_views(&views)?;
            return Ok(Some(left));
        }
        take_away(&path)?;
        let view = views.views.remove(at);
        self.rest(view.top);
        // What cannot be removed now means nothing any more, and goes with the next prune.
        let _ = self.write_views(&views);
        Ok(mounted.then_some(0))
    }

    /// Lets go of what memory holds twice of a stack that was in use.
    fn rest(&self, top: Option<ChainId>) {
        // A stack that is no longer known has nothing that anybody will read again.
        let Ok(tables) = self.tables() else { return };
        let Ok(stack) = tables.layers.stack(top) else { return };
        let stacked =
            |(chain, record): (ChainId, &LayerRecord)| crate::Stacked { chain, diff: record.diff };
        self.driver().rest(&stack.into_iter().map(stacked).collect::<Vec<_>>());
    }

    /// All images that are mounted. A record whose mount is gone, as after a crash, is none.
    pub fn views(&self) -> Result<Vec<View>> {
        living(self.read_views()?.views)
    }

    /// Removes what those left behind who died while they mounted or unmounted an image: records
    /// without a mount, and folders on which nothing is mounted.
    pub(crate) fn sweep_views(&self) -> Result<()> {
        let folder = self.paths().views();
        if !folder.exists() {
            return Ok(());
        }
        let _alone = run::hold(self.paths(), VIEWING)?;
        let before = self.read_views()?.views;
        let views = living(before.clone())?;
        if views != before {
            self.write_views(&Views { views })?;
        }
        for path in entries(&folder)? {
            if !is_mounted(&path)? {
                fs::remove_dir(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn read_views(&self) -> Result<Views> {
        let read: Result<Views> = document::read(&self.paths().run().join("views.json"));
        let mut views = match read {
            Err(StoreError::Damaged { .. }) => Views::default(),
            other => other?,
        };
        // A mount that lost its record was asked for at least once.
        for path in entries(&self.paths().views())? {
            if views.views.iter().any(|view| view.path == path) || !is_mounted(&path)? {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if let Ok(image) = format!("sha256:{name}").parse::<spec::Digest>().map(ImageId) {
                let top = self.images()?.images.get(&image).and_then(|record| record.top);
                views.views.push(View { image, top, path, count: 1 });
            }
        }
        Ok(views)
    }

    fn write_views(&self, views: &Views) -> Result<()> {
        document::write(&self.paths().run().join("views.json"), views)
    }

    /// Takes away the mounts of all layers but these. The caller holds the store's lock alone, so
    /// that nobody begins to count on others.
    pub(crate) fn unmount_idle(&self, needed: &BTreeSet<ChainId>) -> Result<()> {
        let mounts = entries(&self.paths().run().join("layers"))?;
        if mounts.is_empty() {
            return Ok(());
        }
        let _alone = run::hold(self.paths(), MOUNTING)?;
        let needed: Vec<_> = needed.iter().map(|chain| self.paths().layer_mount(chain)).collect();
        let mut idle = mounts.iter().filter(|path| !needed.contains(path));
        idle.try_for_each(|path| take_away(path))
    }

    /// Takes away every mount that this store has made: before its folders are deleted, or the
    /// disk under them is unmounted. Snapshots must not be in use.
    pub fn unmount_all(&self) -> Result<()> {
        let _alone = run::hold(self.paths(), VIEWING)?;
        let run = self.paths().run();
        for folder in [self.paths().views(), run.join("layers"), self.paths().groups()] {
            entries(&folder)?.iter().try_for_each(|path| take_away(path))?;
        }
        unmount(run)?;
        self.write_views(&Views::default())
    }
}

/// Records whose mount is there.
fn living(views: Vec<View>) -> Result<Vec<View>> {
    let mut living = Vec::new();
    for view in views {
        if is_mounted(&view.path)? {
            living.push(view);
        }
    }
    Ok(living)
}

/// Whether something is mounted here. What cannot be told is an error: for a collector, a mount
/// that is taken for none would be garbage.
fn is_mounted(path: &Path) -> Result<bool> {
    match sys::mount::is_mounted(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map_err(StoreError::io("look at", path)),
    }
}

/// Takes the mounts at a path away, and the folder.
fn take_away(path: &Path) -> Result<()> {
    unmount(path)?;
    let _ = fs::remove_dir(path);
    Ok(())
}

fn unmount(path: &Path) -> Result<()> {
    while is_mounted(path)? {
        sys::mount::detach(path).map_err(StoreError::mount("unmount", path))?;
    }
    Ok(())
}

/// What is in a folder; nothing if it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(StoreError::io("list", folder)),
    }
}

//! Images mounted for people to look into: read-only, shared, counted.
//!
//! A view's record is written before the mount is made and removed after it is gone, so that a
//! crash leaves a record too many and never a mount too many. Both lie below the run root and end
//! with the boot.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spec::{ChainId, ImageId};
use sys::lock::Mode;

use crate::Store;
use crate::error::{Result, StoreError};
use crate::lease::Lease;
use crate::paths::create_private;
use crate::tables::{self, LayerRecord};

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
        let _alone = self.view_lock()?;
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
        let is_mounted = sys::mount::is_mounted(&path).unwrap_or(false);
        match views.views.iter_mut().find(|view| view.image == image) {
            Some(view) if is_mounted => view.count += 1,
            // Left by those who died before the mount was made, or after it was gone.
            Some(view) => view.count = 1,
            None => views.views.push(View { image, top, path: path.clone(), count: 1 }),
        }
        self.write_views(&views)?;
        if is_mounted {
            return Ok(path);
        }
        create_private(&path)?;
        let mounted = self.view(&stack).and_then(|mount| {
            sys::mount::attach(&mount, &path).map_err(StoreError::io("mount on", &path))
        });
        if let Err(error) = mounted {
            views.views.retain(|view| view.image != image);
            let _ = fs::remove_dir(&path);
            self.write_views(&views)?;
            return Err(error);
        }
        Ok(path)
    }

    /// A detached, read-only mount of a stack.
    pub fn view(&self, stack: &[crate::Stacked]) -> Result<std::os::fd::OwnedFd> {
        if !stack.is_empty() {
            return self.driver().view(stack);
        }
        let empty = self.paths().run().join("empty");
        create_private(&empty)?;
        let view = sys::mount::clone(&empty, false).map_err(StoreError::io("mount", &empty))?;
        sys::mount::make_read_only(&view).map_err(StoreError::io("mount", &empty))?;
        Ok(view)
    }

    /// Takes one user of a view away, or with `force` all of them, and says how many are left;
    /// `None` if it was not mounted.
    pub fn unmount_view(&self, image: ImageId, force: bool) -> Result<Option<u32>> {
        let _alone = self.view_lock()?;
        let mut views = self.read_views()?;
        let Some(at) = views.views.iter().position(|view| view.image == image) else {
            return Ok(None);
        };
        let view = &mut views.views[at];
        view.count = if force { 0 } else { view.count.saturating_sub(1) };
        let left = view.count;
        if left == 0 {
            let view = views.views.remove(at);
            while sys::mount::is_mounted(&view.path).unwrap_or(false) {
                sys::mount::detach(&view.path).map_err(StoreError::io("unmount", &view.path))?;
            }
            let _ = fs::remove_dir(&view.path);
            self.rest(view.top);
        }
        self.write_views(&views)?;
        Ok(Some(left))
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
        let views = self.read_views()?.views;
        let mounted = |view: &View| sys::mount::is_mounted(&view.path).unwrap_or(false);
        Ok(views.into_iter().filter(mounted).collect())
    }

    fn view_lock(&self) -> Result<File> {
        let run = self.paths().run();
        create_private(run)?;
        let path = run.join("viewing");
        let open = File::options().write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(StoreError::io("open", &path))?;
        sys::lock::lock(&file, Mode::Exclusive).map_err(StoreError::io("lock", &path))?;
        Ok(file)
    }

    fn read_views(&self) -> Result<Views> {
        tables::read(&self.paths().run().join("views.json"))
    }

    fn write_views(&self, views: &Views) -> Result<()> {
        tables::write(&self.paths().run().join("views.json"), views)
    }

    /// Takes away every mount that this store has made, for a store that is to go or to be
    /// converted.
    pub fn unmount_all(&self) -> Result<()> {
        let _alone = self.view_lock()?;
        for folder in [self.paths().views(), self.paths().run().join("layers")] {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(StoreError::io("list", &folder))?,
            };
            for entry in entries {
                let path = entry.map_err(StoreError::io("list", &folder))?.path();
                while sys::mount::is_mounted(&path).unwrap_or(false) {
                    sys::mount::detach(&path).map_err(StoreError::io("unmount", &path))?;
                }
                let _ = fs::remove_dir(&path);
            }
        }
        self.write_views(&Views::default())
    }
}

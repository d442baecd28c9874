//! The documents read, and changed under the store's lock: what there is changes here and nowhere else.

use spec::{ChainId, ImageId};
use sys::lock::Mode;

use crate::error::{Result, StoreError};
use crate::lease::{self, Making};
use crate::tables::{self, About, Images, Tables};
use crate::{Store, reserve};

impl Store {
    /// Images and names as they are now.
    pub fn images(&self) -> Result<Images> {
        tables::read_images(&self.paths).map(|(images, _)| images)
    }

    /// What there is about one image: the image and all its names; perhaps more, up to all images and
    /// names, which it is where there is no such image.
    pub fn images_about(&self, about: &About) -> Result<Images> {
        tables::read_images_about(&self.paths, about)
    }

    /// Changes what there is about one image, alone. Nothing is written if `change` fails.
    pub fn change_images_about<T, E: From<StoreError>>(
        &self,
        about: &About,
        change: impl FnOnce(&mut Images) -> Result<T, E>,
    ) -> Result<T, E> {
        let _alone = lease::hold(&self.paths, Mode::Exclusive)?;
        let (result, is_changed) = tables::change_images_about(&self.paths, about, change)?;
        if is_changed {
            reserve::keep(&self.paths);
        }
        Ok(result)
    }

    /// Images, names and layers as they are now.
    pub fn tables(&self) -> Result<Tables> {
        Tables::read(&self.paths)
    }

    /// Changes images and names, alone. Nothing is written if `change` fails.
    pub fn change_images<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut Images) -> Result<T, E>,
    ) -> Result<T, E> {
        self.change_images_about(&About::All, change)
    }

    /// Changes images, names and layers, alone. Nothing is written if `change` fails.
    pub fn change<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut Tables) -> Result<T, E>,
    ) -> Result<T, E> {
        let _alone = lease::hold(&self.paths, Mode::Exclusive)?;
        let before = self.tables()?;
        let mut after = before.clone();
        let result = change(&mut after)?;
        after.write(&before, &self.paths)?;
        reserve::keep(&self.paths);
        Ok(result)
    }

    /// As `change`, for clean-ups that say less in the documents than was there: they go on where
    /// the disk is full.
    pub(crate) fn shrink(&self, change: impl FnOnce(&mut Tables)) -> Result<()> {
        let _alone = lease::hold(&self.paths, Mode::Exclusive)?;
        let before = self.tables()?;
        let mut after = before.clone();
        change(&mut after);
        reserve::or_spend(&self.paths, || after.write(&before, &self.paths))?;
        reserve::keep(&self.paths);
        Ok(())
    }

    /// Begins to make a snapshot of the image that is found, which has this stack and stays.
    pub fn making<T, E: From<StoreError>>(
        &self,
        about: &About,
        find: impl Fn(&Images) -> Result<(T, Option<ChainId>), E>,
    ) -> Result<(Making, T), E> {
        if self.driver.branches_at_once() {
            let shared = lease::hold(&self.paths, Mode::Shared)?;
            self.must_be_current()?;
            let (found, top) = find(&self.images_about(about)?)?;
            let layers = tables::read_layers(&self.paths)?;
            // Layers that must be looked at first take longer, and change the documents.
            if self.is_fit(top, &layers)? {
                return Ok((Making::AtOnce(shared, layers), found));
            }
        }
        let lease = self.lease()?;
        let (found, top) = find(&self.images_about(about)?)?;
        if let Some(top) = &top {
            lease.protect_chain(top)?;
        }
        Ok((Making::InTime(lease), found))
    }

    /// Does what makes somebody count on the image that is being made something of, and that nobody
    /// removes meanwhile; nothing if it is not here any more.
    pub fn while_kept<T>(
        &self,
        making: &Making,
        image: ImageId,
        work: impl FnOnce() -> T,
    ) -> Result<Option<T>> {
        match making {
            Making::AtOnce(..) => Ok(Some(work())),
            Making::InTime(_) => {
                let _shared = lease::hold(&self.paths, Mode::Shared)?;
                Ok(self.images()?.images.contains_key(&image).then(work))
            }
        }
    }
}

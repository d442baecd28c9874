//! Builds that belong together: they hold what they made for each other, and do nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spec::{ChainId, Digest, ImageConfig, ImageId, Platform, Reference};
use store::Lease;

use super::assemble::Image;
use super::bases::BaseImage;
use super::flights::Flights;
use super::git::{Checkout, GitUrl};
use super::mounts::{TempFolder, make_private};
use super::request::BuildRequest;
use super::tell::Teller;
use super::watch::BuildWatch;
use crate::Engine;
use crate::error::{EngineError, Result};
use crate::progress::Quiet;
use crate::pull::PullImage;

/// Builds that may go on at once.
pub struct BuildSession<'a> {
    pub(super) engine: &'a Engine,
    pub(super) lease: Lease,
    pub(super) teller: Teller<'a>,
    pub(super) flights: Flights,
    /// Images that were asked for again though they were here.
    fetched: Mutex<BTreeSet<(String, String)>>,
    /// Repositories that were fetched.
    checkouts: Mutex<BTreeMap<GitUrl, Checkout>>,
    /// Folders that go with the session.
    folders: Mutex<Vec<TempFolder>>,
    /// What builds gave, by what they are called.
    results: Mutex<BTreeMap<String, Vec<(Platform, Arc<BaseImage>)>>>,
}

impl Engine {
    /// Begins builds that belong together.
    pub fn build_session<'a>(&'a self, watch: &'a dyn BuildWatch) -> Result<BuildSession<'a>> {
        let (flights, fetched, checkouts, folders, results) = Default::default();
        let (lease, teller) = (self.store().lease()?, Teller::new(watch));
        let engine = self;
        Ok(BuildSession { engine, lease, teller, flights, fetched, checkouts, folders, results })
    }
}

impl BuildSession<'_> {
    /// Fetches an image.
    pub(super) fn pull(&self, name: &Reference, platform: Option<&Platform>) -> Result<()> {
        let client = self.engine.settings().client()?;
        let platform = platform.cloned();
        let pull = PullImage { name: name.clone(), all_tags: false, platform };
        self.engine.pull(&client, &pull, &Quiet, &mut |_| ())
    }

    /// Fetches an image, unless that was done in this session.
    pub(super) fn once(
        &self,
        name: &Reference,
        platform: Option<&Platform>,
        fetch: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let mut fetched = lock(&self.fetched);
        let platform = platform.cloned().unwrap_or_else(Platform::host);
        let asked = (name.to_string(), platform.to_string());
        if !fetched.contains(&asked) {
            // Others who want the same wait here.
            fetch()?;
            fetched.insert(asked);
        }
        Ok(())
    }

    /// The files of a repository, fetched once.
    pub(super) fn checkout(&self, url: &GitUrl, request: &BuildRequest) -> Result<Checkout> {
        let mut checkouts = lock(&self.checkouts);
        if let Some(known) = checkouts.get(url) {
            return Ok(known.clone());
        }
        let random = sys::host::random_id().map_err(EngineError::io("read", "/proc"))?;
        // Not below the run root, which may be memory.
        let folder = self.engine.store().build_folder().join("fetched").join(random);
        lock(&self.folders).push(TempFolder(folder.clone()));
        make_private(&folder)?;
        let checkout = url.fetch(folder, request)?;
        checkouts.insert(url.clone(), checkout.clone());
        Ok(checkout)
    }

    /// Remembers what a build gave, for those that begin with it.
    pub(super) fn give(&self, called: &str, images: &[Image]) {
        let base = |image: &Image| {
            let base = BaseImage {
                id: image.id,
                top: image.top,
                config: image.config.clone(),
                digest: image.id.0,
                uri: None,
            };
            (image.platform(), Arc::new(base))
        };
        lock(&self.results).insert(called.to_owned(), images.iter().map(base).collect());
    }

    /// Remembers files under a name, for a build that looks at them.
    pub(super) fn give_files(&self, called: &str, top: Option<ChainId>) {
        let (id, config) = (ImageId(Digest::of(called.as_bytes())), ImageConfig::default());
        let base = BaseImage { id, top, config, digest: id.0, uri: None };
        lock(&self.results).insert(called.to_owned(), vec![(Platform::host(), Arc::new(base))]);
    }

    /// What another build gave, for a platform or for this machine.
    pub(super) fn result(
        &self,
        called: &str,
        platform: Option<&Platform>,
    ) -> Result<Arc<BaseImage>> {
        let host = Platform::host();
        let wanted = platform.unwrap_or(&host);
        let results = lock(&self.results);
        let all = results.get(called).ok_or_else(|| {
            EngineError::Refused(format!("target {called} was not built before what needs it"))
        })?;
        let ranked = all.iter().filter_map(|(own, base)| Some((own.rank(wanted)?, base)));
        let best = ranked.min_by_key(|(rank, _)| *rank);
        best.map(|(_, base)| base.clone()).ok_or_else(|| {
            let name = format!("target:{called}");
            EngineError::NoPlatform { name, wanted: wanted.to_string() }
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The images that stages begin from: found here, or fetched.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use ::build::graph;
use spec::{ChainId, ContainerConfig, Digest, ImageConfig, ImageId, Platform, Reference};

use super::attest::package;
use super::fetch;
use super::layout::InLayout;
use super::place::Place;
use super::request::{BuildRequest, context_name};
use super::session::BuildSession;
use super::tell::Teller;
use crate::error::{EngineError, Kind, Result};
use crate::find::find_for;

/// An image that a stage begins from.
pub(super) struct BaseImage {
    /// What it is called here.
    pub(super) id: ImageId,
    /// Its layers.
    pub(super) top: Option<ChainId>,
    /// Its configuration.
    pub(super) config: ImageConfig,
    /// What a registry calls it, or else its id.
    pub(super) digest: Digest,
    /// What it is called where it is told what was used, if it has a name.
    pub(super) uri: Option<String>,
}

/// What begins the address of an image in a registry, or here.
const DOCKER_IMAGE: &str = "docker-image://";

/// A name and a platform.
type Asked = (String, Option<String>);

/// The images of one build, each looked up once.
pub(super) struct Bases<'a> {
    pub(super) session: &'a BuildSession<'a>,
    pub(super) request: &'a BuildRequest,
    pub(super) teller: &'a Teller<'a>,
    /// What images are for that were asked for without a word about it.
    pub(super) platform: Option<&'a Platform>,
    pub(super) known: Mutex<BTreeMap<Asked, Arc<BaseImage>>>,
}

impl Bases<'_> {
    /// The image of a name.
    pub(super) fn image(&self, name: &str, platform: Option<&str>) -> Result<Arc<BaseImage>> {
        let asked = (name.to_owned(), platform.map(str::to_owned));
        if let Some(known) = self.known().get(&asked) {
            return Ok(known.clone());
        }
        let address = self.request.context(name).unwrap_or(name);
        if let Some(target) = address.strip_prefix("target:") {
            let wanted = platform.and_then(|text| Platform::parse(text).ok());
            let wanted = wanted.as_ref().or(self.platform);
            return self.session.result(target, wanted);
        }
        let found = match InLayout::parse(address)? {
            Some(layout) => self.take(name, address, &layout, platform),
            None => self.load(address.strip_prefix(DOCKER_IMAGE).unwrap_or(address), platform),
        };
        let found = Arc::new(found?);
        self.known().insert(asked, found.clone());
        Ok(found)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Asked, Arc<BaseImage>>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What an image is to be for: what was asked of it, or of all.
    fn wanted(&self, platform: Option<&str>) -> Result<Option<Platform>> {
        let Some(text) = platform else { return Ok(self.platform.cloned()) };
        let parsed = Platform::parse(text);
        parsed.map(Some).map_err(|error| EngineError::Refused(error.to_string()))
    }

    /// An image of a layout.
    fn take(
        &self,
        name: &str,
        address: &str,
        layout: &InLayout,
        platform: Option<&str>,
    ) -> Result<BaseImage> {
        let platform = self.wanted(platform)?;
        let step = self.teller.begin(&format!("[context {name}] {address}"));
        let taken = layout.take(self.session, platform.as_ref());
        let taken = taken.map_err(|error| EngineError::Base {
            name: name.to_owned(),
            full: address.to_owned(),
            source: Box::new(error),
        });
        let uri = |image: &BaseImage| {
            let platform = image.config.platform().to_string().replace('/', "%2F");
            format!("pkg:oci/{}?platform={platform}", context_name(name))
        };
        step.end(taken.map(|image| BaseImage { uri: Some(uri(&image)), ..image }))
    }

    fn load(&self, name: &str, platform: Option<&str>) -> Result<BaseImage> {
        let platform = self.wanted(platform)?;
        let reference = Reference::parse(name).map(Reference::with_default_tag);
        let full = reference.as_ref().map_or_else(|_| name.to_owned(), ToString::to_string);
        let step = self.teller.begin(&format!("[internal] load metadata for {full}"));
        let named = reference.as_ref().ok().cloned();
        let loaded = self.load_image(name, reference.ok(), platform.as_ref());
        let uri = |image: &BaseImage| Some(package(named.as_ref()?, &image.config.platform()));
        let loaded = loaded.map(|image| BaseImage { uri: uri(&image), ..image });
        let loaded = loaded.map_err(|error| EngineError::Base {
            name: name.to_owned(),
            full,
            source: Box::new(error),
        });
        step.end(loaded)
    }

    fn load_image(
        &self,
        name: &str,
        reference: Option<Reference>,
        platform: Option<&Platform>,
    ) -> Result<BaseImage> {
        let fetch = |reference: &Reference| self.session.pull(reference, platform);
        if let Some(reference) = reference.as_ref().filter(|_| self.request.pull) {
            // Whoever asks for it next, also as another's base, gets what came now.
            self.session.once(reference, platform, || fetch(reference))?;
        }
        match (self.find(name, platform), reference) {
            (Err(error), Some(reference))
                if error.kind() == Kind::NotFound && !self.request.pull =>
            {
                fetch(&reference)?;
                self.find(name, platform)
            }
            (found, _) => found,
        }
    }

    fn find(&self, name: &str, platform: Option<&Platform>) -> Result<BaseImage> {
        let (store, lease) = (self.session.engine.store(), &self.session.lease);
        let images = store.images()?;
        let found = find_for(&images, name, platform)?;
        let top = images.images[&found.id].top;
        if let Some(top) = &top {
            lease.protect_chain(top)?;
        }
        lease.protect_blob(&found.id.0)?;
        let document = store.read_document(&found.id.0)?;
        let config = ImageConfig::parse(&document).map_err(EngineError::Config)?;
        let known = images.images[&found.id].repo_digests.iter();
        let known = known.filter_map(|known| known.split_once('@')?.1.parse().ok()).next();
        let (id, digest) = (found.id, known.unwrap_or(found.id.0));
        Ok(BaseImage { id, top, config, digest, uri: None })
    }
}

/// Bases as a plan sees them. One that is not found has no configuration now, and is an error when
/// its step comes.
pub(super) struct Planned<'a, 'b> {
    pub(super) bases: &'a Bases<'b>,
    /// Names that mean folders, which have no configuration.
    pub(super) folders: &'a HashMap<String, Arc<Place>>,
    pub(super) failed: std::cell::RefCell<Option<EngineError>>,
    /// Whether their triggers count.
    pub(super) triggers: bool,
}

impl graph::Bases for Planned<'_, '_> {
    fn is_folder(&self, name: &str) -> bool {
        self.folders.contains_key(&context_name(name))
    }

    fn is_context(&self, name: &str) -> bool {
        self.is_folder(name) || self.bases.request.context(name).is_some()
    }

    fn is_repository(&self, source: &str) -> bool {
        fetch::is_repository_source(source)
    }

    fn config(&self, image: &str, platform: Option<&str>) -> Option<ContainerConfig> {
        if self.folders.contains_key(&context_name(image)) {
            return None;
        }
        match self.bases.image(image, platform) {
            Ok(base) => {
                let mut config = base.config.config.clone()?;
                if !self.triggers {
                    config.on_build.clear();
                }
                Some(config)
            }
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                None
            }
        }
    }
}

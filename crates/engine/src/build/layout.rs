//! `oci-layout://`: an image of a layout in a folder of this machine, as a named context.

use std::path::PathBuf;

use image::archive::{
    ArchiveError, Bundle, Bundled, FolderBundle, Original, REF_NAME, layout_entries, read_entry,
};
use spec::{ChainId, Descriptor, Digest, MediaType, Platform};

use super::bases::BaseImage;
use super::session::BuildSession;
use crate::error::{EngineError, Result};
use crate::load::Archive;
use crate::progress::Quiet;

const SCHEME: &str = "oci-layout://";
/// What is meant where nothing is said.
const TAG: &str = "latest";

/// An image in a layout, by what the layout calls it or by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InLayout {
    pub(super) folder: PathBuf,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl InLayout {
    /// Reads `oci-layout://FOLDER[:TAG][@DIGEST]`; nothing if an address is none of these.
    pub(super) fn parse(address: &str) -> Result<Option<InLayout>> {
        let Some(rest) = address.strip_prefix(SCHEME) else { return Ok(None) };
        let wrong = |why: &str| EngineError::Refused(format!("invalid context {address}: {why}"));
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| wrong("the digest is none"))?;
                (rest, Some(digest))
            }
            None => (rest, None),
        };
        let (folder, tag) = match rest.rsplit_once(':') {
            Some((folder, tag)) if !tag.contains('/') => (folder, Some(tag)),
            _ => (rest, None),
        };
        if folder.is_empty() || tag.is_some_and(str::is_empty) {
            return Err(wrong("it is oci-layout://FOLDER[:TAG][@DIGEST]"));
        }
        let (folder, tag) = (folder.into(), tag.map(str::to_owned));
        Ok(Some(InLayout { folder, tag, digest }))
    }

    /// Takes the image for a platform into the store, where it gets no name: it stays as long as
    /// something that was built stands on it.
    pub(super) fn take(
        &self,
        session: &BuildSession<'_>,
        platform: Option<&Platform>,
    ) -> Result<BaseImage> {
        let bundle = FolderBundle::open(&self.folder).map_err(|error| match error {
            ArchiveError::Source(source) => EngineError::io("open", &self.folder)(source),
            other => other.into(),
        })?;
        let images = read_entry(&bundle, &self.entry(&bundle)?)?;
        let image = self.choose(images, platform)?;
        let top = ChainId::of(&image.config.rootfs.diff_ids);
        self.bring(session, bundle, &image, top)?;
        let id = image.id();
        let digest = image.manifest.as_ref().map_or(id.0, Original::digest);
        Ok(BaseImage { id, top, config: image.config, digest, uri: None })
    }

    /// What of the layout is meant.
    fn entry(&self, bundle: &dyn Bundle) -> Result<Descriptor> {
        if let Some(digest) = self.digest {
            // Its type and size are what is found: the digest says more than they could.
            return Ok(Descriptor::new(MediaType::OciManifest, digest, 0));
        }
        let mut entries = layout_entries(bundle)?;
        let called = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
        let wanted = self.tag.as_deref().unwrap_or(TAG);
        let of_tag = |entry: &Descriptor| {
            let name = called(entry).unwrap_or_default();
            name == wanted || name.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted)
        };
        match entries.iter().position(of_tag) {
            Some(at) => Ok(entries.swap_remove(at)),
            // Where there is only one, and nobody asked for another, it is that one.
            None if entries.len() == 1 && self.tag.is_none() => Ok(entries.remove(0)),
            None => {
                let known: Vec<String> = entries.iter().filter_map(called).collect();
                let known = if known.is_empty() { "no names".to_owned() } else { known.join(", ") };
                Err(EngineError::NotInArchive { name: wanted.to_owned(), known })
            }
        }
    }

    fn choose(&self, images: Vec<Bundled>, platform: Option<&Platform>) -> Result<Bundled> {
        let host = Platform::host();
        let wanted = platform.unwrap_or(&host);
        let is_alone = images.len() == 1 && platform.is_none();
        let rank = |image: &Bundled| match image.platform().rank(wanted) {
            None if is_alone => Some(u32::MAX),
            rank => rank,
        };
        let ranked = images.into_iter().filter_map(|image| Some((rank(&image)?, image)));
        let best = ranked.min_by_key(|(rank, _)| *rank).map(|(_, image)| image);
        best.ok_or_else(|| EngineError::NoPlatform {
            name: self.folder.display().to_string(),
            wanted: wanted.to_string(),
        })
    }

    fn bring(
        &self,
        session: &BuildSession<'_>,
        bundle: FolderBundle,
        image: &Bundled,
        top: Option<ChainId>,
    ) -> Result<()> {
        let (engine, lease) = (session.engine, &session.lease);
        let archive = Archive::Lying(Box::new(bundle));
        let layers = engine.unpack_all(lease, &archive, std::slice::from_ref(image), &Quiet)?;
        let known = engine.store().tables()?.layers;
        if top.is_none_or(|top| known.layers.contains_key(&top)) {
            return Ok(());
        }
        engine.store().change(|tables| {
            tables.layers.add_stacks(&layers, top);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_layouts() {
        let read = |text: &str| InLayout::parse(text).unwrap();
        let layout = |folder: &str, tag: Option<&str>, digest: Option<Digest>| {
            Some(InLayout { folder: folder.into(), tag: tag.map(str::to_owned), digest })
        };
        let digest = Digest::of(b"");
        assert_eq!(read("docker-image://a"), None);
        assert_eq!(read("oci-layout://a/b"), layout("a/b", None, None));
        assert_eq!(read("oci-layout:///a:b/c:1.0"), layout("/a:b/c", Some("1.0"), None));
        assert_eq!(read("oci-layout:///a:b/c"), layout("/a:b/c", None, None));
        let both = format!("oci-layout://a:1@{digest}");
        assert_eq!(read(&both), layout("a", Some("1"), Some(digest)));
        for wrong in ["oci-layout://", "oci-layout://a:", "oci-layout://a@sha256:1"] {
            assert!(InLayout::parse(wrong).is_err(), "{wrong}");
        }
    }
}

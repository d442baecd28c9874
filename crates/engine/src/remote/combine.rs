//! Several images under one name, made of what registries have: `buildx imagetools create`.

use std::collections::BTreeMap;

use registry::{Client, Target};
use spec::{Annotations, Descriptor, Digest, Document, Index, MediaType, Platform, Reference};

use super::ends::{End, RegistryEnd, Role};
use super::look::RemoteImage;
use super::walk::Walk;
use crate::error::{EngineError, Result};
use crate::progress::Progress;
use crate::sign::Policy;

/// A request to combine images.
#[derive(Clone, Debug, Default)]
pub struct CombineImages {
    /// Names in registries, of images or of indexes whose images are meant.
    pub sources: Vec<Reference>,
    /// Entries for the index, as somebody else wrote them, of the repository of the first name.
    pub entries: Vec<Descriptor>,
    /// The names that shall stand for it.
    pub names: Vec<Reference>,
    /// What the first name stands for now comes first.
    pub append: bool,
    /// What is written on it.
    pub notes: Vec<Note>,
    /// A single image gets an index around it too.
    pub prefer_index: bool,
    /// Only images for these platforms; all if there are none.
    pub platforms: Vec<Platform>,
}

/// Free text about an index or the entries in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The platform whose entry it is about; `None` within is every entry. Without, the index.
    pub entry: Option<Option<Platform>>,
    /// Its key and its text.
    pub text: (String, String),
}

/// What is to be put under a name.
#[derive(Clone, Debug)]
pub struct Combination {
    /// The document: an index, or the manifest of the only image.
    pub bytes: Vec<u8>,
    /// Its type.
    pub media_type: MediaType,
    /// Where its entries are.
    entries: Vec<(Reference, Descriptor)>,
}

impl Combination {
    /// An index of these images.
    pub(super) fn of(entries: Vec<(Reference, Descriptor)>, notes: Annotations) -> Combination {
        let is_dockers = |(_, entry): &(_, Descriptor)| {
            entry.media_type == MediaType::DockerManifest && entry.annotations.is_empty()
        };
        let all_dockers = notes.is_empty() && entries.iter().all(is_dockers);
        let media_type = if all_dockers { MediaType::DockerIndex } else { MediaType::OciIndex };
        let mut index = Index::new(entries.iter().map(|(_, entry)| entry.clone()).collect());
        index.media_type = Some(media_type.clone());
        index.annotations = notes;
        Combination { bytes: index.to_bytes(), media_type, entries }
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Puts it under a name, and all its images into the repository before.
    pub fn push(&self, client: &Client, name: &Reference, progress: &dyn Progress) -> Result<()> {
        for (source, entry) in &self.entries {
            let beside = (source.domain() == name.domain()).then(|| source.path());
            let from = RegistryEnd::to_read(client, source)?;
            let to = RegistryEnd::to_write(client, name, beside)?;
            let target = Target::Digest(entry.digest);
            if to.head(&target)?.is_none() {
                let document = from.document(&target)?;
                Walk::new(&from, &to, false, progress).document(&document, Role::Inner)?;
            }
        }
        let to = RegistryEnd::to_write(client, name, None)?;
        let (bytes, media_type) = (self.bytes.clone(), self.media_type.clone());
        let document = registry::RemoteDocument { bytes, media_type, digest: self.digest() };
        // A single manifest is one of its own entries, so its blobs are there.
        to.take_document(Role::Named(&crate::pull::target(name)), &document)
    }
}

impl CombineImages {
    /// Finds out what it would be. The policy says what may be taken out of a registry.
    pub fn combine(&self, client: &Client, policy: Option<&Policy>) -> Result<Combination> {
        let open = |name: &Reference| {
            let image = RemoteImage::open(client, name)?;
            match policy {
                Some(policy) => image.judge(policy).map(|()| image),
                None => Ok(image),
            }
        };
        let mut sources = self.sources.clone();
        if self.append {
            let first = self.names.first();
            let first = first
                .ok_or_else(|| EngineError::Input("--append needs a name with --tag".to_owned()))?;
            sources.insert(0, first.clone());
        }
        if let ([only], [], true) = (&*sources, &*self.entries, self.is_plain()) {
            let image = open(only)?;
            if image.document.media_type.is_index() || !self.prefer_index {
                return self.copied(image);
            }
        }
        let mut entries: Vec<(Reference, Descriptor)> = Vec::new();
        for source in &sources {
            let image = open(source)?;
            let found = match &image.parsed {
                Document::Index(index) => index.manifests.clone(),
                Document::Manifest(_) => {
                    image.images()?.into_iter().map(|entry| entry.descriptor).collect()
                }
            };
            add(&mut entries, source, found);
        }
        if let Some(home) = self.names.first().or(sources.first()) {
            add(&mut entries, home, self.entries.clone());
        }
        self.keep_platforms(&mut entries);
        if entries.is_empty() {
            return Err(EngineError::Input("no image is left to be combined".to_owned()));
        }
        let notes = self.annotate(&mut entries);
        Ok(Combination::of(entries, notes))
    }

    fn is_plain(&self) -> bool {
        self.notes.is_empty() && self.platforms.is_empty()
    }

    /// The same document once more.
    fn copied(&self, image: RemoteImage<'_>) -> Result<Combination> {
        let entries = match &image.parsed {
            Document::Index(index) => index.manifests.clone(),
            Document::Manifest(_) => {
                let size = image.document.bytes.len() as u64;
                let media_type = image.document.media_type.clone();
                vec![Descriptor::new(media_type, image.document.digest, size)]
            }
        };
        let source = &image.name;
        let entries = entries.into_iter().map(|entry| (source.clone(), entry)).collect();
        let (bytes, media_type) = (image.document.bytes, image.document.media_type);
        Ok(Combination { bytes, media_type, entries })
    }

    /// Drops what is not for these very platforms, and attestations of what is dropped.
    fn keep_platforms(&self, entries: &mut Vec<(Reference, Descriptor)>) {
        if self.platforms.is_empty() {
            return;
        }
        let fits = |entry: &Descriptor| {
            let platform = entry.platform.as_ref();
            platform.is_some_and(|own| self.platforms.iter().any(|wanted| is_same(own, wanted)))
        };
        let kept: Vec<String> = entries
            .iter()
            .filter(|(_, entry)| fits(entry))
            .map(|(_, entry)| entry.digest.to_string())
            .collect();
        entries.retain(|(_, entry)| match entry.is_attestation() {
            true => entry
                .annotations
                .get("vnd.docker.reference.digest")
                .is_some_and(|about| kept.contains(about)),
            false => kept.contains(&entry.digest.to_string()),
        });
    }

    /// Writes the notes on the entries that they are about, and gives those about the index.
    fn annotate(&self, entries: &mut [(Reference, Descriptor)]) -> Annotations {
        let mut own = BTreeMap::new();
        for Note { entry: about, text: (key, text) } in &self.notes {
            let Some(platform) = about else {
                own.insert(key.clone(), text.clone());
                continue;
            };
            for (_, entry) in entries.iter_mut().filter(|(_, entry)| !entry.is_attestation()) {
                let fits = match (platform, &entry.platform) {
                    (None, _) => true,
                    (Some(wanted), Some(own)) => is_same(own, wanted),
                    (Some(_), None) => false,
                };
                if fits {
                    entry.annotations.insert(key.clone(), text.clone());
                }
            }
        }
        own
    }
}

/// Whether two platforms are the same, however they are written. That one could serve for the other is
/// not enough here. The version of a system and its features count where they are asked for.
fn is_same(own: &Platform, wanted: &Platform) -> bool {
    let (own, wanted) = (own.normalized(), wanted.normalized());
    (&own.os, &own.architecture, &own.variant)
        == (&wanted.os, &wanted.architecture, &wanted.variant)
        && (wanted.os_version.is_none() || own.os_version == wanted.os_version)
        && wanted.os_features.iter().all(|feature| own.os_features.contains(feature))
}

/// Adds entries; one of the same digest and platform is there already.
fn add(entries: &mut Vec<(Reference, Descriptor)>, source: &Reference, found: Vec<Descriptor>) {
    for entry in found {
        let same =
            |known: &Descriptor| known.digest == entry.digest && known.platform == entry.platform;
        if !entries.iter().any(|(_, known)| same(known)) {
            entries.push((source.clone(), entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_platform_is_kept_and_written_on() {
        let platform = |text: &str| Platform::parse(text).unwrap();
        let name = Reference::parse("r.org/a").unwrap();
        let entry = |text: &&str| {
            let mut entry = Descriptor::of(MediaType::OciManifest, text.as_bytes());
            entry.platform = Some(platform(text));
            (name.clone(), entry)
        };
        let all = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6"];
        let left = |wanted: &[&str]| {
            let platforms = wanted.iter().map(|text| platform(text)).collect();
            let mut entries: Vec<_> = all.iter().map(entry).collect();
            CombineImages { platforms, ..CombineImages::default() }.keep_platforms(&mut entries);
            let shown = |(_, entry): &(_, Descriptor)| entry.platform.as_ref().unwrap().to_string();
            entries.iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(left(&["linux/arm64"]), ["linux/arm64"]);
        assert_eq!(left(&["linux/arm64/v8"]), ["linux/arm64"]);
        assert_eq!(left(&["linux/arm"]), ["linux/arm/v7"]);
        assert_eq!(left(&[]).len(), 4);
        let same = |own: &str, wanted: &str| is_same(&platform(own), &platform(wanted));
        let windows = "windows(10.0.20348.1+win32k)/amd64";
        assert!(same(windows, "windows/amd64") && same(windows, "windows(10.0.20348.1)/amd64"));
        assert!(!same(windows, "windows(10.0.17763.1)/amd64") && !same(windows, "windows/arm64"));
        assert!(same(windows, windows) && !same("windows/amd64", windows));
        let note = Note {
            entry: Some(Some(platform("linux/arm64"))),
            text: ("key".to_owned(), "text".to_owned()),
        };
        let mut entries: Vec<_> = all.iter().map(entry).collect();
        let combine = CombineImages { notes: vec![note], ..CombineImages::default() };
        assert!(combine.annotate(&mut entries).is_empty());
        let written = entries.iter().filter(|(_, entry)| !entry.annotations.is_empty());
        assert_eq!(written.count(), 1);
    }
}

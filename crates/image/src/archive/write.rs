//! What `save` writes: one archive that is docker's and OCI's at once, the same bytes every time.
//!
//! The documents come first, so that a reader of a stream knows what it gets before the layers
//! come. Times, owners and order are fixed; nothing of this machine or this hour is in it.

use std::collections::BTreeMap;

use serde_json::json;
use spec::{
    Annotations, ArchiveManifest, Descriptor, Digest, Document, Index, MediaType, Platform,
    Reference,
};

use super::plan::{ArchiveError, IMAGE_NAME, REF_NAME, malformed};

/// An image that goes into an archive.
#[derive(Clone, Debug)]
pub struct ArchiveImage {
    /// The names it was asked for by; none if it was asked for by id.
    pub names: Vec<Reference>,
    /// What a layout shall call it, where that is not the tag of its name.
    pub tag: Option<String>,
    /// Its manifest's bytes and type.
    pub manifest: (Vec<u8>, MediaType),
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// What it runs on.
    pub platform: Platform,
}

/// Images for several platforms that share names. Each of them is among the archive's images.
#[derive(Clone, Debug)]
pub struct ArchiveFamily {
    /// The names.
    pub names: Vec<Reference>,
    /// What a layout shall call it, where that is not the tag of its name.
    pub tag: Option<String>,
    /// The index that they came in, with its type.
    pub index: Option<(Vec<u8>, MediaType)>,
    /// Their configurations; the first is the image that stands for all where only one can.
    pub members: Vec<Digest>,
}

/// Something in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path.
    pub path: String,
    /// What it holds.
    pub content: ArchiveContent,
}

/// What a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveContent {
    /// A folder.
    Folder,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A blob of the store.
    Blob {
        /// Which one.
        digest: Digest,
        /// Its size.
        bytes: u64,
    },
}

/// An archive's members in their order.
pub type ArchivePlan = Vec<Member>;

/// Plans an archive of these images. The plan of the same images is always the same.
pub fn plan_archive(images: &[ArchiveImage], families: &[ArchiveFamily]) -> ArchivePlan {
    let (index, blobs) = index_and_blobs(images, families);
    let mut plan = vec![
        document("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        document("index.json", index.to_bytes()),
        document("manifest.json", dockers_list(images, families)),
    ];
    if let Some(repositories) = repositories(images, families) {
        plan.push(document("repositories", repositories));
    }
    let folder = |path: String| Member { path, content: ArchiveContent::Folder };
    plan.push(folder("blobs/".to_owned()));
    let folder_of = |path: &String| path.rsplit_once('/').map(|(folder, _)| format!("{folder}/"));
    let mut folders: Vec<String> = blobs.keys().filter_map(folder_of).collect();
    folders.dedup();
    plan.extend(folders.into_iter().map(folder));
    // Small documents before large layers: a reader of a stream can then plan.
    let (documents, layers): (Vec<_>, Vec<_>) = blobs.into_values().partition(|member| {
        let is_config = |digest: &Digest| images.iter().any(|image| image.config.digest == *digest);
        match &member.content {
            ArchiveContent::Blob { digest, .. } => is_config(digest),
            _ => true,
        }
    });
    plan.extend(documents);
    plan.extend(layers);
    plan
}

/// The layout's index, and by their paths all blobs that it leads to.
fn index_and_blobs(
    images: &[ArchiveImage],
    families: &[ArchiveFamily],
) -> (Index, BTreeMap<String, Member>) {
    let mut index = Index::new(Vec::new());
    let mut blobs = BTreeMap::new();
    let mut add = |digest: &Digest, content: ArchiveContent| {
        let path = blob_path(digest);
        blobs.entry(path.clone()).or_insert(Member { path, content });
    };
    for image in images {
        let descriptor = descriptor(image);
        add(&descriptor.digest, ArchiveContent::Bytes(image.manifest.0.clone()));
        let is_member = |family: &ArchiveFamily| family.members.contains(&image.config.digest);
        if !image.names.is_empty() || !families.iter().any(is_member) {
            push_descriptors(&mut index, &descriptor, &image.names, image.tag.as_deref());
        }
    }
    for family in families {
        let (bytes, media_type) = index_of(family, images);
        let descriptor = Descriptor::of(media_type, &bytes);
        push_descriptors(&mut index, &descriptor, &family.names, family.tag.as_deref());
        add(&descriptor.digest, ArchiveContent::Bytes(bytes));
    }
    for part in images.iter().flat_map(|image| std::iter::once(&image.config).chain(&image.layers))
    {
        add(&part.digest, ArchiveContent::Blob { digest: part.digest, bytes: part.size });
    }
    (index, blobs)
}

fn document(path: &str, bytes: Vec<u8>) -> Member {
    Member { path: path.to_owned(), content: ArchiveContent::Bytes(bytes) }
}

/// Docker's list of images, which has one image for a name.
fn dockers_list(images: &[ArchiveImage], families: &[ArchiveFamily]) -> Vec<u8> {
    let entry = |image: &ArchiveImage| {
        let tags: Vec<String> = names_of(image, families).map(|name| name.familiar()).collect();
        let is_member = |family: &ArchiveFamily| family.members.contains(&image.config.digest);
        let is_listed = !tags.is_empty() || !families.iter().any(is_member);
        is_listed.then(|| ArchiveManifest {
            config: blob_path(&image.config.digest),
            repo_tags: (!tags.is_empty()).then_some(tags),
            layers: image.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
            layer_sources: BTreeMap::new(),
        })
    };
    let list: Vec<ArchiveManifest> = images.iter().filter_map(entry).collect();
    serde_json::to_vec(&list).expect("strings and numbers are always JSON")
}

/// The names that an image has where a name has one image.
fn names_of<'a>(
    image: &'a ArchiveImage,
    families: &'a [ArchiveFamily],
) -> impl Iterator<Item = &'a Reference> {
    let stands_for = |family: &&ArchiveFamily| family.members.first() == Some(&image.config.digest);
    let shared = families.iter().filter(stands_for).flat_map(|family| &family.names);
    image.names.iter().chain(shared)
}

fn descriptor(image: &ArchiveImage) -> Descriptor {
    let (bytes, media_type) = &image.manifest;
    let mut descriptor = Descriptor::of(media_type.clone(), bytes);
    descriptor.platform = Some(image.platform.clone());
    descriptor
}

/// The index that images came in, if it names them as they are now; else one of those there are.
fn index_of(family: &ArchiveFamily, images: &[ArchiveImage]) -> (Vec<u8>, MediaType) {
    let member = |config: &Digest| images.iter().find(|image| image.config.digest == *config);
    let members: Vec<Descriptor> =
        family.members.iter().filter_map(member).map(descriptor).collect();
    if let Some((bytes, media_type)) = &family.index
        && let Ok(Document::Index(own)) = Document::parse(bytes)
        && members.iter().all(|one| own.manifests.iter().any(|entry| entry.digest == one.digest))
    {
        return (bytes.clone(), media_type.clone());
    }
    (Index::new(members).to_bytes(), MediaType::OciIndex)
}

/// One descriptor for each name, as containerd and docker write it; one without for no name.
fn push_descriptors(
    index: &mut Index,
    descriptor: &Descriptor,
    names: &[Reference],
    tag: Option<&str>,
) {
    if names.is_empty() {
        let mut bare = descriptor.clone();
        bare.annotations.extend(tag.map(|tag| (REF_NAME.to_owned(), tag.to_owned())));
        index.manifests.push(bare);
    }
    for name in names {
        let mut named = descriptor.clone();
        let tag = tag.or(name.tag()).unwrap_or("latest").to_owned();
        named.annotations = Annotations::from([
            (IMAGE_NAME.to_owned(), name.to_string()),
            (REF_NAME.to_owned(), tag),
        ]);
        index.manifests.push(named);
    }
}

/// The list of a layout that gets new images: an older image of the same name, or the same image
/// without a name, is replaced, and nothing else.
///
/// What a layout calls an image is its tag as long as no other image there has the same, else the
/// whole name. If the word was asked for (`by_word`), it is this image's from now on.
pub fn merge_index(old: Option<&[u8]>, new: &[u8], by_word: bool) -> Result<Vec<u8>, ArchiveError> {
    let parse = |bytes: &[u8]| match Document::parse(bytes) {
        Ok(Document::Index(index)) => Ok(index),
        Ok(Document::Manifest(_)) => Err(malformed("index.json", "it is a manifest".to_owned())),
        Err(error) => Err(malformed("index.json", error.to_string())),
    };
    let new = parse(new)?;
    let mut merged = match old {
        Some(old) => parse(old)?,
        None => Index { manifests: Vec::new(), ..new.clone() },
    };
    for mut added in new.manifests {
        merged.manifests.retain(|known| !replaces(&added, known, by_word));
        let word = added.annotations.get(REF_NAME);
        let taken = merged.manifests.iter().any(|known| known.annotations.get(REF_NAME) == word);
        let full = added.annotations.get(IMAGE_NAME).and_then(|name| Reference::parse(name).ok());
        if let (true, Some(full)) = (taken && word.is_some(), full) {
            added.annotations.insert(REF_NAME.to_owned(), full.familiar());
        }
        merged.manifests.push(added);
    }
    Ok(merged.to_bytes())
}

/// Whether a new entry of a layout's list takes the place of an older one.
fn replaces(new: &Descriptor, known: &Descriptor, by_word: bool) -> bool {
    let note = |key| (new.annotations.get(key), known.annotations.get(key));
    match (note(IMAGE_NAME), note(REF_NAME)) {
        ((Some(name), Some(known_name)), _) if !by_word => name == known_name,
        (_, (None, None)) => new.digest == known.digest,
        (_, (word, known_word)) => word == known_word,
    }
}

/// The oldest form's table of names, which old tools read.
fn repositories(images: &[ArchiveImage], families: &[ArchiveFamily]) -> Option<Vec<u8>> {
    let mut table: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for image in images {
        let Some(top) = image.layers.last() else { continue };
        for name in names_of(image, families) {
            let tag = name.tag().unwrap_or("latest").to_owned();
            table.entry(name.familiar_name()).or_default().insert(tag, top.digest.hex());
        }
    }
    (!table.is_empty()).then(|| json!(table).to_string().into_bytes())
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &[(&str, Option<&str>)]) -> Vec<u8> {
        let descriptor = |(bytes, tag): &(&str, Option<&str>)| {
            let mut descriptor = Descriptor::of(MediaType::OciManifest, bytes.as_bytes());
            let tag = tag.iter().map(|tag| (REF_NAME.to_owned(), (*tag).to_owned()));
            descriptor.annotations.extend(tag);
            descriptor
        };
        Index::new(entries.iter().map(descriptor).collect()).to_bytes()
    }

    #[test]
    fn a_layout_keeps_what_is_not_replaced() {
        let old = index(&[("a", Some("1")), ("b", Some("2")), ("c", None), ("d", None)]);
        let new = index(&[("x", Some("2")), ("c", None)]);
        let merged = merge_index(Some(&old), &new, false).unwrap();
        let expected = index(&[("a", Some("1")), ("d", None), ("x", Some("2")), ("c", None)]);
        assert_eq!(merged, expected);
        assert!(merge_index(Some(b"[]"), &new, false).is_err());
    }

    #[test]
    fn a_layout_tells_images_with_one_tag_apart() {
        let named = |entries: &[(&str, &str)]| {
            let descriptor = |(name, word): &(&str, &str)| {
                let mut descriptor = Descriptor::of(MediaType::OciManifest, name.as_bytes());
                descriptor.annotations = Annotations::from([
                    (IMAGE_NAME.to_owned(), Reference::parse(name).unwrap().to_string()),
                    (REF_NAME.to_owned(), (*word).to_owned()),
                ]);
                descriptor
            };
            Index::new(entries.iter().map(descriptor).collect()).to_bytes()
        };
        let first = merge_index(None, &named(&[("a:1", "1"), ("b:1", "1")]), false).unwrap();
        assert_eq!(first, named(&[("a:1", "1"), ("b:1", "b:1")]));
        let again = merge_index(Some(&first), &named(&[("a:1", "1")]), false).unwrap();
        assert_eq!(again, named(&[("b:1", "b:1"), ("a:1", "1")]));
        let asked = merge_index(Some(&again), &named(&[("c:1", "1")]), true).unwrap();
        assert_eq!(asked, named(&[("b:1", "b:1"), ("c:1", "1")]));
    }
}

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
pub fn plan_archive(images: &[ArchiveImage]) -> ArchivePlan {
    let mut blobs: BTreeMap<String, Member> = BTreeMap::new();
    let mut index = Index::new(Vec::new());
    let mut docker: Vec<ArchiveManifest> = Vec::new();
    for image in images {
        let (bytes, media_type) = &image.manifest;
        let mut descriptor = Descriptor::of(media_type.clone(), bytes);
        descriptor.platform = Some(image.platform.clone());
        let path = blob_path(&descriptor.digest);
        let content = ArchiveContent::Bytes(bytes.clone());
        blobs.insert(path.clone(), Member { path, content });
        for part in std::iter::once(&image.config).chain(&image.layers) {
            let path = blob_path(&part.digest);
            let content = ArchiveContent::Blob { digest: part.digest, bytes: part.size };
            blobs.entry(path.clone()).or_insert(Member { path, content });
        }
        push_descriptors(&mut index, &descriptor, image);
        let tags: Vec<String> = image.names.iter().map(Reference::familiar).collect();
        docker.push(ArchiveManifest {
            config: blob_path(&image.config.digest),
            repo_tags: (!tags.is_empty()).then_some(tags),
            layers: image.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
            layer_sources: BTreeMap::new(),
        });
    }
    let document = |path: &str, bytes: Vec<u8>| Member {
        path: path.to_owned(),
        content: ArchiveContent::Bytes(bytes),
    };
    let manifest = serde_json::to_vec(&docker).expect("strings and numbers are always JSON");
    let mut plan = vec![
        document("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        document("index.json", index.to_bytes()),
        document("manifest.json", manifest),
    ];
    if let Some(repositories) = repositories(images) {
        plan.push(document("repositories", repositories));
    }
    plan.push(Member { path: "blobs/".to_owned(), content: ArchiveContent::Folder });
    let mut folders: Vec<String> = blobs
        .keys()
        .filter_map(|path| path.rsplit_once('/').map(|(folder, _)| format!("{folder}/")))
        .collect();
    folders.dedup();
    plan.extend(folders.into_iter().map(|path| Member { path, content: ArchiveContent::Folder }));
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

/// One descriptor for each name, as containerd and docker write it; one without for no name.
fn push_descriptors(index: &mut Index, descriptor: &Descriptor, image: &ArchiveImage) {
    if image.names.is_empty() {
        let mut bare = descriptor.clone();
        bare.annotations.extend(image.tag.iter().map(|tag| (REF_NAME.to_owned(), tag.clone())));
        index.manifests.push(bare);
    }
    for name in &image.names {
        let mut named = descriptor.clone();
        let tag = image.tag.as_deref().or(name.tag()).unwrap_or("latest").to_owned();
        named.annotations = Annotations::from([
            (IMAGE_NAME.to_owned(), name.to_string()),
            (REF_NAME.to_owned(), tag),
        ]);
        index.manifests.push(named);
    }
}

/// Puts what a layout already lists before what is new: an older image under the same tag, or the
/// same image without one, is replaced.
pub fn merge_index(old: &[u8], new: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let parse = |bytes: &[u8]| match Document::parse(bytes) {
        Ok(Document::Index(index)) => Ok(index),
        Ok(Document::Manifest(_)) => Err(malformed("index.json", "it is a manifest".to_owned())),
        Err(error) => Err(malformed("index.json", error.to_string())),
    };
    let (mut merged, new) = (parse(old)?, parse(new)?);
    let replaced = |known: &Descriptor| {
        new.manifests.iter().any(|other| {
            let (tag, other_tag) =
                (known.annotations.get(REF_NAME), other.annotations.get(REF_NAME));
            tag == other_tag && (tag.is_some() || known.digest == other.digest)
        })
    };
    merged.manifests.retain(|known| !replaced(known));
    merged.manifests.extend(new.manifests);
    Ok(merged.to_bytes())
}

/// The oldest form's table of names, which old tools read.
fn repositories(images: &[ArchiveImage]) -> Option<Vec<u8>> {
    let mut table: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for image in images {
        let Some(top) = image.layers.last() else { continue };
        for name in &image.names {
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
        let merged = merge_index(&old, &new).unwrap();
        let expected = index(&[("a", Some("1")), ("d", None), ("x", Some("2")), ("c", None)]);
        assert_eq!(merged, expected);
        assert!(merge_index(b"[]", &new).is_err());
    }
}

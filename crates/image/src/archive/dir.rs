//! The form that skopeo calls `dir:`: one image in one folder, its manifest as `manifest.json`, its
//! blobs beside it under their bare digests.
//!
//! Such a folder carries no names. Of an index it holds every image that was copied with it, each
//! manifest as `DIGEST.manifest.json`.

use spec::{Digest, Document};

use super::bundle::{Bundle, Part};
use super::plan::{ArchiveError, Bundled, Original, malformed, read_index, read_manifest};
use super::write::{ArchiveContent, ArchiveImage, ArchivePlan, Member};

/// What the file `version` says; readers look for it to tell such a folder from others.
const VERSION: &[u8] = b"Directory Transport Version: 1.1\n";

/// Whether a `manifest.json` is an image's own manifest, and not docker's list of images.
pub(super) fn is_dir_manifest(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// The images of such a folder.
pub(super) fn read_dir(bundle: &dyn Bundle, bytes: Vec<u8>) -> Result<Vec<Bundled>, ArchiveError> {
    read_flat(bundle, bytes).map_err(|error| match error {
        ArchiveError::Missing { name } => ArchiveError::Missing { name: base(&name).to_owned() },
        other => other,
    })
}

fn read_flat(bundle: &dyn Bundle, bytes: Vec<u8>) -> Result<Vec<Bundled>, ArchiveError> {
    let document =
        Document::parse(&bytes).map_err(|error| malformed("manifest.json", error.to_string()))?;
    let original = Original { bytes, media_type: document.media_type() };
    let flat = Flat(bundle);
    let mut images = Vec::new();
    match document {
        Document::Manifest(manifest) => {
            images.extend(read_manifest(&flat, manifest, original, Vec::new())?);
        }
        Document::Index(index) => {
            let missing = read_index(&flat, &index, &original, &[], &mut images, 0)?;
            if let (true, Some(missing)) = (images.is_empty(), missing) {
                return Err(missing);
            }
        }
    }
    if images.is_empty() {
        return Err(ArchiveError::Empty);
    }
    for layer in images.iter_mut().flat_map(|image| &mut image.layers) {
        if let Some(digest) = &layer.blob {
            layer.part = flat_name(digest);
        }
    }
    Ok(images)
}

/// Blobs by their names in a layout, found where such a folder has them.
struct Flat<'a>(&'a dyn Bundle);

impl Bundle for Flat<'_> {
    fn open(&self, name: &str) -> Result<Option<Part>, ArchiveError> {
        let name = base(name);
        match self.0.open(name)? {
            Some(part) => Ok(Some(part)),
            None => self.0.open(&format!("{name}.manifest.json")),
        }
    }
}

/// What is left of a layout's name for a blob.
fn base(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, name)| name)
}

fn flat_name(digest: &Digest) -> String {
    digest.hex()
}

/// Plans such a folder; the manifest comes last, because it names everything else.
pub fn plan_dir(image: &ArchiveImage) -> ArchivePlan {
    let bytes = |path: &str, bytes: &[u8]| Member {
        path: path.to_owned(),
        content: ArchiveContent::Bytes(bytes.to_vec()),
    };
    let mut plan = vec![bytes("version", VERSION)];
    for part in std::iter::once(&image.config).chain(&image.layers) {
        let path = flat_name(&part.digest);
        if plan.iter().all(|member| member.path != path) {
            let content = ArchiveContent::Blob { digest: part.digest, bytes: part.size };
            plan.push(Member { path, content });
        }
    }
    plan.push(bytes("manifest.json", &image.manifest.0));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Cursor;

    use spec::{Descriptor, Manifest, MediaType, Platform};

    struct Parts(BTreeMap<String, Vec<u8>>);

    impl Bundle for Parts {
        fn open(&self, name: &str) -> Result<Option<Part>, ArchiveError> {
            Ok(self.0.get(name).map(|bytes| Part {
                reader: Box::new(Cursor::new(bytes.clone())),
                bytes: bytes.len() as u64,
            }))
        }
    }

    fn image(config: &[u8], layer: &[u8]) -> ArchiveImage {
        let config = Descriptor::of(MediaType::OciConfig, config);
        let layers = vec![Descriptor::of(MediaType::OciLayer, layer)];
        let manifest = Manifest::new(config.clone(), layers.clone()).to_bytes();
        let manifest = (manifest, MediaType::OciManifest);
        let platform = Platform::host();
        ArchiveImage { names: Vec::new(), tag: None, manifest, config, layers, platform }
    }

    fn parts() -> (Vec<u8>, Parts) {
        let layer = b"a layer";
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            Digest::of(layer)
        )
        .into_bytes();
        let image = image(&config, layer);
        let blobs =
            [(image.config.digest, config.clone()), (image.layers[0].digest, layer.to_vec())];
        let mut parts = BTreeMap::new();
        for member in plan_dir(&image) {
            let bytes = match member.content {
                ArchiveContent::Bytes(bytes) => bytes,
                ArchiveContent::Blob { digest, .. } => {
                    blobs.iter().find(|(known, _)| *known == digest).unwrap().1.clone()
                }
                ArchiveContent::Folder => panic!("{} is a folder", member.path),
            };
            parts.insert(member.path, bytes);
        }
        (config, Parts(parts))
    }

    #[test]
    fn what_is_planned_can_be_read() {
        let (config, parts) = parts();
        let images = super::super::read_bundle(&parts).unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].config_bytes, config);
        assert!(parts.0.contains_key(&images[0].layers[0].part));
    }

    #[test]
    fn a_missing_or_wrong_part_is_named() {
        let (config, mut parts) = parts();
        let name = Digest::of(&config).hex();
        parts.0.insert(name.clone(), b"{}".to_vec());
        let error = super::super::read_bundle(&parts).unwrap_err();
        assert!(matches!(error, ArchiveError::WrongBytes { .. }), "{error}");
        parts.0.remove(&name);
        let error = super::super::read_bundle(&parts).unwrap_err();
        assert!(matches!(&error, ArchiveError::Missing { name: missing } if *missing == name));
    }
}

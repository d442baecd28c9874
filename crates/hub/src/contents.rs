//! What a manifest needs, read out of its bytes.

use serde::Deserialize;
use spec::{Annotations, Descriptor, Digest, Document, DocumentError, MediaType};

/// OCI's manifest of an artifact, from drafts of version 1.1; clients still send it.
const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// What a manifest is and needs.
#[derive(Debug)]
pub(crate) struct Contents {
    /// What it is to be served as.
    pub(crate) media_type: MediaType,
    /// Blobs that must be there.
    pub(crate) blobs: Vec<Descriptor>,
    /// Manifests that an index lists. They need not be there: an index may be held in part.
    pub(crate) manifests: Vec<Descriptor>,
    /// The manifest it is about, which need not be there either.
    pub(crate) subject: Option<Descriptor>,
    /// What an artifact is.
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: Annotations,
}

/// Why bytes are no manifest that is taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentsError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("malformed document")]
    Json(#[from] serde_json::Error),
    #[error("the document is sent as {sent} and says it is {says}")]
    OtherType { sent: String, says: String },
    #[error("a digest names more than one length")]
    Lengths,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    media_type: MediaType,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    blobs: Option<Vec<Descriptor>>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: Option<Annotations>,
}

impl Contents {
    /// Reads a manifest that was sent as `sent`.
    pub(crate) fn read(bytes: &[u8], sent: Option<&str>) -> Result<Contents, ContentsError> {
        let sent = sent.map(|text| text.split(';').next().unwrap_or_default().trim());
        let sent = sent.filter(|text| !text.is_empty());
        let contents = match sent {
            Some(ARTIFACT) => Contents::of_artifact(serde_json::from_slice(bytes)?),
            _ => Contents::of_document(Document::parse(bytes)?),
        };
        match sent {
            Some(sent) if sent != contents.media_type.as_str() => {
                let (sent, says) = (sent.to_owned(), contents.media_type.as_str().to_owned());
                Err(ContentsError::OtherType { sent, says })
            }
            _ => contents.checked(),
        }
    }

    fn of_artifact(artifact: Artifact) -> Contents {
        let Artifact { media_type, artifact_type, blobs, subject, annotations } = artifact;
        let (blobs, annotations) = (blobs.unwrap_or_default(), annotations.unwrap_or_default());
        Contents { media_type, blobs, manifests: Vec::new(), subject, artifact_type, annotations }
    }

    fn of_document(document: Document) -> Contents {
        let media_type = document.media_type();
        match document {
            Document::Manifest(manifest) => {
                // An artifact that does not say what it is, is what its configuration is.
                let config_type = manifest.config.media_type.as_str().to_owned();
                let said = manifest.artifact_type.filter(|text| !text.is_empty());
                let layers = manifest.layers.into_iter().filter(|layer| !is_elsewhere(layer));
                Contents {
                    media_type,
                    blobs: [manifest.config].into_iter().chain(layers).collect(),
                    manifests: Vec::new(),
                    subject: manifest.subject,
                    artifact_type: Some(said.unwrap_or(config_type)),
                    annotations: manifest.annotations,
                }
            }
            Document::Index(index) => Contents {
                media_type,
                blobs: Vec::new(),
                manifests: index.manifests,
                subject: index.subject,
                artifact_type: index.artifact_type.filter(|text| !text.is_empty()),
                annotations: index.annotations,
            },
        }
    }

    /// Refuses what cannot be true of any bytes.
    fn checked(self) -> Result<Contents, ContentsError> {
        let mut lengths = std::collections::HashMap::new();
        for blob in self.blobs.iter().chain(&self.manifests) {
            if *lengths.entry(blob.digest).or_insert(blob.size) != blob.size {
                return Err(ContentsError::Lengths);
            }
        }
        Ok(self)
    }

    /// How the manifest is listed among those about its subject.
    pub(crate) fn referrer(&self, digest: Digest, size: u64) -> Descriptor {
        let mut referrer = Descriptor::new(self.media_type.clone(), digest, size);
        referrer.artifact_type.clone_from(&self.artifact_type);
        referrer.annotations.clone_from(&self.annotations);
        referrer
    }
}

/// Whether a layer is not to be kept by registries, or has its bytes elsewhere.
fn is_elsewhere(layer: &Descriptor) -> bool {
    layer.media_type.is_foreign() || !layer.urls.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn descriptor(kind: &str, text: &str) -> serde_json::Value {
        json!({ "mediaType": kind, "digest": Digest::of(text.as_bytes()), "size": text.len() })
    }

    #[test]
    fn knows_what_is_needed() {
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let manifest = json!({
            "schemaVersion": 2,
            "config": descriptor("application/x", "config"),
            "layers": [descriptor("application/y", "layer"), descriptor(foreign, "elsewhere")],
            "subject": descriptor("application/z", "subject"),
        });
        let contents = Contents::read(manifest.to_string().as_bytes(), None).unwrap();
        assert_eq!((contents.blobs.len(), contents.subject.is_some()), (2, true));
        assert_eq!(contents.artifact_type.as_deref(), Some("application/x"));
        assert_eq!(contents.media_type, MediaType::OciManifest);
    }

    #[test]
    fn refuses_what_is_not_what_it_says() {
        let manifest = json!({ "schemaVersion": 2, "config": descriptor("a/b", ""), "layers": [] });
        let bytes = manifest.to_string().into_bytes();
        let refused = |sent: &str| Contents::read(&bytes, Some(sent)).is_err();
        assert!(refused("application/vnd.oci.image.index.v1+json"));
        assert!(refused("application/vnd.docker.distribution.manifest.v1+json"));
        assert!(refused(ARTIFACT));
        assert!(!refused("application/vnd.oci.image.manifest.v1+json; charset=utf-8"));
        assert!(Contents::read(b"[]", None).is_err() && Contents::read(b"{}", None).is_err());
    }
}

//! What a registry has under a name, asked and not fetched.

use registry::{Access, Client};
use serde_json::{Value, json};
use spec::{Descriptor, Digest, Document, ImageConfig, Platform, Reference};

use crate::Engine;
use crate::error::{EngineError, Result};

/// No configuration that is only looked at is longer.
const CONFIG_BYTES: u64 = 8 << 20;

impl Engine {
    /// Docker's document about what a name stands for in its registry, and for which platforms.
    pub fn distribution(&self, client: &Client, name: &Reference) -> Result<Value> {
        let repository = client.repository(name, Access::Pull)?;
        let found = repository.document(&crate::pull::target(name))?;
        let parsed = Document::parse(&found.bytes)
            .map_err(|error| EngineError::Refused(error.to_string()))?;
        let platforms: Vec<Platform> = match &parsed {
            Document::Index(index) => {
                index.manifests.iter().filter_map(|manifest| manifest.platform.clone()).collect()
            }
            Document::Manifest(manifest) => {
                let Descriptor { digest, size, .. } = &manifest.config;
                let bytes = repository.small_blob(*digest, *size, CONFIG_BYTES)?;
                let config = ImageConfig::parse(&bytes).map_err(EngineError::Config)?;
                vec![config.platform()]
            }
        };
        let digest: Digest = found.digest;
        Ok(json!({
            "Descriptor": {
                "mediaType": parsed.media_type().to_string(),
                "digest": digest.to_string(),
                "size": found.bytes.len(),
            },
            "Platforms": platforms,
        }))
    }
}

//! Caches in what keeps bytes by name and knows nothing of images: buckets of object stores, and
//! GitHub's cache of workflows. Layers and the document of a cache lie there as BuildKit puts them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::time::Duration;

use registry::{Bucket, BucketKind, BucketSettings, Secret, WorkflowCache, WorkflowEntry};
use spec::{Descriptor, Digest};

use super::imports::DOCUMENT_BYTES;
use crate::error::{EngineError, Result};
use crate::settings::Settings;

/// Somebody else is at a number so often only where something is wrong.
const ATTEMPTS: usize = 64;

/// Options, and variables in capitals, that say who asks.
const CREDENTIALS: [&str; 10] = [
    "aws_access_key_id",
    "aws_web_identity_token_file",
    "aws_container_credentials_relative_uri",
    "aws_container_credentials_full_uri",
    "azure_storage_account_key",
    "azure_storage_sas_token",
    "azure_client_id",
    "azure_federated_token_file",
    "google_service_account",
    "google_application_credentials",
];

/// What keeps layers by their digests, and the document of a cache.
pub(super) trait Depot: Send + Sync {
    /// Fails where nothing could be put, as far as that shows before anything is.
    fn reach(&self) -> Result<()>;
    /// The documents that there are, the nearest first.
    fn documents(&self) -> Result<Vec<Vec<u8>>>;
    /// Puts the document in the place of an older one.
    fn put_document(&self, bytes: &[u8]) -> Result<()>;
    /// Whether a layer is there, and need not be sent.
    fn has(&self, layer: &Descriptor) -> Result<bool>;
    /// Puts a layer there.
    fn put(&self, layer: &Descriptor, bytes: &mut dyn Read) -> Result<()>;
    /// A layer, while it comes; nothing if it is not there.
    fn open(&self, layer: &Descriptor) -> Result<Option<Box<dyn Read + Send>>>;
}

/// A bucket in which what steps gave is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketCache {
    /// Whose protocol its store speaks.
    pub kind: BucketKind,
    /// What it is called.
    pub bucket: String,
    /// How its store is reached, credentials among it.
    pub options: Vec<(String, String)>,
    /// Variables of the environment that say the rest.
    pub environment: BTreeMap<String, String>,
    /// What stands before a layer's digest.
    pub blobs: String,
    /// What stands before a cache's name.
    pub manifests: String,
    /// What the cache is called: it is written under all, and read under the first.
    pub names: Vec<String>,
    /// So many layers are sent at once.
    pub at_once: usize,
    /// What has lain there longer is sent again, so that rules which delete what is old keep it.
    pub refresh: Duration,
}

impl fmt::Debug for BucketCache {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = (self.kind, &self.bucket, &self.names);
        out.debug_tuple("BucketCache").field(&own).finish_non_exhaustive()
    }
}

/// A workflow's cache in which what steps gave is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubCache {
    /// Where the service is.
    pub url: String,
    /// Who asks.
    pub token: Secret,
    /// What the cache is called.
    pub scope: String,
    /// How long anybody waits for the service.
    pub patience: Option<Duration>,
}

impl BucketCache {
    /// Whether anybody said who asks.
    fn has_credentials(&self) -> bool {
        let options = self.options.iter().map(|(name, _)| name);
        let said = |name: &&String| CREDENTIALS.contains(&name.to_ascii_lowercase().as_str());
        options.chain(self.environment.keys()).any(|name| said(&name))
    }

    pub(super) fn open(&self, settings: &Settings) -> Result<Box<dyn Depot>> {
        let of = BucketSettings {
            kind: self.kind,
            name: &self.bucket,
            prefix: "",
            environment: &self.environment,
            options: &self.options,
        };
        let bucket = Bucket::open(&of, settings.direct())?;
        Ok(Box::new(InBucket { bucket, cache: self.clone() }))
    }
}

impl GithubCache {
    pub(super) fn open(&self, settings: &Settings) -> Result<Box<dyn Depot>> {
        let direct = settings.direct();
        let service = WorkflowCache::open(&self.url, self.token.clone(), self.patience, direct)?;
        Ok(Box::new(AtGithub { service, name: self.scope.clone() }))
    }
}

/// A bucket.
struct InBucket {
    bucket: Bucket,
    cache: BucketCache,
}

impl InBucket {
    fn document(&self, name: &str) -> String {
        format!("{}{name}", self.cache.manifests)
    }

    fn layer(&self, layer: &Descriptor) -> String {
        format!("{}{}", self.cache.blobs, layer.digest)
    }
}

impl Depot for InBucket {
    fn reach(&self) -> Result<()> {
        let Some(name) = self.cache.names.first() else { return Ok(()) };
        match self.bucket.head(&self.document(name)) {
            Ok(_) => Ok(()),
            Err(error) if self.cache.has_credentials() => Err(error.into()),
            // What is asked then is a service that machines have which are rented.
            Err(source) => {
                let bucket = self.cache.bucket.clone();
                Err(EngineError::NoBucketKeys { bucket, source })
            }
        }
    }

    fn documents(&self) -> Result<Vec<Vec<u8>>> {
        let Some(name) = self.cache.names.first() else { return Ok(Vec::new()) };
        let key = self.document(name);
        let Some(there) = self.bucket.head(&key)? else { return Ok(Vec::new()) };
        check_size(&key, there.bytes)?;
        Ok(self.bucket.get(&key)?.map(|object| object.bytes.into()).into_iter().collect())
    }

    fn put_document(&self, bytes: &[u8]) -> Result<()> {
        for name in &self.cache.names {
            self.bucket.put(&self.document(name), bytes.to_vec())?;
        }
        Ok(())
    }

    fn has(&self, layer: &Descriptor) -> Result<bool> {
        let there = self.bucket.head(&self.layer(layer))?;
        Ok(there.is_some_and(|it| it.bytes == layer.size && it.age < self.cache.refresh))
    }

    fn put(&self, layer: &Descriptor, bytes: &mut dyn Read) -> Result<()> {
        Ok(self.bucket.put_all(&self.layer(layer), bytes, layer.size)?)
    }

    fn open(&self, layer: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
        Ok(Some(Box::new(self.bucket.read(&self.layer(layer), 0, layer.size)?)))
    }
}

/// Refuses a document that is larger than any that we write.
fn check_size(name: &str, bytes: u64) -> Result<()> {
    match bytes > DOCUMENT_BYTES {
        true => Err(EngineError::Refused(format!("{name} is larger than a cache's document is"))),
        false => Ok(()),
    }
}

/// GitHub's service.
struct AtGithub {
    service: WorkflowCache,
    name: String,
}

impl AtGithub {
    /// The document of one scope. Keys are written once: what is behind the sign counts up.
    fn index(&self, scope: &str) -> String {
        let scope = Digest::of(scope.as_bytes()).hex();
        format!("index-{}-1-{}#", self.name, &scope[..8])
    }

    /// The scope that may be written to.
    fn own_scope(&self) -> Option<&str> {
        let scope = self.service.scopes().iter().rfind(|scope| scope.is_writable);
        scope.map(|scope| scope.name.as_str())
    }

    fn entry(&self, layer: &Descriptor) -> Result<Option<WorkflowEntry>> {
        Ok(self.service.find(&blob_key(layer))?)
    }
}

fn blob_key(layer: &Descriptor) -> String {
    format!("buildkit-blob-1-{}", layer.digest)
}

impl Depot for AtGithub {
    fn reach(&self) -> Result<()> {
        let Some(scope) = self.own_scope() else {
            let words = "the workflow's token lets nobody write to its cache";
            return Err(EngineError::Refused(words.to_owned()));
        };
        Ok(self.service.find(&self.index(scope)).map(drop)?)
    }

    /// A branch has its own, and sees that of the branch it began at.
    fn documents(&self) -> Result<Vec<Vec<u8>>> {
        let mut documents = Vec::new();
        for scope in self.service.scopes() {
            let Some(entry) = self.service.find(&self.index(&scope.name))? else { continue };
            let (mut bytes, reader) = (Vec::new(), self.service.read(&entry)?);
            let read = reader.take(DOCUMENT_BYTES + 1).read_to_end(&mut bytes);
            read.map_err(EngineError::Read)?;
            check_size(&entry.key, bytes.len() as u64)?;
            documents.push(bytes);
        }
        Ok(documents)
    }

    fn put_document(&self, bytes: &[u8]) -> Result<()> {
        let index = self.index(self.own_scope().unwrap_or_default());
        let newest = self.service.find(&index)?;
        let newest = newest.and_then(|entry| entry.key.strip_prefix(&index)?.parse().ok());
        let next = newest.unwrap_or(0_u64).saturating_add(1);
        // Whoever writes at the same time has a number; somebody who was killed has one for good.
        for number in (next..).take(ATTEMPTS) {
            let size = bytes.len() as u64;
            if self.service.write(&format!("{index}{number}"), &mut &*bytes, size)? {
                return Ok(());
            }
        }
        Err(EngineError::Refused(format!("GitHub's cache takes no entry {index}{next}")))
    }

    fn has(&self, layer: &Descriptor) -> Result<bool> {
        Ok(self.entry(layer)?.is_some())
    }

    fn put(&self, layer: &Descriptor, bytes: &mut dyn Read) -> Result<()> {
        // Somebody who has it under way has the same bytes.
        self.service.write(&blob_key(layer), bytes, layer.size)?;
        Ok(())
    }

    fn open(&self, layer: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
        let Some(entry) = self.entry(layer)? else { return Ok(None) };
        Ok(Some(self.service.read(&entry)?))
    }
}

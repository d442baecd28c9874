//! An object store as those see it who block: objects by key, and writing only where nobody wrote
//! since.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    UpdateVersion,
};
use registry::Direct;
use tokio::runtime::{Builder, Runtime};

use super::http::{Clock, Http};
use crate::error::{HubError, Result};

/// Stores tell times in seconds.
const TICK: Duration = Duration::from_secs(2);
/// What is younger need not be made young again: a request less.
const YOUNG: Duration = Duration::from_secs(300);

/// An object store that a registry keeps everything in.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    /// What all keys begin with.
    prefix: String,
    clock: Arc<Clock>,
    /// Where the crate's futures wait: between attempts, and for each other's tokens.
    runtime: Runtime,
    tick: Duration,
    young: Duration,
    #[cfg(test)]
    interruption: std::sync::Mutex<Option<Interruption>>,
}

/// What is to happen just before an object is written or deleted.
#[cfg(test)]
type Interruption = (String, Box<dyn FnOnce() + Send>);

/// Which writing of an object it was.
#[derive(Clone, Debug)]
pub(super) struct Version(UpdateVersion);

/// An object that was read.
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) version: Version,
    pub(super) age: Duration,
}

/// An object that there is.
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) bytes: u64,
    pub(super) age: Duration,
}

/// How an address begins, and so whose store it is.
#[derive(Clone, Copy)]
enum Kind {
    Amazon,
    Google,
    Azure,
}

impl Kind {
    fn of(address: &str) -> Option<(Kind, &str)> {
        let (scheme, rest) = address.split_once("://")?;
        let kind = match scheme {
            "s3" => Kind::Amazon,
            "gs" | "gcs" => Kind::Google,
            "az" | "azure" => Kind::Azure,
            _ => return None,
        };
        Some((kind, rest))
    }
}

impl Bucket {
    /// A store by its address, `s3://BUCKET/PREFIX`. Options have the names that the crate gives
    /// them; credentials are in the environment alone, under those names in capitals.
    pub fn open(
        address: &str,
        environment: &BTreeMap<String, String>,
        options: &[(String, String)],
        direct: Direct,
    ) -> Result<Bucket> {
        let invalid = |why: String| HubError::Address { address: address.to_owned(), why };
        let (kind, rest) = Kind::of(address).ok_or_else(|| invalid("it names no store".into()))?;
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            return Err(invalid("it names no bucket".into()));
        }
        if let Some((key, _)) = options.iter().find(|(key, _)| is_secret(key)) {
            return Err(invalid(format!("`{key}` is secret, and read from the environment alone")));
        }
        let clock = Arc::<Clock>::default();
        let http = Http::new(Arc::new(direct), clock.clone());
        let store = build(kind, name, environment, options, http).map_err(invalid)?;
        Bucket::over(store, prefix.trim_matches('/'), clock, TICK, YOUNG)
    }

    /// A store in this process's memory, gone with it: for tests. Whatever is asked for is made young
    /// again, so that a collector without a grace time sees it.
    pub fn in_memory() -> Result<Bucket> {
        Bucket::with_young(Duration::ZERO)
    }

    pub(super) fn with_young(young: Duration) -> Result<Bucket> {
        let tick = Duration::from_millis(50);
        Bucket::over(Arc::new(InMemory::new()), "", Arc::default(), tick, young)
    }

    fn over(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        clock: Arc<Clock>,
        tick: Duration,
        young: Duration,
    ) -> Result<Bucket> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build();
        let runtime = runtime.map_err(|source| HubError::Threads { source })?;
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Bucket(Arc::new(Inner {
            store,
            prefix,
            clock,
            runtime,
            tick,
            young,
            #[cfg(test)]
            interruption: Default::default(),
        })))
    }

    /// Lets something happen once, just before an object is written or deleted.
    #[cfg(test)]
    pub(super) fn interrupt(&self, key: &str, what: impl FnOnce() + Send + 'static) {
        *self.0.interruption.lock().unwrap() = Some((key.to_owned(), Box::new(what)));
    }

    #[cfg(test)]
    fn interrupted(&self, key: &str) {
        let what = self.0.interruption.lock().unwrap().take_if(|(wanted, _)| wanted == key);
        if let Some((_, what)) = what {
            what();
        }
    }

    /// Makes everything in it so much older than it is.
    #[cfg(test)]
    pub(super) fn be_later(&self, by: Duration) {
        self.0.clock.be_ahead(by);
    }

    /// How coarse its times are.
    pub(super) fn tick(&self) -> Duration {
        self.0.tick
    }

    /// What is younger need not be made young again.
    pub(super) fn young(&self) -> Duration {
        self.0.young
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}{key}", self.0.prefix))
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.runtime.block_on(future)
    }

    fn age(&self, meta: &ObjectMeta) -> Duration {
        self.0.clock.since(meta.last_modified.timestamp_millis())
    }

    fn listed(&self, meta: &ObjectMeta) -> Listed {
        let key = meta.location.as_ref();
        let key = key.strip_prefix(&self.0.prefix).unwrap_or(key).to_owned();
        Listed { key, bytes: meta.size, age: self.age(meta) }
    }

    /// An object, whole.
    pub(super) fn get(&self, key: &str) -> Result<Option<Object>> {
        let path = self.path(key);
        let got = self.wait(self.0.store.get_opts(&path, GetOptions::default()));
        let Some(got) = there(got, "read", key)? else { return Ok(None) };
        let (meta, age) = (got.meta.clone(), self.age(&got.meta));
        let bytes = self.wait(got.bytes()).map_err(|source| failed("read", key, source))?;
        let version = UpdateVersion { e_tag: meta.e_tag, version: meta.version };
        Ok(Some(Object { bytes, version: Version(version), age }))
    }

    /// A part of an object, while it comes.
    pub(super) fn read(&self, key: &str, at: u64, bytes: u64) -> Result<ObjectReader> {
        let range = Some(GetRange::Bounded(at..at + bytes));
        let options = GetOptions { range, ..GetOptions::default() };
        let got = self.wait(self.0.store.get_opts(&self.path(key), options));
        let got = got.map_err(|source| failed("read", key, source))?;
        let stream = got.into_stream();
        Ok(ObjectReader { bucket: self.clone(), stream, piece: Bytes::new() })
    }

    /// An object's length and age.
    pub(super) fn head(&self, key: &str) -> Result<Option<Listed>> {
        let path = self.path(key);
        let meta = self.wait(self.0.store.head(&path));
        Ok(there(meta, "look at", key)?.map(|meta| self.listed(&meta)))
    }

    /// Puts an object in the place of whatever is there.
    pub(super) fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        #[cfg(test)]
        self.interrupted(key);
        let put = self.wait(self.0.store.put(&self.path(key), bytes.into().into()));
        put.map(|_| ()).map_err(|source| failed("write", key, source))
    }

    /// Puts an object in the place of that one writing, or where there is none; false where
    /// somebody else was there first.
    pub(super) fn put_over(
        &self,
        key: &str,
        before: Option<&Version>,
        bytes: impl Into<Bytes>,
    ) -> Result<bool> {
        let mode = match before {
            Some(version) => PutMode::Update(version.0.clone()),
            None => PutMode::Create,
        };
        #[cfg(test)]
        self.interrupted(key);
        let path = self.path(key);
        let put = self.0.store.put_opts(&path, bytes.into().into(), PutOptions::from(mode));
        match self.wait(put) {
            Ok(_) => Ok(true),
            Err(
                Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. },
            ) => Ok(false),
            Err(source) => Err(failed("write", key, source)),
        }
    }

    /// Deletes an object, if there is one.
    pub(super) fn delete(&self, key: &str) -> Result<()> {
        #[cfg(test)]
        self.interrupted(key);
        let deleted = self.wait(self.0.store.delete(&self.path(key)));
        there(deleted, "delete", key).map(|_| ())
    }

    /// All objects below a key, in whatever order the store has.
    pub(super) fn below(&self, key: &str, see: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
        let path = self.path(key);
        let mut stream = self.0.store.list(Some(&path));
        while let Some(meta) = self.wait(stream.next()) {
            let meta = meta.map_err(|source| failed("list", key, source))?;
            see(self.listed(&meta))?;
        }
        Ok(())
    }

    /// The names directly below a key; those with more below them end in a slash. Objects of no
    /// bytes do not count.
    pub(super) fn names(&self, key: &str) -> Result<Vec<String>> {
        let path = self.path(key);
        let listed = self.wait(self.0.store.list_with_delimiter(Some(&path)));
        let listed = listed.map_err(|source| failed("list", key, source))?;
        let folders = listed.common_prefixes.iter().filter_map(|path| path.filename());
        let folders = folders.map(|name| format!("{name}/"));
        let objects = listed.objects.iter().filter(|meta| meta.size > 0);
        let objects = objects.filter_map(|meta| meta.location.filename().map(str::to_owned));
        let mut names: Vec<String> = folders.chain(objects).collect();
        names.sort_unstable();
        Ok(names)
    }
}

/// Whether an option is nobody's business. Names of files and of keys may be seen.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words = ["secret", "token", "password", "sas", "access_key", "account_key", "master_key"];
    let more = ["service_account_key", "encryption_key", "customer_key"];
    let is_shown = ["_id", "_file", "_path", "_url"].iter().any(|end| key.ends_with(end));
    !is_shown && words.iter().chain(&more).any(|word| key.contains(word))
}

/// A store by its options, or what is wrong with them. The crate's own errors may repeat what is
/// secret.
fn build(
    kind: Kind,
    name: &str,
    environment: &BTreeMap<String, String>,
    options: &[(String, String)],
    http: Http,
) -> std::result::Result<Arc<dyn ObjectStore>, String> {
    macro_rules! build {
        ($builder:ty, $named:ident, $prefix:literal) => {{
            let mut builder = <$builder>::new();
            let mine = environment.iter().filter(|(key, _)| key.starts_with($prefix));
            // Programs of the same maker have variables of their own.
            for (key, value) in mine {
                if let Ok(key) = key.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value);
                }
            }
            for (key, value) in options {
                let known = key.to_ascii_lowercase().parse();
                let known = known.map_err(|_| format!("the store has no option `{key}`"))?;
                builder = builder.with_config(known, value);
            }
            let built = builder.$named(name).with_http_connector(http).build();
            Ok(Arc::new(built.map_err(|_| "its options do not fit, or some are missing")?))
        }};
    }
    match kind {
        Kind::Amazon => build!(AmazonS3Builder, with_bucket_name, "AWS_"),
        Kind::Google => build!(GoogleCloudStorageBuilder, with_bucket_name, "GOOGLE_"),
        Kind::Azure => build!(MicrosoftAzureBuilder, with_container_name, "AZURE_"),
    }
}

fn failed(what: &'static str, key: &str, source: Error) -> HubError {
    HubError::Objects { what, key: key.to_owned(), source: Box::new(source) }
}

/// Nothing where there is no such object.
fn there<T>(got: object_store::Result<T>, what: &'static str, key: &str) -> Result<Option<T>> {
    match got {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(failed(what, key, source)),
    }
}

/// An object's bytes, read while they come.
pub(super) struct ObjectReader {
    bucket: Bucket,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    piece: Bytes,
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.bucket.wait(self.stream.next()) {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use registry::Proxies;

    fn open(address: &str, options: &[(&str, &str)]) -> Result<Bucket, String> {
        let environment = [
            ("AWS_SECRET_ACCESS_KEY", "hidden"),
            ("AWS_ACCESS_KEY_ID", "me"),
            ("AWS_PAGER", "less"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "me"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "aGlkZGVu"),
        ];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let options: Vec<_> = options.iter().map(own).collect();
        let direct = Direct::new(Proxies::default(), None, "test".to_owned());
        Bucket::open(address, &environment.into(), &options, direct).map_err(|e| e.to_string())
    }

    #[test]
    fn addresses_and_options_are_checked() {
        for (address, options) in [
            ("s3://bucket", [("region", "here"), ("endpoint", "http://127.0.0.1:1")].as_slice()),
            ("s3://bucket/a/b/", &[("AWS_REGION", "here")]),
            ("az://container/a", &[("client_id", "x")]),
        ] {
            assert!(open(address, options).is_ok(), "{address}");
        }
        let check = |address: &str, options: &[(&str, &str)], wanted: &str| {
            let told = open(address, options).err().unwrap();
            assert!(told.contains(wanted) && !told.contains("hidden"), "{told}");
        };
        check("s3://", &[], "names no bucket");
        check("s3:///x", &[], "names no bucket");
        check("ftp://x", &[], "names no store");
        check("s3://b", &[("nope", "1")], "no option `nope`");
        for key in ["secret_access_key", "AWS_SESSION_TOKEN", "token", "sas_key", "account_key"] {
            check("s3://b", &[(key, "hidden")], "is secret");
        }
    }
}

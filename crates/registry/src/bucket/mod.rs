//! A bucket of an object store as those see it who block: objects by key, and writing only where
//! nobody wrote since. The crate `object_store` knows the protocols; see
//! docs/decisions/0041-object-stores.md.

mod http;

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
    Error, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, UpdateVersion,
};
use tokio::runtime::{Builder, Runtime};

use self::http::{Clock, Http};
use crate::direct::Direct;
use crate::error::BucketError;
use crate::whole::{at_end, take};

/// What is larger is sent in parts of this size: no more of it is in memory at once.
const PART_BYTES: u64 = 16 << 20;
/// What is read whole is not longer: documents, and lists of what large things are made of.
const WHOLE_BYTES: u64 = 64 << 20;
/// Stores take ten thousand parts of an object at most.
const PARTS: u64 = 9_000;

type Result<T> = std::result::Result<T, BucketError>;

/// A bucket of an object store.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    /// What all keys begin with.
    prefix: String,
    clock: Arc<Clock>,
    /// Where the crate's futures wait: between attempts, and for each other's tokens.
    runtime: Runtime,
}

/// Whose protocol a store speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketKind {
    /// Amazon's S3, and what is like it.
    Amazon,
    /// Google's Cloud Storage.
    Google,
    /// Azure's Blob Storage.
    Azure,
}

/// Which bucket, and how it is reached.
pub struct BucketSettings<'a> {
    /// Whose protocol.
    pub kind: BucketKind,
    /// What the bucket is called; Azure calls it a container.
    pub name: &'a str,
    /// What all keys begin with, without a slash at its end.
    pub prefix: &'a str,
    /// Variables of the environment, of which those count that the store's maker has.
    pub environment: &'a BTreeMap<String, String>,
    /// Options by the names that the crate gives them. They count more than the environment.
    pub options: &'a [(String, String)],
}

/// Which writing of an object it was.
#[derive(Clone, Debug)]
pub struct Version(UpdateVersion);

/// An object that was read.
pub struct Object {
    /// All that is in it.
    pub bytes: Bytes,
    /// Which writing it was.
    pub version: Version,
    /// How long ago, by the store's clock.
    pub age: Duration,
}

/// An object that there is.
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length.
    pub bytes: u64,
    /// How long ago it was written, by the store's clock.
    pub age: Duration,
}

impl Bucket {
    /// A bucket; the store is not asked yet.
    pub fn open(settings: &BucketSettings<'_>, direct: Direct) -> Result<Bucket> {
        let clock = Arc::<Clock>::default();
        let store = build(settings, Http::new(Arc::new(direct), clock.clone()));
        let name = settings.name.to_owned();
        let store = store.map_err(|why| BucketError::Options { name, why })?;
        Bucket::over(store, settings.prefix, clock)
    }

    /// One in this process's memory, gone with it: for tests.
    pub fn in_memory() -> Result<Bucket> {
        Bucket::over(Arc::new(InMemory::new()), "", Arc::default())
    }

    fn over(store: Arc<dyn ObjectStore>, prefix: &str, clock: Arc<Clock>) -> Result<Bucket> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build();
        let runtime = runtime.map_err(|source| BucketError::Threads { source })?;
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Bucket(Arc::new(Inner { store, prefix, clock, runtime })))
    }

    /// A key as it is: names that would have to be written otherwise are refused.
    fn path(&self, key: &str) -> Result<Path> {
        let path = Path::parse(format!("{}{key}", self.0.prefix));
        path.map_err(|source| failed("name", key, source.into()))
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
    pub fn get(&self, key: &str) -> Result<Option<Object>> {
        let path = self.path(key)?;
        let got = self.wait(self.0.store.get_opts(&path, GetOptions::default()));
        let Some(got) = there(got, "read", key)? else { return Ok(None) };
        let (meta, age) = (got.meta.clone(), self.age(&got.meta));
        if meta.size > WHOLE_BYTES {
            return Err(BucketError::TooLarge { key: key.to_owned(), limit: WHOLE_BYTES });
        }
        let bytes = self.wait(got.bytes()).map_err(|source| failed("read", key, source))?;
        let version = UpdateVersion { e_tag: meta.e_tag, version: meta.version };
        Ok(Some(Object { bytes, version: Version(version), age }))
    }

    /// A part of an object, while it comes.
    pub fn read(&self, key: &str, at: u64, bytes: u64) -> Result<ObjectReader> {
        let range = Some(GetRange::Bounded(at..at + bytes));
        let options = GetOptions { range, ..GetOptions::default() };
        let got = self.wait(self.0.store.get_opts(&self.path(key)?, options));
        let got = got.map_err(|source| failed("read", key, source))?;
        let stream = got.into_stream();
        Ok(ObjectReader { bucket: self.clone(), stream, piece: Bytes::new() })
    }

    /// An object's length and age.
    pub fn head(&self, key: &str) -> Result<Option<Listed>> {
        let path = self.path(key)?;
        let meta = self.wait(self.0.store.head(&path));
        Ok(there(meta, "look at", key)?.map(|meta| self.listed(&meta)))
    }

    /// Puts an object in the place of whatever is there.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let put = self.wait(self.0.store.put(&self.path(key)?, bytes.into().into()));
        put.map(|_| ()).map_err(|source| failed("write", key, source))
    }

    /// Puts an object of so many bytes in the place of whatever is there, while they are read.
    pub fn put_all(&self, key: &str, from: &mut dyn Read, bytes: u64) -> Result<()> {
        let part_bytes = PART_BYTES.max(bytes.div_ceil(PARTS));
        if bytes <= part_bytes {
            let all = take(from, bytes).and_then(|all| at_end(from).map(|()| all));
            return self.put(key, all.map_err(unread(key))?);
        }
        let begun = self.wait(self.0.store.put_multipart(&self.path(key)?));
        let mut upload = begun.map_err(|source| failed("write", key, source))?;
        let sent = self.put_parts(key, from, bytes, part_bytes, &mut *upload);
        if sent.is_err() {
            // What was sent would lie there unseen and cost; the first error is the one that counts.
            let _ = self.wait(upload.abort());
        }
        sent
    }

    fn put_parts(
        &self,
        key: &str,
        from: &mut dyn Read,
        bytes: u64,
        part_bytes: u64,
        upload: &mut dyn MultipartUpload,
    ) -> Result<()> {
        let mut left = bytes;
        while left > 0 {
            let part = take(from, left.min(part_bytes)).map_err(unread(key))?;
            left -= part.len() as u64;
            let sent = self.wait(upload.put_part(part.into()));
            sent.map_err(|source| failed("write", key, source))?;
        }
        at_end(from).map_err(unread(key))?;
        let whole = self.wait(upload.complete());
        whole.map(|_| ()).map_err(|source| failed("write", key, source))
    }

    /// Puts an object in the place of that one writing, or where there is none; false where
    /// somebody else was there first.
    pub fn put_over(
        &self,
        key: &str,
        before: Option<&Version>,
        bytes: impl Into<Bytes>,
    ) -> Result<bool> {
        let mode = match before {
            Some(version) => PutMode::Update(version.0.clone()),
            None => PutMode::Create,
        };
        let path = self.path(key)?;
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
    pub fn delete(&self, key: &str) -> Result<()> {
        let deleted = self.wait(self.0.store.delete(&self.path(key)?));
        there(deleted, "delete", key).map(|_| ())
    }

    /// All objects below a key, in whatever order the store has.
    pub fn below<E: From<BucketError>>(
        &self,
        key: &str,
        see: &mut dyn FnMut(Listed) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let path = self.path(key)?;
        let mut stream = self.0.store.list(Some(&path));
        while let Some(meta) = self.wait(stream.next()) {
            let meta = meta.map_err(|source| failed("list", key, source))?;
            see(self.listed(&meta))?;
        }
        Ok(())
    }

    /// The names directly below a key; those with more below them end in a slash. Objects of no
    /// bytes do not count.
    pub fn names(&self, key: &str) -> Result<Vec<String>> {
        let path = self.path(key)?;
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

/// A store by its options, or what is wrong with them. The crate's own errors may repeat what is
/// secret.
fn build(
    settings: &BucketSettings<'_>,
    http: Http,
) -> std::result::Result<Arc<dyn ObjectStore>, String> {
    macro_rules! build {
        ($builder:ty, $named:ident, $prefix:literal) => {{
            let mut builder = <$builder>::new();
            let mine = settings.environment.iter().filter(|(key, _)| key.starts_with($prefix));
            // Programs of the same maker have variables of their own.
            for (key, value) in mine {
                if let Ok(key) = key.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value);
                }
            }
            for (key, value) in settings.options {
                let known = key.to_ascii_lowercase().parse();
                let known = known.map_err(|_| format!("the store has no option `{key}`"))?;
                builder = builder.with_config(known, value);
            }
            let built = builder.$named(settings.name).with_http_connector(http).build();
            Ok(Arc::new(built.map_err(|_| "its options do not fit, or some are missing")?))
        }};
    }
    match settings.kind {
        BucketKind::Amazon => build!(AmazonS3Builder, with_bucket_name, "AWS_"),
        BucketKind::Google => build!(GoogleCloudStorageBuilder, with_bucket_name, "GOOGLE_"),
        BucketKind::Azure => build!(MicrosoftAzureBuilder, with_container_name, "AZURE_"),
    }
}

fn failed(what: &'static str, key: &str, source: Error) -> BucketError {
    BucketError::Objects { what, key: key.to_owned(), source: Box::new(source) }
}

/// Nothing where there is no such object.
fn there<T>(got: object_store::Result<T>, what: &'static str, key: &str) -> Result<Option<T>> {
    match got {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(failed(what, key, source)),
    }
}

fn unread(key: &str) -> impl FnOnce(io::Error) -> BucketError {
    let key = key.to_owned();
    move |source| BucketError::Source { key, source }
}

/// An object's bytes, read while they come.
pub struct ObjectReader {
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

    #[test]
    fn keys_are_written_as_they_are_or_not_at_all() {
        let bucket = Bucket::in_memory().unwrap();
        bucket.put("feature/#12~x%20", "it").unwrap();
        assert_eq!(bucket.names("feature").unwrap(), ["#12~x%20"]);
        for wrong in ["../up", "a//b", "a/./b"] {
            assert!(bucket.put(wrong, "it").is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_read_whole_has_an_end() {
        let bucket = Bucket::in_memory().unwrap();
        let mut long = io::repeat(7).take(WHOLE_BYTES + 1);
        bucket.put_all("long", &mut long, WHOLE_BYTES + 1).unwrap();
        let told = bucket.get("long").err().unwrap().to_string();
        assert!(told.contains("larger than"), "{told}");
        let mut part = Vec::new();
        bucket.read("long", 5, 2).unwrap().read_to_end(&mut part).unwrap();
        assert_eq!(part, [7, 7]);
    }

    #[test]
    fn large_objects_go_in_parts() {
        let bucket = Bucket::in_memory().unwrap();
        let bytes: Vec<u8> = (0..PART_BYTES + 5).map(|at| (at % 251) as u8).collect();
        for count in [0, 5, PART_BYTES as usize, bytes.len()] {
            bucket.put_all("a/b", &mut &bytes[..count], count as u64).unwrap();
            assert_eq!(bucket.head("a/b").unwrap().unwrap().bytes, count as u64);
            assert!(bucket.get("a/b").unwrap().unwrap().bytes == bytes[..count], "{count}");
        }
        // What ends too early is no object, and neither is what ends too late.
        let long = bytes.len() as u64;
        for wrong in [0, 4, long - 1, long + 1] {
            assert!(bucket.put_all("c", &mut &bytes[..], wrong).is_err(), "{wrong}");
            assert!(bucket.head("c").unwrap().is_none());
        }
    }
}

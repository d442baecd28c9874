//! The bucket that a registry keeps everything in: which one an address means, and how coarse and
//! how young its times are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use registry::{
    Bucket as Store, BucketError, BucketKind, BucketSettings, Direct, Listed, Object, ObjectReader,
    ObjectVersion as Version,
};

use crate::error::{HubError, Result};

/// Stores tell times in seconds.
const TICK: Duration = Duration::from_secs(2);
/// What is younger need not be made young again: a request less.
const YOUNG: Duration = Duration::from_secs(300);

/// An object store that a registry keeps everything in.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    store: Store,
    tick: Duration,
    young: Duration,
    #[cfg(test)]
    interruption: std::sync::Mutex<Option<Interruption>>,
    /// How much older everything is than it seems.
    #[cfg(test)]
    later: std::sync::Mutex<Duration>,
}

/// What is to happen just before an object is written or deleted.
#[cfg(test)]
type Interruption = (String, Box<dyn FnOnce() + Send>);

/// How an address begins, and so whose store it is.
fn kind_of(address: &str) -> Option<(BucketKind, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let kind = match scheme {
        "s3" => BucketKind::Amazon,
        "gs" | "gcs" => BucketKind::Google,
        "az" | "azure" => BucketKind::Azure,
        _ => return None,
    };
    Some((kind, rest))
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
        let (kind, rest) = kind_of(address).ok_or_else(|| invalid("it names no store".into()))?;
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            return Err(invalid("it names no bucket".into()));
        }
        if let Some((key, _)) = options.iter().find(|(key, _)| is_secret(key)) {
            return Err(invalid(format!("`{key}` is secret, and read from the environment alone")));
        }
        let prefix = prefix.trim_matches('/');
        let settings = BucketSettings { kind, name, prefix, environment, options };
        let store = Store::open(&settings, direct).map_err(|error| match error {
            BucketError::Options { why, .. } => invalid(why),
            other => other.into(),
        })?;
        Ok(Bucket::over(store, TICK, YOUNG))
    }

    /// A store in this process's memory, gone with it: for tests. Whatever is asked for is made young
    /// again, so that a collector without a grace time sees it.
    pub fn in_memory() -> Result<Bucket> {
        Bucket::with_young(Duration::ZERO)
    }

    pub(super) fn with_young(young: Duration) -> Result<Bucket> {
        Ok(Bucket::over(Store::in_memory()?, Duration::from_millis(50), young))
    }

    fn over(store: Store, tick: Duration, young: Duration) -> Bucket {
        Bucket(Arc::new(Inner {
            store,
            tick,
            young,
            #[cfg(test)]
            interruption: Default::default(),
            #[cfg(test)]
            later: Default::default(),
        }))
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
        *self.0.later.lock().unwrap() = by;
    }

    /// How old something is that seems to be so old.
    fn age(&self, age: Duration) -> Duration {
        #[cfg(test)]
        let age = age + *self.0.later.lock().unwrap();
        age
    }

    /// How coarse its times are.
    pub(super) fn tick(&self) -> Duration {
        self.0.tick
    }

    /// What is younger need not be made young again.
    pub(super) fn young(&self) -> Duration {
        self.0.young
    }

    /// An object, whole.
    pub(super) fn get(&self, key: &str) -> Result<Option<Object>> {
        let object = self.0.store.get(key)?;
        Ok(object.map(|object| Object { age: self.age(object.age), ..object }))
    }

    /// A part of an object, while it comes.
    pub(super) fn read(&self, key: &str, at: u64, bytes: u64) -> Result<ObjectReader> {
        Ok(self.0.store.read(key, at, bytes)?)
    }

    /// An object's length and age.
    pub(super) fn head(&self, key: &str) -> Result<Option<Listed>> {
        Ok(self.0.store.head(key)?.map(|listed| self.listed(listed)))
    }

    fn listed(&self, listed: Listed) -> Listed {
        Listed { age: self.age(listed.age), ..listed }
    }

    /// Puts an object in the place of whatever is there.
    pub(super) fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        #[cfg(test)]
        self.interrupted(key);
        Ok(self.0.store.put(key, bytes)?)
    }

    /// Puts an object in the place of that one writing, or where there is none; false where
    /// somebody else was there first.
    pub(super) fn put_over(
        &self,
        key: &str,
        before: Option<&Version>,
        bytes: impl Into<Bytes>,
    ) -> Result<bool> {
        #[cfg(test)]
        self.interrupted(key);
        Ok(self.0.store.put_over(key, before, bytes)?)
    }

    /// Deletes an object, if there is one.
    pub(super) fn delete(&self, key: &str) -> Result<()> {
        #[cfg(test)]
        self.interrupted(key);
        Ok(self.0.store.delete(key)?)
    }

    /// All objects below a key, in whatever order the store has.
    pub(super) fn below(&self, key: &str, see: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
        self.0.store.below(key, &mut |listed| see(self.listed(listed)))
    }

    /// The names directly below a key; those with more below them end in a slash. Objects of no
    /// bytes do not count.
    pub(super) fn names(&self, key: &str) -> Result<Vec<String>> {
        Ok(self.0.store.names(key)?)
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

//! Where a cache is in a bucket or at GitHub, read from the attributes that BuildKit's clients say.

use std::collections::BTreeMap;
use std::time::Duration;

use registry::{BucketKind, Secret};

use super::carried::CachePlace;
use super::depot::{BucketCache, GithubCache};

/// So many layers are sent at once unless it is said.
const AT_ONCE: usize = 4;
/// What lies in a bucket longer is sent again unless it is said.
const REFRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Attributes, each taken once, and the environment that says what they do not.
pub struct CacheAttributes<'a> {
    /// The attributes.
    pub left: &'a mut BTreeMap<String, String>,
    /// Variables of whoever asks.
    pub environment: &'a BTreeMap<String, String>,
}

impl CachePlace {
    /// A place of one of the types `s3`, `azblob` and `gha`, or what is wrong with it; none if it is
    /// of another type.
    pub fn by_attributes(
        kind: &str,
        of: CacheAttributes<'_>,
    ) -> Option<Result<CachePlace, String>> {
        let mut of = of;
        match kind {
            "s3" => Some(of.amazon().map(|it| CachePlace::Bucket(Box::new(it)))),
            "azblob" => Some(of.azure().map(|it| CachePlace::Bucket(Box::new(it)))),
            "gha" => Some(of.github().map(CachePlace::Github)),
            _ => None,
        }
    }
}

impl CacheAttributes<'_> {
    fn take(&mut self, key: &str) -> Option<String> {
        self.left.remove(key).filter(|value| !value.is_empty())
    }

    /// An attribute, or a variable that stands for it.
    fn either(&mut self, key: &str, variable: &str) -> Option<String> {
        let said = self.take(key);
        said.or_else(|| self.environment.get(variable).filter(|it| !it.is_empty()).cloned())
    }

    fn need(&mut self, key: &str, variable: &str) -> Result<String, String> {
        self.either(key, variable).ok_or_else(|| format!("{key} (${variable}) is required"))
    }

    fn duration(&mut self, key: &str) -> Result<Option<Duration>, String> {
        let nanos = self.take(key).map(|text| spec::parse_go_duration(&text).ok()?.try_into().ok());
        let duration = nanos.map(|nanos| nanos.map(Duration::from_nanos));
        duration.map(|it| it.ok_or_else(|| format!("{key} is no duration"))).transpose()
    }

    fn names(&mut self) -> Vec<String> {
        let names = self.take("name").unwrap_or_else(|| "buildkit".to_owned());
        names.split(';').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn amazon(&mut self) -> Result<BucketCache, String> {
        let bucket = self.need("bucket", "AWS_BUCKET")?;
        let mut options = vec![option("aws_region", self.need("region", "AWS_REGION")?)];
        for (key, known) in [
            ("access_key_id", "aws_access_key_id"),
            ("secret_access_key", "aws_secret_access_key"),
            ("session_token", "aws_session_token"),
        ] {
            options.extend(self.take(key).map(|value| option(known, value)));
        }
        let by_path = self.take("use_path_style").map_or(Ok(false), |text| switch(&text));
        let by_path =
            by_path.map_err(|()| "use_path_style is neither true nor false".to_owned())?;
        if let Some(url) = self.take("endpoint_url") {
            options.extend(endpoint(&url, (!by_path).then_some(&bucket)));
        }
        let prefix = self.take("prefix").unwrap_or_default();
        let mut below = |key: &str, usual: &str| {
            format!("{prefix}{}", self.left.remove(key).unwrap_or_else(|| usual.to_owned()))
        };
        let (blobs, manifests) =
            (below("blobs_prefix", "blobs/"), below("manifests_prefix", "manifests/"));
        let at_once = self.take("upload_parallelism").map_or(Ok(AT_ONCE), |text| text.parse());
        let at_once = at_once.ok().filter(|count| *count > 0);
        let at_once = at_once.ok_or("upload_parallelism must be a positive integer")?;
        let refresh = self.duration("touch_refresh")?.unwrap_or(REFRESH);
        let (kind, names) = (BucketKind::Amazon, self.names());
        let environment = self.environment.clone();
        Ok(BucketCache {
            kind,
            bucket,
            options,
            environment,
            blobs,
            manifests,
            names,
            at_once,
            refresh,
        })
    }

    fn azure(&mut self) -> Result<BucketCache, String> {
        let url = self.need("account_url", "BUILDKIT_AZURE_STORAGE_ACCOUNT_URL")?;
        let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let first = host.split(['.', ':', '/']).next().unwrap_or_default().to_owned();
        let account = self.either("account_name", "BUILDKIT_AZURE_STORAGE_ACCOUNT_NAME");
        let mut options = vec![option("azure_storage_account_name", account.unwrap_or(first))];
        options.push(option("azure_storage_endpoint", url.trim_end_matches('/').to_owned()));
        options.extend(allowed_plain(&url));
        let key = self.take("secret_access_key");
        options.extend(key.map(|key| option("azure_storage_account_key", key)));
        let bucket = self.either("container", "BUILDKIT_AZURE_STORAGE_CONTAINER");
        let prefix = self.either("prefix", "BUILDKIT_AZURE_STORAGE_PREFIX").unwrap_or_default();
        let mut below = |key: &str, usual: &str| {
            let own = self.left.remove(key).unwrap_or_else(|| usual.to_owned());
            let parts = [prefix.as_str(), own.as_str()].map(|part| part.trim_matches('/'));
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            parts.map(|part| format!("{part}/")).collect()
        };
        let (blobs, manifests) =
            (below("blobs_prefix", "blobs"), below("manifests_prefix", "manifests"));
        Ok(BucketCache {
            kind: BucketKind::Azure,
            bucket: bucket.unwrap_or_else(|| "buildkit-cache".to_owned()),
            options,
            environment: self.environment.clone(),
            blobs,
            manifests,
            names: self.names(),
            at_once: AT_ONCE,
            // Azure's rules of age are the account's own business, as they are to BuildKit.
            refresh: Duration::MAX,
        })
    }

    fn github(&mut self) -> Result<GithubCache, String> {
        let token = self.need("token", "ACTIONS_RUNTIME_TOKEN")?;
        // The service had two forms. Clients still say where the first was.
        self.take("url");
        if self.take("version").is_some_and(|version| version == "1") {
            return Err("version 1 of GitHub's cache service is no more".to_owned());
        }
        let url = self.need("url_v2", "ACTIONS_RESULTS_URL")?;
        // With these, BuildKit spares the service some questions; what comes of it is the same.
        let _ = (self.take("repository"), self.take("ghtoken"));
        let patience = self.duration("timeout")?;
        let scope = self.take("scope").unwrap_or_else(|| "buildkit".to_owned());
        Ok(GithubCache { url, token: Secret::new(token), scope, patience })
    }
}

fn option(key: &str, value: String) -> (String, String) {
    (key.to_owned(), value)
}

/// A store's address. Without paths for buckets, a bucket is a name of the host's, if that has names.
fn endpoint(url: &str, bucket: Option<&String>) -> Vec<(String, String)> {
    let url = url.trim_end_matches('/');
    let (scheme, host) = url.split_once("://").unwrap_or(("https", url));
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_number = name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
    let mut options = match bucket.filter(|_| !is_number) {
        Some(bucket) => vec![
            option("aws_endpoint", format!("{scheme}://{bucket}.{host}")),
            option("aws_virtual_hosted_style_request", "true".to_owned()),
        ],
        None => vec![option("aws_endpoint", format!("{scheme}://{host}"))],
    };
    options.extend(allowed_plain(url));
    options
}

/// Who names an address without TLS wants that.
fn allowed_plain(url: &str) -> Option<(String, String)> {
    url.starts_with("http://").then(|| option("allow_http", "true".to_owned()))
}

fn switch(text: &str) -> Result<bool, ()> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn read(kind: &str, pairs: &[(&str, &str)]) -> Result<CachePlace, String> {
        let mut left = map(pairs);
        let environment = map(&[("AWS_REGION", "there"), ("ACTIONS_RUNTIME_TOKEN", "t")]);
        let of = CacheAttributes { left: &mut left, environment: &environment };
        let place = CachePlace::by_attributes(kind, of).unwrap();
        assert!(place.is_err() || left.is_empty(), "{left:?}");
        place
    }

    #[track_caller]
    fn bucket(kind: &str, pairs: &[(&str, &str)]) -> BucketCache {
        let Ok(CachePlace::Bucket(bucket)) = read(kind, pairs) else { panic!("{pairs:?}") };
        *bucket
    }

    fn says(bucket: &BucketCache, key: &str) -> String {
        let found = bucket.options.iter().find(|(own, _)| own == key);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    #[test]
    fn buckets_of_amazon() {
        let usual = bucket("s3", &[("bucket", "b")]);
        assert_eq!((usual.blobs.as_str(), usual.manifests.as_str()), ("blobs/", "manifests/"));
        assert_eq!((says(&usual, "aws_region").as_str(), usual.at_once), ("there", 4));
        assert_eq!((usual.names, usual.refresh), (vec!["buildkit".to_owned()], REFRESH));
        let mut all = vec![("bucket", "b"), ("region", "here"), ("name", "a;b"), ("prefix", "p/")];
        all.extend([("blobs_prefix", "x/"), ("manifests_prefix", ""), ("touch_refresh", "1h")]);
        all.extend([("upload_parallelism", "2"), ("secret_access_key", "hidden")]);
        all.push(("endpoint_url", "http://store.lab:9000/"));
        let own = bucket("s3", &all);
        assert_eq!((own.blobs.as_str(), own.manifests.as_str(), own.at_once), ("p/x/", "p/", 2));
        assert_eq!((own.names.len(), own.refresh.as_secs()), (2, 3600));
        assert_eq!(says(&own, "aws_endpoint"), "http://b.store.lab:9000");
        assert_eq!(says(&own, "allow_http"), "true");
        assert!(!format!("{own:?}").contains("hidden"));
        let by_path = |url| bucket("s3", &[("bucket", "b"), ("endpoint_url", url)]);
        assert_eq!(says(&by_path("http://127.0.0.1:9"), "aws_endpoint"), "http://127.0.0.1:9");
        let url = [("bucket", "b"), ("endpoint_url", "https://s"), ("use_path_style", "true")];
        assert_eq!(says(&bucket("s3", &url), "aws_endpoint"), "https://s");
        assert!(read("s3", &[]).unwrap_err().contains("bucket ($AWS_BUCKET) is required"));
        assert!(read("s3", &[("bucket", "b"), ("upload_parallelism", "0")]).is_err());
    }

    #[test]
    fn containers_of_azure() {
        let usual = bucket("azblob", &[("account_url", "https://me.blob.core.windows.net")]);
        assert_eq!(says(&usual, "azure_storage_account_name"), "me");
        assert_eq!((usual.bucket.as_str(), usual.blobs.as_str()), ("buildkit-cache", "blobs/"));
        let own = [("account_url", "http://127.0.0.1:1"), ("account_name", "a"), ("prefix", "/p/")];
        let own = bucket("azblob", &own);
        assert_eq!(
            (own.manifests.as_str(), says(&own, "allow_http").as_str()),
            ("p/manifests/", "true")
        );
        assert!(read("azblob", &[]).unwrap_err().contains("account_url"));
    }

    #[test]
    fn workflows_at_github() {
        let url = ("url_v2", "https://results");
        let Ok(CachePlace::Github(own)) = read("gha", &[url, ("timeout", "5m"), ("url", "old")])
        else {
            panic!()
        };
        assert_eq!((own.token.expose(), own.scope.as_str()), ("t", "buildkit"));
        assert_eq!(own.patience, Some(Duration::from_secs(300)));
        assert!(read("gha", &[]).unwrap_err().contains("$ACTIONS_RESULTS_URL"));
        assert!(read("gha", &[url, ("version", "1")]).unwrap_err().contains("no more"));
    }
}

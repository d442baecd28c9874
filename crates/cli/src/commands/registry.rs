//! `mica registry serve` and `mica registry gc`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Engine;
use spec::human_size;

use crate::context::Context;
use crate::doors::{
    CollectRegistry, CollectedRegistry, RegistryBucket, RegistryRoot, RegistryTokens,
    RegistryUpstream, ServeRegistry,
};
use crate::failure::{Failure, Outcome};

/// How addresses of object stores begin.
const BUCKETS: [&str; 5] = ["s3://", "gs://", "gcs://", "az://", "azure://"];

pub(crate) fn serve(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let root = root(context)?;
    let path = |name| matches.string(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let plan = ServeRegistry {
        listen: matches.string("listen").unwrap_or_default().to_owned(),
        root,
        htpasswd: path("htpasswd"),
        rules: path("rules"),
        certificate: pair(path("tls-cert"), path("tls-key"))?,
        tokens: tokens(context)?,
        collect_every: duration(context, "collect-every")?,
        read_only: matches.flag("read-only"),
        no_delete: matches.flag("no-delete"),
        store: store(context)?,
        upstream: upstream(context)?,
        log: path("log").filter(|path| path != Path::new("none")),
    };
    let shown = match &plan.store {
        Some(engine) => engine.root().display().to_string(),
        None => plan.root.shown(),
    };
    let ready = |address: &str| ui.warn(&format!("serving {shown} at {address}"));
    (context.doors().serve_registry)(plan, &ready).map_err(Failure::from)?;
    Ok(0)
}

/// The store whose images are shown. Nothing that is about a registry's folder goes with it.
fn store(context: &Context) -> Result<Option<Engine>, Failure> {
    if !context.matches().flag("store") {
        return Ok(None);
    }
    for other in ["root", "cache-of"] {
        if context.matches().given(other) {
            return Err(Failure::new(format!("--store and --{other} exclude each other")));
        }
    }
    Ok(Some(context.engine()?))
}

/// The registry that is asked for what is not here.
fn upstream(context: &Context) -> Result<Option<RegistryUpstream>, Failure> {
    let location = context.matches().string("cache-of").filter(|text| !text.is_empty());
    let Some(location) = location else { return Ok(None) };
    let (client, fresh) = (context.settings()?.hasty_client()?, duration(context, "cache-fresh")?);
    Ok(Some(RegistryUpstream { location: location.to_owned(), client, fresh }))
}

fn pair(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<(PathBuf, PathBuf)>, Failure> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(Failure::new("--tls-cert and --tls-key need each other")),
    }
}

/// Who gives tokens. All that is said of them must be said.
fn tokens(context: &Context) -> Result<Option<RegistryTokens>, Failure> {
    let names = ["token-realm", "token-service", "token-issuer", "token-keys"];
    let values = names.map(|name| context.matches().string(name).unwrap_or_default().to_owned());
    if values.iter().all(String::is_empty) {
        return Ok(None);
    }
    if values.iter().any(String::is_empty) {
        let why = "--token-realm, --token-service, --token-issuer and --token-keys need each other";
        return Err(Failure::new(why));
    }
    if context.matches().string("htpasswd").is_some() {
        return Err(Failure::new("--htpasswd and --token-realm exclude each other"));
    }
    let [realm, service, issuer, keys] = values;
    Ok(Some(RegistryTokens { realm, service, issuer, keys: keys.into() }))
}

pub(crate) fn gc(context: &Context) -> Outcome {
    let grace = duration(context, "grace")?;
    let plan = CollectRegistry {
        root: root(context)?,
        grace,
        untagged: context.matches().flag("untagged"),
    };
    let taken = (context.doors().collect_registry)(plan).map_err(Failure::from)?;
    let CollectedRegistry { manifests, blobs, bytes, uploads } = taken;
    let size = human_size(bytes as f64);
    context.ui.line(&format!(
        "Deleted {manifests} manifests, {blobs} blobs ({size}), {uploads} abandoned uploads"
    ));
    Ok(0)
}

/// Where everything is kept: the flag, the file, or beside the store.
fn root(context: &Context) -> Result<RegistryRoot, Failure> {
    let settings = context.settings()?;
    let named = context.matches().string("root").filter(|text| !text.is_empty());
    let Some(root) = named.or(settings.hub.root.as_deref()) else {
        return Ok(RegistryRoot::Folder(beside(&settings.data_root)));
    };
    if !BUCKETS.iter().any(|scheme| root.starts_with(scheme)) {
        return Ok(RegistryRoot::Folder(root.into()));
    }
    let mut options: Vec<_> = settings.hub.storage.clone().into_iter().collect();
    for option in context.matches().list("storage-option") {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        options.push((key.to_owned(), value.to_owned()));
    }
    let (address, environment) = (root.to_owned(), context.environment().clone());
    let direct = settings.direct();
    Ok(RegistryRoot::Bucket(Box::new(RegistryBucket { address, options, environment, direct })))
}

fn duration(context: &Context, name: &str) -> Result<Duration, Failure> {
    let nanos = context.matches().duration_nanos(name).unwrap_or_default();
    let nanos = u64::try_from(nanos);
    let nanos = nanos.map_err(|_| Failure::new(format!("--{name} cannot be negative")))?;
    Ok(Duration::from_nanos(nanos))
}

/// The registry's folder, where none is named: the store's with `-registry` behind its name.
fn beside(data_root: &Path) -> PathBuf {
    let mut name = data_root.as_os_str().to_owned();
    name.push("-registry");
    name.into()
}

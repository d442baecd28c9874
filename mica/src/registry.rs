//! `mica registry`: from the command line's door to the registry's.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;

use cli::{
    CollectRegistry, CollectedRegistry, DoorError, RegistryBucket, RegistryRoot, RegistryTokens,
    RegistryUpstream, ServeRegistry,
};
use engine::{Engine, ShelfDocument};
use hub::{
    Access, Bucket, Certificate, Collected, Entry, Garbage, HubError, Mode, Passwords, Place,
    Rules, Settings, Shelf, ShelfResult, ShownDocument, TokenKeys, Tokens, Upstream,
};
use spec::Digest;
use sys::event::Signals;

/// What ends the registry: SIGINT and SIGTERM.
const ENDING: [i32; 2] = [2, 15];

/// Serves until a signal comes.
pub(crate) fn serve(plan: ServeRegistry, ready: &dyn Fn(&str)) -> Result<(), DoorError> {
    // Before there is a thread: those that come after block them too.
    let signals = Signals::take(&ENDING).map_err(failed)?;
    let mode = match (plan.read_only, plan.no_delete) {
        (true, _) => Mode::ReadOnly,
        (false, true) => Mode::NoDelete,
        (false, false) => Mode::Writable,
    };
    let log = plan.log.as_deref().map(open_log).transpose().map_err(failed)?;
    let collect = Some((plan.collect_every, Garbage::default()));
    let collect = collect.filter(|(every, _)| !every.is_zero());
    let certificate = plan.certificate.as_ref();
    let certificate = certificate.map(|(certificate, key)| Certificate::open(certificate, key));
    let certificate = certificate.transpose().map_err(failed)?;
    let entry = match (&plan.htpasswd, plan.tokens) {
        (Some(path), _) => Some(Entry::Passwords(Passwords::open(path).map_err(failed)?)),
        (None, Some(RegistryTokens { realm, service, issuer, keys })) => {
            let keys = TokenKeys::open(&keys).map_err(failed)?;
            Some(Entry::Tokens(Tokens { realm, service, issuer, keys }))
        }
        (None, None) => None,
    };
    let rules = plan.rules.as_deref().map(Rules::open).transpose().map_err(failed)?;
    let access = Access { entry, rules };
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let fresh = Settings::new(plan.listen, place(plan.root).map_err(told)?);
    let upstream = plan.upstream.map(|RegistryUpstream { location, client, fresh }| Upstream {
        location,
        client: client.into(),
        fresh,
    });
    let shelf = plan.store.map(|engine| Box::new(Images(engine)) as Box<dyn Shelf>);
    let settings = Settings { shelf, mode, access, certificate, collect, upstream, log, ..fresh };
    let tell = |address: SocketAddr| ready(&format!("{scheme}://{address}"));
    hub::serve(settings, signals.as_fd(), Box::new(tell)).map_err(told)
}

/// Where everything is kept.
fn place(root: RegistryRoot) -> hub::Result<Place> {
    Ok(match root {
        RegistryRoot::Folder(path) => Place::Folder(path),
        RegistryRoot::Bucket(bucket) => {
            let RegistryBucket { address, options, environment, direct } = *bucket;
            Place::Bucket(Bucket::open(&address, &environment, &options, direct)?)
        }
    })
}

/// The images of a store, as the registry shows them.
struct Images(Engine);

impl Shelf for Images {
    fn repositories(&self) -> ShelfResult<Vec<String>> {
        Ok(self.0.shelf_repositories()?.into_iter().collect())
    }

    fn tags(&self, repository: &str) -> ShelfResult<Vec<String>> {
        Ok(self.0.shelf_tags(repository)?.into_iter().collect())
    }

    fn document(&self, repository: &str, reference: &str) -> ShelfResult<Option<ShownDocument>> {
        let all = self.0.shelf_documents(repository)?;
        let found = all.into_iter().find(|document| {
            document.tag.as_deref() == Some(reference) || document.digest.to_string() == reference
        });
        Ok(found.map(|ShelfDocument { digest, media_type, bytes, .. }| ShownDocument {
            digest,
            media_type,
            bytes,
        }))
    }

    fn blob(&self, repository: &str, digest: &Digest) -> ShelfResult<Option<(File, u64)>> {
        Ok(self.0.shelf_blob(repository, digest)?)
    }
}

/// Takes what nobody needs.
pub(crate) fn collect(plan: CollectRegistry) -> Result<CollectedRegistry, DoorError> {
    let CollectRegistry { root, grace, untagged } = plan;
    let garbage = Garbage { grace, untagged, ..Garbage::default() };
    let Collected { manifests, blobs, bytes, uploads } =
        hub::collect(place(root).map_err(told)?, &garbage).map_err(told)?;
    Ok(CollectedRegistry { manifests, blobs, bytes, uploads })
}

fn open_log(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    match path.to_str() {
        Some("-") => Ok(Box::new(io::stdout())),
        _ => Ok(Box::new(File::options().create(true).append(true).open(path)?)),
    }
}

fn failed(error: impl Error + Send + Sync + 'static) -> DoorError {
    DoorError { error: error.into(), hint: None }
}

fn told(error: HubError) -> DoorError {
    let hint = error.hint();
    DoorError { error: error.into(), hint }
}

//! The registry: from a request to an answer.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use spec::Digest;

use crate::access::{Access, Action, Need};
use crate::cache::Recent;
use crate::http::{Head, Method, Request, Response};
use crate::metrics::Metrics;
use crate::names::{RepositoryName, UploadId};
use crate::problem::{Code, Problem};
use crate::route::{NoRoute, Route};
use crate::storage::Storage;
use crate::uploads::Session;
use crate::upstream::{Fetches, Upstream};

/// A manifest that was read is kept in memory; all of them together are not more than this.
const RECENT_BYTES: usize = 32 << 20;
/// Repositories that share a lock wait for each other's manifests, which is no harm.
const LOCKS: usize = 64;

/// What a registry lets clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    Writable,
    /// Everything but deleting.
    NoDelete,
    /// Reading.
    ReadOnly,
}

/// A registry.
pub(crate) struct Hub {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) access: Access,
    pub(crate) mode: Mode,
    /// Manifests that were read lately. Their names are their hashes, so none is ever wrong.
    pub(crate) recent: Recent,
    /// Uploads that this process has seen.
    pub(crate) sessions: Mutex<HashMap<UploadId, Arc<RwLock<Session>>>>,
    /// Held while the documents of a repository's manifests change.
    locks: [Mutex<()>; LOCKS],
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// The registry that has what is not here.
    pub(crate) upstream: Option<Upstream>,
    /// What is coming from there just now.
    pub(crate) fetches: Arc<Fetches>,
}

/// Whoever answers requests.
pub(crate) trait Answers: Send + Sync {
    /// Answers a request; a problem is an answer too.
    fn answer(
        &self,
        request: &mut Request<'_>,
        route: &Result<Route<'_>, NoRoute>,
    ) -> Result<Response, Problem>;
}

/// What every request goes through first: it must mean something, its sender must be allowed to ask
/// it, and the registry to do it. Gives who asked, if that is known.
pub(crate) fn admit<'r, 'n>(
    access: &Access,
    head: &Head,
    route: &'r Result<Route<'n>, NoRoute>,
    refuses: &dyn Fn(&Route<'n>) -> Option<Problem>,
) -> Result<(&'r Route<'n>, Option<String>), Problem> {
    let route = match route {
        Ok(route) => route,
        Err(NoRoute::Name) => return Err(Code::NameInvalid.into()),
        Err(NoRoute::Unknown) => return Err(Problem::from(Code::Unsupported).status(404)),
    };
    let user = access.check(head, &need(head, route))?;
    match refuses(route) {
        Some(problem) => Err(problem),
        None => Ok((route, user)),
    }
}

/// What whoever wants to change a registry is told that lets nobody.
pub(crate) fn read_only() -> Problem {
    Code::Unsupported.because("the registry is read-only").header("Allow", "GET, HEAD")
}

impl Answers for Hub {
    fn answer(
        &self,
        request: &mut Request<'_>,
        route: &Result<Route<'_>, NoRoute>,
    ) -> Result<Response, Problem> {
        let refuses = |route: &Route<'_>| self.refuses(request.head.method, route);
        let (route, user) = admit(&self.access, request.head, route, &refuses)?;
        let mut response = self.handle(request, route)?;
        response.user = user;
        Ok(response)
    }
}

impl Hub {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        access: Access,
        mode: Mode,
        upstream: Option<Upstream>,
        metrics: Arc<Metrics>,
    ) -> Hub {
        let locks = std::array::from_fn(|_| Mutex::new(()));
        let recent = Recent::new(RECENT_BYTES);
        let sessions = Mutex::default();
        // What is only a copy is changed by nobody but the original.
        let mode = if upstream.is_some() { Mode::ReadOnly } else { mode };
        let fetches = Arc::default();
        Hub { storage, access, mode, recent, sessions, locks, metrics, upstream, fetches }
    }

    fn handle(&self, request: &mut Request<'_>, route: &Route<'_>) -> Result<Response, Problem> {
        let head = request.head;
        match (route, head.method) {
            (Route::Base, Method::Get | Method::Head) => Ok(Response::json(200, b"{}".to_vec())),
            (Route::Metrics, Method::Get) => Ok(self.metrics.response()),
            (Route::Catalog, Method::Get) => self.catalog(head),
            (Route::Tags(name), Method::Get) => self.tags(head, name),
            (Route::Manifest(name, reference), Method::Get | Method::Head) => {
                self.get_manifest(head, name, reference)
            }
            (Route::Manifest(name, reference), Method::Put) => {
                self.put_manifest(request, name, reference)
            }
            (Route::Manifest(name, reference), Method::Delete) => {
                self.delete_manifest(name, reference)
            }
            (Route::Blob(name, digest), Method::Get | Method::Head) => {
                self.get_blob(head, name, digest)
            }
            (Route::Blob(name, digest), Method::Delete) => self.delete_blob(name, digest),
            (Route::Uploads(name), Method::Post) => self.begin_upload(request, name),
            (Route::Upload(name, id), Method::Get | Method::Head) => self.upload_status(name, id),
            (Route::Upload(name, id), Method::Patch) => self.append_upload(request, name, id),
            (Route::Upload(name, id), Method::Put) => self.finish_upload(request, name, id),
            (Route::Upload(name, id), Method::Delete) => self.cancel_upload(name, id),
            (Route::Referrers(name, subject), Method::Get) => self.referrers(head, name, subject),
            _ => Err(Problem::from(Code::Unsupported).header("Allow", allowed(route))),
        }
    }

    /// Why the registry does not do such things at all.
    fn refuses(&self, method: Method, route: &Route<'_>) -> Option<Problem> {
        match self.mode {
            Mode::ReadOnly if !method.reads() => Some(read_only()),
            // An upload that is given up was nobody's yet.
            Mode::NoDelete if method == Method::Delete && !matches!(route, Route::Upload(..)) => {
                let others = allowed(route).replace(", DELETE", "");
                let why = "the registry lets nobody delete";
                Some(Code::Unsupported.because(why).header("Allow", others))
            }
            _ => None,
        }
    }

    /// The lock of a repository.
    pub(crate) fn lock(&self, name: &RepositoryName) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let number = hasher.finish() as usize % LOCKS;
        self.locks[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody must be allowed to do to make this request.
fn need(head: &Head, route: &Route<'_>) -> Need {
    let upload = matches!(route, Route::Upload(..));
    let action = match head.method {
        method if method.reads() && !upload => Action::Pull,
        // Whoever may push may give up what they began.
        Method::Delete if !upload => Action::Delete,
        _ => Action::Push,
    };
    match (route, route.repository()) {
        (Route::Catalog, _) => Need::Catalog,
        (Route::Metrics, _) => Need::Metrics,
        (_, Some(name)) => Need::Repository(name.clone(), action),
        (_, None) => Need::Entry,
    }
}

fn allowed(route: &Route<'_>) -> &'static str {
    match route {
        Route::Base => "GET, HEAD",
        Route::Catalog | Route::Tags(_) | Route::Referrers(..) | Route::Metrics => "GET",
        Route::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Route::Blob(..) => "GET, HEAD, DELETE",
        Route::Uploads(_) => "POST",
        Route::Upload(..) => "GET, PATCH, PUT, DELETE",
    }
}

/// A digest out of a path or a query.
pub(crate) fn digest(text: &str) -> Result<Digest, Problem> {
    text.parse().map_err(|error| Code::DigestInvalid.because(error))
}

/// Whether the client wants this only if it is something else.
pub(crate) fn is_other(head: &Head, digest: &Digest) -> bool {
    let Some(tags) = head.header("if-match") else { return false };
    !tags.split(',').map(str::trim).any(|tag| tag == "*" || is_tag(tag, digest))
}

/// Whether the client may get a part of this: what it has of it already is of this very thing.
pub(crate) fn goes_on(head: &Head, digest: &Digest) -> bool {
    head.header("if-range").is_none_or(|tag| is_tag(tag.trim(), digest))
}

/// Whether a tag, which is no weak one, is that of these bytes.
fn is_tag(tag: &str, digest: &Digest) -> bool {
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    inner.is_some_and(|inner| inner.parse() == Ok(*digest))
}

/// Whether the client has this already.
pub(crate) fn is_known(head: &Head, digest: &Digest) -> bool {
    let Some(tags) = head.header("if-none-match") else { return false };
    let mut tags = tags.split(',').map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'));
    tags.any(|tag| tag == "*" || tag.parse() == Ok(*digest))
}

//! A registry of images that somebody else keeps: they can be read, and nothing else.

use std::error::Error;
use std::fs::File;
use std::sync::Arc;

use serde_json::json;
use spec::{Digest, MediaType};

use crate::access::Access;
use crate::blobs::send;
use crate::error::HubError;
use crate::http::{Head, Method, Payload, Request, Response};
use crate::hub::{Answers, admit, digest, is_known, read_only};
use crate::lists::{linked, list, page};
use crate::manifests::{INDEX, unknown};
use crate::metrics::Metrics;
use crate::names::RepositoryName;
use crate::problem::{Code, Problem};
use crate::route::{NoRoute, Route};
use crate::storage::Blob;

/// Whoever keeps images that are shown.
pub trait Shelf: Send + Sync {
    /// All repositories, sorted.
    fn repositories(&self) -> ShelfResult<Vec<String>>;

    /// The tags of a repository, sorted.
    fn tags(&self, repository: &str) -> ShelfResult<Vec<String>>;

    /// What a tag or a digest stands for.
    fn document(&self, repository: &str, reference: &str) -> ShelfResult<Option<ShownDocument>>;

    /// A blob, and how long it is.
    fn blob(&self, repository: &str, digest: &Digest) -> ShelfResult<Option<(File, u64)>>;
}

/// What a shelf gives, or why it cannot.
pub type ShelfResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A manifest or index of a shelf.
pub struct ShownDocument {
    /// Its digest.
    pub digest: Digest,
    /// What it is.
    pub media_type: MediaType,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The registry in front of a shelf.
pub(crate) struct Window {
    pub(crate) shelf: Box<dyn Shelf>,
    pub(crate) access: Access,
    pub(crate) metrics: Arc<Metrics>,
}

impl Answers for Window {
    fn answer(
        &self,
        request: &mut Request<'_>,
        route: &Result<Route<'_>, NoRoute>,
    ) -> Result<Response, Problem> {
        let head = request.head;
        let (route, user) =
            admit(&self.access, head, route, &|_| (!head.method.reads()).then(read_only))?;
        let mut response = self.show(head, route)?;
        response.user = user;
        Ok(response)
    }
}

impl Window {
    fn show(&self, head: &Head, route: &Route<'_>) -> Result<Response, Problem> {
        match (route, head.method) {
            (Route::Base, _) => Ok(Response::json(200, b"{}".to_vec())),
            (Route::Metrics, Method::Get) => Ok(self.metrics.response()),
            (Route::Catalog, Method::Get) => {
                let page = page(head, self.shelf.repositories().map_err(failed)?)?;
                let body = json!({ "repositories": page.names });
                Ok(linked(list(&body), head, page.next.as_deref()))
            }
            (Route::Tags(name), Method::Get) => {
                let tags = self.shelf.tags(name.as_str()).map_err(failed)?;
                if tags.is_empty() {
                    return Err(Code::NameUnknown.with(json!({ "name": name.as_str() })));
                }
                let page = page(head, tags)?;
                let body = json!({ "name": name.as_str(), "tags": page.names });
                Ok(linked(list(&body), head, page.next.as_deref()))
            }
            (Route::Manifest(name, reference), _) => self.document(head, name, reference),
            (Route::Blob(name, text), _) => {
                let digest = digest(text)?;
                let blob = self.shelf.blob(name.as_str(), &digest).map_err(failed)?;
                let unknown = || Code::BlobUnknown.with(digest.to_string().into());
                let (file, bytes) = blob.ok_or_else(unknown)?;
                send(head, &digest, Blob::File { file, bytes })
            }
            // Nothing here is about anything.
            (Route::Referrers(_, subject), Method::Get) => {
                digest(subject)?;
                let none = spec::Index::new(Vec::new()).to_bytes();
                let response = Response::new(200).header("Content-Type", INDEX.as_str());
                Ok(response.payload(Payload::Bytes(none)))
            }
            _ => Err(Problem::from(Code::Unsupported).header("Allow", "GET")),
        }
    }

    fn document(
        &self,
        head: &Head,
        name: &RepositoryName,
        reference: &str,
    ) -> Result<Response, Problem> {
        let found = self.shelf.document(name.as_str(), reference).map_err(failed)?;
        let found = found.ok_or_else(|| unknown(reference))?;
        let described = |status| {
            Response::new(status)
                .header("Content-Type", found.media_type.as_str())
                .header("Docker-Content-Digest", found.digest)
                .header("ETag", format!("\"{}\"", found.digest))
        };
        match is_known(head, &found.digest) {
            true => Ok(described(304)),
            false => Ok(described(200).payload(Payload::Bytes(found.bytes.clone()))),
        }
    }
}

fn failed(source: Box<dyn Error + Send + Sync>) -> Problem {
    HubError::Shelf { source }.into()
}

//! Lists: tags, repositories, and the manifests about one.

use serde_json::json;
use spec::{Descriptor, Digest, Index};

use crate::error::HubError;
use crate::http::{Head, Payload, Response};
use crate::hub::{Hub, digest};
use crate::manifests::INDEX;
use crate::names::{RepositoryName, Tag};
use crate::problem::{Code, Problem};
use crate::storage::paths;

/// A list of referrers stays below the length that clients accept of a manifest.
const REFERRERS: usize = 1000;

/// A part of a list, and where the next begins.
pub(crate) struct Page {
    pub(crate) names: Vec<String>,
    pub(crate) next: Option<String>,
}

impl Hub {
    /// A repository's tags.
    pub(crate) fn tags(&self, head: &Head, name: &RepositoryName) -> Result<Response, Problem> {
        let mut tags = match self.upstream.as_ref().map(|upstream| upstream.tags(name)) {
            Some(Some(tags)) => tags,
            // Of whom nothing is heard, what is here is all that is known.
            Some(None) | None => self.storage.list(&paths::tags(name))?,
        };
        tags.retain(|tag| Tag::parse(tag).is_some());
        // One that has lost its last manifest is known for as long as its blobs are there.
        if tags.is_empty() && !self.has_manifests(name)? && !self.has_blobs(name)? {
            return Err(Code::NameUnknown.with(json!({ "name": name.as_str() })));
        }
        let page = page(head, tags)?;
        let body = json!({ "name": name.as_str(), "tags": page.names });
        Ok(linked(list(&body), head, page.next.as_deref()))
    }

    /// The repositories that have a manifest.
    pub(crate) fn catalog(&self, head: &Head) -> Result<Response, Problem> {
        let names = self.repositories()?;
        let mut shown = Vec::new();
        for name in names {
            if self.has_manifests(&name)? {
                shown.push(name.to_string());
            }
        }
        let page = page(head, shown)?;
        let body = json!({ "repositories": page.names });
        Ok(linked(list(&body), head, page.next.as_deref()))
    }

    fn has_manifests(&self, name: &RepositoryName) -> Result<bool, Problem> {
        Ok(!self.storage.list(&paths::manifests(name))?.is_empty())
    }

    fn has_blobs(&self, name: &RepositoryName) -> Result<bool, Problem> {
        Ok(!self.storage.list(&paths::blob_links(name))?.is_empty())
    }

    /// All repositories, sorted by name.
    pub(crate) fn repositories(&self) -> Result<Vec<RepositoryName>, HubError> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = format!("{}/{folder}", paths::REPOSITORIES);
            let names = self.storage.list(path.trim_end_matches('/'))?;
            // No component of a name begins so.
            if names.iter().any(|name| name.starts_with('_')) {
                found.extend(RepositoryName::parse(folder.trim_end_matches('/')));
            }
            let inner = names.iter().filter(|name| !name.starts_with('_') && name.ends_with('/'));
            folders.extend(inner.map(|name| format!("{folder}{name}")));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The manifests that say they are about one, which need not be here itself.
    pub(crate) fn referrers(
        &self,
        head: &Head,
        name: &RepositoryName,
        subject: &str,
    ) -> Result<Response, Problem> {
        let subject: Digest = digest(subject)?;
        let wanted = head.parameter("artifactType").filter(|text| !text.is_empty());
        let last = head.parameter("last").unwrap_or_default();
        if let Some(upstream) = &self.upstream
            && let Some(found) = upstream.referrers(name, &subject, wanted)
        {
            return Ok(index_of(found, wanted));
        }
        let mut found = Vec::new();
        let mut next = None;
        for entry in self.storage.list(&paths::referrers(name, &subject))? {
            if entry.as_str() <= last {
                continue;
            }
            let path = format!("{}/{entry}", paths::referrers(name, &subject));
            let Some(referrer) = self.descriptor(&path)? else { continue };
            if wanted.is_some_and(|wanted| referrer.artifact_type.as_deref() != Some(wanted)) {
                continue;
            }
            if found.len() == REFERRERS {
                next = found.last().map(|last: &Descriptor| last.digest.to_string());
                break;
            }
            found.push(referrer);
        }
        Ok(linked(index_of(found, wanted), head, next.as_deref()))
    }
}

/// A list of referrers, of one kind if that was asked for.
fn index_of(found: Vec<Descriptor>, wanted: Option<&str>) -> Response {
    let response = Response::new(200)
        .header("Content-Type", INDEX.as_str())
        .payload(Payload::Bytes(Index::new(found).to_bytes()));
    match wanted {
        Some(_) => response.header("OCI-Filters-Applied", "artifactType"),
        None => response,
    }
}

pub(crate) fn list(body: &serde_json::Value) -> Response {
    Response::json(200, body.to_string().into_bytes())
}

/// The part of a list that was asked for by `n` and `last`. The order is the protocol's: letters go by
/// the alphabet, whether they are large or small.
pub(crate) fn page(head: &Head, mut names: Vec<String>) -> Result<Page, Problem> {
    if let Some(last) = head.parameter("last") {
        let last = in_order(last);
        names.retain(|name| in_order(name) > last);
    }
    names.sort_by_cached_key(|name| (name.to_ascii_lowercase(), name.clone()));
    let Some(text) = head.parameter("n") else { return Ok(Page { names, next: None }) };
    let number = text.parse::<usize>();
    let number = number.map_err(|_| Code::PaginationNumberInvalid.with(json!({ "n": text })))?;
    let goes_on = names.len() > number;
    names.truncate(number);
    let next = names.last().filter(|_| goes_on).cloned();
    Ok(Page { names, next })
}

/// What names are put in order by. Those that differ in their letters' size alone go by their bytes.
fn in_order(name: &str) -> (String, &str) {
    (name.to_ascii_lowercase(), name)
}

/// With the address of the next part.
pub(crate) fn linked(response: Response, head: &Head, next: Option<&str>) -> Response {
    let Some(next) = next else { return response };
    let mut address = format!("{}?last={}", head.path, encode(next));
    for (key, value) in head.query.iter().filter(|(key, _)| key != "last") {
        address.push_str(&format!("&{}={}", encode(key), encode(value)));
    }
    response.header("Link", format!("<{address}>; rel=\"next\""))
}

/// Percent signs for what means something in a query.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    let encode = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

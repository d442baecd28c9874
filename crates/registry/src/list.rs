//! What a registry has: names of a repository, repositories of a host, what refers to a document.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use spec::{Descriptor, Digest, Document, Index};
use ureq::http::Method;
use ureq::http::header::{ACCEPT, LINK};

use crate::address::resolve;
use crate::call::{Answer, Call};
use crate::client::{Client, Repository, Target};
use crate::error::RegistryError;
use crate::form::encode;
use crate::rules::Place;

/// A page of a list is at most this long.
const PAGE_BYTES: u64 = 8 << 20;
/// A list that never ends is none.
const PAGES: usize = 10_000;

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalog {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

/// One row of a search.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SearchResult {
    /// The repository.
    #[serde(default)]
    pub name: String,
    /// What it says of itself.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub description: String,
    /// How many people marked it.
    #[serde(default)]
    pub star_count: i64,
    /// Whether the Hub's own people care for it.
    #[serde(default)]
    pub is_official: bool,
}

fn nothing_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

impl Repository<'_> {
    /// All names that stand for documents here, in the registry's order.
    pub fn tags(&self) -> Result<Vec<String>, RegistryError> {
        let by_tag = Target::Tag(String::new());
        self.somewhere(&by_tag, |place| {
            let first = self.url(place, "tags/list")?;
            let ask = |url: String| self.checked(place, Call::new(Method::GET, url));
            let pages = all_pages::<Tags>(first, ask)?;
            Ok(pages.into_iter().flat_map(|page| page.tags.unwrap_or_default()).collect())
        })
    }

    /// What refers to a document: signatures, lists of contents. Where the registry does not know
    /// them, the index that stands under a tag in their place.
    pub fn referrers(
        &self,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let mut all = self.listed_referrers(digest, artifact_type)?;
        // Some registries do not filter, and the tag never does.
        all.retain(|entry| {
            artifact_type.is_none() || entry.artifact_type.as_deref() == artifact_type
        });
        Ok(all)
    }

    /// What the first place that knows of any says. A mirror that knows of none may not have heard of them.
    fn listed_referrers(
        &self,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let (mut has_none, mut has_no_list, mut failed) = (false, false, None);
        for place in self.places.iter().filter(|place| place.serves(true)) {
            match self.referrers_at(place, digest, artifact_type) {
                Ok(listed) if listed.is_empty() => has_none = true,
                Ok(listed) => return Ok(listed),
                Err(error) if has_no_referrers(&error) => has_no_list = true,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            _ if has_no_list => self.tagged_referrers(digest),
            _ if has_none => Ok(Vec::new()),
            Some(error) => Err(error),
            // Nobody could be asked, and that is told of the tag.
            None => self.tagged_referrers(digest),
        }
    }

    fn referrers_at(
        &self,
        place: &Place,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let query = artifact_type.map(|kind| format!("?artifactType={}", encode(kind)));
        let url = self.url(place, &format!("referrers/{digest}{}", query.unwrap_or_default()))?;
        let accept = spec::MediaType::OciIndex;
        let ask = |url: String| {
            self.checked(place, Call::new(Method::GET, url).header(ACCEPT, accept.as_str()))
        };
        let pages = all_pages::<Index>(url, ask)?;
        Ok(pages.into_iter().flat_map(|page| page.manifests).collect())
    }

    /// Lists a document with its subject, if it has one, in the index under the subject's tag.
    pub(crate) fn tag_referrer(&self, bytes: &[u8]) -> Result<(), RegistryError> {
        let Ok(document) = Document::parse(bytes) else { return Ok(()) };
        let Some((subject, entry)) = referrer(&document, bytes) else { return Ok(()) };
        let mut listed = self.tagged_referrers(&subject)?;
        if listed.iter().any(|known| known.digest == entry.digest) {
            return Ok(());
        }
        listed.push(entry);
        let index = Index::new(listed).to_bytes();
        let target = referrers_tag(&subject);
        self.put_document(&target, &spec::MediaType::OciIndex, &index).map(|_| ())
    }

    fn tagged_referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        match self.document(&referrers_tag(digest)) {
            Ok(document) => match Document::parse(&document.bytes) {
                Ok(Document::Index(index)) => Ok(index.manifests),
                _ => Ok(Vec::new()),
            },
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// Where the referrers of a document are, for registries that do not list them.
fn referrers_tag(subject: &Digest) -> Target {
    Target::Tag(format!("{}-{}", subject.algorithm().as_str(), subject.hex()))
}

/// Whether a registry has no lists of referrers: whatever it refuses, but for whom and how often.
fn has_no_referrers(error: &RegistryError) -> bool {
    use RegistryError as E;
    match error {
        E::Refused { status, .. } | E::Status { status, .. } | E::Body { status, .. } => {
            (400..500).contains(status) && ![401, 403, 429].contains(status)
        }
        _ => false,
    }
}

/// What a document is about, and how it is listed there.
fn referrer(document: &Document, bytes: &[u8]) -> Option<(Digest, Descriptor)> {
    let (subject, kind, annotations) = match document {
        Document::Manifest(manifest) => {
            // An artifact that does not say what it is, is what its configuration is.
            let said = manifest.artifact_type.clone().filter(|text| !text.is_empty());
            let kind = said.unwrap_or_else(|| manifest.config.media_type.as_str().to_owned());
            (manifest.subject.as_ref()?, Some(kind), &manifest.annotations)
        }
        Document::Index(index) => {
            (index.subject.as_ref()?, index.artifact_type.clone(), &index.annotations)
        }
    };
    let mut entry = Descriptor::of(document.media_type(), bytes);
    entry.artifact_type = kind;
    entry.annotations.clone_from(annotations);
    Some((subject.digest, entry))
}

impl Client {
    /// All repositories of a host.
    pub fn catalog(&self, host: &str) -> Result<Vec<String>, RegistryError> {
        let place = self.rules.place_of_host(host);
        let scopes = ["registry:catalog:*".to_owned()];
        let ask = |url: String| self.asked(&place, &scopes, url);
        let pages = all_pages::<Catalog>(self.url(&place, "_catalog")?, ask)?;
        Ok(pages.into_iter().flat_map(|page| page.repositories.unwrap_or_default()).collect())
    }

    /// Searches as the Hub does it; where a host has no search, its catalog.
    pub fn search(
        &self,
        host: Option<&str>,
        term: &str,
        limit: usize,
    ) -> Result<Vec<SearchResult>, RegistryError> {
        #[derive(Deserialize)]
        struct Results {
            results: Vec<SearchResult>,
        }
        let mut place = self.rules.place_of_host(host.unwrap_or("index.docker.io"));
        place.root = "/v1".to_owned();
        let url = self.url(&place, &format!("search?q={}&n={limit}", encode(term)))?;
        match self.asked(&place, &[], url.clone()) {
            Ok(answer) => Ok(page::<Results>(answer)?.results),
            Err(error) => match host.filter(|_| error.is_missing()) {
                Some(host) => self.search_catalog(host, term, limit),
                None => Err(error),
            },
        }
    }

    fn search_catalog(
        &self,
        host: &str,
        term: &str,
        limit: usize,
    ) -> Result<Vec<SearchResult>, RegistryError> {
        let names = self.catalog(host)?.into_iter().filter(|name| name.contains(term)).take(limit);
        let (description, star_count, is_official) = (String::new(), 0, false);
        Ok(names
            .map(|name| SearchResult {
                name,
                description: description.clone(),
                star_count,
                is_official,
            })
            .collect())
    }

    fn asked(
        &self,
        place: &Place,
        scopes: &[String],
        url: String,
    ) -> Result<Answer, RegistryError> {
        let answer = self.send(place, scopes, Call::new(Method::GET, url))?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(answer.into_error(&Method::GET)),
        }
    }
}

fn page<T: DeserializeOwned>(answer: Answer) -> Result<T, RegistryError> {
    let url = answer.url.clone();
    let bytes = answer.bytes("a list", PAGE_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let why = format!("malformed list: {error}");
        RegistryError::Malformed { url, why }
    })
}

/// All pages of a list: each names the next one in `Link`.
fn all_pages<T: DeserializeOwned>(
    first: String,
    ask: impl Fn(String) -> Result<Answer, RegistryError>,
) -> Result<Vec<T>, RegistryError> {
    let (mut pages, mut next) = (Vec::new(), Some(first));
    while let Some(url) = next.take() {
        if pages.len() == PAGES {
            return Err(RegistryError::Malformed { url, why: "the list does not end".to_owned() });
        }
        let answer = ask(url.clone())?;
        let link = answer.header(LINK.as_str()).and_then(next_link).map(str::to_owned);
        next = link.map(|link| resolve(&answer.url, &link)).transpose()?;
        if next.as_ref() == Some(&url) {
            return Err(RegistryError::Malformed {
                url,
                why: "the list leads to itself".to_owned(),
            });
        }
        pages.push(page(answer)?);
    }
    Ok(pages)
}

/// The address in `<…>; rel="next"`.
fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.replace([' ', '"'], "").contains("rel=next");
        is_next.then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::next_link;

    #[test]
    fn links_lead_on() {
        assert_eq!(
            next_link("</v2/_catalog?last=a&n=1>; rel=\"next\""),
            Some("/v2/_catalog?last=a&n=1")
        );
        assert_eq!(next_link("<a>; rel=prev, <b>; rel=next"), Some("b"));
        assert_eq!(next_link("<a>; rel=prev"), None);
        assert_eq!(next_link(""), None);
    }
}

//! Manifests and indexes in a repository, and what else has a digest there.

use spec::{Digest, MediaType};
use ureq::http::header::{ACCEPT, CONTENT_TYPE};
use ureq::http::{HeaderName, Method};

use crate::address::shown;
use crate::call::{Answer, Call, Payload};
use crate::client::{Repository, Target};
use crate::error::RegistryError;
use crate::rules::Place;

/// The header in which registries name a document.
pub(crate) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The header in which registries say that they have listed a document with its subject.
const SUBJECT: &str = "oci-subject";

/// What a manifest may be, best first.
const DOCUMENTS: [MediaType; 4] = [
    MediaType::OciIndex,
    MediaType::DockerIndex,
    MediaType::OciManifest,
    MediaType::DockerManifest,
];

/// A document that came.
#[derive(Clone, Debug)]
pub struct RemoteDocument {
    /// Its bytes, which have the digest.
    pub bytes: Vec<u8>,
    /// The digest.
    pub digest: Digest,
    /// What the registry says it is.
    pub media_type: MediaType,
}

/// What is known of a document that was only asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteHead {
    /// Its digest, where the registry says it.
    pub digest: Option<Digest>,
    /// How long it is.
    pub bytes: Option<u64>,
    /// What the registry says it is.
    pub media_type: MediaType,
}

impl Repository<'_> {
    /// A document, checked against its digest.
    pub fn document(&self, target: &Target) -> Result<RemoteDocument, RegistryError> {
        self.somewhere(target, |place| {
            let answer = self.ask(place, Method::GET, target)?;
            let (url, media_type) = (shown(&answer.url), media_type(&answer));
            let named = digest_of(&answer)?;
            let bytes = answer.bytes("a manifest", self.client.http.limits.document_bytes)?;
            let wanted = match (target, named) {
                (Target::Digest(digest), _) => Some(*digest),
                (Target::Tag(_), named) => named,
            };
            let got = spec::Digest::of(&bytes);
            let Some(wanted) = wanted else {
                return Ok(RemoteDocument { bytes, digest: got, media_type });
            };
            let mut hasher = spec::Hasher::new(wanted.algorithm());
            hasher.update(&bytes);
            match hasher.finish() {
                got if got == wanted => Ok(RemoteDocument { bytes, digest: wanted, media_type }),
                got => Err(RegistryError::WrongDigest { url, wanted, got }),
            }
        })
    }

    /// What is known of a document; nothing if it is not there.
    pub fn head(&self, target: &Target) -> Result<Option<RemoteHead>, RegistryError> {
        let head = self.somewhere(target, |place| {
            let answer = self.ask(place, Method::HEAD, target)?;
            let bytes = answer.header("content-length").and_then(|text| text.parse().ok());
            let digest = digest_of(&answer)?;
            Ok(RemoteHead { digest, bytes, media_type: media_type(&answer) })
        });
        match head {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a document under a name. What it names must be there already. A registry that keeps no
    /// lists of what refers to a document gets one under a tag, as its readers expect it.
    pub fn put_document(
        &self,
        target: &Target,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<Digest, RegistryError> {
        let place = &self.places[0];
        let url = self.url(place, &format!("manifests/{target}"))?;
        let call = Call::new(Method::PUT, url)
            .header(CONTENT_TYPE, media_type.as_str())
            .payload(Payload::Bytes(bytes));
        let answer = self.checked(place, call)?;
        let mine = Digest::of(bytes);
        match digest_of(&answer)? {
            Some(got) if got.algorithm() == mine.algorithm() && got != mine => {
                let url = shown(&answer.url);
                return Err(RegistryError::WrongDigest { url, wanted: mine, got });
            }
            _ => {}
        }
        if answer.header(SUBJECT).is_none() {
            self.tag_referrer(bytes)?;
        }
        Ok(mine)
    }

    /// Removes a document, or a name.
    pub fn delete_document(&self, target: &Target) -> Result<(), RegistryError> {
        let place = &self.places[0];
        let url = self.url(place, &format!("manifests/{target}"))?;
        self.checked(place, Call::new(Method::DELETE, url)).map(|_| ())
    }

    /// Removes a blob.
    pub fn delete_blob(&self, digest: &Digest) -> Result<(), RegistryError> {
        let place = &self.places[0];
        let url = self.url(place, &format!("blobs/{digest}"))?;
        self.checked(place, Call::new(Method::DELETE, url)).map(|_| ())
    }

    /// Whether a blob is there, and how long it is.
    pub fn blob_bytes(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let target = Target::Digest(*digest);
        let found = self.somewhere(&target, |place| {
            let url = self.url(place, &format!("blobs/{digest}"))?;
            let answer = self.checked(place, Call::new(Method::HEAD, url))?;
            Ok(answer.header("content-length").and_then(|text| text.parse().ok()))
        });
        match found {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn ask(&self, place: &Place, method: Method, target: &Target) -> Result<Answer, RegistryError> {
        let url = self.url(place, &format!("manifests/{target}"))?;
        let accept = DOCUMENTS.map(|media_type| media_type.as_str().to_owned()).join(", ");
        self.checked(place, Call::new(method, url).header(ACCEPT, accept))
    }
}

/// The digest that a registry says a document has.
fn digest_of(answer: &Answer) -> Result<Option<Digest>, RegistryError> {
    let Some(text) = answer.header(DIGEST.as_str()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let why = "its digest in the header is none".to_owned();
        RegistryError::Malformed { url: shown(&answer.url), why }
    })
}

fn media_type(answer: &Answer) -> MediaType {
    let text = answer.header("content-type").unwrap_or_default();
    MediaType::from(text.split(';').next().unwrap_or_default().trim())
}

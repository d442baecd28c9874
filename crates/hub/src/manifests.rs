//! Manifests: read by tag or digest, taken in when all they need is here, deleted.

use std::io::Read;
use std::sync::Arc;

use serde_json::json;
use spec::{Descriptor, Digest, Hasher, MAX_DOCUMENT_BYTES, MediaType};

use crate::contents::Contents;
use crate::error::HubError;
use crate::http::{Head, Method, Payload, Request, Response};
use crate::hub::{Hub, Mode, is_known};
use crate::names::{RepositoryName, Tag, Target};
use crate::problem::{Code, Problem};
use crate::storage::paths;

impl Hub {
    /// `GET` and `HEAD` of a manifest.
    pub(crate) fn get_manifest(
        &self,
        head: &Head,
        name: &RepositoryName,
        reference: &str,
    ) -> Result<Response, Problem> {
        let unknown = || unknown(reference);
        let target = target(reference).map_err(|_| unknown())?;
        if let Some(upstream) = &self.upstream {
            upstream.refresh(self, name, &target)?;
        }
        let found = self.find(name, &target)?.ok_or_else(unknown)?;
        // Who is told so by HEAD will not send it, and may list it in an index: until that comes it
        // must stay.
        if head.method == Method::Head && self.mode != Mode::ReadOnly {
            let is_here = self.storage.touch(&paths::manifest(name, &found.digest))?;
            if !is_here && matches!(target, Target::Digest(_)) {
                return Err(unknown());
            }
        }
        let described = |status| {
            Response::new(status)
                .header("Content-Type", found.media_type.as_str())
                .header("Docker-Content-Digest", found.digest)
                .header("ETag", format!("\"{}\"", found.digest))
        };
        if is_known(head, &found.digest) {
            return Ok(described(304));
        }
        let bytes = self.manifest_bytes(&found.digest)?.ok_or_else(unknown)?;
        Ok(described(200).payload(Payload::Shared(bytes)))
    }

    /// What a tag or digest stands for in a repository.
    pub(crate) fn find(
        &self,
        name: &RepositoryName,
        target: &Target,
    ) -> Result<Option<Descriptor>, Problem> {
        let path = match target {
            Target::Tag(tag) => paths::tag(name, tag),
            Target::Digest(digest) => paths::manifest(name, digest),
        };
        Ok(self.descriptor(&path)?)
    }

    /// A document that says what something is.
    pub(crate) fn descriptor(&self, path: &str) -> Result<Option<Descriptor>, HubError> {
        let Some(bytes) = self.storage.read(path)? else { return Ok(None) };
        let damaged = |source| HubError::Damaged { path: path.to_owned(), source };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// The bytes of a manifest that the storage has.
    pub(crate) fn manifest_bytes(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, HubError> {
        if let Some(bytes) = self.recent.get(digest) {
            return Ok(Some(bytes));
        }
        let Some(blob) = self.storage.blob(digest)? else { return Ok(None) };
        let Some(reader) = blob.into_reader(0)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = reader.take(MAX_DOCUMENT_BYTES as u64).read_to_end(&mut bytes);
        read.map_err(|source| HubError::Read { path: digest.to_string().into(), source })?;
        let bytes: Arc<[u8]> = bytes.into();
        self.recent.put(*digest, bytes.clone());
        Ok(Some(bytes))
    }

    /// `PUT` of a manifest.
    pub(crate) fn put_manifest(
        &self,
        request: &mut Request<'_>,
        name: &RepositoryName,
        reference: &str,
    ) -> Result<Response, Problem> {
        let target = target(reference)?;
        let mut tags = more_tags(request.head)?;
        let bytes = request.body.read_whole(MAX_DOCUMENT_BYTES);
        let bytes = bytes.map_err(|error| Code::ManifestInvalid.because(error))?;
        let bytes = bytes.ok_or_else(|| {
            let why = format!("a manifest has at most {MAX_DOCUMENT_BYTES} bytes");
            Code::ManifestInvalid.because(why).status(413)
        })?;
        let contents = Contents::read(&bytes, request.head.header("content-type"));
        let contents = contents.map_err(|error| Code::ManifestInvalid.because(error))?;
        let digest = match &target {
            Target::Digest(wanted) => checked(&bytes, wanted)?,
            Target::Tag(tag) => {
                tags.push(tag.clone());
                Digest::of(&bytes)
            }
        };
        self.keep_manifest(name, &tags, digest, bytes, &contents)?;
        let mut response = Response::new(201)
            .header("Location", format!("/v2/{name}/manifests/{digest}"))
            .header("Docker-Content-Digest", digest);
        if let Some(subject) = &contents.subject {
            response = response.header("OCI-Subject", subject.digest);
        }
        for tag in more_tags(request.head)? {
            response = response.header("OCI-Tag", tag);
        }
        Ok(response)
    }

    /// Keeps a manifest. Its tags come last: whoever reads them finds everything else.
    pub(crate) fn keep_manifest(
        &self,
        name: &RepositoryName,
        tags: &[Tag],
        digest: Digest,
        bytes: Vec<u8>,
        contents: &Contents,
    ) -> Result<(), Problem> {
        let _hold = self.storage.hold()?;
        self.check_blobs(name, contents)?;
        self.place_manifest(name, tags, digest, bytes, contents)
    }

    /// The same for one whose blobs are here, or can be fetched. Whoever calls holds the collector
    /// off.
    pub(crate) fn place_manifest(
        &self,
        name: &RepositoryName,
        tags: &[Tag],
        digest: Digest,
        bytes: Vec<u8>,
        contents: &Contents,
    ) -> Result<(), Problem> {
        let size = bytes.len() as u64;
        let found = Descriptor::new(contents.media_type.clone(), digest, size);
        let document = json(&found);
        // What an index lists is needed from now on, though it has no tag.
        for entry in &contents.manifests {
            self.storage.touch(&paths::manifest(name, &entry.digest))?;
        }
        let _lock = self.lock(name);
        self.storage.put_blob(&digest, &bytes)?;
        let place = paths::manifest(name, &digest);
        self.storage.write(&place, &document)?;
        self.keep_referrer(name, contents, digest, size)?;
        let looks_again = !self.storage.has_lock();
        if looks_again {
            self.confirm(name, contents, &digest, &bytes)?;
        }
        for tag in tags {
            self.storage.write(&paths::tag(name, tag), &document)?;
        }
        if looks_again && self.storage.age(&place)?.is_none() {
            // It had no tag when the collector looked.
            self.storage.write(&place, &document)?;
        }
        self.recent.put(digest, bytes.into());
        Ok(())
    }

    /// Looks for what a manifest needs now that whoever collects can see it: what they took before
    /// that is missing here, and what they take later they give back.
    fn confirm(
        &self,
        name: &RepositoryName,
        contents: &Contents,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<(), Problem> {
        self.storage.put_blob(digest, bytes)?;
        for blob in &contents.blobs {
            if self.storage.age(&paths::blob_link(name, &blob.digest))?.is_none() {
                self.link_blob(name, &blob.digest)?;
            }
        }
        self.check_blobs(name, contents)
    }

    /// Says what a manifest is about, if it is about another.
    pub(crate) fn keep_referrer(
        &self,
        name: &RepositoryName,
        contents: &Contents,
        digest: Digest,
        size: u64,
    ) -> Result<(), HubError> {
        let Some(subject) = &contents.subject else { return Ok(()) };
        let referrer = json(&contents.referrer(digest, size));
        self.storage.write(&paths::referrer(name, &subject.digest, &digest), &referrer)
    }

    /// Whether the repository has all blobs, and has them for longer than the collector waits.
    fn check_blobs(&self, name: &RepositoryName, contents: &Contents) -> Result<(), Problem> {
        let mut missing = Vec::new();
        for blob in &contents.blobs {
            if !self.has_blob(name, &blob.digest, true)? {
                missing.push(json!({ "digest": blob.digest }));
            }
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Problem::many(Code::ManifestBlobUnknown, missing)),
        }
    }

    /// `DELETE` of a tag, or of a manifest with all tags that stand for it.
    pub(crate) fn delete_manifest(
        &self,
        name: &RepositoryName,
        reference: &str,
    ) -> Result<Response, Problem> {
        let target = target(reference).map_err(|_| unknown(reference))?;
        let _alone = self.storage.hold_alone()?;
        let _lock = self.lock(name);
        let found = match &target {
            Target::Tag(tag) => self.storage.remove(&paths::tag(name, tag))?,
            Target::Digest(digest) => self.delete_by_digest(name, digest)?,
        };
        match found {
            true => Ok(Response::new(202)),
            false => Err(unknown(reference)),
        }
    }

    /// The manifest's own document goes last: until then the request can be made again.
    fn delete_by_digest(&self, name: &RepositoryName, digest: &Digest) -> Result<bool, Problem> {
        if self.find(name, &Target::Digest(*digest))?.is_none() {
            return Ok(false);
        }
        let bytes = self.manifest_bytes(digest)?;
        let contents = bytes.and_then(|bytes| Contents::read(&bytes, None).ok());
        if let Some(subject) = contents.and_then(|contents| contents.subject) {
            self.storage.remove(&paths::referrer(name, &subject.digest, digest))?;
        }
        for tag in self.storage.list(&paths::tags(name))? {
            let Some(tag) = Tag::parse(&tag) else { continue };
            let path = paths::tag(name, &tag);
            let Some(bytes) = self.storage.read(&path)? else { continue };
            let found = serde_json::from_slice(&bytes);
            let found: Descriptor =
                found.map_err(|source| HubError::Damaged { path: path.clone(), source })?;
            if found.digest == *digest {
                // Another server may put it this moment: then it stays.
                self.storage.remove_if(&path, &bytes)?;
            }
        }
        Ok(self.storage.remove(&paths::manifest(name, digest))?)
    }
}

/// A tag or a digest. A colon is in every digest and in no tag.
fn target(reference: &str) -> Result<Target, Problem> {
    match reference.contains(':') {
        true => crate::hub::digest(reference).map(Target::Digest),
        false => Tag::parse(reference)
            .map(Target::Tag)
            .ok_or_else(|| Code::TagInvalid.because(format!("{reference} is no tag"))),
    }
}

/// Tags that the manifest gets beside the reference it is put under.
fn more_tags(head: &Head) -> Result<Vec<Tag>, Problem> {
    let tags = head.parameters("tag");
    let parse = |text| {
        Tag::parse(text).ok_or_else(|| Code::TagInvalid.because(format!("{text} is no tag")))
    };
    tags.map(parse).collect()
}

fn checked(bytes: &[u8], wanted: &Digest) -> Result<Digest, Problem> {
    let mut hasher = Hasher::new(wanted.algorithm());
    hasher.update(bytes);
    match hasher.finish() {
        got if got == *wanted => Ok(got),
        got => Err(Code::DigestInvalid.with(json!({ "digest": wanted, "got": got }))),
    }
}

pub(crate) fn unknown(reference: &str) -> Problem {
    Code::ManifestUnknown.because(format!("unknown tag or digest {reference}"))
}

fn json(descriptor: &Descriptor) -> Vec<u8> {
    serde_json::to_vec(descriptor).expect("a descriptor is made of strings and numbers")
}

/// The type of the list that referrers come in.
pub(crate) const INDEX: MediaType = MediaType::OciIndex;

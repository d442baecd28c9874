//! Blobs: read, whole or in part, and taken out of a repository.

use spec::Digest;

use crate::error::HubError;
use crate::http::{Head, Method, Payload, Response};
use crate::hub::{Hub, digest, goes_on, is_known, is_other};
use crate::names::RepositoryName;
use crate::parts::Parts;
use crate::problem::{Code, Problem};
use crate::range::{Part, Span, asked};
use crate::storage::{Blob, paths};

/// What a blob is, as far as this registry knows.
pub(crate) const BYTES: &str = "application/octet-stream";

impl Hub {
    /// `GET` and `HEAD` of a blob.
    pub(crate) fn get_blob(
        &self,
        head: &Head,
        name: &RepositoryName,
        text: &str,
    ) -> Result<Response, Problem> {
        let digest = digest(text)?;
        let unknown = || Code::BlobUnknown.with(digest.to_string().into());
        let mut blob = None;
        if self.has_blob(name, &digest, head.method == Method::Head)? {
            blob = self.storage.blob(&digest)?;
        }
        if let (None, Some(upstream)) = (&blob, &self.upstream) {
            blob = upstream.blob(self, name, &digest, head.method == Method::Get)?;
        }
        send(head, &digest, blob.ok_or_else(unknown)?)
    }

    /// Whether a repository has a blob. Who is told so by HEAD will not send it: then it must stay
    /// until the manifest comes.
    pub(crate) fn has_blob(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        keeps: bool,
    ) -> Result<bool, Problem> {
        let link = paths::blob_link(name, digest);
        if keeps && self.mode != crate::hub::Mode::ReadOnly {
            return Ok(self.storage.touch(&link)? && self.storage.touch_blob(digest)?);
        }
        Ok(self.storage.age(&link)?.is_some())
    }

    /// Takes a blob out of a repository. Its bytes go when no repository has them.
    pub(crate) fn delete_blob(
        &self,
        name: &RepositoryName,
        text: &str,
    ) -> Result<Response, Problem> {
        let digest = digest(text)?;
        match self.storage.remove(&paths::blob_link(name, &digest))? {
            true => Ok(Response::new(202)),
            false => Err(Code::BlobUnknown.with(digest.to_string().into())),
        }
    }

    /// Makes a repository have a blob that the storage has.
    pub(crate) fn link_blob(&self, name: &RepositoryName, digest: &Digest) -> Result<(), Problem> {
        Ok(self.storage.write(&paths::blob_link(name, digest), b"")?)
    }
}

/// The answer that brings a blob, or the parts of it that were asked for.
pub(crate) fn send(head: &Head, digest: &Digest, blob: Blob) -> Result<Response, Problem> {
    let length = blob.bytes();
    let described = |status, kind: &str| {
        Response::new(status)
            .header("Content-Type", kind)
            .header("Docker-Content-Digest", digest)
            .header("ETag", format!("\"{digest}\""))
            .header("Accept-Ranges", "bytes")
            .header("Cache-Control", "max-age=31536000")
    };
    if is_other(head, digest) {
        return Ok(Response::new(412).header("ETag", format!("\"{digest}\"")));
    }
    if is_known(head, digest) {
        return Ok(described(304, BYTES));
    }
    let is_asked = head.method == Method::Get;
    let range = head.header("range").filter(|_| goes_on(head, digest));
    let part = if is_asked { asked(range, length) } else { Part::Whole };
    Ok(match (part, blob) {
        (Part::Nothing, _) => {
            described(416, BYTES).header("Content-Range", format!("bytes */{length}"))
        }
        (Part::Some(span), blob) => described(206, BYTES)
            .header("Content-Range", span.named(length))
            .payload(payload(blob, span, is_asked)?),
        // What is just arriving is read from its start on, and once.
        (Part::Several(spans), blob @ (Blob::File { .. } | Blob::Objects { .. })) => {
            let parts = Parts::of(blob, &spans, &boundary(digest));
            let kind = format!("multipart/byteranges; boundary={}", boundary(digest));
            let bytes = parts.bytes();
            described(206, &kind).payload(Payload::Stream { from: Box::new(parts), bytes })
        }
        (Part::Whole | Part::Several(_), blob) => {
            let whole = Span { at: 0, bytes: length };
            described(200, BYTES).payload(payload(blob, whole, is_asked)?)
        }
    })
}

/// What separates the parts of a blob: it does not stand in the blob, whose hash it is made of.
fn boundary(digest: &Digest) -> String {
    Digest::of(digest.to_string().as_bytes()).hex()[..40].to_owned()
}

fn payload(blob: Blob, span: Span, is_asked: bool) -> Result<Payload, Problem> {
    let Span { at, bytes } = span;
    Ok(match blob {
        Blob::File { file, .. } => Payload::File { file, at, bytes },
        Blob::Objects { content, .. } => match is_asked {
            true => Payload::Stream { from: content.read(at, bytes)?, bytes },
            false => Payload::Absent(bytes),
        },
        Blob::Elsewhere { .. } => Payload::Absent(bytes),
        Blob::Arriving { mut following, .. } => {
            let failed = |source| HubError::Read { path: "a blob on its way".into(), source };
            following.skip(at).map_err(failed)?;
            Payload::Stream { from: Box::new(following), bytes }
        }
    })
}

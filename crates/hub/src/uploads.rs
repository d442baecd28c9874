//! Uploads: begun, continued from where they got to, finished under their digest.

use std::sync::{
    Arc, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use spec::{Algorithm, Digest, Hasher};

use crate::error::HubError;
use crate::http::{Request, Response};
use crate::hub::{Hub, digest};
use crate::names::{RepositoryName, UploadId};
use crate::problem::{Code, Problem};
use crate::range::sent;
use crate::storage::paths;

/// An upload as this process knows it.
pub(crate) struct Session {
    id: UploadId,
    /// The bytes that are durable.
    at: u64,
    /// Their hash so far; `None` where another process took some of them.
    hasher: Option<Hasher>,
}

/// What is written down of an upload, so that it survives this process.
#[derive(Serialize, Deserialize)]
struct Note {
    repository: String,
}

impl Hub {
    /// `POST`: a blob from another repository, a whole blob, or the beginning of one.
    pub(crate) fn begin_upload(
        &self,
        request: &mut Request<'_>,
        name: &RepositoryName,
    ) -> Result<Response, Problem> {
        let head = request.head;
        if let Some(text) = head.parameter("mount") {
            let from = head.parameter("from").map(RepositoryName::parse);
            // What cannot be mounted is uploaded.
            if let Ok(digest) = digest(text)
                && self.mount(request, name, &digest, from)?
            {
                return Ok(created(name, &digest));
            }
        }
        let algorithm = match head.parameter("digest-algorithm") {
            Some(text) => text.parse().map_err(|error| Code::DigestInvalid.because(error))?,
            None => Algorithm::Sha256,
        };
        let wanted = head.parameter("digest").map(digest).transpose()?;
        let algorithm = wanted.map_or(algorithm, |digest| digest.algorithm());
        let session = self.new_session(name, algorithm)?;
        let mut session = session.write().unwrap_or_else(PoisonError::into_inner);
        match wanted {
            Some(digest) => {
                self.append(request, &mut session, name)?;
                self.finish(&mut session, name, &digest)
            }
            None => Ok(accepted(202, name, &session)),
        }
    }

    /// Takes a blob over from another repository, if it may be read there and is there.
    fn mount(
        &self,
        request: &Request<'_>,
        name: &RepositoryName,
        digest: &Digest,
        from: Option<Option<RepositoryName>>,
    ) -> Result<bool, Problem> {
        let _hold = self.storage.hold()?;
        let is_there = match from {
            Some(Some(from)) => {
                self.access.may_read(request.head, &from) && self.has_blob(&from, digest, true)?
            }
            Some(None) => false,
            // From anywhere, as long as nobody is kept from reading anything.
            None => self.access.is_open() && self.storage.touch_blob(digest)?,
        };
        if is_there {
            self.link_blob(name, digest)?;
        }
        Ok(is_there)
    }

    /// `GET`: how far it got.
    pub(crate) fn upload_status(
        &self,
        name: &RepositoryName,
        id: &str,
    ) -> Result<Response, Problem> {
        let session = self.session(name, id)?;
        let session = look(&session)?;
        Ok(accepted(204, name, &session))
    }

    /// `PATCH`: the next bytes.
    pub(crate) fn append_upload(
        &self,
        request: &mut Request<'_>,
        name: &RepositoryName,
        id: &str,
    ) -> Result<Response, Problem> {
        let session = self.session(name, id)?;
        let mut session = enter(&session)?;
        self.append(request, &mut session, name)?;
        Ok(accepted(202, name, &session))
    }

    /// `PUT`: perhaps the last bytes, and the digest of all.
    pub(crate) fn finish_upload(
        &self,
        request: &mut Request<'_>,
        name: &RepositoryName,
        id: &str,
    ) -> Result<Response, Problem> {
        let session = self.session(name, id)?;
        let mut session = enter(&session)?;
        let wanted = request.head.parameter("digest");
        let wanted = digest(wanted.ok_or_else(|| Code::DigestInvalid.because("no digest given"))?)?;
        if request.head.body_bytes() != Some(0) {
            self.append(request, &mut session, name)?;
        }
        self.finish(&mut session, name, &wanted)
    }

    /// `DELETE`: given up.
    pub(crate) fn cancel_upload(
        &self,
        name: &RepositoryName,
        id: &str,
    ) -> Result<Response, Problem> {
        let session = self.session(name, id)?;
        let session = enter(&session)?;
        self.forget(&session.id)?;
        Ok(Response::new(204))
    }

    fn new_session(
        &self,
        name: &RepositoryName,
        algorithm: Algorithm,
    ) -> Result<Arc<RwLock<Session>>, Problem> {
        let id = UploadId::new()
            .map_err(|source| HubError::Read { path: "/dev/urandom".into(), source })?;
        let note = Note { repository: name.to_string() };
        let note = serde_json::to_vec(&note).expect("a name is JSON");
        self.storage.begin_upload(&id)?;
        self.storage.write(&paths::upload(&id), &note)?;
        let session = Session { id: id.clone(), at: 0, hasher: Some(Hasher::new(algorithm)) };
        let session = Arc::new(RwLock::new(session));
        self.sessions().insert(id, session.clone());
        Ok(session)
    }

    pub(crate) fn sessions(
        &self,
    ) -> MutexGuard<'_, std::collections::HashMap<UploadId, Arc<RwLock<Session>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An upload, also one that another process began.
    fn session(&self, name: &RepositoryName, text: &str) -> Result<Arc<RwLock<Session>>, Problem> {
        let unknown = || Code::BlobUploadUnknown.with(json!({ "upload": text }));
        let id = UploadId::parse(text).ok_or_else(unknown)?;
        let path = paths::upload(&id);
        let note = self.storage.read(&path)?.ok_or_else(unknown)?;
        let note: Note =
            serde_json::from_slice(&note).map_err(|source| HubError::Damaged { path, source })?;
        if note.repository != name.as_str() {
            return Err(unknown());
        }
        let at = self.storage.upload_bytes(&id)?.ok_or_else(unknown)?;
        let session = {
            let mut sessions = self.sessions();
            let fresh = || Arc::new(RwLock::new(Session { id: id.clone(), at: 0, hasher: None }));
            sessions.entry(id.clone()).or_insert_with(fresh).clone()
        };
        // Whoever looks only reads, and so refuses nobody.
        let is_stale = session.try_read().is_ok_and(|known| known.at != at);
        if is_stale && let Ok(mut known) = session.try_write() {
            // Nobody in this process writes to it now; another one had it since.
            let at = self.storage.upload_bytes(&id)?.ok_or_else(unknown)?;
            if known.at != at {
                known.at = at;
                known.hasher = None;
            }
        }
        Ok(session)
    }

    /// Takes the bytes of a request. They must begin where the upload ends.
    fn append(
        &self,
        request: &mut Request<'_>,
        session: &mut Session,
        name: &RepositoryName,
    ) -> Result<(), Problem> {
        if let Some(header) = request.head.header("content-range") {
            let range = sent(header).filter(|(first, _)| *first == session.at);
            let Some((_, bytes)) = range else {
                let problem =
                    Code::BlobUploadInvalid.because("the bytes do not begin where the upload ends");
                let problem = problem.status(416).header("Location", location(name, &session.id));
                return Err(problem.header("Range", progress(session.at)));
            };
            if request.head.body_bytes().is_some_and(|length| length != bytes) {
                return Err(Code::SizeInvalid.because("the range and the length differ"));
            }
        }
        let mut hasher = session.hasher.take();
        let mut watch = |bytes: &[u8]| {
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
        };
        let appended =
            self.storage.append(&session.id, session.at, &mut request.body, &mut watch)?;
        session.at += appended.bytes;
        session.hasher = hasher;
        match appended.cut {
            None => Ok(()),
            Some(error) => Err(Code::BlobUploadInvalid.because(error)),
        }
    }

    /// Makes an upload a blob of the repository, if it is what the client says.
    fn finish(
        &self,
        session: &mut Session,
        name: &RepositoryName,
        wanted: &Digest,
    ) -> Result<Response, Problem> {
        let (got, bytes) = match session.hasher.take().map(Hasher::finish) {
            Some(got) if got.algorithm() == wanted.algorithm() => (got, session.at),
            _ => self.rehash(session, wanted.algorithm())?,
        };
        if got != *wanted {
            self.forget(&session.id)?;
            return Err(Code::DigestInvalid.with(json!({ "digest": wanted, "got": got })));
        }
        let _hold = self.storage.hold()?;
        self.storage.keep_upload(&session.id, wanted, bytes)?;
        self.link_blob(name, wanted)?;
        self.sessions().remove(&session.id);
        Ok(created(name, wanted))
    }

    /// Hashes what is there, and counts it: this process has not seen all of it pass.
    fn rehash(&self, session: &Session, algorithm: Algorithm) -> Result<(Digest, u64), Problem> {
        let mut hasher = Hasher::new(algorithm);
        let mut reader = self.storage.read_upload(&session.id, 0)?;
        let path = paths::upload(&session.id).into();
        let bytes = std::io::copy(&mut reader, &mut hasher)
            .map_err(|source| HubError::Read { path, source })?;
        Ok((hasher.finish(), bytes))
    }

    fn forget(&self, id: &UploadId) -> Result<(), Problem> {
        self.storage.remove_upload(id)?;
        self.sessions().remove(id);
        Ok(())
    }
}

/// An upload has one writer at a time. Who only looks is gone in a moment and refuses nobody.
fn enter(session: &RwLock<Session>) -> Result<RwLockWriteGuard<'_, Session>, Problem> {
    loop {
        match session.try_write() {
            Ok(session) => return Ok(session),
            Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => drop(look(session)?),
        }
        std::thread::yield_now();
    }
}

/// How far an upload is, while nobody writes to it.
fn look(session: &RwLock<Session>) -> Result<RwLockReadGuard<'_, Session>, Problem> {
    match session.try_read() {
        Ok(session) => Ok(session),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => {
            Err(Code::BlobUploadInvalid.because("another request writes to it").status(409))
        }
    }
}

fn location(name: &RepositoryName, id: &UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// The last byte that is there, counted from 0; of none there is nothing else to say.
fn progress(at: u64) -> String {
    format!("0-{}", at.saturating_sub(1))
}

fn accepted(status: u16, name: &RepositoryName, session: &Session) -> Response {
    Response::new(status)
        .header("Location", location(name, &session.id))
        .header("Range", progress(session.at))
        .header("Docker-Upload-UUID", &session.id)
        .header("Blob-Upload-Session-ID", &session.id)
}

fn created(name: &RepositoryName, digest: &Digest) -> Response {
    Response::new(201)
        .header("Location", format!("/v2/{name}/blobs/{digest}"))
        .header("Docker-Content-Digest", digest)
}

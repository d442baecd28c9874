//! Another registry behind this one: what is not here is fetched there once, kept, and served from
//! here from then on, also when the other one cannot be reached.
//!
//! A blob goes to those who wait for it while it arrives, and to everybody once its bytes are what
//! its digest says. Only one fetches a blob, whoever else asks for it meanwhile.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use registry::{Access, Client, RegistryError, Repository};
use spec::{Descriptor, Digest, Hasher, Reference};

use crate::contents::Contents;
use crate::error::HubError;
use crate::hub::Hub;
use crate::names::{RepositoryName, Target, UploadId};
use crate::problem::{Code, Problem};
use crate::storage::{Blob, Storage, paths};

/// Which registry is behind this one.
pub struct Upstream {
    /// `host[:port][/path]`, which stands before the names here.
    pub location: String,
    /// Who asks there.
    pub client: Arc<Client>,
    /// For so long a tag is believed to stand for the same manifest.
    pub fresh: Duration,
}

/// What is being fetched.
#[derive(Default)]
pub(crate) struct Fetches(Mutex<HashMap<Digest, Arc<Fetch>>>);

/// A blob on its way here.
pub(crate) struct Fetch {
    id: UploadId,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
struct State {
    /// So many bytes are in the file.
    bytes: u64,
    /// Whether it is over, and whether it is the blob that was meant.
    over: Option<bool>,
}

impl Fetch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, bytes: u64, over: Option<bool>) {
        *self.state() = State { bytes, over };
        self.changed.notify_all();
    }

    /// Waits until there are more bytes than these, and says how many there are.
    fn beyond(&self, bytes: u64) -> io::Result<u64> {
        let mut state = self.state();
        while state.bytes <= bytes && state.over.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.over {
            Some(false) => Err(io::Error::other("the registry behind this one broke off")),
            _ => Ok(state.bytes),
        }
    }
}

/// A blob that is read while it arrives.
pub(crate) struct Following {
    fetch: Arc<Fetch>,
    storage: Arc<dyn Storage>,
    digest: Digest,
    /// What was there when it was opened, from `at` on.
    open: Box<dyn Read + Send>,
    at: u64,
}

impl Following {
    /// Passes over what is not wanted.
    pub(crate) fn skip(&mut self, bytes: u64) -> io::Result<()> {
        io::copy(&mut self.take(bytes), &mut io::sink()).map(|_| ())
    }

    /// Opens what there is by now: the upload, or what became of it.
    fn open(&mut self) -> io::Result<()> {
        let upload = self.storage.read_upload(&self.fetch.id, self.at);
        self.open = match upload {
            Ok(open) => open,
            Err(error) => {
                let blob = self.storage.blob(&self.digest).map_err(io::Error::other)?;
                let blob = blob.ok_or_else(|| io::Error::other(error))?;
                let open = blob.into_reader(self.at).map_err(io::Error::other)?;
                open.ok_or(io::ErrorKind::NotFound)?
            }
        };
        Ok(())
    }
}

impl Read for Following {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let here = self.fetch.beyond(self.at)?;
        let left = usize::try_from(here - self.at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let mut count = self.open.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            self.open()?;
            count = self.open.read(&mut buffer[..wanted])?;
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Upstream {
    fn repository(&self, name: &RepositoryName) -> Result<Repository<'_>, Problem> {
        let full = format!("{}/{name}", self.location.trim_end_matches('/'));
        let name = Reference::parse(&full).map_err(|error| Code::NameInvalid.because(error))?;
        self.client.repository(&name, Access::Pull).map_err(told)
    }

    /// Makes a manifest be here as it is there, if that was not looked at a moment ago.
    pub(crate) fn refresh(
        &self,
        hub: &Hub,
        name: &RepositoryName,
        target: &Target,
    ) -> Result<(), Problem> {
        let known = hub.find(name, target)?;
        let is_fresh = match target {
            Target::Digest(_) => known.is_some(),
            Target::Tag(tag) => {
                let age = hub.storage.age(&paths::tag(name, tag))?;
                age.is_some_and(|age| age < self.fresh)
            }
        };
        if is_fresh {
            return Ok(());
        }
        match self.bring(hub, name, target, known.as_ref().map(|known| known.digest)) {
            Ok(()) => Ok(()),
            Err(Failed::Missing) => match target {
                Target::Tag(tag) => {
                    hub.storage.remove(&paths::tag(name, tag))?;
                    Ok(())
                }
                Target::Digest(_) => Ok(()),
            },
            // Of whom nothing is heard, nothing newer is known.
            Err(Failed::Else(_)) if known.is_some() => Ok(()),
            Err(Failed::Else(problem)) => Err(problem),
        }
    }

    fn bring(
        &self,
        hub: &Hub,
        name: &RepositoryName,
        target: &Target,
        known: Option<Digest>,
    ) -> Result<(), Failed> {
        let repository = self.repository(name)?;
        let asked = match target {
            Target::Tag(tag) => registry::Target::Tag(tag.to_string()),
            Target::Digest(digest) => registry::Target::Digest(*digest),
        };
        if let (Some(known), Target::Tag(tag)) = (known, target) {
            let head = repository.head(&asked)?.ok_or(Failed::Missing)?;
            if head.digest == Some(known) && hub.storage.touch(&paths::tag(name, tag))? {
                return Ok(());
            }
        }
        let document = repository.document(&asked)?;
        let contents = Contents::read(&document.bytes, None);
        let contents =
            contents.map_err(|error| Code::ManifestInvalid.because(error).status(502))?;
        let tags: &[_] = match target {
            Target::Tag(tag) => std::slice::from_ref(tag),
            Target::Digest(_) => &[],
        };
        let _hold = hub.storage.hold()?;
        hub.place_manifest(name, tags, document.digest, document.bytes, &contents)?;
        Ok(())
    }

    /// A blob that is not here: it arrives while it is read. Where only its length is asked for, it
    /// is not fetched.
    pub(crate) fn blob(
        &self,
        hub: &Hub,
        name: &RepositoryName,
        digest: &Digest,
        fetches: bool,
    ) -> Result<Option<Blob>, Problem> {
        let repository = self.repository(name)?;
        let Some(bytes) = repository.blob_bytes(digest).map_err(told)? else { return Ok(None) };
        if let Some(blob) = hub.storage.blob(digest)? {
            // Another repository had it already.
            let _hold = hub.storage.hold()?;
            hub.link_blob(name, digest)?;
            return Ok(Some(blob));
        }
        if !fetches {
            return Ok(Some(Blob::Elsewhere { bytes }));
        }
        let Some(fetch) = self.fetch(hub, name, digest, bytes)? else {
            return Ok(hub.storage.blob(digest)?);
        };
        let (storage, open) = (hub.storage.clone(), Box::new(io::empty()));
        let mut following = Following { fetch, storage, digest: *digest, open, at: 0 };
        let opened = following.open();
        opened.map_err(|source| HubError::Read { path: digest.to_string().into(), source })?;
        Ok(Some(Blob::Arriving { following, bytes }))
    }

    /// All tags of a repository there, sorted; nothing where that cannot be found out.
    pub(crate) fn tags(&self, name: &RepositoryName) -> Option<Vec<String>> {
        let mut tags = match self.repository(name).ok()?.tags() {
            Err(error) if error.is_missing() => Vec::new(),
            other => other.ok()?,
        };
        tags.sort_unstable();
        Some(tags)
    }

    /// What refers to a manifest there; nothing where that cannot be found out.
    pub(crate) fn referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        kind: Option<&str>,
    ) -> Option<Vec<Descriptor>> {
        self.repository(name).ok()?.referrers(subject, kind).ok()
    }

    /// Begins to fetch a blob, or joins whoever does already; nothing if it has arrived since it was
    /// looked for.
    fn fetch(
        &self,
        hub: &Hub,
        name: &RepositoryName,
        digest: &Digest,
        bytes: u64,
    ) -> Result<Option<Arc<Fetch>>, Problem> {
        let mut all = hub.fetches.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fetch) = all.get(digest) {
            return Ok(Some(fetch.clone()));
        }
        // Whoever fetched it kept it before leaving this list.
        if hub.storage.blob(digest)?.is_some() {
            return Ok(None);
        }
        let id = UploadId::new()
            .map_err(|source| HubError::Read { path: "/dev/urandom".into(), source })?;
        hub.storage.begin_upload(&id)?;
        let state = Mutex::new(State { bytes: 0, over: None });
        let fetch = Arc::new(Fetch { id, state, changed: Condvar::new() });
        all.insert(*digest, fetch.clone());
        let job = Job {
            storage: hub.storage.clone(),
            fetches: hub.fetches.clone(),
            client: self.client.clone(),
            location: self.location.clone(),
            fresh: self.fresh,
            name: name.clone(),
            digest: *digest,
            bytes,
            fetch: fetch.clone(),
        };
        // Who waits for it may go away; it is wanted all the same.
        std::thread::spawn(move || job.run());
        Ok(Some(fetch))
    }
}

/// What it takes to fetch a blob.
struct Job {
    storage: Arc<dyn Storage>,
    fetches: Arc<Fetches>,
    client: Arc<Client>,
    location: String,
    fresh: Duration,
    name: RepositoryName,
    digest: Digest,
    bytes: u64,
    fetch: Arc<Fetch>,
}

impl Job {
    fn run(self) {
        let kept = self.work();
        let is_kept = matches!(kept, Ok(true));
        if !is_kept {
            // What is left of it is garbage, and collected if it cannot be removed now.
            let _ = self.storage.remove_upload(&self.fetch.id);
        }
        let bytes = self.fetch.state().bytes;
        self.fetch.set(bytes, Some(is_kept));
        self.fetches.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.digest);
    }

    /// Fetches the blob and keeps it, if it is the one that was meant.
    fn work(&self) -> Result<bool, Problem> {
        let (location, client) = (self.location.clone(), self.client.clone());
        let upstream = Upstream { location, client, fresh: self.fresh };
        let repository = upstream.repository(&self.name)?;
        let mut reader = repository.blob(self.digest, self.bytes).map_err(told)?;
        let mut hasher = Hasher::new(self.digest.algorithm());
        let (mut seen, mut at, batch) = (0, 0, self.storage.batch());
        loop {
            let mut watch = |piece: &[u8]| {
                if batch.is_none() {
                    // What came before this piece is in the file by now.
                    self.fetch.set(seen, None);
                }
                hasher.update(piece);
                seen += piece.len() as u64;
            };
            let mut some = (&mut reader).take(batch.unwrap_or(u64::MAX));
            let appended = self.storage.append(&self.fetch.id, at, &mut some, &mut watch)?;
            at += appended.bytes;
            if appended.cut.is_some() {
                return Ok(false);
            }
            if batch.is_none_or(|batch| appended.bytes < batch) {
                break;
            }
            self.fetch.set(at, None);
        }
        if hasher.finish() != self.digest {
            return Ok(false);
        }
        let _hold = self.storage.hold()?;
        self.storage.keep_upload(&self.fetch.id, &self.digest, at)?;
        self.storage.write(&paths::blob_link(&self.name, &self.digest), b"")?;
        self.fetch.set(at, None);
        Ok(true)
    }
}

/// Why something did not come.
enum Failed {
    Missing,
    Else(Problem),
}

impl From<RegistryError> for Failed {
    fn from(error: RegistryError) -> Failed {
        match error.is_missing() {
            true => Failed::Missing,
            false => Failed::Else(told(error)),
        }
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Failed {
        Failed::Else(problem)
    }
}

impl From<HubError> for Failed {
    fn from(error: HubError) -> Failed {
        Failed::Else(error.into())
    }
}

/// What a client is told of trouble behind this registry; the log has more.
pub(crate) fn told(error: RegistryError) -> Problem {
    let inside = HubError::Upstream { source: Box::new(error) };
    Problem::from(inside).status(502)
}

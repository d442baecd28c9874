//! What the collector takes out of an object store: marked, looked at once more, and only then
//! deleted. A note of each is written first, so that whoever collects next goes on where one was
//! killed.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spec::Digest;

use super::Version;
use super::entry::Entry;
use super::{ATTEMPTS, Objects, blob_key, document, random, written};
use crate::error::{HubError, Result};
use crate::names::{RepositoryName, UploadId};
use crate::storage::{IsOld, Taken, Thing};

/// Below it are the notes.
const NOTES: &str = "retired";
/// Whose turn it is to collect.
const TURN: &str = "collector.json";
/// Who has not said for so long that they are at it is gone.
const TURN_ENDS: Duration = Duration::from_secs(600);
/// So often they say it.
const TURN_RENEWED: Duration = Duration::from_secs(60);

/// A note of what is being taken.
#[derive(Serialize, Deserialize)]
struct Note {
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    digest: Digest,
    /// What the document said, should it be needed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    /// Whose pieces the blob is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Link,
    Manifest,
    Blob,
}

impl Note {
    fn of(thing: &Thing) -> Note {
        let (kind, repository, digest) = match thing {
            Thing::Link(name, digest) => (Kind::Link, Some(name.to_string()), *digest),
            Thing::Manifest(name, digest) => (Kind::Manifest, Some(name.to_string()), *digest),
            Thing::Blob(digest) => (Kind::Blob, None, *digest),
        };
        Note { kind, repository, digest, document: None, upload: None }
    }

    /// What was taken, if the note is of that name.
    fn taken(self, id: String, bytes: u64) -> Option<Taken> {
        let name = || RepositoryName::parse(self.repository.as_deref()?);
        let thing = match self.kind {
            Kind::Link => Thing::Link(name()?, self.digest),
            Kind::Manifest => Thing::Manifest(name()?, self.digest),
            Kind::Blob => Thing::Blob(self.digest),
        };
        Some(Taken { id, thing, bytes, document: self.document, upload: self.upload })
    }
}

/// Somebody's turn to collect.
#[derive(Serialize, Deserialize)]
struct Turn {
    who: String,
    /// Random, as in an entry.
    writing: String,
}

/// The turn that this process has.
pub(super) struct OurTurn {
    who: String,
    renewed: Instant,
}

impl Objects {
    /// Marks what is old at this look; nothing where it is not.
    pub(super) fn retire(&self, thing: &Thing, is_old: &IsOld<'_>) -> Result<Option<Taken>> {
        match (thing, thing.path()) {
            (Thing::Blob(digest), _) => self.retire_blob(thing, digest, is_old),
            (_, Some(path)) => self.retire_document(thing, &path, is_old),
            (_, None) => Ok(None),
        }
    }

    fn retire_document(
        &self,
        thing: &Thing,
        path: &str,
        is_old: &IsOld<'_>,
    ) -> Result<Option<Taken>> {
        let found = self.bucket.get(path)?.filter(|object| is_old(object.age));
        let Some(object) = found else { return Ok(None) };
        let Some(bytes) = document(&object.bytes) else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let note = Note { document: Some(text), ..Note::of(thing) };
        self.mark(note, 0, path, &object.version, Bytes::new())
    }

    fn retire_blob(
        &self,
        thing: &Thing,
        digest: &Digest,
        is_old: &IsOld<'_>,
    ) -> Result<Option<Taken>> {
        let (entry, version, age) = self.entry(digest)?;
        let Some(entry) = entry.filter(|entry| !entry.retired && is_old(age)) else {
            return Ok(None);
        };
        let Some(version) = version else { return Ok(None) };
        // Whoever finished its upload may have been killed before the end: nobody else finishes it
        // once its pieces may go.
        let upload = entry.upload.as_deref().and_then(UploadId::parse);
        if let Some(upload) = upload
            && self.is_upload(&upload)?
        {
            self.end_upload(&upload, &entry.pieces)?;
        }
        let note = Note { upload: entry.upload.clone(), ..Note::of(thing) };
        let marked = Entry { retired: true, writing: random()?, ..entry };
        self.mark(note, marked.bytes, &blob_key(digest), &version, marked.to_bytes())
    }

    /// Notes what is taken, and takes it if nobody wrote it since.
    fn mark(
        &self,
        note: Note,
        length: u64,
        key: &str,
        over: &Version,
        mark: impl Into<Bytes>,
    ) -> Result<Option<Taken>> {
        let id = random()?;
        let bytes = serde_json::to_vec(&note).expect("a note is made of strings");
        self.bucket.put(&format!("{NOTES}/{id}"), bytes)?;
        if self.bucket.put_over(key, Some(over), mark)? {
            return Ok(note.taken(id, length));
        }
        self.forget(&id)?;
        Ok(None)
    }

    fn forget(&self, id: &str) -> Result<()> {
        self.bucket.delete(&format!("{NOTES}/{id}"))
    }

    fn read_note(&self, id: &str) -> Result<Option<Note>> {
        let path = format!("{NOTES}/{id}");
        let Some(object) = self.bucket.get(&path)? else { return Ok(None) };
        let note = serde_json::from_slice(&object.bytes);
        note.map(Some).map_err(|source| HubError::Damaged { path, source })
    }

    /// What is marked, also by somebody who was killed since.
    pub(super) fn retired(&self) -> Result<Vec<Taken>> {
        let mut taken = Vec::new();
        for id in self.bucket.names(NOTES)? {
            taken.extend(self.read_note(&id)?.and_then(|note| note.taken(id, 0)));
        }
        Ok(taken)
    }

    /// Gives back what is needed after all, and deletes what is not.
    pub(super) fn settle_retired(&self, taken: &Taken, is_needed: bool) -> Result<()> {
        match (&taken.thing, &taken.document) {
            (Thing::Blob(digest), _) => {
                self.settle_blob(digest, taken.upload.as_deref(), is_needed)?;
            }
            (thing, Some(document)) if is_needed => self.give_back(thing, document)?,
            _ => {}
        }
        self.forget(&taken.id)
    }

    /// Writes a document again where there is none. Whoever is there meanwhile knows better.
    fn give_back(&self, thing: &Thing, document: &str) -> Result<()> {
        let Some(path) = thing.path() else { return Ok(()) };
        let there = self.bucket.get(&path)?;
        if there.as_ref().is_none_or(|object| object.bytes.is_empty()) {
            let over = there.map(|object| object.version);
            self.bucket.put_over(&path, over.as_ref(), written(document.as_bytes())?)?;
        }
        Ok(())
    }

    /// The entry goes before the pieces: nobody ever finds one whose pieces are not there.
    fn settle_blob(&self, digest: &Digest, upload: Option<&str>, is_needed: bool) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let (entry, version, _) = self.entry(digest)?;
            let is_it = |entry: &Entry| entry.upload.as_deref() == upload;
            let placed = match entry {
                Some(entry) if is_it(&entry) && entry.retired && is_needed => {
                    let entry = Entry { retired: false, ..entry };
                    if self.rewrite(digest, entry, version.as_ref())? {
                        return Ok(());
                    }
                    false
                }
                Some(entry) if is_it(&entry) && entry.retired => {
                    self.bucket.put_over(&blob_key(digest), version.as_ref(), Bytes::new())?
                }
                // It was never marked, or somebody gave it back.
                Some(entry) if is_it(&entry) => return Ok(()),
                // Another upload is the blob now, or none is.
                _ => true,
            };
            if placed {
                for key in upload.map_or(Ok(Vec::new()), |upload| self.pieces(upload))? {
                    // Of a long blob they are many.
                    self.take_turn()?;
                    self.bucket.delete(&key)?;
                }
                return Ok(());
            }
        }
        Err(HubError::Raced { what: digest.to_string() })
    }

    /// Takes the turn to collect, or says that this process still has it.
    pub(super) fn take_turn(&self) -> Result<()> {
        let mut ours = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if ours.as_ref().is_some_and(|ours| ours.renewed.elapsed() < TURN_RENEWED) {
            return Ok(());
        }
        let there = self.bucket.get(TURN)?;
        let holder = there.as_ref().and_then(|object| {
            let turn: Turn = serde_json::from_slice(&object.bytes).ok()?;
            (object.age < TURN_ENDS).then_some(turn.who)
        });
        if holder.is_some() && holder.as_deref() != ours.as_ref().map(|ours| ours.who.as_str()) {
            *ours = None;
            return Err(HubError::Collecting);
        }
        let who = ours.take().map_or_else(random, |ours| Ok(ours.who))?;
        let turn = Turn { who: who.clone(), writing: random()? };
        let turn = serde_json::to_vec(&turn).expect("a turn is made of strings");
        let version = there.as_ref().map(|object| &object.version);
        match self.bucket.put_over(TURN, version, turn)? {
            true => *ours = Some(OurTurn { who, renewed: Instant::now() }),
            false => return Err(HubError::Collecting),
        }
        Ok(())
    }

    /// Ends the turn, unless somebody else has it by now.
    pub(super) fn end_turn(&self) -> Result<()> {
        let ours = self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(ours), Some(there)) = (ours, self.bucket.get(TURN)?) else { return Ok(()) };
        let turn: Option<Turn> = serde_json::from_slice(&there.bytes).ok();
        if turn.is_some_and(|turn| turn.who == ours.who) {
            self.bucket.put_over(TURN, Some(&there.version), Bytes::new())?;
        }
        Ok(())
    }
}

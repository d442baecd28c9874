//! What the collector takes out of an object store: marked, looked at once more, and only then
//! deleted. A note of each is written first, so that whoever collects next goes on where one was
//! killed.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spec::Digest;

use super::entry::Entry;
use super::{ATTEMPTS, Objects, document, random, with_end};
use crate::error::{HubError, Result};
use crate::names::RepositoryName;
use crate::storage::{IsOld, Storage, Taken, Thing};

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

    fn thing(&self) -> Option<Thing> {
        let name = || RepositoryName::parse(self.repository.as_deref()?);
        Some(match self.kind {
            Kind::Link => Thing::Link(name()?, self.digest),
            Kind::Manifest => Thing::Manifest(name()?, self.digest),
            Kind::Blob => Thing::Blob(self.digest),
        })
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
        let Some(bytes) = found.and_then(|object| document(&object.bytes)) else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let id = self.note(Note { document: Some(text), ..Note::of(thing) })?;
        self.bucket.delete(path)?;
        Ok(Some(Taken { id, thing: thing.clone(), bytes: 0 }))
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
        let bytes = entry.bytes;
        let id = self.note(Note { upload: entry.upload.clone(), ..Note::of(thing) })?;
        if self.rewrite(digest, Entry { retired: true, ..entry }, version.as_ref())? {
            return Ok(Some(Taken { id, thing: thing.clone(), bytes }));
        }
        self.forget(&id)?;
        Ok(None)
    }

    fn note(&self, note: Note) -> Result<String> {
        let id = random()?;
        let bytes = serde_json::to_vec(&note).expect("a note is made of strings");
        self.bucket.put(&format!("{NOTES}/{id}"), bytes)?;
        Ok(id)
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
            let thing = self.read_note(&id)?.and_then(|note| note.thing());
            taken.extend(thing.map(|thing| Taken { id, thing, bytes: 0 }));
        }
        Ok(taken)
    }

    /// Gives back what is needed after all, and deletes what is not.
    pub(super) fn settle_retired(&self, taken: &Taken, is_needed: bool) -> Result<()> {
        let note = self.read_note(&taken.id)?;
        let path = taken.thing.path();
        match (&taken.thing, path) {
            (Thing::Blob(digest), _) => {
                let upload = note.and_then(|note| note.upload);
                self.settle_blob(digest, upload.as_deref(), is_needed)?;
            }
            (_, Some(path)) if is_needed && self.age(&path)?.is_none() => {
                let text = note.and_then(|note| note.document).unwrap_or_default();
                self.bucket.put(&path, with_end(text.as_bytes()))?;
            }
            _ => {}
        }
        self.forget(&taken.id)
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
                Some(entry) if is_it(&entry) && entry.retired => self.bucket.put_over(
                    &super::blob_key(digest),
                    version.as_ref(),
                    Bytes::new(),
                )?,
                // It was never marked, or somebody gave it back.
                Some(entry) if is_it(&entry) => return Ok(()),
                // Another upload is the blob now, or none is.
                _ => true,
            };
            if placed {
                return match upload {
                    Some(upload) => self.delete_pieces(upload, &|_| true),
                    None => Ok(()),
                };
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

    /// Ends the turn. If that fails, it ends by itself.
    pub(super) fn end_turn(&self) {
        let ours = self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
        if ours.is_some() {
            let _ = self.bucket.delete(TURN);
        }
    }
}

//! Uploads in an object store: what came is pieces, each an object with a name that nobody else
//! has; one small object says which of them count. Who writes that over what they read has the
//! upload; who comes second is told so, and their pieces count for nothing.

use std::io::{self, ErrorKind, Read};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spec::Digest;

use super::Version;
use super::entry::{Content, Piece, folder};
use super::{Objects, random};
use crate::error::{HubError, Result};
use crate::names::UploadId;
use crate::storage::{Appended, Watch};

/// A piece is as long as this, but for the last: few objects, and little memory.
pub(super) const PIECE_BYTES: usize = 8 << 20;
/// A last piece that is shorter is put together with what comes next.
const SHORT_BYTES: u64 = 1 << 20;
/// Bytes are read in steps of this length, warm when they are hashed.
const STEP_BYTES: usize = 256 << 10;

/// How far an upload is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Random, as in an entry.
    writing: String,
    pub(super) bytes: u64,
    pub(super) pieces: Vec<Piece>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
}

/// What became of it. Nothing is added from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    /// It is to be that blob.
    Kept(Digest),
    /// That blob came by another upload: the pieces go.
    Needless(Digest),
    /// Nobody wants it.
    GivenUp,
}

impl State {
    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a state is made of strings and numbers")
    }
}

pub(super) fn state_key(id: &UploadId) -> String {
    format!("uploads/{id}/state.json")
}

impl Objects {
    pub(super) fn state(&self, id: &UploadId) -> Result<Option<(State, Version)>> {
        let path = state_key(id);
        let Some(object) = self.bucket.get(&path)? else { return Ok(None) };
        let state = serde_json::from_slice(&object.bytes);
        let state = state.map_err(|source| HubError::Damaged { path, source })?;
        Ok(Some((state, object.version)))
    }

    /// A state that still is to be written to.
    pub(super) fn open_state(&self, id: &UploadId) -> Result<(State, Version)> {
        self.state(id)?.ok_or_else(|| raced(id))
    }

    pub(super) fn put_state(
        &self,
        id: &UploadId,
        state: &mut State,
        before: &Version,
    ) -> Result<()> {
        state.writing = random()?;
        match self.bucket.put_over(&state_key(id), Some(before), state.to_bytes())? {
            true => Ok(()),
            false => Err(raced(id)),
        }
    }

    pub(super) fn start_upload(&self, id: &UploadId) -> Result<()> {
        let state = State { writing: random()?, bytes: 0, pieces: Vec::new(), end: None };
        self.bucket.put(&state_key(id), state.to_bytes())
    }

    pub(super) fn length_of_upload(&self, id: &UploadId) -> Result<Option<u64>> {
        let state = self.state(id)?.map(|(state, _)| state);
        let is_over = |end: &Option<End>| matches!(end, Some(End::GivenUp | End::Needless(_)));
        Ok(state.filter(|state| !is_over(&state.end)).map(|state| state.bytes))
    }

    pub(super) fn content_of_upload(&self, id: &UploadId) -> Result<(Content, u64)> {
        let (state, _) = self.open_state(id)?;
        Ok((Content::of(&self.bucket, id.as_str(), state.pieces), state.bytes))
    }

    /// Puts pieces behind those that count, and makes them count.
    pub(super) fn grow_upload(
        &self,
        id: &UploadId,
        at: u64,
        from: &mut dyn Read,
        watch: &mut Watch<'_>,
    ) -> Result<Appended> {
        let (mut state, version) = self.open_state(id)?;
        if state.bytes != at || state.end.is_some() {
            return Err(raced(id));
        }
        let short = state.pieces.pop_if(|piece| piece.bytes < SHORT_BYTES);
        let begun = match &short {
            None => Vec::new(),
            Some(short) => self.read_piece(id, short).or_else(|error| {
                // Whoever was faster has put it together with more, and let it go.
                match self.open_state(id)?.0.writing == state.writing {
                    true => Err(error),
                    false => Err(raced(id)),
                }
            })?,
        };
        let began = at - begun.len() as u64;
        let (pieces, appended) = self.put_pieces(id, began, begun, from, watch)?;
        if appended.bytes > 0 {
            state.pieces.extend(pieces);
            state.bytes += appended.bytes;
            self.put_state(id, &mut state, &version)?;
            if let Some(short) = short {
                self.bucket.delete(&format!("{}/{}", folder(id.as_str()), short.name))?;
            }
        }
        Ok(appended)
    }

    /// Writes what comes as pieces: one is on its way to the store while the next is received.
    fn put_pieces(
        &self,
        id: &UploadId,
        began: u64,
        begun: Vec<u8>,
        from: &mut dyn Read,
        watch: &mut Watch<'_>,
    ) -> Result<(Vec<Piece>, Appended)> {
        let mut appended = Appended { bytes: 0, cut: None };
        let mut pieces = Vec::new();
        thread::scope(|scope| -> Result<()> {
            let (mut at, mut buffer) = (began, begun);
            let mut sent: Option<thread::ScopedJoinHandle<'_, Result<Piece>>> = None;
            loop {
                let before = buffer.len();
                appended.cut = fill(from, &mut buffer, watch);
                appended.bytes += (buffer.len() - before) as u64;
                let is_last = buffer.len() < PIECE_BYTES;
                if let Some(sent) = sent.take() {
                    pieces.push(joined(sent)?);
                }
                let bytes = std::mem::take(&mut buffer);
                let (place, length) = (at, bytes.len() as u64);
                if length > 0 && (is_last || appended.cut.is_some()) {
                    pieces.push(self.put_piece(id, place, bytes)?);
                } else if length > 0 {
                    sent = Some(scope.spawn(move || self.put_piece(id, place, bytes)));
                }
                at += length;
                if is_last || appended.cut.is_some() {
                    return Ok(());
                }
            }
        })?;
        Ok((pieces, appended))
    }

    fn read_piece(&self, id: &UploadId, piece: &Piece) -> Result<Vec<u8>> {
        let content = Content::of(&self.bucket, id.as_str(), vec![piece.clone()]);
        let mut bytes = Vec::new();
        let read = content.read(0, piece.bytes)?.read_to_end(&mut bytes);
        read.map_err(|source| HubError::Read { path: state_key(id).into(), source })?;
        Ok(bytes)
    }

    fn put_piece(&self, id: &UploadId, at: u64, content: Vec<u8>) -> Result<Piece> {
        let name = format!("{at:016}-{}", &random()?[..16]);
        let bytes = content.len() as u64;
        self.bucket.put(&format!("{}/{name}", folder(id.as_str())), content)?;
        Ok(Piece { name, bytes })
    }

    pub(super) fn list_uploads(&self) -> Result<Vec<(UploadId, Duration)>> {
        let mut youngest = std::collections::HashMap::new();
        self.bucket.below("uploads", &mut |listed| {
            let id = listed.key.split('/').nth(1).and_then(UploadId::parse);
            if let Some(id) = id {
                let age = youngest.entry(id).or_insert(listed.age);
                *age = listed.age.min(*age);
            }
            Ok(())
        })?;
        Ok(youngest.into_iter().collect())
    }
}

pub(super) fn raced(id: &UploadId) -> HubError {
    HubError::Raced { what: format!("upload {id}") }
}

fn joined(sent: thread::ScopedJoinHandle<'_, Result<Piece>>) -> Result<Piece> {
    sent.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Fills a piece as far as bytes come, and says why no more came if that was not the end.
fn fill(from: &mut dyn Read, piece: &mut Vec<u8>, watch: &mut Watch<'_>) -> Option<io::Error> {
    while piece.len() < PIECE_BYTES {
        let held = piece.len();
        piece.resize((held + STEP_BYTES).min(PIECE_BYTES), 0);
        let read = from.read(&mut piece[held..]);
        let count = read.as_ref().map_or(0, |count| *count);
        piece.truncate(held + count);
        watch(&piece[held..]);
        match read {
            Ok(0) => return None,
            Err(error) if error.kind() != ErrorKind::Interrupted => return Some(error),
            _ => {}
        }
    }
    None
}

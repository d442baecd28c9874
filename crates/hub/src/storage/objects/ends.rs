//! How uploads end: as the blob, as needless because that came by another, or given up. Several
//! servers may be at one upload, and any may be killed or sleep between two requests.

use bytes::Bytes;
use spec::Digest;

use super::entry::{Entry, Piece, folder};
use super::uploads::{End, raced, state_key};
use super::{ATTEMPTS, Objects, blob_key, random};
use crate::error::Result;
use crate::names::UploadId;
use crate::storage::paths;

impl Objects {
    /// Makes an upload's pieces the blob, or finds that there is the blob already. So many bytes
    /// have that digest: what another server put behind them since does not.
    pub(super) fn finish_upload(&self, id: &UploadId, digest: &Digest, bytes: u64) -> Result<()> {
        self.settle_end(id, digest, bytes)?;
        self.place_upload(id, digest)
    }

    /// Says what an upload is to be. From here on, nothing is added to it, and whoever meets it
    /// makes it that blob.
    pub(super) fn settle_end(&self, id: &UploadId, digest: &Digest, bytes: u64) -> Result<()> {
        let (mut state, version) = self.open_state(id)?;
        match &state.end {
            None if state.bytes == bytes => {
                state.end = Some(End::Kept(*digest));
                self.put_state(id, &mut state, &version)
            }
            Some(End::Kept(known)) if known == digest => Ok(()),
            _ => Err(raced(id)),
        }
    }

    /// Several may be at this for one upload, and one of them may sleep. So the state is read after
    /// what lies under the digest, and that is written over only if it is what was read: whoever
    /// deletes the pieces takes the state away first, and then writes under the digest.
    pub(super) fn place_upload(&self, id: &UploadId, digest: &Digest) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let (known, over, age) = self.entry(digest)?;
            match known.filter(|known| !known.retired) {
                Some(known) => {
                    let (is_ours, pieces) = (known.is_of(id), known.pieces.clone());
                    let is_young = age < self.bucket.young();
                    if !is_young && !self.rewrite(digest, known, over.as_ref())? {
                        continue;
                    }
                    if is_ours {
                        return self.end_upload(id, &pieces);
                    }
                    let is_there = self.give_way(id, digest)?;
                    return if is_there { Ok(()) } else { Err(raced(id)) };
                }
                None => {
                    let (state, _) = self.open_state(id)?;
                    if state.end != Some(End::Kept(*digest)) {
                        return Err(raced(id));
                    }
                    let entry = Entry::of_upload(random()?, id, state.bytes, state.pieces);
                    if self.bucket.put_over(&blob_key(digest), over.as_ref(), entry.to_bytes())? {
                        return self.end_upload(id, &entry.pieces);
                    }
                }
            }
        }
        Err(raced(id))
    }

    /// Deletes the pieces of an upload whose blob came by another; says whether that is still there.
    /// Who looked before the state said so could still place them: writing under the digest makes
    /// their look void, or finds that they have.
    fn give_way(&self, id: &UploadId, digest: &Digest) -> Result<bool> {
        let Some((mut state, version)) = self.state(id)? else { return Ok(true) };
        match &state.end {
            Some(End::Kept(known)) if known == digest => {
                state.end = Some(End::Needless(*digest));
                self.put_state(id, &mut state, &version)?;
            }
            Some(End::Needless(known)) if known == digest => {}
            _ => return Err(raced(id)),
        }
        for _ in 0..ATTEMPTS {
            let (known, over, _) = self.entry(digest)?;
            let is_there = known.as_ref().is_some_and(|known| !known.retired);
            let written = match known {
                Some(known) if known.is_of(id) => {
                    self.end_upload(id, &known.pieces)?;
                    return Ok(is_there);
                }
                Some(known) => self.rewrite(digest, known, over.as_ref())?,
                None => self.bucket.put_over(&blob_key(digest), over.as_ref(), Bytes::new())?,
            };
            if written {
                self.end_upload(id, &[])?;
                return Ok(is_there);
            }
        }
        Err(raced(id))
    }

    /// Forgets an upload. One that is to be a blob becomes one: whoever finishes it may not be
    /// stopped any more, and a blob that no repository has is garbage like another.
    pub(super) fn drop_upload(&self, id: &UploadId) -> Result<()> {
        let Some((mut state, version)) = self.state(id)? else { return self.delete_documents(id) };
        match &state.end {
            Some(End::Kept(digest)) => return self.place_upload(id, digest),
            Some(End::Needless(digest)) => return self.give_way(id, digest).map(|_| ()),
            Some(End::GivenUp) => {}
            None => {
                state.end = Some(End::GivenUp);
                self.put_state(id, &mut state, &version)?;
            }
        }
        self.end_upload(id, &[])
    }

    /// Nothing is left of an upload but the pieces that a blob is made of.
    pub(super) fn end_upload(&self, id: &UploadId, kept: &[Piece]) -> Result<()> {
        let is_kept = |key: &str| kept.iter().any(|piece| key.ends_with(&piece.name));
        for key in self.pieces(id.as_str())?.iter().filter(|key| !is_kept(key)) {
            self.bucket.delete(key)?;
        }
        self.delete_documents(id)
    }

    /// The state goes last: as long as it is there, the collector finds what is left.
    fn delete_documents(&self, id: &UploadId) -> Result<()> {
        self.bucket.delete(&paths::upload(id))?;
        self.bucket.delete(&state_key(id))
    }

    /// Whether an upload is not over.
    pub(super) fn is_upload(&self, id: &UploadId) -> Result<bool> {
        Ok(self.bucket.head(&state_key(id))?.is_some())
    }

    /// The keys of all pieces that came for an upload.
    pub(super) fn pieces(&self, upload: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        self.bucket.below(&folder(upload), &mut |listed| {
            keys.push(listed.key);
            Ok(())
        })?;
        Ok(keys)
    }
}

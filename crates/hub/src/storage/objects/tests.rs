//! Two servers over one store in memory: the second does its part between two requests of the first.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::collect::{Collected, Garbage};
use crate::contents::Contents;
use crate::hub::{Hub, Mode};
use crate::names::RepositoryName;

const CONTENT: &[u8] = b"the bytes of a layer";
const MINUTE: Duration = Duration::from_secs(60);

fn two() -> (Objects, Arc<Objects>) {
    let bucket = Bucket::with_young(5 * MINUTE).unwrap();
    (Objects::open(bucket.clone()).unwrap(), Arc::new(Objects::open(bucket).unwrap()))
}

/// An upload that has all its bytes.
fn upload(objects: &Objects) -> UploadId {
    let id = UploadId::new().unwrap();
    objects.begin_upload(&id).unwrap();
    objects.write(&paths::upload(&id), b"{}").unwrap();
    append(objects, &id, 0, CONTENT);
    id
}

fn append(objects: &Objects, id: &UploadId, at: u64, mut bytes: &[u8]) {
    objects.append(id, at, &mut bytes, &mut |_| {}).unwrap();
}

fn keep(objects: &Objects, id: &UploadId) -> Result<()> {
    objects.keep_upload(id, &Digest::of(CONTENT), CONTENT.len() as u64)
}

/// What is there under the digest; reading it fails where pieces are missing.
fn content(objects: &Objects) -> Option<Vec<u8>> {
    let reader = objects.blob(&Digest::of(CONTENT)).unwrap()?.into_reader(0).unwrap();
    let mut bytes = Vec::new();
    reader.unwrap().read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

/// Takes a blob as the collector does that found nobody who needs it.
fn take_blob(objects: &Objects) {
    let taken = objects.take(&Thing::Blob(Digest::of(CONTENT)), &|_| true).unwrap();
    objects.settle(&taken.unwrap(), false).unwrap();
}

fn thing() -> (Thing, String) {
    let thing = Thing::Link(RepositoryName::parse("app").unwrap(), Digest::of(CONTENT));
    let path = thing.path().unwrap();
    (thing, path)
}

fn hub(storage: Arc<Objects>) -> Hub {
    Hub::new(storage, Default::default(), Mode::Writable, None, Default::default())
}

/// Puts a manifest by its digest.
fn put(hub: &Hub, name: &RepositoryName, manifest: &Value) -> Digest {
    let bytes = manifest.to_string().into_bytes();
    let (digest, contents) = (Digest::of(&bytes), Contents::read(&bytes, None).unwrap());
    assert!(hub.keep_manifest(name, &[], digest, bytes, &contents).is_ok());
    digest
}

#[test]
fn an_upload_that_is_given_up_while_it_is_finished_is_whole() {
    let (one, other) = two();
    let id = upload(&one);
    let (gives_up, known) = (other.clone(), id.clone());
    let key = blob_key(&Digest::of(CONTENT));
    one.bucket.interrupt(&key, move || gives_up.remove_upload(&known).unwrap());
    keep(&one, &id).unwrap();
    assert_eq!(content(&other).as_deref(), Some(CONTENT));
    assert!(one.upload_bytes(&id).unwrap().is_none() && one.uploads().unwrap().is_empty());
    // Whoever sends the same once more finds the blob.
    keep(&other, &upload(&other)).unwrap();
    assert_eq!(content(&one).as_deref(), Some(CONTENT));
    take_blob(&one);
    let mut left = Vec::new();
    let mut see = |listed: registry::Listed| {
        left.push(listed.key);
        Ok(())
    };
    one.bucket.below("pieces", &mut see).unwrap();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn pieces_that_are_gone_are_never_a_blob_again() {
    let (one, other) = two();
    let (id, digest) = (upload(&one), Digest::of(CONTENT));
    // Killed when the blob was there and the upload not yet over.
    one.settle_end(&id, &digest, CONTENT.len() as u64).unwrap();
    let (key, bytes) = (blob_key(&digest), CONTENT.len() as u64);
    let content_of = |objects: &Objects| objects.content_of_upload(&id).unwrap().0;
    let pieces = content_of(&one).pieces().to_vec();
    let entry = Entry::of_upload(random().unwrap(), &id, bytes, pieces);
    assert!(one.bucket.put_over(&key, None, entry.to_bytes()).unwrap());
    take_blob(&other);
    assert!(matches!(one.place_upload(&id, &digest), Err(HubError::Raced { .. })));
    assert_eq!(content(&one), None);
}

#[test]
fn who_sleeps_while_the_blob_is_taken_is_told() {
    let (one, other) = two();
    let (id, digest) = (upload(&one), Digest::of(CONTENT));
    let (takes, known) = (other.clone(), id.clone());
    one.bucket.interrupt(&blob_key(&digest), move || {
        takes.place_upload(&known, &digest).unwrap();
        take_blob(&takes);
    });
    assert!(matches!(keep(&one, &id), Err(HubError::Raced { .. })));
    assert_eq!(content(&one), None);
}

#[test]
fn pieces_that_are_not_needed_go_only_if_nobody_placed_them() {
    let (one, other) = two();
    keep(&one, &upload(&one)).unwrap();
    let (id, digest) = (upload(&one), Digest::of(CONTENT));
    one.settle_end(&id, &digest, CONTENT.len() as u64).unwrap();
    let (places, known) = (other.clone(), id.clone());
    one.bucket.interrupt(&format!("uploads/{id}/state.json"), move || {
        take_blob(&places);
        places.place_upload(&known, &digest).unwrap();
    });
    assert!(matches!(one.place_upload(&id, &digest), Err(HubError::Raced { .. })));
    assert_eq!(content(&other).as_deref(), Some(CONTENT));
}

#[test]
fn bytes_that_were_not_hashed_are_no_part_of_a_blob() {
    let (one, other) = two();
    let id = upload(&one);
    append(&other, &id, CONTENT.len() as u64, b"more");
    assert!(matches!(keep(&one, &id), Err(HubError::Raced { .. })));
    assert!(content(&one).is_none());
}

#[test]
fn a_document_that_is_touched_or_put_again_is_not_taken() {
    let (one, other) = two();
    let (thing, path) = thing();
    let touch = |objects: &Objects, path: &str| assert!(objects.touch(path).unwrap());
    let write = |objects: &Objects, path: &str| objects.write(path, b"{}").unwrap();
    for again in [touch as fn(&Objects, &str), write] {
        one.write(&path, b"{}").unwrap();
        one.bucket.be_later(60 * MINUTE);
        let (touches, known) = (other.clone(), path.clone());
        one.bucket.interrupt(&path, move || again(&touches, &known));
        assert!(one.take(&thing, &|age| age > MINUTE).unwrap().is_none());
        assert_eq!(other.read(&path).unwrap().as_deref(), Some(b"{}".as_slice()));
        assert!(one.taken().unwrap().is_empty());
    }
    // Some stores tell writings apart by their bytes alone.
    let before = one.bucket.get(&path).unwrap().unwrap().bytes;
    one.bucket.be_later(60 * MINUTE);
    assert!(one.touch(&path).unwrap());
    assert_ne!(one.bucket.get(&path).unwrap().unwrap().bytes, before);
}

#[test]
fn what_is_given_back_says_what_it_said() {
    let (one, other) = two();
    let (thing, path) = thing();
    for is_put_again in [false, true] {
        one.write(&path, b"{}").unwrap();
        let taken = one.take(&thing, &|_| true).unwrap().unwrap();
        assert!(one.read(&path).unwrap().is_none() && !one.touch(&path).unwrap());
        // Another collector took this one for dead, and saw no use for it.
        other.settle(&other.taken().unwrap()[0], false).unwrap();
        if is_put_again {
            other.write(&path, b"[]").unwrap();
        }
        one.settle(&taken, true).unwrap();
        let wanted = if is_put_again { b"[]" } else { b"{}" };
        assert_eq!(one.read(&path).unwrap().as_deref(), Some(wanted.as_slice()));
    }
}

#[test]
fn nobody_ends_the_turn_of_another() {
    let (one, other) = two();
    one.turn().unwrap();
    assert!(matches!(other.turn(), Err(HubError::Collecting)));
    one.bucket.be_later(11 * MINUTE);
    other.turn().unwrap();
    one.bucket.be_later(Duration::ZERO);
    one.turn_over();
    let third = Objects::open(one.bucket.clone()).unwrap();
    assert!(matches!(third.turn(), Err(HubError::Collecting)));
    other.turn_over();
    third.turn().unwrap();
}

#[test]
fn what_was_asked_for_stays_for_the_grace_time() {
    let (one, other) = two();
    let digest = Digest::of(CONTENT);
    let (_, path) = thing();
    one.put_blob(&digest, CONTENT).unwrap();
    one.write(&path, b"").unwrap();
    let hub = hub(other);
    let garbage = Garbage { grace: 3 * MINUTE, ..Garbage::default() };
    one.bucket.be_later(4 * MINUTE);
    assert!(one.touch(&path).unwrap() && one.touch_blob(&digest).unwrap());
    one.bucket.be_later(6 * MINUTE);
    assert_eq!(hub.collect(&garbage).unwrap(), Collected::default());
    assert!(one.touch(&path).unwrap() && one.touch_blob(&digest).unwrap());
    one.bucket.be_later(15 * MINUTE);
    assert_eq!(hub.collect(&garbage).unwrap().blobs, 1);
}

/// What no tag leads to is put again, or listed by an index, when the collector has chosen it.
#[test]
fn manifests_that_are_needed_by_digest_come_back() {
    let (one, other) = two();
    let bucket = one.bucket.clone();
    let (one, other) = (hub(Arc::new(one)), hub(other));
    let name = RepositoryName::parse("app").unwrap();
    let index = |entries: Value| {
        let media_type = "application/vnd.oci.image.index.v1+json";
        json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries })
    };
    let entry = |manifest: &Value| {
        let text = manifest.to_string();
        let digest = Digest::of(text.as_bytes());
        json!({ "mediaType": manifest["mediaType"], "digest": digest, "size": text.len() })
    };
    let lowest = index(json!([]));
    let inner = index(json!([entry(&lowest)]));
    let mut about = index(json!([]));
    about["subject"] = entry(&index(json!(["elsewhere"])));
    let outer = index(json!([entry(&inner)]));
    let digests = [&lowest, &inner, &about].map(|manifest| put(&one, &name, manifest));
    bucket.be_later(60 * MINUTE);
    // The manifests are marked by then, and what one is about is forgotten.
    let known = name.clone();
    bucket.interrupt(&blob_key(&digests[0]), move || {
        put(&other, &known, &outer);
        put(&other, &known, &about);
    });
    let garbage = Garbage { grace: Duration::ZERO, untagged: true, ..Garbage::default() };
    assert_eq!(one.collect(&garbage).unwrap(), Collected::default());
    let fresh = hub(Arc::new(Objects::open(bucket).unwrap()));
    for digest in digests {
        let path = paths::manifest(&name, &digest);
        assert!(fresh.descriptor(&path).unwrap().is_some_and(|found| found.digest == digest));
        assert!(fresh.manifest_bytes(&digest).unwrap().is_some());
    }
}

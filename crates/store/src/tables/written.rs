//! How `images.json` is written, and the times in it read.
//!
//! Every new name writes all of it again. It is mostly digests, which need no look at each letter
//! for what must be escaped, so the whole is put together here and not by a serialiser of anything.

use serde::{Deserialize, Deserializer, Serialize};
use spec::{Digest, ImageId, Timestamp};

use super::{ImageRecord, Images, NameRecord};

const SECOND: i64 = 1_000_000_000;
/// Room for an image, and for a name; more is made where it is not enough.
const IMAGE_BYTES: usize = 288;
const NAME_BYTES: usize = 160;

impl Images {
    /// The document as it is written.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let room = self.images.len() * IMAGE_BYTES + self.names.len() * NAME_BYTES;
        let mut out = Vec::with_capacity(room + 32);
        out.extend_from_slice(b"{\"images\":{");
        for (place, (id, image)) in self.images.iter().enumerate() {
            comma(place, &mut out);
            image.write_entry(id, &mut out);
        }
        out.extend_from_slice(b"},\"names\":{");
        for (place, (name, record)) in self.names.iter().enumerate() {
            comma(place, &mut out);
            record.write_entry(name, &mut out);
        }
        out.extend_from_slice(b"}}");
        out
    }
}

impl ImageRecord {
    /// Whether the document says the same of both.
    pub(crate) fn is_written_like(&self, other: &ImageRecord) -> bool {
        let none = ImageId(Digest::Sha256([0; 32]));
        self.entry(&none) == other.entry(&none)
    }

    /// One entry as it is written.
    pub(super) fn entry(&self, id: &ImageId) -> Vec<u8> {
        let mut out = Vec::with_capacity(IMAGE_BYTES);
        self.write_entry(id, &mut out);
        out
    }

    fn write_entry(&self, id: &ImageId, out: &mut Vec<u8>) {
        digest(&id.0, out);
        out.push(b':');
        self.write(out);
    }

    fn write(&self, out: &mut Vec<u8>) {
        // The one field that is always there has no comma in front; it is not the first.
        out.push(b'{');
        if let Some(top) = &self.top {
            out.extend_from_slice(b"\"top\":");
            digest(&top.0, out);
            out.push(b',');
        }
        for (key, time) in [("created", self.created), ("tagged", self.tagged)] {
            if let Some(nanos) = time.and_then(nanos) {
                field_before(key, &nanos, out);
            }
        }
        out.extend_from_slice(b"\"layers\":");
        json(&self.layers, out);
        field("platform", self.platform.as_str(), out);
        if let Some(manifest) = &self.manifest {
            field("manifest", manifest, out);
        }
        if !self.repo_digests.is_empty() {
            field("repo_digests", &self.repo_digests, out);
        }
        if let Some(parent) = &self.parent {
            field("parent", parent, out);
        }
        out.push(b'}');
    }
}

impl NameRecord {
    /// One entry as it is written.
    pub(super) fn entry(&self, name: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(NAME_BYTES);
        self.write_entry(name, &mut out);
        out
    }

    fn write_entry(&self, name: &str, out: &mut Vec<u8>) {
        json(name, out);
        out.push(b':');
        self.write(out);
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"image\":");
        digest(&self.image.0, out);
        if !self.others.is_empty() {
            field("others", &self.others, out);
        }
        if let Some(index) = &self.index {
            field("index", index, out);
        }
        if let Some(manifest) = &self.manifest {
            field("manifest", manifest, out);
        }
        if !self.attached.is_empty() {
            field("attached", &self.attached, out);
        }
        out.push(b'}');
    }
}

fn comma(place: usize, out: &mut Vec<u8>) {
    if place > 0 {
        out.push(b',');
    }
}

fn digest(digest: &Digest, out: &mut Vec<u8>) {
    out.push(b'"');
    digest.append_to(out);
    out.push(b'"');
}

fn json(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("our own documents have only string keys");
}

/// A field behind others. In keys of ours there is nothing to escape.
fn field(key: &str, value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    json(value, out);
}

/// A field in front of others.
fn field_before(key: &str, value: &impl Serialize, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    json(value, out);
    out.push(b',');
}

/// A time as one number: every listing reads all of them, and a number reads fastest. A time that
/// is too far off to be one is as good as none.
fn nanos(time: Timestamp) -> Option<i64> {
    time.unix_seconds().checked_mul(SECOND)?.checked_add(i64::from(time.nanos()))
}

pub(super) fn read_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<i64>::deserialize(deserializer)?.map(time_of))
}

/// The way back from one number.
pub(super) fn time_of(nanos: i64) -> Timestamp {
    Timestamp::from_unix(nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND) as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use spec::{ChainId, MediaType, Platform};

    use super::*;
    use crate::tables::ManifestRef;

    fn manifest(of: &[u8]) -> Option<Box<ManifestRef>> {
        let media_type = MediaType::OciManifest;
        Some(Box::new(ManifestRef { digest: Digest::of(of), media_type, size: 7 }))
    }

    fn bare() -> ImageRecord {
        ImageRecord {
            top: None,
            created: None,
            tagged: None,
            layers: Vec::new(),
            platform: Platform::new("linux", "amd64", None).into(),
            manifest: None,
            repo_digests: BTreeSet::new(),
            parent: None,
        }
    }

    #[track_caller]
    fn check(images: &Images) {
        let bytes = images.to_bytes();
        let read: Images = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read, *images, "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut images = Images::default();
        check(&images);
        let id = |of: &[u8]| ImageId(Digest::of(of));
        images.images.insert(id(b"bare"), bare());
        check(&images);
        let full = ImageRecord {
            top: Some(ChainId(Digest::Sha512([7; 64]))),
            created: Some(Timestamp::from_unix(-3, 5)),
            tagged: Some(Timestamp::from_unix(1_795_294_653, 54_099_088)),
            layers: vec![1, u64::MAX],
            platform: Platform::new("plan\"9", "\u{1}", Some("\\v1")).into(),
            manifest: manifest(b"one"),
            repo_digests: ["a@b".to_owned(), "c\n@d".to_owned()].into(),
            parent: Some(id(b"bare")),
        };
        images.images.insert(id(b"full"), full);
        images.names.insert("docker.io/library/a:1".to_owned(), NameRecord::of(id(b"bare")));
        let full = NameRecord {
            image: id(b"full"),
            others: vec![id(b"bare"), id(b"full")],
            index: manifest(b"two"),
            manifest: manifest(b"three"),
            attached: vec![Digest::of(b"four"), Digest::Sha512([9; 64])],
        };
        images.names.insert("odd \" name\u{7f}é".to_owned(), full);
        check(&images);
    }

    #[test]
    fn a_time_too_far_off_is_none() {
        let mut images = Images::default();
        let far = Some(Timestamp::from_unix(i64::MAX / 2, 0));
        let record = ImageRecord { created: far, ..bare() };
        images.images.insert(ImageId(Digest::of(b"far")), record);
        let read: Images = serde_json::from_slice(&images.to_bytes()).unwrap();
        assert_eq!(read.images.values().next().unwrap().created, None);
    }
}

//! Reads `images.json` in the very form in which it is written here.
//!
//! Every command reads all of it, mostly to find one thing in it. Who knows what comes next needs a
//! fraction of the time of a reader that is ready for any JSON. Where something else comes, that
//! reader begins anew: there is no document that the two read differently.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use spec::{ChainId, Digest, ImageId, Timestamp};

use super::written::time_of;
use super::{ImageRecord, Images, NameRecord};
use crate::platform::PlatformName;
use crate::sorted::SortedMap;

impl Images {
    /// Reads a document of any form.
    pub(super) fn read(text: &str) -> serde_json::Result<Images> {
        match read_back(text) {
            Some(images) => Ok(images),
            None => serde_json::from_str(text),
        }
    }
}

/// Reads a document of our own form; nothing if it has another.
fn read_back(text: &str) -> Option<Images> {
    let mut rest = Rest(text);
    rest.expect("{\"images\":")?;
    let images = rest.map(|rest| rest.digest().map(ImageId), Rest::image)?;
    rest.expect(",\"names\":")?;
    let names = rest.map(|rest| rest.text().map(str::to_owned), Rest::name)?;
    rest.expect("}")?;
    rest.0.is_empty().then_some(Images { images, names })
}

/// What is left of a document. Whatever is asked of it, it gives nothing where something else comes.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn image(&mut self) -> Option<ImageRecord> {
        self.expect("{")?;
        let record = ImageRecord {
            top: self.field("\"top\":", Rest::digest, ",")?.map(ChainId),
            created: self.field("\"created\":", Rest::time, ",")?,
            tagged: self.field("\"tagged\":", Rest::time, ",")?,
            layers: self.field("\"layers\":[", Rest::sizes, "]")??,
            platform: self.field(",\"platform\":", Rest::text, "")?.map(PlatformName::of)?,
            manifest: self.field(",\"manifest\":", Rest::json, "")?,
            repo_digests: self.field(",\"repo_digests\":", Rest::json, "")?.unwrap_or_default(),
            parent: self.field(",\"parent\":", Rest::digest, "")?.map(ImageId),
        };
        self.expect("}").map(|()| record)
    }

    fn name(&mut self) -> Option<NameRecord> {
        let record = NameRecord {
            image: self.field("{\"image\":", Rest::digest, "")?.map(ImageId)?,
            others: self.field(",\"others\":", Rest::json, "")?.unwrap_or_default(),
            index: self.field(",\"index\":", Rest::json, "")?,
            manifest: self.field(",\"manifest\":", Rest::json, "")?,
            attached: self.field(",\"attached\":", Rest::json, "")?.unwrap_or_default(),
        };
        self.expect("}").map(|()| record)
    }

    fn map<K: Ord, V>(
        &mut self,
        key: impl Fn(&mut Self) -> Option<K>,
        value: impl Fn(&mut Self) -> Option<V>,
    ) -> Option<SortedMap<K, V>> {
        self.expect("{")?;
        let mut entries = Vec::new();
        while !self.take("}") {
            if !entries.is_empty() {
                self.expect(",")?;
            }
            let key = key(self)?;
            self.expect(":")?;
            entries.push((key, value(self)?));
        }
        Some(SortedMap::from_iter(entries))
    }

    /// A field that may be missing, between what stands before it and behind it.
    #[inline(always)]
    fn field<T>(
        &mut self,
        before: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
        behind: &str,
    ) -> Option<Option<T>> {
        if !self.take(before) {
            return Some(None);
        }
        let value = read(self)?;
        self.expect(behind).map(|()| Some(value))
    }

    fn digest(&mut self) -> Option<Digest> {
        // Nearly all are of one kind and length, and need no search for their end.
        const BYTES: usize = "\"sha256:\"".len() + 2 * 32;
        match self.0.split_at_checked(BYTES) {
            Some((text, rest)) if text.starts_with("\"sha256:") && text.ends_with('"') => {
                self.0 = rest;
                text[1..BYTES - 1].parse().ok()
            }
            _ => self.text()?.parse().ok(),
        }
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.number().map(time_of)
    }

    /// The numbers of a list, up to its end.
    fn sizes(&mut self) -> Option<Vec<u64>> {
        let mut sizes = Vec::new();
        while !self.0.starts_with(']') {
            if !sizes.is_empty() {
                self.expect(",")?;
            }
            sizes.push(self.number()?);
        }
        Some(sizes)
    }

    fn number<T: FromStr>(&mut self) -> Option<T> {
        let digits = self.0.strip_prefix('-').unwrap_or(self.0);
        let count = digits.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (number, rest) = self.0.split_at(self.0.len() - digits.len() + count);
        // A zero begins no number but itself.
        if digits.starts_with('0') && number != "0" {
            return None;
        }
        self.0 = rest;
        number.parse().ok()
    }

    /// A text in which nothing is escaped.
    fn text(&mut self) -> Option<&'a str> {
        let text = self.0.strip_prefix('"')?;
        let end = text.bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
        self.0 = text[end..].strip_prefix('"')?;
        Some(&text[..end])
    }

    /// What is rare enough to be read as any JSON: a text, a list or an object.
    fn json<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter();
        let value = values.next()?.ok()?;
        self.0 = &self.0[values.byte_offset()..];
        Some(value)
    }

    // What is compared with is known where these stand: a few instructions, not a call.
    #[inline(always)]
    fn take(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    #[inline(always)]
    fn expect(&mut self, text: &str) -> Option<()> {
        self.take(text).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spec::{MediaType, Platform};

    use super::*;
    use crate::tables::ManifestRef;

    fn digest() -> impl Strategy<Value = Digest> {
        prop_oneof![
            9 => any::<[u8; 32]>().prop_map(Digest::Sha256),
            1 => any::<u8>().prop_map(|byte| Digest::Sha512([byte; 64])),
        ]
    }

    fn manifest() -> impl Strategy<Value = Option<Box<ManifestRef>>> {
        let manifest = (digest(), any::<u64>()).prop_map(|(digest, size)| {
            Box::new(ManifestRef { digest, media_type: MediaType::OciManifest, size })
        });
        prop::option::weighted(0.3, manifest)
    }

    fn image() -> impl Strategy<Value = ImageRecord> {
        let time = || prop::option::of(any::<i64>().prop_map(time_of));
        let layers = prop::collection::vec(prop_oneof![any::<u64>(), Just(0)], 0..4);
        let platform = prop_oneof![Just("amd64"), Just("mips"), Just("odd \"\\\n")];
        let rare = (manifest(), prop::option::of(digest()), prop::bool::weighted(0.3));
        (prop::option::of(digest()), time(), time(), layers, platform, rare).prop_map(
            |(top, created, tagged, layers, platform, (manifest, parent, known))| ImageRecord {
                top: top.map(ChainId),
                created,
                tagged,
                layers,
                platform: Platform::new("linux", platform, None).into(),
                manifest,
                repo_digests: known.then(|| "a@sha256:b".to_owned()).into_iter().collect(),
                parent: parent.map(ImageId),
            },
        )
    }

    fn name() -> impl Strategy<Value = NameRecord> {
        let some = || prop::collection::vec(digest(), 0..2);
        (digest(), some(), manifest(), manifest(), some()).prop_map(
            |(image, others, index, manifest, attached)| NameRecord {
                image: ImageId(image),
                others: others.into_iter().map(ImageId).collect(),
                index,
                manifest,
                attached,
            },
        )
    }

    fn images() -> impl Strategy<Value = Images> {
        let images = prop::collection::vec((digest().prop_map(ImageId), image()), 0..4);
        let names = prop::collection::vec(("[a-z/:0-9]{1,9}", name()), 0..4);
        (images, names).prop_map(|(images, names)| Images {
            images: images.into_iter().collect(),
            names: names.into_iter().collect(),
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_any_json(images in images(), at in 0.0..1.0, by in any::<u8>()) {
            let text = String::from_utf8(images.to_bytes()).unwrap();
            prop_assert_eq!(serde_json::from_str::<Images>(&text).unwrap(), images.clone());
            prop_assert_eq!(Images::read(&text).unwrap(), images);
            // What is damaged is either refused by both or the same to both.
            let mut bytes = text.into_bytes();
            let at = (at * bytes.len() as f64) as usize;
            bytes[at] = by;
            let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
            if let Some(read) = read_back(&text) {
                prop_assert_eq!(serde_json::from_str::<Images>(&text).unwrap(), read);
            }
        }
    }

    #[test]
    fn our_own_form_needs_no_other_reader() {
        let digest = |byte| Digest::Sha256([byte; 32]);
        let record = ImageRecord {
            top: Some(ChainId(digest(1))),
            created: Some(Timestamp::from_unix(0, 0)),
            tagged: Some(Timestamp::from_unix(1_795_294_653, 54_099_088)),
            layers: vec![0, 20],
            platform: Platform::new("linux", "amd64", None).into(),
            manifest: None,
            repo_digests: ["a@sha256:b".to_owned()].into(),
            parent: Some(ImageId(digest(2))),
        };
        let mut images = Images::default();
        images.images.insert(ImageId(digest(3)), record);
        images.names.insert("a:1".to_owned(), NameRecord::of(ImageId(digest(3))));
        let text = String::from_utf8(images.to_bytes()).unwrap();
        assert_eq!(read_back(&text), Some(images));
        for other in [text.replacen(':', ": ", 1), text.replacen("20", "020", 1), text + " "] {
            assert_eq!(read_back(&other), None, "{other}");
        }
    }
}

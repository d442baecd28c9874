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
    Rest::whole(text, |rest| {
        rest.expect("{\"images\":")?;
        let images = rest.map(|rest| rest.digest().map(ImageId), Rest::image)?;
        rest.expect(",\"names\":")?;
        let names = rest.map(|rest| rest.text().map(str::to_owned), Rest::name)?;
        rest.expect("}").map(|()| Images { images, names })
    })
}

/// What is left of a document. Whatever is asked of it, it gives nothing where something else comes.
pub(super) struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// What a text is, with nothing behind it.
    pub(super) fn whole<T>(text: &'a str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut rest = Rest(text);
        read(&mut rest).filter(|_| rest.0.is_empty())
    }

    pub(super) fn image(&mut self) -> Option<ImageRecord> {
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

    pub(super) fn name(&mut self) -> Option<NameRecord> {
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
            entries.push(self.entry(&key, &value)?);
        }
        Some(SortedMap::from_iter(entries))
    }

    /// One entry of a map.
    pub(super) fn entry<K, V>(
        &mut self,
        key: impl Fn(&mut Self) -> Option<K>,
        value: impl Fn(&mut Self) -> Option<V>,
    ) -> Option<(K, V)> {
        let key = key(self)?;
        self.expect(":")?;
        Some((key, value(self)?))
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
    pub(super) fn text(&mut self) -> Option<&'a str> {
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
    use spec::Platform;

    use super::*;
    use crate::tables::arbitrary::images;

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

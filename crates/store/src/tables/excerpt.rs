//! What `images.json` says about one image, without reading the rest, and changes of just that.
//!
//! Most commands ask for one image, and there may be thousands. As it is written here, the document
//! is in order, so that an entry of either of its two maps is found by halving. Where anything is not
//! as expected, nothing is found, and all of it is to be read: what an excerpt says is what the whole
//! says.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use spec::ImageId;

use super::read_back::Rest;
use super::{About, Images, NameRecord};
use crate::sorted::SortedMap;

const BEGIN: &[u8] = b"{\"images\":{";
const MIDDLE: &[u8] = b"},\"names\":{";
const END: &[u8] = b"}}";
/// What an entry ends and the next one begins with. It stands in no text: there a quotation mark is
/// escaped.
const SEAM: &[u8] = b"},\"";

impl Images {
    /// The images that are meant, and all names that stand for one of them.
    pub(super) fn about(document: &[u8], about: &About) -> Option<Images> {
        let (images, names) = parts(document)?;
        let ids = match about {
            About::All => return None,
            About::Image(id) => vec![*id],
            About::Name(name) => names.read(name, Rest::name)?.images().collect(),
        };
        let mut excerpt = Images::default();
        for id in ids {
            excerpt.images.insert(id, images.read(&id.to_string(), Rest::image)?);
            for (name, record) in names.standing_for(id)? {
                excerpt.names.insert(name.to_owned(), record);
            }
        }
        Some(excerpt)
    }

    /// The document of which this was an excerpt before it was changed, changed like it.
    pub(super) fn changed(&self, before: &Images, document: &[u8]) -> Option<Vec<u8>> {
        let mut document = Cow::Borrowed(document);
        for (id, record) in changes(&before.images, &self.images) {
            let entry = record.map(|record| record.entry(id));
            document = parts(&document)?.0.replace(&id.to_string(), entry)?.into();
        }
        for (name, record) in changes(&before.names, &self.names) {
            let entry = record.map(|record| record.entry(name));
            document = parts(&document)?.1.replace(name, entry)?.into();
        }
        Some(document.into_owned())
    }

    /// The same where this is the whole of another document.
    pub(super) fn change_like(&mut self, before: &Images, after: &Images) {
        for (id, record) in changes(&before.images, &after.images) {
            self.images.set(*id, record.cloned());
        }
        for (name, record) in changes(&before.names, &after.names) {
            self.names.set(name.clone(), record.cloned());
        }
    }
}

/// What became another or new, and without a value what went.
fn changes<'a, K: Ord, V: PartialEq>(
    before: &'a SortedMap<K, V>,
    after: &'a SortedMap<K, V>,
) -> impl Iterator<Item = (&'a K, Option<&'a V>)> {
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key, None));
    let new = after.iter().filter(|(key, value)| before.get(*key) != Some(*value));
    gone.chain(new.map(|(key, value)| (key, Some(value))))
}

/// The entries of one of the two maps, one behind the other in the order of their keys.
struct Entries<'a> {
    document: &'a [u8],
    at: Range<usize>,
}

/// Where an entry stands, or would.
enum Place {
    At(Range<usize>),
    Before(usize),
}

/// The two maps of a document: images and names.
fn parts(document: &[u8]) -> Option<(Entries<'_>, Entries<'_>)> {
    if !document.starts_with(BEGIN) || !document.ends_with(END) {
        return None;
    }
    let both = Entries { document, at: BEGIN.len()..document.len() - END.len() };
    let Range { start: mut low, end: mut high } = both.at;
    // The second map begins behind `low`, and the next entry from `high` on is one of its.
    while high - low > SEAM.len() {
        let middle = low.midpoint(high);
        match both.next(middle..both.at.end) {
            Some(at) if both.key(at)?.starts_with(b"sha") => low = at,
            _ => high = middle,
        }
    }
    let seam = low + find(&document[low..], MIDDLE)?;
    let [images, names] = [both.at.start..seam, seam + MIDDLE.len()..both.at.end];
    Some((Entries { document, at: images }, Entries { document, at: names }))
}

impl<'a> Entries<'a> {
    /// Where the first entry begins that begins in a range.
    fn next(&self, range: Range<usize>) -> Option<usize> {
        if range.start == self.at.start && self.key(range.start).is_some() {
            return Some(range.start).filter(|_| !range.is_empty());
        }
        // The seam in front of an entry that begins at once.
        let mut from = range.start.checked_sub(2)?;
        while from < range.end {
            from += find(&self.document[from..range.end], SEAM)? + 2;
            if self.key(from).is_some() {
                return Some(from);
            }
        }
        None
    }

    /// The key of the entry that begins here, if one does: a field within an entry has no colon in its
    /// name.
    fn key(&self, at: usize) -> Option<&'a [u8]> {
        let text = self.document[at..].strip_prefix(b"\"")?;
        let (key, rest) = text.split_at(text.iter().position(|byte| *byte == b'"')?);
        (rest.starts_with(b"\":{") && key.contains(&b':') && is_plain(key)).then_some(key)
    }

    /// From the beginning of an entry to its end.
    fn whole(&self, at: usize) -> Range<usize> {
        let next = self.next(at + 1..self.at.end);
        at..next.map_or(self.at.end, |next| next - 1)
    }

    fn place(&self, key: &str) -> Option<Place> {
        if !is_plain(key.as_bytes()) {
            return None;
        }
        let Range { start: mut low, end: mut high } = self.at;
        let mut behind = high;
        // It does not begin before `low`, nor at `high` or later.
        while low < high {
            let middle = low.midpoint(high);
            let Some(at) = self.next(middle..high) else {
                high = middle;
                continue;
            };
            match self.key(at)?.cmp(key.as_bytes()) {
                Ordering::Less => low = at + 1,
                Ordering::Equal => return Some(Place::At(self.whole(at))),
                Ordering::Greater => (high, behind) = (middle, at),
            }
        }
        Some(Place::Before(behind))
    }

    /// The value of a key.
    fn read<V>(&self, key: &str, value: impl Fn(&mut Rest<'a>) -> Option<V>) -> Option<V> {
        let Some(Place::At(place)) = self.place(key) else { return None };
        self.read_at(place, value).map(|(_, value)| value)
    }

    fn read_at<V>(
        &self,
        place: Range<usize>,
        value: impl Fn(&mut Rest<'a>) -> Option<V>,
    ) -> Option<(&'a str, V)> {
        Rest::whole(str::from_utf8(&self.document[place]).ok()?, |rest| {
            rest.entry(Rest::text, value)
        })
    }

    /// The entries of names that stand for an image.
    fn standing_for(&self, id: ImageId) -> Option<Vec<(&'a str, NameRecord)>> {
        let mut found = Vec::new();
        let mut seen = self.at.start;
        for hit in hits(&self.document[self.at.clone()], id.to_string().as_bytes()) {
            let hit = self.at.start + hit;
            if hit < seen {
                continue;
            }
            let begins =
                |at: &usize| self.document[..at + 1].ends_with(SEAM) && self.key(*at).is_some();
            let first = (seen == self.at.start).then_some(seen);
            let begin = (seen..hit).rev().find(begins).or(first)?;
            let place = self.whole(begin);
            seen = place.end;
            let (name, record) = self.read_at(place, Rest::name)?;
            if record.images().any(|image| image == id) {
                found.push((name, record));
            }
        }
        Some(found)
    }

    /// The document with another entry of a key, or none.
    fn replace(&self, key: &str, entry: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let (is_first, is_last) = (|at| at == self.at.start, |at| at == self.at.end);
        let (place, entry) = match (self.place(key)?, entry) {
            (Place::At(place), Some(entry)) => (place, entry),
            (Place::At(place), None) if !is_last(place.end) => (place.start..place.end + 1, vec![]),
            (Place::At(place), None) if !is_first(place.start) => {
                (place.start - 1..place.end, vec![])
            }
            (Place::At(place), None) => (place, vec![]),
            (Place::Before(at), Some(entry)) if !is_last(at) => {
                (at..at, [&entry[..], b","].concat())
            }
            (Place::Before(at), Some(entry)) if !is_first(at) => {
                (at..at, [b",", &entry[..]].concat())
            }
            (Place::Before(at), Some(entry)) => (at..at, entry),
            (Place::Before(_), None) => return None,
        };
        let (before, behind) = (&self.document[..place.start], &self.document[place.end..]);
        Some([before, &entry, behind].concat())
    }
}

/// Whether a text stands in JSON as it is.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| *byte >= b' ' && !matches!(byte, b'"' | b'\\'))
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|part| part == pattern)
}

/// Wherever a long pattern stands. The byte under its end tells how far away it is at the least: of
/// digests, whose characters are few, ten bytes on average.
fn hits(text: &[u8], pattern: &[u8]) -> Vec<usize> {
    let mut steps = [pattern.len(); 256];
    for (at, byte) in pattern.iter().enumerate().take(pattern.len() - 1) {
        steps[usize::from(*byte)] = pattern.len() - 1 - at;
    }
    let (mut hits, mut at) = (Vec::new(), 0);
    while let Some(part) = text.get(at..at + pattern.len()) {
        if part == pattern {
            hits.push(at);
        }
        at += steps[usize::from(part[part.len() - 1])];
    }
    hits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spec::Digest;

    use super::*;
    use crate::tables::arbitrary::images;

    fn abouts(images: &Images) -> Vec<About> {
        let by_id = images.images.keys().map(|id| About::Image(*id));
        by_id.chain(images.names.keys().cloned().map(About::Name)).collect()
    }

    fn name(text: &str) -> About {
        About::Name(text.to_owned())
    }

    /// What an excerpt is to say, out of the whole; nothing where a text is not as it stands.
    fn expected(images: &Images, about: &About) -> Option<Images> {
        let ids = match about {
            About::All => return None,
            About::Image(id) => vec![*id],
            About::Name(name) => images.names.get(name)?.images().collect(),
        };
        let mut all = images.clone();
        all.images.retain(|id, _| ids.contains(id));
        all.names.retain(|_, record| record.images().any(|id| ids.contains(&id)));
        let is_odd =
            |id| all.images.get(id).is_none_or(|it| !is_plain(it.platform.as_str().as_bytes()));
        (!ids.iter().any(is_odd)).then_some(all)
    }

    proptest! {
        #[test]
        fn says_what_the_whole_says(images in images()) {
            let document = images.to_bytes();
            for about in abouts(&images) {
                let excerpt = Images::about(&document, &about);
                prop_assert_eq!(excerpt, expected(&images, &about), "{:?}", about);
            }
            let strangers = [About::Image(ImageId(Digest::of(b"none"))), name("none:1"), About::All];
            for about in strangers {
                prop_assert_eq!(Images::about(&document, &about), None);
            }
        }

        #[test]
        fn is_changed_like_the_whole(images in images(), other in images(), picks in any::<u8>()) {
            // What is in both stays, changes or goes; what is in the other alone is new.
            let before = &images;
            let mut after = other;
            for (at, (id, record)) in before.images.iter().enumerate() {
                if picks >> (at % 8) & 1 == 0 {
                    after.images.insert_new(*id, || record.clone());
                }
            }
            for (at, (name, record)) in before.names.iter().enumerate() {
                if picks >> (at % 7) & 1 == 0 {
                    after.names.insert_new(name.clone(), || record.clone());
                }
            }
            let document = after.changed(before, &before.to_bytes()).unwrap();
            prop_assert_eq!(String::from_utf8(document), String::from_utf8(after.to_bytes()));
            let mut whole = before.clone();
            whole.change_like(before, &after);
            prop_assert_eq!(whole, after);
        }

        #[test]
        fn hits_are_all_there_are(text in "[a-c]{0,99}", pattern in "[a-c]{1,5}") {
            let parts = text.as_bytes().windows(pattern.len()).enumerate();
            let all = parts.filter(|(_, part)| *part == pattern.as_bytes()).map(|(at, _)| at);
            prop_assert_eq!(hits(text.as_bytes(), pattern.as_bytes()), all.collect::<Vec<_>>());
        }

        #[test]
        fn damage_is_no_panic(images in images(), at in 0.0..1.0, by in any::<u8>(), cut in any::<bool>()) {
            let mut document = images.to_bytes();
            let at = (at * document.len() as f64) as usize;
            document[at] = by;
            document.truncate(if cut { at } else { document.len() });
            for about in abouts(&images) {
                if let Some(excerpt) = Images::about(&document, &about) {
                    excerpt.changed(&images, &document);
                }
            }
        }
    }

    #[test]
    fn of_documents_in_another_form_nothing_is_said() {
        let mut images = Images::default();
        images.names.insert("a:1".to_owned(), NameRecord::of(ImageId(Digest::of(b"a"))));
        let text = String::from_utf8(images.to_bytes()).unwrap();
        for other in [text.replacen(':', ": ", 1), format!("{text} "), text.replacen('}', "", 1)] {
            assert_eq!(Images::about(other.as_bytes(), &name("a:1")), None, "{other}");
        }
    }
}

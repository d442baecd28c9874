//! Which image is meant: a name, a name with a digest, an id, or the beginning of one.

use spec::{Digest, ImageId, Platform, Reference};
use store::{About, Images};

use crate::error::{EngineError, Result};

/// An image that was found, and by what.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: ImageId,
    /// The full name it was found by; none if it was found by its id.
    pub name: Option<String>,
    /// Whether a name with a digest was given.
    pub by_digest: bool,
}

/// Among what an image is found: where its full name or id is given, it takes no look at others.
pub(crate) fn about(text: &str) -> About {
    let bare = text.strip_prefix("sha256:").unwrap_or(text);
    if let Ok(digest) = format!("sha256:{bare}").parse::<Digest>() {
        return About::Image(ImageId(digest));
    }
    match Reference::parse(text) {
        Ok(name) if name.digest().is_none() => About::Name(name.with_default_tag().to_string()),
        _ => About::All,
    }
}

/// Finds an image as docker does: a name goes before an id that looks the same.
pub(crate) fn find(images: &Images, text: &str) -> Result<Found> {
    let missing = || EngineError::NoSuchImage(shown(text));
    let by_id = |id| Found { id, name: None, by_digest: false };
    let bare = text.strip_prefix("sha256:").unwrap_or(text);
    if let Ok(digest) = format!("sha256:{bare}").parse::<Digest>() {
        let id = ImageId(digest);
        return images.images.contains_key(&id).then(|| by_id(id)).ok_or_else(missing);
    }
    if let Ok(reference) = Reference::parse(text) {
        if let Some(found) = by_name(images, &reference) {
            return Ok(found);
        }
    } else if !is_prefix(bare) {
        Reference::parse(text)
            .map_err(|source| EngineError::Reference { text: text.to_owned(), source })?;
    }
    if !is_prefix(bare) {
        return Err(missing());
    }
    let mut matches = starting_with(images, bare);
    let Some(first) = matches.next() else { return Err(missing()) };
    let others: Vec<&ImageId> = matches.collect();
    if others.is_empty() {
        return Ok(by_id(*first));
    }
    Err(EngineError::Ambiguous { prefix: text.to_owned(), candidates: candidates(first, &others) })
}

/// How many of the images that a prefix may mean are named.
const MOST_CANDIDATES: usize = 8;

/// The images that a prefix may mean, as many as a person reads.
fn candidates(first: &ImageId, others: &[&ImageId]) -> String {
    let all = std::iter::once(&first).chain(others);
    let named: Vec<String> = all.take(MOST_CANDIDATES).map(|id| id.0.short()).collect();
    match (1 + others.len()).saturating_sub(MOST_CANDIDATES) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

impl crate::Engine {
    /// The image that is meant.
    pub fn find_image(&self, text: &str) -> Result<Found> {
        find(&self.store().images_about(&about(text))?, text)
    }
}

/// The images whose ids begin so; `prefix` is hexadecimal. Ids are in order, so only those are met.
fn starting_with<'a>(images: &'a Images, prefix: &'a str) -> impl Iterator<Item = &'a ImageId> {
    let first = format!("sha256:{prefix:0<64}").parse();
    let first = ImageId(first.expect("hexadecimal digits filled up are a digest"));
    let from_there = images.images.range(first..).map(|(id, _)| id);
    from_there.take_while(move |id| id.0.hex().starts_with(prefix))
}

fn by_name(images: &Images, reference: &Reference) -> Option<Found> {
    if let Some(digest) = reference.digest() {
        let wanted = format!("{}@{digest}", reference.name());
        let (id, _) =
            images.images.iter().find(|(_, record)| record.repo_digests.contains(&wanted))?;
        return Some(Found { id: *id, name: Some(wanted), by_digest: true });
    }
    let name = reference.clone().with_default_tag().to_string();
    let record = images.names.get(&name)?;
    Some(Found { id: record.image, name: Some(name), by_digest: false })
}

/// The image of a name for a platform.
pub(crate) fn find_for(images: &Images, text: &str, platform: Option<&Platform>) -> Result<Found> {
    let found = find(images, text)?;
    let Some(wanted) = platform else { return Ok(found) };
    let of_name: Vec<ImageId> = match found.name.as_ref().and_then(|name| images.names.get(name)) {
        Some(record) => record.images().collect(),
        None => vec![found.id],
    };
    let best = of_name
        .iter()
        .filter_map(|id| Some((images.images.get(id)?.platform.platform().rank(wanted)?, *id)))
        .min_by_key(|(rank, _)| *rank);
    match best {
        Some((_, id)) => Ok(Found { id, ..found }),
        None => {
            let name = text.to_owned();
            Err(EngineError::NoPlatform { name, wanted: wanted.to_string() })
        }
    }
}

/// An image's name in a message: docker adds the tag that it looked for.
fn shown(text: &str) -> String {
    if is_prefix(text.strip_prefix("sha256:").unwrap_or(text)) && text.contains(':') {
        return text.to_owned();
    }
    match Reference::parse(text) {
        Ok(reference) => reference.with_default_tag().familiar(),
        Err(_) => text.to_owned(),
    }
}

fn is_prefix(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_candidates_some_are_named() {
        let ids: Vec<ImageId> = (0..11).map(|id: u8| ImageId(Digest::of(&[id]))).collect();
        let told = |ids: &[ImageId]| candidates(&ids[0], &ids[1..].iter().collect::<Vec<_>>());
        assert_eq!(told(&ids[..2]), format!("{}, {}", ids[0].0.short(), ids[1].0.short()));
        assert!(!told(&ids[..8]).contains("more"));
        let many = told(&ids);
        assert!(many.ends_with(" and 3 more") && many.matches(", ").count() == 7, "{many}");
    }
}

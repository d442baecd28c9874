//! Names for images.

use spec::{ImageId, Reference, Timestamp};
use store::NameRecord;

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::find::{about, find};

impl Engine {
    /// Gives an image a name; whoever had the name before loses it.
    pub fn tag(&self, source: &str, target: &str) -> Result<(ImageId, Reference)> {
        let target = target_name(target)?;
        let name = target.to_string();
        let id = self.store.change_images_about(&about(source), |images| {
            let found = find(images, source).map_err(tag_name)?;
            let whole = found.name.and_then(|name| images.names.get(&name)).cloned();
            let record = whole.unwrap_or_else(|| NameRecord::of(found.id));
            let now = Timestamp::now();
            for id in record.images() {
                if let Some(image) = images.images.get_mut(&id) {
                    image.tagged = Some(now);
                }
            }
            images.names.insert(name.clone(), record);
            Ok::<_, EngineError>(found.id)
        })?;
        self.image_event("tag", id, &[("name", &target.familiar())]);
        Ok((id, target))
    }
}

/// A name that an image can be given: with a tag or the default one, never with a digest.
pub(crate) fn target_name(text: &str) -> Result<Reference> {
    let reference = parse(text).map_err(tag_name)?;
    if reference.digest().is_some() {
        return Err(EngineError::TagWithDigest);
    }
    // `sha256:abc` would read like an id from then on.
    if ["sha256", "sha512"].contains(&reference.familiar_name().as_str()) {
        let why = "refusing to create an ambiguous tag using digest algorithm as name";
        return Err(EngineError::Refused(why.to_owned()));
    }
    Ok(reference.with_default_tag())
}

/// Docker's client checks both names itself, and says so in words of its own.
fn tag_name(error: EngineError) -> EngineError {
    match error {
        EngineError::Reference { text, source } => EngineError::TagName { text, source },
        other => other,
    }
}

pub(crate) fn parse(text: &str) -> Result<Reference> {
    Reference::parse(text)
        .map_err(|source| EngineError::Reference { text: text.to_owned(), source })
}
